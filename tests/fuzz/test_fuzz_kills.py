"""SIGKILL at any moment of any stage, and the same command again: the same result, nobody left behind, no litter."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from damaged import contents
from fuzz_share import SHARE, keep_counts, n_of

import deepcuts as package

N_KILLS = n_of(100, 6)
SECONDS_TO_END = 5.0 if SHARE else 30.0  # for the workers of a killed run; CI may be busy
MOST_TRIES = 5  # until a kill hits a running process
# Stage → its command; OUT is what it writes, a name after a colon is an artifact of the house.
STAGES = {
    "world": "data world -o OUT --set n_songs=40 --set n_users=60 --set mean_listeners=12 --set seconds=3.2",
    "logmel": "audio logmel :world/sounds -o OUT -j 2 --set rate=8000 --set n_bands=16",
    "factors": "factors :world/plays -o OUT --set n_factors=24 --set n_sweeps=60",
    "mlp": "predict fit :pooled :factors --encoder mlp --split :split -o OUT --set n_epochs=30 --set batch=8",
    "evaluate": "evaluate :world/plays :split :factors --system a=:predicted -o OUT --set n_bootstrap=50",
    "model": "model :world/plays :world/sounds -o OUT -j 2 --set n_factors=4",
    "split": "data split :world/plays -o OUT",
    "pool": "audio pool :logmel -o OUT",
    "words": "audio words :logmel -o OUT --set n_words=8",
    "library": "library :world/sounds -o OUT",
    "match": "match :world/plays :library -o OUT",
    "linear": "predict fit :logmel :factors --encoder linear --split :split -o OUT",
    "songs": "predict songs :linear :logmel -o OUT",
    "recommend": "recommend :factors --predicted :predicted -o OUT",
    "bundle": "bundle :factors --predicted :predicted --plays :world/plays --encoder :linear -o OUT",
}


@dataclass(frozen=True)
class Stage:
    """One stage: its command, what it gives undisturbed, and how long that took."""

    words: list[str]
    calm: dict[str, bytes]
    seconds: float


def start(words: list[str], out: Path) -> subprocess.Popen:
    """The command as a process in a session of its own."""
    out.parent.mkdir(parents=True, exist_ok=True)
    where = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])}
    command = [sys.executable, "-m", "deepcuts", *(str(out) if word == "OUT" else word for word in words)]
    return subprocess.Popen(command, env=where, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            start_new_session=True)  # fmt: skip


def finish(words: list[str], out: Path) -> dict[str, bytes]:
    """Run to the end; what it wrote."""
    child = start(words, out)
    _, told = child.communicate(timeout=300)
    assert child.returncode == 0, told
    return contents(out)


def in_session(session: int) -> list[int]:
    """The processes of a session that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = path.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):  # it has just ended
            continue
        if int(its_session) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def kill_somewhere(stage: Stage, out: Path, rng: np.random.Generator) -> bool:
    """Start the stage and kill it: at a moment of its time, or soon after it begins to write; whether it still ran."""
    child = start(stage.words, out)
    until = time.monotonic() + 2 * stage.seconds
    if rng.random() < 0.5:
        time.sleep(float(rng.uniform(0.2, 1.0)) * stage.seconds)
    else:
        while child.poll() is None and time.monotonic() < until and not any(out.parent.iterdir()):
            time.sleep(0.002)
        time.sleep(float(rng.exponential(0.1 * stage.seconds)))
    hit = child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.communicate()
    until = time.monotonic() + SECONDS_TO_END
    while (left := in_session(child.pid)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not left, f"{stage.words[:2]}: processes {left} outlive the run by {SECONDS_TO_END} s"
    return hit


@pytest.fixture(scope="module")
def stage_of(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Stage]:
    stages: dict[str, Stage] = {}

    def make(name: str) -> Stage:
        if name not in stages:
            words = [word.replace(":", f"{home}/") for word in STAGES[name].split()]
            begin = time.monotonic()
            calm = finish(words, tmp_path_factory.mktemp("calm") / "out")
            stages[name] = Stage(words, calm, time.monotonic() - begin)
        return stages[name]

    return make


def test_a_stage_killed_anywhere_and_run_again_ends_as_if_nothing_had_happened(
    stage_of: Callable[[str], Stage], tmp_path: Path
) -> None:
    wrong, n_hit = [], 0
    for number in range(N_KILLS):
        rng, name = np.random.default_rng((7, number)), list(STAGES)[number % len(STAGES)]
        stage, out = stage_of(name), tmp_path / str(number) / "out"
        n_hit += any(kill_somewhere(stage, out, rng) for _ in range(MOST_TRIES))
        found = finish(stage.words, out)
        if found != stage.calm:
            differing = {key for key in found.keys() | stage.calm.keys() if found.get(key) != stage.calm.get(key)}
            wrong.append(f"{number} {name}: {sorted(differing)} differ")
        litter = sorted(path.name for path in out.parent.iterdir() if path.name not in ("out", "out.steps"))
        if litter:
            wrong.append(f"{number} {name}: {litter} left behind")
    note = f"{n_hit} hit a running process; of {len(STAGES)} stages; no process was left after {SECONDS_TO_END:.0f} s"
    keep_counts("SIGKILL, then the same command again", N_KILLS, N_KILLS - len(wrong), len(wrong), note)
    assert not wrong, f"{len(wrong)} of {N_KILLS}: " + "\n".join(wrong)
    assert n_hit >= N_KILLS * 0.9

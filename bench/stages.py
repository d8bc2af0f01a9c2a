"""A chain of `deepcuts` commands, each measured: wall time, CPU time, peak memory. A killed chain goes on."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

from deepcuts.store import write_file

BEAT = 5.0  # seconds between notes of how long the stage under way has taken, should it be killed


class Stage(NamedTuple):
    """What is done, by which command (the words after `deepcuts`)."""

    name: str
    command: Sequence[str]


class Spent(TypedDict):
    """What a stage has cost: all its attempts in `wall`, the last one in `cpu` and `peak` (its largest process)."""

    wall: float
    cpu: float
    peak: float
    attempts: int
    done: bool


def run(stages: Sequence[Stage], folder: Path) -> dict[str, Spent]:
    """Run the stages that are not done yet, in order; what each has cost is kept in `folder`/stages.json.

    After a SIGKILL at any moment the same call goes on with the stage that was under way, which resumes by its own
    means. Time spent before a kill counts, to within BEAT.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "stages.json"
    spent: dict[str, Spent] = json.loads(record.read_text()) if record.exists() else {}
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a stage that outlives its parent holds it too
        except BlockingIOError:
            sys.exit(f"{folder}: a run, or a stage that outlived a killed one, is still at work there. Wait for it.")
        for number, stage in enumerate(stages, start=1):
            before = spent.get(stage.name) or Spent(wall=0.0, cpu=0.0, peak=0.0, attempts=0, done=False)
            if before["done"]:
                print(f"[{number}/{len(stages)}] {stage.name}: done before", file=sys.stderr, flush=True)
                continue
            print(f"[{number}/{len(stages)}] {stage.name}", file=sys.stderr, flush=True)
            for now in watch(stage.command, before, lock.fileno()):
                spent[stage.name] = now
                write_file(record, json.dumps(spent, indent=1) + "\n")
    return spent


def watch(command: Sequence[str], before: Spent, *held: int) -> Iterator[Spent]:
    """Run a command; yield what it has cost so far at every BEAT, and when it is done. A failure ends the chain."""
    began = time.monotonic()
    child = subprocess.Popen([sys.executable, "-m", "deepcuts", *command], pass_fds=held)
    spent = Spent(**{**before, "attempts": before["attempts"] + 1})
    beat = began
    while True:
        pid, status, used = os.wait4(child.pid, os.WNOHANG)
        spent["wall"] = before["wall"] + time.monotonic() - began
        if pid:
            break
        if time.monotonic() >= beat:
            beat += BEAT
            yield spent
        time.sleep(0.05)
    child.returncode = os.waitstatus_to_exitcode(status)
    if status != 0:
        yield spent
        sys.exit(f"failed: deepcuts {' '.join(command)}. Run the same again to go on from there.")
    yield Spent(**{**spent, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1e6, "done": True})


def table(stages: Sequence[Stage], spent: dict[str, Spent]) -> list[dict[str, object]]:
    """Rows for a page: time and memory of every stage, and the sum and the peak of all."""
    rows = [(stage.name, spent[stage.name]) for stage in stages]
    wall, cpu = sum(s["wall"] for _, s in rows), sum(s["cpu"] for _, s in rows)
    rows.append(("all", Spent(wall=wall, cpu=cpu, peak=max(s["peak"] for _, s in rows), attempts=0, done=True)))
    return [
        {"stage": name, "wall s": round(s["wall"], 1), "CPU s": round(s["cpu"], 1), "peak GB": round(s["peak"], 2)}
        for name, s in rows
    ]

"""The real command, as a process of its own: exit codes, Ctrl-C, a pipe that breaks, a run that is killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

SOURCE = Path(__file__).parents[2] / "src"
DEEPCUTS = [sys.executable, "-m", "deepcuts"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}


def start(*words: object, **more) -> subprocess.Popen:
    command = [*DEEPCUTS, *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True, **more)


def wait_for(happened, child: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_mistake_is_one_line_and_an_exit_code(tmp_path) -> None:
    child = start("factors", tmp_path / "plays", "-o", tmp_path / "factors")
    out, err = child.communicate(timeout=60)
    assert child.returncode == 4
    assert out == ""
    assert err.splitlines()[-1].startswith(f"error: {tmp_path}/plays: no such folder.")
    assert "Traceback" not in err


def test_a_pipe_that_breaks_is_no_disaster(home) -> None:
    command = " ".join([*DEEPCUTS, "recommend", str(home / "factors"), "-k", "0"])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -n 1"], env=ENVIRONMENT, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "user_id\tsong_id\tscore\trank\n"
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_the_work_goes_on_when_nobody_reads_what_is_said(music, tmp_path) -> None:
    words = ["audio", "logmel", music, "-o", tmp_path / "mel", "--set", "n_bands=40"]
    command = " ".join([*DEEPCUTS, *map(str, words)])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} 2>&1 >/dev/null | true"], env=ENVIRONMENT, capture_output=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert (tmp_path / "mel/meta.json").exists()


def test_letters_that_a_stream_cannot_show_are_escaped(tmp_path) -> None:
    (tmp_path / "plays.csv").write_text("user,song,plays\nann,caf\u00e9,3\nbob,x,1\n", encoding="utf-8")
    done = subprocess.run(
        [*DEEPCUTS, "data", "what", str(tmp_path / "caf\u00e9.csv"), str(tmp_path / "plays.csv")],
        env={**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert r"caf\xe9.csv: no such file" in done.stderr


def hearing(child: subprocess.Popen) -> int:
    """The number of the file that a process of the child holds open now, -1 for none: it decodes in one of its own."""
    numbers = [-1]
    workers = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    for worker in workers:
        with contextlib.suppress(OSError):  # gone, or closed again in the meantime
            for link in Path(f"/proc/{worker}/fd").iterdir():
                opened = Path(os.readlink(link))
                numbers += [int(opened.stem)] if opened.suffix == ".wav" else []
    return max(numbers)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Enough sound that a run can be stopped in the middle."""
    (tmp_path / "music").mkdir()
    noise = np.random.default_rng(0).integers(-16_000, 16_000, 30 * 44_100, dtype=np.int16)
    for number in range(60):
        soundfile.write(tmp_path / f"music/{number:03d}.wav", np.roll(noise, number), 44_100)
    return tmp_path / "music"


def test_ctrl_c_keeps_what_was_heard_and_the_next_run_goes_on(deepcuts, music, tmp_path) -> None:
    words = ["audio", "logmel", music, "-o", tmp_path / "mel", "-j", "1", "--set", "n_bands=40"]
    child = start(*words)
    wait_for(lambda: hearing(child) >= 5, child)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert err.splitlines()[-1] == "interrupted. Finished parts are kept; run the same command again to go on."
    assert "Traceback" not in err
    assert not (tmp_path / "mel").exists()
    found = json.loads(deepcuts(*words, "--json").out)
    assert found["songs"] == 60
    assert 0 < found["reused"] < 60

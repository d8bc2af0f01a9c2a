"""The Million Song rehearsal, in small: one command from a made text file to scores, which goes on after every kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARE = "0.002"


def command(folder: Path) -> list[str]:
    words = ["--share", SHARE, "--work", str(folder / "work"), "-o", str(folder / "million.json")]
    return [sys.executable, str(ROOT / "bench" / "million.py"), *words]


def numbers(folder: Path) -> dict:
    content = json.loads((folder / "million.json").read_text())
    times = {row["stage"]: row["wall s"] for row in content["tables"].pop("Time and memory")}
    for row in content["tables"]["Objective after each sweep"]:
        del row["users s"], row["songs s"]
    return {"times": times, **content}


@pytest.mark.slow
def test_killed_at_any_stage_the_same_command_goes_on_to_the_same_numbers(tmp_path):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    subprocess.run(command(straight), check=True, capture_output=True)
    record = killed / "work" / "stages.json"
    hit = set()
    for stage in range(7):  # let it begin stage after stage, and kill it there
        child = subprocess.Popen(command(killed), stderr=subprocess.DEVNULL, start_new_session=True)
        while child.poll() is None and (not record.exists() or len(json.loads(record.read_text())) <= stage):
            time.sleep(0.05)
        time.sleep(0.3 * (stage % 3))
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            hit.add(stage)
        child.wait()
    assert len(hit) >= 6
    done = subprocess.run(command(killed), check=True, capture_output=True, text=True)
    assert "rank all test songs for all users" in done.stdout
    first, second = numbers(straight), numbers(killed)
    assert first.pop("times").keys() == second.pop("times").keys()
    assert first == second


def test_two_runs_in_one_folder_are_refused(tmp_path):
    import fcntl

    from stages import Stage, run

    (tmp_path / ".lock").touch()
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match="still at work"):
            run([Stage("one", ["--version"])], tmp_path)


def test_a_stage_that_fails_ends_the_chain_and_says_what_to_do(tmp_path, capfd):
    from stages import Stage, run

    with pytest.raises(SystemExit, match="Run the same again"):
        run([Stage("fine", ["--version"]), Stage("broken", ["no-such-command"])], tmp_path)
    spent = json.loads((tmp_path / "stages.json").read_text())
    assert spent["fine"]["done"]
    assert not spent["broken"]["done"]
    assert "[2/2] broken" in capfd.readouterr().err

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import deepcuts

# One file a shard, and a pause after each, so that a kill can be placed between any two.
CHILD = """
import sys, time
from pathlib import Path
from deepcuts.audio import LogMelSettings
from deepcuts.audio import shards
from deepcuts.audio import extract as stage
real, real_write = shards.Shelf.flush, stage._write_frames
def flush(self):
    real(self)
    time.sleep(float(sys.argv[3]))
def add(self, outcome, frames):
    self.held.append((outcome, frames))
    self.flush()
def write_frames(*given):
    real_write(*given)
    time.sleep(float(sys.argv[3]))
if __name__ == "__main__":
    stage._write_frames = write_frames
    shards.Shelf.flush, shards.Shelf.add = flush, add
    settings = LogMelSettings(rate=8000, n_bands=20, window=512, hop=512, min_seconds=0.5)
    report = stage.extract(sys.argv[1], "logmel", settings, Path(sys.argv[2]), jobs=int(sys.argv[4]))
    print(report.n_songs, report.n_reused)
"""


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def start(tmp_path, write_sound):
    (tmp_path / "child.py").write_text(CHILD)
    for seed in range(8):
        sound = np.random.default_rng(seed).uniform(-0.5, 0.5, 8000)
        write_sound(tmp_path / f"music/{seed}.flac", sound, 8000)
    (tmp_path / "music/bad.mp3").write_bytes(b"<html>" * 1000)

    def begin(out, pause=0.0, jobs=1):
        command = [sys.executable, "child.py", "music", out, str(pause), str(jobs)]
        where = {**os.environ, "PYTHONPATH": str(Path(deepcuts.__file__).parents[1])}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=tmp_path, env=where, stdout=pipe, stderr=pipe, text=True)

    return begin


def finish(child):
    told, complaints = child.communicate(timeout=120)
    assert child.returncode == 0, complaints
    return [int(word) for word in told.split()]


def kill_when(child, happened):
    deadline = time.monotonic() + 60
    while not happened():
        assert child.poll() is None, child.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.communicate()


def test_a_run_killed_again_and_again_ends_with_the_same_bytes(start, tmp_path):
    assert finish(start("calm")) == [8, 0]
    work = tmp_path / ".killed.work"
    for n_shards in (1, 3, 6):
        child = start("killed", pause=0.2)
        kill_when(child, lambda n=n_shards: len(list(work.glob("*.npz"))) >= n)
        assert not (tmp_path / "killed").exists()
    in_the_artifact = lambda: any(tmp_path.glob(".killed.*.partial/frames.npy"))  # noqa: E731
    kill_when(start("killed", pause=0.5), in_the_artifact)
    assert not (tmp_path / "killed").exists()
    assert finish(start("killed")) == [8, 9]
    assert contents(tmp_path / "killed") == contents(tmp_path / "calm")
    assert not work.exists()


def test_workers_do_not_outlive_a_killed_run_and_the_next_ends_with_the_same_bytes(start, tmp_path):
    finish(start("calm"))
    work = tmp_path / ".killed.work"
    child = start("killed", pause=0.3, jobs=2)
    kill_when(child, lambda: len(list(work.glob("*.npz"))) >= 2)
    # communicate() in kill_when returned: nobody holds the pipes of the dead run any more, so its workers are gone.
    assert finish(start("killed", jobs=2))[0] == 8
    assert contents(tmp_path / "killed") == contents(tmp_path / "calm")

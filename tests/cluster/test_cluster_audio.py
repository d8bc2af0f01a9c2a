"""Features made in tasks are those of one machine, byte for byte, whichever worker dies."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from deepcuts.audio import LogMelSettings
from deepcuts.audio.extract import extract
from deepcuts.audio.workers import Job
from deepcuts.cluster import Cluster, audio
from deepcuts.cluster.audio import Batch, extract_batch, ray_spread
from deepcuts.errors import ResourceError

SETTINGS = LogMelSettings(rate=8000, n_bands=20, window=512, hop=512, min_seconds=0.5)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven songs of different lengths, two of the same bytes, one damaged and one empty."""
    folder = tmp_path_factory.mktemp("music")
    for seed in range(11):
        sound = np.random.default_rng(seed).uniform(-0.5, 0.5, 6000 + 500 * seed)
        soundfile.write(folder / f"{seed:02}.wav", sound, 8000)
    (folder / "copy.wav").write_bytes((folder / "03.wav").read_bytes())
    (folder / "bad.mp3").write_bytes(b"<html>" * 1000)
    (folder / "empty.wav").write_bytes(b"")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def alone(music: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("alone") / "mel"
    assert extract(music, "logmel", SETTINGS, out, jobs=1).n_quarantined == 2
    return contents(out)


@pytest.fixture(params=[1, 8], ids=["seven files a task", "one file a task"])
def tasks_a_worker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(audio, "TASKS_A_WORKER", request.param)
    return request.param


@pytest.mark.usefixtures("tasks_a_worker")
def test_features_are_those_of_one_machine_to_the_byte(cluster, music, alone, tmp_path):
    report = extract(music, "logmel", SETTINGS, tmp_path / "mel", spread=ray_spread(cluster))
    assert contents(tmp_path / "mel") == alone
    assert (report.n_songs, report.n_files, report.n_reused, report.n_quarantined) == (12, 12, 0, 2)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != ".mel.lock") == ["mel"]


def test_killed_workers_change_nothing(deadly, music, alone, tmp_path, monkeypatch):
    """One dies before its work, one after it, when its shards are there; what it finished is not heard again."""
    monkeypatch.setattr(audio, "TASKS_A_WORKER", 1)
    cluster = deadly(0, 1)
    extract(music, "logmel", SETTINGS, tmp_path / "mel", spread=ray_spread(cluster))
    assert cluster.n_died == 2
    assert contents(tmp_path / "mel") == alone


class FatalCluster(Cluster):
    """Two files kill the worker that hears them within a task."""

    def _submit(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        return super()._submit(FATAL, arguments)


def fatal() -> Callable[..., Any]:
    def extract_and_die(job: Any, batch: Any) -> Any:
        from deepcuts.cluster import audio

        real = audio.extract_watched

        def deadly(path: Path, job: Any) -> Any:
            if path.name in ("02.wav", "05.wav"):
                os.kill(os.getpid(), signal.SIGKILL)
            return real(path, job)

        audio.extract_watched = deadly
        try:
            return audio.extract_batch(job, batch)
        finally:
            audio.extract_watched = real

    return extract_and_die


FATAL = fatal()


def test_a_file_at_which_a_worker_died_is_heard_in_a_process_of_its_own(cluster, music, alone, tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "TASKS_A_WORKER", 1)
    deadly = FatalCluster(cluster.ray, cluster.n_workers, cluster.n_nodes, cluster.store_bytes)
    extract(music, "logmel", SETTINGS, tmp_path / "mel", spread=ray_spread(deadly))
    assert contents(tmp_path / "mel") == alone


def test_results_of_an_earlier_run_are_used(cluster, music, alone, tmp_path):
    out = tmp_path / "mel"
    extract([music / "00.wav", music / "04.wav"], "logmel", SETTINGS, out, jobs=1)
    report = extract(music, "logmel", SETTINGS, out, spread=ray_spread(cluster))
    assert report.n_reused == 2
    assert contents(out) == alone


def batch_of(folder: Path, paths: list[Path], attempt: int = 0) -> tuple[Job, Batch]:
    (folder / "shared.txt").write_text("run")
    return Job("logmel", SETTINGS, frozenset(), folder, "recipe"), Batch("run", "run.0.", attempt, tuple(paths))


def test_a_second_attempt_takes_up_the_shards_of_the_first(music, tmp_path):
    paths = [music / "00.wav", music / "01.wav"]
    first = extract_batch(*batch_of(tmp_path, paths[:1]))
    second = extract_batch(*batch_of(tmp_path, paths, attempt=1))
    assert second[0].path == first[0].path
    assert second[1].path != first[0].path
    assert [result.outcome.n_frames for result in second] == [11, 12]  # 6000 and 6500 samples, hop 512, rounded down


def test_a_worker_that_sees_another_disk_says_so(music, tmp_path):
    job, batch = batch_of(tmp_path, [music / "00.wav"])
    (tmp_path / "shared.txt").write_text("of another run")
    with pytest.raises(ResourceError, match="a disk that all nodes share"):
        extract_batch(job, batch)

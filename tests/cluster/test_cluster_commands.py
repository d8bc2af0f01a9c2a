"""`--on ray` on the command line: the same folders, words and exit codes as without it."""

import filecmp
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import soundfile

from deepcuts import cluster as package
from deepcuts.artifacts import SongFactors
from deepcuts.cluster import Cluster, ClusterSettings
from deepcuts.cluster.predict import predict_part
from deepcuts.errors import ResourceError


@pytest.fixture
def command(cluster: Cluster, deepcuts: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """The command line, whose `--on` takes the cluster of the session in place of one of its own."""

    @contextmanager
    def ours(_: ClusterSettings) -> Iterator[Cluster]:
        yield cluster

    monkeypatch.setattr(package, "running", ours)
    return deepcuts


def differing(one: Path, other: Path) -> list[str]:
    """Files that are not the same in two folders."""
    names = sorted({path.name for path in [*one.iterdir(), *other.iterdir()]})
    return [name for name in names if name not in filecmp.cmpfiles(one, other, [name], shallow=False)[0]]


@pytest.fixture(scope="module")
def planted(deepcuts: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny planted world, from plays to predicted factors."""
    home = tmp_path_factory.mktemp("planted")
    world = [f"--set={text}" for text in ("n_songs=40", "n_users=80", "seconds=3.2", "mean_listeners=15", "n_jobs=1")]
    for words in (
        ["data", "world", "-o", home / "world", *world],
        ["data", "split", home / "world/plays", "-o", home / "split"],
        ["factors", home / "world/plays", "--split", home / "split", "-o", home / "factors", "--set=n_factors=4"],
        ["audio", "logmel", home / "world/sounds", "-o", home / "mel", "--set=rate=8000", "--set=n_bands=16", "-j1"],
        ["predict", "fit", home / "mel", home / "factors", "--encoder", "linear", "--split", home / "split",
         "-o", home / "linear"],
        ["predict", "songs", home / "linear", home / "mel", "--split", home / "split", "-o", home / "predicted"],
    ):  # fmt: skip
        told = deepcuts(*words)
        assert told.code == 0, told.err
    return home


@pytest.fixture(scope="module")
def plays(deepcuts: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster")
    rows = "".join(f"u{u}\ts{(u * 7 + k * k) % 60}\t{1 + (u + k) % 4}\n" for u in range(200) for k in range(8))
    (folder / "rows.tsv").write_text("user_id\tsong_id\tcount\n" + rows)
    assert deepcuts("data", "table", folder / "rows.tsv", "-o", folder / "plays").code == 0
    return folder / "plays"


def test_factors_on_ray_are_the_same_folder(command, plays, tmp_path):
    settings = ("--set", "n_factors=5", "--set", "n_sweeps=2")
    assert command("factors", plays, "-o", tmp_path / "here", *settings).code == 0
    told = command("factors", plays, "-o", tmp_path / "there", *settings, "--on", "ray")
    assert told.code == 0
    assert told.out == ""
    assert "on Ray: 2 tasks at a time" in told.err
    # The history holds seconds, which are not the same twice.
    assert differing(tmp_path / "here", tmp_path / "there") == ["history.csv"]


def test_several_sizes_on_ray_are_the_same_folder(command, plays, tmp_path):
    settings = ("--sizes", "2,4", "--set", "n_sweeps=1")
    assert command("factors", plays, "-o", tmp_path / "here", *settings).code == 0
    assert command("factors", plays, "-o", tmp_path / "there", *settings, "--on", "ray=2").code == 0
    assert differing(tmp_path / "here", tmp_path / "there") == ["history.csv"]


def test_features_on_ray_are_the_same_folder(command, tmp_path):
    for seed in range(3):
        sound = np.random.default_rng(seed).uniform(-0.5, 0.5, 8000)
        (tmp_path / "music").mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"music/{seed}.wav", sound, 8000)
    (tmp_path / "music/bad.mp3").write_bytes(b"<html>" * 1000)
    words = ("audio", "logmel", tmp_path / "music", "--set", "rate=8000", "--set", "min_seconds=0.5")
    here = command(*words, "-o", tmp_path / "here", "-j", "1")
    there = command(*words, "-o", tmp_path / "there", "--on", "ray")
    assert here.code == there.code == 7  # one file is set aside
    assert "1 quarantined" in there.err
    assert differing(tmp_path / "here", tmp_path / "there") == []


def test_processes_here_and_tasks_there_are_not_both_chosen(deepcuts, tmp_path):
    told = deepcuts("audio", "logmel", tmp_path, "-o", tmp_path / "mel", "-j", "2", "--on", "ray")
    assert told.code == 2
    assert "-j and --on" in told.err


def test_a_report_on_ray_has_the_same_numbers(command, planted, tmp_path):
    words = ("evaluate", planted / "world/plays", planted / "split", planted / "factors", "--set", "chunk=32")
    system = ("--system", f"linear={planted / 'predicted'}", "--json")
    here = command(*words, *system, "-o", tmp_path / "here")
    there = command(*words, *system, "-o", tmp_path / "there", "--on", "ray")
    assert there.code == 0, there.err
    assert there.out == here.out
    assert (tmp_path / "there/report.json").read_bytes() == (tmp_path / "here/report.json").read_bytes()


def test_predictions_on_ray_are_the_same_to_rounding(command, planted, tmp_path):
    words = ("predict", "songs", planted / "linear", planted / "mel", "--unit-norm")
    assert command(*words, "-o", tmp_path / "here").code == 0
    told = command(*words, "-o", tmp_path / "there", "--on", "ray")
    assert told.code == 0, told.err
    here, there = SongFactors.load(tmp_path / "here"), SongFactors.load(tmp_path / "there")
    np.testing.assert_allclose(there.vectors, here.vectors, atol=1e-6)
    assert there.songs.fingerprint == here.songs.fingerprint
    assert there.lineage == here.lineage
    # Only what holds the numbers, and their hash, may differ.
    assert set(differing(tmp_path / "here", tmp_path / "there")) <= {"factors.npy", "precision.npy", "meta.json"}


def test_a_worker_that_sees_other_folders_says_so(planted):
    with pytest.raises(ResourceError, match="a disk that all nodes share"):
        predict_part(planted / "linear", planted / "mel", ("of another", "of another"), np.arange(2))


def test_plays_on_disk_and_tasks_on_ray_go_together(command, plays, tmp_path):
    settings = ("--set", "n_factors=5", "--set", "n_sweeps=2")
    assert command("factors", plays, "-o", tmp_path / "here", *settings).code == 0
    assert command("factors", plays, "-o", tmp_path / "there", *settings, "--on", "ray", "--mapped").code == 0
    assert differing(tmp_path / "here", tmp_path / "there") == ["history.csv"]


@pytest.mark.parametrize("on", ["spark", "ray=", "ray=0", "ray=nowhere"])
def test_a_wrong_place_is_refused_before_any_work(deepcuts, plays, tmp_path, on):
    told = deepcuts("factors", plays, "-o", tmp_path / "factors", "--on", on)
    assert told.code == 2
    assert "ray=HOST:PORT" in told.err or "at least 1" in told.err
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_ray_cannot_keep_is_refused(command, plays, tmp_path):
    told = command("factors", plays, "-o", tmp_path / "factors", "--on", "ray", "--set", "device=cuda")
    assert told.code == 2
    assert "device = 'cuda': expected cpu with --on ray" in told.err


def test_a_cluster_of_its_own_leaves_no_process_no_file_and_nothing_on_stdout(plays, tmp_path):
    words = ["factors", plays, "-o", tmp_path / "factors", "--set", "n_factors=3", "--on", "ray=1"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    with TemporaryDirectory(prefix="t-", dir="/tmp") as short:
        run = run_alone(words, {**environment, "RAY_TMPDIR": short})
        assert os.listdir(short) == []
    assert not [pid for pid in children_of_session(run.pid) if still_there(pid)]


def run_alone(words: list, environment: dict[str, str]) -> subprocess.Popen:
    """The command in a session of its own, which must end well and silently on stdout."""
    run = subprocess.Popen(
        [sys.executable, "-m", "deepcuts", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    )  # fmt: skip
    out, err = run.communicate(timeout=240)
    assert run.returncode == 0, err
    assert out == ""
    assert "objective" in err
    return run


def children_of_session(session: int) -> list[int]:
    """Processes of a session that are not yet gone."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def still_there(pid: int) -> bool:
    """Whether a process outlives a moment's grace."""
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True

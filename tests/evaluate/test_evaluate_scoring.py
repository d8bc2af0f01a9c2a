"""An evaluation in chunks: killed and gone on with, in several threads, on a device of torch, users all alike."""

import logging
import signal
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

from deepcuts.errors import ArtifactError, InputError, SettingError
from deepcuts.evaluate import EvaluateSettings, System, evaluate, popularity_system, scoring
from deepcuts.evaluate.metrics import METRICS, find_places, fixed_order
from deepcuts.progress import Bar

SMALL = EvaluateSettings(n_bootstrap=20, chunk=16, bootstrap_users=40)


def some_systems(seed=0, n_users=130, n_songs=70):
    """Two systems that hear something and popularity; some users played nothing, one played everything."""
    rng = np.random.default_rng(seed)
    x, y = (rng.normal(size=(n, 6)).astype(np.float32) for n in (n_users, n_songs))
    played = rng.random((n_users, n_songs)) < 1 / (1 + np.exp(3.5 - x @ y.T))
    played[5], played[6] = False, True
    ears = [System(f"ear {noise}", x, (y + noise * rng.normal(size=y.shape)).astype(np.float32)) for noise in (0.5, 2)]
    hidden = sparse.csr_array(played.astype(np.float32))
    return [*ears, popularity_system(n_users, played.sum(axis=0))], hidden


def same(one, other) -> None:
    """All numbers of two evaluations, to the bit."""
    assert len(one.rows) == len(other.rows)
    for a, b in zip(one.rows, other.rows, strict=True):
        assert (a.name, a.tied) == (b.name, b.tied)
        np.testing.assert_array_equal(a.song_auc, b.song_auc)
        for metric in METRICS:
            np.testing.assert_array_equal(a.values[metric], b.values[metric])
        for metric in a.draws:
            np.testing.assert_array_equal(a.draws[metric], b.draws[metric])


class StopsAfter(Bar):
    """Counts chunks of users, and stops after some of them."""

    n_chunks, chunks_left = 0, 10**9

    def advance(self, amount=1, note=""):
        type(self).n_chunks += 1
        if self.n_chunks > self.chunks_left:
            raise KeyboardInterrupt
        super().advance(amount, note)


@pytest.fixture
def counted(monkeypatch):
    """Write a checkpoint after every chunk, count chunks, and stop where told."""
    kind = type("Counting", (StopsAfter,), {})
    monkeypatch.setattr("deepcuts.progress.Bar", kind)
    monkeypatch.setattr(scoring, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    return kind


@pytest.mark.parametrize("n_chunks", [1, 4, 8, 9, 13, 20, 26])
def test_a_stopped_evaluation_goes_on_to_the_same_numbers(counted, tmp_path, n_chunks):
    systems, hidden = some_systems()
    whole = evaluate(systems, hidden, SMALL)
    in_all = counted.n_chunks
    assert in_all == 27, "129 users in chunks of 16, three times"
    counted.n_chunks, counted.chunks_left = 0, n_chunks
    with pytest.raises(KeyboardInterrupt):
        evaluate(systems, hidden, SMALL, checkpoint=tmp_path / "c")
    counted.n_chunks, counted.chunks_left = 0, 10**9
    same(evaluate(systems, hidden, SMALL, checkpoint=tmp_path / "c"), whole)
    assert counted.n_chunks == in_all - n_chunks, "nothing is done twice"


def test_a_finished_checkpoint_gives_the_same_numbers_without_work(counted, tmp_path):
    systems, hidden = some_systems()
    whole = evaluate(systems, hidden, SMALL, checkpoint=tmp_path / "c")
    counted.n_chunks = 0
    same(evaluate(systems, hidden, SMALL, checkpoint=tmp_path / "c"), whole)
    assert counted.n_chunks == 0


KILLED = """
import os, signal, sys
import numpy as np
from scipy import sparse
from deepcuts.evaluate import EvaluateSettings, System, evaluate, scoring
from deepcuts.progress import Bar
folder, n_chunks = sys.argv[1], int(sys.argv[2])
scoring.SECONDS_BETWEEN_CHECKPOINTS = 0
done = []
def advance(self, amount, note=""):
    done.append(amount)
    if len(done) > n_chunks:
        os.kill(os.getpid(), signal.SIGKILL)
Bar.advance = advance
given = np.load(folder + "/given.npz")
systems = [System(name, given["x"], given[name]) for name in ("a", "b")]
settings = EvaluateSettings(n_bootstrap=20, chunk=16, bootstrap_users=40)
evaluate(systems, sparse.csr_array(given["played"]), settings, checkpoint=folder + "/c")
"""


def test_a_killed_evaluation_goes_on_to_the_same_numbers(counted, tmp_path):
    (first, second, _), hidden = some_systems()
    names = {"a": first.song_vectors, "b": second.song_vectors}
    np.savez(tmp_path / "given.npz", x=first.user_vectors, played=hidden.toarray(), **names)
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "12"], check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    systems = [System(name, first.user_vectors, songs) for name, songs in names.items()]
    whole = evaluate(systems, hidden, SMALL)
    counted.n_chunks = 0
    same(evaluate(systems, hidden, SMALL, checkpoint=tmp_path / "c"), whole)
    assert counted.n_chunks == 18 - 12


@pytest.mark.parametrize("what", ["settings", "songs", "users", "plays", "fewer systems", "damaged"])
def test_a_checkpoint_of_something_else_is_passed_over_and_named(counted, tmp_path, caplog, what):
    systems, hidden = some_systems()
    evaluate(systems, hidden, SMALL, checkpoint=tmp_path / "c")
    how, told = SMALL, "system 1"
    other = systems[0]
    if what == "settings":
        how, told = EvaluateSettings(n_bootstrap=20, chunk=16, bootstrap_users=40, seed=1), "other seed"
    elif what == "songs":
        systems[0] = System(other.name, other.user_vectors, other.song_vectors + 1)
    elif what == "users":
        systems[0] = System(other.name, other.user_vectors + 1, other.song_vectors)
    elif what == "plays":
        hidden, told = sparse.csr_array(hidden.toarray()[:, ::-1]), "hidden plays"
    elif what == "fewer systems":
        systems, told = systems[:2], "system 3"
    else:
        (tmp_path / "c" / "0-values.npy").write_bytes(b"half")
        told = "found 4 bytes"
    whole = evaluate(systems, hidden, how)
    with caplog.at_level(logging.WARNING):
        same(evaluate(systems, hidden, how, checkpoint=tmp_path / "c"), whole)
    assert caplog.text.lower().count("starting over") == 1
    assert told in caplog.text


def test_a_folder_that_is_no_checkpoint_is_left_alone(tmp_path):
    systems, hidden = some_systems()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    with pytest.raises(ArtifactError, match="not a deepcuts artifact"):
        evaluate(systems, hidden, SMALL, checkpoint=tmp_path / "mine")
    assert (tmp_path / "mine" / "diary.txt").read_text() == "dear diary"


def test_the_number_of_threads_changes_nothing(monkeypatch):
    systems, hidden = some_systems(n_users=300, n_songs=200)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    one = evaluate(systems, hidden, SMALL)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    same(evaluate(systems, hidden, SMALL), one)


def test_the_twin_in_numpy_gives_the_same_numbers(monkeypatch):
    systems, hidden = some_systems()
    fast = evaluate(systems, hidden, SMALL)
    monkeypatch.setenv("DEEPCUTS_KERNEL", "numpy")
    same(evaluate(systems, hidden, SMALL), fast)


@pytest.mark.parametrize("bootstrap_users", [1, 40, 1000])
def test_values_stand_in_the_order_of_the_users_whoever_is_resampled(bootstrap_users):
    systems, hidden = some_systems()
    settings = EvaluateSettings(n_bootstrap=5, chunk=16, bootstrap_users=bootstrap_users)
    found = evaluate(systems, hidden, settings)
    scores = systems[0].user_vectors @ systems[0].song_vectors.T
    places = find_places(scores[found.users], hidden[found.users], fixed_order(70, settings.seed))
    np.testing.assert_allclose(found.rows[0].values["auc"], METRICS["auc"](places, 0), atol=1e-6)
    np.testing.assert_allclose(found.rows[0].values["map"], METRICS["map"](places, 500), atol=1e-6)


@pytest.mark.parametrize("taste", [1.0, -2.5, 0.0])
def test_users_all_alike_are_ranked_once_with_the_numbers_of_being_ranked_each(taste):
    rng = np.random.default_rng(4)
    _, hidden = some_systems()
    songs = rng.integers(0, 9, size=70).astype(np.float32)
    alike = System("alike", np.full((130, 1), taste, np.float32), songs[:, None])
    each = System("each", np.tile([taste, 0], (130, 1)).astype(np.float32), np.stack([songs, songs], axis=1))
    found = evaluate([alike, each], hidden, SMALL)
    one, other = found.rows
    assert one.tied == other.tied
    np.testing.assert_array_equal(one.song_auc, other.song_auc)
    for metric in METRICS:
        np.testing.assert_array_equal(one.values[metric], other.values[metric])
    for metric in one.draws:
        np.testing.assert_array_equal(one.draws[metric], other.draws[metric])


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_device_of_torch_gives_the_same_metrics(device, monkeypatch):
    systems, hidden = some_systems(n_users=300, n_songs=200)
    want = evaluate(systems, hidden, SMALL)
    in_torch = lambda system, plan: scoring.torch_ranker(system, scoring.place_in(plan.tie_order, 200), device)  # noqa: E731
    monkeypatch.setattr(scoring, "ranker_of", in_torch)
    found = evaluate(systems, hidden, SMALL)
    for a, b in zip(found.rows, want.rows, strict=True):
        for metric in METRICS:
            assert a.mean(metric) == pytest.approx(b.mean(metric), abs=1e-6)
        for metric in a.draws:
            np.testing.assert_allclose(a.draws[metric], b.draws[metric], atol=1e-6)
        assert a.tied == b.tied


def test_a_device_that_is_not_there_is_refused():
    import torch

    systems, hidden = some_systems()
    if not torch.cuda.is_available():
        with pytest.raises(SettingError, match="this machine has none"):
            evaluate(systems, hidden, EvaluateSettings(device="cuda"))
    with pytest.raises(SettingError, match="device"):
        EvaluateSettings(device="abacus")


def test_an_error_in_one_chunk_ends_the_evaluation():
    systems, hidden = some_systems()
    users = systems[0].user_vectors.copy()
    users[100] = 3e38
    with pytest.raises(InputError, match="scores of 'huge'"):
        evaluate([System("huge", users, 10 * systems[0].song_vectors)], hidden, SMALL)

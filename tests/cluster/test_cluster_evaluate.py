"""An evaluation in tasks gives the numbers of one machine to the bit."""

import numpy as np
import pytest
from scipy import sparse

from deepcuts.cluster.evaluate import ray_scorer
from deepcuts.errors import InputError, SettingError
from deepcuts.evaluate import EvaluateSettings, Evaluation, System, evaluate, popularity_system

SETTINGS = EvaluateSettings(chunk=16, n_bootstrap=10, bootstrap_users=75, at=20)


def inputs(n_users: int = 150, n_songs: int = 60) -> tuple[list[System], sparse.csr_array]:
    """A good system, one whose songs all tie, and popularity, whose users are all alike; some users have no plays."""
    rng = np.random.default_rng(0)
    X, Y = (rng.standard_normal((n, 5)).astype(np.float32) for n in (n_users, n_songs))
    hidden = sparse.csr_array(((X @ Y.T + rng.standard_normal((n_users, n_songs))) > 3).astype(np.float32))
    alike = System("alike", X, np.repeat(Y[:2], n_songs // 2, axis=0))
    return [System("good", X, Y), alike, popularity_system(n_users, hidden.sum(axis=0))], hidden


def numbers(evaluation: Evaluation) -> list[np.ndarray]:
    rows = evaluation.rows
    values = [value for row in rows for value in [*row.values.values(), *row.draws.values(), row.song_auc]]
    return [*values, np.array([row.tied for row in rows])]


def same(one: Evaluation, other: Evaluation) -> bool:
    pairs = zip(numbers(one), numbers(other), strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


@pytest.fixture(scope="module")
def alone() -> Evaluation:
    return evaluate(*inputs(), SETTINGS)


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_an_evaluation_is_that_of_one_machine_to_the_bit(cluster, monkeypatch, alone, n_workers):
    monkeypatch.setattr(cluster, "n_workers", n_workers)
    assert same(evaluate(*inputs(), SETTINGS, score_chunks=ray_scorer(cluster)), alone)


def test_killed_workers_change_no_number(deadly, alone):
    cluster = deadly(1, 14)
    assert same(evaluate(*inputs(), SETTINGS, score_chunks=ray_scorer(cluster)), alone)
    assert cluster.n_died == 2


def test_an_evaluation_goes_on_where_another_stopped(cluster, alone, tmp_path, monkeypatch):
    """One machine is stopped in the middle; the cluster does the rest."""
    from deepcuts.evaluate import scoring

    class StoppedError(Exception):
        pass

    def stopping(system, plan, firsts):
        for n, part in enumerate(scoring.score_in_threads(system, plan, firsts)):
            if system.name == "alike" and n == 2:
                raise StoppedError
            yield part

    monkeypatch.setattr(scoring, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    with pytest.raises(StoppedError):
        evaluate(*inputs(), SETTINGS, checkpoint=tmp_path / "aside", score_chunks=stopping)
    assert same(evaluate(*inputs(), SETTINGS, checkpoint=tmp_path / "aside", score_chunks=ray_scorer(cluster)), alone)


@pytest.mark.parametrize("n_factors", [1, 2])
def test_scores_that_overflow_are_the_error_of_one_machine(cluster, n_factors):
    """With one factor, all users are alike and are ranked together."""
    _, hidden = inputs()
    songs = np.repeat(np.arange(60, dtype=np.float32)[:, None], n_factors, axis=1)
    huge = System("huge", np.full((150, n_factors), 3e38, np.float32), songs)
    with pytest.raises(InputError) as here:
        evaluate([huge], hidden, SETTINGS)
    with pytest.raises(InputError) as there:
        evaluate([huge], hidden, SETTINGS, score_chunks=ray_scorer(cluster))
    assert str(there.value) == str(here.value)


def test_a_device_is_refused(cluster):
    with pytest.raises(SettingError, match="device = 'cuda': expected cpu with --on ray"):
        evaluate(*inputs(), EvaluateSettings(device="cuda"), score_chunks=ray_scorer(cluster))

"""A listener whose plays are all hidden is left out of the scores and named; heard fame stands in every table."""

import logging

import numpy as np
import pytest
from scipy import sparse

from deepcuts.artifacts import Factors, Lineage, SongFactors, UserFactors, Vocabulary
from deepcuts.trial.rows import heard_fame, of_known_listeners

FIT = Lineage("a fit", protocol="clean")


def factors() -> Factors:
    """Listeners ann, bob and cy: nothing is known of bob. Fame lies along the first factor."""
    users = UserFactors(Vocabulary(["ann", "bob", "cy"], "user"), np.array([[1.0, 0], [0, 0], [0, 1]], np.float32), FIT)
    vectors = np.column_stack([np.linspace(0, 3, 30), np.tile([0.0, 1.0], 15)]).astype(np.float32)
    songs = Vocabulary([f"s{n}" for n in range(30)])
    listeners = np.expm1(vectors[:, 0]).round().astype(np.int64)
    return Factors(users, SongFactors(songs, vectors, FIT, n_listeners=listeners))


def test_hidden_plays_of_a_listener_of_whom_nothing_is_known_do_not_count() -> None:
    hidden = sparse.csr_array(np.array([[1.0, 0], [1, 1], [0, 2]]))
    kept, unknown = of_known_listeners(hidden, factors())
    assert unknown == ["bob"]
    assert kept.toarray().tolist() == [[1, 0], [0, 0], [0, 2]]


def test_an_unknown_listener_without_hidden_plays_is_nothing_to_tell() -> None:
    hidden = sparse.csr_array(np.array([[1.0, 0], [0, 0], [0, 2]]))
    kept, unknown = of_known_listeners(hidden, factors())
    assert unknown == []
    assert kept is hidden


def test_heard_fame_is_one_list_in_the_order_of_foretold_listeners() -> None:
    predicted = SongFactors(Vocabulary(["x", "y", "z"]), np.array([[1, 9], [3, 0], [2, 5]], np.float32), FIT)
    row = heard_fame(factors(), predicted, predicted.songs)
    assert row.kind == "control"
    assert (row.user_vectors == 1).all()
    assert np.argsort(-row.song_vectors[:, 0]).tolist() == [1, 2, 0]


def test_the_report_counts_and_names_them(deepcuts, tmp_path, caplog: pytest.LogCaptureFixture) -> None:
    from deepcuts.evaluate import EvaluateSettings, System, evaluate
    from deepcuts.trial.run import without_unknown

    hidden, unknown = of_known_listeners(sparse.csr_array(np.array([[1.0, 0], [1, 1], [0, 2]])), factors())
    system = System("s", factors().users.vectors, np.eye(2, dtype=np.float32), lineage=FIT)
    with caplog.at_level(logging.WARNING):
        found = without_unknown(evaluate([system], hidden, EvaluateSettings(n_bootstrap=10)), unknown)
    assert found.n_users == 2
    assert found.left_out["nothing is known of them"] == 1
    assert found.left_out["no plays of test songs"] == 0
    assert "1 listeners are left out" in caplog.text
    assert "'bob'" in caplog.text

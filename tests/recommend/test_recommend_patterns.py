"""Patterns made on demand are those of the table, and rank as it does."""

import numpy as np
import pytest

from deepcuts.recommend import SongIndex, usage_space
from deepcuts.recommend.patterns import ROWS_AT_ONCE, Patterns


@pytest.fixture(scope="module")
def factors() -> tuple[np.ndarray, np.ndarray]:
    """Users and songs; song 3 has no pattern, songs 5 and 6 are equal."""
    rng = np.random.default_rng(0)
    users, songs = rng.normal(size=(40, 8)) * np.logspace(0, -2, 8), rng.normal(size=(ROWS_AT_ONCE + 50, 8))
    songs[3], songs[6] = 0, songs[5]
    return users.astype(np.float32), songs.astype(np.float32)


def test_rows_are_those_of_the_usage_space(factors) -> None:
    space, patterns = usage_space(*factors), Patterns.of_usage(*factors)
    all_songs = np.arange(len(space))
    np.testing.assert_allclose(patterns.take(all_songs), space, atol=1e-6)
    assert np.flatnonzero(~patterns.held).tolist() == [3]
    np.testing.assert_allclose(patterns.of(factors[1][[9, 3]]), space[[9, 3]], atol=1e-6)


def test_products_and_dots_are_cosines_of_what_users_would_play(factors) -> None:
    users, songs = (one.astype(np.float64) for one in factors)
    plays = users @ songs.T
    lengths = np.linalg.norm(plays, axis=0)
    truth = plays.T @ plays[:, 7] / np.where(lengths > 0, lengths, 1) / lengths[7]
    patterns = Patterns.of_usage(*factors)
    query = patterns.take(np.array([7]))[0]
    np.testing.assert_allclose(patterns.products(np.arange(len(songs)), query), truth, atol=1e-6)
    np.testing.assert_allclose(patterns.dot(query), truth, atol=1e-5)
    np.testing.assert_allclose(patterns.dot(np.stack([query, -query], axis=1))[:, 1], -truth, atol=1e-5)


@pytest.mark.parametrize("loops", ["", "numpy"])
def test_an_index_over_patterns_lists_the_most_alike(factors, loops: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPCUTS_KERNEL", loops)
    space, patterns = usage_space(*factors), Patterns.of_usage(*factors)
    index = SongIndex(patterns)
    for song in (0, 5, 100, len(space) - 1):
        truth = space @ space[song]
        truth[[3, song]] = -np.inf
        found, scores = index.best(patterns.take(np.array([song]))[0], 10, [3, song])
        assert set(found.tolist()) == set(np.argsort(-truth)[:10].tolist())
        np.testing.assert_allclose(scores, np.sort(truth)[::-1][:10], atol=1e-6)


def test_equal_songs_score_the_same(factors) -> None:
    patterns = Patterns.of_usage(*factors)
    scores = patterns.products(np.array([5, 0, 6]), np.random.default_rng(1).normal(size=8))
    assert scores[0] == scores[2]

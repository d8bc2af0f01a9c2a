"""Vectors that need no learning."""

import numpy as np
from scipy import sparse

from deepcuts.artifacts import Plays, Vocabulary
from deepcuts.factors.baselines import popularity, random_factors


def test_popularity_counts_listeners_and_not_plays():
    plays = Plays.from_pairs(["ann", "bob", "bob", "cy"], ["b", "b", "a", "b"], [1, 1, 500, 1])
    users, songs = popularity(plays)
    np.testing.assert_array_equal(users @ songs.T, [[1, 3]] * 3)
    assert users.dtype == songs.dtype == np.float32


def test_a_song_nobody_played_scores_zero():
    songs = Vocabulary(["a", "b"], "song")
    counts = sparse.csr_array(np.array([[0, 2], [0, 1]], np.float32))
    plays = Plays(Vocabulary(["ann", "bob"], "user"), songs, counts, songs.ids.to_frame())
    np.testing.assert_array_equal(popularity(plays)[1], [[0], [2]])


def test_random_factors_depend_on_the_generator_alone():
    a, b = (random_factors(1000, 8, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert a.shape == (1000, 8)
    assert abs(a.mean()) < 0.05
    assert abs(a.std() - 1) < 0.05

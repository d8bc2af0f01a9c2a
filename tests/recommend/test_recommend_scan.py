"""One user at a time gives the lists of `recommend`, with the C loop and without."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from deepcuts.artifacts import Vocabulary
from deepcuts.errors import InputError, SettingError
from deepcuts.recommend import RecommendSettings, SongIndex, recommend, scan


@pytest.fixture(params=["", "numpy"])
def kernel(request, monkeypatch):
    monkeypatch.setenv("DEEPCUTS_KERNEL", request.param)


def ids(prefix, n, noun):
    return Vocabulary([f"{prefix}{i}" for i in range(n)], noun)


@pytest.mark.parametrize("loop", ["", "numpy"])
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_songs=st.integers(1, 400),
    n_factors=st.sampled_from([1, 2, 16, 33]),
    k=st.integers(1, 60),
    tie_seed=st.integers(0, 3),
)
def test_lists_are_those_of_recommend_ties_and_played_songs_included(loop, seed, n_songs, n_factors, k, tie_seed):
    rng = np.random.default_rng(seed)
    x, y = (rng.integers(-3, 4, (n, n_factors)).astype(np.float32) for n in (4, n_songs))  # small integers: many ties
    x[3] = 0
    played = sparse.csr_array(rng.random((4, n_songs)) < 0.3)
    wanted = RecommendSettings(k=k, seed=tie_seed)
    lists = recommend(x, y, ids("u", 4, "user"), ids("s", n_songs, "song"), wanted, played=played)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPCUTS_KERNEL", loop)
        index = SongIndex(y, seed=tie_seed)
        for user in range(4):
            songs, scores = index.best(x[user], k, exclude=played[[user]].indices)
            held = lists.song[user] >= 0
            assert songs.tolist() == lists.song[user][held].tolist()
            np.testing.assert_array_equal(scores, lists.scores[user][held])


def test_real_numbers_give_the_lists_of_a_float64_sort(kernel):
    rng = np.random.default_rng(0)
    y = rng.standard_normal((5000, 70)).astype(np.float32) * rng.lognormal(0, 1, (5000, 1)).astype(np.float32)
    index = SongIndex(y)
    for x in rng.standard_normal((10, 70)).astype(np.float32):
        exact = y.astype(float) @ x.astype(float)
        songs, scores = index.best(x, k=100)
        assert songs.tolist() == np.argsort(-exact)[:100].tolist()
        np.testing.assert_allclose(scores, exact[songs], rtol=1e-6)


def test_songs_that_rounding_cannot_tell_apart_are_still_ranked_exactly(kernel):
    rng = np.random.default_rng(1)
    y = rng.standard_normal((3000, 20)).astype(np.float32)
    y[:, 0] = 1e5  # 8 bits of this leave nothing of the others
    x = rng.standard_normal(20).astype(np.float32)
    exact = y.astype(float) @ x.astype(float)
    assert SongIndex(y).best(x, k=50)[0].tolist() == np.argsort(-exact)[:50].tolist()


def test_songs_with_equal_factors_stand_in_the_order_of_the_seed(kernel):
    y = np.repeat(np.random.default_rng(2).standard_normal((1, 33)), 300, axis=0)
    songs, scores = SongIndex(y, seed=4).best(y[0], k=300)
    assert songs.tolist() == np.random.default_rng(4).permutation(300).tolist()
    assert len(set(scores.tolist())) == 1


def test_threads_change_nothing():
    rng = np.random.default_rng(3)
    y, x = rng.standard_normal((40_000, 32)).astype(np.float32), rng.standard_normal(32).astype(np.float32)
    songs, scores = zip(*(SongIndex(y, n_threads=n).best(x, 30) for n in (1, 3)), strict=True)
    np.testing.assert_array_equal(*songs)
    np.testing.assert_array_equal(*scores)


def test_fewer_songs_than_asked_give_a_short_list_and_none_an_empty_one(kernel):
    index = SongIndex(np.arange(5.0)[:, None])
    assert index.best(np.ones(1), k=10)[0].tolist() == [4, 3, 2, 1, 0]
    assert index.best(np.ones(1), k=10, exclude=[4, 0, 2, 4])[0].tolist() == [3, 1]
    assert index.best(np.ones(1), k=10, exclude=range(5))[0].tolist() == []
    songs, scores = SongIndex(np.empty((0, 3))).best(np.ones(3))
    assert (len(songs), len(scores)) == (0, 0)


def test_wrong_input_is_refused(kernel):
    index = SongIndex(np.ones((4, 2)))
    with pytest.raises(InputError, match="user_vector has shape"):
        index.best(np.ones(3))
    with pytest.raises(InputError, match="not finite"):
        index.best(np.array([np.nan, 0]))
    with pytest.raises(InputError, match="not finite"):
        index.best(np.array([1e300, 0]))
    with pytest.raises(InputError, match="not positions"):
        index.best(np.ones(2), exclude=[4])
    with pytest.raises(InputError, match="not positions"):
        index.best(np.ones(2), exclude=[-1])
    with pytest.raises(SettingError, match="k = 0"):
        index.best(np.ones(2), k=0)
    with pytest.raises(InputError, match="song_factors has shape"):
        SongIndex(np.ones(4))
    with pytest.raises(InputError, match="not finite"):
        SongIndex(np.full((2, 2), np.inf))
    with pytest.raises(InputError, match=r"scores.*not finite"):
        SongIndex(np.full((2, 2), 3e38)).best(np.full(2, 3e38))


def test_the_example_in_the_docstring_holds():
    assert doctest.testmod(scan) == (0, 2)


def test_a_mask_is_taken_as_a_mask_and_anything_but_positions_is_refused():
    index = SongIndex(np.array([[3.0], [2.0], [1.0]], np.float32))
    x = np.array([1.0])
    assert index.best(x, 3, np.array([True, False, True]))[0].tolist() == [1]
    assert index.best(x, 3, [0])[0].tolist() == [1, 2]
    with pytest.raises(InputError, match="exclude has shape"):
        index.best(x, 3, np.array([True, False]))
    with pytest.raises(InputError, match="expected positions"):
        index.best(x, 3, np.array([0.5]))

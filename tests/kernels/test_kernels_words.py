"""Nearest word and Lloyd's sweeps, against readable twins, worked examples and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from deepcuts.errors import InputError
from deepcuts.kernels.words import improve_words, mean_frames, nearest_word, nearest_word_slow, squared_distances


def test_the_nearest_word_is_the_one_found_by_hand():
    frames = np.array([[0.0, 0.1], [0.9, 1.2], [5.0, 4.0]], dtype=np.float32)
    words = np.array([[1, 1], [0, 0], [4, 4]], dtype=np.float32)
    assert nearest_word(frames, words).tolist() == [1, 0, 2]


def test_among_equally_near_words_the_first_is_taken():
    words = np.array([[1, 0], [-1, 0], [1, 0]], dtype=np.float32)
    assert nearest_word(np.zeros((3, 2), np.float32), words).tolist() == [0, 0, 0]


@settings(max_examples=40, deadline=None)
@given(
    n_frames=st.integers(0, 80),
    n_words=st.integers(1, 50),
    n_channels=st.integers(1, 41),
    offset=st.sampled_from([0.0, 100.0]),
    seed=st.integers(0, 2**31),
)
def test_fast_and_readable_nearest_words_agree(n_frames, n_words, n_channels, offset, seed):
    rng = np.random.default_rng(seed)
    frames = (rng.standard_normal((n_frames, n_channels)) + offset).astype(np.float32)
    words = (rng.standard_normal((n_words, n_channels)) + offset).astype(np.float32)
    fast, slow = nearest_word(frames, words), nearest_word_slow(frames, words)
    distances = ((frames[:, None].astype(np.float64) - words[None]) ** 2).sum(axis=2)
    rows = np.arange(n_frames)
    np.testing.assert_allclose(distances[rows, fast], distances[rows, slow], rtol=1e-4, atol=1e-4)
    assert np.mean(fast == slow) > 0.9 if n_frames else True


def test_blocks_that_do_not_divide_the_frames_lose_none(monkeypatch):
    rng = np.random.default_rng(0)
    frames, words = rng.standard_normal((101, 5)), rng.standard_normal((64, 5))
    monkeypatch.setattr("deepcuts.kernels.words.SCORES_IN_CACHE", 64 * 16)
    np.testing.assert_array_equal(nearest_word(frames, words), nearest_word_slow(frames, words))


def test_frames_of_another_width_are_refused():
    with pytest.raises(InputError, match=r"frames has shape \[3, 2\], expected \[any, 4\]"):
        nearest_word(np.zeros((3, 2)), np.zeros((5, 4)))


@pytest.mark.parametrize("seed", range(3))
def test_the_distortion_never_rises(seed):
    rng = np.random.default_rng(seed)
    frames = rng.standard_normal((500, 6)).astype(np.float32)
    start = np.repeat(frames[:5], 8, axis=0)  # many words without frames: they have to be moved
    _, distortions = improve_words(frames, start, n_sweeps=30, tolerance=0.0)
    assert len(distortions) > 3
    assert np.all(np.diff(distortions) <= 1e-6 * distortions[0])


def test_words_are_those_of_scikit_learn_from_the_same_start():
    rng = np.random.default_rng(1)
    frames = rng.standard_normal((800, 7)).astype(np.float32)
    words, distortions = improve_words(frames, frames[:20], n_sweeps=200, tolerance=0.0)
    oracle = KMeans(20, init=frames[:20], n_init=1, max_iter=200, tol=0, algorithm="lloyd").fit(frames)
    np.testing.assert_allclose(words, oracle.cluster_centers_, atol=1e-4)
    assert distortions[-1] * len(frames) == pytest.approx(oracle.inertia_, rel=1e-5)


def test_planted_clusters_are_found():
    rng = np.random.default_rng(2)
    planted = 10 * rng.standard_normal((12, 5))
    frames = (np.repeat(planted, 50, axis=0) + 0.1 * rng.standard_normal((600, 5))).astype(np.float32)
    words, distortions = improve_words(frames, frames[::50], n_sweeps=20, tolerance=1e-4)
    assert np.abs(words - planted).max() < 0.1
    assert distortions[-1] < 5 * 0.1**2 * 1.2


def test_a_word_without_frames_moves_to_the_farthest_frame():
    frames = np.array([[0.0], [1.0], [10.0]], dtype=np.float32)
    nearest = np.zeros(3, dtype=np.int32)
    distances = squared_distances(frames, np.array([[0.0], [99.0]], np.float32), nearest)
    assert distances.tolist() == [0, 1, 100]
    words = mean_frames(frames, nearest, distances, n_words=2)
    np.testing.assert_allclose(words, [[11 / 3], [10]], rtol=1e-6)


@pytest.mark.parametrize(("n_frames", "n_words", "n_channels"), [(97, 130, 39), (5, 64, 1), (200, 1, 16), (1, 65, 3)])
def test_the_product_finds_the_words_of_the_readable_twin(n_frames, n_words, n_channels):
    rng = np.random.default_rng(n_frames)
    frames, words = rng.standard_normal((n_frames, n_channels)), rng.standard_normal((n_words, n_channels))
    frames[:1] = words[-1]
    np.testing.assert_array_equal(nearest_word(frames, words), nearest_word_slow(frames, words))


def test_of_equal_words_far_apart_the_first_is_taken():
    words = np.ones((300, 4), np.float32)
    words[[77, 205, 130]] = 0  # equal
    assert nearest_word(np.full((200, 4), 0.1, np.float32), words).tolist() == [77] * 200


def test_a_frame_of_nan_is_given_some_word_and_harms_no_other():
    words = np.random.default_rng(0).standard_normal((70, 5)).astype(np.float32)
    frames = words[[69, 3, 40]].copy()
    frames[1] = np.nan
    nearest = nearest_word(frames, words)
    assert nearest[[0, 2]].tolist() == [69, 40]
    assert 0 <= nearest[1] < 70


def test_words_do_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(3)
    frames, words = rng.standard_normal((9_000, 12)), rng.standard_normal((500, 12))
    one, three = (nearest_word(frames, words, n_threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one, three)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deepcuts.artifacts import Features, Vocabulary
from deepcuts.errors import InputError, SettingError
from deepcuts.kernels.pool import n_stats, pool, pool_slowly, pool_songs


def test_statistics_worked_by_hand():
    frames = np.array([[1.0, 0.0], [3.0, 4.0], [5.0, 2.0]])
    # means 3, 2; deviations (-2, 0, 2) and (-2, 2, 0); products (4, 0, 0) of mean 4/3
    expected = [3, 2, np.sqrt(8 / 3), np.sqrt(8 / 3), 2, 3, np.sqrt(4 / 3)]
    np.testing.assert_allclose(pool(frames, 2), expected, rtol=1e-6)
    np.testing.assert_allclose(pool(frames), expected[:-1], rtol=1e-6)


def test_a_falling_companion_has_a_negative_signed_root():
    frames = np.array([[0.0, 0.0], [2.0, -8.0]])
    assert pool(frames, 2)[-1] == pytest.approx(-2.0)  # covariance (1)(-4) = -4


def test_a_song_of_one_frame_has_no_spread_and_no_change():
    np.testing.assert_array_equal(pool(np.array([[7.0, -2.0]]), 2), [7, -2, 0, 0, 0, 0, 0])


@given(arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 5)), elements=st.floats(-60, 60, width=16)))
def test_the_fast_statistics_are_their_readable_twin(frames):
    n_cov = min(3, frames.shape[1])
    assert pool(frames, n_cov).shape == (n_stats(frames.shape[1], n_cov),)
    # The root of a covariance that is zero but for rounding (1e-14) is not: 1e-7.
    np.testing.assert_allclose(pool(frames, n_cov), pool_slowly(frames, n_cov), rtol=1e-5, atol=3e-6)


def test_half_precision_frames_are_summed_in_double_precision():
    frames = np.full((100_000, 1), 20.0, np.float16)
    np.testing.assert_allclose(pool(frames), [20, 0, 0], atol=1e-6)


def test_statistics_of_the_timbre_are_144_numbers():
    assert n_stats(26, 12) == 144
    assert len(pool(np.random.default_rng(0).normal(size=(50, 26)), 12)) == 144


def test_the_order_of_frames_changes_only_the_change():
    frames = np.random.default_rng(1).normal(size=(30, 4))
    turned = frames[np.random.default_rng(2).permutation(30)]
    same = np.r_[0:8, 12:18]
    np.testing.assert_allclose(pool(frames, 4)[same], pool(turned, 4)[same], rtol=1e-5)
    assert not np.allclose(pool(frames)[8:12], pool(turned)[8:12])


def songs_of(*lengths):
    rng = np.random.default_rng(3)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    frames = rng.normal(size=(starts[-1], 3)).astype(np.float32)
    return Features(Vocabulary([f"s{i}" for i in range(len(lengths))]), frames, starts, "test")


def test_songs_are_pooled_in_the_order_asked_for():
    features = songs_of(4, 1, 9)
    stats = pool_songs(features, np.array([2, 0]), 2)
    np.testing.assert_array_equal(stats, [pool(features[2], 2), pool(features[0], 2)])
    assert stats.dtype == np.float32


def test_frames_on_disk_are_pooled_like_those_in_memory(tmp_path):
    features = songs_of(5, 6)
    features.save(tmp_path / "features")
    there = Features.load(tmp_path / "features")
    np.testing.assert_array_equal(pool_songs(there, np.arange(2)), pool_songs(features, np.arange(2)))


def test_what_is_not_finite_is_refused_and_the_song_is_named():
    features = songs_of(4, 4)
    features.frames[6, 1] = np.nan
    with pytest.raises(InputError, match=r"song 1: frames\[2, 1\]"):
        pool_songs(features, np.arange(2))


def test_no_frames_and_too_many_channels_are_refused():
    with pytest.raises(InputError, match="n_frames >= 1"):
        pool(np.zeros((0, 3)))
    with pytest.raises(SettingError, match="n_cov"):
        pool(np.zeros((5, 3)), 4)

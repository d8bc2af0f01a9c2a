from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcuts.predict.windows import (
    all_windows,
    consecutive_starts,
    in_memory,
    random_starts,
    read_ahead,
    read_windows,
)


@pytest.mark.parametrize(
    ("n_frames", "starts"),
    [
        (1, [0]),
        (127, [0]),
        (128, [0]),
        (129, [0, 1]),
        (256, [0, 128]),
        (344, [0, 128, 216]),
        (1247, [0, 128, 256, 384, 512, 640, 768, 896, 1024, 1119]),
    ],
)
def test_windows_lie_end_to_end_and_a_last_one_ends_with_the_song(n_frames, starts):
    assert consecutive_starts(n_frames, 128).tolist() == starts


def test_twenty_nine_seconds_give_ten_windows():
    assert len(consecutive_starts(1247, 128)) == 10


@given(st.integers(1, 500), st.integers(1, 60))
def test_every_frame_is_heard_and_no_window_leaves_the_song(n_frames, window):
    starts = consecutive_starts(n_frames, window)
    heard = {frame for start in starts for frame in range(start, min(start + window, n_frames))}
    assert heard == set(range(n_frames))
    assert n_frames < window or (starts + window <= n_frames).all()
    assert len(starts) == max(1, -(-n_frames // window))


def test_random_windows_reach_every_place_and_nothing_else():
    starts = random_starts(np.full(2000, 10), 7, np.random.default_rng(0))
    assert set(starts.tolist()) == {0, 1, 2, 3}
    assert random_starts(np.array([3, 7]), 7, np.random.default_rng(0)).tolist() == [0, 0]


def test_windows_read_are_the_frames_of_the_song(make_features):
    rng = np.random.default_rng(1)
    features = make_features([rng.normal(size=(n, 3)).astype(np.float16) for n in (9, 5, 12)])
    songs, starts = np.array([2, 0, 1, 2]), np.array([7, 1, 0, 0])
    read = read_windows(features, songs, starts, 5)
    assert read.dtype == np.float16
    for window, song, start in zip(read, songs, starts, strict=True):
        np.testing.assert_array_equal(window, features[song][start : start + 5])


def test_a_short_song_is_repeated_until_the_window_is_full(make_features):
    features = make_features([np.array([[1.0], [2.0], [3.0]], np.float32), np.ones((9, 1), np.float32)])
    read = read_windows(features, np.array([0, 1]), np.array([0, 1]), 8)
    assert read[0, :, 0].tolist() == [1, 2, 3, 1, 2, 3, 1, 2]
    only_short = make_features([np.array([[1.0], [2.0]], np.float32)])
    assert read_windows(only_short, np.array([0]), np.array([0]), 3)[0, :, 0].tolist() == [1, 2, 1]


def test_windows_are_the_same_from_disk_and_from_memory(make_features, tmp_path: Path):
    rng = np.random.default_rng(2)
    features = make_features([rng.normal(size=(n, 4)).astype(np.float16) for n in (20, 3, 30, 11)])
    features.save(tmp_path / "mel")
    mapped = features.load(tmp_path / "mel")
    songs, starts = np.array([3, 1, 2]), np.array([1, 0, 20])
    wanted = read_windows(features, songs, starts, 10)
    np.testing.assert_array_equal(read_windows(mapped, songs, starts, 10), wanted)
    held, places = in_memory(mapped, songs, budget=1e6)
    assert not isinstance(held.frames, np.memmap)
    np.testing.assert_array_equal(read_windows(held, places, starts, 10), wanted)


def test_songs_beyond_the_budget_stay_on_disk(make_features, tmp_path: Path):
    features = make_features([np.zeros((20, 4), np.float16)] * 2)
    features.save(tmp_path / "mel")
    mapped = features.load(tmp_path / "mel")
    assert in_memory(mapped, np.array([0, 1]), budget=20 * 4 * 2 * 2 - 1)[0] is mapped


def test_windows_know_whose_they_are(make_features):
    features = make_features([np.zeros((n, 1), np.float32) for n in (10, 3, 21)])
    owner, start = all_windows(features, np.array([2, 1, 0]), 10)
    assert owner.tolist() == [0, 0, 0, 1, 2]
    assert start.tolist() == [0, 10, 11, 0, 0]


def test_reading_ahead_keeps_the_order_and_passes_errors_on():
    assert list(read_ahead(lambda n: n * n, range(10))) == [n * n for n in range(10)]
    with pytest.raises(ZeroDivisionError):
        list(read_ahead(lambda n: 1 / (3 - n), range(10)))

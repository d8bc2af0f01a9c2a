"""Windows of a few seconds cut from songs: at random to learn from, one after another to predict.

A song shorter than a window is repeated from its start until the window is full, so it sounds on rather than stops.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from deepcuts.artifacts import Features
from deepcuts.predict.encoder import check_heard

Plan = TypeVar("Plan")
Batch = TypeVar("Batch")

PREDICT_BATCH = 256  # windows heard at once outside training; float32 activations of some tens of MB


def random_starts(lengths: np.ndarray, window: int, rng: np.random.Generator) -> np.ndarray:
    """One first frame for each song [n_songs], uniform over all windows that fit; 0 in short songs.

    Source: van den Oord et al. 2013, section 4.2 ("windows of 3 seconds sampled randomly").
    """
    return rng.integers(0, np.maximum(lengths - window, 0) + 1)


def consecutive_starts(n_frames: int, window: int) -> np.ndarray:
    """First frames of the windows that cover a song: end to end, and a last one that ends with the song.

    1,247 frames (29 s) in windows of 128 give 9 and the last, 10 in all; 128 frames give 1.

    Source: van den Oord et al. 2013, section 4.2 ("consecutive windows"); the last window is our choice.
    """
    starts = np.arange(0, max(n_frames - window, 0) + 1, window)
    if starts[-1] + window < n_frames:
        starts = np.append(starts, n_frames - window)
    return starts


def all_windows(features: Features, songs: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """The consecutive windows of some songs.

    Returns:
        owner [n_windows]: place in `songs`, ascending; start [n_windows]: first frame within the song.
    """
    starts = [consecutive_starts(int(n), window) for n in features.lengths[songs]]
    owner = np.repeat(np.arange(len(songs)), [len(s) for s in starts])
    return owner, np.concatenate(starts)


def read_windows(features: Features, songs: np.ndarray, starts: np.ndarray, window: int) -> np.ndarray:
    """Copy windows out of the frames.

    All windows of all songs are one overlapping view [n_places, window, n_channels] of the frames, so a batch is a
    single indexing that copies whole windows, from memory or from a mapped file.

    Args:
        songs: positions [n_windows].
        starts: first frame within each song [n_windows].
    Returns:
        [n_windows, window, n_channels], of the type of the frames.
    """
    frames = np.asarray(features.frames)
    n_channels = features.n_channels
    short = features.lengths[songs] < window
    if short.all():
        long_ones = np.empty((0, window, n_channels), dtype=frames.dtype)
    else:
        row, value = frames.strides
        # starts of long songs leave room for a whole window, so no row of the view is read beyond the frames
        view = as_strided(frames, (len(frames) - window + 1, window, n_channels), (row, row, value), writeable=False)
        long_ones = view[features.starts[songs[~short]] + starts[~short]]
    if not short.any():
        return long_ones
    out = np.empty((len(songs), window, n_channels), dtype=frames.dtype)
    out[~short] = long_ones
    for place in np.flatnonzero(short):
        song = features[songs[place]]
        out[place] = song[np.arange(window) % len(song)]
    return out


def in_memory(features: Features, songs: np.ndarray, budget: float) -> tuple[Features, np.ndarray]:
    """Training songs read into memory when they fit, so that epochs do not wait for the disk.

    Args:
        songs: positions [n_songs].
        budget: bytes that may be taken.
    Returns:
        Features that hold just these songs and their positions there; or both as given, when the frames are in
        memory already or do not fit.
    """
    n_bytes = int(features.lengths[songs].sum()) * features.n_channels * features.frames.dtype.itemsize
    if not isinstance(features.frames, np.memmap) or n_bytes > budget:
        return features, songs
    starts = np.concatenate([[0], np.cumsum(features.lengths[songs])])
    frames = np.empty((int(starts[-1]), features.n_channels), dtype=features.frames.dtype)
    for place in np.argsort(songs):  # in the order of the file
        frames[starts[place] : starts[place + 1]] = features[songs[place]]
    held = Features(features.songs.take(songs), frames, starts, features.kind, features.settings, features.lineage)
    return held, np.arange(len(songs))


def read_ahead(read: Callable[[Plan], Batch], plans: Iterable[Plan], n_ahead: int = 3) -> Iterator[Batch]:
    """`read(plan)` for each plan in order, `n_ahead` of them prepared by a thread while the caller works.

    The plans hold all that is random, so the order of threads changes nothing.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="windows") as thread:
        waiting: deque = deque()
        try:
            for plan in plans:
                waiting.append(thread.submit(read, plan))
                if len(waiting) > n_ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def mean_over_windows(
    features: Features,
    songs: np.ndarray,
    window: int,
    answer: Callable[[Batch], np.ndarray],
    ready: Callable[[np.ndarray], Batch],
) -> np.ndarray:
    """A network's answer for whole songs: the mean over all their consecutive windows.

    Args:
        songs: positions [n_songs].
        answer: what the network says of windows made ready [n_windows, n_factors].
        ready: windows [n_windows, window, n_channels] as the network takes them; called in a thread.
    Returns:
        [n_songs, n_factors] float64.
    Raises:
        InputError: a song's frames are not finite (names the song).
    Source: van den Oord et al. 2013, section 4.2.
    """
    owner, start = all_windows(features, songs, window)
    firsts = range(0, len(owner), PREDICT_BATCH)
    batches = [np.arange(first, min(first + PREDICT_BATCH, len(owner))) for first in firsts]

    def read(places: np.ndarray) -> Batch:
        windows = read_windows(features, songs[owner[places]], start[places], window)
        check_heard(features, songs[owner[places]], windows)
        return ready(windows)

    answers = np.concatenate([answer(batch) for batch in read_ahead(read, batches)]).astype(np.float64)
    first_windows = np.searchsorted(owner, np.arange(len(songs)))
    n_windows = np.bincount(owner, minlength=len(songs))
    means: np.ndarray = np.add.reduceat(answers, first_windows, axis=0) / n_windows[:, None]
    return means

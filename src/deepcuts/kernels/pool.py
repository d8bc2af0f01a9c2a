"""A song's frames as one row of statistics: what a linear model or trees can learn from.

    mean_c        over the frames
    std_c         sqrt(mean((x_c - mean_c)^2)), divided by n_frames
    change_c      mean |x_c(t + 1) - x_c(t)| over successive frames
    cov_cd        sign(v) * sqrt(|v|), v = mean((x_c - mean_c)(x_d - mean_d)), for c < d < n_cov

The signed root brings covariances to the unit of the channels; the variances themselves are already there as std.
A song of one frame has std, change and cov of zero.
"""

from itertools import pairwise
from typing import Protocol

import numpy as np

from deepcuts.checks import check_finite
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.progress import progress


class Framed(Protocol):
    """Anything that gives a song's frames [n_frames, n_channels] by position, as `Features` does."""

    @property
    def n_channels(self) -> int:
        """Values in a frame."""
        ...

    def __getitem__(self, song: int) -> np.ndarray:
        """The frames of one song."""
        ...


def n_stats(n_channels: int, n_cov: int = 0) -> int:
    """How many statistics `pool` gives: 3 * n_channels + n_cov * (n_cov - 1) / 2."""
    return 3 * n_channels + n_cov * (n_cov - 1) // 2


def pool(frames: np.ndarray, n_cov: int = 0) -> np.ndarray:
    """Mean, std and mean absolute change of each channel, then covariances of the first channels.

    Args:
        frames: [n_frames, n_channels], n_frames >= 1, finite.
        n_cov: covariances among the first n_cov channels are added (12, the timbre, for echonest), 0 to n_channels.
    Returns:
        float32 [n_stats]: means, stds, changes, then the covariances above the diagonal, row by row.
    Raises:
        InputError: no frames, or a value that is not finite.

    >>> pool(np.array([[0.0, 1.0], [2.0, 1.0]])).tolist()  # means, standard deviations, changes
    [1.0, 1.0, 1.0, 0.0, 2.0, 0.0]
    """
    if frames.ndim != 2 or len(frames) == 0:
        raise InputError(f"frames have shape {list(frames.shape)}: expected [n_frames, n_channels], n_frames >= 1.")
    check_finite("frames", frames)
    require(0 <= n_cov <= frames.shape[1], "n_cov", n_cov, f"0 to the {frames.shape[1]} channels")
    x = frames.astype(np.float64)
    mean = x.mean(axis=0)
    change = np.abs(np.diff(x, axis=0)).mean(axis=0) if len(x) > 1 else np.zeros(x.shape[1])
    x -= mean
    std = np.sqrt(np.mean(x * x, axis=0))
    some = x[:, :n_cov]
    covariance = (some.T @ some / len(x))[np.triu_indices(n_cov, 1)]
    return np.concatenate([mean, std, change, np.sign(covariance) * np.sqrt(np.abs(covariance))]).astype(np.float32)


def pool_songs(features: Framed, songs: np.ndarray, n_cov: int = 0) -> np.ndarray:
    """`pool` for many songs, one at a time, so that frames may stay on disk.

    Args:
        features: the songs' frames, such as `Features`.
        songs: positions [n] of the songs wanted.
        n_cov: see `pool`.
    Returns:
        float32 [n, n_stats], row for row as `songs`.
    Raises:
        InputError: a song has no frames or a value that is not finite (names its position).
    """
    stats = np.empty((len(songs), n_stats(features.n_channels, n_cov)), np.float32)
    with progress("pool", total=len(songs), unit="song") as bar:
        for row, song in enumerate(np.asarray(songs).tolist()):
            try:
                stats[row] = pool(np.asarray(features[song]), n_cov)
            except InputError as error:
                raise InputError(f"song {song}: {error}") from error
            bar.advance()
    return stats


def pool_slowly(frames: np.ndarray, n_cov: int = 0) -> np.ndarray:
    """The readable twin of `pool`: sums written out."""
    n_frames, n_channels = frames.shape
    columns = [[float(value) for value in column] for column in frames.T]
    means = [sum(column) / n_frames for column in columns]

    def covariance(c: int, d: int) -> float:
        pairs = zip(columns[c], columns[d], strict=True)
        return sum((a - means[c]) * (b - means[d]) for a, b in pairs) / n_frames

    stds = [covariance(c, c) ** 0.5 for c in range(n_channels)]
    changes = [
        sum(abs(after - before) for before, after in pairwise(column)) / max(n_frames - 1, 1) for column in columns
    ]
    pairs = [covariance(c, d) for c in range(n_cov) for d in range(c + 1, n_cov)]
    return np.array([*means, *stds, *changes, *(np.sign(v) * abs(v) ** 0.5 for v in pairs)], np.float32)

"""Statistics of a song that keep the order of events: what is heard, what recurs after a lag, what comes before what.

Channels of a song (log-mel bands, say) are averaged in groups, and each group is standardised over the song, so that
loudness and timbre drop out: z_a(t). Then

    C_ab(lag) = mean over t of z_a(t) z_b(t + lag)       every pair of groups, both ways: rhythm, echoes, repetition
    A_ab(lag) = C_ab(lag) - C_ba(lag)                    finer groups of the lower half of the channels: does the
                                                          sound rise or fall?

Beside them stand plain statistics of each channel: mean, standard deviation, quantiles. A bag of frames knows these
only. Source: rhythm patterns of music retrieval (Pampalk 2001; Lidy and Rauber 2005); the form is ours.
"""

from collections.abc import Iterator

import numpy as np

from deepcuts.artifacts import Features
from deepcuts.predict.encoder import check_heard

GROUPS = 16  # of channels, over all of them and over their lower half
MOST_ORDER_LAGS = 44  # order matters within a second
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
TINY = 1e-6


def statistics(features: Features, songs: np.ndarray, n_lags: int) -> list[np.ndarray]:
    """Blocks of statistics, each [n_songs, its own number] float32.

    Args:
        songs: positions in `features` [n_songs].
        n_lags: lags 0 to n_lags - 1, in frames.
    Returns:
        plain statistics, lagged covariances, order; of features with one frame a song only the frame itself.
    Raises:
        InputError: a song's frames are not finite (names the song).
    """
    if features.one_frame:
        rows = np.asarray(features.frames[features.starts[songs]], dtype=np.float32)
        check_heard(features, songs, rows)
        return [rows]
    blocks: list[np.ndarray] = []
    for place, song in enumerate(songs):
        frames = np.asarray(features[song], dtype=np.float32)
        check_heard(features, np.array([song]), frames[None])
        parts = list(of_song(frames, n_lags))
        if not blocks:
            blocks = [np.empty((len(songs), len(part)), dtype=np.float32) for part in parts]
        for block, part in zip(blocks, parts, strict=True):
            block[place] = part
    return blocks


def of_song(frames: np.ndarray, n_lags: int) -> Iterator[np.ndarray]:
    """The blocks of one song, from its frames [n_frames, n_channels] float32."""
    ordered = np.sort(frames, axis=0)
    at = np.rint(np.array(QUANTILES) * (len(frames) - 1)).astype(np.int64)
    yield np.concatenate([frames.mean(axis=0), frames.std(axis=0), ordered[at].ravel()])
    wide = lagged(grouped(frames), n_lags)
    upper = np.triu_indices(wide.shape[1], 1)
    yield np.concatenate([wide[0][upper], wide[1:].ravel()])
    low = lagged(grouped(frames[:, : (frames.shape[1] + 1) // 2]), min(n_lags, MOST_ORDER_LAGS + 1))
    order = (low - low.transpose(0, 2, 1))[1:]
    pairs = order[0 : len(order) - 1 : 2] + order[1::2]  # two lags together: a note lasts longer than a frame
    upper = np.triu_indices(low.shape[1], 1)
    if len(upper[0]) and len(pairs):
        yield pairs[:, upper[0], upper[1]].ravel()


def grouped(frames: np.ndarray) -> np.ndarray:
    """Neighbouring channels averaged in at most GROUPS groups, each standardised over time [n_frames, n_groups]."""
    n_channels = frames.shape[1]
    edges = np.unique(np.linspace(0, n_channels, GROUPS + 1).astype(np.int64))
    means = np.add.reduceat(frames, edges[:-1], axis=1) / np.diff(edges)
    away = means - means.mean(axis=0)
    return np.asarray(away / (away.std(axis=0) + TINY), dtype=np.float32)


def lagged(z: np.ndarray, n_lags: int) -> np.ndarray:
    """C_ab(lag) [n_lags, n_groups, n_groups] of z [n_frames, n_groups]; 0 where the song is shorter than the lag."""
    n_frames, n_groups = z.shape
    out = np.zeros((n_lags, n_groups, n_groups), dtype=np.float32)
    for lag in range(min(n_lags, n_frames)):
        out[lag] = z[: n_frames - lag].T @ z[lag:] / n_frames
    return out

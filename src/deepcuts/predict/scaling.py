"""Mean and spread of what goes into an encoder, from training songs alone."""

import numpy as np

from deepcuts.artifacts import Features
from deepcuts.predict.encoder import check_heard
from deepcuts.progress import progress

# float32 statistics of a constant differ in the seventh digit; dividing by that would blow noise up.
RELATIVE_NOISE = 1e-6


def safe_scale(mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """What to divide by: the standard deviation, or infinity where a value never changes.

    Nothing is learned about such a value, so it must stay 0 when a new song differs there.
    """
    return np.where(std > RELATIVE_NOISE * np.abs(mean) + 1e-12, std, np.inf)


def one_scale(mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """One number to divide all values by, the root mean square of their spreads; infinity where one never changes.

    For values that share a unit, such as principal components: dividing each by its own spread would make the least
    component count as much as the first, and a ridge on them could no longer tell music from noise.
    """
    own = safe_scale(mean, std)
    changes = np.isfinite(own)
    return np.where(changes, np.sqrt(np.mean(own[changes] ** 2)) if changes.any() else np.inf, np.inf)


def channel_scaling(features: Features, songs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of each channel over all frames of some songs, in one pass over the file.

    Songs are merged one by one in float64 by the rule of Chan et al., which does not lose digits when the mean is
    large beside the spread (as in log-mel frames): with n frames so far and m new ones,

        mean ← mean + (mean_new - mean) * m / (n + m)
        sum_squares ← sum_squares + sum_squares_new + (mean_new - mean)² * n * m / (n + m)

    Returns:
        mean [n_channels] and scale [n_channels] float64; the scale is infinite where a channel never changes.
    Raises:
        InputError: a song's frames are not finite (names the song).
    Source: Chan, Golub, LeVeque 1979, Updating formulae and a pairwise algorithm for computing sample variances.
    """
    mean = np.zeros(features.n_channels)
    squares = np.zeros(features.n_channels)
    n = 0
    with progress("standardise", total=len(songs), unit="song") as bar:
        for song in np.sort(songs):
            frames = np.asarray(features[song], dtype=np.float64)
            check_heard(features, np.array([song]), frames[None])
            own_mean = frames.mean(axis=0)
            away, total = own_mean - mean, n + len(frames)
            squares += ((frames - own_mean) ** 2).sum(axis=0) + away**2 * (n * len(frames) / total)
            mean += away * (len(frames) / total)
            n = total
            bar.advance()
    return mean, safe_scale(mean, np.sqrt(squares / n))

"""Songs that the same people would play: similarity of (predicted) usage patterns.

The usage pattern of song i is what all users score it, the column X y_i. With G = X'X = L L', and

    z_i = L' y_i / |L' y_i|,    cos(X y_i, X y_j) = y_i' G y_j / sqrt(y_i' G y_i  y_j' G y_j) = z_i . z_j

so the search runs on n_songs x n_factors numbers and never touches n_songs x n_users.

Songs whose usage pattern is zero (their factors are zero) are similar to nothing: z = 0, they are never listed and
their own list is empty.

Source: van den Oord et al. 2013, section 5.3.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from deepcuts.artifacts import Ranking, Vocabulary
from deepcuts.checks import check_finite, check_shape
from deepcuts.config import require
from deepcuts.kernels.product import DistinctRows
from deepcuts.progress import progress
from deepcuts.recommend.topk import MOST_SCORES, best_columns, empty_lists, scored, tie_order

ZERO = 1e-6  # a usage pattern shorter than this part of the longest counts as zero


@dataclass(frozen=True)
class SimilarSettings:
    """What counts as similar, and how many songs to list.

    Attributes:
        k: songs for each query.
        centred: take each pattern's mean over users away first, so that cosines become correlations. Without it
            popularity presses all cosines towards 1 (the paper's way); ranks change less than values.
        chunk: queries compared at a time.
        seed: of the order among equal similarities.
    """

    k: int = 10
    centred: bool = False
    chunk: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.k >= 1, "k", self.k, "at least 1")
        require(self.chunk >= 1, "chunk", self.chunk, "at least 1")
        require(self.seed >= 0, "seed", self.seed, "at least 0")


def usage_space(user_factors: np.ndarray, song_factors: np.ndarray, *, centred: bool = False) -> np.ndarray:
    """Unit vectors whose dot products are the cosines of usage patterns.

    Any root of G will do; the one from its eigenvectors exists even when there are fewer users than factors.

    Args:
        user_factors: X [n_users, n_factors].
        song_factors: Y [n_songs, n_factors], observed or predicted.
        centred: cosines of the patterns less their mean over users, that is, their correlations.
    Returns:
        Z float64 [n_songs, n_factors], rows of length 1, or 0 for songs without a usage pattern.
    Raises:
        InputError: the numbers of factors differ, or a factor is not finite.

    >>> listeners = np.array([[2.0, 0.0], [0.0, 1.0]])
    >>> z = usage_space(listeners, np.array([[1.0, 0.0], [0.0, 3.0]]))
    >>> (z @ z.T).round(3).tolist()  # cosines of what the two songs' listeners would score
    [[1.0, 0.0], [0.0, 1.0]]
    """
    check_shape("user_factors", user_factors, [None, None])
    check_shape("song_factors", song_factors, [None, user_factors.shape[1]])
    check_finite("user_factors", user_factors)
    check_finite("song_factors", song_factors)
    patterns = song_factors.astype(np.float64) @ gram_root(user_factors, centred=centred)
    length = np.linalg.norm(patterns, axis=1, keepdims=True)
    held = length > ZERO * length.max(initial=0)
    return np.divide(patterns, length, out=np.zeros_like(patterns), where=held)


def gram_root(user_factors: np.ndarray, *, centred: bool = False) -> np.ndarray:
    """R float64 [n_factors, n_factors] with R R' = X'X, X less its mean over users when `centred`."""
    x = user_factors.astype(np.float64)
    if centred:
        x = x - x.mean(axis=0)
    values, vectors = np.linalg.eigh(x.T @ x)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))


def similar_songs(
    space: np.ndarray,
    songs: Vocabulary,
    settings: SimilarSettings | None = None,
    *,
    query_ids: Sequence[str] | None = None,
    listed: np.ndarray | None = None,
) -> Ranking:
    """The songs closest to each query, the query itself left out.

    Args:
        space: Z [n_songs, n_factors] from `usage_space`.
        songs: ids of its rows.
        query_ids: songs to find neighbours of, listed or not; all when None.
        listed: bool [n_songs], which songs a list may hold, such as the cold ones; all when None.
    Returns:
        scores are cosines in -1..1; -1 and -inf fill lists that are shorter than k.
    Raises:
        InputError: an unknown song id (with a near miss), or shapes that differ.
    """
    settings = settings or SimilarSettings()
    check_shape("usage space", space, [len(songs), None])
    if listed is not None:
        check_shape("listed", listed, [len(songs)])
    check_finite("usage space", space)
    wanted = np.arange(len(songs)) if query_ids is None else songs.positions(query_ids)
    place = np.argsort(tie_order(len(songs), settings.seed))
    empty = np.logical_not(np.any(space != 0, axis=1))
    never = np.flatnonzero(empty if listed is None else empty | ~listed.astype(bool))
    found, scores = empty_lists(len(wanted), settings.k)
    chunk = max(1, min(settings.chunk, MOST_SCORES // max(1, 2 * len(songs))))
    distinct = DistinctRows(space)
    with progress("compare songs", total=len(wanted), unit="song") as bar:
        for first in range(0, len(wanted), chunk):
            rows = wanted[first : first + chunk]
            line = scored(space[rows], distinct)
            line[np.arange(len(rows)), rows] = -np.inf
            line[:, never] = -np.inf
            line[empty[rows]] = -np.inf
            block = slice(first, first + len(rows))
            found[block], scores[block] = best_columns(line, settings.k, place)
            bar.advance(len(rows))
    queries = songs if query_ids is None else songs.take(wanted)
    return Ranking(queries, songs, found, scores, settings=asdict(settings))

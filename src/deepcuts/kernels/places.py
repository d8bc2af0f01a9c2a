"""Where each user's relevant songs stand among all songs, and among resampled songs.

The place of a song is the number of songs that score more, so nothing need be sorted. The counting exists twice behind
`count_places`: in C (`_places.c`), a walk over the scores for every four relevant songs, and readable in NumPy
(`places_by_sorting`), which also takes over where a user has so many relevant songs that a sort is cheaper.

When songs are resampled, song j standing w_j times, the place is the sum of w_j over the songs before: `copies_before`,
in C an addition for each song and replicate, in NumPy (`copies_by_product`) a product of matrices.
"""

from itertools import pairwise
from types import ModuleType

import numpy as np

from deepcuts.checks import check_finite
from deepcuts.kernels import native
from deepcuts.kernels.crew import each

COUNTED_AT_MOST = 100  # relevant songs of a user: a walk takes as long for about so many as a sort and look-ups
ROWS_AT_ONCE = 64  # of scores, for one thread
SONGS_AT_ONCE = 4096  # in one matrix product
MOST_COPIES = 255  # of a song in a replicate that a byte can hold


def count_places(
    scores: np.ndarray,
    start: np.ndarray,
    song: np.ndarray,
    place: np.ndarray,
    *,
    name: str = "scores",
    n_threads: int | None = None,
) -> np.ndarray:
    """Rank, songs of greater score and songs of equal score, for each pair of a user and a relevant song.

    Equal scores stand in the order of `place`: a song's rank is the number of songs of greater score, and of those of
    equal score with a lower `place`.

    Args:
        scores: [n_users, n_songs].
        start: [n_users + 1]; user u has the pairs start[u] to start[u + 1] (a CSR indptr).
        song: [n_pairs], column of each relevant song.
        place: [n_songs], a permutation: the place of each song among songs of equal score.
        name: of the scores in an error.
        n_threads: None takes all processors, or OMP_NUM_THREADS where set.
    Returns:
        int64 [3, n_pairs]: rank from 0, greater, equal (itself included).
    Raises:
        InputError: a score is NaN or infinite.
    """
    start = np.ascontiguousarray(start, np.int64)
    song, place = np.ascontiguousarray(song, np.int32), np.ascontiguousarray(place, np.int32)
    module = _loop_for(scores)
    found = np.empty((3, len(song)), np.int64)

    def work(rows: tuple[int, int]) -> None:
        begin, end = rows
        if module is None or start[end] - start[begin] > COUNTED_AT_MOST * (end - begin):
            check_finite(name, scores[begin:end])
            for row in range(begin, end):
                pairs = slice(start[row], start[row + 1])
                found[:, pairs] = places_by_sorting(scores[row], song[pairs], place)
        elif module.count_places(scores, start, song, place, *found, begin, end, best) >= 0:
            check_finite(name, scores)

    best = len(module.instructions()) - 1 if module else 0
    each(work, _blocks(start), n_threads, scores.size)
    return found


def _loop_for(scores: np.ndarray) -> ModuleType | None:
    """The C loop, where it was built and takes these scores: float32, row after row."""
    return native.loop("_places") if scores.dtype == np.float32 and scores.flags.c_contiguous else None


def _blocks(start: np.ndarray) -> list[tuple[int, int]]:
    """Runs of rows, none longer than ROWS_AT_ONCE; a row with many relevant songs is a run of its own."""
    n_rows = len(start) - 1
    many = np.flatnonzero(np.diff(start) > COUNTED_AT_MOST)
    cuts = np.unique(np.concatenate([np.arange(0, n_rows, ROWS_AT_ONCE), many, many + 1, [n_rows]]))
    return [(int(begin), int(end)) for begin, end in pairwise(cuts)]


def places_by_sorting(line: np.ndarray, song: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The readable twin of the C loop, for one user: sort the scores and look the relevant ones up.

    Only where a relevant score occurs twice are the songs themselves put in order.

    Args:
        line: scores [n_songs], finite.
        song: columns [n] of the relevant songs.
        place: as in `count_places`.
    Returns:
        int64 [3, n]: rank, greater, equal.
    """
    ascending, wanted = np.sort(line), line[song]
    right = np.searchsorted(ascending, wanted, side="right")
    equal = right - np.searchsorted(ascending, wanted, side="left")
    greater = len(line) - right
    rank = greater
    if (equal > 1).any():
        ranks = np.empty(len(line), np.int64)
        ranks[np.lexsort((place, -line))] = np.arange(len(line))
        rank = ranks[song]
    return np.stack([rank, greater, equal])


def copies_before(
    scores: np.ndarray, start: np.ndarray, t: np.ndarray, own: np.ndarray, place: np.ndarray, copies: np.ndarray
) -> np.ndarray:
    """How many copies of songs stand before each boundary, in each replicate.

    A boundary (t, own) is a place in the strict order: a song stands before it when its score is greater than t, or
    equal to t and its place lower than own. So (score, place) of a song is where it stands, (score, -1) lies before
    all songs of that score, and (score, n_songs) after them.

    Args:
        scores: [n_users, n_songs], finite.
        start: [n_users + 1]; user u has the boundaries start[u] to start[u + 1], best first.
        t: [n_boundaries], of the type of the scores.
        own: [n_boundaries].
        place: [n_songs], a permutation.
        copies: [n_songs, n_draws], how often each song stands in each replicate: whole numbers. The C loop wants bytes;
            of another type it leaves them to its twin.
    Returns:
        float32 [n_boundaries, n_draws], exact below 2^24.
    """
    start, place = np.ascontiguousarray(start, np.int64), np.ascontiguousarray(place, np.int32)
    own = np.ascontiguousarray(own, np.int32)
    module = _loop_for(scores)
    if module is None or copies.dtype != np.uint8:
        return copies_by_product(scores, start, t, own, place, copies)
    before = np.empty((len(t), copies.shape[1]), np.int32)
    rows, best = len(scores), len(module.instructions()) - 1
    module.copies_before(scores, start, t, own, place, np.ascontiguousarray(copies), before, 0, rows, best)
    return before.astype(np.float32)


def copies_by_product(
    scores: np.ndarray, start: np.ndarray, t: np.ndarray, own: np.ndarray, place: np.ndarray, copies: np.ndarray
) -> np.ndarray:
    """The readable twin of the C loop: before [n_boundaries, n_songs] @ copies [n_songs, n_draws]."""
    user = np.repeat(np.arange(len(scores)), np.diff(start))
    t, own = t[:, None], own[:, None]
    before = np.zeros((len(t), copies.shape[1]), np.float32)
    for first in range(0, scores.shape[1], SONGS_AT_ONCE):
        songs = slice(first, first + SONGS_AT_ONCE)
        line = scores[user, songs]
        stands_before = (line > t) | ((line == t) & (place[songs] < own))
        before += stands_before.astype(np.float32) @ copies[songs].astype(np.float32)
    return before

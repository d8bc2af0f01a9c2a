"""The best songs for one user, now and exactly: for a service that answers one user at a time.

`recommend` reads the float32 factors of every song, which is well spent on many users at once. An index reads factors
of 8 bits, a quarter of the bytes, and the full factors of only the few hundred songs that the bounds of `kernels.scan`
leave. Building it takes longer than many such lists, and a quarter of the memory of the factors again: it pays for a
service that keeps it, never for one list.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np

from deepcuts.checks import check_finite, check_shape
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.kernels import native
from deepcuts.kernels.crew import one_blas_thread
from deepcuts.kernels.scan import longest, may_be_best, may_be_best_plainly, round_taken
from deepcuts.recommend.topk import tie_order

SONGS_AT_ONCE = 4096  # scored again in float64 at a time


class SongRows(Protocol):
    """A row for each song, held or made when it is asked for."""

    shape: tuple[int, ...]

    def take(self, songs: np.ndarray) -> np.ndarray:
        """Rows of songs at positions [n, n_factors] float32."""

    def products(self, songs: np.ndarray, query: np.ndarray) -> np.ndarray:
        """Products of songs at positions with a query [n] float64; equal rows give equal ones."""


class Index(Protocol):
    """All songs, ranked for one vector at a time: in this process (`SongIndex`) or in a database (`PgvectorIndex`)."""

    place: np.ndarray

    def best(
        self, user_vector: np.ndarray, k: int = 20, exclude: Sequence[int] | np.ndarray = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k songs with the largest products, best first: positions and scores; see `SongIndex.best`."""


class HeldRows:
    """The rows of a table [n_songs, n_factors] float32."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.shape = rows, rows.shape

    def take(self, songs: np.ndarray) -> np.ndarray:
        """As `SongRows`."""
        return self.rows[songs]

    def products(self, songs: np.ndarray, query: np.ndarray) -> np.ndarray:
        """As `SongRows`; each row is summed in the same order."""
        return np.asarray((self.rows[songs] * query.astype(np.float64)).sum(axis=1))


class SongIndex:
    """Songs, ready to be ranked for one user at a time.

    Lists are those of `recommend` with the same seed, but scored in float64: songs that only float32 rounds to the same
    score stand by their true scores, and equal scores in the same fixed order.

    Args:
        song_factors: y [n_songs, n_factors]. float32 is held as it is, not copied (it may be memory-mapped), and must
            not change afterwards. Or whatever gives rows, such as `Patterns`.
        seed: of the order among equal scores, as in `RecommendSettings`.
        n_threads: for one list; None takes all processors, or OMP_NUM_THREADS where set. Making the index always does.
    Raises:
        InputError: factors that are not finite, or not a table.

    >>> index = SongIndex(np.array([[3.0, 1.0], [2.0, 5.0], [1.0, 9.0]]))
    >>> index.best(np.array([1.0, 0.0]), k=2, exclude=[0])[0].tolist()
    [1, 2]
    """

    def __init__(self, song_factors: np.ndarray | SongRows, *, seed: int = 0, n_threads: int | None = None) -> None:
        if isinstance(song_factors, np.ndarray):
            check_shape("song_factors", song_factors, [None, None])
            self.rows: SongRows = HeldRows(as_float32("song_factors", song_factors))
        else:
            self.rows = song_factors
        self.n_threads = n_threads
        n_songs, n_factors = self.rows.shape
        self.order, self.place = ties(n_songs, seed)  # rounded rows stand in the order of ties
        self.rounded, self.plain, self.longest = None, np.zeros((0, n_factors), np.float32), 0.0
        if native.loop("_scan"):
            with one_blas_thread():  # rows that are made are products, in the threads that round
                self.rounded = round_taken(self.rows.take, self.order, n_factors)
        else:
            self.plain = self.rows.take(np.arange(n_songs))
            self.longest = longest(self.plain)

    def best(
        self, user_vector: np.ndarray, k: int = 20, exclude: Sequence[int] | np.ndarray = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k songs with the largest scores x . y_i, best first.

        Args:
            user_vector: x [n_factors].
            k: how many.
            exclude: songs to leave out, such as those the user has played: their positions, or a mask [n_songs] bool.
        Returns:
            songs: positions int64 [at most k]; scores: float32, as many. Fewer than k where fewer songs are left.
        Raises:
            InputError: a vector of another length, numbers or scores that are not finite, a position of no song.
        """
        n_songs, n_factors = self.rows.shape
        check_shape("user_vector", user_vector, [n_factors])
        require(k >= 1, "k", k, "at least 1")
        x, k = as_float32("user_vector", user_vector), min(k, n_songs)
        left_out = excluded_positions(exclude, n_songs)
        if not n_songs:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        songs = self._candidates(x, k, left_out)
        scores = self._scores(songs, x)
        first = np.lexsort((self.place[songs], -scores))[:k]
        return songs[first].astype(np.int64), as_float32("scores", scores[first])

    def _candidates(self, x: np.ndarray, k: int, left_out: np.ndarray) -> np.ndarray:
        skip = np.zeros(len(self.order), bool)
        if self.rounded is None:
            skip[left_out] = True
            return may_be_best_plainly(self.plain, self.longest, x, k, skip)
        skip[self.place[left_out]] = True
        return self.order[may_be_best(self.rounded, x, k, skip, self.n_threads)]

    def _scores(self, songs: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Products x . y in float64 [n]."""
        starts = range(0, len(songs), SONGS_AT_ONCE)
        parts = [self.rows.products(songs[at : at + SONGS_AT_ONCE], x) for at in starts]
        return np.concatenate([np.zeros(0), *parts])


@lru_cache(maxsize=2)
def ties(n_songs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`tie_order`, and the place of each song in it; int32, read-only: the indexes of a model share them."""
    order = tie_order(n_songs, seed).astype(np.int32)
    place = np.argsort(order).astype(np.int32)
    for one in (order, place):
        one.setflags(write=False)
    return order, place


def excluded_positions(exclude: Sequence[int] | np.ndarray, n_songs: int) -> np.ndarray:
    """Positions int64 of the songs to leave out, from positions or from a mask.

    Raises:
        InputError: a mask of another length, numbers that are not whole, a position of no song.
    """
    given = np.asarray(exclude)
    if given.dtype == bool:
        check_shape("exclude", given, [n_songs])
        return np.flatnonzero(given)
    if not given.size:
        return np.zeros(0, np.int64)
    if not np.issubdtype(given.dtype, np.integer):
        raise InputError(f"exclude: {given.dtype} numbers: expected positions (whole numbers) or a mask (bool).")
    if not 0 <= given.min() <= given.max() < n_songs:
        raise InputError(f"exclude: {given.min()} to {given.max()} are not positions of {n_songs} songs.")
    return given.astype(np.int64)


def as_float32(name: str, numbers: np.ndarray) -> np.ndarray:
    """The numbers as contiguous float32, not copied where they are so already.

    Raises:
        InputError: one is not finite, or too large for float32.
    """
    with np.errstate(over="ignore"):
        rounded = np.ascontiguousarray(numbers, np.float32)
    check_finite(name, rounded)
    return rounded

"""Equal rows are multiplied once, so that equal songs have equal scores and equal listeners equal lists.

BLAS rounds differently in the narrower tiles at the edges of a matrix and where threads part it: two songs with one
vector would have two scores, by chance of where they stand.
"""

import numpy as np

AT_ONCE = 2**16  # rows hashed at a time


class DistinctRows:
    """The distinct rows of a matrix, and where each row went.

    Args:
        rows: [n, d].
    Attributes:
        rows: [n_distinct, d], in the order of their first places; the matrix itself where no row repeats.
        place: int64 [n]: which of them row i is; None where no row repeats.
    """

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.place = rows, None
        first, place = _first_places(rows)
        if len(first) < len(rows) and (rows[first][place] == rows).all():
            self.rows, self.place = np.ascontiguousarray(rows[first]), place

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Columns of values [m, n_distinct] → [m, n]: one for each row of the matrix."""
        return values if self.place is None else np.take(values, self.place, axis=1)


def _first_places(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First place of each distinct row, ascending, and which of them each row is; rows are told apart by a hash."""
    marks = np.concatenate([_hashes(rows[at : at + AT_ONCE]) for at in range(0, len(rows), AT_ONCE)] or [np.zeros(0)])
    _, first, place = np.unique(marks, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return first[order], rank[place]


def _hashes(rows: np.ndarray) -> np.ndarray:
    """A hash of each row [n] uint64: its words times random odd numbers. 0 and -0 are one."""
    words = np.ascontiguousarray(rows + 0.0).view(np.uint32 if rows.dtype.itemsize == 4 else np.uint64)
    odd = np.random.default_rng(0).integers(2**63, size=words.shape[1], dtype=np.uint64) | np.uint64(1)
    mixed = words.astype(np.uint64) * odd
    mixed ^= mixed >> np.uint64(29)
    hashes: np.ndarray = (mixed * np.uint64(0xBF58476D1CE4E5B9)).sum(axis=1, dtype=np.uint64)
    return hashes

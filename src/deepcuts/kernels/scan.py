"""Which songs may be among the k best for a user, read from rows of 8 bits: a quarter of the bytes of float32.

One user's scores are one product with every song, and reading the songs from memory takes all its time. So the songs
are rounded, each with a scale of its own, and what rounding took away is measured once:

    y = c q + e      q int8 in ±127, c = max |y| / 127        x = d p + g      p int16, for the user

    x·y = c d (p·q) + g·(c q) + x·e      so      |x·y - c d (p·q)| ≤ |g| |c q| + |x| |e|

p·q is summed in integers, hence exactly. A song whose upper bound lies below k lower bounds cannot be among the best k;
the others, some hundreds, are scored again from their full rows by the caller. This holds for any numbers: where
rounding hurts (one huge factor beside many small ones) more songs remain, never a wrong one.

The loop is in C (`_scan.c`). Without it `may_be_best_plainly` promises the same from the full rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import numpy as np

from deepcuts.kernels import native
from deepcuts.kernels.crew import each

LANES = 32  # rounded rows are padded to a multiple: the compiler sums what is left over one by one
TOP = 127  # of an 8-bit number, the same on both sides of zero
ROWS_AT_ONCE = 1024  # rounded at a time
WORTH_THREADS = 16_000_000  # numbers to read: below a millisecond, other callers need the processors more
SLACK = 2.0**-40  # share by which bounds are widened: rounding of the few float64 operations behind them


@dataclass(frozen=True)
class Rounded:
    """Rows of 8 bits, and how far they are from the truth.

    Attributes:
        rows: q int8 [n, width], padded with zeros.
        scale: c float32 [n].
        error: |e| float32 [n], rounded up.
        length: |c q| float32 [n], rounded up.
    """

    rows: np.ndarray
    scale: np.ndarray
    error: np.ndarray
    length: np.ndarray


def round_rows(rows: np.ndarray, order: np.ndarray, n_threads: int | None = None) -> Rounded:
    """Round `rows[order]` to 8 bits.

    Args:
        rows: y [n, n_factors] float32, finite.
        order: positions [n] of the rows, in the order in which they shall stand.
    """
    return round_taken(rows.__getitem__, order, rows.shape[1], n_threads)


def round_taken(
    take: Callable[[np.ndarray], np.ndarray], order: np.ndarray, n_factors: int, n_threads: int | None = None
) -> Rounded:
    """As `round_rows`, for rows that are made some at a time.

    Args:
        take: gives the rows at positions [any] as [any, n_factors] float32, finite.
        order: positions [n] of the rows, in the order in which they shall stand.
    """
    n = len(order)
    rounded = np.empty((n, -(-n_factors // LANES) * LANES), np.int8)
    rounded[:, n_factors:] = 0
    scale, error, length = (np.empty(n, np.float32) for _ in range(3))

    def work(block: tuple[int, int]) -> None:
        part = slice(*block)
        exact = take(order[part]).astype(np.float64)
        scale[part] = np.abs(exact).max(axis=1, initial=0) / TOP
        c = scale[part, None].astype(np.float64)
        q = np.divide(exact, c, out=np.zeros_like(exact), where=c > 0)
        np.clip(np.rint(q, out=q), -TOP, TOP, out=q)
        rounded[part, :n_factors] = q
        q *= c
        length[part] = _up(np.linalg.norm(q, axis=1))
        error[part] = _up(np.linalg.norm(exact - q, axis=1))

    blocks = [(begin, min(begin + ROWS_AT_ONCE, n)) for begin in range(0, n, ROWS_AT_ONCE)]
    each(work, blocks, n_threads, rounded.size)
    return Rounded(rounded, scale, error, length)


def _up(values: np.ndarray) -> np.ndarray:
    """The next float32 above each float64."""
    with np.errstate(over="ignore"):  # longer than float32 can say: inf, which keeps the row in
        return np.nextafter((values * (1 + SLACK)).astype(np.float32), np.float32(np.inf))


def may_be_best(
    rounded: Rounded, query: np.ndarray, k: int, skip: np.ndarray, n_threads: int | None = None
) -> np.ndarray:
    """Positions of rows that may be among the k of largest product with the query, by the C loop.

    Of rows with equal products the earlier is the better one.

    Args:
        rounded: from `round_rows`.
        query: x [n_factors] float32, finite.
        k: at least 1.
        skip: bool [n], rows that are out.
    Returns:
        int32 [n_found], ascending: all of the k best, and others.
    """
    module = native.loop("_scan")
    assert module is not None, "callers take may_be_best_plainly where the C loop is missing"
    n, width = rounded.rows.shape
    p, unit, gone = _round_query(query, width)
    near = _length(query.astype(np.float64)) * (1 + SLACK)
    best = len(module.instructions()) - 1
    blocks = _blocks(n, (n_threads or native.default_threads()) if rounded.rows.size >= WORTH_THREADS else 1)
    found, high = np.empty(n, np.int32), np.empty(n)  # written where something was found: the rest takes no memory
    lows, n_found = np.empty((len(blocks), k)), {}

    def work(block: tuple[int, int]) -> None:
        low = lows[blocks.index(block)]
        n_found[block] = module.scan_rows(
            *(rounded.rows, rounded.scale, rounded.error, rounded.length, p, skip, found, high, low),
            *(unit, near, gone, *block, best),
        )

    each(work, blocks, n_threads, rounded.rows.size)
    held = [slice(begin, begin + n_found[begin, end]) for begin, end in blocks]
    least = _kth_largest(lows.ravel(), k)
    return np.concatenate([found[part][~(high[part] < least)] for part in held])


def _round_query(query: np.ndarray, width: int) -> tuple[np.ndarray, float, float]:
    """P int16 [width], d, and an upper bound of |g|; p is so short that 32 bits hold any product with a row."""
    exact = query.astype(np.float64)
    top = min(2**15 - 1, (2**31 - 1) // (TOP * width))
    unit = float(np.abs(exact).max(initial=0)) / top
    p = np.zeros(width, np.int16)
    if not unit > 0:
        return p, unit, _length(exact) * (1 + SLACK)
    whole = np.rint(exact / unit)
    p[: len(exact)] = whole
    return p, unit, _length(exact - unit * whole) + SLACK * _length(exact)


def _length(vector: np.ndarray) -> float:
    """|x| in float64."""
    return sqrt(float(vector @ vector))


def _blocks(n: int, n_threads: int) -> list[tuple[int, int]]:
    """Two blocks for each thread: each begins without a lower bound, so many blocks find many rows."""
    if n_threads == 1:
        return [(0, n)]
    return list(pairwise(np.linspace(0, n, min(n, 2 * n_threads) + 1, dtype=int).tolist()))


def _kth_largest(values: np.ndarray, k: int) -> float:
    return float(np.partition(values, len(values) - k)[len(values) - k]) if k <= len(values) else -np.inf


def longest(rows: np.ndarray) -> float:
    """The largest |y|; rows [n, n_factors] float32."""
    return float(np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64).max(initial=0)))


def may_be_best_plainly(rows: np.ndarray, most: float, query: np.ndarray, k: int, skip: np.ndarray) -> np.ndarray:
    """The twin of `may_be_best`: the same promise from one float32 product with the full rows.

    A float32 sum of n products is off by at most n 2⁻²³ |x| |y|, in whatever order it was summed.

    Args:
        rows: y [n, n_factors] float32, finite.
        most: `longest(rows)`.
    Returns:
        int64 [n_found], ascending.
    """
    n_factors = rows.shape[1]
    length = np.linalg.norm(query.astype(np.float64))
    apart = n_factors * (2.0**-23 * length * most + 2.0**-126) if length else 0.0  # the last: beneath float32
    with np.errstate(over="ignore", invalid="ignore"):
        middle = (rows @ query).astype(np.float64)
        low, high = middle - apart, middle + apart
    least = _kth_largest(np.where(skip | np.isnan(low), -np.inf, low), k)
    return np.flatnonzero(~(high < least) & ~skip)

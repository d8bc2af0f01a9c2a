"""One half-sweep of alternating least squares: each row solved on its own, the other side held fixed.

Row x (a user) with plays i (surplus confidence s_i > 0, fixed rows y_i: its songs) solves

    (G + λI + Σ_i s_i y_i y_iᵀ) x = Σ_i (1 + s_i) y_i,      G = YᵀY over ALL fixed rows.

Stored numbers are s = c - 1, never c: an unplayed song has s = 0 and takes no memory.

G + λI = LLᵀ is the same for every row, so the fixed rows are changed once to ỹ = L⁻¹y, and the rows to x̃ = Lᵀx:

    (I + Σ_i s_i ỹ_i ỹ_iᵀ) x̃ = Σ_i (1 + s_i) ỹ_i.

That is conjugate gradient preconditioned by what all rows share. A step costs the plays of the row and nothing
else (in the first basis a product with G costs n_factors²), and fewer steps are needed.

The loop over rows exists twice behind `solve_rows`: in C (`_als.c`), and readable in NumPy (`improve_rows`), used
where no compiler was found at installation. DEEPCUTS_KERNEL=numpy forces the second. `exact.py` solves the rows
exactly, `als_torch.py` does all of this on another device.

Memory beyond the arguments: the changed fixed rows. The rows themselves are changed, improved and changed back a
block at a time.

Source: Hu, Koren, Volinsky 2008; Takács, Pilászy, Tikk 2011 (conjugate gradient); the change of basis is ours.
"""

from itertools import pairwise

import numpy as np
from scipy import linalg, sparse

from deepcuts.checks import check_finite, check_shape
from deepcuts.errors import InputError
from deepcuts.kernels import exact, native
from deepcuts.kernels.crew import each, every, one_blas_thread

# With λ = 0 G may be singular: λ is at least this share of its mean eigenvalue. It moves the objective by as little.
SMALLEST_RIDGE = 1e-10
# Pivots of L further apart than this (λ = 0 and G near singular): the change of basis is computed in float64.
TOO_SKEW_FOR_FLOAT32 = 300.0
LANES = 16  # floats in a vector register: rows are padded to a multiple
ROWS_AT_ONCE = 1024  # how many rows are changed to the other basis at a time, at most
LEAST_BLOCKS = 64  # of equal work, for the threads to share; fixed, so that it does not matter how many they are
PLAYS_AT_ONCE = 65536  # how many fixed rows the twin gathers at a time


@one_blas_thread()
def gram(rows: np.ndarray, *, n_threads: int | None = None) -> np.ndarray:
    """YᵀY [n_factors, n_factors] float64 of rows [n, n_factors], summed in float64.

    float64 because it stands for all the pairs nobody played: its small directions decide how well λ is obeyed.

    >>> gram(np.array([[1.0, 2.0], [0.0, 1.0]], dtype=np.float32)).tolist()
    [[1.0, 2.0], [2.0, 5.0]]
    """
    blocks = gram_parts(len(rows))
    parts = np.zeros((len(blocks), rows.shape[1], rows.shape[1]))

    def work(block: tuple[int, int]) -> None:
        parts[block[0] // blocks[0][1]] = gram_of_part(rows[slice(*block)])

    each(work, blocks, n_threads, rows.size)
    return parts.sum(axis=0)


def gram_parts(n: int) -> list[tuple[int, int]]:
    """The parts whose products `gram` sums, (begin, end) of each: at most 64, however many rows."""
    return every(n, max(ROWS_AT_ONCE, -(-n // 64)))


def gram_of_part(rows: np.ndarray) -> np.ndarray:
    """YᵀY float64 of the rows of one part, in one product."""
    part = rows.astype(np.float64)
    product: np.ndarray = part.T @ part
    return product


@one_blas_thread()
def solve_rows(
    start: np.ndarray,
    other: np.ndarray,
    surplus: np.ndarray,
    fixed: np.ndarray,
    gram: np.ndarray,
    rows: np.ndarray,
    *,
    regularization: float,
    n_steps: int = 3,
    n_threads: int | None = None,
) -> np.ndarray:
    """Improve `rows` in place towards the least-squares solution, given the fixed side.

    The result does not depend on the number of threads.

    Args:
        start: [n + 1]; row r has the plays start[r] to start[r + 1] (a CSR indptr).
        other: [n_plays] positions in `fixed` (CSR indices).
        surplus: s = c - 1 [n_plays] float32, not negative (CSR data).
        fixed: [m, n_factors] float32.
        gram: `gram(fixed)`.
        rows: [n, n_factors] float32, where conjugate gradient begins; overwritten. Rows without plays become 0.
        regularization: λ ≥ 0; raised to 1e-10 of the mean eigenvalue of G, which may be singular.
        n_steps: steps of conjugate gradient; 0 solves exactly (exact.py, several times slower).
        n_threads: None takes all processors, or OMP_NUM_THREADS where set.
    Returns:
        What the plays of each row add to the objective, [n] float64: Σ_i s_i (1 - z_i)² + 1 - 2 z_i, z_i = x·y_i.
        With Σ z² over all pairs and the λ terms this is the objective (`factors.wmf.objective`).
    Raises:
        InputError: shapes that do not fit; fixed rows that are not finite; λ = 0 with all fixed rows zero.
    Source: Hu et al. 2008, eq. 4; van den Oord et al. 2013, eq. 3.
    """
    start, other = np.ascontiguousarray(start, np.int64), np.ascontiguousarray(other, np.int32)
    surplus = np.ascontiguousarray(surplus, np.float32)
    check_rows(start, other, surplus, fixed, gram, rows)
    basis = change_of_basis(gram, regularization)
    if n_steps == 0:
        loss = exact.solve_rows(start, other, surplus, _times(fixed, basis[1], n_threads), rows, n_threads)
        _turn(rows, basis[1].T, n_threads)
        return loss
    changed = change_fixed(fixed, basis, n_threads)
    loss = np.empty(len(rows))

    def work(block: tuple[int, int]) -> None:
        part = slice(*block)
        loss[part] = solve_block(start[block[0] : block[1] + 1], other, surplus, changed, basis, rows[part], n_steps)

    each(work, row_blocks(start), n_threads, fixed.shape[1] * len(other))
    return loss


def change_fixed(fixed: np.ndarray, basis: tuple[np.ndarray, np.ndarray], n_threads: int | None = None) -> np.ndarray:
    """Fixed rows in the changed basis, [m, n_factors padded to a multiple of LANES] float32, for `solve_block`."""
    return _times(fixed, basis[1], n_threads, width=_padded(fixed.shape[1]))


def solve_block(
    start: np.ndarray,
    other: np.ndarray,
    surplus: np.ndarray,
    changed: np.ndarray,
    basis: tuple[np.ndarray, np.ndarray],
    rows: np.ndarray,
    n_steps: int,
) -> np.ndarray:
    """What `solve_rows` does to one block of `row_blocks`: whoever solves all blocks so gets the same bits.

    Args:
        start: [n + 1] places in `other` of the plays of the block's rows; need not begin at 0.
        changed: `change_fixed(fixed, basis)`.
        basis: `change_of_basis(gram, regularization)`.
        rows: of the block [n, n_factors], improved in place.
    Returns:
        as `solve_rows`, [n].
    """
    lower, upper_inverse = basis
    n_factors = rows.shape[1]
    x = _aligned(len(rows), changed.shape[1])
    x[:, n_factors:] = 0
    np.matmul(rows, lower, out=x[:, :n_factors], casting="same_kind")
    loss = _improve(start, other, surplus, changed, x, n_steps)
    np.matmul(x[:, :n_factors], upper_inverse.T, out=rows, casting="same_kind")
    return loss


def change_of_basis(gram: np.ndarray, regularization: float) -> tuple[np.ndarray, np.ndarray]:
    """L and L⁻ᵀ with LLᵀ = G + λI: fixed rows times L⁻ᵀ and rows times L are in the changed basis.

    Returns:
        both [n_factors, n_factors], float32 where that is precise enough, else float64.
    Raises:
        InputError: λ = 0 with all fixed rows zero.
    """
    lower = _factor(gram, regularization)
    upper_inverse = linalg.solve_triangular(lower, np.eye(len(lower)), lower=True).T
    pivots = np.diagonal(lower)
    kind = np.float32 if pivots.max() < TOO_SKEW_FOR_FLOAT32 * pivots.min() else np.float64
    return lower.astype(kind), upper_inverse.astype(kind)


def check_rows(
    start: np.ndarray, other: np.ndarray, surplus: np.ndarray, fixed: np.ndarray, gram: np.ndarray, rows: np.ndarray
) -> None:
    """Refuse what `solve_rows` refuses, before any work."""
    n_factors = fixed.shape[1]
    check_shape("rows", rows, [len(start) - 1, n_factors])
    check_shape("gram", gram, [n_factors, n_factors])
    check_shape("surplus", surplus, [len(other)])
    check_finite("gram", gram)
    if len(other) != start[-1] or (len(other) and not 0 <= other.min() <= other.max() < len(fixed)):
        raise InputError(f"plays: {len(other)} pairs do not fit {start[-1]} pairs of {len(fixed)} fixed rows.")
    if rows.dtype != np.float32:
        raise InputError(f"rows are {rows.dtype}: expected float32, they are improved in place.")


def _factor(gram: np.ndarray, regularization: float) -> np.ndarray:
    """Lower triangular L with LLᵀ = G + λI."""
    ridge = max(regularization, SMALLEST_RIDGE * np.trace(gram) / len(gram))
    if ridge == 0:
        raise InputError("λ = 0 and every fixed row is zero: no row is determined. Set regularization above 0.")
    return np.linalg.cholesky(gram + ridge * np.eye(len(gram)))


def _times(rows: np.ndarray, matrix: np.ndarray, n_threads: int | None, width: int | None = None) -> np.ndarray:
    """Rows @ matrix as float32, computed in the precision of `matrix`; padded with zero columns to `width`."""
    n_factors = len(matrix)
    result = _aligned(len(rows), width or n_factors)
    result[:, n_factors:] = 0

    def work(block: tuple[int, int]) -> None:
        part = slice(*block)
        np.matmul(rows[part], matrix, out=result[part, :n_factors], casting="same_kind")

    each(work, every(len(rows), ROWS_AT_ONCE), n_threads, rows.size)
    return result


def _turn(rows: np.ndarray, matrix: np.ndarray, n_threads: int | None) -> None:
    """Rows @ matrix, in place."""

    def work(block: tuple[int, int]) -> None:
        part = slice(*block)
        rows[part] = rows[part] @ matrix

    each(work, every(len(rows), ROWS_AT_ONCE), n_threads, rows.size)


def _padded(n_factors: int) -> int:
    return -(-n_factors // LANES) * LANES


def _aligned(n: int, width: int) -> np.ndarray:
    """An empty float32 array that begins on a cache line."""
    memory = np.empty(n * width + LANES, np.float32)
    offset = -(memory.ctypes.data // 4) % LANES
    return memory[offset : offset + n * width].reshape(n, width)


# ---- the loop over rows, in the basis where G + λI is the identity ----


def improve_rows(
    start: np.ndarray, other: np.ndarray, surplus: np.ndarray, fixed: np.ndarray, rows: np.ndarray, n_steps: int
) -> np.ndarray:
    """The readable twin of the C loop: n_steps of conjugate gradient on all rows at once, in place.

    With Y the fixed rows of the plays and S their surplus, the residual is r = Yᵀ(1 + s - s z) - x with z = Yx, and

        q = p + YᵀSYp,   α = r·r / p·q,   x += αp,   z += αYp,   r -= αq,   p = r + (r'·r' / r·r) p.

    Returns:
        Σ_i s_i (1 - z_i)² + 1 - 2 z_i for each row, [n] float64.
    """
    row_of = np.repeat(np.arange(len(rows)), np.diff(start))
    empty = np.diff(start) == 0
    rows[empty] = 0

    def dots(p: np.ndarray) -> np.ndarray:  # Yp, a number for each play
        d = np.empty(len(other), np.float32)
        for begin in range(0, len(other), PLAYS_AT_ONCE):
            part = slice(begin, begin + PLAYS_AT_ONCE)
            np.einsum("kf,kf->k", fixed[other[part]], p[row_of[part]], out=d[part])
        return d

    def back(weights: np.ndarray) -> np.ndarray:  # Yᵀw, a vector for each row
        return sparse.csr_array((weights, other, start), (len(rows), len(fixed))) @ fixed

    z = dots(rows)
    r = back(1 + surplus - surplus * z) - rows
    p = r.copy()
    rr = np.einsum("nf,nf->n", r, r)
    for step in range(1, n_steps + 1):
        d = dots(p)
        q = p + back(surplus * d) if step < n_steps else p
        curvature = np.einsum("nf,nf->n", p, p) + _sum_by_row(surplus * d * d, start)
        solved = rr <= np.finfo(np.float32).tiny
        length = np.where(solved, 0, rr / np.where(solved, 1, curvature)).astype(np.float32)
        rows += length[:, None] * p
        z += length[row_of] * d
        r = r - length[:, None] * q
        rr_next = np.einsum("nf,nf->n", r, r)
        p = r + (rr_next / np.where(solved, 1, rr))[:, None] * p
        rr = np.where(solved, 0, rr_next)
    return _sum_by_row(exact.losses(surplus, z), start)


def _sum_by_row(values: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Sum the plays of each row, [n] float64; a row without plays sums to 0."""
    row_of = np.repeat(np.arange(len(start) - 1), np.diff(start))
    return np.bincount(row_of, weights=values, minlength=len(start) - 1)


def _improve(
    start: np.ndarray, other: np.ndarray, surplus: np.ndarray, fixed: np.ndarray, rows: np.ndarray, n_steps: int
) -> np.ndarray:
    """`improve_rows` or its like in C, on a block of rows: `start` need not begin at 0."""
    module = native.loop("_als")
    if module is None:
        plays = slice(start[0], start[-1])
        return improve_rows(start - start[0], other[plays], surplus[plays], fixed, rows, n_steps)
    loss = np.empty(len(rows))
    module.solve_rows(start, other, surplus, fixed, rows, loss, 0, len(rows), n_steps, len(module.instructions()) - 1)
    return loss


def row_blocks(start: np.ndarray) -> list[tuple[int, int]]:
    """Blocks of about equal work, no more than ROWS_AT_ONCE rows: a row costs its plays and a little more.

    Args:
        start: [n + 1] of all rows, as `solve_rows` takes it.
    Returns:
        (begin, end) of each, in order.
    """
    work = start + 8 * np.arange(len(start))
    cuts = np.searchsorted(work, np.linspace(0, work[-1], LEAST_BLOCKS + 1))
    cuts[0], cuts[-1] = 0, len(start) - 1
    return [
        (int(begin), int(min(begin + ROWS_AT_ONCE, last)))
        for first, last in pairwise(cuts)
        for begin in range(first, last, ROWS_AT_ONCE)
    ]

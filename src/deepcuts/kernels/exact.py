"""The rows of one half-sweep solved exactly, in the basis where G + λI is the identity (als.py).

A row x with n plays (fixed rows Y [n, n_factors], surplus S = diag(s)) solves, in whichever form is smaller,

    n ≥ n_factors:   (I + YᵀSY) x = Yᵀ(1 + s),                      z = Yx              n_factors unknowns
    n < n_factors:   (I + DCD) t = DC(1 + s),  w = 1 + s - Dt,      x = Yᵀw,  z = Cw    n unknowns

with C = YYᵀ and D = √S. The second follows from the first as x = Yᵀ(1 + s - Sz), with t = Dz; nothing is divided by
s, so s may be 0. Then the residual is solved for once more (iterative refinement).

In this basis YᵀY ≤ I, so both matrices have eigenvalues from 1 to 1 + max(s): Cholesky cannot fail, and float32
loses no more than the rounding of Y to float32 already has, up to (1 + max(s)) · 6e-8 of x. Beyond
TOO_LARGE_FOR_FLOAT32 all is float64.

Source: Hu, Koren, Volinsky 2008, eq. 4; the second form is the matrix inversion lemma.
"""

import numpy as np
from scipy import linalg
from scipy.linalg import cython_lapack

from deepcuts.kernels import native
from deepcuts.kernels.crew import each, every

TOO_LARGE_FOR_FLOAT32 = 1000  # surplus of which float32 keeps fewer than four digits
NUMBERS_AT_ONCE = 2**19  # in the fixed rows that one step works on: two megabytes stay in the cache
FILLED_UP_TO = 16  # rows are solved side by side when their plays fill as many of these


def solve_rows(
    start: np.ndarray,
    other: np.ndarray,
    surplus: np.ndarray,
    fixed: np.ndarray,
    rows: np.ndarray,
    n_threads: int | None = None,
) -> np.ndarray:
    """Solve every row in place; arguments as `als.improve_rows` takes them, in the changed basis.

    Rows with about equally many plays are solved side by side, so that short ones cost few calls; the shorter of them
    are filled up with plays of no weight.

    Returns:
        Σ_i s_i (1 - z_i)² + 1 - 2 z_i for each row, [n] float64.
    """
    n_plays, n_factors = np.diff(start), fixed.shape[1]
    order = np.argsort(n_plays, kind="stable")
    kind = np.float32 if surplus.max(initial=0) < TOO_LARGE_FOR_FLOAT32 else np.float64
    loss = np.zeros(len(rows))

    def work(block: tuple[int, int]) -> None:
        of = order[slice(*block)]
        n = int(n_plays[of[-1]])  # the most
        if n == 0:
            rows[of] = 0
            return
        real = np.arange(n) < n_plays[of, None]
        plays = np.minimum(start[of, None] + np.arange(n), len(other) - 1)
        s, positions = np.where(real, surplus[plays], 0).astype(kind), other[plays]
        if n * n_factors > NUMBERS_AT_ONCE:
            rows[of], z = by_parts(fixed, positions[0], s[0])
        else:
            solve = by_plays if n < n_factors else by_factors
            rows[of], z = solve(gather(fixed, positions).astype(kind, copy=False), s, real * (1 + s))
        loss[of] = (losses(s, z) * real).sum(axis=-1)

    blocks = _blocks(n_plays[order], n_factors)
    each(work, blocks, n_threads, n_factors * len(other))
    return loss


def _blocks(n_plays: np.ndarray, n_factors: int) -> list[tuple[int, int]]:
    """Cut rows, ascending in plays, into blocks of about equally many plays that fit the cache; the longest come first.

    Rows without plays, with fewer than n_factors and with more never share a block.
    """
    kind = -(-n_plays // FILLED_UP_TO) + (n_plays >= n_factors)
    cuts = [*(np.flatnonzero(np.diff(kind)) + 1).tolist(), len(n_plays)] if len(n_plays) else []
    blocks, begin = [], 0
    for end in cuts:
        n = int(n_plays[end - 1])
        step = max(NUMBERS_AT_ONCE // (max(n, 1) * n_factors), 1)
        blocks += every(end, step, begin)
        begin = end
    return blocks[::-1]


def by_plays(fixed: np.ndarray, surplus: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of n < n_factors plays each, by n equations.

    Args:
        fixed: Y [n_rows, n, n_factors].
        surplus: s [n_rows, n], of the same type.
        weight: 1 + s [n_rows, n]; 0 for a play that only fills up, whose s is 0.
    Returns:
        x [n_rows, n_factors] and z [n_rows, n].
    """
    Y, s, c = fixed, surplus[:, :, None], weight[:, :, None]
    C, D = Y @ Y.transpose(0, 2, 1), np.sqrt(s)
    matrix = C * D
    matrix *= D.transpose(0, 2, 1)
    np.einsum("rii->ri", matrix)[:] += 1
    t = D * (C @ c)
    solve_systems("posv", matrix, t)
    z = Y @ (Y.transpose(0, 2, 1) @ (c - D * t))
    residual = D * z - t  # of the equations for t, with z from Y itself
    solve_systems("potrs", matrix, residual)
    w = c - D * (t + residual)
    return (w.transpose(0, 2, 1) @ Y)[:, 0], (C @ w)[:, :, 0]


def by_factors(fixed: np.ndarray, surplus: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of n ≥ n_factors plays each, by n_factors equations; arguments and results as in `by_plays`."""
    Y, s, c = fixed, surplus[:, :, None], weight[:, :, None]
    x, scaled = Y.transpose(0, 2, 1) @ c, Y * np.sqrt(s)
    matrix = scaled.transpose(0, 2, 1) @ scaled
    np.einsum("rff->rf", matrix)[:] += 1
    solve_systems("posv", matrix, x)
    residual = Y.transpose(0, 2, 1) @ (c - s * (Y @ x)) - x
    solve_systems("potrs", matrix, residual)
    x += residual
    return x[:, :, 0], (Y @ x)[:, :, 0]


def by_parts(fixed: np.ndarray, other: np.ndarray, surplus: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `by_factors` for one row of so many plays that they are walked in parts.

    Args:
        fixed: all fixed rows [m, n_factors].
        other: positions in `fixed` [n].
        surplus: s [n], its type is the one to calculate in.
    Returns:
        x [n_factors] and z [n].
    """
    n_factors, kind = fixed.shape[1], surplus.dtype
    step = max(NUMBERS_AT_ONCE // n_factors, 1)
    parts = [slice(begin, begin + step) for begin in range(0, len(other), step)]
    matrix, x, z = np.eye(n_factors, dtype=kind), np.zeros((n_factors, 1), kind), np.empty((len(other), 1), kind)
    held: np.ndarray | None = None

    def plays_of(part: slice) -> np.ndarray:  # of a row that is one part only once
        nonlocal held
        if held is None or len(parts) > 1:
            held = gather(fixed, other[part]).astype(kind, copy=False)
        return held

    for part in parts:
        Y, s = plays_of(part), surplus[part, None]
        x += Y.T @ (1 + s)
        Y = Y * np.sqrt(s)
        matrix += Y.T @ Y
    solve_systems("posv", matrix[None], x[None])
    residual = -x
    for part in parts:
        Y, s = plays_of(part), surplus[part, None]
        residual += Y.T @ (1 + s - s * (Y @ x))
    solve_systems("potrs", matrix[None], residual[None])
    x += residual
    for part in parts:
        z[part] = plays_of(part) @ x
    return x[:, 0], z[:, 0]


def gather(fixed: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """fixed[positions], for positions that are known to be good: `take` gives up Python's lock, indexing may not."""
    return np.take(fixed, positions, axis=0, mode="clip")


def solve_systems(routine: str, matrices: np.ndarray, rights: np.ndarray) -> None:
    """Solve many symmetric positive systems in place; one that is not positive gets NaN.

    In C it is the same routine without Python's lock, which SciPy's own functions keep: threads would wait in line.

    Args:
        routine: "posv" leaves the Cholesky factor in `matrices`; "potrs" takes it from there.
        matrices: [n_systems, n, n], float32 or float64.
        rights: [n_systems, n, 1], of the same type.
    """
    name = ("d" if matrices.dtype == np.float64 else "s") + routine
    module = native.loop("_als")
    if module is not None and module.solve_systems(cython_lapack.__pyx_capi__[name], matrices, rights):
        return
    solve = getattr(linalg.lapack, name)
    for matrix, right in zip(matrices, rights, strict=True):
        # LAPACK reads columns first: the transpose is the same matrix, and needs no copy.
        if routine == "posv":
            matrix.T[:], right[:], info = solve(matrix.T, right, lower=1)
        else:
            right[:], info = solve(matrix.T, right, lower=1)
        if info:
            right[:] = np.nan


def losses(surplus: np.ndarray, z: np.ndarray) -> np.ndarray:
    """What each play adds to the objective: s (1 - z)² + 1 - 2z, float64."""
    miss = 1 - z.astype(np.float64)
    return surplus * miss * miss + 2 * miss - 1


def solve_rows_slowly(
    start: np.ndarray, other: np.ndarray, surplus: np.ndarray, fixed: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """The readable twin of `solve_rows`: the first form for every row, by a general solver."""
    loss = np.zeros(len(rows))
    for row in range(len(rows)):
        plays = slice(start[row], start[row + 1])
        Y, s = fixed[other[plays]].astype(np.float64), surplus[plays].astype(np.float64)
        x = np.linalg.solve(np.eye(fixed.shape[1]) + (Y.T * s) @ Y, Y.T @ (1 + s))
        rows[row], loss[row] = x, losses(s, Y @ x).sum()
    return loss

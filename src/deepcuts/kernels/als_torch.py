"""A half-sweep on another device: the loop of als.py for many rows at once, in torch.

The same maths in the same basis. Rows with about equally many plays are improved side by side; the shorter ones are
filled up with plays of weight zero, so every step is a batch of small matrix products. Nothing is added up in an
order left to chance (no atomics), so equal runs on one device give equal bits.

Memory on the device: both sides of the factors, the changed fixed rows, the plays (8 bytes each) and one batch of
gathered fixed rows. float32 is float32 here: TF32 keeps ten bits.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from deepcuts.kernels.als import change_of_basis, check_rows

ROWS_AT_ONCE = 2**16  # changed to the other basis, or in float64, at a time
FLOATS_AT_ONCE = {"cpu": 2**20}  # gathered for one batch: a cache there, elsewhere enough to keep the device busy
FLOATS_AT_ONCE_ELSEWHERE = 2**26


@contextmanager
def whole_float32() -> Iterator[None]:
    """Without TF32, whatever the process has chosen."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def gram(rows: np.ndarray, *, device: torch.device) -> np.ndarray:
    """`als.gram`: YᵀY [n_factors, n_factors] float64 of rows [n, n_factors], summed in float64."""
    total = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64, device=device)
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        part = _on(rows[begin : begin + ROWS_AT_ONCE], device).double()
        total += part.T @ part
    answer: np.ndarray = total.cpu().numpy()
    return answer


@torch.inference_mode()
def solve_rows(
    start: np.ndarray,
    other: np.ndarray,
    surplus: np.ndarray,
    fixed: np.ndarray,
    gram: np.ndarray,
    rows: np.ndarray,
    *,
    regularization: float,
    n_steps: int,
    device: torch.device,
) -> np.ndarray:
    """`als.solve_rows` by conjugate gradient, n_steps ≥ 1, on `device`; arguments, result and errors are the same."""
    start, other = np.ascontiguousarray(start, np.int64), np.ascontiguousarray(other, np.int32)
    check_rows(start, other, surplus, fixed, gram, rows)
    to_changed, back = change_of_basis(gram, regularization)
    loss = torch.zeros(len(rows), dtype=torch.float64, device=device)
    with whole_float32():
        changed, x = _times(_on(fixed, device), back), _times(_on(rows, device), to_changed)
        start_, other_, surplus_ = (_on(part, device) for part in (start, other, surplus.astype(np.float32)))
        n_plays = np.diff(start)
        order = np.argsort(n_plays, kind="stable")
        n_empty = int(np.count_nonzero(n_plays == 0))
        x[_on(order[:n_empty], device)] = 0
        at_once = FLOATS_AT_ONCE.get(device.type, FLOATS_AT_ONCE_ELSEWHERE)
        for begin, end in batches(n_plays[order], n_empty, at_once // rows.shape[1]):
            of = _on(order[begin:end], device)
            n = int(n_plays[order[end - 1]])
            step = torch.arange(n, device=device)
            there = step < (start_[of + 1] - start_[of])[:, None]
            plays = torch.where(there, start_[of, None] + step, 0)
            Y = changed[other_[plays.ravel()]].view(len(of), n, -1)
            x[of], loss[of] = improve_rows(Y, torch.where(there, surplus_[plays], 0), there, x[of], n_steps)
        rows[:] = _times(x, back.T).cpu().numpy()
    answer: np.ndarray = loss.cpu().numpy()
    return answer


def batches(n_plays: np.ndarray, begin: int, plays_at_once: int) -> Iterator[tuple[int, int]]:
    """Cut rows, ascending in plays, into batches that waste little when all are filled up to the longest.

    Args:
        n_plays: of each row, ascending.
        begin: the first row that has plays.
        plays_at_once: of a batch, filled up; a longer row is a batch of its own.
    """
    while begin < len(n_plays):
        end = int(np.searchsorted(n_plays, n_plays[begin] + n_plays[begin] // 8, side="right"))
        while end - begin > 1 and (end - begin) * n_plays[end - 1] > plays_at_once:
            end = begin + max(int(plays_at_once // n_plays[end - 1]), 1)
        yield begin, end
        begin = end


def improve_rows(
    fixed: torch.Tensor, surplus: torch.Tensor, there: torch.Tensor, x: torch.Tensor, n_steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Conjugate gradient as `als.improve_rows` has it, for rows side by side.

    Args:
        fixed: Y [n_rows, n, n_factors].
        surplus: s [n_rows, n], 0 where there is no play.
        there: [n_rows, n], whether there is a play.
        x: [n_rows, n_factors], where to begin.
    Returns:
        x [n_rows, n_factors] and the sum of s (1 - z)² + 1 - 2z over the plays of each row [n_rows], float64.
    """

    def dots(p: torch.Tensor) -> torch.Tensor:
        return (fixed @ p[:, :, None])[:, :, 0]

    def back(weights: torch.Tensor) -> torch.Tensor:
        return (weights[:, None, :] @ fixed)[:, 0]

    z = dots(x)
    r = back(there + surplus - surplus * z) - x
    p, rr = r, (r * r).sum(1)
    for _ in range(n_steps):
        d = dots(p)
        q = p + back(surplus * d)
        curvature = (p * p).sum(1) + (surplus * d * d).sum(1)
        solved = rr <= torch.finfo(torch.float32).tiny
        length = torch.where(solved, 0, rr / torch.where(solved, 1, curvature))[:, None]
        x = x + length * p
        z = z + length * d
        r = r - length * q
        rr_next = (r * r).sum(1)
        p = r + (rr_next / torch.where(solved, 1, rr))[:, None] * p
        rr = torch.where(solved, 0, rr_next)
    miss = 1 - z.double()
    return x, (there * (surplus * miss * miss + 2 * miss - 1)).sum(1)


def _on(array: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.require(array, requirements="W")).to(device)


def _times(rows: torch.Tensor, matrix: np.ndarray) -> torch.Tensor:
    """Rows @ matrix as float32, computed in the precision of `matrix`, a part of the rows at a time."""
    factor = _on(np.ascontiguousarray(matrix), rows.device)
    result = torch.empty_like(rows)
    for part, out in zip(rows.split(ROWS_AT_ONCE), result.split(ROWS_AT_ONCE), strict=True):
        out.copy_(part.to(factor.dtype) @ factor)
    return result

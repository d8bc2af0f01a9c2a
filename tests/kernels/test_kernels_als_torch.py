"""The half-sweep in torch: the same numbers as the loops of als.py, on the CPU and on CUDA where there is one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from deepcuts.errors import InputError, SettingError
from deepcuts.kernels import als, als_torch
from deepcuts.kernels.device import pick_device

CPU = torch.device("cpu")


def a_half_sweep(seed: int, n: int, m: int, n_factors: int, mean_plays: float = 5):
    """Plays with empty rows and rows of one play, fixed rows, and rows to begin at."""
    rng = np.random.default_rng(seed)
    surplus = sparse.random_array((n, m), density=min(mean_plays / m, 1), rng=rng, format="csr", dtype=np.float32)
    surplus.data = rng.uniform(0.1, 30, surplus.nnz).astype(np.float32)
    fixed = rng.standard_normal((m, n_factors)).astype(np.float32)
    return surplus, fixed, rng.standard_normal((n, n_factors)).astype(np.float32)


def through(solve_rows, surplus, fixed, begin, regularization=0.1, n_steps=3, **how):
    rows = begin.copy()
    parts = (surplus.indptr, surplus.indices, surplus.data, fixed, als.gram(fixed), rows)
    return rows, solve_rows(*parts, regularization=regularization, n_steps=n_steps, **how)


def swept(gram, solve_rows, surplus, n_factors: int, n_sweeps: int, regularization: float):
    """Users, songs and the objective by eq. 3 after some sweeps; the objective is written out densely."""
    X = np.zeros((surplus.shape[0], n_factors), np.float32)
    Y = (0.01 * np.random.default_rng(0).standard_normal((surplus.shape[1], n_factors))).astype(np.float32)
    for _ in range(n_sweeps):
        for side, fixed, rows in ((surplus, Y, X), (surplus.T.tocsr(), X, Y)):
            parts = (side.indptr, side.indices, side.data, fixed, gram(fixed), rows)
            solve_rows(*parts, regularization=regularization, n_steps=3)
    s, Z = surplus.toarray().astype(np.float64), X.astype(np.float64) @ Y.T.astype(np.float64)
    penalty = regularization * sum((side.astype(np.float64) ** 2).sum() for side in (X, Y))
    return X, Y, ((1 + s) * ((s > 0) - Z) ** 2).sum() + penalty


def on(device: torch.device):
    return (
        lambda rows: als_torch.gram(rows, device=device),
        lambda *parts, **how: als_torch.solve_rows(*parts, **how, device=device),
    )


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 40),
    m=st.integers(1, 40),
    n_factors=st.integers(1, 40),
    n_steps=st.integers(1, 4),
)
def test_a_half_sweep_is_that_of_the_loops(seed, n, m, n_factors, n_steps):
    how = {"regularization": 1.0, "n_steps": n_steps}
    parts = a_half_sweep(seed, n, m, n_factors)
    rows, loss = through(als_torch.solve_rows, *parts, **how, device=CPU)
    expected, expected_loss = through(als.solve_rows, *parts, **how)
    np.testing.assert_allclose(rows, expected, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(loss, expected_loss, rtol=2e-3, atol=2e-2)


def test_batches_of_any_size_hold_every_row_once_and_waste_little():
    n_plays = np.sort(np.random.default_rng(0).geometric(0.02, 500) - 1)
    n_empty = int((n_plays == 0).sum())
    for at_once in (1, 100, 10_000, 10**9):
        cuts = list(als_torch.batches(n_plays, n_empty, at_once))
        assert [begin for begin, _ in cuts] == [n_empty, *(end for _, end in cuts[:-1])]
        assert cuts[-1][1] == len(n_plays)
        for begin, end in cuts:
            assert end - begin == 1 or (end - begin) * n_plays[end - 1] <= at_once
            assert n_plays[end - 1] <= 1.125 * n_plays[begin]


def test_small_batches_give_the_same_rows(monkeypatch):
    parts = a_half_sweep(1, 80, 60, 12, mean_plays=9)
    whole, _ = through(als_torch.solve_rows, *parts, device=CPU)
    monkeypatch.setitem(als_torch.FLOATS_AT_ONCE, "cpu", 200)
    monkeypatch.setattr(als_torch, "ROWS_AT_ONCE", 7)
    small, _ = through(als_torch.solve_rows, *parts, device=CPU)
    np.testing.assert_allclose(small, whole, atol=1e-5)


def test_rows_without_plays_become_exactly_zero():
    surplus, fixed, begin = a_half_sweep(4, 50, 300, 20, mean_plays=1)
    rows, loss = through(als_torch.solve_rows, surplus, fixed, begin, device=CPU)
    empty = np.diff(surplus.indptr) == 0
    assert empty.sum() > 5
    assert not rows[empty].any()
    assert not loss[empty].any()


def test_rows_that_are_not_numbers_do_not_look_solved():
    surplus, fixed, begin = a_half_sweep(11, 6, 6, 3, mean_plays=4)
    begin[3] = np.nan
    rows, _ = through(als_torch.solve_rows, surplus, fixed, begin, device=CPU)
    assert np.isnan(rows[3]).all()
    assert np.isfinite(np.delete(rows, 3, axis=0)).all()


def test_lambda_zero_with_fewer_fixed_rows_than_factors_is_solved():
    surplus, fixed, begin = a_half_sweep(8, 20, 5, 12, mean_plays=2)
    rows, _ = through(
        als_torch.solve_rows, surplus, fixed, np.zeros_like(begin), regularization=0.0, n_steps=10, device=CPU
    )
    fitted = rows.astype(float) @ fixed.astype(float).T
    for row, s in zip(fitted, surplus.toarray(), strict=True):  # five unknowns, five equations: the fit is perfect
        np.testing.assert_allclose(row, s > 0, atol=1e-3)


@pytest.mark.parametrize("regularization", [1e-5, 1.0])
def test_several_sweeps_end_at_the_objective_of_the_loops(regularization):
    surplus, _, _ = a_half_sweep(2, 120, 80, 1, mean_plays=10)
    ours = swept(*on(CPU), surplus, 8, 6, regularization)
    theirs = swept(als.gram, als.solve_rows, surplus, 8, 6, regularization)
    assert ours[2] == pytest.approx(theirs[2], rel=1e-4)


def test_gram_is_summed_in_float64():
    rows = np.full((200_000, 2), 1e-3, np.float32)
    exact = 200_000 * np.float64(np.float32(1e-3)) ** 2
    np.testing.assert_allclose(als_torch.gram(rows, device=CPU), exact, rtol=1e-12)


def test_shapes_that_do_not_fit_are_refused():
    surplus, fixed, begin = a_half_sweep(12, 8, 6, 3)
    with pytest.raises(InputError, match="rows has shape"):
        through(als_torch.solve_rows, surplus, fixed, begin[:5], device=CPU)


def test_the_precision_the_process_has_chosen_is_left_alone():
    before = torch.get_float32_matmul_precision()
    with pytest.raises(ZeroDivisionError), als_torch.whole_float32():
        assert torch.get_float32_matmul_precision() == "highest"
        raise ZeroDivisionError
    assert torch.get_float32_matmul_precision() == before


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingError, match="Set device='cpu'"):
        pick_device("cuda")
    assert pick_device("cpu") == CPU


@pytest.mark.gpu
def test_cuda_ends_at_the_objective_of_the_loops_and_repeats_its_bits():
    surplus, _, _ = a_half_sweep(3, 3000, 2000, 1, mean_plays=30)
    cuda = torch.device("cuda")
    once, again = (swept(*on(cuda), surplus, 40, 6, 1.0) for _ in range(2))
    assert once[2] == pytest.approx(swept(als.gram, als.solve_rows, surplus, 40, 6, 1.0)[2], rel=1e-4)
    np.testing.assert_array_equal(once[0], again[0])
    np.testing.assert_array_equal(once[1], again[1])


@pytest.mark.gpu
def test_a_half_sweep_on_cuda_is_that_of_the_loops():
    parts = a_half_sweep(5, 500, 300, 50, mean_plays=20)
    rows, loss = through(als_torch.solve_rows, *parts, device=torch.device("cuda"))
    expected, expected_loss = through(als.solve_rows, *parts)
    np.testing.assert_allclose(rows, expected, atol=1e-3)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-3, atol=1e-2)

"""One half-sweep: both loops against dense normal equations, each other, and preconditioned CG written out."""

import logging
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from deepcuts.errors import InputError
from deepcuts.kernels import als, crew, native

WIDTHS = [1, 3, 7, 16, 50, 129]  # most are no multiple of a vector register


def a_half_sweep(seed: int, n: int, m: int, n_factors: int, mean_plays: float = 4):
    """Plays with empty rows and rows of one play, fixed rows, and rows to begin at."""
    rng = np.random.default_rng(seed)
    surplus = sparse.random_array((n, m), density=min(mean_plays / m, 1), rng=rng, format="csr", dtype=np.float32)
    surplus.data = rng.uniform(0.1, 30, surplus.nnz).astype(np.float32)
    fixed = rng.standard_normal((m, n_factors)).astype(np.float32)
    begin = rng.standard_normal((n, n_factors)).astype(np.float32)
    return surplus, fixed, begin


def solved(surplus, fixed, begin, *, regularization=0.1, **how) -> tuple[np.ndarray, np.ndarray]:
    rows = begin.copy()
    loss = als.solve_rows(
        *(surplus.indptr, surplus.indices, surplus.data, fixed, als.gram(fixed), rows),
        regularization=regularization,
        **how,
    )
    return rows, loss


def dense_solution(surplus, fixed, regularization=0.1) -> np.ndarray:
    """Each row by the normal equations over ALL fixed rows, confidence 1 + s and preference 1 where played."""
    dense, Y = surplus.toarray().astype(np.float64), fixed.astype(np.float64)
    played = (dense > 0).astype(np.float64)
    rows = []
    for s, p in zip(dense, played, strict=True):
        C = np.diag(1 + s)
        rows.append(np.linalg.solve(Y.T @ C @ Y + regularization * np.eye(Y.shape[1]), Y.T @ C @ p))
    return np.array(rows)


def conjugate_gradient(surplus, fixed, begin, n_steps, regularization=0.1) -> np.ndarray:
    """Textbook CG in the first basis, preconditioned by G + λI, in float64."""
    Y = fixed.astype(np.float64)
    shared = Y.T @ Y + regularization * np.eye(Y.shape[1])
    rows = []
    for s, x in zip(surplus.toarray().astype(np.float64), begin.astype(np.float64), strict=True):
        A, b = shared + (Y.T * s) @ Y, Y.T @ ((1 + s) * (s > 0))
        r = b - A @ x
        z = np.linalg.solve(shared, r)
        p = z.copy()
        for _ in range(n_steps):
            length = (r @ z) / max(p @ A @ p, 1e-300)
            x, r_next = x + length * p, r - length * A @ p
            z_next = np.linalg.solve(shared, r_next)
            p = z_next + (r_next @ z_next) / max(r @ z, 1e-300) * p
            r, z = r_next, z_next
        rows.append(x)
    return np.array(rows)


def both_loops() -> list[tuple[str, Callable]]:
    """The readable loop, and the C loop in each instruction set of this processor."""
    loops = [("numpy", als.improve_rows)]
    if native.built("_als") is not None:
        for position, name in enumerate(native.built("_als").instructions()):

            def run(start, other, surplus, fixed, rows, n_steps, position=position):
                loss = np.empty(len(rows))
                sizes = (start.astype(np.int64), other.astype(np.int32))
                native.built("_als").solve_rows(*sizes, surplus, fixed, rows, loss, 0, len(rows), n_steps, position)
                return loss

            loops.append((f"c {name}", run))
    return loops


LOOPS = both_loops()


@pytest.fixture(params=["c", "numpy"])
def kernel(request, monkeypatch):
    """Once as installed, once with the fallback forced."""
    monkeypatch.setenv("DEEPCUTS_KERNEL", "numpy" if request.param == "numpy" else "")
    return request.param


@pytest.mark.parametrize("n_factors", WIDTHS)
def test_enough_steps_reach_the_dense_normal_equations(kernel, n_factors):
    surplus, fixed, begin = a_half_sweep(1, 40, 200, n_factors)
    rows, _ = solved(surplus, fixed, begin, n_steps=40)
    np.testing.assert_allclose(rows, dense_solution(surplus, fixed), atol=2e-5)


@pytest.mark.parametrize("n_factors", WIDTHS)
def test_the_exact_solver_is_the_dense_normal_equations(n_factors):
    surplus, fixed, begin = a_half_sweep(2, 30, 180, n_factors)
    rows, _ = solved(surplus, fixed, begin, n_steps=0)
    np.testing.assert_allclose(rows, dense_solution(surplus, fixed), atol=2e-6)


@pytest.mark.parametrize("n_steps", [1, 2, 3])
def test_few_steps_are_textbook_preconditioned_cg(kernel, n_steps):
    surplus, fixed, begin = a_half_sweep(3, 30, 120, 24, mean_plays=9)
    rows, _ = solved(surplus, fixed, begin, n_steps=n_steps)
    expected = conjugate_gradient(surplus, fixed, begin, n_steps)
    played = np.diff(surplus.indptr) > 0
    np.testing.assert_allclose(rows[played], expected[played], atol=3e-5)


@pytest.mark.parametrize("loop", [loop for _, loop in LOOPS], ids=[name for name, _ in LOOPS])
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), m=st.integers(1, 40), wide=st.integers(1, 9))
def test_every_loop_is_the_readable_twin(loop, seed, n, m, wide):
    surplus, fixed, begin = a_half_sweep(seed, n, m, 16 * wide, mean_plays=5)
    fixed /= np.float32(4 * np.sqrt(wide))
    fast, slow = begin.copy(), begin.copy()
    parts = (surplus.indptr, surplus.indices, surplus.data, fixed)
    fast_loss, slow_loss = loop(*parts, fast, 3), als.improve_rows(*parts, slow, 3)
    np.testing.assert_allclose(fast, slow, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(fast_loss, slow_loss, rtol=2e-3, atol=2e-2)


def test_a_row_of_one_play_worked_by_hand(kernel):
    # One factor, fixed rows 1 and 2, λ = 1, the second played with s = 3: (1 + 4 + 1 + 3·4) x = (1 + 3)·2, x = 8/18.
    surplus = sparse.csr_array(np.array([[0, 3]], np.float32))
    rows, loss = solved(surplus, np.array([[1], [2]], np.float32), np.zeros((1, 1), np.float32), regularization=1)
    z = 2 * 8 / 18
    assert rows[0, 0] == pytest.approx(8 / 18, rel=1e-6)
    assert loss[0] == pytest.approx(3 * (1 - z) ** 2 + 1 - 2 * z, rel=1e-5)


@pytest.mark.parametrize("n_steps", [0, 3])
def test_rows_without_plays_become_exactly_zero(kernel, n_steps):
    surplus, fixed, begin = a_half_sweep(4, 50, 300, 20, mean_plays=1)
    rows, loss = solved(surplus, fixed, begin, n_steps=n_steps)
    empty = np.diff(surplus.indptr) == 0
    assert empty.sum() > 5
    assert not rows[empty].any()
    assert not loss[empty].any()


@pytest.mark.parametrize("n_steps", [0, 1, 3])
def test_the_returned_loss_is_that_of_the_new_rows(kernel, n_steps):
    surplus, fixed, begin = a_half_sweep(5, 25, 60, 10, mean_plays=7)
    rows, loss = solved(surplus, fixed, begin, n_steps=n_steps)
    s, z = surplus.toarray().astype(float), rows.astype(float) @ fixed.astype(float).T
    expected = np.where(s > 0, s * (1 - z) ** 2 + 1 - 2 * z, 0).sum(1)
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_steps", [0, 3])
def test_one_thread_and_three_give_the_same_bits(monkeypatch, n_steps):
    monkeypatch.setattr(crew, "WORTH_THREADS", 0)
    monkeypatch.setattr(als, "ROWS_AT_ONCE", 64)
    surplus, fixed, begin = a_half_sweep(6, 400, 300, 33, mean_plays=12)
    one, three = (solved(surplus, fixed, begin, n_steps=n_steps, n_threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one[0], three[0])
    np.testing.assert_array_equal(one[1], three[1])
    np.testing.assert_array_equal(als.gram(fixed, n_threads=1), als.gram(fixed, n_threads=3))


def test_a_solved_row_stays_where_it_is(kernel):
    surplus, fixed, begin = a_half_sweep(7, 20, 50, 12)
    once, _ = solved(surplus, fixed, begin, n_steps=30)
    again, _ = solved(surplus, fixed, once, n_steps=30)
    np.testing.assert_allclose(again, once, atol=1e-5)


def test_lambda_zero_with_fewer_fixed_rows_than_factors_is_solved(kernel):
    surplus, fixed, begin = a_half_sweep(8, 20, 5, 12, mean_plays=2)
    rows, _ = solved(surplus, fixed, np.zeros_like(begin), regularization=0.0, n_steps=10)
    fitted = rows.astype(float) @ fixed.astype(float).T
    for row, s in zip(fitted, surplus.toarray(), strict=True):  # five unknowns, five equations: the fit is perfect
        np.testing.assert_allclose(row, s > 0, atol=1e-3)


def test_lambda_zero_with_nothing_fixed_is_refused():
    surplus, fixed, begin = a_half_sweep(9, 4, 6, 3)
    with pytest.raises(InputError, match="λ = 0 and every fixed row is zero"):
        solved(surplus, np.zeros_like(fixed), begin, regularization=0.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_fixed_rows_that_are_not_numbers_are_refused(bad):
    surplus, fixed, begin = a_half_sweep(10, 4, 6, 3)
    fixed[2, 1] = bad
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match=r"gram\[.*not finite"):
        solved(surplus, fixed, begin)


def test_rows_that_are_not_numbers_do_not_look_solved(kernel):
    surplus, fixed, begin = a_half_sweep(11, 6, 6, 3, mean_plays=4)
    begin[3] = np.nan
    rows, _ = solved(surplus, fixed, begin)
    assert np.isnan(rows[3]).all()
    assert np.isfinite(np.delete(rows, 3, axis=0)).all()


def test_shapes_that_do_not_fit_are_refused():
    surplus, fixed, begin = a_half_sweep(12, 8, 6, 3)
    with pytest.raises(InputError, match="rows has shape"):
        solved(surplus, fixed, begin[:5])
    with pytest.raises(InputError, match="do not fit"):
        solved(surplus, fixed[:3], begin)
    with pytest.raises(InputError, match="float32"):
        solved(surplus, fixed, begin.astype(np.float64))


def test_the_c_loop_guards_its_memory():
    start, other = np.array([0, 1], np.int64), np.array([5], np.int32)
    rest = (np.ones(1, np.float32), np.ones((3, 16), np.float32), np.ones((1, 16), np.float32), np.empty(1), 0, 1, 3, 0)
    for module in filter(None, [native.built("_als")]):
        with pytest.raises(ValueError, match="outside the fixed rows"):
            module.solve_rows(start, other, *rest)
        with pytest.raises(ValueError, match="does not ascend"):
            module.solve_rows(np.array([0, 9], np.int64), other, *rest)
        with pytest.raises(ValueError, match="wrong type"):
            module.solve_rows(start, other.astype(np.int64), *rest)


def test_gram_is_summed_in_float64():
    rows = np.full((20_000, 2), 1e-3, np.float32)
    exact = 20_000 * np.float64(np.float32(1e-3)) ** 2
    np.testing.assert_allclose(als.gram(rows), exact, rtol=1e-12)


def test_without_the_extension_the_twin_takes_over_and_says_so_once(monkeypatch, caplog):
    monkeypatch.delenv("DEEPCUTS_KERNEL", raising=False)
    monkeypatch.setattr(native, "built", lambda _name: None)
    native._warn_once.cache_clear()
    surplus, fixed, begin = a_half_sweep(13, 5, 6, 3)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            rows, _ = solved(surplus, fixed, begin, n_steps=10)
    np.testing.assert_allclose(rows, dense_solution(surplus, fixed), atol=1e-5)
    assert [record.message for record in caplog.records if "C loops were not built" in record.message] == [
        caplog.records[0].message
    ]

"""Rows solved exactly: side by side and row by row, in either form, against dense normal equations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.linalg import cython_lapack

from deepcuts.kernels import als, exact, native


@pytest.fixture(params=["c", "numpy"])
def kernel(request, monkeypatch):
    """Once as installed, once with the fallback forced."""
    monkeypatch.setenv("DEEPCUTS_KERNEL", "numpy" if request.param == "numpy" else "")
    return request.param


def rows_of_lengths(lengths: list[int], m: int, n_factors: int, seed: int = 0, largest: float = 30.0):
    """Plays with so many songs a row, and fixed rows in the basis where G + λI is the identity: YᵀY ≤ I."""
    rng = np.random.default_rng(seed)
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    chosen = [rng.choice(m, size=n, replace=False) for n in lengths]
    other = np.concatenate([*chosen, []]).astype(np.int32)
    surplus = rng.uniform(0, largest, len(other)).astype(np.float32)
    fixed = rng.standard_normal((m, n_factors))
    fixed = np.linalg.solve(np.linalg.cholesky(fixed.T @ fixed + 0.01 * np.eye(n_factors)), fixed.T).T
    return start, other, surplus, np.ascontiguousarray(fixed, np.float32)


def both(start, other, surplus, fixed, **how):
    shape = (len(start) - 1, fixed.shape[1])
    fast, slow = np.full(shape, 7, np.float32), np.full(shape, 7, np.float32)
    losses = exact.solve_rows(start, other, surplus, fixed, fast, **how)
    return fast, losses, slow, exact.solve_rows_slowly(start, other, surplus, fixed, slow)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    lengths=st.lists(st.integers(0, 40), max_size=30),
    n_factors=st.integers(1, 35),
    largest=st.sampled_from([0.0, 1e-6, 1.0, 40.0, 900.0, 1e4, 1e9]),
)
def test_side_by_side_is_row_by_row(seed, lengths, n_factors, largest):
    fast, fast_loss, slow, slow_loss = both(*rows_of_lengths(lengths, 60, n_factors, seed, largest))
    size = max(abs(slow).max(initial=0), 1)
    np.testing.assert_allclose(fast, slow, atol=(1e-6 if largest <= 40 else 3e-5) * size)
    np.testing.assert_allclose(fast_loss, slow_loss, rtol=1e-4, atol=1e-4 * (1 + min(largest, 40)))


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 50])
def test_either_form_is_the_dense_normal_equations(kernel, n):
    """Eight factors: fewer plays are solved by plays, eight and more by factors."""
    start, other, surplus, fixed = rows_of_lengths([n, 3, n], 60, 8)
    fast, _, _, _ = both(start, other, surplus, fixed)
    Y, s = fixed.astype(np.float64), np.zeros((3, 60))
    played = np.zeros((3, 60))
    for row in range(3):
        plays = slice(start[row], start[row + 1])
        s[row, other[plays]], played[row, other[plays]] = surplus[plays], 1
        x = np.linalg.solve(np.eye(8) + (Y.T * s[row]) @ Y, Y.T @ ((1 + s[row]) * played[row]))
        np.testing.assert_allclose(fast[row], x, atol=1e-6)


def test_a_long_row_walked_in_parts_is_the_same_row(monkeypatch):
    parts = rows_of_lengths([500, 0, 77, 3], 600, 12)
    whole, whole_loss, _, _ = both(*parts)
    monkeypatch.setattr(exact, "NUMBERS_AT_ONCE", 12 * 64)
    cut, cut_loss, _, _ = both(*parts)
    np.testing.assert_allclose(cut, whole, atol=1e-6)
    np.testing.assert_allclose(cut_loss, whole_loss, rtol=1e-5)


def test_equal_songs_twice_in_the_fixed_rows_are_no_trouble():
    """C is then singular: its eigenvalues are 0, those of I + DCD are 1."""
    start, other, surplus, fixed = rows_of_lengths([4, 6], 30, 10)
    fixed[other[1]] = fixed[other[0]]
    fast, _, slow, _ = both(start, other, surplus, fixed)
    np.testing.assert_allclose(fast, slow, atol=1e-6)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_many_systems_are_solved_and_solved_again(kernel, kind):
    rng = np.random.default_rng(0)
    half = rng.standard_normal((6, 9, 9))
    matrices = np.eye(9) + half @ half.transpose(0, 2, 1)
    first, second = rng.standard_normal((2, 6, 9, 1))
    held, one, two = matrices.astype(kind), first.astype(kind), second.astype(kind)
    exact.solve_systems("posv", held, one)
    exact.solve_systems("potrs", held, two)
    np.testing.assert_allclose(one, np.linalg.solve(matrices, first), atol=1e-5 if kind == np.float32 else 1e-13)
    np.testing.assert_allclose(two, np.linalg.solve(matrices, second), atol=1e-5 if kind == np.float32 else 1e-13)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_system_that_cannot_be_solved_shows_and_leaves_its_neighbours_alone(kernel, kind):
    matrices = np.stack([2 * np.eye(3), -np.eye(3), 4 * np.eye(3)]).astype(kind)
    rights = np.ones((3, 3, 1), kind)
    exact.solve_systems("posv", matrices, rights)
    np.testing.assert_allclose(rights[:, :, 0], [[0.5] * 3, [np.nan] * 3, [0.25] * 3], rtol=1e-6)


def test_the_c_loop_guards_its_memory():
    routines, matrices, rights = cython_lapack.__pyx_capi__, np.stack([np.eye(3)] * 2), np.ones((2, 3, 1))
    for module in filter(None, [native.built("_als")]):
        for wrong in (rights[:1], np.ones((2, 4, 1)), np.ones((2, 3, 2)), rights.astype(np.float32)):
            with pytest.raises(ValueError, match="do not fit"):
                module.solve_systems(routines["dposv"], matrices, wrong)
        for wrong in (routines["sposv"], routines["dgesv"], routines["dpbsv"], None, "dposv"):
            assert not module.solve_systems(wrong, matrices, rights)
        assert module.solve_systems(routines["dposv"], matrices, rights)


def test_no_rows_and_no_plays_are_fine():
    _, _, _, fixed = rows_of_lengths([], 20, 5)
    rows = np.ones((3, 5), np.float32)
    nothing = (np.empty(0, np.int32), np.empty(0, np.float32), fixed)
    assert exact.solve_rows(np.zeros(1, np.int64), *nothing, rows[:0]).shape == (0,)
    assert not exact.solve_rows(np.zeros(4, np.int64), *nothing, rows).any()
    assert not rows.any()


@pytest.mark.parametrize("n_factors", [20, 150])
def test_a_fit_at_the_authors_settings_is_solved_to_the_last_bits_of_float32(n_factors):
    """λ = 1e-5 and c = 28 on factors of a real spread: what is left is the rounding of float32."""
    rng = np.random.default_rng(1)
    fixed = (rng.standard_normal((400, n_factors)) * np.geomspace(1, 0.05, n_factors)).astype(np.float32)
    surplus = sparse.random_array((30, 400), density=0.2, rng=rng, format="csr", dtype=np.float32)
    surplus.data[:] = 27.6
    rows, gram = np.zeros((30, n_factors), np.float32), als.gram(fixed)
    als.solve_rows(surplus.indptr, surplus.indices, surplus.data, fixed, gram, rows, regularization=1e-5, n_steps=0)
    Y, played = fixed.astype(np.float64), surplus.toarray() > 0
    for x, p in zip(rows, played, strict=True):
        c = 1 + np.float32(27.6) * p.astype(np.float64)
        true = np.linalg.solve((Y.T * c) @ Y + 1e-5 * np.eye(n_factors), Y.T @ (c * p))
        np.testing.assert_allclose(x, true, atol=2e-6 * abs(true).max())

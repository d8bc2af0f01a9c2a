"""The inner problems: projections and weights against outside solvers, bounds against each other."""

import numpy as np
import pytest
from scipy.optimize import minimize

from deepcuts.lab.mlr.solvers import (
    SOLVERS,
    Problem,
    cutting_planes,
    minimise_on_simplex,
    project_psd,
    solve_admm,
    solve_primal,
)


def a_problem(seed=0, d=4, n=6, C=5.0):
    rng = np.random.default_rng(seed)
    problem = Problem(np.eye(d), C)
    for _ in range(n):
        half = rng.normal(size=(d, d))
        problem.add(half + half.T + 0.5 * np.eye(d), float(rng.uniform(0.2, 1.0)))
    return problem


def test_the_projection_is_nearest_among_matrices_without_negative_eigenvalues():
    rng = np.random.default_rng(0)
    half = rng.normal(size=(5, 5))
    matrix = half + half.T
    nearest = project_psd(matrix)
    assert np.linalg.eigvalsh(nearest)[0] > -1e-12
    # The conditions of the optimum: what was taken away is negative and at right angles to what is left.
    assert np.linalg.eigvalsh(matrix - nearest)[-1] < 1e-12
    assert np.vdot(nearest, matrix - nearest) == pytest.approx(0.0, abs=1e-12)


def test_the_projection_worked_by_hand():
    np.testing.assert_allclose(project_psd(np.diag([2.0, -3.0])), np.diag([2.0, 0.0]), atol=1e-15)


@pytest.mark.parametrize("total", [0.01, 1.0, 100.0])
def test_simplex_weights_are_those_of_scipy(total):
    rng = np.random.default_rng(1)
    for _ in range(10):
        n = int(rng.integers(1, 9))
        half = rng.normal(size=(n, max(1, n - 2)))
        H, linear = half @ half.T, rng.normal(size=n)
        ours = minimise_on_simplex(H, linear, total, np.zeros(n))
        theirs = minimize(
            lambda z, H=H, b=linear: 0.5 * total * z @ H @ z + b @ z,
            np.full(n, 0.5 / n),
            jac=lambda z, H=H, b=linear: total * H @ z + b,
            bounds=[(0, 1)] * n,
            constraints={"type": "ineq", "fun": lambda z: 1 - z.sum(), "jac": lambda z: -np.ones(len(z))},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert (ours >= 0).all()
        assert ours.sum() <= total * (1 + 1e-12)
        value = (0.5 * ours @ H @ ours + linear @ ours) / total
        assert value == pytest.approx(theirs.fun, abs=1e-7)


def test_simplex_weights_worked_by_hand():
    # min 1/2 (a^2 + b^2) - 3a - b with a + b <= 2: a - 3 = b - 1 and a + b = 2 give a = 2, b = 0.
    np.testing.assert_allclose(
        minimise_on_simplex(np.eye(2), np.array([-3.0, -1.0]), 2.0, np.zeros(2)), [2.0, 0.0], atol=1e-9
    )
    # Without a binding total each takes its own optimum, and nothing is spent on a positive slope.
    np.testing.assert_allclose(
        minimise_on_simplex(np.eye(2), np.array([-0.5, 0.5]), 2.0, np.zeros(2)), [0.5, 0.0], atol=1e-9
    )


def test_equal_constraints_share_their_weight_without_harm():
    H, linear = np.ones((3, 3)), np.full(3, -0.5)
    a = minimise_on_simplex(H, linear, 2.0, np.zeros(3))
    assert a.sum() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_admm_meets_the_proven_bound_and_primal_meets_admm(seed):
    problem, other = a_problem(seed), a_problem(seed)
    for _ in range(10):
        solve_admm(problem, 1e-6, 400)
        solve_primal(other, 1e-4, 400)
    best, bound = problem.objective(problem.W), problem.lower_bound(problem.alpha)
    assert np.linalg.eigvalsh(problem.W)[0] > -1e-12
    assert np.linalg.eigvalsh(other.W)[0] > -1e-12
    assert bound <= best + 1e-12
    assert best - bound <= 1e-4 * best
    assert other.objective(other.W) == pytest.approx(best, rel=1e-3)
    assert other.lower_bound(other.alpha) <= best


def test_no_metric_beats_the_lower_bound():
    problem = a_problem(4)
    solve_admm(problem, 1e-8, 200)
    bound = problem.lower_bound(problem.alpha)
    rng = np.random.default_rng(0)
    for _ in range(200):
        half = rng.normal(size=(4, 4)) * rng.uniform(0, 1.5)
        assert problem.objective(half @ half.T) >= bound


def test_one_constraint_in_one_dimension_worked_by_hand():
    # min w + C max(0, 1 - 2 w): w = 1/2 when 2 C > 1, else w = 0.
    for C, expected in ((10.0, 0.5), (0.4, 0.0)):
        for solver in (solve_admm, solve_primal):
            problem = Problem(np.eye(1), C)
            problem.add(np.array([[2.0]]), 1.0)
            for _ in range(10):
                solver(problem, 1e-6, 200)
            assert problem.objective(problem.W) == pytest.approx(min(0.5, C), rel=1e-3)
            assert problem.W[0, 0] == pytest.approx(expected, abs=1e-3)


def test_constraints_without_weight_are_dropped_after_a_hundred_rounds():
    problem = a_problem(0, n=3)
    problem.alpha = np.array([1.0, 0.0, 1.0])
    kept = problem.psi[[0, 2]].copy()
    for _ in range(99):
        problem.drop_idle()
    assert len(problem.losses) == 3
    problem.drop_idle()
    np.testing.assert_array_equal(problem.psi, kept)
    np.testing.assert_allclose(problem.gram, kept @ kept.T)


def toy_oracle(W):
    # Two planes: the worse one is the most violated.
    planes = [(np.diag([1.0, -1.0]), 0.5), (np.diag([-0.5, 1.0]), 0.8)]
    return max(planes, key=lambda plane: plane[1] - float(np.vdot(W, plane[0])))


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_the_bound_never_falls_and_the_objective_never_rises(solver):
    solution = cutting_planes(toy_oracle, np.eye(2), 4.0, solver, 60, 1e-4)
    assert solution.converged
    objective = np.array([r.objective for r in solution.rounds])
    bound = np.array([r.bound for r in solution.rounds])
    assert (np.diff(objective) <= 0).all()
    assert (np.diff(bound) >= 0).all()
    assert (bound <= objective + 1e-12).all()
    # By hand: with slack x both planes are tight at w = (2.6 - 4x, 2.1 - 3x), which costs 2.35 - 3.5x + 4x: x = 0.
    assert objective[-1] == pytest.approx(2.35, rel=2e-3)


def test_stopping_early_is_said(caplog):
    solution = cutting_planes(toy_oracle, np.eye(2), 4.0, "admm", 1, 1e-6)
    assert not solution.converged
    assert "after 1 rounds" in caplog.text

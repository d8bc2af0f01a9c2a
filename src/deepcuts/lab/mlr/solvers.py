"""Fit a metric to ever more ranking constraints: the cutting-plane loop and two solvers of its inner problem.

    minimise over W >= 0 (no negative eigenvalue):  tr(W)/d + C * slack(W)
    slack(W) = max(0, max over constraints k of loss_k - <W, Psi_k>)

Every solver also gives weights alpha >= 0, sum alpha <= C, of the constraints. They prove how far W can be from the
optimum, because for such weights with  lambda_max(sum_k alpha_k Psi_k) <= 1/d  (scale them down until it holds)

    sum_k alpha_k loss_k  <=  the optimum  <=  tr(W)/d + C * slack(W).

The gap is kept in the history, so nobody has to take convergence on trust.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from deepcuts.progress import progress

log = logging.getLogger(__name__)

ROUNDS_IDLE = 100  # a constraint without weight for so many rounds is dropped
ADMM_STEPS = 20  # in one round; the state is kept, so the next round goes on from there
TOWARDS = 0.3  # of the way from the best metric so far to the solution of the inner problem
MORE_SOLVES = 50  # of the inner problem in one round, when nothing seems violated but its own gap is open
STEPS_BETWEEN_CHECKS = 5
RHO, RHO_FACTOR, RHO_IMBALANCE = 0.1, 2.0, 10.0
GOLDEN = (1.0 + 5.0**0.5) / 2.0
STEP_FIRST, STEP_UP, STEP_DOWN = 1e-4, GOLDEN ** (1 / 3), 1.0 / GOLDEN
WIDEST = 0.1  # of the softened maximum, in units of the loss
PRIMAL_STEPS, PATIENCE, LEVEL = 400, 10, 1e-5  # stop when the logarithm fell by at most LEVEL in PATIENCE steps

Oracle = Callable[[np.ndarray], tuple[np.ndarray, float]]


class Round(NamedTuple):
    """One round of the cutting-plane loop.

    Attributes:
        loss: mean loss of the worst rankings.
        violation: how much more slack the new constraint asks for than those held.
        objective: of the best metric so far over all queries (over the round's batch, when there are batches).
        bound: the proven lower bound of the constraints held: no metric is better.
        n_constraints: how many are held.
    """

    loss: float
    violation: float
    objective: float
    bound: float
    n_constraints: int


@dataclass
class Problem:
    """The constraints held so far, C, and where the solver stands.

    Attributes:
        psi, gram: Psi_k as rows [n_constraints, d * d], and <Psi_k, Psi_l>.
        losses: [n_constraints].
        C: the price of slack.
        alpha: weights of the constraints [n_constraints], >= 0, adding up to at most C.
        idle: rounds since each constraint last had weight [n_constraints].
        W: the metric [d, d].
        step: length of the primal solver's last step.
        rho, split, dual: state of the ADMM: its penalty, Z and the scaled dual U [d, d].
    """

    W: np.ndarray
    C: float
    psi: np.ndarray = field(init=False)
    gram: np.ndarray = field(init=False)
    losses: np.ndarray = field(init=False)
    alpha: np.ndarray = field(init=False)
    idle: np.ndarray = field(init=False)
    rho: float = RHO
    split: np.ndarray = field(init=False)
    dual: np.ndarray = field(init=False)
    step: float = STEP_FIRST

    def __post_init__(self) -> None:
        self.psi, self.gram = np.empty((0, self.W.size)), np.empty((0, 0))
        self.losses, self.alpha, self.idle = np.empty(0), np.empty(0), np.empty(0, dtype=np.int64)
        self.split, self.dual = self.W, np.zeros_like(self.W)

    @property
    def d(self) -> int:
        """Number of features."""
        return len(self.W)

    def add(self, psi: np.ndarray, loss: float) -> None:
        """Hold one more constraint."""
        row = psi.reshape(1, -1)
        cross = self.psi @ row[0]
        self.gram = np.block([[self.gram, cross[:, None]], [cross[None, :], row @ row.T]])
        self.psi = np.concatenate([self.psi, row])
        self.losses, self.alpha = np.append(self.losses, loss), np.append(self.alpha, 0.0)
        self.idle = np.append(self.idle, 0)

    def drop_idle(self) -> None:
        """Forget constraints that had no weight for `ROUNDS_IDLE` rounds."""
        self.idle = np.where(self.alpha > 1e-9 * self.C, 0, self.idle + 1)
        keep = self.idle < ROUNDS_IDLE
        if keep.all():
            return
        self.psi, self.losses, self.alpha, self.idle = (x[keep] for x in (self.psi, self.losses, self.alpha, self.idle))
        self.gram = self.gram[np.ix_(keep, keep)]

    def slacks(self, W: np.ndarray) -> np.ndarray:
        """loss_k - <W, Psi_k> [n_constraints]."""
        return self.losses - self.psi @ W.ravel()

    def slack(self, W: np.ndarray) -> float:
        """The largest shortfall of a constraint held, at least 0."""
        return max(0.0, float(self.slacks(W).max(initial=0.0)))

    def objective(self, W: np.ndarray) -> float:
        """tr(W)/d + C * slack."""
        return float(np.trace(W)) / self.d + self.C * self.slack(W)

    def weighted(self, alpha: np.ndarray) -> np.ndarray:
        """sum_k alpha_k Psi_k [d, d]."""
        return (alpha @ self.psi).reshape(self.W.shape)

    def lower_bound(self, alpha: np.ndarray) -> float:
        """No metric has a smaller objective: the dual value of `alpha`, scaled down until feasible."""
        top = float(np.linalg.eigvalsh(self.weighted(alpha))[-1]) * self.d
        return float(alpha @ self.losses) / max(1.0, top)


class Solution(NamedTuple):
    """A fitted metric matrix, its rounds, and whether it stopped because nothing was violated any more."""

    W: np.ndarray
    rounds: list[Round]
    converged: bool


def project_psd(matrix: np.ndarray) -> np.ndarray:
    """The nearest matrix without negative eigenvalues, in squared error: clip them at 0."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    kept = vectors[:, values > 0] * np.sqrt(values[values > 0])
    return kept @ kept.T


def cutting_planes(
    oracle: Oracle, start: np.ndarray, C: float, solver: str, n_rounds: int, tolerance: float, *, whole: bool = True
) -> Solution:
    """Ask for the worst constraint, add it, solve again; stop when the worst is no worse than those held.

    The oracle is not asked at the solution of the inner problem, which jumps far from round to round, but part of the
    way from the best metric so far towards it: the same optimum in several times fewer rounds.

    Args:
        oracle: from W to the most violated Psi [d, d] and its loss.
        start: the first metric [d, d].
        C: the price of slack, > 0.
        solver: a key of `SOLVERS`.
        n_rounds: at most so many calls of the oracle.
        tolerance: stop when the slack, over all queries, exceeds what the constraints held ask for by at most this.
        whole: the oracle sees all queries every time. With batches no metric is known to be the best, so the oracle is
            asked at the latest, and the stop looks at the batch.
    Source: McFee & Lanckriet 2010 (cutting planes, one shared slack); the in-out step is of Ben-Ameur & Neto 2007.
    """
    problem, rounds = Problem(start.copy(), C), list[Round]()
    asked, centre, best, bound = problem.W, problem.W, np.inf, 0.0
    with progress("learn the metric", total=n_rounds, unit="round") as bar:
        for _ in range(n_rounds):
            psi, loss = oracle(asked)
            slack = max(0.0, loss - float(np.vdot(asked, psi)))
            violation = slack - problem.slack(asked)
            value = float(np.trace(asked)) / problem.d + C * slack
            if value < best or not whole:
                best, centre = value, asked
            problem.add(psi, loss)
            for _ in range(MORE_SOLVES):
                SOLVERS[solver](problem, 0.1 * tolerance * C)
                bound = max(bound, problem.lower_bound(problem.alpha))
                if whole:
                    violation = max(0.0, best - problem.objective(problem.W)) / C
                # An inner solution that is still rough must not pass for the end.
                if violation > tolerance or problem.objective(problem.W) - bound <= C * tolerance:
                    break
            problem.drop_idle()
            rounds.append(Round(loss, violation, best, bound, len(problem.losses)))
            bar.advance(1, note=f"violation {violation:.2g}")
            if violation <= tolerance:
                return Solution(centre, rounds, True)
            asked = centre + TOWARDS * (problem.W - centre) if whole else problem.W
    log.warning(
        "The metric stopped after %d rounds with violation %.3g, not %.3g. Allow more rounds, a smaller C or a larger "
        "tolerance.",
        n_rounds,
        rounds[-1].violation,
        tolerance,
    )
    return Solution(centre, rounds, False)


def solve_admm(problem: Problem, accuracy: float, n_steps: int = ADMM_STEPS) -> None:
    """Move `problem.W` and `problem.alpha` towards the optimum by alternating directions.

        alpha = argmin 1/2 a^T H a + (rho (Gamma - loss) - Q)^T a,  a >= 0, sum a <= C
        V = Z - U + (sum_k alpha_k Psi_k - I/d) / rho;   Z = PSD(V + U);   U += V - Z

    with H_kl = <Psi_k, Psi_l>, Q_k = <I/d, Psi_k>, Gamma_k = <Z - U, Psi_k>. rho doubles or halves when the primal and
    the dual residual differ more than tenfold. Z, U and rho are kept between calls (U is rescaled with rho).

    Args:
        accuracy: stop early when the gap is at most this.
    Source: Lim, McFee & Lanckriet 2013 (ADMM for the structural SVM of a metric).
    """
    ridge = np.eye(problem.d) / problem.d
    trace = problem.psi @ ridge.ravel()
    Z, U, rho = problem.split, problem.dual, problem.rho
    for step in range(n_steps):
        gamma = problem.psi @ (Z - U).ravel()
        linear = rho * (gamma - problem.losses) - trace
        problem.alpha = minimise_on_simplex(problem.gram, linear, problem.C, problem.alpha)
        V = Z - U + (problem.weighted(problem.alpha) - ridge) / rho
        old, Z = Z, project_psd(V + U)
        U = U + V - Z
        if step % STEPS_BETWEEN_CHECKS != STEPS_BETWEEN_CHECKS - 1:
            continue
        if problem.objective(rescaled(problem, Z)) - problem.lower_bound(problem.alpha) <= accuracy:
            break
        primal, dual = float(np.linalg.norm(V - Z)), rho * float(np.linalg.norm(Z - old))
        if max(primal, dual) > RHO_IMBALANCE * min(primal, dual):
            factor = RHO_FACTOR if primal > dual else 1.0 / RHO_FACTOR
            rho, U = rho * factor, U / factor
    problem.W, problem.split, problem.dual, problem.rho = rescaled(problem, Z), Z, U, rho


def rescaled(problem: Problem, W: np.ndarray) -> np.ndarray:
    """The best multiple of W, between a quarter and four times: a convex function of one number.

    A constraint missed by a hair costs C times that hair, and the alternating steps always miss by one.
    """
    trace, margins = float(np.trace(W)) / problem.d, problem.psi @ W.ravel()

    def objective(factor: float) -> float:
        return factor * trace + problem.C * max(0.0, float((problem.losses - factor * margins).max()))

    best = minimize_scalar(objective, bounds=(0.25, 4.0), method="bounded", options={"xatol": 1e-7})
    return W * float(best.x) if best.fun < objective(1.0) else W


def minimise_on_simplex(H: np.ndarray, linear: np.ndarray, total: float, start: np.ndarray) -> np.ndarray:
    """Argmin 1/2 a^T H a + linear^T a subject to a >= 0, sum a <= total: exact, by an active set.

    With a_0 = total - sum a the last constraint becomes an equation. On the entries in use the equations of the
    optimum are solved; an entry that would turn negative leaves, the entry with the steepest descent enters.

    Args:
        H: [n, n], symmetric, no negative eigenvalue.
        start: where to begin [n]; its entries that are not 0 are the first guess of the entries in use.
    Returns:
        a [n].
    Source: Wolfe 1976 (the nearest point of a polytope), for a general convex quadratic.
    """
    n = len(linear) + 1
    scale = max(total * total * float(np.abs(H).max()), total * float(np.abs(linear).max()), 1e-300)
    quadratic, slope = np.zeros((n, n)), np.zeros(n)
    quadratic[1:, 1:], slope[1:] = H * (total * total / scale), linear * (total / scale)
    quadratic.flat[:: n + 1] += 1e-13  # equal constraints would make the equations singular
    a = np.concatenate([[max(0.0, total - start.sum())], start]) / total
    a = a / a.sum()
    for _ in range(20 * n + 50):
        used = np.flatnonzero(a > 0)
        target = _stationary(quadratic[np.ix_(used, used)], slope[used])
        if target.min() < 0:
            falling = target < a[used]
            share = np.min(a[used][falling & (target < 0)] / (a[used] - target)[falling & (target < 0)])
            moved = a[used] + share * (target - a[used])
            moved[np.argmin(np.where(target < 0, moved, np.inf))] = 0.0
            a[used] = np.maximum(moved, 0.0)
            continue
        a[used] = target
        gradient = quadratic @ a + slope
        enter = int(np.argmin(gradient))
        if gradient[enter] >= gradient[used].mean() - 1e-12 or a[enter] > 0:
            break
        a[enter] = 1e-15  # in use from now on; the next solve gives it its weight
    return a[1:] * total


def _stationary(H: np.ndarray, slope: np.ndarray) -> np.ndarray:
    # The minimum of 1/2 a^T H a + slope^T a on the plane where a adds up to 1.
    n = len(slope)
    system = np.ones((n + 1, n + 1))
    system[:n, :n], system[n, n] = H, 0.0
    return np.linalg.solve(system, np.append(-slope, 1.0))[:n]


def solve_primal(problem: Problem, accuracy: float, n_steps: int = PRIMAL_STEPS) -> None:
    """Move `problem.W` and `problem.alpha` towards the optimum by projected sub-gradient steps.

        G = I/d - sum_k alpha_k Psi_k;   W <- PSD(W - step * G)

    A sub-gradient of the worst constraint alone is often no way down (two constraints tie, and the step shrinks to
    nothing), so the weights are those of a softened maximum,  alpha_k = C * softmax(slack_k / width)  with a constraint
    of slack 0 among them, and the width goes down to where softening costs less than `accuracy`. Steps have momentum.

    Args:
        accuracy: how much the softening may cost at the end, in units of the objective.
    Source: McFee & Lanckriet 2010 (projected sub-gradient); Nesterov 2005 (softening); Beck & Teboulle 2009 (momentum).
    """
    last = accuracy / problem.C / np.log(len(problem.losses) + 1.0)
    width = max(min(problem.slack(problem.W), WIDEST), 64.0 * last)  # a warm start must not begin at the narrowest
    best, bound = problem.alpha, -np.inf
    while True:
        _descend(problem, width, n_steps)
        proven = problem.lower_bound(problem.alpha)
        if proven > bound:  # the narrower the softening, the more the weights shake
            best, bound = problem.alpha, proven
        if width <= last:
            break
        width = max(width / 4.0, last)
    problem.alpha = best
    problem.W = rescaled(problem, problem.W)


def _descend(problem: Problem, width: float, n_steps: int) -> None:
    ridge = np.eye(problem.d) / problem.d
    W, ahead, momentum = problem.W, problem.W, 1.0
    value, problem.alpha = _softened(problem, W, width)
    trail = [value]
    for _ in range(n_steps):
        ahead_value, alpha = _softened(problem, ahead, width)
        gradient = ridge - problem.weighted(alpha)
        while True:
            moved = project_psd(ahead - problem.step * gradient)
            change = moved - ahead
            new_value, new_alpha = _softened(problem, moved, width)
            most = ahead_value + float(np.vdot(gradient, change)) + float(np.vdot(change, change)) / (2 * problem.step)
            if new_value <= most + 1e-12 * abs(ahead_value):
                break
            problem.step *= STEP_DOWN
        problem.step *= STEP_UP
        if new_value > value and ahead is not W:  # the momentum carried too far: forget it
            ahead, momentum = W, 1.0
            continue
        new_momentum = (1.0 + (1.0 + 4.0 * momentum**2) ** 0.5) / 2.0
        ahead = moved + (momentum - 1.0) / new_momentum * (moved - W)
        W, value, momentum, problem.alpha = moved, new_value, new_momentum, new_alpha
        trail.append(value)
        if len(trail) > PATIENCE and np.log(trail[-1 - PATIENCE] / value) <= LEVEL:
            break
    problem.W = W


def _softened(problem: Problem, W: np.ndarray, width: float) -> tuple[float, np.ndarray]:
    # tr(W)/d + C * width * log(1 + sum_k exp(slack_k / width)), and its weights alpha.
    slacks = np.append(problem.slacks(W), 0.0) / width
    top = slacks.max()
    powers = np.exp(slacks - top)
    value = float(np.trace(W)) / problem.d + problem.C * width * (top + float(np.log(powers.sum())))
    return value, problem.C * powers[:-1] / powers.sum()


SOLVERS: dict[str, Callable[[Problem, float], None]] = {"admm": solve_admm, "primal": solve_primal}

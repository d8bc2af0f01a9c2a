"""Ridge regression on a loss that weighs each song's errors in its own way: a quadratic without closed form.

    J(W) = n_factors · Σ_i w_i loss_i(W s_i) + λ |W|²

(for the squared error of standardised factors this is Σ_i w_i |t_i - W s_i|² + λ |W|²). Its normal equations have
n_stats · n_factors unknowns and are never built: conjugate gradient asks for the slope at one W after another, each
a pass over the songs' plays. It is preconditioned by what all songs have in common, (Σ_i w_i s_i s_iᵀ) ⊗ Ā + λ, Ā the
mean curvature: exact for the squared error, where one step is enough.
"""

import logging

import numpy as np
import torch

from deepcuts.predict.losses import Objective
from deepcuts.predict.training_set import Examples

logger = logging.getLogger(__name__)

CLOSE_ENOUGH = 1e-8  # of the slope at the beginning
MAX_STEPS = 500


class ConjugateSolver:
    """The best W for any λ.

    Args:
        stats: standardised statistics [n_songs, n_stats] float64.
        examples: the same songs.
        objective: what to make small, in float64 on the CPU.
    """

    def __init__(self, stats: np.ndarray, examples: Examples, objective: Objective) -> None:
        self.stats = with_ones(stats)
        self.objective = objective
        self.about = facts_of(objective, examples)
        share = examples.weights.astype(np.float64)[:, None]
        self.by_stat, self.stat_basis = np.linalg.eigh(self.stats.T @ (share * self.stats))
        self.by_factor, self.factor_basis = np.linalg.eigh(objective.curvature * len(objective.curvature))
        self.penalised = np.ones((self.stats.shape[1], 1))
        self.penalised[-1] = 0  # the intercept is free
        self.nothing = self._half_slope(np.zeros((self.stats.shape[1], len(objective.curvature))))

    def solve(self, ridge: float, start: np.ndarray | None = None) -> np.ndarray:
        """W and, as the last row, the intercept [n_stats + 1, n_factors], from where another λ ended.

        Source: Hestenes, Stiefel 1952.
        """
        solution = np.zeros_like(self.nothing) if start is None else start.copy()
        residual = -self.nothing - (self._times(solution, ridge) if start is not None else 0)
        enough = CLOSE_ENOUGH * np.linalg.norm(self.nothing)
        direction, before = np.zeros_like(solution), 1.0
        for _ in range(MAX_STEPS):
            if np.linalg.norm(residual) <= enough:
                break
            improved = self._precondition(residual, ridge)
            now = float(np.sum(residual * improved))
            direction = improved + now / before * direction
            turned = self._times(direction, ridge)
            step = now / float(np.sum(direction * turned))
            solution += step * direction
            residual -= step * turned
            before = now
        else:
            logger.warning("ridge %g: not solved in %d steps; the last is kept. Raise ridge.", ridge, MAX_STEPS)
        return solution

    def _half_slope(self, weights: np.ndarray) -> np.ndarray:
        """Half the slope of n_factors · Σ_i w_i loss_i by W [n_stats + 1, n_factors]."""
        outputs = torch.from_numpy(self.stats @ weights).requires_grad_()
        (slope,) = torch.autograd.grad(self.objective.total(outputs, *self.about), outputs)
        half: np.ndarray = self.stats.T @ slope.numpy() * (len(self.objective.curvature) / 2)
        return half

    def _times(self, weights: np.ndarray, ridge: float) -> np.ndarray:
        return self._half_slope(weights) - self.nothing + ridge * self.penalised * weights

    def _precondition(self, residual: np.ndarray, ridge: float) -> np.ndarray:
        turned = self.stat_basis.T @ residual @ self.factor_basis
        size = np.maximum(self.by_stat, 0)[:, None] * np.maximum(self.by_factor, 0) + ridge
        back: np.ndarray = self.stat_basis @ (turned / size) @ self.factor_basis.T
        return back


def loss_of(weights: np.ndarray, stats: np.ndarray, examples: Examples, objective: Objective) -> float:
    """The loss of W [n_stats + 1, n_factors] on other songs."""
    outputs = torch.from_numpy(with_ones(stats) @ weights)
    return float(objective(outputs, *facts_of(objective, examples)))


def facts_of(objective: Objective, examples: Examples) -> tuple[torch.Tensor, ...]:
    """What the objective must know of all of some songs."""
    return tuple(torch.from_numpy(part) for part in objective.about(examples, np.arange(len(examples))))


def with_ones(stats: np.ndarray) -> np.ndarray:
    """A last column of ones, for the intercept."""
    return np.column_stack([stats, np.ones(len(stats))])

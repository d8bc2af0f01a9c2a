"""What an encoder makes small: a class and a line in LOSSES.

    "mse"    ‖y' - y‖² (eq. 4)
    "wpe"    Σ_u c_u (p_u - x_uᵀy')², the error of the factorisation itself (eq. 5)
    "usage"  ‖X(y' - y)‖² = (y' - y)ᵀG(y' - y): is the same foretold for all users? Between the two, and ours

For a song each is a quadratic in y', put on one scale so that a learning rate or a ridge good for one is good for all:
the curvature by standardised outputs has trace 1 in the mean over training songs, as it has for "mse". The constant is
dropped: 0 is what the observed factors themselves score, about 1 what the mean of all songs scores.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from scipy import linalg
from torch import nn

from deepcuts.errors import InputError
from deepcuts.kernels.als import gram
from deepcuts.predict.training_set import Examples, TrainingSet
from deepcuts.predict.wpe import as_pairs
from deepcuts.predict.wpe_torch import weighted_errors

JITTER = 1e-6  # of the mean eigenvalue: a direction that no user has must not blow up the basis


class Objective(ABC):
    """A loss, ready for one training set.

    Attributes:
        curvature: mean over training songs of half the second derivative by the network's outputs
            [n_factors, n_factors] float64; trace 1.
    """

    curvature: np.ndarray

    @abstractmethod
    def about(self, examples: Examples, places: np.ndarray) -> tuple[np.ndarray, ...]:
        """What the loss must know of some songs: their weights [n_songs], then arrays of its own."""

    @abstractmethod
    def total(self, outputs: torch.Tensor, weights: torch.Tensor, *facts: torch.Tensor) -> torch.Tensor:
        """Σ_i w_i loss_i.

        Args:
            outputs: of the network [n_songs, n_factors].
            weights, facts: `about` the same songs, as tensors.
        """

    def __call__(self, outputs: torch.Tensor, weights: torch.Tensor, *facts: torch.Tensor) -> torch.Tensor:
        """Σ_i w_i loss_i / Σ_i w_i; arguments as for `total`."""
        return self.total(outputs, weights, *facts) / weights.sum()

    @abstractmethod
    def fold_in_basis(self, network: nn.Module) -> None:
        """Make a network answer in standardised factors, where it has learned to in another basis.

        Args:
            network: its last layer is linear.
        """


def weighted_mse(predicted: torch.Tensor, target: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean squared error a factor: sum_i w_i |y_i - y'_i|² / (n_factors * sum_i w_i).

    Args:
        predicted, target: [n_songs, n_factors].
        weights: [n_songs], 0 or more, not all 0.
    Source: van den Oord et al. 2013, eq. 4 (there all w_i = 1).
    """
    error = (predicted - target).square().mean(dim=1)
    return (weights * error).sum() / weights.sum()


class Mse(Objective):
    """The squared error of standardised factors (eq. 4)."""

    def __init__(self, n_factors: int) -> None:
        self.curvature = np.eye(n_factors) / n_factors

    def about(self, examples: Examples, places: np.ndarray) -> tuple[np.ndarray, ...]:
        """Weights and targets."""
        return examples.weights[places], examples.targets[places]

    def total(self, outputs: torch.Tensor, weights: torch.Tensor, *facts: torch.Tensor) -> torch.Tensor:
        """Σ_i w_i |t'_i - t_i|² / n_factors."""
        return weighted_mse(outputs, facts[0], weights) * weights.sum()

    def __call__(self, outputs: torch.Tensor, weights: torch.Tensor, *facts: torch.Tensor) -> torch.Tensor:
        """Eq. 4 as it stands."""
        return weighted_mse(outputs, facts[0], weights)

    def fold_in_basis(self, network: nn.Module) -> None:
        """Nothing: the outputs are standardised factors."""


class OnUsers(Objective):
    """A loss that asks what the prediction means for users: it takes the outputs back to raw factors.

        y' = mean + B outputs,     B = scale · I, or preconditioned B = σ L⁻ᵀ with LLᵀ = Ā

    Ā is the mean over training songs of A_i = half the second derivative of E_i, often dominated by one direction,
    popularity. In the second basis that mean is the identity, so all directions are learned at one speed; σ gives
    the targets there unit spread.

    Args:
        metric: Ā [n_factors, n_factors].
    """

    def __init__(
        self,
        training_set: TrainingSet,
        metric: np.ndarray,
        precondition: bool,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        scale = training_set.provenance.target_scale
        basis = whitening(metric, training_set.train, scale) if precondition else scale * np.eye(len(metric))
        by_output = basis.T @ metric @ basis
        self.unit = float(np.trace(by_output))
        self.curvature = by_output / self.unit
        self.from_standardised = basis / scale
        arrays = (training_set.provenance.target_mean, basis, gram(users_in(training_set)))
        self.mean, self.basis, self.gram = (torch.from_numpy(a).to(device, dtype) for a in arrays)
        self.scale = scale

    def raw(self, outputs: torch.Tensor) -> torch.Tensor:
        """Outputs as factors on their own scale."""
        return self.mean + outputs.to(self.mean.dtype) @ self.basis.T

    def fold_in_basis(self, network: nn.Module) -> None:
        """The answers o of the last layer become (B / scale) o."""
        last = list(network.modules())[-1]
        if not isinstance(last, nn.Linear):
            raise TypeError(f"the last layer is a {type(last).__name__}, expected Linear")
        turn = torch.from_numpy(self.from_standardised).to(last.weight.device)
        with torch.no_grad():
            last.weight.copy_(turn @ last.weight.double())
            last.bias.copy_(turn @ last.bias.double())


class Wpe(OnUsers):
    """The weighted prediction error (eq. 5), each song's divided by (1 + Σ_u s_u)^γ; γ = 0 is the paper."""

    def __init__(self, training_set: TrainingSet, precondition: bool, device: torch.device, dtype: torch.dtype) -> None:
        train, users = training_set.train, users_in(training_set)
        self.gamma = float(training_set.provenance.settings["wpe_gamma"])
        shares = self.shares(train) * train.weights / train.weights.sum(dtype=np.float64)
        with_surplus = train.surplus.T @ shares  # type: ignore[union-attr]  # how much of s_u x_u x_uᵀ is in the mean
        metric = shares.sum() * gram(users) + gram(users * np.sqrt(with_surplus, dtype=np.float32)[:, None])
        super().__init__(training_set, metric, precondition, device, dtype)
        self.users = torch.from_numpy(users).to(device)

    def shares(self, examples: Examples) -> np.ndarray:
        """(1 + Σ_u s_u)^-γ of each song [n_songs] float64."""
        if examples.surplus is None:
            raise InputError("training_set: loss = 'wpe' needs plays. Pass plays to fit_encoder.")
        return np.asarray((1 + examples.surplus.sum(axis=1, dtype=np.float64)) ** -self.gamma)

    def about(self, examples: Examples, places: np.ndarray) -> tuple[np.ndarray, ...]:
        """Weights, shares, floors, and who played: owner, listener, surplus."""
        some = examples.take(places)
        shares = self.shares(some)
        return some.weights, shares, some.observed_loss, *as_pairs(some.surplus)  # type: ignore[return-value]

    def total(self, outputs: torch.Tensor, weights: torch.Tensor, *facts: torch.Tensor) -> torch.Tensor:
        """Σ_i w_i (E_i(y'_i) - E_i(y_i)) / (1 + Σ_u s_u)^γ, on the scale of "mse"."""
        shares, observed_loss, owner, listener, surplus = facts
        dtype = self.mean.dtype
        errors = weighted_errors(self.raw(outputs), self.users, self.gram, owner, listener, surplus.to(dtype))
        return (weights * shares.to(dtype) * (errors - observed_loss.to(dtype))).sum() / self.unit


class Usage(OnUsers):
    """The squared error of what is foretold to users: (y' - y)ᵀG(y' - y) = Σ_u (x_uᵀy' - x_uᵀy)²."""

    def __init__(self, training_set: TrainingSet, precondition: bool, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(training_set, gram(users_in(training_set)), precondition, device, dtype)

    def about(self, examples: Examples, places: np.ndarray) -> tuple[np.ndarray, ...]:
        """Weights and targets."""
        return examples.weights[places], examples.targets[places]

    def total(self, outputs: torch.Tensor, weights: torch.Tensor, *facts: torch.Tensor) -> torch.Tensor:
        """Σ_i w_i (y'_i - y_i)ᵀG(y'_i - y_i), on the scale of "mse"."""
        away = self.raw(outputs) - self.mean - self.scale * facts[0].to(self.mean.dtype)
        return (weights * ((away @ self.gram) * away).sum(dim=1)).sum() / self.unit


def users_in(training_set: TrainingSet) -> np.ndarray:
    """X [n_users, n_factors].

    Raises:
        InputError: the training_set were made without.
    """
    if training_set.users is None:
        raise InputError("training_set: hold no users, but the loss asks for them. Pass factors with users.")
    return training_set.users


def whitening(metric: np.ndarray, train: Examples, scale: float) -> np.ndarray:
    """B = σ L⁻ᵀ [n_factors, n_factors] with LLᵀ = metric; σ² is the mean square of Lᵀ(y - mean) a factor."""
    n = len(metric)
    lower = linalg.cholesky(metric + JITTER * np.trace(metric) / n * np.eye(n), lower=True)
    turned = scale * train.targets.astype(np.float64) @ lower
    spread = float(np.sqrt(np.average(np.mean(turned**2, axis=1), weights=train.weights)))
    basis: np.ndarray = (spread or 1.0) * linalg.solve_triangular(lower, np.eye(n), lower=True).T
    return basis


LOSSES: dict[str, Callable[[TrainingSet, bool, torch.device, torch.dtype], Objective]] = {
    "mse": lambda training_set, *_: Mse(training_set.provenance.n_factors),
    "wpe": Wpe,
    "usage": Usage,
}


def make_objective(
    training_set: TrainingSet, *, precondition: bool = False, device: torch.device | None = None, dtype: torch.dtype
) -> Objective:
    """The loss that the settings of the training set name.

    Args:
        precondition: learn in the basis where the mean curvature is the identity; nothing changes for "mse".
        dtype: of the arithmetic on users.
    """
    kind = LOSSES[training_set.provenance.settings["loss"]]
    return kind(training_set, precondition, device or torch.device("cpu"), dtype)

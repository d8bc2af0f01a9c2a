"""Ridge regression from pooled statistics to factors: the paper's linear baseline, in closed form."""

import logging
from dataclasses import dataclass

import numpy as np

from deepcuts.artifacts import Features
from deepcuts.checks import require_package
from deepcuts.config import require
from deepcuts.errors import InputError, SettingError
from deepcuts.kernels.pool import pool_songs
from deepcuts.predict.encoder import Encoder, Provenance, check_heard
from deepcuts.predict.sanity import warn_if_no_better
from deepcuts.predict.scaling import one_scale, safe_scale
from deepcuts.predict.targets import EncoderSettings
from deepcuts.predict.training_set import Examples, TrainingSet

logger = logging.getLogger(__name__)

RIDGES = np.logspace(-2, 6, 17)  # tried when ridge is None


@dataclass(frozen=True)
class LinearSettings(EncoderSettings):
    """Settings of the linear encoder.

    Attributes:
        ridge: λ in sum_i w_i |y_i - W s_i|² + λ |W|², statistics s standardised; None chooses among RIDGES by
            the loss on validation songs, or with loss "mse" and validation = 0 by leaving one out.
        n_cov: how many first channels also give their covariances (all of them, where there are fewer).
        standardise: divide each statistic by its own spread; else all by one number, for principal components and
            whatever else shares a unit.
    """

    ridge: float | None = None
    n_cov: int = 0
    standardise: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.ridge is None or self.ridge > 0, "ridge", self.ridge, "above 0, or none to choose it")
        require(self.n_cov >= 0, "n_cov", self.n_cov, "0 or more")


@dataclass(frozen=True, eq=False)
class LinearEncoder(Encoder):
    """y' = W (s - mean) / scale + intercept, with s the pooled statistics [n_stats] of a song.

    Attributes:
        n_cov: how many first channels give their covariances.
        mean, scale: [n_stats] float64, of the training songs.
        weights: W [n_stats, n_factors] float64.
        intercept: [n_factors] float64.
    """

    n_cov: int
    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray

    def predict_standardised(self, features: Features, songs: np.ndarray) -> np.ndarray:
        """Standardised predictions [n_songs, n_factors] float64."""
        stats = pooled(features, songs, self.n_cov)
        return (stats - self.mean) / self.scale @ self.weights + self.intercept

    def arrays(self) -> dict[str, np.ndarray]:
        """What was learned, by name."""
        return {"mean": self.mean, "scale": self.scale, "weights": self.weights, "intercept": self.intercept}


def build_linear(provenance: Provenance, arrays: dict[str, np.ndarray]) -> LinearEncoder:
    """The encoder from its arrays."""
    return LinearEncoder(provenance, int(provenance.settings["n_cov"]), **arrays)


def pooled(features: Features, songs: np.ndarray, n_cov: int) -> np.ndarray:
    """Pooled statistics [n_songs, n_stats] float64; features of one frame a song are taken as they are.

    Raises:
        InputError: a song's frames are not finite (names the song).
    """
    if features.one_frame:
        rows = np.asarray(features.frames[features.starts[songs]], dtype=np.float64)
        check_heard(features, songs, rows)
        return rows
    try:
        stats = pool_songs(features, songs, min(n_cov, features.n_channels))
    except InputError:
        for song in songs:  # the kernel knows positions only: find the song again and name it
            check_heard(features, np.array([song]), features[song][None])
        raise
    return stats.astype(np.float64)


def fit_linear(training_set: TrainingSet, settings: LinearSettings) -> LinearEncoder:
    """Learn the linear encoder.

    Raises:
        SettingError: the ridge is to be chosen by another loss than "mse", and there are no validation songs.
    Source: van den Oord et al. 2013, section 5.2 ("linear regression"); the ridge is ours.
    """
    stats = pooled(training_set.features, training_set.train.songs, settings.n_cov)
    mean = stats.mean(axis=0)
    scale = (safe_scale if settings.standardise else one_scale)(mean, stats.std(axis=0))
    if settings.loss != "mse":
        learned = fit_on_users(training_set, settings, (stats - mean) / scale, mean, scale)
        return LinearEncoder(training_set.provenance, settings.n_cov, mean, scale, learned[:-1], learned[-1])
    solver = RidgeSolver((stats - mean) / scale, training_set.train)
    ridge = settings.ridge
    if ridge is None:
        if len(training_set.validation):
            held_out = pooled(training_set.features, training_set.validation.songs, settings.n_cov)
            losses = solver.validation_losses(RIDGES, (held_out - mean) / scale, training_set.validation)
            of_mean = solver.mean_loss(training_set.validation)
        else:
            losses = solver.leave_one_out_losses(RIDGES)
            of_mean = solver.mean_loss(training_set.train)
        ridge = float(RIDGES[int(np.argmin(losses))])
        logger.info("ridge %g chosen: squared error %.4f (%.4f = the mean of all songs)", ridge, losses.min(), of_mean)
        warn_if_no_better(float(losses.min()), of_mean)
    weights, intercept = solver.solve(ridge)
    return LinearEncoder(training_set.provenance, settings.n_cov, mean, scale, weights, intercept)


def fit_on_users(
    training_set: TrainingSet, settings: LinearSettings, stats: np.ndarray, mean: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """Weights and, as the last row, the intercept [n_stats + 1, n_factors] under a loss that looks at users.

    Args:
        stats: standardised statistics of the training songs.
        mean, scale: that standardised them.
    """
    require_package("torch", "torch", f"linear with loss = {settings.loss!r}")
    import torch  # takes seconds to load, and the squared error does without

    from deepcuts.predict.conjugate import ConjugateSolver, loss_of
    from deepcuts.predict.losses import make_objective

    objective = make_objective(training_set, dtype=torch.float64)
    solver = ConjugateSolver(stats, training_set.train, objective)
    if settings.ridge is not None:
        return solver.solve(settings.ridge)
    if not len(training_set.validation):
        raise SettingError(f"ridge = None: loss {settings.loss!r} chooses it by validation songs. Set ridge or some.")
    held_out = (pooled(training_set.features, training_set.validation.songs, settings.n_cov) - mean) / scale
    best, best_loss, learned = np.empty(0), np.inf, None
    for ridge in RIDGES[::-1]:  # the stiff first: they are quick, and begin the others well
        learned = solver.solve(float(ridge), learned)
        loss = loss_of(learned, held_out, training_set.validation, objective)
        logger.info("ridge %g: loss %.4f", ridge, loss)
        if loss < best_loss:
            best, best_loss = learned, loss
    warn_if_no_better(best_loss, loss_of(np.zeros_like(best), held_out, training_set.validation, objective))
    return best


class RidgeSolver:
    """Weighted ridge regression for any λ after one eigendecomposition.

    With rows centred by their weighted means and S = Xᵀ diag(w) X = V diag(e) Vᵀ:

        W(λ) = V diag(1 / (e + λ)) Vᵀ Xᵀ diag(w) Y,     intercept = ȳ - W x̄   (not penalised)

    Args:
        stats: standardised statistics [n_songs, n_stats] float64.
        examples: targets and weights of the same songs.
    """

    def __init__(self, stats: np.ndarray, examples: Examples) -> None:
        self.share = examples.weights.astype(np.float64)[:, None]
        targets = examples.targets.astype(np.float64)
        self.x_mean = (self.share * stats).sum(axis=0) / self.share.sum()
        self.y_mean = (self.share * targets).sum(axis=0) / self.share.sum()
        self.x, self.y = stats - self.x_mean, targets - self.y_mean
        eigenvalues, self.basis = np.linalg.eigh(self.x.T @ (self.share * self.x))
        self.eigenvalues = np.maximum(eigenvalues, 0)
        self.projected = self.basis.T @ (self.x.T @ (self.share * self.y))

    def solve(self, ridge: float) -> tuple[np.ndarray, np.ndarray]:
        """Weights [n_stats, n_factors] and intercept [n_factors] for one λ."""
        weights = self.basis @ (self.projected / (self.eigenvalues + ridge)[:, None])
        return weights, self.y_mean - self.x_mean @ weights

    def validation_losses(self, ridges: np.ndarray, stats: np.ndarray, examples: Examples) -> np.ndarray:
        """Weighted mean squared error a factor on other songs, for each λ [n_ridges]."""
        turned = (stats - self.x_mean) @ self.basis
        away = examples.targets - self.y_mean
        share = examples.weights[:, None]
        return np.array(
            [
                np.sum(share * (away - turned @ (self.projected / (self.eigenvalues + ridge)[:, None])) ** 2)
                for ridge in ridges
            ]
        ) / (share.sum() * away.shape[1])

    def mean_loss(self, examples: Examples) -> float:
        """Weighted mean squared error a factor of answering ȳ for every song."""
        share = examples.weights.astype(np.float64)[:, None]
        away = examples.targets - self.y_mean
        return float(np.sum(share * away**2) / (share.sum() * away.shape[1]))

    def leave_one_out_losses(self, ridges: np.ndarray) -> np.ndarray:
        """Weighted mean squared error a factor of each song predicted from all others, for each λ [n_ridges].

        Without n fits: the residual of song i grows by 1 / (1 - h_ii), with
        h_ii = w_i / Σw + w_i x_iᵀ (S + λ)⁻¹ x_i (exact for fixed standardisation).
        """
        turned = self.x @ self.basis
        losses = np.empty(len(ridges))
        for place, ridge in enumerate(ridges):
            shrunk = 1 / (self.eigenvalues + ridge)
            reach = self.share[:, 0] * (turned**2 @ shrunk) + self.share[:, 0] / self.share.sum()
            residual = self.y - turned @ (self.projected * shrunk[:, None])
            alone = residual / np.maximum(1 - reach, 1e-12)[:, None]
            losses[place] = np.sum(self.share * alone**2) / (self.share.sum() * self.y.shape[1])
        return losses

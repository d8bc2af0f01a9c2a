"""Kernel ridge regression from pooled statistics to factors: smooth where trees are rough, for small data.

    y'(s) = ȳ + Σ_j α_j k(s, s_j),     k(s, t) = exp(-sharpness/2 · mean_c (s_c - t_c)²),     statistics standardised

Two songs drawn at random are a mean squared difference of 2 apart, so k between them is about exp(-sharpness).
Source: Saunders, Gammerman, Vovk 1998.
"""

import logging
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from deepcuts.artifacts import Features
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.predict.encoder import Encoder, Provenance
from deepcuts.predict.linear import pooled
from deepcuts.predict.sanity import warn_if_no_better
from deepcuts.predict.scaling import safe_scale
from deepcuts.predict.targets import EncoderSettings, Examples, TrainingSet

logger = logging.getLogger(__name__)

SHARPNESSES = (0.1, 0.2, 0.5, 1.0, 2.0)  # tried when sharpness is None
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0)  # tried when ridge is None
MOST_SONGS = 20_000  # the kernel holds n_songs² numbers


@dataclass(frozen=True)
class KernelSettings(EncoderSettings):
    """Settings of the kernel encoder.

    Attributes:
        sharpness: how fast likeness falls with distance; None chooses among SHARPNESSES, with ridge, by leaving
            one training song out.
        ridge: λ in the weighted squared error + λ ‖y'‖²; None chooses among RIDGES.
        n_cov: how many first channels also give their covariances, when features are frames.
        validation: not needed, for leaving one out chooses: 0 learns from all songs.
    """

    sharpness: float | None = None
    ridge: float | None = None
    n_cov: int = 0
    validation: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.sharpness is None or self.sharpness > 0, "sharpness", self.sharpness, "above 0, or none")
        require(self.ridge is None or self.ridge > 0, "ridge", self.ridge, "above 0, or none")
        require(self.n_cov >= 0, "n_cov", self.n_cov, "0 or more")


@dataclass(frozen=True, eq=False)
class KernelEncoder(Encoder):
    """y' = intercept + K(s, anchors) · weights.

    Attributes:
        n_cov: as in the settings.
        sharpness: [1] float64.
        mean, scale: [n_stats] float64, of the training songs.
        anchors: standardised statistics of the training songs [n_anchors, n_stats] float64.
        weights: α [n_anchors, n_factors] float64.
        intercept: ȳ [n_factors] float64.
    """

    n_cov: int
    sharpness: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    anchors: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray

    def predict_standardised(self, features: Features, songs: np.ndarray) -> np.ndarray:
        """Standardised predictions [n_songs, n_factors] float64."""
        stats = (pooled(features, songs, self.n_cov) - self.mean) / self.scale
        return self.intercept + likeness(stats, self.anchors, float(self.sharpness[0])) @ self.weights

    def arrays(self) -> dict[str, np.ndarray]:
        """All that was learned, by name."""
        names = ("sharpness", "mean", "scale", "anchors", "weights", "intercept")
        return {"n_cov": np.array([self.n_cov]), **{name: getattr(self, name) for name in names}}


def build_kernel(provenance: Provenance, arrays: dict[str, np.ndarray]) -> KernelEncoder:
    """The encoder from its arrays."""
    rest = {name: array for name, array in arrays.items() if name != "n_cov"}
    return KernelEncoder(provenance, int(arrays["n_cov"][0]), **rest)


def likeness(a: np.ndarray, b: np.ndarray, sharpness: float) -> np.ndarray:
    """k(a_i, b_j) [n_a, n_b] in (0, 1]."""
    apart = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * a @ b.T
    return np.exp(-sharpness / 2 * np.maximum(apart, 0) / a.shape[1])


def fit_kernel(training_set: TrainingSet, settings: KernelSettings) -> KernelEncoder:
    """Learn the kernel encoder; sharpness and ridge are chosen by leaving one training song out.

    Raises:
        InputError: more training songs than the kernel matrix has room for.
    """
    if len(training_set.train) > MOST_SONGS:
        raise InputError(
            f"kernel: {len(training_set.train):,} training songs, at most {MOST_SONGS:,} fit. Use linear, mlp or cnn."
        )
    stats = pooled(training_set.features, training_set.train.songs, settings.n_cov)
    mean, scale = stats.mean(axis=0), safe_scale(stats.mean(axis=0), stats.std(axis=0))
    anchors = (stats - mean) / scale
    tried = [
        (*solve(anchors, training_set.train, sharpness, ridge), sharpness, ridge)
        for sharpness in ((settings.sharpness,) if settings.sharpness else SHARPNESSES)
        for ridge in ((settings.ridge,) if settings.ridge else RIDGES)
    ]
    weights, intercept, loss, sharpness, ridge = min(tried, key=lambda one: one[2])
    chosen = (sharpness, ridge, loss)
    logger.info("sharpness %g, ridge %g chosen: squared error %.4f (1 = the mean of all songs)", *chosen)
    share = training_set.train.weights.astype(np.float64)
    of_mean = np.average(((training_set.train.targets - intercept) ** 2).mean(axis=1), weights=share)
    warn_if_no_better(loss, float(of_mean), "More songs, or other features, may help.")
    return KernelEncoder(
        training_set.provenance, settings.n_cov, np.array([sharpness]), mean, scale, anchors, weights, intercept
    )


def solve(
    anchors: np.ndarray, examples: Examples, sharpness: float, ridge: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """α, ȳ and the leave-one-out error for one choice.

        (K + λ diag(1 / w)) α = Y - ȳ,     error of song i left out = α_i / [(K + λ diag(1 / w))⁻¹]_ii

    Songs of weight 0 never come here: they are left out of the training_set.
    """
    share = examples.weights.astype(np.float64)
    targets = examples.targets.astype(np.float64)
    intercept = (share[:, None] * targets).sum(axis=0) / share.sum()
    factor = cho_factor(likeness(anchors, anchors, sharpness) + np.diag(ridge / share))
    weights = cho_solve(factor, targets - intercept)
    alone = weights / np.diag(cho_solve(factor, np.eye(len(share))))[:, None]
    loss = float((share[:, None] * alone**2).sum() / (share.sum() * targets.shape[1]))
    return weights, intercept, loss

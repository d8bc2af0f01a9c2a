"""Trees and a kernel side by side, and the fame that sound alone foretells: for small, noisy data.

    y' = unit(t + k) + fame · f · g,     t = unit(trees), k = unit(kernel)

Trees are rough where kernels are smooth, so their mean errs less than either; unit vectors keep loud songs from ruling.
What unit targets take away is popularity: f is the log number of listeners that trees foretell from the sound, in
standard deviations of the training songs, and g the mean direction of all targets, along which popular songs lie. The
kernel sees each statistic as a normal score (its rank among the training songs), so that outliers do not rule it.

Settings were chosen by cross-validation among training artists of a real benchmark (docs/log.md, "Better ears").
Source: Geurts et al. 2006 (extra trees); Saunders et al. 1998 (kernel ridge); the fame term is ours.
"""

import logging
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from deepcuts.artifacts import Features
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.predict.encoder import Encoder, Provenance
from deepcuts.predict.kernel import MOST_SONGS, RIDGES, SHARPNESSES, likeness, solve
from deepcuts.predict.linear import pooled
from deepcuts.predict.targets import EncoderSettings
from deepcuts.predict.training_set import Examples, TrainingSet
from deepcuts.predict.trees import TreesEncoder, TreesSettings, table_of_nodes

logger = logging.getLogger(__name__)

N_QUANTILES = 201
TREE_ARRAYS = ("roots", "feature", "threshold", "left", "right", "values")
TINY = 1e-12


@dataclass(frozen=True)
class StackSettings(EncoderSettings):
    """Settings of the stack. Nothing stops by validation songs, so none are held out unless named.

    Attributes:
        n_trees, min_leaf, max_features: of the extra trees; see the encoder "trees".
        fame: weight of the foretold listeners; 0 leaves them out.
        n_cov: how many first channels also give their covariances, when features are frames.
        n_jobs: threads of the trees; -1 takes all cores. The trees do not depend on it.
    """

    target: str = "unit"
    validation: float = 0.0
    n_trees: int = 500
    min_leaf: int = 3
    max_features: float = 0.3
    fame: float = 0.5
    n_cov: int = 0
    n_jobs: int = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        TreesSettings(n_trees=self.n_trees, min_leaf=self.min_leaf, max_features=self.max_features, n_jobs=self.n_jobs)
        require(self.fame >= 0, "fame", self.fame, "0 or more")
        require(self.n_cov >= 0, "n_cov", self.n_cov, "0 or more")


@dataclass(frozen=True, eq=False)
class StackEncoder(Encoder):
    """The parts, by array.

    Attributes:
        n_cov: as in the settings.
        trees, fame: extra trees for factors and for log listeners.
        direction: g times the weight of fame [n_factors] float64.
        quantiles: of each statistic among the training songs [N_QUANTILES, n_stats] float64.
        sharpness: [1]; anchors: normal scores of the training songs [n_anchors, n_stats]; weights: [n_anchors,
            n_factors]; intercept: [n_factors]; all float64, of the kernel.
    """

    n_cov: int
    trees: TreesEncoder
    fame: TreesEncoder
    direction: np.ndarray
    quantiles: np.ndarray
    sharpness: np.ndarray
    anchors: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray

    def predict_standardised(self, features: Features, songs: np.ndarray) -> np.ndarray:
        """Standardised predictions [n_songs, n_factors] float64."""
        stats = pooled(features, songs, self.n_cov)
        rough = self._raw(self.trees.average(stats.astype(np.float32)))
        near = likeness(normal_scores(stats, self.quantiles), self.anchors, float(self.sharpness[0]))
        smooth = self._raw(self.intercept + near @ self.weights)
        together = (
            unit(unit(rough) + unit(smooth)) if self.provenance.settings["target"] == "unit" else (rough + smooth) / 2
        )
        together = together + self.fame.average(stats.astype(np.float32)) * self.direction
        return (together - self.provenance.target_mean) / self.provenance.target_scale

    def _raw(self, standardised: np.ndarray) -> np.ndarray:
        return self.provenance.target_mean + self.provenance.target_scale * standardised

    def arrays(self) -> dict[str, np.ndarray]:
        """All that was learned, by name."""
        names = ("direction", "quantiles", "sharpness", "anchors", "weights", "intercept")
        own = {"n_cov": np.array([self.n_cov]), **{name: getattr(self, name) for name in names}}
        parts = {"trees": self.trees, "fame": self.fame}
        return own | {f"{name}.{key}": array for name, part in parts.items() for key, array in part.arrays().items()}


def build_stack(provenance: Provenance, arrays: dict[str, np.ndarray]) -> StackEncoder:
    """The encoder from its arrays."""
    n_cov = int(arrays["n_cov"][0])
    trees, fame = (
        TreesEncoder(provenance, n_cov, **{key: arrays[f"{name}.{key}"] for key in TREE_ARRAYS})
        for name in ("trees", "fame")
    )
    names = ("direction", "quantiles", "sharpness", "anchors", "weights", "intercept")
    return StackEncoder(provenance, n_cov, trees, fame, **{name: arrays[name] for name in names})


def fit_stack(training_set: TrainingSet, settings: StackSettings) -> StackEncoder:
    """Learn all parts from the training songs.

    Raises:
        InputError: more training songs than the kernel matrix has room for.
    """
    if len(training_set.train) > MOST_SONGS:
        raise InputError(
            f"stack: {len(training_set.train):,} training songs, at most {MOST_SONGS:,} fit. Use trees or cnn."
        )
    stats = pooled(training_set.features, training_set.train.songs, settings.n_cov)
    quantiles = np.quantile(stats, np.linspace(0, 1, N_QUANTILES), axis=0)
    anchors = normal_scores(stats, quantiles)
    weights, intercept, sharpness = best_kernel(anchors, training_set.train)
    trees, fame = fit_both(stats.astype(np.float32), training_set, settings)
    return StackEncoder(
        training_set.provenance, settings.n_cov, trees, fame, fame_direction(training_set, settings), quantiles,
        np.array([sharpness]), anchors, weights, intercept,
    )  # fmt: skip


def best_kernel(anchors: np.ndarray, train: Examples) -> tuple[np.ndarray, np.ndarray, float]:
    """Weights, intercept and sharpness with the least error of songs left out one by one."""
    tried = [
        (*solve(anchors, train, sharpness, ridge), sharpness, ridge) for sharpness in SHARPNESSES for ridge in RIDGES
    ]
    weights, intercept, loss, sharpness, ridge = min(tried, key=lambda one: one[2])
    logger.info("kernel: sharpness %g, ridge %g chosen: squared error %.4f (1 = the mean)", sharpness, ridge, loss)
    return weights, intercept, sharpness


def fit_both(
    stats: np.ndarray, training_set: TrainingSet, settings: StackSettings
) -> tuple[TreesEncoder, TreesEncoder]:
    """Extra trees for the factors, and for the log listeners in standard deviations."""
    from sklearn.ensemble import ExtraTreesRegressor  # takes a second to load, and predicting does without

    train = training_set.train
    shared = {"n_estimators": settings.n_trees, "n_jobs": settings.n_jobs, "random_state": settings.seed}
    factors = ExtraTreesRegressor(min_samples_leaf=settings.min_leaf, max_features=settings.max_features, **shared)
    factors.fit(stats, _flat(train.targets), sample_weight=train.weights)
    fame = ExtraTreesRegressor(min_samples_leaf=settings.min_leaf + 2, max_features=0.5, **shared)
    fame.fit(stats, standard_fame(train))
    made = (TreesEncoder(training_set.provenance, settings.n_cov, **table_of_nodes(one)) for one in (factors, fame))
    return next(made), next(made)


def standard_fame(train: Examples) -> np.ndarray:
    """Log listeners of the training songs in standard deviations [n_songs]; zeros where nobody counted them."""
    if train.n_listeners is None:
        return np.zeros(len(train))
    log = np.log1p(train.n_listeners.astype(np.float64))
    return (log - log.mean()) / (log.std() or 1.0)


def fame_direction(training_set: TrainingSet, settings: StackSettings) -> np.ndarray:
    """The weight of fame times the unit vector of the weighted mean target [n_factors]."""
    raw = (
        training_set.provenance.target_mean
        + training_set.provenance.target_scale * training_set.train.targets.astype(np.float64)
    )
    mean = np.average(raw, axis=0, weights=training_set.train.weights)
    length = float(np.linalg.norm(raw, axis=1).mean())  # 1 for unit targets
    return settings.fame * length * mean / max(float(np.linalg.norm(mean)), TINY)


def normal_scores(stats: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Each statistic as the normal score of its rank among the training songs [n_songs, n_stats].

    Statistics beyond the training songs' own get the outermost score; one that never varies there gets 0.
    """
    levels = np.linspace(0, 1, len(quantiles))
    scores = np.zeros(stats.shape)
    for column in range(stats.shape[1]):
        edges = quantiles[:, column]
        if edges[-1] > edges[0]:
            value, outer = stats[:, column], 0.5 / len(levels)
            first = np.minimum(np.searchsorted(edges, value, "left"), len(levels) - 1)
            last = np.clip(np.searchsorted(edges, value, "right") - 1, 0, len(levels) - 1)
            # Many songs may share a value (a mode, a time signature): they get the middle of their ranks.
            rank = np.where(last > first, (levels[first] + levels[last]) / 2, np.interp(value, edges, levels))
            scores[:, column] = ndtri(np.clip(rank, outer, 1 - outer))
    return scores


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of length 0 stays."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)


def _flat(targets: np.ndarray) -> np.ndarray:
    return targets[:, 0] if targets.shape[1] == 1 else targets  # scikit-learn wants a flat target then

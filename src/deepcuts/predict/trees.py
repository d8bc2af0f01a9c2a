"""Extra trees from pooled statistics to factors: the best of the simple encoders on small, noisy data."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepcuts.artifacts import Features
from deepcuts.config import require
from deepcuts.predict.encoder import Encoder, Provenance
from deepcuts.predict.linear import pooled
from deepcuts.predict.targets import EncoderSettings
from deepcuts.predict.training_set import TrainingSet

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesRegressor

LEAF = -1
CHUNK = 1024  # songs walked down all trees at once: keeps the [songs, trees] walk in cache


@dataclass(frozen=True)
class TreesSettings(EncoderSettings):
    """Settings of the extra trees. There is nothing to choose, so no songs are held out unless named.

    Attributes:
        n_trees: how many trees are averaged.
        min_leaf: songs in the smallest leaf.
        max_features: fraction of the statistics tried at each fork, in (0, 1].
        n_cov: how many first channels also give their covariances (all of them, where there are fewer).
        n_jobs: threads; -1 takes all cores. The trees do not depend on it.
    """

    validation: float = 0.0
    n_trees: int = 300
    min_leaf: int = 3
    max_features: float = 0.2
    n_cov: int = 12
    n_jobs: int = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.n_trees >= 1, "n_trees", self.n_trees, "1 or more")
        require(self.min_leaf >= 1, "min_leaf", self.min_leaf, "1 or more")
        require(0 < self.max_features <= 1, "max_features", self.max_features, "a fraction above 0, up to 1")
        require(self.n_cov >= 0, "n_cov", self.n_cov, "0 or more")
        require(self.n_jobs >= 1 or self.n_jobs == -1, "n_jobs", self.n_jobs, "1 or more, or -1 for all cores")


@dataclass(frozen=True, eq=False)
class TreesEncoder(Encoder):
    """All trees as one table of nodes; a song falls from each root to a leaf and the leaves' values are averaged.

    Attributes:
        n_cov: how many first channels give their covariances.
        roots: int32 [n_trees]: the row of each root.
        feature: int32 [n_nodes]: which statistic a fork looks at; -1 marks a leaf.
        threshold: float64 [n_nodes]: go left when statistic <= threshold.
        left, right: int32 [n_nodes]: the row to go to; at a leaf, `left` is the row of its value.
        values: float32 [n_leaves, n_factors].
    """

    n_cov: int
    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    values: np.ndarray

    def predict_standardised(self, features: Features, songs: np.ndarray) -> np.ndarray:
        """Standardised predictions [n_songs, n_factors] float64."""
        stats = pooled(features, songs, self.n_cov).astype(np.float32)
        chunks = [stats[start : start + CHUNK] for start in range(0, len(stats), CHUNK)]
        return np.concatenate([self.average(chunk) for chunk in chunks])

    def average(self, stats: np.ndarray) -> np.ndarray:
        """Mean over trees of the leaf values [n_songs, n_factors] for statistics [n_songs, n_stats] float32."""
        leaves = self.left[self.fall(stats)]
        total = np.zeros((len(stats), self.values.shape[1]))
        for tree in range(len(self.roots)):
            total += self.values[leaves[:, tree]]
        return total / len(self.roots)

    def fall(self, stats: np.ndarray) -> np.ndarray:
        """The leaf [n_songs, n_trees] that each song reaches in each tree, all trees one level at a time."""
        node = np.tile(self.roots, len(stats))
        song = np.repeat(np.arange(len(stats)), len(self.roots))
        falling = np.flatnonzero(self.feature[node] != LEAF)
        while len(falling):
            at = node[falling]
            goes_left = stats[song[falling], self.feature[at]] <= self.threshold[at]
            at = np.where(goes_left, self.left[at], self.right[at])
            node[falling] = at
            falling = falling[self.feature[at] != LEAF]
        return node.reshape(len(stats), len(self.roots))

    def arrays(self) -> dict[str, np.ndarray]:
        """What was learned, by name."""
        names = ("roots", "feature", "threshold", "left", "right", "values")
        return {name: getattr(self, name) for name in names}


def build_trees(provenance: Provenance, arrays: dict[str, np.ndarray]) -> TreesEncoder:
    """The encoder from its arrays."""
    return TreesEncoder(provenance, int(provenance.settings["n_cov"]), **arrays)


def fit_trees(training_set: TrainingSet, settings: TreesSettings) -> TreesEncoder:
    """Learn the trees with scikit-learn, then keep only their tables.

    Source: Geurts, Ernst, Wehenkel 2006, Extremely randomized trees.
    """
    stats = pooled(training_set.features, training_set.train.songs, settings.n_cov).astype(np.float32)
    from sklearn.ensemble import ExtraTreesRegressor  # takes a second to load, and predicting does without

    forest = ExtraTreesRegressor(
        n_estimators=settings.n_trees,
        min_samples_leaf=settings.min_leaf,
        max_features=settings.max_features,
        n_jobs=settings.n_jobs,
        random_state=settings.seed,
    )
    targets = training_set.train.targets
    one_factor = targets.shape[1] == 1  # scikit-learn wants a flat target then
    forest.fit(stats, targets[:, 0] if one_factor else targets, sample_weight=training_set.train.weights)
    return TreesEncoder(training_set.provenance, settings.n_cov, **table_of_nodes(forest))


def table_of_nodes(forest: "ExtraTreesRegressor") -> dict[str, np.ndarray]:
    """The trees of a fitted forest, one below the other, in the arrays of TreesEncoder."""
    columns: dict[str, list[np.ndarray]] = {
        name: [] for name in ("roots", "feature", "threshold", "left", "right", "values")
    }
    n_nodes = n_leaves = 0
    for tree in (estimator.tree_ for estimator in forest.estimators_):
        leaf = tree.children_left < 0
        value_row = n_leaves + np.cumsum(leaf) - 1
        columns["roots"].append(np.array([n_nodes]))
        columns["feature"].append(np.where(leaf, LEAF, tree.feature))
        columns["threshold"].append(tree.threshold)
        columns["left"].append(np.where(leaf, value_row, tree.children_left + n_nodes))
        columns["right"].append(np.where(leaf, LEAF, tree.children_right + n_nodes))
        columns["values"].append(tree.value[leaf, :, 0])
        n_nodes, n_leaves = n_nodes + len(leaf), n_leaves + int(leaf.sum())
    kinds = {"threshold": np.float64, "values": np.float32}
    return {name: np.concatenate(parts).astype(kinds.get(name, np.int32)) for name, parts in columns.items()}

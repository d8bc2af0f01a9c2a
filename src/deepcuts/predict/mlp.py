"""The paper's multi-layer perceptron: one hidden layer of 1,000 rectified units on one vector a song.

    y' = W2 relu(W1 s + b1) + b2,     s the pooled statistics of a song, standardised

It learns with torch (`mlp_torch`) and predicts in NumPy.
On features of one frame a song (a bag of words) the statistics are that frame; on longer ones they are pooled as for
the linear encoder. Factors have no bounds, so nothing follows the last layer.
"""

from dataclasses import dataclass

import numpy as np

from deepcuts.artifacts import Features
from deepcuts.config import require
from deepcuts.predict.cnn_settings import DEVICES
from deepcuts.predict.encoder import Encoder, Provenance
from deepcuts.predict.linear import pooled
from deepcuts.predict.scaling import RELATIVE_NOISE
from deepcuts.predict.targets import NetworkSettings


@dataclass(frozen=True)
class MlpSettings(NetworkSettings):
    """Settings of the perceptron, trained with AdamW until validation songs are predicted no better.

    Attributes:
        n_hidden: hidden units, the paper's 1,000.
        dropout: fraction of hidden units dropped while learning, never while predicting; in [0, 1).
        n_cov: how many first channels also give their covariances (all of them, where there are fewer).
        standardise: divide each statistic by its own spread; else all by one number, for principal components and
            whatever else shares a unit.
        n_epochs: most visits to every song.
        patience: epochs without a better validation error before stopping; 0 never stops. The best weights are kept.
        batch: songs in a step.
        lr: learning rate.
        weight_decay: decoupled, of AdamW.
        device: "auto" is CUDA where there is one.
    """

    n_hidden: int = 1000
    dropout: float = 0.0
    n_cov: int = 0
    standardise: bool = True
    n_epochs: int = 200
    patience: int = 10
    batch: int = 128
    lr: float = 1e-3
    weight_decay: float = 1e-2
    device: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_hidden", "n_epochs", "batch"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("n_cov", "patience", "weight_decay"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "a fraction from 0 up to, not including, 1")
        require(self.lr > 0, "lr", self.lr, "above 0")
        require(self.device in DEVICES, "device", self.device, " or ".join(map(repr, DEVICES)))


@dataclass(frozen=True, eq=False)
class MlpEncoder(Encoder):
    """A trained perceptron; it predicts in NumPy.

    Attributes:
        n_cov: how many first channels give their covariances.
        kept: int64 [n_kept]: the statistics that change from one training song to another; the others are not heard,
            or their untrained weights would speak as soon as a new song differs there.
        mean: [n_kept] float32, of the training songs.
        weight: [n_kept] float32, 1 / standard deviation of the training songs.
        layers: float32, by name: W1 "hidden.weight" [n_hidden, n_kept], b1 "hidden.bias" [n_hidden],
            W2 "out.weight" [n_factors, n_hidden], b2 "out.bias" [n_factors].
    """

    n_cov: int
    kept: np.ndarray
    mean: np.ndarray
    weight: np.ndarray
    layers: dict[str, np.ndarray]

    def predict_standardised(self, features: Features, songs: np.ndarray) -> np.ndarray:
        """Standardised predictions [n_songs, n_factors] float32."""
        stats = standardised(pooled(features, songs, self.n_cov), self.kept, self.mean, self.weight)
        hidden = np.maximum(stats @ self.layers["hidden.weight"].T + self.layers["hidden.bias"], 0)
        heard: np.ndarray = hidden @ self.layers["out.weight"].T + self.layers["out.bias"]
        return heard

    def arrays(self) -> dict[str, np.ndarray]:
        """What was learned, by name."""
        return {"kept": self.kept, "mean": self.mean, "weight": self.weight, **self.layers}


def build_mlp(provenance: Provenance, arrays: dict[str, np.ndarray]) -> MlpEncoder:
    """The encoder from its arrays."""
    layers = {name: array for name, array in arrays.items() if "." in name}
    return MlpEncoder(
        provenance, int(provenance.settings["n_cov"]), arrays["kept"], arrays["mean"], arrays["weight"], layers
    )


def scaling_of(stats: np.ndarray, standardise: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which columns of statistics [n_songs, n_stats] change; their mean and 1 / standard deviation, float32.

    Without `standardise` all have the same deviation, the root mean square of those kept.

    When none does, the first is kept with weight 0: the perceptron can then only answer the mean.
    """
    mean, deviation = stats.mean(axis=0), stats.std(axis=0)
    kept = np.flatnonzero(deviation > RELATIVE_NOISE * np.abs(mean) + 1e-12)
    if not len(kept):
        return np.zeros(1, np.int64), mean[:1].astype(np.float32), np.zeros(1, np.float32)
    spread = deviation[kept] if standardise else np.full(len(kept), np.sqrt(np.mean(deviation[kept] ** 2)))
    return kept, mean[kept].astype(np.float32), (1 / spread).astype(np.float32)


def standardised(stats: np.ndarray, kept: np.ndarray, mean: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Z-scores [n_songs, n_kept] float32 of the columns kept."""
    scores: np.ndarray = ((stats[:, kept] - mean) * weight).astype(np.float32)
    return scores

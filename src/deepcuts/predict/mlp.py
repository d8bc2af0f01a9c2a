"""The paper's multi-layer perceptron: one hidden layer of 1,000 rectified units on one vector a song.

    y' = W2 relu(W1 s + b1) + b2,     s the pooled statistics of a song, standardised

On features of one frame a song (a bag of words) the statistics are that frame; on longer ones they are pooled as for
the linear encoder. Factors have no bounds, so nothing follows the last layer.
"""

import logging
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from deepcuts.artifacts import Features
from deepcuts.config import require
from deepcuts.errors import SettingError
from deepcuts.kernels.device import pick_device
from deepcuts.predict.cnn import INITIAL_STREAM
from deepcuts.predict.encoder import Encoder, Provenance
from deepcuts.predict.linear import pooled
from deepcuts.predict.losses import Objective, make_objective
from deepcuts.predict.network import DEVICES
from deepcuts.predict.sanity import warn_if_no_better
from deepcuts.predict.scaling import RELATIVE_NOISE
from deepcuts.predict.targets import NetworkSettings
from deepcuts.predict.train import mean_loss, own_random_numbers
from deepcuts.predict.training_set import Examples, TrainingSet
from deepcuts.progress import progress

logger = logging.getLogger(__name__)

Heard = tuple[torch.Tensor, Examples]  # standardised statistics [n_songs, n_kept] on the device, and what to learn


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


def fit_mlp(training_set: TrainingSet, settings: MlpSettings) -> MlpEncoder:
    """Train the perceptron.

    Raises:
        SettingError: the device is not there, or the error is no longer a number.
    Source: van den Oord et al. 2013, section 4.1 (1,000 hidden units); the rectifier and the optimiser are ours.
    """
    device = pick_device(settings.device)
    stats = pooled(training_set.features, training_set.train.songs, settings.n_cov)
    kept, mean, weight = scaling_of(stats, settings.standardise)
    train = torch.from_numpy(standardised(stats, kept, mean, weight)).to(device), training_set.train
    validation = None
    if len(training_set.validation):
        stats = pooled(training_set.features, training_set.validation.songs, settings.n_cov)
        validation = torch.from_numpy(standardised(stats, kept, mean, weight)).to(device), training_set.validation
    objective = make_objective(training_set, precondition=settings.precondition, device=device, dtype=torch.float32)
    with own_random_numbers(settings.seed, INITIAL_STREAM, torch.device("cpu")):
        network = build_perceptron(len(kept), settings, training_set.provenance.n_factors).to(device)
    train_mlp(network, objective, train, validation, settings)
    objective.fold_in_basis(network)
    layers = {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}
    return MlpEncoder(training_set.provenance, settings.n_cov, kept, mean, weight, layers)


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


def build_perceptron(n_inputs: int, settings: MlpSettings, n_factors: int) -> nn.Sequential:
    """The network with fresh weights, drawn from torch's current random state."""
    network = nn.Sequential()
    network.add_module("hidden", nn.Linear(n_inputs, settings.n_hidden))
    network.add_module("relu", nn.ReLU())
    network.add_module("dropout", nn.Dropout(settings.dropout))
    network.add_module("out", nn.Linear(settings.n_hidden, n_factors))
    return network


def train_mlp(
    network: nn.Module,
    objective: Objective,
    train: Heard,
    validation: Heard | None,
    settings: MlpSettings,
) -> None:
    """Fit the network in place and leave it with its best weights; without validation songs those are the last.

    Raises:
        SettingError: the error is no longer a number.
    """
    optimiser = torch.optim.AdamW(network.parameters(), settings.lr, weight_decay=settings.weight_decay)
    best_epoch, best_error, best = -1, math.inf, network.state_dict()
    with progress("train", total=settings.n_epochs, unit="epoch") as bar:
        for epoch in range(settings.n_epochs):
            error = one_epoch(network, optimiser, objective, train, settings, epoch)
            if not math.isfinite(error):
                raise SettingError(f"lr = {settings.lr}: the error is {error} in epoch {epoch + 1}. Lower lr.")
            if validation is not None:
                error = error_of(network, objective, validation)
            kind = "error" if validation is None else "validation error"
            bar.advance(1, note=f"{kind} {error:.4f} (about 1 = the mean of all songs)")
            if validation is None or error < best_error:
                best_epoch, best_error = epoch, error
                best = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
            elif settings.patience and epoch - best_epoch >= settings.patience:
                break
    logger.info("best of %d epochs: %d, error %.4f", epoch + 1, best_epoch + 1, best_error)
    network.load_state_dict(best)
    if validation is not None:
        inputs, examples = validation
        warn_if_no_better(best_error, mean_loss(objective, examples, inputs.device))


def one_epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    objective: Objective,
    train: Heard,
    settings: MlpSettings,
    epoch: int,
) -> float:
    """Visit every song once in random order; the mean training error of the epoch."""
    inputs, examples = train
    network.train()
    errors = torch.zeros((), device=inputs.device)
    with own_random_numbers(settings.seed, epoch, inputs.device) as rng:
        batches = np.array_split(rng.permutation(len(inputs)), math.ceil(len(inputs) / settings.batch))
        for places in batches:
            error = error_at(network, objective, inputs, examples, places)
            optimiser.zero_grad(set_to_none=True)
            error.backward()
            if settings.clip:
                nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
            optimiser.step()
            errors += error.detach()
    return float(errors) / len(batches)


def error_of(network: nn.Module, objective: Objective, held_out: Heard) -> float:
    """The error on songs that are not learned from, dropout off."""
    inputs, examples = held_out
    network.eval()
    with torch.inference_mode():
        return float(error_at(network, objective, inputs, examples, np.arange(len(examples))))


def error_at(
    network: nn.Module, objective: Objective, inputs: torch.Tensor, examples: Examples, places: np.ndarray
) -> torch.Tensor:
    """The error on some of the songs."""
    about = (torch.from_numpy(part).to(inputs.device) for part in objective.about(examples, places))
    return objective(network(inputs[torch.from_numpy(places)]), *about)

"""Training the perceptron of `mlp` with torch."""

import logging
import math

import numpy as np
import torch
from torch import nn

from deepcuts.errors import SettingError
from deepcuts.kernels.device import pick_device
from deepcuts.predict.cnn import INITIAL_STREAM
from deepcuts.predict.linear import pooled
from deepcuts.predict.losses import Objective, make_objective
from deepcuts.predict.mlp import MlpEncoder, MlpSettings, scaling_of, standardised
from deepcuts.predict.sanity import warn_if_no_better
from deepcuts.predict.train import mean_loss, own_random_numbers
from deepcuts.predict.training_set import Examples, TrainingSet
from deepcuts.progress import progress

logger = logging.getLogger(__name__)

Heard = tuple[torch.Tensor, Examples]  # standardised statistics [n_songs, n_kept] on the device, and what to learn


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

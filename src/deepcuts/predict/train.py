"""The training loop of the network."""

import contextlib
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from deepcuts.artifacts import Features
from deepcuts.errors import SettingError
from deepcuts.predict.checkpoint import TrainingState, load_training_state, save_training_state
from deepcuts.predict.cnn_settings import CnnSettings, frames_heard
from deepcuts.predict.losses import Objective
from deepcuts.predict.sanity import warn_if_no_better
from deepcuts.predict.training_set import Examples, TrainingSet
from deepcuts.predict.windows import in_memory, mean_over_windows, random_starts, read_ahead, read_windows
from deepcuts.progress import Bar, progress, step_level

logger = logging.getLogger(__name__)


def train(
    network: nn.Module,
    training_set: TrainingSet,
    objective: Objective,
    settings: CnnSettings,
    checkpoint: Path | None,
    key: str,
) -> None:
    """Fit the network in place and leave it with its best weights.

    Each epoch visits every training song once, at one random window. The validation error is of whole songs,
    predictions averaged over their windows. Without validation songs the last weights are the best.

    Args:
        objective: what to make small; on the network's device.
        checkpoint: a folder to continue from and to write after every epoch; None keeps nothing.
        key: a hash of all that determines the run.
    Raises:
        SettingError: the error is no longer a number.
    """
    device = next(network.parameters()).device
    optimiser = make_optimiser(network, settings)
    state = TrainingState() if checkpoint is None else load_training_state(checkpoint, key, network, optimiser)
    heard, songs = in_memory(training_set.features, training_set.train.songs, settings.cache_gb * 1e9)
    examples = replace(training_set.train, songs=songs)
    with progress("train", total=settings.n_epochs * len(examples), unit="window") as bar:
        bar.skip(state.n_epochs * len(examples))
        while state.n_epochs < settings.n_epochs and not run_dry(state, settings):
            with own_random_numbers(settings.seed, state.n_epochs, device) as rng:
                error = one_epoch(network, optimiser, objective, heard, examples, settings, state.n_epochs, rng, bar)
            state.n_epochs += 1
            judge(state, network, objective, training_set, settings, error, bar)
            if checkpoint is not None:
                save_training_state(checkpoint, key, state, network, optimiser)
    network.load_state_dict(state.best_weights)
    if state.best_loss is not None:
        warn_if_no_better(
            state.best_loss, mean_loss(objective, training_set.validation, next(network.parameters()).device)
        )


def run_dry(state: TrainingState, settings: CnnSettings) -> bool:
    """Whether the validation error has not fallen for `patience` epochs."""
    return bool(settings.patience) and state.n_epochs - state.best_epoch >= settings.patience


def judge(
    state: TrainingState,
    network: nn.Module,
    objective: Objective,
    training_set: TrainingSet,
    settings: CnnSettings,
    error: float,
    bar: Bar,
) -> None:
    """Measure the epoch on validation songs and remember the weights when they are the best so far."""
    if not math.isfinite(error):
        raise SettingError(f"lr = {settings.lr}: the error is {error} in epoch {state.n_epochs}. Lower lr.")
    validation = training_set.validation
    loss = None
    if len(validation):
        loss = validation_loss(network, objective, training_set.features, validation, settings)
    bar.advance(
        0,
        note=f"validation error {loss:.4f} (about 1 = the mean of all songs)"
        if loss is not None
        else f"error {error:.4f}",
    )
    suffix = "" if loss is None else f", validation {loss:.4f}"
    logger.log(step_level(), "epoch %d: error %.4f%s", state.n_epochs, error, suffix)
    if loss is None or state.best_loss is None or loss < state.best_loss:
        state.best_epoch, state.best_loss = state.n_epochs, loss
        state.best_weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def one_epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    objective: Objective,
    features: Features,
    examples: Examples,
    settings: CnnSettings,
    epoch: int,
    rng: np.random.Generator,
    bar: Bar,
) -> float:
    """Visit every song once in random order; the mean training error of the epoch."""
    device = next(network.parameters()).device
    batches = np.array_split(rng.permutation(len(examples)), math.ceil(len(examples) / settings.batch))
    starts = random_starts(features.lengths[examples.songs], settings.window, rng)
    n_steps = settings.n_epochs * len(batches)
    heard = frames_heard(settings)

    def read(places: np.ndarray) -> tuple[torch.Tensor, ...]:
        windows = read_windows(features, examples.songs[places], starts[places], heard)
        return tuple(ready(part, device) for part in (windows, *objective.about(examples, places)))

    network.train()
    errors = torch.zeros((), device=device)
    for number, batch in enumerate(read_ahead(read, batches)):
        lr = settings.lr * lr_fraction(settings.schedule, (epoch * len(batches) + number) / n_steps)
        errors += step(network, optimiser, objective, batch, settings, lr)
        bar.advance(len(batches[number]))
    return float(errors) / len(batches)


def step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    objective: Objective,
    batch: tuple[torch.Tensor, ...],
    settings: CnnSettings,
    lr: float,
) -> torch.Tensor:
    """One step of the optimiser; the error before it."""
    device = next(network.parameters()).device
    windows, *about = (part.to(device, non_blocking=True) for part in batch)
    with torch.autocast(device.type, torch.bfloat16, enabled=in_bfloat16(settings.precision, device)):
        predicted = network(windows)
    error = objective(predicted.float(), *about)
    for group in optimiser.param_groups:
        group["lr"] = lr
    optimiser.zero_grad(set_to_none=True)
    error.backward()
    if settings.clip:
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
    optimiser.step()
    return error.detach()


def predict_windows(network: nn.Module, features: Features, songs: np.ndarray, window: int) -> np.ndarray:
    """The network's answer for whole songs: the mean over all their consecutive windows.

    Dropout is off and the arithmetic is float32, whatever training used.

    Returns:
        [n_songs, n_factors] float64.
    Raises:
        InputError: a song's frames are not finite (names the song).
    Source: van den Oord et al. 2013, section 4.2.
    """
    device = next(network.parameters()).device

    def answer(windows: torch.Tensor) -> np.ndarray:
        return np.asarray(network(windows.to(device, non_blocking=True)).double().cpu().numpy())

    network.eval()
    with torch.inference_mode():
        return mean_over_windows(features, songs, window, answer, lambda windows: ready(windows, device))


def validation_loss(
    network: nn.Module, objective: Objective, features: Features, examples: Examples, settings: CnnSettings
) -> float:
    """The loss of whole songs."""
    device = next(network.parameters()).device
    predicted = predict_windows(network, features, examples.songs, settings.window)
    about = objective.about(examples, np.arange(len(examples)))
    return float(objective(*(torch.from_numpy(part).to(device) for part in (predicted, *about))))


def mean_loss(objective: Objective, examples: Examples, device: torch.device) -> float:
    """The loss on songs of answering the mean of all training songs, which is 0 in standardised factors."""
    about = [torch.from_numpy(part) for part in objective.about(examples, np.arange(len(examples)))]
    return float(objective(*(part.to(device) for part in (torch.zeros(examples.targets.shape), *about))))


def make_optimiser(network: nn.Module, settings: CnnSettings) -> torch.optim.Optimizer:
    """AdamW, or SGD with Nesterov momentum .9; fused: one walk over weights and moments in place of ten."""
    given: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay, "fused": True}
    if settings.optimiser == "sgd":
        return torch.optim.SGD(network.parameters(), momentum=0.9, nesterov=True, **given)
    return torch.optim.AdamW(network.parameters(), **given)


def lr_fraction(schedule: str, done: float) -> float:
    """What part of the highest learning rate to use when a fraction `done` in [0, 1) of all steps is made."""
    if schedule == "onecycle" and done < 0.3:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * done / 0.3)) / 2
    if schedule in ("onecycle", "cosine"):
        way_down = (done - 0.3) / 0.7 if schedule == "onecycle" else done
        return (1 + math.cos(math.pi * way_down)) / 2
    if schedule == "step":
        return 1.0 if done < 0.6 else 0.1 if done < 0.85 else 0.01
    return 1.0


@contextlib.contextmanager
def own_random_numbers(seed: int, epoch: int, device: torch.device) -> Iterator[np.random.Generator]:
    """The random numbers of one epoch, a function of seed and epoch alone; torch's own state is put back after."""
    rng = np.random.default_rng([seed, epoch])
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(rng.integers(2**62)))
        yield rng


def ready(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """An array as a tensor from which a copy to the device need not wait."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory() if device.type == "cuda" else tensor


def in_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether to learn in bfloat16: when asked to, or when the processor multiplies it fast."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    fast: Callable[[], bool] = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(fast())

"""Where training stands after an epoch, on disk: a killed run goes on as if nothing had happened.

Random numbers need no state here: each epoch draws from its own stream (seed, epoch).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file

from deepcuts import store
from deepcuts.errors import ArtifactError
from deepcuts.predict.encoder import read_arrays
from deepcuts.store import Meta, read_meta, write_meta, writing

log = logging.getLogger(__name__)

STATE = "state.safetensors"


@dataclass
class TrainingState:
    """How far training has come.

    Attributes:
        n_epochs: epochs done.
        best_epoch: the epoch (from 1) with the smallest validation error; 0 before the first.
        best_loss: that error; None before the first.
        best_weights: the network's weights then.
    """

    n_epochs: int = 0
    best_epoch: int = 0
    best_loss: float | None = None
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)


def save_training_state(
    folder: Path, key: str, state: TrainingState, network: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> None:
    """Write the folder, whole or not at all.

    Args:
        key: a hash of all that determines the run; another run will not continue from here.
    """
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in state.best_weights.items()}
    for number, values in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": value for name, value in values.items() if value is not None}
    settings = {"n_epochs": state.n_epochs, "best_epoch": state.best_epoch, "best_loss": state.best_loss}
    with writing(folder) as scratch:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, scratch / STATE)
        write_meta(scratch, Meta("checkpoint", store.fingerprint(key), {"run": key}, settings))


def load_training_state(
    folder: Path, key: str, network: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> TrainingState:
    """Put network and optimiser where the checkpoint stands; a fresh state when there is none that fits.

    A checkpoint that is damaged, or of a run with other settings or data, is named in the log and written over.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return TrainingState()
    try:
        meta = read_meta(folder, "checkpoint", verify=True)
        tensors = {name: torch.from_numpy(array) for name, array in read_arrays(folder / STATE).items()}
    except ArtifactError as error:
        log.warning("starting over: %s", error)
        return TrainingState()
    if meta.parents.get("run") != key:
        log.warning("%s: the checkpoint was written with other settings, songs or targets; starting over.", folder)
        return TrainingState()
    network.load_state_dict(under(tensors, "network."))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in under(tensors, "optimiser.").items():
        number, _, value = name.partition(".")
        state.setdefault(int(number), {})[value] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return TrainingState(best_weights=under(tensors, "best."), **meta.settings)


def under(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

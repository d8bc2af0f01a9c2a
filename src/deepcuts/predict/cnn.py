"""The convolutional encoder: the paper's network from log-mel windows to factors."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from deepcuts import store
from deepcuts.artifacts import Features
from deepcuts.errors import ArtifactError, InputError
from deepcuts.kernels.device import pick_device
from deepcuts.predict.cnn_settings import CnnSettings
from deepcuts.predict.encoder import Encoder, Provenance
from deepcuts.predict.losses import make_objective
from deepcuts.predict.network import build_network
from deepcuts.predict.onnx_network import graph_file
from deepcuts.predict.scaling import channel_scaling
from deepcuts.predict.train import own_random_numbers, predict_windows, train
from deepcuts.predict.training_set import TrainingSet
from deepcuts.progress import progress

SONGS_AT_ONCE = 512  # bounds the memory for answers of windows
INITIAL_STREAM = 2**32 - 1  # the random stream of the first weights; epochs have the streams 0, 1, ...


@dataclass(frozen=True, eq=False)
class CnnEncoder(Encoder):
    """A trained network; a song's prediction is the mean over its consecutive windows.

    Attributes:
        network: on the device that predicts.
        window: frames heard at once.
    """

    network: nn.Module
    window: int

    def predict_standardised(self, features: Features, songs: np.ndarray) -> np.ndarray:
        """Standardised predictions [n_songs, n_factors] float64."""
        heard = np.empty((len(songs), self.provenance.n_factors))
        with progress("predict", total=len(songs), unit="song") as bar:
            for start in range(0, len(songs), SONGS_AT_ONCE):
                chunk = songs[start : start + SONGS_AT_ONCE]
                heard[start : start + len(chunk)] = predict_windows(self.network, features, chunk, self.window)
                bar.advance(len(chunk))
        return heard

    def arrays(self) -> dict[str, np.ndarray]:
        """What was learned, by name."""
        return {name: tensor.cpu().numpy() for name, tensor in self.network.state_dict().items()}

    def other_forms(self) -> dict[str, bytes]:
        """The network as an ONNX graph, so that it predicts without torch."""
        return graph_file(self.provenance, self.arrays())


def build_cnn(provenance: Provenance, arrays: dict[str, np.ndarray]) -> CnnEncoder:
    """The encoder from its arrays, on CUDA where there is one, wherever it was trained.

    Raises:
        ArtifactError: the arrays do not fit the settings.
    """
    settings = CnnSettings(**provenance.settings)
    blank = np.ones(provenance.n_channels)
    with own_random_numbers(0, INITIAL_STREAM, torch.device("cpu")):  # leaves torch's own random state alone
        network = build_network(settings, blank, blank, provenance.n_factors)
    try:
        network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except RuntimeError as error:
        raise ArtifactError(f"encoder: its weights do not fit its settings ({error}). Fit it again.") from error
    return CnnEncoder(provenance, network.to(pick_device("auto")), settings.window)


def fit_cnn(training_set: TrainingSet, settings: CnnSettings, checkpoint: Path | None) -> CnnEncoder:
    """Train the network.

    Args:
        checkpoint: a folder to continue from and to write after every epoch; None keeps nothing.
    Raises:
        InputError: the features have one frame a song, so there is nothing to convolve over.
        ArtifactError: the checkpoint belongs to another run.
        SettingError: the device is not there, or the error is no longer a number.
    Source: van den Oord et al. 2013, sections 4.2 and 4.3.
    """
    if training_set.features.one_frame:
        raise InputError("pooled features have one frame a song: use linear, mlp, trees or kernel, not cnn.")
    device = pick_device(settings.device)
    mean, scale = channel_scaling(training_set.features, training_set.train.songs)
    with own_random_numbers(settings.seed, INITIAL_STREAM, torch.device("cpu")):
        network = build_network(settings, mean, scale, training_set.provenance.n_factors).to(device)
    objective = make_objective(training_set, precondition=settings.precondition, device=device, dtype=torch.float32)
    train(network, training_set, objective, settings, checkpoint, run_key(training_set, mean))
    objective.fold_in_basis(network)
    return CnnEncoder(training_set.provenance, network, settings.window)


def run_key(training_set: TrainingSet, mean: np.ndarray) -> str:
    """A hash of all that determines a run: settings, songs, sound, targets, and users and plays where the loss asks."""
    parts = [] if training_set.users is None else [training_set.users]
    for e in (training_set.train, training_set.validation):
        parts += [e.songs, e.targets, e.weights]
        if e.surplus is not None:
            parts += [e.surplus.indptr, e.surplus.indices, e.surplus.data]
    return store.fingerprint(repr(training_set.provenance.settings), training_set.features.fingerprint, mean, *parts)

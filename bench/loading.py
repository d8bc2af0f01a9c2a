"""Learning from features on disk against the same steps on batches that are in memory already.

    OMP_NUM_THREADS=2 python bench/loading.py

Ours is an epoch as `deepcuts predict fit` runs it: windows cut at random from a memory-mapped file (which the system
has in its cache after the first epoch), put into batches and read ahead by a thread. Theirs is the same steps on the
same batches, made beforehand.
"""

import dataclasses
import math
import tempfile
from pathlib import Path

import numpy as np
import torch

from deepcuts.artifacts import Features, Vocabulary
from deepcuts.predict.cnn_settings import CnnSettings, frames_heard
from deepcuts.predict.losses import Mse
from deepcuts.predict.network import build_network
from deepcuts.predict.train import lr_fraction, make_optimiser, one_epoch, ready, step
from deepcuts.predict.training_set import Examples
from deepcuts.predict.windows import random_starts, read_windows
from deepcuts.progress import Bar
from sides import Row, alternate, main, row, threads

N_CHANNELS, N_FACTORS, N_FRAMES = 128, 50, 1247  # 29 seconds


def made_features(folder: Path, n_songs: int) -> Features:
    """Noise of the size of log-mel frames of 29 seconds, saved and opened again: mapped."""
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((n_songs * N_FRAMES, N_CHANNELS), dtype=np.float32).astype(np.float16)
    starts = np.arange(n_songs + 1, dtype=np.int64) * N_FRAMES
    songs = Vocabulary([f"song{i}" for i in range(n_songs)])
    Features(songs, frames, starts, "logmel", {"frame_rate": 43.0}).save(folder)
    return Features.load(folder)


class Learner:
    """A network and its optimiser, the same at the beginning for all."""

    def __init__(self, settings: CnnSettings) -> None:
        torch.manual_seed(0)
        self.network = build_network(settings, np.zeros(N_CHANNELS), np.ones(N_CHANNELS), N_FACTORS)
        self.optimiser, self.objective = make_optimiser(self.network, settings), Mse(N_FACTORS)
        self.settings = settings

    def from_disk(self, features: Features, examples: Examples, n_epochs: int) -> None:
        """Epochs of the library."""
        given = (self.network, self.optimiser, self.objective, features, examples, self.settings)
        for epoch in range(n_epochs):
            one_epoch(*given, epoch, np.random.default_rng(0), Bar("train", None, "window"))

    def from_memory(self, batches: list[tuple[torch.Tensor, ...]], n_epochs: int) -> None:
        """The same steps."""
        self.network.train()
        n_steps = self.settings.n_epochs * len(batches)
        for number in range(n_epochs * len(batches)):
            lr = self.settings.lr * lr_fraction(self.settings.schedule, number / n_steps)
            batch = batches[number % len(batches)]
            step(self.network, self.optimiser, self.objective, batch, self.settings, lr)

    def weights(self) -> torch.Tensor:
        """All of them in a row."""
        return torch.cat([weight.detach().flatten() for weight in self.network.parameters()])


def all_batches(features: Features, examples: Examples, settings: CnnSettings) -> list[tuple[torch.Tensor, ...]]:
    """The batches of an epoch, drawn as one_epoch draws them."""
    rng = np.random.default_rng(0)
    places = np.array_split(rng.permutation(len(examples)), math.ceil(len(examples) / settings.batch))
    starts = random_starts(features.lengths[examples.songs], settings.window, rng)
    device, heard, objective = torch.device("cpu"), frames_heard(settings), Mse(N_FACTORS)
    return [
        tuple(
            ready(part, device)
            for part in (
                read_windows(features, examples.songs[some], starts[some], heard),
                *objective.about(examples, some),
            )
        )
        for some in places
    ]


def compare(features: Features, settings: CnnSettings, repeats: int) -> Row:
    """One row: seconds a window; both must end with the same weights."""
    n = len(features.songs)
    targets = np.random.default_rng(1).standard_normal((n, N_FACTORS)).astype(np.float32)
    examples = Examples(np.arange(n), targets, np.ones(n, np.float32))
    batches = all_batches(features, examples, settings)
    ours, theirs = Learner(settings), Learner(settings)
    disk, memory = alternate(
        lambda: ours.from_disk(features, examples, 1), lambda: theirs.from_memory(batches, 1), repeats
    )
    if not torch.equal(ours.weights(), theirs.weights()):
        raise AssertionError("the weights learned from disk and from memory differ")
    return row(
        f"learning from disk, {n} songs of {N_FRAMES} frames x {N_CHANNELS}, {settings.precision}",
        [seconds / n for seconds in disk],
        [seconds / n for seconds in memory],
        against="the same steps on batches in memory",
        must=1 / 0.95,
        unit="s a window",
        note="same weights to the bit; the file is in the system's cache",
    )


def measure(quick: bool) -> list[Row]:
    torch.set_num_threads(threads())
    with tempfile.TemporaryDirectory() as folder:
        features = made_features(Path(folder) / "mel", 512 if quick else 2048)
        return [
            compare(features, dataclasses.replace(CnnSettings(), precision=precision), 5 if quick else 9)
            for precision in ("float32", "bfloat16")
        ]


if __name__ == "__main__":
    main(measure, __doc__)

"""Prediction in tasks: each hears some songs with an encoder that it has loaded itself.

Encoder and features are named by their folders, which must lie on a disk that all nodes share: a task maps the frames
of its own songs and no others. Predictions are those of one machine to rounding, for a matrix product of fewer songs
may be added up in another order.
"""

from functools import cache, partial
from pathlib import Path

import numpy as np

from deepcuts.artifacts import Features
from deepcuts.cluster.tasks import Cluster
from deepcuts.errors import ArtifactError, ResourceError
from deepcuts.predict import Encoder, load_encoder
from deepcuts.predict.fit import Predict
from deepcuts.progress import progress
from deepcuts.store import read_meta

SONGS_A_TASK = 4096  # at most
TASKS_A_WORKER = 8  # so that workers finish together


def ray_predict(cluster: Cluster, encoder: Path, features: Path) -> Predict:
    """What `predict_songs` takes as `predict` to run on a cluster.

    Args:
        cluster: from `running`.
        encoder, features: the folders of what `predict_songs` is given.
    """
    return partial(_predict, cluster, encoder.absolute(), features.absolute())


def _predict(
    cluster: Cluster, folder: Path, sounds: Path, encoder: Encoder, features: Features, songs: np.ndarray
) -> np.ndarray:
    marks = tuple(read_meta(path, kind).fingerprint for path, kind in ((folder, "encoder"), (sounds, "features")))
    step = min(max(-(-len(songs) // (TASKS_A_WORKER * cluster.n_workers)), 1), SONGS_A_TASK)
    firsts = range(0, len(songs), step)
    predicted = np.empty((len(songs), encoder.provenance.n_factors), np.float32)
    calls = ((folder, sounds, marks, songs[first : first + step]) for first in firsts)
    with progress("predict", total=len(songs), unit="song") as bar:
        for task, part in cluster.run(predict_part, calls):
            predicted[firsts[task] : firsts[task] + len(part)] = part
            bar.advance(len(part))
    return predicted


def predict_part(encoder: Path, features: Path, marks: tuple[str, str], songs: np.ndarray) -> np.ndarray:
    """A task: predicted factors [n, n_factors] of songs at positions.

    Raises:
        ResourceError: the folders are not those of the driver.
        InputError: a song has no frames, or values that are not finite.
    """
    heard, listening = _opened(encoder, features, marks)
    return listening.predict(heard, np.array(songs))


@cache
def _opened(encoder: Path, features: Path, marks: tuple[str, str]) -> tuple[Features, Encoder]:
    """Features and encoder, opened once in a process."""
    for path, kind, mark in ((encoder, "encoder", marks[0]), (features, "features", marks[1])):
        try:
            found = read_meta(path, kind).fingerprint
        except ArtifactError:
            found = ""
        if found != mark:
            raise ResourceError(
                f"{path}: not seen by a worker as by the driver. With --on, encoder and features must lie on a disk "
                "that all nodes share."
            )
    return Features.load(features), load_encoder(encoder)

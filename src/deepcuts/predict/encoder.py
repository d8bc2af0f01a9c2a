"""What every encoder is: a learned map from how a song sounds to latent factors, saved as plain arrays."""

import errno
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from deepcuts import store
from deepcuts.artifacts import Features, Lineage
from deepcuts.errors import ArtifactError, InputError
from deepcuts.store import Meta, read_meta, write_file, write_meta, writing

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, eq=False)
class Provenance:
    """Where an encoder comes from, and the scale of what it answers.

    Attributes:
        name: a key of ENCODERS.
        settings: that made the encoder, as a plain dict.
        feature_kind, feature_settings, n_channels: the features it learned from, the only ones it understands.
        target_mean: [n_factors] float64, mean target of the training songs.
        target_scale: one number for all factors, so that the squared error keeps the paper's proportions (eq. 4).
        lineage: the factor space it predicts into, and every song whose plays or sound shaped it.
        error: (a, b, c), measured on songs not learned from: what a prediction is expected to err by, squared and a
            factor; None where no songs could tell. See `uncertainty.calibrate`.
    """

    name: str
    settings: Mapping[str, Any]
    feature_kind: str
    feature_settings: Mapping[str, Any]
    n_channels: int
    target_mean: np.ndarray
    target_scale: float
    lineage: Lineage
    error: np.ndarray | None = None

    @property
    def n_factors(self) -> int:
        """How many latent factors are predicted."""
        return len(self.target_mean)


@dataclass(frozen=True, eq=False)
class Encoder(ABC):
    """Predicts latent factors from sound. What is learned differs from kind to kind; all of it is arrays."""

    provenance: Provenance

    @abstractmethod
    def predict_standardised(self, features: Features, songs: np.ndarray) -> np.ndarray:
        """Standardised predictions (y - target_mean) / target_scale [n_songs, n_factors] of songs at positions."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """All that was learned, by name."""

    def other_forms(self) -> dict[str, bytes]:
        """Files saved beside the arrays for programs that cannot read these, by name; most encoders have none."""
        return {}

    def predict(self, features: Features, songs: np.ndarray) -> np.ndarray:
        """Predicted factors y'_i = target_mean + target_scale * heard_i.

        Args:
            features: made exactly as those the encoder learned from.
            songs: positions in `features` [n_songs], in any order.
        Returns:
            y' [n_songs, n_factors] float32.
        Raises:
            ArtifactError: the features are of another kind or made with other settings.
            InputError: a song has no frames, or values that are not finite.
        """
        check_recipe(self.provenance, features)
        songs = np.asarray(songs, dtype=np.int64)
        check_frames(features, songs)
        if not len(songs):
            return np.empty((0, self.provenance.n_factors), dtype=np.float32)
        heard = np.asarray(self.predict_standardised(features, songs), dtype=np.float64)
        predicted = self.provenance.target_mean + self.provenance.target_scale * heard
        check_heard(features, songs, predicted)
        return predicted.astype(np.float32)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what was learned and of the scale of the answers."""
        learned = [part for name, array in sorted(self.arrays().items()) for part in (name, array)]
        error = () if self.provenance.error is None else self.provenance.error
        scale = np.concatenate([self.provenance.target_mean, [self.provenance.target_scale], error])
        return store.fingerprint(self.provenance.name, scale, *learned)

    def save(self, folder: Path | str) -> None:
        """Write the folder, whole or not at all."""
        provenance = self.provenance
        arrays = {
            **self.arrays(),
            "target.mean": provenance.target_mean,
            "target.scale": np.array(provenance.target_scale),
        }
        if provenance.error is not None:
            arrays["target.error"] = provenance.error
        settings = {
            "encoder": provenance.name,
            "settings": dict(provenance.settings),
            "features": {"kind": provenance.feature_kind, **provenance.feature_settings},
        }
        shape = {"n_factors": provenance.n_factors, "n_channels": provenance.n_channels}
        with writing(folder) as scratch:
            write_arrays(arrays, scratch / WEIGHTS)
            for name, content in self.other_forms().items():
                write_file(scratch / name, content)
            record = provenance.lineage.save(scratch)
            parents = provenance.lineage.parents
            write_meta(scratch, Meta("encoder", self.fingerprint, parents, settings, shape, lineage=record))


def read_encoder(folder: Path | str) -> tuple[Provenance, dict[str, np.ndarray], str]:
    """What `Encoder.save` wrote: the provenance, the learned arrays and the fingerprint they must have.

    Raises:
        ArtifactError: missing, half-written, damaged or of another kind.
    """
    folder = Path(folder)
    with store.content_of(folder):
        meta = read_meta(folder, "encoder")
        arrays = read_arrays(folder / WEIGHTS)
        made_from = dict(meta.settings["features"])
        provenance = Provenance(
            name=str(meta.settings["encoder"]),
            settings=meta.settings["settings"],
            feature_kind=str(made_from.pop("kind")),
            feature_settings=made_from,
            n_channels=meta.shape["n_channels"],
            target_mean=arrays.pop("target.mean"),
            target_scale=float(arrays.pop("target.scale")),
            lineage=Lineage.load(folder, meta.lineage, meta.parents),
            error=arrays.pop("target.error", None),
        )
        return provenance, arrays, meta.fingerprint


def write_arrays(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Write a safetensors file.

    Raises:
        OSError: the disk is full, as any other file would say.
    """
    try:
        save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, path)
    except SafetensorError as error:
        full = "os error 28" in str(error) or "No space" in str(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, by name.

    Raises:
        ArtifactError: the file is damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtifactError(f"{path}: damaged ({error}). Make the artifact again.") from error


def check_recipe(provenance: Provenance, features: Features) -> None:
    """Refuse features that are not made as the encoder's own were; the message names the setting that differs.

    Raises:
        ArtifactError: other kind, settings or number of channels.
    """
    advice = "Make the features as the encoder's were, or fit a new encoder."
    if features.kind != provenance.feature_kind:
        raise ArtifactError(
            f"features: kind {features.kind!r}, the encoder learned from {provenance.feature_kind!r}. {advice}"
        )
    own, theirs = as_json(provenance.feature_settings), as_json(features.settings)
    for name in sorted({*own, *theirs}):
        if own.get(name) != theirs.get(name):
            found, wanted = theirs.get(name, "nothing"), own.get(name, "nothing")
            raise ArtifactError(f"features: {name} = {found!r}, the encoder learned from {name} = {wanted!r}. {advice}")
    if features.n_channels != provenance.n_channels:
        found_channels = f"{features.n_channels} channels, the encoder learned from {provenance.n_channels}"
        raise ArtifactError(f"features: {found_channels}. {advice}")


def as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they read back from meta.json (tuples become lists)."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    return plain


def check_frames(features: Features, songs: np.ndarray) -> None:
    """Refuse songs without a single frame, naming the first.

    Raises:
        InputError: a song has no frames.
    """
    empty = songs[features.lengths[songs] == 0]
    if len(empty):
        raise InputError(
            f"features of song {features.songs[empty[0]]!r}: no frames ({len(empty)} of {len(songs)} songs have none). "
            "Leave these songs out, or make their features again."
        )


def check_heard(features: Features, songs: np.ndarray, rows: np.ndarray) -> None:
    """Refuse rows [n_songs, any] computed from features when one is not finite, naming the song.

    Raises:
        InputError: a song's frames hold NaN or infinity.
    """
    bad = ~np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))
    if bad.any():
        first = features.songs[songs[np.flatnonzero(bad)[0]]]
        raise InputError(
            f"features of song {first!r}: not finite ({int(bad.sum())} of {len(songs)} songs are not). "
            "Leave these songs out, or make their features again."
        )

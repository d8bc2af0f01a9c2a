"""One sound file to predicted factors: whole, and window by window."""

import dataclasses
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from deepcuts.artifacts import Features, SongFactors, Vocabulary
from deepcuts.audio import FEATURES, PoolSettings, pool_features
from deepcuts.audio.extract import extract
from deepcuts.errors import InputError
from deepcuts.predict import load_encoder, predict_songs
from deepcuts.predict.encoder import Encoder

POOLED = "pooled-"
SECONDS, STEP = 6.0, 3.0  # of the windows that tell which part of a song speaks for it


@dataclass(frozen=True)
class Recipe:
    """How features are made for an encoder.

    Attributes:
        kind: a key of FEATURES.
        settings: of that kind.
        pooled: settings of pooling; None for encoders that take frames.
    """

    kind: str
    settings: Any
    pooled: PoolSettings | None = None


def recipe_of(encoder: Encoder) -> Recipe:
    """The feature recipe of an encoder.

    Raises:
        InputError: it learned from features that are not made from sound files.
    """
    kind, record = encoder.provenance.feature_kind, dict(encoder.provenance.feature_settings)
    pooled = None
    if kind.startswith(POOLED):
        pooled, kind, record = PoolSettings(int(record.get("n_cov", 0))), kind.removeprefix(POOLED), record["of"]
    if kind not in FEATURES:
        raise InputError(f"the encoder learned from {kind!r} features, which are not made from sound files.")
    return Recipe(kind, _settings_of(kind, record), pooled)


def _settings_of(kind: str, record: Mapping[str, Any]) -> Any:
    names = {field.name for field in dataclasses.fields(FEATURES[kind].settings)}
    return FEATURES[kind].settings(**{name: value for name, value in record.items() if name in names})


@dataclass(frozen=True)
class Heard:
    """A sound file, heard.

    Attributes:
        song: its predicted factors, one row.
        seconds: of sound.
        starts: seconds at which the windows begin [n_windows].
        windows: predicted factors of each window [n_windows, n_factors].
        frames: log-mel or other frames [n_frames, n_channels], for a picture.
    """

    song: SongFactors
    seconds: float
    starts: np.ndarray
    windows: np.ndarray
    frames: np.ndarray


class Hearing:
    """An encoder that hears sound files.

    Args:
        encoder: fitted.
        isolated: decode in a process of its own, which a bad file may crash.
    """

    def __init__(self, encoder: Encoder, *, isolated: bool = False) -> None:
        self.encoder, self.recipe, self.isolated = encoder, recipe_of(encoder), isolated

    @staticmethod
    def load(folder: Path | str, *, isolated: bool = False) -> "Hearing":
        """From the folder of an encoder; a network predicts with onnxruntime where that is installed."""
        return Hearing(load_encoder(folder, light=True), isolated=isolated)

    def __call__(self, path: Path | str) -> SongFactors:
        """Predicted factors of one sound file, one row.

        Raises:
            InputError: no such file, or one that gives no sound (says why).
        """
        return predict_songs(self.encoder, self._pooled(self.features(path)))

    def features(self, path: Path | str) -> Features:
        """Frames of one sound file.

        Raises:
            InputError: as above.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: no such file.")
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "features"
            extract([path], self.recipe.kind, self.recipe.settings, folder, jobs=1, isolated=self.isolated)
            made = Features.load(folder)
            return dataclasses.replace(made, frames=np.array(made.frames))

    def heard(self, path: Path | str) -> Heard:
        """Predicted factors of a sound file, and of its windows: which seconds say what."""
        features = self.features(path)
        rate = float(features.settings.get("frame_rate", 1.0))
        n, length, step = len(features.frames), max(int(SECONDS * rate), 1), max(int(STEP * rate), 1)
        starts = np.arange(0, max(n - length, 0) + 1, step)
        pieces = [features.frames[start : start + length] for start in starts]
        bounds = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])])
        names = Vocabulary([f"window {at}" for at in range(len(starts))])
        windows = dataclasses.replace(features, songs=names, frames=np.concatenate(pieces), starts=bounds)
        vectors = predict_songs(self.encoder, self._pooled(windows)).vectors
        song = predict_songs(self.encoder, self._pooled(features))
        return Heard(song, n / rate, starts / rate, vectors, features.frames)

    def _pooled(self, features: Features) -> Features:
        return features if self.recipe.pooled is None else pool_features(features, self.recipe.pooled)


def seconds_that_matter(heard: Heard, towards: np.ndarray) -> pl.DataFrame:
    """Which windows of a song speak for it: their score against a vector, less that of the whole song.

    Args:
        towards: x_u of a listener, or the vector of another song [n_factors].
    Returns:
        start · end (seconds) · score · above (score less the mean of all windows), in the order of time.
    """
    scores = heard.windows @ towards
    return pl.DataFrame(
        {
            "start": heard.starts,
            "end": np.minimum(heard.starts + SECONDS, heard.seconds),
            "score": scores,
            "above": scores - scores.mean(),
        }
    )

"""The ways to extract features from a file: one line each in `FEATURES`."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts.audio.decode import SoundFacts
from deepcuts.audio.echonest import EchonestSettings, extract_echonest
from deepcuts.audio.logmel import FrameStream, LogMelSettings, extract_logmel, stream_logmel
from deepcuts.audio.mfcc import MfccSettings, extract_mfcc, stream_mfcc
from deepcuts.checks import did_you_mean
from deepcuts.errors import SettingError

# fmt: off
SOUND_SUFFIXES = (
    ".mp3", ".flac", ".ogg", ".oga", ".opus", ".wav", ".wave", ".aif", ".aiff", ".aifc", ".m4a", ".m4b", ".mp4",
    ".aac", ".wma", ".wv", ".ape", ".mka", ".au", ".snd", ".caf", ".webm", ".mkv", ".mov", ".mp1", ".mp2", ".mpga",
    ".w64", ".rf64", ".bwf", ".ac3", ".eac3", ".dts", ".tta", ".spx", ".mpc", ".tak", ".shn", ".amr", ".3gp", ".3g2",
    ".m4r", ".m4v", ".ogv", ".ogx", ".avi", ".flv", ".mpg", ".mpeg", ".m2ts", ".vob", ".wmv", ".asf", ".ra",
    ".rm", ".dsf", ".dff", ".voc", ".adts", ".oma", ".thd", ".truehd", ".mlp", ".gsm", ".qoa", ".sph",
)
# fmt: on
# Changes whenever the same file and settings would give other frames, so that old results are not reused.
RECIPE_VERSION = 2
LIMITS = ("min_rate", "max_hours")  # settings that refuse files, and change no frame of the others


@dataclass(frozen=True)
class Extractor:
    """How one kind of features is extracted.

    Attributes:
        settings: the frozen dataclass of its settings; has `frame_rate` and `n_channels`.
        suffixes: of the files it takes from a folder, lower case.
        extract: (path, settings) → float32 frames [n_frames, n_channels], seconds of sound, facts of the file;
            raises BadSound for a file that gives none.
        stream: the same frames by blocks, for sounds of any length; None: `extract` gives them at once.
    """

    settings: type
    suffixes: tuple[str, ...]
    extract: Callable[[Path, Any], tuple[np.ndarray, float, SoundFacts]]
    stream: Callable[[Path, Any], FrameStream] | None = None

    def frames(self, path: Path | str, settings: Any) -> np.ndarray:
        """Frames of one file, float32 [n_frames, n_channels]."""
        return self.extract(Path(path), settings)[0]


FEATURES: dict[str, Extractor] = {
    "logmel": Extractor(LogMelSettings, SOUND_SUFFIXES, extract_logmel, stream_logmel),
    "mfcc": Extractor(MfccSettings, SOUND_SUFFIXES, extract_mfcc, stream_mfcc),
    "echonest": Extractor(EchonestSettings, (".h5", ".hdf5"), extract_echonest),
}


def find_extractor(kind: str) -> Extractor:
    """The extractor of a kind of features.

    Raises:
        SettingError: unknown kind.
    """
    if kind not in FEATURES:
        raise SettingError(f"features {kind!r}: unknown kind.{did_you_mean(kind, FEATURES)}")
    return FEATURES[kind]


def recipe_settings(settings: Any) -> Mapping[str, Any]:
    """The settings as features record them: with the frame rate (Hz), the channels and the version of the recipe.

    Limits are left out: features made with others may be mixed.
    """
    derived = {"frame_rate": settings.frame_rate, "n_channels": settings.n_channels, "recipe_version": RECIPE_VERSION}
    own = {name: value for name, value in asdict(settings).items() if name not in LIMITS}
    return {**own, **derived}

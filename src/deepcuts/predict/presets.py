"""Settings with a name: the paper's system, and what has replaced it.

    paper   the network of the paper, with its loss and targets as they stand there
    small   ridge regression on statistics of timbre and rhythm: seconds, for a first look
    best    what ranks never-played songs best by the measurements of docs/quality.md

`best` depends on the features, for nothing else can be known before learning: frames (log-mel, MFCC) take the encoder
"relevance", tables with one row a song take "stack".
"""

from deepcuts.artifacts import Features
from deepcuts.checks import did_you_mean
from deepcuts.errors import InputError, SettingError
from deepcuts.predict.cnn_settings import CnnSettings
from deepcuts.predict.relevance import RelevanceSettings
from deepcuts.predict.stack import StackSettings
from deepcuts.predict.targets import EncoderSettings

PRESETS: dict[str, tuple[str, EncoderSettings]] = {
    "paper": ("cnn", CnnSettings()),
    "small": ("relevance", RelevanceSettings(weight_listeners=100, n_rounds=0)),
    "best": ("relevance", RelevanceSettings(weight_listeners=100)),
}
BEST_OF_TABLES: tuple[str, EncoderSettings] = ("stack", StackSettings(weight_listeners=30))


def encoder_of_preset(preset: str, features: Features) -> tuple[str, EncoderSettings]:
    """The name of the encoder and its settings.

    Raises:
        SettingError: no such preset ("Did you mean").
        InputError: the preset needs frames, and the features have one row a song.
    """
    if preset not in PRESETS:
        raise SettingError(f"--preset {preset!r}: unknown.{did_you_mean(preset, PRESETS)}")
    if not features.one_frame:
        return PRESETS[preset]
    if preset == "paper":
        raise InputError("preset 'paper' needs frames, such as log-mel; these features have one row a song.")
    return BEST_OF_TABLES

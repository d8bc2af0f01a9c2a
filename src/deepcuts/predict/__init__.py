"""From sound to factors: learn it from songs with plays, predict it for songs without.

    encoder = fit_encoder("cnn", features, factors)
    predicted = predict_songs(encoder, features)

A new encoder is one file and one line in ENCODERS. torch lives in this stage only, and is loaded only to learn
a network, or to let one predict where onnxruntime does not.
"""

from deepcuts.predict.cnn_settings import CnnSettings
from deepcuts.predict.encoder import Encoder, Provenance
from deepcuts.predict.fit import (
    ENCODERS,
    EncoderKind,
    average_predictions,
    fit_encoder,
    learns_from_all,
    load_encoder,
    predict_songs,
)
from deepcuts.predict.kernel import KernelEncoder, KernelSettings
from deepcuts.predict.linear import LinearEncoder, LinearSettings
from deepcuts.predict.mlp import MlpEncoder, MlpSettings
from deepcuts.predict.presets import PRESETS, encoder_of_preset
from deepcuts.predict.relevance import RelevanceEncoder, RelevanceSettings
from deepcuts.predict.stack import StackSettings
from deepcuts.predict.targets import LOSS_NAMES, EncoderSettings, NetworkSettings
from deepcuts.predict.trees import TreesEncoder, TreesSettings
from deepcuts.predict.wpe import weighted_prediction_error

__all__ = [
    "ENCODERS",
    "LOSS_NAMES",
    "PRESETS",
    "CnnSettings",
    "Encoder",
    "EncoderKind",
    "EncoderSettings",
    "KernelEncoder",
    "KernelSettings",
    "LinearEncoder",
    "LinearSettings",
    "MlpEncoder",
    "MlpSettings",
    "NetworkSettings",
    "Provenance",
    "RelevanceEncoder",
    "RelevanceSettings",
    "StackSettings",
    "TreesEncoder",
    "TreesSettings",
    "average_predictions",
    "encoder_of_preset",
    "fit_encoder",
    "learns_from_all",
    "load_encoder",
    "predict_songs",
    "weighted_prediction_error",
]

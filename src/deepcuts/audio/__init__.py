"""From sound to frames: sound files (or the Million Song Dataset's analyses) in, `Features` out.

    extract.extract     a folder of files → the Features artifact, on all cores, resumable, bad files set aside
    decode.decode       any sound file → mono samples; decode.stream in blocks
    logmel.logmel       samples → log-mel frames
    mfcc                samples → MFCC frames
    echonest            an MSD analysis → frames
    bagofwords          frames → counts of words

Functions are imported from their modules: `from deepcuts.audio.extract import extract`.
"""

from deepcuts.audio.decode import BadSound, SoundFacts
from deepcuts.audio.echonest import EchonestSettings
from deepcuts.audio.extract import ExtractReport
from deepcuts.audio.extractors import FEATURES, Extractor
from deepcuts.audio.logmel import LogMelSettings
from deepcuts.audio.mfcc import MfccSettings
from deepcuts.audio.pooled import PoolSettings, pool_features

__all__ = [
    "FEATURES",
    "BadSound",
    "EchonestSettings",
    "ExtractReport",
    "Extractor",
    "LogMelSettings",
    "MfccSettings",
    "PoolSettings",
    "SoundFacts",
    "pool_features",
]

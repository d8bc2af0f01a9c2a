"""MFCC: the shape of the spectrum in 13 numbers a frame, with their first and second differences (section 4.1).

Conventions: librosa's (mel bands of Slaney, power, decibels relative to 1 with a floor 80 dB below the clip's loudest
band, orthonormal cosine transform, C0 kept). No padding: a frame begins at every hop that still holds a whole window.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.fft import dct

from deepcuts.audio.decode import BadSound, SoundFacts
from deepcuts.audio.logmel import LogMelSettings, hear_logmel, mel_spectrogram
from deepcuts.config import require
from deepcuts.errors import InputError

QUIETEST = 1e-10  # power that digital silence is given: -100 dB
# So little that log(1 + C mel) is a straight line: `hear_logmel` then gives energies, to the last digits of float32.
NO_COMPRESSION = 1e-6


@dataclass(frozen=True)
class MfccSettings:
    """How MFCC are made.

    Attributes:
        rate: samples a second.
        window, hop: of a frame, in samples.
        n_mfcc: coefficients kept, C0 first.
        n_bands: mel bands they are made of.
        top_db: how far below the clip's loudest band the floor lies, in dB; none for no floor but -100 dB.
        differences: "simple": x[t] - x[t - 1], the paper's word; or "regression": slope of a line (and curvature of
            a parabola) fitted to `width` frames, as librosa and HTK do; or "none".
        width: frames of the fit, odd, at least 3.
        min_seconds: shorter songs are set aside.
        max_seconds: take no more than this of each file; none takes all. The paper's clips are 29 s.
        clip: where a shorter clip is taken: "start" or "middle".
    """

    rate: int = 22050
    window: int = 1024
    hop: int = 512
    n_mfcc: int = 13
    n_bands: int = 128
    top_db: float | None = 80.0
    differences: str = "simple"
    width: int = 9
    min_seconds: float = 3.0
    max_seconds: float | None = None
    clip: str = "start"

    def __post_init__(self) -> None:
        require(1 <= self.n_mfcc <= self.n_bands, "n_mfcc", self.n_mfcc, f"1 to n_bands = {self.n_bands}")
        require(self.top_db is None or self.top_db > 0, "top_db", self.top_db, "a positive number of dB, or none")
        allowed = ("simple", "regression", "none")
        require(self.differences in allowed, "differences", self.differences, " or ".join(map(repr, allowed)))
        require(self.width >= 3 and self.width % 2 == 1, "width", self.width, "an odd number of at least 3")
        self.mel_settings()  # refuses the settings that are the spectrogram's

    def mel_settings(self) -> LogMelSettings:
        """The mel spectrogram underneath: power, no compression."""
        return LogMelSettings(
            rate=self.rate,
            window=self.window,
            hop=self.hop,
            n_bands=self.n_bands,
            compression=NO_COMPRESSION,
            min_seconds=self.min_seconds,
            max_seconds=self.max_seconds,
            clip=self.clip,
        )

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.rate / self.hop

    @property
    def n_channels(self) -> int:
        """Numbers in a frame: 39 by default."""
        return self.n_mfcc * (1 if self.differences == "none" else 3)


def mfcc_frames(samples: np.ndarray, settings: MfccSettings = MfccSettings()) -> np.ndarray:
    """MFCC of a clip with first and second differences: [c | Δc | ΔΔc] in each frame.

    Args:
        samples: mono [n_samples], at `settings.rate`, full scale ±1.
    Returns:
        frames [n_frames, n_channels] float32; n_frames = 1 + (n_samples - window) // hop, 0 for less than a window.
    Raises:
        InputError: too short for the fit of regression differences.
    Source: van den Oord et al. 2013, section 4.1.
    """
    return with_differences(mel_spectrogram(samples, settings.mel_settings()), settings)


def hear_mfcc(path: Path | str, settings: MfccSettings) -> tuple[np.ndarray, float, SoundFacts]:
    """MFCC frames of a sound file, streamed.

    Returns:
        float32 [n_frames, n_channels], the seconds of sound they are made of, and the facts of the file.
    Raises:
        BadSound: unreadable, silent or too short.
    """
    squeezed, seconds, facts = hear_logmel(path, settings.mel_settings())
    mel = np.expm1(squeezed) / np.float32(NO_COMPRESSION)
    try:
        return with_differences(mel, settings), seconds, facts
    except InputError as error:
        raise BadSound(path, "too short", str(error)) from error


def with_differences(mel: np.ndarray, settings: MfccSettings) -> np.ndarray:
    """MFCC frames [n_frames, n_channels] of a mel spectrogram [n_frames, n_bands]."""
    coefficients = mfcc(mel, settings.n_mfcc, settings.top_db)
    if settings.differences == "none":
        return coefficients
    if settings.differences == "simple":
        first = simple_difference(coefficients)
        second = simple_difference(first)
    else:
        first = regression_difference(coefficients, settings.width, order=1)
        second = regression_difference(coefficients, settings.width, order=2)
    return np.concatenate([coefficients, first, second], axis=1)


def mfcc(mel: np.ndarray, n_mfcc: int = MfccSettings.n_mfcc, top_db: float | None = MfccSettings.top_db) -> np.ndarray:
    """Cosine transform of the mel bands in decibels.

        c = DCT-II(10 log10 max(mel, 1e-10, loudest · 10^(-top_db/10))), orthonormal

    Args:
        mel: power in each band [n_frames, n_bands], ≥ 0.
        top_db: distance of the floor below the loudest value of `mel`, in dB; None for none.
    Returns:
        c [n_frames, n_mfcc] float32, C0 first.
    Source: Davis & Mermelstein 1980; conventions of librosa.feature.mfcc.
    """
    decibels = 10 * np.log10(np.maximum(mel, np.float32(QUIETEST)))
    if top_db is not None and decibels.size:
        decibels = np.maximum(decibels, decibels.max() - np.float32(top_db))
    return dct(decibels, type=2, norm="ortho", axis=1)[:, :n_mfcc].astype(np.float32)


def simple_difference(frames: np.ndarray) -> np.ndarray:
    """Change since the frame before: Δx[t] = x[t] - x[t - 1], Δx[0] = 0.

    Args:
        frames: [n_frames, n_channels].
    Returns:
        Δx [n_frames, n_channels].
    """
    return np.diff(frames, axis=0, prepend=frames[:1])


def regression_difference(frames: np.ndarray, width: int, order: int) -> np.ndarray:
    """Derivative of a polynomial of degree `order` fitted to `width` frames around each one.

    At both ends the polynomial of the outermost `width` frames is read off where the frame lies (librosa's "interp").

    Args:
        frames: [n_frames, n_channels], at least `width` frames.
        order: 1 for the slope, 2 for the curvature.
    Returns:
        derivative per frame [n_frames, n_channels] float32.
    Raises:
        InputError: fewer than `width` frames.
    """
    if len(frames) < width:
        raise InputError(
            f"clip has {len(frames)} frames: regression differences need {width}. Pass --set differences=simple."
        )
    half = width // 2
    places = np.arange(-half, half + 1)
    # The row of the least-squares solution that gives the highest coefficient: its derivative is the same everywhere.
    weights = math.factorial(order) * np.linalg.pinv(places[:, None] ** np.arange(order + 1))[order]
    inside = len(frames) - 2 * half
    frames = np.asarray(frames, np.float32)
    derivative = np.zeros((inside, frames.shape[1]), np.float32)
    for place, weight in enumerate(weights.astype(np.float32)):
        derivative += weight * frames[place : place + inside]
    return np.pad(derivative, ((half, half), (0, 0)), mode="edge")

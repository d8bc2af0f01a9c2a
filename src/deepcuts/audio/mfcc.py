"""MFCC: the shape of the spectrum in 13 numbers a frame, with their first and second differences (section 4.1).

Conventions: librosa's (mel bands of Slaney, power, decibels relative to 1 with a floor 80 dB below the clip's loudest
band, orthonormal cosine transform, C0 kept). No padding: a frame begins at every hop that still holds a whole window.
"""

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from scipy.fft import dct

from deepcuts.audio.decode import MIN_RATE, BadSound, SoundFacts
from deepcuts.audio.logmel import MAX_HOURS, FrameStream, LogMelSettings, gather, mel_spectrogram, stream_logmel
from deepcuts.config import require
from deepcuts.errors import InputError

QUIETEST = 1e-10  # power that digital silence is given: -100 dB
# So little that log(1 + C mel) is a straight line: `extract_logmel` then gives energies, to the last digits of float32.
NO_COMPRESSION = 1e-6
FRAMES_AT_ONCE = 2**15  # transformed at a time: twelve minutes at the default settings


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
        min_rate: files of a lower rate are set aside, Hz.
        max_hours: longer files are set aside, unless max_seconds takes a part of them.
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
    min_rate: int = MIN_RATE
    max_hours: float = MAX_HOURS

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
            min_rate=self.min_rate,
            max_hours=self.max_hours,
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


def extract_mfcc(path: Path | str, settings: MfccSettings) -> tuple[np.ndarray, float, SoundFacts]:
    """MFCC frames of a sound file, all at once.

    Returns:
        float32 [n_frames, n_channels], the seconds of sound they are made of, and the facts of the file.
    Raises:
        BadSound: unreadable, silent, too short or too long.
    """
    return gather(stream_mfcc(path, settings))


def stream_mfcc(path: Path | str, settings: MfccSettings) -> FrameStream:
    """MFCC frames by blocks of `FRAMES_AT_ONCE`.

    The floor hangs on the loudest band of the whole clip, so the spectrogram is kept until the end: in memory up to
    16 MB, then in a temporary file.

    Yields:
        float32 [n_frames of the block, n_channels].
    Returns:
        the seconds of sound, and the facts of the file.
    Raises:
        BadSound: unreadable, silent, too short or too long.
    """
    with tempfile.SpooledTemporaryFile(max_size=2**24) as held:
        n_frames, loudest, (seconds, facts) = _keep_mel(path, settings, held)
        try:
            for mel, inside in _with_neighbours(held, n_frames, settings):
                yield with_differences(mel, settings, loudest)[inside]
        except InputError as error:
            raise BadSound(path, "too short", str(error)) from error
    return seconds, facts


def _keep_mel(path: Path | str, settings: MfccSettings, held: IO[bytes]) -> tuple[int, float, tuple[float, SoundFacts]]:
    """Write the mel spectrogram to a file; the number of its frames, its largest value, and what the stream returns."""
    stream, n_frames, loudest = stream_logmel(path, settings.mel_settings()), 0, 0.0
    while True:
        try:
            mel = np.expm1(next(stream)) / np.float32(NO_COMPRESSION)
        except StopIteration as end:
            return n_frames, loudest, end.value
        held.write(mel.tobytes())
        n_frames, loudest = n_frames + len(mel), max(loudest, float(mel.max()))


def _with_neighbours(held: IO[bytes], n_frames: int, settings: MfccSettings) -> Iterator[tuple[np.ndarray, slice]]:
    """Blocks of a kept spectrogram with the frames beside them that differences need, and where the block lies."""
    around = 0 if settings.differences == "none" else settings.width
    for first in range(0, n_frames, FRAMES_AT_ONCE):
        last = min(first + FRAMES_AT_ONCE, n_frames)
        begin, end = max(first - around, 0), min(last + around, n_frames)
        held.seek(begin * settings.n_bands * 4)
        mel = np.frombuffer(held.read((end - begin) * settings.n_bands * 4), np.float32)
        yield mel.reshape(-1, settings.n_bands), slice(first - begin, last - begin)


def with_differences(mel: np.ndarray, settings: MfccSettings, loudest: float | None = None) -> np.ndarray:
    """MFCC frames [n_frames, n_channels] of a mel spectrogram [n_frames, n_bands]; `loudest` as for `mfcc`."""
    coefficients = mfcc(mel, settings.n_mfcc, settings.top_db, loudest)
    if settings.differences == "none":
        return coefficients
    if settings.differences == "simple":
        first = simple_difference(coefficients)
        second = simple_difference(first)
    else:
        first = regression_difference(coefficients, settings.width, order=1)
        second = regression_difference(coefficients, settings.width, order=2)
    return np.concatenate([coefficients, first, second], axis=1)


def mfcc(
    mel: np.ndarray,
    n_mfcc: int = MfccSettings.n_mfcc,
    top_db: float | None = MfccSettings.top_db,
    loudest: float | None = None,
) -> np.ndarray:
    """Cosine transform of the mel bands in decibels.

        c = DCT-II(10 log10 max(mel, 1e-10, loudest · 10^(-top_db/10))), orthonormal

    Args:
        mel: power in each band [n_frames, n_bands], ≥ 0.
        top_db: distance of the floor below the loudest value of `mel`, in dB; None for none.
        loudest: value of the clip that `mel` is a part of; None takes that of `mel`.
    Returns:
        c [n_frames, n_mfcc] float32, C0 first.
    Source: Davis & Mermelstein 1980; conventions of librosa.feature.mfcc.
    """
    decibels = 10 * np.log10(np.maximum(mel, np.float32(QUIETEST)))
    if top_db is not None and decibels.size:
        peak = decibels.max() if loudest is None else 10 * np.log10(np.maximum(np.float32(loudest), QUIETEST))
        decibels = np.maximum(decibels, np.float32(peak) - np.float32(top_db))
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

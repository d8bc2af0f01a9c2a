"""Log-mel spectrograms: what the paper's network hears.

    windows of 1024 samples, 512 apart, at 22,050 Hz, no padding  → 128 frames in 3 s, 1,247 in 29 s
    mel_b(t)    = sum_f  filter_b(f) * |FFT(hann * window_t)(f)|^2       128 bands, 0 Hz to rate / 2
    logmel_b(t) = log(1 + 10,000 * mel_b(t))

Conventions, those of librosa with center=False: periodic Hann window, Slaney's mel scale (linear to 1 kHz), each filter
of unit area in Hz. Silence is not padded in at either end, so every frame is made of real sound.
Levels are kept: a quiet song has small values. Source: van den Oord et al. 2013, section 4.2 (windows, bands);
Dieleman & Schrauwen, ICASSP 2014 (the compression).
"""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import fft

from deepcuts.audio.decode import MIN_RATE, BadSound, SoundFacts, open_sound, open_stream
from deepcuts.config import require
from deepcuts.errors import SettingError

# Frames transformed at a time: their samples and spectra (about 1 MB) then stay in the second-level cache. All entries
# cut at multiples of it, so blocks and whole files agree exactly.
FRAMES_AT_ONCE = 64
BANDS_AT_ONCE = 16  # in one product of spectra and filters: a vector register of bands
# Below so many multiplications BLAS takes one thread, whatever it is allowed: the same bits on all machines, and no
# threads in the way of other workers.
ONE_THREAD = 2**18
SILENT_BELOW = 1e-4  # peak; -80 dB of full scale
MAX_HOURS = 12.0  # of a file that is heard whole

# Blocks of frames [n, n_channels]; at their end the seconds of sound they are made of, and the facts of the file.
FrameStream = Generator[np.ndarray, None, tuple[float, SoundFacts]]


@dataclass(frozen=True)
class LogMelSettings:
    """How log-mel features are made.

    Attributes:
        rate: of the samples, Hz.
        window, hop: in samples; 1 <= hop <= window.
        n_bands: mel bands, the channels of a frame.
        low_hz, high_hz: where the bands begin and end; none ends at rate / 2.
        compression: C of log(1 + C * mel), > 0; the larger, the closer to a plain logarithm.
        power: 2 for energies |X|^2, 1 for magnitudes |X|.
        min_seconds: shorter songs are set aside; 3 s is one window of the network.
        max_seconds: take no more than this of each file; none takes all. The paper's clips are 29 s.
        clip: where a shorter clip is taken: "start" or "middle".
        min_rate: files of a lower rate are set aside, Hz: their headers are damaged.
        max_hours: longer files are set aside, unless max_seconds takes a part of them.
    """

    rate: int = 22_050
    window: int = 1024
    hop: int = 512
    n_bands: int = 128
    low_hz: float = 0.0
    high_hz: float | None = None
    compression: float = 10_000.0
    power: float = 2.0
    min_seconds: float = 3.0
    max_seconds: float | None = None
    clip: str = "start"
    min_rate: int = MIN_RATE
    max_hours: float = MAX_HOURS

    def __post_init__(self) -> None:
        require(1000 <= self.rate <= 400_000, "rate", self.rate, "1000 to 400000 Hz")
        require(16 <= self.window <= 1 << 20, "window", self.window, "16 to 1048576 samples")
        require(1 <= self.hop <= self.window, "hop", self.hop, "1 to window samples")
        require(1 <= self.n_bands <= self.window // 2, "n_bands", self.n_bands, "1 to window / 2")
        require(0 <= self.low_hz < self.top_hz, "low_hz", self.low_hz, "0 to high_hz")
        require(self.top_hz <= self.rate / 2, "high_hz", self.high_hz, "at most rate / 2")
        require(self.compression > 0, "compression", self.compression, "> 0")
        require(self.power in (1.0, 2.0), "power", self.power, "1 or 2")
        require(self.min_seconds * self.rate >= self.window, "min_seconds", self.min_seconds, "at least one window")
        enough = self.max_seconds is None or self.max_seconds >= self.min_seconds
        require(enough, "max_seconds", self.max_seconds, "at least min_seconds, or none")
        require(self.clip in ("start", "middle"), "clip", self.clip, "'start' or 'middle'")
        require(self.min_rate >= 1, "min_rate", self.min_rate, "Hz, at least 1")
        require(self.max_hours > 0, "max_hours", self.max_hours, "hours, > 0")

    @property
    def top_hz(self) -> float:
        """Where the highest band ends, Hz."""
        return self.rate / 2 if self.high_hz is None else self.high_hz

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.rate / self.hop

    @property
    def n_channels(self) -> int:
        """Values in a frame."""
        return self.n_bands


def mel_spectrogram(samples: np.ndarray, settings: LogMelSettings = LogMelSettings()) -> np.ndarray:
    """Energy in mel bands, window by window: librosa's `melspectrogram(center=False)`, turned on its side.

    Args:
        samples: float [n_samples], full scale ±1.
        settings: see `LogMelSettings`.
    Returns:
        float32 [n_frames, n_bands]; n_frames = 1 + (n_samples - window) // hop, 0 for less than a window.
    """
    parts = list(mel_blocks([samples], settings))
    return np.concatenate(parts) if parts else np.zeros((0, settings.n_bands), np.float32)


def logmel(samples: np.ndarray, settings: LogMelSettings = LogMelSettings()) -> np.ndarray:
    """log(1 + compression * mel), float32 [n_frames, n_bands] >= 0; arguments as for `mel_spectrogram`.

    >>> logmel(np.zeros(22050, dtype=np.float32)).shape  # one second, a frame every 512 samples: frames × bands
    (42, 128)
    """
    return compress(mel_spectrogram(samples, settings), settings)


def compress(mel: np.ndarray, settings: LogMelSettings) -> np.ndarray:
    """log(1 + C * mel), float32: linear for faint sounds, logarithmic for loud ones."""
    return np.log1p(np.float32(settings.compression) * mel)


def mel_blocks(blocks: Iterable[np.ndarray], settings: LogMelSettings) -> Iterator[np.ndarray]:
    """`mel_spectrogram` of a stream of samples: joined, exactly the frames of the whole.

    Args:
        blocks: float [any number of samples] each, in order.
        settings: see `LogMelSettings`.
    Yields:
        float32 [n_frames of the block, n_bands].
    """
    hop, window = settings.hop, settings.window
    advance = FRAMES_AT_ONCE * hop
    held = np.zeros(0, np.float32)
    for block in blocks:
        block = np.asarray(block, np.float32)
        held = np.concatenate([held, block]) if len(held) else block
        n_blocks = max(0, (len(held) - window + hop) // advance)
        for number in range(n_blocks):
            start = number * advance
            yield _mel_of_samples(held[start : start + advance + window - hop], settings)
        held = held[n_blocks * advance :]
    if len(held) >= window:
        yield _mel_of_samples(held, settings)


def _mel_of_samples(samples: np.ndarray, settings: LogMelSettings) -> np.ndarray:
    n_frames, step = 1 + (len(samples) - settings.window) // settings.hop, samples.strides[0]
    frames = np.lib.stride_tricks.as_strided(samples, (n_frames, settings.window), (settings.hop * step, step))
    # Real and imaginary parts side by side, each squared where it stands: a filter adds them up.
    parts = fft.rfft(frames * _hann(settings.window), axis=1).view(np.float32)
    np.square(parts, out=parts)
    if settings.power == 1:
        parts[:, ::2] = np.sqrt(parts[:, ::2] + parts[:, 1::2])
        parts[:, 1::2] = 0
    mel = np.empty((n_frames, settings.n_bands), np.float32)
    for bands, under, filters in _filter_groups(settings):
        np.matmul(parts[:, under], filters, out=mel[:, bands])
    return mel


@lru_cache(maxsize=8)
def _hann(window: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)


@lru_cache(maxsize=8)
def _filter_groups(settings: LogMelSettings) -> list[tuple[slice, slice, np.ndarray]]:
    """Neighbouring bands, the parts of the spectrum under them, and their filters [n_parts, n_bands], each value twice.

    Each frequency lies under two filters, so most of one large product would be with zeros; a product for each band
    would cost more in calls.
    """
    filters = mel_filters(settings).astype(np.float32)
    groups = []
    first = 0
    while first < len(filters):
        size = BANDS_AT_ONCE
        while size > 1 and FRAMES_AT_ONCE * 2 * np.ptp(_under(filters[first : first + size])) * size > ONE_THREAD:
            size //= 2
        group = filters[first : first + size]
        low, high = _under(group)
        groups.append(
            (slice(first, first + size), slice(2 * low, 2 * high), np.repeat(group[:, low:high].T, 2, axis=0))
        )
        first += size
    return groups


def _under(filters: np.ndarray) -> tuple[int, int]:
    """The first frequency under any of the filters, and the first behind them."""
    under = np.flatnonzero(filters.any(axis=0))
    return int(under[0]), int(under[-1]) + 1


def hz_to_mel(hz: np.ndarray) -> np.ndarray:
    """Slaney's mel scale: 3 mel each 200 Hz up to 1 kHz, then 27 mel each factor of 6.4."""
    hz = np.asarray(hz, np.float64)
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4))


def mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """The inverse of `hz_to_mel`."""
    mel = np.asarray(mel, np.float64)
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((np.maximum(mel, 15) - 15) / 27))


def mel_filters(settings: LogMelSettings) -> np.ndarray:
    """Triangles on the mel scale, each of unit area in Hz.

        rising_b(f)  = (f - e_b) / (e_{b+1} - e_b)
        falling_b(f) = (e_{b+2} - f) / (e_{b+2} - e_{b+1})
        filter_b(f)  = 2 / (e_{b+2} - e_b) * max(0, min(rising_b(f), falling_b(f)))

    with n_bands + 2 edges e equally spaced in mel from low_hz to high_hz.

    Returns:
        float64 [n_bands, window // 2 + 1].
    Raises:
        SettingError: a band is so narrow that no frequency of the transform falls into it.
    """
    low, high = hz_to_mel(np.array([settings.low_hz, settings.top_hz]))
    edges = mel_to_hz(np.linspace(low, high, settings.n_bands + 2))[:, None]
    hz = np.fft.rfftfreq(settings.window, 1 / settings.rate)
    rising = (hz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hz) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
    empty = np.flatnonzero(filters.max(axis=1) == 0)
    if len(empty):
        raise SettingError(
            f"n_bands = {settings.n_bands}: band {empty[0]} holds no frequency of a {settings.window} sample window. "
            "Take fewer bands or a longer window."
        )
    return filters


def mel_spectrogram_slowly(samples: np.ndarray, settings: LogMelSettings) -> np.ndarray:
    """The readable twin of `mel_spectrogram`: one frame at a time, dense, double precision."""
    filters = mel_filters(settings)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(settings.window) / settings.window)
    rows = []
    for start in range(0, len(samples) - settings.window + 1, settings.hop):
        spectrum = np.fft.rfft(hann * samples[start : start + settings.window])
        rows.append(filters @ np.abs(spectrum) ** settings.power)
    return np.array(rows, np.float32).reshape(-1, settings.n_bands)


def extract_logmel(path: Path | str, settings: LogMelSettings) -> tuple[np.ndarray, float, SoundFacts]:
    """Log-mel frames of a sound file, all at once.

    Args:
        path: a sound file of any format.
        settings: see `LogMelSettings`.
    Returns:
        float32 [n_frames, n_bands], the seconds of sound they are made of, and the facts of the file.
    Raises:
        BadSound: as for `stream_logmel`.
    """
    return gather(stream_logmel(path, settings))


def gather(stream: FrameStream) -> tuple[np.ndarray, float, SoundFacts]:
    """All frames of a stream, and what it returns at its end."""
    parts = []
    while True:
        try:
            parts.append(next(stream))
        except StopIteration as end:
            seconds, facts = end.value
            return np.concatenate(parts), seconds, facts


def stream_logmel(path: Path | str, settings: LogMelSettings) -> FrameStream:
    """Log-mel frames of a sound file by blocks: memory is that of a few seconds of sound, however long the file.

    Args:
        path: a sound file of any format.
        settings: see `LogMelSettings`; with clip="middle" the middle of the length in the file's header is taken,
            and a file without one is decoded twice.
    Yields:
        float32 [n_frames of the block, n_bands].
    Returns:
        the seconds of sound, and the facts of the file.
    Raises:
        BadSound: unreadable, longer than max_hours, silent (peak of the averaged channels under -80 dB of full scale)
            or too short; the last two at the end.
    """
    start = _clip_start(path, settings)
    facts, blocks = open_stream(
        path, settings.rate, start=start, seconds=settings.max_seconds, min_rate=settings.min_rate
    )
    longest = np.inf if settings.max_seconds is not None else settings.max_hours * 3600
    if facts.seconds is not None and facts.seconds > longest:
        raise _too_long(path, f"the header says {facts.seconds / 3600:,.1f} hours", settings)
    listened = _Listened()
    for mel in mel_blocks(listened.through(blocks), settings):
        yield compress(mel, settings)
        if listened.n > longest * settings.rate:
            raise _too_long(path, "the sound goes on", settings)
    seconds = listened.n / settings.rate
    if seconds < settings.min_seconds:
        raise BadSound(path, "too short", f"{seconds:.2f} s, at least {settings.min_seconds:g} s are needed")
    if listened.peak < SILENT_BELOW:
        raise BadSound(path, "silent", f"the averaged channels never pass {SILENT_BELOW:g} of full scale (-80 dB)")
    return seconds, facts


def _too_long(path: Path | str, found: str, settings: LogMelSettings) -> BadSound:
    detail = f"{found}, at most {settings.max_hours:g} hours are heard (max_hours); max_seconds would take a part"
    return BadSound(path, "too long", detail)


class _Listened:
    """Counts the samples that pass, and keeps their peak."""

    def __init__(self) -> None:
        self.n = 0
        self.peak = 0.0

    def through(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for block in blocks:
            self.n += len(block)
            self.peak = max(self.peak, float(block.max()), -float(block.min()))
            yield block


def _clip_start(path: Path | str, settings: LogMelSettings) -> float:
    if settings.max_seconds is None or settings.clip == "start":
        return 0.0
    facts, blocks = open_sound(path, min_rate=settings.min_rate)
    seconds = facts.seconds
    if seconds is None:
        seconds = sum(len(block) for block in blocks) / facts.rate
    return max(0.0, (seconds - settings.max_seconds) / 2)

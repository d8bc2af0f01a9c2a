"""Sound files to mono samples: any format, any rate, any number of channels, in bounded memory.

    decode("song.mp3", rate=22_050)          float32 [n_samples]
    for block in stream("long.flac"): ...    the same samples, a few seconds at a time

Conventions. Full scale is ±1. Channels are decoded apart and averaged here: FFmpeg's own stereo to mono adds 3 dB.
Then soxr resamples (its high quality, librosa's too), as one stream, so the samples do not depend on the length of the
blocks.

WAV, AIFF, FLAC and Ogg Vorbis are read by libsndfile; MP3, Opus and whatever libsndfile refuses (m4a, aac, wma) by
FFmpeg through PyAV. MP3 is not left to libsndfile because it stops early, without a word, when the file has no
length header and its first frame is a large one; Opus is not, because it calls some sound files malformed midway.
Where libsndfile gives up midway, FFmpeg goes on. The choice looks at the first bytes of a file, never at its name.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import soundfile

from deepcuts.audio.extents import LEAST_ZEROS, MISSING_SHARE, Extent, extents_of, xing_frames, zeros_at_end
from deepcuts.audio.ffmpeg import HEADERLESS, Damage, mono_blocks, open_container, resampled, stated_seconds
from deepcuts.config import require
from deepcuts.errors import InputError

SNDFILE_STARTS = (b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b".snd", b"caff", b"riff")
# Encoders pad and headers round: a sound is truncated when more than this share, and this long, is missing.
MISSING_SECONDS = 0.5
SAMPLES_AT_ONCE = 2**16  # at most in a block of a channel: few enough to stay in cache from step to step
MOST_VALUES = 2**23  # at most in a block of all channels
MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz; others are damaged headers, and a second of sound would last for ever
NEITHER = "neither libsndfile nor FFmpeg can open it"

REASONS = ("zero bytes", "not audio", "truncated", "silent", "too short", "too long", "not finite", "unreadable")


class BadSound(InputError):
    """A file that gives no features. `reason` is one of `REASONS`; `detail` says more and holds no path."""

    def __init__(self, path: Path | str, reason: str, detail: str) -> None:
        super().__init__(f"{path}: {reason}: {detail}. Mend or remove the file.")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class SoundFacts:
    """What a sound file says about itself.

    Attributes:
        rate: of the file, Hz.
        channels: in the file.
        seconds: the length its header states, or None when it states none or only guesses.
    """

    rate: int
    channels: int
    seconds: float | None


def decode(path: Path | str, rate: int = 22_050, start: float = 0.0, seconds: float | None = None) -> np.ndarray:
    """The samples of a sound file: all channels averaged, resampled, full scale ±1.

    Args:
        path: any format that libsndfile or FFmpeg reads.
        rate: wanted, Hz, > 0.
        start: where to begin, seconds >= 0.
        seconds: how much to take, > 0; None takes the rest.
    Returns:
        float32 [n_samples], about rate * seconds; empty when `start` lies past the end.
    Raises:
        BadSound: zero bytes, not audio, truncated, not finite or unreadable.
    """
    blocks = list(stream(path, rate, start=start, seconds=seconds))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def stream(
    path: Path | str,
    rate: int = 22_050,
    block_seconds: float = 10.0,
    start: float = 0.0,
    seconds: float | None = None,
) -> Iterator[np.ndarray]:
    """`decode` in blocks: joined end to end they are exactly its samples, whatever `block_seconds`.

    Args:
        path, rate, start, seconds: as for `decode`.
        block_seconds: of sound in a block, > 0; long ones are cut at `SAMPLES_AT_ONCE`.
    Yields:
        float32 [n_samples of the block].
    Raises:
        BadSound: as for `decode`, when the stream comes to the bad place.
    """
    yield from open_stream(path, rate, block_seconds, start, seconds)[1]


def open_stream(
    path: Path | str,
    rate: int = 22_050,
    block_seconds: float = 10.0,
    start: float = 0.0,
    seconds: float | None = None,
    min_rate: int = MIN_RATE,
) -> tuple[SoundFacts, Iterator[np.ndarray]]:
    """What a file says about itself, and `stream` of it; the file is opened once for both.

    Raises:
        BadSound: the file cannot be opened as sound; and as for `decode`, when the stream comes to the bad place.
    """
    require(rate > 0, "rate", rate, "Hz, > 0")
    require(seconds is None or seconds > 0, "seconds", seconds, "> 0, or none for all")
    facts, blocks = open_sound(path, block_seconds, start, min_rate)
    if seconds is not None:
        blocks = _at_most(blocks, round(seconds * facts.rate))
    return facts, blocks if rate == facts.rate else resampled(blocks, facts.rate, rate)


def open_sound(
    path: Path | str, block_seconds: float = 10.0, start: float = 0.0, min_rate: int = MIN_RATE
) -> tuple[SoundFacts, Iterator[np.ndarray]]:
    """What a file says about itself, and its samples at its own rate: mono blocks, checked to be finite.

    Args:
        path: a sound file.
        block_seconds: of sound in a block, > 0.
        start: where to begin, seconds >= 0.
        min_rate: files of a lower rate are refused, Hz.
    Raises:
        BadSound: the file cannot be opened as sound, a header shows that its end is missing, or its rate is absurd.
    """
    require(block_seconds > 0, "block_seconds", block_seconds, "seconds, > 0")
    require(start >= 0, "start", start, "seconds, >= 0")
    path = Path(path)
    head = _read_head(path)
    extents, cut = extents_of(path, head)
    if cut:
        raise BadSound(path, "truncated", cut)
    facts, blocks = _open(extents[0], block_seconds, min_rate, start if len(extents) == 1 else 0.0)
    if len(extents) > 1:  # streams in a chain: one sound
        blocks = _after(_chained(facts.rate, blocks, extents[1:], block_seconds, min_rate), round(start * facts.rate))
        facts = replace(facts, seconds=None)
    return facts, blocks


def _chained(
    rate: int, blocks: Iterator[np.ndarray], extents: Sequence[Extent], block_seconds: float, min_rate: int
) -> Iterator[np.ndarray]:
    yield from blocks
    for extent in extents:
        facts, more = _open(extent, block_seconds, min_rate, 0.0)
        yield from more if facts.rate == rate else resampled(more, facts.rate, rate)


def _open(extent: Extent, block_seconds: float, min_rate: int, start: float) -> tuple[SoundFacts, Iterator[np.ndarray]]:
    """One stream, by the decoder that knows it best; by the other where that one does not know it."""
    head = _first_bytes(extent)
    by_sndfile = head.startswith(SNDFILE_STARTS) and b"OpusHead" not in head
    openers = (_open_sndfile, _open_ffmpeg) if by_sndfile else (_open_ffmpeg, _open_sndfile)
    refusals: list[BadSound] = []
    for opener in openers:
        try:
            facts, blocks = opener(extent, block_seconds, start)
        except BadSound as error:
            if error.reason != "not audio":
                raise
            refusals.append(error)
            continue
        if not min_rate <= facts.rate <= MAX_RATE:
            allowed = f"{min_rate:,} to {MAX_RATE:,} Hz are read"
            raise BadSound(extent.path, "unreadable", f"its header says {facts.rate} Hz: {allowed}")
        return facts, blocks
    raise min(refusals, key=lambda error: error.detail == NEITHER)


def _first_bytes(extent: Extent) -> bytes:
    with extent.path.open("rb") as file:
        file.seek(extent.start)
        return file.read(64)


def probe(path: Path | str) -> SoundFacts:
    """What a sound file says about itself, without decoding it.

    Raises:
        BadSound: as for `open_sound`.
    """
    return open_sound(path)[0]


def _read_head(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise BadSound(path, "unreadable", "not a regular file")
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise BadSound(path, "unreadable", error.strerror or str(error)) from error
    if not head:
        raise BadSound(path, "zero bytes", "the file is empty")
    return head


def _open_sndfile(extent: Extent, block_seconds: float, start: float) -> tuple[SoundFacts, Iterator[np.ndarray]]:
    try:
        # As bytes: names need not be UTF-8.
        file = soundfile.SoundFile(os.fsencode(extent.path) if extent.is_whole else extent.open())
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise BadSound(extent.path, "not audio", NEITHER) from error
    seconds = file.frames / file.samplerate
    known = seconds < 1e8  # a stream that was never closed states a length of about 2^63 frames
    facts = SoundFacts(file.samplerate, file.channels, seconds if known else None)
    size = _block_size(facts.rate, block_seconds)
    return facts, _sndfile_blocks(extent, file, facts, size, round(start * facts.rate))


def _block_size(rate: int, seconds: float) -> int:
    """Samples of a block."""
    return max(1, min(round(seconds * rate), SAMPLES_AT_ONCE))


def _sndfile_blocks(
    extent: Extent, file: soundfile.SoundFile, facts: SoundFacts, size: int, start: int
) -> Iterator[np.ndarray]:
    n_read = start
    # The numbers of a 16-bit file as they are: read as float32 they are the same, only later.
    kind = "int16" if file.subtype == "PCM_16" else "float32"
    size = max(1, min(size, MOST_VALUES // max(facts.channels, 1)))
    with file:
        try:
            file.seek(min(start, file.frames))
            n_block = size
            while n_block == size:
                block = file.read(size, dtype=kind, always_2d=True)
                n_block = len(block)
                n_read += n_block
                if n_block:
                    yield _mono(extent.path, list(block.T))
            gave_up = None
        except soundfile.LibsndfileError as error:
            gave_up = error
    if gave_up is not None:
        yield from _go_on(extent, facts, n_read, gave_up)
    elif facts.seconds is not None and start < facts.seconds * facts.rate:
        _refuse_missing(extent.path, n_read / facts.rate, facts.seconds)


def _go_on(extent: Extent, facts: SoundFacts, n_read: int, gave_up: Exception) -> Iterator[np.ndarray]:
    """The rest of a file at which libsndfile gave up; FFmpeg passes over damage, and says how much is missing."""
    try:
        yield from _after(_ffmpeg_blocks(extent, facts, facts.rate), n_read)
    except (av.FFmpegError, EOFError, IndexError) as error:
        at = n_read / facts.rate
        raise BadSound(extent.path, "truncated", f"the decoder gave up after {at:.1f} s ({gave_up})") from error


def _open_ffmpeg(extent: Extent, block_seconds: float, start: float) -> tuple[SoundFacts, Iterator[np.ndarray]]:
    path = extent.path
    try:
        # Only for the facts: the frames come from a second opening, inside the generator that owns it.
        with open_container(extent) as container:
            if not container.streams.audio:
                raise BadSound(path, "not audio", "no sound stream inside")
            audio = container.streams.audio[0]
            first = next(container.decode(audio), None)
            if first is None:
                raise BadSound(path, "not audio", "no sound could be decoded")
            rate, channels = first.sample_rate, first.layout.nb_channels
            seconds, name = stated_seconds(container), container.format.name
            if name == "mp3" and (n_frames := xing_frames(path, extent.start)):
                seconds = n_frames * (1152 if rate >= 32_000 else 576) / rate
    except (av.FFmpegError, EOFError, ValueError) as error:
        raise BadSound(path, "not audio", NEITHER) from error
    if seconds is None and name in HEADERLESS and extent.end is None:
        _refuse_zeros(path)
    facts = SoundFacts(rate, channels, seconds)
    blocks = _ffmpeg_blocks(extent, facts, _block_size(max(rate, 1), block_seconds))
    return facts, _after(blocks, round(start * rate))


def _ffmpeg_blocks(extent: Extent, facts: SoundFacts, size: int) -> Iterator[np.ndarray]:
    """Mono blocks; a damaged packet is passed over, and too many of them are a truncated file."""
    n_read, damage = 0, Damage()
    try:
        for block in mono_blocks(extent, facts.rate, size, damage, lambda channels: _mono(extent.path, channels)):
            n_read += len(block)
            yield block
    except (ValueError, TypeError, IndexError) as error:
        raise BadSound(extent.path, "unreadable", str(error)) from error
    if facts.seconds is not None:
        _refuse_missing(extent.path, n_read / facts.rate, facts.seconds)
    elif damage.is_much:
        detail = f"{damage.n_bad} of {damage.n_packets} packets could not be decoded"
        raise BadSound(extent.path, "truncated", detail)


def _mono(path: Path, channels: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of the channels [n_samples each], float32 of full scale ±1; added one by one, faster than `mean`."""
    kind = channels[0].dtype
    full_scale = np.iinfo(kind).max + 1 if kind.kind == "i" else 1
    total = channels[0].astype(np.float32)
    for channel in channels[1:]:
        total += channel
    total *= np.float32(1 / (full_scale * len(channels)))
    if kind.kind == "f" and not np.isfinite(total).all():
        raise BadSound(path, "not finite", "a sample is NaN or infinite")
    return total


def _refuse_missing(path: Path, found: float, stated: float) -> None:
    if stated - found > max(MISSING_SECONDS, MISSING_SHARE * stated):
        raise BadSound(path, "truncated", f"{found:.1f} s could be decoded, the header says {stated:.1f} s")


def _refuse_zeros(path: Path) -> None:
    n_zeros = zeros_at_end(path)
    if n_zeros > max(LEAST_ZEROS, MISSING_SHARE * path.stat().st_size):
        raise BadSound(path, "truncated", f"its last {n_zeros:,} bytes are zeros: the end is missing")


def _at_most(blocks: Iterable[np.ndarray], n: int) -> Iterator[np.ndarray]:
    for block in blocks:
        yield block[:n]
        n -= len(block)
        if n <= 0:
            return


def _after(blocks: Iterable[np.ndarray], n: int) -> Iterator[np.ndarray]:
    for block in blocks:
        if n < len(block):
            yield block[n:]
        n = max(0, n - len(block))

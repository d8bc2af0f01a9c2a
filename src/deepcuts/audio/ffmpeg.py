"""Sound by FFmpeg, through PyAV: what libsndfile does not know, and what it gives up on."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import soxr

from deepcuts.audio.extents import MISSING_SHARE, Extent

# Containers that know how long they are. The others (raw aac, mp3) only guess from the bit rate.
HONEST_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "asf", "matroska,webm", "ogg", "flac", "wv", "ape", "aiff", "caf",
                     "tta", "tak", "mpc", "mpc8", "dsf")  # fmt: skip
# Streams of packets without any header: what is missing at their end cannot be told from a length.
HEADERLESS = ("mp3", "aac", "ac3", "eac3", "dts")
Shape = tuple[str, int, int]  # format, rate, channels
Mono = Callable[[list[np.ndarray]], np.ndarray]  # channels [n_samples each] → their mean


def open_container(extent: Extent) -> Any:
    """An extent, opened: PyAV's InputContainer.

    A whole file goes by its absolute name, in which FFmpeg sees no protocol ("Band: Song.mp3"); a name that is not
    UTF-8, or a part of a file, by a file object.
    """
    # Tags in old encodings are common and of no interest here: they must not make a file unreadable.
    name = os.path.abspath(extent.path)
    if extent.is_whole and _is_utf8(name):
        return av.open(name, metadata_errors="replace")
    return av.open(extent.open(), metadata_errors="replace")


def stated_seconds(container: Any) -> float | None:
    """The length of its sound that a container knows; None when it knows none, or only guesses."""
    audio = container.streams.audio[0]
    if container.format.name not in HONEST_CONTAINERS:
        return None
    if audio.duration and audio.time_base:
        return float(audio.duration * audio.time_base)
    tag = audio.metadata.get("DURATION", "").split(":")  # of a Matroska stream, as 00:03:20.5
    try:
        return sum(float(part) * 60**power for power, part in enumerate(reversed(tag)))
    except ValueError:  # there is none
        alone = len(container.streams) == 1 and container.duration
        return container.duration / av.time_base if alone else None


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass
class Damage:
    """Packets met, and those that could not be decoded."""

    n_packets: int = 0
    n_bad: int = 0

    @property
    def is_much(self) -> bool:
        """Whether so many packets are bad that the file counts as truncated."""
        return self.n_bad > max(1, MISSING_SHARE * self.n_packets)


def mono_blocks(extent: Extent, rate: int, size: int, damage: Damage, mono: Mono) -> Iterator[np.ndarray]:
    """Mono blocks at one rate, of at least `size` samples but the last; damaged packets are passed over and counted.

    The number of channels, the format and the rate may change on the way (joined files): each stretch is mixed by its
    own channels, and resampled where its rate is another.
    """
    with open_container(extent) as container:
        for (_, own_rate, _), frames in _stretches(_frames(container, damage)):
            blocks = (mono(channels_of(frame)) for frame in _long_frames(frames, size))
            yield from blocks if own_rate == rate else resampled(blocks, own_rate, rate)


def resampled(blocks: Iterable[np.ndarray], old: int, new: int) -> Iterator[np.ndarray]:
    """A stream of samples at another rate, by soxr as one stream: the samples do not depend on the blocks."""
    resampler = soxr.ResampleStream(old, new, 1, dtype="float32")
    for block in blocks:
        made = resampler.resample_chunk(block)
        if len(made):
            yield made
    tail = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
    if len(tail):
        yield tail


def _shape(frame: av.AudioFrame) -> Shape:
    return frame.format.name, frame.sample_rate, frame.layout.nb_channels


def _stretches(frames: Iterator[av.AudioFrame]) -> Iterator[tuple[Shape, Iterator[av.AudioFrame]]]:
    """Frames by stretches of one format, rate and number of channels: FFmpeg's queue checks the first two only."""
    held: list[av.AudioFrame] = []

    def one_stretch(shape: Shape) -> Iterator[av.AudioFrame]:
        yield held.pop()
        for frame in frames:
            if _shape(frame) != shape:
                held.append(frame)
                return
            yield frame

    first = next(frames, None)
    if first is not None:
        held.append(first)
    while held:
        shape = _shape(held[0])
        yield shape, one_stretch(shape)


def _long_frames(frames: Iterable[av.AudioFrame], size: int) -> Iterator[av.AudioFrame]:
    """Frames of one stretch joined to at least `size` samples; the last may be shorter.

    FFmpeg's queue: a frame of an MP3 has 1152 samples, too few to bring each to NumPy.
    """
    queue = av.AudioFifo()
    for frame in frames:
        frame.pts = None  # a gap in the time stamps is no gap in the sound
        queue.write(frame)
        if queue.samples >= size:
            yield from _taken(queue)
    yield from _taken(queue)


def _taken(queue: av.AudioFifo) -> Iterator[av.AudioFrame]:
    frame = queue.read()
    if frame is not None:
        yield frame


def _frames(container: av.container.InputContainer, damage: Damage) -> Iterator[av.AudioFrame]:
    """All frames that can be decoded: in one go up to the first damage, which is faster, then packet by packet."""
    try:
        for frame in container.decode(container.streams.audio[0]):
            damage.n_packets += 1  # one frame each, nearly always
            yield frame
        return
    except (av.FFmpegError, EOFError):
        damage.n_bad += 1
    for packet in _packets(container):
        damage.n_packets += 1
        try:
            frames = packet.decode()
        except (av.FFmpegError, EOFError):
            damage.n_bad += 1
            continue
        for decoded in frames:
            if isinstance(decoded, av.AudioFrame):
                yield decoded


def _packets(container: av.container.InputContainer) -> Iterator[av.Packet]:
    try:
        yield from container.demux(container.streams.audio[0])
    except (av.FFmpegError, EOFError):
        return  # the container ends in the middle of a packet: the length is judged by what was decoded


def channels_of(frame: av.AudioFrame) -> list[np.ndarray]:
    """The channels of a decoded frame [n_samples each]: signed integers or floats, as FFmpeg gives them.

    Raises:
        ValueError: a format that PyAV cannot bring to NumPy, such as integers of 64 bits.
    """
    if frame.format.name == "fltp":  # MP3, AAC, Vorbis, Opus, WMA: read where they lie
        return [np.frombuffer(memoryview(plane), np.float32, frame.samples) for plane in frame.planes]
    values: np.ndarray = frame.to_ndarray()
    if values.dtype == np.uint8:
        values = (values.astype(np.int16) - 128) * 256
    return list(values if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels).T)

"""A second of a tone in any format, to see which codecs work on this machine."""

from pathlib import Path
from typing import cast

import av
import numpy as np
import soundfile

RATE = 44_100
SOUNDFILE = {"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS"), "mp3": ("MP3", None)}
PYAV = {"m4a": ("aac", "mp4", 44_100), "opus": ("libopus", "ogg", 48_000)}


def write_tone(path: Path, kind: str, seconds: float = 1.0, hertz: float = 440.0) -> None:
    """Write a sine at half of full scale.

    Args:
        kind: wav, flac, ogg, mp3 (by soundfile), m4a or opus (by PyAV).
    """
    if kind in SOUNDFILE:
        form, subtype = SOUNDFILE[kind]
        soundfile.write(path, tone(seconds, hertz, RATE), RATE, format=form, subtype=subtype)
        return
    codec, container, rate = PYAV[kind]
    with av.open(str(path), "w", format=container) as file:
        stream = cast(av.AudioStream, file.add_stream(codec, rate=rate, layout="mono"))
        frame = av.AudioFrame.from_ndarray(tone(seconds, hertz, rate)[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)


def tone(seconds: float, hertz: float, rate: int) -> np.ndarray:
    """A sine [seconds * rate] at half of full scale."""
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)

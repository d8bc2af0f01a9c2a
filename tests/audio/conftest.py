"""Sounds for the tests: made here, written by soundfile, or by PyAV where soundfile has no encoder."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

SNDFILE = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".aiff": ("AIFF", "PCM_16"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
PYAV = {".m4a": "aac", ".aac": "aac", ".wma": "wmav2"}
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}

Write = Callable[..., Path]


def encode(path: Path, samples: np.ndarray, rate: int, options: dict[str, str]) -> None:
    layout = LAYOUTS[samples.shape[1]]
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(PYAV[path.suffix], rate=rate)
        stream.layout = layout
        stream.bit_rate = 128_000
        size = stream.codec_context.frame_size or 1024
        for start in range(0, len(samples), size):
            planes = np.ascontiguousarray(samples[start : start + size].T)
            frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture(scope="session")
def write_sound() -> Write:
    """(path, samples [n] or [n, n_channels], rate, subtype=None) writes a file of the format of its suffix."""

    def write(path: Path, samples: np.ndarray, rate: int = 22_050, subtype: str | None = None, **options: str) -> Path:
        samples = np.asarray(samples, np.float32)
        samples = samples[:, None] if samples.ndim == 1 else samples
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in PYAV:
            encode(path, samples, rate, options)
        else:
            kind, usual = SNDFILE[path.suffix]
            soundfile.write(path, samples, rate, format=kind, subtype=subtype or usual)
        return path

    return write


@pytest.fixture(scope="session")
def tone() -> Callable[..., np.ndarray]:
    """(hz, seconds, rate, level) gives a sine."""

    def make(hz: float = 440.0, seconds: float = 4.0, rate: int = 22_050, level: float = 0.5) -> np.ndarray:
        return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)

    return make

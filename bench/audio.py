"""Sound to features against librosa: an MP3 decoded, resampled and heard; log-mel alone; MFCC with differences alone.

    OMP_NUM_THREADS=1 python bench/audio.py --quick

Both sides hear the same sound of the planted world, on one thread, and give the same features: that is checked before
anything is timed. What the paper's features would cost at this rate stands on the page (page.py).
"""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import librosa
import numpy as np
import soxr
from scipy import fft

from deepcuts.audio.logmel import LogMelSettings, extract_logmel, logmel
from deepcuts.audio.mfcc import MfccSettings, mfcc_frames
from deepcuts.worlds.synth import SAMPLE_RATE, controls_from_latents, song_sound
from page import PAPER_SECONDS
from sides import Row, alternate, main, row, seconds

LIBROSA = f"librosa {librosa.__version__}"
CLIP_SECONDS = PAPER_SECONDS
SAME = {"rtol": 0.0, "atol": 1e-3}  # of log-mel values up to 9
FRAMES = {"n_fft": 1024, "hop_length": 512, "n_mels": 128, "center": False}


def planted(n_seconds: float, seed: int) -> np.ndarray:
    """A sound of the planted world, float32 at 22,050 Hz."""
    rng = np.random.default_rng(seed)
    sound = song_sound(controls_from_latents(rng.standard_normal(12)), n_seconds, rng, snr_db=(10, 30), gain_db=6)
    return (sound / 32_768).astype(np.float32)


def write_mp3(path: Path, sound: np.ndarray, kbit: int) -> None:
    """An MP3 of 44,100 Hz, stereo: the right channel is fainter, later, and has noise of its own."""
    left = soxr.resample(sound, SAMPLE_RATE, 44_100)
    right = 0.8 * np.roll(left, 200) + 0.01 * np.random.default_rng(0).standard_normal(len(left))
    planes = np.stack([left, right]).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=44_100)
        stream.layout, stream.format, stream.bit_rate = "stereo", "fltp", 1000 * kbit
        for start in range(0, planes.shape[1], 1152):
            part = np.ascontiguousarray(planes[:, start : start + 1152])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 44_100, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def librosa_logmel(samples: np.ndarray) -> np.ndarray:
    return np.log1p(10_000 * librosa.feature.melspectrogram(y=samples, sr=SAMPLE_RATE, **FRAMES)).T


def librosa_hear(path: Path) -> np.ndarray:
    return librosa_logmel(librosa.load(path, sr=SAMPLE_RATE)[0])


def librosa_mfcc(samples: np.ndarray) -> np.ndarray:
    coefficients = librosa.feature.mfcc(y=samples, sr=SAMPLE_RATE, n_mfcc=13, **FRAMES)
    differences = [librosa.feature.delta(coefficients, order=order) for order in (1, 2)]
    return np.concatenate([coefficients, *differences]).T


def undecoded(path: Path) -> None:
    """Only what FFmpeg does."""
    with av.open(str(path)) as container:
        for _ in container.decode(container.streams.audio[0]):
            pass


def transform(samples: np.ndarray) -> None:
    """Only the Fourier transforms, 64 at a time."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 1024)[::512]
    for first in range(0, len(frames), 64):
        fft.rfft(frames[first : first + 64], axis=1)


def floor_of(work: Callable[[], object], repeats: int) -> float:
    return statistics.median(seconds(work) for _ in range(repeats))


def measure_mp3(quick: bool) -> list[Row]:
    rows = []
    n_seconds, repeats = (30, 5) if quick else (60, 9)
    settings = LogMelSettings()
    with tempfile.TemporaryDirectory() as folder:
        for kbit in (192,) if quick else (128, 192, 320):
            path = Path(folder) / f"{kbit}.mp3"
            write_mp3(path, planted(n_seconds, kbit), kbit)
            np.testing.assert_allclose(extract_logmel(path, settings)[0], librosa_hear(path), **SAME)
            ours, theirs = alternate(
                lambda p=path: extract_logmel(p, settings), lambda p=path: librosa_hear(p), repeats=repeats
            )
            rows.append(
                row(
                    f"MP3 to log-mel, {n_seconds} s stereo of {kbit} kbit/s",
                    ours,
                    theirs,
                    against=LIBROSA,
                    must=0.9,
                    aim=0.6,
                    floor=floor_of(lambda p=path: undecoded(p), repeats),
                    note="Same log-mel to 1e-3; both resample with soxr HQ. The floor is FFmpeg's decoding alone.",
                )
            )
    return rows


def measure_features(quick: bool) -> list[Row]:
    samples = planted(CLIP_SECONDS, 1)
    repeats = 9 if quick else 25
    floor = floor_of(lambda: transform(samples), repeats)
    fitted = MfccSettings(differences="regression")
    np.testing.assert_allclose(logmel(samples), librosa_logmel(samples), **SAME)
    np.testing.assert_allclose(mfcc_frames(samples, fitted), librosa_mfcc(samples), rtol=1e-4, atol=1e-2)
    sides = (
        ("log-mel", lambda: logmel(samples), lambda: librosa_logmel(samples), 0.6, None),
        ("MFCC, slopes and curvatures", lambda: mfcc_frames(samples, fitted), lambda: librosa_mfcc(samples), 0.55, 0.5),
    )
    return [
        row(
            f"{name} of {CLIP_SECONDS} s",
            *alternate(ours, theirs, repeats=repeats),
            against=LIBROSA,
            must=must,
            aim=aim,
            floor=floor,
            note="Same values. The floor is the Fourier transforms alone.",
        )
        for name, ours, theirs, must, aim in sides
    ]


def measure(quick: bool) -> list[Row]:
    return measure_mp3(quick) + measure_features(quick)


if __name__ == "__main__":
    main(measure, __doc__)

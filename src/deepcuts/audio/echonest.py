"""The Million Song Dataset's analyses as features: what the Echo Nest heard, segment by segment.

A segment is a sound between two onsets, 0.06 s to some seconds long, 3.3 a second on average. Its 26 channels:

    0-11   timbre, twelve coefficients (the first is loudness, then brightness, flatness, ...)
    12-23  pitch, strength of each semitone C to B, 0 to 1
    24     loudness at its loudest, dB
    25     log of its duration, log seconds

With frame_rate > 0 the segments are laid on a regular grid, so that networks hear time pass at its own speed: a frame
is the time-weighted mean of what sounds within it, so the mean over the frames is the mean over time. With
frame_rate = 0 each segment is one frame, and the mean is over segments.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from deepcuts.audio.decode import BadSound, SoundFacts
from deepcuts.config import require

N_TIMBRE = 12
N_CHANNELS = 26
# A handful of analyses state a duration that ends before their last segment begins.
SHORTEST_SEGMENT = 0.01


@dataclass(frozen=True)
class EchonestSettings:
    """How features are made of an analysis.

    Attributes:
        frame_rate: frames a second, 0 to 100; 0 makes each segment one frame. The default is a little finer than the
            segments (3.3 a second); 128 frames are then 32 s.
        min_seconds: shorter songs are set aside, > 0.
        relative_pitch: turn the twelve semitones so that the strongest one of the song comes first: the same music
            in another key then gives the same frames, and no model has to learn that keys do not matter.
    """

    frame_rate: float = 4.0
    min_seconds: float = 3.0
    relative_pitch: bool = False

    def __post_init__(self) -> None:
        require(0 <= self.frame_rate <= 100, "frame_rate", self.frame_rate, "0 to 100 frames a second")
        require(self.min_seconds > 0, "min_seconds", self.min_seconds, "> 0")
        whole = self.frame_rate * self.min_seconds >= 1 or self.frame_rate == 0
        require(whole, "frame_rate", self.frame_rate, "at least one frame in min_seconds, or 0")

    @property
    def n_channels(self) -> int:
        """Values in a frame."""
        return N_CHANNELS


def extract_echonest(path: Path | str, settings: EchonestSettings) -> tuple[np.ndarray, float, SoundFacts]:
    """Frames of one analysis file of the Million Song Dataset.

    Args:
        path: an `.h5` file with one song.
        settings: see `EchonestSettings`.
    Returns:
        float32 [n_frames, 26], the song's seconds, and facts (0 channels: they are not found).
    Raises:
        BadSound: not such a file, truncated, too short, values that are not finite or times out of order.
    """
    path = Path(path)
    starts, values, duration, rate = _read_analysis(path)
    if len(starts) == 0 or duration < settings.min_seconds:
        found = f"{duration:.2f} s in {len(starts)} segments, at least {settings.min_seconds:g} s are needed"
        raise BadSound(path, "too short", found)
    if not (np.isfinite(values).all() and np.isfinite(starts).all()):
        raise BadSound(path, "not finite", "a segment holds NaN or infinity")
    if (np.diff(starts) <= 0).any():
        raise BadSound(path, "unreadable", "the segments do not begin one after the other")
    ends = np.append(starts[1:], max(duration, starts[-1] + SHORTEST_SEGMENT))
    if settings.relative_pitch:
        values = turn_pitches(values, ends - starts)
    frames = np.column_stack([values, np.log(ends - starts)])
    if settings.frame_rate > 0:
        frames = lay_on_grid(frames, starts, ends[-1], settings.frame_rate)
    return frames.astype(np.float32), float(ends[-1]), SoundFacts(rate, 0, duration)


def turn_pitches(values: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Segments [n_segments, n_channels] with the semitone that sounds most, weighted by `seconds`, put first."""
    pitch = values[:, N_TIMBRE : 2 * N_TIMBRE]
    strongest = int((seconds[:, None] * pitch).sum(axis=0).argmax())
    turned = values.copy()
    turned[:, N_TIMBRE : 2 * N_TIMBRE] = np.roll(pitch, -strongest, axis=1)
    return turned


def _read_analysis(path: Path) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Starts [n_segments], the first 25 channels [n_segments, 25], duration in seconds, rate in Hz."""
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise BadSound(path, "zero bytes", "the file is empty")
        with h5py.File(path, "r") as file:
            analysis = file["analysis"]
            song = analysis["songs"][0]
            starts = np.asarray(analysis["segments_start"][:], np.float64)
            names = ("segments_timbre", "segments_pitches", "segments_loudness_max")
            values = np.column_stack([np.asarray(analysis[name][:], np.float64) for name in names])
            duration, rate = float(song["duration"]), int(song["analysis_sample_rate"])
    except OSError as error:
        raise BadSound(path, *_why_not_hdf5(error)) from error
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise BadSound(path, "not audio", f"not an analysis of the Million Song Dataset ({error})") from error
    if values.shape != (len(starts), N_CHANNELS - 1):
        raise BadSound(path, "unreadable", f"{len(starts)} segments but values {list(values.shape)}")
    return starts, values, duration, rate


def _why_not_hdf5(error: OSError) -> tuple[str, str]:
    text = str(error)
    if "truncated" in text or "eof" in text or "addr overflow" in text:
        return "truncated", "the HDF5 file is shorter than it says"
    if "signature not found" in text:
        return "not audio", "not an HDF5 file"
    if error.errno:
        return "unreadable", error.strerror or text
    return "truncated", "the HDF5 file is damaged: its data cannot be read"


def lay_on_grid(values: np.ndarray, starts: np.ndarray, end: float, frame_rate: float) -> np.ndarray:
    """Time-weighted means of what sounds within each frame.

        frame_k = frame_rate * integral from k / frame_rate to (k + 1) / frame_rate of value(t) dt

    where value(t) is that of the segment sounding at t; before the first segment, that of the first. The integral of
    a step function is a broken line, so both ends are read off it by interpolation.

    Args:
        values: [n_segments, n_channels].
        starts: [n_segments], seconds, ascending.
        end: of the last segment, seconds.
        frame_rate: frames a second, > 0.
    Returns:
        float64 [floor(end * frame_rate), n_channels]: whole frames only.
    """
    corners = np.concatenate([[0.0], starts[1:], [end]])
    integral = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values * np.diff(corners)[:, None], axis=0)])
    n_frames = int(np.floor(end * frame_rate + 1e-9))
    edges = np.minimum(np.arange(n_frames + 1) / frame_rate, end)
    at_edges = np.column_stack([np.interp(edges, corners, column) for column in integral.T])
    return np.diff(at_edges, axis=0) * frame_rate


def lay_on_grid_slowly(values: np.ndarray, starts: np.ndarray, end: float, frame_rate: float) -> np.ndarray:
    """The readable twin of `lay_on_grid`: each frame adds up its overlaps with every segment."""
    begins = np.concatenate([[0.0], starts[1:]])
    ends = np.concatenate([starts[1:], [end]])
    frames = []
    for k in range(int(np.floor(end * frame_rate + 1e-9))):
        overlap = np.minimum(ends, (k + 1) / frame_rate) - np.maximum(begins, k / frame_rate)
        frames.append(np.maximum(overlap, 0) @ values * frame_rate)
    return np.array(frames).reshape(-1, values.shape[1])

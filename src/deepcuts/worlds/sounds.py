"""The sounds of a planted world as WAV files: made on all cores, and taken up again where a killed run left off."""

import io
import multiprocessing
import os
import wave
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcuts.audio.workers import begin_worker
from deepcuts.errors import ResourceError
from deepcuts.progress import progress
from deepcuts.store import explain_os_error, write_file
from deepcuts.walk import free_bytes
from deepcuts.worlds.synth import SAMPLE_RATE, controls_from_latents, song_sound

WAV_HEADER = 44  # bytes
SOUND_STREAM = 5  # sounds draw from (seed, SOUND_STREAM, song): apart from all other draws of a world
SONGS_PER_TASK = 16
WORTH_WORKERS = 64  # below this many songs, starting other processes costs more than it saves


@dataclass(frozen=True)
class Studio:
    """What a worker must know to make sounds: where they go, and the dials they share."""

    folder: Path
    seed: int
    seconds: float
    snr_db: tuple[float, float]
    gain_db: float

    @property
    def n_bytes(self) -> int:
        """Size of every complete file."""
        return WAV_HEADER + 2 * round(self.seconds * SAMPLE_RATE)


def make_sounds(studio: Studio, names: Sequence[str], latents: np.ndarray, n_jobs: int = 0) -> int:
    """Write `<name>.wav` (PCM16, mono, 22,050 Hz) for every song that has no complete file yet.

    The sound of song i depends on its latents and on (seed, i) only, so the bytes are the same whatever the number
    of workers and wherever an earlier run stopped.

    Args:
        names: of the songs, in order.
        latents: audible latents [n_songs, n_audible].
        n_jobs: worker processes; 0 takes one for each core. With more than one, a script that calls this
            needs the guard `if __name__ == "__main__":`.
    Returns:
        How many files were made; the others were there.
    Raises:
        ResourceError: the disk is full or not writable, or a worker was killed.
    """
    missing = [song for song, name in enumerate(names) if not is_whole(studio, name)]
    room, needed = free_bytes(studio.folder), len(missing) * studio.n_bytes
    if room < needed:
        raise ResourceError(
            f"{studio.folder}: {room / 1e9:.2f} GB free, the sounds need {needed / 1e9:.2f} GB. "
            "Free some space, or make fewer or shorter songs."
        )
    try:
        studio.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_os_error(error, studio.folder) from error
    tasks = [missing[start : start + SONGS_PER_TASK] for start in range(0, len(missing), SONGS_PER_TASK)]
    batches = [[(song, names[song], latents[song]) for song in task] for task in tasks]
    n_jobs = min(n_jobs or os.cpu_count() or 1, len(batches))
    with progress("synthesise", len(names), "song") as bar:
        bar.skip(len(names) - len(missing))
        alone = n_jobs == 1 or len(missing) < WORTH_WORKERS
        here = (make_batch(studio, batch) for batch in batches)
        for n in here if alone else spread(studio, batches, n_jobs):
            bar.advance(n)
    return len(missing)


def is_whole(studio: Studio, name: str) -> bool:
    """Whether the file of a song is there in full; files are renamed when complete, so size tells."""
    path = studio.folder / f"{name}.wav"
    return path.is_file() and path.stat().st_size == studio.n_bytes


def spread(studio: Studio, batches: Sequence[list[tuple[int, str, np.ndarray]]], n_jobs: int) -> Iterator[int]:
    """Make batches in worker processes; gives the size of each as it is done."""
    # Spawned, not forked: a fork copies the locks of other libraries' threads and may hang.
    pool = ProcessPoolExecutor(n_jobs, mp_context=multiprocessing.get_context("spawn"), initializer=begin_worker)
    try:
        for future in as_completed([pool.submit(make_batch, studio, batch) for batch in batches]):
            yield future.result()
    except BrokenProcessPool as error:
        raise ResourceError(
            f"{studio.folder}: a worker was killed, perhaps for want of memory. Run the same command again "
            "with fewer n_jobs; what is done is kept."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def make_batch(studio: Studio, batch: Sequence[tuple[int, str, np.ndarray]]) -> int:
    """Make and write some songs, given as (position, name, latents); gives how many."""
    for song, name, latents in batch:
        rng = np.random.default_rng((studio.seed, SOUND_STREAM, song))
        controls = controls_from_latents(latents)
        sound = song_sound(controls, studio.seconds, rng, snr_db=studio.snr_db, gain_db=studio.gain_db)
        write_file(studio.folder / f"{name}.wav", wav_bytes(sound))
    return len(batch)


def wav_bytes(sound: np.ndarray) -> bytes:
    """A mono int16 sound at 22,050 Hz as the content of a WAV file."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(sound.astype("<i2", copy=False).tobytes())
    return content.getvalue()

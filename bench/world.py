"""The planted world against real time: how fast one core makes its sounds, and hears them again as log-mel.

    OMP_NUM_THREADS=1 python bench/world.py --quick

Cost is in CPU seconds for a second of sound, so real time is 1. Sounds are written to files and read from them, as
`deepcuts data world` and `deepcuts audio logmel` do; hashing and half precision are part of hearing.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from deepcuts.audio.logmel import LogMelSettings
from deepcuts.audio.workers import Job, extract_file
from deepcuts.worlds.sounds import Studio, make_sounds
from deepcuts.worlds.world import WorldSettings
from sides import Row, main, row

KNOWN_FRAMES = 1 + (8 * 22_050 - 1024) // 512  # of a song of 8 s


def measure(quick: bool) -> list[Row]:
    n_songs, repeats = (60, 5) if quick else (300, 9)
    dials = WorldSettings()
    latents = np.random.default_rng(0).standard_normal((n_songs, dials.n_audible))
    names = [f"song-{number}" for number in range(n_songs)]
    job = Job("logmel", LogMelSettings(), frozenset())
    made: list[float] = []
    heard: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        sounds = Path(folder) / "sounds"
        studio = Studio(sounds, dials.seed, dials.seconds, (dials.snr_low_db, dials.snr_high_db), dials.gain_db)
        for _ in range(repeats + 1):
            shutil.rmtree(sounds, ignore_errors=True)
            made.append(cpu_seconds(lambda: make_sounds(studio, names, latents, n_jobs=1)))
            heard.append(cpu_seconds(lambda: check([extract_file(sounds / f"{name}.wav", job) for name in names])))
    of_sound = n_songs * dials.seconds
    what = f"{n_songs} songs of {dials.seconds:g} s"
    rows = (
        (f"planted world: {what} made", made, 1 / 500, 1 / 1000),
        (f"planted world: log-mel of {what}", heard, 1 / 2500, 1 / 3500),
    )
    return [
        row(
            work,
            [cost / of_sound for cost in costs[1:]],  # the first only warms up
            [1.0] * repeats,
            against="real time",
            must=must,
            aim=aim,
            unit="CPU s a second of sound",
            note=f"{of_sound / sorted(costs[1:])[repeats // 2]:,.0f} x real time.",
        )
        for work, costs, must, aim in rows
    ]


def cpu_seconds(work: Callable[[], object]) -> float:
    """Of this process: real time has no neighbours, so ours must not count."""
    began = time.process_time()
    work()
    return time.process_time() - began


def check(results: list) -> None:
    """Every song was heard, whole."""
    if any(result.outcome.reason or len(result.frames) != KNOWN_FRAMES for result in results):
        raise RuntimeError("a song was not heard")


if __name__ == "__main__":
    main(measure, __doc__)

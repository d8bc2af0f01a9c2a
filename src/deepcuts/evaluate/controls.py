"""Rows that know nothing of how songs sound: what a number is worth is read against them."""

import numpy as np

from deepcuts.artifacts import UNKNOWN, Lineage
from deepcuts.evaluate.systems import System


def random_system(
    user_vectors: np.ndarray,
    n_songs: int,
    rng: np.random.Generator,
    name: str = "random",
    lineage: Lineage = UNKNOWN,
) -> System:
    """The paper's lowest row: true user vectors, song vectors drawn at random (the same for every user)."""
    songs = rng.standard_normal((n_songs, user_vectors.shape[1])).astype(np.float32)
    return System(name, user_vectors, songs, kind="control", note="Song vectors are random numbers.", lineage=lineage)


def popularity_system(
    n_users: int, listeners: np.ndarray, name: str = "popularity", lineage: Lineage = UNKNOWN
) -> System:
    """Everyone is given the most played test songs first. It counts the hidden plays themselves, so it cheats.

    Args:
        listeners: [n_songs], how many users played each test song.
    """
    songs = np.asarray(listeners, dtype=np.float32)[:, None]
    note = "The most played test songs first, the same for everyone. It counts the hidden plays."
    return System(name, np.ones((n_users, 1), dtype=np.float32), songs, "control", True, note, lineage)

"""Vectors that need no learning, to compare with: they go through the same scoring as any other."""

import numpy as np

from deepcuts.artifacts import Plays


def popularity(plays: Plays) -> tuple[np.ndarray, np.ndarray]:
    """Vectors whose product is how many users played a song (distinct listeners, not plays).

    Computed from the hidden plays themselves it cheats, and shows what knowing popularity alone is worth.

    Args:
        plays: [n_users, n_songs].
    Returns:
        Ones [n_users, 1] and listeners [n_songs, 1], float32 (exact up to 16.7 million listeners).
    """
    n_users, n_songs = plays.shape
    listeners = np.bincount(plays.counts.indices, minlength=n_songs)
    return np.ones((n_users, 1), np.float32), listeners.astype(np.float32)[:, None]


def random_factors(n_songs: int, n_factors: int, rng: np.random.Generator) -> np.ndarray:
    """Random song factors, N(0, 1), [n_songs, n_factors] float32: the floor of every table.

    One draw serves all users, as in the paper, whose users are learned and whose songs are random: so the AUC
    differs from .5 by more than independent noise for each user would.

    Source: van den Oord et al. 2013, table 3 ("random").
    """
    return rng.standard_normal((n_songs, n_factors), dtype=np.float32)

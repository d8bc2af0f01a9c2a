"""What the lists of a system look like, apart from whether they are right: whom they favour and how varied they are.

    coverage          share of the candidates that stand in anybody's list of k
    hubness           skewness of how often each candidate is listed: 0 where all are listed alike, large where few
                      songs fill everybody's lists
    popularity_lift   mean listeners of a listed song over mean listeners of a candidate: 1 favours nobody
    variety           1 - mean cosine between two songs of a list, in a space that is the same for all systems
    artists           different artists in a list, divided by k

Source: Radovanović et al. 2010 for hubness.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import skew

from deepcuts.evaluate.metrics import fixed_order
from deepcuts.evaluate.systems import System

AT_ONCE = 512  # users ranked at a time


def best_songs(system: System, users: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
    """Each user's k best songs, best first: positions [n_users, k]; equal scores stand in a fixed random order.

    Args:
        users: rows of the system's users.
        k: songs in a list; all of them where there are fewer.
    """
    order = fixed_order(len(system.song_vectors), seed)
    songs = system.song_vectors[order].T
    k = min(k, len(order))
    lists = [np.argsort(-(system.user_vectors[users[at : at + AT_ONCE]] @ songs), axis=1, kind="stable")[:, :k]
             for at in range(0, len(users), AT_ONCE)]  # fmt: skip
    return order[np.concatenate(lists)] if lists else np.empty((0, k), dtype=np.int64)


def list_measures(
    lists: np.ndarray,
    listeners: np.ndarray,
    space: np.ndarray | None = None,
    artists: Sequence[str | None] | None = None,
) -> dict[str, float]:
    """The measures of some lists.

    Args:
        lists: positions of the listed songs [n_users, k].
        listeners: of every candidate [n_songs].
        space: vectors of the candidates [n_songs, d] of length 1, or 0 for a song that is like no other; without it
            `variety` is left out.
        artists: of the candidates; None marks a song whose artist is unknown, which counts as an artist of its own.
            Without them `artists` is left out.
    """
    n_songs, k = len(listeners), lists.shape[1]
    listed = np.bincount(lists.ravel(), minlength=n_songs)
    told = {
        "k": float(k),
        "coverage": float((listed > 0).mean()),
        "hubness": float(skew(listed)) if listed.std() > 0 else 0.0,
        "popularity_lift": float(listed @ listeners / listed.sum() / listeners.mean()),
    }
    if space is not None and k > 1:
        vectors = space[lists].astype(np.float64)
        pairs = (vectors.sum(axis=1) ** 2).sum(axis=1) - (vectors**2).sum(axis=(1, 2))
        told["variety"] = float(1 - (pairs / (k * (k - 1))).mean())
    if artists is not None:
        number = numbers_of(artists)[lists]
        told["artists"] = float(np.mean([len(set(row)) for row in number.tolist()]) / k)
    return told


def numbers_of(artists: Sequence[str | None]) -> np.ndarray:
    """Artists as integers [n_songs]; every song without one is an artist of its own."""
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(name, len(seen)) if name is not None else -1 - at
                     for at, name in enumerate(artists)], dtype=np.int64)  # fmt: skip


def measures_of(
    systems: Sequence[System],
    users: np.ndarray,
    listeners: np.ndarray,
    k: int,
    space: np.ndarray | None = None,
    artists: Sequence[str | None] | None = None,
    seed: int = 0,
) -> Mapping[str, dict[str, float]]:
    """System → the measures of its lists; arguments as in `best_songs` and `list_measures`."""
    return {one.name: list_measures(best_songs(one, users, k, seed), listeners, space, artists) for one in systems}

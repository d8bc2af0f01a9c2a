"""AUC for kinds of songs: hardly played and often played ones, those by known and by unknown artists.

A song's AUC is the mean, over its counted listeners, of the share of the songs they did not play that it beats
(`Row.song_auc`). The AUC of a group of songs weighs each by its listeners, so that all songs together give the mean
over pairs of listener and played song; the AUC of the report is the mean over users.

Songs are grouped by counted listeners: users with a hidden play of the song, however often they played it. A song
without any is a candidate like all others, but nobody can say where it belongs: its AUC is undefined.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from deepcuts.evaluate.bootstrap import interval
from deepcuts.evaluate.systems import Evaluation

# name → fewest and most listeners
BUCKETS: dict[str, tuple[int, int | None]] = {"0": (0, 0), "1-5": (1, 5), "6-50": (6, 50), ">50": (51, None)}


def buckets_of(listeners: np.ndarray) -> dict[str, np.ndarray]:
    """Which songs [n_songs] bool stand in each of BUCKETS."""
    return {name: (listeners >= low) & (listeners <= (np.inf if high is None else high))
            for name, (low, high) in BUCKETS.items()}  # fmt: skip


def group_auc(song_auc: np.ndarray, listeners: np.ndarray, chosen: np.ndarray) -> float:
    """Mean of the songs' AUC, each weighing as many as it has listeners; NaN where no chosen song has any."""
    counted = chosen & np.isfinite(song_auc) & (listeners > 0)
    return float(np.average(song_auc[counted], weights=listeners[counted])) if counted.any() else float("nan")


def auc_by_group(song_auc: np.ndarray, listeners: np.ndarray, groups: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """AUC of one system for groups of songs.

    Args:
        song_auc, listeners: of each test song [n_songs].
        groups: name → which songs [n_songs] bool.
    Returns:
        one dict a group: group, n_songs, n_pairs (of a listener and a song), auc.
    """
    return [
        {"group": name, "n_songs": int(chosen.sum()), "n_pairs": int(listeners[chosen].sum()),
         "auc": group_auc(song_auc, listeners, chosen)}
        for name, chosen in groups.items()
    ]  # fmt: skip


def auc_by_plays(evaluation: Evaluation, name: str) -> list[dict[str, Any]]:
    """AUC of one system for songs with 0, 1 to 5, 6 to 50 and more than 50 counted listeners."""
    listeners = evaluation.listeners
    return auc_by_group(evaluation.row(name).song_auc, listeners, buckets_of(listeners))


def auc_gaps(
    a: np.ndarray,
    b: np.ndarray,
    listeners: np.ndarray,
    groups: Mapping[str, np.ndarray],
    *,
    level: float = 0.95,
    n_draws: int = 200,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """How much higher one system's AUC is than another's, group by group, paired by song.

    Args:
        a, b: AUC of each test song under either system [n_songs].
        listeners: of each song [n_songs].
        groups: name → which songs [n_songs] bool.
        n_draws: songs of a group drawn anew with replacement, so often; users are not.
    Returns:
        one dict a group: group, n_songs, n_pairs, a, b, difference, low, high; NaN where no song has listeners, and
        no interval for a single song.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for name, chosen in groups.items():
        row: dict[str, Any] = {"group": name, "n_songs": int(chosen.sum()), "n_pairs": int(listeners[chosen].sum()),
                               "a": group_auc(a, listeners, chosen), "b": group_auc(b, listeners, chosen)}  # fmt: skip
        row["difference"] = row["a"] - row["b"]
        counted = np.flatnonzero(chosen & np.isfinite(a) & np.isfinite(b) & (listeners > 0))
        low = high = float("nan")
        if len(counted) > 1:
            drawn = rng.integers(len(counted), size=(n_draws, len(counted)))
            weight = listeners[counted].astype(np.float64)
            total = (weight * (a - b)[counted])[drawn].sum(axis=1)
            low, high = interval(row["difference"], total / weight[drawn].sum(axis=1), level)
        rows.append({**row, "low": low, "high": high})
    return rows

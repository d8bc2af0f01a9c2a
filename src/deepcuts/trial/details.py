"""What stands beside mAP and AUC: kinds of songs, and what the lists look like."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from deepcuts.artifacts import Plays, Split, Vocabulary
from deepcuts.evaluate import Evaluation, System
from deepcuts.evaluate.buckets import auc_by_group, auc_by_plays
from deepcuts.evaluate.lists import measures_of
from deepcuts.recommend import usage_space


def details_of(
    evaluation: Evaluation, systems: Sequence[System], plays: Plays, split: Split, songs: Vocabulary
) -> dict[str, dict[str, Any]]:
    """System → by_plays, by_artist and lists, to be added to its row of a report.

    Lists are those of the counted users, at most as many as intervals rest on, `short_at` songs long. Their variety is
    measured in the usage patterns of the row `fold_in`, which knows who really played the songs; without that row it
    is left out.

    Args:
        systems: that were evaluated, on `songs`.
        plays: all plays; their songs table may name the artists.
        split: whose groups are artists, where it was made by artist.
    """
    settings, listeners = evaluation.settings, evaluation.listeners
    rng = np.random.default_rng(settings.seed)
    users = evaluation.users
    if len(users) > settings.bootstrap_users:
        users = np.sort(rng.choice(users, settings.bootstrap_users, replace=False))
    played = next((one for one in systems if one.name == "fold_in"), None)
    space = None if played is None else usage_space(played.user_vectors, played.song_vectors)
    artists = artists_of(plays, songs)
    known = known_artists(plays, split, songs)
    lists = measures_of(systems, users, listeners, settings.short_at, space, artists, settings.seed)
    return {
        row.name: {
            "by_plays": auc_by_plays(evaluation, row.name),
            "by_artist": [] if known is None else auc_by_group(row.song_auc, listeners,
                                                               {"known": known, "unknown": ~known}),
            "lists": lists[row.name],
        }
        for row in evaluation.rows
    }  # fmt: skip


def artists_of(plays: Plays, songs: Vocabulary) -> list[str | None] | None:
    """The artists of some songs; None where the plays name none."""
    if "artist" not in plays.songs_table.columns:
        return None
    names = plays.songs_table["artist"].cast(pl.String)
    return names.gather(plays.songs.positions(songs.ids)).to_list()


def known_artists(plays: Plays, split: Split, songs: Vocabulary) -> np.ndarray | None:
    """Which songs [n_songs] bool are by an artist of whom a song was learned from; None where artists are not told.

    A song without an artist counts as one of an unknown artist.
    """
    every = artists_of(plays, plays.songs)
    if every is None:
        return None
    test = set(split.test_songs.ids.to_list())
    learned = {name for name, song in zip(every, plays.songs.ids, strict=True) if song not in test and name is not None}
    own = artists_of(plays, songs) or []
    return np.array([name in learned for name in own], dtype=bool)


def mean_details(folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Details of one system over folds: pairs and songs added up, AUC weighted by pairs, lists averaged."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for kind in ("by_plays", "by_artist"):
        groups[kind] = [_joined(rows) for rows in zip(*(fold[kind] for fold in folds), strict=True)]
    names = [name for name in folds[0]["lists"] if all(name in fold["lists"] for fold in folds)]
    lists = {name: float(np.mean([fold["lists"][name] for fold in folds])) for name in names}
    return {**groups, "lists": lists}


def _joined(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One group of songs over folds."""
    good = [row for row in rows if row["auc"] is not None and np.isfinite(row["auc"]) and row["n_pairs"]]
    auc = float(np.average([row["auc"] for row in good], weights=[row["n_pairs"] for row in good])) if good else None
    sums = {name: sum(row[name] for row in rows) for name in ("n_songs", "n_pairs")}
    return {"group": rows[0]["group"], **sums, "auc": auc}

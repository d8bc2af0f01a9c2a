"""The stage `data`: raw tables → `Plays`, songs table and `Tags`; and `Split`.

A new source is one file and one line in DATASETS: a name, its settings, and `reader(path, settings) -> Reading`.
"""

from collections.abc import Callable
from typing import Any

from deepcuts.data.lastfm import LastfmSettings, read_artist_tracks, read_lastfm
from deepcuts.data.matrix import MatrixSettings, read_matrix
from deepcuts.data.msd import MsdSettings, read_msd, read_triplets, subset
from deepcuts.data.msdfiles import (
    read_h5_metadata,
    read_kaggle_songs,
    read_kaggle_users,
    read_lastfm_tags,
    read_mismatches,
    read_song_tracks,
    read_track_metadata,
    read_unique_tracks,
)
from deepcuts.data.reading import Reading, make_tags
from deepcuts.data.sidetable import SideSettings, read_side_table
from deepcuts.data.split import SplitSettings, folds, make_split
from deepcuts.data.table import EventSettings, TableSettings, read_events, read_table

DATASETS: dict[str, tuple[type, Callable[[Any, Any], Reading]]] = {
    "table": (TableSettings, read_table),
    "events": (EventSettings, read_events),
    "matrix": (MatrixSettings, read_matrix),
    "msd": (MsdSettings, read_msd),
    "lastfm": (LastfmSettings, read_lastfm),
}

__all__ = [
    "DATASETS",
    "EventSettings",
    "LastfmSettings",
    "MatrixSettings",
    "MsdSettings",
    "Reading",
    "SideSettings",
    "SplitSettings",
    "TableSettings",
    "folds",
    "make_split",
    "make_tags",
    "read_artist_tracks",
    "read_events",
    "read_h5_metadata",
    "read_kaggle_songs",
    "read_kaggle_users",
    "read_lastfm",
    "read_lastfm_tags",
    "read_matrix",
    "read_mismatches",
    "read_msd",
    "read_side_table",
    "read_song_tracks",
    "read_table",
    "read_track_metadata",
    "read_triplets",
    "read_unique_tracks",
    "subset",
]

"""Features of one frame a song: the pooled statistics of its frames, averaged over its recordings.

What linear models and trees learn from, in a few hundred bytes a song. A song of several recordings gets the mean of
their statistics: pooled over all frames at once, the change from one recording to the next would count as movement
within the music, and long recordings would drown short ones.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from deepcuts.artifacts import Features, Vocabulary, derive
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.kernels.pool import n_stats, pool_songs


@dataclass(frozen=True)
class PoolSettings:
    """What is pooled.

    Attributes:
        n_cov: covariances among the first so many channels are added (12, the timbre, for echonest); 0 for none.
    """

    n_cov: int = 0

    def __post_init__(self) -> None:
        require(self.n_cov >= 0, "n_cov", self.n_cov, "0 or more")


def pool_features(features: Features, settings: PoolSettings, table: pl.DataFrame | None = None) -> Features:
    """Pooled statistics as features of one frame a song.

    Args:
        features: frames of recordings.
        settings: n_cov must not exceed the channels.
        table: columns song_id and track_id: which recordings (ids of `features`) make up which song. Recordings
            it does not name are left out, and so are songs without any recording. None: a recording is a song.
    Returns:
        float32 features of kind "pooled-..." [n_songs, n_stats], marked one_frame.
    Raises:
        InputError: no song of the table has a recording, or a frame is not finite.
    """
    stats = pool_songs(features, np.arange(len(features.songs)), settings.n_cov)
    songs = features.songs
    if table is not None:
        songs, stats = mean_by_song(features.songs, stats, table)
    width = n_stats(features.n_channels, settings.n_cov)
    lineage = derive(features.lineage, features=features.fingerprint)
    record = {"one_frame": True, "n_channels": width, "n_cov": settings.n_cov, "of": dict(features.settings)}
    return Features(songs, stats, np.arange(len(songs) + 1), f"pooled-{features.kind}", record, lineage)


def mean_by_song(tracks: Vocabulary, stats: np.ndarray, table: pl.DataFrame) -> tuple[Vocabulary, np.ndarray]:
    """Mean statistics of the recordings of each song; songs in the order of their ids."""
    missing = {"song_id", "track_id"} - set(table.columns)
    if missing:
        raise InputError(f"table: no column {min(missing)!r}; expected song_id and track_id.")
    rows = table.select(pl.col("song_id", "track_id").cast(pl.String)).unique()
    rows = rows.with_columns(place=pl.Series(tracks.find(rows["track_id"]))).filter(pl.col("place") >= 0)
    if not rows.height:
        raise InputError("table: none of its track ids has features. Check that they are the names of the files.")
    songs = Vocabulary(rows["song_id"].unique().sort())
    song, place = songs.find(rows["song_id"]), rows["place"].to_numpy()
    total = np.zeros((len(songs), stats.shape[1]))
    np.add.at(total, song, stats[place].astype(np.float64))
    return songs, (total / np.bincount(song)[:, None]).astype(np.float32)

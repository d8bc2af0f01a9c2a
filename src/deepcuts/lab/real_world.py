"""What the paper's experiments on real plays share: plays, sounds, tags, terms and factors of Last.fm's artists."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from deepcuts.artifacts import Factors, Features, Plays, SongFactors, Tags, Vocabulary
from deepcuts.config import require
from deepcuts.data import LastfmSettings, make_tags, read_artist_tracks, read_h5_metadata, read_lastfm
from deepcuts.errors import InputError
from deepcuts.factors import fit, fit_sizes
from deepcuts.lab.lastfm import ALONE, ANALYSES, PLAYS, SIZES, TRACKS, WMF, features_of
from deepcuts.recommend import usage_space


@dataclass(frozen=True)
class RealPaper:
    """How the paper's experiments run on real plays.

    Attributes:
        n_folds: of cross-validation over artists with content, of tags and of predictions.
        min_carriers: a tag is predicted when so many artists with content have it.
        n_neighbours: artists in a list of Table 4.
        n_queries: lists shown, of the artists with content that most people listen to.
        table_listeners, map_listeners: artists need so many to stand in Table 1, on the map.
        n_bootstrap: replicates of the intervals.
        seed: of the folds, the replicates and the map.
    """

    n_folds: int = 5
    min_carriers: int = 15
    n_neighbours: int = 5
    n_queries: int = 5
    table_listeners: int = 20
    map_listeners: int = 5
    n_bootstrap: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.n_folds >= 2, "n_folds", self.n_folds, "2 or more")
        require(self.min_carriers >= 2, "min_carriers", self.min_carriers, "2 or more")
        require(self.n_neighbours >= 2, "n_neighbours", self.n_neighbours, "2 or more")
        for name in ("n_queries", "table_listeners", "map_listeners", "n_bootstrap"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        require(self.seed >= 0, "seed", self.seed, "0 or more")


@dataclass(frozen=True)
class RealWorld:
    """What all parts share.

    Attributes:
        tracks: song_id, track_id and group: which analyses and which group an artist with content has.
        heard: what artists with content sound like, as in the benchmark.
        tags: Last.fm's own, by its users, of all artists.
        terms: of the Million Song Dataset, of the artists with content.
        alone, joined: factors of one size and of several, learned from all plays.
    """

    plays: Plays
    tracks: pl.DataFrame
    heard: dict[str, Features]
    tags: Tags
    terms: Tags
    alone: Factors
    joined: Factors

    @property
    def songs(self) -> Vocabulary:
        """The artists with content."""
        return self.heard["timbre"].songs


def read_world(data: Path, work: Path) -> RealWorld:
    """Read, hear and factorise."""
    reading, tracks = read_lastfm(data / PLAYS, LastfmSettings()), read_artist_tracks(data / TRACKS)
    heard = features_of(data / ANALYSES, tracks, work)
    terms = artist_terms(data / ANALYSES, tracks, heard["timbre"].songs)
    if reading.tags is None:
        raise InputError(f"{data / PLAYS}: holds no tags. Give the whole hetrec2011 zip.")
    alone = fit(reading.plays, ALONE, protocol="joint").factors
    joined = fit_sizes(reading.plays, WMF, SIZES, protocol="joint").factors
    return RealWorld(reading.plays, tracks, heard, reading.tags, terms, alone, joined)


def artist_terms(analyses: Path, tracks: pl.DataFrame, songs: Vocabulary) -> Tags:
    """Terms that the analyses say of the artists of their tracks; any weight above 0 counts."""
    _, terms = read_h5_metadata(analyses)
    named = tracks.select("song_id", "track_id").join(terms.select("track_id", "tag", "weight"), on="track_id")
    tags = make_tags(songs, named)
    if tags is None:
        raise InputError(f"{analyses}: the analyses hold no artist terms. Give those of the Million Song Dataset.")
    return tags


def rows_of(factors: Factors | SongFactors, songs: Vocabulary) -> np.ndarray:
    """Factors of songs [n_songs, n_factors]."""
    return (factors.songs if isinstance(factors, Factors) else factors).rows(songs.ids)


def patterns(world: RealWorld, song_factors: np.ndarray) -> np.ndarray:
    """Usage patterns among all users [n_songs, n_factors], of length 1 or 0."""
    return usage_space(world.joined.users.vectors, song_factors)


def listeners_of(plays: Plays, songs: Vocabulary) -> np.ndarray:
    """How many users play each song [n_songs]."""
    counts = np.bincount(plays.counts.indices, minlength=len(plays.songs))
    return counts[plays.songs.positions(songs.ids)]

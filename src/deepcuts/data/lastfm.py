"""Last.fm plays of HetRec 2011: 1,892 users and the artists they listen to most. Here an artist stands for a song.

Files (TAB, one header line, encodings mixed): user_artists.dat (userID artistID weight), artists.dat (id name url
pictureURL), tags.dat (tagID tagValue), user_taggedartists.dat (userID artistID tagID day month year).
"""

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from deepcuts.artifacts import Tags, Vocabulary
from deepcuts.config import require
from deepcuts.data.reading import Reading, make_tags, member_names, open_bytes, read_fields
from deepcuts.data.rows import Layout, plays_from_rows, read_rows
from deepcuts.errors import InputError

PLAYS, ARTISTS, TAGS, TAGGED = "user_artists.dat", "artists.dat", "tags.dat", "user_taggedartists.dat"


@dataclass(frozen=True)
class LastfmSettings:
    """How to read HetRec 2011.

    Attributes:
        on_bad_row: "fail" at the first bad row of plays, or "skip" bad rows and count them in the notes.
        min_taggers: a tag of an artist counts when at least so many users gave it.
    """

    on_bad_row: str = "fail"
    min_taggers: int = 1

    def __post_init__(self) -> None:
        require(self.on_bad_row in ("fail", "skip"), "on_bad_row", self.on_bad_row, "fail or skip")
        require(self.min_taggers >= 1, "min_taggers", self.min_taggers, "at least 1")


def read_lastfm(path: Path | str, settings: LastfmSettings) -> Reading:
    """Plays, artists and tags of HetRec 2011.

    Args:
        path: hetrec2011-lastfm-2k.zip or the folder with its files. artists.dat must be there; tags need not.
    Returns:
        Plays with song_id = artistID as text and songs_table columns artist and title (both the name);
        tags weighted by the number of distinct users who gave them, None when the tag files are absent.
    Raises:
        InputError: a file is missing or damaged, a bad row (names file and line).
    """
    path = Path(path)
    notes: Counter[str] = Counter()
    there = member_names(path)
    missing = [name for name in (PLAYS, ARTISTS) if name not in there]
    if missing:
        raise InputError(
            f"{path}: no {missing[0]} among {', '.join(there) or 'nothing'}. Give the hetrec2011 zip or folder."
        )
    artists, n_other = read_fields(path, 4, ARTISTS)
    notes["lines decoded as Windows-1252"] += n_other
    names = artists.select(pl.col("0").alias("song_id"), pl.col("1").alias("artist"), pl.col("1").alias("title"))
    layout = Layout("\t", 3, {"user_id": 0, "song_id": 1, "plays": 2})
    frames = read_rows(path, layout, notes, skip_bad=settings.on_bad_row == "skip", header_lines=1, member=PLAYS)
    record = {"reader": "lastfm", **dataclasses.asdict(settings)}
    plays = plays_from_rows(frames, notes, f"{path}: {PLAYS}", record, names)
    notes["artists without a name"] = plays.songs_table["artist"].null_count()
    tags = None
    if TAGS in there and TAGGED in there:
        tags = _read_tags(path, plays.songs, settings.min_taggers, notes)
    return Reading(plays, tags, dict(notes))


def _read_tags(path: Path, songs: Vocabulary, min_taggers: int, notes: Counter[str]) -> Tags | None:
    """Tags weighted by the distinct users who gave them; two tag ids of the same text are one tag."""
    names, n_other = read_fields(path, 2, TAGS)
    notes["lines decoded as Windows-1252"] += n_other
    given, _ = read_fields(path, 6, TAGGED)
    notes["tag assignments read"] = given.height
    texts = names.select(pl.col("0").alias("2"), pl.col("1").str.strip_chars().alias("tag"))
    rows = given.join(texts, on="2", how="inner")
    notes["tag assignments without a tag text left out"] = given.height - rows.height
    known = rows.filter(songs.find(rows["1"]) >= 0)
    notes["tag assignments of artists without plays left out"] = rows.height - known.height
    weights = known.group_by(pl.col("1").alias("song_id"), "tag").agg(pl.col("0").n_unique().alias("weight"))
    return make_tags(songs, weights.filter(pl.col("weight") >= min_taggers))


def read_artist_tracks(path: Path | str) -> pl.DataFrame:
    """Which tracks belong to which artist, from a csv with the columns lastfm_artist_id and track_id.

    Artists that share a track (one is a misspelling or a guest of the other) are joined into one group, so that a split
    by group never learns from the very track it tests.

    Returns:
        One row an (artist, track) pair, in the order of the file: song_id (the artist's id as text), track_id, group
        (integers from 0, in the order of first appearance).
    Raises:
        InputError: no such file, a missing column, an empty cell.
    """
    with open_bytes(path) as stream:
        try:
            table = pl.read_csv(stream.read(), infer_schema=False)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise InputError(f"{path}: not a csv table ({error}).") from error
    for name in ("lastfm_artist_id", "track_id"):
        if name not in table.columns:
            raise InputError(f"{path}: no column {name!r}; the columns are {', '.join(map(repr, table.columns))}.")
        if (table[name].fill_null("") == "").any():
            raise InputError(f"{path}: a cell of column {name!r} is empty. Fill it or take the line out.")
    rows = table.select(song_id="lastfm_artist_id", track_id="track_id")
    return rows.with_columns(group=join_groups(rows["song_id"], rows["track_id"]))


def join_groups(left: pl.Series, right: pl.Series) -> np.ndarray:
    """Connected components of the pairs left[i] - right[i]: int64 [n_pairs], from 0 as they first appear."""
    a, b = (column.rank("dense").to_numpy().astype(np.int64) - 1 for column in (left, right))
    n_left = int(a.max(initial=-1)) + 1
    n = n_left + int(b.max(initial=-1)) + 1
    _, component = connected_components(
        sparse.coo_array((np.ones(len(a)), (a, b + n_left)), shape=(n, n)), directed=False
    )
    _, first, group = np.unique(component[a], return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[group].astype(np.int64)

"""The Million Song Dataset family: Taste Profile triplets and the side files that say what the songs are.

Songs and tracks differ: listeners play *songs* (SO...), sound was analysed for *tracks* (TR...), and one song may have
several tracks. Some published (song, track) pairs are wrong: sid_mismatches.txt lists them.
"""

import dataclasses
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from deepcuts.artifacts import Plays, Tags, complete_songs_table
from deepcuts.config import require
from deepcuts.data.msdfiles import (
    read_h5_metadata,
    read_lastfm_tags,
    read_mismatches,
    read_song_tracks,
    read_track_metadata,
    read_unique_tracks,
)
from deepcuts.data.reading import Reading, make_tags, member_names
from deepcuts.data.rows import Layout, plays_from_rows, read_rows
from deepcuts.errors import InputError

TRIPLETS = ("train_triplets.txt", "kaggle_visible_evaluation_triplets.txt", "train_triplets_small.txt")
PACKED = ("", ".zip", ".gz", ".bz2")
UNIQUE_TRACKS, SONG_TRACKS = "unique_tracks.txt", "taste_profile_song_to_tracks.txt"
MISMATCHES, ACCEPTED = "sid_mismatches.txt", "sid_matches_manually_accepted.txt"
METADATA, LASTFM_TAGS = "track_metadata.db", "lastfm_tags.db"
DETAILS = ("artist", "title", "release", "artist_id", "year", "duration")


@dataclass(frozen=True)
class MsdSettings:
    """How to read the Million Song Dataset family.

    Attributes:
        triplets: name of the triplets file in the folder, or "auto" for the published names.
        on_bad_row: "fail" at the first bad triplet, or "skip" bad ones and count them in the notes.
        drop_mismatches: leave out the (song, track) pairs that sid_mismatches.txt lists and nobody accepted by hand.
        need_track: drop the plays of songs that have no good track, so that every song may have sound. Only where a
            file says which tracks there are, or which pairs are wrong.
        analyses: folder with MSD analysis files (.h5), relative to the triplets' folder; None reads none.
        min_tag_weight: Last.fm tags count when their weight (0 to 100) is above this.
    """

    triplets: str = "auto"
    on_bad_row: str = "fail"
    drop_mismatches: bool = True
    need_track: bool = True
    analyses: str | None = None
    min_tag_weight: float = 0.0

    def __post_init__(self) -> None:
        require(self.on_bad_row in ("fail", "skip"), "on_bad_row", self.on_bad_row, "fail or skip")
        require(0 <= self.min_tag_weight < 100, "min_tag_weight", self.min_tag_weight, "0 up to 100")


def read_triplets(path: Path | str, settings: MsdSettings) -> Reading:
    """Plays from triplets: user, song, count, parted by tabs, no header; plain, .gz, .bz2 or .zip. No side files.

    Raises:
        InputError: a bad line (names its number), an empty or damaged file.
    """
    notes: Counter[str] = Counter()
    layout = Layout("\t", 3, {"user_id": 0, "song_id": 1, "plays": 2})
    frames = read_rows(path, layout, notes, skip_bad=settings.on_bad_row == "skip")
    record = {"reader": "msd", **dataclasses.asdict(settings)}
    plays = plays_from_rows(frames, notes, f"{path}", record)
    return Reading(plays, None, dict(notes))


def read_msd(path: Path | str, settings: MsdSettings) -> Reading:
    """Plays, songs table and tags from triplets and whatever known side files lie in the same folder.

    Args:
        path: the triplets file, or the folder that holds it under a published name.
    Returns:
        songs_table has track_id (a good track of the song: one with an analysis if there is, then the first by name)
        and what is known of it: artist, title, release, artist_id, year, duration. Tags come from lastfm_tags.db,
        else from the artist terms of the analyses. The notes say which files were used.
    Raises:
        InputError: no triplets, a bad line, a damaged side file.
    """
    path = find_triplets(Path(path), settings)
    folder = path.parent
    reading = read_triplets(path, settings)
    notes = Counter(reading.notes)
    notes[f"used {path.name}"] = notes["rows read"]
    there = set(member_names(folder))
    catalogue, details = _read_catalogue(folder, there, reading.plays, notes)
    analysed = terms = None
    if settings.analyses is not None:
        analysed, terms = read_h5_metadata(folder / settings.analyses)
        notes["used analyses"] = analysed.height
        details.append(analysed)
    listed = [table.select("song_id", "track_id") for table in (*catalogue, *details)]
    pairs = pl.concat(listed).unique(maintain_order=True) if listed else None
    plays = reading.plays
    wrong = _read_wrong(folder, there, notes) if settings.drop_mismatches else None
    if wrong is not None and pairs is not None:
        good = pairs.join(wrong, on=["song_id", "track_id"], how="anti", maintain_order="left")
        notes["wrong (song, track) pairs dropped"] = pairs.height - good.height
        pairs = good
    if settings.need_track:
        plays = _drop_trackless(plays, pairs if catalogue else None, wrong, notes)
    if pairs is None:
        return Reading(plays, None, dict(notes))
    pairs = pairs.filter(pl.col("song_id").is_in(plays.songs.ids.implode()))
    table = _songs_table(plays, pairs, details, [] if analysed is None else analysed["track_id"].to_list())
    tags = _tags(folder, plays, pairs, terms, settings, notes)
    return Reading(replace(plays, songs_table=table), tags, dict(notes))


def find_triplets(path: Path, settings: MsdSettings) -> Path:
    """The triplets file: `path` itself, or the one in the folder `path`.

    Raises:
        InputError: nothing there by a published name.
    """
    if not path.is_dir():
        return path
    names = member_names(path)
    wanted = TRIPLETS if settings.triplets == "auto" else (settings.triplets,)
    for name in wanted:
        for ending in PACKED:
            if name + ending in names:
                return path / (name + ending)
    raise InputError(
        f"{path}: no {wanted[0]} (plain, .zip, .gz or .bz2) among {', '.join(names[:10]) or 'nothing'}. "
        "Name the file with --set triplets=NAME."
    )


def _read_catalogue(
    folder: Path, there: set[str], plays: Plays, notes: Counter[str]
) -> tuple[list[pl.DataFrame], list[pl.DataFrame]]:
    """The files that say which tracks a song has; and those among them that describe tracks, the richest first."""
    catalogue, details = [], []
    if METADATA in there:
        details.append(read_track_metadata(folder / METADATA, plays.songs.ids))
        notes[f"used {METADATA}"] = details[-1].height
    if UNIQUE_TRACKS in there:
        details.append(read_unique_tracks(folder / UNIQUE_TRACKS))
        notes[f"used {UNIQUE_TRACKS}"] = details[-1].height
    catalogue += details
    if SONG_TRACKS in there:
        catalogue.append(read_song_tracks(folder / SONG_TRACKS))
        notes[f"used {SONG_TRACKS}"] = catalogue[-1].height
    return catalogue, details


def _read_wrong(folder: Path, there: set[str], notes: Counter[str]) -> pl.DataFrame | None:
    if MISMATCHES not in there:
        return None
    wrong = read_mismatches(folder / MISMATCHES)
    notes[f"used {MISMATCHES}"] = wrong.height
    if ACCEPTED in there:
        accepted = read_mismatches(folder / ACCEPTED)
        notes[f"used {ACCEPTED}"] = accepted.height
        wrong = wrong.join(accepted, on=["song_id", "track_id"], how="anti")
    return wrong


def _drop_trackless(plays: Plays, pairs: pl.DataFrame | None, wrong: pl.DataFrame | None, notes: Counter[str]) -> Plays:
    """Without the songs that have no good track. Where nothing lists the tracks, every song with a wrong pair goes."""
    if pairs is not None:
        keep = plays.songs.ids.is_in(pairs["song_id"].implode()).to_numpy()
    elif wrong is not None:
        keep = ~plays.songs.ids.is_in(wrong["song_id"].implode()).to_numpy()
    else:
        return plays
    if not keep.any():
        raise InputError("not one song has a good track. Check that the side files belong to these triplets.")
    kept = take(plays, np.arange(len(plays.users)), np.flatnonzero(keep))
    users = np.flatnonzero(np.diff(kept.counts.indptr))
    kept = take(kept, users, np.arange(len(kept.songs)))
    notes["songs without a good track dropped"] = len(plays.songs) - len(kept.songs)
    notes["plays of songs without a good track dropped"] = plays.n_plays - kept.n_plays
    notes["users without plays left dropped"] = len(plays.users) - len(kept.users)
    return kept


def _songs_table(plays: Plays, pairs: pl.DataFrame, details: list[pl.DataFrame], analysed: list[str]) -> pl.DataFrame:
    """For each song a good track and what the files say of it: cell by cell, the first file that knows wins."""
    has_none = ~pl.col("track_id").is_in(analysed)
    chosen = pairs.sort(has_none, "track_id").unique("song_id", keep="first", maintain_order=True)
    wanted = chosen["track_id"].implode()
    known = [table.drop("song_id").filter(pl.col("track_id").is_in(wanted)) for table in details]
    if known:
        merged = pl.concat(known, how="diagonal").group_by("track_id").agg(pl.all().drop_nulls().first())
        chosen = chosen.join(merged, on="track_id", how="left")
    columns = ["song_id", "track_id", *(name for name in DETAILS if name in chosen.columns)]
    return complete_songs_table(plays.songs, chosen.select(columns))


def _tags(
    folder: Path,
    plays: Plays,
    pairs: pl.DataFrame,
    terms: pl.DataFrame | None,
    settings: MsdSettings,
    notes: Counter[str],
) -> Tags | None:
    """Tags of songs by way of their good tracks, the greatest weight of a song's tracks."""
    if (folder / LASTFM_TAGS).is_file():
        rows = read_lastfm_tags(folder / LASTFM_TAGS, pairs["track_id"].unique())
        rows = rows.filter(pl.col("weight") > settings.min_tag_weight)
        notes[f"used {LASTFM_TAGS}"] = rows.height
    elif terms is not None:
        rows = terms.select("track_id", "tag", "weight")
    else:
        return None
    return make_tags(plays.songs, rows.join(pairs, on="track_id", how="inner"))


def take(plays: Plays, users: np.ndarray, songs: np.ndarray) -> Plays:
    """The plays of some users and songs (positions, in the order given); all of them stay, even without plays left."""
    return plays.take_songs(songs).take_users(users)


def subset(plays: Plays, n_songs: int, n_users: int, min_songs_per_user: int, rng: np.random.Generator) -> Plays:
    """The songs with most listeners, and random users among those who played enough of them.

    The paper's subset has 9,330 songs and 20,000 users; which users is unsaid. Songs are ranked by distinct listeners,
    ties by song id.

    Args:
        n_songs, n_users: how many at most; all are taken where there are fewer.
        min_songs_per_user: users played at least so many of the chosen songs.
        rng: draws the users.
    Returns:
        Plays in the order of the ids. A chosen song stays even when none of the chosen users played it.
    Raises:
        InputError: nobody played so many of the chosen songs.
    Source: van den Oord et al. 2013, section 5.
    """
    listeners = np.bincount(plays.counts.indices, minlength=len(plays.songs))
    by_listeners = np.lexsort((np.arange(len(listeners)), -listeners))
    plays = plays.take_songs(np.sort(by_listeners[:n_songs]))
    enough = np.flatnonzero(np.diff(plays.counts.indptr) >= min_songs_per_user)
    if not len(enough):
        raise InputError(
            f"subset: no user played {min_songs_per_user} of the {len(plays.songs)} songs. Ask for fewer songs a user."
        )
    users = np.sort(rng.choice(enough, size=min(n_users, len(enough)), replace=False))
    return take(plays, users, np.arange(len(plays.songs)))

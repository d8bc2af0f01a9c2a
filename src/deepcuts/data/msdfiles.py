"""One reader for each side file of the Million Song Dataset, giving a table with `song_id` and/or `track_id`."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h5py
import numpy as np
import polars as pl

from deepcuts.data.reading import open_bytes, read_lines
from deepcuts.errors import InputError, ResourceError
from deepcuts.progress import progress

PAIR = {"song_id": pl.String, "track_id": pl.String}
PARTER = "<SEP>"


def read_unique_tracks(path: Path | str) -> pl.DataFrame:
    """unique_tracks.txt: `TRACKID<SEP>SONGID<SEP>artist<SEP>title`; a title may hold anything, also `<SEP>`.

    Returns:
        track_id, song_id, artist, title.
    Raises:
        InputError: a line with fewer than four parts (names its number).
    """
    rows = []
    for number, line in enumerate(read_lines(path)[0], start=1):
        parts = line.split(PARTER, 3)
        if len(parts) == 4:
            rows.append(parts)
        elif line.strip():
            raise InputError(f"{path}:{number}: {len(parts)} parts, expected 4 parted by {PARTER}. Fix the line.")
    names = ("track_id", "song_id", "artist", "title")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def read_song_tracks(path: Path | str) -> pl.DataFrame:
    """taste_profile_song_to_tracks.txt: a song, then none, one or several tracks, parted by tabs.

    Returns:
        song_id, track_id: one row a pair. Songs without a track have no row.
    """
    rows = []
    for line in read_lines(path)[0]:
        song_id, *tracks = line.rstrip("\t").split("\t")
        rows += [(song_id, track_id) for track_id in tracks if track_id]
    return pl.DataFrame(rows, schema=PAIR, orient="row")


def read_mismatches(path: Path | str) -> pl.DataFrame:
    """sid_mismatches.txt or sid_matches_manually_accepted.txt: (song, track) pairs at fixed places of a line.

    `ERROR: <SONGID TRACKID> artist  -  title  !=  artist  -  title`; the accepted ones begin with `< ERROR: <`, and
    other lines of that file are remarks.

    Returns:
        song_id, track_id.
    Raises:
        InputError: not one pair, or a line whose ids are not where they should be.
    """
    rows = []
    for number, line in enumerate(read_lines(path)[0], start=1):
        shift = {"ERROR: <": 8, "< ERROR:": 10}.get(line[:8])
        if shift is None:
            continue
        song_id, track_id = line[shift : shift + 18], line[shift + 19 : shift + 37]
        if not (song_id.startswith("SO") and track_id.startswith("TR") and len(track_id) == 18):
            raise InputError(f"{path}:{number}: {line[:50]!r}: expected ERROR: <SONGID TRACKID>. Fix the line.")
        rows.append((song_id, track_id))
    if not rows:
        raise InputError(f"{path}: not one line is ERROR: <SONGID TRACKID>. Check that it is the right file.")
    return pl.DataFrame(rows, schema=PAIR, orient="row").unique(maintain_order=True)


def read_kaggle_users(path: Path | str) -> list[str]:
    """kaggle_users.txt: one user id a line, in the order that the challenge's submissions follow."""
    return [line.strip() for line in read_lines(path)[0] if line.strip()]


def read_kaggle_songs(path: Path | str) -> pl.DataFrame:
    """kaggle_songs.txt: `SONGID INDEX`, the index from 1.

    Returns:
        song_id, index int64.
    Raises:
        InputError: a line of another form (names its number).
    """
    rows = []
    for number, line in enumerate(read_lines(path)[0], start=1):
        parts = line.split()
        if len(parts) != 2 or not parts[1].isdecimal():
            raise InputError(f"{path}:{number}: {line!r}: expected SONGID INDEX. Fix the line.")
        rows.append((parts[0], int(parts[1])))
    return pl.DataFrame(rows, schema={"song_id": pl.String, "index": pl.Int64}, orient="row")


def read_track_metadata(path: Path | str, song_ids: Iterable[str]) -> pl.DataFrame:
    """track_metadata.db (SQLite table `songs`), for some songs.

    Returns:
        track_id, song_id, artist, title, release, artist_id, year int64 (null for the 0 that means unknown), duration
        in seconds.
    Raises:
        InputError: not such a database.
    """
    names = {"track_id": pl.String, "song_id": pl.String, "artist": pl.String, "title": pl.String, "release": pl.String}
    schema = {**names, "artist_id": pl.String, "year": pl.Int64, "duration": pl.Float64}
    rows = _query(
        path,
        "SELECT track_id, song_id, artist_name, title, release, artist_id, NULLIF(year, 0), duration "
        "FROM songs WHERE song_id IN (SELECT id FROM wanted) ORDER BY track_id",
        song_ids,
    )
    return pl.DataFrame(rows, schema=schema, orient="row")


def read_lastfm_tags(path: Path | str, track_ids: Iterable[str]) -> pl.DataFrame:
    """lastfm_tags.db: `tid_tag` joins row numbers of `tids` and `tags`; weights are 0 to 100.

    Returns:
        track_id, tag, weight; weights above 0 only.
    Raises:
        InputError: not such a database.
    """
    rows = _query(
        path,
        "SELECT tids.tid, tags.tag, tid_tag.val FROM tids "
        "JOIN tid_tag ON tid_tag.tid = tids.ROWID JOIN tags ON tags.ROWID = tid_tag.tag "
        "WHERE tids.tid IN (SELECT id FROM wanted) AND tid_tag.val > 0 ORDER BY tids.tid, tags.tag",
        track_ids,
    )
    return pl.DataFrame(rows, schema={"track_id": pl.String, "tag": pl.String, "weight": pl.Float64}, orient="row")


def _query(path: Path | str, question: str, wanted: Iterable[str]) -> list[tuple[Any, ...]]:
    """Rows of a read-only query; the ids in `wanted` are at hand as the table wanted(id)."""
    with open_bytes(path):
        pass  # not there, no permission: said in our words, before SQLite does it in its own
    connection = sqlite3.connect(f"file:{quote(str(Path(path).absolute()))}?mode=ro&immutable=1", uri=True)
    try:
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("CREATE TEMP TABLE wanted (id TEXT PRIMARY KEY)")
        connection.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((one,) for one in wanted))
        return connection.execute(question).fetchall()
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: not the database expected ({error}). Fetch it again.") from error
    finally:
        connection.close()


def read_h5_metadata(folder: Path | str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the analysis files (.h5) of a folder and its subfolders say of their tracks, sound apart.

    Returns:
        Tracks: track_id, song_id, artist, title, release, artist_id, year int64 (null when unknown), duration, seconds.
        Artist terms: track_id, song_id, tag, weight (0 to 1).
        Both in the order of the file names.
    Raises:
        InputError: no such folder, no .h5 in it, or one of them is damaged (names it).
    """
    folder = Path(folder)
    paths = sorted(folder.rglob("*.h5"))
    if not paths:
        raise InputError(f"{folder}: no .h5 file here. Give the folder of the analyses.")
    tracks: list[tuple[Any, ...]] = []
    terms: list[tuple[str, str, str, float]] = []
    with progress("read analyses", total=len(paths), unit="file") as bar:
        for path in paths:
            track, its_terms = _read_h5(path)
            tracks.append(track)
            terms += [(track[0], track[1], tag, weight) for tag, weight in its_terms]
            bar.advance()
    names = ("track_id", "song_id", "artist", "title", "release", "artist_id")
    schema: dict[str, Any] = dict.fromkeys(names, pl.String) | {"year": pl.Int64, "duration": pl.Float64}
    rows = {"track_id": pl.String, "song_id": pl.String, "tag": pl.String, "weight": pl.Float64}
    return pl.DataFrame(tracks, schema=schema, orient="row"), pl.DataFrame(terms, schema=rows, orient="row")


def _read_h5(path: Path) -> tuple[tuple[Any, ...], list[tuple[str, float]]]:
    try:
        with h5py.File(path, "r") as file:
            about, sound = file["metadata/songs"][0], file["analysis/songs"][0]
            year = int(file["musicbrainz/songs"][0]["year"])
            tags, weights = file["metadata/artist_terms"][:], file["metadata/artist_terms_weight"][:]
    except PermissionError as error:
        raise ResourceError(f"{path}: {error.strerror}. Check the permissions.") from error
    except (OSError, KeyError, IndexError, ValueError) as error:
        raise InputError(f"{path}: not a Million Song Dataset analysis ({error}). Fetch it again.") from error
    texts = [_text(about[name]) for name in ("song_id", "artist_name", "title", "release", "artist_id")]
    track = (_text(sound["track_id"]), *texts, year or None, float(sound["duration"]))
    return track, [(_text(tag), float(weight)) for tag, weight in zip(tags, weights, strict=True)]


def _text(raw: bytes | np.bytes_) -> str:
    try:
        return bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        return bytes(raw).decode("latin-1")

"""Navidrome: plays, stars and ratings of its database, and its songs as a library.

Song ids are Navidrome's own. Where the server kept every single scrobble, plays have times; where its counters say more
than its scrobbles (plays from before December 2025), the counters count and times are left out.
"""

import json
import sqlite3
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from deepcuts.artifacts import Songs
from deepcuts.data.histories.databases import first_of, open_database, tables_in, tables_of
from deepcuts.data.histories.identity import isrc_of, mbid_of
from deepcuts.data.histories.listens import Collected, Listen, number_of, seconds_of, text_of
from deepcuts.data.histories.sources import Source
from deepcuts.errors import InputError


def is_navidrome(source: Source) -> bool:
    """Whether a file is a Navidrome database."""
    return {"annotation", "media_file"} <= set(tables_in(source))


def read_navidrome(source: Source, out: Collected) -> None:
    """Take plays, stars and ratings of all users."""
    with open_database(source.path, source.where) as connection:
        tables = tables_of(connection)
        songs = {str(row["id"]): row for row in _media_files(connection, tables)}
        names = _users(connection, tables)
        scrobbles = _scrobbles(connection, tables)
        for row in _annotations(connection, tables):
            song = songs.get(str(row["item_id"]))
            if song is None:
                out.notes["plays of files that the database no longer knows left out"] += int(row["play_count"] or 0)
                continue
            user = names.get(str(row["user_id"]), str(row["user_id"]))
            _take(row, song, user, scrobbles.pop((str(row["user_id"]), str(row["item_id"])), []), out)
        for (user_id, item_id), times in scrobbles.items():  # scrobbled, but not counted
            if item_id in songs:
                _take_times(_listen(songs[item_id], names.get(user_id, user_id)), times, out)


def _take(row: sqlite3.Row, song: sqlite3.Row, user: str, times: list[int], out: Collected) -> None:
    one = _listen(song, user)
    counted = int(number_of(row["play_count"]) or 0)
    if counted > len(times):
        out.listens.append((out.file, one._replace(plays=float(counted))))
        if times:
            out.notes["songs with more plays counted than scrobbles kept (their times left out)"] += 1
    else:
        _take_times(one, times, out)
    rating = number_of(row["rating"]) or 0
    if row["starred"] or rating >= 4:
        out.liked.append(one)
    elif 1 <= rating <= 2:
        out.disliked.append(one)


def _take_times(one: Listen, times: list[int], out: Collected) -> None:
    for time in times:
        out.add(one._replace(time=time))


def _listen(song: sqlite3.Row, user: str) -> Listen:
    tags = _tags(song["tags"])
    return Listen(
        text_of(song["artist"]) or text_of(song["album_artist"]),
        text_of(song["title"]),
        text_of(song["album"]),
        None,
        user,
        str(song["id"]),
        mbid_of(song["mbid"]),
        isrc_of(tags.get("isrc")),
        number_of(song["duration"]) or None,
        file=_file(song),
    )


def _file(row: sqlite3.Row) -> str:
    """The whole path: the library's folder and the path below it; old databases hold whole paths."""
    return str(PurePosixPath(text_of(row["root"]), str(row["path"] or "")))


def _tags(value: Any) -> dict[str, list[str]]:
    """Navidrome keeps tags as JSON: {"isrc": [{"id": …, "value": "GBAYE…"}]}."""
    try:
        content = json.loads(value or "{}")
    except (TypeError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {
        str(name).lower(): [
            text_of(one.get("value") if isinstance(one, dict) else one)
            for one in (held if isinstance(held, list) else [held])
        ]
        for name, held in content.items()
    }


def _media_files(connection: sqlite3.Connection, tables: dict[str, list[str]]) -> list[sqlite3.Row]:
    """All songs; the folder of their library where the database has several."""
    columns = tables["media_file"]
    if not {"id", "path"} <= set(columns):
        raise InputError("navidrome: the table media_file has no id and path. Is this a database of Navidrome?")
    wanted = {
        "title": ("title",), "artist": ("artist",), "album": ("album",), "album_artist": ("album_artist",),
        "genre": ("genre",), "track": ("track_number",), "disc": ("disc_number",), "year": ("year",),
        "duration": ("duration",), "mbid": ("mbz_recording_id", "mbz_track_id"), "tags": ("tags",),
        "missing": ("missing",), "artist_id": ("artist_id",), "album_artist_id": ("album_artist_id",),
        "album_id": ("album_id",),
    }  # fmt: skip
    picked = ", ".join(f"{first_of(columns, *names, table='m')} AS {name}" for name, names in wanted.items())
    joined, root = "", "NULL"
    if "library" in tables and "library_id" in columns and "path" in tables["library"]:
        joined, root = " LEFT JOIN library l ON l.id = m.library_id", "l.path"
    return connection.execute(f"SELECT m.id, m.path, {root} AS root, {picked} FROM media_file m{joined}").fetchall()


def _users(connection: sqlite3.Connection, tables: dict[str, list[str]]) -> dict[str, str]:
    if "user" not in tables:
        return {}
    name = first_of(tables["user"], "user_name", "name")
    return {str(row[0]): text_of(row[1]) or str(row[0]) for row in connection.execute(f'SELECT id, {name} FROM "user"')}


def _annotations(connection: sqlite3.Connection, tables: dict[str, list[str]]) -> list[sqlite3.Row]:
    columns = tables["annotation"]
    picked = ", ".join(f"{first_of(columns, name)} AS {name}" for name in ("play_count", "rating", "starred"))
    wanted = (
        f"SELECT user_id, item_id, {picked} FROM annotation WHERE item_type = 'media_file' ORDER BY user_id, item_id"
    )
    return connection.execute(wanted).fetchall()


def _scrobbles(connection: sqlite3.Connection, tables: dict[str, list[str]]) -> dict[tuple[str, str], list[int]]:
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    if not {"media_file_id", "user_id", "submission_time"} <= set(tables.get("scrobbles", [])):
        return found
    for row in connection.execute("SELECT user_id, media_file_id, submission_time FROM scrobbles"):
        time = seconds_of(row[2])
        if time is not None:
            found[str(row[0]), str(row[1])].append(time)
    return found


def navidrome_library(path: Path) -> Songs:
    """The songs of a Navidrome database, under its ids; `file` is the whole path (library folder and path below it).

    Files that Navidrome misses are left out. artist_id, album_artist_id and album_id are its ids too.

    Raises:
        InputError: not a Navidrome database.
    """
    with open_database(path, f"{path}") as connection:
        tables = tables_of(connection)
        if not {"annotation", "media_file"} <= set(tables):
            raise InputError(f"{path}: not a database of Navidrome (no tables annotation and media_file).")
        rows = [_song_row(row) for row in _media_files(connection, tables) if not row["missing"]]
    if not rows:
        raise InputError(f"{path}: contains no songs. Let Navidrome scan its music folder first.")
    return Songs.of(pl.DataFrame(rows, infer_schema_length=None), settings={"source": "navidrome"})


def _song_row(row: sqlite3.Row) -> dict[str, Any]:
    tags = _tags(row["tags"])
    plain = {name: row[name] or None for name in ("title", "artist", "album", "album_artist", "track", "disc", "year")}
    genre = row["genre"] or "; ".join(tags.get("genre", []))
    return {
        "song_id": str(row["id"]), **plain, "genre": genre or None, "duration": number_of(row["duration"]) or None,
        "file": _file(row), "mbid": mbid_of(row["mbid"]) or None, "isrc": isrc_of(tags.get("isrc")) or None,
        **{name: text_of(row[name]) or None for name in ("artist_id", "album_artist_id", "album_id")},
    }  # fmt: skip


def navidrome_users(path: Path) -> list[str]:
    """The names of all users of a Navidrome database."""
    with open_database(path, f"{path}") as connection:
        return sorted(_users(connection, tables_of(connection)).values())

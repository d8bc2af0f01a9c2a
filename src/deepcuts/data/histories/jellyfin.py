"""Jellyfin: the log of its playback-reporting plugin, or the counters of its own database. Versions differ: what is
there is looked at, and named when it does not fit.
"""

import re
import sqlite3

from deepcuts.data.histories.databases import first_of, open_database, tables_in, tables_of
from deepcuts.data.histories.listens import Collected, Listen, number_of, seconds_of, text_of
from deepcuts.data.histories.sources import Source
from deepcuts.errors import InputError

NAME = re.compile(r"^(?P<artist>.+?) - (?P<title>.+?)(?: \((?P<album>[^()]*(?:\([^()]*\)[^()]*)*)\))?$")
TICKS = 1e7  # a second


def is_jellyfin(source: Source) -> bool:
    """Whether a file is a database of Jellyfin or of its playback-reporting plugin."""
    tables = set(tables_in(source))
    return (
        "playbackactivity" in tables or {"userdata", "baseitems"} <= tables or {"userdatas", "typedbaseitems"} <= tables
    )


def read_jellyfin(source: Source, out: Collected) -> None:
    """Take the plays of all users."""
    with open_database(source.path, source.where) as connection:
        tables = tables_of(connection)
        if "playbackactivity" in tables:
            _read_activity(connection, out)
        elif {"userdata", "baseitems"} <= set(tables):
            _read_counters(connection, tables, "userdata", "baseitems", ("itemid", "id"), out)
        elif {"userdatas", "typedbaseitems"} <= set(tables):
            _read_counters(connection, tables, "userdatas", "typedbaseitems", ("key", "userdatakey"), out)
        else:
            raise InputError(f"{source.where}: no plays of Jellyfin; its tables are {', '.join(sorted(tables))}.")


def _read_activity(connection: sqlite3.Connection, out: Collected) -> None:
    for row in connection.execute(
        "SELECT DateCreated, UserId, ItemId, ItemType, ItemName, PlayDuration FROM PlaybackActivity"
    ):
        if text_of(row["ItemType"]).lower() != "audio":
            out.notes["items that are not music left out"] += 1
            continue
        found = NAME.match(text_of(row["ItemName"]))
        time = seconds_of(row["DateCreated"])
        out.notes["times of the server's own clock, taken as UTC"] += time is not None
        if time is None:
            out.notes["rows without a date left out"] += 1
            continue
        artist, title, album = (found["artist"], found["title"], found["album"] or "") if found else (
            "", text_of(row["ItemName"]), "")  # fmt: skip
        one = Listen(artist, title, album, time, str(row["UserId"]), str(row["ItemId"]))
        out.add(one, seconds=number_of(row["PlayDuration"]))


def _read_counters(
    connection: sqlite3.Connection,
    tables: dict[str, list[str]],
    data: str,
    items: str,
    keys: tuple[str, str],
    out: Collected,
) -> None:
    """Counters of a library database: no times of single plays."""
    mine, theirs = tables[data], tables[items]
    names = _users(connection, tables)
    wanted = {
        "user_id": first_of(mine, "userid", table="d"),
        "plays": first_of(mine, "playcount", table="d"),
        "favourite": first_of(mine, "isfavorite", table="d"),
        "item_id": first_of(theirs, "id", "guid", table="i"),
        "title": first_of(theirs, "name", table="i"),
        "album": first_of(theirs, "album", table="i"),
        "artist": first_of(theirs, "artists", "albumartists", table="i"),
        "likes": first_of(mine, "likes", table="d"),
        "path": first_of(theirs, "path", table="i"),
        "ticks": first_of(theirs, "runtimeticks", table="i"),
    }
    picked = ", ".join(f"{column} AS {name}" for name, column in wanted.items())
    joined = f"{data} d JOIN {items} i ON d.{keys[0]} = i.{keys[1]}"
    most: dict[tuple[str, str], Listen] = {}  # an item has one row for each of its keys: the same plays
    for row in connection.execute(f"SELECT {picked} FROM {joined} WHERE i.type LIKE '%Audio'"):
        user = _id(row["user_id"])
        one = _counted(row, names.get(user.casefold(), user))
        held = most.setdefault((one.user, one.song_id), one)
        if one.plays > held.plays:
            most[one.user, one.song_id] = one
        if row["favourite"]:
            out.liked.append(one)
        if row["likes"] == 0:
            out.disliked.append(one)
    out.listens += [(out.file, one) for one in most.values() if one.plays]


def _counted(row: sqlite3.Row, user: str) -> Listen:
    ticks = number_of(row["ticks"])
    return Listen(
        text_of(row["artist"]).replace("|", "; "),
        text_of(row["title"]),
        text_of(row["album"]),
        None,
        user,
        _id(row["item_id"]),
        duration=ticks / TICKS if ticks else None,
        plays=number_of(row["plays"]) or 0.0,
        file=text_of(row["path"]),
    )


def _users(connection: sqlite3.Connection, tables: dict[str, list[str]]) -> dict[str, str]:
    """User id, and the number that old databases give it, → name; where the database knows its users."""
    columns = tables.get("users", [])
    if not {"id", "username"} <= set(columns):
        return {}
    number = first_of(columns, "internalid")
    rows = connection.execute(f"SELECT id, username, {number} FROM users").fetchall()
    return {_id(key).casefold(): text_of(row[1]) for row in rows for key in (row[0], row[2]) if key is not None}


def _id(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)

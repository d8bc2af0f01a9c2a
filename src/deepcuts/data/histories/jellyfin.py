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
        if row["ItemType"] != "Audio":
            out.notes["items that are not music left out"] += 1
            continue
        found = NAME.match(text_of(row["ItemName"]))
        time = seconds_of(row["DateCreated"])
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
    wanted = {
        "user_id": first_of(mine, "userid", table="d"),
        "plays": first_of(mine, "playcount", table="d"),
        "favourite": first_of(mine, "isfavorite", table="d"),
        "item_id": first_of(theirs, "id", "guid", table="i"),
        "title": first_of(theirs, "name", table="i"),
        "album": first_of(theirs, "album", table="i"),
        "artist": first_of(theirs, "artists", "albumartists", table="i"),
        "ticks": first_of(theirs, "runtimeticks", table="i"),
    }
    picked = ", ".join(f"{column} AS {name}" for name, column in wanted.items())
    joined = f"{data} d JOIN {items} i ON d.{keys[0]} = i.{keys[1]}"
    for row in connection.execute(f"SELECT {picked} FROM {joined} WHERE i.type LIKE '%Audio'"):
        ticks = number_of(row["ticks"])
        one = Listen(
            text_of(row["artist"]).replace("|", "; "), text_of(row["title"]), text_of(row["album"]), None,
            _id(row["user_id"]), _id(row["item_id"]), duration=ticks / TICKS if ticks else None,
            plays=number_of(row["plays"]) or 0.0,
        )  # fmt: skip
        if one.plays:
            out.listens.append((out.file, one))
        if row["favourite"]:
            out.liked.append(one)


def _id(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)

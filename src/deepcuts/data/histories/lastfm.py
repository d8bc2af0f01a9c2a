"""Last.fm: the csv and json that export tools write, with and without header, and answers of its API.

The research sets 1K and 360K are tables without header, with quotes as text: read by the reader of tables.
"""

import csv
from collections.abc import Iterator
from typing import Any

from deepcuts.data.columns import SYNONYMS
from deepcuts.data.histories.identity import mbid_of
from deepcuts.data.histories.listens import Collected, Listen, seconds_of, text_of
from deepcuts.data.histories.sources import Source
from deepcuts.data.sniff import plain_name
from deepcuts.errors import InputError

HEADERLESS = ("artist", "album", "track", "date")
TITLES, DATES = ("track", "name", "title", "song"), ("uts", "utc_time", "date", "timestamp", "time")


def is_lastfm_csv(source: Source) -> bool:
    """Whether a file is `artist,album,track,"27 Oct 2025 18:56"` lines, or has a header such as `uts,utc_time,artist,…`
    or `Artist;Album;AlbumId;Track;Date#user`.
    """
    lines = [line for line in source.first_lines if line.strip() and not line.startswith(("sep=", "#"))]
    if not lines or source.is_json or b"\x00" in source.head:
        return False
    names, _ = _names_of(next(csv.reader(lines[:1], delimiter=max(",;\t", key=lines[0].count)), []))
    holds_users = any(plain_name(name) in tier for tier in SYNONYMS["user"] for name in names)
    if {"uts", "artist", "track"} <= set(names) or ("album" in names and _is_header(names) and not holds_users):
        return True
    rows = [row for row in csv.reader(lines[:20]) if row]
    dated = [len(row) == len(HEADERLESS) and _is_date(row[3]) for row in rows]
    return bool(rows) and sum(dated) >= max(1, len(rows) // 2)


def _is_date(text: str) -> bool:
    return any(letter.isalpha() for letter in text) and seconds_of(text) is not None


def _names_of(cells: list[str]) -> tuple[list[str], str]:
    """The names in a header, and the user that `Date#user` tells."""
    pairs = [cell.strip().partition("#") for cell in cells]
    user = next((user for name, _, user in pairs if name.lower() == "date"), "")
    return [name.lower() for name, _, _ in pairs], user


def _is_header(names: list[str]) -> bool:
    """Whether a row names the columns: an artist, a title and a date by words."""
    return "artist" in names and any(name in TITLES for name in names) and any(name in DATES for name in names)


def read_lastfm_csv(source: Source, out: Collected) -> None:
    """Take the listens of one csv file."""
    names: list[str] = list(HEADERLESS)
    for line, cells in source.csv_rows():
        found, user = _names_of(cells)
        if _is_header(found):
            names = found
            out.names += [user] if user else []
        else:
            _take_cells(cells, names, f"{source.where}:{line}", out)


def _take_cells(cells: list[str], names: list[str], where: str, out: Collected) -> None:
    if len(cells) > len(names) or len(cells) < 3:
        raise InputError(
            f"{where}: {len(cells)} columns, expected {len(names)} ({', '.join(names)}). Fix the line: a cell that "
            "holds a comma stands in double quotes."
        )
    row = dict(zip(names, cells, strict=False))
    when = next((row[name] for name in DATES if row.get(name)), "")
    time = seconds_of(when)
    if time is None:
        what = "rows with an unreadable date" if when else "rows without a date (playing now)"
        out.notes[f"{what} left out"] += 1
        return
    title = next((row[name] for name in TITLES if name in row), "")
    user, mbid = row.get("username", ""), mbid_of(row.get("track_mbid"))
    out.add(Listen(text_of(row.get("artist")), text_of(title), text_of(row.get("album")), time, user, mbid=mbid))


def is_lastfm_stats(source: Source) -> bool:
    """Whether a file is the JSON of lastfmstats.com: `username` and flat `scrobbles`."""
    return {"username", "scrobbles", "track", "artist"} <= source.keys


def is_lastfm_api(source: Source) -> bool:
    """Whether a file is an answer of the API, or a list of such."""
    keys = source.keys
    return (
        "recenttracks" in keys
        or is_lastfm_stats(source)
        or ({"artist", "name", "date"} <= keys and bool(keys & {"#text", "uts"}))
    )


def read_lastfm_api(source: Source, out: Collected) -> None:
    """Take the listens of one JSON file; the name of the user is in the answer."""
    for track in _tracks(source.json(), out):
        if not isinstance(track, dict):
            raise InputError(f"{source.where}: a track is {type(track).__name__}, expected an object. Fetch it again.")
        _take_track(track, out)


def _take_track(track: dict[str, Any], out: Collected) -> None:
    is_playing = isinstance(track.get("@attr"), dict) and str(track["@attr"].get("nowplaying", "")).lower() == "true"
    date = track.get("date")
    time = seconds_of(date.get("uts") or date.get("#text")) if isinstance(date, dict) else seconds_of(date)
    if is_playing or date is None:
        out.notes["rows without a date (playing now) left out"] += 1
        return
    if time is None:
        out.notes["rows with an unreadable date left out"] += 1
        return
    title = text_of(track.get("name") or track.get("track"))
    one = Listen(_named(track.get("artist")), title, _named(track.get("album")), time, mbid=mbid_of(track.get("mbid")))
    out.add(one)
    if str(track.get("loved")) == "1" and one.artist and one.title:
        out.liked.append(one)


def _tracks(content: Any, out: Collected) -> Iterator[Any]:
    """All tracks of an answer, of a list of answers, or of a list of tracks; a single track is an object."""
    if isinstance(content, list):
        for one in content:
            yield from _tracks(one, out)
        return
    if isinstance(content, dict) and "error" in content and "message" in content:
        out.notes["answers that report an error left out"] += 1
        return
    inner = _inner(content)
    if inner is None:
        yield content
        return
    about = content.get("@attr")
    user = text_of(about.get("user") if isinstance(about, dict) else content.get("username"))
    out.names += [user] if user else []
    yield from _tracks(inner, out)


def _inner(content: Any) -> Any:
    """What holds the tracks one level down; None in a track itself."""
    if not isinstance(content, dict) or "name" in content:
        return None
    return next((content[key] for key in ("recenttracks", "track", "scrobbles")
                 if isinstance(content.get(key), dict | list)), None)  # fmt: skip


def _named(value: Any) -> str:
    return text_of(value.get("#text") or value.get("name")) if isinstance(value, dict) else text_of(value)

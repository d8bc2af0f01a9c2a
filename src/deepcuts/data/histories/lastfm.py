"""Last.fm: the csv that export tools write, with and without header, and answers of its API.

The research sets 1K and 360K are tables without header, with quotes as text: read by the reader of tables.
"""

import csv
import io
from collections.abc import Iterator
from typing import Any

from deepcuts.data.histories.listens import Collected, Listen, seconds_of, text_of
from deepcuts.data.histories.sources import Source
from deepcuts.data.reading import decode_lines, strip_mark
from deepcuts.errors import InputError

HEADER = ("uts", "utc_time", "artist", "artist_mbid", "album", "album_mbid", "track", "track_mbid")


def is_lastfm_csv(source: Source) -> bool:
    """Whether a file is `artist,album,track,"27 Oct 2025 18:56"` lines, or has the header `uts,utc_time,artist,…`."""
    lines = [line for line in source.first_lines if line.strip()]
    if not lines or source.is_json:
        return False
    header = [cell.strip().strip('"').lower() for cell in lines[0].split(",")]
    if {"uts", "artist", "track"} <= set(header):
        return True
    rows = [row for row in csv.reader(lines[:20]) if row]
    dated = [len(row) == 4 and _is_date(row[3]) for row in rows]
    return bool(rows) and sum(dated) >= max(1, len(rows) // 2)


def _is_date(text: str) -> bool:
    return any(letter.isalpha() for letter in text) and seconds_of(text) is not None


def read_lastfm_csv(source: Source, out: Collected) -> None:
    """Take the listens of one csv file."""
    lines, n_other = decode_lines(
        strip_mark(source.bytes(), source.where).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    )
    if n_other:
        out.notes["lines decoded as Windows-1252"] += n_other
    reader = csv.reader(io.StringIO("\n".join(lines)))
    names: list[str] | None = None
    for row in reader:
        cells = [cell.strip() for cell in row]
        lowered = [cell.lower() for cell in cells]
        if {"artist", "track"} <= set(lowered):
            names = lowered
        elif any(cells):
            _take_cells(cells, names, source, reader.line_num, out)


def _take_cells(cells: list[str], names: list[str] | None, source: Source, line: int, out: Collected) -> None:
    wanted = names or ["artist", "album", "track", "date"]
    if len(cells) > len(wanted):
        raise InputError(f"{source.where}:{line}: {len(cells)} columns, expected {len(wanted)}. Fix the line.")
    row = dict(zip(wanted, cells, strict=False))
    when = row.get("uts") or row.get("utc_time") or row.get("date") or ""
    time = seconds_of(when)
    if time is None:
        what = "rows with an unreadable date" if when else "rows without a date (playing now)"
        out.notes[f"{what} left out"] += 1
        return
    album, user, mbid = row.get("album", ""), row.get("username", ""), row.get("track_mbid", "").lower()
    out.add(Listen(row["artist"], row["track"], album, time, user, mbid=mbid))


def is_lastfm_api(source: Source) -> bool:
    """Whether a file is an answer of the API, or a list of such."""
    keys = source.keys
    return "recenttracks" in keys or ({"artist", "name", "date"} <= keys and bool(keys & {"#text", "uts"}))


def read_lastfm_api(source: Source, out: Collected) -> None:
    """Take the listens of one JSON file; the name of the user is in the answer."""
    for track in _tracks(source.json()):
        if not isinstance(track, dict):
            raise InputError(f"{source.where}: a track is {type(track).__name__}, expected an object. Fetch it again.")
        if isinstance(track.get("@attr"), dict) and str(track["@attr"].get("nowplaying", "")).lower() == "true":
            out.notes["rows without a date (playing now) left out"] += 1
            continue
        date = track.get("date")
        time = seconds_of(date.get("uts") or date.get("#text")) if isinstance(date, dict) else seconds_of(date)
        if time is None:
            out.notes["rows without a date (playing now) left out"] += 1
            continue
        artist, album = _named(track.get("artist")), _named(track.get("album"))
        out.add(Listen(artist, text_of(track.get("name")), album, time, mbid=text_of(track.get("mbid")).lower()))


def _tracks(content: Any) -> Iterator[Any]:
    """All tracks of an answer, of a list of answers, or of a list of tracks; a single track is an object."""
    if isinstance(content, list):
        for one in content:
            yield from _tracks(one)
    elif isinstance(content, dict) and isinstance(content.get("recenttracks"), dict):
        yield from _tracks(content["recenttracks"].get("track", []))
    elif isinstance(content, dict) and "track" in content and "name" not in content:
        yield from _tracks(content["track"])
    else:
        yield content


def _named(value: Any) -> str:
    return text_of(value.get("#text") or value.get("name")) if isinstance(value, dict) else text_of(value)

"""Research sets that are tables of known columns: which reader of tables takes them, with which settings."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from deepcuts.data.archives import open_bytes
from deepcuts.data.histories.sources import Source
from deepcuts.data.reading import Reading
from deepcuts.data.table import EventSettings, TableSettings, read_events, read_table
from deepcuts.errors import InputError

_SHA1 = re.compile(r"[0-9a-f]{40}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True)
class Layout:
    """A table of known columns.

    Attributes:
        about: what it is.
        fits: whether rows of cells are of this layout.
        reader: of tables, or of single listens.
        settings: for it.
    """

    about: str
    fits: Callable[[list[list[str]]], bool]
    reader: Callable[[Any, Any], Any]
    settings: EventSettings


def _all(rows: list[list[str]], n: int, *tests: Callable[[list[str]], Any]) -> bool:
    """Whether most rows have `n` cells that pass; research files hold a few broken lines."""
    good = [len(row) == n and all(test(row) for test in tests) for row in rows]
    return bool(good) and sum(good) >= 0.8 * len(good)


LAYOUTS: dict[str, Layout] = {
    "lastfm-1k": Layout(
        "Last.fm-1K: user, time, artist, track",
        lambda rows: _all(rows, 6, lambda row: _ISO.fullmatch(row[1]), lambda row: row[3]),
        read_events,
        EventSettings(columns="user,time,artist_id,artist,mbid,title", song="title", time="time", time_unit="iso",
                      song_columns="artist,title,mbid", separator="tab", header="no", quotes="no"),
    ),
    "lastfm-360k": Layout(
        "Last.fm-360K: user, artist, plays; artists stand for songs",
        lambda rows: _all(rows, 4, lambda row: _SHA1.fullmatch(row[0]), lambda row: row[3].strip().isdigit(),
                          lambda row: not row[1] or _UUID.fullmatch(row[1])),
        read_table,
        TableSettings(columns="user,mbid,artist,plays", song="artist", song_columns="artist,mbid", separator="tab",
                      header="no", quotes="no", on_bad_row="skip"),
    ),
    "lfm-1b": Layout(
        "LFM-1b or LFM-2b: user, artist, album, track, time",
        lambda rows: _all(rows, 5, lambda row: all(cell.strip().isdigit() for cell in row),
                          lambda row: 1_000_000_000 < int(row[4]) < 2_000_000_000),
        read_events,
        EventSettings(columns="user,artist_id,-,song,time", song="song", time="time", song_columns="artist_id",
                      separator="tab", header="no", quotes="no"),
    ),
    "lfm-2b": Layout(
        "LFM-2b: user_id, track_id, album_id, timestamp",
        lambda rows: bool(rows) and rows[0] == ["user_id", "track_id", "album_id", "timestamp"],
        read_events,
        EventSettings(user="user_id", song="track_id", time="timestamp", time_unit="iso", song_columns="",
                      separator="tab", header="yes", quotes="no"),
    ),
}  # fmt: skip


def layout_of(source: Source) -> str | None:
    """The key of a table's layout, None when it is none of these."""
    if source.is_json or b"\t" not in source.head[:4096]:
        return None
    rows = [line.split("\t") for line in source.first_lines[:40] if line.strip()]
    return next((name for name, layout in LAYOUTS.items() if layout.fits(rows)), None)


def read_layout(name: str, sources: Sequence[Source], others: Sequence[Source] = ()) -> Reading:
    """Plays from the tables of one layout: files, or one file of an archive.

    Args:
        others: files beside them; the names of LFM's songs are taken from them.
    Raises:
        InputError: several tables in an archive, or a bad row.
    """
    reading = _read_events(name, sources)
    if not name.startswith("lfm"):
        return reading
    plays, notes = reading.plays, dict(reading.notes)
    names = lfm_names(set(plays.songs.ids.to_list()), [one.path for one in others if one.path is not None])
    notes["songs named by the files of names beside"] = len(names)
    artists, titles = ([names.get(one, ("", ""))[i] or None for one in plays.songs.ids] for i in (0, 1))
    table = plays.songs_table.with_columns(
        pl.Series("artist", artists, pl.String), pl.Series("title", titles, pl.String)
    )
    return replace(reading, plays=replace(plays, songs_table=table), notes=notes)


def lfm_names(song_ids: Collection[str], files: Sequence[Path]) -> dict[str, tuple[str, str]]:
    """Track id → (artist, title) for some tracks, from the side files of LFM-2b (tracks.tsv: id, artist, title) or
    LFM-1b (…tracks.txt: id, title, artist id; …artists.txt: id, artist); only files on disk.
    """
    tracks = next((path for path in files if "tracks." in path.name.lower()), None)
    artists = next((path for path in files if "artists." in path.name.lower()), None)
    rows = {} if tracks is None else _rows_by_id(tracks, song_ids)
    if artists is None:
        return {key: (row[1], row[2]) for key, row in rows.items() if len(row) > 2}
    named = _rows_by_id(artists, {row[2] for row in rows.values() if len(row) > 2})
    return {key: (named.get(row[2], ["", ""])[1], row[1]) for key, row in rows.items() if len(row) > 2}


def _rows_by_id(path: Path, wanted: Collection[str]) -> dict[str, list[str]]:
    """The rows of a TAB table whose first cell is wanted, one line after another."""
    with open_bytes(path) as stream:
        cells = (line.decode("utf-8", "replace").rstrip("\r\n").split("\t") for line in stream)
        return {row[0]: row for row in cells if row[0] in wanted}


def _read_events(name: str, sources: Sequence[Source]) -> Reading:
    layout = LAYOUTS[name]
    piped = next((one.path for one in sources if one.path is not None and not one.path.is_file()), None)
    if piped is not None:
        raise InputError(f"{piped}: is a pipe, expected a file of {name}. Write it to a file first.")
    on_disk = [source.path for source in sources if source.path is not None]
    if len(on_disk) == len(sources):
        return layout.reader(on_disk if len(on_disk) > 1 else on_disk[0], layout.settings)
    if len(sources) > 1:
        names = ", ".join(source.name for source in sources)
        raise InputError(f"{sources[0].origin}: holds several tables of {name}: {names}. Unpack it and name one file.")
    return layout.reader(sources[0].origin, replace(layout.settings, member=sources[0].name))

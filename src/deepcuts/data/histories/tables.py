"""Research sets that are tables without a header: which reader of tables takes them, with which settings."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deepcuts.data.histories.sources import Source
from deepcuts.data.table import EventSettings, TableSettings, read_events, read_table

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

    @property
    def command(self) -> str:
        """What reads it, as a person types it."""
        plain = type(self.settings)()
        changed = {name: value for name, value in vars(self.settings).items() if value != getattr(plain, name)}
        kind = "table" if isinstance(self.settings, TableSettings) else "events"
        options = " ".join(f"--set {name}={value}" for name, value in changed.items())
        return f"deepcuts data {kind} FILE -o plays {options}"


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
}  # fmt: skip


def layout_of(source: Source) -> Layout | None:
    """The layout of a table, None when it is none of these."""
    if source.is_json or b"\t" not in source.head[:4096]:
        return None
    rows = [line.split("\t") for line in source.first_lines[:40] if line.strip()]
    return next((layout for layout in LAYOUTS.values() if layout.fits(rows)), None)

"""Apple Music: the Play Activity file, which leaves the artist out of many plays, and the Daily Tracks file beside it,
which tells "Artist - Title".
"""

from collections.abc import Iterator

from deepcuts.data.histories.listens import Collected, Listen, number_of, seconds_of, text_of
from deepcuts.data.histories.sources import Source


def _header(source: Source) -> str:
    return next((line for line in source.first_lines if line.strip()), "")


def is_apple(source: Source) -> bool:
    """Whether a file is `Apple Music Play Activity.csv`."""
    first = _header(source)
    return "Song Name" in first and "Play Duration Milliseconds" in first


def is_apple_daily(source: Source) -> bool:
    """Whether a file is `Apple Music - Play History Daily Tracks.csv`: it names artists, and has no times."""
    first = _header(source)
    return "Track Description" in first and "Date Played" in first


def _rows(source: Source) -> Iterator[dict[str, str]]:
    rows = source.csv_rows(",")
    _, names = next(rows, (0, []))
    yield from (dict(zip(names, cells, strict=False)) for _, cells in rows)


def read_apple(source: Source, out: Collected) -> None:
    """Take the plays of 30 seconds or more of a Play Activity file. A play without an artist waits for Daily Tracks."""
    for row in _rows(source):
        played = number_of(row.get("Play Duration Milliseconds"))
        time = _began(row, played)
        if row.get("Event Type") not in (None, "", "PLAY_END"):
            out.notes["rows that are not the end of a play left out"] += 1
        elif played is None or time is None:
            out.notes["rows without time or duration left out"] += 1
        else:
            _take(row, time, played / 1000, out)


def _began(row: dict[str, str], played: float | None) -> int | None:
    began, ended = seconds_of(row.get("Event Start Timestamp")), seconds_of(row.get("Event End Timestamp"))
    return ended - int(played / 1000) if began is None and ended is not None and played is not None else began


def _take(row: dict[str, str], time: int, seconds: float, out: Collected) -> None:
    length = number_of(row.get("Media Duration In Milliseconds"))
    one = Listen(
        text_of(row.get("Artist Name") or row.get("Container Artist Name")),
        text_of(row.get("Song Name")),
        text_of(row.get("Album Name")),
        time,
        duration=length / 1000 if length else None,
    )
    skipped = "SKIPPED" in text_of(row.get("End Reason Type")).upper()
    if one.title and not one.artist:
        out.unnamed.append((out.file, one, seconds, skipped))
    else:
        out.add(one, seconds=seconds, skipped=skipped)


def read_apple_daily(source: Source, out: Collected) -> None:
    """Take the artist of each title; the plays are in the Play Activity file."""
    for row in _rows(source):
        artist, found, title = text_of(row.get("Track Description")).partition(" - ")
        if found and artist and title:
            out.artists.setdefault(title.casefold(), set()).add(artist)
        out.notes["rows of daily tracks, used for names only"] += 1

"""Apple Music, Deezer, YouTube Music, the Million Playlist Dataset and Yambda."""

import csv
import io
from typing import Any

import polars as pl

from deepcuts.data.histories.listens import Collected, Listen, number_of, seconds_of, text_of
from deepcuts.data.histories.sources import PARQUET, Source
from deepcuts.data.reading import decode_lines, strip_mark
from deepcuts.errors import InputError

LEAST_SHARE = 50  # percent of a track that makes a play, where a service tells the share
YAMBDA_UNIT = 5  # seconds


def is_apple(source: Source) -> bool:
    """Whether a file is `Apple Music Play Activity.csv`."""
    first = source.first_lines[0] if source.first_lines else ""
    return "Song Name" in first and "Play Duration Milliseconds" in first


def read_apple(source: Source, out: Collected) -> None:
    """Take the plays of 30 seconds or more of a Play Activity file."""
    lines, _ = decode_lines(strip_mark(source.bytes(), source.where))
    for row in csv.DictReader(io.StringIO("\n".join(lines))):
        artist = text_of(row.get("Artist Name") or row.get("Container Artist Name"))
        title, played = text_of(row.get("Song Name")), number_of(row.get("Play Duration Milliseconds"))
        time = seconds_of(row.get("Event Start Timestamp") or row.get("Event End Timestamp"))
        if row.get("Event Type") not in (None, "", "PLAY_END") or played is None or time is None:
            out.notes["rows that are not the end of a play left out"] += 1
            continue
        if title and not artist:
            out.notes["plays without an artist left out (Apple leaves it out of many)"] += 1
            continue
        length = number_of(row.get("Media Duration In Milliseconds"))
        skipped = "SKIPPED" in text_of(row.get("End Reason Type")).upper()
        out.add(
            Listen(artist, title, text_of(row.get("Album Name")), time, duration=length / 1000 if length else None),
            seconds=played / 1000,
            skipped=skipped,
        )


def is_deezer(source: Source) -> bool:
    """Whether a file is a workbook: Deezer's export has the sheet 10_listeningHistory."""
    return source.stream is None and source.head.startswith(b"PK\x03\x04")


def read_deezer(source: Source, out: Collected) -> None:
    """Take the listening history of a Deezer workbook."""
    from openpyxl import load_workbook  # only workbooks need it

    book = load_workbook(io.BytesIO(source.bytes()), read_only=True, data_only=True)
    name = next((one for one in book.sheetnames if "listeninghistory" in one.lower().replace("_", "")), None)
    if name is None:
        sheets = ", ".join(book.sheetnames)
        raise InputError(
            f"{source.where}: no sheet 10_listeningHistory, as Deezer's export has; the sheets are {sheets}. "
            "For another workbook, save the sheet as CSV (UTF-8) and read that with `deepcuts data events`."
        )
    rows = book[name].iter_rows(values_only=True)
    header = [text_of(cell).lower() for cell in next(rows, ())]
    for cells in rows:
        row = dict(zip(header, cells, strict=False))
        time = seconds_of(row.get("date").isoformat() if hasattr(row.get("date"), "isoformat") else row.get("date"))  # type: ignore[union-attr]
        played = number_of(row.get("listening time"))
        if time is None:
            out.notes["rows without a date left out"] += 1
            continue
        out.add(
            Listen(text_of(row.get("artist")), text_of(row.get("song title")), text_of(row.get("album title")), time,
                   isrc=text_of(row.get("isrc")).replace("-", "").upper()),
            seconds=played,
        )  # fmt: skip


def is_youtube(source: Source) -> bool:
    """Whether a file is the watch history of Google Takeout."""
    return {"header", "titleUrl", "time"} <= source.keys


def read_youtube(source: Source, out: Collected) -> None:
    """Take what YouTube Music played; other videos are left out and counted."""
    content = source.json()
    for row in content if isinstance(content, list) else []:
        if not isinstance(row, dict) or row.get("header") != "YouTube Music":
            out.notes["videos that are not of YouTube Music left out"] += 1
            continue
        subtitles = row.get("subtitles")
        first = subtitles[0] if isinstance(subtitles, list) and subtitles and isinstance(subtitles[0], dict) else {}
        artist = text_of(first.get("name")).removesuffix(" - Topic")
        title = text_of(row.get("title"))
        for prefix in ("Watched ", "Listened to "):
            title = title.removeprefix(prefix)
        time = seconds_of(row.get("time"))
        if time is None:
            out.notes["rows without a date left out"] += 1
            continue
        out.add(Listen(artist, title, "", time))


def is_million_playlist(source: Source) -> bool:
    """Whether a file is a slice of the Million Playlist Dataset."""
    return {"playlists", "track_uri"} <= source.keys or {"playlists", "pid", "tracks"} <= source.keys


def read_million_playlist(source: Source, out: Collected) -> None:
    """Take the playlists of a slice: a playlist is a user, a track in it one play without a time."""
    content = source.json()
    playlists = content.get("playlists") if isinstance(content, dict) else None
    if not isinstance(playlists, list):
        raise InputError(f"{source.where}: has no list of playlists. Fetch the slice again.")
    for playlist in playlists:
        for track in playlist.get("tracks", []):
            length = number_of(track.get("duration_ms"))
            out.add(
                Listen(text_of(track.get("artist_name")), text_of(track.get("track_name")),
                       text_of(track.get("album_name")), None, text_of(playlist.get("pid")),
                       text_of(track.get("track_uri")), duration=length / 1000 if length else None)
            )  # fmt: skip


def is_yambda(source: Source) -> bool:
    """Whether a file is parquet with the columns of Yambda's listens."""
    return source.head.startswith(PARQUET) and {"uid", "item_id", "timestamp"} <= set(_schema(source))


def _schema(source: Source) -> list[str]:
    try:
        return list(pl.read_parquet_schema(source.path)) if source.path is not None else []
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return []


def read_yambda(source: Source, out: Collected) -> None:
    """Take Yambda's listens of which at least half was played. Times count units of 5 s from an unnamed day, so only
    their order means something: they are left out.
    """
    table = pl.read_parquet(source.bytes() if source.path is None else source.path)
    if "played_ratio_pct" in table.columns:
        whole = table.filter(pl.col("played_ratio_pct") >= LEAST_SHARE)
        out.notes[f"listens to less than {LEAST_SHARE} % of a track left out"] += table.height - whole.height
        table = whole
    seconds = "track_length_seconds" if "track_length_seconds" in table.columns else None
    counted = table.group_by("uid", "item_id", maintain_order=True).agg(
        pl.len().alias("plays"), *([pl.col(seconds).first().alias("seconds")] if seconds else [])
    )
    rows: list[dict[str, Any]] = counted.to_dicts()
    out.listens += [
        (out.file, Listen("", "", user=str(row["uid"]), song_id=str(row["item_id"]), plays=float(row["plays"]),
                          duration=number_of(row.get("seconds"))))
        for row in rows
    ]  # fmt: skip

"""Logs of scrobblers and players: Rockbox, Maloja, Pano Scrobbler."""

from collections.abc import Iterator
from typing import Any

from deepcuts.data.histories.identity import mbid_of
from deepcuts.data.histories.lastfm import is_lastfm_stats
from deepcuts.data.histories.listens import Collected, Listen, number_of, seconds_of, text_of
from deepcuts.data.histories.sources import Source
from deepcuts.data.reading import decode_lines, strip_mark
from deepcuts.errors import InputError


def is_rockbox(source: Source) -> bool:
    """Whether a file is an audioscrobbler log: `#AUDIOSCROBBLER/1.1`."""
    return source.head.removeprefix(b"\xef\xbb\xbf").startswith(b"#AUDIOSCROBBLER/")


def read_rockbox(source: Source, out: Collected) -> None:
    """Take the listens of a `.scrobbler.log`: artist, album, title, number, seconds, L or S, unix seconds, mbid."""
    data = strip_mark(source.bytes(), source.where).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines, _ = decode_lines(data)
    for number, line in enumerate(lines, start=1):
        if line.startswith("#"):
            if line.upper().startswith("#TZ/UNKNOWN"):
                out.notes["log in local time (#TZ/UNKNOWN), taken as UTC"] += 1
            continue
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) < 7:
            raise InputError(f"{source.where}:{number}: {len(cells)} columns, expected 7 or 8. Fix the line.")
        _take_rockbox([cell.strip() for cell in cells], out)


def _take_rockbox(cells: list[str], out: Collected) -> None:
    time = seconds_of(cells[6])
    if time is None:
        out.notes["rows without a date left out"] += 1
        return
    mbid = mbid_of(cells[7]) if len(cells) > 7 else ""
    listen = Listen(cells[0], cells[2], cells[1], time, mbid=mbid, duration=number_of(cells[4]) or None)
    if cells[5].upper() == "S":
        out.notes["skipped listens left out"] += 1
        out.skips.append(listen)
    else:
        out.add(listen)


def is_maloja(source: Source) -> bool:
    """Whether a file is an export of Maloja, not the table of the same name that Last.fm tools write."""
    return "scrobbles" in source.keys and "recenttracks" not in source.keys and not is_lastfm_stats(source)


def read_maloja(source: Source, out: Collected) -> None:
    """Take the scrobbles of a Maloja export."""
    content = source.json()
    rows = content.get("scrobbles") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise InputError(f"{source.where}: has no list of scrobbles. Export it again.")
    for row in rows:
        track = row.get("track", row) if isinstance(row, dict) else None
        time = seconds_of(row.get("time")) if isinstance(row, dict) else None
        if not isinstance(track, dict) or time is None:
            out.notes["rows without a track or a time left out"] += 1
            continue
        artists = track.get("artists") or track.get("artist") or []
        names = artists if isinstance(artists, list) else [artists]
        album = track.get("album")
        title = album.get("albumtitle") or album.get("name") if isinstance(album, dict) else album
        out.add(
            Listen("; ".join(map(text_of, names)), text_of(track.get("title")), text_of(title), time,
                   duration=number_of(track.get("length")) or None)
        )  # fmt: skip


def is_pano(source: Source) -> bool:
    """Whether a file is lines of JSON or csv as Pano Scrobbler writes them."""
    keys = source.keys
    if not source.is_json:
        header = {cell.strip().strip('"') for cell in (source.first_lines or [""])[0].split(",")}
        return {"timestamp", "artist", "track"} <= header and bool(header & {"event", "durationMillis", "timeHuman"})
    return {"artist", "timestamp"} <= keys and bool(keys & {"track", "title"}) and not keys & {"ts", "track_metadata"}


def read_pano(source: Source, out: Collected) -> None:
    """Take the listens of a Pano Scrobbler log."""
    for at, row in _pano_rows(source):
        if not isinstance(row, dict):
            raise InputError(f"{source.where}:{at}: not a scrobble. Export it again.")
        _take_pano(row, out)


def _pano_rows(source: Source) -> Iterator[tuple[int, Any]]:
    if not source.is_json:
        rows = source.csv_rows(",")
        _, names = next(rows, (0, []))
        yield from ((line, dict(zip(names, cells, strict=False))) for line, cells in rows)
    elif source.head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":
        yield from enumerate(source.json(), start=1)
    else:
        yield from source.json_lines()


def _take_pano(row: dict[str, Any], out: Collected) -> None:
    event = text_of(row.get("event")).lower()
    if event == "love":
        out.liked.append(Listen(text_of(row.get("artist")), text_of(row.get("track") or row.get("title"))))
        return
    if event in ("unlove", "nowplaying"):
        out.notes[f"rows of the event {event!r} left out"] += 1
        return
    time = seconds_of(row.get("timestamp"))
    if time is None:
        out.notes["rows without a date left out"] += 1
        return
    length = number_of(row.get("durationMillis") or row.get("duration_ms"))
    title, album = text_of(row.get("track") or row.get("title")), text_of(row.get("album"))
    out.add(Listen(text_of(row.get("artist")), title, album, time, duration=length / 1000 if length else None))

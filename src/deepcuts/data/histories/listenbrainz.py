"""ListenBrainz: the export (a zip of months, one listen a line), public dumps, and answers of its API."""

from collections.abc import Iterator
from typing import Any

from deepcuts.data.histories.listens import Collected, Listen, number_of, seconds_of, text_of
from deepcuts.data.histories.sources import Source
from deepcuts.errors import InputError


def is_listenbrainz(source: Source) -> bool:
    """Whether a file is listens of ListenBrainz, or the user.json of an export."""
    return "track_metadata" in source.keys or _is_user(source)


def _is_user(source: Source) -> bool:
    return source.base == "user.json" and bool(source.keys & {"user_id", "username", "user_name"})


def read_listenbrainz(source: Source, out: Collected) -> None:
    """Take the listens of one file; of user.json, the name."""
    if _is_user(source):
        content = source.json()
        name = text_of(content.get("user_name") or content.get("username")) if isinstance(content, dict) else ""
        out.names += [name] if name else []
        return
    for at, row in _rows(source):
        if not isinstance(row, dict) or not isinstance(row.get("track_metadata"), dict):
            raise InputError(f"{source.where}:{at}: not a listen (no track_metadata). Export or fetch it again.")
        _take(row, out)


def _rows(source: Source) -> Iterator[tuple[int, Any]]:
    """Lines of JSON; or one JSON text: a list, or an answer of the API."""
    start = source.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    is_answer = start[:1] == b"[" or b'"payload"' in start[:200]
    if not is_answer:
        yield from source.json_lines()
        return
    content = source.json()
    if isinstance(content, dict):
        content = content.get("payload", {}).get("listens", []) if isinstance(content.get("payload"), dict) else []
    yield from enumerate(content, start=1)


def _take(row: dict[str, Any], out: Collected) -> None:
    about = row["track_metadata"]
    more, mapping = _object(about.get("additional_info")), _object(about.get("mbid_mapping"))
    if row.get("playing_now") or row.get("listened_at") is None:
        out.notes["listens without a time (playing now) left out"] += 1
        return
    time = seconds_of(row.get("listened_at"))
    if time is None:
        out.notes["listens with an unreadable time left out"] += 1
        return
    length = number_of(more.get("duration_ms"))
    isrc = more.get("isrc")
    out.add(
        Listen(
            text_of(about.get("artist_name")),
            text_of(about.get("track_name")),
            text_of(about.get("release_name")),
            time,
            text_of(row.get("user_name")),
            mbid=text_of(mapping.get("recording_mbid") or more.get("recording_mbid")).lower(),
            isrc=text_of(isrc[0] if isinstance(isrc, list) and isrc else isrc).replace("-", "").upper(),
            duration=length / 1000 if length else number_of(more.get("duration")),
        )
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

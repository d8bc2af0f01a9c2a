"""ListenBrainz: the export (a zip of months, one listen a line), public dumps, and answers of its API.

feedback.jsonl of the export gives marks: loved and hated recordings. Pinned recordings are no listens.
"""

import re
from collections.abc import Iterator
from typing import Any

from deepcuts.data.histories.identity import isrc_of, mbid_of
from deepcuts.data.histories.listens import Collected, Listen, number_of, seconds_of, text_of
from deepcuts.data.histories.sources import Source
from deepcuts.errors import InputError


def is_listenbrainz(source: Source) -> bool:
    """Whether a file is listens of ListenBrainz, or the user.json of an export."""
    return "track_metadata" in source.keys or _is_user(source) or _is_feedback(source)


def _is_user(source: Source) -> bool:
    return source.base == "user.json" and bool(source.keys & {"user_id", "username", "user_name"})


def _is_feedback(source: Source) -> bool:
    return "score" in source.keys and bool(source.keys & {"recording_mbid", "recording_msid"})


def read_listenbrainz(source: Source, out: Collected) -> None:
    """Take the listens of one file; of user.json, the name."""
    if _is_user(source):
        content = source.json()
        name = text_of(content.get("user_name") or content.get("username")) if isinstance(content, dict) else ""
        out.names += [name] if name else []
        return
    if source.base.startswith("pinned"):
        out.notes["pinned recordings left out"] += sum(1 for _ in _rows(source))
        return
    if _is_feedback(source):
        for _, row in _rows(source):
            _take_mark(row, out)
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
        content = _object(content.get("payload")).get("listens") or []
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
    out.add(
        Listen(
            text_of(about.get("artist_name")),
            text_of(about.get("track_name")),
            text_of(about.get("release_name")),
            time,
            text_of(row.get("user_name")),
            mbid=mbid_of(mapping.get("recording_mbid")) or mbid_of(more.get("recording_mbid")),
            isrc=isrc_of(more.get("isrc")),
            spotify=_spotify_uri(more.get("spotify_id")),
            duration=length / 1000 if length else number_of(more.get("duration")),
        )
    )


def _take_mark(row: Any, out: Collected) -> None:
    score, mbid = row.get("score"), mbid_of(row.get("recording_mbid"))
    about = _object(row.get("track_metadata"))
    one = Listen(text_of(about.get("artist_name")), text_of(about.get("track_name")), mbid=mbid,
                 time=seconds_of(row.get("created")))  # fmt: skip
    if score not in (1, -1) or not (mbid or (one.artist and one.title)):
        out.notes["marks without a recording or score left out"] += 1
    else:
        (out.liked if score == 1 else out.disliked).append(one)


def _spotify_uri(value: Any) -> str:
    """spotify:track:… of an address such as https://open.spotify.com/track/…"""
    found = re.search(r"track[/:](\w{22})\b", value) if isinstance(value, str) else None
    return f"spotify:track:{found[1]}" if found else ""


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

"""Spotify: the extended streaming history, and the short one of the account data.

A play lasts 30 seconds or more. `ts` and `endTime` say when it ended; kept is when it began. Podcasts, audiobooks and
videos are left out and counted. Plays under 30 seconds that the listener ended are skips. Addresses and countries are
never looked at.
"""

from typing import Any

from deepcuts.data.histories.listens import Collected, Listen, number_of, seconds_of, text_of
from deepcuts.data.histories.sources import Source
from deepcuts.errors import InputError


def is_spotify(source: Source) -> bool:
    """Whether a file is a Spotify history."""
    keys = source.keys
    is_named = source.base.startswith(("streaming_history", "streaminghistory", "endsong"))
    return {"ts", "ms_played"} <= keys or {"endTime", "msPlayed"} <= keys or (is_named and source.is_json)


def read_spotify(source: Source, out: Collected) -> None:
    """Take the listens of one file."""
    content = source.json()
    if not isinstance(content, list):
        raise InputError(f"{source.where}: a Spotify history is a list of plays, found {type(content).__name__}.")
    if "video" in source.base:
        out.notes["videos left out"] += len(content)
        return
    for at, row in enumerate(content, start=1):
        if not isinstance(row, dict):
            raise InputError(
                f"{source.where}: entry {at} is {type(row).__name__}, expected an object. Export it again."
            )
        if "ts" in row or "ms_played" in row:
            _take_extended(row, out)
        else:
            _take_short(row, out)


def _take_extended(row: dict[str, Any], out: Collected) -> None:
    uri = text_of(row.get("spotify_track_uri"))
    if text_of(row.get("spotify_episode_uri")) or text_of(row.get("episode_name")):
        out.notes["podcast episodes left out"] += 1
        return
    if any(row.get(name) for name in ("audiobook_title", "audiobook_uri", "audiobook_chapter_uri")):
        out.notes["audiobook chapters left out"] += 1
        return
    ended, played = seconds_of(row.get("ts")), number_of(row.get("ms_played"))
    if ended is None and played is not None and row.get("offline"):
        began = seconds_of(row.get("offline_timestamp"))  # ms in old exports, s in new ones
        ended = None if began is None else began + int(played / 1000)
    if ended is None or played is None:
        out.notes["rows without time or duration left out"] += 1
        return
    listen = Listen(
        text_of(row.get("master_metadata_album_artist_name")),
        text_of(row.get("master_metadata_track_name")),
        text_of(row.get("master_metadata_album_album_name")),
        ended - int(played / 1000),
        spotify=uri,
    )
    if not listen.title and uri:
        out.notes["tracks without a name (no longer on Spotify) left out"] += 1
        return
    skipped = bool(row.get("skipped")) or text_of(row.get("reason_end")) in ("fwdbtn", "backbtn")
    out.add(listen, seconds=played / 1000, skipped=skipped)


def _take_short(row: dict[str, Any], out: Collected) -> None:
    if row.get("podcastName") or row.get("episodeName"):
        out.notes["podcast episodes left out"] += 1
        return
    ended, played = seconds_of(row.get("endTime")), number_of(row.get("msPlayed"))
    if ended is None or played is None:
        out.notes["rows without time or duration left out"] += 1
        return
    listen = Listen(text_of(row.get("artistName")), text_of(row.get("trackName")), "", ended - int(played / 1000))
    out.add(listen, seconds=played / 1000)

"""The Million Playlist Dataset: a playlist is a user."""

from typing import Any

from deepcuts.data.histories.listens import Collected, Listen, number_of, text_of
from deepcuts.data.histories.sources import Source
from deepcuts.errors import InputError


def is_million_playlist(source: Source) -> bool:
    """Whether a file is a slice of the Million Playlist Dataset."""
    return {"playlists", "track_uri"} <= source.keys or {"playlists", "pid", "tracks"} <= source.keys


def read_million_playlist(source: Source, out: Collected) -> None:
    """Take the playlists of a slice: a playlist is a user, a track in it one play without a time."""
    content = source.json()
    playlists = content.get("playlists") if isinstance(content, dict) else None
    if not isinstance(playlists, list):
        raise InputError(f"{source.where}: has no list of playlists. Fetch the slice again.")
    for at, playlist in enumerate(playlists, start=1):
        tracks = playlist.get("tracks") if isinstance(playlist, dict) else None
        pid = text_of(playlist.get("pid")) if isinstance(playlist, dict) else ""
        if not isinstance(tracks, list) or not pid:
            raise InputError(f"{source.where}: playlist {at} has no pid or no list of tracks. Fetch the slice again.")
        for track in tracks:
            _take(track if isinstance(track, dict) else {}, pid, out)


def _take(track: dict[str, Any], pid: str, out: Collected) -> None:
    length, uri = number_of(track.get("duration_ms")), text_of(track.get("track_uri"))
    out.add(
        Listen(
            text_of(track.get("artist_name")),
            text_of(track.get("track_name")),
            text_of(track.get("album_name")),
            None,
            pid,
            uri,
            duration=length / 1000 if length else None,
            spotify=uri,
        )
    )

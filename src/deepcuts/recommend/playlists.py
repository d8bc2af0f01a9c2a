"""Playlists as files that players open: m3u8 and JSPF."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from deepcuts.artifacts.songs import song_names
from deepcuts.errors import InputError
from deepcuts.store import write_file
from deepcuts.walk import path_of

SUFFIXES = (".m3u8", ".m3u", ".jspf", ".json")


def write_playlist(path: Path, songs: pl.DataFrame, music: str = "", title: str = "") -> int:
    """Write songs as a playlist; its suffix says which form. Songs without a file are left out of m3u8.

    Args:
        path: .m3u8 (or .m3u), .jspf (or .json).
        songs: rows of a song table, in order.
        music: the folder below which `file` lies.
        title: of the playlist; the file's name when left out.
    Returns:
        how many songs were left out, because they have no file.
    Raises:
        InputError: another suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: unknown form of playlist: expected {', '.join(SUFFIXES)}.")
    title = title or path.stem
    if suffix in (".jspf", ".json"):
        write_file(path, jspf(songs, music, title))
        return 0
    text, n_left_out = m3u8(songs, music, title, path.parent)
    write_file(path, text.encode("utf-8", "surrogateescape"))
    return n_left_out


def m3u8(songs: pl.DataFrame, music: str, title: str, folder: Path) -> tuple[str, int]:
    """The text of an m3u8 playlist in a folder, and how many songs have no file.

    Paths are relative to the folder where they lie below it or beside it, with forward slashes; UTF-8.
    """
    lines, n_left_out = ["#EXTM3U", f"#PLAYLIST:{one_line(title)}"], 0
    for name, row in zip(song_names(songs), songs.iter_rows(named=True), strict=True):
        if not row.get("file"):
            n_left_out += 1
            continue
        seconds = round(float(row.get("duration") or -1))
        artist = f"{one_line(row['artist'])} - " if row.get("artist") else ""
        lines += [f"#EXTINF:{seconds},{artist}{one_line(name)}", _relative(row["file"], music, folder)]
    return "\n".join(lines) + "\n", n_left_out


def _relative(file: str, music: str, folder: Path) -> str:
    """A path as a player finds it from the playlist; a name that begins with # gets `./` in front."""
    path = Path(os.path.abspath(path_of(file, music)))  # not resolved: links in the music folder stay
    try:
        text = os.path.relpath(path, os.path.abspath(folder))
    except ValueError:  # another drive
        text = str(path)
    text = os.fsencode(text).decode("utf-8", "surrogateescape").replace(os.sep, "/")
    return f"./{text}" if text.startswith("#") else text


def jspf(songs: pl.DataFrame, music: str, title: str) -> str:
    """The text of a JSPF playlist; MusicBrainz recordings are identifiers.

    Source: xspf.org/jspf.
    """
    tracks = []
    for name, row in zip(song_names(songs), songs.iter_rows(named=True), strict=True):
        mbids = (row.get("mbid") or "").split("; ")
        track = {
            "title": name,
            "creator": row.get("artist"),
            "album": row.get("album"),
            "duration": round(1000 * float(row["duration"])) if row.get("duration") else None,
            "location": [path_of(row["file"], music).absolute().as_uri()] if row.get("file") else None,
            "identifier": [f"https://musicbrainz.org/recording/{one}" for one in mbids if one] or None,
        }
        tracks.append({key: value for key, value in track.items() if value is not None})
    return json.dumps({"playlist": {"title": title, "track": tracks}}, indent=2, ensure_ascii=False) + "\n"


def one_line(text: str) -> str:
    """A text without line ends."""
    return " ".join(text.split())


def spaced(artists: Sequence[str | None]) -> list[int]:
    """An order of a list in which one artist's songs stand apart, changing as little as it must.

    Each place takes the first song left whose artist differs from the one before, if there is any.
    """
    left, order = list(range(len(artists))), list[int]()
    while left:
        before = artists[order[-1]] if order else None
        at = next((i for i, one in enumerate(left) if artists[one] is None or artists[one] != before), 0)
        order.append(left.pop(at))
    return order

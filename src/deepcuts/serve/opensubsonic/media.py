"""Sound and pictures: only files of the catalogue, with ranges."""

import os
import re
from pathlib import Path

from fastapi import Response
from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send
from tinytag import TinyTag, TinyTagException

from deepcuts.serve.catalogue import Song
from deepcuts.serve.opensubsonic.call import Call
from deepcuts.serve.opensubsonic.envelope import NOT_FOUND, Refused

PICTURES = ("cover", "folder", "front", "album", "albumart")  # names of pictures beside songs, best first
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif")
PICTURE_BYTES = 32 << 20
SONGS_LOOKED_INTO = 5  # for the picture of an album or artist
_RANGE = re.compile(r"\s*(?:(\d{1,18})\s*-\s*(\d{0,18})|-\s*\d{1,18})\s*")


class SongFile(FileResponse):
    """A file with ranges, also for players that ask by POST; a Range without a meaning is ignored (RFC 9110)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the range asked for."""
        headers = [(name, value) for name, value in scope["headers"] if name != b"range" or is_range(value.decode())]
        method = "GET" if scope["method"] == "POST" else scope["method"]
        await super().__call__({**scope, "method": method, "headers": headers}, receive, send)


def is_range(text: str) -> bool:
    """Whether a Range header asks for bytes in a form that can be understood."""
    unit, _, parts = text.partition("=")
    found = [_RANGE.fullmatch(part) for part in parts.split(",")]
    whole = all(one is not None and not (one[2] and int(one[1]) > int(one[2])) for one in found)
    return unit.strip().lower() == "bytes" and whole


def stream(call: Call) -> Response:
    """The sound of a song as it lies on disk; it never counts as a play."""
    song = call.song()
    return SongFile(_file(call, song), media_type=song.mime)


def download(call: Call) -> Response:
    """The file of a song."""
    song = call.song()
    name = (song.file or Path(song.name)).name.encode("utf-8", "replace").decode()
    return SongFile(_file(call, song), media_type=song.mime, filename=name)


def _file(call: Call, song: Song) -> Path:
    path = call.catalogue.file_of(song.song_id)
    if path is None:
        raise Refused(NOT_FOUND, "The model knows no file of this song, or it is gone.")
    return path


def get_cover_art(call: Call) -> Response:
    """The picture beside a song's file, or inside it."""
    asked, catalogue = call.text("id"), call.catalogue
    if asked in catalogue.by_id:
        songs = [catalogue.by_id[asked]]
    elif asked in catalogue.albums:
        songs = catalogue.albums[asked]
    elif asked in catalogue.artists:
        songs = catalogue.songs_of_artist(asked)
    else:
        raise Refused(NOT_FOUND, f"Nothing with the id {asked!r} was found.")
    for song in songs[:SONGS_LOOKED_INTO]:
        path = catalogue.file_of(song.song_id)
        found = _picture(path) if path is not None else None
        if found is not None:
            return Response(found[0], media_type=found[1], headers={"Cache-Control": "private, max-age=86400"})
    raise Refused(NOT_FOUND, "There is no picture.")


def _picture(path: Path) -> tuple[bytes, str] | None:
    return _inside(path) or _beside(path.parent)


def _inside(path: Path) -> tuple[bytes, str] | None:
    try:
        image = TinyTag.get(path, image=True).images.any
    except (TinyTagException, OSError, ValueError):
        return None
    return (bytes(image.data), kind) if image is not None and (kind := _kind_of(bytes(image.data))) else None


def _beside(folder: Path) -> tuple[bytes, str] | None:
    with os.scandir(folder) as held:
        entries = [one for one in held if Path(one.name).suffix.lower() in PICTURE_SUFFIXES and not one.is_symlink()]
    named = {one.name.rpartition(".")[0].lower(): one for one in entries}
    for name in PICTURES:
        if name in named and named[name].is_file() and named[name].stat().st_size <= PICTURE_BYTES:
            data = Path(named[name].path).read_bytes()
            if kind := _kind_of(data):
                return data, kind
    return None


def _kind_of(data: bytes) -> str:
    """The media type of a picture by its first bytes; "" for anything else, whatever it is called."""
    starts = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"GIF8": "image/gif"}
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in starts.items() if data.startswith(start)), "")

"""Sound and pictures: only files of the catalogue, with ranges."""

import io
from pathlib import Path

from fastapi import Response
from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send
from tinytag import TinyTag, TinyTagException

from deepcuts.serve.opensubsonic.call import Call
from deepcuts.serve.opensubsonic.envelope import NOT_FOUND, Refused

PICTURES = ("cover.jpg", "cover.png", "folder.jpg", "folder.png", "front.jpg", "front.png")
PICTURE_TYPES = {"image/jpeg", "image/png", "image/gif", "image/webp"}


class Sound(FileResponse):
    """A file with ranges, also when it is asked for by a form, as the players' protocol allows."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a POST as a GET is answered."""
        await super().__call__({**scope, "method": "GET"} if scope["method"] == "POST" else scope, receive, send)


def stream(call: Call) -> Response:
    """The sound of a song; it never counts as a play."""
    song = call.song()
    return Sound(_file(call, song.song_id), media_type=song.mime)


def download(call: Call) -> Response:
    """The file of a song."""
    song = call.song()
    path = _file(call, song.song_id)
    name = path.name.encode("utf-8", "replace").decode()
    return Sound(path, media_type=song.mime, filename=name)


def _file(call: Call, song_id: str) -> Path:
    path = call.catalogue.file_of(song_id)
    if path is None:
        raise Refused(NOT_FOUND, "The model knows no file of this song, or it is gone.")
    return path


def get_cover_art(call: Call) -> Response:
    """The picture inside a song's file, or beside it."""
    asked, catalogue = call.text("id"), call.catalogue
    if asked in catalogue.by_id:
        songs = [catalogue.by_id[asked]]
    elif asked in catalogue.albums:
        songs = catalogue.albums[asked]
    elif asked in catalogue.artists:
        songs = catalogue.songs_of_artist(asked)
    else:
        raise Refused(NOT_FOUND, f"Nothing with the id {asked!r} was found.")
    for song in songs[:5]:
        path = catalogue.file_of(song.song_id)
        found = _picture(path) if path is not None else None
        if found is not None:
            return Response(found[0], media_type=found[1], headers={"Cache-Control": "private, max-age=86400"})
    raise Refused(NOT_FOUND, "There is no picture.")


def _picture(path: Path) -> tuple[bytes, str] | None:
    for name in PICTURES:
        beside = path.with_name(name)
        if beside.is_file() and not beside.is_symlink():
            return beside.read_bytes(), "image/png" if name.endswith("png") else "image/jpeg"
    try:
        image = TinyTag.get(path, image=True).images.any
    except (TinyTagException, OSError, ValueError):
        return None
    if image is None or image.mime_type not in PICTURE_TYPES:
        return None
    return io.BytesIO(image.data).getvalue(), image.mime_type

"""The songs of a model as players browse them: artists, albums, genres, files; found by words."""

import hashlib
import mimetypes
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deepcuts.artifacts import Bundle
from deepcuts.artifacts.songs import song_names
from deepcuts.walk import path_of

UNKNOWN_ARTIST, UNKNOWN_ALBUM = "Unknown artist", "Unknown album"
MIME = {".flac": "audio/flac", ".opus": "audio/ogg", ".ogg": "audio/ogg", ".oga": "audio/ogg", ".m4a": "audio/mp4",
        ".m4b": "audio/mp4", ".wv": "audio/x-wavpack", ".ape": "audio/x-ape", ".mp3": "audio/mpeg",
        ".wav": "audio/wav", ".aac": "audio/aac", ".webm": "audio/webm", ".mka": "audio/x-matroska"}  # fmt: skip


@dataclass(frozen=True)
class Song:
    """A song of the catalogue.

    Attributes:
        position: its row in the model.
        name: its title, else its file's name, else its id.
        file: where its sound lies; None where the model does not say.
        about: the row of the song table.
    """

    position: int
    song_id: str
    name: str
    artist: str
    album: str
    artist_id: str
    album_id: str
    file: Path | None
    about: dict[str, Any]

    @property
    def mime(self) -> str:
        """The media type of its file."""
        suffix = self.file.suffix.lower() if self.file else ""
        return MIME.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream")


def stable_id(kind: str, *names: str) -> str:
    """An id of an artist or album that is the same on every start: `ar-…`, `al-…`."""
    return f"{kind}-{hashlib.blake2b(chr(0).join(names).encode(), digest_size=8).hexdigest()}"


def plain(text: str) -> str:
    """Letters without case and accents, for finding."""
    spread = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in spread if not unicodedata.combining(one))


class Catalogue:
    """Everything that can be browsed, in the order of the model's songs."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.music = str(bundle.card.get("music", ""))
        table = bundle.table
        rows = zip(song_names(table), table.iter_rows(named=True), strict=True)
        self.songs = [self._song(at, name, row) for at, (name, row) in enumerate(rows)]

    def _song(self, at: int, name: str, row: dict[str, Any]) -> Song:
        artist, album = row["artist"] or UNKNOWN_ARTIST, row["album"] or UNKNOWN_ALBUM
        owner = row.get("album_artist") or artist
        file = path_of(row["file"], self.music) if row["file"] else None
        ids = stable_id("ar", owner), stable_id("al", owner, album)
        return Song(at, row["song_id"], name, artist, album, *ids, file, row)

    @cached_property
    def by_id(self) -> dict[str, Song]:
        """Songs by id."""
        return {song.song_id: song for song in self.songs}

    @cached_property
    def albums(self) -> dict[str, list[Song]]:
        """Songs of each album, by disc and track."""
        found: dict[str, list[Song]] = defaultdict(list)
        for song in self.songs:
            found[song.album_id].append(song)
        for held in found.values():
            held.sort(key=lambda song: (song.about.get("disc") or 0, song.about.get("track") or 0, song.name))
        return dict(found)

    @cached_property
    def artists(self) -> dict[str, list[str]]:
        """Albums of each artist, by name."""
        found: dict[str, dict[str, None]] = defaultdict(dict)
        for album_id, songs in self.albums.items():
            found[songs[0].artist_id][album_id] = None
        return {one: sorted(held, key=lambda album_id: self.albums[album_id][0].album) for one, held in found.items()}

    def artist_name(self, artist_id: str) -> str:
        """The name of an artist."""
        song = self.albums[self.artists[artist_id][0]][0]
        return str(song.about.get("album_artist") or song.artist)

    def songs_of_artist(self, artist_id: str) -> list[Song]:
        """All songs of an artist, album by album."""
        return [song for album_id in self.artists[artist_id] for song in self.albums[album_id]]

    @cached_property
    def genres(self) -> dict[str, list[Song]]:
        """Songs of each genre."""
        found: dict[str, list[Song]] = defaultdict(list)
        for song in self.songs:
            for genre in str(song.about.get("genre") or "").split("; "):
                if genre:
                    found[genre].append(song)
        return dict(sorted(found.items()))

    @cached_property
    def _texts(self) -> list[str]:
        return [plain(f"{song.name} {song.artist} {song.album} {song.song_id}") for song in self.songs]

    def find(self, query: str) -> Iterator[Song]:
        """Songs whose name, artist, album or id holds every word of a query; all of them for an empty one."""
        words = plain(query.strip().strip('"')).split()
        for song, text in zip(self.songs, self._texts, strict=True):
            if all(word in text for word in words):
                yield song

    def file_of(self, song_id: str) -> Path | None:
        """Where a song's sound lies, if it is there: only files that the model itself names are ever given out."""
        song = self.by_id.get(song_id)
        return song.file if song is not None and song.file is not None and song.file.is_file() else None

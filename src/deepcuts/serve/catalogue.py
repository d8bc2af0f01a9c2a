"""The songs of a model as players browse them: artists, albums, genres, files; found by words."""

import hashlib
import mimetypes
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from deepcuts.artifacts import Bundle
from deepcuts.artifacts.songs import song_names
from deepcuts.audio.extractors import SOUND_SUFFIXES
from deepcuts.walk import path_of

UNKNOWN_ARTIST, UNKNOWN_ALBUM = "Unknown artist", "Unknown album"
MIME = {".flac": "audio/flac", ".opus": "audio/ogg", ".ogg": "audio/ogg", ".oga": "audio/ogg", ".m4a": "audio/mp4",
        ".m4b": "audio/mp4", ".wv": "audio/x-wavpack", ".ape": "audio/x-ape", ".mp3": "audio/mpeg",
        ".wav": "audio/wav", ".aac": "audio/aac", ".webm": "audio/webm", ".mka": "audio/x-matroska"}  # fmt: skip


class Row(Mapping[str, Any]):
    """A row of the song table: its values, and the places of columns, which all rows share. A dict takes far more."""

    __slots__ = ("_places", "_values")

    def __init__(self, places: Mapping[str, int], values: tuple[Any, ...]) -> None:
        self._places, self._values = places, values

    def __getitem__(self, name: str) -> Any:
        return self._values[self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


@dataclass(frozen=True, slots=True)
class Song:
    """A song of the catalogue.

    Attributes:
        position: its row in the model.
        name: its title, else its file's name, else its id.
        artist: as its tags write it, perhaps several names.
        artists: (id, name) of each of its artists.
        owner: (id, name) of the artist of its album.
        file: where its sound lies; None where the model does not say.
        about: the row of the song table.
    """

    position: int
    song_id: str
    name: str
    artist: str
    album: str
    artists: tuple[tuple[str, str], ...]
    owner: tuple[str, str]
    album_id: str
    file: Path | None
    about: Row

    @property
    def artist_id(self) -> str:
        """The first of its artists."""
        return self.artists[0][0]

    @property
    def seconds(self) -> float:
        """Its length; 0 where it is unknown."""
        duration = float(self.about.get("duration") or 0)
        return duration if 0 < duration < 1e9 else 0.0

    @property
    def mime(self) -> str:
        """The media type of its file."""
        suffix = self.file.suffix.lower() if self.file else ""
        return MIME.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream")


@lru_cache(maxsize=100_000)  # songs of an artist share one text
def stable_id(kind: str, *names: str) -> str:
    """An id of an artist or album that is the same on every start: `ar-…`, `al-…`."""
    return f"{kind}-{hashlib.blake2b(chr(0).join(names).encode(), digest_size=8).hexdigest()}"


@lru_cache(maxsize=100_000)
def artists_of(artist: str) -> tuple[tuple[str, str], ...]:
    """(id, name) of each of the artists that a tag names."""
    return tuple((stable_id("ar", one), one) for one in dict.fromkeys(artist.split("; ")))


def guid(text: str) -> str:
    """An id in small letters and without dashes, if it is a GUID; else as it is."""
    bare = text.replace("-", "").lower()
    return bare if len(bare) == 32 and all(one in "0123456789abcdef" for one in bare) else text


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
        self._places, self._shared = {name: at for at, name in enumerate(table.columns)}, dict[str, str]()
        rows = zip(song_names(table), table.iter_rows(), strict=True)
        shared = self._shared.setdefault
        self.songs = [self._song(at, shared(name, name), self._row(values)) for at, (name, values) in enumerate(rows)]
        self._shared.clear()

    def _row(self, values: tuple[Any, ...]) -> Row:
        """A row whose texts are those of earlier rows where they are equal."""
        shared = self._shared.setdefault
        return Row(self._places, tuple(shared(one, one) if isinstance(one, str) else one for one in values))

    def _song(self, at: int, name: str, row: Row) -> Song:
        artist, album = row["artist"] or UNKNOWN_ARTIST, row["album"] or UNKNOWN_ALBUM
        owner = row.get("album_artist") or artist
        artists = artists_of(artist)
        if row.get("artist_id"):  # of a media server
            artists = ((str(row["artist_id"]), artist),)
        owner_id = str(row.get("album_artist_id") or stable_id("ar", owner))
        album_id = str(row.get("album_id") or stable_id("al", owner, album))
        file = path_of(row["file"], self.music) if row["file"] and is_below(row["file"]) else None
        return Song(at, row["song_id"], name, artist, album, artists, (owner_id, owner), album_id, file, row)

    @cached_property
    def by_id(self) -> dict[str, Song]:
        """Songs by id."""
        return {song.song_id: song for song in self.songs}

    @cached_property
    def by_guid(self) -> dict[str, Song]:
        """Songs by id, for ids that servers write with or without dashes and in either case."""
        return {guid(song.song_id): song for song in self.songs}

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
    def artist_names(self) -> dict[str, str]:
        """Artist id → name, of all artists of songs and albums."""
        return {one: name for song in self.songs for one, name in (*song.artists, song.owner)}

    @cached_property
    def _by_artist(self) -> dict[str, list[Song]]:
        found: dict[str, list[Song]] = defaultdict(list)
        for songs in sorted(self.albums.values(), key=lambda held: held[0].album):
            for song in songs:
                for one in dict.fromkeys((*(artist_id for artist_id, _ in song.artists), song.owner[0])):
                    found[one].append(song)
        return dict(found)

    @cached_property
    def artists(self) -> dict[str, list[str]]:
        """Albums that each artist made or has a song on, by name."""
        return {one: list(dict.fromkeys(song.album_id for song in songs)) for one, songs in self._by_artist.items()}

    def artist_name(self, artist_id: str) -> str:
        """The name of an artist."""
        return self.artist_names[artist_id]

    def songs_of_artist(self, artist_id: str) -> list[Song]:
        """All songs of an artist, album by album."""
        return self._by_artist[artist_id]

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
        words = words_of(query)
        if not words:
            yield from self.songs
            return
        for song, text in zip(self.songs, self._texts, strict=True):
            if all(word in text for word in words):
                yield song

    @cached_property
    def _album_texts(self) -> dict[str, str]:
        return {one: plain(f"{held[0].album} {held[0].owner[1]}") for one, held in self.albums.items()}

    def find_albums(self, query: str) -> list[str]:
        """Albums whose name or artist holds every word of a query."""
        return _holding(self._album_texts, words_of(query))

    @cached_property
    def _artist_texts(self) -> dict[str, str]:
        return {one: plain(self.artist_names[one]) for one in self.artists}

    def find_artists(self, query: str) -> list[str]:
        """Artists whose name holds every word of a query."""
        return _holding(self._artist_texts, words_of(query))

    @cached_property
    def arrived(self) -> list[float]:
        """When the file of each song was last changed, unix seconds; 0 where there is none."""
        return [_changed(song.file) for song in self.songs]

    def file_of(self, song_id: str) -> Path | None:
        """Where a song's sound lies, if it is there.

        Only files that the model names are given out, and only sound: what a link leads to must be named as sound too,
        so that a link in the music folder opens no other file of this machine.
        """
        song = self.by_id.get(song_id)
        if song is None or song.file is None:
            return None
        try:
            real = song.file.resolve(strict=True)
        except (OSError, RuntimeError, ValueError):  # gone, a loop of links, a name that cannot be
            return None
        return real if real.suffix.lower() in SOUND_SUFFIXES and real.is_file() else None


def is_below(file: str) -> bool:
    """Whether a path of the song table stays below the music folder, or is whole."""
    return ".." not in Path(file).parts and "\x00" not in file


def words_of(query: str) -> list[str]:
    """The words of a query; none for an empty one, which clients also write as two quotes."""
    return plain(query.strip().strip('"')).split()


def _holding(texts: dict[str, str], words: Sequence[str]) -> list[str]:
    return [one for one, text in texts.items() if all(word in text for word in words)]


def _changed(file: Path | None) -> float:
    try:
        return file.stat().st_mtime if file is not None else 0.0
    except (OSError, ValueError):
        return 0.0

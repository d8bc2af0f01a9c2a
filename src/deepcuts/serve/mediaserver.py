"""A media server beside deepcuts: its song ids, users and plays, so that plugins and players mean the same songs.

Songs are found by id, then by path (the server may see the music folder under another name), then as histories are
matched: MusicBrainz recording, ISRC, artist and title.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import polars as pl

from deepcuts.artifacts import Bundle, Songs, Vocabulary
from deepcuts.data.histories import navidrome_library
from deepcuts.data.histories.listens import Collected
from deepcuts.data.histories.navidrome import navidrome_users, read_navidrome
from deepcuts.data.histories.sources import Source
from deepcuts.data.match import match_songs
from deepcuts.errors import InputError

SERVER_COLUMNS = ("artist_id", "album_artist_id", "album_id")
LEAST_PARTS = 2  # of two whole paths that must agree from the end: the file and its folder


@dataclass(frozen=True)
class MediaServer:
    """What a media server knows.

    Attributes:
        name: of its database, for messages.
        songs: under its ids.
        users: their names.
        plays: (user, song id) → count; last: → unix seconds of the last play, where it is known.
        liked, disliked: (user, song id), by star and rating.
    """

    name: str
    songs: Songs
    users: tuple[str, ...]
    plays: Mapping[tuple[str, str], float]
    last: Mapping[tuple[str, str], int]
    liked: frozenset[tuple[str, str]] = frozenset()
    disliked: frozenset[tuple[str, str]] = frozenset()

    @staticmethod
    def of_navidrome(path: Path) -> "MediaServer":
        """From the database of Navidrome; it is only read.

        Raises:
            InputError: no such file, not a database of Navidrome, or one without songs.
        """
        if not path.is_file():
            raise InputError(f"{path}: no such file. Name Navidrome's database, often /data/navidrome.db.")
        songs, notes = navidrome_library(path), Collected()
        with path.open("rb") as file:
            read_navidrome(Source(path.name, str(path), file.read(16), None, path), notes)
        plays: dict[tuple[str, str], float] = defaultdict(float)
        last: dict[tuple[str, str], int] = {}
        for _, one in notes.listens:
            plays[one.user, one.song_id] += one.plays
            if one.time is not None:
                last[one.user, one.song_id] = max(one.time, last.get((one.user, one.song_id), 0))
        liked, disliked = (frozenset((one.user, one.song_id) for one in held) for held in (notes.liked, notes.disliked))
        return MediaServer(str(path), songs, tuple(navidrome_users(path)), plays, last, liked, disliked)


def with_ids_of(bundle: Bundle, server: MediaServer) -> Bundle:
    """A model under the ids of a media server. Songs that the server does not have keep their own ids."""
    found = matched_ids(bundle, server)
    own = bundle.table["song_id"].to_list()
    ids = pl.Series("song_id", [found.get(one, one) for one in own])
    theirs = server.songs.table.select("song_id", *SERVER_COLUMNS)
    table = bundle.table.with_columns(ids).drop(SERVER_COLUMNS, strict=False)
    table = table.join(theirs, on="song_id", how="left", maintain_order="left")
    return replace(bundle, songs=replace(bundle.songs, songs=Vocabulary(ids)), table=table)


def matched_ids(bundle: Bundle, server: MediaServer) -> dict[str, str]:
    """Song id of a model → id of the server. Of several songs of the model that one song of the server fits, the first
    one gets its id.
    """
    theirs, table = set(server.songs.ids.ids.to_list()), bundle.table
    by_path = matched_paths(table, server.songs.table)
    certain = {one: one if one in theirs else by_path.get(one) for one in table["song_id"].to_list()}
    rest = table.filter(pl.Series([certain[one] is None for one in table["song_id"].to_list()], dtype=pl.Boolean))
    likely = match_songs(rest, server.songs) if rest.height else pl.DataFrame({"song_id": [], "library_id": []})
    pairs = [*certain.items(), *likely.select("song_id", "library_id").iter_rows()]
    found: dict[str, str] = {}
    taken: set[str] = set()
    for one, other in pairs:
        if other is not None and other not in taken and one not in found and (one == other or other not in certain):
            found[one] = other
            taken.add(other)
    return found


def matched_paths(table: pl.DataFrame, theirs: pl.DataFrame) -> dict[str, str]:
    """Song id → id of the server, for songs whose files are one by their paths.

    A path below the music folder must end the server's path. Two whole paths must agree from the end, in the file and
    its folder at least, and no other path may agree as far.
    """
    by_name: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
    for song_id, file in theirs.select("song_id", "file").drop_nulls().iter_rows():
        by_name[PurePosixPath(file).name].append((PurePosixPath(file).parts[::-1], song_id))
    found = {}
    for song_id, file in table.select("song_id", "file").drop_nulls().iter_rows():
        path = PurePosixPath(file)
        least = LEAST_PARTS if path.is_absolute() else len(path.parts)
        scored = [(_common(path.parts[::-1], parts), other) for parts, other in by_name.get(path.name, [])]
        best = max((n for n, _ in scored), default=0)
        fitting = [other for n, other in scored if n == best]
        if best >= least and len(fitting) == 1:
            found[song_id] = fitting[0]
    return found


def _common(one: tuple[str, ...], two: tuple[str, ...]) -> int:
    n = 0
    while n < min(len(one), len(two)) and one[n] == two[n]:
        n += 1
    return n

"""Which song of a library is meant by a song of a history: exact ids first, then names, then names that nearly agree.

    1  the same song id, file, MusicBrainz recording or ISRC
    2  the same artist and title by `normalise`, then the same in Latin letters without accents
    3  under one artist, titles of Jaro-Winkler likeness >= `threshold` whose numbers and version words agree

Where several songs of the library fit, duration decides, then album; if that does not, the first is taken and the song
is listed as ambiguous: all of them bear the same name. Two songs of the history may be one of the library (an album and
a compilation); two songs of different artists never are.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from rapidfuzz import fuzz
from rapidfuzz.distance import JaroWinkler

from deepcuts.artifacts import Plays, Songs
from deepcuts.artifacts.songs import merged_names, with_song_columns
from deepcuts.config import require
from deepcuts.data.normalise import artist_key, ascii_key, numbers_of, title_key, versions_of
from deepcuts.errors import InputError
from deepcuts.progress import progress

SHORTEST_MISSPELT, LEAST_ALIKE = 5, 0.75  # letters of a word that may be misspelt; share of them that must agree
NONE = "none"  # in a table of corrections: this song is not in the library
MATCH_COLUMNS = {"song_id": pl.String, "library_id": pl.String, "how": pl.String, "likeness": pl.Float64,
                 "n_candidates": pl.Int64}  # fmt: skip


@dataclass(frozen=True)
class MatchSettings:
    """How to match a history to a library.

    Attributes:
        threshold: least Jaro-Winkler likeness (0 to 1) of two titles of one artist that nearly agree; 1 turns this off.
        seconds: two durations further apart than this, and than 5 %, are two recordings.
    """

    threshold: float = 0.85
    seconds: float = 10.0

    def __post_init__(self) -> None:
        require(0.5 <= self.threshold <= 1, "threshold", self.threshold, "0.5 to 1")
        require(self.seconds > 0, "seconds", self.seconds, "above 0")


@dataclass(frozen=True)
class _Song:
    """A song, as the matcher sees it."""

    at: int
    artist: str
    title: str
    album: str
    duration: float | None


def match_songs(
    history: pl.DataFrame,
    library: Songs,
    settings: MatchSettings | None = None,
    corrections: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Match each song of a history to one of a library, or to none.

    Args:
        history: song_id, and what is known of title, artist, album, duration, file, mbid, isrc.
        corrections: song id → library id, or "none": decided by hand, before anything else.
    Returns:
        One row a song of the history, in its order: song_id · library_id (null where nothing fits) · how ("hand", "id",
        "file", "mbid", "isrc", "name", "spelling", "fuzzy", or "" where nothing fits) · likeness of the titles (1 but
        for "fuzzy") · n_candidates (> 1 where several songs of the library fit equally: ambiguous).
    Raises:
        InputError: a correction names a song that is not there.
    """
    settings = settings or MatchSettings()
    table = with_song_columns(history)
    by_hand = _checked(corrections or {}, table, library)
    index = _Index(library.table, settings)
    rows = []
    asked = table.select("song_id", "title", "artist", "album", "album_artist", "duration", "file", "mbid", "isrc")
    with progress("match", total=table.height, unit="song") as bar:
        for row in asked.iter_rows(named=True):
            rows.append((row["song_id"], *(by_hand.get(row["song_id"]) or index.match(row))))
            bar.advance(1)
    return pl.DataFrame(rows, schema=MATCH_COLUMNS, orient="row")


Match = tuple[str | None, str, float | None, int]
NO_MATCH: Match = (None, "", None, 0)


def _checked(corrections: Mapping[str, str], history: pl.DataFrame, library: Songs) -> dict[str, Match]:
    known = set(history["song_id"].to_list())
    for song_id, library_id in corrections.items():
        if song_id not in known:
            raise InputError(f"corrections: {song_id!r} is not a song of the plays. Take the row out.")
        if library_id != NONE and library_id not in library.ids:
            library.ids.positions([library_id], where=f"corrections for {song_id!r}")
    return {
        song_id: (None, "hand", None, 0) if library_id == NONE else (library_id, "hand", 1.0, 1)
        for song_id, library_id in corrections.items()
    }


class _Index:
    """The library by everything that names a song."""

    def __init__(self, table: pl.DataFrame, settings: MatchSettings) -> None:
        self.settings = settings
        self.ids: list[str] = table["song_id"].to_list()
        self.songs = [_song_of(at, row) for at, row in enumerate(table.iter_rows(named=True))]
        self.exact = {
            "id": _where([[one] for one in self.ids], str),
            "file": _where([[one] for one in table["file"].to_list()], str),
            "mbid": _where(_several(table["mbid"]), str.casefold),
            "isrc": _where(_several(table["isrc"]), isrc_key),
        }
        self.by_name: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.by_spelling: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.by_artist: dict[str, list[int]] = defaultdict(list)
        for row, song in zip(table.iter_rows(named=True), self.songs, strict=True):
            for artist in {song.artist, artist_key(row["album_artist"] or "")} - {""}:
                self._add(artist, song)

    def _add(self, artist: str, song: _Song) -> None:
        if not song.title:
            return
        spelled = ascii_key(artist)
        self.by_name[artist, song.title].append(song.at)
        self.by_spelling[spelled, ascii_key(song.title)].append(song.at)
        self.by_artist[spelled].append(song.at)

    def match(self, row: Mapping[str, object]) -> Match:
        """The library's song for one of a history."""
        for how, name, key in (("id", "song_id", str), ("file", "file", str), ("mbid", "mbid", str.casefold),
                               ("isrc", "isrc", isrc_key)):  # fmt: skip
            asked = (
                [] if row[name] is None else str(row[name]).split("; ") if how in ("mbid", "isrc") else [str(row[name])]
            )
            found = [at for one in asked for at in self.exact[how].get(key(one.strip()), [])]
            if found:
                return self._one_of(_song_of(-1, row), found, how)
        song = _song_of(-1, row)
        if not (song.artist and song.title):
            return NO_MATCH
        spelled = (ascii_key(song.artist), ascii_key(song.title))
        for how, found in (("name", self.by_name.get((song.artist, song.title), [])),
                           ("spelling", self.by_spelling.get(spelled, []))):  # fmt: skip
            if found:
                return self._one_of(song, found, how)
        return self._nearly(song, spelled)

    def _one_of(self, song: _Song, found: Sequence[int], how: str, likeness: float = 1.0) -> Match:
        """Of several songs of the library: by duration, then by album, then the first."""
        best = list(dict.fromkeys(found))
        if len(best) > 1 and song.duration is not None:
            near = [at for at in best if self._one_recording(song, self.songs[at])]
            best = near or best
        if len(best) > 1 and song.album:
            same = [at for at in best if self.songs[at].album == song.album]
            best = same or best
        return self.ids[best[0]], how, likeness, len(best)

    def _nearly(self, song: _Song, spelled: tuple[str, str]) -> Match:
        artist, title = spelled
        scored = [
            (JaroWinkler.similarity(title, ascii_key(self.songs[at].title)), at)
            for at in dict.fromkeys(self.by_artist.get(artist, []))
            if may_be_one(title, ascii_key(self.songs[at].title)) and self._durations_agree(song, self.songs[at])
        ]
        best = max((likeness for likeness, _ in scored), default=0.0)
        if best < self.settings.threshold:
            return NO_MATCH
        top = [at for likeness, at in scored if likeness == best]
        if len({self.songs[at].title for at in top}) > 1:
            return None, "", best, len(top)
        return self._one_of(song, top, "fuzzy", best)

    def _one_recording(self, one: _Song, other: _Song) -> bool:
        return other.duration is not None and self._durations_agree(one, other)

    def _durations_agree(self, one: _Song, other: _Song) -> bool:
        """Whether two durations may be of one recording; yes where one is unknown."""
        if not one.duration or not other.duration:
            return True
        apart = abs(one.duration - other.duration)
        return apart <= max(self.settings.seconds, 0.05 * max(one.duration, other.duration))


def may_be_one(title: str, other: str) -> bool:
    """Whether two titles that look alike may be two spellings of one: same numbers, same versions, words that differ by
    letters only.

        "good bye" "goodbye" · "dont stop beleiving" "dont stop believing"     may
        "part 1" "part 2" · "song" "song live" · "song one" "song two"         may not
    """
    if numbers_of(title) != numbers_of(other) or versions_of(title) != versions_of(other):
        return False
    if title.replace(" ", "") == other.replace(" ", ""):
        return True
    words, others = title.split(), other.split()
    if len(words) != len(others):
        return False
    return all(one == two or _are_spellings(one, two) for one, two in zip(words, others, strict=True))


def _are_spellings(one: str, two: str) -> bool:
    """Whether two words may be one, misspelt: long, and mostly alike. "he" and "she", "can" and "cant" may not."""
    return min(len(one), len(two)) >= SHORTEST_MISSPELT and fuzz.ratio(one, two) >= 100 * LEAST_ALIKE


def matched_plays(plays: Plays, matches: pl.DataFrame, library: Songs) -> Plays:
    """Plays with the ids and names of the library where a song was matched; other songs keep their own.

    Plays of songs that are one in the library add up, and so do their times.

    Args:
        matches: from `match_songs` for the songs of `plays`.
    """
    own = plays.songs.ids.to_list()
    library_ids = dict(zip(matches["song_id"].to_list(), matches["library_id"].to_list(), strict=True))
    new = [library_ids.get(one) or _outside(one, library) for one in own]
    counts = plays.counts.tocoo()
    each = np.diff(plays.events.start) if plays.events is not None else np.ones(counts.nnz, np.int64)
    times = plays.events.time if plays.events is not None else plays.first_played
    names = with_song_columns(plays.songs_table.with_columns(pl.Series("song_id", new)))
    known = merged_names(library.table, names)
    unmatched = names.filter(~pl.col("song_id").is_in(library.table["song_id"].implode()))
    user, song = np.repeat(counts.row, each), np.repeat(counts.col, each)
    return Plays.from_pairs(
        plays.users.ids.gather(user.astype(np.int64)),
        pl.Series("song_id", new, dtype=pl.String).gather(song.astype(np.int64)),
        np.ones(len(user), np.float32) if plays.events is not None else counts.data,
        first_played=times,
        songs_table=pl.concat([known, unmatched], how="diagonal_relaxed"),
        settings={**plays.settings, "matched_to": library.fingerprint},
        keep_times=plays.events is not None,
    )


def _outside(song_id: str, library: Songs) -> str:
    """An id of a song that is not in the library: its own, unless a song of the library bears it."""
    return f"{song_id} (not in the library)" if song_id in library.ids else song_id


def isrc_key(isrc: str) -> str:
    """An ISRC without hyphens and blanks, in capitals."""
    return isrc.replace("-", "").replace(" ", "").upper()


def _several(column: pl.Series) -> list[list[str]]:
    """Cells that may hold several ids, joined by "; "."""
    return [[one.strip() for one in (value or "").split("; ")] for value in column.to_list()]


def _where(values: Sequence[Sequence[str | None]], key: Callable[[str], str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for at, several in enumerate(values):
        for one in several:
            if one:
                found[key(one)].append(at)
    return found


def _song_of(at: int, row: Mapping[str, object]) -> _Song:
    duration = row["duration"]
    return _Song(
        at,
        artist_key(str(row["artist"] or row["album_artist"] or "")),
        title_key(str(row["title"] or "")),
        title_key(str(row["album"] or "")),
        float(duration) if isinstance(duration, int | float) and duration > 0 else None,
    )

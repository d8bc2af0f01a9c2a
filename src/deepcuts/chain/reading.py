"""Read the plays of a model: histories, tables or a folder of plays; and match them to its library."""

import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from deepcuts import store
from deepcuts.artifacts import Plays, Songs
from deepcuts.data import EventSettings, Reading, TableSettings, read_events, read_table
from deepcuts.data.histories import HistoryReading, read_history
from deepcuts.data.match import match_songs, matched_plays
from deepcuts.errors import InputError

log = logging.getLogger(__name__)


def refuse_swapped(music: Path) -> None:
    """Say so where the music is a file and no database: most likely a history stands last.

    Raises:
        InputError: it is.
    """
    if music.is_file():
        with music.open("rb") as file:
            if not file.read(16).startswith(b"SQLite format 3"):
                raise InputError(
                    f"{music}: the music = a file: expected a folder of music or navidrome.db. "
                    "Histories come first, the music last: deepcuts model HISTORY... MUSIC."
                )


def hash_of_files(paths: Sequence[Path]) -> str:
    """A hash of names, sizes and times of all files, also in folders."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if one.exists() and one.is_file():
                facts = one.stat()
                digest.update(f"{one}\x00{facts.st_size}\x00{facts.st_mtime_ns}\x00".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def read_plays(paths: Sequence[Path], user: str | None, to: Path) -> None:
    """A folder of plays as it is; exports as histories; else a table with counts, or of single listens."""
    if len(paths) == 1 and (paths[0] / store.META).exists():
        Plays.load(paths[0]).save(to)
        return
    reading = _history_or_table(paths, user)
    reading.plays.save(to)
    for what, n in reading.notes.items():
        log.info("  %s %s", f"{n:,}", what)


def _history_or_table(paths: Sequence[Path], user: str | None) -> HistoryReading | Reading:
    """What a history or a table gives; when it is neither, the refusal says what histories are read."""
    try:
        return read_history(paths, user=user)
    except InputError as refused:
        given = paths if len(paths) > 1 else paths[0]
        for time in ("auto", None):
            with suppress(InputError):
                return read_table(given, TableSettings(time=time))
            with suppress(InputError):
                return read_events(given, EventSettings(time=time))
        raise refused


def match_history(history: Plays, songs: Songs, to: Path) -> None:
    """Save the plays under the ids of the library, and how each song was matched (matches.csv)."""
    matches = match_songs(history.songs_table, songs)
    matched_plays(history, matches, songs).save(to)
    store.write_file(to / "matches.csv", matches.write_csv())

"""What listeners do, in an append-only log: written before the answer, so a kill loses nothing and doubles nothing.

SQLite with a write-ahead log. Every event has an id of its own; the same id again is the same event.
"""

import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepcuts.errors import ResourceError, SettingError

KINDS = ("play", "skip", "star", "unstar", "rate", "add")


@dataclass(frozen=True)
class Event:
    """One thing a listener did.

    Attributes:
        user_id, song_id: who, and with which song.
        kind: one of KINDS.
        time: unix seconds.
        value: of a rating, 0 to 5; how often, for plays.
        event_id: of the sender; "" makes one.
    """

    user_id: str
    song_id: str
    kind: str = "play"
    time: int = 0
    value: float = 1.0
    event_id: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SettingError(f"kind = {self.kind!r}: expected {', '.join(KINDS)}.")


SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
  number INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT UNIQUE NOT NULL, user_id TEXT NOT NULL,
  song_id TEXT NOT NULL, kind TEXT NOT NULL, time INTEGER NOT NULL, value REAL NOT NULL);
CREATE TABLE IF NOT EXISTS playlists (
  playlist_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, name TEXT NOT NULL, comment TEXT NOT NULL DEFAULT '',
  public INTEGER NOT NULL DEFAULT 0, songs TEXT NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS queues (
  user_id TEXT PRIMARY KEY, songs TEXT NOT NULL, current INTEGER NOT NULL, position INTEGER NOT NULL,
  changed INTEGER NOT NULL, player TEXT NOT NULL);
"""


class EventLog:
    """The log of a served model, safe under threads.

    Args:
        path: of the database; it and its folder are made.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock, self._changing = threading.Lock(), threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, timeout=10.0, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    def _write(self, work: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run one statement for many rows in one transaction; returns how many rows it changed.

        Raises:
            ResourceError: disk full, or the file cannot be written; nothing is changed.
        """
        with self._lock:
            before = self._database.total_changes
            try:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany(work, rows)
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise ResourceError(f"{self.path}: cannot be written ({error}). Nothing was changed.") from error
            return self._database.total_changes - before

    def _read(self, question: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(question, values).fetchall()

    # ---- events ----

    def append(self, events: Sequence[Event]) -> int:
        """Write events; those whose id is there already are passed over.

        Returns:
            how many were new.
        """
        now = int(time.time())
        rows = [(e.event_id or uuid.uuid4().hex, e.user_id, e.song_id, e.kind, e.time or now, e.value) for e in events]
        columns = "event_id, user_id, song_id, kind, time, value"
        return self._write(f"INSERT OR IGNORE INTO events ({columns}) VALUES (?, ?, ?, ?, ?, ?)", rows)

    def events(self, after: int = 0, user_id: str | None = None) -> Iterator[tuple[int, Event]]:
        """(number, event) of all events after a number, in order; of one user only when named."""
        who, values = ("", [after]) if user_id is None else (" AND user_id = ?", [after, user_id])
        question = f"SELECT number, user_id, song_id, kind, time, value, event_id FROM events WHERE number > ?{who}"
        for number, *rest in self._read(f"{question} ORDER BY number", values):
            yield number, Event(*rest)

    # ---- playlists ----

    def save_playlist(self, playlist: "Playlist") -> None:
        """Write a playlist, new or old."""
        p = playlist
        row = (p.playlist_id, p.user_id, p.name, p.comment, int(p.public), json.dumps(p.songs), p.created, p.changed)
        self._write("INSERT OR REPLACE INTO playlists VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [row])

    def change_playlist(self, playlist_id: str, change: Callable[["Playlist"], "Playlist"]) -> None:
        """Read a playlist, change it and write it: two changes at once both hold. Nothing where it is gone."""
        with self._changing:
            old = self.playlist(playlist_id)
            if old is not None:
                self.save_playlist(change(old))

    def delete_playlist(self, playlist_id: str) -> None:
        """Remove a playlist."""
        self._write("DELETE FROM playlists WHERE playlist_id = ?", [(playlist_id,)])

    def playlists(self, user_id: str) -> list["Playlist"]:
        """The playlists of a user, and the public ones of others, by name."""
        found = self._read(
            "SELECT * FROM playlists WHERE user_id = ? OR public = 1 ORDER BY name, playlist_id", [user_id]
        )
        return [Playlist.of(row) for row in found]

    def playlist(self, playlist_id: str) -> "Playlist | None":
        """A playlist by id."""
        found = self._read("SELECT * FROM playlists WHERE playlist_id = ?", [playlist_id])
        return Playlist.of(found[0]) if found else None

    # ---- what players were about to play ----

    def save_queue(self, queue: "Queue") -> None:
        """Keep the queue of a listener, in place of the one before."""
        row = (queue.user_id, json.dumps(queue.songs), queue.current, queue.position, queue.changed, queue.player)
        self._write("INSERT OR REPLACE INTO queues VALUES (?, ?, ?, ?, ?, ?)", [row])

    def queue(self, user_id: str) -> "Queue | None":
        """The queue of a listener."""
        found = self._read("SELECT * FROM queues WHERE user_id = ?", [user_id])
        return Queue(found[0][0], tuple(json.loads(found[0][1])), *found[0][2:]) if found else None


@dataclass(frozen=True)
class Queue:
    """What a player was about to play, for the next player to go on with.

    Attributes:
        current: place of the song that plays, from 0.
        position: in that song, ms.
        changed: unix seconds.
        player: the name that the player gives itself.
    """

    user_id: str
    songs: tuple[str, ...]
    current: int = 0
    position: int = 0
    changed: int = 0
    player: str = ""


@dataclass(frozen=True)
class Playlist:
    """A list of songs that somebody keeps; `created` and `changed` are unix seconds."""

    playlist_id: str
    user_id: str
    name: str
    songs: tuple[str, ...]
    comment: str = ""
    public: bool = False
    created: int = 0
    changed: int = 0

    @staticmethod
    def of(row: Sequence[Any]) -> "Playlist":
        """From a row of the database."""
        playlist_id, user_id, name, comment, public, songs, created, changed = row
        return Playlist(playlist_id, user_id, name, tuple(json.loads(songs)), comment, bool(public), created, changed)

"""Who played what, how often."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from deepcuts import store
from deepcuts.artifacts.rows import Events, Numbered, fits, same_form
from deepcuts.artifacts.vocabulary import Vocabulary, composed, read_parquet
from deepcuts.checks import check_same_length, check_shape
from deepcuts.errors import ArtifactError, InputError
from deepcuts.store import Meta, load_array, read_meta, save_array, write_meta, writing

log = logging.getLogger(__name__)
MOST_EXACT = 2**24  # float32 is exact for whole numbers up to here


@dataclass(frozen=True)
class Plays:
    """Who played what, how often.

    Attributes:
        users, songs: the outside ids of rows and columns.
        counts: plays r_ui [n_users, n_songs], CSR float32; every stored entry is positive and finite.
        songs_table: one row a song in order, `song_id` first, then whatever the source says (artist, title, ...).
        first_played: unix seconds int64 [n_stored], aligned with `counts.data`; None when the source has no time.
        settings: how it was read.
        events: the time of every play; None when the source has counts only, or no times.
    """

    users: Vocabulary
    songs: Vocabulary
    counts: sparse.csr_array
    songs_table: pl.DataFrame
    first_played: np.ndarray | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    events: Events | None = None

    def __post_init__(self) -> None:
        check_shape("plays", self.counts, [len(self.users), len(self.songs)])
        if not self.counts.nnz:
            raise InputError("plays: contains no plays. Check the file and the column names.")
        _check_counts(self.counts.data, self._ids_of)
        if not self.songs_table["song_id"].equals(self.songs.ids):
            raise InputError("songs_table: its song_id column is not the songs of the plays, in their order.")
        if self.events is not None and not fits(self.events, self.counts):
            raise InputError("plays: the events do not fit the counts: expected the time of every play of every pair.")

    def _ids_of(self, stored: int) -> tuple[str, str]:
        row = int(np.searchsorted(self.counts.indptr, stored, side="right") - 1)
        return self.users[row], self.songs[self.counts.indices[stored]]

    @property
    def shape(self) -> tuple[int, int]:
        """(n_users, n_songs)."""
        return len(self.users), len(self.songs)

    @property
    def n_plays(self) -> int:
        """Stored (user, song) pairs, whatever their counts."""
        return int(self.counts.nnz)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of who played what how often."""
        c = self.counts
        return store.fingerprint(
            self.users.fingerprint,
            self.songs.fingerprint,
            c.indptr.astype(np.int64),
            c.indices.astype(np.int64),
            c.data,
        )

    @staticmethod
    def from_pairs(
        user_ids: Sequence[str] | pl.Series | Numbered,
        song_ids: Sequence[str] | pl.Series | Numbered,
        counts: np.ndarray | Sequence[float] | pl.Series,
        *,
        first_played: np.ndarray | pl.Series | None = None,
        songs_table: pl.DataFrame | None = None,
        settings: Mapping[str, Any] | None = None,
        keep_times: bool = False,
    ) -> "Plays":
        """Plays from (user, song, count) rows in any order; rows of the same pair are summed.

        Users and songs are put in the order of their ids, so the order of rows does not matter.

        Args:
            first_played: unix seconds [n_rows]; the earliest of a pair is kept.
            songs_table: extra columns by `song_id`; songs without plays are left out.
            keep_times: each row is one play at the time `first_played`; all times are kept as `events`.
        Raises:
            InputError: an empty id, a sum of whole counts that float32 does not keep exactly, a count that is not
                positive and finite, columns of different lengths.

        >>> plays = Plays.from_pairs(["ann", "bob", "ann"], ["s1", "s1", "s2"], [3, 1, 2])
        >>> plays.counts.toarray().tolist()
        [[3.0, 2.0], [1.0, 0.0]]
        """
        columns: dict[str, Any] = {"user_ids": user_ids, "song_ids": song_ids, "counts": counts}
        columns |= {name: ids.numbers for name, ids in columns.items() if isinstance(ids, Numbered)}
        if first_played is not None:
            columns["first_played"] = first_played
        check_same_length(**columns)
        played = np.asarray(counts)
        users, songs, rows = _place_rows(user_ids, song_ids, played)
        earliest = None if first_played is None else np.asarray(first_played, dtype=np.int64)[rows.data]
        if rows.has_canonical_format:  # no pair has two rows
            exact = played[rows.data]
            rows.data = exact.astype(np.float32)
            events = Events(np.arange(rows.nnz + 1), earliest) if keep_times and earliest is not None else None
            table = complete_songs_table(songs, songs_table)
            made = Plays(users, songs, rows, table, earliest, settings or {}, events)
            _check_sums(exact, rows.data, made._ids_of)
            return made
        is_new = np.concatenate([[True], rows.indices[1:] != rows.indices[:-1]])
        is_new[rows.indptr[:-1]] = True  # no user is without a row
        start = np.flatnonzero(is_new)
        exact = np.add.reduceat(played[rows.data].astype(np.float64), start)
        summed = exact.astype(np.float32)
        events = None
        if keep_times and earliest is not None:
            pair = np.cumsum(is_new) - 1
            events = Events(np.append(start, len(earliest)), earliest[np.lexsort((earliest, pair))])
        earliest = None if earliest is None else np.minimum.reduceat(earliest, start)
        indptr = np.searchsorted(start, rows.indptr).astype(rows.indptr.dtype)
        matrix = sparse.csr_array((summed, rows.indices[start], indptr), shape=rows.shape)
        made = Plays(users, songs, matrix, complete_songs_table(songs, songs_table), earliest, settings or {}, events)
        _check_sums(exact, summed, made._ids_of)
        return made

    def counts_of(self, users: Vocabulary, songs: Vocabulary) -> sparse.csr_array:
        """Counts [n_users, n_songs] CSR, indices sorted, in the order of the ids given; nothing for unknown ids."""
        user, song = self.users.find(users.ids), self.songs.find(songs.ids)
        known = self.counts[user[user >= 0]][:, song[song >= 0]]
        n_stored = np.zeros(len(user) + 1, dtype=known.indptr.dtype)
        n_stored[1:][user >= 0] = np.diff(known.indptr)
        column = np.flatnonzero(song >= 0).astype(known.indices.dtype)[known.indices]
        found = sparse.csr_array(
            (known.data, column, np.cumsum(n_stored, dtype=n_stored.dtype)), (len(user), len(song))
        )
        found.sort_indices()
        return found

    def take_songs(self, songs: np.ndarray) -> "Plays":
        """The plays of some songs (positions, in the order given); every user stays, even without plays left."""
        songs = np.asarray(songs, dtype=np.int64)
        counts, first, events = self.counts[:, songs], self.first_played, self.events
        if first is not None or events is not None:
            numbers = np.arange(1, self.n_plays + 1)
            stored = sparse.csr_array((numbers, self.counts.indices, self.counts.indptr), self.shape)[:, songs].data - 1
            first = None if first is None else first[stored]
            events = None if events is None else events.take(stored)
        table = self.songs_table[songs]
        return replace(
            self, songs=self.songs.take(songs), counts=counts, songs_table=table, first_played=first, events=events
        )

    def take_users(self, users: np.ndarray) -> "Plays":
        """The plays of some users (positions, in the order given); every song stays, even without plays left."""
        users = np.asarray(users, dtype=np.int64)
        first, events = self.first_played, self.events
        if first is not None or events is not None:
            numbers = np.arange(1, self.n_plays + 1)
            stored = sparse.csr_array((numbers, self.counts.indices, self.counts.indptr), self.shape)[users].data - 1
            first = None if first is None else first[stored]
            events = None if events is None else events.take(stored)
        taken = self.users.take(users)
        return replace(self, users=taken, counts=self.counts[users], first_played=first, events=events)

    def save(self, folder: Path | str, *, parents: Mapping[str, str] | None = None) -> None:
        """Write the folder, whole or not at all."""
        with writing(folder) as scratch:
            self.users.save(scratch, "users")
            self.songs_table.write_parquet(scratch / "songs.parquet")
            save_array(scratch, "count", self.counts.data.astype(np.float32))
            save_array(scratch, "song", self.counts.indices.astype(np.int32))
            save_array(scratch, "user_start", self.counts.indptr.astype(np.int64))
            if self.first_played is not None:
                save_array(scratch, "first_played", self.first_played)
            if self.events is not None:
                save_array(scratch, "event_start", self.events.start.astype(np.int64))
                save_array(scratch, "event_time", self.events.time.astype(np.int64))
            shape = {"n_users": len(self.users), "n_songs": len(self.songs), "n_plays": self.n_plays}
            write_meta(scratch, Meta("plays", self.fingerprint, parents or {}, self.settings, shape))

    @staticmethod
    def load(folder: Path | str, *, mapped: bool = False) -> "Plays":
        """Read the folder.

        Args:
            folder: of plays.
            mapped: leave the numbers on disk, to be read as they are touched: for plays larger than memory. The
                times of single plays are left out, and the fingerprint is taken from the folder.
        Raises:
            ArtifactError: missing, half-written, damaged or of another kind.
        """
        folder = Path(folder)
        with store.content_of(folder):
            meta = read_meta(folder, "plays")
            table = read_parquet(folder / "songs.parquet", "song_id")
            users, songs = Vocabulary.load(folder, "users", "user"), Vocabulary(table["song_id"], "song")
            count, song, start = (load_array(folder, name, mapped=mapped) for name in ("count", "song", "user_start"))
            parts = (count, song, start)
            first = load_array(folder, "first_played", mapped=mapped) if "first_played.npy" in meta.files else None
            _check_rows(folder, *parts, first, len(users), len(songs))
            if mapped:
                parts = (count, song, _narrow(folder, start))
            counts = sparse.csr_array(parts, shape=(len(users), len(songs)))
            events = None
            if "event_time.npy" in meta.files and not mapped:
                events = Events(load_array(folder, "event_start"), load_array(folder, "event_time"))
                if not fits(events, counts):
                    raise ArtifactError(f"{folder}/event_start.npy: does not fit the counts. Make the plays again.")
            made = Plays(users, songs, counts, table, first, meta.settings, events)
            if mapped:
                made.__dict__["fingerprint"] = meta.fingerprint  # hashing would read all of it
            return made


def _narrow(folder: Path, start: np.ndarray) -> np.ndarray:
    """Starts of 32 bits, as the positions on disk have: SciPy would make a copy of these in memory to match 64.

    Raises:
        ArtifactError: more pairs than 32 bits count.
    """
    if start[-1] > np.iinfo(np.int32).max:
        raise ArtifactError(f"{folder}: {start[-1]:,} pairs: expected fewer than 2³¹ to map them. Take fewer users.")
    return np.array(start, np.int32)


def _check_rows(
    folder: Path,
    count: np.ndarray,
    song: np.ndarray,
    user_start: np.ndarray,
    first: np.ndarray | None,
    n_users: int,
    n_songs: int,
) -> None:
    """Refuse rows that point outside: everything later, compiled loops too, trusts them.

    Raises:
        ArtifactError: starts that do not ascend from 0 to the number of pairs, a song that is not there, other lengths.
    """
    n = len(count)
    starts = user_start.ndim == 1 and len(user_start) == n_users + 1 and user_start[0] == 0 and user_start[-1] == n
    if not starts or (np.diff(user_start) < 0).any():
        raise ArtifactError(
            f"{folder}/user_start.npy: does not ascend from 0 to {n} in {n_users} steps. Make it again."
        )
    if song.shape != (n,) or (n and not 0 <= int(song.min()) <= int(song.max()) < n_songs):
        raise ArtifactError(f"{folder}/song.npy: expected {n} positions of {n_songs} songs. Make it again.")
    if first is not None and first.shape != (n,):
        raise ArtifactError(f"{folder}/first_played.npy: {len(first)} times for {n} pairs. Make it again.")


def _check_counts(counts: np.ndarray, ids_of: Callable[[int], tuple[str, str]]) -> None:
    """Refuse counts that are not positive and finite; `ids_of` names the user and song of a place."""
    if len(counts) and not (counts.min() > 0 and np.isfinite(counts.max())):  # NaN is the least and the greatest
        at = int(np.argmax(~(np.isfinite(counts) & (counts > 0))))
        user_id, song_id = ids_of(at)
        raise InputError(
            f"plays[{user_id!r}, {song_id!r}] = {float(counts[at])}: expected a positive finite count. "
            "Leave unplayed songs out."
        )


def _check_sums(exact: np.ndarray, kept: np.ndarray, ids_of: Callable[[int], tuple[str, str]]) -> None:
    """Refuse sums of whole counts that are not kept exactly."""
    if not len(exact) or exact.max() <= MOST_EXACT:
        return
    lost = (exact > MOST_EXACT) & (exact == np.floor(exact)) & (exact != kept)
    if lost.any():
        at = int(np.argmax(lost))
        user_id, song_id = ids_of(at)
        raise InputError(
            f"plays[{user_id!r}, {song_id!r}]: the counts sum to {exact[at]:.0f}, which is not kept exactly: "
            f"expected at most {MOST_EXACT:,}. Check the file for rows that repeat."
        )


def _encode(ids: Sequence[str] | pl.Series | Numbered, noun: str) -> tuple[Vocabulary, np.ndarray]:
    """The distinct ids in order, and for each row [n_rows] the position of its id, int32."""
    (names, numbers), n_joined = same_form(ids)
    if n_joined:
        log.warning("%d %s ids differ from others only in Unicode form (NFC, NFD): joined", n_joined, noun)
    there = np.zeros(len(names), dtype=bool)
    there[numbers] = True
    place = names.arg_sort().to_numpy()
    place = place[there[place]]
    position = np.zeros(len(names), dtype=np.int32)
    position[place] = np.arange(len(place), dtype=np.int32)
    return Vocabulary(names.gather(place), noun), position[numbers]


def _place_rows(
    user_ids: Sequence[str] | pl.Series | Numbered, song_ids: Sequence[str] | pl.Series | Numbered, counts: np.ndarray
) -> tuple[Vocabulary, Vocabulary, sparse.csr_array]:
    """Users and songs in the order of their ids, and the numbers of the rows: CSR, a pair of two rows stands twice.

    SciPy turns rows into columns by counting, in linear time: the matrix [n_rows, n_users] with a song in each row
    becomes the songs of each user. Only within a user is anything compared, and nothing where songs ascend already.
    """
    users, user = _encode(user_ids, "user")
    songs, song = _encode(song_ids, "song")
    _check_counts(counts, lambda at: (users[user[at]], songs[song[at]]))
    small = np.int32 if len(user) < 2**31 - 1 else np.int64
    of_row = sparse.csr_array((song, user, np.arange(len(user) + 1, dtype=small)), shape=(len(user), len(users)))
    of_user = of_row.tocsc()
    rows = sparse.csr_array((of_user.indices, of_user.data, of_user.indptr), shape=(len(users), len(songs)))
    rows.sort_indices()
    return users, songs, rows


def complete_songs_table(songs: Vocabulary, table: pl.DataFrame | None) -> pl.DataFrame:
    """One row a song in the order of `songs`, `song_id` first; songs that `table` does not know get nulls."""
    own = pl.DataFrame({"song_id": songs.ids})
    if table is None:
        return own
    table = table.with_columns(composed(table["song_id"]).alias("song_id"))
    return own.join(
        table.unique("song_id", keep="first", maintain_order=True),
        on="song_id",
        how="left",
        maintain_order="left",
    )


def plays_before(plays: Plays, cutoff: int) -> Plays:
    """The plays made before `cutoff` (unix seconds); users and songs keep their rows and columns.

    With `events` every later play goes, replays of old pairs too, and counts shrink. A source that only has the first
    time of each pair loses whole pairs: those first played from the cutoff on.

    Raises:
        InputError: the plays have no times, or none is before the cutoff.
    """
    if plays.first_played is None:
        raise InputError("plays: have no times, so they cannot be cut at one. Read them with a time column.")
    old = plays.first_played < cutoff
    rows = np.repeat(np.arange(len(plays.users)), np.diff(plays.counts.indptr))[old]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(plays.users)))])
    data, events = plays.counts.data[old], None
    if plays.events is not None:
        kept = plays.events.take(np.flatnonzero(old))
        pair = np.repeat(np.arange(len(data)), np.diff(kept.start))
        early = kept.time < cutoff
        n_each = np.bincount(pair[early], minlength=len(data))
        data = n_each.astype(np.float32)
        events = Events(np.concatenate([[0], np.cumsum(n_each)]), kept.time[early])
    counts = sparse.csr_array((data, plays.counts.indices[old], indptr), plays.shape)
    return replace(plays, counts=counts, first_played=plays.first_played[old], events=events)

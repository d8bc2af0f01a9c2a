"""Who played what, how often."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from deepcuts import store
from deepcuts.artifacts.vocabulary import Vocabulary, composed, read_parquet
from deepcuts.checks import check_same_length, check_shape
from deepcuts.errors import InputError
from deepcuts.store import Meta, load_array, read_meta, save_array, write_meta, writing

log = logging.getLogger(__name__)
MOST_EXACT = 2**24  # float32 is exact for whole numbers up to here


class Numbered(NamedTuple):
    """A column of ids: row i has `names[numbers[i]]`. Names are distinct texts."""

    names: pl.Series
    numbers: np.ndarray


class Events(NamedTuple):
    """When each play happened: those of stored pair j are `time[start[j]:start[j + 1]]`, ascending.

    start int64 [n_stored + 1] from 0; time int64 [n_events], unix seconds. Each play has a time, so pair j has
    `counts.data[j]` of them.
    """

    start: np.ndarray
    time: np.ndarray

    def take(self, stored: np.ndarray) -> "Events":
        """The events of some stored pairs [n], in the order given."""
        n_each = np.diff(self.start)[stored]
        start = np.concatenate([[0], np.cumsum(n_each)])
        places = np.arange(start[-1]) + np.repeat(self.start[:-1][stored] - start[:-1], n_each)
        return Events(start, self.time[places])


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
        if not (self.songs_table["song_id"] == self.songs.ids).all():
            raise InputError("songs_table: its song_id column is not the songs of the plays, in their order.")
        if self.events is not None and not _fits(self.events, self.counts):
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
    def load(folder: Path | str) -> "Plays":
        """Read the folder.

        Raises:
            ArtifactError: missing, half-written, damaged or of another kind.
        """
        folder = Path(folder)
        meta = read_meta(folder, "plays")
        table = read_parquet(folder / "songs.parquet")
        users, songs = Vocabulary.load(folder, "users", "user"), Vocabulary(table["song_id"], "song")
        parts = (load_array(folder, "count"), load_array(folder, "song"), load_array(folder, "user_start"))
        counts = sparse.csr_array(parts, shape=(len(users), len(songs)))
        first = load_array(folder, "first_played") if (folder / "first_played.npy").exists() else None
        events = None
        if (folder / "event_time.npy").exists():
            events = Events(load_array(folder, "event_start"), load_array(folder, "event_time"))
        return Plays(users, songs, counts, table, first, meta.settings, events)


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


def _fits(events: Events, counts: sparse.csr_array) -> bool:
    start, n = events.start, len(events.time)
    whole = len(start) == counts.nnz + 1 and start[0] == 0 and start[-1] == n
    return bool(whole and (np.diff(start) == counts.data).all())


def same_form(ids: Sequence[str] | pl.Series | Numbered) -> tuple[Numbered, int]:
    """Ids numbered, with those joined that differ only in Unicode form (NFC and NFD); and how many were joined."""
    names, numbers = ids if isinstance(ids, Numbered) else _number(ids)
    one_form = composed(names)
    if one_form.equals(names) or one_form.n_unique() == len(one_form):
        return Numbered(one_form, numbers), 0
    distinct = one_form.unique(maintain_order=True)
    found = Vocabulary(distinct, "id").find(one_form) if not (distinct == "").any() else _ranks(one_form, distinct)
    return Numbered(distinct, found.astype(np.int32)[numbers]), len(one_form) - len(distinct)


def _ranks(ids: pl.Series, distinct: pl.Series) -> np.ndarray:
    places = {name: i for i, name in enumerate(distinct.to_list())}
    return np.array([places[name] for name in ids.to_list()], dtype=np.int64)


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


def _number(ids: Sequence[str] | pl.Series) -> Numbered:
    """The distinct ids, and the number of each row's. Categories have numbers too, but not dense ones."""
    series = ids if isinstance(ids, pl.Series) else pl.Series(values=ids, dtype=pl.String)
    if series.dtype != pl.Categorical:
        series = series.cast(pl.String).cast(pl.Categorical)
    categories = series.to_physical().to_numpy()
    last_row = np.full(int(categories.max()) + 1 if len(categories) else 0, -1)
    last_row[categories] = np.arange(len(categories))
    there = np.flatnonzero(last_row >= 0)
    dense = np.zeros(len(last_row), dtype=np.int32)
    dense[there] = np.arange(len(there), dtype=np.int32)
    return Numbered(series.gather(last_row[there]).cast(pl.String), dense[categories])


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

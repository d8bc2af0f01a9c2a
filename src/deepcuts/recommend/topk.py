"""The best songs for each user, exactly, without ever holding users x songs.

A chunk of users is scored in one matrix product, of which only the few songs that may be among the best k are sorted.
Equal scores stand in a fixed random order of the songs, the same for every user,
so the order of a file (often by popularity) never decides.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from deepcuts.artifacts import Factors, Ranking, SongFactors, UserFactors, Vocabulary, derive, same_space
from deepcuts.checks import check_finite, check_shape, did_you_mean
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.kernels.product import DistinctRows
from deepcuts.progress import progress

log = logging.getLogger(__name__)

WHICH = ("cold", "warm", "both")
MOST_SCORES = 2**25  # scores held at a time: 128 MiB
GROUP = 16  # columns, of which the best score is looked at first


@dataclass(frozen=True)
class RecommendSettings:
    """What to list.

    Attributes:
        k: songs for each user.
        which: "cold" (songs without plays, placed by sound), "warm" (songs with plays) or "both".
        exclude_played: leave out what the user has played.
        per_artist: at most so many songs of an artist in a list; None for no limit.
        chunk: users scored at a time.
        seed: of the order among equal scores.
    """

    k: int = 20
    which: str = "both"
    exclude_played: bool = True
    per_artist: int | None = None
    chunk: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.k >= 1, "k", self.k, "at least 1")
        require(self.which in WHICH, "which", self.which, " or ".join(WHICH))
        require(self.per_artist is None or self.per_artist >= 1, "per_artist", self.per_artist, "at least 1, or none")
        require(self.chunk >= 1, "chunk", self.chunk, "at least 1")
        require(self.seed >= 0, "seed", self.seed, "at least 0")


def candidates(observed: Factors, predicted: SongFactors | None, which: str) -> Factors:
    """The users, and the songs that may be listed.

    A song with plays keeps its observed factors even when its sound gave predicted ones too.

    Args:
        observed: users and warm songs.
        predicted: songs placed by sound; may be None for "warm".
        which: "warm" gives the observed songs, "cold" the predicted songs that are not
            observed, "both" one after the other.
    Raises:
        InputError: nothing is left, predicted factors are missing, or they belong to another factorisation.
    """
    if which not in WHICH:
        raise InputError(f"which = {which!r}: unknown.{did_you_mean(which, WHICH)}")
    parts = [observed.songs] if which != "cold" else []
    if which != "warm":
        parts.append(_cold_songs(observed, predicted))
    if not sum(map(len, parts)):
        raise InputError(f"which = {which!r}: no songs are left to recommend.")
    parents = {"observed": observed.fingerprint}
    if predicted is not None:
        parents["predicted"] = predicted.fingerprint
    songs = SongFactors(
        Vocabulary(pl.concat([part.songs.ids for part in parts]), "song"),
        np.concatenate([part.vectors for part in parts]),
        derive(observed.lineage, *(part.lineage for part in parts), **parents),
        settings={**observed.settings, "which": which},
    )
    return Factors(observed.users, songs)


def _cold_songs(observed: Factors, predicted: SongFactors | None) -> SongFactors:
    """The predicted songs that nobody has played."""
    if predicted is None:
        raise InputError("cold songs: there are no predicted song factors. Pass them, or ask for warm songs only.")
    if predicted.n_factors != observed.n_factors:
        raise InputError(
            f"predicted factors: {predicted.n_factors} factors, the observed ones have {observed.n_factors}. "
            "Predict with the encoder that was fitted on these factors."
        )
    same_space(observed.lineage, predicted.lineage, what=("the observed factors", "the predicted factors"))
    return predicted.without(observed.songs.songs)


def recommend(
    user_factors: np.ndarray,
    song_factors: np.ndarray,
    users: Vocabulary,
    songs: Vocabulary,
    settings: RecommendSettings | None = None,
    *,
    user_ids: Sequence[str] | None = None,
    played: sparse.csr_array | None = None,
    artists: Sequence[Any] | pl.Series | None = None,
) -> Ranking:
    """The k songs with the largest scores x_u . y_i for each user.

    Args:
        user_factors: x [n_users, n_factors].
        song_factors: y [n_songs, n_factors]; see `candidates` for cold, warm or both.
        users, songs: the ids of the rows of both.
        user_ids: whom to list for; everyone when None.
        played: [n_users, n_songs], what each user has played, see `Plays.counts_of`; left out of the lists when
            `settings.exclude_played`.
        artists: of each song [n_songs], for `settings.per_artist`; a song whose artist is None is never held back.
    Returns:
        lists of up to k songs; -1 and -inf where fewer were left.
    Raises:
        InputError: an unknown user id (with a near miss), shapes that differ, factors or scores that are not finite.

    >>> users, songs = Vocabulary(["ann", "bob"], "user"), Vocabulary(["s1", "s2"])
    >>> x, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[5.0, 1.0], [2.0, 3.0]])
    >>> found = recommend(x, y, users, songs, RecommendSettings(k=1))
    >>> found.table()["song_id"].to_list()
    ['s1', 's2']
    """
    settings = settings or RecommendSettings()
    check_shape("user_factors", user_factors, [len(users), None])
    check_shape("song_factors", song_factors, [len(songs), user_factors.shape[1]])
    if played is not None:
        check_shape("played", played, [len(users), len(songs)])
        played = sparse.csr_array(played)
    wanted = np.arange(len(users)) if user_ids is None else users.positions(user_ids)
    place = np.argsort(tie_order(len(songs), settings.seed))
    codes = None if settings.per_artist is None else _artist_codes(artists, len(songs))
    found, scores = empty_lists(len(wanted), settings.k)
    chunk = max(1, min(settings.chunk, MOST_SCORES // max(1, len(songs))))
    distinct = DistinctRows(song_factors)
    with progress("recommend", total=len(wanted), unit="user") as bar:
        for first in range(0, len(wanted), chunk):
            rows = wanted[first : first + chunk]
            line = scored(user_factors[rows], distinct)
            check_finite("scores", line)
            if settings.exclude_played and played is not None:
                line[played[rows].nonzero()] = -np.inf
            block = slice(first, first + len(rows))
            found[block], scores[block] = best_with_cap(line, settings.k, codes, settings.per_artist, place)
            bar.advance(len(rows))
    queries = users if user_ids is None else users.take(wanted)
    return Ranking(queries, songs, found, scores, settings=asdict(settings))


def serve_unknown_users(factors: UserFactors, user_ids: Sequence[str] | None = None) -> UserFactors:
    """The users, where one of whom nothing is known likes what all others like on average.

    Their vectors are zero: none of their plays was learned from, and any list would be chance. A warning names them.

    Args:
        user_ids: whom lists are asked for: only these are named; everyone when None.
    Returns:
        the same factors where something is known of everybody.
    Raises:
        InputError: an unknown id (with a near miss); nothing is known of anybody.
    """
    users = factors.users
    wanted = np.arange(len(users)) if user_ids is None else users.positions(user_ids)
    known = np.any(factors.vectors, axis=1)
    unknown = wanted[~known[wanted]]
    if not len(unknown):
        return factors
    if not known.any():
        raise InputError("users: nothing is known of anybody, all vectors are zero. Learn factors from their plays.")
    names = ", ".join(map(repr, users.ids.gather(unknown[:3]))) + (", ..." if len(unknown) > 3 else "")
    n = len(unknown)
    log.warning("%d users get the list of the average listener, no plays of theirs were learned from: %s", n, names)
    average = factors.vectors[known].mean(axis=0, dtype=np.float64)
    return replace(factors, vectors=np.where(known[:, None], factors.vectors, average).astype(np.float32))


def scored(rows: np.ndarray, songs: DistinctRows) -> np.ndarray:
    """Scores [n, n_songs] of some vectors [n, d]: equal vectors and equal songs score equal."""
    asked = DistinctRows(rows)
    values = songs.spread(asked.rows @ songs.rows.T)
    return values if asked.place is None else values[asked.place]


def empty_lists(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists without songs: -1 [n, k] int32 and -inf [n, k] float32."""
    return np.full((n, k), -1, dtype=np.int32), np.full((n, k), -np.inf, dtype=np.float32)


def tie_order(n_songs: int, seed: int) -> np.ndarray:
    """Positions of the songs in the fixed random order in which equal scores stand [n_songs]."""
    return np.random.default_rng(seed).permutation(n_songs)


def best_columns(scores: np.ndarray, k: int, place: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The k columns with the largest scores of each row, best first.

    The best score of every group of columns is found first. k groups reach the k-th best of these, so the k-th best
    score does, and only groups that reach it are looked into.

    Args:
        scores: [n_rows, n_columns]; -inf marks a column that may not be listed.
        place: of each column among equal scores [n_columns]; None for the order of the columns.
    Returns:
        columns: int64 [n_rows, k], -1 where fewer are left; scores: [n_rows, k], -inf there.
    """
    n_rows, n_columns = scores.shape
    columns = np.full((n_rows, k), -1, dtype=np.int64)
    best = np.full((n_rows, k), -np.inf, dtype=scores.dtype)
    if not n_columns:
        return columns, best
    row, column = _good_enough(scores, k)
    value = scores[row, column]
    sorted_pairs = np.lexsort((column if place is None else place[column], -value, row))
    row, column, value = row[sorted_pairs], column[sorted_pairs], value[sorted_pairs]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    kept = rank < k
    columns[row[kept], rank[kept]] = column[kept]
    best[row[kept], rank[kept]] = value[kept]
    return columns, best


def _good_enough(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the scores that are more than -inf and may be among the k best of their row."""
    n_columns = scores.shape[1]
    size = GROUP if 4 * k * GROUP < n_columns else 1
    n_groups = -(-n_columns // size)  # a group is every n_groups-th column: their maxima are taken side by side
    tops = scores[:, :n_groups].copy()
    for first in range(n_groups, n_columns, n_groups):
        part = scores[:, first : first + n_groups]
        np.maximum(tops[:, : part.shape[1]], part, out=tops[:, : part.shape[1]])
    least = np.full(len(scores), np.finfo(scores.dtype).min, dtype=scores.dtype)
    if k < n_groups:
        least = np.maximum(np.partition(tops, n_groups - k, axis=1)[:, n_groups - k], least)
    row, group = np.nonzero(tops >= least[:, None])
    row, column = np.repeat(row, size), (group[:, None] + n_groups * np.arange(size)).ravel()
    row, column = row[column < n_columns], column[column < n_columns]
    good = scores[row, column] >= least[row]
    return row[good], column[good]


def best_with_cap(
    scores: np.ndarray, k: int, artists: np.ndarray | None, cap: int | None, place: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """As `best_columns`, with at most `cap` columns of one artist: what is over the cap is passed over, going down.

    Longer and longer lists are made until k songs survive the cap in every row, or no songs are left.

    Args:
        artists: int64 [n_columns], the artist of each column; None, or cap=None, for no limit.
    """
    if artists is None or cap is None:
        return best_columns(scores, k, place)
    n_columns = scores.shape[1]
    depth = min(4 * k, n_columns)
    while True:
        columns, values = best_columns(scores, depth, place)
        kept = (columns >= 0) & (_times_before(artists[columns], columns >= 0) < cap)
        exhausted = depth == n_columns or (columns[:, -1] < 0) | (kept.sum(axis=1) >= k)
        if np.all(exhausted):
            break
        depth = min(4 * depth, n_columns)
    rank = np.cumsum(kept, axis=1) - 1
    row, at = np.nonzero(kept & (rank < k))
    best = np.full((len(scores), k), -1, dtype=np.int64)
    best_scores = np.full((len(scores), k), -np.inf, dtype=scores.dtype)
    best[row, rank[row, at]] = columns[row, at]
    best_scores[row, rank[row, at]] = values[row, at]
    return best, best_scores


def _times_before(codes: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """For each place of each row, how often the same code stands before it [n_rows, depth]."""
    codes = np.where(valid, codes, -1)
    by_code = np.argsort(codes, axis=1, kind="stable")
    ordered = np.take_along_axis(codes, by_code, axis=1)
    place = np.broadcast_to(np.arange(codes.shape[1]), codes.shape)
    new = np.ones_like(valid)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    run_start = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    times = np.empty(codes.shape, dtype=np.int64)
    np.put_along_axis(times, by_code, place - run_start, axis=1)
    return times


def _artist_codes(artists: Sequence[Any] | pl.Series | None, n_songs: int) -> np.ndarray:
    """A number for each artist [n_songs]; songs without one get a number of their own."""
    if artists is None:
        raise InputError("per_artist: needs the artist of each song. Pass artists, for example songs_table['artist'].")
    names = artists if isinstance(artists, pl.Series) else pl.Series(values=list(artists))
    if len(names) != n_songs:
        raise InputError(f"artists: {len(names)} of them for {n_songs} songs. Pass one for each song, None if unknown.")
    own = pl.Series(np.arange(n_songs) + n_songs + 1)
    return names.cast(pl.String).rank("dense").cast(pl.Int64).fill_null(own).to_numpy().copy()

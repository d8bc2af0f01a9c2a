"""Ranking metrics for each user, as pure functions of scores and of who played what.

The conventions, because every one of them changes the number:

- One row a user, one column a candidate song; a song is relevant when the user played it. Larger scores rank first.
- AUC counts a tie between a played and an unplayed song as half (midranks). NaN for a user who played none or all.
- AP@k, recall@k and NDCG@k need a strict order: equal scores stand in the order of a fixed random permutation of the
  songs, the same for all users. Never by position, because files are often sorted by popularity.
- AP@k divides by min(n_u, k), recall@k by n_u, NDCG@k by the best DCG reachable with min(n_u, k) songs.
- A user who played something but finds none of it in the top k counts as 0. Only users with n_u = 0 are NaN.

All of them need nothing but the places of the relevant songs, which `find_places` gives exactly.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy import sparse

from deepcuts.checks import check_shape
from deepcuts.errors import InputError, SettingError
from deepcuts.kernels.places import count_places

PAPER_AT = 500  # the cut of Tables 2 and 3: mAP@500

Relevant: TypeAlias = sparse.csr_array | sparse.csr_matrix | np.ndarray


class Places(NamedTuple):
    """Where the relevant songs of each user stand; pairs lie user after user, best place first.

    Attributes:
        start: int64 [n_users + 1]: user u has the pairs start[u] to start[u + 1].
        song: int64 [n_pairs], the column of the song.
        rank: int64 [n_pairs], place from 0 in the strict order (ties broken by the permutation).
        greater: int64 [n_pairs], how many songs have a greater score.
        equal: int64 [n_pairs], how many songs have this score, itself included.
        n_songs: candidates of every user.
    """

    start: np.ndarray
    song: np.ndarray
    rank: np.ndarray
    greater: np.ndarray
    equal: np.ndarray
    n_songs: int

    @property
    def n_relevant(self) -> np.ndarray:
        """n_u [n_users], the relevant songs of each user."""
        return np.diff(self.start)

    @property
    def user(self) -> np.ndarray:
        """The row of each pair [n_pairs]."""
        return np.repeat(np.arange(len(self.start) - 1), self.n_relevant)

    @property
    def relevant_before(self) -> np.ndarray:
        """How many relevant songs of the same user stand before each [n_pairs]."""
        return np.arange(len(self.song)) - self.start[self.user]


def fixed_order(n_songs: int, seed: int = 0) -> np.ndarray:
    """The permutation that breaks ties: songs with equal scores stand in the order in which they occur here.

    Returns:
        int64 [n_songs], a permutation of the columns.
    """
    return np.random.default_rng(seed).permutation(n_songs)


def relevance(relevant: Relevant, shape: tuple[int, int] | None = None) -> sparse.csr_array:
    """What counts as relevant, as CSR with sorted columns: every entry other than zero, stored or not.

    Raises:
        InputError: of another shape than the scores.
    """
    if shape is not None:
        check_shape("relevant", relevant, shape)
    matrix = sparse.csr_array(relevant, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def find_places(scores: np.ndarray, relevant: Relevant, tie_order: np.ndarray | None = None) -> Places:
    """Where the relevant songs of each user stand among all songs.

    Args:
        scores: [n_users, n_songs], finite.
        relevant: [n_users, n_songs], CSR or boolean.
        tie_order: a permutation of the columns; `fixed_order(n_songs)` when None.
    Raises:
        InputError: a score is NaN or infinite, or the shapes differ.
    """
    check_shape("scores", scores, [None, None])
    n_users, n_songs = scores.shape
    wanted = relevance(relevant, (n_users, n_songs))
    order = fixed_order(n_songs) if tie_order is None else np.asarray(tie_order)
    counted = count_places(scores, wanted.indptr, wanted.indices, place_in(order, n_songs))
    return best_first(wanted, *counted)


def place_in(order: np.ndarray, n_songs: int) -> np.ndarray:
    """The place of each song in a permutation of the songs, int32 [n_songs].

    Raises:
        InputError: not a permutation of the songs.
    """
    if not np.array_equal(np.sort(order), np.arange(n_songs)):
        raise InputError(f"tie_order: expected a permutation of the {n_songs} songs.")
    place = np.empty(n_songs, dtype=np.int32)
    place[order] = np.arange(n_songs)
    return place


def best_first(wanted: sparse.csr_array, rank: np.ndarray, greater: np.ndarray, equal: np.ndarray) -> Places:
    """Counts for the pairs of `wanted`, in its order, as `Places`: each user's best place first."""
    start = wanted.indptr.astype(np.int64)
    user = np.repeat(np.arange(len(start) - 1), np.diff(start))
    best = np.lexsort((rank, user))
    song = wanted.indices[best].astype(np.int64)
    return Places(start, song, rank[best], greater[best], equal[best], wanted.shape[1])


def per_user(places: Places, values: np.ndarray) -> np.ndarray:
    """Sums [n_users] of a value for each pair [n_pairs]."""
    return np.bincount(places.user, weights=values, minlength=len(places.start) - 1)


def _divide(total: np.ndarray, by: np.ndarray) -> np.ndarray:
    return np.divide(total, by, out=np.full(len(total), np.nan), where=by > 0)


def share_beaten(places: Places) -> np.ndarray:
    """For each relevant song, the share of the user's irrelevant songs that it beats; ties count half.

        (#{j not relevant: s_j < s_i} + #{j not relevant: s_j = s_i} / 2) / (N - n_u)

    The mean over a user's relevant songs is the user's AUC, so AUC can be told by song as well as by user.

    Returns:
        [n_pairs]; NaN where the user has no irrelevant song.
    """
    user, before = places.user, places.relevant_before
    if not len(user):
        return np.zeros(0)
    changes = (np.diff(user) != 0) | (np.diff(places.greater) != 0)
    first = np.flatnonzero(np.concatenate([[True], changes]))  # first pair of each run of tied relevant songs
    size = np.diff(np.append(first, len(user)))
    relevant_greater, relevant_equal = np.repeat(before[first], size), np.repeat(size, size)
    n_relevant = places.n_relevant[user]
    below = (places.n_songs - places.greater - places.equal) - (n_relevant - relevant_greater - relevant_equal)
    tied = places.equal - relevant_equal
    return _divide(below + 0.5 * tied, places.n_songs - n_relevant)


def auc_at(places: Places, at: int = 0) -> np.ndarray:
    """AUC [n_users] from places; `at` is not used."""
    return _divide(per_user(places, share_beaten(places)), places.n_relevant)


def average_precision_at(places: Places, at: int) -> np.ndarray:
    """AP@at [n_users] from places."""
    precision = (places.relevant_before + 1) / (places.rank + 1)
    total = per_user(places, np.where(places.rank < at, precision, 0.0))
    return _divide(total, np.minimum(places.n_relevant, at))


def recall_at(places: Places, at: int) -> np.ndarray:
    """Recall@at [n_users] from places."""
    return _divide(per_user(places, (places.rank < at).astype(float)), places.n_relevant)


def ndcg_at(places: Places, at: int) -> np.ndarray:
    """NDCG@at [n_users] from places."""
    gain = np.where(places.rank < at, 1 / np.log2(places.rank + 2), 0.0)
    best = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(min(at, places.n_songs)) + 2))])
    return _divide(per_user(places, gain), best[np.minimum(places.n_relevant, at)])


METRICS: dict[str, Callable[[Places, int], np.ndarray]] = {
    "map": average_precision_at,
    "auc": auc_at,
    "recall": recall_at,
    "ndcg": ndcg_at,
}


def auc(scores: np.ndarray, relevant: Relevant) -> np.ndarray:
    """The chance that a song the user played outscores one the user did not, ties counting half.

        AUC_u = (sum of R_i over relevant i - n(n + 1)/2) / (n (N - n)),    R_i the midrank, ascending

    Args:
        scores: [n_users, n_songs], finite.
        relevant: [n_users, n_songs], CSR or boolean.
    Returns:
        [n_users] in 0..1; NaN where n = 0 or n = N.
    Raises:
        InputError: a score is not finite, or the shapes differ.
    Source: van den Oord et al. 2013, section 5.2 (which does not say over which songs: ours are the candidates given).

    >>> auc(np.array([[3.0, 2.0, 1.0]]), np.array([[True, False, True]])).tolist()
    [0.5]
    """
    return auc_at(find_places(scores, relevant))


def average_precision(
    scores: np.ndarray, relevant: Relevant, at: int = PAPER_AT, tie_order: np.ndarray | None = None
) -> np.ndarray:
    """Precision at each relevant song of the top `at`, averaged.

        AP_u = 1 / min(n_u, at)  sum over k = 1..at of  P_u(k) rel_u(k)

    Args:
        scores: [n_users, n_songs], finite.
        relevant: [n_users, n_songs], CSR or boolean.
        at: the length of the list, at least 1; may exceed n_songs.
        tie_order: a permutation of the columns that orders equal scores; `fixed_order(n_songs)` when None.
    Returns:
        [n_users] in 0..1; NaN where n_u = 0, and 0 where none of the played songs is in the list.
    Source: the Million Song Dataset Challenge (McFee et al. 2012); van den Oord et al. 2013, section 5.2.

    >>> average_precision(np.array([[3.0, 2.0, 1.0]]), np.array([[True, False, True]]), at=3).round(3).tolist()
    [0.833]
    """
    return average_precision_at(find_places(scores, relevant, tie_order), check_at(at))


def recall(scores: np.ndarray, relevant: Relevant, at: int, tie_order: np.ndarray | None = None) -> np.ndarray:
    """The share of a user's n_u relevant songs found in the top `at` [n_users]; NaN where n_u = 0.

    The divisor is n_u even when n_u > at, so a user with many songs cannot reach 1.
    """
    return recall_at(find_places(scores, relevant, tie_order), check_at(at))


def ndcg(scores: np.ndarray, relevant: Relevant, at: int, tie_order: np.ndarray | None = None) -> np.ndarray:
    """Discounted gain of the top `at` over the best possible [n_users]; NaN where n_u = 0, 0 without a hit.

    NDCG_u = sum of rel_u(k) / log2(k + 1) over k <= at,  divided by the sum of 1 / log2(k + 1) over k <= min(n_u, at)
    """
    return ndcg_at(find_places(scores, relevant, tie_order), check_at(at))


def check_at(at: int) -> int:
    """Refuse a list length below 1."""
    if at < 1:
        raise SettingError(f"at = {at}: expected a list length of at least 1.")
    return at


def expected_average_precision(n_relevant: np.ndarray | int, n_songs: int, at: int = PAPER_AT) -> np.ndarray:
    """What AP@at is on average when the songs are in random order.

    Place k holds a relevant song with chance n/N, and then (k - 1)(n - 1)/(N - 1) others stand before it on average, so

        E = n / (min(n, at) N)  [ H_T + (n - 1)(T - H_T)/(N - 1) ],    T = min(at, N),  H_T = 1 + 1/2 + ... + 1/T

    Args:
        n_relevant: n, integers in 0..n_songs, of any shape.
        n_songs: N, candidates.
    Returns:
        Of the shape of `n_relevant`; NaN where n = 0.

    >>> float(expected_average_precision(1, 4, at=4).round(4))  # the mean of 1, 1/2, 1/3, 1/4
    0.5208
    """
    n = np.asarray(n_relevant, dtype=np.float64)
    depth = min(check_at(at), n_songs)
    harmonic = float(np.sum(1 / np.arange(1, depth + 1)))
    later = (n - 1) * (depth - harmonic) / max(n_songs - 1, 1)
    with np.errstate(invalid="ignore"):
        return np.where(n > 0, n / (np.minimum(n, at) * n_songs) * (harmonic + later), np.nan)

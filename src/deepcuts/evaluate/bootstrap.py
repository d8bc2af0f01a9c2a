"""How far the numbers would move with other users and other songs: a two-way bootstrap.

A replicate draws songs with replacement (song i then stands w_i times) and, apart from them, users with replacement.
AUC and AP@k of every user are recomputed exactly with the copies in place: a song that stands twice takes two places.
Songs matter more than users: there are fewer of them and all users share them.

For a relevant song i, the copies standing before it are sum_j [j before i] w_j: whole numbers, found for all replicates
at once (`kernels.places.copies_before`).

Source: Owen 2007, "The pigeonhole bootstrap" (it errs on the safe side: intervals are slightly wide).
"""

import numpy as np
from scipy import sparse

from deepcuts.evaluate.metrics import Places, Relevant, best_first, fixed_order, place_in, relevance
from deepcuts.kernels.places import MOST_COPIES, copies_before, count_places

PAIRS = 2048  # of a user and a played song, resampled at a time


def draw_counts(n: int, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of `n` stands in each replicate: `n` draws with replacement.

    Returns:
        float32 [n, n_draws]; every column sums to n.
    """
    counts = np.empty((n, n_draws), dtype=np.float32)
    for draw in range(n_draws):
        counts[:, draw] = np.bincount(rng.integers(n, size=n), minlength=n)
    return counts


def resampled_metrics(
    scores: np.ndarray, relevant: Relevant, song_counts: np.ndarray, at: int, tie_order: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """AP@at and AUC of every user when song i stands song_counts[i, b] times in replicate b.

    Copies of a song stand next to each other. Copy c of a relevant song with T copies before it, R of them of
    relevant songs, adds (R + c)/(T + c) as long as T + c <= at. Its m counted copies together add

        m - (T - R)(H_{T + m} - H_T),    m = min(w, at - T),    H_n = 1 + 1/2 + ... + 1/n

    Args:
        scores: [n_users, n_songs], finite.
        relevant: [n_users, n_songs], CSR or boolean.
        song_counts: float32 [n_songs, n_draws], whole numbers; all ones gives the plain metrics.
    Returns:
        ap, auc: float64 [n_users, n_draws]; NaN where no relevant song is left, and in auc where no other song is.
    """
    n_users, n_songs = scores.shape
    wanted = relevance(relevant, (n_users, n_songs))
    place = place_in(fixed_order(n_songs) if tie_order is None else tie_order, n_songs)
    n_draws = song_counts.shape[1]
    ap, auc = np.full((2, n_users, n_draws), np.nan)
    total = song_counts.sum(axis=0)
    copies = song_counts.astype(np.uint8) if song_counts.max(initial=0) <= MOST_COPIES else song_counts
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, total.max() + 1))])
    for rows in _blocks(wanted):
        line, held = scores[rows], wanted[rows]
        places = best_first(held, *count_places(line, held.indptr, held.indices, place, n_threads=1))
        before, greater = _copies_before(line, places, copies, place)
        w = song_counts[places.song]
        first = places.start[:-1]
        n_relevant = np.add.reduceat(w, first, axis=0, dtype=np.float64)
        ap[rows] = _ap(places, before, w, n_relevant, at, harmonic)
        auc[rows] = _auc(greater, w, n_relevant, first, total)
    return ap, auc


def _blocks(relevant: sparse.csr_array) -> list[np.ndarray]:
    """Rows with at least one relevant song, cut into runs of about `PAIRS` pairs."""
    n_relevant = np.diff(relevant.indptr)
    counted = np.flatnonzero(n_relevant)
    block = np.cumsum(n_relevant[counted]) // PAIRS
    return np.split(counted, np.flatnonzero(np.diff(block)) + 1) if len(counted) else []


def _copies_before(
    scores: np.ndarray, places: Places, copies: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each pair and draw: copies before it in the strict order, and copies of greater score plus half those tied.

    Returns:
        before, greater: float32 [n_pairs, n_draws], exact: whole or half numbers.
    """
    t, own = scores[places.user, places.song], place[places.song]
    before = copies_before(scores, places.start, t, own, place, copies)
    greater = before + np.float32(0.5) * copies[places.song]
    tied = np.flatnonzero(places.equal > 1)
    if len(tied):
        start, t = np.searchsorted(tied, places.start), t[tied]
        above = copies_before(scores, start, t, np.full(len(tied), -1), place, copies)
        not_below = copies_before(scores, start, t, np.full(len(tied), len(place)), place, copies)
        greater[tied] = np.float32(0.5) * (above + not_below)
    return before, greater


def _ap(
    places: Places, before: np.ndarray, w: np.ndarray, n_relevant: np.ndarray, at: int, harmonic: np.ndarray
) -> np.ndarray:
    """AP of each user and draw [n_users, n_draws]."""
    first = places.start[:-1]
    upto = np.cumsum(w, axis=0) - w
    relevant_before = upto - np.repeat(upto[first], places.n_relevant, axis=0)
    counted = np.clip(at - before, 0, w)
    t = before.astype(np.int64)
    gained = harmonic.take(t + counted.astype(np.int64)) - harmonic.take(t)
    total = np.add.reduceat(counted - (before - relevant_before) * gained, first, axis=0)
    divisor = np.minimum(n_relevant, at)
    return np.divide(total, divisor, out=np.full(total.shape, np.nan), where=divisor > 0)


def _auc(
    greater: np.ndarray, w: np.ndarray, n_relevant: np.ndarray, first: np.ndarray, n_songs: np.ndarray
) -> np.ndarray:
    """AUC of each user and draw [n_users, n_draws]: pairs beaten, less the P^2 / 2 that fall among the relevant."""
    beaten = np.add.reduceat(w * (n_songs - greater), first, axis=0, dtype=np.float64) - 0.5 * n_relevant**2
    pairs = n_relevant * (n_songs - n_relevant)
    return np.divide(beaten, pairs, out=np.full(beaten.shape, np.nan), where=pairs > 0)


def interval(estimate: float, draws: np.ndarray, level: float) -> tuple[float, float]:
    """The interval of the replicates' quantiles, moved so that their mean lies on the estimate.

    Copies of a played song stand together, which lifts AP in every replicate alike; the move takes that back.
    """
    good = draws[np.isfinite(draws)]
    if not len(good):
        return float("nan"), float("nan")
    low, high = np.quantile(good - good.mean() + estimate, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def compare_draws(difference: float, draws: np.ndarray, level: float) -> dict[str, float]:
    """An interval and a two-sided p for a paired difference.

    Args:
        difference: between the estimates of two systems.
        draws: [n_draws], the same difference in each replicate.
    Returns:
        difference, low, high, p. p is never below 2 / (n_draws + 1): more draws can tell more.
    """
    low, high = interval(difference, draws, level)
    good = draws[np.isfinite(draws)]
    moved = good - good.mean() + difference if len(good) else good
    fewer = min(np.count_nonzero(moved <= 0), np.count_nonzero(moved >= 0))
    return {"difference": difference, "low": low, "high": high, "p": min(1.0, 2 * (fewer + 1) / (len(good) + 1))}

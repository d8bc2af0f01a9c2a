"""How far the numbers would move with other users and other songs: a two-way bootstrap.

A replicate draws songs with replacement (song i then stands w_i times) and, apart from them, users with replacement.
AUC and AP@k of every user are recomputed exactly with the copies in place: a song that stands twice takes two places.
Songs matter more than users: there are fewer of them and all users share them.

The trick that makes it cheap: for a relevant song i, the copies standing before it are sum_j [j before i] w_j, so
for all replicates at once they are one product  before [n_pairs, n_songs] @ w [n_songs, n_draws]  of small integers,
which float32 holds exactly.

Source: Owen 2007, "The pigeonhole bootstrap" (it errs on the safe side: intervals are slightly wide).
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import sparse

from deepcuts.evaluate.metrics import Places, Relevant, find_places, fixed_order, relevance

PAIRS, COLUMNS = 2048, 4096  # (user, played song) pairs, and songs, in one matrix product


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
    order = fixed_order(n_songs) if tie_order is None else tie_order
    n_draws = song_counts.shape[1]
    ap, auc = np.full((2, n_users, n_draws), np.nan)
    total = song_counts.sum(axis=0)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, total.max() + 1))])

    def resample_block(rows: np.ndarray) -> None:
        places = find_places(scores[rows], wanted[rows], order)
        before, greater = _copies_before(scores[rows], places, song_counts, order)
        w = song_counts[places.song]
        first = places.start[:-1]
        n_relevant = np.add.reduceat(w, first, axis=0, dtype=np.float64)
        ap[rows] = _ap(places, before, w, n_relevant, at, harmonic)
        auc[rows] = _auc(greater, w, n_relevant, first, total)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        list(pool.map(resample_block, _blocks(wanted)))
    return ap, auc


def _blocks(relevant: sparse.csr_array) -> list[np.ndarray]:
    """Rows with at least one relevant song, cut into runs of about `PAIRS` pairs."""
    n_relevant = np.diff(relevant.indptr)
    counted = np.flatnonzero(n_relevant)
    block = np.cumsum(n_relevant[counted]) // PAIRS
    return np.split(counted, np.flatnonzero(np.diff(block)) + 1) if len(counted) else []


def _copies_before(
    scores: np.ndarray, places: Places, song_counts: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each pair and draw: copies before it in the strict order, and copies of greater score plus half those tied.

    Returns:
        before, greater: float32 [n_pairs, n_draws], exact: whole or half numbers.
    """
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    user, own = places.user, scores[places.user, places.song][:, None]
    untied = bool((places.equal == 1).all())
    before, greater = np.zeros((2, len(user), song_counts.shape[1]), dtype=np.float32)
    for first in range(0, len(order), COLUMNS):
        songs = slice(first, first + COLUMNS)
        line, copies = scores[user, songs], song_counts[songs]
        above = line > own
        if not untied:
            tied = line == own
            greater += (above + np.float32(0.5) * tied) @ copies
            above |= tied & (place[songs] < place[places.song][:, None])
        before += above.astype(np.float32) @ copies
    if untied:
        greater = before + np.float32(0.5) * song_counts[places.song]
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

"""The ranking a metric gets most wrong: one exact dynamic programme for five losses.

Convention: scores are minus squared distances, higher is nearer. For a query with P relevant and N irrelevant songs a
ranking is told by b_1 <= ... <= b_P, where b_a is how many irrelevant songs stand before the a-th relevant one. The
loss is 1 - measure, so the perfect ranking (all b = 0) loses nothing.

    psi(q, y) = 1/(P N) * sum over relevant i, irrelevant j of (+1 if i before j else -1) * (phi(q, i) - phi(q, j))
    phi(q, i) = -(q - i)(q - i)^T,   <W, phi(q, i)> = -d_W(q, i)

Source: McFee & Lanckriet 2010. Their published code is not followed where it is not exact: its AUC loss is off, and its
searches for the other losses miss the worst ranking in short lists; here the worst is always found.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import sparse

CHUNK_NUMBERS = 4_000_000  # scores held at once, so that memory does not grow with the square of the songs


class WorstRanking(NamedTuple):
    """The ranking that maximises loss + <W, psi(q, ranking)>.

    Attributes:
        before: [P] how many irrelevant songs it puts before each relevant one, in the order the scores came.
        after: [N] how many relevant songs it puts after each irrelevant one, in the order the scores came.
        loss: 1 - measure, in [0, 1].
        margin: <W, psi(q, perfect) - psi(q, this)>; a constraint is broken when it is smaller than the loss.
    """

    before: np.ndarray
    after: np.ndarray
    loss: float
    margin: float


def worst_ranking(relevant: np.ndarray, irrelevant: np.ndarray, loss: str = "auc", k: int = 10) -> WorstRanking:
    """The most violated ranking of one query, exactly.

        maximise over b_1 <= ... <= b_P:
        1 + sum_a [ -g(a, b_a) + ((N - 2 b_a) s_a + 2 cum(b_a) - cum(N)) / (P N) ],   cum(b) = t_1 + ... + t_b

    with s and t the relevant and irrelevant scores in descending order and g from `measure_shares`.

    Args:
        relevant: scores s [P >= 1], in any order.
        irrelevant: scores t [N >= 1], in any order.
        loss: a key of `MEASURES`.
        k: how many ranks "precision" and "ndcg" look at; the others see all.
    Returns:
        The ranking; among equally bad ones it mixes least.
    Source: McFee & Lanckriet 2010 (separation oracle), solved exactly for every loss.
    """
    n_pairs = len(relevant) * len(irrelevant)
    if loss == "auc":
        before, after = _worst_auc(relevant, irrelevant)
        lost = before.sum() / n_pairs
    else:
        before, after, lost = worst_by_table(relevant, irrelevant, loss, k)
    margin = 2.0 * (before @ relevant - after @ irrelevant) / n_pairs
    return WorstRanking(before, after, float(lost), float(margin))


def _worst_auc(relevant: np.ndarray, irrelevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Every pair decides alone: i stands after j when s_i < t_j + 1/2. No sort of the long list is needed.
    order = np.argsort(relevant)
    after = np.searchsorted(relevant[order], irrelevant + 0.5, side="left")
    n_with = np.bincount(after, minlength=len(relevant) + 1)
    before = np.empty(len(relevant), dtype=np.int64)
    before[order] = len(irrelevant) - np.cumsum(n_with)[:-1]
    return before, after


def worst_by_table(
    relevant: np.ndarray, irrelevant: np.ndarray, loss: str, k: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """`worst_ranking` by dynamic programming, for any loss: O(P N) after two sorts.

        H_a(b) = value(a, b) + max over b' <= b of H_{a-1}(b')

    Returns:
        before [P], after [N] and the loss.
    """
    n_relevant, n_irrelevant = len(relevant), len(irrelevant)
    s_order, t_order = np.argsort(-relevant, kind="stable"), np.argsort(-irrelevant, kind="stable")
    shares = measure_shares(loss, n_relevant, n_irrelevant, k)
    cum = np.concatenate([[0.0], np.cumsum(irrelevant[t_order])])
    table = (2.0 * cum - cum[-1]) / (n_relevant * n_irrelevant) - shares
    turned = (n_irrelevant - 2.0 * np.arange(n_irrelevant + 1)) / (n_relevant * n_irrelevant)
    for a, score in enumerate(relevant[s_order]):
        table[a] += turned * score
        if a:
            table[a] += np.maximum.accumulate(table[a - 1])
    b = np.empty(n_relevant, dtype=np.int64)
    last = n_irrelevant
    for a in range(n_relevant - 1, -1, -1):
        last = b[a] = int(np.argmax(table[a, : last + 1]))
    before, after = np.empty(n_relevant, dtype=np.int64), np.empty(n_irrelevant, dtype=np.int64)
    before[s_order] = b
    after[t_order] = n_relevant - np.searchsorted(b, np.arange(n_irrelevant), side="right")
    return before, after, float(1.0 - shares[np.arange(n_relevant), b].sum())


@lru_cache(maxsize=32)
def measure_shares(loss: str, n_relevant: int, n_irrelevant: int, k: int) -> np.ndarray:
    """What the a-th relevant song adds to the measure when b irrelevant ones stand before it: g(a, b).

    Returns:
        [n_relevant, n_irrelevant + 1], read-only; row a - 1 is for the a-th relevant song.
    """
    a = np.arange(1, n_relevant + 1)[:, None]
    b = np.arange(n_irrelevant + 1)[None, :]
    shares = np.broadcast_to(MEASURES[loss](a, b, k), (n_relevant, n_irrelevant + 1))
    shares.flags.writeable = False
    return shares


def _auc_share(a: np.ndarray, b: np.ndarray, _k: int) -> np.ndarray:
    n_irrelevant = b.size - 1
    return (n_irrelevant - b) / (a.size * n_irrelevant)


def _map_share(a: np.ndarray, b: np.ndarray, _k: int) -> np.ndarray:
    return a / (a + b) / a.size


def _mrr_share(a: np.ndarray, b: np.ndarray, _k: int) -> np.ndarray:
    return np.where(a == 1, 1.0 / (1.0 + b), 0.0)


def _precision_share(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    depth = min(k, a.size, b.size - 1)
    return (a + b <= depth) / depth


def _ndcg_share(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    depth = min(k, a.size)
    discount = 1.0 / np.log2(np.maximum(np.arange(1, a.size + b.size), 2))  # D(1) = D(2) = 1
    return np.where(a + b <= depth, discount[a + b - 1], 0.0) / discount[:depth].sum()


MEASURES: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "auc": _auc_share,
    "map": _map_share,
    "mrr": _mrr_share,
    "precision": _precision_share,
    "ndcg": _ndcg_share,
}


class Judgements(NamedTuple):
    """Which songs should rank high for each query song.

    Attributes:
        relevant: [n_songs, n_songs] CSR: the row of a query stores its relevant songs.
        ignored: the same for songs that count neither way, or None.
    """

    relevant: sparse.csr_array
    ignored: sparse.csr_array | None = None

    def of(self, query: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the relevant and of the irrelevant songs of a query; the query itself is neither."""
        relevant = _row(self.relevant, query)
        irrelevant = np.ones(self.relevant.shape[1], dtype=bool)
        irrelevant[query] = irrelevant[relevant] = False
        if self.ignored is not None:
            irrelevant[_row(self.ignored, query)] = False
        return relevant[relevant != query], np.flatnonzero(irrelevant)

    def usable(self) -> np.ndarray:
        """Positions of the queries with at least one relevant and one irrelevant song."""
        sides = (self.of(query) for query in range(self.relevant.shape[0]))
        return np.flatnonzero([bool(len(relevant) and len(irrelevant)) for relevant, irrelevant in sides])


def _row(matrix: sparse.csr_array, row: int) -> np.ndarray:
    return matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]


def worst_batch(
    points: np.ndarray, placed: np.ndarray, queries: np.ndarray, judgements: Judgements, loss: str, k: int
) -> tuple[np.ndarray, float]:
    """The most violated constraint of a batch of queries: <W, Psi> >= mean loss - slack.

        Psi = X^T S X / n_queries,   S = M + M^T - diag(column sums of M)

    where row q of M holds 2 b_i / (P N) at relevant songs and -2 (relevant after j) / (P N) at irrelevant ones, and
    each row adds up to zero. Only matrix products: pairs of songs are never visited one by one.

    Args:
        points: X [n_songs, n_features].
        placed: X L^T [n_songs, rank] for the metric W = L^T L in force.
        queries: positions [n_queries].
    Returns:
        Psi [n_features, n_features] and the mean loss of the worst rankings.
    Source: McFee & Lanckriet 2010 (one joint constraint over all queries); the matrix form is their code's.
    """
    n_songs, n_features = points.shape
    norms = np.einsum("ij,ij->i", placed, placed)
    cross, columns, lost = np.zeros((n_features, n_features)), np.zeros(n_songs), 0.0
    step = max(1, CHUNK_NUMBERS // n_songs)
    for start in range(0, len(queries), step):
        chunk = queries[start : start + step]
        scores = 2.0 * (placed[chunk] @ placed.T) - norms[chunk, None] - norms
        weights = np.zeros_like(scores)
        for row, query in enumerate(chunk):
            relevant, irrelevant = judgements.of(query)
            worst = worst_ranking(scores[row, relevant], scores[row, irrelevant], loss, k)
            weights[row, relevant] = worst.before * (2.0 / (len(relevant) * len(irrelevant)))
            weights[row, irrelevant] = worst.after * (-2.0 / (len(relevant) * len(irrelevant)))
            lost += worst.loss
        cross += points[chunk].T @ (weights @ points)
        columns += weights.sum(axis=0)
    psi = cross + cross.T - (points.T * columns) @ points
    return psi / len(queries), lost / len(queries)

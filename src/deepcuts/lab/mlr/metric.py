"""Metric learning to rank (MLR): a distance under which songs with the same listeners sound alike.

    d_W(i, j) = (x_i - x_j)^T W (x_i - x_j) = ||L x_i - L x_j||^2,   W = L^T L

The paper's rival to predicting factors: a user's score for a song is minus its mean distance to the songs they played.
Everything is learned from training songs; how it is learned stands in `mlr_oracle` and `mlr_solvers`.

Source: McFee & Lanckriet 2010; van den Oord et al. 2013, section 5.2.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from scipy import sparse

from deepcuts import store
from deepcuts.artifacts.vocabulary import read_parquet
from deepcuts.checks import check_finite, check_shape
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.lab.mlr.oracle import MEASURES, Judgements, worst_batch
from deepcuts.lab.mlr.solvers import SOLVERS, Solution, cutting_planes
from deepcuts.store import Meta, load_array, read_meta, save_array, write_meta, writing

log = logging.getLogger(__name__)

PAIRS_AT_ONCE = 20_000_000  # bound on the co-listened pairs of songs held at once
RowsOfSongs: TypeAlias = sparse.sparray | Sequence[np.ndarray] | Sequence[Sequence[int]]


@dataclass(frozen=True)
class MlrSettings:
    """How to learn the metric.

    Attributes:
        loss: what a ranking loses: "auc", "map", "mrr", "precision" or "ndcg" (1 - measure).
        k: how many ranks "precision" and "ndcg" look at.
        C: the price of slack against tr(W)/d; choose it by validation, in powers of ten.
        solver: "admm" or "primal", for the inner problem.
        n_rounds: at most so many cutting planes.
        tolerance: how far the slack may stay from its optimum, in units of the loss.
        batch: queries drawn for each round; none takes all, and only then is the optimum proven.
        standardise: learn on features divided by their standard deviation (the metric still takes them as they come).
        n_relevant: how many most co-listened songs are relevant to a song.
        n_ignore: the next so many count neither way: they are nearly as co-listened.
        seed: for drawing batches.
    """

    loss: str = "auc"
    k: int = 10
    C: float = 10.0
    solver: str = "admm"
    n_rounds: int = 200
    tolerance: float = 1e-3
    batch: int | None = None
    standardise: bool = True
    n_relevant: int = 10
    n_ignore: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.loss in MEASURES, "loss", self.loss, "one of " + ", ".join(MEASURES))
        require(self.solver in SOLVERS, "solver", self.solver, "one of " + ", ".join(SOLVERS))
        require(self.k >= 1, "k", self.k, "at least 1")
        require(0 < self.C < np.inf, "C", self.C, "a positive number")
        require(self.n_rounds >= 1, "n_rounds", self.n_rounds, "at least 1")
        require(0 < self.tolerance < 1, "tolerance", self.tolerance, "a number in (0, 1)")
        require(self.batch is None or self.batch >= 1, "batch", self.batch, "at least 1, or none for all queries")
        require(self.n_relevant >= 1, "n_relevant", self.n_relevant, "at least 1")
        require(self.n_ignore >= 0, "n_ignore", self.n_ignore, "at least 0")


@dataclass(frozen=True)
class Metric:
    """A learned distance between songs.

    Attributes:
        W: [n_features, n_features], symmetric, no negative eigenvalue, in the units of the features as they come.
        centre: mean features of the songs learned from [n_features]. Distances do not need it; rounding does.
        history: one row a round: loss, violation, objective, bound, n_constraints.
        converged: the violation fell to the tolerance.
        n_dropped: queries left out because they had no relevant or no irrelevant song.
    """

    W: np.ndarray
    centre: np.ndarray
    history: pl.DataFrame
    converged: bool
    n_queries: int
    n_dropped: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_shape("metric W", self.W, [len(self.centre), len(self.centre)])
        check_finite("metric W", self.W)

    @cached_property
    def L(self) -> np.ndarray:  # noqa: N802 - the letter of the formula
        """[rank, n_features] with W = L^T L; directions of no length are left out, the longest comes first."""
        values, vectors = np.linalg.eigh(self.W)
        kept = np.flatnonzero(values > 1e-12 * max(values[-1], 0.0))[::-1]
        return np.sqrt(values[kept])[:, None] * vectors[:, kept].T

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the numbers."""
        return store.fingerprint(self.W, self.centre)

    def place(self, features: np.ndarray) -> np.ndarray:
        """L (x - centre) [n_songs, rank]: plain squared distances between these are d_W."""
        check_shape("features", features, [None, len(self.centre)])
        check_finite("features", features)
        return (np.asarray(features, dtype=np.float64) - self.centre) @ self.L.T

    def song_vectors(self, features: np.ndarray) -> np.ndarray:
        """[L x_i, -||L x_i||^2] for each song: its dot product with a user vector is the user's score.

        Args:
            features: [n_songs, n_features], of any songs, heard or not.
        Returns:
            [n_songs, rank + 1].
        """
        placed = self.place(features)
        return np.column_stack([placed, -np.einsum("ij,ij->i", placed, placed)])

    def user_vectors(self, plays: sparse.sparray, features: np.ndarray) -> np.ndarray:
        """[2 m_u, 1] for each user, m_u the mean of L x_j over the songs j they played.

            mean over j of -d_W(i, j) = -||L x_i||^2 + 2 (L x_i) . m_u - (a number of the user alone)

        The last number is left out: it changes no ranking. A song played often counts once.

        Args:
            plays: [n_users, n_songs], stored entries > 0 where played; training songs only.
            features: [n_songs, n_features] of the same songs.
        Returns:
            [n_users, rank + 1]; zeros for a user without plays, who prefers nothing.
        Raises:
            InputError: plays and features are of different numbers of songs.
        Source: van den Oord et al. 2013, section 5.2: "averaging similarity scores across all the songs".
        """
        check_shape("plays", plays, [None, len(features)])
        played = _binary(plays)
        n_played = np.diff(played.indptr)[:, None]
        means = (played @ self.place(features)) / np.maximum(n_played, 1)
        return np.column_stack([2.0 * means, np.ones(len(means))]) * (n_played > 0)

    def save(self, folder: Path | str) -> None:
        """Write the folder, whole or not at all."""
        with writing(folder) as scratch:
            save_array(scratch, "W", self.W)
            save_array(scratch, "centre", self.centre)
            self.history.write_parquet(scratch / "history.parquet")
            shape = {"n_features": len(self.centre), "n_queries": self.n_queries, "n_dropped": self.n_dropped}
            settings = {**self.settings, "converged": self.converged}
            write_meta(scratch, Meta("metric", self.fingerprint, self.parents, settings, shape))

    @staticmethod
    def load(folder: Path | str) -> "Metric":
        """Read the folder.

        Raises:
            ArtifactError: missing, half-written, damaged or of another kind.
        """
        folder = Path(folder)
        with store.content_of(folder):
            meta = read_meta(folder, "metric")
            settings = dict(meta.settings)
            return Metric(
                load_array(folder, "W"),
                load_array(folder, "centre"),
                read_parquet(folder / "history.parquet"),
                bool(settings.pop("converged")),
                meta.shape["n_queries"],
                meta.shape["n_dropped"],
                settings,
                meta.parents,
            )


def fit(
    features: np.ndarray,
    relevant: RowsOfSongs,
    settings: MlrSettings,
    rng: np.random.Generator,
    *,
    ignored: RowsOfSongs | None = None,
    parents: Mapping[str, str] | None = None,
) -> Metric:
    """Learn a metric under which each song is nearer to its relevant songs than to the others.

        minimise tr(W)/d + C * mean over queries of the worst (loss - margin)

    Args:
        features: X [n_songs, n_features], of training songs only.
        relevant: which songs are relevant to each: [n_songs, n_songs] sparse, or a list of positions for each song.
        ignored: which count neither way, in the same form.
        rng: draws the batches; not used when `settings.batch` is none.
    Raises:
        InputError: fewer than three songs, features that are not finite or never vary, no query with both a relevant
            and an irrelevant song, shapes that do not fit.
    Source: McFee & Lanckriet 2010; Lim, McFee & Lanckriet 2013.
    """
    centre, scale = _centre_and_scale(features, settings.standardise)
    points = (np.asarray(features, dtype=np.float64) - centre) * scale
    n_songs = len(points)
    judgements = Judgements(
        _as_rows("relevant", relevant, n_songs), None if ignored is None else _as_rows("ignored", ignored, n_songs)
    )
    queries = judgements.usable()
    n_dropped = n_songs - len(queries)
    if not len(queries):
        raise InputError(
            f"relevant: none of {n_songs} songs has both a relevant and an irrelevant song. "
            "Lower n_relevant or n_ignore, or bring more songs."
        )
    if n_dropped:
        log.info("%d of %d query songs dropped: no relevant or no irrelevant song.", n_dropped, n_songs)
    solution = _solve(points, queries, judgements, settings, rng)
    W = solution.W * np.outer(scale, scale)
    history = pl.DataFrame([r._asdict() for r in solution.rounds])
    parents = parents or {}
    return Metric(W, centre, history, solution.converged, len(queries), n_dropped, asdict(settings), parents)


def _solve(
    points: np.ndarray, queries: np.ndarray, judgements: Judgements, settings: MlrSettings, rng: np.random.Generator
) -> Solution:
    whole = settings.batch is None or settings.batch >= len(queries)

    def oracle(W: np.ndarray) -> tuple[np.ndarray, float]:
        values, vectors = np.linalg.eigh(W)
        placed = points @ (vectors * np.sqrt(np.maximum(values, 0.0)))
        drawn = queries if whole else rng.choice(queries, size=settings.batch, replace=False)
        return worst_batch(points, placed, drawn, judgements, settings.loss, settings.k)

    spread = points.std(axis=0)
    start = np.diag(np.where(spread > 0, 1.0 / np.where(spread > 0, spread, 1.0), 0.0))
    return cutting_planes(
        oracle, start, settings.C, settings.solver, settings.n_rounds, settings.tolerance, whole=whole
    )


def _centre_and_scale(features: np.ndarray, standardise: bool) -> tuple[np.ndarray, np.ndarray]:
    check_shape("features", features, [None, None])
    if len(features) < 3:
        raise InputError(
            f"features: {len(features)} songs, expected at least 3: a query, a relevant and an irrelevant one."
        )
    check_finite("features", features)
    centre = features.mean(axis=0, dtype=np.float64)
    spread = features.std(axis=0, dtype=np.float64)
    varies = spread > 1e-12 * np.maximum(1.0, np.abs(centre))
    if not varies.any():
        raise InputError("features: every song has the same features. Look at how they were made.")
    if not varies.all():
        log.warning("%d of %d features never vary and get no weight.", int((~varies).sum()), len(varies))
    full = 1.0 / np.where(varies, spread, 1.0) if standardise else np.ones_like(spread)
    return centre, np.where(varies, full, 0.0)


def _as_rows(name: str, rows: RowsOfSongs, n_songs: int) -> sparse.csr_array:
    matrix: Any = rows if sparse.issparse(rows) else _from_lists(name, list(rows), n_songs)
    check_shape(name, matrix, [n_songs, n_songs])
    return _binary(matrix)


def _from_lists(name: str, lists: list[Any], n_songs: int) -> sparse.csr_array:
    songs = np.concatenate([np.empty(0, dtype=np.int64), *(np.asarray(row, dtype=np.int64) for row in lists)])
    bad = songs[(songs < 0) | (songs >= n_songs)]
    if len(bad):
        raise InputError(f"{name}: song {bad[0]} is not a position of one of {n_songs} songs.")
    starts = np.concatenate([[0], np.cumsum([len(row) for row in lists], dtype=np.int64)])
    return sparse.csr_array((np.ones(len(songs)), songs, starts), shape=(len(lists), n_songs))


def _binary(matrix: sparse.sparray) -> sparse.csr_array:
    rows = sparse.csr_array(matrix, copy=True)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    rows.data = np.ones(rows.nnz)
    return rows


def relevance_from_plays(
    plays: sparse.sparray, n_relevant: int = MlrSettings.n_relevant, n_ignore: int = MlrSettings.n_ignore
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Which songs share listeners with each song: the closest are relevant, the next count neither way.

        cosine(i, j) = |listeners of both| / sqrt(|listeners of i| * |listeners of j|)

    Songs without a common listener are never relevant, so a row may hold fewer; ties go to the lower position.

    Args:
        plays: [n_users, n_songs], stored entries > 0 where played: plays that may be learned from.
        n_relevant, n_ignore: as in `MlrSettings`.
    Returns:
        relevant and ignored, each [n_songs, n_songs] CSR; the song itself is in neither.
    Source: McFee, Barrington & Lanckriet 2012 (relevance from collaborative filter data), here from song to song.
    """
    played = _binary(plays)
    heard = sparse.csr_array(played.T)
    n_listeners = np.diff(heard.indptr)
    n_songs = len(n_listeners)
    # Memory is bounded by the pairs a song can have: the plays of its listeners, at most all songs.
    pairs = np.minimum(heard @ np.diff(played.indptr), n_songs)
    chunk_of = (np.cumsum(pairs) // PAIRS_AT_ONCE).astype(np.int64)
    found: list[np.ndarray] = []
    for chunk in range(int(chunk_of[-1]) + 1 if n_songs else 0):
        songs = np.flatnonzero(chunk_of == chunk)
        both = sparse.csr_array(heard[songs] @ played)
        for row, song in enumerate(songs):
            span = slice(both.indptr[row], both.indptr[row + 1])
            found.append(_closest(both.indices[span], both.data[span], n_listeners, int(song), n_relevant + n_ignore))
    halves = ([row[:n_relevant] for row in found], [row[n_relevant:] for row in found])
    return _as_rows("relevant", halves[0], n_songs), _as_rows("ignored", halves[1], n_songs)


def _closest(others: np.ndarray, both: np.ndarray, n_listeners: np.ndarray, song: int, k: int) -> np.ndarray:
    others, both = others[others != song], both[others != song]
    cosine = both / np.sqrt(n_listeners[song] * n_listeners[others].astype(np.float64))
    if len(others) > k:  # the k-th value and everything tied with it, so that ties are settled below and not here
        near = cosine >= np.partition(cosine, len(cosine) - k)[len(cosine) - k]
        others, cosine = others[near], cosine[near]
    return others[np.lexsort((others, -cosine))][:k]

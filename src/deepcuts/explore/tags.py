"""Tag prediction: how much of what people call songs do factors know, and how much do features of sound?

For each of the most popular tags a logistic regression tells the songs that have it from those that do not, in K-fold
cross-validation over songs; its score is the AUC within each fold of songs it has not seen, averaged over folds, then
over tags.

Conventions, unstated in the paper: a tag counts where its weight is above `min_weight`; the most popular tags are
those of most songs among the songs given; songs without any tag are negatives for all of them (`untagged` can leave
them out); inputs are standardised by the training folds alone. Where the songs of a fold, or those outside it, all
have a tag or all lack it, there is no AUC: that cell is NaN, is left out of the tag's mean, and is counted.

Source: van den Oord et al. 2013, section 5.1.
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from deepcuts import store
from deepcuts.artifacts import Tags, Vocabulary
from deepcuts.checks import check_finite, check_shape
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.explore.names import by_popularity, carriers_of, tag_rows
from deepcuts.progress import progress
from deepcuts.store import Meta, save_array, write_meta, writing

log = logging.getLogger(__name__)

WIDE = 1000  # above so many inputs Newton's steps cost more than they save
MOST_STEPS = 1000
UNTAGGED = ("negative", "leave_out")


@dataclass(frozen=True)
class TagSettings:
    """How tags are predicted and scored.

    Attributes:
        n_tags: the most popular tags, by number of songs.
        n_folds: of cross-validation over songs.
        C: of the logistic regression: 1 / strength of its ridge penalty, as in scikit-learn.
        min_weight: a song has a tag where its weight is above this.
        untagged: songs with none of the source's tags are "negative" for every tag, or are "leave_out".
        level: of the intervals.
        n_bootstrap: replicates of the intervals.
        seed: of the folds and the replicates.
    """

    n_tags: int = 50
    n_folds: int = 10
    C: float = 1.0
    min_weight: float = 0.0
    untagged: str = "negative"
    level: float = 0.95
    n_bootstrap: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.n_tags >= 1, "n_tags", self.n_tags, "at least 1")
        require(self.n_folds >= 2, "n_folds", self.n_folds, "at least 2")
        require(0 < self.C < np.inf, "C", self.C, "a finite number above 0")
        require(0 <= self.min_weight < np.inf, "min_weight", self.min_weight, "a finite number, 0 or more")
        require(self.untagged in UNTAGGED, "untagged", self.untagged, " or ".join(UNTAGGED))
        require(0 < self.level < 1, "level", self.level, "a fraction between 0 and 1")
        require(self.n_bootstrap >= 1, "n_bootstrap", self.n_bootstrap, "at least 1")
        require(self.seed >= 0, "seed", self.seed, "at least 0")


@dataclass(frozen=True)
class TagScores:
    """How well each tag is predicted.

    Attributes:
        songs: those that were counted.
        tags: those predicted, the most popular first.
        n_carriers: int64 [n_tags], songs that have each tag.
        auc: float64 [n_folds, n_tags]; NaN where a fold or what lies outside it has one class only.
        fold: int64 [n_songs], the fold in which each song is tested.
        mean, low, high: mean over tags of their means over folds, with its interval.
        n_untagged: songs counted that have none of the source's tags.
    """

    songs: Vocabulary
    tags: Vocabulary
    n_carriers: np.ndarray
    auc: np.ndarray
    fold: np.ndarray
    mean: float
    low: float
    high: float
    n_untagged: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_undefined(self) -> int:
        """Cells of `auc` that are NaN."""
        return int(np.isnan(self.auc).sum())

    def table(self) -> pl.DataFrame:
        """One row a tag, best first: tag_id, n_songs, auc, n_folds (that had both classes)."""
        columns = {
            "tag_id": self.tags.ids,
            "n_songs": self.n_carriers,
            "auc": mean_over_folds(self.auc),
            "n_folds": np.isfinite(self.auc).sum(axis=0),
        }
        return (
            pl.DataFrame(columns)
            .with_columns(pl.col("auc").fill_nan(None))
            .sort("auc", descending=True, nulls_last=True)
        )

    def save(self, folder: Path | str) -> None:
        """Write tagscores.parquet (the table), auc.npy, the songs with their folds, and meta.json."""
        with writing(folder) as scratch:
            self.table().write_parquet(scratch / "tagscores.parquet")
            self.tags.save(scratch, "tags")
            pl.DataFrame({"song_id": self.songs.ids, "fold": self.fold}).write_parquet(scratch / "folds.parquet")
            save_array(scratch, "auc", self.auc)
            shape = {"n_songs": len(self.songs), "n_tags": len(self.tags), "n_untagged": self.n_untagged}
            record = {**self.settings, "mean_auc": self.mean, "low": self.low, "high": self.high}
            fingerprint = store.fingerprint(self.songs.fingerprint, self.tags.fingerprint, self.auc)
            write_meta(scratch, Meta("tagscores", fingerprint, self.parents, record, shape))


def predict_tags(
    X: np.ndarray,
    songs: Vocabulary,
    tags: Tags,
    settings: TagSettings | None = None,
    *,
    groups: Sequence[str | None] | None = None,
    chosen: Sequence[str] | None = None,
) -> TagScores:
    """How well tags can be told from vectors of songs.

    The interval is a two-way bootstrap: a replicate draws tags and, apart from them, whole folds with replacement.
    Folds stand for the songs in them; fitted models are kept as they are.

    Args:
        X: inputs [n_songs, n_inputs]: factors, a bag of words after PCA, pooled features.
        songs: ids of its rows.
        tags: of any songs, matched by id; songs they do not know count as untagged.
        groups: of the songs, such as their artists: a group lies in one fold. None stands alone.
        chosen: predict these tags instead of the most popular.
    Raises:
        InputError: too few songs, groups or tags; a chosen tag is unknown or told by nobody; X is not finite.
    """
    settings = settings or TagSettings()
    check_shape("X", X, [len(songs), None])
    check_finite("X", X)
    if groups is not None:
        check_shape("groups", np.asarray(groups, dtype=object), [len(songs)])
    rng = np.random.default_rng(settings.seed)
    rows = tag_rows(songs, tags, settings.min_weight)
    untagged = np.diff(rows.indptr) == 0
    keep = np.flatnonzero(~untagged) if settings.untagged == "leave_out" else np.arange(len(songs))
    rows, X, songs = sparse.csr_array(rows[keep]), np.asarray(X, dtype=np.float64)[keep], songs.take(keep)
    groups = None if groups is None else [groups[song] for song in keep.tolist()]
    wanted = chosen_tags(rows, tags.tags, settings, chosen)
    fold = deal_folds(len(songs), settings.n_folds, rng, groups)
    has = rows[:, wanted].toarray() > 0
    auc = _cross_validate(X, has, fold, settings)
    mean, (low, high) = _overall(auc), interval(auc, settings.level, settings.n_bootstrap, rng)
    asked = {**asdict(settings), "by_group": groups is not None}
    return TagScores(
        songs, tags.tags.take(wanted), has.sum(axis=0).astype(np.int64), auc, fold, mean, low, high,
        int(untagged[keep].sum()), asked,
    )  # fmt: skip


def chosen_tags(
    rows: sparse.csr_array, names: Vocabulary, settings: TagSettings, chosen: Sequence[str] | None = None
) -> np.ndarray:
    """Positions of the tags to predict: those asked for, else the most popular.

    A tag can be predicted when at least two songs have it and at least two lack it.

    Raises:
        InputError: a chosen tag is unknown or cannot be predicted; there are fewer than n_tags that can.
    """
    carriers = carriers_of(rows)
    n_songs = rows.shape[0]
    usable = (carriers >= 2) & (carriers <= n_songs - 2)
    if chosen is not None:
        wanted = names.positions(chosen, where="tags")
        for tag in wanted[~usable[wanted]]:
            raise InputError(
                f"tag {names[tag]!r}: {carriers[tag]} of {n_songs} songs have it; "
                "at least two must, and two must not. Choose another tag."
            )
        return wanted
    n_usable = int(usable.sum())
    if n_usable < settings.n_tags:
        raise InputError(
            f"tags: {n_usable} tags are told by at least two of these {n_songs} songs (and not by all), "
            f"n_tags = {settings.n_tags}. Set n_tags to {max(n_usable, 1)} or fewer, or lower min_weight."
        )
    order = by_popularity(carriers)
    return order[usable[order]][: settings.n_tags]


def deal_folds(
    n_songs: int, n_folds: int, rng: np.random.Generator, groups: Sequence[str | None] | None = None
) -> np.ndarray:
    """The fold of each song, int64 [n_songs] in 0..n_folds-1; sizes differ by one at most when there are no groups.

    Groups are dealt out in random order, large ones first, each to the fold that holds the fewest songs.

    Raises:
        InputError: fewer than two songs a fold, or fewer groups than folds.
    """
    if n_songs < 2 * n_folds:
        raise InputError(f"songs: {n_songs}, too few for {n_folds} folds of at least two. Set n_folds lower.")
    if groups is None:
        return rng.permutation(n_songs) % n_folds
    names = [("group", name) if name is not None else ("alone", str(song)) for song, name in enumerate(groups)]
    number = {name: place for place, name in enumerate(dict.fromkeys(names))}
    if len(number) < n_folds:
        raise InputError(f"groups: {len(number)}, too few for {n_folds} folds. Set n_folds lower.")
    group = np.array([number[name] for name in names])
    sizes = np.bincount(group)
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    held, fold_of = np.zeros(n_folds, dtype=np.int64), np.zeros(len(sizes), dtype=np.int64)
    for one in order:
        fold_of[one] = int(np.argmin(held))
        held[fold_of[one]] += sizes[one]
    return fold_of[group]


def _cross_validate(X: np.ndarray, has: np.ndarray, fold: np.ndarray, settings: TagSettings) -> np.ndarray:
    auc = np.full((settings.n_folds, has.shape[1]), np.nan)
    unfinished = 0
    with progress("predict tags", total=auc.size, unit="fit") as bar:
        for number in range(settings.n_folds):
            train, test = fold != number, fold == number
            scaler = StandardScaler().fit(X[train])
            known, unseen = scaler.transform(X[train]), scaler.transform(X[test])
            for tag in range(has.shape[1]):
                bar.advance()
                if min(_classes(has[train, tag]), _classes(has[test, tag])) < 2:
                    continue
                model, finished = _fit(known, has[train, tag], settings.C)
                unfinished += not finished
                auc[number, tag] = roc_auc_score(has[test, tag], model.decision_function(unseen))
    if unfinished:
        log.warning("tags: %d of %d fits stopped before they converged; lower C.", unfinished, auc.size)
    n_undefined = int(np.isnan(auc).sum())
    if n_undefined == auc.size:
        raise InputError("tags: no fold has both songs with a tag and songs without. Set n_folds or n_tags lower.")
    if n_undefined:
        log.warning("tags: %d of %d AUCs are undefined (one class in a fold) and left out.", n_undefined, auc.size)
    return auc


def _classes(has: np.ndarray) -> int:
    return 2 if has.any() and not has.all() else 1


def _fit(X: np.ndarray, has: np.ndarray, C: float) -> tuple[LogisticRegression, bool]:
    """The model, and whether it converged."""
    solver = "newton-cholesky" if X.shape[1] <= WIDE else "lbfgs"
    model = LogisticRegression(C=C, solver=solver, max_iter=MOST_STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, has)
    return model, int(model.n_iter_.max()) < MOST_STEPS


def mean_over_folds(auc: np.ndarray) -> np.ndarray:
    """Mean over the folds [n_folds, n_tags] where it is defined: [n_tags], NaN where it never is."""
    held = np.isfinite(auc)
    n = held.sum(axis=0)
    return np.divide(np.where(held, auc, 0).sum(axis=0), n, out=np.full(auc.shape[1], np.nan), where=n > 0)


def _overall(auc: np.ndarray) -> float:
    means = mean_over_folds(auc)
    means = means[np.isfinite(means)]
    return float(means.mean()) if len(means) else float("nan")


def interval(auc: np.ndarray, level: float, n_bootstrap: int, rng: np.random.Generator) -> tuple[float, float]:
    """Quantiles of the mean AUC when tags and folds are drawn anew.

    Args:
        auc: [n_folds, n_tags], or the difference of two such tables.
    Source: Owen 2007, "The pigeonhole bootstrap".
    """
    n_folds, n_tags = auc.shape
    draws = np.array(
        [
            _overall(auc[rng.integers(n_folds, size=n_folds)][:, rng.integers(n_tags, size=n_tags)])
            for _ in range(n_bootstrap)
        ]
    )
    low, high = np.quantile(draws[np.isfinite(draws)], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def compare_tags(a: TagScores, b: TagScores, settings: TagSettings | None = None) -> dict[str, float]:
    """How much better `a` predicts tags than `b`, paired by tag and fold: difference, low, high.

    Raises:
        InputError: they were scored on other songs, tags or folds.
    """
    settings = settings or TagSettings()
    if a.songs != b.songs or a.tags != b.tags or not np.array_equal(a.fold, b.fold):
        raise InputError("tag scores: of other songs, tags or folds. Score both on the same songs with the same seed.")
    gap = a.auc - b.auc
    low, high = interval(gap, settings.level, settings.n_bootstrap, np.random.default_rng(settings.seed))
    return {"difference": _overall(gap), "low": low, "high": high}


def with_parents(scores: TagScores, **parents: str) -> TagScores:
    """The same scores, with the fingerprints of what they were made from."""
    return replace(scores, parents=parents)

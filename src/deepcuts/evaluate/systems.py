"""Score any number of systems on the same hidden plays.

A system is nothing but vectors for users and for test songs, so trained models, controls, ceilings and cheats all go
through one loop. Its score for a user and a song is the dot product of their vectors.

Every number comes with an interval over users and songs (see `bootstrap`). All systems meet the same replicates,
so two systems can be compared pairwise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from deepcuts.artifacts import Plays, Vocabulary
from deepcuts.checks import check_finite, check_shape, did_you_mean
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.evaluate.bootstrap import compare_draws, draw_counts, interval, resampled_metrics
from deepcuts.evaluate.metrics import (
    METRICS,
    PAPER_AT,
    Places,
    Relevant,
    expected_average_precision,
    find_places,
    fixed_order,
    relevance,
    share_beaten,
)
from deepcuts.progress import progress

KINDS = ("content", "control", "ceiling")
PROTOCOLS = ("clean", "joint")
WITH_INTERVALS = ("map", "auc")


@dataclass(frozen=True)
class EvaluateSettings:
    """How systems are scored.

    Attributes:
        at: length of the list of mAP.
        short_at: length of the list of recall and NDCG.
        n_bootstrap: replicates of the bootstrap; p is never below 2 / (n_bootstrap + 1).
        level: of the intervals.
        seed: of the replicates, the order of ties and the users chosen for intervals.
        chunk: users scored at a time; memory is about 10 bytes x chunk x test songs.
        bootstrap_users: with more users than this, intervals come from a random choice of so many. They are then
            slightly wide, because fewer users are resampled than were counted.
        n_bins: groups of test songs by popularity.
    """

    at: int = PAPER_AT
    short_at: int = 20
    n_bootstrap: int = 200
    level: float = 0.95
    seed: int = 0
    chunk: int = 1024
    bootstrap_users: int = 20_000
    n_bins: int = 4

    def __post_init__(self) -> None:
        for name in ("at", "short_at", "chunk", "bootstrap_users", "n_bins"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.n_bootstrap >= 2, "n_bootstrap", self.n_bootstrap, "at least 2")
        require(0 < self.level < 1, "level", self.level, "a fraction strictly between 0 and 1")
        require(self.seed >= 0, "seed", self.seed, "at least 0")


@dataclass(frozen=True)
class System:
    """Something that scores test songs for users.

    Attributes:
        name: what the row is called.
        user_vectors: [n_users, d].
        song_vectors: [n_test_songs, d].
        kind: "content" hears the songs, "control" knows nothing of them, "ceiling" marks what is reachable.
        cheating: it has seen plays of test songs, so it cannot be used for a song nobody has played.
        note: one sentence for the report: what the row is.
        learned_from: the songs that shaped the vectors, for the audit.
        protocol: "clean" (nothing learned from plays of test songs) or "joint" (user vectors have seen them).
    """

    name: str
    user_vectors: np.ndarray
    song_vectors: np.ndarray
    kind: str = "content"
    cheating: bool = False
    note: str = ""
    learned_from: Vocabulary | None = None
    protocol: str = "clean"

    def __post_init__(self) -> None:
        require(self.kind in KINDS, f"system {self.name!r}: kind", self.kind, " or ".join(KINDS))
        require(self.protocol in PROTOCOLS, f"system {self.name!r}: protocol", self.protocol, " or ".join(PROTOCOLS))
        check_shape(f"system {self.name!r}: user_vectors", self.user_vectors, [None, None])
        check_shape(f"system {self.name!r}: song_vectors", self.song_vectors, [None, self.user_vectors.shape[1]])
        check_finite(f"system {self.name!r}: user_vectors", self.user_vectors)
        check_finite(f"system {self.name!r}: song_vectors", self.song_vectors)


@dataclass(frozen=True)
class Row:
    """The outcome of one system.

    Attributes:
        name, kind, cheating, note, protocol: as in `System`.
        values: for each of METRICS, the value of each counted user [n_users]; NaN where undefined.
        draws: for "map" and "auc", the mean over users in each replicate [n_bootstrap].
        tied: share of played test songs whose score another song shares, so that chance decides.
        song_auc: for each test song, the mean share of unplayed songs it beats, over its listeners; NaN without any.
    """

    name: str
    kind: str
    cheating: bool
    note: str
    protocol: str
    values: Mapping[str, np.ndarray]
    draws: Mapping[str, np.ndarray]
    tied: float
    song_auc: np.ndarray

    def mean(self, metric: str) -> float:
        """Mean over the users for whom the metric is defined."""
        values = self.values[metric]
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


@dataclass(frozen=True)
class Evaluation:
    """Outcomes of all systems on the same users and test songs.

    Attributes:
        users: positions of the counted users: those with at least one play of a test song.
        n_users, n_songs: counted users; test songs, all of them candidates for every user.
        left_out: reason to number of users. "no plays of test songs": not counted at all; "played every test song":
            counted in mAP but not in AUC.
        listeners: counted users who played each test song [n_songs].
        n_bootstrap_users: users the intervals rest on.
        random_map: what mAP@at is on average for songs in random order (closed form); that AUC is 1/2.
    """

    rows: Sequence[Row]
    settings: EvaluateSettings
    users: np.ndarray
    n_songs: int
    left_out: Mapping[str, int]
    listeners: np.ndarray
    n_bootstrap_users: int
    random_map: float

    @property
    def n_users(self) -> int:
        """Counted users."""
        return len(self.users)

    @property
    def protocol(self) -> str:
        """The protocol of all rows: joint as soon as one of them is."""
        return "joint" if any(row.protocol == "joint" for row in self.rows) else "clean"

    def row(self, name: str) -> Row:
        """The row of a system.

        Raises:
            InputError: no system of that name.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise InputError(f"no system {name!r} was evaluated.{did_you_mean(name, [row.name for row in self.rows])}")

    def interval(self, name: str, metric: str) -> tuple[float, float]:
        """Low and high of "map" or "auc"."""
        row = self.row(name)
        return interval(row.mean(metric), row.draws[metric], self.settings.level)


def compare(evaluation: Evaluation, a: str, b: str, metric: str = "map") -> dict[str, float]:
    """How much better system `a` is than `b`, paired: both in the same replicates.

    Args:
        metric: "map" or "auc".
    Returns:
        difference (mean of a less mean of b), low, high, p (two-sided).
    """
    if metric not in WITH_INTERVALS:
        raise InputError(f"compare: no replicates of {metric!r}.{did_you_mean(metric, WITH_INTERVALS)}")
    first, second = evaluation.row(a), evaluation.row(b)
    draws = first.draws[metric] - second.draws[metric]
    return compare_draws(first.mean(metric) - second.mean(metric), draws, evaluation.settings.level)


def evaluate(systems: Sequence[System], relevant: Relevant, settings: EvaluateSettings | None = None) -> Evaluation:
    """Rank all test songs for every user with every system, and score the ranks against the hidden plays.

    Args:
        systems: with vectors for the same users and test songs, in the same order.
        relevant: [n_users, n_test_songs], CSR or boolean: which test songs each user played.
    Raises:
        InputError: shapes differ, a score is not finite, two systems share a name, or nobody played a test song.
    """
    settings = settings or EvaluateSettings()
    hidden = relevance(relevant)
    _check_systems(systems, hidden)
    n_songs = hidden.shape[1]
    played = np.diff(hidden.indptr)
    users = np.flatnonzero(played)
    if not len(users):
        raise InputError("evaluate: no user played any test song, so there is nothing to score. Check the split.")
    hidden = hidden[users]
    rng = np.random.default_rng(settings.seed)
    resample = _Resample.draw(len(users), n_songs, settings, rng)
    rows = []
    with progress("evaluate", total=len(systems) * len(users), unit="user") as bar:
        for system in systems:
            rows.append(_evaluate_one(system, users, hidden, resample, settings, bar.advance))
    return Evaluation(
        rows=rows,
        settings=settings,
        users=users,
        n_songs=n_songs,
        left_out={
            "no plays of test songs": len(played) - len(users),
            "played every test song": int((played[users] == n_songs).sum()),
        },
        listeners=np.bincount(hidden.indices, minlength=n_songs),
        n_bootstrap_users=int(resample.chosen.sum()),
        random_map=float(expected_average_precision(played[users], n_songs, settings.at).mean()),
    )


def _check_systems(systems: Sequence[System], hidden: sparse.csr_array) -> None:
    names = [system.name for system in systems]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"evaluate: two systems are called {name!r}. Give each its own name.")
    for system in systems:
        check_shape(f"system {system.name!r}: user_vectors", system.user_vectors, [hidden.shape[0], None])
        check_shape(f"system {system.name!r}: song_vectors", system.song_vectors, [hidden.shape[1], None])


@dataclass(frozen=True)
class _Resample:
    """The replicates that all systems share."""

    chosen: np.ndarray  # bool [n_users]: who is resampled
    user_counts: np.ndarray  # [n_chosen, n_bootstrap]
    song_counts: np.ndarray  # [n_songs, n_bootstrap]
    order: np.ndarray  # of ties

    @staticmethod
    def draw(n_users: int, n_songs: int, settings: EvaluateSettings, rng: np.random.Generator) -> "_Resample":
        chosen = np.zeros(n_users, dtype=bool)
        n_chosen = min(n_users, settings.bootstrap_users)
        chosen[rng.choice(n_users, size=n_chosen, replace=False)] = True
        return _Resample(
            chosen,
            draw_counts(n_chosen, settings.n_bootstrap, rng),
            draw_counts(n_songs, settings.n_bootstrap, rng),
            fixed_order(n_songs, settings.seed),
        )


def _evaluate_one(
    system: System,
    users: np.ndarray,
    hidden: sparse.csr_array,
    resample: _Resample,
    settings: EvaluateSettings,
    advance: Callable[[float], None],
) -> Row:
    """One system, a chunk of users at a time: nothing of size users x songs is ever held."""
    values = {name: np.empty(len(users)) for name in METRICS}
    sums = np.zeros((2, 2, settings.n_bootstrap))  # (map, auc) x (sum of values, sum of user counts)
    beaten, tied, seen = np.zeros((2, hidden.shape[1])), 0, 0
    songs = np.ascontiguousarray(system.song_vectors.T)
    for first in range(0, len(users), settings.chunk):
        block = slice(first, first + settings.chunk)
        scores, part = system.user_vectors[users[block]] @ songs, hidden[block]
        check_finite(f"scores of {system.name!r}", scores)
        places = find_places(scores, part, resample.order)
        for name, metric in METRICS.items():
            values[name][block] = metric(places, settings.at if name in WITH_INTERVALS else settings.short_at)
        beaten += _beaten_by_song(places)
        tied += int(np.count_nonzero(places.equal > 1))
        chosen = np.flatnonzero(resample.chosen[block])
        if len(chosen):
            counts = resample.user_counts[seen : seen + len(chosen)]
            seen += len(chosen)
            sums += _sum_draws(scores[chosen], part[chosen], counts, resample, settings.at)
        advance(len(scores))
    draws = dict(zip(WITH_INTERVALS, _ratio(sums[:, 0], sums[:, 1]), strict=True))
    told = (system.name, system.kind, system.cheating, system.note, system.protocol)
    return Row(*told, values, draws, tied / hidden.nnz, _ratio(beaten[0], beaten[1]))


def _beaten_by_song(places: Places) -> np.ndarray:
    """For each song, the sum over its listeners of the share it beats, and how many listeners that is [2, n_songs]."""
    share = share_beaten(places)
    good = np.isfinite(share)
    song = places.song[good]
    return np.stack([np.bincount(song, w, minlength=places.n_songs) for w in (share[good], np.ones(len(song)))])


def _ratio(total: np.ndarray, by: np.ndarray) -> np.ndarray:
    return np.divide(total, by, out=np.full(total.shape, np.nan), where=by > 0)


def _sum_draws(
    scores: np.ndarray, hidden: sparse.csr_array, counts: np.ndarray, resample: _Resample, at: int
) -> np.ndarray:
    """(map, auc) x (sum of values, sum of user counts) x replicates; users without a value drop out of a replicate."""
    sums = []
    for metric in resampled_metrics(scores, hidden, resample.song_counts, at, resample.order):
        good = np.isfinite(metric)
        sums.append([(np.where(good, metric, 0) * counts).sum(axis=0), (counts * good).sum(axis=0)])
    return np.array(sums)


def relevant_plays(plays: Plays, users: Vocabulary, songs: Vocabulary) -> sparse.csr_array:
    """Which of `songs` each of `users` played, as 0/1 [n_users, n_songs]; no entry for what the plays do not know.

    The hidden plays of an evaluation: `relevant_plays(plays, factors.users, split.test_songs)`.
    """
    found = plays.counts_of(users, songs)
    found.data = np.ones(len(found.data), dtype=np.float32)
    return found

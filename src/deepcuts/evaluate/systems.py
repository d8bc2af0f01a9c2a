"""What is evaluated, how, and what comes of it.

A system is nothing but vectors for users and for test songs, so trained models, controls, ceilings and cheats all go
through one loop (`scoring.evaluate`). Its score for a user and a song is the dot product of their vectors.

Every number comes with an interval over users and songs (see `bootstrap`). All systems meet the same replicates,
so two systems can be compared pairwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deepcuts.artifacts import CLEAN, UNKNOWN, Lineage
from deepcuts.checks import check_finite, check_shape, did_you_mean
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.evaluate.bootstrap import compare_draws, interval
from deepcuts.evaluate.metrics import PAPER_AT

KINDS = ("content", "control", "ceiling")
WITH_INTERVALS = ("map", "auc")
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class EvaluateSettings:
    """How systems are scored.

    Attributes:
        at: length of the list of mAP.
        short_at: length of the list of recall and NDCG.
        n_bootstrap: replicates of the bootstrap; p is never below 2 / (n_bootstrap + 1).
        level: of the intervals.
        seed: of the replicates, the order of ties and the users chosen for intervals.
        chunk: users that a thread scores at a time; memory is 4 bytes x chunk x test songs for each thread.
        bootstrap_users: with more users than this, intervals come from a random choice of so many. They are then
            slightly wide, because fewer users are resampled than were counted.
        n_bins: groups of test songs by popularity.
        device: that scores and ranks; "cuda" differs from "cpu" only in how scores are rounded.
    """

    at: int = PAPER_AT
    short_at: int = 20
    n_bootstrap: int = 200
    level: float = 0.95
    seed: int = 0
    chunk: int = 512
    bootstrap_users: int = 20_000
    n_bins: int = 4
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("at", "short_at", "chunk", "bootstrap_users", "n_bins"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.n_bootstrap >= 2, "n_bootstrap", self.n_bootstrap, "at least 2")
        require(0 < self.level < 1, "level", self.level, "a fraction strictly between 0 and 1")
        require(self.seed >= 0, "seed", self.seed, "at least 0")
        require(self.device in DEVICES, "device", self.device, " or ".join(map(repr, DEVICES)))


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
        lineage: the factor space of the vectors, the songs that shaped them and the protocol, for the audit.
    """

    name: str
    user_vectors: np.ndarray
    song_vectors: np.ndarray
    kind: str = "content"
    cheating: bool = False
    note: str = ""
    lineage: Lineage = UNKNOWN

    def __post_init__(self) -> None:
        require(self.kind in KINDS, f"system {self.name!r}: kind", self.kind, " or ".join(KINDS))
        check_shape(f"system {self.name!r}: user_vectors", self.user_vectors, [None, None])
        check_shape(f"system {self.name!r}: song_vectors", self.song_vectors, [None, self.user_vectors.shape[1]])
        check_finite(f"system {self.name!r}: user_vectors", self.user_vectors)
        check_finite(f"system {self.name!r}: song_vectors", self.song_vectors)

    @property
    def protocol(self) -> str:
        """Clean (nothing was learned from plays of test songs) or joint (user vectors have seen them)."""
        return self.lineage.protocol or CLEAN


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

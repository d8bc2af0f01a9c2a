"""Score any number of systems on the same hidden plays.

A chunk of users at a time: their scores, one product of matrices; the places of the songs they played; their metrics.
Each thread works on a chunk of its own with BLAS held to one thread, and what chunks give is added up in their order,
so the numbers do not depend on the number of threads. Nothing of size users x songs is ever held.

The users that intervals rest on come first: resampling is cheaper for many users at once.
"""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from scipy import sparse

from deepcuts.artifacts import Plays, Vocabulary
from deepcuts.checks import check_finite, check_shape, require_package
from deepcuts.errors import InputError
from deepcuts.evaluate.bootstrap import draw_counts, resampled_metrics
from deepcuts.evaluate.checkpoint import KIND, inputs_of, read_checkpoint, save_checkpoint
from deepcuts.evaluate.metrics import (
    METRICS,
    Places,
    Relevant,
    best_first,
    expected_average_precision,
    fixed_order,
    place_in,
    relevance,
    share_beaten,
)
from deepcuts.evaluate.partial_result import PartialResult
from deepcuts.evaluate.systems import WITH_INTERVALS, EvaluateSettings, Evaluation, Row, System
from deepcuts.kernels.crew import one_blas_thread
from deepcuts.kernels.native import default_threads
from deepcuts.kernels.places import count_places, places_by_sorting
from deepcuts.kernels.product import DistinctRows
from deepcuts.progress import progress
from deepcuts.store import refuse_to_replace

SECONDS_BETWEEN_CHECKPOINTS = 30.0
NO_PLAYS = "no plays of test songs"

# How many → the scores of the first so many users of a chunk.
FirstScores: TypeAlias = Callable[[int], np.ndarray]
# (user vectors [n, d], what they played [n, n_songs]) → their places, and their scores on demand.
Ranker: TypeAlias = Callable[[np.ndarray, sparse.csr_array], tuple[Places, FirstScores]]
# (system, plan, first user of each chunk) → the partial result of each chunk, in their order.
ScoreChunks: TypeAlias = Callable[[System, "Plan", Sequence[int]], Iterator[PartialResult]]


def evaluate(
    systems: Sequence[System],
    relevant: Relevant,
    settings: EvaluateSettings | None = None,
    *,
    checkpoint: Path | str | None = None,
    score_chunks: ScoreChunks | None = None,
) -> Evaluation:
    """Rank all test songs for every user with every system, and score the ranks against the hidden plays.

    Args:
        systems: with vectors for the same users and test songs, in the same order.
        relevant: [n_users, n_test_songs], CSR or boolean: which test songs each user played.
        checkpoint: a folder written every half minute. A run that finds its own there goes on from it and ends with
            the same numbers, to the bit; one of other systems, plays or settings is passed over.
        score_chunks: where chunks of users are scored: None takes the threads of this machine; a cluster gives the
            same numbers to the bit (`deepcuts.cluster.evaluate`).
    Raises:
        InputError: shapes differ, a score is not finite, two systems share a name, or nobody played a test song.
        SettingError: the device is not there.
        ArtifactError: `checkpoint` is something else than a checkpoint.
    """
    settings = settings or EvaluateSettings()
    hidden = relevance(relevant)
    _check_systems(systems, hidden)
    n_songs = hidden.shape[1]
    played = np.diff(hidden.indptr)
    users = np.flatnonzero(played)
    if not len(users):
        raise InputError("evaluate: no user played any test song, so there is nothing to score. Check the split.")
    plan = Plan.draw(users, hidden, settings)
    partial_results = _score_all(
        systems, plan, None if checkpoint is None else Path(checkpoint), score_chunks or score_in_threads
    )
    return Evaluation(
        rows=[_row(system, partial, plan) for system, partial in zip(systems, partial_results, strict=True)],
        settings=settings,
        users=users,
        n_songs=n_songs,
        left_out={
            NO_PLAYS: len(played) - len(users),
            "played every test song": int((played[users] == n_songs).sum()),
        },
        listeners=np.bincount(hidden.indices, minlength=n_songs),
        n_bootstrap_users=plan.user_counts.shape[0],
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
class Plan:
    """Whom to score in which order, and the replicates: the same for all systems.

    Attributes:
        settings: of the evaluation.
        order: positions among the counted users, those resampled first [n_users].
        users: their positions among all users, in this order [n_users].
        hidden: [n_users, n_songs], in this order.
        user_counts: [n_resampled, n_bootstrap].
        song_counts: [n_songs, n_bootstrap].
        tie_order: of songs of equal score [n_songs].
    """

    settings: EvaluateSettings
    order: np.ndarray
    users: np.ndarray
    hidden: sparse.csr_array
    user_counts: np.ndarray
    song_counts: np.ndarray
    tie_order: np.ndarray

    @staticmethod
    def draw(users: np.ndarray, hidden: sparse.csr_array, settings: EvaluateSettings) -> "Plan":
        """The plan for `users`, positions of those who played a test song; all chance is drawn here."""
        rng = np.random.default_rng(settings.seed)
        n_chosen = min(len(users), settings.bootstrap_users)
        chosen = np.zeros(len(users), dtype=bool)
        chosen[rng.choice(len(users), size=n_chosen, replace=False)] = True
        order = np.argsort(~chosen, kind="stable")
        return Plan(
            settings=settings,
            order=order,
            users=users[order],
            hidden=hidden[users[order]],
            user_counts=draw_counts(n_chosen, settings.n_bootstrap, rng),
            song_counts=draw_counts(hidden.shape[1], settings.n_bootstrap, rng),
            tie_order=fixed_order(hidden.shape[1], settings.seed),
        )


def _score_all(
    systems: Sequence[System], plan: Plan, checkpoint: Path | None, score_chunks: ScoreChunks
) -> list[PartialResult]:
    """One partial result for each system, from where the checkpoint stands."""
    partial_results, keep = _begin(systems, plan, checkpoint)
    n_users = len(plan.users)
    with progress("evaluate", total=len(systems) * n_users, unit="user") as bar, one_blas_thread():
        bar.skip(sum(partial.n_done for partial in partial_results))
        for place, system in enumerate(systems):
            if place == len(partial_results):
                partial_results.append(PartialResult.empty(n_users, plan.hidden.shape[1], plan.settings.n_bootstrap))
            partial = partial_results[place]
            firsts = range(partial.n_done, n_users, plan.settings.chunk)
            for part in score_chunks(system, plan, firsts):
                partial.add(part)
                bar.advance(part.n_done, note=system.name)
                keep()
    return partial_results


def _begin(
    systems: Sequence[System], plan: Plan, checkpoint: Path | None
) -> tuple[list[PartialResult], Callable[[], None]]:
    """The partial results of an earlier run, and what to call after every chunk to keep them."""
    if checkpoint is None:
        return [], lambda: None
    refuse_to_replace(checkpoint, kind=KIND)
    inputs, settings = inputs_of(systems, plan.hidden), dataclasses.asdict(plan.settings)
    partial_results = read_checkpoint(checkpoint, inputs, settings)
    saved = time.monotonic()

    def keep() -> None:
        nonlocal saved
        if time.monotonic() - saved >= SECONDS_BETWEEN_CHECKPOINTS:
            save_checkpoint(checkpoint, inputs, settings, partial_results)
            saved = time.monotonic()

    return partial_results, keep


def score_in_threads(system: System, plan: Plan, firsts: Sequence[int]) -> Iterator[PartialResult]:
    """Score chunks of users on the cores of this machine.

    Args:
        system: to score.
        plan: of the evaluation.
        firsts: the first user of each chunk, among those of the plan.
    Returns:
        the partial result of each chunk, in their order.
    """
    rank = ranker_of(system, plan)
    with ThreadPoolExecutor(min(default_threads(), max(len(firsts), 1))) as pool:
        try:
            yield from pool.map(lambda first: score_chunk(first, system, plan, rank), firsts)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def score_chunk(first: int, system: System, plan: Plan, rank: Ranker) -> PartialResult:
    """The partial result of one chunk of users alone."""
    settings, block = plan.settings, slice(first, first + plan.settings.chunk)
    wanted = plan.hidden[block]
    places, first_scores = rank(system.user_vectors[plan.users[block]], wanted)
    ats = [settings.at if name in WITH_INTERVALS else settings.short_at for name in METRICS]
    values = np.stack([metric(places, at) for metric, at in zip(METRICS.values(), ats, strict=True)])
    counts = plan.user_counts[block]  # the resampled users stand first
    sums = np.zeros((2, 2, settings.n_bootstrap))
    if len(counts):
        sums = _sum_draws(first_scores(len(counts)), wanted[: len(counts)], counts, plan)
    tied = int(np.count_nonzero(places.equal > 1))
    return PartialResult(values, sums, _beaten_by_song(places), tied, wanted.shape[0])


def ranker_of(system: System, plan: Plan) -> Ranker:
    """How the songs of a system are ranked, on the device of the settings."""
    place = place_in(plan.tie_order, plan.hidden.shape[1])
    if system.user_vectors.shape[1] == 1 and (system.user_vectors == system.user_vectors[0]).all():
        return shared_ranker(system, place)
    if plan.settings.device == "cpu":
        return cpu_ranker(system, place, min(plan.settings.chunk, len(plan.users)))
    return torch_ranker(system, place, plan.settings.device)


def shared_ranker(system: System, place: np.ndarray) -> Ranker:
    """Rank once for users who are all alike, as in popularity, and look every user's songs up."""
    with np.errstate(over="ignore", invalid="ignore"):  # such scores are refused below
        line = system.song_vectors[:, 0] * system.user_vectors[0]
    check_finite(f"scores of {system.name!r}", line)
    found = places_by_sorting(line, np.arange(len(line)), place)

    def rank(users: np.ndarray, wanted: sparse.csr_array) -> tuple[Places, FirstScores]:
        return best_first(wanted, *found[:, wanted.indices]), lambda n: np.broadcast_to(line, (n, len(line)))

    return rank


def cpu_ranker(system: System, place: np.ndarray, chunk: int) -> Ranker:
    """Rank in NumPy and C; each thread keeps one array of scores and uses it again, for fresh memory costs time."""
    distinct = DistinctRows(system.song_vectors)
    songs = distinct.rows.T
    kind = np.result_type(system.user_vectors, songs)
    own = threading.local()

    def rank(users: np.ndarray, wanted: sparse.csr_array) -> tuple[Places, FirstScores]:
        if not hasattr(own, "scores"):
            own.scores = np.empty((chunk, songs.shape[1]), kind)
        with np.errstate(over="ignore", invalid="ignore"):  # such scores are refused below
            scores = distinct.spread(np.matmul(users, songs, out=own.scores[: len(users)]))
        name = f"scores of {system.name!r}"
        counted = count_places(scores, wanted.indptr, wanted.indices, place, name=name, n_threads=1)
        return best_first(wanted, *counted), lambda n: scores[:n]

    return rank


def torch_ranker(system: System, place: np.ndarray, device: str) -> Ranker:
    """Rank on a device of torch.

    Raises:
        SettingError: the device is not there.
    """
    require_package("torch", "torch", f"device = {device!r}")
    from deepcuts.kernels.places_torch import TorchScores  # torch takes seconds to load

    on_device = TorchScores(system.song_vectors, place, device)

    def rank(users: np.ndarray, wanted: sparse.csr_array) -> tuple[Places, FirstScores]:
        scores = on_device.score(users)
        counted = on_device.count_places(scores, wanted.indptr, wanted.indices)
        return best_first(wanted, *counted), lambda n: scores[:n].cpu().numpy()

    return rank


def _beaten_by_song(places: Places) -> np.ndarray:
    """For each song, the sum over its listeners of the share it beats, and how many listeners that is [2, n_songs]."""
    share = share_beaten(places)
    good = np.isfinite(share)
    song = places.song[good]
    return np.stack([np.bincount(song, w, minlength=places.n_songs) for w in (share[good], np.ones(len(song)))])


def _sum_draws(scores: np.ndarray, hidden: sparse.csr_array, counts: np.ndarray, plan: Plan) -> np.ndarray:
    """(map, auc) x (sum of values, sum of user counts) x replicates; users without a value drop out of a replicate."""
    sums = []
    for metric in resampled_metrics(scores, hidden, plan.song_counts, plan.settings.at, plan.tie_order):
        good = np.isfinite(metric)
        sums.append([(np.where(good, metric, 0) * counts).sum(axis=0), (counts * good).sum(axis=0)])
    return np.array(sums)


def _row(system: System, partial: PartialResult, plan: Plan) -> Row:
    values = np.empty_like(partial.values)
    values[:, plan.order] = partial.values
    identity = (system.name, system.kind, system.cheating, system.note, system.protocol)
    draws = dict(zip(WITH_INTERVALS, partial.draws, strict=True))
    by_name = dict(zip(METRICS, values, strict=True))
    return Row(*identity, by_name, draws, partial.tied / plan.hidden.nnz, partial.song_auc)


def relevant_plays(plays: Plays, users: Vocabulary, songs: Vocabulary) -> sparse.csr_array:
    """Which of `songs` each of `users` played, as 0/1 [n_users, n_songs]; no entry for what the plays do not know.

    The hidden plays of an evaluation: `relevant_plays(plays, factors.users, split.test_songs)`.
    """
    found = plays.counts_of(users, songs)
    found.data = np.ones(len(found.data), dtype=np.float32)
    return found

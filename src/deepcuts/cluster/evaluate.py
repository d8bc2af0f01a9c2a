"""An evaluation in tasks: each scores some chunks of users, and the driver adds up the chunks in their order.

The chunks are those of one machine and so is the order of the sums, so the numbers are the same to the bit. Replicates
and ties are drawn once, by the driver. The vectors of the songs are sent to each node once; of the users, a task gets
its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from scipy import sparse

from deepcuts.cluster.tasks import Cluster
from deepcuts.config import require
from deepcuts.evaluate.partial_result import PartialResult
from deepcuts.evaluate.scoring import Plan, ScoreChunks, ranker_of, score_chunk
from deepcuts.evaluate.systems import System
from deepcuts.kernels.crew import one_blas_thread

TASKS_A_WORKER = 8  # so that workers finish together
CHUNKS_A_TASK = 32  # at most, so that checkpoints do not lag


def ray_scorer(cluster: Cluster) -> ScoreChunks:
    """What `evaluate` takes as `score_chunks` to run on a cluster."""
    return partial(_score_chunks, cluster)


def _score_chunks(cluster: Cluster, system: System, plan: Plan, firsts: Sequence[int]) -> Iterator[PartialResult]:
    require(plan.settings.device == "cpu", "device", plan.settings.device, "cpu with --on ray")
    shared = cluster.put((of_users(system, slice(0)), part_of(plan, slice(0))))
    step = min(max(-(-len(firsts) // (TASKS_A_WORKER * cluster.n_workers)), 1), CHUNKS_A_TASK)
    groups = (firsts[at : at + step] for at in range(0, len(firsts), step))
    users = (slice(group[0], group[-1] + plan.settings.chunk) for group in groups)
    calls = ((shared, system.user_vectors[plan.users[u]], plan.hidden[u], plan.user_counts[u]) for u in users)
    for scored in cluster.run_in_order(score_users, calls):
        yield from scored


def of_users(system: System, users: slice) -> System:
    """The system for some of its users."""
    return replace(system, user_vectors=system.user_vectors[users])


def part_of(plan: Plan, users: slice) -> Plan:
    """The plan for some of its users."""
    counts = plan.user_counts[users]
    return replace(
        plan, order=plan.order[users], users=plan.users[users], hidden=plan.hidden[users], user_counts=counts
    )


@one_blas_thread()
def score_users(
    shared: tuple[System, Plan], vectors: np.ndarray, hidden: sparse.csr_array, counts: np.ndarray
) -> list[PartialResult]:
    """A task: score users chunk by chunk.

    Args:
        shared: the system and the plan, without users.
        vectors: of the users [n, d].
        hidden: what they played [n, n_songs].
        counts: of those who are resampled, who stand first [n_resampled, n_bootstrap].
    Returns:
        a partial result for each chunk, in order.
    """
    users = np.arange(len(vectors))
    system = replace(shared[0], user_vectors=vectors)
    plan = replace(shared[1], order=users, users=users, hidden=hidden, user_counts=counts)
    rank = ranker_of(system, plan)
    return [score_chunk(first, system, plan, rank) for first in range(0, len(users), plan.settings.chunk)]

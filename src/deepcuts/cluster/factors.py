"""Half-sweeps of the factorisation as tasks: rows in groups of blocks, the fixed side sent to each node once.

The plays of each side are cut into groups once and stay in the object store. In a half-sweep the driver changes the
basis of the fixed rows and shares them; a task improves the rows of one group and gives them back. The blocks within a
group are those of `als.row_blocks`, the parts of a Gram matrix those of `als.gram_parts`: so with conjugate gradient
the factors are those of one machine to the bit, whatever the number of workers and however often they die. (On
processors of one kind: others round otherwise.)

A fixed side larger than a share of the smallest object store is not sent as a whole: it is cut into pieces, and a task
gathers from them the rows that its plays need. That sends more bytes when tasks share rows, and needs no node to hold
all of them; see docs/scale.md.

The driver holds both sides of the factors, the plays and one changed copy of the fixed side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse

from deepcuts.cluster.tasks import Cluster
from deepcuts.config import require
from deepcuts.factors.engine import Engine, MakeEngine, Solve
from deepcuts.kernels import als, exact
from deepcuts.kernels.native import one_blas_thread

GROUPS_A_WORKER = 8  # so that workers finish together
PLAYS_A_GROUP = 1 << 24  # at most, unless one block has more: 128 MB
BROADCAST_SHARE = 0.4  # of the smallest object store that the fixed side may take
PIECE_BYTES = 32 << 20  # of a fixed side that is sent in pieces

Basis: TypeAlias = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Group:
    """The plays of consecutive rows, in blocks.

    Attributes:
        begin, end: of the rows, among all of their side.
        blocks: begin and end of each block, from the first row of the group.
        start: [n_rows + 1] places of the plays of each row in `other`.
        other, surplus: [n_plays] the fixed row and the surplus confidence of each play.
    """

    begin: int
    end: int
    blocks: tuple[tuple[int, int], ...]
    start: np.ndarray
    other: np.ndarray
    surplus: np.ndarray


@dataclass(frozen=True)
class Pieces:
    """A fixed side in pieces of equally many rows, each a reference."""

    references: tuple[Any, ...]
    rows_a_piece: int
    width: int


def ray_engine(cluster: Cluster, broadcast_bytes: int | None = None) -> MakeEngine:
    """An engine for `factors.fit` that runs on a cluster.

    Args:
        cluster: from `running`.
        broadcast_bytes: the largest fixed side to send as a whole; None takes a share of the smallest object store.
    """
    most = int(BROADCAST_SHARE * cluster.store_bytes) if broadcast_bytes is None else broadcast_bytes

    def make(regularization: float, n_steps: int, device: str) -> Engine:
        require(device == "cpu", "device", device, "cpu with --on ray")
        return Engine(partial(_gram, cluster), partial(_hold, cluster, regularization, n_steps, most))

    return make


def cut(side: sparse.csr_array, n_workers: int) -> list[Group]:
    """The rows of a side in groups of about equal work.

    Args:
        side: surplus confidence [n_rows, n_fixed] CSR.
        n_workers: to keep busy. The grouping does not change the result.
    """
    start = side.indptr.astype(np.int64)
    blocks = als.row_blocks(start)
    n_groups = max(GROUPS_A_WORKER * n_workers, -(-side.nnz // PLAYS_A_GROUP))
    work = np.array([start[end] + 8 * end for _, end in blocks])
    of_block = np.minimum((work - 1) * n_groups // max(work[-1], 1), n_groups - 1) if len(blocks) else work
    edges = [*np.flatnonzero(np.diff(of_block, prepend=-1)).tolist(), len(blocks)]
    return [_group(side, start, blocks[a:b]) for a, b in pairwise(edges)]


def _group(side: sparse.csr_array, start: np.ndarray, blocks: Sequence[tuple[int, int]]) -> Group:
    begin, end = blocks[0][0], blocks[-1][1]
    plays = slice(start[begin], start[end])
    return Group(
        begin=begin,
        end=end,
        blocks=tuple((a - begin, b - begin) for a, b in blocks),
        start=start[begin : end + 1] - start[begin],
        other=np.ascontiguousarray(side.indices[plays], np.int32),
        surplus=np.ascontiguousarray(side.data[plays], np.float32),
    )


def _hold(cluster: Cluster, regularization: float, n_steps: int, broadcast_bytes: int, side: sparse.csr_array) -> Solve:
    groups = cut(side, cluster.n_workers)
    places = [(group.begin, group.end) for group in groups]
    plays = [cluster.put(group) for group in groups]
    return partial(_solve, cluster, places, plays, regularization, n_steps, broadcast_bytes)


def _solve(
    cluster: Cluster,
    places: Sequence[tuple[int, int]],
    plays: Sequence[Any],
    regularization: float,
    n_steps: int,
    broadcast_bytes: int,
    fixed: np.ndarray,
    gram: np.ndarray,
    rows: np.ndarray,
) -> np.ndarray:
    """One half-sweep: as `als.solve_rows`."""
    basis = als.change_of_basis(gram, regularization)
    changed = _share(cluster, als.change_fixed(fixed, basis), broadcast_bytes)
    turn = cluster.put(basis)
    calls = (
        (group, changed, turn, rows[begin:end], n_steps) for group, (begin, end) in zip(plays, places, strict=True)
    )
    loss = np.zeros(len(rows))
    for position, (improved, lost) in cluster.run(solve_group, calls):
        part = slice(*places[position])
        rows[part], loss[part] = improved, lost
    return loss


def _share(cluster: Cluster, changed: np.ndarray, broadcast_bytes: int) -> Any:
    """The changed fixed side as one reference, or in pieces."""
    if changed.nbytes <= broadcast_bytes:
        return cluster.put(changed)
    step = max(PIECE_BYTES // (4 * changed.shape[1]), 1)
    references = tuple(cluster.put(changed[begin : begin + step]) for begin in range(0, len(changed), step))
    return Pieces(references, step, changed.shape[1])


@one_blas_thread()
def solve_group(
    group: Group, changed: np.ndarray | Pieces, basis: Basis, rows: np.ndarray, n_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """A task: improve the rows of a group.

    Returns:
        the rows [n, n_factors] and what their plays add to the objective [n].
    """
    rows, loss = np.array(rows), np.empty(len(rows))
    other = group.other
    if isinstance(changed, Pieces):
        changed, other = gather(changed, other, _get)
    if n_steps == 0:
        loss = exact.solve_rows(group.start, other, group.surplus, changed[:, : rows.shape[1]], rows, 1)
        return (rows @ basis[1].T).astype(np.float32), loss
    for begin, end in group.blocks:
        part = slice(begin, end)
        loss[part] = als.solve_block(
            group.start[begin : end + 1], other, group.surplus, changed, basis, rows[part], n_steps
        )
    return rows, loss


def gather(pieces: Pieces, other: np.ndarray, get: Callable[[Any], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The fixed rows that plays need, and where each play finds its own among them.

    Args:
        pieces: of the fixed side.
        other: the fixed row of each play [n_plays].
        get: reference → its rows.
    Returns:
        rows [n_needed, width] and places [n_plays] int32.
    """
    needed, place = np.unique(other, return_inverse=True)
    rows = np.empty((len(needed), pieces.width), np.float32)
    of_piece = needed // pieces.rows_a_piece
    for piece in np.unique(of_piece):
        mine = of_piece == piece
        rows[mine] = get(pieces.references[piece])[needed[mine] - piece * pieces.rows_a_piece]
    return rows, place.astype(np.int32)


def _get(reference: Any) -> np.ndarray:
    import ray  # in a task, where it is

    found: np.ndarray = ray.get(reference)
    return found


def _gram(cluster: Cluster, rows: np.ndarray) -> np.ndarray:
    """`als.gram`, in tasks where that is worth it."""
    parts = als.gram_parts(len(rows))
    if len(parts) < 2 * cluster.n_workers:
        return als.gram(rows)
    total = np.zeros((len(parts), rows.shape[1], rows.shape[1]))
    for position, product in cluster.run(gram_of_part, ((rows[begin:end],) for begin, end in parts)):
        total[position] = product
    return total.sum(axis=0)


@one_blas_thread()
def gram_of_part(rows: np.ndarray) -> np.ndarray:
    """A task: `als.gram_of_part`."""
    return als.gram_of_part(rows)

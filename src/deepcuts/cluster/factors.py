"""Half-sweeps of the factorisation as tasks: rows in groups of blocks, the fixed side sent to each node once.

The plays of each side are cut into groups once and stay in the object store. In a half-sweep the driver changes the
basis of the fixed rows and shares them; a task improves the rows of one group and gives them back. The blocks within a
group are those of `als.row_blocks`, the parts of a Gram matrix those of `als.gram_parts`: so with conjugate gradient
the factors are those of one machine to the bit, whatever the number of workers and however often they die. (On
processors of one kind: others round otherwise.)

A fixed side larger than a share of the smallest object store is not sent as a whole. It is cut into pieces that lie on
different nodes; for each group of rows a task beside each piece takes out the fixed rows that the plays of the group
need, and only these are sent. That is more bytes in all when groups need the same rows, and no node has to hold all of
them; docs/scale.md says when it pays.

The driver holds both sides of the factors, the plays both ways and, when it is sent as a whole, one changed copy of the
fixed side.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse

from deepcuts.cluster.tasks import Cluster
from deepcuts.config import require
from deepcuts.factors.engine import Engine, MakeEngine, Solve
from deepcuts.kernels import als, exact
from deepcuts.kernels.crew import one_blas_thread

GROUPS_A_WORKER = 8  # so that workers finish together
MOST_GROUPS = 2048  # unless there are more workers: each group costs the driver a task, or one for each piece
PLAYS_A_GROUP = 1 << 24  # at most, unless one block has more: 128 MB
BROADCAST_SHARE = 0.4  # of the smallest object store that the fixed side may take
PIECE_BYTES = 32 << 20  # of a fixed side that is sent in pieces, or more, so that there are
MOST_PIECES = 64

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
    n_groups = number_of_groups(side.nnz, n_workers)
    work = np.array([start[end] + 8 * end for _, end in blocks])
    of_block = np.minimum((work - 1) * n_groups // max(work[-1], 1), n_groups - 1) if len(blocks) else work
    edges = [*np.flatnonzero(np.diff(of_block, prepend=-1)).tolist(), len(blocks)]
    return [_group(side, start, blocks[a:b]) for a, b in pairwise(edges)]


def number_of_groups(n_plays: float, n_workers: int) -> int:
    """Into how many groups the rows of a side are cut."""
    return max(min(GROUPS_A_WORKER * n_workers, MOST_GROUPS), n_workers, int(-(-n_plays // PLAYS_A_GROUP)))


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


@one_blas_thread()  # for the change of basis
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
    send = _send_whole if fixed.nbytes <= broadcast_bytes else _send_pieces
    solve, sides = send(cluster, fixed, basis, plays)
    turn = cluster.put(basis)
    calls = (
        (group, turn, rows[begin:end], n_steps, *side)
        for group, side, (begin, end) in zip(plays, sides, places, strict=True)
    )
    loss = np.zeros(len(rows))
    for position, (improved, lost) in cluster.run(solve, calls):
        part = slice(*places[position])
        rows[part], loss[part] = improved, lost
    return loss


# What a task is sent of the fixed side, for each group: the task, and its last arguments.
Sent: TypeAlias = tuple[Callable[..., tuple[np.ndarray, np.ndarray]], Iterator[tuple[Any, ...]]]


def _send_whole(cluster: Cluster, fixed: np.ndarray, basis: Basis, plays: Sequence[Any]) -> Sent:
    """The changed fixed side as one value, which each node fetches once."""
    changed = cluster.put(als.change_fixed(fixed, basis))
    return solve_group, ((changed,) for _ in plays)


def _send_pieces(cluster: Cluster, fixed: np.ndarray, basis: Basis, plays: Sequence[Any]) -> Sent:
    """The changed fixed side in pieces on different nodes, and for each group the rows it needs of each piece."""
    step = _rows_a_piece(*fixed.shape)
    turn = cluster.put(basis)
    pieces = [
        cluster.later(change_piece, fixed[begin : begin + step], turn, spread=True)
        for begin in range(0, len(fixed), step)
    ]

    def taken(group: Any) -> tuple[Any, ...]:
        needs = cluster.later(needed_rows, group, step, len(pieces), n_results=len(pieces))
        needs = needs if len(pieces) > 1 else [needs]
        return tuple(cluster.later(take_rows, piece, rows) for piece, rows in zip(pieces, needs, strict=True))

    return solve_group_of_pieces, (taken(group) for group in plays)


def _rows_a_piece(n: int, n_factors: int) -> int:
    """Rows of a piece: whole blocks of the change of basis, so that its bits are those of one machine."""
    n_blocks = max(PIECE_BYTES // (4 * n_factors * als.ROWS_AT_ONCE), -(-n // (MOST_PIECES * als.ROWS_AT_ONCE)), 1)
    return n_blocks * als.ROWS_AT_ONCE


@one_blas_thread()
def change_piece(rows: np.ndarray, basis: Basis) -> np.ndarray:
    """A task: fixed rows in the changed basis."""
    return als.change_fixed(rows, basis, 1)


def needed_rows(group: Group, rows_a_piece: int, n_pieces: int) -> Any:
    """A task: which rows of each piece the plays of a group need, ascending; an array a piece, or one for one."""
    rows = np.unique(group.other)
    ends = np.searchsorted(rows, rows_a_piece * np.arange(n_pieces + 1))
    needs = [rows[a:b] - piece * rows_a_piece for piece, (a, b) in enumerate(pairwise(ends.tolist()))]
    return needs if n_pieces > 1 else needs[0]


def take_rows(piece: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A task beside a piece: some of its rows."""
    return piece[rows]


def solve_group_of_pieces(
    group: Group, basis: Basis, rows: np.ndarray, n_steps: int, *taken: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A task: `solve_group`, with the fixed rows that it needs, taken from all pieces in their order."""
    _, place = np.unique(group.other, return_inverse=True)
    return solve_group(replace(group, other=place.astype(np.int32)), basis, rows, n_steps, np.concatenate(taken))


@one_blas_thread()
def solve_group(
    group: Group, basis: Basis, rows: np.ndarray, n_steps: int, changed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A task: improve the rows of a group.

    Args:
        changed: the fixed rows in the changed basis, as `group.other` counts them.
    Returns:
        the rows [n, n_factors] and what their plays add to the objective [n].
    """
    rows, loss = np.array(rows), np.empty(len(rows))
    if n_steps == 0:
        fixed = changed[:, : rows.shape[1]]
        loss = exact.solve_rows(group.start, group.other, group.surplus, fixed, rows, 1)
        return (rows @ basis[1].T).astype(np.float32), loss
    for begin, end in group.blocks:
        part, start = slice(begin, end), group.start[begin : end + 1]
        loss[part] = als.solve_block(start, group.other, group.surplus, changed, basis, rows[part], n_steps)
    return rows, loss


def _gram(cluster: Cluster, rows: np.ndarray) -> np.ndarray:
    """`als.gram`, in tasks where there are more machines than this."""
    parts = als.gram_parts(len(rows))
    if cluster.n_nodes == 1 or len(parts) < cluster.n_workers:
        return als.gram(rows)
    total = np.zeros((len(parts), rows.shape[1], rows.shape[1]))
    for position, product in cluster.run(gram_of_part, ((rows[begin:end],) for begin, end in parts)):
        total[position] = product
    return total.sum(axis=0)


@one_blas_thread()
def gram_of_part(rows: np.ndarray) -> np.ndarray:
    """A task: `als.gram_of_part`."""
    return als.gram_of_part(rows)

"""The plays both ways, as half-sweeps walk over them: in memory, or in files that are mapped into it.

Mapped files are read from disk as the loop comes to them and leave memory when it is wanted for something else, so
plays may be larger than memory; the numbers are the same to the bit. The songs' side is made without holding the
plays: they are dealt to files by ranges of songs, and each range is transposed on its own.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
from scipy import sparse

from deepcuts.artifacts import Plays
from deepcuts.errors import ArtifactError, InputError
from deepcuts.kernels.confidence import surplus_confidence
from deepcuts.progress import progress
from deepcuts.store import Meta, load_array, read_meta, save_array, write_meta, writing

log = logging.getLogger(__name__)

KIND = "wmf-sides"
PLAYS_AT_ONCE = 1 << 24  # in memory: some 400 MB
MOST_RANGES = 250  # of songs; each is an open file
PLAY = np.dtype([("song", "<i4"), ("user", "<i4"), ("surplus", "<f4")])

# Surplus confidence s = c - 1: [n_users, n_songs] CSR and [n_songs, n_users] CSR.
Sides: TypeAlias = tuple[sparse.csr_array, sparse.csr_array]
# (plays, α, ε) → both sides.
MakeSides: TypeAlias = Callable[[Plays, float, float], Sides]


def sides_in_memory(plays: Plays, alpha: float, epsilon: float) -> Sides:
    """Both sides, 16 bytes a pair."""
    surplus = surplus_confidence(plays.counts, alpha, epsilon)
    return surplus, surplus.T.tocsr()


def sides_on_disk(plays: Plays, alpha: float, epsilon: float, *, folder: Path) -> Sides:
    """Both sides in mapped files; those that an earlier run left are used again.

    Args:
        plays: best loaded with `mapped=True`.
        alpha, epsilon: as `surplus_confidence` takes them.
        folder: to write: 12 bytes a pair, and 12 more while it is made. It may be removed after the fit.
    Raises:
        InputError: a count so large that its confidence is not finite.
        ResourceError: the disk is full.
    """
    settings = {"alpha": alpha, "epsilon": epsilon}
    if not _is_there(folder, plays.fingerprint, settings):
        with writing(folder) as scratch:
            _write_sides(plays.counts, alpha, epsilon, scratch)
            shape = {"n_users": len(plays.users), "n_songs": len(plays.songs), "n_plays": plays.n_plays}
            write_meta(scratch, Meta(KIND, "", {"plays": plays.fingerprint}, settings, shape))
    names = ("surplus", "song_surplus", "song_user", "song_start")
    surplus, song_surplus, user, start = (load_array(folder, name, mapped=True) for name in names)
    n_users, n_songs = plays.shape
    by_user = sparse.csr_array((surplus, plays.counts.indices, plays.counts.indptr), (n_users, n_songs), copy=False)
    return by_user, sparse.csr_array((song_surplus, user, start.astype(np.int32)), (n_songs, n_users), copy=False)


def _is_there(folder: Path, plays: str, settings: dict[str, float]) -> bool:
    try:
        meta = read_meta(folder, KIND)
    except ArtifactError:
        return False
    return meta.parents.get("plays") == plays and dict(meta.settings) == settings


def _write_sides(counts: sparse.csr_array, alpha: float, epsilon: float, scratch: Path) -> None:
    start = _song_starts(counts)
    save_array(scratch, "song_start", start)
    edges = song_ranges(start)
    with progress("cut", total=2 * counts.nnz, unit="pair") as bar:
        with ExitStack() as files:
            ranges = [files.enter_context((scratch / f"range-{k}").open("wb")) for k in range(len(edges) - 1)]
            surplus = files.enter_context(_array_file(scratch / "surplus.npy", "<f4", counts.nnz))
            for begin, end in _row_parts(counts.indptr):
                values = _surplus_of(counts, begin, end, alpha, epsilon)
                surplus.write(values.data)
                _deal(counts, begin, end, values, edges, ranges)
                bar.advance(len(values))
        with (
            _array_file(scratch / "song_user.npy", "<i4", counts.nnz) as users,
            _array_file(scratch / "song_surplus.npy", "<f4", counts.nnz) as values_by_song,
        ):
            for k in range(len(edges) - 1):
                turned = _turn(scratch / f"range-{k}", edges[k], edges[k + 1], counts.shape[0])
                users.write(turned.indices.astype(np.int32, copy=False).data)
                values_by_song.write(turned.data.data)
                bar.advance(turned.nnz)


def _song_starts(counts: sparse.csr_array) -> np.ndarray:
    """Where the plays of each song begin [n_songs + 1]."""
    n_songs = counts.shape[1]
    listeners = np.zeros(n_songs, np.int64)
    for begin in range(0, counts.nnz, PLAYS_AT_ONCE):
        listeners += np.bincount(counts.indices[begin : begin + PLAYS_AT_ONCE], minlength=n_songs)
    return np.concatenate([[0], np.cumsum(listeners)])


def song_ranges(start: np.ndarray) -> list[int]:
    """Edges of ranges of songs with about PLAYS_AT_ONCE plays each, or more where there would be too many ranges."""
    n_ranges = min(max(-(-int(start[-1]) // PLAYS_AT_ONCE), 1), MOST_RANGES)
    cuts = np.searchsorted(start, np.linspace(0, start[-1], n_ranges + 1)[1:-1])
    return sorted({0, *cuts.tolist(), len(start) - 1})


def _row_parts(start: np.ndarray) -> Iterator[tuple[int, int]]:
    """Rows in parts of at most PLAYS_AT_ONCE plays, or of one row."""
    begin, n_rows = 0, len(start) - 1
    while begin < n_rows:
        end = int(np.searchsorted(start, int(start[begin]) + PLAYS_AT_ONCE, side="right")) - 1
        end = min(max(end, begin + 1), n_rows)
        yield begin, end
        begin = end


def _surplus_of(counts: sparse.csr_array, begin: int, end: int, alpha: float, epsilon: float) -> np.ndarray:
    """The surplus confidence of rows, as `surplus_confidence` gives it."""
    try:
        return np.asarray(surplus_confidence(counts[begin:end], alpha, epsilon).data)
    except InputError as error:
        raise InputError(f"{error} (Its row counts from user {begin}.)") from error


def _deal(
    counts: sparse.csr_array, begin: int, end: int, values: np.ndarray, edges: list[int], ranges: Sequence[IO[bytes]]
) -> None:
    """Write the plays of rows to the files of their songs, in order."""
    plays = np.empty(len(values), PLAY)
    plays["song"] = counts.indices[counts.indptr[begin] : counts.indptr[end]]
    plays["user"] = np.repeat(np.arange(begin, end, dtype=np.int32), np.diff(counts.indptr[begin : end + 1]))
    plays["surplus"] = values
    of_range = (np.searchsorted(edges, plays["song"], side="right") - 1).astype(np.uint8)
    plays = plays[np.argsort(of_range, kind="stable")]
    ends = np.cumsum(np.bincount(of_range, minlength=len(ranges)))
    for file, part in zip(ranges, np.split(plays, ends[:-1]), strict=True):
        file.write(part.tobytes())


def _turn(path: Path, first: int, last: int, n_users: int) -> sparse.csr_array:
    """The plays of songs first to last [n, n_users] CSR, users ascending; their file is removed."""
    plays = np.fromfile(path, PLAY)
    path.unlink()
    places = (plays["song"] - first, plays["user"])
    return sparse.csr_array(sparse.coo_array((plays["surplus"], places), (last - first, n_users)))


def _array_file(path: Path, kind: str, n: int) -> IO[bytes]:
    """An open `.npy` of n numbers, to which they are then written."""
    file = path.open("wb")
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": (n,)})
    return file

"""What a run has finished so far, kept beside the artifact so that a killed run loses a few seconds of work.

The folder `.NAME.work` holds shards: `RECIPE-NUMBER.npz` with the frames of up to some dozens of files and an index.
A result is known by the hash of its file's bytes, so renamed files are found again and changed files are not. A shard
is written aside and renamed: it is whole or not there. Shards of another recipe are passed over. A worker that hears a
long file writes its frames itself; see `spool`.
"""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from deepcuts.errors import ResourceError
from deepcuts.store import DAMAGED, explain_os_error

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        content_hash: of its bytes, "" when they cannot be read.
        reason, detail: why it was set aside; "" when it gave frames.
        n_frames: it gave.
        seconds: of sound.
        rate, channels: of the file, Hz; 0 when not told.
    """

    content_hash: str
    reason: str = ""
    detail: str = ""
    n_frames: int = 0
    seconds: float = 0.0
    rate: int = 0
    channels: int = 0

    @property
    def lasting(self) -> bool:
        """Whether it depends on the bytes of the file only, so that it may be reused."""
        return self.content_hash != "" and self.reason not in ("unreadable", "too long")


@dataclass(frozen=True)
class Place:
    """Where the frames of a file lie: rows from `start` of a shard, or of the old artifact when `shard` is None."""

    shard: Path | None
    start: int


Known = dict[str, tuple[Outcome, Place]]


class Shelf:
    """Finished results on their way to shards.

    Args:
        folder: the work folder; made when needed.
        recipe: of the features; results of others are not seen.
        most_files, most_bytes: a shard is written when it would pass either.
        writer: a task that shares the folder with others: it sees no results, and its shards bear its name.
    """

    def __init__(
        self, folder: Path, recipe: str, most_files: int = 64, most_bytes: int = 64 << 20, writer: str = ""
    ) -> None:
        self.folder, self.recipe, self.writer = folder, recipe, writer
        self.most_files, self.most_bytes = most_files, most_bytes
        self.held: list[tuple[Outcome, np.ndarray]] = []
        self.n_bytes = 0
        self.known: Known = {}
        if not writer and self.folder.is_dir():
            for scratch in self.folder.glob("*.partial"):
                scratch.unlink(missing_ok=True)
            self.read()

    def read(self, pattern: str = "*") -> None:
        """Know the results in the folder; of the shards only those whose name after the recipe fits `pattern`."""
        for path in sorted(self.folder.glob(f"{self.recipe}-{pattern}.npz")):
            try:
                # Opened here: np.load leaves a damaged file open.
                with path.open("rb") as file, np.load(file, allow_pickle=False) as shard:
                    rows = [Outcome(**row) for row in json.loads(shard["index"].tobytes())]
            except DAMAGED as error:
                log.warning("%s: damaged (%s), its files are heard again", path, error)
                path.unlink()
                continue
            start = 0
            for outcome in rows:
                self.known[outcome.content_hash] = (outcome, Place(path, start))
                start += outcome.n_frames

        for path in sorted(self.folder.glob(f"{self.recipe}-*.json")):
            try:
                outcome = Outcome(**json.loads(path.read_bytes()))
            except DAMAGED as error:
                log.warning("%s: damaged (%s), its file is heard again", path, error)
                path.unlink()
                continue
            if path.with_suffix(".npy").is_file():
                self.known[outcome.content_hash] = (outcome, Place(path.with_suffix(".npy"), 0))

    def take(self, outcome: Outcome, path: Path, start: int = 0) -> None:
        """Know a result whose frames a worker has written to a file, from row `start`."""
        self.known[outcome.content_hash] = (outcome, Place(path, start))

    def add(self, outcome: Outcome, frames: np.ndarray) -> None:
        """Keep a result; writes a shard when enough is held."""
        self.held.append((outcome, frames))
        self.n_bytes += frames.nbytes
        if len(self.held) >= self.most_files or self.n_bytes >= self.most_bytes:
            self.flush()

    def flush(self) -> None:
        """Write what is held as a shard.

        Raises:
            ResourceError: disk full or not writable; the earlier shards stay.
        """
        if not self.held:
            return
        path = self.folder / f"{self.recipe}-{self.writer}{self._next_number():06d}.npz"
        scratch = path.with_name(f"{path.name}.{os.getpid()}.partial")
        index = json.dumps([asdict(outcome) for outcome, _ in self.held]).encode()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with scratch.open("wb") as file:
                np.savez(
                    file,
                    index=np.frombuffer(index, np.uint8),
                    frames=np.concatenate([frames for _, frames in self.held]),
                )
                file.flush()
                os.fsync(file.fileno())
            scratch.rename(path)
        except OSError as error:
            scratch.unlink(missing_ok=True)
            raise explain_os_error(error, self.folder) from error
        start = 0
        for outcome, _ in self.held:
            self.known[outcome.content_hash] = (outcome, Place(path, start))
            start += outcome.n_frames
        self.held, self.n_bytes = [], 0

    def _next_number(self) -> int:
        numbers = [int(path.stem.rpartition("-")[2]) for path in self.folder.glob(f"{self.recipe}-{self.writer}*.npz")]
        return max(numbers, default=-1) + 1


def read_shard(path: Path) -> np.ndarray:
    """The frames of a shard, float16 [n_frames, n_channels].

    Raises:
        ResourceError: it is damaged; it is removed, so that the next run hears its files again.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as shard:
            return np.asarray(shard["frames"])
    except DAMAGED as error:
        path.unlink(missing_ok=True)
        raise ResourceError(f"{path}: damaged and removed ({error}). Run the same command again.") from error


def by_place(known: Mapping[str, tuple[Outcome, Place]], hashes: list[str]) -> dict[Path | None, list[int]]:
    """Which entries of `hashes` lie in which shard, so that each shard is read once."""
    groups: dict[Path | None, list[int]] = {}
    for entry, content_hash in enumerate(hashes):
        groups.setdefault(known[content_hash][1].shard, []).append(entry)
    return groups

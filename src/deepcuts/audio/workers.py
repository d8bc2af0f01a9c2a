"""Hearing many files on many cores: one process each, and a file that kills or stalls its process is set aside."""

import errno
import hashlib
import logging
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from multiprocessing import connection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from deepcuts.audio.decode import BadSound, SoundFacts
from deepcuts.audio.extractors import find_extractor
from deepcuts.audio.shards import Outcome
from deepcuts.audio.spool import Spool
from deepcuts.errors import ResourceError
from deepcuts.store import explain_os_error

log = logging.getLogger(__name__)

HASH_DIGITS = 32
HALF_OVERFLOWS = 65520.0  # float16 ends at 65504; from here on it rounds to infinity
STALL_SECONDS = 120.0  # of computing without a block of frames: the decoder will never end
STALLED = 75  # exit code of a worker that gave up


@dataclass(frozen=True)
class Result:
    """What became of a file.

    Attributes:
        outcome: of the file; only its hash when the result is held already (`is_known`).
        frames: float16 [n_frames, n_channels]; None when known, or when a file holds them.
        path: a file that holds the frames: of a long sound, or a shard that a task has written.
        start: the first of its rows there.
        cpu_seconds: it took.
    """

    outcome: Outcome
    frames: np.ndarray | None = None
    path: Path | None = None
    start: int = 0
    cpu_seconds: float = 0.0

    @property
    def is_known(self) -> bool:
        """Whether the result is held already."""
        return self.frames is None and self.path is None


@dataclass(frozen=True)
class Job:
    """What every worker must know.

    Attributes:
        kind, settings: of the features.
        known: hashes of the files whose results are held: these are not heard again.
        folder: where frames of long sounds are written, as `recipe`-HASH.npy; None keeps them in memory.
        recipe: of the features.
    """

    kind: str
    settings: Any
    known: Set[str]
    folder: Path | None = None
    recipe: str = ""


# (files, job) → results in the order they are ready, each with its position among the files.
Spread: TypeAlias = Callable[[Sequence[Path], Job], Iterator[tuple[int, Result]]]


def extract_file(path: Path, job: Job) -> Result:
    """Hash a file, and hear it unless its result is known. A bad file gives its reason, never an error.

    Raises:
        ResourceError: the frames of a long sound cannot be written.
    """
    began = time.process_time()
    content_hash = ""
    frames: np.ndarray | None = np.zeros((0, job.settings.n_channels), np.float16)
    held = None
    try:
        content_hash = hash_file(path)
        if content_hash in job.known:
            return Result(Outcome(content_hash))
        outcome, frames, held = _hear_new(path, job, content_hash)
    except BadSound as error:
        outcome = Outcome(content_hash, error.reason, error.detail)
    except ResourceError:
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:  # of temporary files: no fault of the sound
            raise explain_os_error(error, tempfile.gettempdir()) from error
        outcome = Outcome(content_hash, "unreadable", error.strerror or str(error))
    except Exception as error:  # noqa: BLE001 (a decoder's own failure, whatever it is: one file must not end the run)
        outcome = Outcome(content_hash, "unreadable", f"{type(error).__name__}: {error}".replace(str(path), path.name))
    return Result(outcome, frames, held, cpu_seconds=time.process_time() - began)


def _hear_new(path: Path, job: Job, content_hash: str) -> tuple[Outcome, np.ndarray | None, Path | None]:
    target = None if job.folder is None else job.folder / f"{job.recipe}-{content_hash}"
    spool = Spool(target, job.settings.n_channels)
    try:
        seconds, facts = _spool_frames(path, job, spool)
    except BaseException:
        spool.discard()
        raise
    outcome = Outcome(content_hash, "", "", spool.n_frames, round(seconds, 6), facts.rate, facts.channels)
    return outcome, *spool.close(outcome)


def _spool_frames(path: Path, job: Job, spool: Spool) -> tuple[float, SoundFacts]:
    """Hear a file into a spool; the seconds of sound and the facts of the file."""
    extractor = find_extractor(job.kind)
    if extractor.stream is None:
        frames, seconds, facts = extractor.extract(path, job.settings)
        spool.add(_as_half(path, frames))
        return seconds, facts
    stream = extractor.stream(path, job.settings)
    while True:
        try:
            spool.add(_as_half(path, next(stream)))
            _watch.beat()
        except StopIteration as end:
            seconds, facts = end.value
            return seconds, facts


class _Watch:
    """Ends this process when a file keeps it computing without giving a frame: damage can make a decoder turn for ever.

    It counts computing, not time on the clock: a busy machine or a slow disk is no fault of a file.
    """

    def __init__(self) -> None:
        self._since: float | None = None

    def beat(self) -> None:
        """Something was done."""
        if self._since is not None:
            self._since = time.process_time()

    def begin(self) -> None:
        """A file is begun."""
        self._since = time.process_time()

    def end(self) -> None:
        """It is done: waiting is no stall."""
        self._since = None

    def look(self) -> None:
        """Look for ever; for a thread."""
        while True:
            time.sleep(1)
            since = self._since
            if since is not None and time.process_time() - since > STALL_SECONDS:
                os._exit(STALLED)


_watch = _Watch()


def hash_file(path: Path) -> str:
    """The first 32 hex digits of SHA-256 of the bytes of a file; most processors have instructions for it.

    Raises:
        BadSound: the file cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise BadSound(path, "unreadable", "not a regular file")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:HASH_DIGITS]
    except OSError as error:
        raise BadSound(path, "unreadable", error.strerror or str(error)) from error


def _as_half(path: Path, frames: np.ndarray) -> np.ndarray:
    largest = max(frames.max(initial=0), -frames.min(initial=0))  # NaN where there is one
    if not largest < HALF_OVERFLOWS:
        raise BadSound(path, "not finite", f"a value of {largest:g} does not fit half precision (65504)")
    return frames.astype(np.float16)


def extract_files(paths: Sequence[Path], job: Job, jobs: int) -> Iterator[tuple[int, Result]]:
    """Results in the order they are ready, each with its place in `paths`.

    Args:
        paths: the files.
        job: what to make of them.
        jobs: processes of their own; 0 works in this one, where a decoder that crashes ends it.
    Raises:
        ResourceError: the processes cannot start.
    """
    if not jobs:
        for place, path in enumerate(paths):
            yield place, extract_file(path, job)
        return
    left = deque(enumerate(paths))
    while left:
        suspects: dict[int, Path] = {}
        try:
            yield from _hear_in_pool(left, suspects, job, jobs)
        except BrokenProcessPool:
            log.warning("a process died while hearing %s; hearing these one by one", list(map(str, suspects.values())))
            for place, path in suspects.items():
                yield place, extract_alone(path, job)


def _pool(job: Job, jobs: int) -> ProcessPoolExecutor:
    # Spawned, not forked: a fork copies the locks of libraries that hold threads, and may hang.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(job,))


def _hear_in_pool(
    left: deque[tuple[int, Path]], suspects: dict[int, Path], job: Job, jobs: int
) -> Iterator[tuple[int, Result]]:
    """Takes files from `left`; `suspects` holds those handed out and not yet back."""
    pool = _pool(job, jobs)
    running: dict[Future[Result], int] = {}
    try:
        while left or running:
            while left and len(running) < 2 * jobs:
                place, path = left.popleft()
                suspects[place] = path
                running[pool.submit(_hear, path)] = place
            ready, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ready:
                place = running.pop(future)
                result = future.result()
                del suspects[place]
                yield place, result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def extract_alone(path: Path, job: Job) -> Result:
    """`extract_file` in a process of its own, whose end tells what happened.

    Raises:
        ResourceError: the process cannot start, or cannot write.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_hear_and_send, args=(path, job, theirs), daemon=True)
    child.start()
    theirs.close()
    said: list[Any] = []
    with ours:
        try:
            while len(said) < 2:
                said.append(ours.recv())
        except EOFError:
            pass  # it died
    child.join()
    if not said:
        raise ResourceError(
            "processes cannot start. In a script, call extract below `if __name__ == '__main__':`, or pass jobs=1."
        )
    if len(said) == 2:
        if isinstance(said[1], ResourceError):
            raise said[1]
        return said[1]
    stalled = f"no sound came in {STALL_SECONDS:.0f} s of computing"
    detail = stalled if child.exitcode == STALLED else "its process died: a fault in the decoder, or out of memory"
    return Result(Outcome("", "unreadable", detail), np.zeros((0, job.settings.n_channels), np.float16))


def _hear_and_send(path: Path, job: Job, pipe: connection.Connection) -> None:
    """What a process for one file does: it says that it began, and what became of the file."""
    _begin(job)
    pipe.send("began")
    try:
        pipe.send(_hear(path))
    except ResourceError as error:
        pipe.send(error)


_job: Job | None = None


def _begin(job: Job) -> None:
    """What a worker does first."""
    global _job
    _job = job
    begin_worker()
    start_watch()


@cache
def start_watch() -> None:
    """From now on this process ends, with exit code STALLED, when `extract_watched` computes without an end."""
    threading.Thread(target=_watch.look, daemon=True).start()


def begin_worker() -> None:
    """Leave Ctrl-C to the parent, which saves and ends the pool; and end when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """A killed parent closes nothing, so its workers would wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _hear(path: Path) -> Result:
    if _job is None:
        raise RuntimeError("the worker was not set up")
    return extract_watched(path, _job)


def extract_watched(path: Path, job: Job) -> Result:
    """`extract_file` under the eyes of `start_watch`."""
    _watch.begin()
    try:
        return extract_file(path, job)
    finally:
        _watch.end()

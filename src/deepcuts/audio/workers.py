"""Hearing many files on many cores: one process each, and a file that kills its process is set aside."""

import hashlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts.audio.decode import BadSound
from deepcuts.audio.makers import find_maker
from deepcuts.audio.shards import Outcome
from deepcuts.errors import ResourceError

log = logging.getLogger(__name__)

HASH_DIGITS = 32
HALF_OVERFLOWS = 65520.0  # float16 ends at 65504; from here on it rounds to infinity


@dataclass(frozen=True)
class Result:
    """What became of a file, its frames (float16; none if set aside or known already), and the CPU seconds it took."""

    outcome: Outcome
    frames: np.ndarray | None = None
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Job:
    """What every worker must know.

    Attributes:
        kind, settings: of the features.
        known: hashes of the files whose results are held: these are not heard again.
    """

    kind: str
    settings: Any
    known: Set[str]


def hear_file(path: Path, job: Job) -> Result:
    """Hash a file, and hear it unless its result is known. A bad file gives its reason, never an error."""
    began = time.process_time()
    content_hash = ""
    half = np.zeros((0, job.settings.n_channels), np.float16)
    try:
        content_hash = hash_file(path)
        if content_hash in job.known:
            return Result(Outcome(content_hash))
        frames, seconds, facts = find_maker(job.kind).hear(path, job.settings)
        half = _as_half(path, frames)
        outcome = Outcome(content_hash, "", "", len(half), round(seconds, 6), facts.rate, facts.channels)
    except BadSound as error:
        outcome = Outcome(content_hash, error.reason, error.detail)
    except Exception as error:  # noqa: BLE001 (a decoder's own failure, whatever it is: one file must not end the run)
        outcome = Outcome(content_hash, "unreadable", f"{type(error).__name__}: {error}".replace(str(path), path.name))
    return Result(outcome, half, time.process_time() - began)


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


def hear_files(paths: Sequence[Path], job: Job, jobs: int) -> Iterator[tuple[int, Result]]:
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
            yield place, hear_file(path, job)
        return
    left = deque(enumerate(paths))
    while left:
        suspects: dict[int, Path] = {}
        try:
            yield from _hear_in_pool(left, suspects, job, jobs)
        except BrokenProcessPool:
            log.warning("a process died while hearing %s; hearing these one by one", list(map(str, suspects.values())))
            for place, path in suspects.items():
                yield place, _hear_alone(path, job)


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


def _hear_alone(path: Path, job: Job) -> Result:
    with _pool(job, 1) as pool:
        try:
            pool.submit(os.getpid).result()
        except BrokenProcessPool as error:
            raise ResourceError(
                "processes cannot start. In a script, call extract below `if __name__ == '__main__':`, or pass jobs=1."
            ) from error
        try:
            return pool.submit(_hear, path).result()
        except BrokenProcessPool:
            outcome = Outcome("", "unreadable", "its process died: a fault in the decoder, or out of memory")
            return Result(outcome, np.zeros((0, job.settings.n_channels), np.float16))


_job: Job | None = None


def _begin(job: Job) -> None:
    """What a worker does first."""
    global _job
    _job = job
    begin_worker()


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
    return hear_file(path, _job)

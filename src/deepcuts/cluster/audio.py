"""Extraction in tasks of many files: each writes its own shards, and the driver makes one artifact of them.

A task that loses its worker is run again. It takes up the shards its earlier attempts have finished, and the file that
was being heard when the worker died is heard in a process of its own: when it dies there too, the file is set aside,
as on one machine. So a killed worker costs a part of one task, and a file that kills its decoder costs no other.

Sounds and output must lie on a disk that all nodes share under the same path.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from deepcuts.audio.extract import SECONDS_BETWEEN_SHARDS
from deepcuts.audio.shards import Shelf
from deepcuts.audio.workers import Job, Result, Spread, extract_alone, extract_watched, start_watch
from deepcuts.cluster.tasks import ATTEMPTS, Cluster
from deepcuts.errors import ResourceError
from deepcuts.store import write_file

FILES_A_TASK = 256  # at most
TASKS_A_WORKER = 8  # so that workers finish together
SHARED = "shared.txt"  # holds the name of the run: a task that does not find it sees another disk


@dataclass(frozen=True)
class Batch:
    """The files of a task.

    Attributes:
        run: name of the run.
        name: of the task: begins with that of the run.
        attempt: how many workers it has lost.
        paths: of the files.
    """

    run: str
    name: str
    attempt: int
    paths: tuple[Path, ...]


def ray_spread(cluster: Cluster) -> Spread:
    """What `extract` takes as `spread` to run on a cluster."""
    return partial(_extract_on, cluster)


def _extract_on(cluster: Cluster, paths: Sequence[Path], job: Job) -> Iterator[tuple[int, Result]]:
    if job.folder is None:
        raise ValueError("tasks need a folder for their shards")
    run = os.urandom(4).hex()
    folder = job.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / SHARED, run)
    shared = cluster.put(replace(job, folder=folder))
    step = min(max(-(-len(paths) // (TASKS_A_WORKER * cluster.n_workers)), 1), FILES_A_TASK)
    firsts = range(0, len(paths), step)
    calls = ((shared, _batch(run, first, paths[first : first + step])) for first in firsts)
    for task, results in cluster.run(extract_batch, calls, attempts=step + ATTEMPTS, again=_next_attempt):
        for place, result in enumerate(results):
            yield firsts[task] + place, result


def _batch(run: str, first: int, paths: Sequence[Path]) -> Batch:
    return Batch(run, f"{run}.{first}.", 0, tuple(path.absolute() for path in paths))


def _next_attempt(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    shared, batch = arguments
    return shared, replace(batch, attempt=batch.attempt + 1)


def extract_batch(job: Job, batch: Batch) -> list[Result]:
    """A task: hear files and write their frames to shards; a result for each, whose frames lie in a file.

    Raises:
        ResourceError: the disk is full, or not the one of the driver.
    """
    folder = _shared_folder(job, batch)
    start_watch()
    shelf = Shelf(folder, job.recipe, writer=f"{batch.name}{batch.attempt}-")
    if batch.attempt:
        shelf.read(f"{batch.name}*")
    job = replace(job, known=frozenset(job.known) | shelf.known.keys())
    suspects = _suspects(folder, batch)
    results = []
    written = monotonic()
    with (folder / f"{batch.name}{batch.attempt}.now").open("w", buffering=1) as now:
        for place, path in enumerate(batch.paths):
            if place in suspects:
                result = extract_alone(path, replace(job, known=frozenset(shelf.known)))
            else:
                now.write(f"{place}\n")
                result = extract_watched(path, job)
            results.append(_keep(shelf, result))
            if monotonic() - written > SECONDS_BETWEEN_SHARDS:
                shelf.flush()
                written = monotonic()
    shelf.flush()
    return [_placed(shelf, result) for result in results]


def _shared_folder(job: Job, batch: Batch) -> Path:
    folder = Path("" if job.folder is None else job.folder)
    try:
        found = (folder / SHARED).read_text(encoding="utf-8")
    except OSError:
        found = ""
    if found != batch.run:
        raise ResourceError(
            f"{folder}: not seen by a worker. With --on, sounds and output must lie on a disk that all nodes share."
        )
    return folder


def _suspects(folder: Path, batch: Batch) -> set[int]:
    """The files at which earlier attempts of a task died: the last that each began."""
    suspects = set()
    for attempt in range(batch.attempt):
        begun = folder / f"{batch.name}{attempt}.now"
        lines = begun.read_text(encoding="utf-8").split() if begun.is_file() else []
        if lines:
            suspects.add(int(lines[-1]))
    return suspects


def _keep(shelf: Shelf, result: Result) -> Result:
    """Put the frames of a good file on the shelf; the result goes on without them."""
    if result.frames is None or not result.outcome.lasting or result.outcome.reason:
        return result
    shelf.add(result.outcome, result.frames)
    return replace(result, frames=None)


def _placed(shelf: Shelf, result: Result) -> Result:
    """The result with the place of its frames, when this task or an earlier attempt of it has written them."""
    if not result.is_known or result.outcome.content_hash not in shelf.known:
        return result
    outcome, place = shelf.known[result.outcome.content_hash]
    return replace(result, outcome=outcome, path=place.shard, start=place.start)

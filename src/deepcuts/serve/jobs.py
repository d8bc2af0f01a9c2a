"""Long work of a server, one piece after another in the background, with progress that can be watched."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from queue import Queue
from typing import Any

from deepcuts.errors import DeepcutsError

log = logging.getLogger(__name__)

KEPT = 200  # finished jobs that can still be asked for


@dataclass
class Job:
    """A piece of work.

    Attributes:
        done, total: files.
        state: "waiting", "running", "done" or "failed".
        results: one for each file, in order: what it became, or its error.
        error: why the whole job failed.
    """

    job_id: str
    total: int
    done: int = 0
    state: str = "waiting"
    results: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    changed: threading.Condition = field(default_factory=threading.Condition, repr=False)

    def tell(self) -> dict[str, Any]:
        """For an answer."""
        return {"job_id": self.job_id, "state": self.state, "done": self.done, "total": self.total,
                "results": list(self.results), "error": self.error}  # fmt: skip

    def step(self, result: dict[str, Any]) -> None:
        """One file is done."""
        with self.changed:
            self.results.append(result)
            self.done += 1
            self.changed.notify_all()

    def become(self, state: str, error: str = "") -> None:
        """Change the state."""
        with self.changed:
            self.state, self.error = state, error
            self.changed.notify_all()

    def watch(self, seconds: float = 15.0) -> Iterator[dict[str, Any]]:
        """What it is now, and again on every change, until it has ended; at the latest after some seconds."""
        seen = (-1, "")
        while True:
            with self.changed:
                self.changed.wait_for(lambda seen=seen: (self.done, self.state) != seen, timeout=seconds)  # type: ignore[misc]
                seen = (self.done, self.state)
                progress = self.tell()
            yield progress
            if progress["state"] in ("done", "failed"):
                return


class Jobs:
    """Work one job after another, in one thread."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._queue: Queue[tuple[Job, Callable[[Job], None]]] = Queue()
        threading.Thread(target=self._work, daemon=True).start()

    def start(self, total: int, work: Callable[[Job], None]) -> Job:
        """Queue a job of `total` files."""
        job = Job(uuid.uuid4().hex, total)
        self._jobs[job.job_id] = job
        for old in list(self._jobs)[:-KEPT]:
            if self._jobs[old].state in ("done", "failed"):
                del self._jobs[old]
        self._queue.put((job, work))
        return job

    def get(self, job_id: str) -> Job | None:
        """A job by id."""
        return self._jobs.get(job_id)

    def all(self) -> list[Job]:
        """All jobs, newest first."""
        return list(self._jobs.values())[::-1]

    def _work(self) -> None:
        while True:
            job, work = self._queue.get()
            job.become("running")
            try:
                work(job)
                job.become("done")
            except DeepcutsError as error:
                job.become("failed", str(error))
            except Exception as error:
                log.exception("job %s", job.job_id)
                job.become("failed", f"{type(error).__name__}: a fault of ours; the server's log says more.")
            time.sleep(0)

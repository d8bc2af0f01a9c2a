"""The threads of the C loops: one crew for the whole process, and one counted hold on the threads of BLAS.

A caller works on its own blocks of rows, and threads of the crew that are idle help it. So a lone caller has every
processor, several callers share them, and nobody waits for a thread to start.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy  # noqa: F401 - loaded first, so that its BLAS is found
import scipy.linalg  # noqa: F401 - and scipy's, which is another copy
from threadpoolctl import ThreadpoolController

from deepcuts.kernels.native import default_threads

Block = tuple[int, int]  # rows, from the first up to, not including, the second
WORTH_THREADS = 1_000_000  # floats to walk over: below, waking another thread costs more than it saves
MOST_THREADS = 256  # of a crew; they start when they are first needed
# Libraries are looked for here and not when they are first needed: the search holds the lock of the dynamic loader
# while it waits for the interpreter's, and another thread that imports an extension holds them the other way round.
LIBRARIES = ThreadpoolController()


class Crew:
    """Threads shared by all callers. Safe from several threads, from work that calls again, and after a fork."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.n_working = 0
        self.pool: ThreadPoolExecutor | None = None

    def run(self, work: Callable[[Block], None], blocks: list[Block], n_threads: int) -> None:
        """Do `work` on every block, in this thread and in at most n_threads - 1 others that are idle.

        Raises:
            whatever `work` raises first; blocks not yet begun are left.
        """
        waiting = iter(blocks)  # next() of a list's iterator is safe from several threads
        failed = threading.Event()

        def take() -> None:
            for block in waiting:
                if failed.is_set():
                    return
                try:
                    work(block)
                except BaseException:
                    failed.set()
                    raise

        n_helpers = self._borrow(min(n_threads, len(blocks)))
        helpers: list[Future[None]] = []
        try:
            helpers = [self._threads().submit(take) for _ in range(n_helpers)]
            take()
        finally:
            begun = [helper for helper in helpers if not helper.cancel()]
            errors = [error for helper in begun if (error := helper.exception())]
            self._give_back(n_helpers)
        if errors:
            raise errors[0]

    def _borrow(self, n_threads: int) -> int:
        """Count this caller in, and the helpers that it may have."""
        with self.lock:
            idle = max(n_threads, default_threads()) - self.n_working - 1
            n_helpers = max(min(n_threads - 1, idle), 0)
            self.n_working += n_helpers + 1
            return n_helpers

    def _give_back(self, n_helpers: int) -> None:
        with self.lock:
            self.n_working -= n_helpers + 1

    def _threads(self) -> ThreadPoolExecutor:
        with self.lock:
            if self.pool is None:
                self.pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="crew")
            return self.pool


_crew = Crew()


def _begin_anew() -> None:
    """A forked process has none of its parent's threads, and perhaps a lock that one of them held."""
    global _crew, _blas_hold
    _crew, _blas_hold = Crew(), BlasHold()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def each(work: Callable[[Block], None], blocks: list[Block], n_threads: int | None, n_floats: int) -> None:
    """Do `work` on every block of rows, in several threads when there are `n_floats` enough to be worth it.

    Threads take blocks as they come free.

    Args:
        n_threads: at most so many; None takes all processors, or OMP_NUM_THREADS where set.
    """
    n_threads = n_threads or default_threads()
    if n_threads == 1 or len(blocks) == 1 or n_floats < WORTH_THREADS:
        for block in blocks:
            work(block)
        return
    _crew.run(work, blocks, n_threads)


def every(n: int, step: int, begin: int = 0) -> list[Block]:
    """The blocks from `begin` to `n`, of `step` each; the last one may be shorter."""
    return [(first, min(first + step, n)) for first in range(begin, n, step)]


class BlasHold:
    """One hold on BLAS for all callers in the process, counted.

    The first of several concurrent callers takes it, the last gives it back, so BLAS is never left at one thread.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.n_callers = 0
        self.limiter: Any = None

    def enter(self) -> None:
        """Count a caller in."""
        with self.lock:
            if self.n_callers == 0:
                self.limiter = LIBRARIES.limit(limits=1, user_api="blas")
                self.limiter.__enter__()
            self.n_callers += 1

    def leave(self) -> None:
        """Count a caller out."""
        with self.lock:
            self.n_callers -= 1
            if self.n_callers == 0:
                self.limiter.__exit__(None, None, None)
                self.limiter = None


_blas_hold = BlasHold()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread: its threads wait for each other, so one busy neighbour holds up all; ours do not.

    It also makes the bits independent of the number of threads.
    """
    hold = _blas_hold
    hold.enter()
    try:
        yield
    finally:
        hold.leave()

"""The loops written in C: which are there, which run, and in how many threads.

Each is an extension of its own, built where a compiler was found at installation, with a readable twin in Python that
runs otherwise. DEEPCUTS_KERNEL=numpy forces the twins; =c refuses to run without the C loops.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from threadpoolctl import ThreadpoolController

from deepcuts.errors import SettingError

log = logging.getLogger(__name__)

LOOPS = ("_als", "_lines", "_maxpool", "_places", "_scan", "_words")
WORTH_THREADS = 1_000_000  # floats to walk over: below, starting threads costs more than they save


@cache
def built(name: str) -> ModuleType | None:
    """The extension of that name, or None when it was not built."""
    try:
        return import_module(f"deepcuts.kernels.{name}")
    except ImportError:
        return None


def loop(name: str) -> ModuleType | None:
    """The extension to run, or None for its twin: it was not built, or DEEPCUTS_KERNEL=numpy.

    Args:
        name: one of LOOPS.
    Raises:
        SettingError: DEEPCUTS_KERNEL is neither c nor numpy, or c and the extension was not built.
    """
    wanted = os.environ.get("DEEPCUTS_KERNEL", "")
    if wanted not in ("", "c", "numpy"):
        raise SettingError(f"DEEPCUTS_KERNEL = {wanted!r}: expected c or numpy.")
    if wanted == "numpy":
        return None
    module = built(name)
    if module is None:
        if wanted == "c":
            raise SettingError(
                "DEEPCUTS_KERNEL = 'c': the C loops were not built. Install a C compiler, then deepcuts."
            )
        _warn_once()
    return module


@cache
def _warn_once() -> None:
    log.warning(
        "the C loops were not built, so some stages take several times longer. Install gcc or clang, then again"
    )


def backend() -> str:
    """Which loops run, for `doctor`: "c (avx512, 2 threads)" or "numpy"."""
    modules = [loop(name) for name in LOOPS]
    missing = [name for name, module in zip(LOOPS, modules, strict=True) if module is None]
    if len(missing) == len(LOOPS):
        return "numpy"
    best = next(module for module in modules if module).instructions()[-1]
    but = f"; numpy for {', '.join(name.strip('_') for name in missing)}" if missing else ""
    return f"c ({best}, {default_threads()} threads){but}"


def default_threads() -> int:
    """OMP_NUM_THREADS where it is set, else every processor this process may use."""
    setting = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if setting.isdigit() and int(setting) > 0:
        return int(setting)
    return n_cores()


def n_cores() -> int:
    """Processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread: its threads wait for each other, so one busy neighbour holds up all; ours do not.

    It also makes the bits independent of the number of threads. The hold is counted: the first of several concurrent
    callers takes it, the last gives it back, so BLAS is never left at one thread.
    """
    _blas_hold.enter()
    try:
        yield
    finally:
        _blas_hold.leave()


class _BlasHold:
    """One hold on BLAS for all callers in the process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.n_callers = 0
        self.limiter: Any = None

    def enter(self) -> None:
        with self.lock:
            if self.n_callers == 0:
                self.limiter = _libraries().limit(limits=1, user_api="blas")
                self.limiter.__enter__()
            self.n_callers += 1

    def leave(self) -> None:
        with self.lock:
            self.n_callers -= 1
            if self.n_callers == 0:
                self.limiter.__exit__(None, None, None)
                self.limiter = None


_blas_hold = _BlasHold()


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def each(
    work: Callable[[tuple[int, int]], None], blocks: list[tuple[int, int]], n_threads: int | None, n_floats: int
) -> None:
    """Do `work` on every block of rows, in several threads when there are `n_floats` enough to be worth it.

    Threads take blocks as they come free.
    """
    n_threads = n_threads or default_threads()
    if n_threads == 1 or len(blocks) == 1 or n_floats < WORTH_THREADS:
        for block in blocks:
            work(block)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(work, blocks))


def every(n: int, step: int, begin: int = 0) -> list[tuple[int, int]]:
    """The blocks from `begin` to `n`, of `step` each; the last one may be shorter."""
    return [(first, min(first + step, n)) for first in range(begin, n, step)]

"""The loops written in C: which are there, which run, and in how many threads (`crew.py` holds the threads).

Each is an extension of its own, built where a compiler was found at installation, with a readable twin in Python that
runs otherwise. DEEPCUTS_KERNEL=numpy forces the twins; =c refuses to run without the C loops.
"""

import logging
import os
from functools import cache
from importlib import import_module
from types import ModuleType

from deepcuts.errors import SettingError

log = logging.getLogger(__name__)

LOOPS = ("_als", "_lines", "_places", "_scan")


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

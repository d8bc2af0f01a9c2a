"""What hears new songs in a server: an encoder in a process of its own, which a hostile file may crash or fill.

The child stays up between songs, so a song costs no start; it is ended when a song takes too long or too much memory,
and the next song gets a new one.
"""

import logging
import multiprocessing
import resource
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from deepcuts.artifacts import Bundle, SongFactors
from deepcuts.errors import DeepcutsError, InputError

log = logging.getLogger(__name__)

MOST_SECONDS = 120.0  # of work on one file
MOST_BYTES = 4 << 30  # of memory in the child, its libraries included


def hearing_of(bundle: Bundle) -> "ChildHearing | None":
    """What hears new songs for a model; None where it holds no encoder."""
    return ChildHearing(bundle.encoder) if bundle.encoder is not None else None


class ChildHearing:
    """An encoder in a child process.

    Args:
        encoder: its folder.
    """

    def __init__(self, encoder: Path) -> None:
        self.encoder = encoder
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def __call__(self, path: Path) -> SongFactors:
        """Predicted factors of a sound file."""
        song: SongFactors = self.heard(path).song
        return song

    def heard(self, path: Path) -> Any:
        """Predicted factors of a sound file and of its windows.

        Raises:
            InputError: it cannot be heard, took too long or too much memory, or crashed its decoder.
        """
        with self._lock:
            pool = self._started()
            try:
                found = pool.submit(_hear, str(path)).result(MOST_SECONDS)
            except TookTooLong as error:
                self._end()
                raise InputError(f"{path.name}: took longer than {MOST_SECONDS:.0f} s. Is it a song?") from error
            except BrokenProcessPool as error:
                self._end()
                raise InputError(f"{path.name}: crashed its decoder, or needed too much memory.") from error
        if isinstance(found, str):
            raise InputError(found)
        return found

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(str(self.encoder),))
        return self._pool

    def _end(self) -> None:
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):
                process.kill()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()


_hearing: Any = None


def _begin(encoder: str) -> None:
    """What the child does first."""
    global _hearing
    from deepcuts.audio.workers import end_with_parent
    from deepcuts.chain.hear import Hearing

    threading.Thread(target=end_with_parent, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES * 4, MOST_BYTES * 4))
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    _hearing = Hearing.load(Path(encoder))


def _hear(path: str) -> Any:
    """The sound, heard; or what is wrong with it."""
    try:
        return _hearing.heard(Path(path))
    except DeepcutsError as error:
        return str(error)
    except MemoryError:
        return f"{Path(path).name}: needs too much memory."

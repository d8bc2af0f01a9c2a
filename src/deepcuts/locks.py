"""One writer at a time: a lock beside each folder, which the system drops when its holder ends, however it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deepcuts.errors import ArtifactError, explain_os_error

SECONDS_TO_WAIT = 5.0  # for another writer of the same folder


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold a folder for a whole long stage: a second run that would write the same folder is told who holds it.

    Raises:
        ArtifactError: another process holds it.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with only_writer(folder.with_name(f"{folder.name}.run"), folder):
        yield


@contextmanager
def only_writer(folder: Path, named: Path | None = None) -> Iterator[None]:
    """Hold the lock of a folder: `.NAME.lock` beside it, which names its holder.

    Args:
        named: the folder that the message names; `folder` when left out.

    Raises:
        ArtifactError: another process holds it for longer than SECONDS_TO_WAIT.
        ResourceError: the lock cannot be written.
    """
    path = folder.with_name(f".{folder.name}.lock")
    until = time.monotonic() + SECONDS_TO_WAIT
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise explain_os_error(error, named or folder) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            if time.monotonic() > until:
                holder = _text_of(path) or "another process"
                raise ArtifactError(
                    f"{named or folder}: is being written by {holder}. Wait for it to end, or choose another -o."
                ) from None
            time.sleep(0.05)
            continue
        if _is_still(path, handle):
            break
        os.close(handle)  # the last holder removed the file after we opened it
    try:
        with suppress(OSError):  # a full disk: the lock holds all the same, and only cannot name its holder
            os.truncate(handle, 0)
            os.write(handle, f"process {os.getpid()}".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _is_still(path: Path, handle: int) -> bool:
    try:
        return os.fstat(handle).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Whether a process of that number runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

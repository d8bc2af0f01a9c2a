"""Frames of one file on their way: few stay in memory, many go to a file of their own in the work folder.

A three-hour song has 120 MB of frames. Kept, sent to the parent and joined they would be there four times; written
where the parent finds them, they are never in memory at once. A long file's frames are `RECIPE-HASH.npy`, and
`RECIPE-HASH.json`, written last, says what they are.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import IO

import numpy as np

from deepcuts.audio.shards import Outcome
from deepcuts.errors import ResourceError
from deepcuts.store import DAMAGED, explain_os_error

MOST_IN_MEMORY = 16 << 20  # bytes of frames: 25 minutes of log-mel


class Spool:
    """Blocks of frames (float16) of one file, in order.

    Args:
        target: the file to write when there are many, without its suffix; None keeps all in memory.
        n_channels: of a frame.
    """

    def __init__(self, target: Path | None, n_channels: int) -> None:
        self.target, self.n_channels = target, n_channels
        self.n_frames = 0
        self._held: list[np.ndarray] = []
        self._n_bytes = 0
        self._file: IO[bytes] | None = None

    def add(self, block: np.ndarray) -> None:
        """Take a block [n, n_channels].

        Raises:
            ResourceError: disk full or not writable.
        """
        self.n_frames += len(block)
        self._n_bytes += block.nbytes
        self._held.append(block)
        if self.target is not None and self._n_bytes > MOST_IN_MEMORY:
            self._write_held()

    def _write_held(self) -> None:
        if self.target is None:
            return
        try:
            if self._file is None:
                self.target.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._scratch.open("wb")
                self._write_header()
            for block in self._held:
                self._file.write(np.ascontiguousarray(block).data)
        except OSError as error:
            self.discard()
            raise explain_os_error(error, self.target.parent) from error
        self._held, self._n_bytes = [], 0

    def _write_header(self) -> None:
        """NumPy leaves room in a header for the first axis to grow, so it can be written again."""
        if self._file is not None:
            header = {"descr": "<f2", "fortran_order": False, "shape": (self.n_frames, self.n_channels)}
            np.lib.format.write_array_header_1_0(self._file, header)

    def close(self, outcome: Outcome) -> tuple[np.ndarray | None, Path | None]:
        """All frames [n_frames, n_channels], or the file that holds them.

        Raises:
            ResourceError: disk full or not writable.
        """
        if self._file is None or self.target is None:
            return (np.concatenate(self._held) if self._held else np.zeros((0, self.n_channels), np.float16)), None
        self._write_held()
        path = self.target.with_name(self.target.name + ".npy")
        try:
            self._file.seek(0)
            self._write_header()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._scratch.rename(path)
            index = self._scratch.with_suffix(".index.partial")
            index.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
            index.rename(path.with_suffix(".json"))
        except OSError as error:
            self.discard()
            raise explain_os_error(error, path.parent) from error
        return None, path

    def discard(self) -> None:
        """Forget the frames, and remove what was written."""
        self._held = []
        if self._file is not None:
            self._file.close()
            self._scratch.unlink(missing_ok=True)

    @property
    def _scratch(self) -> Path:
        target = self.target or Path("frames")
        return target.with_name(f"{target.name}.npy.{os.getpid()}.partial")


def copy_rows(path: Path, start: int, n: int, into: IO[bytes]) -> None:
    """Write rows of a spooled file behind one another, a few megabytes at a time.

    Raises:
        ResourceError: the file is damaged; it is removed, so that the next run hears its sound again.
    """
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            (n_frames, n_channels), _, kind = np.lib.format.read_array_header_1_0(file)
            size = n_channels * kind.itemsize
            if start + n > n_frames or path.stat().st_size < file.tell() + n_frames * size:
                raise ValueError(f"it holds fewer than {start + n} frames")
            file.seek(start * size, os.SEEK_CUR)
            left = n * size
            while left:
                piece = file.read(min(left, 1 << 22))
                if not piece:
                    raise ValueError("it ends early")
                into.write(piece)
                left -= len(piece)
    except DAMAGED as error:
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)
        raise ResourceError(f"{path}: damaged and removed ({error}). Run the same command again.") from error

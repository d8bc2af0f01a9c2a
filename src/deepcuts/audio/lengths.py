"""How long uncompressed sound says that it is: W64, RF64, CAF and AU, whose decoders take a cut file for a shorter one.

Each has the same answer: where the samples begin, and how many bytes of them the header states.
"""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

UNKNOWN = (0, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)  # lengths that a program writes which does not know yet
Stated = tuple[int, int] | None  # place of the first sample in the file, bytes


def stated_bytes(path: Path, start: int, head: bytes) -> Stated:
    """Where the samples of a file begin and how many bytes its header states; None when it states nothing.

    Args:
        path: the file.
        start: where the sound file begins in it.
        head: its first bytes from there on, at least 4.
    """
    reader = READERS.get(head[:4])
    if reader is None:
        return None
    with path.open("rb") as file:
        stated = reader(file, start)
    return None if stated is None or stated[1] in UNKNOWN else stated


def _w64(file: BinaryIO, start: int) -> Stated:
    """Chunks of a 16-byte name and an 8-byte length that counts itself, on multiples of 8."""
    at = start + 40
    while name := _read(file, at, 16):
        length = _little(file, at + 16, 8)
        if name[:4] == b"data":
            return at + 24, length - 24
        if length < 24:
            return None
        at += -(-length // 8) * 8
    return None


def _rf64(file: BinaryIO, start: int) -> Stated:
    """A WAV whose `ds64` chunk, the first, holds the lengths: of the file, of the samples."""
    length = _little(file, start + 28, 8) if _read(file, start + 12, 4) == b"ds64" else 0
    at = start + 12
    while name := _read(file, at, 4):
        if name == b"data":
            return at + 8, length
        size = _little(file, at + 4, 4)
        at += 8 + size + size % 2
    return None


def _caf(file: BinaryIO, start: int) -> Stated:
    """Chunks of a 4-byte name and an 8-byte length, large byte first; four bytes stand before the samples."""
    at = start + 8
    while name := _read(file, at, 4):
        length = int.from_bytes(_read(file, at + 4, 8), "big")
        if name == b"data":
            return at + 16, length if length in UNKNOWN else length - 4
        at += 12 + length
    return None


def _au(file: BinaryIO, start: int) -> Stated:
    """Place and length stand at the beginning."""
    begin, length = (int.from_bytes(_read(file, start + at, 4), "big") for at in (4, 8))
    return start + begin, length


def _read(file: BinaryIO, at: int, n: int) -> bytes:
    if at >= 1 << 62:  # no file is so long, and no seek reaches so far
        return b""
    file.seek(at)
    return file.read(n)


def _little(file: BinaryIO, at: int, n: int) -> int:
    return int.from_bytes(_read(file, at, n), "little")


READERS: dict[bytes, Callable[[BinaryIO, int], Stated]] = {
    b"riff": _w64, b"RF64": _rf64, b"caff": _caf, b".snd": _au,
}  # fmt: skip

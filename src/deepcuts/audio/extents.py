"""Where the sound lies in a file, and what its container says wrongly: decoders then see a file as it should be.

Most files are one extent, the whole file, opened by name. Others are read through a view: a tag in front of a wav is
skipped, chained Ogg streams and joined files are read one after another, and a wav or aiff whose header states no
size, or that of an empty file, gets the size that is there. What is missing at the end of a file is said: libsndfile
takes a wav without its end for a shorter one, and FFmpeg calls half an MP4 "invalid data".
"""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deepcuts.audio.lengths import stated_bytes

# Programs that cannot seek back write a placeholder near these; real files of 2 GiB end elsewhere.
PLACEHOLDERS = ((0x7FFF_0000, 0x8000_1000), (0xFFFF_0000, 0xFFFF_FFFF))
MISSING_SHARE = 0.02  # of the stated bytes: headers round, and some are a little too large
BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"meta", b"uuid", b"udta", b"mfra", b"sidx",
         b"styp", b"emsg", b"pdin", b"ssix", b"prft")  # fmt: skip
BEHIND_ID3 = (b"RIFF", b"RF64", b"FORM", b"OggS", b"fLaC", b"caff", b"riff")
FIRST_PAGE, LAST_PAGE = 2, 4  # flags of an Ogg page
# How a sound file begins that stands behind an MP3 or FLAC, neither of which says where it ends: marker, its place.
BEGINNINGS = ((b"fLaC\0\0\0\x22", 0), (b"OggS\0\2", 0), (b"WAVEfmt ", 8))
TAGGED_MP3 = ((b"ID3\3\0\0", 0), (b"ID3\4\0\0", 0))  # behind a FLAC; in an MP3 they are no beginning to FFmpeg
PIECE = 1 << 20  # bytes searched at a time
LEAST_ZEROS = 4096  # bytes at the end of a compressed file that are no accident


@dataclass(frozen=True)
class Extent:
    """A part of a file that holds one stream of sound.

    Attributes:
        path: the file.
        start, end: its bytes; end None is the end of the file.
        patches: place in the extent → bytes that stand there instead.
    """

    path: Path
    start: int = 0
    end: int | None = None
    patches: tuple[tuple[int, bytes], ...] = field(default=())

    @property
    def is_whole(self) -> bool:
        """Whether it is the file as it is."""
        return self.start == 0 and self.end is None and not self.patches

    def open(self) -> "_View":
        """A file object over these bytes."""
        return _View(self)


class _View(io.RawIOBase):
    """A read-only file over an extent."""

    def __init__(self, extent: Extent) -> None:
        self._file = extent.path.open("rb")
        end = extent.end if extent.end is not None else os.fstat(self._file.fileno()).st_size
        self._extent, self._length, self._at = extent, max(end - extent.start, 0), 0
        self.name = extent.path.name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._length)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def __len__(self) -> int:
        return self._length

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        size = max(0, min(len(view), self._length - self._at))
        data = bytearray(os.pread(self._file.fileno(), size, self._extent.start + self._at))
        for place, new in self._extent.patches:
            for at, byte in enumerate(new, start=place - self._at):
                if 0 <= at < len(data):
                    data[at] = byte
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def extents_of(path: Path, head: bytes) -> tuple[list[Extent], str]:
    """The parts of a file that hold sound, and why its end must be missing ("" when nothing says so).

    Args:
        path: the file.
        head: its first bytes, at least 16.
    """
    return _parts(path, 0, path.stat().st_size, head)


Parts = tuple[list[Extent], str]


def _parts(path: Path, start: int, size: int, head: bytes) -> Parts:
    """`extents_of` from some byte on."""
    if head[:3] == b"ID3" and len(head) >= 10:
        behind = _bytes(path, start + id3_length(head), 16)
        if not behind.startswith(BEHIND_ID3):
            return _until_next(path, start, size, start + id3_length(head))
        start, head = start + id3_length(head), behind
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _chunked(path, start, size, b"data", "little")
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _chunked(path, start, size, b"SSND", "big")
    if head[4:8] == b"ftyp":
        return _boxed(path, start, size)
    if head[:4] == b"OggS":
        return _ogg(path, start, size)
    if head[:4] == b"fLaC" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
        return _until_next(path, start, size, start)
    stated = stated_bytes(path, start, head)
    return [Extent(path, start)], "" if stated is None else _lacks(stated[1], size - stated[0])


def _lacks(length: int, there: int) -> str:
    """Why a stated length cannot be that of a whole file; "" when it can."""
    missing = length - there
    return f"the header says {length} bytes of sound, {missing} are missing" if missing > MISSING_SHARE * length else ""


def _joined(first: Extent, then: int, size: int) -> Parts:
    """An extent that ends where another file begins, and the parts of that."""
    more, cut = _parts(first.path, then, size, _bytes(first.path, then, 16))
    return [Extent(first.path, first.start, then, first.patches), *more], cut


def _until_next(path: Path, start: int, size: int, begin: int) -> Parts:
    """A stream without an end of its own: to where another file begins, or to the end."""
    flac = _bytes(path, begin, 4) == b"fLaC"
    then = _next_beginning(path, begin + 4, (*BEGINNINGS, *TAGGED_MP3) if flac else BEGINNINGS)
    return ([Extent(path, start)], "") if then is None else _joined(Extent(path, start), then, size)


def _next_beginning(path: Path, at: int, beginnings: tuple[tuple[bytes, int], ...]) -> int | None:
    """The first place from `at` on where another sound file begins."""
    longest = max(len(marker) for marker, _ in beginnings)
    with path.open("rb") as file:
        file.seek(at)
        held = b""
        while piece := file.read(PIECE):
            held += piece
            found = [at + where - before for marker, before in beginnings if (where := held.find(marker)) >= 0]
            if found and _is_sound(path, min(found)):
                return min(found)
            at += max(len(held) - longest, 0)
            held = held[-longest:]
    return None


def _is_sound(path: Path, at: int) -> bool:
    """Whether sound begins at a place where its marker stands: behind an ID3 tag there must be a frame of an MP3."""
    head = _bytes(path, at, 10)
    if head[:3] != b"ID3":
        return True
    behind = _bytes(path, at + id3_length(head), 2)
    return behind[:1] == b"\xff" and behind[1:] >= b"\xe0"


def zeros_at_end(path: Path) -> int:
    """Bytes of zero at the end of a file: room that a download reserved and never filled."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for end in range(size, 0, -PIECE):
            begin = max(end - PIECE, 0)
            file.seek(begin)
            kept = len(file.read(end - begin).rstrip(b"\0"))
            if kept:
                return size - begin - kept
    return size


def id3_length(tag: bytes) -> int:
    """Bytes of an ID3v2 tag, header and footer included; its length is four bytes of seven bits."""
    footer = 10 if tag[5] & 0x10 else 0
    return 10 + footer + sum((byte & 0x7F) << (7 * (3 - place)) for place, byte in enumerate(tag[6:10]))


def _bytes(path: Path, start: int, n: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(n)


# ---- WAV and AIFF: chunks of name, length (4 bytes each) and content, padded to even ----


def _chunked(path: Path, start: int, size: int, wanted: bytes, order: Literal["little", "big"]) -> Parts:
    for at, name, length in _chunks(path, start, size, order):
        if name != wanted:
            continue
        there = size - at
        missing = length - there
        if _says_nothing(length, there) or _is_stub(path, at, length, size, order):
            return [Extent(path, start, None, ((at - 4 - start, _number(there, order)),))], ""
        if cut := _lacks(length, there):
            return [Extent(path, start)], cut
        patch = ((at - 4 - start, _number(there, order)),) if missing > 0 else ()
        whole = Extent(path, start, None, patch)
        then = _file_behind(path, at + length, size, order)
        return ([whole], "") if then is None else _joined(whole, then, size)
    return [Extent(path, start)], ""


def _file_behind(path: Path, at: int, size: int, order: Literal["little", "big"]) -> int | None:
    """Where a second file begins among the chunks from `at` on."""
    for place, name, _ in _chunks(path, at + at % 2 - 12, size, order):
        if name in (b"RIFF", b"FORM") and _bytes(path, place, 4) in (b"WAVE", b"AIFF", b"AIFC"):
            return place - 8
        if name in (b"fLaC", b"OggS") or (name[:3] == b"ID3" and _is_sound(path, place - 8)):
            return place - 8
    return None


def _number(value: int, order: Literal["little", "big"]) -> bytes:
    return min(value, 0xFFFF_FFFF).to_bytes(4, order)


def _says_nothing(length: int, there: int) -> bool:
    """Whether a length is a placeholder that some bytes more than are there."""
    return length > there and any(low <= length <= high for low, high in PLACEHOLDERS)


def _is_stub(path: Path, at: int, length: int, size: int, order: Literal["little", "big"]) -> bool:
    """Whether a length of next to nothing stands before sound: what follows it is no chunk."""
    after = at + length + length % 2
    if length > 64 or after + 8 > size:
        return False
    behind = _bytes(path, after, 8)
    is_chunk = behind[:4].isascii() and behind[:4].decode("ascii").isprintable()
    return not (is_chunk and after + 8 + int.from_bytes(behind[4:], order) <= size + 1)


def _chunks(path: Path, start: int, size: int, order: Literal["little", "big"]) -> Iterator[tuple[int, bytes, int]]:
    """(place of the content, name, length) of each chunk."""
    with path.open("rb") as file:
        at = start + 12
        while at + 8 <= size:
            file.seek(at)
            name, length = file.read(4), int.from_bytes(file.read(4), order)
            yield at + 8, name, length
            at += 8 + length + length % 2


# ---- MP4: boxes of length (4 bytes, or 1 then 8 more), name and content; 0 means to the end of the file ----


def _boxed(path: Path, start: int, size: int) -> Parts:
    whole, at = Extent(path, start), start
    with path.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            length, name = int.from_bytes(file.read(4), "big"), file.read(4)
            if name == b"ftyp" and at > start:
                return _joined(whole, at, size)
            if name not in BOXES:
                return [whole], ""  # what taggers and mail programs leave behind the last box
            if length == 1:
                length = int.from_bytes(file.read(8), "big")
            if length < 8:
                return [whole], ""  # 0 reaches to the end of the file; others are no boxes: let the decoder judge
            at += length
            if at > size:
                return [whole], f"its {name.decode('latin-1')} box lacks {at - size} bytes"
    return [whole], ""


# ---- Ogg: pages; streams may follow one another in a chain ----


def _ogg(path: Path, start: int, size: int) -> Parts:
    """One extent for each stream of a chain. The last page must say that it is the last, and be whole."""
    begins, flags, end, before = [start], LAST_PAGE, start, FIRST_PAGE
    with path.open("rb") as file:
        for at, flag, length in _pages(file, start, size):
            if flag & FIRST_PAGE and not before & FIRST_PAGE and at > start:
                begins.append(at)
            before = flags = flag
            end = at + length
    parts = [Extent(path, begin, after) for begin, after in zip(begins, [*begins[1:], None], strict=True)]
    if end > size:
        return parts, f"the last Ogg page lacks {end - size} bytes"
    if not flags & LAST_PAGE:
        return parts, "no page says that it is the last: the end is missing"
    return parts, ""


def _pages(file: io.BufferedReader, at: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(place, flags, length) of each page; bytes that are no page end the walk."""
    while at + 27 <= size:
        file.seek(at)
        header = file.read(27)
        if header[:4] != b"OggS":
            return
        table = file.read(header[26])
        if len(table) < header[26]:
            yield at, header[5], 27 + header[26] + 1
            return
        length = 27 + len(table) + sum(table)
        yield at, header[5], length
        at += length
    if 0 < size - at < 27:
        yield at, 0, 27


def xing_frames(path: Path, start: int = 0) -> int | None:
    """How many frames the length header (Xing or Info) of an MP3 counts; None when there is none.

    It stands inside the first frame, behind an ID3v2 tag that may hold a cover picture of megabytes.
    """
    tag = _bytes(path, start, 10)
    frame = _bytes(path, start + (id3_length(tag) if tag[:3] == b"ID3" and len(tag) == 10 else 0), 300)
    for name in (b"Xing", b"Info"):
        found = frame.find(name)
        if found >= 0 and len(frame) >= found + 12 and frame[found + 7] & 1:
            return int.from_bytes(frame[found + 8 : found + 12], "big")
    return None

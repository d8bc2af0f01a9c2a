"""What the bytes of a sound file say about its length, where the decoders do not ask.

libsndfile takes a WAV or AIFF whose end is missing for a shorter one, and FFmpeg says "invalid data" of half an MP4.
A half-downloaded file would pass as a short song or as no song, so the sizes in the headers are compared with the
size of the file. Sizes that a program writing to a pipe leaves behind (near 2^31 or 2^32) say nothing.
"""

from pathlib import Path
from typing import Literal

# Programs that cannot seek back write a placeholder near these; real files of 2 GiB end elsewhere.
PLACEHOLDERS = ((0x7FFF_0000, 0x8000_1000), (0xFFFF_0000, 0xFFFF_FFFF))


def cut_short(path: Path, head: bytes) -> str:
    """Why the end of a file must be missing, or "" when its header gives no such sign.

    Args:
        path: the file.
        head: its first bytes.
    """
    size = path.stat().st_size
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _chunk_cut(path, size, b"data", "little")
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _chunk_cut(path, size, b"SSND", "big")
    if head[4:8] == b"ftyp":
        return _box_cut(path, size)
    if head[:4] == b"OggS":
        return _page_cut(path, size)
    return ""


def _chunk_cut(path: Path, size: int, wanted: bytes, order: Literal["little", "big"]) -> str:
    """WAV and AIFF: chunks of name, length (4 bytes each) and content, padded to even."""
    with path.open("rb") as file:
        at = 12
        while at + 8 <= size:
            file.seek(at)
            name, length = file.read(4), int.from_bytes(file.read(4), order)
            if name != wanted:
                at += 8 + length + length % 2
                continue
            missing = at + 8 + length - size
            if missing <= 0 or any(low <= length <= high for low, high in PLACEHOLDERS):
                return ""
            return f"the header says {length} bytes of sound, {missing} are missing"
    return ""


def _box_cut(path: Path, size: int) -> str:
    """MP4: boxes of length (4 bytes, or 1 then 8 more), name and content; 0 means to the end of the file."""
    with path.open("rb") as file:
        at = 0
        while at + 8 <= size:
            file.seek(at)
            length, name = int.from_bytes(file.read(4), "big"), file.read(4)
            if length == 1:
                length = int.from_bytes(file.read(8), "big")
            if length < 8:
                return ""  # 0 reaches to the end of the file; others are no boxes: let the decoder judge
            at += length
            if at > size:
                return f"its {name.decode('latin-1')} box lacks {at - size} bytes"
    return ""


def _page_cut(path: Path, size: int) -> str:
    """Ogg: the last page states its own length. A stream that was cut ends within a page, nearly always."""
    with path.open("rb") as file:
        file.seek(max(0, size - (1 << 17)))
        tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return ""
    page = tail[at:]
    n_segments = page[26] if len(page) > 26 else 0
    table = page[27 : 27 + n_segments]
    missing = 27 + n_segments + sum(table) - len(page) if len(table) == n_segments else 1
    return f"the last Ogg page lacks {missing} bytes" if len(page) < 27 or missing > 0 else ""


def xing_frames(path: Path) -> int | None:
    """How many frames the length header (Xing or Info) of an MP3 counts; None when there is none.

    It stands inside the first frame, behind an ID3v2 tag that may hold a cover picture of megabytes.
    """
    with path.open("rb") as file:
        tag = file.read(10)
        # The length of the tag is four bytes of seven bits.
        length = 10 + sum((byte & 0x7F) << (7 * (3 - place)) for place, byte in enumerate(tag[6:10]))
        file.seek(length if tag[:3] == b"ID3" else 0)
        frame = file.read(300)
    for name in (b"Xing", b"Info"):
        found = frame.find(name)
        if found >= 0 and len(frame) >= found + 12 and frame[found + 7] & 1:
            return int.from_bytes(frame[found + 8 : found + 12], "big")
    return None

"""What a reader gives, and how bytes become lines: blocks of whole lines; UTF-8, other lines in Windows-1252."""

import csv
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
from scipy import sparse

from deepcuts.artifacts import Plays, Tags, Vocabulary
from deepcuts.data.archives import member_names, members, open_bytes, open_source
from deepcuts.errors import InputError

BLOCK_BYTES = 8 * 2**20  # the allocator keeps memory of this size and does not fetch it anew for each block
UNDEFINED = {0x81, 0x8D, 0x8F, 0x90, 0x9D}  # bytes that Windows-1252 leaves free
LONGEST_LINE = 2**20  # bytes
LONGEST_QUOTED = 2**16  # bytes between two double quotes
MOST_QUOTED_LINES = 10  # lines that a quoted cell may run over

__all__ = ["Reading", "member_names", "members", "open_bytes", "open_source"]


@dataclass(frozen=True)
class Reading:
    """What a reader of raw data gives.

    Attributes:
        plays: who played what how often, with the songs table.
        tags: rows in the order of `plays.songs`; None when the source has none.
        notes: what happened on the way, such as "rows read" or "duplicate rows summed". Nothing is left out untold.
    """

    plays: Plays
    tags: Tags | None = None
    notes: dict[str, int] = field(default_factory=dict)


def blocks(
    stream: IO[bytes], *, start: bytes = b"", quotes: str = "", where: str = "", line: int = 1, size: int = BLOCK_BYTES
) -> Iterator[bytes]:
    """The stream in blocks of whole lines, about `size` bytes each; CR LF and a lone CR become LF.

    Args:
        start: bytes that were read already and come first.
        quotes: the separator when cells may stand in double quotes: then a block never ends inside a pair of them.
        where: the file, for messages.
        line: the number of the first line.
    Raises:
        InputError: a line or a quoted cell without end (names the line where it began).
    """
    rest, done = start, False
    while not done:
        data = stream.read(size)
        done = not data
        rest, data = b"", rest + data
        cut = len(data) if done else last_line_end(data)
        data, rest = (data[:cut], data[cut:]) if cut < len(data) else (data, b"")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if quotes and b'"' in data:
            end = _end_outside_quotes(data, quotes, done, where, line)
            data, rest = data[:end], data[end:] + rest
        _check_lengths(data, rest, where, line)
        if data:
            yield data
            line += data.count(b"\n")


def last_line_end(data: bytes) -> int:
    """The place after the last line end; a CR at the very end may be half of a CR LF."""
    return data.rfind(b"\n") + 1 or data.rfind(b"\r", 0, max(len(data) - 1, 0)) + 1


def _check_lengths(data: bytes, rest: bytes, where: str, line: int) -> None:
    at = 0
    while len(data) - at > LONGEST_LINE:
        end = data.rfind(b"\n", at, at + LONGEST_LINE)
        if end < 0:
            raise _too_long(where, line + data.count(b"\n", 0, at))
        at = end + 1
    if len(rest) > LONGEST_LINE + BLOCK_BYTES or (len(rest) > LONGEST_LINE and last_line_end(rest) == 0):
        raise _too_long(where, line + data.count(b"\n"))


def _too_long(where: str, line: int) -> InputError:
    return InputError(f"{where}:{line}: the line is longer than {LONGEST_LINE:,} bytes. Check that it is a table.")


def quoted_cells(data: bytes, separator: str) -> Iterator[re.Match[bytes]]:
    """Every cell in double quotes: group "open" is its first quote, "close" its last (empty when it never closes).

    Quotes in the middle of a cell (`12" mix`) are text. Time is linear, however many quotes there are.
    """
    part = re.escape(separator.encode())
    blanks = b"" if separator == " " else rb" *+"
    pattern = rb"(?:^|(?<=\n)|(?<=" + part + rb"))" + blanks + rb'(?P<open>")[^"]*+(?:""[^"]*+)*+(?P<close>"?)'
    return re.finditer(pattern, data)


def _end_outside_quotes(data: bytes, separator: str, done: bool, where: str, line: int) -> int:
    """Where the last line ends that no quoted cell runs over.

    Raises:
        InputError: a quoted cell runs too far.
    """
    end, safe = data.rfind(b"\n") + 1, len(data) if done else data.rfind(b"\n") + 1
    for cell in quoted_cells(data, separator):
        begin, stop = cell.start("open"), cell.end()
        n_lines = data.count(b"\n", begin, min(stop, begin + LONGEST_QUOTED))
        closed = bool(cell["close"])
        if n_lines > MOST_QUOTED_LINES or stop - begin > LONGEST_QUOTED or (done and not closed):
            at = line + data.count(b"\n", 0, begin)
            raise InputError(
                f"{where}:{at}: a double quote opens here and does not close within {MOST_QUOTED_LINES} lines. "
                "Close it, or pass --set quotes=no if quotes are part of the text."
            )
        if not done and (not closed or (n_lines and begin < end <= stop)):
            safe = data.rfind(b"\n", 0, begin) + 1
    return safe


def ahead(items: Iterator[bytes]) -> Iterator[bytes]:
    """The same, each one fetched by a thread while the one before is worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def strip_mark(start: bytes, where: str) -> bytes:
    """The start of a text without the UTF-8 byte order mark that Excel puts there.

    Raises:
        InputError: the mark of UTF-16.
    """
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{where}: the text is UTF-16, expected UTF-8 (or Windows-1252). Save it as UTF-8.")
    return start.removeprefix(b"\xef\xbb\xbf")


def decode_lines(data: bytes) -> tuple[list[str], int]:
    """Lines as text, without their ends, and how many were read as Windows-1252 because they are not UTF-8.

    The two are mixed in real files, so each line is decided by itself.
    """
    pieces = data.split(b"\n")
    if not pieces[-1]:
        pieces.pop()
    lines, n_other = [], 0
    for piece in pieces:
        try:
            line = piece.decode("utf-8")
        except UnicodeDecodeError:
            line = piece.decode("cp1252", "backslashreplace") if not set(piece) & UNDEFINED else piece.decode("latin-1")
            n_other += 1
        lines.append(line.removesuffix("\r"))
    return lines, n_other


def split_cells(lines: Iterable[str], separator: str, quoted: bool) -> Any:
    """A `csv.reader` over lines, with or without double quotes."""
    if quoted:
        return csv.reader(lines, delimiter=separator, skipinitialspace=separator != " ", strict=True)
    return csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)


def read_lines(path: Path | str, member: str | None = None) -> tuple[list[str], int]:
    """All lines of a file that fits in memory, decoded by `decode_lines`.

    Raises:
        InputError, ResourceError: as `open_bytes`.
    """
    with open_bytes(path, member) as stream:
        return decode_lines(strip_mark(stream.read(), f"{path}"))


def read_fields(
    path: Path | str, n_fields: int, member: str | None = None, header: int = 1
) -> tuple[pl.DataFrame, int]:
    """A small TAB table whose lines all have `n_fields` fields: columns "0", "1", ... of text.

    Returns:
        The table, and how many lines are not UTF-8.
    Raises:
        InputError: a line with another number of fields (names its number).
    """
    lines, n_latin1 = read_lines(path, member)
    rows = []
    for number, line in enumerate(lines[header:], start=header + 1):
        if not line:
            continue
        fields = line.split("\t")
        if len(fields) != n_fields:
            where = f"{path}/{member}" if member else f"{path}"
            raise InputError(f"{where}:{number}: {len(fields)} columns, expected {n_fields}. Fix the line.")
        rows.append(fields)
    return pl.DataFrame(rows, schema={str(i): pl.String for i in range(n_fields)}, orient="row"), n_latin1


def make_tags(songs: Vocabulary, rows: pl.DataFrame) -> Tags | None:
    """Tags of `songs` from rows (song_id, tag, weight); the greatest weight of a pair counts.

    Rows of other songs, without a tag or with a weight not above 0, are left out. Tags are in the order of their names.

    Returns:
        Tags with one row a song, or None when no row is left.
    """
    rows = rows.select(
        pl.col("song_id").cast(pl.String), pl.col("tag").cast(pl.String), pl.col("weight").cast(pl.Float32)
    )
    rows = rows.filter((pl.col("weight") > 0) & pl.col("weight").is_finite() & (pl.col("tag").fill_null("") != ""))
    rows = rows.with_columns(song=songs.find(rows["song_id"])).filter(pl.col("song") >= 0)
    if rows.is_empty():
        return None
    rows = rows.group_by("song", "tag").agg(pl.col("weight").max()).sort("song", "tag")
    tags = Vocabulary(rows["tag"].unique().sort(), "tag")
    place = (rows["song"].to_numpy(), tags.find(rows["tag"]))
    weights = sparse.coo_array((rows["weight"].to_numpy().astype(np.float32), place), shape=(len(songs), len(tags)))
    return Tags(songs, tags, weights.tocsr())

"""How a text table is laid out, judged from its first 200 rows: separator, quotes, header, lines before the table."""

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from deepcuts.data.kinds import what_is
from deepcuts.data.reading import LONGEST_LINE, decode_lines, last_line_end, split_cells, strip_mark
from deepcuts.errors import InputError

SAMPLE_ROWS = 200
CANDIDATES = "\t;,|"
TIME = re.compile(r"\d{4}[-/]\d\d[-/]\d\d([T ]\d|$)|\d{1,2} [A-Z][a-z]{2,8} \d{4}")
EARLIEST, LATEST = 788_918_400, 32_503_680_000  # unix seconds of 1995 and 3000, for what looks like a time
TYPE_SUFFIX = re.compile(r":(token|float|token_seq|float_seq)$")  # RecBole

# Layouts that people have as headerless files: number of columns → (name, pattern of columns, what to type).
LASTFM_1K = "--set header=no --set columns=user,time,artist_id,artist,-,track --set time=time --set time_unit=iso"
LASTFM_360K = "--set header=no --set columns=user,-,artist,plays"


@dataclass(frozen=True)
class Sniffed:
    """How a text table is laid out.

    Attributes:
        separator: one character.
        quoted: cells may stand in double quotes.
        names: the columns' names from the header line, or None without one.
        rows: the first rows after the header, split.
        header: the header line as it is in the file, without its line end; empty without one.
        n_columns: cells in most rows.
        n_head: lines before the first row, the header among them.
        n_notes: of these, blank lines, comments and other lines that are no part of the table.
        start: the sample without those lines.
    """

    separator: str
    quoted: bool
    names: list[str] | None
    rows: list[list[str]]
    header: bytes
    n_columns: int
    n_head: int
    n_notes: int
    start: bytes


def sniff(
    sample: bytes,
    whole: bool,
    *,
    separator: str = "auto",
    quotes: str = "auto",
    header: str = "auto",
    known: Collection[str] = (),
    where: str = "",
) -> Sniffed:
    """How a text table is laid out.

    Args:
        sample: the first bytes of the file.
        whole: the sample is the whole file.
        separator: one character, or "auto".
        quotes, header: "yes", "no" or "auto".
        known: column names that mark a header, in the form of `plain_name`.
    Raises:
        InputError: empty, not text, one line without end, or only one column.
    """
    data, tail = _whole_lines(sample, whole, where)
    lines, n_head = decode_lines(data)[0], 0
    if not any(line.strip() for line in lines):
        raise InputError(f"{where}: the file is empty. Check that it was written whole.")
    while not lines[n_head].strip() or lines[n_head].lower().startswith("sep="):
        declared = lines[n_head].strip()[4:5]
        if declared and separator == "auto":
            separator = declared if declared != "\\" else "\t"
        n_head += 1
        if n_head == len(lines):
            raise InputError(f"{where}: contains no rows. Check that it was written whole.")
    body = [line for line in lines[n_head : n_head + 2 * SAMPLE_ROWS] if line.strip() and not line.startswith("#")]
    body = body or lines[n_head : n_head + 1]
    if separator == "auto":
        separator = guess_separator(body[:SAMPLE_ROWS], quotes, where)
    quoted = quotes == "yes" or (quotes == "auto" and separator != "\t")
    n_columns = modal(split_rows(body[:SAMPLE_ROWS], separator, quoted))
    n_head = _first_of_table(lines, n_head, separator, quoted, n_columns, known)
    first = split_rows(
        [lines[n_head].removeprefix("#").lstrip() if lines[n_head].startswith("#") else lines[n_head]],
        separator,
        quoted,
    )[0]
    has_header = header == "yes" or (header == "auto" and looks_like_header(first, known))
    n_notes, n_head = n_head, n_head + int(has_header)
    at = _offset(data, n_head)
    rows = split_rows([line for line in lines[n_head : n_head + SAMPLE_ROWS] if line.strip()], separator, quoted)
    names = column_names(first) if has_header else None
    line = data[_offset(data, n_head - 1) : at].rstrip(b"\n") if has_header else b""
    n_columns = len(first) if has_header else n_columns
    return Sniffed(separator, quoted, names, rows, line, n_columns, n_head, n_notes, data[at:] + tail)


def _whole_lines(sample: bytes, whole: bool, where: str) -> tuple[bytes, bytes]:
    """The whole lines of the sample with LF ends and without byte order mark; and the rest."""
    kind = what_is(sample[:512])
    if kind is not None and kind != "parquet":
        raise InputError(f"{where}: is {kind}, not a table. `deepcuts data what FILE` says which command reads it.")
    sample = strip_mark(sample, where)
    if b"\0" in sample[:4096]:
        raise InputError(f"{where}: contains zero bytes, so it is not text in UTF-8. Save it as UTF-8 text.")
    cut = len(sample) if whole else last_line_end(sample)
    if not cut and sample:
        raise InputError(f"{where}:1: the line is longer than {LONGEST_LINE:,} bytes. Check that it is a table.")
    return sample[:cut].replace(b"\r\n", b"\n").replace(b"\r", b"\n"), sample[cut:]


def _offset(data: bytes, n_lines: int) -> int:
    at = 0
    for _ in range(n_lines):
        at = data.find(b"\n", at) + 1 or len(data)
    return at


def split_rows(lines: Sequence[str], separator: str, quoted: bool) -> list[list[str]]:
    """Rows of cells; it stops without a word where quotes are broken, since the reader itself names the line."""
    rows = []
    try:
        for cells in split_cells((line + "\n" for line in lines), separator, quoted):
            rows.append(cells)
    except csv.Error:
        pass
    if not rows and lines:  # the first line itself has broken quotes
        rows = [next(iter(split_cells(io.StringIO(lines[0]), separator, False)))]
    return rows


def modal(rows: Sequence[Sequence[str]]) -> int:
    """The number of cells that most rows have; the greater in a tie."""
    counts = Counter(map(len, rows))
    return max(counts, key=lambda n: (counts[n], n))


def guess_separator(lines: Sequence[str], quotes: str, where: str) -> str:
    """The separator that cuts most lines into the same number of cells (two or more); blanks only if nothing else.

    Raises:
        InputError: nothing cuts the lines.
    """
    scores = {}
    for one in CANDIDATES:
        rows = split_rows(lines, one, quotes == "yes" or (quotes == "auto" and one != "\t"))
        n = modal(rows)
        share = sum(len(row) == n for row in rows) / len(rows)
        scores[one] = (share if n > 1 else 0.0, n)
    best = max(CANDIDATES, key=lambda one: scores[one])
    if scores[best][0] >= 0.5:
        return best
    words = split_rows(lines, " ", quotes != "no")
    n = modal(words)
    if n > 1 and sum(len(row) == n for row in words) >= 0.5 * len(words):
        return " "
    if scores[best][0] > 0:
        return best
    raise InputError(
        f"{where}:1: {lines[0][:60]!r} has only one column. Name what separates the columns with --set separator=..."
    )


def _first_of_table(
    lines: Sequence[str], n_head: int, separator: str, quoted: bool, n_columns: int, known: Collection[str]
) -> int:
    """The number of lines before the header or first row: comments, and lines of a single cell."""
    for at in range(n_head, min(len(lines), n_head + 50)):
        line = lines[at]
        cells = split_rows([line], separator, quoted)[0] if line.strip() else []
        if line.startswith("#"):
            names = split_rows([line[1:].lstrip()], separator, quoted)[0] if line[1:].strip() else []
            if len(names) == n_columns and any(plain_name(c) in known for c in names):
                return at
            if len(cells) == n_columns and n_columns > 1 and not looks_like_header(cells, known):
                return at
            continue
        if len(cells) > 1 or (cells and n_columns == 1):
            return at
    return n_head


def column_names(cells: Sequence[str]) -> list[str]:
    """The names in a header line: without blanks around them, and without the types that RecBole writes."""
    names = [cell.strip().strip("\ufeff") for cell in cells]
    if all(TYPE_SUFFIX.search(name) for name in names):
        names = [TYPE_SUFFIX.sub("", name) for name in names]
    return names


def plain_name(name: str) -> str:
    """A column name in small letters without blanks, dashes, underscores and RecBole's types."""
    return re.sub(r"[\s_\-.]", "", TYPE_SUFFIX.sub("", name.strip().strip("\ufeff")).lower())


def looks_like_header(cells: Sequence[str], known: Collection[str]) -> bool:
    """A first line is a header when no cell is a number or a time; or when most of its cells are known names."""
    n_known = sum(plain_name(cell) in known for cell in cells)
    if any(is_number(cell) or TIME.match(cell.strip()) for cell in cells):
        return n_known >= max(2, len(cells) / 2)
    return True


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def looks_like_time(cells: Sequence[str]) -> bool:
    """Whether every cell of a column is a date or a number that is a unix time in s, ms, us or ns."""

    def one(cell: str) -> bool:
        if is_number(cell):
            return any(EARLIEST <= float(cell) / scale <= LATEST for scale in (1, 1e3, 1e6, 1e9))
        return TIME.match(cell.strip()) is not None

    return bool(cells) and all(map(one, cells))


def ask_for_names(found: Sniffed, where: str) -> InputError:
    """A headerless table that is not guessed: what to type, with the columns of well-known files where they fit."""
    columns = [[row[i] for row in found.rows if i < len(row)] for i in range(found.n_columns)]
    timed = [looks_like_time(column) for column in columns]
    numbers = [bool(column) and all(map(is_number, column)) for column in columns]
    if found.n_columns == 6 and timed[1]:
        said = f"It looks like Last.fm-1K: read it with `deepcuts data events` and {LASTFM_1K}."
    elif found.n_columns == 4 and numbers[3] and not timed[3]:
        said = f"If it is Last.fm-360K, read it with `deepcuts data table` and {LASTFM_360K}."
    else:
        names = [("time" if t else "plays" if n else "-") for t, n in zip(timed, numbers, strict=True)]
        texts = [i for i, name in enumerate(names) if name == "-"]
        for i, name in zip(texts, ("user", "artist", "track") if len(texts) > 2 else ("user", "song"), strict=False):
            names[i] = name
        said = f"For example: --set header=no --set columns={','.join(names)} (write - for a column to leave out)."
    first = " | ".join(found.rows[0])[:80] if found.rows else ""
    return InputError(
        f"{where}: {found.n_columns} columns without a header line (the first row is {first!r}), and which is which is "
        f"not guessed. Name them in their order. {said}"
    )

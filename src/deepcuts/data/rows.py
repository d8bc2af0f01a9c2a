"""Rows of (user, song, plays[, time]) from delimited text of any length, in bounded memory and with true line numbers.

A file goes through in blocks of whole lines. A block of nothing but plain triplets (the Taste Profile is all that) is
split by a C loop, any other by polars; only when something in it is wrong (a cell that does not parse, a ragged line,
bytes that are not UTF-8) is that one block split again by the slower `csv` module, which knows line numbers. Ids become
numbers of 4 bytes, so 48 million rows stay under a gigabyte until they are summed.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import polars as pl

from deepcuts.artifacts import Plays
from deepcuts.artifacts.rows import Numbered, same_form
from deepcuts.data.judge import BROKEN_ID, COMMENT, CORE, MOST_EXACT, RAGGED, judge, keep_good
from deepcuts.data.reading import ahead, blocks, decode_lines, open_bytes, quoted_cells, split_cells, strip_mark
from deepcuts.errors import InputError
from deepcuts.kernels import native
from deepcuts.progress import progress

FOLD_ROWS = 64_000_000


@dataclass(frozen=True)
class Layout:
    """Where a delimited file keeps what.

    Attributes:
        separator: one character.
        n_columns: fields of a full line; a line with more is ragged.
        places: our name → position: "user_id", "song_id", perhaps "plays" and "time", and extra song columns.
        quoted: fields may stand in double quotes.
        time_unit: "s", "ms", "us", "ns" or "iso".
        decimal: "point", "comma", "auto" or "ask" (see `as_numbers`).
    """

    separator: str
    n_columns: int
    places: Mapping[str, int]
    quoted: bool = False
    time_unit: str = "s"
    decimal: str = "auto"


def read_rows(
    path: Path | str,
    layout: Layout,
    notes: Counter[str],
    *,
    skip_bad: bool = False,
    header_lines: int = 0,
    member: str | None = None,
) -> Iterator["pl.DataFrame | Numbers"]:
    """Good rows of a delimited file, block after block: user_id, song_id (categories), plays, first int64, extras.

    The rows of all blocks of plain triplets come last, as one `Numbers`.

    Args:
        notes: counted up as rows go by.
        skip_bad: leave bad rows out and note them; else the first one is an error.
    Raises:
        InputError: a bad row (names file, line and cell), or an empty file.
    """
    where = f"{path}/{member}" if member else f"{path}"
    with open_bytes(path, member) as stream:
        start = b"" if header_lines else strip_mark(stream.read(3), where)
        for _ in range(header_lines):
            stream.readline()
        yield from rows_of(stream, layout, notes, start=start, line=header_lines + 1, where=where, skip_bad=skip_bad)


def rows_of(
    stream: IO[bytes],
    layout: Layout,
    notes: Counter[str],
    *,
    start: bytes = b"",
    line: int = 1,
    where: str = "",
    header: bytes = b"",
    skip_bad: bool = False,
) -> Iterator["pl.DataFrame | Numbers"]:
    """As `read_rows`, from an open stream.

    Args:
        start: bytes that were read already and come first.
        line: the number of the first line.
        header: the header line; where it comes again (files joined by `cat`) it is dropped and counted.
    """
    plain = PlainTriplets(layout.separator) if PlainTriplets.suit(layout) else None
    quotes = layout.separator if layout.quoted else ""
    with progress("read", unit="MB") as bar:
        for block in ahead(blocks(stream, start=start, quotes=quotes, where=where, line=line)):
            bar.advance(len(block) / 1e6)
            block = drop_joints(block, header, notes)
            n_lines = plain.take(block) if plain is not None else 0
            if n_lines:
                notes["rows read"] += n_lines
            else:
                yield keep_good(_split(block, layout, line, where, notes), notes, skip_bad=skip_bad, where=f"{where}:")
            line += block.count(b"\n")
        if plain is not None and plain.n_rows:
            yield plain.give()


def drop_joints(block: bytes, header: bytes, notes: Counter[str]) -> bytes:
    """The block without what `cat` leaves between files: byte order marks and repeated header lines (made blank)."""
    if b"\xef\xbb\xbf" in block:
        block = re.sub(rb"(?:(?<=\n)|^)(?:\xef\xbb\xbf)+", b"", block)
    if header and header in block:
        lines = block.split(b"\n")
        n = lines.count(header)
        notes["repeated header lines dropped"] += n
        block = b"\n".join(b"" if line == header else line for line in lines) if n else block
    return block


def _split(block: bytes, layout: Layout, line: int, where: str, notes: Counter[str]) -> pl.DataFrame:
    """The block split by polars, or by the slower csv module where anything in it is out of the ordinary."""
    frame = None
    if b"\0" not in block and not (layout.quoted and has_odd_quotes(block, layout.separator)):
        frame = _split_fast(block, layout)
    if frame is None or frame["reason"].null_count() < frame.height:
        frame, n_other = _split_carefully(block, layout, line, where)
        notes["lines decoded as Windows-1252"] += n_other
    return frame


def has_odd_quotes(block: bytes, separator: str) -> bool:
    """Whether a block has quotes inside of unquoted cells, after blanks, with line ends between or text after them."""
    n_quotes = block.count(b'"')
    if not n_quotes:
        return False
    after = (separator.encode(), b"\n", b"")
    for cell in quoted_cells(block, separator):
        if cell.start() < cell.start("open") or b"\n" in cell[0] or block[cell.end() : cell.end() + 1] not in after:
            return True
        n_quotes -= cell[0].count(b'"')
    return n_quotes > 0


class PlainTriplets:
    """Rows of plain user, song, count lines, split by a C loop and held as numbers until they are given.

    A block with any other line is refused whole: an id that is empty, quoted or not printable ASCII, a count that is 0
    or not 1 to 9 digits, a field more or less, an empty line, Windows line ends. What is taken is what `_split_fast`
    would take.
    """

    def __init__(self, separator: str) -> None:
        lines: Any = native.loop("_lines")
        self._table = lines.Table()
        self._separator = ord(separator)
        self._held: list[np.ndarray] = []
        self._room = np.empty((3, 0), dtype=np.int32)
        self.n_rows = 0

    @staticmethod
    def suit(layout: Layout) -> bool:
        """May lines of this layout be plain triplets, and is the C loop there?"""
        in_order = layout.n_columns == 3 and layout.places == {"user_id": 0, "song_id": 1, "plays": 2}
        return in_order and layout.separator in "\t,;| " and native.loop("_lines") is not None

    def take(self, block: bytes) -> int:
        """Split a block of whole lines and hold its rows: how many, or 0 where some line is not plain."""
        if b" " in block and self._has_blanks_around(block):
            return 0
        most = (len(block) + 5) // 6  # no line is shorter
        if most > self._room.shape[1]:
            self._room = np.empty((3, most), dtype=np.int32)
        n: int = self._table.split(block, self._separator, *self._room) or 0
        if n and self._room[2, :n].max() > MOST_EXACT:
            return 0
        if n:
            self._held.append(self._room[:, :n].copy())
            self.n_rows += n
        return n

    def _has_blanks_around(self, block: bytes) -> bool:
        part = bytes([self._separator])
        around = (b" \n", b"\n ") if part == b" " else (b" " + part, part + b" ", b" \n", b"\n ")
        return block.startswith(b" ") or any(pair in block for pair in around)

    def give(self) -> "Numbers":
        """All rows held; after it none is."""
        held, self._held, self.n_rows = self._held, [], 0
        user, song, count = (np.concatenate([rows[i] for rows in held]) for i in range(3))
        names = [pl.Series(self._table.ids(i).decode("ascii").split("\n")[:-1], dtype=pl.String) for i in (0, 1)]
        return Numbers(Numbered(names[0], user), Numbered(names[1], song), count)


class Numbers(NamedTuple):
    """Rows whose ids are numbered already; plays int32."""

    user_id: Numbered
    song_id: Numbered
    plays: np.ndarray

    def frame(self) -> pl.DataFrame:
        """As other rows are kept: with categories."""
        ids = {name: getattr(self, name) for name in ("user_id", "song_id")}
        categories = {name: names.cast(pl.Categorical).gather(numbers) for name, (names, numbers) in ids.items()}
        return pl.DataFrame({**categories, "plays": self.plays})


def _split_fast(block: bytes, layout: Layout) -> pl.DataFrame | None:
    """The block split by polars, or None when it is not regular enough for that."""
    schema = {f"{i}": pl.String() for i in range(layout.n_columns)}
    try:
        cells = pl.read_csv(
            block,
            has_header=False,
            schema=schema,
            separator=layout.separator,
            quote_char='"' if layout.quoted else None,
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, UnicodeDecodeError):
        return None
    picked = cells.select(pl.col(f"{i}").alias(name) for name, i in layout.places.items())
    return judge(picked, layout.time_unit, decimal=layout.decimal)


def _split_carefully(block: bytes, layout: Layout, first_line: int, where: str) -> tuple[pl.DataFrame, int]:
    """The block split by the csv module, with line numbers; and how many lines were not UTF-8."""
    lines, n_other = decode_lines(block)
    reader = split_cells((line + "\n" for line in lines), layout.separator, layout.quoted)
    needed = max(i for name, i in layout.places.items() if name in CORE)
    columns: dict[str, list[Any]] = {name: [] for name in ("line", *layout.places, "reason", "n_found")}
    before = 0
    try:
        for cells in reader:
            if reader.line_num - before > 1:
                _refuse_swallowed_rows(cells, lines[before : reader.line_num], layout, f"{where}:{first_line + before}")
            n_found = len(cells)
            if any(cell.strip() for cell in cells):
                ragged = n_found > layout.n_columns or n_found <= needed
                for name, i in layout.places.items():
                    columns[name].append(cells[i] or None if i < n_found and not ragged else None)
                columns["line"].append(first_line + before)
                is_comment = ragged and cells[0].startswith("#")
                columns["reason"].append(COMMENT if is_comment else RAGGED if ragged else None)
                columns["n_found"].append(n_found)
                if not ragged and any("\n" in cells[layout.places[name]] for name in ("user_id", "song_id")):
                    _add_lines_lost(columns, first_line + before + 1, first_line + reader.line_num)
            before = reader.line_num
    except csv.Error as error:
        raise InputError(f"{where}:{first_line + before}: {_explain_quotes(error, lines[before])}") from error
    schema: dict[str, Any] = dict.fromkeys(columns, pl.String) | {"line": pl.Int64, "n_found": pl.Int64}
    frame = pl.DataFrame(columns, schema=schema)
    return judge(frame, layout.time_unit, n_columns=layout.n_columns, decimal=layout.decimal), n_other


def _add_lines_lost(columns: dict[str, list[Any]], first: int, stop: int) -> None:
    """The lines that an id in quotes runs over are rows lost: each is named and counted by itself."""
    for line in range(first, stop):
        for name, cells in columns.items():
            cells.append({"line": line, "reason": BROKEN_ID, "n_found": 0}.get(name))


def _refuse_swallowed_rows(cells: list[str], lines: list[str], layout: Layout, where: str) -> None:
    """Refuse a quoted cell over several lines of which one is a whole row: its quotes belong to two other cells.

    Raises:
        InputError: names the line where the quote opened.
    """
    full = layout.n_columns - 1
    in_first_cell = "\n" in cells[0]
    inner = any(line.count(layout.separator) == full for line in lines[1:-1])
    if inner or (not in_first_cell and lines[-1].count(layout.separator) >= full):
        raise InputError(
            f"{where}: a double quote opens here and closes {len(lines) - 1} lines later, over lines that are rows "
            "themselves. Close it, or pass --set quotes=no if quotes are part of the text."
        )


def _explain_quotes(error: csv.Error, line: str) -> str:
    if "field limit" in str(error):
        return "a cell is longer than 131,072 characters. Check the quotes, or pass --set quotes=no."
    if '\\"' in line:
        return 'a quote inside a cell is written \\" (as MySQL does), expected "". Export with doubled quotes.'
    return (
        "text follows a closing double quote. Quotes inside a quoted cell are written twice; "
        "pass --set quotes=no if quotes are part of the text."
    )


def plays_from_rows(
    frames: Iterable["pl.DataFrame | Numbers"],
    notes: Counter[str],
    where: str,
    settings: Mapping[str, Any],
    songs_table: pl.DataFrame | None = None,
    events: bool = False,
) -> Plays:
    """Plays from frames of good rows; rows of the same pair are summed and noted.

    Args:
        events: each row is one play, so that its time is kept, not only the first of its pair.
        songs_table: what is known of songs by `song_id`; None takes it from the frames' extra columns.
    Raises:
        InputError: no row is left.
    """
    columns, songs = _gather(frames, fold=not events)
    if not len(columns.get("plays", ())):
        skipped = sum(n for reason, n in notes.items() if reason.startswith("rows skipped"))
        found = f"every one of {skipped} rows was skipped" if skipped else "contains no rows"
        raise InputError(f"{where}: {found}. Check the file and the settings.")
    n_good = notes["rows read"] - sum(n for reason, n in notes.items() if reason.startswith("rows skipped"))
    table = songs if songs_table is None else songs_table
    ids = columns.pop("user_id"), columns.pop("song_id")
    (users, n_users), (items, n_items) = (same_form(column) for column in ids)
    if n_users + n_items:
        notes["ids that differ only in their Unicode form joined"] = n_users + n_items
    first = columns.get("first")
    made = Plays.from_pairs(
        users,
        items,
        columns.pop("plays"),
        first_played=first,
        songs_table=table,
        settings=settings,
        keep_times=events and first is not None,
    )
    notes["duplicate rows summed"] = n_good - made.n_plays
    return made


def _gather(frames: Iterable[pl.DataFrame | Numbers], fold: bool) -> tuple[dict[str, Any], pl.DataFrame | None]:
    """The columns of all rows, and the extra columns by song. Long event logs are summed on the way to bound memory."""
    held: list[pl.DataFrame] = []
    songs: pl.DataFrame | None = None
    n_new = 0
    for frame in frames:
        if isinstance(frame, Numbers):  # the last there is
            if not held:
                return frame._asdict(), None
            frame = frame.frame()
        extras = [name for name in frame.columns if name not in ("user_id", "song_id", "plays", "first")]
        if extras:
            songs = _merge_songs(songs, frame.select(pl.col("song_id").cast(pl.String), *extras))
        held.append(frame.drop(extras))
        n_new += frame.height
        if n_new >= FOLD_ROWS and (fold or "first" not in frame.columns):
            held, n_new = [_sum_pairs(_stack(held))], 0
    rows = _stack(held) if held else pl.DataFrame()
    return {column.name: column for column in rows}, songs


def _stack(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """One frame of all; counts are whole numbers only where they are in every one."""
    if all(frame.columns == frames[0].columns for frame in frames):
        return pl.concat(frames, how="vertical_relaxed")
    return pl.concat(frames, how="diagonal_relaxed")  # parts of which some lack a column


def _merge_songs(songs: pl.DataFrame | None, new: pl.DataFrame) -> pl.DataFrame:
    """What is known of each song: the first text that is not empty, column by column."""
    both = new if songs is None else pl.concat([songs, new], how="diagonal")
    return both.group_by("song_id", maintain_order=True).agg(pl.all().drop_nulls().first())


def _sum_pairs(rows: pl.DataFrame) -> pl.DataFrame:
    wanted = [pl.col("plays").sum()] + ([pl.col("first").min()] if "first" in rows.columns else [])
    return rows.group_by("user_id", "song_id", maintain_order=True).agg(wanted)

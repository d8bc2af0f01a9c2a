"""Rows of (user, song, plays[, time]) from delimited text of any length, in bounded memory and with true line numbers.

A file goes through in blocks of whole lines. A block of nothing but plain triplets (the Taste Profile is all that) is
split by a C loop, any other by polars; only when something in it is wrong (a cell that does not parse, a ragged line,
bytes that are not UTF-8) is that one block split again by the slower `csv` module, which knows line numbers. Ids become
numbers of 4 bytes, so 48 million rows stay under a gigabyte until they are summed.
"""

import csv
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import polars as pl

from deepcuts.artifacts import Plays
from deepcuts.artifacts.plays import Numbered, same_form
from deepcuts.data.reading import ahead, blocks, decode_lines, open_bytes, quoted_cells, split_cells, strip_mark
from deepcuts.errors import InputError
from deepcuts.kernels import native
from deepcuts.progress import progress

FOLD_ROWS = 64_000_000
EARLIEST_SECONDS = 788_918_400  # 1995-01-01: nobody's listening was logged before
MOST_EXACT = 2**24  # plays are kept in float32, which is exact for whole numbers up to here
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
DATES = ("%Y-%m-%d", "%d %b %Y", "%d %B %Y", "%b %d %Y")
CLOCKS = (" %H:%M:%S%.f", " %H:%M", "", " %H:%M:%S%.f%z", " %H:%M%z")
ISO_FORMATS = tuple(date + clock for date in DATES for clock in CLOCKS)
CORE = ("user_id", "song_id", "plays", "time")
NOTED = ("reason", "line", "n_found", "n_columns", "plays_text", "time_text", "time_unit")
ARTIST = "artist_of_song_id"  # an artist's name that is a part of the song id
RESERVED = {*CORE, *NOTED, ARTIST, "first", "number"}


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
            before = reader.line_num
    except csv.Error as error:
        raise InputError(f"{where}:{first_line + before}: {_explain_quotes(error, lines[before])}") from error
    schema: dict[str, Any] = dict.fromkeys(columns, pl.String) | {"line": pl.Int64, "n_found": pl.Int64}
    frame = pl.DataFrame(columns, schema=schema)
    return judge(frame, layout.time_unit, n_columns=layout.n_columns, decimal=layout.decimal), n_other


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


RAGGED = "wrong number of columns"
COMMENT = "comment"
NO_USER = "user id is empty"
NO_SONG = "song id is empty"
BROKEN_ID = "id contains a line end or a zero byte"
NOT_NUMBER = "count is not a number"
UNCLEAR = "count has an unclear decimal sign"
NOT_POSITIVE = "count is not positive and finite"
TOO_SMALL = "count is too small to be kept"
TOO_GREAT = "count is too great to be kept exactly"
NO_TIME = "time is not understood"
LATE_TIME = "time is out of range"


def judge(cells: pl.DataFrame, time_unit: str = "s", n_columns: int = 0, decimal: str = "auto") -> pl.DataFrame:
    """Texts to numbers, blanks around cells dropped, and a column `reason` that is null for good rows.

    Args:
        cells: user_id, song_id, perhaps plays, time, extras; `reason` when some rows are known to be bad already;
            an artist's name (see ARTIST) that becomes a part of the song id: "artist – song".
        decimal: see `as_numbers`.
    Returns:
        user_id, song_id, plays float64 (1 without such a column), first int64 (unix seconds, if there is a time),
        extras, reason. Where rows have a `line` they keep the texts of count and time too, for messages.
    """
    extras = [name for name in cells.columns if name not in (*CORE, *NOTED, ARTIST)]
    carried = [name for name in NOTED if name in cells.columns and name != "reason"]
    told = "line" in cells.columns  # rows with a line number are kept for messages
    frame = cells.with_columns(pl.col("user_id", "song_id", *extras).cast(pl.String).str.strip_chars())
    frame = frame.with_columns(_filled(name) for name in extras).with_columns(number=pl.lit(1.0))
    bad = {NO_USER: pl.col("user_id").fill_null("") == "", NO_SONG: pl.col("song_id").fill_null("") == ""}
    if ARTIST in cells.columns:
        artist = pl.col(ARTIST).cast(pl.String).str.strip_chars().fill_null("")
        named = pl.when(artist == "").then("song_id").otherwise(artist + " – " + pl.col("song_id"))
        frame = frame.with_columns(song_id=pl.when(~bad[NO_SONG]).then(named))
    if told:
        bad[BROKEN_ID] = pl.any_horizontal(pl.col("user_id", "song_id").str.contains(r"[\n\r\x00]")).fill_null(False)
    columns: list[Any] = ["user_id", "song_id", pl.col("number").alias("plays"), *extras, *carried]
    if "plays" in cells.columns:
        number, unclear = as_numbers(cells["plays"], decimal)
        frame = frame.with_columns(number=number, unclear=unclear)
        number_of = pl.col("number")
        bad[UNCLEAR] = pl.col("unclear")
        bad[NOT_NUMBER] = number_of.is_null()
        bad[NOT_POSITIVE] = ~(number_of.is_finite() & (number_of > 0)).fill_null(True)
        exact = number_of.cast(pl.Float32).cast(pl.Float64) == number_of
        bad[TOO_GREAT] = ((number_of > MOST_EXACT) & ~exact).fill_null(False)
        bad[TOO_SMALL] = (number_of.cast(pl.Float32) == 0).fill_null(False)
        columns += [pl.col("plays").cast(pl.String).alias("plays_text")] if told else []
    if "time" in cells.columns:
        frame = frame.with_columns(first=unix_seconds(cells["time"], time_unit))
        bad[NO_TIME] = pl.col("first").is_null()
        bad[LATE_TIME] = ~pl.col("first").is_between(EARLIEST_SECONDS, latest_seconds()).fill_null(True)
        columns += ["first", *([pl.col("time").cast(pl.String).alias("time_text")] if told else [])]
    if n_columns:
        columns.append(pl.lit(n_columns).alias("n_columns"))
    if told:
        columns.append(pl.lit(time_unit).alias("time_unit"))
    reason = pl.col("reason") if "reason" in cells.columns else pl.lit(None, dtype=pl.String)
    if frame.select(pl.any_horizontal(*bad.values()).any()).item():
        reason = pl.coalesce(reason, *(pl.when(is_bad).then(pl.lit(why)) for why, is_bad in bad.items()))
    return frame.select(*columns, reason.alias("reason"))


def _filled(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != "").then(pl.col(name)).alias(name)


def latest_seconds() -> int:
    """Tomorrow, in unix seconds: no play is later."""
    return int(time.time()) + 86_400


def as_numbers(column: pl.Series, decimal: str = "auto") -> tuple[pl.Series, pl.Series]:
    """Counts as float64, null where they are no number; and which ones [n] may mean two numbers.

    Args:
        decimal: "point": 1.5. "comma": 1,5 and 1.234,5. "auto": also 1,5, but 1,234 is unclear; "ask": so is 1.234
            (in a file whose columns are separated by semicolons).
    """
    if column.dtype != pl.String:
        return column.cast(pl.Float64, strict=False), pl.Series(np.zeros(len(column), dtype=bool))
    texts = column.str.strip_chars()
    if decimal == "comma":
        texts = texts.str.replace_all(r"^(-?\d{1,3})((?:\.\d{3})*)(,\d+)?$", "$1$2;$3")
        texts = texts.str.replace_all(".", "", literal=True).str.replace(";,", ".", literal=True)
        return texts.str.replace(";", "", literal=True).str.replace(",", ".", literal=True).cast(
            pl.Float64, strict=False
        ), pl.Series(np.zeros(len(column), dtype=bool))
    numbers = texts.cast(pl.Float64, strict=False)
    nothing = pl.Series(np.zeros(len(column), dtype=bool))
    if decimal == "point" or (decimal == "auto" and numbers.null_count() == column.null_count()):
        return numbers, nothing
    signs = "[.,]" if decimal == "ask" else ","
    unclear = texts.str.contains(rf"^\d{{1,3}}({signs}\d{{3}})+$").fill_null(False)
    commas = texts.str.contains(r"^-?\d+,\d+$").fill_null(False)
    with_point = texts.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    return with_point.zip_with(commas & numbers.is_null(), numbers), unclear


def unix_seconds(times: pl.Series, unit: str) -> pl.Series:
    """Times as unix seconds, int64; null where not understood. Times without an offset are taken as UTC.

    Args:
        times: numbers or texts of numbers in `unit` ("s", "ms", "us", "ns"), texts such as 2024-03-05 10:11 or
            05 Mar 2024, 10:11 ("iso"), or a date type (any unit).
    """
    if times.dtype.is_temporal():
        return times.cast(pl.Datetime("us")).dt.epoch("s")
    texts = times.str.strip_chars() if times.dtype == pl.String else times
    if unit != "iso":
        whole = texts.cast(pl.Int64, strict=False) // UNITS[unit] if not texts.dtype.is_float() else None
        if whole is not None and whole.null_count() == texts.null_count():
            return whole
        seconds = (texts.cast(pl.Float64, strict=False) / UNITS[unit]).floor()
        return seconds.cast(pl.Int64, strict=False)
    if times.dtype != pl.String:
        return pl.Series(times.name, [None] * len(times), dtype=pl.Int64)
    texts = _plain_times(texts)
    found = pl.Series(times.name, [None] * len(times), dtype=pl.Int64)
    for form in ISO_FORMATS:
        if not found.null_count():
            break
        parsed = texts.str.to_datetime(form, strict=False, time_unit="us").dt.epoch("s")
        found = found.fill_null(parsed) if found.null_count() < len(found) else parsed
    return found


def _plain_times(texts: pl.Series) -> pl.Series:
    """Texts of times without T, UTC, Z and commas, with dashes in dates, and with +02 written +02:00."""
    texts = texts.str.replace(r"\s*(?:UTC|GMT|Z)$", "").str.replace_all(r",\s*", " ")
    texts = texts.str.replace(r"^(\d{4})[-/](\d\d)[-/](\d\d)[T ]?", "$1-$2-$3 ").str.strip_chars()
    texts = texts.str.replace(r"(:\d\d(?:\.\d+)?)\s*([+-]\d\d)$", "$1$2:00")
    return texts.str.replace(r"(:\d\d(?:\.\d+)?)\s+([+-]\d\d:?\d\d)$", "$1$2")


def keep_good(frame: pl.DataFrame, notes: Counter[str], *, skip_bad: bool, where: str) -> pl.DataFrame:
    """The good rows with ids as categories. Bad rows are noted when they may be skipped, else the first is an error.

    Raises:
        InputError: a bad row.
    """
    if frame["reason"].null_count() < frame.height:
        n_comments = int((frame["reason"] == COMMENT).sum())
        notes["comment lines left out"] += n_comments
        frame = frame.filter(pl.col("reason").ne_missing(COMMENT)) if n_comments else frame
        bad = frame.filter(pl.col("reason").is_not_null())
        if bad.height and not skip_bad:
            raise InputError(f"{where}{explain(bad.row(0, named=True))} {_advise(bad, frame.height)}")
        for reason, n in bad["reason"].value_counts().iter_rows():
            notes[f"rows skipped: {reason}"] += n
        notes["rows read"] += frame.height
        frame = frame.filter(pl.col("reason").is_null())
    else:
        notes["rows read"] += frame.height
    return frame.drop(NOTED, strict=False).with_columns(pl.col("user_id", "song_id").cast(pl.Categorical))


def _advise(bad: pl.DataFrame, n_rows: int) -> str:
    """Skipping is advised only where it loses a small part of the table and no setting mends the rows."""
    if bad["reason"][0] in (UNCLEAR, LATE_TIME, NO_TIME):
        return "Or fix the file."
    if bad.height <= max(1, n_rows // 5):
        return "Fix it, or pass --set on_bad_row=skip."
    return f"{bad.height} of {n_rows} rows are bad like this or otherwise: check the columns and the settings."


def explain(row: Mapping[str, Any]) -> str:
    """`1042: count 'x3' is not a number.`: what is wrong with a row that `judge` refused."""
    reason = row["reason"]
    count, time = row.get("plays_text"), row.get("time_text")
    messages = {
        RAGGED: f"{row.get('n_found')} columns, expected {row.get('n_columns')}.",
        NOT_NUMBER: f"count {count or ''!r} is not a number.",
        UNCLEAR: f"count {count!r} may have a decimal sign or one for thousands. Pass --set decimal=point or =comma.",
        NOT_POSITIVE: f"count {count} is not a positive finite number. Leave unplayed songs out.",
        TOO_GREAT: f"count {count} is greater than {MOST_EXACT:,}, above which counts are not kept exactly.",
        TOO_SMALL: f"count {count} is too small to be kept.",
        NO_TIME: f"time {time or ''!r} is not understood.{propose_unit(time or '', row.get('time_unit'))}",
        LATE_TIME: f"time {time} in {UNIT_NAMES.get(str(row.get('time_unit')), 'this form')} lies before 1995 or after "
        f"tomorrow.{propose_unit(time or '', row.get('time_unit'))}",
    }
    return f"{row['line']}: " + messages.get(reason, f"the {reason}.")


def propose_unit(text: str, unit: str | None) -> str:
    """The time unit under which a text is a time between 1995 and tomorrow, as advice; "" where there is none."""
    for other in (*UNITS, "iso"):
        seconds = unix_seconds(pl.Series([text], dtype=pl.String), other)[0]
        if other != unit and seconds is not None and EARLIEST_SECONDS <= seconds <= latest_seconds():
            name = f"{UNIT_NAMES[other]}" if other in UNIT_NAMES else "a date"
            return f" It looks like {name}: pass --set time_unit={other}."
    return " Expected a unix time in s, ms, us or ns, or a date such as 2024-03-05 10:11 or 05 Mar 2024 10:11."


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


def number_rows(frame: pl.DataFrame, first: int) -> pl.DataFrame:
    """The frame with a column `line` that counts from `first`, for messages."""
    return frame.with_columns(line=np.arange(first, first + frame.height))

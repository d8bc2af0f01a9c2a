"""Rows of (user, song, plays[, time]) from delimited text of any length, in bounded memory and with true line numbers.

A file goes through in blocks of whole lines. A block of nothing but plain triplets (the Taste Profile is all that) is
split by a C loop, any other by polars; only when something in it is wrong (a cell that does not parse, a ragged line,
bytes that are not UTF-8) is that one block split again by the slower `csv` module, which knows line numbers. Ids become
numbers of 4 bytes, so 48 million rows stay under a gigabyte until they are summed.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from deepcuts.artifacts import Plays
from deepcuts.artifacts.plays import Numbered
from deepcuts.data.reading import ahead, blocks, decode_lines, open_bytes, split_cells, strip_mark
from deepcuts.errors import InputError
from deepcuts.kernels import native
from deepcuts.progress import progress

FOLD_ROWS = 64_000_000
LATEST_SECONDS = 1e11  # the year 5138: a greater time is not in seconds
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000}
ISO_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M%z")
CORE = ("user_id", "song_id", "plays", "time")
NOTED = ("reason", "line", "n_found", "n_columns", "plays_text", "time_text")
RESERVED = {*CORE, *NOTED, "first", "number"}


@dataclass(frozen=True)
class Layout:
    """Where a delimited file keeps what.

    Attributes:
        separator: one character.
        n_columns: fields of a full line; a line with more is ragged.
        places: our name → position: "user_id", "song_id", perhaps "plays" and "time", and extra song columns.
        quoted: fields may stand in double quotes.
        time_unit: "s", "ms", "us" or "iso".
    """

    separator: str
    n_columns: int
    places: Mapping[str, int]
    quoted: bool = False
    time_unit: str = "s"


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
    line = header_lines + 1
    where = f"{path}/{member}" if member else f"{path}"
    with open_bytes(path, member) as stream, progress("read", unit="MB") as bar:
        start = b"" if header_lines else strip_mark(stream.read(3), where)
        for _ in range(header_lines):
            stream.readline()
        plain = PlainTriplets(layout.separator) if PlainTriplets.suit(layout) else None
        for block in ahead(blocks(stream, start=start, quoted=layout.quoted)):
            bar.advance(len(block) / 1e6)
            if plain is not None and (n_lines := plain.take(block)):
                notes["rows read"] += n_lines
                line += n_lines
                continue
            frame = _split_fast(block, layout)
            if frame is None or frame["reason"].null_count() < frame.height:
                frame, n_latin1 = _split_carefully(block, layout, line, where)
                notes["lines decoded as Latin-1"] += n_latin1
            yield keep_good(frame, notes, skip_bad=skip_bad, where=f"{where}:")
            line += block.count(b"\n")
        if plain is not None and plain.n_rows:
            yield plain.give()


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
        most = (len(block) + 5) // 6  # no line is shorter
        if most > self._room.shape[1]:
            self._room = np.empty((3, most), dtype=np.int32)
        n: int = self._table.split(block, self._separator, *self._room) or 0
        if n:
            self._held.append(self._room[:, :n].copy())
            self.n_rows += n
        return n

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
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        return None
    return judge(cells.select(pl.col(f"{i}").alias(name) for name, i in layout.places.items()), layout.time_unit)


def _split_carefully(block: bytes, layout: Layout, first_line: int, where: str) -> tuple[pl.DataFrame, int]:
    """The block split by the csv module, with line numbers; and how many lines were Latin-1."""
    lines, n_latin1 = decode_lines(block)
    reader = split_cells((line + "\n" for line in lines), layout.separator, layout.quoted)
    needed = [i for name, i in layout.places.items() if name in CORE]
    columns: dict[str, list[Any]] = {name: [] for name in ("line", *layout.places, "reason", "n_found")}
    line = first_line
    try:
        for cells in reader:
            n_found = len(cells)
            if n_found:
                ragged = n_found > layout.n_columns or n_found <= max(needed)
                for name, i in layout.places.items():
                    columns[name].append(cells[i] or None if i < n_found and not ragged else None)
                columns["line"].append(line)
                columns["reason"].append(RAGGED if ragged else None)
                columns["n_found"].append(n_found)
            line = first_line + reader.line_num
    except csv.Error as error:
        raise InputError(f"{where}:{line}: {error}. Fix the line.") from error
    schema: dict[str, Any] = dict.fromkeys(columns, pl.String) | {"line": pl.Int64, "n_found": pl.Int64}
    frame = pl.DataFrame(columns, schema=schema)
    return judge(frame, layout.time_unit, n_columns=layout.n_columns), n_latin1


RAGGED = "wrong number of columns"
NO_USER = "user id is empty"
NO_SONG = "song id is empty"
NOT_NUMBER = "count is not a number"
NOT_POSITIVE = "count is not positive and finite"
NO_TIME = "time is not understood"
LATE_TIME = "time is out of range"


def judge(cells: pl.DataFrame, time_unit: str = "s", n_columns: int = 0) -> pl.DataFrame:
    """Texts to numbers, and a column `reason` that is null for good rows.

    Args:
        cells: user_id, song_id, perhaps plays, time, extras; `reason` when some rows are known to be bad already.
    Returns:
        user_id, song_id, plays float64 (1 without such a column), first int64 (unix seconds, if there is a time),
        extras, reason. Where rows have a `line` they keep the texts of count and time too, for messages.
    """
    extras = [name for name in cells.columns if name not in (*CORE, "reason")]
    told = "line" in cells.columns  # rows with a line number are kept for messages
    frame = cells.with_columns(pl.col("user_id", "song_id").cast(pl.String), number=pl.lit(1.0))
    bad = {NO_USER: pl.col("user_id").fill_null("") == "", NO_SONG: pl.col("song_id").fill_null("") == ""}
    columns: list[Any] = ["user_id", "song_id", pl.col("number").alias("plays"), *extras]
    if "plays" in cells.columns:
        frame = frame.with_columns(number=_as_number(cells["plays"]))
        bad[NOT_NUMBER] = pl.col("number").is_null()
        bad[NOT_POSITIVE] = ~(pl.col("number").is_finite() & (pl.col("number") > 0)).fill_null(True)
        columns += [pl.col("plays").cast(pl.String).alias("plays_text")] if told else []
    if "time" in cells.columns:
        frame = frame.with_columns(first=unix_seconds(cells["time"], time_unit))
        bad[NO_TIME] = pl.col("first").is_null()
        bad[LATE_TIME] = (pl.col("first").abs() > LATEST_SECONDS).fill_null(False)
        columns += ["first", *([pl.col("time").cast(pl.String).alias("time_text")] if told else [])]
    if n_columns:
        columns.append(pl.lit(n_columns).alias("n_columns"))
    reason = pl.col("reason") if "reason" in cells.columns else pl.lit(None, dtype=pl.String)
    if frame.select(pl.any_horizontal(*bad.values()).any()).item():
        reason = pl.coalesce(reason, *(pl.when(is_bad).then(pl.lit(why)) for why, is_bad in bad.items()))
    return frame.select(*columns, reason.alias("reason"))


def _as_number(column: pl.Series) -> pl.Series:
    texts = column.str.strip_chars() if column.dtype == pl.String else column
    return texts.cast(pl.Float64, strict=False)


def unix_seconds(times: pl.Series, unit: str) -> pl.Series:
    """Times as unix seconds, int64; null where not understood. ISO times without an offset are taken as UTC.

    Args:
        times: numbers or texts of numbers in `unit` ("s", "ms", "us"), ISO texts ("iso"), or a date type (any unit).
    """
    if times.dtype.is_temporal():
        return times.cast(pl.Datetime("us")).dt.epoch("s")
    if unit != "iso":
        texts = times.str.strip_chars() if times.dtype == pl.String else times
        seconds = (texts.cast(pl.Float64, strict=False) / UNITS[unit]).floor()
        return seconds.cast(pl.Int64, strict=False)
    if times.dtype != pl.String:
        return pl.Series(times.name, [None] * len(times), dtype=pl.Int64)
    texts = times.str.strip_chars().str.replace("T", " ", literal=True).str.strip_suffix("Z")
    found = pl.Series(times.name, [None] * len(times), dtype=pl.Int64)
    for form in ISO_FORMATS:
        if not found.null_count():
            break
        parsed = texts.str.to_datetime(form, strict=False, time_unit="us").dt.epoch("s")
        found = found.fill_null(parsed) if found.null_count() < len(found) else parsed
    return found


def keep_good(frame: pl.DataFrame, notes: Counter[str], *, skip_bad: bool, where: str) -> pl.DataFrame:
    """The good rows with ids as categories. Bad rows are noted when they may be skipped, else the first is an error.

    Raises:
        InputError: a bad row.
    """
    notes["rows read"] += frame.height
    if frame["reason"].null_count() < frame.height:
        bad = frame.filter(pl.col("reason").is_not_null())
        if not skip_bad:
            raise InputError(f"{where}{explain(bad.row(0, named=True))} Fix it, or pass --set on_bad_row=skip.")
        for reason, n in bad["reason"].value_counts().iter_rows():
            notes[f"rows skipped: {reason}"] += n
        frame = frame.filter(pl.col("reason").is_null())
    return frame.drop(NOTED, strict=False).with_columns(pl.col("user_id", "song_id").cast(pl.Categorical))


def explain(row: Mapping[str, Any]) -> str:
    """`1042: count 'x3' is not a number.`: what is wrong with a row that `judge` refused."""
    reason = row["reason"]
    count, time = row.get("plays_text"), row.get("time_text")
    told = {
        RAGGED: f"{row.get('n_found')} columns, expected {row.get('n_columns')}.",
        NOT_NUMBER: f"count {count or ''!r} is not a number.",
        NOT_POSITIVE: f"count {count} is not a positive finite number. Leave unplayed songs out.",
        NO_TIME: f"time {time or ''!r} is not understood. See the setting time_unit: s, ms, us or iso.",
        LATE_TIME: f"time {time} lies beyond the year 5000. It looks like milliseconds: pass --set time_unit=ms.",
    }
    return f"{row['line']}: " + told.get(reason, f"the {reason}.")


def plays_from_rows(
    frames: Iterable["pl.DataFrame | Numbers"],
    notes: Counter[str],
    where: str,
    settings: Mapping[str, Any],
    songs_table: pl.DataFrame | None = None,
) -> Plays:
    """Plays from frames of good rows; rows of the same pair are summed and noted.

    Args:
        songs_table: what is known of songs by `song_id`; None takes it from the frames' extra columns.
    Raises:
        InputError: no row is left.
    """
    columns, songs = _gather(frames)
    if not len(columns.get("plays", ())):
        skipped = sum(n for reason, n in notes.items() if reason.startswith("rows skipped"))
        found = f"every one of {skipped} rows was skipped" if skipped else "there is not one row"
        raise InputError(f"{where}: {found}. Check the file and the settings.")
    n_good = notes["rows read"] - sum(n for reason, n in notes.items() if reason.startswith("rows skipped"))
    table = songs if songs_table is None else songs_table
    ids = columns.pop("user_id"), columns.pop("song_id")
    made = Plays.from_pairs(
        *ids, columns.pop("plays"), first_played=columns.get("first"), songs_table=table, settings=settings
    )
    notes["duplicate rows summed"] = n_good - made.n_plays
    return made


def _gather(frames: Iterable[pl.DataFrame | Numbers]) -> tuple[dict[str, Any], pl.DataFrame | None]:
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
        if n_new >= FOLD_ROWS:
            held, n_new = [_sum_pairs(_stack(held))], 0
    rows = _stack(held) if held else pl.DataFrame()
    return {column.name: column for column in rows}, songs


def _stack(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """One frame of all; counts are whole numbers only where they are in every one."""
    return pl.concat(frames, how="vertical_relaxed")


def _merge_songs(songs: pl.DataFrame | None, new: pl.DataFrame) -> pl.DataFrame:
    """What is known of each song: the first text that is not empty, column by column."""
    both = new if songs is None else pl.concat([songs, new])
    return both.group_by("song_id", maintain_order=True).agg(pl.all().drop_nulls().first())


def _sum_pairs(rows: pl.DataFrame) -> pl.DataFrame:
    wanted = [pl.col("plays").sum()] + ([pl.col("first").min()] if "first" in rows.columns else [])
    return rows.group_by("user_id", "song_id", maintain_order=True).agg(wanted)


def number_rows(frame: pl.DataFrame, first: int) -> pl.DataFrame:
    """The frame with a column `line` that counts from `first`, for messages."""
    return frame.with_columns(line=np.arange(first, first + frame.height))

"""Plays from anybody's table: csv, tsv or parquet of (user, song, plays[, time]) or of single listens.

Columns are found by name. A setting left at "auto" takes the first of a short documented list that is there (SYNONYMS);
when two fit, or a file without header has columns that may mean anything, the reader asks instead of choosing.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import polars as pl

from deepcuts.artifacts.parquet import check_parquet
from deepcuts.config import require
from deepcuts.data.archives import members, open_bytes, tables_among
from deepcuts.data.columns import (
    Columns,
    find_columns,
    known_names,
    name_columns,
    refuse_id_dtypes,
)
from deepcuts.data.judge import RESERVED, judge, keep_good, number_rows
from deepcuts.data.reading import LONGEST_LINE, Reading
from deepcuts.data.rows import Layout, Numbers, plays_from_rows, rows_of
from deepcuts.data.sniff import Sniffed, sniff
from deepcuts.errors import InputError

SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";", "bar": "|", "space": " "}
PARQUET_ROWS = 4_000_000


@dataclass(frozen=True)
class EventSettings:
    """How to read a table of single listens: one row (user, song[, time]) each time somebody played something.

    Attributes:
        user, song: column names, or "auto" (see SYNONYMS). Without a header the columns are called column_1, ...
            Where the song is a title and there is an artist, the song id is "artist – title".
        time: column name, "auto", or None to read no times.
        time_unit: "s", "ms", "us" or "ns" since 1970, or "iso" for texts such as 2020-01-31 12:00 or
            31 Jan 2020, 12:00 (UTC unless they say so).
        columns: names of the columns of a file without header, in order, joined by commas; - leaves one out.
        song_columns: extra columns, kept in the songs table when they are there, in any case; names joined by commas.
        separator: "auto", "tab", "comma", "semicolon", "bar", "space" or any one character.
        header: "auto" (is a known name in the first line?), "yes" or "no".
        quotes: may cells be in double quotes: "yes", "no", or "auto" (yes, unless tabs separate the columns).
        decimal: sign in counts: "point" (1.5), "comma" (1,5), or "auto" (both, but 1.234 beside ; is asked about).
        on_bad_row: "fail" at the first bad row, or "skip" bad rows and count them in the notes.
        member: the file's name inside a zip; None takes its only table.
    """

    user: str = "auto"
    song: str = "auto"
    time: str | None = None
    time_unit: str = "s"
    columns: str | None = None
    song_columns: str = "artist,title,album"
    separator: str = "auto"
    header: str = "auto"
    quotes: str = "auto"
    decimal: str = "auto"
    on_bad_row: str = "fail"
    member: str | None = None

    def __post_init__(self) -> None:
        one_character = len(self.separator) == 1 or self.separator in SEPARATORS or self.separator == "auto"
        require(one_character, "separator", self.separator, f"auto, {', '.join(SEPARATORS)} or one character")
        for name, allowed in (
            ("header", ("auto", "yes", "no")),
            ("quotes", ("auto", "yes", "no")),
            ("on_bad_row", ("fail", "skip")),
            ("time_unit", ("s", "ms", "us", "ns", "iso")),
            ("decimal", ("auto", "point", "comma")),
        ):
            require(getattr(self, name) in allowed, name, getattr(self, name), " or ".join(allowed))
        require(self.separator != '"', "separator", self.separator, "anything but a double quote")
        require(not set(self.extras) & RESERVED, "song_columns", self.song_columns, f"none of {sorted(RESERVED)}")

    @property
    def extras(self) -> list[str]:
        """The names in `song_columns`."""
        return [name.strip() for name in self.song_columns.split(",") if name.strip()]


@dataclass(frozen=True)
class TableSettings(EventSettings):
    """How to read a table of play counts: as EventSettings, and one more.

    Attributes:
        plays: column name of the counts, or "auto" (see SYNONYMS).
    """

    plays: str = "auto"


def read_table(path: Path | str | Sequence[Path | str], settings: TableSettings) -> Reading:
    """Plays from a table with one row (user, song, plays[, time]); rows of the same pair are summed.

    Args:
        path: .csv, .tsv or any delimited text, plain, packed (.gz, .bz2, .xz, .zst), in a .zip or .tar; parquet; or a
            folder of such parts, or several files: these are one table.
    Raises:
        InputError: a missing or ambiguous column, a bad row (names file and line), an empty or damaged file.
        ResourceError: the machine refuses to read it.
    """
    return _read(path, settings, settings.plays, "table")


def read_events(path: Path | str | Sequence[Path | str], settings: EventSettings) -> Reading:
    """Plays counted from a log with one row (user, song[, time]) a listen; with times, the time of each is kept.

    Args:
        path: as in `read_table`.
    Raises:
        InputError, ResourceError: as `read_table`.
    """
    return _read(path, settings, None, "events")


def _read(path: Path | str | Sequence[Path | str], settings: EventSettings, plays: str | None, reader: str) -> Reading:
    notes: Counter[str] = Counter()
    wanted = {"user": settings.user, "song": settings.song, "plays": plays, "time": settings.time}
    given = [Path(path)] if isinstance(path, str | Path) else [Path(p) for p in path]
    parts = [part for one in given for part in table_parts(one, settings.member)]
    frames: Iterator[pl.DataFrame | Numbers] = (
        frame for part in parts for frame in _rows_of_part(*part, settings, wanted, notes)
    )
    if len(parts) > 1:
        frames = _without_numbers(frames)
        notes["files read as one table"] = len(parts)
    record = {"reader": reader, **dataclasses.asdict(settings)}
    where = ", ".join(map(str, given))
    made = plays_from_rows(frames, notes, where, record, events=plays is None)
    always = {"rows read", "header lines", "duplicate rows summed"}
    return Reading(made, None, {what: n for what, n in notes.items() if n or what in always})


def _without_numbers(frames: Iterator[pl.DataFrame | Numbers]) -> Iterator[pl.DataFrame | Numbers]:
    for frame in frames:
        yield frame.frame() if isinstance(frame, Numbers) else frame


def table_parts(path: Path, member: str | None = None) -> list[tuple[Path, str | None]]:
    """The files that make up one table: (file, member) pairs.

    A folder gives all its tables, if they are of one kind; an archive its only table, or the parts that Spark wrote.

    Raises:
        InputError: files of several kinds in a folder, or none.
    """
    if member is not None or (path.exists() and not path.is_dir() and not path.is_file()):
        return [(path, member)]
    if not path.is_dir():
        names = tables_among(members(path)) if path.exists() else []
        is_parts = len(names) > 1 and all(name.rsplit("/", 1)[-1].startswith("part-") for name in names)
        return [(path, name) for name in names] if is_parts else [(path, None)]
    names = tables_among(members(path))
    kinds = {"".join(Path(name).suffixes[-2:]).lower() if "part-" not in name else "" for name in names}
    if not names or len(kinds) > 1:
        found = ", ".join(names[:20]) or "no files"
        raise InputError(
            f"{path}: a folder of {found}: expected the parts of one table. Name one with --set member=NAME."
        )
    return [(path / name, None) for name in names]


def _rows_of_part(
    path: Path, member: str | None, settings: EventSettings, wanted: dict[str, str | None], notes: Counter[str]
) -> Iterator[pl.DataFrame | Numbers]:
    where = f"{path}/{member}" if member else f"{path}"
    with ExitStack() as stack:
        stream = stack.enter_context(open_bytes(path, member))
        sample = stream.read(LONGEST_LINE)
        if sample.startswith(b"PAR1"):
            yield from _parquet_rows(_whole_file(path, stream, sample, stack), where, settings, wanted, notes)
            return
        yield from _text_rows(stream, sample, where, settings, wanted, notes)


def sniff_with(sample: bytes, settings: EventSettings, wanted: dict[str, str | None], where: str) -> Sniffed:
    """`sniff` with the settings a person chose."""
    header = "no" if settings.columns is not None and settings.header == "auto" else settings.header
    return sniff(
        sample,
        len(sample) < LONGEST_LINE,
        separator=SEPARATORS.get(settings.separator, settings.separator),
        quotes=settings.quotes,
        header=header,
        known=known_names([*wanted.values(), *settings.extras]),
        where=where,
    )


def _text_rows(
    stream: IO[bytes],
    sample: bytes,
    where: str,
    settings: EventSettings,
    wanted: dict[str, str | None],
    notes: Counter[str],
) -> Iterator[pl.DataFrame | Numbers]:
    found = sniff_with(sample, settings, wanted, where)
    notes["header lines"] += int(found.names is not None)
    notes["lines before the table left out"] += found.n_notes
    names, wanted = name_columns(found, settings.columns, wanted, where)
    columns = find_columns(names, wanted, settings.extras, where, found.rows)
    columns.tell_left_out(notes)
    decimal = "ask" if settings.decimal == "auto" and found.separator == ";" else settings.decimal
    layout = Layout(found.separator, len(names), columns.places, found.quoted, settings.time_unit, decimal)
    yield from rows_of(
        stream,
        layout,
        notes,
        start=found.start,
        line=found.n_head + 1,
        where=where,
        header=found.header,
        skip_bad=settings.on_bad_row == "skip",
    )


def _whole_file(path: Path, stream: IO[bytes], sample: bytes, stack: ExitStack) -> Path | bytes:
    """Parquet needs the whole file: as it lies on disk, or from an archive or pipe in memory."""
    if path.is_file():
        with path.open("rb") as plain:
            if plain.read(4) == b"PAR1":
                return path
    return sample + stream.read()


def _parquet_rows(
    source: Path | bytes, where: str, settings: EventSettings, wanted: dict[str, str | None], notes: Counter[str]
) -> Iterator[pl.DataFrame]:
    check_parquet(source, where)
    try:
        table = pl.scan_parquet(source)
        schema = table.collect_schema()
        names = schema.names()
        rows = [[str(value) for value in row] for row in table.select(_plain(schema)).head(200).collect().iter_rows()]
        plain = [name for name in names if not schema[name].is_nested()]
        columns: Columns = find_columns(plain, wanted, settings.extras, where, rows)
        columns.tell_left_out(notes, [name for name in names if schema[name].is_nested()])
        refuse_id_dtypes(schema, plain, columns, where)
        picked = [
            pl.col(plain[at]).alias(name)
            if name in ("plays", "time", "user_id", "song_id")
            else pl.col(plain[at]).cast(pl.String).alias(name)
            for name, at in columns.places.items()
        ]
        height = int(table.select(pl.len()).collect().item())
        for start in range(0, height, PARQUET_ROWS):
            cells = number_rows(table.select(picked).slice(start, PARQUET_ROWS).collect(), start + 1)
            skip_bad = settings.on_bad_row == "skip"
            judged = judge(cells, settings.time_unit, decimal=settings.decimal)
            yield keep_good(judged, notes, skip_bad=skip_bad, where=f"{where}: row ")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(f"{where}: damaged or not parquet ({error}). Write it again.") from error


def _plain(schema: pl.Schema) -> list[str]:
    return [name for name, kind in schema.items() if not kind.is_nested()]

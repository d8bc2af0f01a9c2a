"""Side tables such as a catalogue, groups or a list of songs to test: all columns as texts, by the main reader."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import polars as pl

from deepcuts.artifacts.parquet import check_parquet
from deepcuts.checks import did_you_mean
from deepcuts.config import require
from deepcuts.data.archives import open_bytes
from deepcuts.data.columns import SYNONYMS
from deepcuts.data.reading import LONGEST_LINE, blocks, decode_lines, split_cells, strip_mark
from deepcuts.data.sniff import Sniffed, plain_name, sniff
from deepcuts.data.table import SEPARATORS
from deepcuts.errors import InputError


@dataclass(frozen=True)
class SideSettings:
    """How to read a side table; the names are those of the table reader's settings.

    Attributes:
        song: the column of song ids, or "auto": song_id, song, track_id and the like, in any case.
        title, artist, file, group: columns to take under these names; None looks for the name itself.
        columns: names of the columns of a file without header, joined by commas.
        separator: "auto", "tab", "comma", "semicolon", "bar", "space" or any one character.
        header: "auto", "yes" or "no".
        quotes: "auto", "yes" or "no".
        member: the file's name inside an archive.
    """

    song: str = "auto"
    title: str | None = None
    artist: str | None = None
    file: str | None = None
    group: str | None = None
    columns: str | None = None
    separator: str = "auto"
    header: str = "auto"
    quotes: str = "auto"
    member: str | None = None

    def __post_init__(self) -> None:
        one_character = len(self.separator) == 1 or self.separator in SEPARATORS or self.separator == "auto"
        require(one_character, "separator", self.separator, f"auto, {', '.join(SEPARATORS)} or one character")
        for name in ("header", "quotes"):
            require(getattr(self, name) in ("auto", "yes", "no"), name, getattr(self, name), "auto, yes or no")


def read_side_table(
    path: Path | str, columns: Sequence[str], settings: SideSettings | None = None, *, may_be_empty: Sequence[str] = ()
) -> tuple[pl.DataFrame, dict[str, int]]:
    """All columns of a small table as texts, and notes; a file of plain lines is a table of the one column asked for.

    Args:
        path: as in `read_table`: text with any separator, packed or not, or parquet.
        columns: names that must be there, found in any case; "song_id" also by its usual names.
        may_be_empty: those of them whose cells may be empty.
    Returns:
        The table, blanks around cells dropped, the columns asked for under the names asked for; and what was left out.
    Raises:
        InputError: unreadable, a ragged row (names its line), a column missing or an empty cell in a column asked for.
    """
    settings = settings or SideSettings()
    notes: dict[str, int] = {}
    path = Path(path)
    with open_bytes(path, settings.member) as stream:
        sample = stream.read(LONGEST_LINE)
        if sample.startswith(b"PAR1"):
            table = _parquet(sample + stream.read(), path)
        elif len(columns) == 1 and _is_list(sample, columns[0], settings, path):
            data = b"".join(blocks(stream, start=strip_mark(sample, f"{path}"), where=f"{path}"))
            lines = [line.strip().strip("\ufeff").strip() for line in decode_lines(data)[0]]
            return pl.DataFrame({columns[0]: [line for line in lines if line]}, schema={columns[0]: pl.String}), {}
        else:
            table, notes = _text(stream, sample, settings, f"{path}")
    return _named(table, columns, settings, f"{path}", may_be_empty), notes


def _known(settings: SideSettings) -> list[str]:
    chosen = [settings.song, settings.title, settings.artist, settings.file, settings.group]
    usual = [name for tier in SYNONYMS["song"] for name in tier]
    return [*usual, "file", "group", "path", "artist", "title", *(plain_name(name) for name in chosen if name)]


def _is_list(sample: bytes, column: str, settings: SideSettings, path: Path) -> bool:
    """Whether a file is plain lines: no name in its first line is known. A .csv or .tsv file is always a table."""
    if settings.columns is not None or settings.header == "yes" or settings.separator != "auto":
        return False
    if path.suffix.lower() in (".csv", ".tsv"):
        return False
    lines = [line for line in decode_lines(strip_mark(sample, f"{path}").replace(b"\r", b"\n"))[0] if line.strip()]
    if not lines:
        return True
    names = {plain_name(cell) for one in "\t;,|" for cell in next(csv.reader([lines[0]], delimiter=one))}
    return not names & {plain_name(column), *(SYNONYMS["song"][0] if column == "song_id" else ())}


def _sniffed(sample: bytes, settings: SideSettings, where: str) -> Sniffed:
    header = "no" if settings.columns is not None and settings.header == "auto" else settings.header
    whole, first = len(sample) < LONGEST_LINE, sample.lstrip(b"\xef\xbb\xbf\r\n")
    separator = SEPARATORS.get(settings.separator, settings.separator)
    if separator == "auto" and not any(mark in first for mark in (b"\t", b";", b",", b"|", b" ")):
        separator = ","  # one column only
    return sniff(
        sample,
        whole,
        separator=separator,
        quotes=settings.quotes,
        header=header,
        known=_known(settings),
        where=where,
    )


def _text(stream: IO[bytes], sample: bytes, settings: SideSettings, where: str) -> tuple[pl.DataFrame, dict[str, int]]:
    found = _sniffed(sample, settings, where)
    names = found.names
    if settings.columns is not None:
        names = [name.strip() for name in settings.columns.split(",")]
    if names is None:
        raise InputError(f"{where}: no header line with known names. Name the columns with --set columns=song_id,...")
    notes: Counter[str] = Counter({"lines before the table left out": found.n_notes})
    quotes = found.separator if found.quoted else ""
    line, rows = found.n_head + 1, []
    for block in blocks(stream, start=found.start, quotes=quotes, where=where, line=line):
        rows += _rows(block, found, names, line, where, notes)
        line += block.count(b"\n")
    table = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    return table, {what: n for what, n in notes.items() if n}


def _rows(
    block: bytes, found: Sniffed, names: Sequence[str], line: int, where: str, notes: Counter[str]
) -> list[list[str | None]]:
    lines, n_other = decode_lines(block)
    notes["lines decoded as Windows-1252"] += n_other
    reader = split_cells((one + "\n" for one in lines), found.separator, found.quoted)
    rows: list[list[str | None]] = []
    try:
        for cells in reader:
            cells = [cell.strip().strip("\ufeff").strip() for cell in cells]
            if not any(cells):
                continue
            if found.names is not None and cells == found.names:
                notes["repeated header lines dropped"] += 1
            elif len(cells) > len(names):
                at = line + reader.line_num - 1
                raise InputError(f"{where}:{at}: {len(cells)} columns, expected {len(names)}. Fix the line.")
            else:
                rows.append([cell or None for cell in cells] + [None] * (len(names) - len(cells)))
    except csv.Error as error:
        raise InputError(f"{where}:{line + reader.line_num - 1}: the double quotes are broken ({error}).") from error
    return rows


def _parquet(data: bytes, path: Path) -> pl.DataFrame:
    check_parquet(data, str(path))
    try:
        table = pl.read_parquet(io.BytesIO(data))
        flat = [name for name in table.columns if not table[name].dtype.is_nested()]
        return table.select(pl.col(flat).cast(pl.String))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(f"{path}: damaged or not parquet ({error}). Write it again.") from error


def _named(
    table: pl.DataFrame, columns: Sequence[str], settings: SideSettings, where: str, may_be_empty: Sequence[str]
) -> pl.DataFrame:
    chosen = {"song_id": settings.song if settings.song != "auto" else None}
    chosen |= {name: getattr(settings, name) for name in ("title", "artist", "file", "group")}
    renamed: dict[str, str] = {}
    for name in dict.fromkeys([*columns, *(name for name, own in chosen.items() if own is not None)]):
        own = _own_name(table.columns, chosen.get(name), name)
        if own is None:
            asked = chosen.get(name) or name
            raise InputError(
                f"{where}: no column {asked!r}; the columns are {', '.join(map(repr, table.columns))}."
                f"{did_you_mean(asked, table.columns)}"
            )
        renamed[own] = name
    clashing = [name for name in renamed.values() if name in table.columns and name not in renamed]
    table = table.drop(clashing).rename(renamed)
    for name in columns:
        if table[name].null_count() and name not in may_be_empty:
            at = int(table[name].is_null().arg_max() or 0) + 1
            raise InputError(f"{where}: row {at}: the cell of column {name!r} is empty. Fill it or take the row out.")
    return table


def _own_name(names: Sequence[str], chosen: str | None, name: str) -> str | None:
    """The table's own name of a column: as chosen, else as asked, in any case; a song id also by its usual names."""
    asked = chosen or name
    for fits in (
        lambda own: own == asked,
        lambda own: plain_name(own) == plain_name(asked),
        lambda own: chosen is None and name == "song_id" and plain_name(own) in SYNONYMS["song"][0],
    ):
        found = [own for own in names if fits(own)]
        if found:
            return found[0]
    return None

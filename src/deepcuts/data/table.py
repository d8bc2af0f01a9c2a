"""Plays from anybody's table: csv, tsv or parquet of (user, song, plays[, time]) or of single listens; or a matrix.

Columns are found by name. A setting left at "auto" takes the first of a short documented list that is there (SYNONYMS);
when two fit, the reader asks instead of choosing.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from deepcuts.artifacts import Plays, Vocabulary
from deepcuts.checks import did_you_mean
from deepcuts.config import require
from deepcuts.data.reading import Reading, decode_lines, open_bytes, read_lines, split_cells, strip_mark
from deepcuts.data.rows import RESERVED, Layout, Numbers, judge, keep_good, number_rows, plays_from_rows, read_rows
from deepcuts.errors import InputError

SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";", "bar": "|", "space": " "}
PARQUET_ROWS = 4_000_000

# What "auto" accepts, ignoring case. Each inner tuple is tried whole before the next: an artist is the thing
# recommended only where no song is named. A song id and a track id in one table are for a person to choose between.
SYNONYMS: dict[str, tuple[tuple[str, ...], ...]] = {
    "user": (("user_id", "user", "userid", "uid", "listener"),),
    "song": (
        ("song_id", "song", "songid", "track_id", "track", "trackid", "item_id", "item", "itemid"),
        ("artist_id", "artistid"),
    ),
    "plays": (("plays", "play_count", "playcount", "count", "listens", "weight"),),
    "time": (("time", "timestamp", "first_played", "played_at", "date", "ts"),),
}
OUR_NAMES = {"user": "user_id", "song": "song_id", "plays": "plays", "time": "time"}


@dataclass(frozen=True)
class EventSettings:
    """How to read a table of single listens: one row (user, song[, time]) each time somebody played something.

    Attributes:
        user, song: column names, or "auto" (see SYNONYMS). Without a header the columns are called column_1, ...
        time: column name, "auto", or None to read no times.
        time_unit: "s", "ms" or "us" since 1970, or "iso" for texts such as 2020-01-31 12:00 (UTC unless they say so).
        song_columns: extra columns, kept in the songs table when they are there; names joined by commas.
        separator: "auto", "tab", "comma", "semicolon", "bar", "space" or any one character.
        header: "auto" (is a known name in the first line?), "yes" or "no".
        quotes: may fields stand in double quotes: "yes", "no", or "auto" (yes, unless columns are parted by tabs).
        on_bad_row: "fail" at the first bad row, or "skip" bad rows and count them in the notes.
        member: the file's name inside a zip; None takes its only table.
    """

    user: str = "auto"
    song: str = "auto"
    time: str | None = None
    time_unit: str = "s"
    song_columns: str = "artist,title,album"
    separator: str = "auto"
    header: str = "auto"
    quotes: str = "auto"
    on_bad_row: str = "fail"
    member: str | None = None

    def __post_init__(self) -> None:
        one_character = len(self.separator) == 1 or self.separator in SEPARATORS or self.separator == "auto"
        require(one_character, "separator", self.separator, f"auto, {', '.join(SEPARATORS)} or one character")
        for name, allowed in (
            ("header", ("auto", "yes", "no")),
            ("quotes", ("auto", "yes", "no")),
            ("on_bad_row", ("fail", "skip")),
            ("time_unit", ("s", "ms", "us", "iso")),
        ):
            require(getattr(self, name) in allowed, name, getattr(self, name), " or ".join(allowed))
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


def read_table(path: Path | str, settings: TableSettings) -> Reading:
    """Plays from a table with one row (user, song, plays[, time]); rows of the same pair are summed.

    Args:
        path: .csv, .tsv or any delimited text, plain or in .gz, .bz2 or .zip; or .parquet.
    Raises:
        InputError: a missing or ambiguous column, a bad row (names file and line), an empty or damaged file.
        ResourceError: the machine refuses to read it.
    """
    return _read(path, settings, settings.plays, "table")


def read_events(path: Path | str, settings: EventSettings) -> Reading:
    """Plays counted from a log with one row (user, song[, time]) a listen.

    Args:
        path: as in `read_table`.
    Raises:
        InputError, ResourceError: as `read_table`.
    """
    return _read(path, settings, None, "events")


def _read(path: Path | str, settings: EventSettings, plays: str | None, reader: str) -> Reading:
    path = Path(path)
    notes: Counter[str] = Counter()
    wanted = {"user": settings.user, "song": settings.song, "plays": plays, "time": settings.time}
    is_parquet = path.suffix == ".parquet"
    frames = (_parquet_rows if is_parquet else _text_rows)(path, settings, wanted, notes)
    record = {"reader": reader, **dataclasses.asdict(settings)}
    made = plays_from_rows(frames, notes, f"{path}", record)
    return Reading(made, None, dict(notes))


def _text_rows(
    path: Path, settings: EventSettings, wanted: dict[str, str | None], notes: Counter[str]
) -> Iterator[pl.DataFrame | Numbers]:
    first_line = _first_line(path, settings.member)
    separator = SEPARATORS.get(settings.separator, settings.separator)
    if separator == "auto":
        separator = guess_separator(first_line, f"{path}")
    quoted = settings.quotes == "yes" or (settings.quotes == "auto" and separator != "\t")
    cells = next(split_cells([first_line], separator, quoted))
    has_header = settings.header == "yes" or (settings.header == "auto" and looks_like_header(cells, wanted))
    notes["header lines"] = int(has_header)
    names = cells if has_header else [f"column_{i + 1}" for i in range(len(cells))]
    if not has_header:
        order = [name for name in ("user", "song", "plays") if wanted[name] is not None]
        wanted = {**wanted, **{n: f"column_{i + 1}" for i, n in enumerate(order) if wanted[n] == "auto"}}
    places = {name: names.index(column) for name, column in find_columns(names, wanted, f"{path}").items()}
    places |= {name: names.index(name) for name in settings.extras if name in names}
    layout = Layout(separator, len(names), places, quoted, settings.time_unit)
    yield from read_rows(
        path,
        layout,
        notes,
        skip_bad=settings.on_bad_row == "skip",
        header_lines=int(has_header),
        member=settings.member,
    )


def _first_line(path: Path, member: str | None) -> str:
    with open_bytes(path, member) as stream:
        lines, _ = decode_lines(strip_mark(stream.readline(), f"{path}"))
    if not lines:
        raise InputError(f"{path}: the file is empty. Check that it was written whole.")
    return lines[0]


def guess_separator(line: str, where: str) -> str:
    """Tab, semicolon, comma, bar or space: the one that stands most often in the line, the earlier one in a tie.

    Raises:
        InputError: none is there.
    """
    best = max("\t;,| ", key=line.count)
    if not line.count(best):
        raise InputError(f"{where}:1: {line[:60]!r} has only one column. Name what parts them with --set separator=...")
    return best


def looks_like_header(cells: Sequence[str], wanted: dict[str, str | None]) -> bool:
    """A first line is a header when it holds a name we were told or know, or when no cell of it is a number."""
    known = {name for tiers in SYNONYMS.values() for tier in tiers for name in tier}
    told = {name for name in wanted.values() if name is not None}
    return any(c.strip().lower() in known or c in told for c in cells) or not any(_is_number(c) for c in cells)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def find_columns(names: Sequence[str], wanted: dict[str, str | None], where: str) -> dict[str, str]:
    """Which column is what: "user_id", "song_id", "plays", "time" → the column's own name.

    Args:
        names: the columns there are.
        wanted: user, song, plays, time → a column name, "auto", or None when not wanted.
    Raises:
        InputError: a column is missing (lists those there are) or "auto" fits two (lists both).
    """
    twice = [name for name, n in Counter(names).items() if n > 1 and name in wanted.values()]
    if twice:
        raise InputError(f"{where}: column {twice[0]!r} stands twice. Rename one.")
    found = {}
    for what, name in wanted.items():
        if name == "auto":
            found[OUR_NAMES[what]] = _by_synonym(names, what, where)
        elif name is not None:
            if name not in names:
                raise InputError(
                    f"{where}: no column {name!r}; the columns are {', '.join(map(repr, names))}."
                    f"{did_you_mean(name, names)} Name it with --set {what}=COLUMN."
                )
            found[OUR_NAMES[what]] = name
    return found


def _by_synonym(names: Sequence[str], what: str, where: str) -> str:
    for tier in SYNONYMS[what]:
        fitting = [name for name in names if name.strip().lower() in tier]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            told = " and ".join(map(repr, fitting))
            raise InputError(f"{where}: both {told} may be the {what}. Choose with --set {what}=COLUMN.")
    raise InputError(
        f"{where}: no column for the {what}; the columns are {', '.join(map(repr, names))}. "
        f"Name it with --set {what}=COLUMN. (A file without a header line: --set header=no.)"
    )


def _parquet_rows(
    path: Path, settings: EventSettings, wanted: dict[str, str | None], notes: Counter[str]
) -> Iterator[pl.DataFrame]:
    with open_bytes(path, settings.member):
        pass  # not there, no permission: said in our words
    try:
        table = pl.scan_parquet(path)
        schema = table.collect_schema()
        found = find_columns(schema.names(), wanted, f"{path}")
        for name in (found["user_id"], found["song_id"]):
            if schema[name].is_float():
                raise InputError(f"{path}: column {name!r} holds decimal numbers, expected ids. Save them as texts.")
        picked = [pl.col(column).alias(name) for name, column in found.items()]
        picked += [pl.col(name).cast(pl.String) for name in settings.extras if name in schema.names()]
        height = int(table.select(pl.len()).collect().item())
        for start in range(0, height, PARQUET_ROWS):
            cells = number_rows(table.select(picked).slice(start, PARQUET_ROWS).collect(), start + 1)
            skip_bad = settings.on_bad_row == "skip"
            yield keep_good(judge(cells, settings.time_unit), notes, skip_bad=skip_bad, where=f"{path}: row ")
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: damaged or not parquet ({error}). Write it again.") from error


@dataclass(frozen=True)
class MatrixSettings:
    """Where the ids of a matrix lie: text files beside it, one id a line, in the order of rows and of columns.

    Attributes:
        users, songs: names of the two files.
    """

    users: str = "users.txt"
    songs: str = "songs.txt"


def read_matrix(path: Path | str, settings: MatrixSettings) -> Reading:
    """Plays from a SciPy sparse matrix [n_users, n_songs] (`scipy.sparse.save_npz`) and its ids.

    Stored zeros mean "not played" and are left out; so are users and songs without any play. Both are noted.

    Raises:
        InputError: the shape does not fit the ids ("It looks transposed"), a count is not positive, a damaged file.
    """
    path = Path(path)
    matrix = _load_npz(path)
    users = Vocabulary(read_lines(path.parent / settings.users)[0], "user")
    songs = Vocabulary(read_lines(path.parent / settings.songs)[0], "song")
    _check_matrix_shape(path, matrix.shape, (len(users), len(songs)))
    n_stored = matrix.nnz
    matrix.sum_duplicates()
    pairs = matrix.tocoo()
    row, column = pairs.coords
    played = pairs.data != 0
    record: dict[str, Any] = {"reader": "matrix", **dataclasses.asdict(settings)}
    plays = Plays.from_pairs(
        users.ids.gather(row[played]), songs.ids.gather(column[played]), pairs.data[played], settings=record
    )
    notes = {
        "stored values read": n_stored,
        "stored zeros left out": int(np.count_nonzero(~played)),
        "users without plays left out": len(users) - len(plays.users),
        "songs without plays left out": len(songs) - len(plays.songs),
    }
    return Reading(plays, None, notes)


def _load_npz(path: Path) -> sparse.csr_array:
    with open_bytes(path) as stream:
        try:
            return sparse.csr_array(sparse.load_npz(stream))
        except (ValueError, KeyError) as error:
            raise InputError(f"{path}: not a matrix of scipy.sparse.save_npz ({error}). Save it again.") from error


def _check_matrix_shape(path: Path, found: tuple[int, ...], expected: tuple[int, int]) -> None:
    if found == expected:
        return
    message = f"{path}: has shape {list(found)}, expected {list(expected)} ({expected[0]} users, {expected[1]} songs)."
    if found[::-1] == expected:
        message += " It looks transposed: users come first. Save matrix.T."
    raise InputError(message)

"""What a file looks like, and the very command that reads it."""

import mimetypes
import shlex
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from deepcuts.data.columns import SYNONYMS, find_columns, name_columns
from deepcuts.data.histories import HISTORIES, LAYOUTS, kind_of_history
from deepcuts.data.histories.deezer import history_sheet
from deepcuts.data.histories.sources import Source, each_source
from deepcuts.data.histories.tables import layout_of
from deepcuts.data.histories.yambda import is_yambda_embeddings
from deepcuts.data.kinds import what_is
from deepcuts.data.sniff import Sniffed, is_number, plain_name
from deepcuts.data.table import EventSettings, sniff_with
from deepcuts.errors import InputError
from deepcuts.store import kind_of

Told = tuple[str, str]  # what it looks like; the command, "" where none reads it
SCALES = ((1e11, "s"), (1e14, "ms"), (1e17, "us"))  # a unix time below this counts in these


def describe(path: Path | str) -> list[tuple[str, str, str]]:
    """What each file of a source looks like, and the command that reads it: (name, what it is, command).

    The command is "" where none reads the file; then what is said of it says why, or what to do.

    Raises:
        InputError: no such file, or damaged.
    """
    path = Path(path)
    if path.is_dir() and (path / "meta.json").exists():
        return [(path.name, f"{kind_of(path)} written by deepcuts", "")]
    if path.suffix == ".npz":
        return [(path.name, "a sparse matrix of NumPy", f"deepcuts data matrix {_typed(path)} -o plays")]
    return [(source.name, *_described(source, path)) for source in each_source([path])]


def _typed(path: Path | str) -> str:
    return shlex.quote(str(path))


def _described(source: Source, path: Path) -> Told:
    kind, layout = kind_of_history(source), layout_of(source)
    if kind == "deezer" and history_sheet(source)[0] is None:
        return "an Excel workbook; save the sheet as CSV (UTF-8) and ask again", ""
    if kind is not None:
        return HISTORIES[kind].about, f"deepcuts data history {_typed(path)} -o plays"
    if layout is not None:
        return LAYOUTS[layout].about, f"deepcuts data history {_typed(path)} -o plays"
    if source.base == "user_artists.dat":
        return "Last.fm plays of hetrec-2011", f"deepcuts data lastfm {_typed(path)} -o plays"
    if is_yambda_embeddings(source):
        return "embeddings of Yambda's tracks: features, not listens", ""
    found, by_name = what_is(source.head), mimetypes.guess_type(source.base)[0] or ""
    if by_name.startswith("audio/") or (found or "").endswith("sound file"):
        folder = path if path.is_dir() else path.parent
        return found or "a sound file", f"deepcuts library {_typed(folder)} -o library"
    if source.base.endswith(".html") and found:
        return f"{found}; if it is a watch history, choose JSON instead of HTML in Google Takeout", ""
    if found == "parquet":
        return _described_parquet(source, path)
    return (found, "") if found is not None else _described_text(source, path)


def _described_parquet(source: Source, path: Path) -> Told:
    try:
        names = list(pl.read_parquet_schema(source.path)) if source.path is not None else []
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        return f"a damaged parquet table ({error})", ""
    counted = any(plain_name(name) in tier for tier in SYNONYMS["plays"] for name in names)
    return "a parquet table", _command("table" if counted else "events", source, path, [])


def _described_text(source: Source, path: Path) -> Told:
    """A text table by its columns, as the readers of tables find them; else what they ask for."""
    sample = source.head if len(source.head) < 1 << 17 else source.head[: source.head.rfind(b"\n") + 1]
    refusal = ""
    for kind, plays in (("table", "auto"), ("events", None)):
        wanted: dict[str, str | None] = {"user": "auto", "song": "auto", "plays": plays, "time": None}
        try:
            found = sniff_with(sample, EventSettings(), {**wanted, "time": "auto"}, source.where)
            names, asked = name_columns(found, None, wanted, source.where)
            find_columns(names, asked, EventSettings().extras, source.where, found.rows)
        except InputError as error:
            refusal = refusal or f"{error}"
            continue
        what = "a table of play counts" if plays else "a table of listens"
        return what, _command(kind, source, path, _time_options(found))
    return f"text that no reader takes as it is: {refusal}", ""


def _time_options(found: Sniffed) -> list[str]:
    """`--set time=… --set time_unit=…` where a column holds times."""
    accepted = [name for tier in SYNONYMS["time"] for name in tier]
    at = next((i for i, name in enumerate(found.names or []) if plain_name(name) in accepted), None)
    if at is None or found.names is None:
        return []
    cells = [row[at].strip() for row in found.rows if at < len(row) and row[at].strip()]
    unit = _unit_of(cells)
    return [f"--set {_typed(f'time={found.names[at]}')}", *([f"--set time_unit={unit}"] if unit != "s" else [])]


def _unit_of(cells: Sequence[str]) -> str:
    if not all(map(is_number, cells)):
        return "iso"
    largest = max((abs(float(cell)) for cell in cells), default=0.0)
    return next((unit for limit, unit in SCALES if largest < limit), "ns")


def _command(kind: str, source: Source, path: Path, options: list[str]) -> str:
    """The reader of tables for one file; a member of an archive is named, the parts of a table are one."""
    origin = source.origin or path
    target = path if path.is_dir() and source.base.startswith("part-") else origin
    member = [] if source.path is not None or source.base == origin.name.lower() else [
        f"--set {_typed(f'member={source.name}')}"]  # fmt: skip
    return " ".join([f"deepcuts data {kind} {_typed(target)} -o plays", *member, *options])

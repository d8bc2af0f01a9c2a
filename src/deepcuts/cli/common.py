"""What every command shares: settings options, output, and what becomes of an error."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import polars as pl
import typer

from deepcuts.artifacts import Songs
from deepcuts.checks import did_you_mean
from deepcuts.cli.settings import CLASSES
from deepcuts.cli.talk import say
from deepcuts.config import make_settings, read_table, read_toml
from deepcuts.data import SideSettings, read_side_table
from deepcuts.errors import SettingError
from deepcuts.locks import only_run
from deepcuts.store import META

S = TypeVar("S")

Out = Annotated[
    Path, typer.Option("-o", "--output", help="The folder to write. Old content is replaced when the new is whole.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change one setting; repeat for more. See `deepcuts settings`."),
]
Toml = Annotated[
    list[Path] | None,
    typer.Option(
        "--settings",
        metavar="FILE.toml",
        help="Settings, a table a stage; repeat: the last file wins, key by key.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
SplitOption = Annotated[Path | None, typer.Option("--split", help="A split: songs for testing stay unheard.")]


def settings_of(cls: type[S], toml: Sequence[Path] | None, assignments: list[str] | None, *tables: str) -> S:
    """Settings from defaults, a table of TOML files (later files win, key by key) and --set."""
    table = tables[-1] if tables else ""
    for file in toml or ():
        refuse_unknown_tables(file, table)
    return make_settings(cls, toml=toml, table=table, assignments=assignments or ())


def changed(base: S, toml: Sequence[Path] | None, assignments: list[str] | None, table: str) -> S:
    """Settings that start from `base` in place of the defaults: a table of TOML files, then --set, change it."""
    asked = settings_of(type(base), toml, assignments, table)
    names = {name for file in toml or () for name in read_table(file, table)}
    names |= {text.partition("=")[0].strip() for text in assignments or ()}
    return dataclasses.replace(base, **{name: getattr(asked, name) for name in names})  # type: ignore[type-var]


def is_set(name: str, toml: Sequence[Path] | None, assignments: list[str] | None, table: str) -> bool:
    """Whether a person has chosen a setting, in a file or by --set."""
    if any(name in read_table(file, table) for file in toml or ()):
        return True
    return any(text.partition("=")[0].strip() == name for text in assignments or ())


def refuse_unknown_tables(toml: Path, table: str) -> None:
    """Refuse a settings file with a table that no command reads, or a setting outside of any: it would do nothing.

    Raises:
        SettingError: names it ("Did you mean").
    """
    known = {table, *(name for name, _ in CLASSES.values())}
    for name, held in read_toml(toml).items():
        if not isinstance(held, dict):
            raise SettingError(f"{toml}: {name} stands outside of any table. Write it below [{table}].")
        if name not in known:
            raise SettingError(f"{toml}: [{name}]: no such table.{did_you_mean(name, known)}")


def one_of(option: str, value: str, allowed: Sequence[str]) -> str:
    """The value of an option that must be one of a few words.

    Raises:
        SettingError: it is another ("Did you mean").
    """
    if value not in allowed:
        raise SettingError(f"{option} {value!r}: unknown.{did_you_mean(value, allowed)}")
    return value


@contextmanager
def checkpoint_of(output: Path) -> Iterator[Path]:
    """Where a long stage keeps its checkpoint; removed when the stage ends well. One run at a time writes `output`.

    Raises:
        ArtifactError: another process is writing `output`.
    """
    output = output.resolve()
    checkpoint = output.with_name(f".{output.name}.checkpoint")
    with only_run(output):
        yield checkpoint
        for folder in output.parent.glob(f".{output.name}.checkpoint*"):
            shutil.rmtree(folder, ignore_errors=True)


def print_json(content: Any) -> None:
    """Data for a program: stdout."""
    print(json.dumps(content, indent=2, ensure_ascii=False, default=str))


def print_table(table: pl.DataFrame, as_json: bool = False) -> None:
    """A table on stdout: tab-separated with a header, or a JSON list of rows."""
    if as_json:
        print_json(table.to_dicts())
    else:
        sys.stdout.write(table.write_csv(separator="\t"))


def read_columns(
    path: Path, *columns: str, assignments: Sequence[str] = (), may_be_empty: Sequence[str] = ()
) -> pl.DataFrame:
    """Columns of a side table as texts, by the reader of tables; or plain lines when one column is asked.

    Args:
        path: a table, or the folder of a library.
        columns: names that must be there, in any case.
        may_be_empty: those of them whose cells may be empty.
        assignments: `name=value` texts for `SideSettings`, such as song=COLUMN or separator=semicolon.
    Raises:
        InputError: unreadable, a column is missing, or a cell of it is empty.
    """
    if path.is_dir() and (path / META).exists():
        return Songs.load(path).table.with_columns(pl.all().cast(pl.String))
    settings = make_settings(SideSettings, assignments=assignments)
    table, notes = read_side_table(path, columns, settings, may_be_empty=may_be_empty)
    for what, n in notes.items():
        say(f"{path}: {n:,} {what}")
    return table


def for_side_tables(cls: type, assignments: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """The `--set` texts for a stage's own settings, and those for the side tables that it reads."""
    own = {one.name for one in dataclasses.fields(cls)}
    side = {one.name for one in dataclasses.fields(SideSettings)} - own
    mine: list[str] = []
    theirs: list[str] = []
    for text in assignments or ():
        (theirs if text.partition("=")[0].strip() in side else mine).append(text)
    return mine, theirs

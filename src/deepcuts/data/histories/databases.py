"""Databases of media servers, opened read-only: what is shared by their readers."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from deepcuts.data.histories.sources import SQLITE, Source
from deepcuts.errors import InputError


@contextmanager
def open_database(path: Path | None, where: str) -> Iterator[sqlite3.Connection]:
    """A connection that never writes. A database with a write-ahead log beside it is copied first, log included, so
    that what the server wrote last is seen and nothing of the server's is touched.

    Raises:
        InputError: not a database, or damaged.
    """
    if path is None:
        raise InputError(f"{where}: not a database of SQLite. `deepcuts data what FILE` says what it looks like.")
    with tempfile.TemporaryDirectory() as scratch:
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            copy = Path(scratch, "copy.db")
            shutil.copyfile(path, copy)
            shutil.copyfile(log, copy.with_name("copy.db-wal"))
            address = f"file:{quote(str(copy))}"
        else:
            address = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
        connection = sqlite3.connect(address, uri=True)
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            yield connection
        except (sqlite3.Error, UnicodeDecodeError) as error:  # names of columns that are not UTF-8
            raise InputError(
                f"{where}: damaged, or not the database it seems to be ({error}). Copy it again."
            ) from error
        finally:
            connection.close()


def tables_of(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """The tables of a database with their columns; names in small letters."""
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    return {
        name.lower(): [row[1].lower() for row in connection.execute(f'PRAGMA table_info("{name}")')]
        for name in names
        if '"' not in name
    }


def tables_in(source: Source) -> dict[str, list[str]]:
    """The tables of a file, for recognising it; none when it is no database or is damaged."""
    if not source.head.startswith(SQLITE) or source.path is None:
        return {}
    try:
        with open_database(source.path, source.where) as connection:
            return tables_of(connection)
    except InputError:
        return {}


def first_of(columns: list[str], *names: str, table: str = "") -> str:
    """The first of some columns that is there, as SQL; NULL where none is."""
    found = next((name for name in names if name in columns), None)
    head = f"{table}." if table else ""
    return f"{head}{found}" if found else "NULL"

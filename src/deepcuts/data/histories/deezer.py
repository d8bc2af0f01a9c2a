"""Deezer: the workbook of the personal data, sheet 10_listeningHistory. Its addresses are never kept."""

import io
from collections.abc import Callable
from datetime import datetime
from typing import Any

from deepcuts.data.archives import DAMAGE
from deepcuts.data.histories.identity import isrc_of
from deepcuts.data.histories.listens import Collected, Listen, number_of, seconds_of, text_of
from deepcuts.data.histories.sources import Source
from deepcuts.errors import InputError

NEEDED = {"song title", "artist", "date"}


def is_deezer(source: Source) -> bool:
    """Whether a file is a workbook: Deezer's export has the sheet 10_listeningHistory."""
    return source.stream is None and source.head.startswith(b"PK\x03\x04")


def read_deezer(source: Source, out: Collected) -> None:
    """Take the listening history of a Deezer workbook."""
    name, sheets = history_sheet(source)
    if name is None:
        raise InputError(
            f"{source.where}: no sheet 10_listeningHistory, as Deezer's export has; the sheets are {', '.join(sheets)}."
            " For another workbook, save the sheet as CSV (UTF-8) and read that with `deepcuts data events`."
        )
    rows = _of_book(source, lambda book: list(book[name].iter_rows(values_only=True)))
    header = [text_of(cell).lower() for cell in (rows[0] if rows else ())]
    if not set(header) >= NEEDED:
        raise InputError(
            f"{source.where}: the sheet {name} has the columns {', '.join(header)}; expected song title, artist and "
            "date among them. Export it again."
        )
    for cells in rows[1:]:
        _take(dict(zip(header, cells, strict=False)), out)


def history_sheet(source: Source) -> tuple[str | None, list[str]]:
    """The name of the sheet with the listens, None where there is none; and the names of all sheets.

    Raises:
        InputError: a damaged workbook.
    """
    sheets: list[str] = _of_book(source, lambda book: list(book.sheetnames))
    return next((one for one in sheets if "listeninghistory" in one.lower().replace("_", "")), None), sheets


def _of_book(source: Source, ask: Callable[[Any], Any]) -> Any:
    """What `ask` takes from the workbook.

    Raises:
        InputError: damaged.
    """
    from openpyxl import load_workbook  # only workbooks need it

    try:
        return ask(load_workbook(io.BytesIO(source.bytes()), read_only=True, data_only=True))
    except (*DAMAGE, OSError, SyntaxError, TypeError, AttributeError) as error:  # broken XML is a SyntaxError
        raise InputError(f"{source.where}: a damaged workbook ({error}). Export it again.") from error


def _take(row: dict[str, Any], out: Collected) -> None:
    date = row.get("date")
    time = seconds_of(date.isoformat() if isinstance(date, datetime) else date)
    if time is None:
        out.notes["rows without a date left out"] += 1
        return
    artist, title, album = (text_of(row.get(name)) for name in ("artist", "song title", "album title"))
    one = Listen(artist, title, album, time, isrc=isrc_of(row.get("isrc")))
    out.add(one, seconds=number_of(row.get("listening time")))

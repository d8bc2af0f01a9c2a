"""Deezer: the workbook of the personal data, sheet 10_listeningHistory. Its addresses are never kept."""

import io
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from deepcuts.data.histories.identity import isrc_of
from deepcuts.data.histories.listens import Collected, Listen, number_of, seconds_of, text_of
from deepcuts.data.histories.sources import Source
from deepcuts.errors import InputError


def is_deezer(source: Source) -> bool:
    """Whether a file is a workbook: Deezer's export has the sheet 10_listeningHistory."""
    return source.stream is None and source.head.startswith(b"PK\x03\x04")


def read_deezer(source: Source, out: Collected) -> None:
    """Take the listening history of a Deezer workbook."""
    from openpyxl import load_workbook  # only workbooks need it

    try:
        book = load_workbook(io.BytesIO(source.bytes()), read_only=True, data_only=True)
    except (BadZipFile, KeyError, ValueError, OSError, ParseError) as error:
        raise InputError(f"{source.where}: a damaged workbook ({error}). Export it again.") from error
    name = next((one for one in book.sheetnames if "listeninghistory" in one.lower().replace("_", "")), None)
    if name is None:
        sheets = ", ".join(book.sheetnames)
        raise InputError(
            f"{source.where}: no sheet 10_listeningHistory, as Deezer's export has; the sheets are {sheets}. "
            "For another workbook, save the sheet as CSV (UTF-8) and read that with `deepcuts data events`."
        )
    rows = book[name].iter_rows(values_only=True)
    header = [text_of(cell).lower() for cell in next(rows, ())]
    if not {"song title", "artist", "date"} <= set(header):
        raise InputError(f"{source.where}: the sheet {name} has the columns {', '.join(header)}; expected song title, "
                         "artist and date. Export it again.")  # fmt: skip
    for cells in rows:
        _take(dict(zip(header, cells, strict=False)), out)


def _take(row: dict[str, Any], out: Collected) -> None:
    date = row.get("date")
    time = seconds_of(date.isoformat() if isinstance(date, datetime) else date)
    if time is None:
        out.notes["rows without a date left out"] += 1
        return
    artist, title, album = (text_of(row.get(name)) for name in ("artist", "song title", "album title"))
    one = Listen(artist, title, album, time, isrc=isrc_of(row.get("isrc")))
    out.add(one, seconds=number_of(row.get("listening time")))

"""Whether the parts of a parquet file agree on how much it holds, before a reader believes one of them.

Polars reserves memory for as many values as a header tells of. One wrong bit there asks for exabytes, and Rust ends the
process. A file tells its size several times: rows of the file, of each row group, values of each column, values of each
page. All must agree, every page must lie inside the file, and a dictionary holds at most one value a byte.

Source: https://github.com/apache/parquet-format (thrift definitions), Thrift compact protocol.
"""

import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepcuts.errors import InputError

MAGIC = b"PAR1"
MOST_DEPTH = 16  # of structs within structs
DICTIONARY, INDEX = 2, 1  # types of pages that hold no rows
Data = bytes | mmap.mmap


def check_parquet(source: Path | bytes, where: str) -> None:
    """Refuse a parquet file whose parts contradict each other.

    Args:
        source: the file, or its bytes.
        where: its name, for the message.
    Raises:
        InputError: damaged (says what disagrees). OSError: it cannot be read.
    """
    if isinstance(source, bytes):
        _check(source, where)
        return
    with source.open("rb") as file:
        if source.stat().st_size < len(MAGIC):
            raise InputError(f"{where}: damaged or not parquet (it is too short). Write it again.")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _check(data, where)


def _check(data: Data, where: str) -> None:
    try:
        _check_footer(data)
    except (IndexError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{where}: damaged or not parquet ({error}). Write it again.") from error


def _check_footer(data: Data) -> None:
    end = len(data) - 8
    length = int.from_bytes(data[end : end + 4], "little")
    if data[:4] != MAGIC or data[end + 4 :] != MAGIC or not 0 < length <= end:
        raise ValueError("it does not end as parquet does")
    footer, _ = _struct(data[end - length : end], 0, 0)
    rows = [group[3] for group in footer[4]]
    if any(n < 0 for n in rows) or sum(rows) != footer[3]:
        raise ValueError(f"it tells of {footer[3]} rows, its parts of {sum(rows)}")
    for group in footer[4]:
        for column in group[1]:
            _check_column(data, column[3], group[3])


def _check_column(data: Data, column: Mapping[int, Any], n_rows: int) -> None:
    """Values of a column chunk and of its pages; one value a row where the column is not nested."""
    n_values, is_flat = column[5], len(column[3]) == 1
    if is_flat and n_values != n_rows:
        raise ValueError(f"a column of {n_values} values for {n_rows} rows")
    if not n_values:  # its pages may be nowhere
        return
    at = min(column[9], column.get(11) or column[9])
    end = at + column[7]
    if not (4 <= at <= end <= len(data)):
        raise ValueError("a column lies outside of the file")
    found = 0
    while at < end:
        page, at = _struct(data, at, 0)
        found += _values_of(page)
        if page[3] < 0 or page[2] < 0:
            raise ValueError("a page of a negative size")
        at += page[3]
    if at != end or found != n_values:
        raise ValueError(f"a column of {n_values} values with {found} in its pages")


def _values_of(page: Mapping[int, Any]) -> int:
    """How many values of the column a page holds: none, for a dictionary."""
    if page[1] == DICTIONARY:
        if not 0 <= page[7][1] <= page[2]:
            raise ValueError(f"a dictionary of {page[7][1]} values in {page[2]} bytes")
        return 0
    return 0 if page[1] == INDEX else int((page.get(5) or page[8])[1])


def _varint(data: Data, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number is too long")


def _integer(data: Data, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _struct(data: Data, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Field number → value of a struct, and where it ends."""
    if depth > MOST_DEPTH:
        raise ValueError("structs within structs")
    fields: dict[int, Any] = {}
    name = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            name += head >> 4
        else:
            name, at = _integer(data, at)
        kind = head & 15
        fields[name], at = (kind == 1, at) if kind <= 2 else _value(data, at, kind, depth)
    return fields, at + 1


def _value(data: Data, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _integer(data, at)
    if kind == 7:
        return None, at + 8
    if kind == 8:
        length, at = _varint(data, at)
        if at + length > len(data):
            raise ValueError("a text runs past its end")
        return None, at + length
    if kind in (9, 10):
        return _list(data, at, depth)
    if kind == 12:
        return _struct(data, at, depth + 1)
    raise ValueError(f"a value of the unknown type {kind}")


def _list(data: Data, at: int, depth: int) -> tuple[Sequence[Any], int]:
    head, at = data[at], at + 1
    kind, n = head & 15, head >> 4
    if n == 15:
        n, at = _varint(data, at)
    if n > len(data):
        raise ValueError(f"a list of {n} in {len(data)} bytes")
    found = []
    for _ in range(n):
        value, at = (data[at], at + 1) if kind <= 2 else _value(data, at, kind, depth)
        found.append(value)
    return found, at

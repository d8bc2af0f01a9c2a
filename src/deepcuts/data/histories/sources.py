"""Files of an export, opened one after another, with what can be told of each from its first bytes."""

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from deepcuts.data.archives import members, open_source
from deepcuts.data.reading import LONGEST_LINE, strip_mark
from deepcuts.errors import InputError

HEAD_BYTES = 1 << 17
SQLITE, ZIP, PARQUET = b"SQLite format 3\x00", b"PK\x03\x04", b"PAR1"


@dataclass(frozen=True)
class Source:
    """One file of an export.

    Attributes:
        name: below the folder or archive it came from.
        where: for messages.
        head: its first bytes, decompressed.
        stream: all its bytes from the start; None for a database or workbook, which is opened by `path`.
        path: on disk; None inside an archive.
    """

    name: str
    where: str
    head: bytes
    stream: IO[bytes] | None
    path: Path | None

    @property
    def base(self) -> str:
        """The name without folders, in small letters."""
        return self.name.rsplit("/", 1)[-1].lower()

    @property
    def keys(self) -> frozenset[str]:
        """All names that stand before a colon in the first bytes of a JSON text."""
        text = self.head.decode("utf-8", "replace")
        return frozenset(re.findall(r'"([^"\\]{1,80})"\s*:', text)) if self.is_json else frozenset()

    @property
    def is_json(self) -> bool:
        """Whether the text begins as JSON does."""
        return self.head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")

    @property
    def first_lines(self) -> list[str]:
        """The first lines of a text."""
        return self.head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").splitlines()[:50]

    def json(self) -> Any:
        """The whole JSON text.

        Raises:
            InputError: not JSON, or cut short (names the line).
        """
        data = self.bytes()
        try:
            return json.loads(strip_mark(data, self.where).decode("utf-8", "replace"))
        except (json.JSONDecodeError, RecursionError) as error:
            line = getattr(error, "lineno", 1)
            raise InputError(
                f"{self.where}:{line}: damaged JSON, or cut short ({error}). Export or fetch the file again."
            ) from error

    def json_lines(self) -> Iterator[tuple[int, Any]]:
        """(line number, object) of each line that is not blank.

        Raises:
            InputError: a line that is not JSON (names it).
        """
        if self.stream is None:
            raise InputError(f"{self.where}: is a database or workbook, expected lines of JSON.")
        text = io.TextIOWrapper(self.stream, encoding="utf-8-sig", errors="replace")
        number = 0
        while line := text.readline(LONGEST_LINE * 16):
            number += 1
            if line.strip():
                try:
                    yield number, json.loads(line)
                except (json.JSONDecodeError, RecursionError) as error:
                    raise InputError(
                        f"{self.where}:{number}: not a line of JSON, or cut short ({error}). Fetch the file again."
                    ) from error

    def bytes(self) -> bytes:
        """All bytes."""
        if self.stream is None:
            if self.path is None:
                raise InputError(f"{self.where}: cannot be read inside an archive. Unpack it first.")
            return self.path.read_bytes()
        return self.stream.read()


class _Ahead(io.RawIOBase):
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def each_source(paths: Sequence[Path]) -> Iterator[Source]:
    """Every file of an export: files, folders and archives, unpacked; databases and workbooks by their path.

    Raises:
        InputError: nothing there, damaged.
    """
    for path in paths:
        if path.is_dir():
            for name in members(path):
                yield from _of_file(path / name, name)
        else:
            yield from _of_file(path, path.name)


def _of_file(path: Path, name: str) -> Iterator[Source]:
    head = _head_of(path)
    if head.startswith(SQLITE) or is_workbook(path, head):
        yield Source(name, f"{path}", head, None, path)
        return
    for inner, stream in open_source(path):
        where = f"{path}" if inner == path.name else f"{path}/{inner}"
        start = stream.read(HEAD_BYTES)
        whole = io.BufferedReader(_Ahead(start, stream), 1 << 16)
        yield Source(name if inner == path.name else inner, where, start, whole, path if inner == path.name else None)


def _head_of(path: Path) -> bytes:
    if not path.is_file():  # a pipe is looked at once only, by the reader of archives
        return b""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def is_workbook(path: Path, head: bytes) -> bool:
    """Whether a file is an Excel workbook (.xlsx)."""
    return head.startswith(ZIP) and (b"xl/" in head or path.suffix.lower() == ".xlsx" or b"[Content_Types].xml" in head)

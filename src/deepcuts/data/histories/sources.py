"""Files of an export, opened one after another, with what can be told of each from its first bytes."""

import csv
import io
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from deepcuts.data.archives import members, open_source
from deepcuts.data.kinds import what_is
from deepcuts.data.reading import LONGEST_LINE, decode_lines, strip_mark
from deepcuts.errors import InputError

HEAD_BYTES = 1 << 17
MOST_NESTED = 3  # archives inside archives
BESIDE_DATABASES = ("-wal", "-shm", "-journal")
SQLITE, ZIP, PARQUET = b"SQLite format 3\x00", b"PK\x03\x04", b"PAR1"


@dataclass(frozen=True)
class Source:
    """One file of an export.

    Attributes:
        name: below the folder or archive it came from.
        where: for messages.
        head: its first bytes, decompressed.
        stream: all its bytes from the start; None for a database, workbook or parquet, which is opened by `path`.
        path: on disk (a database or parquet inside an archive lies unpacked while it is read); None in an archive.
        origin: what was given: the file or archive, or the file below the folder.
    """

    name: str
    where: str
    head: bytes
    stream: IO[bytes] | None
    path: Path | None
    origin: Path | None = None

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
        if not self.is_json and what_is(self.head) is not None:
            raise InputError(
                f"{self.where}: is {what_is(self.head)}, expected JSON. "
                "`deepcuts data what FILE` says which command reads it."
            )
        text = _decoded(strip_mark(self.bytes(), self.where))
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
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
        number = 0
        while line := self.stream.readline(LONGEST_LINE * 16):
            number += 1
            text = _decoded(strip_mark(line, self.where) if number == 1 else line)
            if text.strip():
                try:
                    yield number, json.loads(text)
                except (ValueError, RecursionError) as error:
                    raise InputError(
                        f"{self.where}:{number}: not a line of JSON, or cut short ({error}). Fetch the file again."
                    ) from error

    def csv_rows(self, separators: str = ",;\t") -> Iterator[tuple[int, list[str]]]:
        """(line number, cells without blanks around them) of each row; CR, LF and CR LF end a line.

        Blank lines, and comments and `sep=;` before the first row, are no rows. The separator is the one of
        `separators` that the first row has most of.

        Raises:
            InputError: a quoted cell runs over several lines, so that it swallows rows (names the line it opens in).
        """
        data = strip_mark(self.bytes(), self.where).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines, _ = decode_lines(data)
        skipped, separator = _preamble(lines, separators)
        before = skipped
        reader = csv.reader((line + "\n" for line in lines[skipped:]), delimiter=separator)
        try:
            for cells in reader:
                if skipped + reader.line_num - before > 1:
                    raise csv.Error
                before = skipped + reader.line_num
                if any(cell.strip() for cell in cells):
                    yield before, [cell.strip() for cell in cells]
        except csv.Error as error:
            raise InputError(
                f"{self.where}:{before + 1}: a double quote opens here and does not close on its line. "
                "Close it, or export the file again."
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


def _decoded(data: bytes) -> str:
    """UTF-8; lines that are not are Windows-1252."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return "\n".join(decode_lines(data)[0])


def _preamble(lines: Sequence[str], separators: str) -> tuple[int, str]:
    """How many lines come before the first row, and the separator."""
    declared = ""
    for number, line in enumerate(lines):
        start = line.strip().lower()
        if start.startswith("sep=") and len(start) == len("sep=") + 1:
            declared = start[-1]
        elif start and not start.startswith("#"):
            return number, declared or max(separators, key=line.count)
    return len(lines), declared or separators[0]


def each_source(paths: Sequence[Path]) -> Iterator[Source]:
    """Every file of an export: files, folders and archives, unpacked; databases, workbooks and parquet by their path.

    Raises:
        InputError: nothing there, damaged.
    """
    with tempfile.TemporaryDirectory() as scratch:
        for path in paths:
            if path.is_dir():
                for name in members(path):
                    if not name.endswith(BESIDE_DATABASES):
                        yield from _of_file(path / name, name, path / name, f"{path / name}", Path(scratch))
            else:
                yield from _of_file(path, path.name, path, f"{path}", Path(scratch))


def _of_file(path: Path, name: str, origin: Path, where: str, scratch: Path, depth: int = 0) -> Iterator[Source]:
    head = _head_of(path)
    if head.startswith((SQLITE, PARQUET)) or is_workbook(path, head):
        yield Source(name, where, head, None, path, origin)
        return
    for inner, stream in open_source(path):
        is_itself = inner == path.name
        here, label = (name, where) if is_itself else (inner, f"{where}/{inner}")
        start = stream.read(HEAD_BYTES)
        whole = io.BufferedReader(_Ahead(start, stream), 1 << 16)
        if start.startswith((SQLITE, PARQUET, ZIP)) and depth < MOST_NESTED:
            yield from _unpacked(whole, here, origin, label, scratch, depth)
        else:
            yield Source(here, label, start, whole, path if is_itself and depth == 0 else None, origin)


def _unpacked(stream: IO[bytes], name: str, origin: Path, where: str, scratch: Path, depth: int) -> Iterator[Source]:
    """What can only be read from a file on disk: a database, parquet, workbook or zip inside an archive."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        copy = Path(folder, f"member{Path(name).suffix[:10]}")
        with copy.open("wb") as file:
            shutil.copyfileobj(stream, file)
        yield from _of_file(copy, name, origin, where, scratch, depth + 1)


def _head_of(path: Path) -> bytes:
    if not path.is_file():  # a pipe is looked at once only, by the reader of archives
        return b""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def is_workbook(path: Path, head: bytes) -> bool:
    """Whether a file is an Excel workbook (.xlsx)."""
    return head.startswith(ZIP) and (b"xl/" in head or path.suffix.lower() == ".xlsx" or b"[Content_Types].xml" in head)

"""What a reader gives, and how raw bytes are opened: plain, .gz, .bz2, .zip or a folder; UTF-8, strays in Latin-1."""

import bz2
import csv
import gzip
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import polars as pl
from scipy import sparse

from deepcuts.artifacts import Plays, Tags, Vocabulary
from deepcuts.errors import InputError
from deepcuts.store import explain_os_error

BLOCK_BYTES = 8 * 2**20  # the allocator keeps memory of this size and does not fetch it anew for each block
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter")
NOT_TABLES = ("readme", "license", "licence", "__macosx")


@dataclass(frozen=True)
class Reading:
    """What a reader of raw data gives.

    Attributes:
        plays: who played what how often, with the songs table.
        tags: rows in the order of `plays.songs`; None when the source has none.
        notes: what happened on the way, such as "rows read" or "duplicate rows summed". Nothing is left out untold.
    """

    plays: Plays
    tags: Tags | None = None
    notes: dict[str, int] = field(default_factory=dict)


@contextmanager
def open_bytes(path: Path | str, member: str | None = None) -> Iterator[IO[bytes]]:
    """The bytes of a file, decompressed: what it is (gzip, bzip2, zip, plain) is told by its first bytes.

    Args:
        path: a file; or a zip file or folder that holds `member`.
        member: the file's name inside a zip or folder. None takes the only table of a zip.
    Raises:
        InputError: not there, damaged or cut short, or a zip of several tables and no `member`.
        ResourceError: the machine refuses, for example for lack of permission.
    """
    given = Path(path)
    path = given / member if member is not None and given.is_dir() else given
    try:
        with ExitStack() as stack:
            yield _open(path, None if path != given else member, stack, unpack=path.suffix != ".npz")
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: damaged or cut short ({error}). Fetch it again.") from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file. Check the name.") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder, expected a file. Name the file inside it.") from error
    except OSError as error:
        if error.errno is None:  # bz2 says "Invalid data stream" this way
            raise InputError(f"{path}: damaged ({error}). Fetch it again.") from error
        raise explain_os_error(error, path) from error


def _open(path: Path, member: str | None, stack: ExitStack, unpack: bool) -> IO[bytes]:
    plain = stack.enter_context(path.open("rb"))
    if not unpack:  # a matrix of NumPy is a zip too, but one that NumPy opens
        return plain
    start = plain.read(4)
    plain.seek(0)
    if start.startswith(b"PK\x03\x04"):
        archive = stack.enter_context(zipfile.ZipFile(plain))
        name = choose_member(path, [i.filename for i in archive.infolist() if not i.is_dir()], member)
        return stack.enter_context(archive.open(name))
    if member is not None:
        raise InputError(f"{path}: is neither a zip nor a folder, so it holds no {member!r}. Leave the member out.")
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=plain)))
    if start.startswith(b"BZh"):
        return stack.enter_context(bz2.open(plain))
    return plain


def member_names(path: Path | str) -> list[str]:
    """The files of a zip or folder, by name without leading folders.

    Raises:
        InputError: neither a zip nor a folder, or not there.
    """
    path = Path(path)
    if path.is_dir():
        return sorted(p.name for p in path.iterdir() if p.is_file())
    if not path.exists():
        raise InputError(f"{path}: no such file or folder. Check the name.")
    try:
        with zipfile.ZipFile(path) as archive:
            return sorted(Path(i.filename).name for i in archive.infolist() if not i.is_dir())
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: neither a folder nor a zip, or a damaged zip ({error}).") from error
    except OSError as error:
        raise explain_os_error(error, path) from error


def choose_member(path: Path, names: list[str], member: str | None) -> str:
    """The file of a zip that is meant: by name, or the only one that looks like a table.

    Raises:
        InputError: none or several fit; lists all members.
    """
    if member is not None:
        fitting = [n for n in names if n == member] or [n for n in names if n.rsplit("/", 1)[-1] == member]
    else:
        plain = [n for n in names if not any(word in n.lower() for word in NOT_TABLES)]
        fitting = [n for n in plain if n.lower().endswith(TABLE_SUFFIXES)] or plain
    if len(fitting) == 1:
        return fitting[0]
    wanted = (
        f"has no member {member!r}" if member is not None and not fitting else f"{len(fitting)} members may be meant"
    )
    raise InputError(f"{path}: {wanted}: it holds {', '.join(sorted(names))}. Name one with --set member=NAME.")


def blocks(stream: IO[bytes], *, start: bytes = b"", quoted: bool = False, size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """The stream in blocks of whole lines, about `size` bytes each.

    Args:
        start: bytes that were read already and come first.
        quoted: quoted fields may hold line ends, so a block never ends inside a pair of quotes.
    """
    while block := start + stream.read(size):
        start = b""
        if not block.endswith(b"\n"):
            block += stream.readline()
        while quoted and block.count(b'"') % 2 and (line := stream.readline()):
            block += line
        yield block


def ahead(items: Iterator[bytes]) -> Iterator[bytes]:
    """The same, each one fetched by a thread while the one before is worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def strip_mark(start: bytes, where: str) -> bytes:
    """The start of a text without the UTF-8 byte order mark that Excel puts there.

    Raises:
        InputError: the mark of UTF-16.
    """
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{where}: the text is UTF-16, expected UTF-8 (or Latin-1). Save it as UTF-8.")
    return start.removeprefix(b"\xef\xbb\xbf")


def decode_lines(data: bytes) -> tuple[list[str], int]:
    """Lines as text, without their ends, and how many had to be read as Latin-1 because they are not UTF-8.

    The two are mixed in real files, so each line is decided by itself.
    """
    pieces = data.split(b"\n")
    if not pieces[-1]:
        pieces.pop()
    lines, n_latin1 = [], 0
    for piece in pieces:
        try:
            line = piece.decode("utf-8")
        except UnicodeDecodeError:
            line = piece.decode("latin-1")
            n_latin1 += 1
        lines.append(line.removesuffix("\r"))
    return lines, n_latin1


def split_cells(lines: Iterable[str], separator: str, quoted: bool) -> Any:
    """A `csv.reader` over lines, with or without double quotes."""
    if quoted:
        return csv.reader(lines, delimiter=separator)
    return csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)


def read_lines(path: Path | str, member: str | None = None) -> tuple[list[str], int]:
    """All lines of a file that fits in memory, decoded by `decode_lines`.

    Raises:
        InputError, ResourceError: as `open_bytes`.
    """
    with open_bytes(path, member) as stream:
        return decode_lines(strip_mark(stream.read(), f"{path}"))


def read_fields(
    path: Path | str, n_fields: int, member: str | None = None, header: int = 1
) -> tuple[pl.DataFrame, int]:
    """A small TAB table whose lines all have `n_fields` fields: columns "0", "1", ... of text, and the Latin-1 lines.

    Raises:
        InputError: a line with another number of fields (names its number).
    """
    lines, n_latin1 = read_lines(path, member)
    rows = []
    for number, line in enumerate(lines[header:], start=header + 1):
        if not line:
            continue
        fields = line.split("\t")
        if len(fields) != n_fields:
            where = f"{path}/{member}" if member else f"{path}"
            raise InputError(f"{where}:{number}: {len(fields)} columns, expected {n_fields}. Fix the line.")
        rows.append(fields)
    return pl.DataFrame(rows, schema={str(i): pl.String for i in range(n_fields)}, orient="row"), n_latin1


def make_tags(songs: Vocabulary, rows: pl.DataFrame) -> Tags | None:
    """Tags of `songs` from rows (song_id, tag, weight); the greatest weight of a pair counts.

    Rows of other songs, without a tag or with a weight not above 0, are left out. Tags are in the order of their names.

    Returns:
        Tags with one row a song, or None when no row is left.
    """
    rows = rows.select(
        pl.col("song_id").cast(pl.String), pl.col("tag").cast(pl.String), pl.col("weight").cast(pl.Float32)
    )
    rows = rows.filter((pl.col("weight") > 0) & pl.col("weight").is_finite() & (pl.col("tag").fill_null("") != ""))
    rows = rows.with_columns(song=songs.find(rows["song_id"])).filter(pl.col("song") >= 0)
    if rows.is_empty():
        return None
    rows = rows.group_by("song", "tag").agg(pl.col("weight").max()).sort("song", "tag")
    tags = Vocabulary(rows["tag"].unique().sort(), "tag")
    place = (rows["song"].to_numpy(), tags.find(rows["tag"]))
    weights = sparse.coo_array((rows["weight"].to_numpy().astype(np.float32), place), shape=(len(songs), len(tags)))
    return Tags(songs, tags, weights.tocsr())

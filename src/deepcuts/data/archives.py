"""Open what people have: plain files, gzip, bzip2, xz, zstd, zip, tar, folders and pipes; and say what a file is.

`open_source(path)` gives every file in a source with its bytes decompressed; `members(path)` lists their names.
"""

import bz2
import gzip
import io
import lzma
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from deepcuts.errors import InputError
from deepcuts.store import explain_os_error

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter", ".parquet", ".pq")
PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
PLAYER_LOG = ".scrobbler"  # Rockbox calls its log .scrobbler.log: hidden, and yet what people have
NOT_TABLES = ("readme", "license", "licence", "__macosx")
DAMAGE = (
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zstandard.ZstdError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
    OverflowError,
    IndexError,
    KeyError,
)
ZIP_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
METHOD_NAMES = {9: "Deflate64", 93: "Zstandard", 95: "xz", 96: "JPEG", 98: "PPMd", 99: "AES encryption"}
CHUNK = 2048  # of packed zstd; one byte may unpack to 32 kB, so memory stays below 64 MB


@contextmanager
def open_bytes(path: Path | str, member: str | None = None) -> Iterator[IO[bytes]]:
    """The bytes of one file, decompressed: its first bytes say whether it is packed, not its name.

    Args:
        path: a file, pipe, zip, tar (also .tar.gz, .tar.xz, .tar.zst); or a folder that holds `member`.
        member: the file's name inside a zip, tar or folder. None takes the only table of an archive.
    Raises:
        InputError: not there, damaged or cut short, or an archive of several tables and no `member`.
        ResourceError: the machine refuses, for example for lack of permission.
    """
    given = Path(path)
    path = given / member if member is not None and given.is_dir() else given
    with ExitStack() as stack, _explained(path):
        raw = _raw(path, stack)
        if path.suffix == ".npz":  # a zip too, but one that NumPy opens
            yield raw
            return
        yield _open_one(path, raw, None if path != given else member, stack)


def open_source(path: Path | str, member: str | None = None) -> Iterator[tuple[str, IO[bytes]]]:
    """Every file in a source, one after another, as (name, bytes decompressed).

    A plain or packed file gives itself; a folder gives all files below it, sorted; a zip or tar gives its members, and
    a member or file that is packed itself (`2024.jsonl.gz`) is unpacked too. Hidden files and Spark's markers
    (`_SUCCESS`, `.part-0.crc`) are left out. A stream is valid until the next one is asked for. Damage becomes an
    InputError while the stream is read.

    Args:
        member: only the file of that name.
    Raises:
        InputError, ResourceError: as `open_bytes`; also no file with the name `member`.
    """
    path = Path(path)
    n = 0
    for name, stream in _walk(path):
        if member is None or member in (name, name.rsplit("/", 1)[-1]):
            n += 1
            yield name, stream
    if member is not None and not n:
        raise InputError(f"{path}: has no member {member!r}: it holds {', '.join(members(path))}.")


def members(path: Path | str) -> list[str]:
    """The names of the files that `open_source` gives, in its order; relative to the folder or archive.

    Raises:
        InputError, ResourceError: as `open_bytes`.
    """
    path = Path(path)
    if path.is_dir():
        with _explained(path):
            found = (p for p in sorted(path.rglob("*")) if p.is_file())
            return [n for n in (p.relative_to(path).as_posix() for p in found) if not _hidden(n)]
    with ExitStack() as stack, _explained(path):
        names = _names(path, _raw(path, stack), stack)
        return [path.name] if names is None else [n for n in names if not _hidden(n)]


def member_names(path: Path | str) -> list[str]:
    """The files of a zip, tar or folder, by name without leading folders.

    Raises:
        InputError: neither an archive nor a folder, or not there.
    """
    path = Path(path)
    if path.is_dir():
        return sorted(p.name for p in path.iterdir() if p.is_file())
    with ExitStack() as stack, _explained(path):
        names = _names(path, _raw(path, stack), stack)
    if names is None:
        raise InputError(f"{path}: neither a folder nor an archive (zip or tar).")
    return sorted(name.rsplit("/", 1)[-1] for name in names)


def choose_member(path: Path, names: list[str], member: str | None) -> str:
    """The file of an archive that is meant: by name, or the only one that looks like a table.

    Raises:
        InputError: none or several fit; lists all members.
    """
    if member is not None:
        fitting = [n for n in names if n == member] or [n for n in names if n.rsplit("/", 1)[-1] == member]
    else:
        fitting = tables_among(names)
    if len(fitting) == 1:
        return fitting[0]
    wanted = (
        f"has no member {member!r}"
        if member is not None and not fitting
        else f"the archive holds {len(fitting)} tables"
    )
    raise InputError(f"{path}: {wanted}: {', '.join(sorted(names)) or 'nothing'}. Name one with --set member=NAME.")


def tables_among(names: list[str]) -> list[str]:
    """The names that look like tables; all but notes and hidden files when none does."""
    plain = [n for n in names if not _hidden(n) and not any(word in n.lower() for word in NOT_TABLES)]
    return [n for n in plain if _bare(n).endswith(TABLE_SUFFIXES)] or plain


def _bare(name: str) -> str:
    """A name in small letters without the suffix of a packer."""
    name = name.lower()
    return name.rsplit(".", 1)[0] if name.endswith(PACKED_SUFFIXES) else name


def _hidden(name: str) -> bool:
    parts = name.split("/")
    last = parts[-1]
    is_marker = last.startswith("_") and "." not in last  # _SUCCESS, _committed_123
    if last.lower().startswith(PLAYER_LOG):
        parts = parts[:-1]
    return any(p.startswith(".") for p in parts) or is_marker or parts[:1] == ["__MACOSX"]


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors of the operating system in our words."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file. Check the name.") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder, expected a file. Name the file inside it.") from error
    except OSError as error:
        raise explain_os_error(error, path) from error


def _raw(path: Path, stack: ExitStack) -> IO[bytes]:
    """The file as it is. A pipe is copied to a temporary file first, so that it can be looked at twice."""
    mode = path.stat().st_mode
    if stat.S_ISCHR(mode) and not str(path).startswith(("/dev/stdin", "/dev/fd/", "/proc/self/fd/")):
        raise InputError(f"{path}: is a device, expected a file or a pipe.")
    stream = stack.enter_context(path.open("rb"))
    if stat.S_ISREG(mode):
        return stream
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return cast(IO[bytes], copy)


class _Guard(io.RawIOBase):
    """A stream whose every error in reading is an InputError that names the file."""

    def __init__(self, inner: Any, where: str) -> None:
        self._inner, self._where = inner, where

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except InputError:
            raise
        except DAMAGE as error:
            raise InputError(f"{self._where}: damaged or cut short ({error}). Fetch it again.") from error
        except OSError as error:
            if error.errno is None:  # bz2 and gzip say so this way
                raise InputError(f"{self._where}: damaged or cut short ({error}). Fetch it again.") from error
            raise explain_os_error(error, self._where) from error
        buffer[: len(data)] = data
        return len(data)


def _guard(inner: Any, where: str) -> IO[bytes]:
    return cast(IO[bytes], io.BufferedReader(_Guard(inner, where), 1 << 16))


class _Zstd:
    """Bytes of zstd frames, one after another; unlike the library's reader it notices a frame that is cut short."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._left, self._out = stream, b"", bytearray()
        self._frame: Any = None

    def read(self, size: int) -> bytes:
        while len(self._out) < size and self._more():
            pass
        data = bytes(self._out[:size])
        del self._out[:size]
        return data

    def _more(self) -> bool:
        packed = self._left or self._stream.read(CHUNK)
        self._left = b""
        if not packed:
            if self._frame is not None:
                raise EOFError("the last zstd frame is not complete")
            return False
        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor(max_window_size=2**27).decompressobj()
        self._out += self._frame.decompress(packed)
        if self._frame.eof:
            self._left, self._frame = self._frame.unused_data, None
        return True


def _unpack(stream: IO[bytes], where: str, stack: ExitStack) -> IO[bytes]:
    """The stream without the one layer of packing it may have; `stream` must support seek."""
    start = stream.read(6)
    stream.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return _guard(stack.enter_context(gzip.GzipFile(fileobj=stream)), where)
    if start.startswith(b"BZh"):
        return _guard(stack.enter_context(bz2.open(stream)), where)
    if start == b"\xfd7zXZ\x00":
        return _guard(stack.enter_context(lzma.open(stream)), where)
    if start.startswith((b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18")):
        return _guard(_Zstd(stream), where)
    return stream


def _is_tar(stream: IO[bytes]) -> bool:
    """Whether a stream is a tar; nothing is consumed of a `BufferedReader`, a plain file is wound back."""
    if isinstance(stream, io.BufferedReader) and not stream.seekable():
        return stream.peek(512)[257:262] == b"ustar"
    start = stream.read(512)
    stream.seek(0)
    return start[257:262] == b"ustar"


def _zip(path: Path, raw: IO[bytes], stack: ExitStack) -> zipfile.ZipFile | None:
    start = raw.read(4)
    raw.seek(0)
    if not start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return None
    try:
        return stack.enter_context(zipfile.ZipFile(raw))
    except DAMAGE as error:
        raise InputError(f"{path}: a damaged zip, or one cut short ({error}). Fetch it again.") from error


def _zip_names(path: Path, archive: zipfile.ZipFile) -> list[str]:
    names = [i.filename for i in archive.infolist() if not i.is_dir()]
    if "xl/workbook.xml" in names or "xl/workbook.bin" in names:
        raise InputError(f"{path}: is an Excel workbook. Save the sheet as CSV (UTF-8) and read that.")
    if "mimetype" in names and "content.xml" in names:
        raise InputError(f"{path}: is an OpenDocument file. Save the sheet as CSV (UTF-8) and read that.")
    return names


def _zip_member(path: Path, archive: zipfile.ZipFile, name: str, stack: ExitStack) -> IO[bytes]:
    info = archive.getinfo(name)
    where = f"{path}/{name}"
    if info.flag_bits & 0x1 or info.compress_type == 99:
        raise InputError(f"{where}: is protected by a password. Unpack it and read the file inside.")
    if info.compress_type not in ZIP_METHODS:
        method = METHOD_NAMES.get(info.compress_type, f"method {info.compress_type}")
        raise InputError(f"{where}: is packed with {method}, which Python cannot read. Unpack it and read the file.")
    try:
        return _guard(stack.enter_context(archive.open(info)), where)
    except DAMAGE as error:
        raise InputError(f"{where}: damaged, or of a kind that cannot be read ({error}). Unpack it first.") from error


def _names(path: Path, raw: IO[bytes], stack: ExitStack) -> list[str] | None:
    """The files in an archive; None when it is none. `raw` is wound back."""
    archive = _zip(path, raw, stack)
    if archive is not None:
        return _zip_names(path, archive)
    stream = _unpack(raw, f"{path}", stack)
    if not _is_tar(stream):
        raw.seek(0)
        return None
    names = [name for name, _ in _tar_members(path, stream)]
    raw.seek(0)
    return names


def _tar_members(path: Path, stream: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for info in archive:
                if info.isfile():
                    yield info.name.removeprefix("./"), _guard(archive.extractfile(info), f"{path}/{info.name}")
    except DAMAGE as error:
        raise InputError(f"{path}: a damaged tar, or one cut short ({error}). Fetch it again.") from error


def _open_one(path: Path, raw: IO[bytes], member: str | None, stack: ExitStack) -> IO[bytes]:
    names = _names(path, raw, stack)
    if names is None:
        if member is not None:
            raise InputError(f"{path}: is neither an archive nor a folder, so it holds no {member!r}. Leave it out.")
        return _unpack(raw, f"{path}", stack)
    name = choose_member(path, names, member)
    archive = _zip(path, raw, stack)
    if archive is not None:
        return _unpack_member(_zip_member(path, archive, name, stack), f"{path}/{name}", stack)
    for found, stream in _tar_members(path, _unpack(raw, f"{path}", stack)):
        if found == name:
            return _unpack_member(stream, f"{path}/{name}", stack)
    raise InputError(f"{path}: member {name!r} vanished while it was read. Fetch the file again.")


def _unpack_member(stream: IO[bytes], where: str, stack: ExitStack) -> IO[bytes]:
    """A member that may be packed itself: only then is it copied to a temporary file."""
    start = cast(io.BufferedReader, stream).peek(6)[:6]
    if not start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")):
        return stream
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return _unpack(cast(IO[bytes], copy), where, stack)


def _walk(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if path.is_dir():
        for name in members(path):
            for inner, stream in _walk(path / name):
                yield (name if inner == Path(name).name else f"{name}/{inner}"), stream
        return
    with ExitStack() as stack, _explained(path):
        raw = _raw(path, stack)
        archive = _zip(path, raw, stack)
        if archive is not None:
            for name in _zip_names(path, archive):
                if not _hidden(name):
                    with ExitStack() as one:
                        stream = _zip_member(path, archive, name, one)
                        yield name, _unpack_member(stream, f"{path}/{name}", one)
            return
        stream = _unpack(raw, f"{path}", stack)
        if not _is_tar(stream):
            yield path.name, stream
            return
        for name, inside in _tar_members(path, stream):
            if not _hidden(name):
                with ExitStack() as one:
                    yield name, _unpack_member(inside, f"{path}/{name}", one)


__all__ = ["choose_member", "member_names", "members", "open_bytes", "open_source", "tables_among"]

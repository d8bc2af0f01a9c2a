"""Folders that are whole or not there: written under another name, renamed when complete.

Every artifact is a folder with `meta.json` beside its arrays. `meta.json` is written last and lists each
file with its size and hash, so a folder from which something was lost or changed is noticed before it is read. Never
pickle.

meta.json: kind · version · fingerprint (of the content) · parents (fingerprints of what it was made from) ·
settings (that made it) · shape · lineage · files · checksum (of all these, so an edit by hand is noticed too). It holds
no times or paths: equal content gives an equal folder. A file that it does not list is not part of the artifact.

One writer at a time: `writing` holds a lock beside the folder, which the system drops when the process ends. Only
writers clean up after a killed run; readers never change anything.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import struct
import time
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts.errors import ArtifactError, InputError, SettingError, explain_os_error
from deepcuts.locks import alive, only_writer

log = logging.getLogger(__name__)
FORMAT_VERSION = 3
META = "meta.json"
VERIFIED_BYTES = 200_000_000  # so much of an artifact is compared with its hashes whenever it is opened, at most
SECONDS_BETWEEN_RENAMES = 1.0  # a reader that finds no folder looks again for so long when a writer is about
# What NumPy and SciPy raise over a damaged .npy or .npz: their own errors, and those of zip archives and of Python's
# parser, which reads the headers.
DAMAGED = (ValueError, OSError, EOFError, KeyError, IndexError, TypeError, SyntaxError, OverflowError, MemoryError,
           RuntimeError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error)  # fmt: skip
# How an artifact of each kind is made, for the message about folders of an older version.
MADE_BY = {
    "songs": "deepcuts library",
    "bundle": "deepcuts bundle (or deepcuts model)",
    "plays": "deepcuts data table (or the reader of your source)",
    "split": "deepcuts data split",
    "factors": "deepcuts factors",
    "song-factors": "deepcuts predict songs",
    "features": "deepcuts audio logmel (or the features you use)",
    "words": "deepcuts audio words",
    "encoder": "deepcuts predict fit",
    "ranking": "deepcuts recommend",
    "report": "deepcuts evaluate",
    "comparison": "deepcuts compare",
}


@dataclass(frozen=True)
class Meta:
    """What a folder says about itself.

    Attributes:
        files: names of its files; filled by `read_meta`. `write_meta` finds them itself.
    """

    kind: str
    fingerprint: str = ""
    parents: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    shape: Mapping[str, int] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    version: int = FORMAT_VERSION
    files: tuple[str, ...] = ()


@contextmanager
def writing(folder: Path | str, *, overwrite: bool = True) -> Iterator[Path]:
    """A scratch folder that becomes `folder` when the block ends well, and vanishes when it does not.

    A link to a folder stays a link: the folder it points to is replaced.

    Raises:
        ArtifactError: `folder` exists and is not a deepcuts artifact or one of another kind (never overwritten), or
            overwrite=False; or another process is writing it.
        ResourceError: disk full or not writable; the old artifact stays.
    """
    folder = Path(folder).resolve()
    refuse_to_replace(folder, overwrite)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_os_error(error, folder) from error
    with only_writer(folder):
        scratch = folder.with_name(f".{folder.name}.{os.getpid()}-{os.urandom(4).hex()}.partial")
        try:
            _recover(folder)
            scratch.mkdir(parents=True)
            yield scratch
            refuse_to_replace(folder, overwrite, kind_of(scratch))
            _replace(scratch, folder)
        except OSError as error:
            shutil.rmtree(scratch, ignore_errors=True)
            raise explain_os_error(error, folder) from error
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise


def recover(folder: Path) -> None:
    """Clean up after killed writers of a folder, as the next writer would: for a stage that reads what it replaces."""
    folder = folder.resolve()
    if folder.with_name(f".{folder.name}.old").exists():
        with only_writer(folder):
            _recover(folder)


def _recover(folder: Path) -> None:
    """Clean up after killed writers; call it with the lock held.

    Renames that were cut short are undone, and scratch folders of processes that are gone are removed.
    """
    old = folder.with_name(f".{folder.name}.old")
    if old.exists() and not folder.exists():
        old.rename(folder)
    pattern = re.compile(rf"\.{re.escape(folder.name)}\.(\d+)-[0-9a-f]+\.partial")
    for path in folder.parent.iterdir():
        found = pattern.fullmatch(path.name)
        if found and not alive(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)


def refuse_to_replace(folder: Path, overwrite: bool = True, kind: str | None = None) -> None:
    """Refuse to write over anything that is not one of our own artifacts, or is one of another kind than `kind`."""
    folder = Path(folder).resolve()
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir() or not (folder / META).exists():
        raise ArtifactError(f"{folder}: exists and is not a deepcuts artifact. Choose another -o.")
    if not overwrite:
        raise ArtifactError(f"{folder}: exists. Choose another -o, or remove it.")
    found = kind_of(folder)
    if kind is not None and found not in (None, kind):
        raise ArtifactError(f"{folder}: contains {found}; refusing to overwrite it with {kind}. Choose another -o.")


def kind_of(folder: Path) -> str | None:
    """The kind of artifact in a folder; None when there is none or its meta.json is damaged."""
    try:
        return str(_parse_meta(folder)["kind"])
    except ArtifactError:
        return None


def _replace(scratch: Path, folder: Path) -> None:
    """Put the new folder where the old one was; a kill between the renames is undone by the next writer."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    scratch.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def write_file(path: Path, content: bytes | str) -> None:
    """Write one file aside and rename it, so a reader sees the old content or the new, never half."""
    data = content.encode() if isinstance(content, str) else content
    scratch = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(data)
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise explain_os_error(error, path) from error


def write_meta(folder: Path, meta: Meta) -> None:
    """Write `meta.json`, the last file of an artifact."""
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "hash": file_hash(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != META
    }
    content = {
        "kind": meta.kind,
        "version": meta.version,
        "fingerprint": meta.fingerprint,
        "parents": dict(meta.parents),
        "settings": dict(meta.settings),
        "shape": dict(meta.shape),
        "lineage": dict(meta.lineage),
        "files": files,
    }
    content["checksum"] = _checksum(content)
    write_file(folder / META, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _checksum(content: Mapping[str, Any]) -> str:
    """A hash of what meta.json says but for the checksum itself; layout and order of keys do not count."""
    said = json.loads(json.dumps({name: value for name, value in content.items() if name != "checksum"}))
    return fingerprint(json.dumps(said, sort_keys=True))


def file_hash(path: Path) -> str:
    """A hash of the bytes of a file: 32 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def read_meta(folder: Path | str, kind: str | None = None, *, verify: bool | None = None) -> Meta:
    """What a folder says about itself, after checking that it is whole and unchanged, by hand or by accident.

    Args:
        kind: the kind it must be, such as "plays"; None takes any.
        verify: compare every file with its hash; None does so for the smallest files, up to 200 MB together. Sizes are
            always compared.
    Raises:
        ArtifactError: no such folder, not an artifact, of another kind or version, half-written or damaged.
    """
    folder = Path(folder)
    _wait_for_a_rename(folder)
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder. Make it first; the README's journey table says how.")
    content = _parse_meta(folder)
    if type(content["version"]) is int and content["version"] != FORMAT_VERSION:
        how = MADE_BY.get(str(content["kind"]), "the command that made it")
        raise ArtifactError(
            f"{folder}: format version {content['version']}, expected {FORMAT_VERSION}. Make it again with {how}."
        )
    sealed = content.get("checksum") == _checksum(content)
    meta, files = _checked(folder, content)
    if not sealed:
        raise ArtifactError(f"{folder / META}: does not match its checksum, so it was edited. Make the artifact again.")
    if kind is not None and meta.kind != kind:
        raise ArtifactError(f"{folder}: holds {meta.kind}, expected {kind}. Check the order of folders.")
    _check_files(folder, files, verify)
    return meta


def _wait_for_a_rename(folder: Path) -> None:
    """A writer renames twice; a reader between the two waits for the second."""
    until, old = time.monotonic() + SECONDS_BETWEEN_RENAMES, folder.with_name(f".{folder.name}.old")
    while not folder.exists() and old.exists() and time.monotonic() < until:
        time.sleep(0.01)
    if not folder.exists() and old.exists():
        raise ArtifactError(
            f"{folder}: a run was killed while it replaced this folder. Run the same command again; "
            "the next writer puts the old content back first."
        )


def _check_files(folder: Path, files: Mapping[str, Mapping[str, Any]], verify: bool | None) -> None:
    """Sizes of all files; hashes of the smallest, up to VERIFIED_BYTES together, unless `verify` says all or none."""
    total = 0
    for name, said in sorted(files.items(), key=lambda item: int(item[1]["bytes"])):
        total += int(said["bytes"])
        hashed = total <= VERIFIED_BYTES if verify is None else verify
        path = folder / name
        try:
            size = path.stat().st_size if path.is_file() else None
            if size != said["bytes"]:
                found = "nothing" if size is None else f"{size} bytes"
                raise ArtifactError(
                    f"{path}: found {found}, expected {said['bytes']} bytes. Half-written: make it again."
                )
            if hashed and file_hash(path) != said["hash"]:
                raise ArtifactError(f"{path}: does not match its hash in {META}. Damaged: make the artifact again.")
        except OSError as error:
            raise explain_os_error(error, path) from error


def _parse_meta(folder: Path) -> dict[str, Any]:
    path = folder / META
    if not path.is_file():
        raise ArtifactError(f"{folder}: has no {META}, so it is half-written or was not made by deepcuts.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: damaged. Make the artifact again.") from error
    except OSError as error:
        raise explain_os_error(error, path) from error
    if not isinstance(content, dict) or not set(content) >= {"kind", "version", "files"}:
        raise ArtifactError(f"{path}: not the meta.json of an artifact. Make the artifact again.")
    return content


def is_whole(folder: Path, kind: str | None = None) -> bool:
    """Whether a folder holds an artifact (of a kind) to build upon; one that is damaged or old is named in the log."""
    if not (folder / META).exists():
        return False
    try:
        read_meta(folder, kind)
    except ArtifactError as error:
        log.warning("%s Doing so.", error)
        return False
    return True


def copy_artifact(folder: Path, to: Path, kind: str) -> None:
    """Copy an artifact into another: what meta.json lists, each file compared with its hash, and nothing else.

    Raises:
        ArtifactError: missing, damaged or of another kind.
    """
    for name in (*read_meta(folder, kind, verify=True).files, META):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, to / name)


_META_TYPES: dict[str, type | tuple[type, ...]] = {
    "kind": str,
    "version": int,
    "fingerprint": str,
    "parents": dict,
    "settings": dict,
    "shape": dict,
    "lineage": dict,
    "files": dict,
    "checksum": str,
}


def _checked(folder: Path, content: dict[str, Any]) -> tuple[Meta, dict[str, dict[str, Any]]]:
    """Meta and files, when every key is known and of the right type."""
    path = folder / META
    for name, value in content.items():
        if name not in _META_TYPES:
            raise ArtifactError(f"{path}: unknown key {name!r}: allowed are {', '.join(_META_TYPES)}.")
        if not isinstance(value, _META_TYPES[name]) or isinstance(value, bool):
            raise ArtifactError(f"{path}: {name} = {str(value)[:60]!r} is of the wrong type. Make the artifact again.")
    content.pop("checksum", None)
    files = content.pop("files")
    for name, said in files.items():
        whole = isinstance(said, dict) and isinstance(said.get("bytes"), int) and isinstance(said.get("hash"), str)
        if not whole or name.startswith("/") or ".." in Path(name).parts:
            raise ArtifactError(f"{path}: files: {name!r} is not described as a file of this folder. Make it again.")
    for name in ("parents", "shape"):
        wanted: type = str if name == "parents" else int
        wrong = [key for key, value in content.get(name, {}).items() if not isinstance(value, wanted)]
        if wrong:
            raise ArtifactError(f"{path}: {name}: {wrong[0]!r} is of the wrong type. Make the artifact again.")
    return Meta(**content, files=tuple(files)), files


@contextmanager
def content_of(folder: Path) -> Iterator[None]:
    """Around the reading of an artifact: content that its code cannot take is an ArtifactError that names the folder.

    Such content has the right hashes: another version or another program wrote it, or it is too large to be hashed.

    Raises:
        ArtifactError: arrays of other shapes or types, a setting that is missing or unknown, ids that repeat.
    """
    try:
        yield
    except KeyError as error:
        raise ArtifactError(f"{folder}: {error} is missing. Make the artifact again.") from error
    except (SettingError, InputError, ValueError, TypeError, IndexError, AttributeError, OverflowError) as error:
        if isinstance(error.__cause__, ImportError):  # a package that is missing is not the folder's fault
            raise
        raise ArtifactError(f"{folder}: its content does not fit ({error}). Make the artifact again.") from error


def fingerprint(*parts: np.ndarray | bytes | str) -> str:
    """A short hash of arrays (values, type and shape), bytes and texts, in order: 32 hex digits."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(part if isinstance(part, bytes) else part.encode())
        digest.update(b"\x00")
    return digest.hexdigest()


def save_array(folder: Path, name: str, array: np.ndarray) -> None:
    """Write `name.npy`."""
    np.save(folder / f"{name}.npy", array, allow_pickle=False)


def load_array(folder: Path, name: str, *, mapped: bool = False) -> np.ndarray:
    """Read `name.npy`; mapped leaves it on disk and reads pages as they are touched.

    Raises:
        ArtifactError: the file is damaged.
    """
    path = Path(folder) / f"{name}.npy"
    try:
        found = np.load(
            path, allow_pickle=False, mmap_mode="r"
        )  # mapped first: no memory for a shape that is not there
        return found if mapped else np.array(found)
    except DAMAGED as error:
        if _is_empty_array(path):
            return np.load(path, allow_pickle=False)
        raise ArtifactError(f"{path}: damaged ({error}). Make the artifact again.") from error


def _is_empty_array(path: Path) -> bool:
    """Whether the file holds an array without elements, which cannot be mapped."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            return 0 in shape and not dtype.hasobject
    except DAMAGED:
        return False

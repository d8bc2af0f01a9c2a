"""Folders that are whole or not there: written under another name, renamed when complete.

Every artifact is a folder with `meta.json` beside its arrays. `meta.json` is written last and lists each
file with its size, so a folder from which something was lost is noticed before it is read. Never pickle.

meta.json: kind · version · fingerprint (of the content) · parents (fingerprints of what it was made from) ·
settings (that made it) · shape · files. It holds no times or paths: equal content gives an equal folder.
"""

import errno
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts.errors import ArtifactError, ResourceError

FORMAT_VERSION = 2
META = "meta.json"


@dataclass(frozen=True)
class Meta:
    """What a folder says about itself."""

    kind: str
    fingerprint: str = ""
    parents: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    shape: Mapping[str, int] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    version: int = FORMAT_VERSION


@contextmanager
def writing(folder: Path | str, *, overwrite: bool = True) -> Iterator[Path]:
    """A scratch folder that becomes `folder` when the block ends well, and vanishes when it does not.

    Raises:
        ArtifactError: `folder` exists and is not a deepcuts artifact or one of another kind (never overwritten), or
            overwrite=False.
        ResourceError: disk full or not writable; the old artifact stays.
    """
    folder = Path(folder)
    refuse_to_replace(folder, overwrite)
    scratch = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(scratch, ignore_errors=True)
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


def refuse_to_replace(folder: Path, overwrite: bool = True, kind: str | None = None) -> None:
    """Refuse to write over anything that is not one of our own artifacts, or is one of another kind than `kind`."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir() or not (folder / META).exists():
        raise ArtifactError(f"{folder}: exists and is not a deepcuts artifact. Choose another -o.")
    if not overwrite:
        raise ArtifactError(f"{folder}: exists. Choose another -o, or remove it.")
    found = kind_of(folder)
    if kind is not None and found not in (None, kind):
        raise ArtifactError(f"{folder}: holds {found}, and {kind} would take its place. Choose another -o.")


def kind_of(folder: Path) -> str | None:
    """The kind of artifact in a folder; None when there is none or its meta.json is damaged."""
    try:
        return str(_parse_meta(folder)["kind"])
    except ArtifactError:
        return None


def _replace(scratch: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    scratch.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def explain_os_error(error: OSError, where: Path | str) -> ResourceError:
    """An operating-system error as one that says what to do."""
    short_write = error.errno is None and "requested and" in str(error)  # how NumPy tells it
    if error.errno == errno.ENOSPC or short_write:
        return ResourceError(f"{where}: the disk is full. Free some space and run the same command again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ResourceError(f"{where}: {error.strerror}. Check the permissions.")
    return ResourceError(f"{where}: {error.strerror or error}.")


def write_file(path: Path, content: bytes | str) -> None:
    """Write one file aside and rename it, so a reader sees the old content or the new, never half."""
    data = content.encode() if isinstance(content, str) else content
    scratch = path.with_name(f".{path.name}.partial")
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
        str(path.relative_to(folder)): path.stat().st_size
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
    write_file(folder / META, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_meta(folder: Path | str, kind: str | None = None) -> Meta:
    """What a folder says about itself, after checking that it is whole.

    Args:
        kind: the kind it must be, such as "plays"; None takes any.
    Raises:
        ArtifactError: no such folder, not an artifact, of another kind or version, or half-written.
    """
    folder = Path(folder)
    old = folder.with_name(f".{folder.name}.old")
    if not folder.exists() and old.exists():
        old.rename(folder)  # a run was killed between the two renames of `_replace`
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder. Make it first; the README's journey table says how.")
    content = _parse_meta(folder)
    if content["version"] != FORMAT_VERSION:
        raise ArtifactError(f"{folder}: format version {content['version']}, expected {FORMAT_VERSION}. Make it again.")
    if kind is not None and content["kind"] != kind:
        raise ArtifactError(f"{folder}: holds {content['kind']}, expected {kind}. Check the order of folders.")
    for name, size in content.pop("files").items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            found = f"{path.stat().st_size} bytes" if path.is_file() else "nothing"
            raise ArtifactError(f"{path}: found {found}, expected {size} bytes. Half-written: make it again.")
    return Meta(**content)


def _parse_meta(folder: Path) -> dict[str, Any]:
    path = folder / META
    if not path.is_file():
        raise ArtifactError(f"{folder}: has no {META}, so it is half-written or not an artifact. Make it again.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArtifactError(f"{path}: damaged. Make the artifact again.") from error
    if not isinstance(content, dict) or not set(content) >= {"kind", "version", "files"}:
        raise ArtifactError(f"{path}: not the meta.json of an artifact. Make the artifact again.")
    return content


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
        return np.load(path, allow_pickle=False, mmap_mode="r" if mapped else None)
    except (ValueError, OSError, EOFError) as error:
        raise ArtifactError(f"{path}: damaged ({error}). Make the artifact again.") from error


def free_bytes(folder: Path) -> int:
    """Free space on the disk that holds `folder`, bytes."""
    existing = next(p for p in [folder, *folder.absolute().parents] if p.exists())
    return shutil.disk_usage(existing).free

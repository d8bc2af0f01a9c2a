r"""Walk a folder of files as people have them, and say what was passed over and why.

Links are followed once; loops are cut. Names that begin with one dot are hidden; "...And Then" is a name. Folders that
other programs keep for themselves (`@eaDir`, `#recycle`, `$RECYCLE.BIN`, `lost+found`) are passed over. Names need not
be UTF-8: `text_of` writes their other bytes as `\xNN`.
"""

import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SYSTEM_FOLDERS = {"@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "__macosx"}
REASONS = {
    "table": "not named in the table",
    "suffix": "not a suffix that is read",
    "hidden": "hidden: the name begins with a dot",
    "system": "a folder or file that another program keeps for itself",
    "link": "a link to a folder that was walked already",
    "broken link": "a link to nothing",
    "permission": "may not be read",
    "special": "not a regular file",
}


@dataclass(frozen=True)
class Walked:
    """What a walk found.

    Attributes:
        files: (path below the root with forward slashes, as text; path), sorted by text.
        ignored: (path below the root, reason of `REASONS`), sorted.
    """

    files: list[tuple[str, Path]] = field(default_factory=list)
    ignored: list[tuple[str, str]] = field(default_factory=list)

    @property
    def unreadable(self) -> list[str]:
        """What permissions kept from us."""
        return [name for name, reason in self.ignored if reason == "permission"]


def text_of(path: Path | str) -> str:
    r"""A path as text that can be stored anywhere: bytes that are not UTF-8 become `\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def path_of(text: str, below: Path | str = "") -> Path:
    r"""The path that `text_of` made a text of: `\xNN` above 7F is that byte again, unless such a file is there."""
    plain = Path(below, text)
    if "\\x" not in text or plain.exists():
        return plain
    raw = re.sub(rb"\\x([89a-f][0-9a-f])", lambda found: bytes([int(found[1], 16)]), os.fsencode(text))
    return Path(below, os.fsdecode(raw))


def is_hidden(name: str) -> bool:
    """Whether a name is hidden: one dot in front, and not two."""
    return name.startswith(".") and not name.startswith("..")


def walk(root: Path | str, suffixes: Sequence[str]) -> Walked:
    """All files below a folder whose names end in one of some suffixes (lower case), to any depth."""
    root, found = Path(root), Walked()
    _walk(root, root, tuple(suffixes), {_identity(root)}, found)
    found.files.sort()
    found.ignored.sort()
    return found


def _walk(folder: Path, root: Path, suffixes: tuple[str, ...], seen: set[tuple[int, int]], found: Walked) -> None:
    try:
        with os.scandir(folder) as held:
            entries = sorted(held, key=lambda entry: os.fsencode(entry.name))
    except PermissionError:
        found.ignored.append((_below(folder, root) or ".", "permission"))
        return
    for entry in sorted(entries, key=lambda entry: entry.is_symlink()):  # real folders before links to them
        path, name = Path(entry.path), _below(Path(entry.path), root)
        reason = _reason_to_ignore(entry, path, suffixes, seen)
        if reason:
            found.ignored.append((name, reason))
        elif path.is_dir():
            _walk(path, root, suffixes, seen, found)
        else:
            found.files.append((name, path))


def _reason_to_ignore(
    entry: "os.DirEntry[str]", path: Path, suffixes: tuple[str, ...], seen: set[tuple[int, int]]
) -> str:
    """Why an entry is passed over; "" when it is taken. A folder that is taken counts as seen."""
    name = entry.name
    if is_hidden(name):
        return "hidden"
    if name.lower() in SYSTEM_FOLDERS:
        return "system"
    try:
        facts = path.stat()
    except PermissionError:
        return "permission"
    except OSError:  # a link to nothing: a file that cannot be read, if its name says that it is one of ours
        return "" if name.lower().endswith(suffixes) else "broken link"
    if stat.S_ISDIR(facts.st_mode):
        identity = (facts.st_dev, facts.st_ino)
        if identity in seen:
            return "link"
        seen.add(identity)
        return ""
    if not name.lower().endswith(suffixes):
        return "suffix"
    if not stat.S_ISREG(facts.st_mode):
        return "special"
    return "" if os.access(path, os.R_OK) else "permission"


def _identity(folder: Path) -> tuple[int, int]:
    facts = folder.stat()
    return facts.st_dev, facts.st_ino


def _below(path: Path, root: Path) -> str:
    return text_of(path.relative_to(root).as_posix()) if path != root else ""


def count_reasons(ignored: Sequence[tuple[str, str]]) -> Iterator[tuple[str, int]]:
    """How often each reason occurs, most frequent first."""
    each = {reason: sum(one == reason for _, one in ignored) for _, reason in ignored}
    yield from sorted(each.items(), key=lambda pair: (-pair[1], pair[0]))


def free_bytes(folder: Path) -> int:
    """Free space on the disk that holds `folder`, bytes."""
    existing = next(p for p in [folder, *folder.absolute().parents] if p.exists())
    return shutil.disk_usage(existing).free

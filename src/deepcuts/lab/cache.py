"""Parts of a long experiment, kept in its work folder: what is there already is read and not made again.

A part's name ends in a hash of its recipe, which is everything that shapes it. Other settings give another name, so
a part that no longer fits is never read by mistake and never overwritten.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from deepcuts.errors import ArtifactError
from deepcuts.store import META, fingerprint, write_file

RECIPE_VERSION = 1  # changes whenever the same recipe would give another part


class Saved(Protocol):
    """An artifact: it can be written to a folder."""

    def save(self, folder: Path, /) -> None:
        """Write the folder, whole or not at all."""


A = TypeVar("A", bound=Saved)


def part(work: Path, name: str, *recipe: object) -> Path:
    """Where a part lies: `work/name-0123456789`."""
    return work / f"{name}-{fingerprint(str(RECIPE_VERSION), *map(repr, recipe))[:10]}"


def kept(path: Path, load: Callable[[Path], A], make: Callable[[], A]) -> A:
    """The artifact at `path`: read when it is there, else made and saved.

    Raises:
        ArtifactError: the folder is damaged (says which; remove it and run again).
    """
    if (path / META).exists():
        return load(path)
    made = make()
    made.save(path)
    return made


def kept_json(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The numbers at `path`.json: read when they are there, else made and written.

    Made numbers are read back too, so that the first run gives the same types as a later one.
    """
    path = path.with_name(f"{path.name}.json")
    if not path.exists():
        write_file(path, json.dumps(make(), ensure_ascii=False, allow_nan=False))
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ArtifactError(f"{path}: damaged. Remove it and run the same command again.") from error

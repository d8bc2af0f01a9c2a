"""Which files belong to which song."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from deepcuts.checks import did_you_mean
from deepcuts.errors import InputError, SettingError


@dataclass(frozen=True)
class SourceFile:
    """A file and the song it belongs to; `file` is its path below the source folder, with forward slashes."""

    song_id: str
    file: str
    path: Path


@dataclass(frozen=True)
class Plan:
    """What is to be heard.

    Attributes:
        files: by song id, and within a song in the order of its frames.
        missing: songs of the table without any file, sorted.
        n_ignored: files found that the table does not name.
    """

    files: tuple[SourceFile, ...]
    missing: tuple[str, ...] = ()
    n_ignored: int = 0


def plan_files(
    source: Path | str | Sequence[Path | str],
    suffixes: Sequence[str],
    table: pl.DataFrame | None = None,
    ids: str = "stem",
) -> Plan:
    """Find the files and give each to its song.

    Without a table every file is a song, named by its stem ("Sommer.mp3" is song "Sommer"), or with ids="path" by
    its path below the source without the suffix ("Album/01 Sommer"). With a table (song_id and file, or song_id and
    track_id) only what it names is taken: `file` is the path below the source, `track_id` the stem. A song with
    several rows gets their frames one after the other.

    Args:
        source: a folder, searched to any depth (hidden names are passed over), or a list of files.
        suffixes: of the files to take from a folder, lower case; a list is taken as it is.
        table: columns song_id and file or track_id, or None.
        ids: "stem" or "path"; unused with a table.
    Raises:
        InputError: no files, two files for one id, or a table without the columns.
        SettingError: unknown `ids`.
    """
    if ids not in ("stem", "path"):
        raise SettingError(f"ids = {ids!r}: expected 'stem' or 'path'.")
    found = _find(source, suffixes)
    if not found:
        where = source if isinstance(source, str | Path) else "the list"
        raise InputError(f"{where}: holds no file to hear. Allowed: {', '.join(suffixes)}.")
    if table is not None:
        return _plan_by_table(found, table)
    by_id = _by_name(found, ids)
    _refuse_two(by_id, ids)
    files = [SourceFile(song_id, *pairs[0]) for song_id, pairs in sorted(by_id.items())]
    return Plan(tuple(files))


Found = list[tuple[str, Path]]


def _find(source: Path | str | Sequence[Path | str], suffixes: Sequence[str]) -> Found:
    """Pairs of path below the source and path, sorted."""
    if not isinstance(source, str | Path):
        paths = [Path(path).absolute() for path in source]
        root = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
        return sorted({path.relative_to(root).as_posix(): path for path in paths}.items())
    root = Path(source)
    if root.is_file():
        return [(root.name, root)]
    if not root.is_dir():
        raise InputError(f"{root}: no such folder. Name the folder that holds the sound files.")
    found: Found = []
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in files:
            if not name.startswith(".") and name.lower().endswith(tuple(suffixes)):
                path = Path(folder, name)
                found.append((path.relative_to(root).as_posix(), path))
    return sorted(found)


def _by_name(found: Found, ids: str) -> dict[str, Found]:
    by_id: dict[str, Found] = defaultdict(list)
    for file, path in found:
        folder = "" if ids == "stem" else file[: len(file) - len(path.name)]
        by_id[folder + path.stem].append((file, path))
    return by_id


def _refuse_two(by_id: dict[str, Found], ids: str) -> None:
    twice = sorted(song_id for song_id, pairs in by_id.items() if len(pairs) > 1)
    if twice:
        first, second = (file for file, _ in by_id[twice[0]][:2])
        folders_differ = first.rpartition("/")[0] != second.rpartition("/")[0]
        advice = (
            "Name songs by their path (--ids path; from Python ids='path'), or "
            if ids == "stem" and folders_differ
            else ""
        )
        advice += "pass a table of song_id and file." if advice else "Remove one, or pass a table of song_id and file."
        raise InputError(f"{first} and {second} would both be song {twice[0]!r} ({len(twice)} such ids). {advice}")


def _plan_by_table(found: Found, table: pl.DataFrame) -> Plan:
    key = next((name for name in ("file", "track_id") if name in table.columns), None)
    if "song_id" not in table.columns or key is None:
        hint = did_you_mean("song_id" if "song_id" not in table.columns else "file", table.columns)
        raise InputError(f"the table has no columns song_id and file (or track_id).{hint}")
    by_key = dict([(file, [(file, path)]) for file, path in found] if key == "file" else _by_name(found, "stem"))
    rows = (
        table.select(pl.col("song_id", key).cast(pl.String))
        .filter(pl.col("song_id").is_not_null())
        .unique(maintain_order=True)
    )
    files: dict[str, list[SourceFile]] = {song_id: [] for song_id in rows["song_id"].unique().sort()}
    named: dict[str, Found] = {}
    for song_id, name in rows.iter_rows():
        if name in by_key:
            named[name] = by_key[name]
            files[song_id].append(SourceFile(song_id, *by_key[name][0]))
    if key == "track_id":
        _refuse_two(named, "track_id")
    if not named:
        example = rows[key].drop_nulls().head(1).to_list()
        raise InputError(f"none of the {len(found)} files is named in the table. Its {key} is like {example}.")
    missing = tuple(song_id for song_id, held in files.items() if not held)
    return Plan(tuple(one for held in files.values() for one in held), missing, len(found) - len(named))

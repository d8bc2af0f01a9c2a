"""Which files belong to which song."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from deepcuts.checks import did_you_mean
from deepcuts.errors import InputError, SettingError
from deepcuts.walk import REASONS, count_reasons, path_of, text_of, walk


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
        ignored: (file or folder below the source, reason) of what was passed over; see `walk.REASONS`, and "table": a
            sound file that the table does not name.
    """

    files: tuple[SourceFile, ...]
    missing: tuple[str, ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()

    @property
    def n_ignored(self) -> int:
        """Sound files that the table does not name."""
        return sum(reason == "table" for _, reason in self.ignored)


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
        source: a folder, searched to any depth (hidden names and the like are passed over, and listed), or a list of
            files.
        suffixes: of the files to take from a folder, lower case; a list is taken as it is.
        table: columns song_id and file or track_id, or None.
        ids: "stem" or "path"; unused with a table.
    Raises:
        InputError: no files, two files for one id, or a table without the columns.
        SettingError: unknown `ids`.
    """
    if ids not in ("stem", "path"):
        raise SettingError(f"ids = {ids!r}: expected 'stem' or 'path'.")
    found, ignored = _find(source, suffixes, () if table is None else _named_files(table))
    if not found:
        where = source if isinstance(source, str | Path) else "the list"
        raise InputError(f"{where}: holds no file to hear. Allowed: {', '.join(suffixes)}.{_why(ignored)}")
    if table is not None:
        plan = _plan_by_table(found, table)
        return Plan(plan.files, plan.missing, tuple(sorted([*ignored, *plan.ignored])))
    by_id = _by_name(found, ids)
    _refuse_two(by_id, ids)
    files = [SourceFile(song_id, *pairs[0]) for song_id, pairs in sorted(by_id.items())]
    return Plan(tuple(files), (), tuple(ignored))


def _named_files(table: pl.DataFrame) -> Sequence[str]:
    """The files that a table names: these are heard whatever their suffix."""
    return table["file"].cast(pl.String).drop_nulls().to_list() if "file" in table.columns else ()


def _why(ignored: Sequence[tuple[str, str]]) -> str:
    counts = ", ".join(f"{n:,} {REASONS[reason]}" for reason, n in count_reasons(ignored))
    return f" Passed over: {counts}." if counts else ""


Found = list[tuple[str, Path]]


def _find(
    source: Path | str | Sequence[Path | str], suffixes: Sequence[str], named: Sequence[str]
) -> tuple[Found, list[tuple[str, str]]]:
    """Pairs of path below the source and path, sorted; and what was passed over, with the reason."""
    if not isinstance(source, str | Path):
        paths = [Path(path).absolute() for path in source]
        root = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
        return sorted({text_of(path.relative_to(root).as_posix()): path for path in paths}.items()), []
    root = Path(source)
    if root.is_file():
        return [(text_of(root.name), root)], []
    if not root.is_dir():
        raise InputError(f"{root}: no such folder. Name the folder that holds the sound files.")
    walked = walk(root, suffixes)
    wanted = set(named)
    more = [(name, path_of(name, root)) for name, reason in walked.ignored if reason == "suffix" and name in wanted]
    taken = {name for name, _ in more}
    return sorted([*walked.files, *more]), [one for one in walked.ignored if one[0] not in taken]


def _by_name(found: Found, ids: str) -> dict[str, Found]:
    by_id: dict[str, Found] = defaultdict(list)
    for file, path in found:
        folder = "" if ids == "stem" else file[: len(file) - len(text_of(path.name))]
        by_id[folder + text_of(path.stem)].append((file, path))
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
    taken = {one.file for held in files.values() for one in held}
    ignored = tuple((file, "table") for file, _ in found if file not in taken)
    return Plan(tuple(one for held in files.values() for one in held), missing, ignored)

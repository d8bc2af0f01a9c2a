"""A folder of music as a table of songs: what is there, what it is called, and what was passed over.

Read again, a library looks only into files whose size or time has changed. A song keeps its id when its file moves.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from deepcuts.artifacts import Songs
from deepcuts.artifacts.songs import COLUMNS
from deepcuts.artifacts.vocabulary import composed
from deepcuts.data.filetags import Tags, from_names, read_tags
from deepcuts.data.normalise import artist_key, title_key
from deepcuts.errors import InputError
from deepcuts.progress import progress
from deepcuts.walk import walk

FILE_TYPES = {"song_id": pl.String, "file": pl.String, "bytes": pl.Int64, "modified": pl.Int64, "hash": pl.String,
              "problem": pl.String}  # fmt: skip
HASHED_BYTES = 1 << 16  # from the start and from the end of a file: enough to know a file that has moved
SECONDS_APART = 2.0  # two files of one song, artist and album are copies when their lengths differ by less


@dataclass(frozen=True)
class LibraryReading:
    """What reading a folder of music gave.

    Attributes:
        songs: the table, with what is known of the files.
        ignored: file · reason, of everything passed over.
        duplicates: song_id · file · copy_of · how ("same bytes" or "same song").
        problems: file · problem, where tags could not be read and the names of folders speak.
        n_reused: files that had not changed since the last reading.
    """

    songs: Songs
    ignored: pl.DataFrame
    duplicates: pl.DataFrame
    problems: pl.DataFrame
    n_reused: int


def read_library(music: Path | str, suffixes: Sequence[str], old: Songs | None = None) -> LibraryReading:
    """Read the tags of all sound files below a folder.

    A song is a file. Its id is its path below the folder without the suffix ("Artist/Album/01 Title"), with the suffix
    where two files would share one; or the id it had in `old`.

    Args:
        suffixes: of the files to take, lower case.
        old: the last reading of the same folder.
    Raises:
        InputError: no such folder, or no sound file in it.
    """
    music = Path(music)
    if not music.is_dir():
        raise InputError(f"{music}: no such folder. Name the folder that holds the music.")
    walked = walk(music, suffixes)
    files = [(name, path) for name, path in walked.files if path.exists()]
    if not files:
        raise InputError(f"{music}: contains no sound files. Read are {', '.join(suffixes)}.")
    gone = [(name, "broken link") for name, path in walked.files if not path.exists()]
    known = _known(old)
    rows, n_reused = _read_files(files, known)
    ids = _ids_of([row["file"] for row in rows], rows, known)
    for row, song_id in zip(rows, ids, strict=True):
        row["song_id"] = song_id
    table = pl.DataFrame(rows, schema={"song_id": pl.String, **COLUMNS}, orient="row", strict=False)
    facts = pl.DataFrame(rows, schema=FILE_TYPES, orient="row", strict=False)
    songs = Songs.of(table, music=str(music.resolve()), files=facts, settings={"suffixes": list(suffixes)})
    passed_over = sorted([*walked.ignored, *gone])
    ignored = pl.DataFrame(passed_over, schema={"file": pl.String, "reason": pl.String}, orient="row")
    problems = facts.filter(pl.col("problem") != "").select("file", "problem")
    return LibraryReading(songs, ignored, find_duplicates(songs), problems, n_reused)


Row = dict[str, Any]


def _known(old: Songs | None) -> dict[str, Row]:
    """What the last reading knew, by file."""
    if old is None or old.files is None:
        return {}
    joined = old.table.join(old.files.drop("file"), on="song_id", how="inner")
    return {row["file"]: row for row in joined.iter_rows(named=True)}


def _read_files(found: Sequence[tuple[str, Path]], known: dict[str, Row]) -> tuple[list[Row], int]:
    rows: list[Row] = []
    n_reused = 0
    with progress("library", total=len(found), unit="file") as bar, ThreadPoolExecutor(max_workers=4) as pool:
        for row, reused in pool.map(lambda pair: _read_file(pair[0], pair[1], known), found):
            rows.append(row)
            n_reused += reused
            bar.advance(1)
    return rows, n_reused


def _read_file(file: str, path: Path, known: dict[str, Row]) -> tuple[Row, bool]:
    facts = path.stat()
    held = known.get(file)
    if held is not None and (held["bytes"], held["modified"]) == (facts.st_size, facts.st_mtime_ns):
        return dict(held), True
    tags, problem = read_tags(path)
    row: Row = {**_completed(tags, file), "file": file, "bytes": facts.st_size, "modified": facts.st_mtime_ns}
    return row | {"hash": quick_hash(path), "problem": problem}, False


def _completed(tags: Tags, file: str) -> Tags:
    """Tags, completed by the names of folders: whole where the file has no title, else only what is missing."""
    names = from_names(file)
    if not tags.get("title"):
        return {**names, **tags}
    missing = {name: names.get(name) for name in ("artist", "album") if not tags.get(name)}
    if tags.get("album_artist") and not tags.get("artist"):
        missing["artist"] = tags["album_artist"]
    return {**missing, **tags}


def quick_hash(path: Path) -> str:
    """A hash of the size, the start and the end of a file: 32 hex digits."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(f"{size} ".encode() + file.read(HASHED_BYTES))
        file.seek(max(size - HASHED_BYTES, 0))
        digest.update(file.read(HASHED_BYTES))
    return digest.hexdigest()


def _ids_of(files: Sequence[str], rows: Sequence[Row], known: dict[str, Row]) -> list[str]:
    """An id for each file: the one it had, that of a file with the same bytes that is gone, or its path."""
    here = set(files)
    moved = {row["hash"]: row["song_id"] for file, row in known.items() if file not in here}
    ids: list[str | None] = []
    for file, row in zip(files, rows, strict=True):
        ids.append(known[file]["song_id"] if file in known else moved.pop(row["hash"], None))
    taken = {one for one in ids if one is not None}
    stems = composed(pl.Series([_stem(file) for file in files], dtype=pl.String)).to_list()
    n_each: dict[str, int] = defaultdict(int)
    for stem in stems:
        n_each[stem] += 1
    for at, (file, stem) in enumerate(zip(files, stems, strict=True)):
        if ids[at] is None:
            ids[at] = _free(stem if n_each[stem] == 1 else file, taken)
    return [str(one) for one in ids]


def _stem(file: str) -> str:
    folder, slash, name = file.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)


def _free(wanted: str, taken: set[str]) -> str:
    """An id that no other song has: two files may differ only in how é is written."""
    name, n = composed(pl.Series([wanted])).item(), 2
    chosen = name
    while chosen in taken:
        chosen, n = f"{name} ({n})", n + 1
    taken.add(chosen)
    return str(chosen)


def find_duplicates(songs: Songs) -> pl.DataFrame:
    """Files that hold one song: the same bytes, or one artist, title, album and length.

    Returns:
        song_id · file · copy_of (the song it repeats) · how.
    """
    by_hash: dict[str, str] = {}
    by_name: dict[tuple[str, ...], list[tuple[str, float]]] = defaultdict(list)
    hashes = dict(songs.files.select("song_id", "hash").iter_rows()) if songs.files is not None else {}
    found = []
    for row in songs.table.iter_rows(named=True):
        song_id, digest = row["song_id"], hashes.get(row["song_id"], "")
        name = (artist_key(row["artist"] or ""), title_key(row["title"] or ""), title_key(row["album"] or ""))
        length = row["duration"] or 0.0
        near = [one for one, other in by_name[name] if abs(other - length) <= SECONDS_APART] if all(name[:2]) else []
        if digest and digest in by_hash:
            found.append((song_id, row["file"], by_hash[digest], "same bytes"))
        elif near:
            found.append((song_id, row["file"], near[0], "same song"))
        else:
            by_name[name].append((song_id, length))
        by_hash.setdefault(digest, song_id)
    return pl.DataFrame(found, schema=dict.fromkeys(("song_id", "file", "copy_of", "how"), pl.String), orient="row")

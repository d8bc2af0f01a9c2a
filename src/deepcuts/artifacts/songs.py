"""What songs are called, and where they lie: one table that travels with plays, features, factors and models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from deepcuts import store
from deepcuts.artifacts.vocabulary import Vocabulary, composed, read_parquet
from deepcuts.checks import nearest
from deepcuts.errors import ArtifactError, InputError
from deepcuts.store import Meta, read_meta, write_meta, writing

MOST_COMPARED = 100_000  # names among which the nearest to a misspelt one is looked for
COLUMNS: dict[str, type[pl.DataType]] = {
    "title": pl.String,
    "artist": pl.String,
    "album": pl.String,
    "album_artist": pl.String,
    "genre": pl.String,
    "track": pl.Int32,
    "disc": pl.Int32,
    "year": pl.Int32,
    "duration": pl.Float64,
    "file": pl.String,
    "mbid": pl.String,
    "isrc": pl.String,
    "tags": pl.String,
}


@dataclass(frozen=True)
class Songs:
    """A table of songs.

    Attributes:
        table: one row a song: song_id, then the columns of `COLUMNS`, null where unknown. `duration` is in seconds;
            `file` is a path below `music`, with forward slashes; `mbid` is the MusicBrainz recording; `tags` are
            joined by "; ".
        music: the folder below which the files lie; "" when there are none.
        files: what is known of the files (for a library that is read again): song_id, file, bytes, modified, hash.
        settings: how it was made.
    """

    table: pl.DataFrame
    music: str = ""
    files: pl.DataFrame | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        Vocabulary(self.table["song_id"])  # refuses empty and repeated ids

    def __len__(self) -> int:
        return self.table.height

    @cached_property
    def ids(self) -> Vocabulary:
        """The songs in order."""
        return Vocabulary(self.table["song_id"])

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all cells."""
        return store.fingerprint(self.table.write_ndjson())

    @staticmethod
    def of(
        table: pl.DataFrame,
        *,
        music: str = "",
        files: pl.DataFrame | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> "Songs":
        """Songs from any table with a column song_id; columns that are missing are filled with nulls.

        Raises:
            InputError: no column song_id, or an id that is empty or there twice.
        """
        return Songs(with_song_columns(table), music, files, settings or {})

    def save(self, folder: Path | str) -> None:
        """Write the folder, whole or not at all."""
        with writing(folder) as scratch:
            self.table.write_parquet(scratch / "songs.parquet")
            if self.files is not None:
                self.files.write_parquet(scratch / "files.parquet")
            settings = {**self.settings, "music": self.music}
            write_meta(scratch, Meta("songs", self.fingerprint, {}, settings, {"n_songs": len(self)}))

    @staticmethod
    def load(folder: Path | str) -> "Songs":
        """Read the folder.

        Raises:
            ArtifactError: missing, half-written, damaged or of another kind.
        """
        folder = Path(folder)
        with store.content_of(folder):
            meta = read_meta(folder, "songs")
            table = read_parquet(folder / "songs.parquet", "song_id", *COLUMNS)
            files = read_parquet(folder / "files.parquet", "song_id", "file") if "files.parquet" in meta.files else None
            settings = dict(meta.settings)
            try:
                return Songs(table, str(settings.pop("music", "")), files, settings)
            except InputError as error:
                raise ArtifactError(f"{folder}/songs.parquet: {error} Make the artifact again.") from error


def with_song_columns(table: pl.DataFrame) -> pl.DataFrame:
    """A table of songs with all columns of `COLUMNS` behind song_id, in their types; others stay at the end.

    A year is taken from the front of a date ("1979-11-30"); a number that is none is null.

    Raises:
        InputError: no column song_id.
    """
    if "song_id" not in table.columns:
        raise InputError(f"songs: no column 'song_id'; the columns are {', '.join(map(repr, table.columns))}.")
    known = [
        _as_type(table[name], kind).alias(name) if name in table.columns else pl.lit(None, dtype=kind).alias(name)
        for name, kind in COLUMNS.items()
    ]
    rest = [name for name in table.columns if name not in COLUMNS and name != "song_id"]
    return table.select(composed(table["song_id"]).alias("song_id"), *known, *rest)


def _as_type(column: pl.Series, kind: type[pl.DataType]) -> pl.Series:
    if kind == pl.Int32 and column.dtype == pl.String:
        return column.str.extract(r"^\s*(\d{1,9})", 1).cast(pl.Int32, strict=False)
    if kind == pl.String and column.dtype == pl.String:
        return pl.select(pl.when(column.str.strip_chars() != "").then(column)).to_series()
    return column.cast(kind, strict=False)


def merged_names(library: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    """The table of a library; a song that it names by its file only is named as the history names it.

    Args:
        library, history: with song_id; only songs of the library are kept.
    """
    table, other = with_song_columns(library), with_song_columns(history).select("song_id", "title", "artist", "album")
    stem = pl.col("file").str.split("/").list.last().str.replace(r"\.[^.]*$", "")
    by_file_only = pl.col("title").is_null() | ((pl.col("title") == stem) & pl.col("artist").is_null())
    joined = table.join(other.unique("song_id"), on="song_id", how="left", maintain_order="left", suffix="_told")
    names = [pl.when(by_file_only).then(pl.coalesce(f"{name}_told", name)).otherwise(pl.coalesce(name, f"{name}_told"))
             .alias(name) for name in ("title", "artist", "album")]  # fmt: skip
    return joined.with_columns(names).select(table.columns)


def song_names(table: pl.DataFrame) -> list[str]:
    """A name to show for each song: its title, else the name of its file, else its id.

    >>> song_names(pl.DataFrame({"song_id": ["s1", "s2"], "title": ["Intro", None]}))
    ['Intro', 's2']
    """
    own = table["song_id"].to_list()
    titles = table["title"].to_list() if "title" in table.columns else [None] * len(own)
    files = table["file"].to_list() if "file" in table.columns else [None] * len(own)
    return [
        title or (Path(file).stem if file else "") or one
        for title, file, one in zip(titles, files, own, strict=True)
    ]  # fmt: skip


def song_asked_for(table: pl.DataFrame, text: str, where: str = "songs") -> str:
    """The id of the one song that a person means by a text.

    Its id; else its file, whole or its last parts, with or without the suffix; else its title, or "artist - title".
    Capitals do not count but in ids.

    Args:
        table: of songs, with song_id and whatever is known of title, artist, file.
        where: for the message.
    Raises:
        InputError: no song or several are meant (names them, or what is near).
    """
    ids = table["song_id"].to_list()
    asked = composed(pl.Series([text]))[0]
    if asked in set(ids):
        return str(asked)
    wanted, names = asked.casefold(), [_names_of(row) for row in with_song_columns(table).iter_rows(named=True)]
    found = [at for at, own in enumerate(names) if wanted in own] or [
        at for at, own in enumerate(names) if any(one.endswith(f"/{wanted}") for one in own)
    ]
    if len(found) == 1:
        return str(ids[found[0]])
    if found:
        told = ", ".join(repr(ids[at]) for at in found[:5])
        raise InputError(f"{where}: {len(found)} songs are called {text!r}: {told}. Name one by its id.")
    spelt = {one.casefold(): one for one in table.get_column("title", default=pl.Series([])).drop_nulls().to_list()}
    near = nearest(wanted, sorted({one for own in names for one in own})[:MOST_COMPARED])
    hint = f" Did you mean {spelt.get(near, near)!r}?" if near else " Lists print the ids and titles of songs."
    raise InputError(f"{where}: no song with the id, file, title or 'artist - title' {text!r}.{hint}")


def _names_of(row: Mapping[str, Any]) -> set[str]:
    """All that a song may be called, in small letters."""
    title, artist, file = row["title"], row["artist"], row["file"]
    own = {row["song_id"], title, *(f"{artist}{dash}{title}" for dash in (" - ", " – ", " — ") if artist and title)}
    own |= {file, str(PurePosixPath(file).with_suffix(""))} if file else set()
    return {str(one).casefold() for one in own if one}

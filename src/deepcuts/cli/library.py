"""`deepcuts library` reads a folder of music; `deepcuts match` finds the songs of a history in it."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from deepcuts.artifacts import Plays, Songs
from deepcuts.audio.extractors import SOUND_SUFFIXES
from deepcuts.cli.common import Json, Out, Set, Toml, print_json, read_columns, say, settings_of
from deepcuts.data.histories import navidrome_library
from deepcuts.data.library import LibraryReading, read_library
from deepcuts.data.match import MatchSettings, match_songs, matched_plays
from deepcuts.errors import QuarantineError
from deepcuts.store import is_whole, refuse_to_replace, write_file
from deepcuts.walk import REASONS, count_reasons

MOST_LISTED = 100  # songs without a match that the report shows


def library(
    music: Annotated[
        Path, typer.Argument(help="A folder of music, searched to any depth; or the database of Navidrome.")
    ],
    output: Out,
    as_json: Json = False,
) -> None:
    """Read the tags of a folder of music: one table of songs, for --songs, `match` and models.

    Run it again after files have changed: only those are read.
    """
    refuse_to_replace(output, kind="songs")
    if music.is_file():
        songs = navidrome_library(music)
        songs.save(output)
        say(f"{output}: {len(songs):,} songs of the Navidrome database {music}")
        return
    old = Songs.load(output) if is_whole(output, "songs") else None
    reading = read_library(music, SOUND_SUFFIXES, old)
    save_library(reading, output)
    summary = told_of_library(reading)
    if as_json:
        print_json(summary)
    else:
        say(f"{output}: " + ", ".join(f"{n:,} {what}" for what, n in summary.items()))
    refuse_silence(reading, output)


def save_library(reading: LibraryReading, output: Path) -> None:
    """Write the table, and beside it what was passed over, what is there twice and what had no readable tags."""
    reading.songs.save(output)
    for name in ("ignored", "duplicates", "problems"):
        write_file(output / f"{name}.csv", getattr(reading, name).write_csv())


def told_of_library(reading: LibraryReading) -> dict[str, int]:
    """What the reading found, in numbers."""
    summary = {"songs": len(reading.songs), "unchanged": reading.n_reused}
    table = reading.songs.table
    for name in ("artist", "title", "mbid", "isrc"):
        summary[f"with {name}"] = table.height - table[name].null_count()
    summary["copies of others (duplicates.csv)"] = reading.duplicates.height
    summary["without readable tags (problems.csv)"] = reading.problems.height
    for reason, n in count_reasons(reading.ignored.rows()):
        summary[f"passed over, {REASONS[reason]} (ignored.csv)"] = n
    return {what: n for what, n in summary.items() if n or what == "songs"}


def refuse_silence(reading: LibraryReading, output: Path) -> None:
    """End with exit code 7 where permissions kept files from us.

    Raises:
        QuarantineError: names the first.
    """
    kept = reading.ignored.filter(pl.col("reason") == "permission")["file"].to_list()
    if kept:
        raise QuarantineError(
            f"{len(kept)} files or folders may not be read, such as {kept[0]}; {output}/ignored.csv lists them. "
            "The rest is done."
        )


def match(
    plays: Annotated[Path, typer.Argument(help="Plays, from any reader of `deepcuts data`.")],
    library: Annotated[Path, typer.Argument(help="A library, from `deepcuts library`.")],
    output: Out,
    corrections: Annotated[
        Path | None,
        typer.Option(
            "--corrections", help="The matches.csv of an earlier run, corrected by hand in column library_id."
        ),
    ] = None,
    toml: Toml = None,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Find the songs of a history in a library: the same plays, under the library's ids and names.

    matches.csv beside the plays says how each song was matched, most played first; unmatched.csv lists the rest. Put
    another library id (or "none") into the column library_id of either, and pass the file back with --corrections.
    """
    refuse_to_replace(output, kind="plays")
    history, songs = Plays.load(plays), Songs.load(library)
    settings = settings_of(MatchSettings, toml, assignments, "match")
    matches = match_songs(history.songs_table, songs, settings, read_corrections(corrections))
    matched_plays(history, matches, songs).save(output)
    summary = write_matches(history, matches, songs, output)
    if as_json:
        print_json(summary)
        return
    say(f"{output}: " + ", ".join(f"{n:,} {what}" for what, n in summary.items()))


def read_corrections(path: Path | None) -> dict[str, str]:
    """Song id → library id from a table with the columns song_id and library_id; empty cells decide nothing."""
    if path is None:
        return {}
    table = read_columns(path, "song_id", "library_id", may_be_empty=("library_id",))
    decided = table.filter(pl.col("library_id").is_not_null())
    if "found_id" in decided.columns:  # a file that we wrote: what a person has changed in it
        decided = decided.filter(pl.col("library_id") != pl.col("found_id").fill_null(""))
    return dict(decided.select("song_id", "library_id").iter_rows())


def write_matches(plays: Plays, matches: pl.DataFrame, library: Songs, output: Path) -> dict[str, int]:
    """Write matches.csv and unmatched.csv; returns how many songs and plays were matched in which way."""
    table = report_of(plays, matches, library)
    write_file(output / "matches.csv", table.write_csv())
    missing = table.filter(pl.col("library_id").is_null())
    write_file(output / "unmatched.csv", missing.write_csv())
    found = table.filter(pl.col("library_id").is_not_null())
    summary = {"songs matched": found.height, "plays of them": int(found["plays"].sum())}
    for how in ("hand", "id", "file", "mbid", "isrc", "name", "spelling", "fuzzy"):
        summary[f"by {how}"] = int((found["how"] == how).sum())
    summary["ambiguous (the first of several was taken)"] = int((found["n_candidates"] > 1).sum())
    summary["songs not in the library (unmatched.csv)"] = missing.height
    summary["plays of those"] = int(missing["plays"].sum())
    return {what: n for what, n in summary.items() if n or what == "songs matched"}


def report_of(plays: Plays, matches: pl.DataFrame, library: Songs) -> pl.DataFrame:
    """Matches with names and plays, most played first."""
    n_plays = pl.Series("plays", plays.counts.sum(axis=0).astype("int64"))
    named = plays.songs_table.select(
        "song_id", *(name for name in ("artist", "title", "album") if name in plays.songs_table.columns)
    )
    ours = library.table.select(
        pl.col("song_id").alias("library_id"),
        pl.col("artist").alias("library_artist"),
        pl.col("title").alias("library_title"),
    )
    table = named.with_columns(n_plays).join(matches, on="song_id", how="left", maintain_order="left")
    table = table.with_columns(pl.col("library_id").alias("found_id"))
    return table.join(ours, on="library_id", how="left", maintain_order="left").sort(
        ["plays", "song_id"], descending=[True, False]
    )

"""`deepcuts data ...`: plays in, from any source; planted worlds and taste profiles; splits."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from deepcuts.artifacts import ROLE_NAMES, Features, Plays
from deepcuts.cli.common import (
    Json,
    Out,
    Set,
    Toml,
    for_side_tables,
    print_json,
    print_table,
    read_columns,
    say,
    settings_of,
)
from deepcuts.data import DATASETS, SplitSettings, make_split, read_artist_tracks
from deepcuts.data.histories import HISTORIES, LAYOUTS, read_history
from deepcuts.data.histories.what import describe
from deepcuts.errors import ArtifactError, InputError
from deepcuts.store import refuse_to_replace, write_file
from deepcuts.worlds import TasteSettings, WorldSettings, make_taste, make_world

app = typer.Typer(help="Read plays from any source, make a planted world, split songs.", no_args_is_help=True)

Source = Annotated[
    list[Path],
    typer.Argument(help="File, folder or pipe; plain, .gz, .bz2, .xz, .zst, .zip or .tar. Several are one table."),
]
SEVERAL = ("table", "events")  # readers that take several files as one table
ABOUT = {
    "table": "Read (user, song, plays[, time]) rows from csv, tsv or parquet.",
    "events": "Read raw listens (user, song[, time]), one row each, from csv, tsv or parquet; counted per pair.",
    "matrix": "Read a sparse matrix (.npz, users × songs) with its files of ids.",
    "msd": "Read Taste Profile triplets, with whatever Million Song Dataset side files lie beside them.",
    "lastfm": "Read Last.fm plays and tags of hetrec-2011 (the zip or its folder); artists stand for songs.",
}


def reader_command(name: str) -> Callable[..., None]:
    """The command that reads one kind of source."""
    cls, reader = DATASETS[name]

    def command(source: Source, output: Out, toml: Toml = None, assignments: Set = None, as_json: Json = False) -> None:
        refuse_to_replace(output, kind="plays")
        if len(source) > 1 and name not in SEVERAL:
            raise InputError(f"data {name}: {len(source)} sources, expected one file or folder.")
        given = source if len(source) > 1 else source[0]
        reading = reader(given, settings_of(cls, toml, assignments, "data"))
        reading.plays.save(output)
        if reading.tags is not None:
            reading.tags.save(output / "tags")
        n_users, n_songs = reading.plays.shape
        summary = {"users": n_users, "songs": n_songs, "user-song pairs": reading.plays.n_plays, **reading.notes}
        if reading.tags is not None:
            summary["tags"] = len(reading.tags.tags)
        if as_json:
            print_json(summary)
            return
        say(f"{output}:")
        for what, count in summary.items():
            say(f"  {count:>12,} {what}")

    command.__doc__ = ABOUT[name]
    return command


for _name in DATASETS:
    app.command(_name)(reader_command(_name))


@app.command("history")
def history(
    source: Annotated[
        list[Path], typer.Argument(help="Exports: files, folders or archives (zip, tar, gz, xz, zst); several at once.")
    ],
    output: Out,
    kind: Annotated[
        str, typer.Option("--kind", help=f"auto looks at each file; or one of {', '.join([*HISTORIES, *LAYOUTS])}.")
    ] = "auto",
    user: Annotated[str | None, typer.Option("--user", help="Whose one-person export it is.")] = None,
    as_json: Json = False,
) -> None:
    """Read listening histories as services, scrobblers and media servers export them.

    Spotify, ListenBrainz, Last.fm, Apple Music, Deezer, YouTube Music, Maloja, Pano Scrobbler, Rockbox, Navidrome,
    Jellyfin, Million Playlist, Yambda, Last.fm-1K and -360K, LFM-1b and -2b. Skips and marks (liked, disliked) are
    written beside the plays: skips.parquet, marks.parquet. What is left out is counted, by reason.
    """
    refuse_to_replace(output, kind="plays")
    reading = read_history(source, kind=kind, user=user)
    reading.plays.save(output)
    for name, table in (("skips", reading.skips), ("marks", reading.marks)):
        if table.height:
            table.write_parquet(output / f"{name}.parquet")
    n_users, n_songs = reading.plays.shape
    summary = {"users": n_users, "songs": n_songs, "plays": int(reading.plays.counts.sum()),
            "skips kept": reading.skips.height, "marks kept": reading.marks.height, **reading.notes}  # fmt: skip
    if as_json:
        print_json(summary)
        return
    say(f"{output}:")
    for what, count in summary.items():
        say(f"  {count:>12,} {what}")


@app.command("what")
def what(
    source: Annotated[list[Path], typer.Argument(help="Any files, folders or archives.")],
    as_json: Json = False,
) -> None:
    """Say what files look like, and which command reads them."""
    rows = [(name, *row) for path in source for name, *row in describe(path)]
    table = pl.DataFrame(rows, schema=dict.fromkeys(("file", "looks_like", "command"), pl.String), orient="row")
    print_table(table, as_json)


@app.command("world")
def world(output: Out, toml: Toml = None, assignments: Set = None) -> None:
    """Make a planted world: songs that really sound, listeners with known tastes, and the truth kept apart."""
    made = make_world(settings_of(WorldSettings, toml, assignments, "world"), output)
    n_users, n_songs = made.plays.shape
    say(f"{output}: {n_songs:,} songs as sound files, {n_users:,} users, {made.plays.n_plays:,} (user, song) pairs")


@app.command("taste")
def taste(output: Out, toml: Toml = None, assignments: Set = None) -> None:
    """Make a taste profile as big and as skewed as the real one, with the songs' content and the truth."""
    settings = settings_of(TasteSettings, toml, assignments, "taste")
    path = make_taste(settings, output)
    size = f"{settings.n_users:,} users, {settings.n_songs:,} songs, {settings.n_plays:,} (user, song) pairs"
    say(f"{output}: {size} in {path.name}; content in features, what they are drawn from in truth")


TRACK_COLUMNS = "song_id,track_id,group"


@app.command("tracks")
def tracks(
    table: Annotated[Path, typer.Argument(help="A csv with the columns lastfm_artist_id and track_id.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The csv to write: song_id, track_id, group.")],
) -> None:
    """Which tracks make up which artist (who stands for a song), and which artists share a track: one csv.

    It serves as --songs of `deepcuts audio ...` and as --groups of `deepcuts data split`.
    """
    refuse_to_replace_file(output)
    rows = read_artist_tracks(table)
    write_file(output, rows.write_csv())
    n_artists, n_groups = rows["song_id"].n_unique(), rows["group"].n_unique()
    say(f"{output}: {rows.height:,} tracks of {n_artists:,} artists, {n_groups:,} groups without a track in common")


def refuse_to_replace_file(path: Path) -> None:
    """Refuse to write over anything but an earlier table of tracks.

    Raises:
        ArtifactError: something else is there.
    """
    if not path.exists():
        return
    start = b"" if path.is_dir() else path.read_bytes()[: len(TRACK_COLUMNS) + 1]
    if start != f"{TRACK_COLUMNS}\n".encode():
        raise ArtifactError(f"{path}: exists and is not a table of tracks. Choose another -o.")


@app.command("split")
def split(
    plays: Annotated[Path, typer.Argument(help="Plays.")],
    output: Out,
    test_songs: Annotated[
        Path | None, typer.Option("--test-songs", help="Song ids to test (with --set by=list): text or csv/parquet.")
    ] = None,
    groups: Annotated[
        Path | None, typer.Option("--groups", help="Table of song_id and group: songs of a group never part.")
    ] = None,
    only: Annotated[
        Path | None, typer.Option("--only", help="Features: only songs that have them are validated or tested.")
    ] = None,
    toml: Toml = None,
    assignments: Set = None,
) -> None:
    """Choose which songs nobody is supposed to have played (by=song, artist, time or list)."""
    refuse_to_replace(output, kind="split")
    counts = Plays.load(plays)
    mine, theirs = for_side_tables(SplitSettings, assignments)
    if theirs and not (test_songs or groups):
        mine += theirs  # no table to read: refused as unknown settings of a split
    made = make_split(
        counts,
        settings_of(SplitSettings, toml, mine, "split"),
        test_songs=read_columns(test_songs, "song_id", assignments=theirs)["song_id"].to_list() if test_songs else None,
        groups=read_columns(groups, "song_id", "group", assignments=theirs) if groups else None,
        only=Features.load(only).songs.ids.to_list() if only else None,
    )
    made.save(output)
    sizes = ", ".join(f"{int((made.roles == role).sum()):,} {name}" for role, name in enumerate(ROLE_NAMES))
    hidden = counts.n_plays - made.learning_plays(counts).n_plays
    say(f"{output}: {sizes} songs; {hidden:,} of {counts.n_plays:,} (user, song) pairs are hidden")

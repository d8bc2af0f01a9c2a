"""`deepcuts audio ...`: features of sound files or of MSD analyses."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer

from deepcuts.artifacts import TRAIN, VALIDATION, Features, Split
from deepcuts.audio import FEATURES, PoolSettings, pool_features
from deepcuts.audio.extract import extract
from deepcuts.audio.extractors import LIMITS
from deepcuts.audio.table import features_of_table, read_numbers
from deepcuts.cli.common import (
    Json,
    Out,
    Set,
    Toml,
    for_side_tables,
    is_set,
    print_json,
    read_columns,
    say,
    settings_of,
)
from deepcuts.cli.on import On, cluster_on
from deepcuts.cluster.audio import ray_spread
from deepcuts.errors import ArtifactError, QuarantineError, SettingError
from deepcuts.store import read_meta, refuse_to_replace

app = typer.Typer(help="Features of every song below a folder: parallel, resumable.", no_args_is_help=True)

LEAST_HEARD = 60.0  # seconds of sound
POOLED = "pooled-"  # in front of the kind of features that were pooled

ABOUT = {
    "logmel": "Log-mel frames of sound files (mp3, flac, ogg, opus, wav, m4a, ...).",
    "mfcc": "MFCC frames with first and second differences, of sound files.",
    "echonest": "Frames of Million Song Dataset analyses (.h5): timbre, pitch, loudness, timing.",
}


def feature_command(kind: str) -> Callable[..., None]:
    """The command that makes one kind of features."""

    def command(
        sounds: Annotated[Path, typer.Argument(help="A folder, searched to any depth.")],
        output: Out,
        songs: Annotated[
            Path | None,
            typer.Option("--songs", help="Table of song_id and file (or track_id): which files make up which song."),
        ] = None,
        ids: Annotated[str, typer.Option(help="Without a table, name songs by file `stem` or by `path`.")] = "stem",
        jobs: Annotated[int | None, typer.Option("-j", "--jobs", help="Processes; one a core when left out.")] = None,
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace features of other settings.")] = False,
        like: Annotated[
            Path | None,
            typer.Option("--like", help="An encoder, or features: make these features with the settings of those."),
        ] = None,
        on: On = None,
        toml: Toml = None,
        assignments: Set = None,
        as_json: Json = False,
    ) -> None:
        if on is not None and jobs is not None:
            raise SettingError("-j and --on: -j counts processes of this machine. Leave one out, or write --on ray=N.")
        mine, theirs = for_side_tables(FEATURES[kind].settings, assignments) if songs else (assignments, [])
        settings: Any = settings_of(FEATURES[kind].settings, toml, mine, kind)
        if like is not None:
            settings = settings_like(like, kind, settings, toml, mine)
        table = read_columns(songs, "song_id", assignments=theirs) if songs else None
        with cluster_on(on) as cluster:
            report = extract(
                sounds, kind, settings, output, jobs=jobs, table=table, ids=ids, overwrite=overwrite, isolated=True,
                spread=None if cluster is None else ray_spread(cluster),
            )  # fmt: skip
        summary = {
            "songs": report.n_songs,
            "files": report.n_files,
            "reused": report.n_reused,
            "quarantined": report.n_quarantined,
            "songs_without_files": len(report.missing),
            "ignored_files": report.n_ignored,
            "passed_over": report.ignored.height - report.n_ignored,
            "hours": round(report.seconds / 3600, 3),
            "times_real_time_per_core": round(report.times_real_time, 1),
        }
        if as_json:
            print_json({**summary, "quarantine": report.quarantine.to_dicts()})
        else:
            if report.seconds_heard < LEAST_HEARD:  # so little says nothing of speed
                del summary["times_real_time_per_core"]
            say(f"{output}: " + ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in summary.items()))
        unreadable = report.ignored.filter(pl.col("reason") == "permission")["file"].to_list()
        if unreadable:
            say(f"  may not be read: {', '.join(unreadable[:10])}; {output}/ignored.csv lists all")
        if report.n_quarantined:
            for row in report.quarantine.head(10).iter_rows(named=True):
                say(f"  {row['file']}: {row['reason']} ({row['detail']})")
            raise QuarantineError(
                f"{report.n_quarantined} files were set aside; {output}/quarantine.csv says why. The rest is done."
            )
        if unreadable:
            raise QuarantineError(f"{len(unreadable)} files or folders may not be read. The rest is done.")

    command.__doc__ = ABOUT[kind]
    return command


def settings_like(like: Path, kind: str, given: Any, toml: list[Path] | None, assignments: list[str] | None) -> Any:
    """The feature settings of an encoder, or of features; with the limits that were given.

    Raises:
        SettingError: those are of another kind, not made from sound, or a setting given here says otherwise.
        ArtifactError: neither an encoder nor features.
    """
    recipe = made_like(like)
    if recipe.get("kind") not in FEATURES:
        raise SettingError(
            f"--like {like}: {recipe.get('kind')!r} features are not made from sound files by a command."
        )
    if recipe["kind"] != kind:
        raise SettingError(f"--like {like}: takes {recipe['kind']} features. Run `deepcuts audio {recipe['kind']}`.")
    values = {one.name: getattr(given, one.name) for one in dataclasses.fields(given)}
    for name, value in recipe.items():
        if name in values and name not in LIMITS:
            if is_set(name, toml, assignments, kind) and values[name] != value:
                raise SettingError(f"{name} = {values[name]!r}, but --like {like} says {value!r}. Leave one out.")
            values[name] = value
    return FEATURES[kind].settings(**values)


def made_like(like: Path) -> dict[str, Any]:
    """Kind and settings of the features that an encoder takes, or of features; below pooling, of what was pooled.

    Raises:
        ArtifactError: neither an encoder nor features.
    """
    meta = read_meta(like)
    if meta.kind not in ("encoder", "features"):
        raise ArtifactError(f"--like {like}: holds {meta.kind}. Name an encoder, or features.")
    recipe = dict(meta.settings["features"] if meta.kind == "encoder" else meta.settings)
    if str(recipe["kind"]).startswith(POOLED):
        recipe = {"kind": str(recipe["kind"]).removeprefix(POOLED), **recipe["of"]}
    return recipe


for _kind in FEATURES:
    app.command(_kind)(feature_command(_kind))


@app.command("pool")
def pool(
    features: Annotated[Path, typer.Argument(help="Features of recordings.")],
    output: Out,
    songs: Annotated[
        Path | None,
        typer.Option("--songs", help="Table of song_id and track_id: which recordings make up which song."),
    ] = None,
    toml: Toml = None,
    assignments: Set = None,
) -> None:
    """Pooled statistics of frames, one row a song: mean, spread, change; averaged over its recordings."""
    refuse_to_replace(output, kind="features")
    table = read_columns(songs, "song_id", "track_id") if songs else None
    pooled = pool_features(Features.load(features), settings_of(PoolSettings, toml, assignments, "pool"), table)
    pooled.save(output)
    say(f"{output}: {len(pooled.songs):,} songs, {pooled.n_channels} statistics each")


@app.command("table")
def table_features(
    table: Annotated[Path, typer.Argument(help="csv, tsv or parquet with a header: one row a song.")],
    output: Out,
    song_id: Annotated[str, typer.Option("--id", help="The column of song ids.")] = "song_id",
    columns: Annotated[list[str] | None, typer.Option("--column", help="Take only these; repeat.")] = None,
    drop: Annotated[list[str] | None, typer.Option("--drop", help="Leave these out; repeat.")] = None,
    pretrained_on: Annotated[
        list[str] | None, typer.Option("--pretrained-on", help="What the numbers were learned from, by name; repeat.")
    ] = None,
) -> None:
    """Features from a table of numbers: embeddings or descriptors that somebody else has made of each song."""
    refuse_to_replace(output, kind="features")
    made = features_of_table(
        read_numbers(table), where=str(table), song_id=song_id, columns=columns or [], drop=drop or [],
        pretrained_on=pretrained_on or [],
    )  # fmt: skip
    made.save(output)
    say(f"{output}: {len(made.songs):,} songs, {made.n_channels} numbers each: {', '.join(made.settings['columns'])}")


@app.command("words")
def words(
    features: Annotated[Path, typer.Argument(help="Features of many frames a song, such as mfcc.")],
    output: Out,
    split: Annotated[
        Path | None, typer.Option("--split", help="Learn from its training and validation songs only; all songs else.")
    ] = None,
    toml: Toml = None,
    assignments: Set = None,
) -> None:
    """Learn the words of a bag of words: typical frames (k-means), and PCA of how often they sound."""
    from deepcuts.audio.bagofwords import WordsSettings, learn_bagofwords  # scikit-learn takes long to load

    refuse_to_replace(output, kind="words")
    heard = Features.load(features)
    songs = np.arange(len(heard.songs))
    if split is not None:
        chosen = Split.load(split)
        found = heard.songs.find(chosen.songs.take(chosen.members(TRAIN, VALIDATION)).ids)
        songs = found[found >= 0]
    learned = learn_bagofwords(heard, songs, settings_of(WordsSettings, toml, assignments, "words"))
    learned.save(output)
    n_words, n_kept = len(learned.words.centres), len(learned.pca.components)
    say(f"{output}: {n_words:,} words from {len(songs):,} songs; {n_kept:,} components hold {learned.pca.share:.1%}")


@app.command("bag")
def bag_of_words(
    features: Annotated[Path, typer.Argument(help="Features, made as those the words were learned from.")],
    words: Annotated[Path, typer.Argument(help="Words, from `deepcuts audio words`.")],
    output: Out,
) -> None:
    """Count words in every song: features of one frame a song, in principal components."""
    from deepcuts.audio.bagofwords import BagOfWords, bag  # scikit-learn takes long to load

    refuse_to_replace(output, kind="features")
    heard, learned = Features.load(features), BagOfWords.load(words)
    counted = bag(heard, learned.words, learned.pca)
    counted.save(output)
    say(f"{output}: {len(counted.songs):,} songs, {counted.n_channels} components each")

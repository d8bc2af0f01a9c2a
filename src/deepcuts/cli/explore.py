"""`deepcuts explore ...`: what factors know: tags, artists at their ends, similar songs, a map."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import typer

from deepcuts.artifacts import Factors, Features, Plays, SongFactors, Tags, Vocabulary, same_space
from deepcuts.cli.common import Json, Out, Set, Toml, print_json, print_table, say, settings_of
from deepcuts.errors import InputError, SettingError
from deepcuts.explore import (
    ExtremeSettings,
    ListSettings,
    compare_lists,
    extreme_artists,
    extreme_tags,
    extremes_text,
    label_songs,
    popular_styles,
)
from deepcuts.explore.names import column_of
from deepcuts.recommend import usage_space
from deepcuts.store import kind_of, read_meta
from deepcuts.trial.rows import fold_in

app = typer.Typer(help="See what factors know: tags, artists, similar songs, a map.", no_args_is_help=True)

FactorsFolder = Annotated[Path, typer.Argument(help="Factors of users and songs.")]
PlaysFolder = Annotated[Path, typer.Option("--plays", help="Plays: their songs table has artists and titles.")]
TagsOption = Annotated[Path | None, typer.Option("--tags", help="Tags; those beside the plays when left out.")]
Folder = Annotated[Path | None, typer.Option("-o", "--output", help="Folder to write.")]
Centred = Annotated[
    bool, typer.Option("--centred", help="Correlations instead of cosines: popularity no longer presses all together.")
]


@app.command("tags")
def tags(
    factors: Annotated[Path, typer.Argument(help="Factors of songs, observed or predicted.")],
    tags: Annotated[Path, typer.Argument(help="Tags, such as plays/tags.")],
    features: Annotated[
        Path | None, typer.Option("--features", help="Features of one row a song: compared on the songs of both.")
    ] = None,
    plays: Annotated[
        Path | None, typer.Option("--plays", help="Plays: songs of one artist are then kept in one fold.")
    ] = None,
    output: Folder = None,
    toml: Toml = None,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Predict tags from factors (and from features of sound): AUC of each tag in cross-validation.

    The table goes to stdout, means with intervals to stderr.
    """
    from deepcuts.explore.tags import TagSettings, compare_tags, predict_tags, with_parents  # scikit-learn is slow

    settings = settings_of(TagSettings, toml, assignments, "tags")
    named = Tags.load(tags)
    learned = load_songs(factors)
    inputs, marks = {"factors": (learned.songs, learned.vectors)}, {"factors": read_meta(factors).fingerprint}
    if features is not None:
        heard = Features.load(features)
        inputs["features"], marks["features"] = feature_rows(heard, features), heard.fingerprint
    songs = shared_songs([ids for ids, _ in inputs.values()])
    table = Plays.load(plays).songs_table if plays else None
    groups = column_of(songs, table) if table is not None else None
    scores = {}
    for name, (ids, rows) in inputs.items():
        scores[name] = predict_tags(rows[ids.positions(songs.ids)], songs, named, settings, groups=groups)
        one = scores[name]
        say(f"{name}: mean AUC {one.mean:.4f} ({settings.level:.0%} interval {one.low:.4f} to {one.high:.4f}) over "
            f"{len(one.tags)} tags, {len(one.songs):,} songs, {one.n_untagged:,} of them without any tag")  # fmt: skip
    if len(scores) == 2:
        gap = compare_tags(scores["factors"], scores["features"], settings)
        say(f"factors - features: {gap['difference']:+.4f} ({gap['low']:+.4f} to {gap['high']:+.4f})")
    for name, one in scores.items():
        if output is not None:
            with_parents(one, tags=read_meta(tags, "tags").fingerprint, **{name: marks[name]}).save(output / name)
    together = pl.concat([one.table().with_columns(inputs=pl.lit(name)) for name, one in scores.items()])
    print_table(together, as_json)


@app.command("factors")
def factors(
    factors: Annotated[Path, typer.Argument(help="Factors of songs, observed or predicted.")],
    plays: PlaysFolder,
    tags: TagsOption = None,
    which: Annotated[list[int] | None, typer.Option("--factor", help="Factors by number, from 0; repeat.")] = None,
    toml: Toml = None,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Artists, and tags, whose songs have very high and very low values of some factors (the paper's Table 1)."""
    settings = settings_of(ExtremeSettings, toml, assignments, "extremes")
    learned, table, named = load_songs(factors), Plays.load(plays).songs_table, tags_beside(plays, tags)
    artists = extreme_artists(learned, table, settings, which=which)
    words = extreme_tags(learned, named, settings, which=which) if named else None
    if as_json:
        print_json({"artists": artists.to_dicts(), "tags": words.to_dicts() if words is not None else []})
    else:
        print(extremes_text(artists, words))


@app.command("lists")
def lists(
    factors: FactorsFolder,
    predicted: Annotated[Path, typer.Argument(help="Factors of songs, predicted from sound.")],
    plays: PlaysFolder,
    queries: Annotated[list[str] | None, typer.Option("--query", help="Song ids; repeat. Random ones else.")] = None,
    show: Annotated[int, typer.Option("--show", help="Lists to print.")] = 5,
    centred: Centred = False,
    toml: Toml = None,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Similar songs from plays and from sound, side by side, and how varied both are (the paper's Table 4).

    Songs that are predicted but not among FACTORS are folded in from their plays for the observed side.
    """
    settings = settings_of(ListSettings, toml, assignments, "lists")
    observed, heard, counts = Factors.load(factors), SongFactors.load(predicted), Plays.load(plays)
    same_space(observed.lineage, heard.lineage, what=(str(factors), str(predicted)))
    users, songs = observed.users.vectors, heard.songs
    seen = usage_space(users, observed_rows(observed, songs, counts), centred=centred)
    by_sound = usage_space(users, heard.vectors, centred=centred)
    compared = compare_lists(seen, by_sound, songs, counts.songs_table, settings, query_ids=queries)
    shown = compared.side_by_side(counts.songs_table, show)
    if as_json:
        print_json({"lists": shown.to_dicts(), "summary": compared.summary.to_dicts()})
        return
    for query, in_list in shown.group_by("query", maintain_order=True):
        print(f"\n{query[0]}")
        for row in in_list.iter_rows(named=True):
            print(f"  {row['rank']:>2}  {row['observed'][:46]:<46}  {row['predicted'][:46]}")
    print()
    print_table(compared.summary)


@app.command("map")
def map_of_songs(
    factors: FactorsFolder,
    output: Out,
    plays: PlaysFolder,
    predicted: Annotated[
        Path | None, typer.Option("--predicted", help="Map these songs, predicted from sound, instead of the observed.")
    ] = None,
    tags: TagsOption = None,
    styles: Annotated[list[str] | None, typer.Option("--style", help="A tag to colour; repeat.")] = None,
    n_styles: Annotated[int, typer.Option("--n-styles", help="Without --style: so many of the most popular.")] = 4,
    min_listeners: Annotated[int, typer.Option(help="Leave out songs with fewer listeners.")] = 0,
    centred: Centred = False,
    title: Annotated[str, typer.Option(help="Of the picture and the page.")] = "Songs that the same people would play",
    toml: Toml = None,
    assignments: Set = None,
) -> None:
    """Songs in two dimensions (the paper's Figure 1): map.parquet, map.png and map.html to move about in."""
    from deepcuts.explore.page import map_page  # t-SNE and drawing take long to load
    from deepcuts.explore.picture import draw_map
    from deepcuts.explore.songmap import MapSettings, SongMap, map_caption, map_songs

    settings = settings_of(MapSettings, toml, assignments, "map")
    observed, counts, named = Factors.load(factors), Plays.load(plays), tags_beside(plays, tags)
    parents = {"factors": observed.fingerprint, "plays": counts.fingerprint}
    shown = SongFactors.load(predicted) if predicted else observed.songs
    if predicted:
        same_space(observed.lineage, shown.lineage, what=(str(factors), str(predicted)))
        parents["predicted"] = shown.fingerprint
    songs = shown.songs
    Z, weight = usage_space(observed.users.vectors, shown.vectors, centred=centred), listeners_of(counts, songs)
    keep = np.flatnonzero(Z.any(axis=1) & (weight >= min_listeners))
    if len(keep) < len(songs):
        say(f"{len(songs) - len(keep):,} songs left out: without a usage pattern or with too few listeners")
    songs, Z, weight = songs.take(keep), Z[keep], weight[keep]
    wanted, labels = labels_of(songs, named, styles, n_styles)
    artists, titles = (
        column_of(songs, counts.songs_table, name) if name in counts.songs_table.columns else [None] * len(songs)
        for name in ("artist", "title")
    )
    xy = map_songs(Z, settings)
    caption = map_caption(Z, xy, labels, settings, "predicted from sound" if predicted else "learned from plays")
    picture = draw_map(xy, labels, wanted, artists, weight=weight, title=title, caption=caption)
    page = map_page(xy, labels, wanted, artists, titles, weight=weight, title=title, caption=caption.replace("\n", " "))
    asked = {"min_listeners": min_listeners, "centred": centred, "styles": wanted}
    made = SongMap(songs, xy, {**asdict(settings), **asked}, parents)
    made.save(output, beside={"map.png": picture, "map.html": page})
    say(caption)
    say(f"{output}: map.html, map.png, map.parquet of {len(songs):,} songs")


def labels_of(
    songs: Vocabulary, tags: Tags | None, styles: list[str] | None, n_styles: int
) -> tuple[list[str], np.ndarray]:
    """The styles to colour, and the style of each song."""
    if tags is None:
        if styles:
            raise SettingError("--style: there are no tags beside the plays. Pass --tags.")
        return [], np.full(len(songs), -1)
    wanted = styles or popular_styles(songs, tags, n_styles)
    return wanted, label_songs(songs, tags, wanted)


def load_songs(folder: Path) -> SongFactors:
    """Factors of songs: predicted ones, or the songs of a factorisation."""
    return Factors.load(folder).songs if kind_of(folder) == "factors" else SongFactors.load(folder)


def feature_rows(features: Features, where: Path) -> tuple[Vocabulary, np.ndarray]:
    """The songs and their one frame each."""
    if not features.one_frame:
        raise InputError(f"{where}: has many frames a song. Pool them first: deepcuts audio pool.")
    return features.songs, np.asarray(features.frames, dtype=np.float32)


def shared_songs(all_songs: list[Vocabulary]) -> Vocabulary:
    """The songs that all of them hold, in the order of the first."""
    ids = all_songs[0].ids
    for songs in all_songs[1:]:
        ids = ids.filter(songs.find(ids) >= 0)
    if not len(ids):
        raise InputError("factors and features: share no song. Are their ids of the same source?")
    return Vocabulary(ids)


def tags_beside(plays: Path, tags: Path | None) -> Tags | None:
    """The tags asked for, else those beside the plays, else none."""
    if tags is None and not (plays / "tags").is_dir():
        return None
    return Tags.load(tags or plays / "tags")


def observed_rows(observed: Factors, songs: Vocabulary, counts: Plays) -> np.ndarray:
    """Factors from plays of some songs: as learned where they were, else folded in from their plays."""
    place = observed.songs.songs.find(songs.ids)
    missing = np.flatnonzero(place < 0)
    rows = observed.songs.vectors[np.maximum(place, 0)].copy()
    if len(missing):
        say(f"{len(missing):,} of {len(songs):,} songs are not among the factors: folded in from their plays")
        rows[missing] = fold_in(observed, counts.counts_of(observed.users.users, songs.take(missing))).song_vectors
    return rows


def listeners_of(counts: Plays, songs: Vocabulary) -> np.ndarray:
    """How many users played each song: int64 [n_songs], 0 for songs without plays."""
    n = np.bincount(counts.counts.indices, minlength=len(counts.songs))
    place = counts.songs.find(songs.ids)
    return np.where(place >= 0, n[np.maximum(place, 0)], 0)

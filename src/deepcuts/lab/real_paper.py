"""The paper's other experiments on real plays: tags (5.1), Table 1, Table 4 and Figure 1, with Last.fm's artists.

An artist stands for a song, as in the benchmark (`lastfm`). The factorisation knows all plays here, as in the paper:
these tables show what factors know, and rank nothing for anyone.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts.artifacts import Tags
from deepcuts.data import SplitSettings, folds
from deepcuts.explore import (
    ExtremeSettings,
    ListComparison,
    ListSettings,
    compare_lists,
    extreme_artists,
    extreme_tags,
    label_songs,
)
from deepcuts.explore.names import carriers_of, song_names, tag_rows
from deepcuts.explore.picture import draw_map
from deepcuts.explore.songmap import MapSettings, SongMap, map_caption, map_songs
from deepcuts.explore.tags import TagScores, TagSettings, compare_tags, predict_tags
from deepcuts.lab.cache import kept, part
from deepcuts.lab.lastfm import ALONE, SIZES, WORDS, bag_of, encoders
from deepcuts.lab.paper.claims import mean_with_interval
from deepcuts.lab.paper.figure1 import MOST_BYTES, RESOLUTIONS
from deepcuts.lab.real_world import RealPaper, RealWorld, listeners_of, patterns, read_world, rows_of
from deepcuts.lab.results import format_interval
from deepcuts.predict import average_predictions, fit_encoder, predict_songs

MAP = "real_map.png"
# The most used tags of these artists that name a style; "seen live", "80s" or "female vocalists" do not.
STYLES = ("rock", "pop", "electronic", "hip-hop", "metal", "indie", "punk", "rnb")
N_SHOWN = 10  # tags of each source listed one by one
INPUTS = ("factors", "words", "all words", "listeners", "listeners and factors", "listeners and words")
COMPARED = (
    ("factors", "words"),
    ("factors", "all words"),
    ("factors", "listeners"),
    ("listeners and factors", "listeners"),
    ("listeners and words", "listeners"),
    ("listeners and factors", "listeners and words"),
)
COMMON = 50  # artists that must have a tag of Table 1


def run(data: Path, work: Path, settings: RealPaper) -> tuple[dict[str, Any], bytes]:
    """All tables, and the map as a PNG.

    Args:
        data: the folder with the plays, the table of tracks and the analyses.
        work: scratch folder of the benchmark; the map is kept there.
    """
    world = read_world(data, work)
    scores, gaps, by_tag = tag_tables(world, settings)
    shown, summary = list_tables(world, settings)
    image, n_mapped = real_map(world, work, settings)
    tables = {
        "Section 5.1: how well tags are told (AUC, mean over tags)": scores,
        "Section 5.1: differences, paired by tag and fold": gaps,
        f"Section 5.1: the {N_SHOWN} tags of most artists in each source (AUC)": by_tag,
        "Table 1: artists at both ends of three principal axes": extremes_table(world, settings),
        f"Table 4: the {settings.n_neighbours} artists most alike, from plays and from sound": shown,
        "Table 4: how the lists differ": summary,
    }
    return {
        "title": "The paper's tags, lists and map, with real artists",
        "about_text": about(world, settings, n_mapped),
        "settings": {**asdict(settings), "words": asdict(WORDS), "alone": asdict(ALONE), "sizes": SIZES},
        "plays": world.plays.fingerprint,
        "picture": MAP,
        "tables": tables,
    }, image


Rows = list[dict[str, Any]]


def tag_tables(world: RealWorld, settings: RealPaper) -> tuple[Rows, Rows, Rows]:
    """Tags from factors and from bags of words: a row for each, paired differences, and tags one by one."""
    inputs = tag_inputs(world)
    scores, gaps, by_tag = [], [], []
    for source, tags in (("Last.fm users' tags", world.tags), ("MSD artist terms", world.terms)):
        tables = {name: score_tags(X, world, tags, settings) for name, X in inputs.items()}
        scores += [{"tags": source, "inputs": name, **score_row(one)} for name, one in tables.items()]
        gaps += [
            {"tags": source, "a": a, "b": b, "a − b": gap_text(tables[a], tables[b], settings)} for a, b in COMPARED
        ]
        by_tag += tag_rows_of(source, tables)
    return scores, gaps, by_tag


def tag_inputs(world: RealWorld) -> dict[str, np.ndarray]:
    """What tags are told from, for the artists with content: [n_songs, n_inputs] by name.

    The words come from all artists with content: like the factorisation, they know no tag. Of their components there
    are as many as factors, and once all. Listeners are a control: people tag whom they know, so a little-known artist
    lacks a tag that it deserves; beside listeners, factors and words show what else they tell.
    """
    factors, bags = rows_of(world.alone, world.songs), bag_of(world.heard["timbre"], world.songs).frames
    words, fame = bags[:, : ALONE.n_factors], np.log(listeners_of(world.plays, world.songs))[:, None]
    arrays = (factors, words, bags, fame, np.hstack([fame, factors]), np.hstack([fame, words]))
    return dict(zip(INPUTS, arrays, strict=True))


def score_tags(X: np.ndarray, world: RealWorld, tags: Tags, settings: RealPaper) -> TagScores:
    """Cross-validated AUC of all tags that artists enough have and lack; artists that share a track lie in one fold."""
    carriers = carriers_of(tag_rows(world.songs, tags))
    most = len(world.songs) - settings.min_carriers
    enough = np.flatnonzero((carriers >= settings.min_carriers) & (carriers <= most))
    order = enough[np.argsort(-carriers[enough], kind="stable")]
    group_of = dict(zip(world.tracks["song_id"], world.tracks["group"], strict=True))
    groups = [str(group_of[song]) for song in world.songs.ids]
    chosen = [tags.tags[int(tag)] for tag in order]
    return predict_tags(X, world.songs, tags, how_tags(settings), groups=groups, chosen=chosen)


def how_tags(settings: RealPaper) -> TagSettings:
    """Ridge as it comes (C = 1); artists without tags are negatives, as in the paper."""
    return TagSettings(n_folds=settings.n_folds, n_bootstrap=settings.n_bootstrap, seed=settings.seed)


def score_row(scores: TagScores) -> dict[str, Any]:
    """One line of the table of tags."""
    auc = format_interval({"mean": scores.mean, "low": scores.low, "high": scores.high}, 3)
    return {"AUC": auc, "n tags": len(scores.tags), "n artists": len(scores.songs), "untagged": scores.n_untagged,
            "undefined": f"{scores.n_undefined} of {scores.auc.size}"}  # fmt: skip


def gap_text(a: TagScores, b: TagScores, settings: RealPaper) -> str:
    """The paired difference of two."""
    gap = compare_tags(a, b, how_tags(settings))
    return f"{gap['difference']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f})"


def tag_rows_of(source: str, tables: dict[str, TagScores]) -> Rows:
    """The most popular tags one by one, in the order of their numbers of artists."""
    first = next(iter(tables.values()))
    auc = {name: dict(one.table().select("tag_id", "auc").iter_rows()) for name, one in tables.items()}
    return [
        {"tags": source, "tag": tag, "n artists": int(n), **{name: f"{auc[name][tag]:.3f}" for name in tables}}
        for tag, n in list(zip(first.tags.ids, first.n_carriers, strict=True))[:N_SHOWN]
    ]


def extremes_table(world: RealWorld, settings: RealPaper) -> Rows:
    """Table 1: principal axes of the factors, which do not hang on the rotation that a fit happens to end in."""
    how = ExtremeSettings(axes="principal", min_listeners=settings.table_listeners, min_carriers=COMMON)
    artists = extreme_artists(world.alone.songs, world.plays.songs_table, how)
    tags = extreme_tags(world.alone.songs, world.tags, how)
    rows = []
    for (axis, end), held in artists.group_by(["factor", "end"], maintain_order=True):
        there = tags.filter(factor=axis, end=end)["tag_id"]
        names = ", ".join(held["artist"])
        rows.append({"axis": axis, "end": end, "artists": names, "tags that stand out": ", ".join(there)})
    return rows


def predicted_rows(world: RealWorld, settings: RealPaper) -> np.ndarray:
    """Factors of the artists with content, each predicted by trees and kernel that never heard it [n_songs, n_factors].

    The factors behind are the same in all folds, so that predictions of different folds can be compared.
    """
    songs, heard = world.songs, world.heard["pooled"]
    dealt = folds(
        world.plays, settings.n_folds, SplitSettings(by="artist", seed=settings.seed),
        groups=world.tracks.select("song_id", "group"), only=songs.ids.to_list(),
    )  # fmt: skip
    rows = np.zeros((len(songs), world.joined.n_factors), dtype=np.float32)
    how = encoders(settings.seed)
    for split in dealt:
        teachers = world.joined.without_songs(split.test_songs)
        predicted = [
            predict_songs(fit_encoder(how[name][0], heard, teachers, how[name][2]), heard, split.test_songs)
            for name in ("trees", "kernel")
        ]
        rows[songs.positions(split.test_songs.ids)] = rows_of(average_predictions(predicted), split.test_songs)
    return rows


def list_tables(world: RealWorld, settings: RealPaper) -> tuple[Rows, Rows]:
    """Table 4: lists of the best known artists with content, and measures over the lists of all of them."""
    songs = world.songs
    seen, heard = patterns(world, rows_of(world.joined, songs)), patterns(world, predicted_rows(world, settings))
    # Without a songs table: every song here is an artist of its own, so measures of artists would say nothing.
    how = ListSettings(k=settings.n_neighbours, n_queries=0, n_bootstrap=settings.n_bootstrap, seed=settings.seed)
    lists = compare_lists(seen, heard, songs, settings=how)
    return shown_lists(world, lists, settings), summary_rows(world, lists, how)


def shown_lists(world: RealWorld, lists: ListComparison, settings: RealPaper) -> Rows:
    """The lists of the artists that most people listen to, whatever they look like."""
    names = song_names(lists.songs, world.plays.songs_table)
    best_known = np.argsort(-listeners_of(world.plays, lists.songs.take(lists.queries)), kind="stable")
    rows = []
    for query in best_known[: settings.n_queries]:
        found = [", ".join(names[song] for song in one[query]) for one in (lists.observed, lists.predicted)]
        rows.append({"artist": names[lists.queries[query]], "from plays": found[0], "from sound": found[1]})
    return rows


def summary_rows(world: RealWorld, lists: ListComparison, how: ListSettings) -> Rows:
    """Variety and overlap, and the share of a list in the query's own style."""
    measured = [*lists.summary.to_dicts(), *style_rows(world, lists, how)]
    rows = []
    for one in measured:
        interval = "" if one["low"] is None else f" ({one['low']:.3f} to {one['high']:.3f})"
        value = f"{one['value']:.3f}{interval}"
        rows.append({"measure": one["measure"], "lists": one["system"], "value": value, "n": one["n"]})
    return rows


def style_rows(world: RealWorld, lists: ListComparison, how: ListSettings) -> Rows:
    """For artists with one of STYLES: the share of the listed artists, of those with a style, that have the same."""
    label = label_songs(lists.songs, world.tags, STYLES)
    rng = np.random.default_rng(how.seed)
    asked = np.flatnonzero(label[lists.queries] >= 0)
    own = label[lists.queries[asked]][:, None]
    rows: Rows = []
    for system, found in (("observed", lists.observed), ("predicted", lists.predicted)):
        listed = label[found[asked]]
        held = (listed >= 0).any(axis=1)
        share = (listed == own)[held].sum(axis=1) / (listed >= 0)[held].sum(axis=1)
        summary = mean_with_interval(share, how.n_bootstrap, how.level, rng)
        rows.append({"measure": "same_style", "system": system, **summary, "n": len(share)})
    sizes = np.bincount(label[label >= 0])
    chance = float(np.mean((sizes[own[:, 0]] - 1) / (sizes.sum() - 1)))
    return [*rows, {"measure": "same_style", "system": "chance", "value": chance, "low": None, "high": None,
                    "n": len(own)}]  # fmt: skip


def real_map(world: RealWorld, work: Path, settings: RealPaper) -> tuple[bytes, int]:
    """Figure 1, of observed usage patterns: a PNG of at most 300 kB, and how many artists it shows."""
    songs = world.plays.songs
    songs = songs.take(np.flatnonzero(listeners_of(world.plays, songs) >= settings.map_listeners))
    Z = patterns(world, rows_of(world.joined, songs))
    songs, Z = songs.take(np.flatnonzero(Z.any(axis=1))), Z[Z.any(axis=1)]
    how = MapSettings(perplexity=min(MapSettings.perplexity, (len(songs) - 2) // 3), seed=settings.seed)
    path = part(work, "map", how, songs.fingerprint, world.joined.fingerprint)
    placed = kept(path, SongMap.load, lambda: SongMap(songs, map_songs(Z, how)))
    labels = label_songs(songs, world.tags, STYLES)
    source = f"Last.fm artists with {settings.map_listeners} listeners or more, learned from plays"

    def draw(dpi: int) -> bytes:
        return draw_map(
            placed.xy,
            labels,
            STYLES,
            song_names(songs, world.plays.songs_table),
            weight=listeners_of(world.plays, songs),
            title="Artists that the same people listen to lie close together",
            caption=map_caption(Z, placed.xy, labels, how, source),
            dpi=dpi,
        )

    return smallest_enough(draw), len(songs)


def smallest_enough(draw: Callable[[int], bytes]) -> bytes:
    """The picture of the finest resolution that takes at most MOST_BYTES, else the coarsest."""
    for dpi in RESOLUTIONS:
        image = draw(dpi)
        if len(image) <= MOST_BYTES:
            break
    return image


def about(world: RealWorld, settings: RealPaper, n_mapped: int) -> str:
    """What stands behind the tables, in the page's own words."""
    return (
        f"An artist stands for a song; {len(world.songs)} artists have content, {n_mapped:,} stand on the map. The "
        "factorisation knows all plays, as in the paper; nothing is tuned. Tags and terms: logistic regression, "
        f"{settings.n_folds} folds over artists (those that share a track together), every tag that at least "
        f"{settings.min_carriers} artists have and {settings.min_carriers} lack; intervals are over tags and folds. "
        "Last.fm's tags were given by the very users whose plays make the factors; the Million Song Dataset's terms "
        f"were not. Factors: {ALONE.n_factors}, from plays. Words: the {ALONE.n_factors} leading components of bags "
        f"of {WORDS.n_words} timbre words; all words: those of {WORDS.variance:.0%} of the variance. Listeners: the "
        "log of their number, a control, for people tag whom they know. Table 1: the same factors, artists with "
        f"{settings.table_listeners} listeners or more. Table 4: candidates are the artists with content; the queries "
        "shown are those with the most listeners; from sound means trees and kernel that learned from the other "
        "folds' artists, against factors of all plays. Artists of one track sound the same there. Coverage has no "
        "interval; same_style is the share, of the listed artists with a style, that have the query's: "
        f"{', '.join(STYLES)}."
    )

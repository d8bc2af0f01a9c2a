"""Figure 1: the map of usage patterns predicted from sound, coloured by what the songs are made of."""

from typing import Any

import numpy as np

from deepcuts.artifacts import Vocabulary
from deepcuts.explore.picture import draw_map
from deepcuts.explore.songmap import MapSettings, SongMap, label_agreement, map_songs, neighbours_kept
from deepcuts.lab.cache import kept, part
from deepcuts.lab.paper.table4 import predicted_patterns, space_of
from deepcuts.lab.paper.world import PaperWorld

MOST_BYTES = 300_000  # of a picture that goes with the project
RESOLUTIONS = (160, 130, 110, 90, 75, 60)
N_NEAR = 10


def figure1(world: PaperWorld) -> dict[str, Any]:
    """How well the map holds: neighbours kept, and neighbours of the same timbre beside chance (no intervals)."""
    placed, Z, labels, _ = mapped(world)
    rows = [{"measure": f"of the {N_NEAR} nearest songs kept", "value": neighbours_kept(Z, placed.xy, N_NEAR)}]
    for what, places in (("map", placed.xy), ("predicted usage patterns", Z)):
        share, chance = label_agreement(places, labels, N_NEAR)
        measure = f"of the {N_NEAR} nearest in the {what} of the same timbre"
        rows += [{"measure": measure, "value": share}, {"measure": f"{measure}, by chance", "value": chance}]
    return {"rows": rows}


def picture1(world: PaperWorld, rows: list[dict[str, Any]]) -> bytes:
    """A PNG of at most 300 kB: all songs, and close-ups with artists' names."""
    placed, _, labels, timbres = mapped(world)
    table = world.plays.songs_table[world.plays.songs.positions(placed.songs.ids)]
    listeners = np.bincount(world.plays.counts.indices, minlength=len(world.plays.songs))
    weight = listeners[world.plays.songs.positions(placed.songs.ids)]
    caption = (
        f"{len(placed.songs):,} songs of a planted world, factors predicted from sound by the network (MSE); cosine of "
        f"usage patterns, t-SNE.\nColours: the timbres that styles of this world share. "
        f"{rows[1]['value']:.0%} of the {N_NEAR} nearest songs have the same timbre (chance {rows[2]['value']:.0%})."
    )
    for dpi in RESOLUTIONS:
        image = draw_map(
            placed.xy,
            labels,
            timbres,
            table["artist"].to_list(),
            weight=weight,
            title="Songs that would appeal to the same people, told from sound alone",
            caption=caption,
            dpi=dpi,
        )
        if len(image) <= MOST_BYTES:
            break
    return image


def mapped(world: PaperWorld) -> tuple[SongMap, np.ndarray, np.ndarray, list[str]]:
    """The map, the space it shows [n_songs, n_factors], and the timbre of each song with the timbres' names."""
    heard, rng = predicted_patterns(world), np.random.default_rng(world.settings.seed)
    ids = heard.songs.songs
    drawn = np.sort(rng.permutation(len(ids))[: world.settings.n_map_songs])
    Z = space_of(heard, ids.take(drawn))
    known = np.flatnonzero(Z.any(axis=1))
    songs, Z = ids.take(drawn[known]), Z[known]
    how = MapSettings(perplexity=min(MapSettings.perplexity, (len(songs) - 2) // 3), seed=world.settings.seed)
    path = part(world.work, "map", how, songs.fingerprint, heard.fingerprint)
    placed = kept(path, SongMap.load, lambda: SongMap(songs, map_songs(Z, how, rng)))
    return placed, Z, *timbres_of(world, songs)


def timbres_of(world: PaperWorld, songs: Vocabulary) -> tuple[np.ndarray, list[str]]:
    """The timbre of each song: the first word of its style, such as `velvet` of `velvet house`."""
    table = world.plays.songs_table[world.plays.songs.positions(songs.ids)]
    names, labels = np.unique([style.split(" ")[0] for style in table["style"]], return_inverse=True)
    return labels.astype(np.int64), [str(name) for name in names]

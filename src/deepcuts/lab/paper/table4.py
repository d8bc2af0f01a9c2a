"""Table 4: similar songs by usage patterns from plays and from sound, and how varied the two kinds of list are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from deepcuts.artifacts import Factors, Vocabulary
from deepcuts.explore import ListComparison, ListSettings, compare_lists
from deepcuts.lab.cache import kept_json, part
from deepcuts.lab.paper.claims import claim, mean_with_interval
from deepcuts.lab.paper.systems import predicted_songs
from deepcuts.lab.paper.world import PaperWorld, observed_factors, of_songs
from deepcuts.recommend import usage_space

N_SHOWN = 4  # lists printed, as in the paper


def table4(world: PaperWorld) -> dict[str, Any]:
    """Measures of the lists, four lists to look at, and claim (f).

    Queries are the test songs, which the network only hears; all songs are candidates. WMF knows the plays of all
    songs here, as in the paper: this table shows what plays would have told.
    """
    seen = observed_factors(world, world.settings.n_factors, protocol="joint")
    heard = predicted_patterns(world)
    how = ListSettings(k=world.settings.n_neighbours, n_bootstrap=world.settings.n_bootstrap, seed=world.settings.seed)
    path = part(world.work, "table4", seen.fingerprint, heard.fingerprint, how, world.split.fingerprint)
    return kept_json(path, lambda: measure(world, seen, heard, how))


def predicted_patterns(world: PaperWorld) -> Factors:
    """Users of the protocol, and all songs as the network (MSE, first seed) predicts them."""
    observed = observed_factors(world, world.settings.n_factors)
    predicted = predicted_songs(world, observed, "cnn_mse", world.settings.seed)
    return Factors(observed.users, predicted)


def space_of(factors: Factors, songs: Vocabulary) -> np.ndarray:
    """Vectors whose products are cosines of usage patterns [n_songs, n_factors]."""
    held = of_songs(factors, songs)
    return usage_space(held.users.vectors, held.songs.vectors)


def measure(world: PaperWorld, seen: Factors, heard: Factors, how: ListSettings) -> dict[str, Any]:
    """Lists for all test songs."""
    songs, table = heard.songs.songs, world.plays.songs_table
    spaces = [space_of(one, songs) for one in (seen, heard)]
    held = [one.any(axis=1) for one in spaces]
    both = songs.take(np.flatnonzero(held[0] & held[1]))
    tested = world.split.test_songs.ids
    queries = tested.filter(both.find(tested) >= 0).to_list()
    lists = compare_lists(spaces[0], spaces[1], songs, table, how, query_ids=queries)
    rows = [*lists.summary.to_dicts(), *style_rows(lists, table, how)]
    shown = lists.side_by_side(table, N_SHOWN).to_dicts()
    return {"rows": rows, "lists": shown, "n_left_out": lists.n_left_out, "claims": [claim_f(rows)]}


def style_rows(lists: ListComparison, table: pl.DataFrame, how: ListSettings) -> list[dict[str, Any]]:
    """Share of a list in the query's own style, from plays, from sound, and by chance: are the lists sensible?"""
    ordered = pl.DataFrame({"song_id": lists.songs.ids}).join(table, on="song_id", how="left", maintain_order="left")
    style = ordered["style"].to_numpy()
    own = style[lists.queries][:, None]
    rng = np.random.default_rng(how.seed)
    rows = []
    for system, found in (("observed", lists.observed), ("predicted", lists.predicted)):
        summary = mean_with_interval((style[found] == own).mean(axis=1), how.n_bootstrap, how.level, rng)
        rows.append({"measure": "same_style", "system": system, **summary, "n": len(found)})
    chance = float(np.mean([(style == one).mean() for one in own[:, 0]]))
    empty = {"low": None, "high": None}
    return [*rows, {"measure": "same_style", "system": "chance", "value": chance, **empty, "n": len(own)}]


def claim_f(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Claim (f), by three tests: different songs, yet of the query's style more often than by chance; more varied."""
    at = {(row["measure"], row["system"]): row for row in rows}
    overlap, style = at["overlap", "both"], at["same_style", "predicted"]
    chance, artists = at["same_style", "chance"]["value"], at["distinct_artists", "difference"]
    tests = [
        _test("half − overlap of the two lists", 0.5 - overlap["value"], 0.5 - overlap["high"], 0.5 - overlap["low"]),
        _test("own style − chance", style["value"] - chance, style["low"] - chance, style["high"] - chance),
        _test("distinct artists, sound − plays", artists["value"], artists["low"], artists["high"]),
    ]
    return claim(
        "f",
        "Lists from sound are mostly different, sensible, and a bit more varied.",
        tests,
        "Artists of the planted world make songs alike that cannot be heard to be alike, so lists from plays stay near "
        "an artist; where these are varied too, plays are too few to tell artists.",
    )


def _test(what: str, difference: float, low: float, high: float) -> dict[str, Any]:
    return {"what": what, "metric": "lists", "difference": difference, "low": low, "high": high, "p": None}

"""Table 1: artists whose songs have very positive and very negative values of three factors."""

from typing import Any

from deepcuts.explore import ExtremeSettings, extreme_artists, extreme_tags
from deepcuts.lab.paper.world import PaperWorld, observed_factors


def table1(world: PaperWorld) -> dict[str, Any]:
    """One row an end of a factor: artists, and the tags that stand out there with their z.

    As in the paper the factors come from plays (of all songs), and are raw: another beginning of the factorisation
    would turn them. They are those of greatest variance.
    """
    factors = observed_factors(world, world.settings.n_factors, protocol="joint")
    how = ExtremeSettings(min_carriers=max(2, world.settings.n_songs // 100))
    artists = extreme_artists(factors.songs, world.plays.songs_table, how)
    tags = extreme_tags(factors.songs, world.world.tags, how)
    rows = []
    for (factor, end), held in artists.group_by(["factor", "end"], maintain_order=True):
        there = tags.filter(factor=factor, end=end)
        pairs = zip(there["tag_id"], there["z"], strict=True)
        rows.append(
            {
                "factor": factor,
                "end": end,
                "artists": held["artist"].to_list(),
                "tags": [{"tag": tag, "z": z} for tag, z in pairs],
            }
        )
    return {"rows": rows}

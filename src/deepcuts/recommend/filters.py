"""What a list may hold, and how often one artist or album may appear in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from deepcuts.config import require


@dataclass(frozen=True)
class Filters:
    """What a list may hold.

    Attributes:
        artists, albums: only these; None for all.
        years: first and last year, both included.
        per_artist, per_album: at most so many songs of one; None for no limit.
        exclude: song ids that are left out.
        played: also songs that the listener has played.
        deeper: how strongly popular songs are held back: score - deeper · log(1 + listeners) · spread of the scores;
            0 leaves scores as they are.
        genres: only songs of one of these; None for all.
    """

    artists: Sequence[str] | None = None
    albums: Sequence[str] | None = None
    years: tuple[int, int] | None = None
    per_artist: int | None = None
    per_album: int | None = None
    exclude: Sequence[str] = ()
    played: bool = False
    deeper: float = 0.0
    genres: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name in ("per_artist", "per_album"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "at least 1, or none")


def fits(table: pl.DataFrame, filters: Filters) -> np.ndarray:
    """Which songs of a table have the artists, albums and years wanted [n_songs] bool; unknown ones do not."""
    may = np.ones(table.height, dtype=bool)
    for column, wanted in (("artist", filters.artists), ("album", filters.albums)):
        if wanted is not None:
            may &= table[column].is_in(list(wanted)).fill_null(False).to_numpy()
    if filters.genres is not None:
        held = table["genre"].fill_null("").str.split("; ") if "genre" in table.columns else None
        genres = set(filters.genres)
        fitting = [bool(genres & set(one)) for one in held.to_list()] if held is not None else [False] * table.height
        may &= np.array(fitting, dtype=bool)
    if filters.years is not None:
        year = table["year"].cast(pl.String).str.slice(0, 4).cast(pl.Int64, strict=False)
        may &= year.is_between(*filters.years).fill_null(False).to_numpy()
    return may


def capped(order: np.ndarray, k: int, table: pl.DataFrame, filters: Filters) -> np.ndarray:
    """The first k songs of an order, at most so many of one artist and one album; songs without one are never capped.

    Args:
        order: positions in the table, best first.
    """
    caps = [
        (table[column].to_list(), cap)
        for column, cap in (("artist", filters.per_artist), ("album", filters.per_album))
        if cap is not None
    ]
    times: list[dict[str, int]] = [{} for _ in caps]
    chosen: list[int] = []
    for song in order.tolist():
        names = [values[song] for values, _ in caps]
        limits = zip(names, times, caps, strict=True)
        if any(name is not None and seen.get(name, 0) >= cap for name, seen, (_, cap) in limits):
            continue
        for name, seen in zip(names, times, strict=True):
            seen[name] = seen.get(name, 0) + 1
        chosen.append(song)
        if len(chosen) == k:
            break
    return np.array(chosen, dtype=np.int64)


def distinct(order: np.ndarray, before: np.ndarray, table: pl.DataFrame) -> np.ndarray:
    """An order without second copies: songs that share artist and title with an earlier one, or with `before`."""
    artists, titles = (table[name].to_list() for name in ("artist", "title"))
    seen = {(artists[song], titles[song]) for song in before.tolist() if titles[song] is not None}
    kept = []
    for song in order.tolist():
        key = (artists[song], titles[song])
        if key[1] is not None and key in seen:
            continue
        seen.add(key)
        kept.append(song)
    return np.array(kept, dtype=np.int64)

"""Similar songs, once from plays and once from sound, side by side, and how varied both are.

The paper shows a few such lists and finds those from sound "a bit more varied"; here that is measured:

    distinct_artists   different artists in a list of k
    same_artist        share of lists with a song by the query's own artist
    intra_cosine       mean cosine between two songs of a list, in the space of OBSERVED usage patterns for both kinds
                       of list: cosines within each own space could not be compared
    coverage           share of all songs that stand in any list; without an interval
    overlap            share of a list that stands in the other one too

Vectors are those of usage patterns: rows of length 1 whose products are cosines (`deepcuts.recommend.usage_space`).
The query itself is never listed. Songs whose vector is zero in either space are left out of both.

Source: van den Oord et al. 2013, section 5.3 and Table 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from deepcuts.artifacts import Vocabulary
from deepcuts.checks import check_finite, check_shape
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.explore.names import column_of, song_names
from deepcuts.progress import progress

AT_ONCE = 512  # queries compared at a time
SIDES = ("observed", "predicted")


@dataclass(frozen=True)
class ListSettings:
    """How long lists are, and how many are compared.

    Attributes:
        k: songs in a list.
        n_queries: most songs to make lists for, drawn at random; 0 takes all.
        level: of the intervals, which say how the means would move with other queries.
        n_bootstrap: replicates of the intervals.
        seed: of the draw, of the order among equal similarities and of the replicates.
    """

    k: int = 5
    n_queries: int = 1000
    level: float = 0.95
    n_bootstrap: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.k >= 2, "k", self.k, "at least 2")
        require(self.n_queries >= 0, "n_queries", self.n_queries, "at least 0 (0: all songs)")
        require(0 < self.level < 1, "level", self.level, "a fraction between 0 and 1")
        require(self.n_bootstrap >= 1, "n_bootstrap", self.n_bootstrap, "at least 1")
        require(self.seed >= 0, "seed", self.seed, "at least 0")


@dataclass(frozen=True)
class ListComparison:
    """Lists of similar songs from two spaces.

    Attributes:
        songs: the candidates, those with a vector in both spaces.
        queries: int64 [n_queries], positions of the songs asked about.
        observed, predicted: int64 [n_queries, k], positions of the songs listed, most similar first.
        measures: one row a query: query_id, overlap, and each measure of variety once for either side.
        summary: measure · system (observed, predicted, difference = predicted - observed, both, chance) · value · low ·
            high · n. Intervals are over queries.
        n_left_out: songs without a vector in one of the spaces.
    """

    songs: Vocabulary
    queries: np.ndarray
    observed: np.ndarray
    predicted: np.ndarray
    measures: pl.DataFrame
    summary: pl.DataFrame
    n_left_out: int

    def side_by_side(self, songs_table: pl.DataFrame, n: int | None = None) -> pl.DataFrame:
        """The lists of the first `n` queries by name: query · rank · observed · predicted."""
        names = song_names(self.songs, songs_table)
        rows = []
        for query, *lists in list(zip(self.queries, self.observed, self.predicted, strict=True))[:n]:
            for rank, (seen, heard) in enumerate(zip(*lists, strict=True), 1):
                rows.append((names[query], rank, names[seen], names[heard]))
        return pl.DataFrame(rows, schema=["query", "rank", *SIDES], orient="row")


def compare_lists(
    observed: np.ndarray,
    predicted: np.ndarray,
    songs: Vocabulary,
    songs_table: pl.DataFrame | None = None,
    settings: ListSettings | None = None,
    *,
    query_ids: Sequence[str] | None = None,
) -> ListComparison:
    """Similar songs from observed and from predicted usage patterns, and how varied and how alike the lists are.

    Args:
        observed, predicted: Z [n_songs, n_factors], rows of length 1 or 0, of the same songs.
        songs: ids of their rows; all are candidates.
        songs_table: with an artist column; without it the measures about artists are left out.
        query_ids: songs to make lists for; random ones when None.
    Raises:
        InputError: too few songs, an unknown query or one without a vector, vectors of another length than 1.
    """
    settings = settings or ListSettings()
    rng = np.random.default_rng(settings.seed)
    for name, space in zip(SIDES, (observed, predicted), strict=True):
        check_shape(name, space, [len(songs), None])
        check_unit(name, space)
    keep = np.flatnonzero(observed.any(axis=1) & predicted.any(axis=1))
    if len(keep) <= settings.k:
        raise InputError(f"songs: {len(keep)} have vectors in both spaces, lists of k = {settings.k} need more.")
    held = songs.take(keep)
    queries = _queries(songs, held, query_ids, settings, rng)
    spaces = (observed[keep], predicted[keep])
    found = [nearest(space, queries, settings.k, rng) for space in spaces]
    artists = None
    if songs_table is not None and "artist" in songs_table.columns:
        artists = column_of(held, songs_table, "artist")
    per_query = _measure(found, queries, spaces[0], artists)
    summary = _summary(per_query, found, len(held), settings, rng, _same_artist_by_chance(artists, queries, settings.k))
    table = pl.DataFrame({"query_id": held.take(queries).ids, **per_query})
    return ListComparison(held, queries, found[0], found[1], table, summary, len(songs) - len(held))


def nearest(space: np.ndarray, queries: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """The k songs of greatest cosine to each query, itself left out: positions int64 [n_queries, k], best first.

    Equal cosines are put in random order, for duplicates in a fixed one would favour whoever stands first.

    Args:
        space: unit vectors [n_songs, n_factors].
        queries: positions of songs.
    """
    order = rng.permutation(len(space))
    place = np.argsort(order)
    shuffled = space[order].astype(np.float64)
    found = np.empty((len(queries), k), dtype=np.int64)
    with progress("compare songs", total=len(queries), unit="song") as bar:
        for first in range(0, len(queries), AT_ONCE):
            rows = queries[first : first + AT_ONCE]
            cosine = shuffled[place[rows]] @ shuffled.T
            cosine[np.arange(len(rows)), place[rows]] = -np.inf
            best = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
            by_value = np.argsort(-np.take_along_axis(cosine, best, axis=1), axis=1, kind="stable")
            found[first : first + len(rows)] = order[np.take_along_axis(best, by_value, axis=1)]
            bar.advance(len(rows))
    return found


def check_unit(name: str, space: np.ndarray) -> None:
    """Refuse vectors that are neither of length 1 nor 0."""
    check_finite(name, space)
    lengths = np.linalg.norm(space, axis=1)
    bad = (np.abs(lengths - 1) > 1e-3) & (lengths > 0)
    if bad.any():
        first = int(np.argmax(bad))
        raise InputError(
            f"{name}[{first}]: a vector of length {lengths[first]:.4g}, expected 1, or 0 for a song without a usage "
            "pattern. Pass what usage_space gives, not factors."
        )


def _queries(
    songs: Vocabulary,
    held: Vocabulary,
    query_ids: Sequence[str] | None,
    settings: ListSettings,
    rng: np.random.Generator,
) -> np.ndarray:
    if query_ids is not None:
        songs.positions(query_ids)
        found = held.find(query_ids)
        for query_id, position in zip(query_ids, found, strict=True):
            if position < 0:
                raise InputError(f"song {query_id!r}: has no usage pattern in one of the spaces. Ask for another.")
        return found
    if not settings.n_queries or settings.n_queries >= len(held):
        return np.arange(len(held))
    return np.sort(rng.choice(len(held), settings.n_queries, replace=False))


def _measure(
    found: Sequence[np.ndarray], queries: np.ndarray, space: np.ndarray, artists: Sequence[str | None] | None
) -> dict[str, np.ndarray]:
    """Each measure of each query: {"overlap": [n_queries], "intra_cosine_observed": ..., ...}."""
    k = found[0].shape[1]
    measures = {"overlap": (found[0][:, :, None] == found[1][:, None, :]).sum(axis=(1, 2)) / k}
    for side, lists in zip(SIDES, found, strict=True):
        vectors = space[lists].astype(np.float64)
        together = (vectors.sum(axis=1) ** 2).sum(axis=1)
        measures[f"intra_cosine_{side}"] = (together - (vectors**2).sum(axis=(1, 2))) / (k * (k - 1))
        if artists is not None:
            number = _numbers(artists)
            listed = number[lists]
            measures[f"distinct_artists_{side}"] = np.array([len(set(row)) for row in listed], dtype=np.float64)
            measures[f"same_artist_{side}"] = (listed == number[queries][:, None]).any(axis=1).astype(np.float64)
    return measures


def _numbers(artists: Sequence[str | None]) -> np.ndarray:
    """Artists as integers; every song without one is an artist of its own."""
    seen: dict[str, int] = {}
    numbers = [seen.setdefault(name, len(seen)) if name is not None else -1 - place
               for place, name in enumerate(artists)]  # fmt: skip
    return np.array(numbers, dtype=np.int64)


def _same_artist_by_chance(artists: Sequence[str | None] | None, queries: np.ndarray, k: int) -> float | None:
    """Share of random lists of k with a song by the query's artist: 1 - C(n - 1 - a, k) / C(n - 1, k)."""
    if artists is None:
        return None
    number = _numbers(artists)
    _, artist, sizes = np.unique(number, return_inverse=True, return_counts=True)
    others = sizes[artist[queries]] - 1
    misses = np.ones(len(queries))
    for drawn in range(k):
        misses *= np.maximum(len(number) - 1 - others - drawn, 0) / (len(number) - 1 - drawn)
    return float(1 - misses.mean())


def _summary(
    per_query: dict[str, np.ndarray],
    found: Sequence[np.ndarray],
    n_songs: int,
    settings: ListSettings,
    rng: np.random.Generator,
    same_artist_by_chance: float | None,
) -> pl.DataFrame:
    n = len(found[0])
    drawn = rng.integers(n, size=(settings.n_bootstrap, n))
    quantiles = [(1 - settings.level) / 2, (1 + settings.level) / 2]
    rows: list[tuple[str, str, float, float | None, float | None, int]] = []

    def tell(measure: str, system: str, values: np.ndarray) -> None:
        low, high = np.quantile(values[drawn].mean(axis=1), quantiles)
        rows.append((measure, system, float(values.mean()), float(low), float(high), n))

    for measure in ("distinct_artists", "same_artist", "intra_cosine"):
        if f"{measure}_observed" in per_query:
            seen, heard = (per_query[f"{measure}_{side}"] for side in SIDES)
            for system, values in (("observed", seen), ("predicted", heard), ("difference", heard - seen)):
                tell(measure, system, values)
    if same_artist_by_chance is not None:
        rows.append(("same_artist", "chance", same_artist_by_chance, None, None, n))
    for side, lists in zip(SIDES, found, strict=True):
        rows.append(("coverage", side, len(np.unique(lists)) / n_songs, None, None, n))
    tell("overlap", "both", per_query["overlap"])
    rows.append(("overlap", "chance", settings.k / (n_songs - 1), None, None, n))
    schema = {"measure": pl.String, "system": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64,
              "n": pl.Int64}  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")

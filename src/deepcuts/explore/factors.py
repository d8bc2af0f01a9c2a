"""What factors mean: the artists, and the tags, whose songs have very high and very low values.

A factorisation knows its factors only up to rotation: X R and Y R score every song the same for any orthogonal R, so
raw factors depend on where the fit began, and so do their signs. `axes="principal"` shows the principal axes of the
songs instead: they are the same for every rotation, and the direction with the longer tail is called high.

Source: van den Oord et al. 2013, section 1.3 and Table 1, which shows raw factors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from deepcuts.artifacts import SongFactors, Tags, Vocabulary
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.explore.names import carriers_of, column_of, tag_rows

AXES = ("raw", "principal")
ENDS = ("high", "low")


@dataclass(frozen=True)
class ExtremeSettings:
    """Which factors to show, and how much of their ends.

    Attributes:
        n_factors: those of greatest variance over songs.
        n_artists: at each end.
        axes: "raw" factors as in the paper, or "principal" axes, which do not depend on the rotation.
        min_songs: artists with fewer songs are left out.
        min_listeners: songs with fewer listeners are left out; 0 takes all.
        n_tags: at each end.
        min_carriers: tags of fewer songs are left out.
    """

    n_factors: int = 3
    n_artists: int = 5
    axes: str = "raw"
    min_songs: int = 1
    min_listeners: int = 0
    n_tags: int = 5
    min_carriers: int = 10

    def __post_init__(self) -> None:
        require(self.axes in AXES, "axes", self.axes, " or ".join(AXES))
        for name in ("n_factors", "n_artists", "min_songs", "n_tags", "min_carriers"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.min_listeners >= 0, "min_listeners", self.min_listeners, "at least 0")


def extreme_artists(
    factors: SongFactors,
    songs_table: pl.DataFrame,
    settings: ExtremeSettings | None = None,
    *,
    which: Sequence[int] | None = None,
) -> pl.DataFrame:
    """Artists whose songs have very high and very low values of some factors.

    An artist's value is the mean over its songs.

    Args:
        factors: of songs; with n_listeners when min_listeners is set.
        songs_table: song_id and artist; songs without an artist are left out.
        which: factors by number from 0, instead of those of greatest variance.
    Returns:
        factor · end ("high" or "low") · rank from 1 · artist · value · n_songs; most extreme first.
    Raises:
        InputError: no songs, no artist column, fewer artists than two ends need, no such factor.
    """
    settings = settings or ExtremeSettings()
    songs, values = _values(factors, settings)
    artists = column_of(songs, songs_table, "artist")
    held = np.array([artist is not None for artist in artists], dtype=bool)
    names, artist = np.unique(np.array([name for name in artists if name is not None], dtype=str), return_inverse=True)
    sizes = np.bincount(artist, minlength=len(names))
    enough = np.flatnonzero(sizes >= settings.min_songs)
    if len(enough) < 2 * settings.n_artists:
        raise InputError(
            f"artists: {len(enough)} have songs enough (min_songs = {settings.min_songs}), "
            f"two ends of n_artists = {settings.n_artists} need {2 * settings.n_artists}. Lower one of them."
        )
    rows = []
    for factor in _chosen(values, settings, which):
        means = np.bincount(artist, weights=values[held, factor], minlength=len(names)) / np.maximum(sizes, 1)
        for end, order in _ends(means[enough], settings.n_artists):
            for rank, place in enumerate(enough[order], 1):
                rows.append((factor, end, rank, str(names[place]), float(means[place]), int(sizes[place])))
    return pl.DataFrame(rows, schema=["factor", "end", "rank", "artist", "value", "n_songs"], orient="row")


def extreme_tags(
    factors: SongFactors, tags: Tags, settings: ExtremeSettings | None = None, *, which: Sequence[int] | None = None
) -> pl.DataFrame:
    """Tags that characterise both ends of some factors.

        z = (mean over the songs with the tag - mean over all songs) sqrt(n_songs with the tag) / deviation of all songs

    Returns:
        factor · end · rank · tag_id · z · n_songs; most extreme first. Empty for tags of too few songs.
    Raises:
        InputError: no songs, tags of other songs, no such factor.
    """
    settings = settings or ExtremeSettings()
    songs, values = _values(factors, settings)
    rows = tag_rows(songs, tags)
    rows.data[:] = 1
    carriers = carriers_of(rows)
    enough = np.flatnonzero(carriers >= settings.min_carriers)
    chosen = _chosen(values, settings, which)
    spread = np.where(values.std(axis=0) > 0, values.std(axis=0), 1)
    standard = (values - values.mean(axis=0)) / spread
    z = (rows[:, enough].T @ standard[:, chosen]) / np.sqrt(carriers[enough])[:, None]
    found = []
    for column, factor in enumerate(chosen):
        for end, order in _ends(z[:, column], min(settings.n_tags, len(enough) // 2)):
            for rank, place in enumerate(order, 1):
                tag = enough[place]
                found.append((factor, end, rank, tags.tags[tag], float(z[place, column]), int(carriers[tag])))
    schema = {"factor": pl.Int64, "end": pl.String, "rank": pl.Int64, "tag_id": pl.String, "z": pl.Float64,
              "n_songs": pl.Int64}  # fmt: skip
    return pl.DataFrame(found, schema=schema, orient="row")


def extremes_text(artists: pl.DataFrame, tags: pl.DataFrame | None = None) -> str:
    """Both tables in the manner of the paper's Table 1: a paragraph a factor, a line an end."""
    lines = []
    for factor in artists["factor"].unique(maintain_order=True):
        lines.append(f"factor {factor}")
        for end in ENDS:
            at_end = artists.filter(pl.col("factor") == factor, pl.col("end") == end)
            values = f"{at_end['value'][0]:+.3g} … {at_end['value'][-1]:+.3g}"
            lines.append(f"  {end:<4} {', '.join(at_end['artist'])}  ({values})")
            if tags is not None:
                named = tags.filter(pl.col("factor") == factor, pl.col("end") == end)["tag_id"]
                lines.append(f"       tags: {', '.join(named) or 'too few songs have tags'}")
    return "\n".join(lines)


def principal_axes(song_factors: np.ndarray) -> np.ndarray:
    """Songs on the principal axes of their factors [n_songs, n_factors] float64, greatest variance first.

    The first axis of a factorisation is often mere popularity: all values on one side.

    The same for Y and Y R, R orthogonal. The mean stays in: values are Y V with V from the covariance. Signs are such
    that the sum of cubes about the mean is not negative: the longer tail is high.
    """
    Y = song_factors.astype(np.float64)
    centred = Y - Y.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    vectors = vectors[:, ::-1]
    tail = ((centred @ vectors) ** 3).sum(axis=0)
    return Y @ (vectors * np.where(tail < 0, -1.0, 1.0))


def _values(factors: SongFactors, settings: ExtremeSettings) -> tuple[Vocabulary, np.ndarray]:
    keep = np.arange(len(factors.songs))
    if settings.min_listeners:
        if factors.n_listeners is None:
            raise InputError("factors: do not say how many listened to each song. Set min_listeners to 0.")
        keep = np.flatnonzero(factors.n_listeners >= settings.min_listeners)
        if not len(keep):
            raise InputError(f"min_listeners = {settings.min_listeners}: no song has so many. Lower it.")
    rows = factors.vectors[keep]
    values = principal_axes(rows) if settings.axes == "principal" else rows.astype(np.float64)
    return factors.songs.take(keep), values


def _chosen(values: np.ndarray, settings: ExtremeSettings, which: Sequence[int] | None) -> list[int]:
    if which is None:
        return [int(f) for f in np.argsort(-values.var(axis=0), kind="stable")[: settings.n_factors]]
    for factor in which:
        if not 0 <= factor < values.shape[1]:
            raise InputError(f"factor {factor}: there are {values.shape[1]}, numbered from 0.")
    return [int(factor) for factor in which]


def _ends(values: np.ndarray, n: int) -> list[tuple[str, np.ndarray]]:
    order = np.argsort(-values, kind="stable")
    return [("high", order[:n]), ("low", order[::-1][:n])]

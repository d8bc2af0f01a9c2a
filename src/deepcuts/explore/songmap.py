"""The map: songs in two dimensions, those that the same people would play close together.

t-SNE of usage patterns. Rows of Z have length 1, so their squared distances are 2 - 2 cos: Euclidean t-SNE of Z is
t-SNE of the cosine distance between usage patterns, and never touches n_songs x n_users numbers.

Neighbours are found exactly; the map begins at the two principal axes of Z (which keeps far things apart better than
a random start). One thread and a seed give the same map on the same machine.

Only who is near whom can be read from such a map: sizes of groups and distances between them mean little.

Source: van den Oord et al. 2013, section 5.3 and Figure 1; van der Maaten and Hinton 2008; Linderman et al. 2019.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from openTSNE import TSNE, affinity  # type: ignore[import-untyped]
from openTSNE.nearest_neighbors import PrecomputedNeighbors  # type: ignore[import-untyped]
from sklearn.neighbors import NearestNeighbors

from deepcuts import store
from deepcuts.artifacts import Vocabulary
from deepcuts.artifacts.vocabulary import read_parquet
from deepcuts.checks import check_finite, check_shape
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.explore.lists import check_unit
from deepcuts.progress import progress
from deepcuts.store import Meta, read_meta, write_file, write_meta, writing

START = 1e-4  # standard deviation of the first axis at the beginning
JITTER = 0.01  # of that, so that equal songs can part


@dataclass(frozen=True)
class MapSettings:
    """How the map is made.

    Attributes:
        perplexity: about how many neighbours of a song matter; the paper does not say, 30 is customary.
        n_early: iterations with attraction exaggerated.
        n_iterations: iterations after those.
        n_jobs: threads; more than one may change the map a little from run to run.
        seed: of the beginning.
    """

    perplexity: float = 30.0
    n_early: int = 250
    n_iterations: int = 750
    n_jobs: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        require(1 <= self.perplexity < np.inf, "perplexity", self.perplexity, "at least 1")
        require(self.n_early >= 0, "n_early", self.n_early, "at least 0")
        require(self.n_iterations >= 1, "n_iterations", self.n_iterations, "at least 1")
        require(self.n_jobs >= 1, "n_jobs", self.n_jobs, "at least 1")
        require(self.seed >= 0, "seed", self.seed, "at least 0")


@dataclass(frozen=True)
class SongMap:
    """Where each song lies.

    Attributes:
        xy: float32 [n_songs, 2]; the unit means nothing.
        settings: that made it.
    """

    songs: Vocabulary
    xy: np.ndarray
    settings: Mapping[str, Any] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_shape("map", self.xy, [len(self.songs), 2])
        check_finite("map", self.xy)

    @property
    def fingerprint(self) -> str:
        """A hash of songs and places."""
        return store.fingerprint(self.songs.fingerprint, self.xy.astype(np.float32))

    def save(self, folder: Path | str, *, beside: Mapping[str, bytes | str] | None = None) -> None:
        """Write map.parquet (song_id, x, y) and meta.json.

        Args:
            beside: more files by name, such as the picture and the page of this map.
        """
        with writing(folder) as scratch:
            x, y = self.xy.astype(np.float32).T
            pl.DataFrame({"song_id": self.songs.ids, "x": x, "y": y}).write_parquet(scratch / "map.parquet")
            for name, content in (beside or {}).items():
                write_file(scratch / name, content)
            shape = {"n_songs": len(self.songs)}
            write_meta(scratch, Meta("map", self.fingerprint, self.parents, self.settings, shape))

    @staticmethod
    def load(folder: Path | str) -> "SongMap":
        """Read the folder.

        Raises:
            ArtifactError: missing, half-written, damaged or of another kind.
        """
        folder = Path(folder)
        with store.content_of(folder):
            meta = read_meta(folder, "map")
            table = read_parquet(folder / "map.parquet", "song_id", "x", "y")
            xy = table.select("x", "y").to_numpy().astype(np.float32)
            return SongMap(Vocabulary(table["song_id"], "song"), xy, meta.settings, meta.parents)


def map_songs(Z: np.ndarray, settings: MapSettings | None = None, rng: np.random.Generator | None = None) -> np.ndarray:
    """Places of songs in two dimensions, by t-SNE.

    Args:
        Z: unit vectors of usage patterns [n_songs, n_factors]; none may be zero.
        rng: of the beginning; from settings.seed when None.
    Returns:
        float32 [n_songs, 2], centred on 0.
    Raises:
        InputError: a vector is not of length 1, or there are at most 3 x perplexity songs.
    """
    settings = settings or MapSettings()
    rng = rng or np.random.default_rng(settings.seed)
    check_shape("Z", Z, [None, None])
    check_unit("Z", Z)
    if not Z.any(axis=1).all():
        n_zero = int((~Z.any(axis=1)).sum())
        raise InputError(
            f"Z: {n_zero} songs have no usage pattern (zero vectors) and no place on a map. Leave them out."
        )
    n_neighbours = int(3 * settings.perplexity)
    if len(Z) <= n_neighbours + 1:
        raise InputError(
            f"songs: {len(Z)}, a map with perplexity {settings.perplexity:g} needs more than {n_neighbours + 1}. "
            f"Set perplexity to {max((len(Z) - 2) // 3, 1)} or less."
        )
    nearness = _affinities(Z.astype(np.float64), n_neighbours, settings)
    begin = _beginning(Z.astype(np.float64), rng)
    n_all = settings.n_early + settings.n_iterations
    with progress("map songs", total=n_all, unit="iteration") as bar:

        def tell(iteration: int, error: float, _: np.ndarray) -> None:
            bar.advance(50, note=f"divergence {error:.3f}")

        made = TSNE(
            perplexity=settings.perplexity,
            early_exaggeration_iter=settings.n_early,
            n_iter=settings.n_iterations,
            n_jobs=settings.n_jobs,
            random_state=int(rng.integers(2**31)),
            callbacks=tell,
            callbacks_every_iters=50,
        ).fit(affinities=nearness, initialization=begin)
    xy = np.asarray(made, dtype=np.float64)
    check_finite("map", xy)
    return (xy - xy.mean(axis=0)).astype(np.float32)


def _affinities(Z: np.ndarray, n_neighbours: int, settings: MapSettings) -> affinity.PerplexityBasedNN:
    distances, neighbours = NearestNeighbors(n_neighbors=n_neighbours, algorithm="brute").fit(Z).kneighbors()
    index = PrecomputedNeighbors(neighbours, distances)
    return affinity.PerplexityBasedNN(knn_index=index, perplexity=settings.perplexity, n_jobs=settings.n_jobs)


def _beginning(Z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The two principal axes [n_songs, 2], small; the longer tail of each axis lies on the right and at the top."""
    centred = Z - Z.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    axes = centred @ vectors[:, ::-1][:, :2]
    if axes.shape[1] < 2:
        axes = np.hstack([axes, np.zeros((len(Z), 2 - axes.shape[1]))])
    axes *= np.where((axes**3).sum(axis=0) < 0, -1.0, 1.0)
    spread = axes[:, 0].std()
    axes *= START / spread if spread > 0 else 0.0
    return axes + rng.normal(scale=START * JITTER, size=axes.shape)


def neighbours_kept(Z: np.ndarray, xy: np.ndarray, k: int = 10) -> float:
    """Share of each song's k nearest in Z that are among its k nearest on the map, mean over songs: 0..1."""
    _refuse_few(len(Z), k)
    high, low = _neighbours(Z, k), _neighbours(xy, k)
    return float((high[:, :, None] == low[:, None, :]).any(axis=2).mean())


def label_agreement(places: np.ndarray, labels: np.ndarray, k: int = 10) -> tuple[float, float]:
    """How much groups of one label hold together: share of the k nearest labelled songs that have a song's own label.

    Args:
        places: [n_songs, n_dimensions], a map or the space it was made from.
        labels: [n_songs], -1 for songs without one, which are left out.
    Returns:
        the share, mean over songs, and what chance would give: the mean share of the other songs with a song's label.
    """
    held = np.flatnonzero(labels >= 0)
    _refuse_few(len(held), k)
    own = labels[held]
    found = _neighbours(places[held], k)
    sizes = np.bincount(own)
    return float((own[found] == own[:, None]).mean()), float(((sizes[own] - 1) / (len(own) - 1)).mean())


def _neighbours(places: np.ndarray, k: int) -> np.ndarray:
    """Positions of the k nearest others [n, k], by Euclidean distance."""
    return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(places).kneighbors(return_distance=False)


def _refuse_few(n_songs: int, k: int) -> None:
    if n_songs <= k:
        raise InputError(f"songs: {n_songs} (with a label), {k} neighbours of each need more. Lower k.")


def map_caption(Z: np.ndarray, xy: np.ndarray, labels: np.ndarray, settings: MapSettings, source: str) -> str:
    """What a map shows and how far it can be trusted, in two lines.

    Args:
        source: where the usage patterns come from, such as "learned from plays".
    """
    k = 10
    lines = [
        f"t-SNE of the usage patterns of {len(xy):,} songs, {source}; perplexity {settings.perplexity:g}, seed "
        f"{settings.seed}. Near means alike; sizes and far distances mean little.",
        f"Of a song's {k} nearest, {neighbours_kept(Z, xy, k):.0%} are its nearest before flattening too",
    ]
    held = labels >= 0
    if np.count_nonzero(held) > k and len(np.unique(labels[held])) > 1:
        share, chance = label_agreement(xy, labels, k)
        lines[1] += f"; of its {k} nearest coloured ones {share:.0%} have its colour (by chance {chance:.0%})"
    return "\n".join(lines) + "."

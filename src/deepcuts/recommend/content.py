"""A model without factorisation: songs as they sound, listeners as tastes. For one listener, or too few to compare.

A song's vector is its place in a small space of pooled sound statistics (`content_space`), a listener's is the
posterior mean of a Gaussian taste (`taste`). Both are factors of one space like any others, so rankings, bundles,
encoders and the recommender work as they do with factors from plays; folding in and reasons have their own formulas:

    w = (L⁻¹ + n S)⁻¹ Σ_j ± (h_j - μ),    w · (h - μ) = Σ_j ± (h_j - μ)ᵀ (L⁻¹ + n S)⁻¹ (h - μ)

over the n songs j that are liked (+) and those that are disliked (-).
"""

from functools import cached_property

import numpy as np

from deepcuts import store
from deepcuts.artifacts import CLEAN, Factors, Features, Lineage, Plays, SongFactors, UserFactors, Vocabulary
from deepcuts.artifacts.bundle import Bundle
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.recommend.taste import PosteriorSettings, content_space, posterior_tastes

SONGS_A_DIRECTION, MOST_DIRECTIONS = 6, 10
CONTENT = "content"  # settings["model"] of factors that this file makes


def content_factors(features: Features, plays: Plays | None = None, n_dims: int = 0) -> Factors:
    """Factors of listeners and songs from how songs sound.

    Args:
        features: pooled statistics, one frame a song; every song gets a vector.
        plays: of any listeners; None for a model that knows none.
        n_dims: of the space; 0 takes one for each SONGS_A_DIRECTION songs, 2 to MOST_DIRECTIONS: more were worse for
            single listeners, and few songs cannot tell many directions from chance.
    Returns:
        users (tastes; zeros for those who played no song with sound) and songs h - μ; n_listeners from the plays.
    Raises:
        InputError: features of several frames a song, or not finite.
    """
    require(n_dims >= 0, "n_dims", n_dims, "at least 1, or 0 to choose it")
    n_dims = n_dims or int(np.clip(len(features.songs) // SONGS_A_DIRECTION, 2, MOST_DIRECTIONS))
    if not features.one_frame:
        raise InputError("content model: expected pooled features of one frame a song. Pool them first: audio pool.")
    pooled = np.asarray(features.frames, dtype=np.float64)
    space = content_space(pooled, np.arange(len(pooled)), n_dims)
    settings = {"model": CONTENT, "n_dims": n_dims, "prior_variance": PosteriorSettings().prior_variance}
    lineage = Lineage(store.fingerprint(CONTENT, space), features.songs, CLEAN, features.lineage.pretrained_on,
                      {"features": features.fingerprint})  # fmt: skip
    tastes, centre, listeners = _tastes(features.songs, plays, space)
    users = plays.users if plays is not None else Vocabulary([], "user")
    return Factors(
        UserFactors(users, tastes.astype(np.float32), lineage, settings),
        SongFactors(features.songs, (space - centre).astype(np.float32), lineage, None, listeners, settings),
    )


def _tastes(songs: Vocabulary, plays: Plays | None, space: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tastes [n_users, n_dims], their centre μ [n_dims], and the listeners of each song [n_songs]."""
    if plays is None:
        return np.zeros((0, space.shape[1])), space.mean(axis=0), np.zeros(len(space), np.int64)
    played = plays.counts_of(plays.users, songs)
    listeners = np.bincount(played.indices, minlength=len(space)).astype(np.int64)
    found = posterior_tastes(played, space, popularity=1.0 + listeners)
    heard_something = np.diff(played.indptr) > 0
    return found.vectors * heard_something[:, None], found.centre, listeners


def is_content(bundle: Bundle) -> bool:
    """Whether a bundle holds a content model."""
    return bundle.users.settings.get("model") == CONTENT


class ContentTaste:
    """Tastes of listeners in the space of a bundle's songs."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        variance = bundle.users.settings.get("prior_variance", PosteriorSettings().prior_variance)
        self.variance = float(variance)

    @cached_property
    def _space(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Songs h - μ [n_songs, n_dims] in units of their spread, their covariance S, and the unit."""
        vectors = self.bundle.songs.vectors.astype(np.float64)
        unit = float(vectors.std()) or 1.0
        listeners = self.bundle.songs.n_listeners
        weight = 1.0 + (np.zeros(len(vectors)) if listeners is None else listeners)
        weight /= weight.sum()
        apart = vectors / unit
        apart = apart - weight @ apart
        return apart, (apart * weight[:, None]).T @ apart, np.array(unit)

    def _matrix(self, n_liked: int) -> np.ndarray:
        """L⁻¹ + n S [n_dims, n_dims]."""
        spread = self._space[1]
        return np.eye(len(spread)) / self.variance + n_liked * spread

    def vector(self, rows: np.ndarray, liked: np.ndarray) -> np.ndarray:
        """The taste of a listener [n_dims], on the scale of the songs' vectors; zeros when nothing is liked.

        Args:
            rows: positions of songs [n]; liked: whether each is liked, else disliked [n] bool.
        """
        apart, _, unit = self._space
        if not liked.any():
            return np.zeros(apart.shape[1])
        towards = apart[rows[liked]].sum(axis=0) - apart[rows[~liked]].sum(axis=0)
        taste: np.ndarray = np.linalg.solve(self._matrix(int(liked.sum())), towards) / unit
        return taste

    def parts(self, rows: np.ndarray, liked: np.ndarray, song: int) -> np.ndarray:
        """What each song of a history adds to the score of another [n]."""
        apart = self._space[0]
        towards = np.linalg.solve(self._matrix(int(liked.sum())), apart[song])
        return np.where(liked, 1.0, -1.0) * (apart[rows] @ towards)

"""The taste of one listener, in closed form: useful for one history alone, where a factorisation means nothing.

Suppose that a listener's plays are drawn in proportion to pop_i · exp(w · h_i), where h_i is what song i sounds like
and w ~ N(m, L) is the listener's taste. To second order around no taste at all, the posterior of w given n played songs
is Gaussian with

    w = (L⁻¹ + n S)⁻¹ (s + L⁻¹ m),     s = Σ_played (h_i - μ),

μ and S the popularity-weighted mean and covariance of h over the songs that may be learned from. With many listeners m
and L are learned by a few steps of expectation maximisation (L = mean posterior covariance + covariance of the
posterior means); with few, m = 0 and L is fixed. A new song scores w · (h - μ).
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse

from deepcuts.checks import check_finite, check_shape
from deepcuts.config import require
from deepcuts.errors import InputError


@dataclass(frozen=True)
class PosteriorSettings:
    """How to form tastes.

    Attributes:
        prior_variance: of a taste along each direction of a standardised space, where few listeners cannot tell.
        enough_listeners: from so many on, mean and covariance of tastes are learned from them.
        n_sweeps: of expectation maximisation.
    """

    prior_variance: float = 0.2
    enough_listeners: int = 50
    n_sweeps: int = 5

    def __post_init__(self) -> None:
        require(self.prior_variance > 0, "prior_variance", self.prior_variance, "above 0")
        require(self.enough_listeners >= 2, "enough_listeners", self.enough_listeners, "2 or more")
        require(self.n_sweeps >= 0, "n_sweeps", self.n_sweeps, "0 or more")


@dataclass(frozen=True)
class Tastes:
    """Tastes of listeners in a content space.

    Attributes:
        vectors: w [n_users, n_dims]; zeros for a listener without plays and without a learned mean.
        centre: μ [n_dims].
        learned_prior: whether m and L were learned from the listeners.
    """

    vectors: np.ndarray
    centre: np.ndarray
    learned_prior: bool

    def scores(self, space: np.ndarray) -> np.ndarray:
        """W · (h - μ) [n_users, n_songs] of any songs, given what they sound like [n_songs, n_dims]."""
        return self.vectors @ (space - self.centre).T


def content_space(features: np.ndarray, learn_from: np.ndarray, n_dims: int = 10) -> np.ndarray:
    """Pooled statistics as a small space: z-scores on their leading principal components, each of variance 1.

    Args:
        features: [n_songs, n_features], one row a song, any songs.
        learn_from: positions of the songs that shape the space; songs for testing must not.
        n_dims: at most so many directions; more were worse for single listeners.
    Returns:
        [n_songs, at most n_dims] float64.
    Raises:
        InputError: features that are not finite, or fewer than two songs to learn from.
    """
    check_finite("features", features)
    if len(learn_from) < 2:
        raise InputError(f"content space: {len(learn_from)} songs to learn from, expected at least 2.")
    known = features[learn_from].astype(np.float64)
    mean, spread = known.mean(axis=0), known.std(axis=0)
    scale = np.where(spread > 1e-12 * (1 + np.abs(mean)), spread, np.inf)
    standard = (known - mean) / scale
    _, values, directions = linalg.svd(standard, full_matrices=False)
    kept = values > 1e-9 * values[0]
    directions, values = directions[kept][:n_dims], values[kept][:n_dims]
    return (features.astype(np.float64) - mean) / scale @ (directions / values[:, None] * np.sqrt(len(known))).T


def posterior_tastes(
    played: sparse.csr_array,
    space: np.ndarray,
    popularity: np.ndarray | None = None,
    settings: PosteriorSettings | None = None,
) -> Tastes:
    """The posterior mean of each listener's taste.

    Args:
        played: [n_users, n_songs] CSR, stored where played; only songs that may be learned from. A song played often
            counts once.
        space: h [n_songs, n_dims] of the same songs.
        popularity: weights of the songs [n_songs], not negative; None counts the listeners in `played`, plus one.
    Raises:
        InputError: shapes that do not fit, numbers that are not finite.
    """
    settings = settings or PosteriorSettings()
    check_shape("space", space, [played.shape[1], None])
    check_finite("space", space)
    known = sparse.csr_array((np.ones(played.nnz), played.indices, played.indptr), shape=played.shape)
    weight = 1.0 + np.asarray(known.sum(axis=0)).ravel() if popularity is None else np.asarray(popularity, float)
    weight = weight / weight.sum()
    centre = weight @ space
    apart = space - centre
    spread = (apart * weight[:, None]).T @ apart
    n_played, sums = np.diff(known.indptr).astype(float), known @ apart
    n_dims = space.shape[1]
    mean, prior = np.zeros(n_dims), settings.prior_variance * np.eye(n_dims)
    learn = len(n_played) >= settings.enough_listeners
    for _ in range(settings.n_sweeps if learn else 0):
        tastes, covariance = _posterior(n_played, sums, spread, mean, prior)
        mean = tastes.mean(axis=0)
        prior = covariance + np.cov(tastes.T).reshape(n_dims, n_dims)
    return Tastes(_posterior(n_played, sums, spread, mean, prior)[0], centre, learn)


def _posterior(
    n_played: np.ndarray, sums: np.ndarray, spread: np.ndarray, mean: np.ndarray, prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means [n_users, n_dims], and the mean covariance over users.

    With L = CCᵀ and CᵀSC = QDQᵀ every posterior covariance is CQ (I + nD)⁻¹ QᵀCᵀ: one eigendecomposition for all users.
    """
    root = np.linalg.cholesky(prior + 1e-12 * np.trace(prior) * np.eye(len(prior)))
    values, turn = np.linalg.eigh(root.T @ spread @ root)
    basis = root @ turn
    shrink = 1 / (1 + n_played[:, None] * np.maximum(values, 0))
    pulled = sums + np.linalg.solve(root.T, np.linalg.solve(root, mean))
    return (pulled @ basis * shrink) @ basis.T, (basis * shrink.mean(axis=0)) @ basis.T


def content_neighbours(played: sparse.csr_array, space: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Mean cosine between each candidate and the songs a listener played [n_users, n_candidates]: what tools that only
    compare sounds do.

    Args:
        played: [n_users, n_songs] CSR.
        space: [n_songs, n_dims] of the same songs; candidates: [n_candidates, n_dims].

    >>> songs = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> content_neighbours(sparse.csr_array([[2.0, 0.0]]), songs, songs).tolist()
    [[1.0, 0.0]]
    """
    known = sparse.csr_array((np.ones(played.nnz), played.indices, played.indptr), shape=played.shape)
    profile = (known @ _unit(space)) / np.maximum(np.diff(known.indptr), 1)[:, None]
    return profile @ _unit(candidates).T


def _unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows, dtype=np.float64), where=length > 0)

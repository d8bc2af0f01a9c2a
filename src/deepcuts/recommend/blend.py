"""A song between what is heard and what is played: its vector moves from the prediction to its plays as these arrive.

    y = argmin  Σ_u c_u (p_u - x_u·y)²  +  (y - ŷ)ᵀ Λ (y - ŷ)

solved for each song from the normal equations

    (g G + Σ_played s x xᵀ + Λ) y = Σ_played (1 + s) x + Λ ŷ,     g = k / (k + HALF_WAY)

k listeners; without any, y is the prediction ŷ itself. The Gram term G = XᵀX says that everybody else did not play the
song; of a song that few had the chance to play this is not known yet, so the term grows with the listeners.

Λ is the inverse of the covariance of the encoder's errors on songs that it did not learn from, on the scale of the
factorisation's λ. Where factorisations of several sizes stand side by side, each tells the same p by itself, so each
part of the vector is solved by itself.

Source: van den Oord et al. 2013, eq. 3, with a content prior as in Wang & Blei 2011.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import block_diag

from deepcuts.artifacts import SongFactors, UserFactors, derive
from deepcuts.checks import check_finite, check_shape
from deepcuts.errors import InputError
from deepcuts.kernels.als import gram as gram_of
from deepcuts.kernels.confidence import surplus_confidence

HALF_WAY = 20.0  # listeners at which half of the weight of "nobody else played it" counts


def prior_precision(errors: np.ndarray, regularization: float, sizes: Sequence[int] | None = None) -> np.ndarray:
    """Λ [n_factors, n_factors] from an encoder's errors on songs that it did not learn from.

        Λ = λ (tr S / f) S⁻¹,     S the covariance of the errors

    Args:
        errors: predicted less observed factors [n_songs, n_factors].
        regularization: λ of the factorisation; below 1 it is taken as 1, for a prediction is worth that much.
        sizes: of the parts, where factors of several sizes stand side by side: Λ then has a block for each.
    Raises:
        InputError: fewer than two songs, or errors that are not finite.

    >>> prior_precision(np.array([[1.0, 0.0], [0.0, 1.0]]), regularization=2.0).round(2).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    check_finite("errors", errors)
    if len(errors) < 2:
        raise InputError(f"errors: of {len(errors)} songs, expected at least 2.")
    if sizes is not None and len(sizes) > 1:
        ends = np.cumsum(sizes)
        return block_diag(*(prior_precision(errors[:, end - size : end], regularization)
                            for size, end in zip(sizes, ends, strict=True)))  # fmt: skip
    n_factors = errors.shape[1]
    covariance = errors.astype(np.float64).T @ errors / len(errors)
    covariance += 1e-3 * np.trace(covariance) / n_factors * np.eye(n_factors) + 1e-12 * np.eye(n_factors)
    return max(regularization, 1.0) * np.trace(covariance) / n_factors * np.linalg.inv(covariance)


def blend(
    plays: sparse.csr_array,
    users: UserFactors,
    predicted: SongFactors,
    precision: np.ndarray | float | None = None,
    *,
    gram: np.ndarray | None = None,
) -> SongFactors:
    """Vectors of songs between their predictions and their plays.

    Args:
        plays: counts [n_users, n_songs] CSR, in the order of `users` and `predicted`; songs without plays keep their
            predictions.
        users: with the settings of their factorisation (alpha, epsilon, regularization).
        precision: Λ [n_factors, n_factors] from `prior_precision`, or a number for a multiple of the identity; None
            takes the factorisation's λ, at least 1. Where `predicted` knows the precision of each song, Λ is scaled by
            it relative to their mean.
        gram: XᵀX [n_factors, n_factors] of the users, when it is known already.
    Returns:
        the songs of `predicted`, with the curvature of each song's problem as its precision, and n_listeners.
    Raises:
        InputError: two factor spaces, shapes that do not fit, counts that are not positive and finite.
    """
    check_shape("plays", plays, [len(users), len(predicted)])
    lineage = derive(users.lineage, predicted.lineage, users=users.fingerprint, predicted=predicted.fingerprint)
    gram = gram_of(users.vectors) if gram is None else gram
    base = _matrix(precision, users.settings, users.n_factors)
    scale = _relative(predicted.precision, len(predicted))
    columns = sparse.csr_array(_surplus(plays, users.settings).T)
    vectors, curvature = predicted.vectors.astype(np.float64), np.empty(len(predicted))
    for song in range(len(predicted)):
        span = slice(columns.indptr[song], columns.indptr[song + 1])
        listeners, surplus = users.vectors[columns.indices[span]], columns.data[span]
        matrix, vectors[song] = solve_song(listeners, surplus, gram, scale[song] * base, vectors[song], users.same_part)
        curvature[song] = np.trace(matrix) / len(matrix)
    return SongFactors(
        predicted.songs,
        vectors.astype(np.float32),
        lineage,
        precision=curvature.astype(np.float32),
        n_listeners=np.diff(columns.indptr).astype(np.int64),
        settings={**predicted.settings, "blended": True},
    )


def solve_song(
    listeners: np.ndarray,
    surplus: np.ndarray,
    gram: np.ndarray,
    prior: np.ndarray,
    predicted: np.ndarray,
    same_part: np.ndarray | float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The normal equations of one song: their matrix, and the vector that solves them.

    Args:
        listeners: x_u of those who played it [k, n_factors]; surplus: s = c - 1 [k].
        gram: XᵀX of all users; prior: Λ, both [n_factors, n_factors]; predicted: ŷ [n_factors].
        same_part: `UserFactors.same_part`; 1 where one factorisation stands alone.
    """
    x, s = listeners.astype(np.float64), surplus.astype(np.float64)
    matrix = (prior + len(x) / (len(x) + HALF_WAY) * gram + (x * s[:, None]).T @ x) * same_part
    if not len(x):
        return matrix, predicted
    return matrix, np.linalg.solve(matrix, x.T @ (1 + s) + (prior * same_part) @ predicted)


def _surplus(plays: sparse.csr_array, settings: Mapping[str, Any]) -> sparse.csr_array:
    lacking = [name for name in ("alpha", "epsilon") if name not in settings]
    if lacking:
        raise InputError(f"user factors: their settings lack {' and '.join(lacking)}. Learn the factors again.")
    return surplus_confidence(sparse.csr_array(plays), float(settings["alpha"]), float(settings["epsilon"]))


def _matrix(precision: np.ndarray | float | None, settings: Mapping[str, Any], n_factors: int) -> np.ndarray:
    if isinstance(precision, np.ndarray) and precision.ndim == 2:
        check_shape("precision", precision, [n_factors, n_factors])
        return precision.astype(np.float64)
    value = max(float(settings.get("regularization", 1.0)), 1.0) if precision is None else float(precision)
    return value * np.eye(n_factors)


def _relative(precision: np.ndarray | None, n_songs: int) -> np.ndarray:
    """How sure each prediction is beside the others [n_songs], 1 on average."""
    return np.ones(n_songs) if precision is None else precision / max(float(precision.mean()), 1e-30)

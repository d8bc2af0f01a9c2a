"""The weighted prediction error: how badly song factors foretell who played what, over ALL users (eq. 5).

For one song with factors y, listeners N, z_u = x_uᵀy and surplus confidence s_u = c_u - 1 (0 outside N):

    E(y) = Σ_u c_u (p_u - z_u)²                              over all users, the millions who did not play it too
         = Σ_u z_u² + Σ_{u∈N} [(1 + s_u)(1 - z_u)² - z_u²]   since c = 1 and p = 0 outside N
         = yᵀGy + Σ_{u∈N} [s_u (1 - z_u)² + 1 - 2 z_u],      G = XᵀX, computed once

    ∇E(y) = 2 [Gy + Σ_{u∈N} x_u (s_u z_u - 1 - s_u)]

so a song costs its listeners and n_factors², not all users. E is a quadratic with A = G + Σ s_u x_u x_uᵀ and
b = Σ (1 + s_u) x_u; its lowest point A⁻¹b is the song's step of the factorisation without regularisation.

Source: van den Oord et al. 2013, eq. 5; the Gram product as in Hu, Koren, Volinsky 2008.
"""

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch.autograd.function import once_differentiable

from deepcuts.artifacts import Factors, Plays, SongFactors, Vocabulary, same_space
from deepcuts.errors import InputError
from deepcuts.kernels.als import gram
from deepcuts.kernels.confidence import surplus_confidence

# Floats of users gathered for their plays at a time: what a processor's cache holds; a quarter of a gigabyte on CUDA.
FLOATS_AT_ONCE = {"cpu": 2**18, "cuda": 2**26}


def errors_and_slopes(
    songs: torch.Tensor,
    users: torch.Tensor,
    gram: torch.Tensor,
    owner: torch.Tensor,
    listener: torch.Tensor,
    surplus: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """E and ∇E of every song, on any device, in the precision of `songs`.

    Args:
        songs: y [n_songs, n_factors].
        users: X [n_users, n_factors], of any precision: only those who listened are converted, a few at a time.
        gram: XᵀX [n_factors, n_factors].
        owner: the song of each play [n_plays], positions in `songs`.
        listener: the user of each play [n_plays], positions in `users`.
        surplus: s = c - 1 of each play [n_plays].
    Returns:
        E [n_songs] and ∇E [n_songs, n_factors].
    """
    across = songs @ gram
    errors, slopes = (across * songs).sum(dim=1), 2 * across
    step = max(1, FLOATS_AT_ONCE[songs.device.type] // users.shape[1])
    for begin in range(0, len(owner), step):
        of, s = owner[begin : begin + step], surplus[begin : begin + step]
        x = users.index_select(0, listener[begin : begin + step]).to(songs.dtype)
        z = (x * songs.index_select(0, of)).sum(dim=1)
        errors.index_add_(0, of, s * (1 - z).square() + 1 - 2 * z)
        slopes.index_add_(0, of, x.mul_((2 * (s * z - 1 - s))[:, None]))
    return errors, slopes


class _Errors(torch.autograd.Function):
    """E with its own gradient: autograd would keep a row of X for every play until the way back."""

    @staticmethod
    def forward(ctx: Any, songs: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        errors, slopes = errors_and_slopes(songs, *others)
        ctx.save_for_backward(slopes)
        return errors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (slopes,) = ctx.saved_tensors
        return upstream[:, None] * slopes, None, None, None, None, None


def weighted_errors(
    songs: torch.Tensor,
    users: torch.Tensor,
    gram: torch.Tensor,
    owner: torch.Tensor,
    listener: torch.Tensor,
    surplus: torch.Tensor,
) -> torch.Tensor:
    """E of every song [n_songs], differentiable once in `songs`; arguments as for `errors_and_slopes`."""
    errors: torch.Tensor = _Errors.apply(songs, users, gram, owner, listener, surplus)
    return errors


def as_pairs(surplus: sparse.csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Owner, listener and surplus [n_plays] of a matrix [n_songs, n_users]: the last arguments of the above."""
    owner = np.repeat(np.arange(surplus.shape[0], dtype=np.int64), np.diff(surplus.indptr))
    return owner, surplus.indices.astype(np.int64), surplus.data


def surplus_of_songs(plays: Plays | None, observed: Factors, songs: Vocabulary) -> sparse.csr_array:
    """Surplus confidence [n_songs, n_users] of songs by the users of the factors, as these were learned.

    Args:
        plays: what the factors were learned from, and nothing else.
        observed: say α and ε, and which plays.
        songs: songs of the plays.
    Raises:
        InputError: no plays, or others than the factors were learned from; factors without users, α or ε.
    Source: van den Oord et al. 2013, eq. 2.
    """
    if plays is None:
        raise InputError("plays: none, but loss = 'wpe' needs those that the factors were learned from. Pass plays.")
    made_from = observed.lineage.parents.get("plays")
    if made_from != plays.fingerprint:
        raise InputError(
            f"plays: fingerprint {plays.fingerprint}, the factors were learned from {made_from or 'plays unknown'}. "
            "Pass the plays that were factorised, under a split its learning plays."
        )
    lacking = [name for name in ("alpha", "epsilon") if name not in observed.settings]
    if lacking:
        raise InputError(f"factors: their settings lack {' and '.join(lacking)}. Learn the factors again.")
    counts = plays.counts[:, plays.songs.positions(songs.ids, where="plays")]
    if observed.users.users != plays.users:
        counts = counts[plays.users.positions(observed.users.users.ids, where="plays")]
    alpha, epsilon = (float(observed.settings[name]) for name in ("alpha", "epsilon"))
    return surplus_confidence(sparse.csr_array(counts), alpha, epsilon).T.tocsr()


def errors_of(song_factors: np.ndarray, user_factors: np.ndarray, surplus: sparse.csr_array) -> np.ndarray:
    """E of every song [n_songs] float64.

    Args:
        song_factors: y [n_songs, n_factors].
        user_factors: X [n_users, n_factors].
        surplus: s = c - 1 [n_songs, n_users] CSR.
    """
    arrays = (song_factors, user_factors, gram(user_factors), *as_pairs(surplus))
    songs, users, cross, owner, listener, s = (torch.from_numpy(np.ascontiguousarray(a)) for a in arrays)
    errors, _ = errors_and_slopes(songs.double(), users, cross, owner, listener, s.double())
    return errors.numpy()


def weighted_prediction_error(predicted: SongFactors, observed: Factors, plays: Plays) -> np.ndarray:
    """What eq. 5 sums, for each predicted song: Σ_u c_ui (p_ui - x_uᵀy'_i)² [n_songs] float64.

    Args:
        predicted: y' of songs that `plays` has, for example the training songs.
        observed: x_u, and the α and ε of c.
        plays: what `observed` was learned from.
    Raises:
        InputError: other plays than the factors were learned from, an unknown song, or another space.
    Source: van den Oord et al. 2013, eq. 5.
    """
    same_space(observed.lineage, predicted.lineage, what=("the observed factors", "the predicted factors"))
    surplus = surplus_of_songs(plays, observed, predicted.songs)
    return errors_of(predicted.vectors, users_of(observed), surplus)


def users_of(observed: Factors | SongFactors) -> np.ndarray:
    """X [n_users, n_factors].

    Raises:
        InputError: the factors hold no users, or only users of length 0.
    """
    if not isinstance(observed, Factors):
        raise InputError("factors: hold no users. Pass the factors learned from plays.")
    if not observed.users.vectors.any():
        raise InputError("factors: all users have length 0, so no prediction is better than another.")
    return observed.users.vectors

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

import numpy as np
from scipy import sparse

from deepcuts.artifacts import Factors, Plays, SongFactors, Vocabulary, same_space
from deepcuts.errors import InputError
from deepcuts.kernels.als import gram
from deepcuts.kernels.confidence import surplus_confidence

FLOATS_AT_ONCE = 2**18  # of users gathered for their plays at a time: what a processor's cache holds


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
    songs = song_factors.astype(np.float64)
    owner, listener, s = as_pairs(surplus)
    errors = np.einsum("ij,ij->i", songs @ gram(user_factors), songs)
    step = max(1, FLOATS_AT_ONCE // max(1, songs.shape[1]))
    for begin in range(0, len(owner), step):
        part = slice(begin, begin + step)
        z = np.einsum("ij,ij->i", user_factors[listener[part]].astype(np.float64), songs[owner[part]])
        errors += np.bincount(owner[part], s[part] * (1 - z) ** 2 + 1 - 2 * z, len(songs))
    return errors


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

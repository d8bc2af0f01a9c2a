"""Tastes in the heard space: what a listener's plays say of the sounds they like, alone and beside the factorisation.

NAME_taste     the posterior of each listener's taste (`recommend.taste`) in the heard space: the leading directions of
               cross-fitted predictions, all on one scale
NAME_stacked   the same added to x·y', both in units of their spread over the learning songs
"""

import numpy as np

from deepcuts.artifacts import Factors, Plays, SongFactors, Vocabulary, derive
from deepcuts.evaluate import System
from deepcuts.recommend import posterior_tastes

N_DIRECTIONS = 16  # of the heard space at most; what else predictions hold is mostly noise
TINY = 1e-12


def heard_tastes(
    learning: Plays, observed: Factors, heard: SongFactors, predicted: SongFactors, songs: Vocabulary, name: str
) -> list[System]:
    """The rows `NAME_taste` and `NAME_stacked`.

    Args:
        learning: the plays that may be learned from.
        heard: cross-fitted predictions of learning songs (`predict.crossfit`).
        predicted: predictions of the test songs by the same kind of encoder; songs: the test songs.
    """
    known, new = heard.vectors.astype(np.float64), predicted.rows(songs.ids).astype(np.float64)
    space, placed = heard_space(known, new)
    tastes = posterior_tastes(learning.counts_of(observed.users.users, heard.songs), space)
    x, w = observed.users.vectors.astype(np.float64), tastes.vectors
    lineage = derive(observed.users.lineage, heard.lineage, predicted.lineage)
    joint = np.hstack([x / spread(x, known)[:, None], w / spread(w, space)[:, None]])
    return [
        System(f"{name}_taste", w, placed - tastes.centre, lineage=lineage,
               note="Posterior of each listener's taste in the space of cross-fitted predictions."),
        System(f"{name}_stacked", joint, np.hstack([new, placed - tastes.centre]), lineage=lineage,
               note="That taste beside the listener's factors, both in units of their spread over learning songs."),
    ]  # fmt: skip


def heard_space(known: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions on the leading principal directions of the known songs, divided by their mean spread.

    Args:
        known: predictions of learning songs [n_known, n_factors]; new: of other songs [n_new, n_factors].
    Returns:
        both [.., at most N_DIRECTIONS] float64.
    """
    mean = known.mean(axis=0)
    directions = np.linalg.svd(known - mean, full_matrices=False)[2][:N_DIRECTIONS]
    space = (known - mean) @ directions.T
    scale = max(float(space.std(axis=0).mean()), TINY)
    return space / scale, (new - mean) @ directions.T / scale


def spread(users: np.ndarray, songs: np.ndarray) -> np.ndarray:
    """The standard deviation of each user's scores over songs [n_users]; 1 for a user who scores all alike."""
    covariance = np.cov(songs.astype(np.float64).T)
    variance = np.einsum("ud,de,ue->u", users, np.atleast_2d(covariance), users)
    return np.where(variance > TINY, np.sqrt(np.maximum(variance, TINY)), 1.0)

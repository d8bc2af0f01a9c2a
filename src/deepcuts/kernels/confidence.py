"""How sure a play count makes us that a user likes a song."""

import numpy as np
from scipy import sparse

from deepcuts.errors import InputError


def surplus_confidence(plays: sparse.csr_array, alpha: float, epsilon: float) -> sparse.csr_array:
    """How much more a played song counts than an unplayed one: c - 1 (eq. 2).

        c_ui - 1 = alpha * log(1 + r_ui / epsilon)

    Args:
        plays: counts r_ui [n_users, n_songs], CSR; every stored entry > 0.
        alpha: 0 or more.
        epsilon: in plays; well below it counts act linearly, well above it logarithmically.
    Returns:
        c - 1 [n_users, n_songs] CSR float32, stored where `plays` is: unplayed songs take no memory, and c = 1.
    Raises:
        InputError: a stored count is not a positive finite number (names the first row and column), or so large
            that its confidence is not finite.
    Source: van den Oord et al. 2013, eq. 2.

    >>> round(float(surplus_confidence(sparse.csr_array([[1.0, 0.0]]), alpha=2.0, epsilon=1.0).data[0]), 4)
    1.3863
    """
    plays = sparse.csr_array(plays)
    counts = plays.data.astype(np.float64)
    _refuse_first(plays, ~(np.isfinite(counts) & (counts > 0)), counts, "a positive finite count")
    with np.errstate(over="ignore"):
        surplus = (alpha * np.log1p(counts / epsilon)).astype(np.float32)
    _refuse_first(plays, ~np.isfinite(surplus), counts, f"a count whose confidence at ε = {epsilon} is finite")
    return sparse.csr_array((surplus, plays.indices, plays.indptr), plays.shape)


def _refuse_first(plays: sparse.csr_array, bad: np.ndarray, counts: np.ndarray, allowed: str) -> None:
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        row = int(np.searchsorted(plays.indptr, at, side="right") - 1)
        raise InputError(
            f"plays[{row}, {plays.indices[at]}] = {counts[at]}: expected {allowed}. Leave unplayed songs out."
        )

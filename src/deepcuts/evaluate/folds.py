"""One number for each fold → a mean with an interval."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from deepcuts.errors import InputError


def mean_over_folds(values: Sequence[float], level: float = 0.95) -> dict[str, float]:
    """Mean, Student-t interval and standard error of one value a fold.

    Folds of one seed share training songs and seeds share all songs, so the values are not independent: the
    interval is what is customary, and somewhat too narrow.

    Args:
        values: one a fold, at least two.
        level: of the interval.
    Returns:
        mean, low, high, standard_error.
    Raises:
        InputError: fewer than two values, or one is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2 or not np.isfinite(array).all():
        raise InputError(f"folds: {len(array)} values, expected at least two, all finite. Evaluate more folds.")
    error = float(array.std(ddof=1) / np.sqrt(len(array)))
    half = float(stats.t.ppf((1 + level) / 2, len(array) - 1)) * error
    mean = float(array.mean())
    return {"mean": mean, "low": mean - half, "high": mean + half, "standard_error": error}


def paired_over_folds(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> dict[str, float]:
    """How much larger `a` is than `b`, paired by fold: difference, low, high, p (two-sided t-test)."""
    gap = mean_over_folds((np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)).tolist(), level)
    error = gap["standard_error"]
    p = 2 * float(stats.t.sf(abs(gap["mean"]) / error, len(a) - 1)) if error > 0 else float(gap["mean"] == 0)
    return {"difference": gap["mean"], "low": gap["low"], "high": gap["high"], "p": p}

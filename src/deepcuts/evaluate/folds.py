"""One number for each fold → a mean with an interval."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from deepcuts.errors import InputError


def mean_over_folds(values: Sequence[float], level: float = 0.95, *, test_share: float = 0.2) -> dict[str, float]:
    """Mean, Student-t interval and standard error of one value a fold, corrected for folds that overlap.

    Folds of one seed share training songs and seeds share all songs, so the values are not independent, and the
    customary error (spread / √J) is too small. The corrected one adds what overlap hides:

        error² = spread² (1 / J + n_test / n_train)

    Args:
        values: one a fold, at least two.
        level: of the interval.
        test_share: share of the songs that a fold tests: 1/5 for five folds.
    Source: Nadeau & Bengio 2003, "Inference for the generalization error".
    Returns:
        mean, low, high, standard_error.
    Raises:
        InputError: fewer than two values, or one is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2 or not np.isfinite(array).all():
        raise InputError(f"folds: {len(array)} values, expected at least two, all finite. Evaluate more folds.")
    error = float(array.std(ddof=1) * np.sqrt(1 / len(array) + test_share / (1 - test_share)))
    half = float(stats.t.ppf((1 + level) / 2, len(array) - 1)) * error
    mean = float(array.mean())
    return {"mean": mean, "low": mean - half, "high": mean + half, "standard_error": error}


def paired_over_folds(
    a: Sequence[float], b: Sequence[float], level: float = 0.95, *, test_share: float = 0.2
) -> dict[str, float]:
    """How much larger `a` is than `b`, paired by fold: difference, low, high, p (two-sided, corrected likewise)."""
    gaps = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    gap = mean_over_folds(gaps.tolist(), level, test_share=test_share)
    error = gap["standard_error"]
    p = 2 * float(stats.t.sf(abs(gap["mean"]) / error, len(a) - 1)) if error > 0 else float(gap["mean"] == 0)
    return {"difference": gap["mean"], "low": gap["low"], "high": gap["high"], "p": p}

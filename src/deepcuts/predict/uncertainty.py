"""How far a prediction is expected to be off, learned from songs that the encoder did not learn from.

    E|y - y'|² / n_factors = a + b |y'|² + c m·y',     m the direction of the mean target

A good encoder answers what it cannot hear by the mean of what is possible, so for targets of length 1 long predictions
are sure ones: a is near 1 / n_factors and b near -1 / n_factors. For raw targets b may be positive: popular songs,
whose vectors are long, err most. What lies along the mean direction, where all songs are alike, says little of a song,
so it is weighed apart by c. Least squares on the songs not learned from tells which.

The errors are measured against factors from plays. Those of a song with few listeners are mostly noise, which no sound
can foretell, so the expected error of a single song is told well only where its factors are (docs/predict.md).
"""

import numpy as np

FEWEST = 20  # songs below which nothing is told
LEAST = 0.05  # of the mean error: nothing is surer than that
RIDGE = 1.0  # songs' worth of pull towards one error for all


def calibrate(predicted: np.ndarray, observed: np.ndarray, mean: np.ndarray) -> np.ndarray | None:
    """The coefficients (a, b, c) [3] float64; None for fewer than FEWEST songs.

    Args:
        predicted: y' [n_songs, n_factors] of songs not learned from.
        observed: y of the same songs.
        mean: of the targets [n_factors]; zeros leave c at 0.
    """
    if len(predicted) < FEWEST:
        return None
    errors = ((predicted.astype(np.float64) - observed) ** 2).mean(axis=1)
    told = _told_by(predicted, mean)
    centre, spread = told.mean(axis=0), told.std(axis=0)
    scale = np.where(spread > 1e-12 * (1 + np.abs(centre)), spread, np.inf)
    standard = (told - centre) / scale
    slopes = np.linalg.solve(standard.T @ standard + RIDGE * np.eye(2), standard.T @ (errors - errors.mean())) / scale
    return np.array([errors.mean() - slopes @ centre, *slopes])


def expected_errors(coefficients: np.ndarray, predicted: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Expected squared error of one factor [n_songs] float64, above 0.

    Args:
        coefficients: of `calibrate`; encoders of an earlier version have (a, b) only.
        predicted: y' [n_songs, n_factors].
        mean: as in `calibrate`.
    """
    slopes = np.zeros(2)
    slopes[: len(coefficients) - 1] = coefficients[1:]
    errors = coefficients[0] + _told_by(predicted, mean) @ slopes
    middle = abs(float(np.mean(errors))) if len(errors) else 1.0
    return np.maximum(errors, max(LEAST * middle, 1e-12))


def _told_by(predicted: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """|y'|² and m·y' [n_songs, 2] float64."""
    rows = predicted.astype(np.float64)
    length = float(np.linalg.norm(mean))
    along = rows @ mean / length if length > 0 else np.zeros(len(rows))
    return np.column_stack([(rows**2).sum(axis=1), along])

"""How far a prediction is expected to be off, learned from songs that the encoder did not learn from.

    E|y - y'|² / n_factors = a + b |y'|²

A good encoder answers what it cannot hear by the mean of what is possible, so for targets of length 1 long predictions
are sure ones: a is near 1 / n_factors and b near -1 / n_factors. For raw targets b may be positive: popular songs,
whose vectors are long, err most. A straight line through the songs not learned from tells which.
"""

import numpy as np

FEWEST = 20  # songs below which a line says nothing
LEAST = 0.05  # of the mean error: nothing is surer than that


def calibrate(predicted: np.ndarray, observed: np.ndarray) -> np.ndarray | None:
    """The line (a, b) by least squares, [2] float64; None for fewer than FEWEST songs.

    Args:
        predicted: y' [n_songs, n_factors] of songs not learned from.
        observed: y of the same songs.
    """
    if len(predicted) < FEWEST:
        return None
    errors = ((predicted.astype(np.float64) - observed) ** 2).mean(axis=1)
    squares = (predicted.astype(np.float64) ** 2).sum(axis=1)
    away = squares - squares.mean()
    spread = float(away @ away)
    slope = float(away @ errors) / spread if spread > 0 else 0.0
    return np.array([errors.mean() - slope * squares.mean(), slope])


def expected_errors(line: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Expected squared error of one factor [n_songs] float64, above 0.

    Args:
        line: (a, b) of `calibrate`.
        predicted: y' [n_songs, n_factors].
    """
    errors = line[0] + line[1] * (predicted.astype(np.float64) ** 2).sum(axis=1)
    middle = abs(float(np.mean(errors))) if len(errors) else 1.0
    return np.maximum(errors, max(LEAST * middle, 1e-12))

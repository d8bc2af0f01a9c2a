"""Expected against actual errors of predicted songs, by decile: does an encoder know how sure it is?

The actual error of a song is measured against factors that its hidden plays give, and these are noisy: a song with few
listeners is "off" however well it was heard, and no sound foretells how many listeners it will have. So there are
three tables: all songs, by sound alone; songs with ENOUGH listeners, whose factors are told well, by sound alone; and
all songs, with the noise of the plays added to what sound tells.
"""

from typing import Any

import numpy as np
from scipy.stats import spearmanr

from deepcuts.artifacts import SongFactors
from deepcuts.errors import InputError

ENOUGH = 50  # listeners
N_GROUPS = 10


def calibration(
    predicted: SongFactors,
    observed: np.ndarray,
    listeners: np.ndarray,
    known: tuple[SongFactors, np.ndarray, np.ndarray],
) -> list[dict[str, Any]]:
    """The three tables.

    Args:
        predicted: new songs with their precision, targets of length 1.
        observed: factors from the hidden plays of these songs [n_songs, n_factors]; zeros without plays.
        listeners: behind them [n_songs].
        known: cross-fitted predictions of learning songs, their observed factors and listeners: the noise of plays is
            learned from these alone.
    Returns:
        one dict a table: songs (which), n_songs, rank_correlation (Spearman), deciles (n, expected, actual).
    Raises:
        InputError: predictions that do not know their precision.
    """
    expected, actual = errors_of(predicted, observed)
    with_noise = expected_with_noise(expected, listeners, *known)
    heard, told_well = listeners > 0, listeners >= ENOUGH
    return [
        table("all songs, by sound alone", expected[heard], actual[heard]),
        table(f"songs with {ENOUGH} listeners or more, by sound alone", expected[told_well], actual[told_well]),
        table("all songs, by sound and the number of hidden listeners", with_noise[heard], actual[heard]),
    ]


def errors_of(predicted: SongFactors, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected and actual squared error of a factor [n_songs]; observed factors are brought to length 1."""
    if predicted.precision is None:
        raise InputError("calibration: predictions without a precision. Fit the encoder with songs to measure on.")
    length = np.linalg.norm(observed, axis=1, keepdims=True)
    unit = np.divide(observed, length, out=np.zeros(observed.shape), where=length > 0)
    return 1 / predicted.precision.astype(np.float64), ((predicted.vectors - unit) ** 2).mean(axis=1)


def expected_with_noise(
    expected: np.ndarray, listeners: np.ndarray, heard: SongFactors, observed: np.ndarray, behind: np.ndarray
) -> np.ndarray:
    """Expected errors of songs whose number of listeners is known [n_songs].

    E = p + q e + r log(1 + n) + s log²(1 + n),     e what sound expects, n listeners; least squares on known songs
    """
    own, actual = errors_of(heard, observed)
    coefficients = np.linalg.lstsq(_design(own, behind), actual, rcond=None)[0]
    return np.asarray(_design(expected, listeners) @ coefficients)


def _design(expected: np.ndarray, listeners: np.ndarray) -> np.ndarray:
    log = np.log1p(listeners.astype(np.float64))
    return np.column_stack([np.ones(len(log)), expected, log, log**2])


def table(songs: str, expected: np.ndarray, actual: np.ndarray) -> dict[str, Any]:
    """Mean expected and actual error by decile of the expected one, and the rank correlation over single songs."""
    groups = np.array_split(np.argsort(expected, kind="stable"), min(N_GROUPS, max(len(expected) // 5, 1)))
    deciles = [{"n": len(one), "expected": round(float(expected[one].mean()), 6),
                "actual": round(float(actual[one].mean()), 6)} for one in groups]  # fmt: skip
    rank = float(spearmanr(expected, actual).statistic) if len(expected) > 2 else float("nan")
    return {"songs": songs, "n_songs": len(expected), "rank_correlation": round(rank, 3), "deciles": deciles}

"""Tell when an encoder predicts no better than the mean; whether its rankings can be trusted, a trial tells."""

import logging

logger = logging.getLogger(__name__)

HARDLY_BETTER = 0.995  # of the error of the mean: chance alone gains that much on a few hundred songs
SMALL_DATA = "With fewer than a thousand songs try --encoder kernel."


def warn_if_no_better(error: float, of_mean: float, advice: str = SMALL_DATA) -> None:
    """Log a warning when songs that were not learned from are predicted no better than by the mean of all songs.

    Among a few dozen held-out songs the best of many ridges or epochs is better by luck, so that silence proves little.

    Args:
        error: of held-out songs, or of songs left out one by one.
        of_mean: the error on the same songs of the mean of all training songs; near 1, for targets are standardised.
        advice: what to try.
    """
    if error >= HARDLY_BETTER * of_mean:
        logger.warning(
            "squared error %.4f on songs not learned from, %.4f when predicting the mean of all songs: no better. "
            "Squared error says little of rankings: judge it by AUC on songs kept aside, with `deepcuts trial`. %s",
            *(error, of_mean, advice),
        )

"""What is known of one system after some of the users: enough to go on from, and in the end its row."""

from dataclasses import dataclass

import numpy as np

from deepcuts.evaluate.metrics import METRICS


@dataclass
class PartialResult:
    """Sums and values over the first `n_done` users.

    Attributes:
        values: [n_metrics, n_users], for each of METRICS the value of each user.
        sums: (map, auc) x (sum of values, sum of user counts) x replicates.
        beaten: [2, n_songs], the share of songs each song beats, summed over its listeners, and how many they are.
        tied: played songs whose score another song shares.
        n_done: users counted so far.
    """

    values: np.ndarray
    sums: np.ndarray
    beaten: np.ndarray
    tied: int = 0
    n_done: int = 0

    @classmethod
    def empty(cls, n_users: int, n_songs: int, n_bootstrap: int) -> "PartialResult":
        """Nothing counted yet."""
        return cls(np.full((len(METRICS), n_users), np.nan), np.zeros((2, 2, n_bootstrap)), np.zeros((2, n_songs)))

    def add(self, part: "PartialResult") -> None:
        """Count the users of `part`, all of them done, as the next ones."""
        self.values[:, self.n_done : self.n_done + part.n_done] = part.values
        self.sums += part.sums
        self.beaten += part.beaten
        self.tied += part.tied
        self.n_done += part.n_done

    @property
    def draws(self) -> np.ndarray:
        """The mean over users in each replicate, for map and auc [2, n_bootstrap]."""
        return ratio(self.sums[:, 0], self.sums[:, 1])

    @property
    def song_auc(self) -> np.ndarray:
        """For each song, the mean share it beats over its listeners [n_songs]; NaN without any."""
        return ratio(self.beaten[0], self.beaten[1])


def ratio(total: np.ndarray, by: np.ndarray) -> np.ndarray:
    """The quotient of each; NaN where `by` is 0."""
    return np.divide(total, by, out=np.full(total.shape, np.nan), where=by > 0)

"""Songs to learn from: what a lesson holds."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from deepcuts.artifacts import Features
from deepcuts.predict.encoder import Provenance


@dataclass(frozen=True, eq=False)
class Examples:
    """Some songs to learn from or to choose by.

    Attributes:
        songs: positions in the features [n_songs].
        targets: standardised factors [n_songs, n_factors] float32.
        weights: how much each song's error counts [n_songs] float32, in [0, 1].
        surplus: surplus confidence s = c - 1 [n_songs, n_users] CSR float32, stored where played; None unless the
            loss looks at plays.
        n_listeners: how many users played each song while the factors were learned [n_songs]; None where unknown.
        observed_loss: weighted prediction error of the observed factors [n_songs] float64; None likewise.
    """

    songs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    surplus: sparse.csr_array | None = None
    observed_loss: np.ndarray | None = None
    n_listeners: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.songs)

    def take(self, places: np.ndarray) -> "Examples":
        """Some of them (a mask or places), in the order given."""
        return Examples(
            self.songs[places],
            self.targets[places],
            self.weights[places],
            None if self.surplus is None else self.surplus[places],
            None if self.observed_loss is None else self.observed_loss[places],
            None if self.n_listeners is None else self.n_listeners[places],
        )

    @staticmethod
    def joined(one: "Examples", two: "Examples") -> "Examples":
        """Both, one after the other; what a loss on plays needs is left out."""
        known = one.n_listeners is not None and two.n_listeners is not None
        return Examples(
            np.concatenate([one.songs, two.songs]),
            np.concatenate([one.targets, two.targets]),
            np.concatenate([one.weights, two.weights]),
            n_listeners=np.concatenate([one.n_listeners, two.n_listeners]) if known else None,
        )


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Everything an encoder learns from.

    Attributes:
        features: what all songs sound like.
        train: the songs whose error is made small.
        validation: songs that only choose (when to stop, how much ridge); may be empty.
        provenance: what the encoder will say about itself.
        users: x_u [n_users, n_factors] float32; None unless the loss looks at users.
    """

    features: Features
    train: Examples
    validation: Examples
    provenance: Provenance
    users: np.ndarray | None = None

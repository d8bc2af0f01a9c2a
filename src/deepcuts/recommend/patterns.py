"""Usage patterns of all songs without a table of them: each row is made from the song's factors when it is asked for.

With z_i = L' y_i / |L' y_i| as in `similar`, and any root R of the Gram matrix (R R' = X'X),

    z_i . q = (R' y_i) . q / |R' y_i| = y_i . (R q) / |R' y_i|

so one product with the factors themselves answers, and beside them only a length for each song is kept.
"""

import numpy as np

from deepcuts.checks import check_finite, check_shape
from deepcuts.kernels.crew import each, one_blas_thread
from deepcuts.recommend.similar import ZERO, gram_root

ROWS_AT_ONCE = 1024  # made from factors at a time


class Patterns:
    """Unit vectors of all songs [n_songs, n_factors]; zeros for songs without a pattern.

    Args:
        song_factors: y [n_songs, n_factors] float32; held, not copied.
        root: R [n_factors, n_factors] float64; None for the factors' own directions, as in a model of sound.
    Raises:
        InputError: shapes that differ, or factors that are not finite.
    """

    def __init__(self, song_factors: np.ndarray, root: np.ndarray | None = None) -> None:
        check_shape("song_factors", song_factors, [None, None if root is None else len(root)])
        check_finite("song_factors", song_factors)
        self.song_factors, self.root = song_factors, root
        self.shape = song_factors.shape
        length = self._lengths()
        self.held = length > ZERO * length.max(initial=0)
        self.scale = np.divide(1.0, length, out=np.zeros_like(length), where=self.held)

    @staticmethod
    def of_usage(user_factors: np.ndarray, song_factors: np.ndarray) -> "Patterns":
        """Patterns of what users would play, as in `similar.usage_space`."""
        check_shape("user_factors", user_factors, [None, song_factors.shape[1]])
        check_finite("user_factors", user_factors)
        return Patterns(song_factors, gram_root(user_factors))

    def __len__(self) -> int:
        return self.shape[0]

    def _turned(self, songs: np.ndarray | slice) -> np.ndarray:
        rows = self.song_factors[songs].astype(np.float64)
        return rows if self.root is None else rows @ self.root

    def _lengths(self) -> np.ndarray:
        """|R' y_i| of all songs [n_songs]."""
        n_songs = len(self)
        length = np.zeros(n_songs)

        def work(block: tuple[int, int]) -> None:
            length[slice(*block)] = np.linalg.norm(self._turned(slice(*block)), axis=1)

        blocks = [(at, min(at + ROWS_AT_ONCE, n_songs)) for at in range(0, n_songs, ROWS_AT_ONCE)]
        with one_blas_thread():
            each(work, blocks, None, self.song_factors.size)
        return length

    def of(self, vectors: np.ndarray) -> np.ndarray:
        """Unit vectors of songs that are not among these, given their factors [n, n_factors]; float32."""
        turned = vectors.astype(np.float64)
        return unit_rows(turned if self.root is None else turned @ self.root)

    def take(self, songs: np.ndarray) -> np.ndarray:
        """Rows of songs at positions [n, n_factors] float32."""
        return (self._turned(songs) * self.scale[songs, None]).astype(np.float32)

    def products(self, songs: np.ndarray, query: np.ndarray) -> np.ndarray:
        """z_i . q of songs at positions [n] float64; equal songs score the same."""
        towards = query if self.root is None else self.root @ query
        return np.asarray((self.song_factors[songs] * towards).sum(axis=1) * self.scale[songs])

    def dot(self, queries: np.ndarray) -> np.ndarray:
        """z_i . q of all songs, in float32.

        Args:
            queries: one [n_factors] or several [n_factors, n].
        Returns:
            [n_songs] or [n_songs, n].
        """
        towards = queries if self.root is None else self.root @ queries
        scale = self.scale.astype(np.float32)
        return self.song_factors @ towards.astype(np.float32) * (scale if queries.ndim == 1 else scale[:, None])


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows divided by their lengths, float32; zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros(rows.shape, np.float32), where=length > 0)

"""Vector quantisation: the nearest word of each frame, and k-means by Lloyd's sweeps on top of it.

A word is a typical frame, one centre of k-means. Frames are compared by a matrix product, a block of frames at a time
and small enough for its table of frames × words to stay in the cache. Blocks are the same whatever the number of
threads, and so is the result.
"""

import numpy as np
from scipy import sparse

from deepcuts.checks import check_shape
from deepcuts.kernels.crew import each, every, one_blas_thread
from deepcuts.progress import progress

SCORES_IN_CACHE = 2**20  # a block of frames × words as float32: 4 MB, so that row maxima are read from cache


@one_blas_thread()
def nearest_word(frames: np.ndarray, words: np.ndarray, *, n_threads: int | None = None) -> np.ndarray:
    """The word nearest to each frame by Euclidean distance; among equally near ones the first.

        argmin_k |x - w_k|² = argmax_k (x·w_k - |w_k|²/2)

    In float32, so where two words are equally near to about 1e-6 of the squared distance either may be given.

    Args:
        frames: x [n_frames, n_channels], finite.
        words: w [n_words, n_channels], finite, at least one.
        n_threads: None takes all processors, or OMP_NUM_THREADS where set.
    Returns:
        word of each frame [n_frames] int32, 0 to n_words - 1.
    """
    check_shape("frames", frames, [None, words.shape[1]])
    shift = words.mean(axis=0, dtype=np.float64).astype(np.float32)  # smaller numbers, less rounding
    centred = words.astype(np.float32) - shift
    start = (-0.5 * np.einsum("kc,kc->k", centred, centred, dtype=np.float64)).astype(np.float32)
    nearest = np.empty(len(frames), dtype=np.int32)
    plan = np.vstack([centred.T, start])  # the ones beside x bring the starts in

    def work(block: tuple[int, int]) -> None:
        part = slice(*block)
        x = np.ascontiguousarray(frames[part], np.float32) - shift
        nearest[part] = (np.column_stack([x, np.ones(len(x), np.float32)]) @ plan).argmax(axis=1)

    rows = max(SCORES_IN_CACHE // len(words), 16)
    each(work, every(len(frames), rows), n_threads, len(frames) * len(words))
    return nearest


def nearest_word_slow(frames: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Readable twin of `nearest_word`: each frame against each word, in float64."""
    nearest = np.empty(len(frames), dtype=np.int32)
    for i, frame in enumerate(frames.astype(np.float64)):
        nearest[i] = np.argmin(np.sum((words.astype(np.float64) - frame) ** 2, axis=1))
    return nearest


def improve_words(
    frames: np.ndarray, start: np.ndarray, n_sweeps: int, tolerance: float
) -> tuple[np.ndarray, list[float]]:
    """Words by Lloyd's algorithm: give each frame its nearest word, move each word to the mean of its frames, repeat.

    A word that no frame chose moves to the frame farthest from its own word. Stops early when the distortion falls by
    less than `tolerance` of itself.

    Args:
        frames: [n_frames, n_channels] float32.
        start: first words [n_words, n_channels].
        n_sweeps: most sweeps, at least 1.
        tolerance: relative fall of the distortion below which to stop; 0 sweeps on until nothing changes.
    Returns:
        words [n_words, n_channels] float32, and for each sweep the distortion: the mean squared distance of a frame to
        its word. It never rises.
    """
    words = start.astype(np.float32)
    distortions: list[float] = []
    with progress("learn words", n_sweeps, "sweep") as bar:
        for _ in range(n_sweeps):
            nearest = nearest_word(frames, words)
            distances = squared_distances(frames, words, nearest)
            distortions.append(float(distances.mean(dtype=np.float64)))
            bar.advance(1, note=f"distortion {distortions[-1]:.4g}")
            if len(distortions) > 1 and distortions[-2] - distortions[-1] <= tolerance * distortions[-2]:
                break
            words = mean_frames(frames, nearest, distances, len(words))
    return words, distortions


def squared_distances(frames: np.ndarray, words: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Squared distance of each frame to the word it was given [n_frames] float32, from the differences themselves."""
    distances = np.empty(len(frames), dtype=np.float32)
    for first in range(0, len(frames), 2**15):
        part = slice(first, first + 2**15)
        away = frames[part] - words[nearest[part]]
        distances[part] = np.einsum("nc,nc->n", away, away)
    return distances


def mean_frames(frames: np.ndarray, nearest: np.ndarray, distances: np.ndarray, n_words: int) -> np.ndarray:
    """Each word as the mean of its frames; a word without frames becomes the frame farthest from its own word."""
    picks = sparse.csr_array(
        (np.ones(len(frames), np.float32), nearest, np.arange(len(frames) + 1)), shape=(len(frames), n_words)
    )
    held = np.bincount(nearest, minlength=n_words)
    words = (picks.T @ frames) / np.maximum(held, 1)[:, None].astype(np.float32)
    empty = np.flatnonzero(held == 0)
    if len(empty):
        words[empty] = frames[np.argsort(-distances, kind="stable")[: len(empty)]]
    return words.astype(np.float32)

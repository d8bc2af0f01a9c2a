"""The nearest of 4,000 words to each frame, against faiss's exact search (IndexFlatL2, k = 1).

OMP_NUM_THREADS=1 python bench/words.py --quick
"""

import faiss
import numpy as np

from deepcuts.kernels.words import nearest_word
from sides import Row, alternate, floors, main, row, threads

N_WORDS, N_CHANNELS = 4_000, 39


def measure(quick: bool) -> list[Row]:
    n_frames = 50_000
    rng = np.random.default_rng(0)
    spread = np.linspace(2, 0.5, N_CHANNELS, dtype=np.float32)  # channels differ, as those of MFCC do
    words = rng.standard_normal((N_WORDS, N_CHANNELS), dtype=np.float32) * spread
    frames = rng.standard_normal((n_frames, N_CHANNELS), dtype=np.float32) * spread
    faiss.omp_set_num_threads(threads())
    index = faiss.IndexFlatL2(N_CHANNELS)
    index.add(words)
    n_other = check(frames, words, index)
    gemm = floors().get("gemm_f32")
    ours, theirs = alternate(
        lambda: nearest_word(frames, words, n_threads=threads()),
        lambda: index.search(frames, 1),
        repeats=5 if quick else 15,
    )
    return [
        row(
            f"nearest of {N_WORDS:,} words, {n_frames:,} frames of {N_CHANNELS} channels",
            ours,
            theirs,
            against=f"faiss {faiss.__version__} IndexFlatL2",
            must=0.9,
            aim=0.5,
            floor=2 * n_frames * N_WORDS * N_CHANNELS / gemm if gemm else None,
            note=f"Same words but for {n_other} frames with two equally near to 1e-6. The floor is the product alone.",
        )
    ]


def check(frames: np.ndarray, words: np.ndarray, index: faiss.IndexFlatL2) -> int:
    """How many frames are given another word than faiss's; refuses one that is farther away."""
    ours, theirs = nearest_word(frames, words), index.search(frames, 1)[1][:, 0]
    other = np.flatnonzero(ours != theirs)
    far, near = (
        np.sum((frames[other] - words[found[other]]).astype(np.float64) ** 2, axis=1) for found in (ours, theirs)
    )
    np.testing.assert_allclose(far, near, rtol=1e-6)
    return len(other)


if __name__ == "__main__":
    main(measure, __doc__)

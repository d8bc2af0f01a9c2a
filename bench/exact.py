"""WMF sweeps, each row solved exactly, against `implicit` without conjugate gradient (Cholesky, float32).

    OMP_NUM_THREADS=1 python bench/exact.py --quick

The same contest as als.py.
"""

import numpy as np
from scipy import sparse

from als import SMALL, contest, made_plays
from sides import Row, floors, main


def floor_of_exact(counts: sparse.csr_array, n_factors: int) -> float | None:
    """What either form of exact.py must multiply, at the speed of a large float32 product.

    A row of n plays: half of the m² entries of the matrix, m = min(n, f), of max(n, f) terms each; m³/3 to factor it.
    """
    limits = floors()
    if not limits:
        return None
    n_plays = np.concatenate([np.diff(counts.indptr), np.bincount(counts.indices, minlength=counts.shape[1])])
    m = np.minimum(n_plays, n_factors).astype(np.float64)
    return float((m**2 * np.maximum(n_plays, n_factors) + m**3 / 3).sum() / limits["gemm_f32"])


def measure(quick: bool) -> list[Row]:
    if quick:
        counts = made_plays(2_000, 1_000, 80_000, np.random.default_rng(0))
        return [contest(counts, f, 0, 1, floor_of_exact, must=0.5, aim=0.35) for f in (128, 400)]
    counts = made_plays(*SMALL, np.random.default_rng(0))
    return [contest(counts, f, 0, 5, floor_of_exact, must=0.5, aim=0.35) for f in (128, 400)]


if __name__ == "__main__":
    main(measure, __doc__)

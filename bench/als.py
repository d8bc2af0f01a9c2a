"""WMF sweep against `implicit` (conjugate gradient, 3 steps), same plays, same beginning, same objective.

    python bench/als.py --factors 50,128,400 --repeats 5

Both run a full sweep (users, then songs) in turn, so a busy neighbour slows both. implicit's BLAS is held to one
thread, as its own documentation asks. Prints medians in seconds, their ratio, and the objectives after all sweeps.
"""

import argparse
import os
import time

import implicit.als
import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from deepcuts.factors import wmf
from deepcuts.kernels import als


def made_plays(n_users: int, n_songs: int, n_plays: int, rng: np.random.Generator) -> sparse.csr_array:
    """Counts with log-normal activity and popularity and 20 hidden tastes."""
    popularity = rng.lognormal(0, 1.2, n_songs)
    activity = rng.lognormal(0, 0.8, n_users)
    tastes, styles = rng.integers(20, size=n_users), rng.integers(20, size=n_songs)
    rows = rng.choice(n_users, size=3 * n_plays, p=activity / activity.sum())
    columns = rng.choice(n_songs, size=3 * n_plays, p=popularity / popularity.sum())
    liked = (tastes[rows] == styles[columns]) | (rng.random(3 * n_plays) < 0.3)
    pairs = np.unique(rows[liked] * np.int64(n_songs) + columns[liked])
    pairs = np.sort(rng.permutation(pairs)[:n_plays])
    counts = rng.geometric(0.4, size=len(pairs)).astype(np.float32)
    return sparse.csr_array((counts, (pairs // n_songs, pairs % n_songs)), shape=(n_users, n_songs))


def our_sweep(
    surplus: sparse.csr_array, by_song: sparse.csr_array, X: np.ndarray, Y: np.ndarray, settings: wmf.WmfSettings
) -> None:
    for side, fixed, rows in ((surplus, Y, X), (by_song, X, Y)):
        als.solve_rows(
            side.indptr,
            side.indices,
            side.data,
            fixed,
            als.gram(fixed),
            rows,
            regularization=settings.regularization,
            n_steps=settings.n_steps,
        )


def compare(counts: sparse.csr_array, n_factors: int, repeats: int, regularization: float, n_steps: int) -> None:
    settings = wmf.WmfSettings(n_factors=n_factors, regularization=regularization, n_steps=n_steps)
    surplus = wmf.surplus_confidence(counts, settings.alpha, settings.epsilon)
    by_song = surplus.T.tocsr()
    n_users, n_songs = counts.shape
    Y = (0.01 * np.random.default_rng(0).standard_normal((n_songs, n_factors))).astype(np.float32)
    X = np.zeros((n_users, n_factors), np.float32)
    theirs = implicit.als.AlternatingLeastSquares(
        factors=n_factors, regularization=regularization, iterations=1, use_cg=True, num_threads=als.default_threads()
    )
    theirs.user_factors, theirs.item_factors = X.copy(), Y.copy()
    confidence = sparse.csr_matrix(surplus)
    confidence.data = confidence.data + 1  # implicit reads the stored number as c, not as c - 1
    ours_s, theirs_s = [], []
    for _ in range(repeats):
        begin = time.perf_counter()
        our_sweep(surplus, by_song, X, Y, settings)
        ours_s.append(time.perf_counter() - begin)
        with threadpool_limits(1, "blas"):
            theirs.fit(
                confidence, show_progress=False, callback=lambda _i, seconds, _loss: theirs_s.append(seconds)
            )  # the callback's time leaves out the transpose
    objectives = [
        wmf.objective(surplus, x, y, regularization) for x, y in ((X, Y), (theirs.user_factors, theirs.item_factors))
    ]
    a, b = np.median(ours_s), np.median(theirs_s)
    print(
        f"f={n_factors:4d}  ours {a:.3f} s  implicit {b:.3f} s  ratio {a / b:.2f}  "
        f"objective ours/implicit - 1 = {objectives[0] / objectives[1] - 1:+.1e} after {repeats} sweeps",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--songs", type=int, default=10_000)
    parser.add_argument("--plays", type=int, default=1_070_000)
    parser.add_argument("--factors", default="50,128,400")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--regularization", type=float, default=1e-5)
    parser.add_argument("--steps", type=int, default=wmf.WmfSettings().n_steps)
    told = parser.parse_args()
    counts = made_plays(told.users, told.songs, told.plays, np.random.default_rng(0))
    print(
        f"{counts.shape[0]} users, {counts.shape[1]} songs, {counts.nnz} plays; {als.backend()}; {os.cpu_count()} CPUs"
    )
    for n_factors in told.factors.split(","):
        compare(counts, int(n_factors), told.repeats, told.regularization, told.steps)


if __name__ == "__main__":
    main()

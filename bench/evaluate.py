"""Evaluation at the size of the Million Song Dataset's hidden songs, against its own matrix product and scikit-learn.

    OMP_NUM_THREADS=2 python bench/evaluate.py

Ours: scores, places and all metrics of 10,000 users for 46,728 songs, 400 factors, a chunk of users at a time. Beside
it the product of the same matrices by NumPy alone, in chunks too, and `sklearn.metrics.roc_auc_score` over the same
users, which is given the scores, ready made. The replicates behind the intervals are left out: neither of the two has
them. AUC and AP of a sample of users must equal scikit-learn's.
"""

import statistics

import numpy as np
import sklearn
from scipy import sparse
from sklearn.metrics import average_precision_score, roc_auc_score
from threadpoolctl import threadpool_limits

from deepcuts.evaluate import EvaluateSettings, System, evaluate
from deepcuts.evaluate.metrics import average_precision
from sides import Row, floors, main, row, seconds, threads

N_SONGS, N_FACTORS, N_PLAYED = 46_728, 400, 5.8  # 5.8 hidden plays a user, as in the Million Song Dataset
SAMPLE = 100  # users whose numbers are compared, and timed with scikit-learn


def made(n_users: int) -> tuple[np.ndarray, np.ndarray, sparse.csr_array]:
    """Users, songs and hidden plays: some users played one of the songs, a few played a hundred."""
    rng = np.random.default_rng(0)
    users = rng.standard_normal((n_users, N_FACTORS), dtype=np.float32)
    songs = rng.standard_normal((N_SONGS, N_FACTORS), dtype=np.float32)
    n_played = np.minimum(rng.geometric(1 / N_PLAYED, n_users), 500)
    n_played[0] = 500
    pairs = np.repeat(np.arange(n_users), n_played), rng.integers(N_SONGS, size=n_played.sum())
    return users, songs, sparse.csr_array((np.ones(len(pairs[0]), np.float32), pairs), (n_users, N_SONGS))


def check(users: np.ndarray, songs: np.ndarray, played: sparse.csr_array) -> None:
    """AUC and AP over the whole list must be scikit-learn's (which counts the rare ties of float32 otherwise in AP)."""
    found = evaluate([System("ours", users, songs)], played, fast_settings()).rows[0].values["auc"][:SAMPLE]
    scores, hit = users[:SAMPLE] @ songs.T, played[:SAMPLE].toarray() > 0
    wanted = [roc_auc_score(h, s) for h, s in zip(hit, scores, strict=True)]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    wanted = [average_precision_score(h, s) for h, s in zip(hit, scores, strict=True)]
    np.testing.assert_allclose(average_precision(scores, hit, at=N_SONGS), wanted, atol=1e-6)


def fast_settings() -> EvaluateSettings:
    """With as few replicates as are allowed, for one user."""
    return EvaluateSettings(n_bootstrap=2, bootstrap_users=1)


def measure(quick: bool) -> list[Row]:
    """The two rows of the table."""
    n_users = 10_000
    users, songs, played = made(n_users)
    check(users[:SAMPLE], songs, played[:SAMPLE])
    system, settings = System("ours", users, songs), fast_settings()
    by_song = np.ascontiguousarray(songs.T)

    def product() -> None:
        kept = np.empty((1024, N_SONGS), np.float32)  # used again for every chunk, as ours
        for first in range(0, n_users, len(kept)):
            part = users[first : first + len(kept)]
            np.matmul(part, by_song, out=kept[: len(part)])

    scores, hit = users[:SAMPLE] @ songs.T, played[:SAMPLE].toarray() > 0

    def scikit_learn() -> None:
        for h, s in zip(hit, scores, strict=True):
            roc_auc_score(h, s)

    with threadpool_limits(threads(), user_api="blas"):
        sides = (lambda: evaluate([system], played, settings), product, scikit_learn)
        turns = [[seconds(side) for side in sides] for _ in range(4 if quick else 6)][1:]
    ours, theirs, sample = (list(side) for side in zip(*turns, strict=True))
    scaled = [one * n_users / SAMPLE for one in sample]
    flop = 2.0 * n_users * N_SONGS * N_FACTORS
    floor = flop / floors()["gemm_f32"] if floors() else None
    work = f"scores, places and metrics, {n_users:,} users x {N_SONGS:,} songs, {N_FACTORS} factors"
    version = f"scikit-learn {sklearn.__version__} roc_auc_score, scores given"
    equal = f"AUC and AP of {SAMPLE} users equal scikit-learn's"
    alone = f"numpy {np.__version__}, the matrix product alone"
    rate = f"{equal}; the product ran at {flop / statistics.median(theirs) / 1e9:.0f} GFLOP/s"
    timed = f"{equal}; its time is that of {SAMPLE} users, scaled, one thread"
    return [
        row(work, ours, theirs, against=alone, must=1.35, aim=1.15, floor=floor, note=rate),
        row(work, ours, scaled, against=version, must=0.04, floor=floor, note=timed),
    ]


if __name__ == "__main__":
    main(measure, __doc__)

"""The 100 best of 380,000 songs for one user, f = 400, exactly: `SongIndex` against faiss's flat index in float32.

    OMP_NUM_THREADS=2 python bench/scan.py

Songs are factors fitted by our WMF on made plays; Gaussian ones, with no popular songs to begin with, stand in a row of
their own. Every list of ours is compared with a full sort of float64 products.
"""

import time
from collections.abc import Callable
from statistics import median

import faiss
import numpy as np

from als import made_plays
from deepcuts.factors import wmf
from deepcuts.kernels import als, scan
from deepcuts.recommend import SongIndex
from sides import Row, floors, main, row, seconds, threads

K = 100
Answer = Callable[[np.ndarray], np.ndarray]


def fitted(n_songs: int, n_users: int, n_factors: int) -> tuple[np.ndarray, np.ndarray]:
    """Users and songs after two sweeps of WMF; five plays a song, as the long tail has."""
    counts = made_plays(n_users, n_songs, 5 * n_songs, np.random.default_rng(0))
    settings = wmf.WmfSettings(n_factors=n_factors)
    surplus = wmf.surplus_confidence(counts, settings.alpha, settings.epsilon)
    Y = (0.01 * np.random.default_rng(0).standard_normal((n_songs, n_factors))).astype(np.float32)
    X = np.zeros((n_users, n_factors), np.float32)
    how = {"regularization": settings.regularization, "n_steps": settings.n_steps}
    for _ in range(2):
        for side, fixed, rows in ((surplus, Y, X), (surplus.T.tocsr(), X, Y)):
            als.solve_rows(side.indptr, side.indices, side.data, fixed, als.gram(fixed), rows, **how)
    return X[np.diff(surplus.indptr) > 0], Y


def gaussian(n_songs: int, n_users: int, n_factors: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal((n, n_factors), dtype=np.float32) for n in (n_users, n_songs))


def flat(Y: np.ndarray, n_parts: int = 1) -> faiss.Index:
    """The opponent. It gives one query to one thread; in shards, each part of the songs has a thread of its own."""
    if n_parts > 1:
        shards = faiss.IndexShards(Y.shape[1], True, True)
        for part in np.array_split(Y, n_parts):
            shards.add_shard(flat(part))
        return shards
    index = faiss.IndexFlatIP(Y.shape[1])
    index.add(Y)
    return index


def recall(answer: Answer, users: np.ndarray, Y: np.ndarray) -> float:
    """The mean share of the true best K songs in the answers."""
    shares = []
    for x in users:
        exact = np.concatenate([part @ x.astype(np.float64) for part in np.array_split(Y, 64)])
        shares.append(len(set(np.argpartition(-exact, K)[:K]) & set(answer(x).tolist())) / K)
    return float(np.mean(shares))


def in_turn(sides: list[Answer], users: np.ndarray) -> list[list[float]]:
    """Milliseconds of each side for each user, one side after the other; the first user only warms up."""
    times = [[1e3 * seconds(lambda s=side, x=x: s(x)) for side in sides] for x in users]
    return [list(column) for column in zip(*times[1:], strict=True)]


def compare(name: str, X: np.ndarray, Y: np.ndarray, n_queries: int) -> list[Row]:
    began = time.perf_counter()
    index = SongIndex(Y, n_threads=threads())
    build = time.perf_counter() - began
    faiss.omp_set_num_threads(threads())
    users = X[np.random.default_rng(1).choice(len(X), n_queries, replace=False)]
    whole = flat(Y)
    ours, theirs = (lambda x: index.best(x, K)[0]), (lambda x: whole.search(x[None], K)[1][0])
    found = recall(ours, users[:10], Y)
    if found < 1:
        raise SystemExit(f"{name}: recall is {found}, not 1: the certificate is broken")
    skip = np.zeros(len(Y), bool)
    left = [len(scan.may_be_best(index.rounded, x, K, skip, threads())) for x in users] if index.rounded else [0]
    note = f"recall 1 (faiss {recall(theirs, users[:10], Y):.4f}); {median(left):g} songs left to score in full; "
    note += f"index built in {build:.1f} s"
    work = f"top {K} of {len(Y):,} songs for one user, f = {Y.shape[1]}, {name} factors"
    floor = 1e3 * Y.size / floors()["read"] if floors() else None  # a byte for each factor
    told = {"must": 0.25, "aim": 0.2, "floor": floor, "unit": "ms"}
    version = f"faiss {faiss.__version__} IndexFlatIP, float32"
    ours_ms, theirs_ms = in_turn([ours, theirs], users)
    rows = [row(work, ours_ms, theirs_ms, against=version, note=note, **told)]
    if threads() > 1:
        del whole
        shards = flat(Y, threads())
        ours_ms, theirs_ms = in_turn([ours, lambda x: shards.search(x[None], K)[1][0]], users)
        note = "faiss at its best: a shard of the songs for each thread"
        rows.append(row(work, ours_ms, theirs_ms, against=f"{version}, in shards", note=note, **told))
    return rows


def measure(quick: bool) -> list[Row]:
    sizes, n_queries = (380_000, 20_000, 400), 15 if quick else 41
    rows = compare("WMF", *fitted(*sizes), n_queries)
    return rows if quick else rows + compare("Gaussian", *gaussian(*sizes), n_queries)


if __name__ == "__main__":
    main(measure, __doc__)

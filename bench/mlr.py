"""How long metric learning to rank takes, and what it gains, on planted songs.

    python bench/mlr.py                    # 2,000 songs with 100 features, ADMM
    python bench/mlr.py --solver primal --songs 500 --features 20

Planted: which songs are alike is told by the first 5 features, the others are noise. Held out: as many songs again.
Reports process CPU time, so a busy machine does not matter.
"""

import argparse
import time

import numpy as np

from deepcuts.lab.mlr.metric import MlrSettings, fit


def planted(n_songs: int, n_features: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    features = rng.normal(size=(n_songs, n_features))
    distance = squared_distances(features[:, :5] + 0.1 * rng.normal(size=(n_songs, 5)))
    np.fill_diagonal(distance, np.inf)
    return features, np.argsort(distance, axis=1)[:, :10]


def squared_distances(points: np.ndarray) -> np.ndarray:
    norms = (points**2).sum(axis=1)
    return norms[:, None] + norms - 2 * points @ points.T


def auc(distance: np.ndarray, relevant: np.ndarray) -> float:
    values = []
    for query, good in enumerate(relevant):
        bad = np.delete(distance[query], [*good, query])
        values.append((distance[query, good][:, None] < bad).mean())
    return float(np.mean(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--songs", type=int, default=2000)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--loss", default="auc")
    parser.add_argument("--solver", default="admm")
    parser.add_argument("--batch", type=int, default=None)
    parser.add_argument("-C", type=float, default=MlrSettings.C)
    asked = parser.parse_args()
    features, relevant = planted(asked.songs, asked.features, np.random.default_rng(0))
    others, others_relevant = planted(asked.songs, asked.features, np.random.default_rng(1))
    settings = MlrSettings(loss=asked.loss, solver=asked.solver, C=asked.C, batch=asked.batch)
    start = time.process_time()
    metric = fit(features, relevant, settings, np.random.default_rng(0))
    seconds = time.process_time() - start
    last = metric.history.row(-1, named=True)
    print(f"{asked.songs} songs, {asked.features} features, {asked.loss}, {asked.solver}, C = {asked.C:g}")
    print(f"{metric.history.height} rounds, {seconds:.0f} s of CPU, converged: {metric.converged}")
    print(f"violation {last['violation']:.2g}, objective {last['objective']:.5g}, proven >= {last['bound']:.5g}")
    print(
        f"AUC of held-out queries: {auc(squared_distances(metric.place(others)), others_relevant):.4f}, "
        f"Euclidean {auc(squared_distances(others), others_relevant):.4f}"
    )


if __name__ == "__main__":
    main()

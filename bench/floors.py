"""The machine's own limits, measured: matrix product, memory bandwidth, gather of random rows.

    python bench/floors.py floors.json     # {"1": {...}, "2": {...}}: for 1 thread and for all

gemm_f32, gemm_f64, gemm_torch_f32, gemm_torch_bf16   FLOP/s of a square product of 2,048
read                                                  bytes/s of a sum over 1 GiB
gather_50, gather_128, gather_400                     bytes/s of reading random float32 rows of that many values
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from deepcuts.kernels import native


def rate(work: Callable[[], object], amount: float) -> float:
    """Median of amount / second over 5 calls, after one to warm up."""
    work()
    times = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return amount / statistics.median(times)


def measure(n_threads: int) -> dict[str, float]:
    torch.set_num_threads(n_threads)
    rng, n = np.random.default_rng(0), 2048
    found: dict[str, float] = {}
    with threadpool_limits(n_threads), ThreadPoolExecutor(n_threads) as pool:
        for name, kind in (("gemm_f32", np.float32), ("gemm_f64", np.float64)):
            a = rng.standard_normal((n, n)).astype(kind)
            found[name] = rate(lambda a=a: a @ a, 2 * n**3)
        for name, kind in (("gemm_torch_f32", torch.float32), ("gemm_torch_bf16", torch.bfloat16)):
            b = torch.randn(n, n).to(kind)
            found[name] = rate(lambda b=b: b @ b, 2 * n**3)
        memory = np.ones(2**28, np.float32)
        parts = np.array_split(memory, n_threads)
        found["read"] = rate(lambda: list(pool.map(np.sum, parts)), memory.nbytes)
        for width in (50, 128, 400):
            rows = memory[: len(memory) // width * width].reshape(-1, width)
            wanted = rng.integers(len(rows), size=2**28 // width)
            found[f"gather_{width}"] = rate(
                lambda r=rows, w=wanted: list(pool.map(lambda p: gather(r, p), np.array_split(w, n_threads))),
                4.0 * width * len(wanted),
            )
    return found


def gather(rows: np.ndarray, wanted: np.ndarray) -> None:
    """Read the rows through a small buffer that stays in cache: nothing of size is written."""
    held = np.empty((256, rows.shape[1]), np.float32)
    for first in range(0, len(wanted) - 256, 256):
        np.take(rows, wanted[first : first + 256], axis=0, out=held, mode="clip")


if __name__ == "__main__":
    every = {str(n): measure(n) for n in sorted({1, native.n_cores()})}
    Path(sys.argv[1]).write_text(json.dumps(every, indent=1) + "\n")
    print("floors:", ", ".join(f"{name} {found / 1e9:.4g} G" for name, found in every[max(every)].items()))

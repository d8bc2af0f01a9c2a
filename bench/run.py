"""All benchmarks, side by side with the libraries people use today: `make bench`, or `make bench-quick` (5 minutes).

    python bench/run.py [--quick] [--only als,scan] [-o docs]

Each runs in a process of its own with its threads pinned, one after the other. Writes benchmarks.json, benchmarks.md
and benchmarks-growth.png. With --only, rows of the others are kept. Exit code 1 when a benchmark failed to run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from deepcuts.kernels import native
from deepcuts.progress import progress
from deepcuts.store import write_file
from page import markdown

HERE = Path(__file__).parent
# Threads of each side; 1 where the claim is "per core".
WORKS = {
    **{"als": 2, "exact": 2, "evaluate": 2, "scan": 2, "triplets": 2, "cnn": 2, "loading": 2},
    **{"audio": 1, "world": 1, "words": 1},
}
PINS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS")


def run(command: list[str], n_threads: int, floors: Path | None) -> bool:
    """Run one file of this folder; its talk goes to stderr. True when it succeeded."""
    told = {name: str(n_threads) for name in PINS}
    if floors is not None:
        told["BENCH_FLOORS"] = str(floors)
    code = subprocess.run([sys.executable, *command], env={**os.environ, **told}, stdout=sys.stderr).returncode
    return code == 0


def measure(names: list[str], quick: bool, scratch: Path) -> tuple[dict[str, Any], dict[str, float], list[str]]:
    """Rows of each benchmark, how long each took, and which failed."""
    floors, more = scratch / "floors.json", ["--quick"] if quick else []
    found: dict[str, Any] = {"works": {}}
    took: dict[str, float] = {}
    failed = []
    n_cores = native.n_cores()
    with progress("bench", total=len(names) + 2, unit="benchmark") as bar:
        for name in ["floors", *names, "growth"]:
            began, output = time.monotonic(), scratch / f"{name}.json"
            n_threads = min(WORKS.get(name, n_cores), n_cores)
            words = [str(output)] if name == "floors" else ["-o", str(output), *more]
            good = run([str(HERE / f"{name}.py"), *words], n_threads, floors if name != "floors" else None)
            took[name] = time.monotonic() - began
            if not good:
                failed.append(name)
            elif name in WORKS:
                found["works"][name] = json.loads(output.read_text())
            else:
                found[name] = json.loads(output.read_text())
            bar.advance(1, note=name)
    return found, took, failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer repeats: 5 minutes")
    parser.add_argument("--only", help=f"some of {','.join(WORKS)}")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"), help="folder of the page")
    given = parser.parse_args()
    names = list(WORKS) if given.only is None else given.only.split(",")
    unknown = set(names) - set(WORKS)
    if unknown:
        sys.exit(f"--only {given.only}: no benchmark {min(unknown)!r}; there are {', '.join(WORKS)}.")
    given.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        found, took, failed = measure(names, given.quick, Path(scratch))
        picture = Path(scratch) / "growth.png"
        if picture.exists():
            (given.output / "benchmarks-growth.png").write_bytes(picture.read_bytes())
    keep(found, took, given.output / "benchmarks.json", given.only is not None, given.quick)
    write_file(given.output / "benchmarks.md", markdown(given.output))
    rows = json.loads((given.output / "benchmarks.json").read_text())
    missed = [row["work"] for row in rows if row["ratio"] > row["must"]]
    print(f"{given.output}/benchmarks.md: {len(rows) - len(missed)} of {len(rows)} musts met")
    print(*(f"missed: {one}" for one in missed), *(f"failed: {one}" for one in failed), sep="\n")
    sys.exit(1 if failed else 0)


def keep(found: dict[str, Any], took: dict[str, float], path: Path, some: bool, quick: bool) -> None:
    """Write the rows, and beside them what is not a row: floors, growth, seconds of each benchmark."""
    rows: list[dict[str, Any]] = []
    beside: dict[str, Any] = {"quick": quick}
    about = path.with_name("benchmarks-about.json")
    if some and path.exists() and about.exists():
        rows, beside = json.loads(path.read_text()), json.loads(about.read_text())
    new = [{**row, "bench": name} for name, made in found["works"].items() for row in made]
    order = {name: place for place, name in enumerate(WORKS)}
    rows = [row for row in rows if row["bench"] not in found["works"]] + new
    rows.sort(key=lambda row: order[row["bench"]])
    beside |= {name: found[name] for name in ("floors", "growth") if name in found}
    beside["took"] = {**beside.get("took", {}), **{name: round(s, 1) for name, s in took.items()}}
    write_file(path, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    write_file(about, json.dumps(beside, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

"""What every benchmark shares: two sides measured in turn, a row of the table, the machine's floors.

A benchmark is a file here with `measure(quick: bool) -> list[Row]`, run alone in a process of its own with its threads
pinned (`python bench/run.py` does that, `OMP_NUM_THREADS=2 python bench/als.py --quick` does it for one).
"""

import argparse
import gc
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

REPEATS = 5


@dataclass(frozen=True)
class Row:
    """One line of the benchmark table.

    Attributes:
        work: what is done, with its size.
        ours, theirs: cost in `unit`, medians; lower is better.
        against: what `theirs` is, with its version.
        ratio: ours / theirs, of the medians. A share of a peak stands as its inverse.
        must, aim: what the ratio must not, or should not, exceed.
        floor: the cost at the machine's own limit, measured in the same run; None where that has no meaning.
        unit: of ours, theirs and floor.
        low, high: least and greatest ratio of the pairs measured one after the other.
        n: measurements of each side.
        threads: each side was given.
        note: one sentence: what else was checked (equal results, recall, bytes).
    """

    work: str
    ours: float
    theirs: float
    against: str
    ratio: float
    must: float
    aim: float | None
    floor: float | None
    unit: str
    low: float
    high: float
    n: int
    threads: int
    note: str = ""


def threads() -> int:
    """How many threads each side is given: OMP_NUM_THREADS, 1 when unset."""
    return int(os.environ.get("OMP_NUM_THREADS", "1"))


def floors() -> dict[str, float]:
    """The machine's limits at this number of threads, see floors.py; empty when they were not measured."""
    path = os.environ.get("BENCH_FLOORS")
    return json.loads(Path(path).read_text())[str(threads())] if path else {}


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    gc.collect()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def alternate(
    ours: Callable[[], object], theirs: Callable[[], object], repeats: int = REPEATS
) -> tuple[list[float], list[float]]:
    """Seconds of both, in turn, so that a busy neighbour slows both; the first turn of each only warms up."""
    ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def row(
    work: str,
    ours: list[float],
    theirs: list[float],
    *,
    against: str,
    must: float,
    aim: float | None = None,
    floor: float | None = None,
    unit: str = "s",
    note: str = "",
) -> Row:
    """A row of the medians of costs measured in pairs."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    a, b = statistics.median(ours), statistics.median(theirs)
    spread = (min(ratios), max(ratios), len(ours), threads())
    return Row(work, a, b, against, a / b, must, aim, floor, unit, *spread, note)


def tell(one: Row) -> str:
    """A row on one line."""
    verdict = "met" if one.ratio <= one.must else "MISSED"
    return (
        f"{one.work}: ours {one.ours:.4g} {one.unit}, {one.against} {one.theirs:.4g} {one.unit}, "
        f"ratio {one.ratio:.3g} ({one.low:.3g} to {one.high:.3g}), must {one.must:g}: {verdict}. {one.note}"
    )


def main(measure: Callable[[bool], list[Row]], about: str | None) -> None:
    """The command of a benchmark file."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repeats: well under a minute")
    parser.add_argument("-o", "--output", type=Path, help="write the rows here, as JSON")
    given = parser.parse_args()
    rows = measure(given.quick)
    for one in rows:
        print(tell(one), flush=True)
    if given.output:
        given.output.write_text(json.dumps([asdict(one) for one in rows], indent=1, ensure_ascii=False) + "\n")

"""How the cost of each stage grows: one size at a time over a decade or more, the others held.

    python bench/growth.py -o growth.json [--quick]

Writes the JSON and, beside it, the picture (growth.png). Time is the processor's, of one thread, the least of the
repeats: what the work needs without its neighbours, and no curve is bent by a second thread that joins. Memory is the
peak of what Python and NumPy held. A bend is looked for in the numbers alone: the place that splits a curve into the
two straight lines that fit best, when their slopes differ. The reasons are ours.
"""

import argparse
import json
import math
import os
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from scipy import sparse
from threadpoolctl import threadpool_limits

from als import made_plays
from deepcuts.audio.logmel import logmel
from deepcuts.evaluate import EvaluateSettings, System, evaluate
from deepcuts.factors import wmf
from deepcuts.kernels import als
from deepcuts.recommend import SongIndex

Work = Callable[[], object]
ENOUGH = 0.25  # slopes that differ by less make no bend
SECONDS, MOST_REPEATS = 0.6, 50  # each point is repeated for so long, but not more often
INK, LINE, BEND = "#22262e", "#0f7b8a", "#c2562d"


@dataclass(frozen=True)
class Curve:
    """The cost of one stage against one size.

    Attributes:
        title, size: of the panel, and of its horizontal axis with what is held.
        sizes: ascending.
        quick: the largest that --quick takes.
        make: the work at a size; what it needs is made outside the measurement.
        walked: bytes the work walks over at a size.
        why: the slope to expect.
        flatter, steeper: what bends a curve so.
        memory: measure the peak in bytes, not the time.
    """

    title: str
    size: str
    sizes: Sequence[int]
    quick: int
    make: Callable[[int], Work]
    walked: Callable[[int], float]
    why: str
    flatter: str
    steeper: str
    memory: bool = False


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return rng().standard_normal(shape, dtype=np.float32)


def sweep(n_users: int = 10_000, n_songs: int = 5_000, n_plays: int = 500_000, n_factors: int = 64) -> Work:
    """A sweep of WMF: users, then songs."""
    counts = made_plays(n_users, n_songs, n_plays, rng())
    surplus = wmf.surplus_confidence(counts, 2.0, 1e-6)
    by_song = surplus.T.tocsr()
    X, Y = np.zeros((n_users, n_factors), np.float32), 0.01 * normal(n_songs, n_factors)

    def work() -> None:
        for side, fixed, rows in ((surplus, Y, X), (by_song, X, Y)):
            parts = (side.indptr, side.indices, side.data, fixed, als.gram(fixed), rows)
            als.solve_rows(*parts, regularization=1e-5)

    return work


def ranks(n_users: int = 500, n_songs: int = 4_000) -> Work:
    """An evaluation of one system, twenty hidden plays a user, few replicates."""
    song = rng().integers(n_songs, size=(n_users, 20))
    hidden = sparse.csr_array((np.ones(song.size), (np.repeat(np.arange(n_users), 20), song.ravel())))
    hidden.resize(n_users, n_songs)
    system = System("normal", normal(n_users, 50), normal(n_songs, 50))
    return lambda: evaluate([system], hidden, EvaluateSettings(n_bootstrap=20))


def listing(n_songs: int = 100_000, n_factors: int = 128) -> Work:
    """The 100 best songs for one user, from an index."""
    index, x = SongIndex(normal(n_songs, n_factors), n_threads=1), normal(n_factors)
    return lambda: index.best(x, k=100)


def sound(seconds: int) -> Work:
    """The log-mel of a clip, decoded already."""
    samples = 0.1 * normal(22_050 * seconds)
    return lambda: logmel(samples)


CALLS = "Below, the calls themselves show."
CACHE = "Beyond, what is read at random no longer lies in the nearer cache."
MEMORY = "Beyond, rows come from memory more slowly than they are multiplied."
CURVES = (
    Curve(
        *("WMF sweep", "plays (10,000 users × 5,000 songs, f = 64)"),
        *((20_000, 60_000, 200_000, 600_000, 2_000_000, 6_000_000), 600_000, lambda n: sweep(n_plays=n)),
        *(lambda n: 8.0 * n, "Each play is read four times in a half-sweep: slope 1."),
        *("Beyond, the rows read again and again stay in cache.", "Below, what every row costs, played or not, shows."),
    ),
    Curve(
        *("WMF sweep", "factors (500,000 plays)"),
        *((16, 32, 64, 128, 256, 512), 128, lambda n: sweep(n_factors=n)),
        *(lambda n: 4.0 * n * 5_000, "Plays × f, and f² a row for the Gram matrix and the basis: between 1 and 2."),
        *(
            "Beyond, wide rows fill whole vectors.",
            "Beyond, the f² and f³ of the Gram matrix count, and rows leave L2.",
        ),
    ),
    Curve(
        *("WMF sweep", "users (500,000 plays, 5,000 songs, f = 64)"),
        *((1_000, 3_000, 10_000, 30_000, 100_000, 300_000), 30_000, lambda n: sweep(n_users=n)),
        *(lambda n: 256.0 * n, "With the plays held, only f² a user is added: flat, then 1."),
        *("Below, long rows cost most.", "Beyond, f² a row costs more than its few plays, and users leave L2."),
    ),
    Curve(
        *("WMF sweep", "songs (500,000 plays, 10,000 users, f = 64)"),
        *((1_000, 3_000, 10_000, 30_000, 100_000, 300_000), 30_000, lambda n: sweep(n_songs=n)),
        *(lambda n: 256.0 * n, "As for users: flat, then 1."),
        *("Below, long rows cost most.", "Beyond, f² a row costs more than its few plays, and songs leave L2."),
    ),
    Curve(
        *("evaluation", "users (4,000 songs, f = 50)"),
        *((30, 100, 300, 1_000, 3_000), 1_000, lambda n: ranks(n_users=n)),
        *(lambda n: 16_000.0 * min(n, 1024), "Every user's songs are scored and placed: slope 1."),
        *(CACHE, "Below, replicates are drawn for all songs once, whoever comes."),
    ),
    Curve(
        *("evaluation", "songs (500 users, f = 50)"),
        *((300, 1_000, 3_000, 10_000, 30_000), 10_000, lambda n: ranks(n_songs=n)),
        *(lambda n: 2_000.0 * n, "Every song is scored for every user: slope 1."),
        *("Below, the lists of 500 hold every song.", "Below, what every hidden play costs shows."),
    ),
    Curve(
        *("top 100 for one user", "songs (f = 128)"),
        *((1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000), 100_000, lambda n: listing(n_songs=n)),
        *(lambda n: 128.0 * n, "Every song is read once: slope 1."),
        *("", CALLS + " " + MEMORY),
    ),
    Curve(
        *("top 100 for one user", "factors (100,000 songs)"),
        *((16, 32, 64, 128, 256, 512), 256, lambda n: listing(n_factors=n)),
        *(lambda n: 1e5 * n, "A byte for each factor of each song: slope 1."),
        *("", "Below, what every song costs whatever its width shows: its bounds. " + MEMORY),
    ),
    Curve(
        *("log-mel", "seconds of sound"),
        *((1, 3, 10, 30, 100, 300), 100, sound),
        *(lambda n: 88_200.0 * n, "Blocks of 64 frames, one after the other: slope 1."),
        *("", CALLS),
    ),
    Curve(
        *("WMF sweep, memory", "users (500,000 plays, 5,000 songs, f = 64)"),
        *((1_000, 10_000, 100_000, 300_000), 100_000, lambda n: sweep(n_users=n)),
        *(lambda n: 256.0 * n, "A copy of both sides in another basis: slope 1 once users outnumber songs."),
        *("", "Below, the songs and the Gram matrix are most of it."),
        memory=True,
    ),
    Curve(
        *("evaluation, memory", "songs (500 users, f = 50)"),
        *((300, 1_000, 3_000, 10_000, 30_000), 10_000, lambda n: ranks(n_songs=n)),
        *(lambda n: 2_000.0 * n, "The scores of a chunk of users: slope 1."),
        *("", "Below, what is kept for every user and play shows."),
        memory=True,
    ),
    Curve(
        *("log-mel, memory", "seconds of sound"),
        *((1, 3, 10, 30, 100, 300), 100, sound),
        *(lambda n: 88_200.0 * n, "The spectrogram itself: slope 1; a stream of blocks holds no more than a block."),
        *("", "Below, the spectra of one block are most of it."),
        memory=True,
    ),
)


def least_seconds(work: Work) -> float:
    """Processor seconds of a call; the first one warms up unless it is long."""
    times: list[float] = []
    while (sum(times) < SECONDS and len(times) < MOST_REPEATS) or len(times) < 2:
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def peak_bytes(work: Work) -> float:
    work()
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return float(peak)


def slope(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.polyfit(x, y, 1)[0])


def bend(sizes: Sequence[int], costs: Sequence[float]) -> tuple[int, float, float] | None:
    """Where two straight lines fit best in logarithms: (place, slope before, slope after); None when they agree."""
    x, y = np.log(sizes), np.log(costs)
    places = range(1, len(x) - 1)

    def miss(place: int) -> float:
        halves = (slice(None, place + 1), slice(place, None))
        return sum(float(((np.polyval(np.polyfit(x[h], y[h], 1), x[h]) - y[h]) ** 2).sum()) for h in halves)

    if not places:
        return None
    place = min(places, key=miss)
    before, after = slope(x[: place + 1], y[: place + 1]), slope(x[place:], y[place:])
    return (place, before, after) if abs(after - before) >= ENOUGH else None


def caches() -> str:
    """`L2 2048K, L3 491520K`, of this machine; empty where it does not say."""
    folders = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"))
    told = [(f / "level", f / "type", f / "size") for f in folders]
    read = [[part.read_text().strip() for part in parts] for parts in told if all(part.exists() for part in parts)]
    return ", ".join(f"L{level} {size}" for level, kind, size in read if kind != "Instruction" and level > "1")


def follow(curve: Curve, quick: bool) -> dict[str, Any]:
    """Measure a curve; what page.py and the picture need of it."""
    sizes = [size for size in curve.sizes if not quick or size <= curve.quick]
    measure = peak_bytes if curve.memory else least_seconds
    costs = [measure(curve.make(size)) for size in sizes]
    found, why = bend(sizes, costs), curve.why
    if found is not None:
        place, before, after = found
        reason = curve.steeper if after > before else curve.flatter
        why += f" Measured: {before:.2f} up to {sizes[place]:,}, {after:.2f} beyond"
        why += f" (its data there: {curve.walked(sizes[place]) / 2**20:,.1f} MiB). Likely: {reason}"
    return {
        "title": f"{curve.title} against {curve.size}",
        "size": curve.size,
        "unit": "bytes" if curve.memory else "s",
        "sizes": sizes,
        "costs": costs,
        "slope": slope(np.log(sizes), np.log(costs)),
        "bend": None if found is None else {"size": sizes[found[0]], "before": found[1], "after": found[2]},
        "why": why.strip(),
    }


def draw(curves: Sequence[dict[str, Any]], path: Path) -> None:
    """Small multiples, both axes logarithmic."""
    n_rows = math.ceil(len(curves) / 3)
    figure = Figure(figsize=(11, 2.6 * n_rows), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for axes, curve in zip(figure.subplots(n_rows, 3).ravel(), curves, strict=False):
        scale, unit = (2**20, "MiB") if curve["unit"] == "bytes" else (1e-3, "ms")
        costs = np.array(curve["costs"]) / scale
        axes.loglog(curve["sizes"], costs, "o-", color=LINE, markersize=4)
        told = f"slope {curve['slope']:.2f}"
        if curve["bend"]:
            at, before, after = curve["bend"].values()
            axes.axvline(at, color=BEND, linewidth=1, linestyle=(0, (3, 3)))
            told += f"\n{before:.2f} | {after:.2f}"
        axes.text(0.04, 0.95, told, transform=axes.transAxes, va="top", fontsize=9, color=INK)
        axes.set_title(curve["title"].split(" (")[0], loc="left", fontsize=9, color=INK, fontweight="bold")
        axes.set_xlabel(curve["size"], fontsize=8)
        axes.set_ylabel(unit, fontsize=8)
        axes.set_ylim(costs.min() / 2, costs.max() * 6)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        if max(curve["sizes"]) < 100 * min(curve["sizes"]):
            axes.set_xticks(curve["sizes"], [f"{size:,}" for size in curve["sizes"]])
        axes.tick_params(labelsize=8)
        axes.grid(color="#e4e7ec", linewidth=0.6)
    figure.savefig(path, dpi=95, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter curves")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the JSON; the picture stands beside it")
    given = parser.parse_args()
    curves = []
    os.environ["OMP_NUM_THREADS"] = "1"  # of our loops
    with threadpool_limits(1):
        for curve in CURVES:
            curves.append(follow(curve, given.quick))
            print(f"{curves[-1]['title']}: slope {curves[-1]['slope']:.2f}. {curves[-1]['why']}", flush=True)
    content = {"threads": 1, "caches": caches(), "curves": curves}
    given.output.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    draw(curves, given.output.with_suffix(".png"))


if __name__ == "__main__":
    main()

"""A file of Taste Profile triplets to plays in memory, against pandas (read_csv, factorize both ids, SciPy CSR).

    OMP_NUM_THREADS=2 python bench/triplets.py --quick     # 1M rows; else all 48.4M, or 10M where the disk is small

Each side runs in a process of its own, in turn, on a made profile with the real one's skew (`deepcuts data taste`).
What is timed begins after the imports. The largest file takes 3 GB of the temporary folder and goes again; it is left
out where there is no room. Both sides must find the same users, songs and plays.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from sides import Row, main, row, threads

FULL = 48_373_586
ROOM_FOR_FULL = 8e9  # bytes
MUST, MUST_GB = 0.3, 4.0


def made(path: Path, n_plays: int) -> None:
    """A profile of so many plays: all songs of the real one where the users can bear them."""
    from deepcuts.worlds.taste import TasteSettings, make_taste

    n_users = round(n_plays / 47.5)
    n_songs = min(384_546, 4 * n_users)
    full = TasteSettings(seed=1)
    make_taste(full if n_plays == FULL else TasteSettings(n_users, n_songs, n_plays, seed=1), path)


def ours(path: Path) -> Callable[[], tuple[Any, Any, Any]]:
    from deepcuts.data import MsdSettings, read_triplets

    def read() -> tuple[Any, Any, Any]:
        plays = read_triplets(path, MsdSettings()).plays
        return plays.users.ids.to_list, plays.songs.ids.to_list, plays.counts

    return read


def theirs(path: Path) -> Callable[[], tuple[Any, Any, Any]]:
    import pandas as pd
    from scipy import sparse

    def read() -> tuple[Any, Any, Any]:
        rows = pd.read_csv(path, sep="\t", header=None, names=["user", "song", "plays"], engine="c")
        user, users = pd.factorize(rows["user"])
        song, songs = pd.factorize(rows["song"])
        counts = sparse.csr_array((rows["plays"].to_numpy(np.float32), (user, song)), shape=(len(users), len(songs)))
        return users.tolist, songs.tolist, counts

    return read


def side(name: str, path: Path) -> dict[str, Any]:
    """Seconds, greatest memory in GB and what was found, of one side in this process."""
    work = {"ours": ours, "theirs": theirs}[name](path)
    began = time.perf_counter()
    users, songs, counts = work()
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    by_user = dict(zip(users(), counts.sum(axis=1, dtype=np.float64).tolist(), strict=True))
    by_song = dict(zip(songs(), counts.sum(axis=0, dtype=np.float64).tolist(), strict=True))
    found = [len(by_user), len(by_song), int(counts.nnz), *(mark(totals) for totals in (by_user, by_song))]
    return {"seconds": seconds, "memory": memory, "found": found}


def mark(totals: dict[str, float]) -> str:
    """A short hash of each id with its plays, in the order of ids."""
    import hashlib

    return hashlib.blake2b(repr(sorted(totals.items())).encode(), digest_size=8).hexdigest()


def pair(path: Path) -> dict[str, dict[str, Any]]:
    """Both sides, one after the other, each in a process of its own."""
    told = {}
    for name in ("ours", "theirs"):
        command = [sys.executable, __file__, "side", name, str(path)]
        told[name] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if told["ours"]["found"] != told["theirs"]["found"]:
        raise RuntimeError(f"the sides disagree: {told}")
    return told


def compare(n_plays: int, repeats: int) -> list[Row]:
    """Two rows: time and memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "taste"
        subprocess.run([sys.executable, __file__, "make", str(folder), str(n_plays)], check=True)
        path = folder / "train_triplets.txt"
        gigabytes = path.stat().st_size / 1e9
        pairs = [pair(path) for _ in range(repeats)]
    times = {name: [one[name]["seconds"] for one in pairs] for name in ("ours", "theirs")}
    memory = {name: [one[name]["memory"] for one in pairs] for name in ("ours", "theirs")}
    against = f"pandas {version('pandas')}"
    n_users, n_songs, n_found = pairs[0]["ours"]["found"][:3]
    what = f"read {n_found / 1e6:.1f}M triplets ({gigabytes:.2f} GB)"
    note = f"The same {n_users:,} users, {n_songs:,} songs and plays of each; ours reads ahead in a thread."
    peak = f"pandas took {statistics.median(memory['theirs']):.2f} GB."
    allowed = [MUST_GB] * repeats
    return [
        row(what, times["ours"], times["theirs"], against=against, must=MUST, note=note),
        row(f"{what}, peak memory", memory["ours"], allowed, against="4 GB allowed", must=1, unit="GB", note=peak),
    ]


def measure(quick: bool) -> list[Row]:
    if not quick and shutil.disk_usage(tempfile.gettempdir()).free >= ROOM_FOR_FULL:
        return compare(FULL, 5)
    return compare(1_000_000, 3) if quick else compare(10_000_000, 5)


if __name__ == "__main__":
    if sys.argv[1:2] == ["side"]:
        print(json.dumps(side(sys.argv[2], Path(sys.argv[3]))))
    elif sys.argv[1:2] == ["make"]:
        made(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        os.environ.setdefault("POLARS_MAX_THREADS", str(threads()))
        main(measure, __doc__)

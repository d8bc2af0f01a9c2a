"""Plays that are left on disk: made up, factorised under a limit on memory, and killed and resumed on the way.

    python bench/outofcore.py --pairs 1e8 --limit 3e9 -o docs/results/outofcore.json

The limit is on memory of the process's own (RLIMIT_DATA); pages of mapped files come and go beside it.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from deepcuts.kernels import native
from deepcuts.store import Meta, save_array, write_meta, writing

USERS_AT_ONCE = 100_000
# Starts the command line with its own memory limited, and says at the end how much it had at most.
CHILD = """
import resource, sys, threading, time
resource.setrlimit(resource.RLIMIT_DATA, (int(float(sys.argv[1])),) * 2)
most = [0]
def watch():
    while True:
        for line in open("/proc/self/status"):
            if line.startswith("RssAnon"):
                most[0] = max(most[0], int(line.split()[1]) * 1024)
        time.sleep(0.2)
threading.Thread(target=watch, daemon=True).start()
from deepcuts.cli.main import main
sys.argv[1:] = sys.argv[2:]
try:
    main()
finally:
    print(most[0])
"""


def write_plays(folder: Path, n_pairs: int, n_users: int, n_songs: int) -> int:
    """A folder of about so many pairs, as `Plays.save` writes it, made some users at a time; how many they are.

    Every user has equally many draws; songs are drawn as the square of a uniform number, so some are far more popular.
    """
    rng = np.random.default_rng(0)
    draws = -(-n_pairs // n_users)
    starts, n = [np.zeros(1, np.int64)], 0
    with writing(folder) as scratch:
        with (scratch / "songs").open("wb") as songs, (scratch / "counts").open("wb") as counts:
            for begin in range(0, n_users, USERS_AT_ONCE):
                shape = (min(USERS_AT_ONCE, n_users - begin), draws)
                drawn = np.sort((n_songs * rng.random(shape, np.float32) ** 2).astype(np.int32), axis=1)
                new = np.diff(drawn, axis=1, prepend=-1) > 0
                songs.write(np.minimum(drawn[new], n_songs - 1).data)
                counts.write(rng.geometric(0.4, int(new.sum())).astype(np.float32).data)
                starts.append(n + np.cumsum(new.sum(axis=1)))
                n = int(starts[-1][-1])
        for name, kind, file in (("song", np.int32, "songs"), ("count", np.float32, "counts")):
            save_array(scratch, name, np.memmap(scratch / file, kind, "r"))
            (scratch / file).unlink()
        save_array(scratch, "user_start", np.concatenate(starts))
        for file, column, n_ids in (("users", "user_id", n_users), ("songs", "song_id", n_songs)):
            digits = len(str(n_ids))
            ids = pl.int_range(n_ids, eager=True).cast(pl.String).str.zfill(digits)
            pl.DataFrame({column: ids}).write_parquet(scratch / f"{file}.parquet")
        write_meta(
            scratch, Meta("plays", f"made-up-{n}", {}, {}, {"n_users": n_users, "n_songs": n_songs, "n_plays": n})
        )
    return n


def factorise(plays: Path, out: Path, limit: float, n_factors: int, n_sweeps: int, kill_after: float | None) -> int:
    """Run the command under the limit; the most memory of its own that it had, in bytes; 0 when it was killed."""
    words = ["factors", str(plays), "-o", str(out), "--mapped"]
    settings = [f"--set=n_factors={n_factors}", f"--set=n_sweeps={n_sweeps}"]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(limit), *words, *settings], stdout=subprocess.PIPE, text=True
    )
    aside = out.with_name(f".{out.name}.checkpoint")
    while kill_after is not None and child.poll() is None and not aside.exists():
        time.sleep(0.2)
    if kill_after is not None:
        time.sleep(kill_after)
        child.send_signal(signal.SIGKILL)
    said, _ = child.communicate()
    if kill_after is None and child.returncode:
        raise RuntimeError(f"the command ended with {child.returncode}")
    return int(said.split()[-1]) if said.split() else 0


def main() -> None:
    """Make, kill, resume, and write what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"pairs": 1e8, "users": 2e6, "songs": 4e5, "factors": 64, "sweeps": 2, "limit": 3e9}.items():
        parser.add_argument(f"--{name}", type=float, default=value)
    parser.add_argument("--work", type=Path, default=Path("work/outofcore"))
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    shutil.rmtree(given.work, ignore_errors=True)
    n = write_plays(given.work / "plays", int(given.pairs), int(given.users), int(given.songs))
    print(f"{n:,} pairs on disk", flush=True)
    out, how = given.work / "factors", (given.limit, int(given.factors), int(given.sweeps))
    factorise(given.work / "plays", out, *how, kill_after=1.0)
    print("killed after the first sweep; going on", flush=True)
    most = factorise(given.work / "plays", out, *how, kill_after=None)
    history = pl.read_csv(out / "history.csv").to_dicts()
    told = {"pairs": n, "users": int(given.users), "songs": int(given.songs), "factors": int(given.factors),
            "limit": given.limit, "memory": most, "plays_bytes": 16 * n, "history": history,
            "threads": native.default_threads(), "load": os.getloadavg()[0]}  # fmt: skip
    print(json.dumps(told))
    shutil.rmtree(given.work)
    if given.output:
        given.output.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

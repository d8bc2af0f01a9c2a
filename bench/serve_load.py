"""A server under load on loopback: `deepcuts serve` beside `implicit` behind FastAPI, over the same factors.

    python bench/serve_load.py [--sizes 10000,380000] [-o docs/results/serve_load.json]

Both servers are processes of their own, uvicorn with one worker each, asked in turn by the same client over 1, 8 and 64
connections, each asking again as soon as it is answered. Queries: the 20 songs most like a song, and the 20 best songs
for a user, without those played. deepcuts answers with names, and looks for events and newer models as always (its
limit of requests a second is lifted); implicit answers with ids. Client and servers share the cores.
Memory is resident memory beyond that of the process before the model, over the bytes of the song and user factors.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from deepcuts.artifacts import Bundle, Lineage, SongFactors, UserFactors, Vocabulary
from deepcuts.artifacts.plays import complete_songs_table
from deepcuts.artifacts.songs import with_song_columns
from deepcuts.kernels import native
from deepcuts.store import write_file

N_FACTORS, N_USERS, K = 400, 2_000, 20
CONNECTIONS = (1, 8, 64)
ROUNDS, SECONDS = 3, 4.0
BUDGETS = {10_000: 30.0, 380_000: 60.0}  # p99 in ms over 8 connections
MOST_MEMORY = 2.5  # times the factors


# ---- the model ----


def make(folder: Path, n_songs: int) -> None:
    """A model of random factors, names and plays; and the same arrays for implicit."""
    rng = np.random.default_rng(0)
    lineage, songs = Lineage(), Vocabulary([f"song{at:06d}" for at in range(n_songs)])
    users = Vocabulary([f"user{at:05d}" for at in range(N_USERS)], "user")
    x, y = (rng.normal(0, N_FACTORS**-0.5, (n, N_FACTORS)).astype(np.float32) for n in (N_USERS, n_songs))
    plays = sparse.random_array((N_USERS, n_songs), density=50 / n_songs, rng=rng, format="csr", dtype=np.float32)
    at = np.arange(n_songs)
    table = pl.DataFrame({
        "song_id": songs.ids, "title": [f"Title {one}" for one in at], "artist": [f"Artist {one // 10}" for one in at],
        "album": [f"Album {one // 10}" for one in at], "year": 1960 + at % 60, "duration": 180.0 + at % 90,
        "genre": [f"Genre {one % 12}" for one in at],
    })  # fmt: skip
    listeners = np.bincount(plays.indices, minlength=n_songs)
    held = SongFactors(songs, y, lineage, n_listeners=listeners)
    complete = with_song_columns(complete_songs_table(songs, table))
    Bundle(UserFactors(users, x, lineage), held, complete, sparse.csr_array(plays)).save(folder / "model")
    np.savez(folder / "arrays.npz", x=x, y=y, data=plays.data, indices=plays.indices, indptr=plays.indptr)


# ---- both servers ----

BEFORE = """
import sys, threading
def resident():
    return int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0]) * 1024
def serve(app, before):
    import gc, uvicorn
    gc.collect()
    config = uvicorn.Config(app, port=0, log_level="error")
    socket = config.bind_socket()
    socket.setsockopt(6, 1, 1)  # TCP_NODELAY, as deepcuts serve sets it: else both wait 40 ms for the client
    print(socket.getsockname()[1], flush=True)
    def watch():
        for line in sys.stdin:
            print(before, resident(), flush=True)
    threading.Thread(target=watch, daemon=True).start()
    uvicorn.Server(config).run(sockets=[socket])
"""
OURS = """
from pathlib import Path
from deepcuts.serve import security
from deepcuts.serve.app import create_app
from deepcuts.serve.state import State
import deepcuts.cli.serve
security.REQUESTS_A_SECOND = 1e9
before = resident()
state = State(Path(sys.argv[1]) / "model", data=Path(sys.argv[1]) / "data")
deepcuts.cli.serve.one_blas_thread()
serve(create_app(state), before)
"""
THEIRS = """
import os
os.environ["OPENBLAS_NUM_THREADS"] = "1"
import numpy as np
from fastapi import FastAPI
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
before = resident()
held = np.load(sys.argv[1] + "/arrays.npz")
model = AlternatingLeastSquares(factors=held["x"].shape[1], num_threads=1)
model.user_factors, model.item_factors = held["x"], held["y"]
plays = sparse.csr_matrix((held["data"], held["indices"], held["indptr"]), shape=(len(held["x"]), len(held["y"])))
songs = {f"song{at:06d}": at for at in range(len(held["y"]))}
names, users = list(songs), {f"user{at:05d}": at for at in range(len(held["x"]))}
del held
app = FastAPI()
def listed(ids, scores):
    return [{"song_id": names[at], "score": float(score)} for at, score in zip(ids, scores)]
@app.get("/api/similar/{song_id}")
def similar(song_id: str, k: int = 20):
    ids, scores = model.similar_items(songs[song_id], N=k + 1)
    return listed(ids[1:], scores[1:])
@app.get("/api/recommend/{user_id}")
def recommend(user_id: str, k: int = 20):
    at = users[user_id]
    return listed(*model.recommend(at, plays[at], N=k, filter_already_liked_items=True))
serve(app, before)
"""


class Server:
    """A server in a process of its own."""

    def __init__(self, code: str, folder: Path) -> None:
        began = time.perf_counter()
        command = [sys.executable, "-c", BEFORE + code, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self._line())
        self.seconds_to_start = round(time.perf_counter() - began, 2)

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a server ended before it answered")
        return line

    def memory(self) -> int:
        """Resident bytes beyond those before the model."""
        assert self.process.stdin is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        before, now = map(int, self._line().split())
        return now - before


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, Server]]:
    """Deepcuts and implicit, up; ended after."""
    running = {"deepcuts": Server(OURS, folder), "implicit": Server(THEIRS, folder)}
    try:
        yield running
    finally:
        for server in running.values():
            server.process.kill()
            server.process.wait()


# ---- the client ----


async def ask(port: int, paths: list[str], until: float, took: list[float]) -> None:
    """One connection: asks again as soon as it is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    at = 0
    while not at or time.perf_counter() < until:
        began = time.perf_counter()
        path = paths[at % len(paths)]
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        body = await reader.readexactly(int(fields[b"content-length"]))
        took.append(time.perf_counter() - began)
        if not head.startswith(b"HTTP/1.1 200") or len(json.loads(body)) != K:
            raise SystemExit(f"{path}: {head[:60]!r} {body[:200]!r}")
        at += 1
    writer.close()


async def load(port: int, kind: str, connections: int, n_songs: int, seconds: float, seed: int) -> list[float]:
    """Seconds of every answer."""
    rng, took = np.random.default_rng(seed), []  # type: ignore[var-annotated]
    ids = rng.integers(0, n_songs if kind == "similar" else N_USERS, size=(connections, 997))
    name = "/api/similar/song{:06d}?k=20" if kind == "similar" else "/api/recommend/user{:05d}?k=20"
    until = time.perf_counter() + seconds
    await asyncio.gather(*(ask(port, [name.format(one) for one in row], until, took) for row in ids))
    return took


def measure(folder: Path, n_songs: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Latency, throughput and memory of both servers, asked in turn."""
    before = os.getloadavg()[0]
    make(folder, n_songs)
    size = 4 * N_FACTORS * (n_songs + N_USERS)
    found: dict[tuple[str, str, int], list[float]] = {}
    with servers(folder) as running:
        for server in running.values():
            for kind in ("similar", "user"):
                asyncio.run(load(server.port, kind, 2, n_songs, min(seconds, 2.0), 99))
        for turn in range(rounds):
            for kind in ("similar", "user"):
                for n in CONNECTIONS:
                    for name, server in running.items():
                        took = asyncio.run(load(server.port, kind, n, n_songs, seconds, turn))
                        found.setdefault((name, kind, n), []).extend(took)
        memory = {name: round(server.memory() / size, 2) for name, server in running.items()}
        start = {name: server.seconds_to_start for name, server in running.items()}
    rows = [{"server": name, "query": kind, "connections": n, **summary(took, rounds * seconds)}
            for (name, kind, n), took in found.items()]  # fmt: skip
    return {"n_songs": n_songs, "rows": rows, "memory over factors": memory, "seconds to start": start,
            "load": [round(one, 1) for one in (before, os.getloadavg()[0])]}  # fmt: skip


def summary(took: list[float], seconds: float) -> dict[str, float]:
    """p50 and p99 in ms, answers a second, and how many answers these rest on."""
    p50, p99 = (round(1000 * float(one), 2) for one in np.quantile(took, [0.5, 0.99]))
    return {"p50": p50, "p99": p99, "per_second": round(len(took) / seconds, 1), "n": len(took)}


# ---- the page ----


def page(results: list[dict[str, Any]]) -> str:
    """The numbers as tables, and whether the budgets are met."""
    lines = [
        "# A server under load", "",
        "Written by `python bench/serve_load.py`; not edited by hand. `deepcuts serve` beside `implicit` behind",
        "FastAPI, the same factors, one uvicorn worker each, asked in turn by one client over loopback. Each",
        f"connection asks again as soon as it is answered. {native.n_cores()} cores, shared by client and server; "
        f"{N_FACTORS} factors; lists of {K}.",
    ]  # fmt: skip
    for result in results:
        n_songs, memory, start = result["n_songs"], result["memory over factors"], result["seconds to start"]
        lines += ["", f"## {n_songs:,} songs", "",
                  "| query | connections | p50 / p99 ms, deepcuts | p50 / p99 ms, implicit | answers a second | n |",
                  "|---|---|---|---|---|---|"]  # fmt: skip
        by = {(row["query"], row["connections"], row["server"]): row for row in result["rows"]}
        for kind in ("similar", "user"):
            for n in CONNECTIONS:
                ours, theirs = by[kind, n, "deepcuts"], by[kind, n, "implicit"]
                lines.append(
                    f"| {kind} | {n} | {ours['p50']:g} / **{ours['p99']:g}** | {theirs['p50']:g} / {theirs['p99']:g} | "
                    f"{ours['per_second']:g} beside {theirs['per_second']:g} | {ours['n']:,} beside {theirs['n']:,} |"
                )
        worst = max(by[kind, 8, "deepcuts"]["p99"] for kind in ("similar", "user"))
        budget = BUDGETS.get(n_songs)
        kept = met(memory["deepcuts"], MOST_MEMORY)
        lines += ["", f"Memory: {memory['deepcuts']} times the factors (budget {MOST_MEMORY}, "
                  f"{kept}); implicit {memory['implicit']}. "
                  f"Start: {start['deepcuts']} s; implicit {start['implicit']} s."]  # fmt: skip
        first, last = result["load"]
        lines += [
            f"Load average of the machine before and after: {first:g} and {last:g}. Far above 2 others were at",
            "work too, and waiting for them is in all times: compare the servers, rather than with the budget.",
        ]
        if budget is not None:
            lines += [f"p99 over 8 connections: {worst:g} ms (budget {budget:g} ms, {met(worst, budget)})."]
    return "\n".join(lines) + "\n"


def met(value: float, budget: float) -> str:
    """Whether a budget is met, in words."""
    return "met" if value <= budget else "not met"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,380000", help="songs of each model")
    parser.add_argument("--quick", action="store_true", help="one short round over 500 songs")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/results/serve_load.json"))
    given = parser.parse_args()
    sizes = [500] if given.quick else [int(one) for one in given.sizes.split(",")]
    rounds, seconds = (1, 0.5) if given.quick else (ROUNDS, SECONDS)
    results = []
    for n_songs in sizes:
        with tempfile.TemporaryDirectory() as folder:
            results.append(measure(Path(folder), n_songs, rounds, seconds))
            print(page(results[-1:]))
    write_file(given.output, json.dumps(results, indent=1) + "\n")
    write_file(given.output.with_suffix(".md"), page(results))


if __name__ == "__main__":
    main()

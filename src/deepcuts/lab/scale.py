"""What a half-sweep costs on a cluster: a model whose rates are measured, and what it says of a streaming service.

Four parts are counted for each half-sweep, in seconds: computing on the workers, their network, the network of the
driver, and what the driver computes alone. They are added up, as if nothing overlapped.

    computing   P (k0 + k1 f) + n_rows (4 f² / basis + 2 f² / gram)             over all cores
    whole       each node receives the fixed side: 4 f n_fixed bytes, twice (it also passes it on)
    pieces      each group of rows receives the fixed rows it needs: n_needed (4 f + 4) bytes, over all nodes
    driver      4 f (n_fixed + 2 n_rows) bytes out and in; 2 f² n_fixed / basis alone when the side is sent as a whole

P is the number of pairs, k0 + k1 f the seconds of a core for one pair, basis and gram the operations of a core in a
second. A group of m plays needs at most n_fixed (1 - exp(-m / n_fixed)) fixed rows: exact when all rows are equally
likely, and more than popularity leaves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from deepcuts.checks import did_you_mean
from deepcuts.cluster.factors import BROADCAST_SHARE, MOST_PIECES, number_of_groups
from deepcuts.config import require
from deepcuts.errors import InputError, SettingError

STORE_SHARE = 0.3  # of a node's memory that Ray gives to its object store
GROUP_BYTES = 8  # of a play in a group: the fixed row and the surplus confidence


@dataclass(frozen=True)
class Node:
    """A kind of machine.

    Attributes:
        cores: real ones: two hardware threads of a core share its vector units.
        memory: bytes.
        network: bytes a second.
        dollars: an hour, list price on demand.
    """

    cores: int
    memory: float
    network: float
    dollars: float


# Amazon's list prices of us-east-1, rounded, and the bandwidths it states: check them before you believe a bill.
NODES = {
    "c7i.24xlarge": Node(48, 192e9, 37.5e9 / 8, 4.28),
    "r7i.24xlarge": Node(48, 768e9, 37.5e9 / 8, 6.35),
    "r7i.48xlarge": Node(96, 1536e9, 50e9 / 8, 12.70),
}
DRIVER = Node(64, 2048e9, 100e9 / 8, 13.34)  # x2idn.32xlarge


@dataclass(frozen=True)
class ScaleBench:
    """What is simulated.

    Attributes:
        n_users, n_songs: of the service.
        n_plays: all of them; they are stored as pairs.
        plays_a_pair: how often a listener plays a song, of those ever played.
        n_sweeps: of a refresh.
        hot_share: the largest share of all listeners that one song reaches.
    """

    n_users: float = 5e8
    n_songs: float = 1e8
    n_plays: float = 1e11
    plays_a_pair: float = 10 / 3
    n_sweeps: int = 15
    hot_share: float = 0.2

    def __post_init__(self) -> None:
        for name in ("n_users", "n_songs", "n_plays", "plays_a_pair"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.n_sweeps >= 1, "n_sweeps", self.n_sweeps, "at least 1")
        require(0 < self.hot_share <= 1, "hot_share", self.hot_share, "above 0, at most 1")

    @property
    def n_pairs(self) -> float:
        """Pairs of a user and a song that were played."""
        return self.n_plays / self.plays_a_pair


@dataclass(frozen=True)
class Rates:
    """What was measured.

    Attributes:
        pair, pair_factor: k0 and k1: seconds of a core for a pair, and for a pair and a factor.
        basis, gram: operations of a core in a second, in float32 and float64.
        copy: bytes a second into shared memory.
        task: seconds of the driver for a task.
    """

    pair: float
    pair_factor: float
    basis: float
    gram: float
    copy: float
    task: float


def rates_of(measured: Mapping[str, Any]) -> Rates:
    """Rates from the numbers of `bench/ray_als.py`; k0 and k1 are fitted to its half-sweeps on one machine.

    Raises:
        InputError: the numbers are not of that benchmark, or of too few cases.
    """
    try:
        found, threads = measured["rates"], measured["machine"]["threads"]
        basis, gram = found["basis_flops"], found["gram_flops"]
        rows = [
            (case["n_plays"], case["n_factors"], threads * seconds - _dense(case, half, basis, gram))
            for case in measured["cases"]
            for half, seconds in case["local_seconds"].items()
        ]
        copy, task = found["put_bytes"], found["task_seconds"]
    except (KeyError, TypeError) as error:
        raise InputError(f"rates: {error} is missing. Run python bench/ray_als.py -o docs/results/ray.json.") from error
    if len({f for _, f, _ in rows}) < 2:
        raise InputError("rates: half-sweeps of one number of factors. At least two are needed to tell k0 from k1.")
    pair, pair_factor = _fit_line(rows)
    return Rates(pair, pair_factor, basis, gram, copy, task)


def _fit_line(rows: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """k0 ≥ 0 and k1 of seconds / plays = k0 + k1 f, least squares of relative errors."""
    plays, factors, seconds = np.array(rows, float).T
    design = np.stack([plays, plays * factors], axis=1) / seconds[:, None]
    k0, k1 = np.linalg.lstsq(design, np.ones(len(rows)), rcond=None)[0]
    if k0 < 0:
        k0, k1 = 0.0, float(design[:, 1].sum() / (design[:, 1] ** 2).sum())
    return float(k0), float(k1)


def _dense(case: Mapping[str, Any], half: str, basis: float, gram: float) -> float:
    """Core seconds of a measured half-sweep that do not depend on its plays."""
    n_rows, n_fixed = case["n_users"], case["n_songs"]
    if half == "songs":
        n_rows, n_fixed = n_fixed, n_rows
    f = case["n_factors"]
    return f * f * ((4 * n_rows + 2 * n_fixed) / basis + 2 * n_rows / gram)


def half_sweep(
    n_rows: float, n_fixed: float, n_pairs: float, f: int, node: Node, n_nodes: int, rates: Rates, driver: Node = DRIVER
) -> dict[str, Any]:
    """Bytes and seconds of a half-sweep, by part; see the formulas above."""
    cores = node.cores * n_nodes
    side, whole = 4.0 * f * n_fixed, 4.0 * f * n_fixed <= BROADCAST_SHARE * STORE_SHARE * node.memory
    compute = n_pairs * (rates.pair + rates.pair_factor * f) + n_rows * f * f * (4 / rates.basis + 2 / rates.gram)
    if not whole:
        compute += 2 * f * f * n_fixed / rates.basis
    n_groups = number_of_groups(n_pairs, cores)
    needed = n_fixed * -np.expm1(-n_pairs / n_groups / n_fixed)
    sent = n_nodes * side if whole else n_groups * needed * (4 * f + 4)
    driven = 4.0 * f * (n_fixed + 2 * n_rows)
    n_tasks = n_groups if whole else n_groups * (MOST_PIECES + 2)  # rows needed, taken from each piece, solved
    alone = n_tasks * rates.task + (2 * f * f * n_fixed / rates.basis / driver.cores if whole else 0)
    seconds = {
        "computing": compute / cores,
        "network": (2 * side if whole else sent / n_nodes) / node.network,
        "driver's network": driven / driver.network,
        "driver alone": alone,
    }
    return {
        "sent": "whole" if whole else "pieces",
        "bytes_sent": float(sent),
        "bytes_of_driver": driven,
        "seconds": seconds,
        "total": float(sum(seconds.values())),
    }


def refresh(bench: ScaleBench, f: int, name: str, n_nodes: int, rates: Rates) -> dict[str, Any]:
    """Hours and dollars of a whole factorisation on so many nodes of a kind.

    Raises:
        SettingError: no such kind of node.
    """
    if name not in NODES:
        raise SettingError(f"node {name!r}: unknown.{did_you_mean(name, NODES)}")
    node = NODES[name]
    users = half_sweep(bench.n_users, bench.n_songs, bench.n_pairs, f, node, n_nodes, rates)
    songs = half_sweep(bench.n_songs, bench.n_users, bench.n_pairs, f, node, n_nodes, rates)
    hours = bench.n_sweeps * (users["total"] + songs["total"]) / 3600
    parts = {part: users["seconds"][part] + songs["seconds"][part] for part in users["seconds"]}
    return {
        "n_factors": f,
        "node": name,
        "nodes": n_nodes,
        "users": users,
        "songs": songs,
        "hours": hours,
        "dollars": hours * (n_nodes * node.dollars + DRIVER.dollars),
        "bound_by": max(parts, key=parts.__getitem__),
        "store_share": 2 * GROUP_BYTES * bench.n_pairs / (n_nodes * STORE_SHARE * node.memory),
    }


def driver_bytes(bench: ScaleBench, f: int) -> dict[str, float]:
    """Memory of the driver: both sides of the factors, and the plays both ways unless they are mapped."""
    return {"factors": 4.0 * f * (bench.n_users + bench.n_songs), "plays": 2 * GROUP_BYTES * bench.n_pairs}


def hot_row(bench: ScaleBench, f: int, rates: Rates) -> dict[str, float]:
    """The song with the most listeners: one task on one core, seconds, and the bytes of fixed rows it reads."""
    n = bench.hot_share * bench.n_users
    return {"plays": n, "seconds": n * (rates.pair + rates.pair_factor * f), "bytes": 4.0 * f * n}


def check(measured: Mapping[str, Any], rates: Rates) -> list[dict[str, Any]]:
    """The model beside every measured half-sweep: of one machine, and in tasks on it."""
    rows = []
    threads, found = measured["machine"]["threads"], measured["rates"]
    for case in measured["cases"]:
        for half in ("users", "songs"):
            f, n = case["n_factors"], case["n_plays"]
            dense = _dense(case, half, found["basis_flops"], found["gram_flops"])
            local = (n * (rates.pair + rates.pair_factor * f) + dense) / threads
            moved = 4 * f * (case["n_users"] + case["n_songs"] + 2 * case[f"n_{half}"])
            there = local + moved / rates.copy
            rows.append({
                "half-sweep": f"{half}, f = {f}, {n:,} plays",
                "measured": case["local_seconds"][half], "model": local,
                "measured on Ray": case["ray_seconds"][half], "model on Ray": there,
            })  # fmt: skip
    return rows


def simulate(
    bench: ScaleBench,
    measured: Mapping[str, Any],
    factors: Sequence[int] = (128, 256, 400),
    sizes: Sequence[int] = (8, 32, 128),
) -> dict[str, Any]:
    """Everything docs/results/scale.json holds."""
    rates = rates_of(measured)
    larger = replace(bench, n_users=10 * bench.n_users, n_songs=10 * bench.n_songs, n_plays=10 * bench.n_plays)
    return {
        "bench": asdict(bench),
        "rates": asdict(rates),
        "machine": {**measured["machine"], "load": measured["load"]},
        "check": check(measured, rates),
        "refresh": [refresh(bench, f, name, n, rates) for f in factors for name in NODES for n in sizes],
        "ten_times": [refresh(larger, f, "r7i.48xlarge", sizes[-1], rates) for f in factors],
        "driver_bytes": {str(f): driver_bytes(bench, f) for f in factors},
        "hot_row": {str(f): hot_row(bench, f, rates) for f in factors},
    }


TABLE = (
    "| f | nodes | songs sent | users sent | TB a sweep | hours | dollars | bound by | store |\n"
    "|---|---|---|---|---|---|---|---|---|"
)
HOT = (
    "| f | driver: GB of factors | of plays | hottest song: plays | seconds on a core | GB of users it reads |\n"
    "|---|---|---|---|---|---|"
)
CHECKED = "| half-sweep | two threads | model | two workers | model |\n|---|---|---|---|---|"


def page(content: Mapping[str, Any]) -> str:
    """docs/results/scale.md."""
    lines = [
        "# A factorisation of a streaming service, simulated\n",
        "Written by `deepcuts experiment scale` from `docs/results/ray.json`; not edited by hand.\n",
        _what(content),
        *(TABLE, *map(_line, content["refresh"])),
        "\nTen times the users, songs and plays:\n",
        *(TABLE, *map(_line, content["ten_times"])),
        "\n`songs sent`, `users sent`: how the fixed side goes to the workers, as a whole or in pieces. `store`: the "
        "share of all object stores that the plays fill; above 1 they spill to disk.\n",
        *(HOT, *(_hot_line(f, content) for f in content["hot_row"])),
        "\nThe model beside what was measured: CPU seconds of all processes, divided by their number, which is what a "
        "quiet machine would take.\n",
        *(CHECKED, *map(_checked_line, content["check"])),
    ]
    return "\n".join(lines) + "\n"


def _what(content: Mapping[str, Any]) -> str:
    """What is simulated, and with which rates."""
    bench, rates, machine = content["bench"], content["rates"], content["machine"]
    n_pairs = bench["n_plays"] / bench["plays_a_pair"]
    pair, factor = 1e9 * rates["pair"], 1e9 * rates["pair_factor"]
    return (
        f"{bench['n_songs']:.3g} songs, {bench['n_users']:.3g} users, {bench['n_plays']:.3g} plays in {n_pairs:.3g} "
        f"pairs, {bench['n_sweeps']} sweeps.\n\nRates of one core, measured on a machine of {machine['cores']} cores "
        f"at a load of {machine['load']:.1f}: {pair:.3g} ns a pair + {factor:.3g} ns a pair and factor, "
        f"{rates['basis'] / 1e9:.3g} GFLOP/s in float32, {rates['gram'] / 1e9:.3g} GFLOP/s in float64, "
        f"{rates['copy'] / 1e9:.3g} GB/s into shared memory, {1e3 * rates['task']:.2g} ms a task.\n"
    )


def _line(row: Mapping[str, Any]) -> str:
    sent = (row["users"]["bytes_sent"] + row["songs"]["bytes_sent"]) / 1e12
    return (
        f"| {row['n_factors']} | {row['nodes']} × {row['node']} | {row['users']['sent']} | {row['songs']['sent']} "
        f"| {sent:,.1f} | {row['hours']:,.1f} | {row['dollars']:,.0f} | {row['bound_by']} | {row['store_share']:.2f} |"
    )


def _hot_line(f: str, content: Mapping[str, Any]) -> str:
    hot, held = content["hot_row"][f], content["driver_bytes"][f]
    told = [held["factors"] / 1e9, held["plays"] / 1e9, hot["plays"], hot["seconds"], hot["bytes"] / 1e9]
    return f"| {f} | " + " | ".join(f"{number:,.0f}" for number in told) + " |"


def _checked_line(row: Mapping[str, Any]) -> str:
    numbers = [row[name] for name in ("measured", "model", "measured on Ray", "model on Ray")]
    return f"| {row['half-sweep']} | " + " | ".join(f"{number:.2f}" for number in numbers) + " |"

"""docs/benchmarks.md, from benchmarks.json and the numbers beside it; nobody types a result by hand."""

import json
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepcuts.cli.doctor import installed
from deepcuts.kernels import native
from deepcuts.lab.results import comparisons_text, how, rows_markdown, table_markdown
from deepcuts.store import write_file

PACKAGES = ("numpy", "scipy", "torch", "polars", "implicit", "faiss-cpu", "librosa", "pandas", "scikit-learn")
SECONDS = r"\bs\b"
PAPER_CLIPS, PAPER_SECONDS = 382_410, 29
GPU = """
## GPU

Not run: no CUDA device was at hand. `--set device=cuda` factorises, trains and evaluates there by torch. Tests compare
those paths with the CPU's on a torch device "cpu", and on CUDA where there is one (`pytest -m gpu`).
"""
HEAD = """# Benchmarks

Written by `{command}`; not edited by hand. Both sides run in turn in one process, with the threads stated; medians of
n pairs; the ratio is ours / theirs, with the least and greatest ratio of a pair; lower is better. *must* and *aim* are
ratios that we set ourselves before measuring: a release has to meet the first and would like to meet the second. Some
rows have no library against them but a budget (memory, real time, a share of the rate of torch's matrix product). A
share of a peak stands as its inverse. The floor is what the machine's own matrix product, memory or gather would need
for the same work, where that has a meaning; ours can lie below it where rows that are read often stay in a cache. What
was tried for each stage, and the profiles, are in [log.md](log.md).

{machine}
"""


def markdown(folder: Path) -> str:
    """The whole page of a folder with benchmarks.json."""
    rows = json.loads((folder / "benchmarks.json").read_text())
    about = json.loads((folder / "benchmarks-about.json").read_text())
    parts = [
        HEAD.format(command="make bench-quick" if about["quick"] else "make bench", machine=machine()),
        table(rows),
        misses(rows),
        floors_text(about.get("floors", {})),
        growth_text(about.get("growth", {})),
        budget_text(rows),
        million_text(folder / "results" / "million.json"),
        GPU,
    ]
    return "\n".join(part for part in parts if part)


def machine() -> str:
    """Processor, cores and versions, in two lines."""
    named = [line for line in read_lines("/proc/cpuinfo") if line.startswith("model name")]
    processor = named[0].partition(":")[2].strip() if named else platform.processor()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    told = ", ".join(f"{name} {found}" for name in PACKAGES if (found := installed(name)) != "no")
    cores = native.n_cores()
    return f"{processor}, {cores} cores, {memory:.0f} GiB · Python {platform.python_version()}, {told}"


def read_lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Every row, its verdict first."""
    lines = ["| work | ours | against | theirs | ratio | must | aim | floor | n × threads | |"]
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        verdict = "missed" if row["ratio"] > row["must"] else "met"
        if verdict == "met" and row["aim"] is not None:
            verdict += ", aim too" if row["ratio"] <= row["aim"] else ", aim not"
        spread = f" ({row['low']:.3g}–{row['high']:.3g})" if row["n"] > 2 else ""
        unit = row["unit"]
        cells = [
            row["work"],
            cost(row["ours"], unit),
            row["against"],
            cost(row["theirs"], unit),
            f"**{row['ratio']:.3g}**{spread}",
            f"{row['must']:.3g}",
            "" if row["aim"] is None else f"{row['aim']:.3g}",
            "" if row["floor"] is None else cost(row["floor"], unit),
            f"{row['n']} × {row['threads']}",
            f"{verdict}. {row['note']}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cost(value: float, unit: str) -> str:
    """Seconds, also "s a window", in a unit that reads well; anything else as it is."""
    if not re.search(SECONDS, unit):
        return f"{value:.3g} {unit}"
    factor, name = next((one for one in ((1, "s"), (1e3, "ms")) if value * one[0] >= 1), (1e6, "µs"))
    return f"{value * factor:.3g} {re.sub(SECONDS, name, unit, count=1)}"


def misses(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many musts are met, and the rows that are not."""
    missed = [row for row in rows if row["ratio"] > row["must"]]
    head = f"{len(rows) - len(missed)} of {len(rows)} musts are met."
    return (
        "\n".join([head, *(f"- Missed: {row['work']}, {row['ratio']:.3g} for {row['must']:.3g}." for row in missed)])
        + "\n"
    )


def floors_text(floors: Mapping[str, Mapping[str, float]]) -> str:
    """The machine's limits."""
    if not floors:
        return ""
    rows = [
        {
            "limit": name.replace("_", " "),
            **{f"{n} thread{'s' * (n != '1')}": f"{found[name] / 1e9:,.4g} G" for n, found in floors.items()},
        }
        for name in next(iter(floors.values()))
    ]
    head = "\n## The machine's floors\n\nFLOP/s of matrix products (gemm), bytes/s of the others.\n\n"
    if len(floors) > 1 and floors[max(floors)]["gemm_f32"] < 1.5 * floors["1"]["gemm_f32"]:
        head += "**Neighbours were busy: all threads together were hardly faster than one. Measure again.**\n\n"
    return head + table_markdown(rows)


def growth_text(growth: Mapping[str, Any]) -> str:
    """The curves and what bends them."""
    if not growth:
        return ""
    lines = ["\n## Growth\n", "![cost against size, stage by stage](benchmarks-growth.png)\n"]
    lines.append("One thread. Dashed: where the slope changes most, with the slopes before and after it.\n")
    for curve in growth.get("curves", []):
        lines.append(f"- {curve['title']}: cost ∝ size^{curve['slope']:.2f}. {curve['why']}")
    return "\n".join(lines) + "\n"


def budget_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Hours and gigabytes of the paper's clips at the rate of the slowest MP3 row."""
    rates = [
        float(row["work"].split(", ")[1].split()[0]) / row["ours"] for row in rows if row["work"].startswith("MP3")
    ]
    if not rates:
        return ""
    cost = budget(min(rates))
    return (
        f"\n## The paper's features\n\n{cost['clips']:,} clips of {cost['seconds_a_clip']:.0f} s, from MP3 to log-mel "
        f"at {cost['times_real_time']:,.0f} × real time per core: **{cost['core_hours']:.1f} hours of one core, "
        f"{cost['gigabytes']:.0f} GB** of features (float16), at the rate of the slowest MP3 row above.\n"
    )


def budget(rate: float) -> dict[str, float]:
    """What log-mel features of the paper's 382,410 clips of 29 s cost.

    Args:
        rate: seconds of sound heard in a second of one core.
    Returns:
        hours of one core, and GB on disk (float16, 1,247 frames of 128 bands a clip).
    """
    frames = 1 + (PAPER_SECONDS * 22_050 - 1024) // 512
    return {
        "clips": PAPER_CLIPS,
        "seconds_a_clip": PAPER_SECONDS,
        "times_real_time": rate,
        "core_hours": PAPER_CLIPS * PAPER_SECONDS / rate / 3600,
        "gigabytes": PAPER_CLIPS * frames * 128 * 2 / 1e9,
    }


def million_text(path: Path) -> str:
    """The Million Song rehearsal."""
    if not path.exists():
        return ""
    content = json.loads(path.read_text())
    lines = [f"\n## {content['title']}\n", "Command: `make million` · numbers: `docs/results/million.json`\n"]
    lines += [content["about_text"] + "\n", how(content), rows_markdown(content["rows"]), comparisons_text(content)]
    for title, part in content["tables"].items():
        lines += [f"\n### {title}\n", table_markdown(part)]
    return "\n".join(lines)


if __name__ == "__main__":
    docs = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    write_file(docs / "benchmarks.md", markdown(docs))

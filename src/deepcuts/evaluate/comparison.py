"""Write a comparison of two systems down: comparison.json for machines, comparison.png for people, a table for both."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from deepcuts import store
from deepcuts.evaluate.html import number
from deepcuts.evaluate.picture import FAINT, GRID, INK
from deepcuts.evaluate.report import without_nan
from deepcuts.store import Meta, write_file, write_meta, writing

JSON, PICTURE = "comparison.json", "comparison.png"
TEAL, ORANGE = "#0f7b8a", "#c2562d"
TITLES = {"by_plays": "listeners", "by_artist": "artist"}


def write_comparison(content: Mapping[str, Any], folder: Path | str) -> dict[str, Any]:
    """Write comparison.json and comparison.png, whole or not at all.

    Args:
        content: what `trial.compare` or `trial.paired` gives.
    Returns:
        what comparison.json holds: undefined numbers are null.
    """
    clean: dict[str, Any] = without_nan(dict(content))
    text = json.dumps(clean, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    image = draw_comparison(clean)
    with writing(folder) as scratch:
        write_file(scratch / JSON, text)
        write_file(scratch / PICTURE, image)
        shape = {"n_users": clean["n_users"], "n_songs": clean["n_songs"]}
        write_meta(scratch, Meta("comparison", store.fingerprint(text), {}, clean["settings"], shape))
    return clean


def effect_lines(content: Mapping[str, Any]) -> list[list[str]]:
    """Metric · a · b · difference · interval · p, a line a metric."""
    rows = {row["system"]: row for row in content["rows"]}
    lines = [["metric", content["a"], content["b"], "difference", "interval", "p"]]
    for one in content["effects"]:
        metric, digits = one["metric"], 3 if one["metric"] == "auc" else 4
        means = [number(rows[name][metric]["mean"], digits) for name in (content["a"], content["b"])]
        title = "AUC" if metric == "auc" else content["map_key"].replace("map", "mAP@")
        lines.append([title, *means, *_gap(one, digits), "–" if one["p"] is None else f"{one['p']:.2g}"])
    return lines


def group_lines(content: Mapping[str, Any], kind: str) -> list[list[str]]:
    """Group · songs · a · b · difference · interval of the AUC, a line a group of songs."""
    lines = [[TITLES[kind], "songs", content["a"], content["b"], "difference", "interval"]]
    for one in content["groups"][kind]:
        gap = _gap(one, 3) if one["difference"] is not None else ["–", "–"]
        lines.append([one["group"], f"{one['n_songs']:,}", number(one["a"], 3), number(one["b"], 3), *gap])
    return lines


def _gap(one: Mapping[str, Any], digits: int) -> list[str]:
    interval = "–" if one["low"] is None else f"{one['low']:+.{digits}f}..{one['high']:+.{digits}f}"
    return [f"{one['difference']:+.{digits}f}", interval]


def list_lines(content: Mapping[str, Any]) -> list[list[str]]:
    """What the lists of both look like: a line a measure; none where they are not told."""
    told = [row["lists"] for row in content["rows"] if row.get("lists")]
    if len(told) < 2:
        return []
    head = [f"lists of {told[0]['k']:.0f}", content["a"], content["b"]]
    names = [name for name in told[0] if name != "k" and name in told[1]]
    return [head, *([name, *(number(one[name], 3) for one in told)] for name in names)]


def comparison_text(content: Mapping[str, Any]) -> str:
    """All tables for a terminal."""
    tables = [effect_lines(content), *(group_lines(content, kind) for kind in content["groups"]), list_lines(content)]
    parts = [_aligned(lines) for lines in tables if lines]
    left = ", ".join(f"{n:,} {why}" for why, n in content["left_out"].items())
    foot = (f"{content['n_users']:,} users, {content['n_songs']:,} test songs, {content['protocol']} protocol, "
            f"{content['settings']['level']:.0%} intervals. Left out: {left}.")  # fmt: skip
    return "\n\n".join([*parts, foot])


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def draw_comparison(content: Mapping[str, Any], *, dpi: int = 160) -> bytes:
    """A PNG: the difference in AUC of all users and of each group of songs, and the difference in mAP beside it."""
    groups = [(f"{one['group']} {TITLES[kind]}", one) for kind, held in content["groups"].items() for one in held]
    overall = {one["metric"]: one for one in content["effects"]}
    rows = [("all", overall["auc"]), *((name, one) for name, one in groups if one["difference"] is not None)]
    figure = Figure(figsize=(10, 1.9 + 0.42 * len(rows)), facecolor="white")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.25, "width_ratios": (3, 1)})
    _draw_gaps(left, rows, "difference in AUC", 6)
    _draw_gaps(right, [("all", overall["map"])], f"in {content['map_key'].replace('map', 'mAP@')}", 3)
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.16, right=0.975, top=1 - 0.5 / height, bottom=0.92 / height)
    caption = (f"right of the line: {content['a']} is better · left: {content['b']} · bars: "
               f"{content['settings']['level']:.0%} intervals of the paired difference\n"
               f"{content['n_users']:,} users · {content['n_songs']:,} test songs · {content['protocol']}")  # fmt: skip
    figure.text(0.012, 0.13 / height, caption, fontsize=8.5, color=FAINT, ha="left", linespacing=1.5)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()


def _draw_gaps(axes: Axes, rows: Sequence[tuple[str, Mapping[str, Any]]], title: str, n_ticks: int) -> None:
    axes.axvline(0, color=FAINT, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
    for place, (_, one) in enumerate(rows):
        if one["difference"] is None or not math.isfinite(one["difference"]):
            continue
        colour = TEAL if one["difference"] >= 0 else ORANGE
        if one["low"] is not None:
            axes.plot([one["low"], one["high"]], [place, place], color=colour, linewidth=4, alpha=0.35,
                      solid_capstyle="round")  # fmt: skip
        axes.plot(one["difference"], place, "o", color=colour, markersize=7.5, zorder=3)
        axes.annotate(f"{one['difference']:+.4f}", (one["difference"], place), xytext=(0, 6.5), ha="center",
                      textcoords="offset points", fontsize=8, color=INK)  # fmt: skip
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_title(title, loc="left", fontsize=12, color=INK, fontweight="bold", pad=9)
    axes.margins(x=0.12)
    axes.locator_params(axis="x", nbins=n_ticks)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9, colors="#5b616d")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)

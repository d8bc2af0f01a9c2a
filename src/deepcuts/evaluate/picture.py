"""The picture of an evaluation: one dot with its interval for every system, for both metrics."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, FAINT, GRID = "#22262e", "#8a909c", "#e4e7ec"
COLOURS = {"content": "#0f7b8a", "control": "#8a909c", "ceiling": "#c2562d"}
TICK_ROOM = 0.03  # of the axis, free at both ends, so that no number of a tick stands over the end
MARKERS = {"content": "o", "control": "o", "ceiling": "D"}


def draw_report(content: Mapping[str, Any], *, dpi: int = 160) -> bytes:
    """A PNG: systems from best to worst, mAP on the left, AUC on the right; chance as a dashed line.

    Args:
        content: what report.json holds.
    """
    rows, key = content["rows"], content["map_key"]
    figure = Figure(figsize=(10, 1.9 + 0.42 * len(rows)), facecolor="white")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.09})
    names = [row["system"] + (" *" if row["cheating"] else "") for row in rows]
    _draw_dots(left, rows, key, chance=content["chance"][key])
    _draw_dots(right, rows, "auc", chance=0.5)
    left.set_yticks(range(len(rows)), names)
    left.set_ylim(len(rows) - 0.4, -0.6)
    for axes, title in ((left, key.replace("map", "mAP@")), (right, "AUC")):
        axes.set_title(title, loc="left", fontsize=12, color=INK, fontweight="bold", pad=9)
    for label, row in zip(left.get_yticklabels(), rows, strict=True):
        label.set_color(COLOURS[row["kind"]] if row["kind"] != "control" else "#5b616d")
        label.set_fontsize(10.5)
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.23, right=0.975, top=1 - 0.5 / height, bottom=0.92 / height)
    figure.text(0.012, 0.13 / height, _caption(content), fontsize=8.5, color=FAINT, ha="left", linespacing=1.5)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()


def _draw_dots(axes: Axes, rows: Sequence[Mapping[str, Any]], key: str, chance: float) -> None:
    axes.axvline(chance, color=FAINT, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
    digits = 4 if max((row[key]["mean"] or 0) for row in rows) < 0.1 else 3
    for place, row in enumerate(rows):
        value, kind = row[key], row["kind"]
        if value["mean"] is None:
            continue
        colour = COLOURS[kind]
        axes.plot(
            [value["low"], value["high"]], [place, place], color=colour, linewidth=4, alpha=0.35, solid_capstyle="round"
        )
        face = "white" if row["cheating"] else colour
        axes.plot(value["mean"], place, MARKERS[kind], color=colour, markerfacecolor=face, markersize=7.5, zorder=3)
        axes.annotate(
            f"{value['mean']:.{digits}f}",
            (value["mean"], place),
            xytext=(0, 6.5),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=INK,
            zorder=2,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9, colors="#5b616d")
    axes.margins(x=0.08)
    low, high = axes.get_xlim()
    room = TICK_ROOM * (high - low)
    axes.set_xticks([tick for tick in axes.get_xticks() if low + room <= tick <= high - room])
    axes.set_xlim(low, high)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)


def _caption(content: Mapping[str, Any]) -> str:
    kinds = {row["kind"] for row in content["rows"]}
    colours = {"content": "teal: hears the songs", "control": "grey: control", "ceiling": "orange diamond: ceiling"}
    legend = " · ".join(colours[kind] for kind in colours if kind in kinds)
    if any(row["cheating"] for row in content["rows"]):
        legend += " · hollow, *: has seen hidden plays"
    return (
        f"{legend} · dashed: chance · bars: {content['settings']['level']:.0%} intervals over users and songs\n"
        f"{content['n_users']:,} users · {content['n_songs']:,} test songs · {content['protocol']} protocol"
    )

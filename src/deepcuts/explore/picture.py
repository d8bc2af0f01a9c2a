"""The picture of a map (the paper's Figure 1): all songs, coloured by style, and close-ups with artists' names."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from matplotlib import font_manager, patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.spatial import cKDTree

from deepcuts.checks import check_shape
from deepcuts.errors import InputError
from deepcuts.explore.styles import NO_STYLE, style_colours

INK, SOFT, FAINT, LINE = "#22262e", "#5b616d", "#8a909c", "#d5d9e0"
N_CLOSE_UPS = 4
MOST_NAMES = 20  # in a close-up
PANEL = 1.175  # width / height of a close-up
# where a name may stand, in points from its dot: right, left, above, below, and the corners
PLACES = [
    (5, 0, "left", "center"),
    (-5, 0, "right", "center"),
    (0, 5, "center", "bottom"),
    (0, -5, "center", "top"),
    (4, 4, "left", "bottom"),
    (-4, 4, "right", "bottom"),
    (4, -4, "left", "top"),
    (-4, -4, "right", "top"),
]


@dataclass(frozen=True)
class CloseUp:
    """A part of the map: its middle, half its width and height, and the style it was chosen for."""

    x: float
    y: float
    wide: float
    high: float
    style: int

    def holds(self, xy: np.ndarray) -> np.ndarray:
        """Which of some places [n, 2] lie inside."""
        return (np.abs(xy - [self.x, self.y]) <= [self.wide, self.high]).all(axis=1)


def choose_close_ups(
    xy: np.ndarray, labels: np.ndarray, n_styles: int, *, n: int = N_CLOSE_UPS, share: float = 0.12
) -> list[CloseUp]:
    """Parts where one style is at home: for the styles of most songs in turn, where own² / all is greatest.

    Args:
        xy: [n_songs, 2].
        labels: [n_songs], -1 for songs without a style.
        n_styles: how many there are; when fewer than n, styles get a second one elsewhere.
        share: height of a part as a share of the map's side.
    Returns:
        at most n that do not overlap.
    """
    high = share * float(np.ptp(xy, axis=0).max()) / 2
    size = np.array([high * PANEL, high])
    counts = np.bincount(labels[labels >= 0], minlength=n_styles)
    order = [int(style) for style in np.argsort(-counts, kind="stable") if counts[style]]
    everything = cKDTree(xy / size)
    chosen: list[CloseUp] = []
    for style in order * n:
        if len(chosen) == n:
            break
        own = xy[labels == style]
        inside = cKDTree(own / size).query_ball_point(own / size, 1, p=np.inf, return_length=True)
        score = inside.astype(float) ** 2 / everything.query_ball_point(own / size, 1, p=np.inf, return_length=True)
        for one in chosen:
            score[(np.abs(own - [one.x, one.y]) < 2.05 * size).all(axis=1)] = -1
        best = int(np.argmax(score))
        if score[best] > 0:
            chosen.append(CloseUp(float(own[best, 0]), float(own[best, 1]), float(size[0]), high, style))
    return chosen


def draw_map(
    xy: np.ndarray,
    labels: np.ndarray,
    styles: Sequence[str],
    artists: Sequence[str | None],
    *,
    weight: np.ndarray | None = None,
    title: str = "Songs that the same people would play lie close together",
    caption: str = "",
    dpi: int = 160,
) -> bytes:
    """A PNG: the map on the left, four close-ups with artists' names on the right.

    Args:
        xy: places [n_songs, 2].
        labels: [n_songs], position in `styles`, -1 for none (drawn grey, beneath).
        artists: [n_songs], shown in the close-ups once each, as far as they find room; None is not shown.
        weight: [n_songs], such as listeners: greater ones are named first. Number of songs when None.
        caption: a line or two under the map: what was drawn, n, and how well it holds.
    Raises:
        InputError: arrays of other lengths, a label that is no style, too many styles.
    """
    check_shape("xy", xy, [None, 2])
    check_shape("labels", labels, [len(xy)])
    check_shape("artists", np.asarray(artists, dtype=object), [len(xy)])
    if len(labels) and not -1 <= labels.min() <= labels.max() < len(styles):
        raise InputError(f"labels: from {labels.min()} to {labels.max()}, expected -1 to {len(styles) - 1}.")
    colours = style_colours(styles)
    figure = Figure(figsize=(14, 7.9), facecolor="white")
    FigureCanvasAgg(figure)
    left, width, bottom, height = 0.012, 0.445, 0.085, 0.79
    whole = figure.add_axes((left, bottom, width, height))
    close_ups = choose_close_ups(xy, labels, len(styles))
    _draw_whole(whole, xy, labels, colours, close_ups)
    for place, close_up in enumerate(close_ups):
        x = left + width + 0.018 + (place % 2) * 0.264
        y = bottom + (1 - place // 2) * (height / 2 + 0.006)
        panel = figure.add_axes((x, y, 0.258, height / 2 - 0.006))
        _draw_close_up(panel, "ABCD"[place], close_up, xy, labels, colours, artists, weight)
    figure.text(left, 0.955, title, fontsize=16, fontweight="bold", color=INK, va="center", parse_math=False)
    _draw_legend(figure, left, 0.912, styles, colours, labels)
    figure.text(left, 0.06, caption, fontsize=9, color=SOFT, va="top", linespacing=1.5, parse_math=False)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()


def _draw_whole(
    axes: Axes, xy: np.ndarray, labels: np.ndarray, colours: Sequence[str], close_ups: Sequence[CloseUp]
) -> None:
    size = float(np.clip(9000 / max(len(xy), 1), 2.5, 16))
    _dots(axes, xy, labels, colours, size)
    _frame(axes)
    middle, half = (xy.max(axis=0) + xy.min(axis=0)) / 2, 0.52 * float(np.ptp(xy, axis=0).max())
    ratio = axes.bbox.width / axes.bbox.height
    axes.set_xlim(middle[0] - half * max(ratio, 1), middle[0] + half * max(ratio, 1))
    axes.set_ylim(middle[1] - half / min(ratio, 1), middle[1] + half / min(ratio, 1))
    for letter, one in zip("ABCD", close_ups, strict=False):
        corner = (one.x - one.wide, one.y - one.high)
        axes.add_patch(
            Rectangle(corner, 2 * one.wide, 2 * one.high, fill=False, edgecolor=INK, linewidth=1.1, zorder=5)
        )
        text = axes.annotate(letter, (one.x - one.wide, one.y + one.high), xytext=(3, -3), textcoords="offset points",
                             ha="left", va="top", fontsize=11, fontweight="bold", color=INK, zorder=6)  # fmt: skip
        _halo(text)


def _draw_close_up(
    axes: Axes,
    letter: str,
    close_up: CloseUp,
    xy: np.ndarray,
    labels: np.ndarray,
    colours: Sequence[str],
    artists: Sequence[str | None],
    weight: np.ndarray | None,
) -> None:
    _frame(axes)
    axes.set_xlim(close_up.x - close_up.wide, close_up.x + close_up.wide)
    axes.set_ylim(close_up.y - close_up.high, close_up.y + close_up.high)
    seen = close_up.holds(xy)
    _dots(axes, xy[seen], labels[seen], colours, float(np.clip(4000 / max(seen.sum(), 1), 7, 30)))
    text = axes.text(0.012, 0.975, letter, transform=axes.transAxes, ha="left", va="top", fontsize=12,
                     fontweight="bold", color=INK, zorder=6)  # fmt: skip
    _halo(text)
    place_names(axes, artists_inside(seen, xy, artists, weight), [text.get_window_extent()])


def artists_inside(
    seen: np.ndarray, xy: np.ndarray, artists: Sequence[str | None], weight: np.ndarray | None
) -> list[tuple[str, tuple[float, float]]]:
    """Artists with songs among those seen and the place of their heaviest one; greatest sum of weight first."""
    weights = np.ones(len(xy)) if weight is None else np.asarray(weight, dtype=float)
    total: dict[str, float] = {}
    best: dict[str, int] = {}
    for song in np.flatnonzero(seen).tolist():
        name = artists[song]
        if name is None or not drawable(name):
            continue
        total[name] = total.get(name, 0.0) + weights[song]
        if name not in best or weights[song] > weights[best[name]]:
            best[name] = song
    ranked = sorted(total, key=lambda one: (-total[one], one))
    return [(name, (float(xy[best[name], 0]), float(xy[best[name], 1]))) for name in ranked]


def place_names(axes: Axes, names: Sequence[tuple[str, tuple[float, float]]], taken: list) -> None:
    """Names beside their dots as long as they find room that no other name has."""
    placed = 0
    for name, place in names:
        for dx, dy, ha, va in PLACES:
            text = axes.annotate(
                name if len(name) <= 28 else name[:27].rstrip() + "…", place, xytext=(dx, dy),
                textcoords="offset points", ha=ha, va=va, fontsize=8.5, color=INK, zorder=6, parse_math=False,
            )  # fmt: skip
            box = text.get_window_extent().padded(1.5)
            inside = box.x0 >= axes.bbox.x0 and box.x1 <= axes.bbox.x1
            inside = inside and box.y0 >= axes.bbox.y0 and box.y1 <= axes.bbox.y1
            if inside and not any(box.overlaps(other) for other in taken):
                _halo(text)
                taken.append(box)
                placed += 1
                break
            text.remove()
        if placed == MOST_NAMES:
            return


def _dots(axes: Axes, xy: np.ndarray, labels: np.ndarray, colours: Sequence[str], size: float) -> None:
    grey = labels < 0
    axes.scatter(xy[grey, 0], xy[grey, 1], s=size * 0.7, color=NO_STYLE, alpha=0.5, linewidths=0, zorder=1)
    coloured = np.array(colours, dtype=object)[labels[~grey]] if (~grey).any() else []
    axes.scatter(xy[~grey, 0], xy[~grey, 1], s=size, c=list(coloured), alpha=0.8, linewidths=0, zorder=2)


def _frame(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(LINE)


def _draw_legend(
    figure: Figure, x: float, y: float, styles: Sequence[str], colours: Sequence[str], labels: np.ndarray
) -> None:
    counts = np.bincount(labels[labels >= 0], minlength=len(styles))
    entries = [(style, colours[place], int(counts[place])) for place, style in enumerate(styles)]
    if (labels < 0).any():
        entries.append(("none of these", NO_STYLE, int((labels < 0).sum())))
    for style, colour, count in entries:
        figure.text(x, y, "●", fontsize=12, color=colour, va="center")
        text = figure.text(x + 0.012, y, f"{style}  {count:,}", fontsize=9.5, color=SOFT, va="center", parse_math=False)
        x = text.get_window_extent().x1 / figure.bbox.width + 0.014


def _halo(text: object) -> None:
    text.set_path_effects([patheffects.withStroke(linewidth=2.4, foreground="white")])  # type: ignore[attr-defined]


def drawable(name: str) -> bool:
    """Whether the font has every letter of a name; a box instead of a letter says nothing."""
    known = _letters()
    return all(ord(letter) in known for letter in name)


@cache
def _letters() -> frozenset[int]:
    path = font_manager.findfont(font_manager.FontProperties())
    return frozenset(font_manager.get_font(path).get_charmap())

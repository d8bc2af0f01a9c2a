"""The page of a map: one self-contained file to move about in, with search and a legend that hides and shows styles."""

import json
import re
from collections.abc import Sequence
from html import escape
from importlib import resources

import numpy as np

from deepcuts.checks import check_finite, check_shape
from deepcuts.errors import InputError
from deepcuts.explore.styles import NO_STYLE, style_colours

GRID = 65_535  # places are whole numbers on a grid this fine: half the size of decimals


def map_page(
    xy: np.ndarray,
    labels: np.ndarray,
    styles: Sequence[str],
    artists: Sequence[str | None],
    titles: Sequence[str | None] | None = None,
    *,
    weight: np.ndarray | None = None,
    title: str = "Map of songs",
    caption: str = "",
) -> str:
    """A web page that needs nothing else: drag and zoom, names under the pointer, search, styles on and off.

    Args:
        xy: places [n_songs, 2].
        labels: [n_songs], position in `styles`, -1 for none.
        artists, titles: [n_songs]; shown as `artist – title`.
        weight: [n_songs]: which names show first as one zooms in.
    Returns:
        HTML, about 40 bytes a song.
    Raises:
        InputError: arrays of other lengths, too many styles.
    """
    check_shape("xy", xy, [None, 2])
    check_finite("xy", xy)
    for name, column in (("labels", labels), ("artists", artists), ("titles", titles), ("weight", weight)):
        if column is not None and len(column) != len(xy):
            raise InputError(f"{name}: {len(column)}, expected {len(xy)}, one a song.")
    colours = style_colours(styles)
    low, side = xy.min(axis=0), max(float(np.ptp(xy, axis=0).max()), 1e-12)
    grid = np.rint((xy.astype(np.float64) - low) / side * GRID).astype(int)
    importance = np.zeros(len(xy)) if weight is None else np.asarray(weight, dtype=np.float64)
    order = np.argsort(-importance, kind="stable")
    counts = np.bincount(np.asarray(labels)[np.asarray(labels) >= 0], minlength=len(styles))
    known = dict.fromkeys(artist or "" for artist in artists)
    number = {artist: place for place, artist in enumerate(known)}
    content = {
        "grid": GRID,
        "styles": [
            {"name": style, "colour": colour, "n": int(n)}
            for style, colour, n in zip(styles, colours, counts, strict=True)
        ],
        "none": {"colour": NO_STYLE, "n": int(np.sum(np.asarray(labels) < 0))},
        "artists": list(known),
        "x": grid[order, 0].tolist(),
        "y": grid[order, 1].tolist(),
        "s": np.asarray(labels)[order].tolist(),
        "a": [number[artists[song] or ""] for song in order],
        "t": [_own_title(artists[song], titles[song]) for song in order] if titles is not None else [],
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":  # what could end the script or the string it stands in
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    template = resources.files("deepcuts.explore").joinpath("page.html").read_text(encoding="utf-8")
    words = {"TITLE": escape(title), "CAPTION": escape(caption), "DATA": text}
    return re.sub(r"\{\{(TITLE|CAPTION|DATA)\}\}", lambda found: words[found[1]], template)


def _own_title(artist: str | None, title: str | None) -> str:
    return title if title and title != artist else ""

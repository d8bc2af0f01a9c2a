"""One style for each song, from its tags, and a colour for each style."""

from collections.abc import Sequence

import numpy as np

from deepcuts.artifacts import Tags, Vocabulary
from deepcuts.errors import InputError
from deepcuts.explore.names import by_popularity, carriers_of, tag_rows

# The four of the paper's figure 1 keep their colours; other styles get the rest in order.
PAPER = {"hip-hop": "#d1383d", "rock": "#2e9950", "pop": "#e3a917", "electronic": "#2f6fd0"}
SPELLINGS = {
    "hip hop": "hip-hop",
    "hiphop": "hip-hop",
    "hip-hop": "hip-hop",
    "rap": "hip-hop",
    "electronica": "electronic",
}
REST = ("#8e4bb8", "#e0701f", "#12a3a3", "#d94f9a", "#7d5a3c", "#88a61b", "#2f6fd0", "#d1383d", "#2e9950", "#e3a917")
NO_STYLE = "#c3c8d0"


def popular_styles(songs: Vocabulary, tags: Tags, n: int) -> list[str]:
    """The n tags of most songs.

    Raises:
        InputError: the tags know none of the songs, or there are fewer tags.
    """
    carriers = carriers_of(tag_rows(songs, tags))
    order = [int(tag) for tag in by_popularity(carriers) if carriers[tag]]
    if len(order) < n:
        raise InputError(f"tags: {len(order)} are told of these songs, {n} styles were asked for. Ask for fewer.")
    return [tags.tags[tag] for tag in order[:n]]


def label_songs(songs: Vocabulary, tags: Tags, styles: Sequence[str]) -> np.ndarray:
    """The style of each song: int64 [n_songs], a position in `styles`, -1 for songs with none of them.

    Of several the one of greatest weight counts; of equal ones the one that fewer songs have, for it says more.

    Raises:
        InputError: a style is not among the tags, or stands twice; the tags know none of the songs.
    """
    if len(set(styles)) < len(styles):
        raise InputError(f"styles: {', '.join(styles)}: one stands twice. Name each once.")
    columns = tags.tags.positions(styles, where="styles")
    rows = tag_rows(songs, tags)
    carriers = carriers_of(rows)[columns]
    rarest_first = np.argsort(carriers, kind="stable")
    weights = rows[:, columns[rarest_first]].toarray()
    best = rarest_first[np.argmax(weights, axis=1)]
    return np.where(weights.max(axis=1, initial=0) > 0, best, -1).astype(np.int64)


def style_colours(styles: Sequence[str]) -> list[str]:
    """A colour (#rrggbb) for each style: red, green, yellow and blue for those of the paper, others after them.

    Raises:
        InputError: more styles than there are colours.
    """
    colours: list[str | None] = [None] * len(styles)
    for place, style in enumerate(styles):
        own = PAPER.get(SPELLINGS.get(style.lower(), style.lower()))
        colours[place] = own if own not in colours else None
    free = [colour for colour in REST if colour not in colours]
    if colours.count(None) > len(free):
        raise InputError(f"styles: {len(styles)}, an eye tells at most {len(REST)} colours apart. Name fewer.")
    rest = iter(free)
    return [colour if colour is not None else next(rest) for colour in colours]

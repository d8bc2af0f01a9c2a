"""Which listens are of one song, told in one export or in several.

What names a song, strongest first: the id of a media server or service, the MusicBrainz recording, the ISRC, and
(artist, title) without case and Unicode form. A song is known by the strongest of these that any of its listens has.
A listen with weaker names only belongs to the song that most listens of the same name belong to: the same song with and
without a recording id is one. Two songs whose ids of one kind differ stay two, and so do songs of one title by two
artists.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

_MBID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}\d{7}")
_NO_MBID = "00000000-0000-0000-0000-000000000000"


class Names(NamedTuple):
    """What one listen says of its song; "" where it says nothing. The order is that of strength."""

    song_id: str
    mbid: str
    isrc: str
    name: str


LEVELS = range(len(Names._fields))


def mbid_of(value: Any) -> str:
    """A MusicBrainz id in small letters; "" for what is none, such as an id of zeros."""
    text = value.strip().lower() if isinstance(value, str) else ""
    return text if _MBID.fullmatch(text) and text != _NO_MBID else ""


def isrc_of(value: Any) -> str:
    """ISRCs in capitals without dashes, joined by "; "; "" for what is none."""
    several = value if isinstance(value, list) else re.split(r"[;,/]", value) if isinstance(value, str) else []
    codes = [re.sub(r"[\s-]", "", one).upper() for one in several if isinstance(one, str)]
    return "; ".join(dict.fromkeys(code for code in codes if _ISRC.fullmatch(code)))


def plain_form(name: str) -> str:
    """A name in NFC, blanks single."""
    return unicodedata.normalize("NFC", " ".join(name.split()))


def name_key(artist: str, title: str) -> str:
    """What two spellings of one song share: case and Unicode form do not count; "" without artist and title."""
    return f"{plain_form(artist).casefold()}\x00{plain_form(title).casefold()}" if artist or title else ""


def song_ids(listens: Iterable[tuple[Names, str]]) -> list[str]:
    """The id of each listen's song.

    Args:
        listens: the names, and "artist – title" as the listen spells it.
    Returns:
        Song ids in the order of the listens. A song without ids is called "artist – title", as most listens spell it.
    """
    rows = list(listens)
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    for names, form in rows:
        forms[names.name][form] += 1
    found = _Songs()
    distinct = Counter(names for names, _ in rows)
    for level in LEVELS:
        found.add_level(level, [(names, n) for names, n in distinct.items() if _strongest(names) == level], forms)
    return [found.id_of[names] for names, _ in rows]


def _strongest(names: Names) -> int:
    return next((level for level in LEVELS if names[level]), LEVELS[-1])


def most_frequent(held: Counter[str]) -> str:
    """The text counted most; the first in order where several are."""
    return min(held, key=lambda text: (-held[text], text))


class _Songs:
    """Songs found so far, by everything that names them."""

    def __init__(self) -> None:
        self.id_of: dict[Names, str] = {}
        self.holders: list[dict[str, Counter[str]]] = [defaultdict(Counter) for _ in LEVELS]
        self.values: list[dict[str, set[str]]] = [defaultdict(set) for _ in LEVELS]  # level → song → its values

    def add_level(self, level: int, held: Sequence[tuple[Names, int]], forms: dict[str, Counter[str]]) -> None:
        """Songs of all listens whose strongest name is of `level`; those with stronger names are in already."""
        groups: dict[str, list[tuple[Names, int]]] = defaultdict(list)
        for names, n in held:
            groups[names[level]].append((names, n))
        chosen = {anchor: self._known(level, anchor, group) for anchor, group in groups.items()}
        for anchor, group in groups.items():
            own = most_frequent(forms[anchor]) if level == LEVELS[-1] else anchor
            song_id = chosen[anchor] or own
            for names, n in group:
                self.id_of[names] = song_id
                for at in LEVELS:
                    if names[at]:
                        self.holders[at][names[at]][song_id] += n
                        self.values[at][song_id].add(names[at])

    def _known(self, level: int, anchor: str, group: Sequence[tuple[Names, int]]) -> str:
        """The song with a stronger name that a group of listens belongs to, by the strongest name they share."""
        if level == 0:
            return ""
        for at in LEVELS[level:]:
            held: Counter[str] = Counter()
            for names, _ in group:
                held += self.holders[at].get(names[at], Counter()) if names[at] else Counter()
            fitting = Counter({one: n for one, n in held.items() if not self._differs(level, anchor, one)})
            if fitting:
                return most_frequent(fitting)
        return ""

    def _differs(self, level: int, anchor: str, song_id: str) -> bool:
        values = self.values[level].get(song_id)
        return bool(values) and anchor not in (values or ())

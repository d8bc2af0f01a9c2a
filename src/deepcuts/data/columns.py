"""Which column of a table is what: user, song, plays, time and what is kept of songs."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from deepcuts.checks import did_you_mean
from deepcuts.data.judge import ARTIST
from deepcuts.data.sniff import Sniffed, ask_for_names, looks_like_time, plain_name
from deepcuts.errors import InputError

# What "auto" accepts, in the form of `plain_name`: userid is also User ID, user_id and USER-ID. Each inner tuple is
# tried whole before the next: an artist is the thing recommended only where no song is named. A song id and a track id
# in one table are for a person to choose between.
SYNONYMS: dict[str, tuple[tuple[str, ...], ...]] = {
    "user": (("userid", "user", "username", "uid", "listener", "listenerid"),),
    "song": (
        ("songid", "song", "trackid", "track", "itemid", "item"),
        ("songtitle", "tracktitle", "trackname", "songname", "title"),
        ("artistid",),
        ("artist", "artistname"),
    ),
    "plays": (("plays", "playcount", "count", "listens", "weight"),),
    "time": (("time", "timestamp", "firstplayed", "playedat", "listenedat", "date", "ts", "uts", "utctime"),),
}
TITLES = ("song", "track", *SYNONYMS["song"][1])  # names of columns that may hold titles
KEPT: dict[str, tuple[str, ...]] = {
    "artist": ("artist", "artistname"),
    "title": ("title", "tracktitle", "songtitle", "trackname", "songname"),
    "album": ("album", "albumname", "albumtitle"),
}
OUR_NAMES = {"user": "user_id", "song": "song_id", "plays": "plays", "time": "time"}
LEFT_OUT = "-"


@dataclass(frozen=True)
class Columns:
    """Where a table keeps what.

    Attributes:
        places: our name, or the table's own name of a column that is kept → position.
        left_out: names of the columns that are not read.
    """

    places: Mapping[str, int]
    left_out: list[str] = field(default_factory=list)

    def tell_left_out(self, notes: Counter[str], nested: Sequence[str] = ()) -> None:
        """Note the columns that are not read, and those that hold lists."""
        if self.left_out:
            notes[f"columns left out: {', '.join(self.left_out)}"] = len(self.left_out)
        if nested:
            notes[f"columns of lists left out: {', '.join(nested)}"] = len(nested)


def known_names(wanted: Sequence[str | None]) -> set[str]:
    """Names that mark a header line: all synonyms, and those that a person chose."""
    chosen = {plain_name(name) for name in wanted if name not in (None, "auto")}
    return chosen | {name for tiers in SYNONYMS.values() for tier in tiers for name in tier}


def name_columns(
    found: Sniffed, columns: str | None, wanted: Mapping[str, str | None], where: str
) -> tuple[list[str], dict[str, str | None]]:
    """The columns' names, and what is wanted of them; a table without header is read by position if it is plain.

    Raises:
        InputError: a table without header whose columns may mean anything, or other than `columns` says.
    """
    if columns is not None:
        names = [name.strip() for name in columns.split(",")]
        if len(names) != found.n_columns:
            raise InputError(f"{where}: {found.n_columns} columns, but columns = {columns!r} names {len(names)}.")
        return names, dict(wanted)
    if found.names is not None:
        return found.names, dict(wanted)
    names = [f"column_{i + 1}" for i in range(found.n_columns)]
    guessed = [name for name in ("user", "song", "plays") if wanted[name] is not None]
    asked = {name: column for name, column in wanted.items() if column == "auto"}
    if asked:
        third = [row[2] for row in found.rows if len(row) > 2]
        if found.n_columns != len(guessed) or "time" in asked or looks_like_time(third):
            raise ask_for_names(found, where)
    by_position = {name: f"column_{i + 1}" for i, name in enumerate(guessed) if wanted[name] == "auto"}
    return names, {**wanted, **by_position}


def find_columns(
    names: Sequence[str],
    wanted: Mapping[str, str | None],
    extras: Sequence[str],
    where: str,
    rows: Sequence[Sequence[str]] = (),
) -> Columns:
    """Which column is what.

    Args:
        names: the columns there are.
        wanted: user, song, plays, time → a column name, "auto", or None when not wanted.
        extras: names of columns that are kept if they are there, in any case.
        rows: some rows, to tell ids from titles.
    Raises:
        InputError: a column is missing (lists those there are) or "auto" fits two (lists both).
    """
    found = {OUR_NAMES[what]: _find(names, what, name, where) for what, name in wanted.items() if name is not None}
    kept = {}
    for extra in extras:
        at = _kept_place(names, extra, [place for what, place in found.items() if what != "song_id"])
        if at is not None and not (at == found["song_id"] and plain_name(names[at]) not in KEPT["title"]):
            kept[names[at] if names[at].lower() == extra.lower() else extra] = at
    artist = next((at for name, at in kept.items() if plain_name(name) == "artist"), None)
    if artist is None:
        artist = _kept_place(names, "artist", list(found.values()))
    if artist is not None and artist != found["song_id"] and _is_title(names, found["song_id"], kept, rows):
        found[ARTIST] = artist
        kept.setdefault("title", found["song_id"])
    places = {**found, **kept}
    left_out = [name for at, name in enumerate(names) if at not in places.values() and name != LEFT_OUT]
    return Columns(places, left_out)


def _find(names: Sequence[str], what: str, name: str, where: str) -> int:
    if name == "auto":
        return _by_synonym(names, what, where)
    fitting = [at for at, own in enumerate(names) if own == name]
    fitting = fitting or [at for at, own in enumerate(names) if own.lower() == name.lower()]
    if len(fitting) > 1:
        raise InputError(f"{where}: column {name!r} appears more than once. Rename one.")
    if not fitting:
        raise InputError(
            f"{where}: no column {name!r}; the columns are {', '.join(map(repr, names))}."
            f"{did_you_mean(name, names)} Name it with --set {what}=COLUMN."
        )
    return fitting[0]


def _by_synonym(names: Sequence[str], what: str, where: str) -> int:
    for tier in SYNONYMS[what]:
        fitting = [at for at, name in enumerate(names) if plain_name(name) in tier]
        if len(fitting) == 1:
            return fitting[0]
        if fitting and len({names[at] for at in fitting}) == 1:
            raise InputError(f"{where}: column {names[fitting[0]]!r} appears more than once. Rename one.")
        if fitting:
            both = " and ".join(repr(names[at]) for at in fitting)
            raise InputError(f"{where}: both {both} may be the {what}. Choose with --set {what}=COLUMN.")
    if what == "plays":
        more = "If each row is one listen, use `deepcuts data events`."
    else:
        more = "(A file without a header line: --set header=no --set columns=NAME,NAME,...)"
    raise InputError(
        f"{where}: no column for the {what}; the columns are {', '.join(map(repr, names))}. "
        f"Name it with --set {what}=COLUMN. {more}"
    )


def _kept_place(names: Sequence[str], extra: str, taken: Sequence[int]) -> int | None:
    """The position of an extra column: of that name, in any case, or by one of its usual names."""
    for fits in (
        lambda name: name == extra,
        lambda name: name.lower() == extra.lower(),
        lambda name: plain_name(name) in KEPT.get(extra.lower(), ()),
    ):
        found = [at for at, name in enumerate(names) if at not in taken and fits(name)]
        if found:
            return found[0]
    return None


def _is_title(names: Sequence[str], song: int, kept: Mapping[str, int], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the song column holds titles, which two artists may share, and not ids."""
    if plain_name(names[song]) not in TITLES:
        return False
    if any(plain_name(name) == "title" and at != song for name, at in kept.items()):
        return False
    cells = [row[song].strip() for row in rows if song < len(row)]
    ids = [cell for cell in cells if re.fullmatch(r"[\w:.\-]*\d[\w:.\-]*", cell)]
    return len(ids) < len(cells) or not cells


def refuse_id_dtypes(schema: pl.Schema, names: Sequence[str], columns: Columns, where: str) -> None:
    """Refuse ids that a parquet file holds as decimal numbers.

    Raises:
        InputError: names the column.
    """
    for what in ("user_id", "song_id"):
        name = names[columns.places[what]]
        if schema[name].is_float():
            raise InputError(f"{where}: column {name!r} holds decimal numbers, expected ids. Save them as texts.")

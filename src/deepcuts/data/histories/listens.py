"""What every export becomes: listens, one row each, and from them plays with times and names.

A song is named by its artist and title; spellings that differ in case or Unicode form only are one song, under the form
that occurs most. Its MusicBrainz and ISRC ids travel along, most frequent first. Songs of services that give ids but no
names keep the ids.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from deepcuts.artifacts import Plays
from deepcuts.errors import InputError

NOBODY = "me"  # the user of a one-person export without --user
EARLIEST = 788_918_400  # 1995-01-01: nothing was logged before
LEAST_PLAYED = 30.0  # seconds that make a play
SECONDS_BETWEEN_SERVICES = 60


class Listen(NamedTuple):
    """One listen, as an export tells it.

    Attributes:
        artist, title, album: names; "" where unknown.
        time: unix seconds when it began; None where the export has none.
        user: "" for exports of one person.
        song_id: the service's own id, for services that name songs by ids only.
        mbid, isrc: "" where unknown.
        duration: seconds of the whole track; None where unknown.
        plays: how often, for exports that count.
    """

    artist: str
    title: str
    album: str = ""
    time: int | None = None
    user: str = ""
    song_id: str = ""
    mbid: str = ""
    isrc: str = ""
    duration: float | None = None
    plays: float = 1.0


@dataclass
class Collected:
    """Listens of all files, and what was left out.

    Attributes:
        listens: with the number of the file that each came from.
        skips: listens that were skipped: negative feedback.
        liked, disliked: (user, artist, title, song_id) marked by hand.
        notes: what was left out and why, counted.
        names: user names that the export tells elsewhere, such as in user.json.
        file: number of the file being read.
    """

    listens: list[tuple[int, Listen]] = field(default_factory=list)
    skips: list[Listen] = field(default_factory=list)
    liked: list[Listen] = field(default_factory=list)
    disliked: list[Listen] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    names: list[str] = field(default_factory=list)
    file: int = 0

    def add(self, listen: Listen, *, seconds: float | None = None, skipped: bool = False) -> None:
        """Take a listen, unless it is too short for a play, has no name or a time that cannot be.

        Args:
            seconds: how long it was played; None where the export does not say.
            skipped: whether the listener went on before the end.
        """
        if not listen.song_id and not (listen.artist.strip() and listen.title.strip()):
            self.notes["listens without artist or title left out"] += 1
        elif listen.time is not None and not EARLIEST <= listen.time <= latest():
            self.notes["listens before 1995 or after tomorrow left out"] += 1
        elif seconds is not None and seconds < LEAST_PLAYED:
            self.notes[f"listens under {LEAST_PLAYED:.0f} seconds left out"] += 1
            if skipped:
                self.skips.append(listen)
        else:
            self.listens.append((self.file, listen))


def latest() -> int:
    """Unix seconds of tomorrow: no listen is later."""
    return int(datetime.now(UTC).timestamp()) + 86_400


def seconds_of(value: Any) -> int | None:
    """Unix seconds of a time in seconds, ms, µs or ns (its size says which), or of an ISO text; None for none of them.

    A text without a zone is UTC.
    """
    if value is None or isinstance(value, bool) or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return _of_text(str(value))
    if not abs(number) < 1e20:  # ns of the year 5138
        return None
    while abs(number) >= 1e11:  # s of the year 5138
        number /= 1000
    return int(number)


FORMATS = ("%d %b %Y %H:%M", "%d %b %Y, %H:%M", "%d %b %Y %H:%M:%S", "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M")


def _of_text(text: str) -> int | None:
    text = text.strip().removesuffix("UTC").strip()
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        for form in FORMATS:
            try:
                found = datetime.strptime(text, form)
                break
            except ValueError:
                continue
        else:
            return None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def text_of(value: Any) -> str:
    """A cell as text; "" for null and for what is no text or number."""
    if isinstance(value, str):
        return " ".join(value.split())
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def number_of(value: Any) -> float | None:
    """A finite number that is not negative; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and number >= 0 and not isinstance(value, bool) else None


def table_of(listens: Sequence[tuple[int, Listen]], user: str | None, names: Sequence[str]) -> pl.DataFrame:
    """Listens as a table with `user_id` and `song_id`."""
    rows = pl.DataFrame([one for _, one in listens], schema=_TYPES, orient="row")
    rows = rows.with_columns(pl.Series("file", [file for file, _ in listens], dtype=pl.Int32))
    told = sorted({name for name in names if name} | set(rows["user"].to_list()) - {""})
    nameless = user or (told[0] if len(told) == 1 else NOBODY)
    everybody = pl.lit(user) if user else pl.when(pl.col("user") == "").then(pl.lit(nameless)).otherwise(pl.col("user"))
    rows = rows.with_columns(everybody.alias("user_id"))
    return rows.with_columns(pl.Series("song_id", song_ids(listens), dtype=pl.String))


_TYPES = {"artist": pl.String, "title": pl.String, "album": pl.String, "time": pl.Int64, "user": pl.String,
          "song_id": pl.String, "mbid": pl.String, "isrc": pl.String, "duration": pl.Float64,
          "plays": pl.Float64}  # fmt: skip


def song_ids(listens: Sequence[tuple[int, Listen]]) -> list[str]:
    """The id of each listen's song: the service's own, or "artist – title" in its most frequent form."""
    keys = [one.song_id or _key(one) for _, one in listens]
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    for key, (_, one) in zip(keys, listens, strict=True):
        forms[key][one.song_id or f"{_form(one.artist)} – {_form(one.title)}"] += 1
    best = {key: _most_frequent(held) for key, held in forms.items()}
    return [best[key] for key in keys]


def _most_frequent(held: Counter[str]) -> str:
    return min(held, key=lambda form: (-held[form], form))


def _key(one: Listen) -> str:
    return f"{_form(one.artist).casefold()}\x00{_form(one.title).casefold()}"


def _form(name: str) -> str:
    return unicodedata.normalize("NFC", " ".join(name.split()))


def one_listen_each(rows: pl.DataFrame, notes: Counter[str]) -> pl.DataFrame:
    """Rows without repetitions: the same listen in two overlapping files, or told by two services a minute apart."""
    if rows["time"].null_count():
        return rows
    kept = rows.unique(["user_id", "song_id", "time"], maintain_order=True)
    notes["listens that appear more than once dropped"] += rows.height - kept.height
    if kept["file"].n_unique() < 2:
        return kept
    ordered = kept.sort(["user_id", "song_id", "time", "file"])
    near = (
        (pl.col("time") - pl.col("time").shift(1) <= SECONDS_BETWEEN_SERVICES)
        & (pl.col("file") != pl.col("file").shift(1))
        & (pl.col("user_id") == pl.col("user_id").shift(1))
        & (pl.col("song_id") == pl.col("song_id").shift(1))
    )
    once = ordered.filter(~near.fill_null(False))
    notes["listens told by two files within a minute dropped"] += ordered.height - once.height
    return once


def songs_table_of(rows: pl.DataFrame) -> pl.DataFrame:
    """What the listens say of each song: names and ids most frequent first, the median duration."""

    def most(name: str) -> pl.Expr:
        filled = pl.col(name).filter(pl.col(name) != "")
        return filled.mode().sort().first().alias(name)

    def several(name: str) -> pl.Expr:
        counts = pl.col(name).filter(pl.col(name) != "").value_counts(sort=True)
        return counts.struct.field(name).str.join("; ").alias(name)

    table = rows.group_by("song_id", maintain_order=True).agg(
        most("artist"), most("title"), most("album"), several("mbid"), several("isrc"), pl.col("duration").median()
    )
    return table.with_columns(pl.col("mbid", "isrc").replace("", None))


def plays_of(collected: Collected, user: str | None, settings: dict[str, Any], where: str) -> Plays:
    """Plays with times (where every listen has one), names and ids.

    Raises:
        InputError: not one listen is left; says what was left out.
    """
    if not collected.listens:
        left_out = "; ".join(f"{n:,} {what}" for what, n in collected.notes.items() if n)
        raise InputError(f"{where}: contains no listens that count as plays{f' ({left_out})' if left_out else ''}.")
    rows = one_listen_each(table_of(collected.listens, user, collected.names), collected.notes)
    timed = rows["time"].null_count() == 0
    if not timed and rows["time"].null_count() < rows.height:
        collected.notes["listens without a time: times are not kept"] += rows["time"].null_count()
    return Plays.from_pairs(
        rows["user_id"],
        rows["song_id"],
        rows["plays"].to_numpy(),
        first_played=rows["time"] if timed else None,
        songs_table=songs_table_of(rows),
        settings=settings,
        keep_times=timed and bool((rows["plays"] == 1).all()),
    )


def feedback_of(listens: Iterable[Listen], user: str | None, names: Sequence[str]) -> pl.DataFrame:
    """Skips or marks as a table: user_id · song_id · time · artist · title."""
    rows = table_of([(0, one) for one in listens], user, names)
    return rows.select("user_id", "song_id", "time", "artist", "title").sort("user_id", "song_id", "time")

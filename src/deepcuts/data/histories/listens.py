"""What every export becomes: listens, one each, and how cells become times, numbers and texts."""

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import polars as pl

EARLIEST = 788_918_400  # 1995-01-01: nothing was logged before
LEAST_PLAYED = 30.0  # seconds that make a play


class Listen(NamedTuple):
    """One listen, as an export tells it.

    Attributes:
        artist, title, album: names; "" where unknown.
        time: unix seconds when it began; None where the export has none.
        user: "" for exports of one person.
        song_id: the id of a media server or research set, which then names the song.
        mbid, isrc: by `mbid_of` and `isrc_of`; "" where unknown.
        duration: seconds of the whole track; None where unknown.
        plays: how often, for exports that count.
        spotify: address of the track on Spotify, kept beside the names.
        file: where a media server keeps it.
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
    spotify: str = ""
    file: str = ""


@dataclass
class Collected:
    """Listens of all files, and what was left out.

    Attributes:
        listens: with the number of the file that each came from.
        skips: listens that were skipped: negative feedback.
        liked, disliked: songs marked by hand.
        unnamed: listens that lack an artist which another file of the export may tell.
        artists: (casefolded title) → artists, as such a file tells them.
        tables: listens by the million, with the columns of `Listen` that are known.
        notes: what was left out and why, counted.
        names: user names that the export tells elsewhere, such as in user.json.
        file: number of the file being read.
    """

    listens: list[tuple[int, Listen]] = field(default_factory=list)
    skips: list[Listen] = field(default_factory=list)
    liked: list[Listen] = field(default_factory=list)
    disliked: list[Listen] = field(default_factory=list)
    unnamed: list[tuple[int, Listen, float | None, bool]] = field(default_factory=list)
    artists: dict[str, set[str]] = field(default_factory=dict)
    tables: list[tuple[str, pl.DataFrame]] = field(default_factory=list)
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

    def add_unnamed(self) -> None:
        """Take the listens without an artist whose title one artist only has in the files beside them."""
        for number, listen, seconds, skipped in self.unnamed:
            self.file = number
            artists = self.artists.get(listen.title.casefold(), set())
            if len(artists) == 1:
                self.add(listen._replace(artist=next(iter(artists))), seconds=seconds, skipped=skipped)
            else:
                self.notes["plays without an artist left out (Apple's Daily Tracks file beside it may tell them)"] += 1
        self.unnamed.clear()


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
    except OverflowError:
        return None
    except (TypeError, ValueError):
        return _of_text(str(value))
    if not abs(number) < 1e20:  # ns of the year 5138
        return None
    while abs(number) >= 1e11:  # s of the year 5138
        number /= 1000
    return int(number)


FORMATS = ("%d %b %Y %H:%M", "%d %b %Y, %H:%M", "%d %b %Y %H:%M:%S", "%d %b %Y, %H:%M:%S",
           "%d.%m.%Y %H:%M")  # fmt: skip


def _of_text(text: str) -> int | None:
    text = text.strip().removesuffix("UTC").removesuffix("GMT").strip()
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
    """A cell as text, blanks single; "" for null and for what is no text or number. Half a surrogate pair becomes ?."""
    if isinstance(value, str):
        whole = value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
        return " ".join(whole.split())
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def number_of(value: Any) -> float | None:
    """A finite number that is not negative; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 and not isinstance(value, bool) else None

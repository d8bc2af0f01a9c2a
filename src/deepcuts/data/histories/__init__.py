"""Histories of listening as services, scrobblers and media servers export them → plays with times and names.

A new kind is one file and one line in HISTORIES: what it is, whether a file is one, and how its listens are taken.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import polars as pl

from deepcuts.artifacts import Plays
from deepcuts.checks import did_you_mean
from deepcuts.data.histories.apple import is_apple, is_apple_daily, read_apple, read_apple_daily
from deepcuts.data.histories.deezer import is_deezer, read_deezer
from deepcuts.data.histories.gather import gather
from deepcuts.data.histories.jellyfin import is_jellyfin, read_jellyfin
from deepcuts.data.histories.lastfm import is_lastfm_api, is_lastfm_csv, read_lastfm_api, read_lastfm_csv
from deepcuts.data.histories.listenbrainz import is_listenbrainz, read_listenbrainz
from deepcuts.data.histories.listens import Collected
from deepcuts.data.histories.navidrome import is_navidrome, navidrome_library, read_navidrome
from deepcuts.data.histories.playlists import is_million_playlist, read_million_playlist
from deepcuts.data.histories.scrobblers import is_maloja, is_pano, is_rockbox, read_maloja, read_pano, read_rockbox
from deepcuts.data.histories.sources import Source, each_source
from deepcuts.data.histories.spotify import is_spotify, read_spotify
from deepcuts.data.histories.tables import LAYOUTS, layout_of, read_layout
from deepcuts.data.histories.yambda import is_yambda, read_yambda
from deepcuts.data.histories.youtube import is_youtube, read_youtube
from deepcuts.errors import InputError, SettingError

__all__ = ["HISTORIES", "LAYOUTS", "HistoryReading", "kind_of_history", "navidrome_library", "read_history"]


# What reading a file raises when its content is not what its kind says; a panic of polars is a BaseException.
UNLIKE_ITS_KIND = (
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
)
MOST_NAMED = 20  # files passed over that are named one by one


@dataclass(frozen=True)
class History:
    """One kind of export.

    Attributes:
        about: what it is and where it comes from.
        fits: whether a file is one.
        read: take its listens.
        one_person: whether the export is of one person, named by --user.
    """

    about: str
    fits: Callable[[Source], bool]
    read: Callable[[Source, Collected], None]
    one_person: bool = True


HISTORIES: dict[str, History] = {
    "spotify": History("Spotify streaming history (extended, or of the account data)", is_spotify, read_spotify),
    "listenbrainz": History("ListenBrainz export, dump or API answer", is_listenbrainz, read_listenbrainz),
    "lastfm-api": History("Last.fm API answers, or the JSON of export tools", is_lastfm_api, read_lastfm_api),
    "pano": History("Pano Scrobbler log", is_pano, read_pano),
    "lastfm-csv": History("Last.fm scrobbles as export tools write them", is_lastfm_csv, read_lastfm_csv),
    "maloja": History("Maloja export", is_maloja, read_maloja),
    "youtube": History("YouTube Music in Google Takeout (watch-history.json)", is_youtube, read_youtube),
    "million-playlist": History("Million Playlist Dataset slice", is_million_playlist, read_million_playlist, False),
    "rockbox": History("Rockbox or portable player log (.scrobbler.log)", is_rockbox, read_rockbox),
    "apple": History("Apple Music Play Activity", is_apple, read_apple),
    "apple-daily": History("Apple Music Daily Tracks, which name artists", is_apple_daily, read_apple_daily),
    "deezer": History("Deezer export (workbook)", is_deezer, read_deezer),
    "yambda": History("Yambda listens, likes or dislikes (parquet)", is_yambda, read_yambda, False),
    "navidrome": History("Navidrome database", is_navidrome, read_navidrome, False),
    "jellyfin": History(
        "Jellyfin database, or that of its playback-reporting plugin", is_jellyfin, read_jellyfin, False
    ),
}


@dataclass(frozen=True)
class HistoryReading:
    """What reading a history gave.

    Attributes:
        plays: with times where every listen has one.
        skips, marks: negative feedback, and songs liked (1) or disliked (-1) by hand: user_id · song_id · ...
        notes: what was left out, and why, counted.
        kinds: the kinds that were read.
    """

    plays: Plays
    skips: pl.DataFrame
    marks: pl.DataFrame
    notes: dict[str, int]
    kinds: tuple[str, ...]


def kind_of_history(source: Source) -> str | None:
    """The kind of an export file; None when it is none."""
    return next((name for name, history in HISTORIES.items() if history.fits(source)), None)


def read_history(
    paths: Path | str | Sequence[Path | str], *, kind: str = "auto", user: str | None = None
) -> HistoryReading:
    """Plays from exports: files, folders or archives of them, several at once, also of several kinds.

    Args:
        kind: a key of HISTORIES or LAYOUTS, or "auto": each file is looked at.
        user: the name of the listener of one-person exports; without it the name that the export tells, or "me".
            Databases and data sets of several users keep their own names.
    Raises:
        SettingError: unknown kind.
        InputError: no file is a history; damaged; no listens left.
    """
    if kind not in ("auto", *HISTORIES, *LAYOUTS):
        raise SettingError(f"kind = {kind!r}: unknown.{did_you_mean(kind, ['auto', *HISTORIES, *LAYOUTS])}")
    given = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    where = ", ".join(map(str, given))
    out, found, other, tables = Collected(), [], [], list[tuple[str, Source]]()
    for number, source in enumerate(each_source(given)):
        name = _kind_of(source) if kind == "auto" else kind if _may_be(source, kind, given) else None
        if name is None:
            other.append(source)
        elif name in LAYOUTS:
            tables.append((name, source))
        else:
            out.file = number
            found.append(name)
            _take_all(name, source, out)
    out.notes.update(_passed_over(other))
    if tables:
        return _of_tables(tables, other, found, out.notes, where)
    if not found:
        raise InputError(_nothing_found(where, other))
    return _reading(out, found, user, where)


def _kind_of(source: Source) -> str | None:
    return kind_of_history(source) or layout_of(source)


def _take_all(name: str, source: Source, out: Collected) -> None:
    """Take the listens of a file; a file that is not in the form of its kind is refused, whatever is in it.

    Raises:
        InputError: the form is another one.
    """
    try:
        HISTORIES[name].read(source, out)
    except UNLIKE_ITS_KIND as error:
        raise InputError(
            f"{source.where}: not in the form of {name}: {HISTORIES[name].about} ({error}). "
            "`deepcuts data what FILE` says what it looks like."
        ) from error


def _may_be(source: Source, kind: str, given: Sequence[Path]) -> bool:
    """Whether a file is meant when a kind was named: one that was given, or not a picture or note beside it."""
    if source.path is not None and source.path in given:
        return True
    if kind in LAYOUTS:
        return layout_of(source) == kind
    return not source.base.endswith((".pdf", ".png", ".jpg", ".txt", ".md", ".html"))


def _passed_over(other: Sequence[Source]) -> Counter[str]:
    """Files that are no history: each by its name, or by suffix where there are many."""
    by_name = len(other) <= MOST_NAMED
    return Counter(
        f"files passed over: {source.name if by_name else PurePath(source.base).suffix or 'without suffix'}"
        for source in other
    )


def _of_tables(
    tables: Sequence[tuple[str, Source]],
    other: Sequence[Source],
    found: Sequence[str],
    notes: Counter[str],
    where: str,
) -> HistoryReading:
    kinds = sorted({*(name for name, _ in tables), *found})
    if len(kinds) > 1:
        raise InputError(f"{where}: tables and exports of several kinds ({', '.join(kinds)}). Read each by itself.")
    reading = read_layout(kinds[0], [source for _, source in tables], other)
    nothing = pl.DataFrame(schema={"user_id": pl.String, "song_id": pl.String})
    return HistoryReading(reading.plays, nothing, nothing, {**reading.notes, **notes}, tuple(kinds))


def _reading(out: Collected, found: Sequence[str], user: str | None, where: str) -> HistoryReading:
    counted = Counter(found)
    one_person = [HISTORIES[name].one_person for name in counted]
    settings = {"reader": "history", "kinds": sorted(counted)}
    made = gather(out, user, settings, where, several=any(one_person) and not all(one_person))
    notes = {f"files of {HISTORIES[name].about}": n for name, n in counted.items()}
    notes |= {what: n for what, n in out.notes.items() if n}
    return HistoryReading(made.plays, made.skips, made.marks, notes, tuple(sorted(counted)))


def _nothing_found(where: str, other: Sequence[Source]) -> str:
    names = ", ".join(source.name for source in other[:10]) or "no files"
    wide = [source.name for source in other if source.head.startswith((b"\xff\xfe", b"\xfe\xff"))]
    advice = f"{wide[0]} is UTF-16: save it as UTF-8. " if wide else ""
    return (
        f"{where}: no file looks like a listening history; found {names}. {advice}"
        f"Read are {', '.join([*HISTORIES, *LAYOUTS])}. A table of your own is read by `deepcuts data table` "
        "(with counts) or `deepcuts data events` (one listen a row); `deepcuts data what FILE` prints the command."
    )

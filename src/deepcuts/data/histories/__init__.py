"""Histories of listening as services, scrobblers and media servers export them → plays with times and names.

A new kind is one file and one line in HISTORIES: what it is, whether a file is one, and how its listens are taken.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import polars as pl

from deepcuts.artifacts import Plays
from deepcuts.checks import did_you_mean
from deepcuts.data.histories.jellyfin import is_jellyfin, read_jellyfin
from deepcuts.data.histories.lastfm import is_lastfm_api, is_lastfm_csv, read_lastfm_api, read_lastfm_csv
from deepcuts.data.histories.listenbrainz import is_listenbrainz, read_listenbrainz
from deepcuts.data.histories.listens import Collected, feedback_of, plays_of
from deepcuts.data.histories.navidrome import is_navidrome, navidrome_library, read_navidrome
from deepcuts.data.histories.scrobblers import is_maloja, is_pano, is_rockbox, read_maloja, read_pano, read_rockbox
from deepcuts.data.histories.services import (
    is_apple,
    is_deezer,
    is_million_playlist,
    is_yambda,
    is_youtube,
    read_apple,
    read_deezer,
    read_million_playlist,
    read_yambda,
    read_youtube,
)
from deepcuts.data.histories.sources import Source, each_source
from deepcuts.data.histories.spotify import is_spotify, read_spotify
from deepcuts.data.histories.tables import LAYOUTS, layout_of
from deepcuts.data.kinds import what_is
from deepcuts.errors import InputError, SettingError

__all__ = ["HISTORIES", "LAYOUTS", "HistoryReading", "describe", "navidrome_library", "read_history"]


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
    "lastfm-api": History("Last.fm API answers", is_lastfm_api, read_lastfm_api),
    "lastfm-csv": History("Last.fm scrobbles as export tools write them", is_lastfm_csv, read_lastfm_csv),
    "maloja": History("Maloja export", is_maloja, read_maloja),
    "youtube": History("YouTube Music in Google Takeout (watch-history.json)", is_youtube, read_youtube),
    "million-playlist": History("Million Playlist Dataset slice", is_million_playlist, read_million_playlist, False),
    "pano": History("Pano Scrobbler log", is_pano, read_pano),
    "rockbox": History("Rockbox or portable player log (.scrobbler.log)", is_rockbox, read_rockbox),
    "apple": History("Apple Music Play Activity", is_apple, read_apple),
    "deezer": History("Deezer export (workbook)", is_deezer, read_deezer),
    "yambda": History("Yambda listens (parquet)", is_yambda, read_yambda, False),
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
    Raises:
        SettingError: unknown kind.
        InputError: no file is a history; damaged; no listens left.
    """
    if kind not in ("auto", *HISTORIES, *LAYOUTS):
        raise SettingError(f"kind = {kind!r}: unknown.{did_you_mean(kind, ['auto', *HISTORIES, *LAYOUTS])}")
    given = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    where = ", ".join(map(str, given))
    out, found, other, layouts = Collected(), [], [], set()
    for number, source in enumerate(each_source(given)):
        name = kind if kind in HISTORIES else kind_of_history(source)
        layout = layout_of(source) if name is None else None
        if layout is not None:
            layouts.add(next(key for key, one in LAYOUTS.items() if one is layout))
        elif name is None or (kind != "auto" and not _may_hold(source)):
            other.append(source)
            continue
        else:
            out.file = number
            found.append(name)
            _take_all(name, source, out)
    if kind in LAYOUTS or layouts:
        return _of_table(given, kind if kind in LAYOUTS else _only(layouts, found, where), where)
    if not found:
        raise InputError(_nothing_found(where, other))
    return _reading(out, other, found, user, where)


def _take_all(name: str, source: Source, out: Collected) -> None:
    """Take the listens of a file; a file that is not in the form of its kind is refused, whatever is in it.

    Raises:
        InputError: the form is another one.
    """
    try:
        HISTORIES[name].read(source, out)
    except (AttributeError, KeyError, TypeError, IndexError, BadZipFile, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{source.where}: not in the form of {name}: {HISTORIES[name].about} ({error}). "
            "`deepcuts data what FILE` says what it looks like."
        ) from error


def _may_hold(source: Source) -> bool:
    """Whether a file may hold listens when the kind was named: not a picture or a note beside them."""
    return not source.base.endswith((".pdf", ".png", ".jpg", ".txt", ".md", ".html"))


def _only(layouts: set[str], found: Sequence[str], where: str) -> str:
    if len(layouts) > 1 or found:
        kinds = ", ".join(sorted({*layouts, *found}))
        raise InputError(f"{where}: tables and exports of several kinds ({kinds}). Read each by itself.")
    return next(iter(layouts))


def _of_table(paths: Sequence[Path], name: str, where: str) -> HistoryReading:
    layout = LAYOUTS[name]
    reading = layout.reader(list(paths) if len(paths) > 1 else paths[0], layout.settings)
    nothing = feedback_of([], None, [])
    return HistoryReading(reading.plays, nothing, nothing.with_columns(mark=pl.lit(0)), reading.notes, (name,))


def _reading(
    out: Collected, other: Sequence[Source], found: Sequence[str], user: str | None, where: str
) -> HistoryReading:
    several = user is not None and not all(HISTORIES[name].one_person for name in found)
    if several:
        raise SettingError("--user: names the listener of a one-person export, but this one holds several users.")
    counted = Counter(found)
    plays = plays_of(out, user, {"reader": "history", "kinds": sorted(counted)}, where)
    marks = [feedback_of(held, user, out.names).with_columns(mark=pl.lit(sign))
             for held, sign in ((out.liked, 1), (out.disliked, -1))]  # fmt: skip
    for source in other:
        out.notes[f"files passed over: {source.name}"] += 1
    notes = {f"files of {HISTORIES[name].about}": n for name, n in counted.items()}
    notes |= {what: n for what, n in out.notes.items() if n}
    skips = feedback_of(out.skips, user, out.names)
    return HistoryReading(plays, skips, pl.concat(marks), notes, tuple(sorted(counted)))


def _nothing_found(where: str, other: Sequence[Source]) -> str:
    names = ", ".join(source.name for source in other[:10]) or "no files"
    return (
        f"{where}: no file looks like a listening history; found {names}. "
        f"Read are {', '.join([*HISTORIES, *LAYOUTS])}. A table of your own is read by `deepcuts data table` "
        "(with counts) or `deepcuts data events` (one listen a row)."
    )


def describe(path: Path | str) -> list[tuple[str, str, str]]:
    """What each file of a source looks like, and the command that reads it: (name, what it is, command).

    The command is "" where none reads the file.
    """
    return [(source.name, *_described(source, Path(path))) for source in each_source([Path(path)])]


def _described(source: Source, path: Path) -> tuple[str, str]:
    kind = kind_of_history(source)
    if kind is not None:
        return HISTORIES[kind].about, f"deepcuts data history {path} -o plays"
    layout = layout_of(source)
    if layout is not None:
        return layout.about, f"deepcuts data history {path} -o plays"
    found = what_is(source.head)
    if found == "parquet":
        return "a parquet table", f"deepcuts data table {path} -o plays"
    if found is not None:
        return found, ""
    return _described_text(source, path)


def _described_text(source: Source, path: Path) -> tuple[str, str]:
    first = (source.first_lines or [""])[0]
    names = {cell.strip().strip('"').lower() for cell in first.replace("\t", ",").replace(";", ",").split(",")}
    counted = names & {"plays", "play_count", "playcount", "count", "listens", "weight"}
    timed = names & {"time", "timestamp", "date", "ts", "uts", "played_at", "listened_at"}
    if timed and not counted:
        name = next(iter(sorted(timed)))
        return "a table of listens", f"deepcuts data events {path} -o plays --set time={name}"
    return "a text table", f"deepcuts data table {path} -o plays"

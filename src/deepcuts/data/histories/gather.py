"""From the listens of all files to plays with times and names, skips and marks: every song under one id."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from deepcuts.artifacts import Plays
from deepcuts.data.histories.identity import Names, name_key, plain_form, song_ids
from deepcuts.data.histories.listens import Collected, Listen
from deepcuts.errors import InputError, SettingError

NOBODY = "me"  # the user of a one-person export without --user
SECONDS_BETWEEN_SERVICES = 60
OPTIONAL = ("spotify", "file")  # columns of the songs table that are there only where an export has them

_TYPES = {"artist": pl.String, "title": pl.String, "album": pl.String, "time": pl.Int64, "user": pl.String,
          "song_id": pl.String, "mbid": pl.String, "isrc": pl.String, "duration": pl.Float64, "plays": pl.Float64,
          "spotify": pl.String, "file": pl.String}  # fmt: skip


@dataclass(frozen=True)
class Gathered:
    """What all files gave.

    Attributes:
        plays: with times where every listen has one.
        skips: user_id · song_id · time · artist · title.
        marks: the same and `mark`: 1 liked, -1 disliked.
    """

    plays: Plays
    skips: pl.DataFrame
    marks: pl.DataFrame


def gather(out: Collected, user: str | None, settings: dict[str, Any], where: str, several: bool = False) -> Gathered:
    """Plays, skips and marks of what was collected; what is left out is added to the notes.

    Args:
        user: whose the one-person exports are.
        several: some of the files hold several users: these keep their names.
    Raises:
        InputError: not one listen is left; says what was left out.
        SettingError: `user` is given, and the files name several users.
    """
    out.add_unnamed()
    rows = _table(out, user, several)
    listens = rows.filter(pl.col("role") == "listen")
    if listens.is_empty():
        left_out = "; ".join(f"{n:,} {what}" for what, n in out.notes.items() if n)
        raise InputError(f"{where}: contains no listens that count as plays{f' ({left_out})' if left_out else ''}.")
    listens = one_listen_each(listens, out.notes)
    names = songs_table_of(rows)
    named = names.select("song_id", "artist", "title")
    feedback = rows.filter(pl.col("role") != "listen").select("user_id", "song_id", "time", "role")
    feedback = feedback.join(named, on="song_id", how="left").sort("user_id", "song_id", "time")
    feedback = feedback.select("user_id", "song_id", "time", "artist", "title", "role")
    sign = pl.when(pl.col("role") == "liked").then(1).otherwise(-1)
    return Gathered(
        _plays(listens, names, out.notes, settings),
        feedback.filter(pl.col("role") == "skip").drop("role"),
        feedback.filter(pl.col("role").is_in(["liked", "disliked"]))
        .with_columns(mark=sign)
        .drop("role")
        .unique(["user_id", "song_id", "mark"], keep="last", maintain_order=True),
    )


def _plays(rows: pl.DataFrame, names: pl.DataFrame, notes: Counter[str], settings: dict[str, Any]) -> Plays:
    n_without = rows["time"].null_count()
    if 0 < n_without < rows.height:
        notes["listens without a time: times are not kept"] += n_without
    return Plays.from_pairs(
        rows["user_id"],
        rows["song_id"],
        rows["plays"].to_numpy(),
        first_played=None if n_without else rows["time"],
        songs_table=names,
        settings=settings,
        keep_times=not n_without and bool((rows["plays"] == 1).all()),
    )


def _table(out: Collected, user: str | None, several: bool) -> pl.DataFrame:
    """All listens, skips and marks as one table with `user_id`, `song_id`, `role` and `file_number`."""
    held = [(number, "listen", one) for number, one in out.listens]
    for role, others in (("skip", out.skips), ("liked", out.liked), ("disliked", out.disliked)):
        held += [(0, role, one) for one in others]
    rows = pl.DataFrame([one for _, _, one in held], schema=_TYPES, orient="row")
    ids = song_ids((_names(one), f"{plain_form(one.artist)} – {plain_form(one.title)}") for _, _, one in held)
    rows = rows.with_columns(
        pl.Series("song_id", ids, dtype=pl.String),
        pl.Series("role", [role for _, role, _ in held], dtype=pl.String),
        pl.Series("file_number", [number for number, _, _ in held], dtype=pl.Int32),
    )
    tables = [_completed(table).with_columns(pl.lit(role).alias("role"), file_number=pl.lit(0, dtype=pl.Int32))
              for role, table in out.tables]  # fmt: skip
    rows = pl.concat([rows, *tables])
    return rows.with_columns(_users(rows, user, out.names, several).alias("user_id"))


def _names(one: Listen) -> Names:
    return Names(one.song_id, one.mbid, one.isrc.split("; ")[0], name_key(one.artist, one.title))


def _completed(table: pl.DataFrame) -> pl.DataFrame:
    """A table with all columns of a listen."""
    filler: dict[str, Any] = {"time": None, "duration": None, "plays": 1.0}
    return table.select(
        (pl.col(name) if name in table.columns else pl.lit(filler.get(name, ""))).cast(kind).alias(name)
        for name, kind in _TYPES.items()
    )


def _users(rows: pl.DataFrame, user: str | None, names: Sequence[str], several: bool) -> pl.Expr:
    """Whose listens they are: as the rows say; where they don't, `user`, the one name that is told, or "me"."""
    in_rows = sorted(set(rows["user"].unique().to_list()) - {""})
    if user is not None and not several and len(in_rows) > 1:
        told = ", ".join(in_rows[:3]) + (" and more" if len(in_rows) > 3 else "")
        raise SettingError(
            f"--user {user}: names the listener of a one-person export, but this one holds {told}. "
            "Leave --user out: everybody is read, under their own names."
        )
    if user is not None and not several:
        return pl.lit(user)
    told_names = sorted({*in_rows, *names} - {""})
    nameless = user or (told_names[0] if len(told_names) == 1 else NOBODY)
    return pl.when(pl.col("user") == "").then(pl.lit(nameless)).otherwise(pl.col("user"))


def one_listen_each(rows: pl.DataFrame, notes: Counter[str]) -> pl.DataFrame:
    """Rows without repetitions: the same listen in two overlapping files, or told by two services a minute apart.

    Only listens with a time can be compared.
    """
    timed = rows.filter(pl.col("time").is_not_null())
    kept = timed.unique(["user_id", "song_id", "time"], keep="first", maintain_order=True)
    notes["listens that appear more than once dropped"] += timed.height - kept.height
    if kept["file_number"].n_unique() > 1:
        ordered = kept.sort("user_id", "song_id", "time", "file_number")
        told_again = _told_again(ordered)
        kept = ordered.filter(~told_again)
        notes["listens told by two files within a minute dropped"] += int(told_again.sum())
    return kept if timed.height == rows.height else pl.concat([kept, rows.filter(pl.col("time").is_null())])


def _told_again(rows: pl.DataFrame) -> pl.Series:
    """Which rows, in the order of user, song and time, repeat one of another file at most a minute before.

    One listen stands for one of each other file, so a short song played again and again keeps its plays.
    """
    repeats, near = [], list[tuple[int, set[int]]]()  # kept listens a minute back: time, files that repeated them
    before = None
    for user, song, time, file in rows.select("user_id", "song_id", "time", "file_number").iter_rows():
        if (user, song) != before:
            before, near = (user, song), []
        near = [one for one in near if time - one[0] <= SECONDS_BETWEEN_SERVICES]
        repeated = next((files for _, files in near if file not in files), None)
        repeats.append(repeated is not None)
        if repeated is None:
            near.append((time, {file}))
        else:
            repeated.add(file)
    return pl.Series(repeats, dtype=pl.Boolean)


def songs_table_of(rows: pl.DataFrame) -> pl.DataFrame:
    """What the listens say of each song: names and ids most frequent first, the median duration."""

    def most(name: str) -> pl.Expr:
        filled = pl.col(name).filter(pl.col(name) != "")
        return filled.mode().sort().first().alias(name)

    optional = [name for name in OPTIONAL if (rows[name] != "").any()]
    table = rows.group_by("song_id", maintain_order=True).agg(
        most("artist"), most("title"), most("album"), pl.col("duration").median(),
        *(most(name) for name in optional if name != "spotify"),
    )  # fmt: skip
    for name in ("mbid", "isrc", *(name for name in optional if name == "spotify")):
        table = table.join(_every_value(rows, name), on="song_id", how="left", maintain_order="left")
    texts = ["mbid", "isrc", *optional]
    order = ["song_id", "artist", "title", "album", "mbid", "isrc", "duration", *optional]
    return table.select(order).with_columns(pl.col(texts).replace("", None))


def _every_value(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """All values of a column that the listens of a song hold, most frequent first, joined by "; "."""
    counts = rows.filter(pl.col(name) != "").group_by("song_id", name).len()
    ordered = counts.sort(["len", name], descending=[True, False])
    return ordered.group_by("song_id", maintain_order=True).agg(pl.col(name).str.join("; "))

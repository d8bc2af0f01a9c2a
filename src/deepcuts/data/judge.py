"""Cells to numbers: which rows are good, and in words what is wrong with the others."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from deepcuts.errors import InputError

EARLIEST_SECONDS = 788_918_400  # 1995-01-01: nobody's listening was logged before
MOST_EXACT = 2**24  # plays are kept in float32, which is exact for whole numbers up to here
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
DATES = ("%Y-%m-%d", "%d %b %Y", "%d %B %Y", "%b %d %Y")
CLOCKS = (" %H:%M:%S%.f", " %H:%M", "", " %H:%M:%S%.f%z", " %H:%M%z")
ISO_FORMATS = tuple(date + clock for date in DATES for clock in CLOCKS)
CORE = ("user_id", "song_id", "plays", "time")
NOTED = ("reason", "line", "n_found", "n_columns", "plays_text", "time_text", "time_unit")
ARTIST = "artist_of_song_id"  # an artist's name that is a part of the song id
RESERVED = {*CORE, *NOTED, ARTIST, "first", "number"}

RAGGED = "wrong number of columns"
COMMENT = "comment"
NO_USER = "user id is empty"
NO_SONG = "song id is empty"
BROKEN_ID = "id contains a line end or a zero byte"
NOT_NUMBER = "count is not a number"
UNCLEAR = "count has an unclear decimal sign"
NOT_POSITIVE = "count is not positive and finite"
TOO_SMALL = "count is too small to be kept"
TOO_GREAT = "count is too great to be kept exactly"
NO_TIME = "time is not understood"
LATE_TIME = "time is out of range"


def judge(cells: pl.DataFrame, time_unit: str = "s", n_columns: int = 0, decimal: str = "auto") -> pl.DataFrame:
    """Texts to numbers, blanks around cells dropped, and a column `reason` that is null for good rows.

    Args:
        cells: user_id, song_id, perhaps plays, time, extras; `reason` when some rows are known to be bad already;
            an artist's name (see ARTIST) that becomes a part of the song id: "artist – song".
        decimal: see `as_numbers`.
    Returns:
        user_id, song_id, plays float64 (1 without such a column), first int64 (unix seconds, if there is a time),
        extras, reason. Where rows have a `line` they keep the texts of count and time too, for messages.
    """
    extras = [name for name in cells.columns if name not in (*CORE, *NOTED, ARTIST)]
    carried = [name for name in NOTED if name in cells.columns and name != "reason"]
    with_lines = "line" in cells.columns  # rows with a line number are kept for messages
    frame = cells.with_columns(pl.col("user_id", "song_id", *extras).cast(pl.String).str.strip_chars())
    frame = frame.with_columns(_filled(name) for name in extras).with_columns(number=pl.lit(1.0))
    bad = {NO_USER: pl.col("user_id").fill_null("") == "", NO_SONG: pl.col("song_id").fill_null("") == ""}
    if ARTIST in cells.columns:
        artist = pl.col(ARTIST).cast(pl.String).str.strip_chars().fill_null("")
        named = pl.when(artist == "").then("song_id").otherwise(artist + " – " + pl.col("song_id"))
        frame = frame.with_columns(song_id=pl.when(~bad[NO_SONG]).then(named))
    if with_lines:
        bad[BROKEN_ID] = pl.any_horizontal(pl.col("user_id", "song_id").str.contains(r"[\n\r\x00]")).fill_null(False)
    columns: list[Any] = ["user_id", "song_id", pl.col("number").alias("plays"), *extras, *carried]
    if "plays" in cells.columns:
        number, unclear = as_numbers(cells["plays"], decimal)
        frame = frame.with_columns(number=number, unclear=unclear)
        number_of = pl.col("number")
        bad[UNCLEAR] = pl.col("unclear")
        bad[NOT_NUMBER] = number_of.is_null()
        bad[NOT_POSITIVE] = ~(number_of.is_finite() & (number_of > 0)).fill_null(True)
        exact = number_of.cast(pl.Float32).cast(pl.Float64) == number_of
        bad[TOO_GREAT] = ((number_of > MOST_EXACT) & ~exact).fill_null(False)
        bad[TOO_SMALL] = (number_of.cast(pl.Float32) == 0).fill_null(False)
        columns += [pl.col("plays").cast(pl.String).alias("plays_text")] if with_lines else []
    if "time" in cells.columns:
        frame = frame.with_columns(first=unix_seconds(cells["time"], time_unit))
        bad[NO_TIME] = pl.col("first").is_null()
        bad[LATE_TIME] = ~pl.col("first").is_between(EARLIEST_SECONDS, latest_seconds()).fill_null(True)
        columns += ["first", *([pl.col("time").cast(pl.String).alias("time_text")] if with_lines else [])]
    if n_columns:
        columns.append(pl.lit(n_columns).alias("n_columns"))
    if with_lines:
        columns.append(pl.lit(time_unit).alias("time_unit"))
    reason = pl.col("reason") if "reason" in cells.columns else pl.lit(None, dtype=pl.String)
    if frame.select(pl.any_horizontal(*bad.values()).any()).item():
        reason = pl.coalesce(reason, *(pl.when(is_bad).then(pl.lit(why)) for why, is_bad in bad.items()))
    return frame.select(*columns, reason.alias("reason"))


def _filled(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != "").then(pl.col(name)).alias(name)


def latest_seconds() -> int:
    """Tomorrow, in unix seconds: no play is later."""
    return int(time.time()) + 86_400


def as_numbers(column: pl.Series, decimal: str = "auto") -> tuple[pl.Series, pl.Series]:
    """Counts as float64, null where they are no number; and which ones [n] may mean two numbers.

    Args:
        decimal: "point": 1.5. "comma": 1,5 and 1.234,5. "auto": also 1,5, but 1,234 is unclear; "ask": so is 1.234
            (in a file whose columns are separated by semicolons).
    """
    if column.dtype != pl.String:
        return column.cast(pl.Float64, strict=False), pl.Series(np.zeros(len(column), dtype=bool))
    texts = column.str.strip_chars()
    if decimal == "comma":
        texts = texts.str.replace_all(r"^(-?\d{1,3})((?:\.\d{3})*)(,\d+)?$", "$1$2;$3")
        texts = texts.str.replace_all(".", "", literal=True).str.replace(";,", ".", literal=True)
        return texts.str.replace(";", "", literal=True).str.replace(",", ".", literal=True).cast(
            pl.Float64, strict=False
        ), pl.Series(np.zeros(len(column), dtype=bool))
    numbers = texts.cast(pl.Float64, strict=False)
    nothing = pl.Series(np.zeros(len(column), dtype=bool))
    if decimal == "point" or (decimal == "auto" and numbers.null_count() == column.null_count()):
        return numbers, nothing
    signs = "[.,]" if decimal == "ask" else ","
    unclear = texts.str.contains(rf"^\d{{1,3}}({signs}\d{{3}})+$").fill_null(False)
    commas = texts.str.contains(r"^-?\d+,\d+$").fill_null(False)
    with_point = texts.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    return with_point.zip_with(commas & numbers.is_null(), numbers), unclear


def unix_seconds(times: pl.Series, unit: str) -> pl.Series:
    """Times as unix seconds, int64; null where not understood. Times without an offset are taken as UTC.

    Args:
        times: numbers or texts of numbers in `unit` ("s", "ms", "us", "ns"), texts such as 2024-03-05 10:11 or
            05 Mar 2024, 10:11 ("iso"), or a date type (any unit).
    """
    if times.dtype.is_temporal():
        return times.cast(pl.Datetime("us")).dt.epoch("s")
    texts = times.str.strip_chars() if times.dtype == pl.String else times
    if unit != "iso":
        whole = texts.cast(pl.Int64, strict=False) // UNITS[unit] if not texts.dtype.is_float() else None
        if whole is not None and whole.null_count() == texts.null_count():
            return whole
        seconds = (texts.cast(pl.Float64, strict=False) / UNITS[unit]).floor()
        return seconds.cast(pl.Int64, strict=False)
    if times.dtype != pl.String:
        return pl.Series(times.name, [None] * len(times), dtype=pl.Int64)
    texts = _plain_times(texts)
    found = pl.Series(times.name, [None] * len(times), dtype=pl.Int64)
    for form in ISO_FORMATS:
        if not found.null_count():
            break
        parsed = texts.str.to_datetime(form, strict=False, time_unit="us").dt.epoch("s")
        found = found.fill_null(parsed) if found.null_count() < len(found) else parsed
    return found


def _plain_times(texts: pl.Series) -> pl.Series:
    """Texts of times without T, UTC, Z and commas, with dashes in dates, and with +02 written +02:00."""
    texts = texts.str.replace(r"\s*(?:UTC|GMT|Z)$", "").str.replace_all(r",\s*", " ")
    texts = texts.str.replace(r"^(\d{4})[-/](\d\d)[-/](\d\d)[T ]?", "$1-$2-$3 ").str.strip_chars()
    texts = texts.str.replace(r"(:\d\d(?:\.\d+)?)\s*([+-]\d\d)$", "$1$2:00")
    return texts.str.replace(r"(:\d\d(?:\.\d+)?)\s+([+-]\d\d:?\d\d)$", "$1$2")


def keep_good(frame: pl.DataFrame, notes: Counter[str], *, skip_bad: bool, where: str) -> pl.DataFrame:
    """The good rows with ids as categories. Bad rows are noted when they may be skipped, else the first is an error.

    Raises:
        InputError: a bad row.
    """
    if frame["reason"].null_count() < frame.height:
        n_comments = int((frame["reason"] == COMMENT).sum())
        notes["comment lines left out"] += n_comments
        frame = frame.filter(pl.col("reason").ne_missing(COMMENT)) if n_comments else frame
        bad = frame.filter(pl.col("reason").is_not_null())
        if bad.height and not skip_bad:
            raise InputError(f"{where}{explain(bad.row(0, named=True))} {_advise(bad, frame.height)}")
        for reason, n in bad["reason"].value_counts().iter_rows():
            notes[f"rows skipped: {reason}"] += n
        notes["rows read"] += frame.height
        frame = frame.filter(pl.col("reason").is_null())
    else:
        notes["rows read"] += frame.height
    return frame.drop(NOTED, strict=False).with_columns(pl.col("user_id", "song_id").cast(pl.Categorical))


def _advise(bad: pl.DataFrame, n_rows: int) -> str:
    """Skipping is advised only where it loses a small part of the table and no setting mends the rows."""
    if bad["reason"][0] in (UNCLEAR, LATE_TIME, NO_TIME):
        return "Or fix the file."
    if bad.height <= max(1, n_rows // 5):
        return "Fix it, or pass --set on_bad_row=skip."
    return f"{bad.height} of {n_rows} rows are bad like this or otherwise: check the columns and the settings."


def explain(row: Mapping[str, Any]) -> str:
    """`1042: count 'x3' is not a number.`: what is wrong with a row that `judge` refused."""
    reason = row["reason"]
    count, time = row.get("plays_text"), row.get("time_text")
    messages = {
        RAGGED: f"{row.get('n_found')} columns, expected {row.get('n_columns')}.",
        NOT_NUMBER: f"count {count or ''!r} is not a number.",
        UNCLEAR: f"count {count!r} may have a decimal sign or one for thousands. Pass --set decimal=point or =comma.",
        NOT_POSITIVE: f"count {count} is not a positive finite number. Leave unplayed songs out.",
        TOO_GREAT: f"count {count} is greater than {MOST_EXACT:,}, above which counts are not kept exactly.",
        TOO_SMALL: f"count {count} is too small to be kept.",
        NO_TIME: f"time {time or ''!r} is not understood.{propose_unit(time or '', row.get('time_unit'))}",
        LATE_TIME: f"time {time} in {UNIT_NAMES.get(str(row.get('time_unit')), 'this form')} lies before 1995 or after "
        f"tomorrow.{propose_unit(time or '', row.get('time_unit'))}",
    }
    return f"{row['line']}: " + messages.get(reason, f"the {reason}.")


def propose_unit(text: str, unit: str | None) -> str:
    """The time unit under which a text is a time between 1995 and tomorrow, as advice; "" where there is none."""
    for other in (*UNITS, "iso"):
        seconds = unix_seconds(pl.Series([text], dtype=pl.String), other)[0]
        if other != unit and seconds is not None and EARLIEST_SECONDS <= seconds <= latest_seconds():
            name = f"{UNIT_NAMES[other]}" if other in UNIT_NAMES else "a date"
            return f" It looks like {name}: pass --set time_unit={other}."
    return " Expected a unix time in s, ms, us or ns, or a date such as 2024-03-05 10:11 or 05 Mar 2024 10:11."


def number_rows(frame: pl.DataFrame, first: int) -> pl.DataFrame:
    """The frame with a column `line` that counts from `first`, for messages."""
    return frame.with_columns(line=np.arange(first, first + frame.height))

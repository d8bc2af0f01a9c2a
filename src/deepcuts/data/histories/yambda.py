"""Yambda: listens, likes and dislikes of Yandex Music as parquet.

A listen counts when half of the track or more was played. Times count 5 seconds each from an unnamed first day: they
order the listens, and are no dates.
"""

from pathlib import PurePath

import polars as pl

from deepcuts.artifacts.parquet import check_parquet
from deepcuts.data.histories.listens import Collected
from deepcuts.data.histories.sources import PARQUET, Source

LEAST_SHARE = 50  # percent of a track that makes a play
UNIT = 5  # seconds
MARKS = {"likes": "liked", "dislikes": "disliked"}
TAKEN_BACK = {"unlikes": "likes", "undislikes": "dislikes"}


def is_yambda(source: Source) -> bool:
    """Whether a file is parquet with the columns of Yambda's events."""
    return source.head.startswith(PARQUET) and {"uid", "item_id", "timestamp"} <= set(_schema(source))


def is_yambda_embeddings(source: Source) -> bool:
    """Whether a file is Yambda's embeddings of tracks."""
    return source.head.startswith(PARQUET) and {"item_id", "embed"} <= set(_schema(source))


def _schema(source: Source) -> list[str]:
    try:
        return list(pl.read_parquet_schema(source.path)) if source.path is not None else []
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return []


def read_yambda(source: Source, out: Collected) -> None:
    """Take the events of one file: its columns say whether they are listens, its name which marks they are."""
    if source.path is not None:
        check_parquet(source.path, source.where)
    table = pl.read_parquet(source.path) if source.path is not None else pl.DataFrame()
    ids = {"user": pl.col("uid").cast(pl.String), "song_id": pl.col("item_id").cast(pl.String)}
    base = PurePath(source.base).stem
    if "event_type" in table.columns:
        for kind in MARKS:
            _take_marks(table.filter(pl.col("event_type") == kind.removesuffix("s")).select(**ids), kind, out)
        others = ~pl.col("event_type").is_in(["listen", "like", "dislike"])
        out.notes["marks taken back, left out"] += table.filter(others).height
        table = table.filter(pl.col("event_type") == "listen")
    elif "played_ratio_pct" not in table.columns:
        _take_marks(table.select(**ids), base, out)
        return
    whole = table.filter(pl.col("played_ratio_pct") >= LEAST_SHARE)
    out.notes[f"listens to less than {LEAST_SHARE} % of a track left out"] += table.height - whole.height
    columns = {**ids, "time": pl.col("timestamp").cast(pl.Int64) * UNIT}
    if "track_length_seconds" in whole.columns:
        columns["duration"] = pl.col("track_length_seconds").cast(pl.Float64)
    out.tables.append(("listen", whole.select(**columns)))
    out.notes["times are seconds since an unnamed first day, not dates"] += whole.height


def _take_marks(table: pl.DataFrame, kind: str, out: Collected) -> None:
    if kind in MARKS:
        out.tables.append((MARKS[kind], table))
    elif kind in TAKEN_BACK:
        out.notes[f"{kind} left out: {TAKEN_BACK[kind]} that were taken back later are kept"] += table.height
    else:
        out.notes[f"events of {kind}, neither listens nor likes nor dislikes, left out"] += table.height

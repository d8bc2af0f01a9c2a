"""Features from a table of numbers: embeddings, descriptors or statistics that somebody else has made of each song.

One row a song, one column a number: features of one frame, under the ids of the table.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from deepcuts.artifacts import Features, Lineage, Vocabulary
from deepcuts.artifacts.parquet import check_parquet
from deepcuts.checks import did_you_mean
from deepcuts.errors import InputError

log = logging.getLogger(__name__)

KIND = "table"


def features_of_table(
    table: pl.DataFrame,
    *,
    where: str = "table",
    song_id: str = "song_id",
    columns: Sequence[str] = (),
    drop: Sequence[str] = (),
    pretrained_on: Sequence[str] = (),
) -> Features:
    """Features of one frame a song from the numeric columns of a table; a list column gives one channel an element.

    Args:
        where: what messages call the table.
        song_id: the column of ids.
        columns: which to take, in this order; all numeric ones when empty.
        drop: which to leave out: a circular number such as a key, say.
        pretrained_on: what the numbers were learned from, when they were: it travels with everything made from them.
    Returns:
        float32 features of kind "table" in the order of the rows.
    Raises:
        InputError: a column is missing, an id is empty or appears twice, nothing numeric is left, or a value is not a
            finite number (names the song and the column).
    """
    _require(table, where, [song_id, *columns, *drop])
    wide = _without_lists(table)
    held = [name for name in (columns or wide.columns) if name not in {song_id, *drop}]
    names = [name for one in held for name in ([one] if one in wide.columns else _parts(wide, one))]
    numeric = [name for name in names if wide[name].dtype.is_numeric() or wide[name].dtype == pl.Boolean]
    left_out = [name for name in names if name not in numeric]
    if columns and left_out:
        raise InputError(f"{where}: column {left_out[0]!r} is not numeric. Leave it out of the columns.")
    if not numeric:
        raise InputError(f"{where}: has no numeric column beside {song_id!r}. Found: {', '.join(table.columns)}.")
    if left_out:
        log.info("%s: not numeric, left out: %s", where, ", ".join(left_out))
    songs = Vocabulary(wide[song_id].cast(pl.String))
    numbers = wide.select(pl.col(numeric).cast(pl.Float64)).to_numpy()
    _refuse_holes(numbers, songs, numeric, where)
    settings = {"one_frame": True, "n_channels": len(numeric), "columns": numeric}
    lineage = Lineage(pretrained_on=tuple(pretrained_on))
    return Features(songs, numbers.astype(np.float32), np.arange(len(songs) + 1), KIND, settings, lineage)


def read_numbers(path: Path) -> pl.DataFrame:
    """A table with a header from csv, tsv or parquet, numbers as numbers.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PAR1":
            check_parquet(path, str(path))
            return pl.read_parquet(path)
        return pl.read_csv(path, separator="\t" if path.suffix == ".tsv" else ",", infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(f"{path}: cannot be read as a table ({error}).") from error


def _require(table: pl.DataFrame, where: str, names: Sequence[str]) -> None:
    for name in names:
        if name not in table.columns:
            raise InputError(f"{where}: no column {name!r}.{did_you_mean(name, table.columns)}")


def _without_lists(table: pl.DataFrame) -> pl.DataFrame:
    """Every list or array column as one column an element: `embed_0`, `embed_1`, ..."""
    for name, dtype in table.schema.items():
        if not isinstance(dtype, pl.List | pl.Array):
            continue
        lists = table[name].cast(pl.List(pl.Float64))
        widths = lists.list.len().unique().to_list()
        if len(widths) != 1:
            raise InputError(f"column {name!r}: lists of different lengths ({len(widths)}). Make them equally long.")
        parts = [lists.list.get(at).alias(f"{name}_{at}") for at in range(int(widths[0] or 0))]
        table = table.drop(name).with_columns(parts)
    return table


def _parts(wide: pl.DataFrame, name: str) -> list[str]:
    return [one for one in wide.columns if one.rpartition("_")[0] == name and one.rpartition("_")[2].isdigit()]


def _refuse_holes(numbers: np.ndarray, songs: Vocabulary, names: Sequence[str], where: str) -> None:
    bad = np.argwhere(~np.isfinite(numbers))
    if len(bad):
        row, column = bad[0]
        raise InputError(
            f"{where}: song {songs[int(row)]!r}, column {names[int(column)]!r} = {numbers[row, column]}: expected a "
            f"finite number ({len(np.unique(bad[:, 0]))} songs have such values). Fill these in, or leave them out."
        )

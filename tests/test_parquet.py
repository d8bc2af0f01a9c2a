"""A parquet file whose parts contradict each other is refused before polars believes one of them and aborts."""

import io
import re
from pathlib import Path

import polars as pl
import pytest

from deepcuts.artifacts.parquet import check_parquet
from deepcuts.errors import InputError

ROWS, MORE = b"\xd8\x04", b"\xda\x04"  # 300 and 301 as zigzag varints


def written(frame: pl.DataFrame, **options: object) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out, **options)  # type: ignore[arg-type]
    return out.getvalue()


def plays(n: int = 300) -> pl.DataFrame:
    return pl.DataFrame({"user": [f"u{i}" for i in range(n)], "song": ["s"] * n, "plays": [1.0] * n, "no": [None] * n})


@pytest.mark.parametrize(
    "options",
    [{}, {"compression": "uncompressed"}, {"row_group_size": 70}, {"data_page_size": 100}, {"statistics": False}],
)
def test_whole_files_pass_from_disk_and_from_memory(tmp_path: Path, options: dict) -> None:
    frame = plays().with_columns(tags=pl.Series([["a", "b"], []] * 150), about=pl.struct("user", "plays"))
    data = written(frame, **options)
    check_parquet(data, "plays")
    (tmp_path / "plays.parquet").write_bytes(data)
    check_parquet(tmp_path / "plays.parquet", "plays")


def test_a_file_without_rows_passes() -> None:
    check_parquet(written(plays().clear()), "plays")


def test_a_count_that_differs_from_the_others_is_refused_wherever_it_stands() -> None:
    data = written(plays())
    refused = 0
    for found in re.finditer(re.escape(ROWS), data):
        try:
            check_parquet(data[: found.start()] + MORE + data[found.end() :], "plays")
        except InputError as error:
            assert re.match(r"plays: damaged or not parquet \(.*30[01].*\)\. Write it again", str(error))  # noqa: PT017
            refused += 1
    assert refused == 10  # of the file, its row group, four columns and the page of each


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1PAR1", b"PAR1" + bytes(30) + b"PAR1", b"x" * 100])
def test_what_is_no_parquet_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "plays.parquet").write_bytes(data)
    for source in (data, tmp_path / "plays.parquet"):
        with pytest.raises(InputError, match="plays: damaged or not parquet"):
            check_parquet(source, "plays")

"""Random tables by the writers that people use are read back equal, or refused with their line."""

import csv
import re
import tempfile
import unicodedata
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcuts.data import TableSettings, read_table
from deepcuts.errors import InputError

text = st.text(
    st.one_of(st.sampled_from("abé ,;|\t\"'#-–1.5"), st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp"))),
    min_size=1,
    max_size=8,
).map(lambda s: unicodedata.normalize("NFC", s.replace("\ufeff", "").strip()))
ids = text.filter(bool)
tables = st.lists(st.tuples(ids, ids, st.integers(1, 99_999)), min_size=1, max_size=12)


def by_csv(path, rows, mark="", first="", **dialect):
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(mark + first)
        writer = csv.writer(file, **dialect)
        writer.writerow(["user", "song", "plays"])
        writer.writerows(rows)


def by_polars(path, rows, **how):
    pl.DataFrame(rows, schema=["user", "song", "plays"], orient="row").write_csv(path, **how)


def by_excel(path, rows):
    halves = [(user, song, str(count / 2).replace(".", ",")) for user, song, count in rows]
    by_csv(path, halves, mark="\ufeff", first="sep=;\r\n", delimiter=";", lineterminator="\r\n")


WRITERS = {
    "csv": (by_csv, {}, {}),
    "csv of lf": (by_csv, {"lineterminator": "\n"}, {}),
    "csv of cr": (by_csv, {"lineterminator": "\r"}, {}),
    "all quoted": (by_csv, {"quoting": csv.QUOTE_ALL}, {}),
    "semicolons": (by_csv, {"delimiter": ";", "mark": "\ufeff"}, {}),
    "bars": (by_csv, {"delimiter": "|"}, {}),
    "tabs with quotes": (by_csv, {"delimiter": "\t"}, {"quotes": "yes"}),
    "polars": (by_polars, {}, {}),
    "polars quoting all": (by_polars, {"quote_style": "always"}, {}),
    "excel": (by_excel, {}, {}),
}


@pytest.mark.parametrize("writer", WRITERS)
@given(rows=tables)
@settings(max_examples=25, deadline=None)
def test_what_is_written_is_read_back_or_refused_with_its_line(writer, rows):
    write, how, read = WRITERS[writer]
    scale = 2 if writer == "excel" else 1
    expected: Counter = Counter()
    for user, song, count in rows:
        expected[user, song] += count / scale
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "plays.csv"
        write(path, rows, **how)
        try:
            plays = read_table(path, TableSettings(**read)).plays
        except InputError as error:
            assert re.search(r"plays\.csv:\d+:", str(error))  # noqa: PT017
            return
    row, column = plays.counts.tocoo().coords
    found = {
        (plays.users[u], plays.songs[s]): c for u, s, c in zip(row, column, plays.counts.data.tolist(), strict=True)
    }
    assert found == pytest.approx(expected)

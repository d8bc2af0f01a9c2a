"""Damaged and odd tables: no crash, no hang, no foreign exception, and no row lost without a word.

`make fuzz` runs 5,000 mutants, CI a hundred.
"""

import bz2
import gzip
import io
import lzma
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zstandard
from fuzz_share import keep_counts, n_of

from deepcuts.data import EventSettings, TableSettings, read_events, read_table
from deepcuts.errors import DeepcutsError

N_MUTANTS = n_of(5_000, 100)
WORDS = ["ann", "Björn", "Earth, Wind & Fire", '12" mix', "Don’t", "a;b", "1979", "x|y", "été", "O'Neill", "#1"]
SNIPPETS = [
    b'"',
    b'""',
    b"\r",
    b"\n",
    b"\r\n",
    b",",
    b";",
    b"\t",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff",
    b"1e300",
    b"-1",
    b"#",
    b" ",
]


def make_table(rng):
    """A good table as bytes, and how many rows it has."""
    separator = str(rng.choice([",", ";", "\t", "|"]))
    end = str(rng.choice(["\n", "\r\n", "\r"]))
    n = int(rng.integers(1, 60))

    def cell(text):
        risky = any(c in text for c in (separator, '"')) and separator != "\t"
        return '"' + text.replace('"', '""') + '"' if risky else text

    names = ["user", "song", "plays"] if rng.random() < 0.7 else []
    rows = [[cell(str(rng.choice(WORDS))), f"s{rng.integers(20)}", str(rng.integers(1, 9))] for _ in range(n)]
    lines = [separator.join(row) for row in ([names] if names else []) + rows]
    return end.join(lines).encode() + (end.encode() if rng.random() < 0.8 else b""), n


def pack(data, rng):
    """The same bytes plain or packed."""
    kind = int(rng.integers(0, 8))
    if kind == 1:
        return gzip.compress(data)
    if kind == 2:
        return bz2.compress(data)
    if kind == 3:
        return lzma.compress(data)
    if kind == 4:
        return zstandard.ZstdCompressor().compress(data)
    if kind == 5:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("plays.csv", data)
        return out.getvalue()
    return data


def mutate(data, rng):
    """One to three edits: flip, cut, insert, double, delete."""
    for _ in range(rng.integers(1, 4)):
        at, to = sorted(rng.integers(0, len(data) + 1, 2).tolist())
        kind = rng.integers(0, 5)
        if kind == 0 and at < len(data):
            data = data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]
        elif kind == 1:
            data = data[:to]
        elif kind == 2:
            data = data[:at] + SNIPPETS[rng.integers(len(SNIPPETS))] + data[at:]
        elif kind == 3:
            data = data[:to] + data[at:]
        else:
            data = data[:at] + data[min(to, at + 9) :]
        if not data:
            return b"x"
    return data


def read(path, **changes):
    return read_table(path, TableSettings(**changes))


def account(reading):
    """Rows that plays and notes account for."""
    notes = reading.notes
    skipped = sum(n for what, n in notes.items() if what.startswith("rows skipped"))
    return reading.plays.n_plays + notes["duplicate rows summed"] + skipped, notes["rows read"]


def test_good_tables_keep_every_row():
    rng = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "plays.csv"
        for _ in range(60):
            data, n = make_table(rng)
            path.write_bytes(pack(data, rng))
            reading = read(path)
            assert account(reading) == (n, n)


def test_mutants_are_read_or_refused_in_words_and_no_row_is_lost():
    rng = np.random.default_rng(11)
    n_read = 0
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "plays.csv"
        for i in range(N_MUTANTS):
            data, _ = make_table(rng)
            plain = mutate(data, rng)
            bad = mutate(pack(data, rng), rng) if i % 3 == 0 else pack(plain, rng)
            path.write_bytes(bad)
            begin = time.process_time()  # a busy machine makes wall time long
            try:
                reading = read(path, on_bad_row="skip" if i % 2 else "fail")
            except DeepcutsError as error:
                assert len(str(error)) < 1500, i  # noqa: PT017
            else:
                n_read += 1
                found, read_rows = account(reading)
                assert found == read_rows, i
                if i % 3:
                    check_lines(plain, reading, i)
            assert time.process_time() - begin < 10, i
    keep_counts("tables as text, plain and packed", N_MUTANTS, n_read, 0)
    assert n_read > N_MUTANTS // 10


def check_lines(plain, reading, which):
    """Every line that is not blank is a row, a header, or named in the notes."""
    text = plain.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = [line for line in text.split(b"\n") if line.decode("latin-1").strip(' ,;|\t"\xef\xbb\xbf')]
    notes = reading.notes
    named = (
        "header lines",
        "lines before the table left out",
        "repeated header lines dropped",
        "comment lines left out",
    )
    found = notes["rows read"] + sum(notes.get(what, 0) for what in named)
    assert found >= len(lines), (which, found, len(lines), notes)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_parquet_is_read_or_refused_in_words(seed):
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame({"user": [f"u{i}" for i in range(300)], "song": ["s"] * 300, "plays": [1] * 300})
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "p.parquet"
        frame.write_parquet(path)
        whole, n_read, n = path.read_bytes(), 0, max(N_MUTANTS // 5, 3)
        for _ in range(n):
            path.write_bytes(mutate(whole, rng))
            try:
                reading = read_events(path, EventSettings())
            except DeepcutsError:
                continue
            assert reading.plays.n_plays <= 300
            n_read += 1
    keep_counts(f"tables as parquet, seed {seed}", n, n_read, 0)

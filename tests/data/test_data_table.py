"""Anybody's table: found columns, true line numbers, and the same plays whatever the file is wrapped in."""

import bz2
import gzip
import tempfile
import threading
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from deepcuts.data import EventSettings, MatrixSettings, TableSettings, read_events, read_matrix, read_table
from deepcuts.data import reading as reading_module
from deepcuts.data import rows as rows_module
from deepcuts.data.judge import keep_good, unix_seconds
from deepcuts.data.rows import Layout, _split_carefully, _split_fast
from deepcuts.errors import InputError, SettingError


def table(tmp_path, content, name="plays.csv", **changes):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, TableSettings(**changes))


def small_blocks(monkeypatch, size):
    monkeypatch.setitem(reading_module.blocks.__kwdefaults__, "size", size)


def pairs(plays):
    row, column = plays.counts.tocoo().coords
    return {(plays.users[u], plays.songs[i]): float(c) for u, i, c in zip(row, column, plays.counts.data, strict=True)}


def test_a_csv_with_a_header_becomes_plays_and_a_songs_table(tmp_path):
    reading = table(
        tmp_path,
        "user_id,song_id,plays,artist,title,mood\n"
        '007,s2,3,"Earth, Wind & Fire",September,happy\n'
        "007,s1,1,Muse,,sad\n"
        "12,s2,4,,September,happy\n"
        "007,s2,2,,,\n",
    )
    assert pairs(reading.plays) == {("007", "s2"): 5, ("007", "s1"): 1, ("12", "s2"): 4}
    assert reading.plays.songs_table.to_dicts() == [
        {"song_id": "s1", "artist": "Muse", "title": None},
        {"song_id": "s2", "artist": "Earth, Wind & Fire", "title": "September"},
    ]
    assert reading.notes["rows read"] == 4
    assert reading.notes["duplicate rows summed"] == 1
    assert reading.notes["header lines"] == 1
    assert reading.plays.settings["reader"] == "table"


def test_a_file_without_header_is_read_by_place(tmp_path):
    reading = table(tmp_path, "b80344\tSOAKIMP\t1\nb80344\tSOBBMDR\t2\n", "triplets.txt")
    assert pairs(reading.plays) == {("b80344", "SOAKIMP"): 1, ("b80344", "SOBBMDR"): 2}
    assert reading.notes["header lines"] == 0
    turned = table(tmp_path, "SOAKIMP;1;b80344\n", user="column_3", song="column_1", plays="column_2", header="no")
    assert pairs(turned.plays) == {("b80344", "SOAKIMP"): 1}


@pytest.mark.parametrize(
    ("user", "song", "plays", "separator"),
    [("userID", "artistID", "weight", "\t"), ("uid", "item_id", "count", ";"), ("User", "Track", "Listens", "|")],
)
def test_common_column_names_are_known_in_any_case(tmp_path, user, song, plays, separator):
    line = separator.join
    text = "\n".join([line([plays, "x", user, song]), line(["2", "-", "anna", "s1"])])
    assert pairs(table(tmp_path, text).plays) == {("anna", "s1"): 2}


def test_a_song_column_wins_over_an_artist_id_but_song_and_track_must_be_chosen(tmp_path):
    reading = table(tmp_path, "user,song,artist_id,count\nanna,s1,a1,2\n")
    assert reading.plays.songs.ids.to_list() == ["s1"]
    both = "user,song_id,track_id,count\nanna,s1,t1,2\n"
    with pytest.raises(
        InputError, match=r"both 'song_id' and 'track_id' may be the song\. Choose with --set song="
    ) as e:
        table(tmp_path, both)
    assert e.value.exit_code == 3
    assert table(tmp_path, both, song="track_id").plays.songs.ids.to_list() == ["t1"]


def test_a_missing_column_lists_those_there_are_and_guesses(tmp_path):
    with pytest.raises(InputError) as caught:
        table(tmp_path, "listner,song,count\nanna,s1,2\n", user="listener")
    assert "no column 'listener'; the columns are 'listner', 'song', 'count'. Did you mean 'listner'?" in str(
        caught.value
    )
    assert caught.value.exit_code == 3
    with pytest.raises(
        InputError, match=r"no column for the user; the columns are 'who', 'what', 'howmuch'\. .*header=no"
    ):
        table(tmp_path, "who,what,howmuch\nanna,s1,2\n")
    with pytest.raises(InputError, match="column 'user' appears more than once"):
        table(tmp_path, "user,user,song,count\na,b,s1,2\n", user="user")


HEADER = "user_id\tsong_id\tplays\n"
GOOD = "anna\ts1\t1\n"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("ben\ts1\tx3", "count 'x3' is not a number"),
        ("ben\ts1\t", "count '' is not a number"),
        ("ben\ts1\t-2", "count -2 is not a positive finite number"),
        ("ben\ts1\t0", "count 0 is not a positive finite number"),
        ("ben\ts1\tnan", "count nan is not a positive finite number"),
        ("ben\ts1\tinf", "count inf is not a positive finite number"),
        ("\ts1\t1", "the user id is empty"),
        ("ben\t\t1", "the song id is empty"),
        ("ben\ts1", "2 columns, expected 3"),
        ("ben\ts1\t1\t9", "4 columns, expected 3"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_bad_row_is_named_by_its_line_or_skipped_and_told(tmp_path, bad, message, pack):
    content = pack((HEADER + GOOD * 3 + bad + "\n" + GOOD).encode())
    with pytest.raises(InputError) as caught:
        table(tmp_path, content, "triplets.txt")
    assert f"triplets.txt:5: {message}" in str(caught.value)
    assert str(caught.value).endswith("Fix it, or pass --set on_bad_row=skip.")
    assert caught.value.exit_code == 3
    reading = table(tmp_path, content, "triplets.txt", on_bad_row="skip")
    assert pairs(reading.plays) == {("anna", "s1"): 4}
    assert reading.notes["rows read"] == 5
    assert sum(n for note, n in reading.notes.items() if note.startswith("rows skipped")) == 1
    assert reading.notes["duplicate rows summed"] == 3


def test_line_numbers_hold_without_header_across_blocks_blank_lines_and_quoted_line_ends(tmp_path, monkeypatch):
    small_blocks(monkeypatch, 64)
    with pytest.raises(InputError, match=r"plays\.tsv:1042: count 'x3' is not a number"):
        table(tmp_path, GOOD * 1041 + "ben\ts1\tx3\n", "plays.tsv", header="no")
    with pytest.raises(InputError, match=r"plays\.csv:6: count 'x3' is not a number"):
        table(tmp_path, 'user,song,count,note\nann,s1,1,"an\nna"\n\n"c""c",s1,2,\nben,s1,x3,\n')
    reading = table(tmp_path, 'user,song,count,note\nann,s1,1,"an\nna"\n\n"c""c",s1,2,\n\n')
    assert pairs(reading.plays) == {("ann", "s1"): 1, ('c"c', "s1"): 2}
    with pytest.raises(InputError, match=r"plays\.csv:2: the id contains a line end"):
        table(tmp_path, 'user,song,count\n"an\nna",s1,1\nben,s1,2\n')


def test_quotes_are_plain_characters_between_tabs_unless_asked_for(tmp_path):
    text = 'user\tsong\tcount\nanna\t"Heroes"\t1\nben\t12" mix\t1\n'
    assert table(tmp_path, text).plays.songs.ids.to_list() == ['"Heroes"', '12" mix']
    assert "Heroes" in table(tmp_path, text, quotes="yes").plays.songs.ids.to_list()


def test_a_file_may_be_empty_or_only_a_header_or_have_no_good_row(tmp_path):
    with pytest.raises(InputError, match=r"plays\.csv: the file is empty"):
        table(tmp_path, "")
    with pytest.raises(InputError, match=r"plays\.csv: contains no rows"):
        table(tmp_path, "user,song,count\n")
    with pytest.raises(InputError, match="every one of 2 rows was skipped"):
        table(tmp_path, "user,song,count\na,b,0\na,c,x\n", on_bad_row="skip")
    with pytest.raises(InputError, match="has only one column"):
        table(tmp_path, "justonecolumn\n")


def test_latin1_lines_among_utf8_are_decoded_and_told(tmp_path):
    content = "user,song,count\nanna,Tropicália,1\n".encode() + "ben,Español,2\n".encode("latin-1")
    reading = table(tmp_path, content)
    assert reading.plays.songs.ids.to_list() == ["Español", "Tropicália"]
    assert reading.notes["lines decoded as Windows-1252"] == 1


def test_windows_line_ends_and_excels_mark_change_nothing(tmp_path):
    plain = table(tmp_path, "user,song,count,title\nanna,s1,1,One\n")
    windows = table(tmp_path, "\ufeffuser,song,count,title\r\nanna,s1,1,One\r\n".encode())
    assert windows.plays.fingerprint == plain.plays.fingerprint
    assert windows.plays.songs_table.equals(plain.plays.songs_table)
    assert pairs(table(tmp_path, "\ufeffanna,s1,1\n".encode()).plays) == {("anna", "s1"): 1}


@pytest.mark.parametrize(
    ("unit", "early", "late"),
    [
        ("s", "1580472000", "1580472060.9"),
        ("ms", "1580472000000", "1580472060900"),
        ("us", "1580472000000000", "1580472060900000"),
        ("iso", "2020-01-31 12:00", "2020-01-31T13:01:00.9+01:00"),
    ],
)
def test_the_earliest_time_of_a_pair_is_kept_in_unix_seconds(tmp_path, unit, early, late):
    text = f"user,song,count,timestamp\nanna,s1,1,{late}\nanna,s1,1,{early}\nben,s1,1,{late}\n"
    plays = table(tmp_path, text, time="auto", time_unit=unit).plays
    # 2020-01-31 12:00 UTC is 1580472000: 18,292 days and twelve hours after 1970.
    assert plays.first_played.tolist() == [18_292 * 86_400 + 43_200, 18_292 * 86_400 + 43_260]


def test_a_time_of_the_wrong_unit_is_refused_not_guessed(tmp_path):
    with pytest.raises(InputError, match=r":2: time 1580472000000 .* looks like milliseconds: pass --set time_unit=ms"):
        table(tmp_path, "user,song,count,ts\nanna,s1,1,1580472000000\n", time="auto")
    with pytest.raises(
        InputError, match=r":2: time '2020-01-31' is not understood\. It looks like a date: pass --set time_unit=iso"
    ):
        table(tmp_path, "user,song,count,ts\nanna,s1,1,2020-01-31\n", time="ts")


def test_iso_times_agree_with_the_standard_library():
    from datetime import UTC, datetime

    texts = [
        "1999-12-31",
        "2020-02-29 23:59:59",
        "2011-01-01T00:00:00Z",
        "1969-12-31 23:59:59",
        "2020-06-01T10:00+02:00",
    ]
    stamps = [datetime.fromisoformat(t.replace("Z", "+00:00")) for t in texts]
    expected = [int((t if t.tzinfo else t.replace(tzinfo=UTC)).timestamp()) for t in stamps]
    assert unix_seconds(pl.Series(texts), "iso").to_list() == expected
    assert unix_seconds(pl.Series(["31.12.1999", None]), "iso").to_list() == [None, None]


def test_events_are_counted_per_pair(tmp_path):
    path = tmp_path / "events.tsv.bz2"
    log = "user_id\ttrack_id\ttimestamp\nu1\tt1\t2020-01-01 00:00:07\nu1\tt1\t2019-12-31 00:00:00\n"
    log += "u2\tt1\t2020-01-01 00:00:00\n"
    path.write_bytes(bz2.compress(log.encode()))
    plays = read_events(path, EventSettings(time="auto", time_unit="iso")).plays
    assert pairs(plays) == {("u1", "t1"): 2, ("u2", "t1"): 1}
    assert plays.first_played.tolist() == [1577750400, 1577836800]


def test_long_logs_are_summed_on_the_way_to_the_same_plays(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    rows = [f"u{u},s{s},{10**9 + t}" for u, s, t in rng.integers(0, 6, (500, 3))]
    (tmp_path / "e.csv").write_text("user,song,time\n" + "\n".join(rows))
    whole = read_events(tmp_path / "e.csv", EventSettings(time="time"))
    monkeypatch.setattr(rows_module, "FOLD_ROWS", 50)
    small_blocks(monkeypatch, 100)
    folded = read_events(tmp_path / "e.csv", EventSettings(time="time"))
    assert folded.plays.fingerprint == whole.plays.fingerprint
    assert folded.plays.first_played.tolist() == whole.plays.first_played.tolist()
    assert folded.notes == whole.notes
    assert folded.notes["duplicate rows summed"] == 500 - folded.plays.n_plays


cells = st.text(st.sampled_from("abc é5"), min_size=1, max_size=3)
lines = st.lists(st.tuples(cells, cells, st.sampled_from(["1", "2.5", " 3", "", "x", "-1", "nan"])), max_size=12)


@given(lines)
@settings(max_examples=60, deadline=None)
def test_the_fast_and_the_careful_splitting_agree(rows):
    rows = [row for row in rows if any(cell.strip() for cell in row)]  # a line of blanks is no row: careful skips it
    block = "".join("\t".join(row) + "\n" for row in rows).encode()
    layout = Layout("\t", 3, {"user_id": 0, "song_id": 1, "plays": 2})
    if not rows:
        return
    fast, (careful, _) = _split_fast(block, layout), _split_carefully(block, layout, 1, "x")
    assert fast is not None
    assert fast["reason"].to_list() == careful["reason"].to_list()
    kept = [
        keep_good(f, Counter(), skip_bad=True, where="").cast({"user_id": str, "song_id": str}) for f in (fast, careful)
    ]
    assert kept[0].equals(kept[1])


ids = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=6).filter(
    lambda s: "\ufeff" not in s and s == s.strip() and unicodedata.is_normalized("NFC", s) and not s.startswith("#")
)
triples = st.lists(st.tuples(ids, ids, st.integers(1, 1000)), min_size=1, max_size=15)


@given(triples)
@settings(max_examples=40, deadline=None)
def test_a_table_comes_back_the_same_from_csv_tsv_parquet_and_packed(rows):
    frame = pl.DataFrame(rows, schema=["user_id", "song_id", "plays"], orient="row")
    expected: Counter = Counter()
    for user, song, count in rows:
        expected[user, song] += count
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frame.write_csv(folder / "a.csv")
        frame.write_csv(folder / "a.tsv", separator="\t", quote_style="never")
        frame.write_parquet(folder / "a.parquet")
        (folder / "a.csv.gz").write_bytes(gzip.compress((folder / "a.csv").read_bytes()))
        marks = set()
        for file in ("a.csv", "a.tsv", "a.parquet", "a.csv.gz"):
            reading = read_table(folder / file, TableSettings())
            assert pairs(reading.plays) == expected
            marks.add(reading.plays.fingerprint)
    assert len(marks) == 1


def test_parquet_may_hold_numbers_as_ids_and_dates_as_times(tmp_path):
    frame = pl.DataFrame(
        {"uid": [7, 7, 8], "item_id": [1, 2, 1], "count": [1, 2, 3], "timestamp": [10**9 + 10, 10**9 + 20, 10**9 + 30]}
    )
    frame.with_columns(pl.from_epoch("timestamp")).write_parquet(tmp_path / "p.parquet")
    plays = read_table(tmp_path / "p.parquet", TableSettings(time="timestamp")).plays
    assert pairs(plays) == {("7", "1"): 1, ("7", "2"): 2, ("8", "1"): 3}
    assert plays.first_played.tolist() == [10**9 + 10, 10**9 + 20, 10**9 + 30]


def test_parquet_errors_name_the_row(tmp_path):
    path = tmp_path / "p.parquet"
    pl.DataFrame({"user": ["a", "b"], "song": ["x", "y"], "count": [1.0, float("nan")]}).write_parquet(path)
    with pytest.raises(InputError, match=r"p\.parquet: row 2: count NaN is not a positive finite number"):
        read_table(path, TableSettings())
    assert read_table(path, TableSettings(on_bad_row="skip")).plays.n_plays == 1
    pl.DataFrame({"user": [1.5], "song": ["x"], "count": [1]}).write_parquet(path)
    with pytest.raises(InputError, match="column 'user' holds decimal numbers, expected ids"):
        read_table(path, TableSettings())
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match="damaged or not parquet"):
        read_table(path, TableSettings())
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "q.parquet", TableSettings())


@pytest.mark.parametrize(
    "wrong",
    [{"separator": "tabs"}, {"header": "maybe"}, {"on_bad_row": "drop"}, {"time_unit": "h"}, {"song_columns": "line"}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))) as caught:
        TableSettings(**wrong)
    assert caught.value.exit_code == 2


def save_matrix(folder, matrix, n_users, n_songs):
    sparse.save_npz(folder / "m.npz", sparse.csr_matrix(matrix))
    (folder / "users.txt").write_text("".join(f"u{i}\n" for i in range(n_users)))
    (folder / "songs.txt").write_text("".join(f"s{i}\n" for i in range(n_songs)))
    return folder / "m.npz"


def test_a_matrix_is_read_with_its_ids_in_order(tmp_path):
    matrix = sparse.csr_matrix(np.array([[1, 0, 2], [0, 0, 3]], dtype=float))
    matrix.data[0] = 0  # a stored zero is not a play
    reading = read_matrix(save_matrix(tmp_path, matrix, 2, 3), MatrixSettings())
    assert pairs(reading.plays) == {("u0", "s2"): 2, ("u1", "s2"): 3}
    assert reading.notes == {
        "stored values read": 3,
        "stored zeros left out": 1,
        "users without plays left out": 0,
        "songs without plays left out": 2,
    }


def test_a_transposed_matrix_is_refused(tmp_path):
    path = save_matrix(tmp_path, np.ones((3, 2)), 2, 3)
    with pytest.raises(
        InputError, match=r"has shape \[3, 2\], expected \[2, 3\].*It looks transposed: users come first"
    ):
        read_matrix(path, MatrixSettings())
    with pytest.raises(InputError, match=r"has shape \[3, 2\], expected \[2, 4\] \(2 users, 4 songs\)\.$"):
        read_matrix(save_matrix(tmp_path, np.ones((3, 2)), 2, 4), MatrixSettings())


def test_a_matrix_with_a_negative_count_or_no_matrix_at_all_is_refused(tmp_path):
    path = save_matrix(tmp_path, -np.ones((2, 2)), 2, 2)
    with pytest.raises(InputError, match=r"plays\['u0', 's0'\] = -1\.0"):
        read_matrix(path, MatrixSettings())
    path.write_bytes(b"not a zip")
    with pytest.raises(InputError, match=r"m\.npz"):
        read_matrix(path, MatrixSettings())
    with pytest.raises(InputError, match="no such file"):
        read_matrix(tmp_path / "n.npz", MatrixSettings())


PLAIN = [f"user{u}\tsong{s}\t{1 + u % 3}" for u, s in np.random.default_rng(5).integers(0, 30, (400, 2))]
# Lines the C loop leaves to others, one of which spoils its block only.
STRANGE = [
    "user1\tsong2\t2.5",
    "bj\u00f6rn\tsong3\t1",
    'user2\t"Heroes"\t4',
    "",
    "user3\tsong1\t1\r",
    "user4\tsong1\t 7 ",
]


@pytest.mark.parametrize("strange", [[], STRANGE, STRANGE[:1], STRANGE[3:4]])
@pytest.mark.parametrize("size", [40, 1_000, 8_000_000])
def test_plain_triplets_are_read_the_same_with_and_without_the_c_loop(tmp_path, monkeypatch, strange, size):
    small_blocks(monkeypatch, size)
    rows = PLAIN.copy()
    for place, line in enumerate(strange):
        rows.insert(60 * place + 7, line)
    path = tmp_path / "triplets.txt"
    path.write_text("\n".join(rows) + "\n", newline="")
    settings = TableSettings(header="no")
    ours = read_table(path, settings)
    monkeypatch.setenv("DEEPCUTS_KERNEL", "numpy")
    theirs = read_table(path, settings)
    expected: Counter = Counter()
    for row in rows:
        if row:
            user, song, count = row.split("\t")
            expected[user, song] += float(count)
    assert pairs(ours.plays) == pairs(theirs.plays) == expected
    assert ours.plays.fingerprint == theirs.plays.fingerprint
    assert ours.notes == theirs.notes
    assert ours.notes["rows read"] == sum(map(bool, rows))


def test_a_bad_row_after_millions_of_plain_ones_has_its_line_number(tmp_path, monkeypatch):
    small_blocks(monkeypatch, 512)
    with pytest.raises(InputError, match=r"t\.txt:302: count 'x' is not a number"):
        table(tmp_path, "\n".join([*PLAIN[:300], "", "user1\tsong1\tx", *PLAIN[300:]]), "t.txt", header="no")
    reading = table(tmp_path, "\n".join([*PLAIN, "user1\tsong1\tx"]), "t.txt", header="no", on_bad_row="skip")
    assert reading.notes["rows skipped: count is not a number"] == 1
    assert reading.notes["rows read"] == 401


def test_a_reader_that_stops_early_leaves_no_thread_behind():
    given = iter([b"one", b"two", b"three"])
    ahead = reading_module.ahead(given)
    assert next(ahead) == b"one"
    before = threading.active_count()
    ahead.close()
    assert threading.active_count() < before
    assert list(reading_module.ahead(iter([b"one", b"two"]))) == [b"one", b"two"]


def test_an_error_of_the_thread_that_reads_ahead_is_not_lost(tmp_path):
    whole = gzip.compress("\n".join(PLAIN * 50).encode())
    (tmp_path / "t.gz").write_bytes(whole[:-20])
    with pytest.raises(InputError, match=r"t\.gz: damaged or cut short"):
        read_table(tmp_path / "t.gz", TableSettings(header="no"))

"""Tables as real people have them, each from a public bug report of another tool, and siblings of the same kind."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import threading
import time
import zipfile

import numpy as np
import polars as pl
import pytest
import zstandard

from deepcuts.artifacts import Plays, Vocabulary
from deepcuts.data import EventSettings, TableSettings, read_events, read_table
from deepcuts.data.archives import members, open_source
from deepcuts.errors import InputError

HEADER = "user,song,plays\n"


def write(tmp_path, content, name="plays.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table(tmp_path, content, name="plays.csv", **changes):
    return read_table(write(tmp_path, content, name), TableSettings(**changes))


def events(tmp_path, content, name="log.csv", **changes):
    return read_events(write(tmp_path, content, name), EventSettings(**changes))


def pairs(reading):
    row, column = reading.plays.counts.tocoo().coords
    plays = reading.plays
    return {(plays.users[u], plays.songs[i]): float(c) for u, i, c in zip(row, column, plays.counts.data, strict=True)}


def refusal(read, *args, **changes):
    with pytest.raises(InputError) as caught:
        read(*args, **changes)
    return str(caught.value)


ANN = {("ann", "s1"): 3.0}

# --- T1-T4: layouts ---------------------------------------------------------------------------------------------

LASTFM_1K = (
    "user_000001\t2009-05-04T23:08:57Z\tf1b1cf71-bd35-4e99-8624-24a6e15f133a\tDeep Dish\t\t"
    "Fuck Me Im Famous (Pacha Ibiza)-09-28-2007\n"
    'user_000002\t2009-05-04T13:54:10Z\t\tNew Order\t9d2e\tBlue Monday 12" mix\n'
)


def test_the_first_line_of_lastfm_1k_is_tab_separated_and_its_columns_are_asked_for(tmp_path):
    message = refusal(events, tmp_path, LASTFM_1K, "1k.tsv")
    assert "6 columns without a header line" in message
    assert "Last.fm-1K" in message
    typed = dict(part.split("=", 1) for part in message.split("--set ")[1:])
    chosen = {name: value.split(" ")[0].rstrip(".") for name, value in typed.items()}
    reading = events(tmp_path, LASTFM_1K, "1k.tsv", **chosen)
    assert reading.plays.songs.ids.to_list() == [
        "Deep Dish – Fuck Me Im Famous (Pacha Ibiza)-09-28-2007",
        'New Order – Blue Monday 12" mix',
    ]
    assert reading.plays.first_played.tolist() == [1241478537, 1241445250]


def test_blanks_in_names_are_not_taken_for_separators(tmp_path):
    text = "User Name,Song Title,Play Count\nann,A Song With A Long Name,3\n"
    assert pairs(table(tmp_path, text)) == {("ann", "A Song With A Long Name"): 3}


def test_the_separator_is_the_one_that_most_rows_agree_on(tmp_path):
    rows = "".join(f"u{i};Title, with, commas {i};{i + 1}\n" for i in range(30))
    assert table(tmp_path, "user;song;plays\n" + rows).plays.n_plays == 30
    assert pairs(table(tmp_path, "user song plays\nann s1 3\n")) == ANN
    assert pairs(table(tmp_path, "user|song|plays\nann|s1|3\n")) == ANN


def test_headerless_rows_of_numbers_and_names_are_never_guessed(tmp_path):
    log = "ann\t2020-01-01 10:00\tThe Smashing Pumpkins\t1979\nben\t2020-01-02 10:00\tMuse\tUprising\n"
    assert "without a header line" in refusal(events, tmp_path, log)
    assert "without a header line" in refusal(table, tmp_path, log)
    assert "without a header line" in refusal(table, tmp_path, "ann,s1,1580472000\nben,s2,1580472060\n")
    assert "without a header line" in refusal(events, tmp_path, "ann,s1,1580472000\nben,s2,1580472060\n")


LASTFM_360K = (
    "00000c289a1829a808ac09c00daf10bc3c4e223b\t3bd73256-3905-4f3a-97e2-8b341527f805\tbetty blowtorch\t2137\n"
    "00001411dc427966b17297bf4d69e7e193135d89\tf2fb0ff0-5679-42ec-a55c-15109ce6e320\t311\t1099\n"
)


def test_lastfm_360k_is_known_and_the_advice_reads_it(tmp_path):
    message = refusal(table, tmp_path, LASTFM_360K, "360k.tsv")
    assert "4 columns without a header line" in message
    assert "on_bad_row" not in message
    assert "Last.fm-360K" in message
    reading = table(tmp_path, LASTFM_360K, "360k.tsv", header="no", columns="user,-,artist,plays")
    assert sorted(pairs(reading).values()) == [1099, 2137]
    assert reading.plays.songs.ids.to_list() == ["311", "betty blowtorch"]


def test_a_list_of_columns_of_the_wrong_length_is_refused(tmp_path):
    assert "4 columns, but columns = 'user,song'" in refusal(table, tmp_path, LASTFM_360K, columns="user,song")


# --- T5-T7: quotes ----------------------------------------------------------------------------------------------


def stray_pair(first, last, n=1000):
    rows = [f"u{i},s{i},1" for i in range(2, n + 2)]
    rows[first - 2] = f'u{first},"Heroes,1'
    rows[last - 2] = f'u{last},Live",1'
    return HEADER + "\n".join(rows) + "\n"


@pytest.mark.parametrize("last", [102, 103, 105, 110, 112, 601, 1001])
@pytest.mark.parametrize("skip", ["fail", "skip"])
def test_a_stray_pair_of_quotes_never_swallows_rows(tmp_path, last, skip):
    message = refusal(table, tmp_path, stray_pair(101, last), on_bad_row=skip)
    assert "plays.csv:101:" in message or (skip == "skip" and "quotes=no" in message)


def test_a_quote_that_never_closes_is_named_by_its_line(tmp_path):
    for n in (5, 300_000):
        text = HEADER + "a,s,1\n" + 'b,"Heroes,1\n' + "c,s,1\n" * n
        assert "plays.csv:3: a double quote opens here" in refusal(table, tmp_path, text)
    mixed = HEADER + 'a,"Heroes,1\n' + "".join(f"u{i},s,1\n" for i in range(1000)) + 'z,12" mix,1\n'
    assert "plays.csv:2: a double quote opens here" in refusal(table, tmp_path, mixed)


def test_a_stray_quote_costs_linear_time_and_is_text(tmp_path):
    rows = [f"user{i % 1000},Song number {i % 5000} with a name,1" for i in range(200_000)]
    rows[1000] = 'ann,Blue Monday 12" mix,3'
    rows[1001] = 'ann,"Quoted, with comma",2'
    begin = time.process_time()  # a busy neighbour must not fail it
    reading = table(tmp_path, HEADER + "\n".join(rows))
    assert time.process_time() - begin < 8
    assert pairs(reading)[("ann", 'Blue Monday 12" mix')] == 3
    assert pairs(reading)[("ann", "Quoted, with comma")] == 2


def test_quoted_notes_over_a_few_lines_are_read(tmp_path):
    text = 'user,song,plays,note\nann,s1,3,"one\r\ntwo\r\nthree"\r\nben,s1,1,\r\n'
    assert pairs(table(tmp_path, text)) == {**ANN, ("ben", "s1"): 1}


def test_backslash_quotes_of_mysql_are_refused_in_words(tmp_path):
    message = refusal(table, tmp_path, HEADER + 'ann,"say \\"hi\\", you",3\n')
    assert "plays.csv:2:" in message
    assert "MySQL" in message


# --- T8-T15: line ends, archives, kinds of file -----------------------------------------------------------------


def test_line_ends_of_any_kind_give_the_same_rows(tmp_path):
    lines = ["user,song,plays", "ann,s1,3", 'ben,"s,2",1']
    for end in ("\r", "\r\n", "\n"):
        for last in ("", end):
            assert pairs(table(tmp_path, end.join(lines) + last)) == {**ANN, ("ben", "s,2"): 1}
    assert pairs(table(tmp_path, "user,song,plays\r\nann,s1,3\rben,s2,1\n")) == {**ANN, ("ben", "s2"): 1}


def test_a_lone_carriage_return_ends_a_line_whatever_stands_beside_it(tmp_path):
    for end in ("\n", ""):
        for around in ("", "carl,s3,2\n"):
            text = HEADER + around + "ann,s1,3\rben,s2,1" + end
            assert {**ANN, ("ben", "s2"): 1}.items() <= pairs(table(tmp_path, text)).items()


def zip_of(method=zipfile.ZIP_DEFLATED, **files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_dot_", "."), content)
    return out.getvalue()


@pytest.mark.parametrize(("method", "word"), [(9, "Deflate64"), (98, "PPMd"), (97, "method 97")])
def test_a_zip_packed_in_a_way_python_cannot_read_is_refused_in_words(tmp_path, method, word):
    data = bytearray(zip_of(plays_dot_csv=(HEADER + "ann,s1,3\n").encode()))
    at = data.find(b"PK\x01\x02")
    data[8:10] = data[at + 10 : at + 12] = method.to_bytes(2, "little")
    message = refusal(table, tmp_path, bytes(data), "a.zip")
    assert word in message


def test_a_zip_with_a_password_is_refused_in_words(tmp_path):
    data = bytearray(zip_of(plays_dot_csv=(HEADER + "ann,s1,3\n").encode()))
    at = data.find(b"PK\x01\x02")
    data[6] |= 1
    data[at + 8] |= 1
    assert "password" in refusal(table, tmp_path, bytes(data), "a.zip")


def tar_of(mode="w", **files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("_dot_", "."))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


TEXT = (HEADER + "ann,s1,3\n").encode()
PACKERS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: zstandard.ZstdCompressor().compress(data),
    "two.zst": lambda data: b"".join(zstandard.ZstdCompressor().compress(part) for part in (data[:9], data[9:])),
    "tar": lambda data: tar_of(plays_dot_csv=data, README_dot_txt=b"hello"),
    "tar.gz": lambda data: tar_of("w:gz", plays_dot_csv=data),
    "tar.xz": lambda data: tar_of("w:xz", plays_dot_csv=data),
    "tar.zst": lambda data: zstandard.ZstdCompressor().compress(tar_of(plays_dot_csv=data)),
    "zip": lambda data: zip_of(plays_dot_csv=data, readme_dot_md=b"hello"),
    "lzma.zip": lambda data: zip_of(zipfile.ZIP_LZMA, plays_dot_csv=data),
    "gz.zip": lambda data: zip_of(plays_dot_csv_dot_gz=gzip.compress(data)),
}


@pytest.mark.parametrize("packer", PACKERS)
def test_packed_tables_are_read_whatever_their_name(tmp_path, packer):
    for name in (f"plays.{packer}", "plays"):
        assert pairs(table(tmp_path, PACKERS[packer](TEXT), name)) == ANN


@pytest.mark.parametrize("packer", PACKERS)
def test_packed_tables_that_are_cut_short_or_damaged_are_refused(tmp_path, packer):
    rng = np.random.default_rng(0)
    rows = "".join(f"u{u},s{s},1\n" for u, s in rng.integers(0, 10**6, (3000, 2)))
    whole = PACKERS[packer]((HEADER + rows).encode())
    for cut in (len(whole) // 2, len(whole) - 40):
        if packer in ("tar", "tar.zst", "tar.gz", "tar.xz") and cut > len(whole) // 2:
            continue  # only the padding is lost
        assert "damaged" in refusal(table, tmp_path, whole[:cut], "a")
    for at in rng.integers(8, len(whole) - 8, 12):
        bad = bytearray(whole)
        bad[at] ^= 0x55
        try:
            table(tmp_path, bytes(bad), "a", on_bad_row="skip")
        except InputError:
            continue


def test_an_archive_of_several_tables_names_them(tmp_path):
    data = tar_of("w:gz", one_dot_tsv=TEXT, two_dot_tsv=TEXT)
    assert "holds 2 tables: one.tsv, two.tsv" in refusal(table, tmp_path, data, "a.tar.gz")
    assert pairs(table(tmp_path, data, "a.tar.gz", member="two.tsv")) == ANN


def test_every_member_of_a_source_is_listed_and_opened(tmp_path):
    (tmp_path / "f").mkdir()
    write(tmp_path / "f", gzip.compress(b"1"), "a.json.gz")
    write(tmp_path / "f", zip_of(x_dot_json=b"2", y_dot_json=b"3"), "b.zip")
    write(tmp_path / "f", b"", "_SUCCESS")
    write(tmp_path / "f", b"", ".hidden")
    assert members(tmp_path / "f") == ["a.json.gz", "b.zip"]
    found = [(name, stream.read()) for name, stream in open_source(tmp_path / "f")]
    assert found == [("a.json.gz", b"1"), ("b.zip/x.json", b"2"), ("b.zip/y.json", b"3")]
    tar = write(tmp_path, tar_of("w:xz", x_dot_json=b"2", y_dot_json=b"3"), "c.tar.xz")
    assert [(name, stream.read()) for name, stream in open_source(tar)] == [("x.json", b"2"), ("y.json", b"3")]
    assert members(tar) == ["x.json", "y.json"]


OTHERS = {
    "JSON": b'[\n  {"ts": "2020-01-01T00:00:00Z", "ms_played": 30000}]',
    "a SQLite database": b"SQLite format 3\x00" + bytes(100),
    "a PNG image": b"\x89PNG\r\n\x1a\n" + bytes(20),
    "a JPEG image": b"\xff\xd8\xff\xe0" + bytes(20),
    "a Feather (Arrow) file": b"ARROW1\x00\x00" + bytes(40),
    "an Excel workbook": zip_of(**{"xl/workbook_dot_xml": b"<x/>"}),
    "a PDF document": b"%PDF-1.7\n",
    "a web page": b"<!DOCTYPE html><html>",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_files_that_are_no_tables_are_named_for_what_they_are(tmp_path, kind):
    for name in ("plays.csv", "plays"):
        assert kind in refusal(table, tmp_path, OTHERS[kind], name)
    if kind != "an Excel workbook":
        assert kind in refusal(table, tmp_path, gzip.compress(OTHERS[kind]), "plays.csv.gz")


def test_folders_of_parts_and_several_files_are_one_table(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    write(folder, HEADER + "ann,s1,3\n", "part-00000.csv")
    write(folder, HEADER + "ben,s1,1\n", "part-00001.csv")
    write(folder, b"", "_SUCCESS")
    write(folder, b"xx", ".part-00000.csv.crc")
    expected = {**ANN, ("ben", "s1"): 1}
    assert pairs(read_table(folder, TableSettings())) == expected
    files = [folder / "part-00000.csv", folder / "part-00001.csv"]
    assert pairs(read_table(files, TableSettings())) == expected
    write(folder, HEADER + "carl,s1,x\n", "part-00002.csv")
    assert "part-00002.csv:2: count 'x'" in refusal(read_table, folder, TableSettings())
    frame = pl.DataFrame({"user": ["ann"], "song": ["s1"], "plays": [3]})
    parquet = tmp_path / "parquet"
    parquet.mkdir()
    frame.write_parquet(parquet / "part-0.snappy.parquet")
    frame.write_parquet(parquet / "part-1.snappy.parquet")
    assert pairs(read_table(parquet, TableSettings())) == {("ann", "s1"): 6}


def test_headerless_parts_are_one_table(tmp_path):
    (tmp_path / "d").mkdir()
    for i in range(3):
        write(tmp_path / "d", f"ann\ts1\t{i + 1}\n", f"part-0000{i}")
    assert pairs(read_table(tmp_path / "d", TableSettings())) == {("ann", "s1"): 6}


@pytest.mark.parametrize("name", ["PLAYS.PARQUET", "plays.pq", "plays", "plays.csv"])
def test_parquet_is_known_by_its_first_bytes(tmp_path, name):
    pl.DataFrame({"user": ["ann"], "song": ["s1"], "plays": [3]}).write_parquet(tmp_path / "p")
    data = (tmp_path / "p").read_bytes()
    assert pairs(table(tmp_path, data, name)) == ANN
    assert pairs(table(tmp_path, zip_of(p_dot_parquet=data), "p.zip")) == ANN


def test_columns_of_lists_are_left_out_and_noted(tmp_path):
    frame = pl.DataFrame({"user": ["ann"], "song": ["s1"], "plays": [3], "tags": [["a", "b"]], "x": [{"k": 1}]})
    frame.write_parquet(tmp_path / "p.parquet")
    reading = read_table(tmp_path / "p.parquet", TableSettings())
    assert pairs(reading) == ANN
    assert reading.notes["columns of lists left out: tags, x"] == 2


# --- T17-T18: times ---------------------------------------------------------------------------------------------

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@pytest.mark.parametrize("right", [*UNITS, "iso"])
@pytest.mark.parametrize("wrong", [*UNITS, "iso"])
def test_a_time_of_a_wrong_unit_is_refused_with_the_right_one(tmp_path, right, wrong):
    stamp = "2020-01-31 12:00" if right == "iso" else str(1_580_472_000 * UNITS[right])
    text = f"user,song,ts\nann,s1,{stamp}\n"
    if right == wrong:
        assert events(tmp_path, text, time="ts", time_unit=wrong).plays.first_played.tolist() == [1_580_472_000]
    else:
        message = refusal(events, tmp_path, text, time="ts", time_unit=wrong)
        assert f"pass --set time_unit={right}." in message


@pytest.mark.parametrize("stamp", ["0", "-5", "700000000", "in ten days"])
def test_times_before_1995_or_after_tomorrow_are_refused(tmp_path, stamp):
    stamp = str(int(time.time()) + 10 * 86_400) if stamp == "in ten days" else stamp
    message = refusal(events, tmp_path, f"user,song,ts\nann,s1,{stamp}\n", time="ts")
    assert "log.csv:2:" in message
    assert "before 1995 or after tomorrow" in message


@pytest.mark.parametrize(
    "stamp",
    [
        "05 Mar 2024, 10:11",
        "05 Mar 2024 10:11",
        "5 March 2024 10:11:00",
        "2024-03-05 10:11 UTC",
        "2024-03-05 10:11:00 UTC",
        "2024-03-05T12:11:00+02",
        "2024-03-05 12:11:00 +0200",
        "2024-03-05 12:11+02:00",
        "2024/03/05 10:11",
        "2024-03-05T10:11:00.123Z",
    ],
)
def test_dates_as_people_write_them_are_read(tmp_path, stamp):
    plays = events(tmp_path, f'user;song;ts\nann;s1;"{stamp}"\n', time="ts", time_unit="iso").plays
    assert plays.first_played.tolist() == [1_709_633_460]  # 5 March 2024, 10:11 UTC, by `date -d`


# --- T19-T25: what surrounds a table ----------------------------------------------------------------------------


def test_blanks_around_cells_are_dropped_and_blank_ids_refused(tmp_path):
    assert pairs(table(tmp_path, "user, song, plays\nann, s1, 3\n")) == ANN
    assert pairs(table(tmp_path, "ann\t s1\t3\nann\ts1\t2\n", header="no")) == {("ann", "s1"): 5}
    assert pairs(table(tmp_path, 'user, song, plays\nann, "s1, b", 3\n')) == {("ann", "s1, b"): 3}
    for row in (" ,s1,3", "ann, ,3", "ann,\u00a0,3"):
        assert "plays.csv:3: the" in refusal(table, tmp_path, HEADER + "x,y,1\n" + row + "\n")
        assert "id is empty" in refusal(table, tmp_path, HEADER + "x,y,1\n" + row + "\n")
    assert "id is empty" in refusal(table, tmp_path, "x\ty\t1\nann\t \t3\n", header="no")


def test_files_joined_by_cat_lose_their_inner_headers_and_marks(tmp_path):
    one = "\ufeff" + HEADER + "ann,s1,1\n"
    reading = table(tmp_path, one + one + "\ufeffbob,s2,1\n" + one)
    assert pairs(reading) == {("ann", "s1"): 3, ("bob", "s2"): 1}
    assert reading.notes["repeated header lines dropped"] == 2
    assert reading.notes["rows read"] == 4
    crlf = one.replace("\n", "\r\n")
    assert pairs(table(tmp_path, crlf + crlf)) == {("ann", "s1"): 2}
    assert "plays.csv:6: count 'x'" in refusal(table, tmp_path, one + one + one.replace("1\n", "x\n"))


def test_windows_1252_is_read_for_bytes_that_latin_1_leaves_to_control_codes(tmp_path):
    text = "user,song,plays\nann,Don’t Stop – “Live” €,3\n"
    assert pairs(table(tmp_path, text.encode("cp1252"))) == {("ann", "Don’t Stop – “Live” €"): 3}


def test_pipes_are_read(tmp_path):
    for content in (TEXT, gzip.compress(TEXT), zip_of(plays_dot_csv=TEXT)):
        reading_end, writing_end = os.pipe()
        writer = threading.Thread(target=lambda end=writing_end, data=content: (os.write(end, data), os.close(end)))
        writer.start()
        assert pairs(read_table(f"/dev/fd/{reading_end}", TableSettings())) == ANN
        writer.join()
        os.close(reading_end)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(TEXT,))
    writer.start()
    assert pairs(read_table(fifo, TableSettings())) == ANN
    writer.join()


def test_a_device_is_refused(tmp_path):
    assert "is a device" in refusal(read_table, "/dev/zero", TableSettings())


def test_artist_and_title_are_kept_whatever_their_case(tmp_path):
    reading = table(tmp_path, "User,Song,Artist,Title,Plays\nann,s1,Muse,Uprising,3\n")
    assert pairs(reading) == ANN
    assert reading.plays.songs_table.to_dicts() == [{"song_id": "s1", "Artist": "Muse", "Title": "Uprising"}]


@pytest.mark.parametrize("head", ["sep=;\n", "# exported\n", "\n\n", "Exported on Monday\n", "sep=;\r\n\r\n"])
def test_lines_before_the_table_are_left_out(tmp_path, head):
    reading = table(tmp_path, head + "user;song;plays\nann;s1;3\nben;s2;1\n")
    assert pairs(reading) == {**ANN, ("ben", "s2"): 1}
    assert reading.notes["lines before the table left out"] >= 1
    bad = refusal(table, tmp_path, head + "user;song;plays\nann;s1;x\nben;s2;1\n")
    n = head.replace("\r\n", "\n").count("\n") + 2
    assert f"plays.csv:{n}: count 'x'" in bad


def test_comments_and_blank_rows_between_rows_are_left_out(tmp_path):
    reading = table(tmp_path, HEADER + "ann,s1,1\n# a remark\n\n,,\nann,s1,2\n")
    assert pairs(reading) == ANN
    assert reading.notes["comment lines left out"] == 1


def test_recbole_headers_carry_types(tmp_path):
    text = "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu1\ti1\t5\t1580472000\nu1\ti2\t3\t1580472060\n"
    reading = events(tmp_path, text, "x.inter", time="auto")
    assert pairs(reading) == {("u1", "i1"): 1, ("u1", "i2"): 1}
    assert pairs(table(tmp_path, text, "x.inter", plays="rating")) == {("u1", "i1"): 5, ("u1", "i2"): 3}


# --- T26-T28: songs and counts ----------------------------------------------------------------------------------


def test_two_songs_of_one_title_by_two_artists_stay_two(tmp_path):
    for names in ("user,artist,track,album", "User,Artist Name,Track Name,Album Name", "user,artist,title,album"):
        reading = events(tmp_path, names + "\nann,A,Intro,X\nann,B,Intro,Y\nann,B,Intro,Y\n")
        assert pairs(reading) == {("ann", "A – Intro"): 1, ("ann", "B – Intro"): 2}
        found = reading.plays.songs_table
        assert found["title"].to_list() == ["Intro", "Intro"]
        assert found["artist"].to_list() == ["A", "B"]
    ids = events(tmp_path, "user,artist,track\nann,A,TR0001\nann,B,TR0002\n")
    assert pairs(ids) == {("ann", "TR0001"): 1, ("ann", "TR0002"): 1}


@pytest.mark.parametrize(
    ("count", "words"),
    [("1e300", "count 1e300"), ("16777217", "count 16777217"), ("1e-60", "too small"), ("1e39", "count 1e39")],
)
def test_counts_that_cannot_be_kept_are_named_by_their_line(tmp_path, count, words):
    for text in (HEADER + f"x,y,1\nann,s1,{count}\n", f"x,y,1\nq,y,1\nann,s1,{count}\n"):
        message = refusal(table, tmp_path, text)
        assert "plays.csv:3:" in message
        assert words in message
    assert pairs(table(tmp_path, HEADER + "ann,s1,16777216\n")) == {("ann", "s1"): 16777216}


def test_sums_that_cannot_be_kept_are_named(tmp_path):
    assert "sum to 16777217" in refusal(table, tmp_path, HEADER + "ann,s1,16777216\nann,s1,1\n")


def test_decimal_signs_that_may_mean_two_things_are_asked_about(tmp_path):
    head = "user;song;plays\n"
    message = refusal(table, tmp_path, head + "ann;s1;1.234\n")
    assert "decimal=point or =comma" in message
    assert pairs(table(tmp_path, head + "ann;s1;1.234\n", decimal="comma")) == {("ann", "s1"): 1234}
    assert pairs(table(tmp_path, head + "ann;s1;1.5\n", decimal="point")) == {("ann", "s1"): 1.5}
    assert pairs(table(tmp_path, head + "ann;s1;1,5\n")) == {("ann", "s1"): 1.5}
    assert pairs(table(tmp_path, head + "ann;s1;1.234,5\n", decimal="comma")) == {("ann", "s1"): 1234.5}
    assert "decimal" in refusal(table, tmp_path, HEADER + 'ann,s1,"1,234"\n')


# --- S1: one song, however its name is written ------------------------------------------------------------------


def test_ids_that_differ_only_in_unicode_form_are_one(tmp_path):
    reading = table(tmp_path, HEADER + "ann,caf\u00e9,3\nann,cafe\u0301,2\n")
    assert pairs(reading) == {("ann", "caf\u00e9"): 5}
    assert reading.notes["ids that differ only in their Unicode form joined"] == 1
    assert reading.plays.songs.find(["cafe\u0301", "caf\u00e9"]).tolist() == [0, 0]
    assert Vocabulary(["cafe\u0301"]) == Vocabulary(["caf\u00e9"])
    with pytest.raises(InputError, match="appears more than once"):
        Vocabulary(["cafe\u0301", "caf\u00e9"])


def test_songs_tables_find_their_songs_in_either_form():
    names = pl.DataFrame({"song_id": ["cafe\u0301"], "title": ["Café"]})
    plays = Plays.from_pairs(["ann"], ["caf\u00e9"], [1], songs_table=names)
    assert plays.songs_table["title"].to_list() == ["Café"]


# --- bombs ------------------------------------------------------------------------------------------------------


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path):
    bomb = gzip.compress(TEXT + b"x" * 64_000_000)
    assert "plays.csv.gz:3: the line is longer than" in refusal(table, tmp_path, bomb, "plays.csv.gz")
    bomb = gzip.compress(b"x" * 64_000_000)
    assert "the line is longer than" in refusal(table, tmp_path, bomb, "plays.csv.gz")


def test_zero_bytes_are_refused(tmp_path):
    assert "zero bytes" in refusal(table, tmp_path, "user,song,plays\nann,s1,3\n".encode("utf-16-le"))
    text = HEADER + "ann,s1,3\n" * 2000 + "b\0n,s1,1\n"
    assert "plays.csv:2002:" in refusal(table, tmp_path, text)


@pytest.mark.parametrize("skip", ["fail", "skip"])
@pytest.mark.parametrize("tail", ['"x|y', '"x|y"|s3|2', '"'])
def test_a_quoted_cell_that_ends_in_the_last_line_hides_nothing(tmp_path, skip, tail):
    text = 'user|song|plays\nann|s1|3\n"12"" mi\'Neill|s15|8\n#1|s17|8\n' + tail
    assert "plays.csv:3:" in refusal(table, tmp_path, text, on_bad_row=skip)

"""Opening, decoding and cutting raw bytes; tags; and the pairs that all readers end in."""

import bz2
import gzip
import io
import os
import zipfile

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcuts.artifacts import Plays, Vocabulary
from deepcuts.artifacts.rows import Numbered
from deepcuts.data.reading import blocks, decode_lines, make_tags, member_names, open_bytes, read_fields, read_lines
from deepcuts.errors import InputError, ResourceError

CONTENT = b"anna\tsong a\t3\nben\tsong b\t1\n"


def read_all(path, member=None):
    with open_bytes(path, member) as stream:
        return stream.read()


def make_zip(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return path


def test_a_file_gives_the_same_bytes_plain_or_packed_whatever_its_name_says(tmp_path):
    for name, content in {
        "a.txt": CONTENT,
        "a.txt.gz": gzip.compress(CONTENT),
        "a.txt.bz2": bz2.compress(CONTENT),
        "gzip_without_suffix": gzip.compress(CONTENT),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert read_all(tmp_path / name) == CONTENT
    assert read_all(make_zip(tmp_path / "a.zip", folder__plays_dot_tsv=CONTENT, README_dot_txt="hello")) == CONTENT


def test_a_zip_of_several_tables_lists_them_and_takes_one_by_name(tmp_path):
    path = make_zip(tmp_path / "a.zip", x__one_dot_csv=b"1", two_dot_csv=b"2")
    with pytest.raises(InputError, match=r"the archive holds 2 tables: two\.csv, x/one\.csv\. Name one"):
        read_all(path)
    with pytest.raises(InputError, match=r"has no member 'three\.csv'"):
        read_all(path, "three.csv")
    assert read_all(path, "one.csv") == b"1"
    assert member_names(path) == ["one.csv", "two.csv"]


def test_a_member_of_a_plain_file_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(CONTENT)
    with pytest.raises(InputError, match="is neither an archive nor a folder"):
        read_all(tmp_path / "a.csv", "b.csv")


def test_a_file_in_a_folder_may_be_packed(tmp_path):
    (tmp_path / "b.txt").write_bytes(gzip.compress(CONTENT))
    assert read_all(tmp_path, "b.txt") == CONTENT


def test_what_cannot_be_opened_is_said_in_words_with_its_exit_code(tmp_path):
    with pytest.raises(InputError, match=r"missing\.txt: no such file\. Check the name\.") as caught:
        read_all(tmp_path / "missing.txt")
    assert caught.value.exit_code == 3
    with pytest.raises(InputError, match="is a folder, expected a file"):
        read_all(tmp_path)


def test_a_file_without_permission_is_the_machines_fault(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_bytes(CONTENT)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read anything, so play the refusal
        monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(ResourceError, match=r"Permission denied\. Check the permissions") as caught:
        read_all(path)
    assert caught.value.exit_code == 6


def refuse(*_args, **_kwargs):
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_packed_file_cut_short_is_refused(tmp_path, pack):
    (tmp_path / "a").write_bytes(pack(CONTENT * 1000)[:-20])
    with pytest.raises(InputError, match="damaged or cut short"):
        read_all(tmp_path / "a")


def test_a_damaged_bz2_and_a_damaged_zip_are_refused(tmp_path):
    packed = bytearray(bz2.compress(CONTENT * 1000))
    packed[40:60] = bytes(20)
    (tmp_path / "a.bz2").write_bytes(bytes(packed))
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and nothing more")
    for name in ("a.bz2", "a.zip"):
        with pytest.raises(InputError, match="damaged"):
            read_all(tmp_path / name)


def test_utf8_and_latin1_lines_may_be_mixed_and_are_counted():
    lines, n_latin1 = decode_lines("tropicália\r\n".encode() + "español\n".encode("latin-1") + b"plain")
    assert lines == ["tropicália", "español", "plain"]
    assert n_latin1 == 1


def test_only_line_feeds_end_lines():
    lines, _ = decode_lines("a\u2028b\x0bc\nd\n".encode())
    assert lines == ["a\u2028b\x0bc", "d"]


def test_utf16_is_refused_and_the_mark_of_excel_is_dropped(tmp_path):
    (tmp_path / "a.txt").write_text("user\tsong\n", encoding="utf-16")
    with pytest.raises(InputError, match="the text is UTF-16, expected UTF-8"):
        read_lines(tmp_path / "a.txt")
    (tmp_path / "b.txt").write_text("user\n", encoding="utf-8-sig")
    assert read_lines(tmp_path / "b.txt") == (["user"], 0)


@settings(deadline=None)
@given(st.lists(st.text("ab\n\t", max_size=9)), st.integers(1, 7))
def test_blocks_are_whole_lines_and_lose_nothing(pieces, size):
    content = "".join(pieces).encode()
    cut = list(blocks(io.BytesIO(content), start=b"", size=size))
    assert b"".join(cut) == content
    assert all(block.endswith(b"\n") for block in cut[:-1])


def test_a_block_never_ends_inside_quotes():
    content = b'1,"a\nb\nc",2\n3,d,4\n'
    assert b"".join(blocks(io.BytesIO(content), quotes=",", size=3)) == content
    assert b'1,"a\nb\nc",2\n' in list(blocks(io.BytesIO(content), quotes=",", size=3))


def test_a_small_table_names_the_line_with_a_missing_field(tmp_path):
    (tmp_path / "t.dat").write_bytes(b"id\tname\n1\tmetal\n2\n")
    with pytest.raises(InputError, match=r"t\.dat:3: 1 columns, expected 2"):
        read_fields(tmp_path, 2, "t.dat")


def test_tags_keep_the_greatest_weight_and_leave_out_what_is_not_a_tag():
    songs = Vocabulary(["a", "b"])
    rows = pl.DataFrame(
        {
            "song_id": ["b", "b", "a", "c", "a", "a"],
            "tag": ["rock", "rock", "jazz", "jazz", "", "folk"],
            "weight": [2.0, 5.0, 1.0, 1.0, 1.0, 0.0],
        }
    )
    tags = make_tags(songs, rows)
    assert tags.tags.ids.to_list() == ["jazz", "rock"]
    assert tags.weights.toarray().tolist() == [[1, 0], [0, 5]]
    assert make_tags(songs, rows.head(0)) is None


rows_of_pairs = st.lists(
    st.tuples(st.sampled_from(["b", "a", "é", "007"]), st.sampled_from(["y", "x", "10"]), st.integers(1, 9)), min_size=1
)


@settings(deadline=None)
@given(rows_of_pairs, st.booleans())
def test_pairs_are_summed_like_a_dictionary_would(rows, as_categories):
    users, songs, counts = map(list, zip(*rows, strict=True))
    times = np.arange(len(rows))[::-1] + 100
    kind = pl.Categorical if as_categories else pl.String
    ids = [pl.Series(values=column, dtype=pl.String).cast(kind) for column in (users, songs)]
    plays = Plays.from_pairs(*ids, counts, first_played=times)

    total: dict = {}
    first: dict = {}
    for user, song, count, time in zip(users, songs, counts, times, strict=True):
        total[user, song] = total.get((user, song), 0) + count
        first[user, song] = min(first.get((user, song), time), time)
    assert plays.users.ids.to_list() == sorted(set(users))
    assert plays.songs.ids.to_list() == sorted(set(songs))
    row, column = plays.counts.tocoo().coords
    pairs = [(plays.users[u], plays.songs[i]) for u, i in zip(row, column, strict=True)]
    assert dict(zip(pairs, plays.counts.data.tolist(), strict=True)) == total
    assert dict(zip(pairs, plays.first_played.tolist(), strict=True)) == first


def test_a_negative_count_is_not_hidden_by_another_row_of_its_pair():
    with pytest.raises(InputError, match=r"plays\['anna', 'x'\] = -1\.0: expected a positive finite count"):
        Plays.from_pairs(["ben", "anna", "anna"], ["x", "x", "x"], [1, 3, -1])


def test_columns_of_different_lengths_and_empty_ids_are_refused():
    with pytest.raises(InputError, match="user_ids has 2, song_ids has 1"):
        Plays.from_pairs(["a", "b"], ["x"], [1])
    with pytest.raises(InputError, match="a user id is empty"):
        Plays.from_pairs(["a", ""], ["x", "y"], [1, 1])
    with pytest.raises(InputError, match="contains no plays"):
        Plays.from_pairs([], [], [])


def test_numbered_ids_give_what_the_ids_themselves_give_and_unused_names_are_left_out():
    users = Numbered(pl.Series(["zoe", "nobody", "anna"]), np.array([0, 2, 0, 2], dtype=np.int32))
    songs = Numbered(pl.Series(["y", "x", "unheard"]), np.array([1, 0, 0, 0], dtype=np.int32))
    counts = np.array([1, 2, 3, 4], dtype=np.int32)
    plays = Plays.from_pairs(users, songs, counts)
    assert plays.users.ids.to_list() == ["anna", "zoe"]
    assert plays.songs.ids.to_list() == ["x", "y"]
    assert plays.counts.toarray().tolist() == [[0, 6], [1, 3]]
    same = Plays.from_pairs(["zoe", "anna", "zoe", "anna"], ["x", "y", "y", "y"], counts)
    assert plays.fingerprint == same.fingerprint


def test_whole_counts_are_summed_beyond_the_range_of_their_type():
    plays = Plays.from_pairs(["a"] * 3, ["x"] * 3, np.full(3, 2**30, dtype=np.int32))
    assert plays.counts.toarray().tolist() == [[3 * 2**30]]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_counts_of_other_users_and_songs_are_looked_up_by_id(seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 8, (20, 2))
    plays = Plays.from_pairs([f"u{u}" for u, _ in rows], [f"s{s}" for _, s in rows], np.ones(20))
    users = Vocabulary([f"u{u}" for u in rng.permutation(12)[: rng.integers(1, 12)]], "user")
    songs = Vocabulary([f"s{s}" for s in rng.permutation(12)[: rng.integers(1, 12)]], "song")
    found = plays.counts_of(users, songs)
    expected = [[sum(f"u{u}" == a and f"s{s}" == b for u, s in rows) for b in songs.ids] for a in users.ids]
    assert found.toarray().tolist() == expected
    assert found.has_sorted_indices
    assert found.dtype == np.float32

"""Bad input of `deepcuts data ...`: each is refused with exit code 3, one line, and what to do."""

import json

import numpy as np
import pytest
from scipy import sparse

GOOD = "user,song,plays\nann,one,2\nbob,one,1\nann,two,3\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,sang,plays\nann,one,2\n", "no column for the song; the columns are 'user', 'sang', 'plays'. Name it"),
        ("user,song,plays\nann,one,2\nbob,one,three\n", "plays.csv:3: count 'three' is not a number. Fix it"),
        ("user,song,plays\nann,one,-2\n", "plays.csv:2: count -2 is not a positive finite number"),
        ("user,song,plays\nann,one,nan\n", "plays.csv:2: count nan is not a positive finite number"),
        ("user,song,plays\nann,one,0\n", "Leave unplayed songs out"),
        ("user,song,plays\nann,one\n", "plays.csv:2: 2 columns, expected 3"),
        ("user,song,plays\n,one,2\n", "plays.csv:2: the user id is empty"),
        ("user,song,plays\n", "contains no rows. Check the file"),
        ("", "the file is empty"),
        ("user,song,track_id,plays\nann,one,T1,2\n", "both 'song' and 'track_id' may be the song. Choose with --set"),
    ],
)
def test_a_bad_table_is_refused_with_what_to_do(deepcuts, table, tmp_path, text, message) -> None:
    told = deepcuts("data", "table", table(text), "-o", tmp_path / "plays")
    assert (told.code, told.out) == (3, "")
    last = told.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert not (tmp_path / "plays").exists()


def test_bad_rows_may_be_skipped_and_are_counted(deepcuts, table, tmp_path) -> None:
    path = table(GOOD + "bob,two,x\nbob,two,-1\n")
    told = deepcuts("data", "table", path, "-o", tmp_path / "plays", "--json", "--set", "on_bad_row=skip")
    assert told.code == 0
    counted = json.loads(told.out)
    assert counted["rows skipped: count is not a number"] == 1
    assert counted["rows skipped: count is not positive and finite"] == 1
    assert counted["user-song pairs"] == 3


def test_duplicated_rows_are_summed_and_told(deepcuts, table, tmp_path) -> None:
    path = table(GOOD + "ann,one,5\n")
    told = deepcuts("data", "table", path, "-o", tmp_path / "plays", "--json")
    assert json.loads(told.out)["duplicate rows summed"] == 1
    assert np.load(tmp_path / "plays/count.npy").tolist() == [7, 3, 1]  # ann one, ann two, bob one
    told = deepcuts("data", "table", path, "-o", tmp_path / "plays")
    assert "1 duplicate rows summed" in told.err
    assert told.out == ""


def test_a_transposed_matrix_is_recognised(deepcuts, tmp_path) -> None:
    sparse.save_npz(tmp_path / "m.npz", sparse.csr_array(np.ones((3, 2))))
    (tmp_path / "users.txt").write_text("ann\nbob\n")
    (tmp_path / "songs.txt").write_text("one\ntwo\nthree\n")
    told = deepcuts("data", "matrix", tmp_path / "m.npz", "-o", tmp_path / "plays")
    assert told.code == 3
    assert "has shape [3, 2], expected [2, 3]" in told.err
    assert "It looks transposed: users come first. Save matrix.T." in told.err


def test_a_missing_file_and_a_folder_are_told_apart(deepcuts, tmp_path) -> None:
    told = deepcuts("data", "table", tmp_path / "none.csv", "-o", tmp_path / "plays")
    assert (told.code, told.err) == (3, f"error: {tmp_path}/none.csv: no such file. Check the name.\n")
    told = deepcuts("data", "table", tmp_path, "-o", tmp_path / "plays")
    assert told.code == 3
    assert "a folder of no files" in told.err


def test_an_archive_cut_short_is_named(deepcuts, tmp_path) -> None:
    import gzip

    whole = gzip.compress((GOOD + "cy,two,1\n" * 1000).encode())
    (tmp_path / "plays.csv.gz").write_bytes(whole[: len(whole) // 2])
    told = deepcuts("data", "table", tmp_path / "plays.csv.gz", "-o", tmp_path / "plays")
    assert told.code == 3
    assert "damaged or cut short" in told.err


def test_the_test_songs_may_be_a_list(deepcuts, home, tmp_path) -> None:
    (tmp_path / "list.txt").write_text("song-00001\nsong-00007\n\n")
    words = ["data", "split", home / "world/plays", "-o", tmp_path / "split", "--test-songs", tmp_path / "list.txt"]
    told = deepcuts(*words, "--set", "by=list")
    assert told.code == 0, told.err
    assert " 2 test songs" in told.err
    told = deepcuts(*words)
    assert told.code == 2
    assert "test songs go with by=list" in told.err


def test_an_unknown_song_in_a_list_is_named_with_a_near_miss(deepcuts, home, tmp_path) -> None:
    (tmp_path / "list.txt").write_text("song-00001\nsong-0007\n")
    told = deepcuts(
        "data", "split", home / "world/plays", "-o", tmp_path / "split",
        "--test-songs", tmp_path / "list.txt", "--set", "by=list",
    )  # fmt: skip
    assert told.code == 3
    assert "test songs: unknown song id 'song-0007' (1 of 2 ids are unknown). Did you mean 'song-" in told.err


def test_a_group_table_without_its_columns_is_refused(deepcuts, home, tmp_path) -> None:
    (tmp_path / "groups.csv").write_text("song_id,grup\nsong-00001,a\n")
    told = deepcuts(
        "data", "split", home / "world/plays", "-o", tmp_path / "split", "--groups", tmp_path / "groups.csv"
    )
    assert told.code == 3
    assert "groups.csv: no column 'group'; the columns are 'song_id', 'grup'. Did you mean 'grup'?" in told.err

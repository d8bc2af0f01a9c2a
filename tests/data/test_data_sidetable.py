"""Side tables (`--songs`, `--groups`, `--test-songs`) are read by the reader of tables."""

import gzip

import numpy as np
import polars as pl
import pytest

from deepcuts.artifacts import Plays, plays_before
from deepcuts.data import EventSettings, SideSettings, SplitSettings, make_split, read_events, read_side_table
from deepcuts.errors import InputError, SettingError


def side(tmp_path, content, *columns, name="songs.csv", **settings):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_side_table(path, columns, SideSettings(**settings))[0]


EXPECTED = {"song_id": ["s1", "s2"], "file": ["a.mp3", "Album\\01.mp3"]}


@pytest.mark.parametrize(
    "text",
    [
        "song_id,file\ns1,a.mp3\ns2,Album\\01.mp3\n",
        "Song_ID;file\ns1;a.mp3\ns2;Album\\01.mp3\n",
        "Song ID\tFile\ns1\ta.mp3\ns2\tAlbum\\01.mp3\n",
        "\ufeffsong_id,file\r\ns1, a.mp3\r\ns2,Album\\01.mp3\r\n",
        "sep=;\nsong_id;file\ns1;a.mp3\ns2;Album\\01.mp3\n",
        'track_id|file\r"s1"|a.mp3\rs2|Album\\01.mp3',
    ],
)
def test_a_catalogue_is_read_in_any_shape(tmp_path, text):
    for name in ("songs.csv", "songs.txt", "songs.tsv", "songs"):
        assert side(tmp_path, text, "song_id", "file", name=name).to_dict(as_series=False) == EXPECTED
    assert side(tmp_path, gzip.compress(text.encode()), "song_id", "file").to_dict(as_series=False) == EXPECTED


def test_cp1252_names_and_parquet_are_read(tmp_path):
    table = side(tmp_path, "song_id,file\ns1,Don’t Stop.mp3\n".encode("cp1252"), "song_id")
    assert table["file"].to_list() == ["Don’t Stop.mp3"]
    pl.DataFrame({"song_id": [7], "x": [[1]]}).write_parquet(tmp_path / "p")
    assert read_side_table(tmp_path / "p", ["song_id"])[0].to_dict(as_series=False) == {"song_id": ["7"]}


def test_a_list_of_ids_is_plain_lines_with_or_without_a_mark(tmp_path):
    for text in ("007\ns2, live\n", "\ufeff007\r\ns2, live\r\n", "\n007\r\rs2, live"):
        assert side(tmp_path, text, "song_id", name="new.txt")["song_id"].to_list() == ["007", "s2, live"]
    assert side(tmp_path, "\ufeffsong_id\n007\n", "song_id", name="new.csv")["song_id"].to_list() == ["007"]


def test_columns_are_named_by_settings(tmp_path):
    text = "nr;name;where\n1;One;./x.mp3\n"
    table = side(tmp_path, text, "song_id", song="nr", title="name", file="where")
    assert table.to_dict(as_series=False) == {"song_id": ["1"], "title": ["One"], "file": ["./x.mp3"]}
    headless = side(tmp_path, "1;One\n", "song_id", columns="song_id,title")
    assert headless.to_dict(as_series=False) == {"song_id": ["1"], "title": ["One"]}


def test_a_missing_column_an_empty_cell_and_a_ragged_row_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no column 'group'; the columns are 'song_id', 'file'"):
        side(tmp_path, "song_id,file\ns1,a\n", "song_id", "group")
    with pytest.raises(InputError, match=r"row 2: the cell of column 'song_id' is empty"):
        side(tmp_path, "song_id,file\ns1,a\n ,b\n", "song_id")
    with pytest.raises(InputError, match=r"songs\.csv:3: 3 columns, expected 2"):
        side(tmp_path, "song_id,file\ns1,a\ns2,b,c\n", "song_id")


# --- times of plays ---------------------------------------------------------------------------------------------

DAY = 86_400
START = 1_700_000_000


def log_of(tmp_path, rows):
    path = tmp_path / "log.csv"
    path.write_text("user,song,ts\n" + "".join(f"{u},{s},{START + day * DAY}\n" for u, s, day in rows))
    return read_events(path, EventSettings(time="ts")).plays


ROWS = [("a", "x", 5), ("a", "x", 1), ("a", "y", 2), ("b", "x", 9), ("a", "x", 9), ("b", "y", 3)]


def test_the_time_of_every_play_is_kept_and_saved(tmp_path):
    plays = log_of(tmp_path, ROWS)
    assert plays.events.start.tolist() == [0, 3, 4, 5, 6]
    assert ((plays.events.time - START) // DAY).tolist() == [1, 5, 9, 2, 9, 3]
    plays.save(tmp_path / "plays")
    again = Plays.load(tmp_path / "plays")
    assert again.events.start.tolist() == plays.events.start.tolist()
    assert again.events.time.tolist() == plays.events.time.tolist()


def test_replays_after_the_cutoff_are_hidden_too(tmp_path):
    plays = log_of(tmp_path, ROWS)
    early = plays_before(plays, START + 5 * DAY)
    assert early.counts.toarray().tolist() == [[1, 1], [0, 1]]
    assert ((early.events.time - START) // DAY).tolist() == [1, 2, 3]
    late = plays_before(plays, START + 6 * DAY)
    assert late.counts.toarray().tolist() == [[2, 1], [0, 1]]


def test_events_follow_the_songs_and_users_taken(tmp_path):
    plays = log_of(tmp_path, ROWS)
    songs = plays.take_songs(np.array([1, 0]))
    assert songs.counts.toarray().tolist() == [[1, 3], [1, 1]]
    flat = [sorted(((songs.events.time - START) // DAY)[a:b].tolist()) for a, b in pairwise(songs.events.start)]
    by_pair = dict(zip(zip(*songs.counts.nonzero(), strict=True), flat, strict=True))
    assert {(int(u), int(s)): t for (u, s), t in by_pair.items()} == {
        (0, 0): [2],
        (0, 1): [1, 5, 9],
        (1, 0): [3],
        (1, 1): [9],
    }
    users = plays.take_users(np.array([1]))
    assert ((users.events.time - START) // DAY).tolist() == [9, 3]


def pairwise(starts):
    return zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)


def test_a_cutoff_is_a_date_or_unix_seconds(tmp_path):
    plays = log_of(tmp_path, [("a", "x", 0), ("a", "y", 1), ("a", "z", 30)])
    # 1,700,000,000 is 14 November 2023, 22:13:20 UTC; ten days later 24 November.
    for cutoff in ("2023-11-24", "2023-11-24T00:00:00Z", "2023-11-24T01:00+01:00", 1_700_784_000):
        split = make_split(plays, SplitSettings(by="time", cutoff=cutoff, validation=0))
        assert split.settings["cutoff"] == 1_700_784_000
        assert split.test_songs.ids.to_list() == ["z"]
    with pytest.raises(SettingError, match="cutoff"):
        SplitSettings(by="time", cutoff="24.11.2023")


def test_a_split_that_hides_more_than_half_of_all_plays_warns_with_the_reason(tmp_path, caplog):
    rows = [("a", "x", 0), ("a", "y", 1), *[("a", "x", 20 + i) for i in range(8)], ("a", "z", 30)]
    plays = log_of(tmp_path, rows)
    make_split(plays, SplitSettings(by="time", cutoff=START + 10 * DAY, validation=0))
    assert "hides 82 % of all plays: 9 % are of songs for testing, 73 % of other songs" in caplog.text
    caplog.clear()
    make_split(plays, SplitSettings(by="time", cutoff=START + 29 * DAY, validation=0))
    assert "hides" not in caplog.text


def test_groups_are_found_by_a_column_in_any_case():
    table = pl.DataFrame({"song_id": ["s0", "s1", "s2", "s3"], "Artist": ["a", "a", "b", "c"]})
    plays = Plays.from_pairs(["u"] * 4, table["song_id"], [1.0] * 4, songs_table=table)
    split = make_split(plays, SplitSettings(by="artist", test=0.5, validation=0))
    assert split.groups.tolist()[0] == split.groups.tolist()[1]

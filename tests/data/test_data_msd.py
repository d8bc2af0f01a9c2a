"""The Million Song Dataset family, on files of a few lines each in the layouts that were published."""

import gzip
import sqlite3
import zipfile

import h5py
import numpy as np
import polars as pl
import pytest

from deepcuts.artifacts import Plays
from deepcuts.data import (
    MsdSettings,
    read_h5_metadata,
    read_kaggle_songs,
    read_kaggle_users,
    read_lastfm_tags,
    read_mismatches,
    read_msd,
    read_song_tracks,
    read_track_metadata,
    read_triplets,
    read_unique_tracks,
    subset,
)
from deepcuts.errors import InputError, SettingError

U1, U2 = "b80344d063b5ccb3212f76538f3d9e43d87dca9e", "85c1f87fea955d09b4bec2e36aee110927aedf9a"
A, B, C, D = (f"SO{letter * 16}" for letter in "ABCD")
TA1, TA2, TB, TC, TD = (f"TR{letter * 16}" for letter in "AXBCD")
TRIPLETS = f"{U1}\t{A}\t1\n{U1}\t{B}\t2\n{U2}\t{B}\t3\n{U2}\t{C}\t4\n{U2}\t{D}\t5\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train_triplets.txt").write_text(TRIPLETS)
    return tmp_path


def write_unique_tracks(folder):
    rows = [
        (TA1, A, "Muse", "One"),
        (TA2, A, "Muse", "One <SEP> Two"),
        (TB, B, "Sigur Rós", "Ára"),
        (TC, C, "Abba", "S"),
    ]
    (folder / "unique_tracks.txt").write_text("".join("<SEP>".join(row) + "\n" for row in rows), encoding="utf-8")


def write_mismatches(folder, *wrong_pairs):
    lines = [f"ERROR: <{song} {track}> Abba  -  S  !=  Other  -  T\n" for song, track in wrong_pairs]
    (folder / "sid_mismatches.txt").write_text("".join(lines))


def write_metadata(folder):
    with sqlite3.connect(folder / "track_metadata.db") as db:
        db.execute(
            "CREATE TABLE songs (track_id text PRIMARY KEY, title text, song_id text, release text, artist_id text, "
            "artist_mbid text, artist_name text, duration real, artist_familiarity real, artist_hotttnesss real, "
            "year int, track_7digitalid int, shs_perf int, shs_work int)"
        )
        for track, song, title, year in ((TA1, A, "One", 2001), (TB, B, "Ára", 0), ("TRother", "SOother", "No", 1)):
            db.execute(
                "INSERT INTO songs VALUES (?,?,?,'LP','AR1','mb','Muse',61.5,0,0,?,0,0,0)", (track, title, song, year)
            )
    db.close()


def write_lastfm_tags(folder):
    with sqlite3.connect(folder / "lastfm_tags.db") as db:
        db.executescript("CREATE TABLE tids (tid TEXT); CREATE TABLE tags (tag TEXT);")
        db.execute("CREATE TABLE tid_tag (tid INT, tag INT, val FLOAT)")
        db.executemany("INSERT INTO tids VALUES (?)", [(TA1,), (TA2,), (TB,)])
        db.executemany("INSERT INTO tags VALUES (?)", [("rock",), ("ambient",)])
        # row numbers, not ids: 1 = TA1 and rock, ...
        db.executemany("INSERT INTO tid_tag VALUES (?,?,?)", [(1, 1, 40), (2, 1, 90), (3, 2, 100), (3, 1, 0)])
    db.close()


def write_h5(path, track, song, title, terms, year=0):
    with h5py.File(path, "w") as file:
        about = [("song_id", "S32"), ("artist_name", "S64"), ("title", "S64"), ("release", "S64"), ("artist_id", "S32")]
        values = (song, b"Muse", title.encode("utf-8"), b"LP", b"AR1")
        file["metadata/songs"] = np.array(
            [tuple(v if isinstance(v, bytes) else v.encode() for v in values)], dtype=about
        )
        file["analysis/songs"] = np.array([(track.encode(), 61.5)], dtype=[("track_id", "S32"), ("duration", "f8")])
        file["musicbrainz/songs"] = np.array([(year,)], dtype=[("year", "i4")])
        file["metadata/artist_terms"] = np.array([t.encode() for t in terms], dtype="S256")
        file["metadata/artist_terms_weight"] = np.array(list(terms.values()), dtype=float)


def test_triplets_need_no_header(folder):
    reading = read_triplets(folder / "train_triplets.txt", MsdSettings())
    assert reading.plays.users.ids.to_list() == sorted([U1, U2])
    assert reading.plays.songs.ids.to_list() == [A, B, C, D]
    assert reading.plays.counts.toarray().tolist() == [[0, 3, 4, 5], [1, 2, 0, 0]]
    assert reading.notes == {"rows read": 5, "duplicate rows summed": 0}


def test_the_kaggle_triplets_and_packed_triplets_are_found_by_name(tmp_path):
    (tmp_path / "kaggle_visible_evaluation_triplets.txt.gz").write_bytes(gzip.compress(TRIPLETS.encode()))
    first = read_msd(tmp_path, MsdSettings())
    assert first.notes["used kaggle_visible_evaluation_triplets.txt.gz"] == 5
    with zipfile.ZipFile(tmp_path / "train_triplets.txt.zip", "w") as archive:
        archive.writestr("train_triplets.txt", TRIPLETS)
    second = read_msd(tmp_path, MsdSettings())
    assert second.notes["used train_triplets.txt.zip"] == 5
    assert first.plays.fingerprint == second.plays.fingerprint


def test_a_folder_without_triplets_says_what_it_holds(tmp_path):
    (tmp_path / "10000.txt").write_text(TRIPLETS)
    with pytest.raises(InputError, match=r"no train_triplets\.txt .* among 10000\.txt\. Name the file"):
        read_msd(tmp_path, MsdSettings())
    assert read_msd(tmp_path, MsdSettings(triplets="10000.txt")).plays.n_plays == 5


def test_a_bad_triplet_is_named_by_its_line(tmp_path):
    (tmp_path / "t.txt").write_text(TRIPLETS + f"{U1}\t{A}\tx3\n")
    with pytest.raises(InputError, match=r"t\.txt:6: count 'x3' is not a number"):
        read_triplets(tmp_path / "t.txt", MsdSettings())
    reading = read_triplets(tmp_path / "t.txt", MsdSettings(on_bad_row="skip"))
    assert reading.notes["rows skipped: count is not a number"] == 1


def test_unique_tracks_titles_may_hold_the_separator(tmp_path):
    write_unique_tracks(tmp_path)
    table = read_unique_tracks(tmp_path / "unique_tracks.txt")
    assert table.columns == ["track_id", "song_id", "artist", "title"]
    assert table.row(1) == (TA2, A, "Muse", "One <SEP> Two")
    assert table.row(2) == (TB, B, "Sigur Rós", "Ára")
    (tmp_path / "unique_tracks.txt").write_text("TR1<SEP>SO1<SEP>Muse<SEP>One\nTR2<SEP>SO2\n")
    with pytest.raises(InputError, match=r"unique_tracks\.txt:2: 2 parts, expected 4"):
        read_unique_tracks(tmp_path / "unique_tracks.txt")


def test_a_song_may_have_no_track_or_several(tmp_path):
    (tmp_path / "s.txt").write_text(f"{A}\t{TA1}\t{TA2}\n{C}\n{D}\t\n{B}\t{TB}\n")
    assert read_song_tracks(tmp_path / "s.txt").rows() == [(A, TA1), (A, TA2), (B, TB)]


def test_mismatches_lie_at_fixed_places_also_in_the_accepted_file(tmp_path):
    line = "ERROR: <SOUMNSI12AB0182807 TRMMGKQ128F9325E10> Digital Underground  -  The Way  !=  Linkwood  -  Fate\n"
    (tmp_path / "m.txt").write_text(line)
    assert read_mismatches(tmp_path / "m.txt").rows() == [("SOUMNSI12AB0182807", "TRMMGKQ128F9325E10")]
    (tmp_path / "a.txt").write_text("1,3d0\nremarks\n< " + line)
    assert read_mismatches(tmp_path / "a.txt").rows() == [("SOUMNSI12AB0182807", "TRMMGKQ128F9325E10")]
    (tmp_path / "w.txt").write_text("ERROR: <SOUMNSI TRMMGKQ> short ids\n")
    with pytest.raises(InputError, match=r"w\.txt:1: .*expected ERROR: <SONGID TRACKID>"):
        read_mismatches(tmp_path / "w.txt")
    (tmp_path / "w.txt").write_text("another file\n")
    with pytest.raises(InputError, match="not one line is"):
        read_mismatches(tmp_path / "w.txt")


def test_kaggle_lists(tmp_path):
    (tmp_path / "u.txt").write_text(f"{U1}\n{U2}\n")
    (tmp_path / "s.txt").write_text(f"{A} 1\n{B} 2\n")
    assert read_kaggle_users(tmp_path / "u.txt") == [U1, U2]
    assert read_kaggle_songs(tmp_path / "s.txt").rows() == [(A, 1), (B, 2)]
    (tmp_path / "s.txt").write_text(f"{A} one\n")
    with pytest.raises(InputError, match=r"s\.txt:1: .*expected SONGID INDEX"):
        read_kaggle_songs(tmp_path / "s.txt")


def test_the_databases_are_read_by_their_published_tables(tmp_path):
    write_metadata(tmp_path)
    write_lastfm_tags(tmp_path)
    rows = read_track_metadata(tmp_path / "track_metadata.db", [A, B]).to_dicts()
    about = {"artist": "Muse", "release": "LP", "artist_id": "AR1", "duration": 61.5}
    assert rows == [
        {"track_id": TA1, "song_id": A, "title": "One", "year": 2001, **about},
        {"track_id": TB, "song_id": B, "title": "Ára", "year": None, **about},
    ]
    tags = read_lastfm_tags(tmp_path / "lastfm_tags.db", [TA1, TB, "TRunknown"])
    assert tags.rows() == [(TA1, "rock", 40.0), (TB, "ambient", 100.0)]


def test_a_file_that_is_not_the_database_is_refused(tmp_path):
    (tmp_path / "x.db").write_bytes(b"not a database, but long enough to look at" * 10)
    with pytest.raises(InputError, match=r"x\.db: not the database expected"):
        read_lastfm_tags(tmp_path / "x.db", [TA1])
    with pytest.raises(InputError, match="no such file"):
        read_track_metadata(tmp_path / "y.db", [A])


def test_the_folder_is_read_with_all_its_side_files(folder):
    write_unique_tracks(folder)
    write_metadata(folder)
    write_lastfm_tags(folder)
    write_mismatches(folder, (A, TA1), (C, TC))
    (folder / "sid_matches_manually_accepted.txt").write_text(f"< ERROR: <{C} {TC}> Abba  -  S  !=  Abba  -  S.\n")
    (folder / "taste_profile_song_to_tracks.txt").write_text(f"{A}\t{TA1}\t{TA2}\n{D}\n")
    reading = read_msd(folder, MsdSettings())
    plays = reading.plays
    # A keeps its second track, C was accepted by hand, D has no track at all.
    assert plays.songs_table.select("song_id", "track_id", "artist", "title", "year").rows() == [
        (A, TA2, "Muse", "One <SEP> Two", None),
        (B, TB, "Muse", "Ára", None),
        (C, TC, "Abba", "S", None),
    ]
    assert plays.n_plays == 4
    assert reading.tags.songs == plays.songs
    assert reading.tags.tags.ids.to_list() == ["ambient", "rock"]
    assert reading.tags.weights.toarray().tolist() == [[0, 90], [100, 0], [0, 0]]
    for name, n in {
        "used train_triplets.txt": 5,
        "used unique_tracks.txt": 4,
        "used track_metadata.db": 2,
        "used taste_profile_song_to_tracks.txt": 2,
        "used sid_mismatches.txt": 2,
        "used sid_matches_manually_accepted.txt": 1,
        "wrong (song, track) pairs dropped": 1,
        "songs without a good track dropped": 1,
        "plays of songs without a good track dropped": 1,
        "users without plays left dropped": 0,
    }.items():
        assert reading.notes[name] == n, name


def test_a_song_without_good_track_may_be_kept(folder):
    write_unique_tracks(folder)
    write_mismatches(folder, (B, TB))
    dropped = read_msd(folder, MsdSettings())
    assert dropped.plays.songs.ids.to_list() == [A, C]
    assert dropped.notes["plays of songs without a good track dropped"] == 3
    kept = read_msd(folder, MsdSettings(need_track=False))
    assert kept.plays.songs.ids.to_list() == [A, B, C, D]
    assert kept.plays.songs_table["track_id"].to_list() == [TA1, None, TC, None]
    trusting = read_msd(folder, MsdSettings(drop_mismatches=False))
    assert trusting.plays.songs.ids.to_list() == [A, B, C]


def test_users_left_without_plays_go_too(folder):
    write_mismatches(folder, (A, TA1), (B, TB))
    reading = read_msd(folder, MsdSettings())  # nothing lists the tracks: every song with a wrong pair goes
    assert reading.plays.songs.ids.to_list() == [C, D]
    assert reading.plays.users.ids.to_list() == [U2]
    assert reading.notes["users without plays left dropped"] == 1


def test_triplets_alone_need_no_side_files(folder):
    reading = read_msd(folder / "train_triplets.txt", MsdSettings())
    assert reading.plays.songs_table.columns == ["song_id"]
    assert reading.plays.n_plays == 5
    assert reading.tags is None


def test_analyses_describe_tracks_and_give_artist_terms_as_tags(folder):
    (folder / "h5" / "A").mkdir(parents=True)
    write_h5(folder / "h5" / "A" / f"{TA2}.h5", TA2, A, "Ára", {"rock": 1.0, "pop": 0.25}, year=1999)
    tracks, terms = read_h5_metadata(folder / "h5")
    assert tracks.rows() == [(TA2, A, "Muse", "Ára", "LP", "AR1", 1999, 61.5)]
    assert terms.rows() == [(TA2, A, "rock", 1.0), (TA2, A, "pop", 0.25)]
    write_unique_tracks(folder)
    reading = read_msd(folder, MsdSettings(analyses="h5"))
    assert reading.plays.songs_table["track_id"][0] == TA2  # the track with an analysis, though TA1 comes first by name
    assert reading.plays.songs_table["year"].to_list() == [1999, None, None]
    assert reading.tags.weights.toarray().tolist() == [[0.25, 1], [0, 0], [0, 0]]


def test_a_damaged_analysis_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no \.h5 file here"):
        read_h5_metadata(tmp_path)
    (tmp_path / "TR1.h5").write_bytes(b"no hdf5")
    with pytest.raises(InputError, match=r"TR1\.h5: not a Million Song Dataset analysis"):
        read_h5_metadata(tmp_path)


def test_the_settings_are_checked():
    with pytest.raises(SettingError, match="min_tag_weight"):
        MsdSettings(min_tag_weight=100)
    with pytest.raises(SettingError, match="on_bad_row"):
        MsdSettings(on_bad_row="ignore")


def small_plays():
    rows = [("u1", "a"), ("u1", "b"), ("u1", "c"), ("u2", "b"), ("u2", "c"), ("u3", "c"), ("u3", "d"), ("u0", "b")]
    users, songs = zip(*rows, strict=True)
    return Plays.from_pairs(users, songs, np.arange(1, 9), first_played=np.arange(10, 18))


def test_a_subset_takes_the_songs_with_most_listeners_and_users_who_played_enough_of_them():
    chosen = subset(small_plays(), 2, 10, 2, np.random.default_rng(0))
    assert chosen.songs.ids.to_list() == ["b", "c"]  # three listeners each
    assert chosen.users.ids.to_list() == ["u1", "u2"]
    assert chosen.counts.toarray().tolist() == [[2, 3], [4, 5]]
    assert chosen.first_played.tolist() == [11, 12, 13, 14]


def test_the_users_of_a_subset_are_drawn_by_the_seed():
    plays = small_plays()
    draw = {seed: subset(plays, 4, 2, 1, np.random.default_rng(seed)).users.ids.to_list() for seed in range(8)}
    assert subset(plays, 4, 2, 1, np.random.default_rng(3)).users.ids.to_list() == draw[3]
    assert len({tuple(users) for users in draw.values()}) > 1
    with pytest.raises(InputError, match="no user played 5 of the 4 songs"):
        subset(plays, 9, 2, 5, np.random.default_rng(0))


def test_unknown_details_do_not_drop_songs(folder):
    write_metadata(folder)
    reading = read_msd(folder, MsdSettings(need_track=False))
    assert isinstance(reading.plays.songs_table, pl.DataFrame)
    assert reading.plays.songs_table["title"].to_list() == ["One", "Ára", None, None]

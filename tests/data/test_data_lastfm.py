"""HetRec 2011 on a few lines."""

import zipfile

import pytest

from deepcuts.data import LastfmSettings, read_artist_tracks, read_lastfm
from deepcuts.errors import InputError

FILES = {
    "user_artists.dat": b"userID\tartistID\tweight\r\n2\t51\t13883\r\n2\t052\t11690\r\n3\t51\t1\r\n",
    "artists.dat": "id\tname\turl\tpictureURL\n51\tDuran Duran\tx\ty\n052\tSigur Rós\t\t\n9\tNobody\t\t\n".encode(),
    "tags.dat": b"tagID\ttagValue\r\n1\tpop\r\n2\trock fran\xe7ais\r\n3\tpop\r\n",
    "user_taggedartists.dat": (
        b"userID\tartistID\ttagID\tday\tmonth\tyear\r\n2\t51\t1\t1\t4\t2009\r\n2\t51\t3\t1\t4\t2009\r\n"
        b"3\t51\t1\t1\t4\t2009\r\n3\t052\t2\t1\t4\t2009\r\n3\t9\t1\t1\t4\t2009\r\n3\t51\t77\t1\t4\t2009\r\n"
    ),
}


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_artists_are_the_songs_and_tags_count_distinct_users(folder):
    reading = read_lastfm(folder, LastfmSettings())
    assert reading.plays.users.ids.to_list() == ["2", "3"]
    assert reading.plays.songs_table.rows() == [("052", "Sigur Rós", "Sigur Rós"), ("51", "Duran Duran", "Duran Duran")]
    assert reading.plays.counts.toarray().tolist() == [[11690, 13883], [0, 1]]
    assert reading.tags.songs == reading.plays.songs
    assert reading.tags.tags.ids.to_list() == ["pop", "rock français"]
    # user 2 gave "pop" under two numbers: one user, one vote
    assert reading.tags.weights.toarray().tolist() == [[0, 1], [2, 0]]
    assert reading.notes == {
        "rows read": 3,
        "duplicate rows summed": 0,
        "lines decoded as Windows-1252": 1,
        "artists without a name": 0,
        "tag assignments read": 6,
        "tag assignments without a tag text left out": 1,
        "tag assignments of artists without plays left out": 1,
    }


def test_the_zip_and_the_folder_give_the_same(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "hetrec.zip", "w") as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    zipped, plain = (read_lastfm(path, LastfmSettings()) for path in (tmp_path / "hetrec.zip", folder))
    assert zipped.plays.fingerprint == plain.plays.fingerprint
    assert (zipped.tags.weights != plain.tags.weights).nnz == 0
    assert zipped.notes == plain.notes


def test_tags_of_one_user_alone_may_be_left_out(folder):
    reading = read_lastfm(folder, LastfmSettings(min_taggers=2))
    assert reading.tags.tags.ids.to_list() == ["pop"]


def test_without_tag_files_there_are_no_tags(folder):
    (folder / "tags.dat").unlink()
    assert read_lastfm(folder, LastfmSettings()).tags is None


def test_a_missing_file_and_a_bad_line_are_named(folder):
    (folder / "user_artists.dat").write_bytes(FILES["user_artists.dat"] + b"3\t52\tmany\r\n")
    with pytest.raises(InputError, match=r"user_artists\.dat.*:5: count 'many' is not a number"):
        read_lastfm(folder, LastfmSettings())
    assert read_lastfm(folder, LastfmSettings(on_bad_row="skip")).plays.n_plays == 3
    (folder / "artists.dat").unlink()
    with pytest.raises(InputError, match=r"no artists\.dat among"):
        read_lastfm(folder, LastfmSettings())
    with pytest.raises(InputError, match="no such file"):
        read_lastfm(folder / "nowhere", LastfmSettings())


def test_artists_that_share_a_track_are_one_group(tmp_path):
    path = tmp_path / "tracks.csv"
    path.write_text(
        "lastfm_artist_id,lastfm_artist_name,track_id,song_id,msd_artist,title\n"
        "190,Muse,T1,S1,Muse,a\n007,Bond,T2,S2,Bond,b\n8,Bonds,T3,S3,Bond,c\n"
        "8,Bonds,T2,S2,Bond,b\n9,Bond 3,T3,S3,Bond,c\n"
    )
    table = read_artist_tracks(path)
    assert table.rows() == [("190", "T1", 0), ("007", "T2", 1), ("8", "T3", 1), ("8", "T2", 1), ("9", "T3", 1)]
    path.write_text("artist,track_id\n1,T1\n")
    with pytest.raises(InputError, match="no column 'lastfm_artist_id'; the columns are 'artist', 'track_id'"):
        read_artist_tracks(path)
    path.write_text("lastfm_artist_id,track_id\n1,\n")
    with pytest.raises(InputError, match="a cell of column 'track_id' is empty"):
        read_artist_tracks(path)

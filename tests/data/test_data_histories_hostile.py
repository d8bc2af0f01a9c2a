"""Histories as they arrive: damaged, mixed, oddly packed, of the wrong kind; and one song under several names."""

import contextlib
import gzip
import io
import json
import shlex
import sqlite3
import tarfile
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from openpyxl import Workbook
from typer.testing import CliRunner

from deepcuts.artifacts import Plays, Songs
from deepcuts.cli.main import app
from deepcuts.data.histories import HistoryReading, read_history
from deepcuts.data.histories.what import describe
from deepcuts.data.match import match_songs, matched_plays
from deepcuts.errors import InputError, SettingError

MBID = "0b5ff2c3-0d53-4c0f-8a4f-3b0a3f1a6d11"
OTHER = "1" + MBID[1:]


def wrote(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        path.write_text(text, encoding="utf-8", newline="")
    return path


def spotify(ts: str, title: str | None = "Song", ms: int = 200_000, **more) -> dict:
    return {
        "ts": ts, "ms_played": ms, "conn_country": "DE", "ip_addr": "1.2.3.4", "master_metadata_track_name": title,
        "master_metadata_album_artist_name": "Ann" if title else None, "master_metadata_album_album_name": "First",
        "spotify_track_uri": "spotify:track:1", "episode_name": None, "spotify_episode_uri": None, "skipped": None,
        "reason_end": "trackdone", **more,
    }  # fmt: skip


def listen(at: int, title: str = "Song", artist: str = "Ann", mbid: str | None = None, **info) -> dict:
    mapping = {"recording_mbid": mbid, "artist_mbids": []} if mbid else None
    return {"listened_at": at, "track_metadata": {"artist_name": artist, "track_name": title, "release_name": "First",
            "additional_info": info, "mbid_mapping": mapping}}  # fmt: skip


def songs_of(reading) -> dict[str, float]:
    return dict(zip(reading.plays.songs.ids.to_list(), reading.plays.counts.toarray()[0].tolist(), strict=True))


def jsonl(path: Path, *rows: dict) -> Path:
    return wrote(path, "\n".join(map(json.dumps, rows)) + "\n")


# ---- one song, two songs ----


def test_a_song_is_known_by_its_recording_and_listens_without_one_join_it(tmp_path):
    rows = [listen(1_700_000_000, mbid=MBID), listen(1_700_001_000, "SONG"), listen(1_700_002_000, "Song (Live)")]
    reading = read_history(jsonl(tmp_path / "a.jsonl", *rows))
    assert songs_of(reading) == {MBID: 2, "Ann – Song (Live)": 1}


def test_two_recordings_of_one_name_stay_two_and_nameless_listens_join_the_more_frequent(tmp_path):
    rows = [listen(1_700_000_000 + 1000 * i, mbid=mbid) for i, mbid in enumerate([MBID, OTHER, OTHER, None])]
    assert songs_of(read_history(jsonl(tmp_path / "a.jsonl", *rows))) == {MBID: 1, OTHER: 3}


def test_one_recording_under_two_spellings_is_one_song(tmp_path):
    rows = [listen(1_700_000_000, "Song", mbid=MBID), listen(1_700_001_000, "Song - Remastered", mbid=MBID.upper())]
    assert songs_of(read_history(jsonl(tmp_path / "a.jsonl", *rows))) == {MBID: 2}


def test_an_isrc_names_a_song_where_no_recording_does(tmp_path):
    rows = [listen(1_700_000_000, isrc="gb-aye-79-00123"), listen(1_700_001_000, "Son g", isrc=["GBAYE7900123"])]
    assert songs_of(read_history(jsonl(tmp_path / "a.jsonl", *rows))) == {"GBAYE7900123": 2}
    rows.append(listen(1_700_002_000, "Third", mbid=MBID, isrc="GBAYE7900123"))
    assert songs_of(read_history(jsonl(tmp_path / "b.jsonl", *rows))) == {MBID: 3}


@pytest.mark.parametrize("mbid", ["00000000-0000-0000-0000-000000000000", "unknown", "-", "None"])
def test_an_id_that_is_none_makes_no_two_songs_one(tmp_path, mbid):
    rows = [listen(1_700_000_000, "A", mbid=mbid, isrc="N/A"), listen(1_700_001_000, "B", mbid=mbid, isrc="N/A")]
    assert songs_of(read_history(jsonl(tmp_path / "a.jsonl", *rows))) == {"Ann – A": 1, "Ann – B": 1}


def test_a_skip_has_the_id_of_the_song_that_is_played(tmp_path):
    rows = [spotify("2024-03-05T10:03:20Z"), spotify("2024-03-05T11:03:20Z", "SONG", ms=4000, skipped=True)]
    reading = read_history(
        [wrote(tmp_path / "endsong_0.json", rows), jsonl(tmp_path / "a.jsonl", listen(1_600_000_000, mbid=MBID))]
    )
    assert songs_of(reading) == {MBID: 2}
    assert reading.skips["song_id"].to_list() == [MBID]
    assert reading.plays.songs_table["spotify"].to_list() == ["spotify:track:1"]


# ---- several sources ----


def test_a_server_and_a_service_of_one_listener_give_each_listen_once(tmp_path, navidrome):
    rows = [listen(1_700_000_030, "SONG"), listen(1_700_090_000, "Elsewhere")]  # the first is Navidrome's, 30 s later
    reading = read_history([navidrome(tmp_path / "navidrome.db"), jsonl(tmp_path / "a.jsonl", *rows)], user="ann")
    assert reading.plays.users.ids.to_list() == ["ann", "bob"]
    counts = {song: n for song, n in zip(reading.plays.songs.ids, reading.plays.counts.toarray()[0], strict=True) if n}
    assert counts == {"s1": 2, "Ann – Elsewhere": 1}
    assert reading.notes["listens told by two files within a minute dropped"] == 1


def test_a_short_song_on_repeat_keeps_its_plays_when_two_services_tell_them(tmp_path):
    times = [1_700_000_000, 1_700_000_050, 1_700_000_100]
    one = jsonl(tmp_path / "a.jsonl", *(listen(at) for at in times))
    two = jsonl(tmp_path / "b.jsonl", *(listen(at + 3) for at in times))
    assert songs_of(read_history([one, two])) == {"Ann – Song": 3}


def test_listens_61_seconds_apart_are_two(tmp_path):
    one, two = (jsonl(tmp_path / f"{at}.jsonl", listen(1_700_000_000 + at)) for at in (0, 61))
    assert songs_of(read_history([one, two])) == {"Ann – Song": 2}


def test_user_is_refused_where_rows_name_two(tmp_path):
    rows = [{**listen(1_700_000_000), "user_name": name} for name in ("ann", "bob")]
    with pytest.raises(SettingError, match="holds ann, bob"):
        read_history(jsonl(tmp_path / "a.jsonl", *rows), user="x")


# ---- packings ----


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_a_database_is_read_inside_a_zip_and_inside_gzip(tmp_path, navidrome):
    data = navidrome(tmp_path / "navidrome.db").read_bytes()
    for path in (
        zipped(tmp_path / "a.zip", **{"backup/navidrome.db": data}),
        wrote(tmp_path / "navidrome.db.gz", gzip.compress(data)),
    ):
        assert read_history(path).plays.counts.toarray().tolist() == [[2, 0], [0, 1]]


def test_a_zip_inside_a_zip_is_read(tmp_path):
    inner = zipped(tmp_path / "i.zip", **{"listens/2023/11.jsonl": json.dumps(listen(1_700_000_000)).encode()})
    outer = zipped(tmp_path / "o.zip", **{"export.zip": inner.read_bytes()})
    assert songs_of(read_history(outer)) == {"Ann – Song": 1}


def test_the_hidden_log_of_a_player_is_found_in_its_folder(tmp_path):
    wrote(tmp_path / ".scrobbler.log", "#AUDIOSCROBBLER/1.1\n#TZ/UTC\nAnn\tFirst\tSong\t1\t201\tL\t1700000000\t\n")
    assert songs_of(read_history(tmp_path)) == {"Ann – Song": 1}


def test_last_fm_1k_is_found_beside_its_profiles(tmp_path):
    row = f"user_000001\t2009-05-04T23:08:57Z\t\tAnn\t{MBID}\tHeroes\n"
    held = {"README.txt": "words", "userid-profile.tsv": "#id\tgender\tage\nuser_000001\tm\t\n",
            "userid-timestamp-artid-artname-traid-traname.tsv": row * 3}  # fmt: skip
    with tarfile.open(tmp_path / "lastfm-dataset-1K.tar.gz", "w:gz") as archive:
        for name, text in held.items():
            info = tarfile.TarInfo(f"lastfm-dataset-1K/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    reading = read_history(tmp_path / "lastfm-dataset-1K.tar.gz")
    assert songs_of(reading) == {"Ann – Heroes": 3}
    assert reading.notes["files passed over: lastfm-dataset-1K/README.txt"] == 1


# ---- hostile cells ----


def test_null_huge_and_surrogate_cells_spoil_no_other_row(tmp_path):
    rows = [dict.fromkeys(spotify("x")), spotify("2024-03-05T10:03:20Z", ms=10**400), spotify("2024-03-05T10:03:20Z")]
    text = json.dumps([*rows, spotify("2024-03-05T12:03:20Z", "So\ud800ng")])
    reading = read_history(wrote(tmp_path / "endsong_0.json", text))
    assert songs_of(reading) == {"Ann – So?ng": 1, "Ann – Song": 1}
    assert reading.notes["rows without time or duration left out"] == 2


def test_a_number_of_5000_digits_is_refused_with_the_file(tmp_path):
    with pytest.raises(InputError, match=r"endsong_0.json:1: damaged JSON"):
        read_history(wrote(tmp_path / "endsong_0.json", '[{"ts": "2024", "ms_played": ' + "9" * 5000 + "}]"))


def test_times_in_milliseconds_a_mark_and_crlf_are_read(tmp_path):
    text = "\ufeff" + "\r\n\r\n".join(json.dumps(listen(at * 1000)) for at in (1_700_000_000, 1_700_000_400)) + "\r\n"
    assert read_history(wrote(tmp_path / "a.jsonl", text)).plays.events.time.tolist() == [1_700_000_000, 1_700_000_400]


def test_json_in_latin_1_keeps_its_accents(tmp_path):
    data = json.dumps([spotify("2024-03-05T10:03:20Z", "Café")], ensure_ascii=False).encode("latin-1")
    assert songs_of(read_history(wrote(tmp_path / "endsong_0.json", data))) == {"Ann – Café": 1}


def test_a_quote_that_swallows_rows_is_refused_where_it_opens(tmp_path):
    text = 'Ann,F,Song,27 Oct 2025 18:56\nAnn,F,"Heroes,27 Oct 2025 18:50\nAnn,F,"Live",27 Oct 2025 18:46\n'
    with pytest.raises(InputError, match=r"a\.csv:2: a double quote opens here"):
        read_history(wrote(tmp_path / "a.csv", text))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_and_a_line_that_names_the_separator_are_read(tmp_path, end):
    text = end.join(["sep=;", "Artist;Album;AlbumId;Track;Date#bob", '"Ann";"F";"";"So;ng";"1700000000000"', ""])
    reading = read_history(wrote(tmp_path / "a.csv", text))
    assert songs_of(reading) == {"Ann – So;ng": 1}
    assert reading.plays.users.ids.to_list() == ["bob"]
    assert reading.plays.events.time.tolist() == [1_700_000_000]


@pytest.mark.parametrize("kind", ["spotify", "listenbrainz", "lastfm-csv", "deezer", "yambda", "rockbox", "lastfm-1k"])
def test_a_kind_forced_on_a_database_is_refused_in_words(tmp_path, kind, navidrome):
    with pytest.raises(InputError, match=r"navidrome\.db"):
        read_history(navidrome(tmp_path / "navidrome.db"), kind=kind)


@pytest.mark.parametrize("at", [10, 4, 60, -40])
def test_a_workbook_with_a_damaged_byte_is_read_or_refused_in_words(tmp_path, at):
    book = Workbook()
    book.active.title = "10_listeningHistory"
    book.active.append(["Song Title", "Artist", "Date"])
    book.active.append(["Song", "Ann", "2023-11-14 22:13:20"])
    book.save(tmp_path / "a.xlsx")
    data = bytearray((tmp_path / "a.xlsx").read_bytes())
    data[at] ^= 0xFF
    with contextlib.suppress(InputError):
        assert songs_of(read_history(wrote(tmp_path / "a.xlsx", bytes(data)))) == {"Ann – Song": 1}


def test_a_workbook_of_another_kind_is_named_by_what(tmp_path):
    Workbook().save(tmp_path / "a.xlsx")
    assert describe(tmp_path / "a.xlsx") == [
        ("a.xlsx", "an Excel workbook; save the sheet as CSV (UTF-8) and ask again", "")
    ]
    with pytest.raises(InputError, match="the sheets are Sheet"):
        read_history(tmp_path / "a.xlsx")


# ---- more of what exports hold ----


def test_loved_and_hated_recordings_are_marks_and_pins_are_no_listens(tmp_path):
    jsonl(tmp_path / "a.jsonl", listen(1_700_000_000, mbid=MBID))
    jsonl(tmp_path / "feedback.jsonl", {"recording_mbid": MBID, "score": -1, "created": 1_700_000_000},
          {"recording_mbid": None, "score": 1, "created": 1_700_000_000})  # fmt: skip
    jsonl(tmp_path / "pinned_recording.jsonl", {"created": 1, "track_metadata": {"artist_name": "B"}})
    reading = read_history(tmp_path)
    assert reading.marks.rows() == [("me", MBID, 1_700_000_000, "Ann", "Song", -1)]
    assert reading.notes["pinned recordings left out"] == 1
    assert reading.notes["marks without a recording or score left out"] == 1


def test_apples_daily_tracks_name_the_artist_that_play_activity_lacks(tmp_path):
    header = "Artist Name,Song Name,Play Duration Milliseconds,Event Start Timestamp,End Reason Type,Event Type\n"
    rows = [f",{title},200000,2023-11-14T22:{minute}:20Z,NATURAL_END_OF_TRACK,PLAY_END\n"
            for title, minute in (("Lost", 13), ("Intro", 23), ("Unknown", 33))]  # fmt: skip
    wrote(tmp_path / "Apple Music Play Activity.csv", header + "".join(rows))
    daily = ["Ann - Lost", "A - Intro", "B - Intro"]
    text = "Country,Date Played,Track Description\n" + "".join(f"US,20231114,{one}\n" for one in daily)
    wrote(tmp_path / "Apple Music - Play History Daily Tracks.csv", text)
    reading = read_history(tmp_path)
    assert songs_of(reading) == {"Ann – Lost": 1}
    left_out = [n for what, n in reading.notes.items() if what.startswith("plays without an artist left out")]
    assert left_out == [2]


def test_yambda_likes_are_marks_and_its_times_count_five_seconds(tmp_path):
    ids = {"uid": [1, 1], "timestamp": [5, 10], "item_id": [7, 8]}
    pl.DataFrame({**ids, "played_ratio_pct": [100, 60]}).write_parquet(tmp_path / "listens.parquet")
    pl.DataFrame({**ids, "timestamp": [5, 11]}).write_parquet(tmp_path / "dislikes.parquet")
    reading = read_history(tmp_path)
    assert reading.plays.events.time.tolist() == [25, 50]
    assert reading.marks.select("song_id", "mark").rows() == [("7", -1), ("8", -1)]


def test_lfm_2b_takes_names_from_the_table_of_tracks(tmp_path):
    wrote(tmp_path / "listening-events.tsv", "user_id\ttrack_id\talbum_id\ttimestamp\n1\t10\t5\t2019-01-01 10:00:00\n")
    wrote(tmp_path / "tracks.tsv", 'track_id\tartist_name\ttrack_name\n10\tAnn\t"Heroes\n11\tBob\tX\n')
    table = read_history(tmp_path).plays.songs_table
    assert table.select("song_id", "artist", "title").rows() == [("10", "Ann", '"Heroes')]


def test_lfm_1b_takes_names_from_tracks_and_artists(tmp_path):
    wrote(tmp_path / "LFM-1b_LEs.txt", "1\t2\t5\t10\t1370000000\n")
    wrote(tmp_path / "LFM-1b_tracks.txt", "10\tSong\t2\n")
    wrote(tmp_path / "LFM-1b_artists.txt", "2\tAnn\n")
    table = read_history(tmp_path).plays.songs_table
    assert table.select("song_id", "artist", "title").rows() == [("10", "Ann", "Song")]


def test_pano_csv_is_read_and_loves_are_marks(tmp_path):
    text = "timestamp,timeHuman,artist,track,album,albumArtist,durationMillis,event\n"
    text += "1700000000000,x,Ann,Song,F,Ann,200000,scrobble\n1700000000000,x,Ann,Song,F,Ann,200000,love\n"
    reading = read_history(wrote(tmp_path / "scrobbles.csv", text))
    assert songs_of(reading) == {"Ann – Song": 1}
    assert reading.marks["mark"].to_list() == [1]


def test_jellyfin_rows_of_one_item_under_several_keys_count_once_under_the_users_name(tmp_path):
    with sqlite3.connect(tmp_path / "jellyfin.db") as db:
        db.executescript(
            """
            CREATE TABLE Users (Id TEXT, Username TEXT);
            CREATE TABLE BaseItems (Id TEXT, Type TEXT, Name TEXT, Album TEXT, Artists TEXT, Path TEXT);
            CREATE TABLE UserData (ItemId TEXT, UserId TEXT, PlayCount INTEGER, CustomDataKey TEXT, Likes INTEGER);
            INSERT INTO Users VALUES ('U1', 'ann');
            INSERT INTO BaseItems VALUES ('i1', 'X.Audio.Audio', 'Song', 'First', 'Ann', '/music/a.mp3');
            INSERT INTO UserData VALUES ('i1', 'u1', 3, 'k1', NULL), ('i1', 'u1', 2, 'k2', 0);
            """
        )
    reading = read_history(tmp_path / "jellyfin.db")
    assert reading.plays.users.ids.to_list() == ["ann"]
    assert songs_of(reading) == {"i1": 3}
    assert reading.plays.songs_table["file"].to_list() == ["/music/a.mp3"]
    assert reading.marks["mark"].to_list() == [-1]


def test_a_navidrome_of_2021_has_whole_paths_and_track_ids(tmp_path):
    with sqlite3.connect(tmp_path / "navidrome.db") as db:
        db.executescript(
            f"""
            CREATE TABLE user (id varchar, user_name varchar, password varchar);
            CREATE TABLE media_file (id varchar, path varchar, title varchar, album varchar, artist varchar,
              album_artist varchar, year integer, duration real, genre varchar, mbz_track_id varchar);
            CREATE TABLE annotation (ann_id varchar, user_id varchar, item_id varchar, item_type varchar,
              play_count integer, play_date datetime, rating integer, starred bool);
            INSERT INTO user VALUES ('u1', 'ann', 'secret');
            INSERT INTO media_file VALUES ('0123', '/music/a.mp3', 'Song', 'F', '', 'Ann', 1999, 9.5, 'Rock', '{MBID}');
            INSERT INTO annotation VALUES ('a', 'u1', '0123', 'media_file', 4, '2021-01-01', NULL, NULL);
            """
        )
    reading = read_history(tmp_path / "navidrome.db")
    assert songs_of(reading) == {"0123": 4}
    row = reading.plays.songs_table.row(0, named=True)
    assert (row["artist"], row["file"], row["mbid"]) == ("Ann", "/music/a.mp3", MBID)
    reading.plays.save(tmp_path / "plays")
    assert not any(b"secret" in path.read_bytes() for path in (tmp_path / "plays").iterdir())


def test_jellyfin_of_2020_keeps_counters_by_key_and_users_by_number(tmp_path):
    with sqlite3.connect(tmp_path / "library.db") as db:
        db.executescript(
            """
            CREATE TABLE TypedBaseItems (guid GUID, type TEXT, Path TEXT, Name TEXT, Album TEXT, Artists TEXT,
              AlbumArtists TEXT, RunTimeTicks BIGINT, UserDataKey TEXT);
            CREATE TABLE UserDatas (key nvarchar, userId INT, rating float, played bit, playCount int, isFavorite bit,
              playbackPositionTicks bigint, lastPlayedDate datetime);
            INSERT INTO TypedBaseItems VALUES (x'0A0B', 'MediaBrowser.Controller.Entities.Audio.Audio', '/m/a.mp3',
              'Song', 'First', 'Ann', NULL, 95000000, 'k1');
            INSERT INTO UserDatas VALUES ('k1', 1, NULL, 1, 5, 1, 0, '2020-01-01');
            """
        )
    reading = read_history(tmp_path / "library.db")
    assert songs_of(reading) == {"0a0b": 5}
    assert reading.plays.users.ids.to_list() == ["1"]
    assert reading.plays.songs_table["duration"].to_list() == [9.5]
    assert reading.marks["mark"].to_list() == [1]


# ---- what, and the commands ----


def test_every_command_that_what_names_reads_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jsonl(tmp_path / "a b.jsonl", listen(1_700_000_000))
    wrote(tmp_path / "x.inter", "user_id:token\titem_id:token\ttimestamp:float\nu1\ti1\t1700000000\n")
    wrote(tmp_path / "iso.csv", 'user,song,date\nann,s1,"05 Mar 2024, 10:11"\n')
    wrote(tmp_path / "ms.csv", "user,song,ts\nann,s1,1700000000000\n")
    wrote(tmp_path / "counts.tsv", "ann\ts1\t3\nbob\ts1\t2\n")
    zipped(tmp_path / "t.zip", **{"d/a.csv": b"user,song,plays\nann,s1,3\n", "d/b.csv": b"user,song,plays\nbo,s1,1\n"})
    told = [row for path in sorted(tmp_path.iterdir()) for row in describe(Path(path.name))]
    assert len(told) == 7
    for number, (name, _, command) in enumerate(told):
        words = shlex.split(command.replace("-o plays", f"-o plays{number}"))
        assert words[0] == "deepcuts", name
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, (command, result.output)
        assert Plays.load(tmp_path / f"plays{number}").n_plays >= 1


def test_history_writes_skips_beside_the_plays_and_library_takes_the_server(tmp_path, navidrome):
    rows = [spotify("2024-03-05T10:03:20Z"), spotify("2024-03-05T11:00:00Z", ms=4000, reason_end="fwdbtn")]
    source, out = wrote(tmp_path / "endsong_0.json", rows), tmp_path / "plays"
    result = CliRunner().invoke(app, ["data", "history", f"{source}", "-o", f"{out}", "--user", "ann"])
    assert result.exit_code == 0, result.output
    assert "listens under 30 seconds left out" in result.stderr
    assert pl.read_parquet(out / "skips.parquet")["user_id"].to_list() == ["ann"]
    assert Plays.load(out).users.ids.to_list() == ["ann"]
    server = navidrome(tmp_path / "navidrome.db")
    assert CliRunner().invoke(app, ["library", f"{server}", "-o", f"{tmp_path / 'lib'}"]).exit_code == 0
    assert Songs.load(tmp_path / "lib").table["file"].to_list()[0] == "/music/Ann/First/01 Song.mp3"


@pytest.mark.parametrize("name", ["LEs.txt", "LEs.log"])
def test_a_kind_that_is_named_is_taken_from_the_file_that_is_named(tmp_path, name):
    path = wrote(tmp_path / name, "1\t2\t5\t10\t1370000000\n")
    assert read_history(path, kind="lfm-1b").plays.songs.ids.to_list() == ["10"]


def test_many_files_that_are_passed_over_are_counted_by_suffix(tmp_path):
    jsonl(tmp_path / "a.jsonl", listen(1_700_000_000))
    for number in range(30):
        wrote(tmp_path / f"cache/{number}.jpg", b"\xff\xd8\xff")
    assert read_history(tmp_path).notes["files passed over: .jpg"] == 30


def test_a_table_of_several_users_is_not_taken_for_scrobbles(tmp_path):
    path = wrote(tmp_path / "a.csv", "listener,artist,track,album,date\nbob,Ann,Song,F,2024-03-05 10:11\n")
    assert "--set time=date --set time_unit=iso" in describe(path)[0][2]


def test_the_same_listening_told_by_four_exports_gives_the_same_matched_plays(tmp_path, navidrome):
    played = [(1_700_000_000 + 900 * i, title) for i, title in enumerate(["Song", "Two", "Song", "Café", "Song"])]
    stamps = [datetime.fromtimestamp(at, UTC) for at, _ in played]
    names = {"s1": "Song", "s2": "Two", "s4": "Cafe\u0301"}  # the server's file system wrote NFD
    db_path = navidrome(tmp_path / "navidrome.db")
    with sqlite3.connect(db_path) as db:
        db.execute("DELETE FROM annotation")
        db.execute("DELETE FROM scrobbles")
        db.execute("INSERT INTO media_file (id, path, title, artist) VALUES ('s4', 'x.mp3', ?, 'Ann')", [names["s4"]])
        for song_id, title in names.items():
            times = [at for at, one in played if one == title or (song_id == "s4" and one == "Café")]
            db.execute("INSERT INTO annotation VALUES ('u1', ?, 'media_file', ?, '', 0, 0, '')", [song_id, len(times)])
            db.executemany("INSERT INTO scrobbles VALUES (?, 'u1', ?)", [(song_id, at) for at in times])
    exports = {
        "navidrome": db_path,
        "listenbrainz": jsonl(tmp_path / "a.jsonl", *(listen(at, one, mbid=MBID if one == "Song" else None)
                                                      for at, one in played)),
        "spotify": wrote(tmp_path / "endsong_0.json", [spotify(f"{at + timedelta(seconds=200):%FT%TZ}", one)
                                                       for at, (_, one) in zip(stamps, played, strict=True)]),
        "lastfm": wrote(tmp_path / "ann.csv", "".join(f'Ann,First,{one},"{at:%d %b %Y %H:%M}"\n'
                                                      for at, (_, one) in zip(stamps, played, strict=True))),
    }  # fmt: skip
    library = Songs.of(pl.DataFrame({"song_id": ["song", "two", "cafe"], "artist": ["Ann"] * 3,
                                     "title": ["Song", "Two", "Café"], "mbid": [MBID, None, None]}))  # fmt: skip
    for kind, path in exports.items():
        plays = read_history(path, user=None if kind == "navidrome" else "ann").plays
        matched = matched_plays(plays, match_songs(plays.songs_table, library), library)
        assert matched.users.ids.to_list() == ["ann"], kind
        assert songs_of(HistoryReading(matched, pl.DataFrame(), pl.DataFrame(), {}, ())) == {
            "cafe": 1, "song": 3, "two": 1}, kind  # fmt: skip

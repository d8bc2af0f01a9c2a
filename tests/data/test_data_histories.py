"""Listening histories as people export them; right values from the forms that services document."""

import io
import json
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import polars as pl
import pytest
from openpyxl import Workbook

from deepcuts.data.histories import HISTORIES, navidrome_library, read_history
from deepcuts.data.histories.what import describe
from deepcuts.errors import InputError, SettingError

MBID = "0b5ff2c3-0d53-4c0f-8a4f-3b0a3f1a6d11"


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


# ---- Spotify ----


def test_spotify_counts_plays_of_30_seconds_and_says_what_it_leaves_out(tmp_path):
    rows = [
        spotify("2024-03-05T10:03:20Z"),
        spotify("2024-03-05T11:00:00Z", ms=29_999, reason_end="fwdbtn", skipped=True),
        spotify("2024-03-05T12:00:00Z", ms=30_000),
        spotify("2024-03-05T13:00:00Z", None, spotify_episode_uri="spotify:episode:9", episode_name="Talk"),
        spotify("2024-03-05T14:00:00Z", None, audiobook_title="Book"),
        spotify("2024-03-05T15:00:00Z", None),
    ]
    reading = read_history(wrote(tmp_path / "Streaming_History_Audio_2024_1.json", rows))
    assert songs_of(reading) == {"Ann – Song": 2}
    # 10:03:20 is the end of 200 s, 12:00:00 that of 30 s
    assert reading.plays.events.time.tolist() == [1_709_632_800, 1_709_639_970]
    assert reading.plays.users.ids.to_list() == ["me"]
    assert reading.skips.rows() == [("me", "Ann – Song", 1_709_636_371, "Ann", "Song")]
    notes = reading.notes
    assert notes["listens under 30 seconds left out"] == 1
    assert notes["podcast episodes left out"] == 1
    assert notes["audiobook chapters left out"] == 1
    assert notes["tracks without a name (no longer on Spotify) left out"] == 1


def test_a_spotify_zip_with_videos_and_a_note_is_read_and_keeps_no_address(tmp_path):
    with zipfile.ZipFile(tmp_path / "my_spotify_data.zip", "w") as archive:
        folder = "Spotify Extended Streaming History/"
        archive.writestr(folder + "Streaming_History_Audio_2023_0.json", json.dumps([spotify("2023-03-05T10:00:00Z")]))
        archive.writestr(folder + "Streaming_History_Audio_2024_1.json", json.dumps([spotify("2024-03-05T10:00:00Z")]))
        archive.writestr(folder + "Streaming_History_Video_2024.json", json.dumps([spotify("2024-03-05T11:00:00Z")]))
        archive.writestr(folder + "ReadMeFirst.pdf", b"%PDF-1.4 x")
    reading = read_history(tmp_path / "my_spotify_data.zip", user="bob")
    reading.plays.save(tmp_path / "plays")
    assert songs_of(reading) == {"Ann – Song": 2}
    assert reading.notes["videos left out"] == 1
    assert reading.notes[f"files passed over: {folder}ReadMeFirst.pdf"] == 1
    assert reading.plays.users.ids.to_list() == ["bob"]
    assert not any(b"1.2.3.4" in path.read_bytes() for path in (tmp_path / "plays").iterdir())


def test_the_short_spotify_form_is_read(tmp_path):
    rows = [{"endTime": "2021-03-01 10:11", "artistName": "Ann", "trackName": "Song", "msPlayed": 60_000}]
    reading = read_history(wrote(tmp_path / "StreamingHistory0.json", rows))
    assert reading.plays.events.time.tolist() == [1_614_593_400]  # 2021-03-01 10:10


# ---- ListenBrainz ----


def test_a_listenbrainz_zip_of_months_names_its_user_and_prefers_the_mapped_recording(tmp_path):
    other = "f" * 8 + MBID[8:]
    lines = [
        json.dumps(listen(1_700_000_000, mbid=MBID, recording_mbid=other, isrc="GBAYE7900123", duration_ms=201_000)),
        json.dumps(listen(1_700_000_300)),
    ]
    with zipfile.ZipFile(tmp_path / "listenbrainz_ann.zip", "w") as archive:
        archive.writestr("user.json", json.dumps({"user_id": 7, "username": "ann"}))
        archive.writestr("listens/2023/11.jsonl", "\n".join(lines) + "\n")
        archive.writestr("listens/2023/12.jsonl", json.dumps(listen(1_702_000_000, "Other")))
    reading = read_history(tmp_path / "listenbrainz_ann.zip")
    assert reading.plays.users.ids.to_list() == ["ann"]
    assert songs_of(reading) == {MBID: 2, "Ann – Other": 1}
    song = reading.plays.songs_table.filter(pl.col("song_id") == MBID).row(0, named=True)
    assert (song["mbid"], song["isrc"], song["duration"], song["album"]) == (MBID, "GBAYE7900123", 201.0, "First")


@pytest.mark.parametrize("pack", ["plain", "gz", "xz", "zst", "tar.gz", "tar.zst"])
def test_a_listenbrainz_file_is_read_in_every_packing(tmp_path, pack):
    import gzip
    import lzma

    import zstandard

    data = json.dumps({**listen(1_700_000_000), "user_name": "bob"}).encode() + b"\n"
    if pack.startswith("tar"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            info = tarfile.TarInfo("dump/listens/2023/11.listens")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        data = buffer.getvalue()
    packers = {"gz": gzip.compress, "xz": lzma.compress, "zst": zstandard.ZstdCompressor().compress}
    packed = packers[pack.split(".")[-1]](data) if pack != "plain" else data
    reading = read_history(wrote(tmp_path / f"listens.{pack}", packed))
    assert reading.plays.users.ids.to_list() == ["bob"]
    assert reading.plays.n_plays == 1


def test_a_truncated_line_is_refused_by_its_number(tmp_path):
    path = wrote(tmp_path / "11.jsonl", json.dumps(listen(1_700_000_000)) + '\n{"listened_at": 17000, "track_met')
    with pytest.raises(InputError, match=r"11.jsonl:2: not a line of JSON, or cut short"):
        read_history(path)


# ---- Last.fm ----


def test_lastfm_csv_without_header_is_read_and_now_playing_counted(tmp_path):
    text = 'Ann,First,Song,"27 Oct 2025 18:56"\nBjörk,,"Army, of Me",27 Oct 2025 18:50\nAnn,First,Now,\n'
    reading = read_history(wrote(tmp_path / "ann.csv", text), user="ann")
    assert songs_of(reading) == {"Ann – Song": 1, "Björk – Army, of Me": 1}
    assert sorted(reading.plays.events.time.tolist()) == [1_761_591_000, 1_761_591_360]
    assert reading.notes["rows without a date (playing now) left out"] == 1


def test_lastfm_csv_with_header_is_read(tmp_path):
    header = '"uts","utc_time","artist","artist_mbid","album","album_mbid","track","track_mbid"\r\n'
    row = f'"1700000000","14 Nov 2023, 22:13","Ann","","First","","Song","{MBID.upper()}"\r\n'
    reading = read_history(wrote(tmp_path / "a.csv", "\ufeff" + header + row))
    assert reading.plays.events.time.tolist() == [1_700_000_000]
    assert reading.plays.songs_table["mbid"].to_list() == [MBID]


@pytest.mark.parametrize("single", [True, False])
def test_lastfm_api_answers_are_read_also_when_a_track_stands_alone(tmp_path, single):
    track = {"artist": {"#text": "Ann", "mbid": ""}, "name": "Song", "album": {"#text": "First"}, "mbid": MBID,
             "date": {"uts": "1700000000", "#text": "14 Nov 2023, 22:13"}}  # fmt: skip
    now = {"artist": {"#text": "Ann"}, "name": "Now", "@attr": {"nowplaying": "true"}}
    content = {"recenttracks": {"track": track if single else [now, track], "@attr": {"user": "ann"}}}
    reading = read_history(wrote(tmp_path / "recent.json", content))
    assert songs_of(reading) == {MBID: 1}
    assert reading.plays.users.ids.to_list() == ["ann"]


def test_last_fm_1k_with_stray_quotes_and_empty_recordings_is_read_from_its_archive(tmp_path):
    rows = [
        f"user_000001\t2009-05-04T23:08:57Z\t\tAnn\t{MBID}\t\"Heroes",
        "user_000001\t2009-05-04T23:10:57Z\t\t311\t\t1979",
        'user_000002\t2009-05-05T23:08:57Z\t\tBob\t\tBlue 12" mix',
    ]  # fmt: skip
    data = ("\n".join(rows) + "\n").encode()
    with tarfile.open(tmp_path / "lastfm-dataset-1K.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("lastfm-dataset-1K/userid-timestamp-artid-artname-traid-traname.tsv")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    reading = read_history(tmp_path / "lastfm-dataset-1K.tar.gz")
    assert reading.plays.songs.ids.to_list() == ["311 – 1979", 'Ann – "Heroes', 'Bob – Blue 12" mix']
    assert reading.plays.users.ids.to_list() == ["user_000001", "user_000002"]
    assert reading.plays.events.time.min() == 1_241_478_537


def test_last_fm_360k_names_and_counts_shifted_rows(tmp_path):
    user = "00000c289a1829a808ac09c00daf10bc3c4e223b"
    rows = [f"{user}\t{MBID}\tbetty blowtorch\t2137", f"{user}\t{MBID}\t311\t12",
            f"{user}\t{MBID}\tdie Ärzte\t1099", f"{user}\t{MBID}\ta\t5", f"{user}\t\tshifted\tBand"]  # fmt: skip
    reading = read_history(wrote(tmp_path / "360k.tsv", "\n".join(rows) + "\n"))
    assert songs_of(reading) == {"311": 12, "a": 5, "betty blowtorch": 2137, "die Ärzte": 1099}
    assert any("bad rows" in what or "skipped" in what for what in reading.notes)


# ---- others ----


def test_a_rockbox_log_keeps_skips_apart(tmp_path):
    text = "#AUDIOSCROBBLER/1.1\n#TZ/UNKNOWN\n#CLIENT/Rockbox x\n"
    text += f"Ann\tFirst\tSong\t1\t201\tL\t1700000000\t{MBID}\nAnn\t\tOther\t\t180\tS\t1700000300\t\n"
    reading = read_history(wrote(tmp_path / ".scrobbler.log", text))
    assert songs_of(reading) == {MBID: 1}
    assert reading.skips["title"].to_list() == ["Other"]
    assert reading.notes["log in local time (#TZ/UNKNOWN), taken as UTC"] == 1


def test_a_maloja_export_is_read(tmp_path):
    content = {"maloja": {"export_time": 1}, "scrobbles": [
        {"time": 1_700_000_000, "duration": 100, "origin": "x", "track": {"artists": ["Ann", "Bob"], "title": "Song",
         "album": {"artists": ["Ann"], "albumtitle": "First"}, "length": 200}}]}  # fmt: skip
    reading = read_history(wrote(tmp_path / "maloja_export.json", content))
    assert songs_of(reading) == {"Ann; Bob – Song": 1}


def test_youtube_takeout_leaves_videos_out(tmp_path):
    rows = [
        {"header": "YouTube Music", "title": "Watched Song", "titleUrl": "u", "subtitles": [{"name": "Ann - Topic"}],
         "time": "2023-11-14T22:13:20.123Z"},
        {"header": "YouTube", "title": "Watched Cats", "titleUrl": "u", "time": "2023-11-14T22:13:20.123Z"},
    ]  # fmt: skip
    reading = read_history(wrote(tmp_path / "watch-history.json", rows))
    assert songs_of(reading) == {"Ann – Song": 1}
    assert reading.notes["videos that are not of YouTube Music left out"] == 1


def test_apple_play_activity_is_read(tmp_path):
    header = ("Artist Name,Song Name,Album Name,Play Duration Milliseconds,Event Start Timestamp,End Reason Type,"
              "Media Duration In Milliseconds,Event Type\n")  # fmt: skip
    text = header + "Ann,Song,First,200000,2023-11-14T22:13:20Z,NATURAL_END_OF_TRACK,201000,PLAY_END\n"
    text += "Ann,Song,First,5000,2023-11-14T22:23:20Z,TRACK_SKIPPED_FORWARDS,201000,PLAY_END\n"
    text += ",Lost,First,200000,2023-11-14T22:33:20Z,NATURAL_END_OF_TRACK,201000,PLAY_END\n"
    reading = read_history(wrote(tmp_path / "Apple Music Play Activity.csv", text))
    assert songs_of(reading) == {"Ann – Song": 1}
    assert reading.skips.height == 1
    assert sum("without an artist" in what for what in reading.notes) == 1


def test_a_deezer_workbook_is_read_by_its_sheet(tmp_path):
    book = Workbook()
    sheet = book.active
    sheet.title = "10_listeningHistory"
    sheet.append(["Song Title", "Artist", "ISRC", "Album Title", "IP Address", "Listening Time", "Date"])
    sheet.append(["Song", "Ann", "GBAYE7900123", "First", "1.2.3.4", "200", "2023-11-14 22:13:20"])
    sheet.append(["Song", "Ann", "GBAYE7900123", "First", "1.2.3.4", "10", "2023-11-14 22:23:20"])
    book.save(tmp_path / "deezer-data.xlsx")
    reading = read_history(tmp_path / "deezer-data.xlsx")
    assert songs_of(reading) == {"GBAYE7900123": 1}
    assert reading.plays.songs_table["isrc"].to_list() == ["GBAYE7900123"]


def test_playlists_are_users_and_keep_the_ids_of_their_tracks(tmp_path):
    track = {"track_uri": "spotify:track:1", "track_name": "Song", "artist_name": "Ann", "album_name": "First",
             "duration_ms": 201_000}  # fmt: skip
    content = {"info": {}, "playlists": [{"pid": 0, "tracks": [track]}, {"pid": 1, "tracks": [track, track]}]}
    reading = read_history(wrote(tmp_path / "mpd.slice.0-999.json", content))
    assert reading.plays.users.ids.to_list() == ["0", "1"]
    assert reading.plays.counts.toarray().tolist() == [[1], [2]]
    assert reading.plays.songs_table["title"].to_list() == ["Song"]


def test_yambda_counts_listens_of_at_least_half(tmp_path):
    table = pl.DataFrame({"uid": [1, 1, 2], "timestamp": [0, 5, 10], "item_id": [7, 7, 7], "is_organic": [1, 1, 0],
                          "played_ratio_pct": [100, 49, 50], "track_length_seconds": [200, 200, 200]})  # fmt: skip
    table.write_parquet(tmp_path / "listens.parquet")
    reading = read_history(tmp_path / "listens.parquet")
    assert reading.plays.counts.toarray().tolist() == [[1], [1]]


# ---- media servers ----


def test_navidrome_scrobbles_give_times_and_its_ids_are_kept(tmp_path, navidrome):
    reading = read_history(navidrome(tmp_path / "navidrome.db"))
    assert reading.plays.users.ids.to_list() == ["ann", "bob"]
    assert reading.plays.songs.ids.to_list() == ["s1", "s2"]
    assert reading.plays.counts.toarray().tolist() == [[2, 0], [0, 1]]
    assert reading.plays.events.time.tolist() == [1_700_000_000, 1_700_000_500, 1_700_000_100]
    assert reading.marks.select("user_id", "song_id", "mark").rows() == [("ann", "s1", 1), ("ann", "s2", -1)]
    assert reading.notes["plays of files that the database no longer knows left out"] == 3


def test_an_older_navidrome_without_scrobbles_gives_counts(tmp_path, navidrome):
    reading = read_history(navidrome(tmp_path / "navidrome.db", scrobbles=False))
    assert reading.plays.counts.toarray().tolist() == [[2, 0], [0, 1]]
    assert reading.plays.events is None


def test_what_lies_in_the_write_ahead_log_is_read_and_nothing_is_written(tmp_path, navidrome):
    path = navidrome(tmp_path / "navidrome.db")
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("INSERT INTO scrobbles VALUES ('s2', 'u2', 1700000900)")
    db.execute("UPDATE annotation SET play_count = 2 WHERE user_id = 'u2' AND item_id = 's2'")
    db.commit()
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir() if not one.name.endswith("-shm")}
    reading = read_history(path)
    assert reading.plays.counts.toarray().tolist() == [[2, 0], [0, 2]]
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir() if not one.name.endswith("-shm")} == before
    db.close()


def test_a_navidrome_library_has_whole_paths_and_leaves_missing_files_out(tmp_path, navidrome):
    table = navidrome_library(navidrome(tmp_path / "navidrome.db")).table
    assert table["song_id"].to_list() == ["s1", "s2"]
    first = table.row(0, named=True)
    assert (first["file"], first["mbid"], first["isrc"]) == ("/music/Ann/First/01 Song.mp3", MBID, "GBAYE7900123")
    assert (first["year"], first["track"], first["genre"], first["duration"]) == (1999, 1, "Rock", 201.5)


def test_jellyfin_playback_reports_are_read(tmp_path):
    with sqlite3.connect(tmp_path / "playback_reporting.db") as db:
        db.execute(
            "CREATE TABLE PlaybackActivity (DateCreated DATETIME, UserId TEXT, ItemId TEXT, ItemType TEXT, "
            "ItemName TEXT, PlaybackMethod TEXT, ClientName TEXT, DeviceName TEXT, PlayDuration INT)"
        )
        db.executemany("INSERT INTO PlaybackActivity VALUES (?, ?, ?, ?, ?, '', '', '', ?)", [
            ("2023-11-14 22:13:20.123", "u1", "i1", "Audio", "Ann - Song (First)", 200),
            ("2023-11-14 23:13:20.123", "u1", "i1", "Audio", "Ann - Song (First)", 10),
            ("2023-11-14 23:13:20.123", "u1", "i2", "Movie", "Film", 4000)])  # fmt: skip
    reading = read_history(tmp_path / "playback_reporting.db")
    assert reading.plays.songs.ids.to_list() == ["i1"]
    assert reading.plays.events.time.tolist() == [1_700_000_000]
    assert reading.plays.songs_table.row(0, named=True)["title"] == "Song"
    assert reading.notes["items that are not music left out"] == 1


def test_jellyfin_counters_are_read(tmp_path):
    with sqlite3.connect(tmp_path / "jellyfin.db") as db:
        db.executescript(
            """
            CREATE TABLE BaseItems (Id TEXT, Type TEXT, Name TEXT, Album TEXT, Artists TEXT, RunTimeTicks INTEGER);
            CREATE TABLE UserData (ItemId TEXT, UserId TEXT, PlayCount INTEGER, IsFavorite INTEGER);
            INSERT INTO BaseItems VALUES
              ('i1', 'MediaBrowser.Controller.Entities.Audio.Audio', 'Song', 'First', 'Ann|Bob', 2010000000),
              ('i2', 'MediaBrowser.Controller.Entities.Movies.Movie', 'Film', '', '', 1);
            INSERT INTO UserData VALUES ('i1', 'u1', 3, 1), ('i2', 'u1', 5, 0);
            """
        )
    reading = read_history(tmp_path / "jellyfin.db")
    assert songs_of(reading) == {"i1": 3}
    assert reading.plays.songs_table.row(0, named=True)["artist"] == "Ann; Bob"
    assert reading.marks["mark"].to_list() == [1]


# ---- all ----


def test_the_same_listen_from_two_services_counts_once(tmp_path):
    wrote(tmp_path / "Streaming_History_Audio_1.json", [spotify("2023-11-14T22:16:40Z")])  # began at 22:13:20
    wrote(tmp_path / "11.jsonl", json.dumps(listen(1_700_000_030)) + "\n" + json.dumps(listen(1_700_009_000)))
    reading = read_history([tmp_path / "Streaming_History_Audio_1.json", tmp_path / "11.jsonl"])
    assert songs_of(reading) == {"Ann – Song": 2}
    assert reading.notes["listens told by two files within a minute dropped"] == 1


def test_overlapping_exports_count_a_listen_once(tmp_path):
    for name in ("a", "b"):
        wrote(tmp_path / f"{name}.jsonl", json.dumps(listen(1_700_000_000)))
    reading = read_history(tmp_path)
    assert songs_of(reading) == {"Ann – Song": 1}
    assert reading.notes["listens that appear more than once dropped"] == 1


def test_spellings_that_differ_in_case_or_unicode_form_are_one_song(tmp_path):
    lines = [listen(1_700_000_000 + 400 * i, title) for i, title in enumerate(["Café", "Cafe\u0301", "CAFÉ"])]
    reading = read_history(wrote(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines))))
    assert songs_of(reading) == {"Ann – Café": 3}


def test_intros_of_two_artists_stay_two_songs(tmp_path):
    lines = [listen(1_700_000_000, "Intro", "A"), listen(1_700_000_000, "Intro", "B")]
    reading = read_history(wrote(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines))))
    assert songs_of(reading) == {"A – Intro": 1, "B – Intro": 1}


@pytest.mark.parametrize("time", [-5, 0, 10**30, "soon", None, [], {}])
def test_a_time_that_cannot_be_is_counted_and_left_out(tmp_path, time):
    lines = [listen(1_700_000_000), listen(time, "Other")]
    reading = read_history(wrote(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines))))
    assert songs_of(reading) == {"Ann – Song": 1}
    assert sum(n for what, n in reading.notes.items() if what.endswith("left out")) == 1


@pytest.mark.parametrize("content", ["[]", "{}", '[{"ts": 1', "null", "[1, 2]", '{"playlists": 3, "track_uri": 1}'])
@pytest.mark.parametrize("kind", ["auto", *HISTORIES])
def test_no_content_makes_a_reader_crash(tmp_path, kind, content):
    path = wrote(tmp_path / "Streaming_History_Audio_1.json", content)
    with pytest.raises(InputError):
        read_history(path, kind=kind)


def test_a_file_that_is_no_history_is_named_and_readers_are_listed(tmp_path):
    with pytest.raises(InputError, match=r"found a\.pdf.*deepcuts data events"):
        read_history(wrote(tmp_path / "a.pdf", b"%PDF-1.4"))
    with pytest.raises(SettingError, match="Did you mean 'spotify'"):
        read_history(tmp_path, kind="spotfy")
    with pytest.raises(InputError, match="no such file"):
        read_history(tmp_path / "nothing.json")


def test_user_is_refused_where_the_export_names_several(tmp_path, navidrome):
    with pytest.raises(SettingError, match="--user"):
        read_history(navidrome(tmp_path / "navidrome.db"), user="x")


def test_what_says_what_files_are_and_what_reads_them(tmp_path, navidrome):
    wrote(tmp_path / "x/a.jsonl", json.dumps(listen(1_700_000_000)))
    navidrome(tmp_path / "x/navidrome.db")
    wrote(tmp_path / "x/b.csv", "user,song,plays\nann,s1,3\n")
    wrote(tmp_path / "x/c.csv", "user,song,ts\nann,s1,1700000000\n")
    wrote(tmp_path / "x/cover.png", b"\x89PNG\r\n")
    told = {name: (about, command) for name, about, command in describe(tmp_path / "x")}
    assert told["a.jsonl"][0].startswith("ListenBrainz")
    assert told["navidrome.db"][0] == "Navidrome database"
    assert "deepcuts data history" in told["navidrome.db"][1]
    assert "deepcuts data table" in told["b.csv"][1]
    assert "--set time=ts" in told["c.csv"][1]
    assert told["cover.png"] == ("a PNG image", "")


def test_a_database_of_one_user_takes_the_name_that_is_given_and_one_of_several_names_them(tmp_path, navidrome):
    path = navidrome(tmp_path / "navidrome.db")
    with pytest.raises(SettingError, match=r"but this one holds ann, bob\. Leave --user out: everybody is read"):
        read_history(path, user="carl")
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM annotation WHERE user_id = 'u2'")
        db.execute("DELETE FROM scrobbles WHERE user_id = 'u2'")
    assert read_history(path, user="carl").plays.users.ids.to_list() == ["carl"]

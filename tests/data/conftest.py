"""What tests of reading share."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

MBID = "0b5ff2c3-0d53-4c0f-8a4f-3b0a3f1a6d11"


@pytest.fixture
def navidrome() -> Callable[..., Path]:
    """A function (path, scrobbles=True) → a small Navidrome database of its newest schema."""
    return make_navidrome


def make_navidrome(path: Path, scrobbles: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as db:
        db.executescript(
            """
            CREATE TABLE user (id varchar, user_name varchar);
            CREATE TABLE library (id integer, path text);
            CREATE TABLE media_file (id varchar, path varchar, library_id integer, title varchar, album varchar,
              artist varchar, album_artist varchar, year integer, duration real, genre varchar, track_number integer,
              disc_number integer, mbz_recording_id varchar, tags text, missing bool);
            CREATE TABLE annotation (user_id varchar, item_id varchar, item_type varchar, play_count integer,
              play_date datetime, rating integer, starred bool, starred_at datetime);
            INSERT INTO user VALUES ('u1', 'ann'), ('u2', 'bob');
            INSERT INTO library VALUES (1, '/music');
            INSERT INTO annotation VALUES ('u1', 's1', 'media_file', 2, '2024-01-01 00:00:00', 0, 1, NULL),
              ('u1', 's2', 'media_file', 0, NULL, 1, 0, NULL), ('u1', 'al', 'album', 9, NULL, 0, 0, NULL),
              ('u2', 'gone', 'media_file', 3, NULL, 0, 0, NULL), ('u2', 's2', 'media_file', 1, NULL, 0, 0, NULL);
            """
        )
        tags = json.dumps({"isrc": [{"id": "x", "value": "GBAYE7900123"}]})
        names = ("First", "Ann", "Ann")
        rows = [
            ("s1", "Ann/First/01 Song.mp3", 1, "Song", *names, 1999, 201.5, "Rock", 1, 1, MBID, tags, 0),
            ("s2", "Ann/First/02 Two.mp3", 1, "Two", *names, 0, 100.0, "", 2, 1, "", "", 0),
            ("s3", "Ann/First/03 Gone.mp3", 1, "Gone", *names, 0, 100.0, "", 3, 1, "", "", 1),
        ]
        db.executemany(f"INSERT INTO media_file VALUES ({','.join('?' * 15)})", rows)
        if scrobbles:
            db.execute("CREATE TABLE scrobbles (media_file_id varchar, user_id varchar, submission_time integer)")
            played = [("s1", "u1", 1_700_000_000), ("s1", "u1", 1_700_000_500), ("s2", "u2", 1_700_000_100)]
            db.executemany("INSERT INTO scrobbles VALUES (?, ?, ?)", played)
    return path

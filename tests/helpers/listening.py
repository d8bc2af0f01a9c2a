"""One person's listening as four services tell it: ListenBrainz, Spotify, Last.fm, and a Navidrome server."""

import csv
import json
import sqlite3
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

START, APART = 1_700_000_000, 600  # of the first play, unix seconds; between two
LEAST_PLAYED = 35.0  # seconds; a shorter listen would not count as a play


@dataclass(frozen=True)
class Track:
    """A file below the music folder, as its tags call it."""

    file: str
    artist: str
    title: str
    album: str
    seconds: float


def draw_plays(tracks: Sequence[Track], n: int, seed: int = 0) -> list[tuple[int, Track]]:
    """(time, track) of n plays in order: a third of the tracks, some of them often."""
    rng = np.random.default_rng(seed)
    known = rng.permutation(len(tracks))[: max(len(tracks) // 3, 1)]
    weight = 1 / np.arange(1, len(known) + 1)
    drawn = rng.choice(known, n, p=weight / weight.sum())
    return [(START + at * APART, tracks[track]) for at, track in enumerate(drawn)]


def counted(plays: Sequence[tuple[int, Track]]) -> dict[str, int]:
    """File → number of plays."""
    counts: dict[str, int] = {}
    for _, track in plays:
        counts[track.file] = counts.get(track.file, 0) + 1
    return counts


def listenbrainz(path: Path, plays: Sequence[tuple[int, Track]]) -> Path:
    """The export of a ListenBrainz account: a zip with a file of JSON lines a month."""
    months: dict[str, list[str]] = {}
    for time, track in plays:
        when = datetime.fromtimestamp(time, UTC)
        about = {"artist_name": track.artist, "track_name": track.title, "release_name": track.album,
                 "additional_info": {"submission_client": "navidrome"}, "mbid_mapping": None}  # fmt: skip
        row = {"inserted_at": time + 9, "listened_at": time, "track_metadata": about, "user_name": "ann"}
        months.setdefault(f"listens/{when.year}/{when.month}.jsonl", []).append(json.dumps(row))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("user.json", json.dumps({"user_id": 7, "username": "ann"}))
        archive.writestr("feedback.jsonl", "")
        for name, lines in months.items():
            archive.writestr(name, "\n".join(lines) + "\n")
    return path


def spotify(path: Path, plays: Sequence[tuple[int, Track]]) -> Path:
    """The extended streaming history of Spotify: `ts` is when a play ended; one skip and one podcast among them."""
    rows = [_streamed(time, track, max(track.seconds, LEAST_PLAYED)) for time, track in plays]
    rows.append({**_streamed(START - 999, plays[0][1], 4.0), "skipped": True, "reason_end": "fwdbtn"})
    podcast = {"episode_name": "Nine", "episode_show_name": "Talk", "master_metadata_track_name": None,
               "master_metadata_album_artist_name": None, "spotify_track_uri": None}  # fmt: skip
    rows.append({**_streamed(START - 1999, plays[0][1], 900.0), **podcast})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "Spotify Extended Streaming History/Streaming_History_Audio_2023_0.json", json.dumps(rows, indent=2)
        )
        archive.writestr("Spotify Extended Streaming History/ReadMeFirst_ExtendedStreamingHistory.pdf", b"%PDF-1.4\n")
    return path


def _streamed(time: int, track: Track, seconds: float) -> dict[str, object]:
    ended = datetime.fromtimestamp(time + round(seconds), UTC)
    return {"ts": f"{ended:%Y-%m-%dT%H:%M:%SZ}", "platform": "linux", "ms_played": round(seconds * 1000),
            "conn_country": "DE", "master_metadata_track_name": track.title,
            "master_metadata_album_artist_name": track.artist, "master_metadata_album_album_name": track.album,
            "spotify_track_uri": None, "episode_name": None, "episode_show_name": None, "reason_start": "trackdone",
            "reason_end": "trackdone", "shuffle": False, "skipped": False, "offline": False,
            "incognito_mode": False}  # fmt: skip


def lastfm(path: Path, plays: Sequence[tuple[int, Track]]) -> Path:
    """The csv that export tools for Last.fm write: artist, album, title and the minute, newest first, no header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        for time, track in reversed(plays):
            when = datetime.fromtimestamp(time, UTC)
            out.writerow([track.artist, track.album, track.title, f"{when:%d %b %Y %H:%M}"])
    return path


def navidrome(path: Path, music: Path, tracks: Sequence[Track], plays: Sequence[tuple[int, Track]]) -> Path:
    """A Navidrome database, with the columns of its newest tables that speak of songs and plays."""
    with sqlite3.connect(path) as db:
        db.executescript(
            """
            CREATE TABLE user (id varchar(255) PRIMARY KEY, user_name varchar(255) UNIQUE, name varchar(255),
              email varchar(255), password varchar(255), is_admin bool, created_at datetime);
            CREATE TABLE library (id integer PRIMARY KEY, name text, path text, last_scan_at datetime);
            CREATE TABLE media_file (id varchar(255) PRIMARY KEY, path varchar(255), title varchar(255),
              album varchar(255), artist varchar(255), artist_id varchar(255), album_artist varchar(255),
              album_id varchar(255), album_artist_id varchar(255), track_number integer, disc_number integer,
              year integer, size bigint, suffix varchar(255), duration real, genre varchar(255),
              mbz_recording_id varchar(255), mbz_release_track_id varchar(255), library_id integer, folder_id varchar,
              pid varchar, missing boolean, tags jsonb, participants jsonb, birth_time datetime);
            CREATE TABLE annotation (user_id varchar(255), item_id varchar(255), item_type varchar(255),
              play_count integer, play_date datetime, rating integer, starred bool, starred_at datetime,
              rated_at datetime);
            CREATE TABLE scrobbles (media_file_id varchar(255), user_id varchar(255), submission_time integer);
            INSERT INTO user VALUES ('u1', 'ann', 'Ann', '', '', 1, '2023-01-01 00:00:00');
            """
        )
        db.execute("INSERT INTO library VALUES (1, 'Music Library', ?, '2023-01-01 00:00:00')", [str(music)])
        ids = {track.file: f"{at:022d}" for at, track in enumerate(tracks)}
        db.executemany(
            "INSERT INTO media_file (id, path, title, album, artist, album_artist, duration, library_id, missing, tags,"
            " participants, mbz_recording_id) VALUES (?, ?, ?, ?, ?, ?, ?, 1, 0, '{}', '{}', '')",
            [(ids[one.file], one.file, one.title, one.album, one.artist, one.artist, one.seconds) for one in tracks],
        )
        db.executemany(
            "INSERT INTO annotation VALUES ('u1', ?, 'media_file', ?, '2023-11-20 10:00:00', 0, 0, NULL, NULL)",
            [(ids[file], n) for file, n in counted(plays).items()],
        )
        db.executemany("INSERT INTO scrobbles VALUES (?, 'u1', ?)", [(ids[track.file], time) for time, track in plays])
    return path

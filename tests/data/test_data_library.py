"""A folder of music becomes a table of songs; nothing is passed over in silence."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepcuts.artifacts import Songs
from deepcuts.audio.extractors import SOUND_SUFFIXES
from deepcuts.data.filetags import from_names, read_tags
from deepcuts.data.library import read_library
from deepcuts.errors import InputError
from deepcuts.walk import path_of, text_of, walk

RECORDING = "0b5ff2c3-0d53-4c0f-8a4f-3b0a3f1a6d11"


def sound(path: Path, seconds: float = 0.1, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.1, int(8000 * seconds))
    soundfile.write(str(path), noise, 8000)
    return path


def comments(pairs: list[tuple[str, str]]) -> bytes:
    """A block of Vorbis comments."""
    body = struct.pack("<I", 0) + struct.pack("<I", len(pairs))
    for name, value in pairs:
        text = f"{name}={value}".encode()
        body += struct.pack("<I", len(text)) + text
    return body


def flac(path: Path, pairs: list[tuple[str, str]]) -> Path:
    """A flac file with our own comments in place of the encoder's."""
    data = sound(path).read_bytes()
    at, kept = 4, b"fLaC"
    while True:
        last, kind, size = data[at] >> 7, data[at] & 127, int.from_bytes(data[at + 1 : at + 4], "big")
        if kind != 4:
            kept += bytes([kind]) + data[at + 1 : at + 4 + size]
        at += 4 + size
        if last:
            break
    body = comments(pairs)
    path.write_bytes(kept + bytes([0x84]) + len(body).to_bytes(3, "big") + body + data[at:])
    return path


def id3(frames: list[tuple[bytes, bytes]]) -> bytes:
    """An ID3v2.3 tag."""
    body = b"".join(name + struct.pack(">I", len(held)) + b"\x00\x00" + held for name, held in frames)
    size = len(body)
    return b"ID3\x03\x00\x00" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127]) + body


def test_flac_tags_give_names_recording_and_isrc(tmp_path):
    path = flac(
        tmp_path / "a.flac",
        [("TITLE", "Café"), ("ARTIST", "Ann"), ("ALBUMARTIST", "Various Artists"), ("ALBUM", "Mix"),
         ("DATE", "1979-11-30"), ("TRACKNUMBER", "3"), ("DISCNUMBER", "2"), ("GENRE", "Rock"),
         ("MUSICBRAINZ_TRACKID", RECORDING), ("MUSICBRAINZ_RELEASETRACKID", "f" * 8 + RECORDING[8:]),
         ("ISRC", "GB-AYE-79-00123")],
    )  # fmt: skip
    found, problem = read_tags(path)
    assert problem == ""
    duration = found.pop("duration")
    assert duration == pytest.approx(0.1, abs=0.01)
    assert found == {
        "title": "Café", "artist": "Ann", "album_artist": "Various Artists", "album": "Mix", "year": 1979, "track": 3,
        "disc": 2, "genre": "Rock", "mbid": RECORDING, "isrc": "GBAYE7900123",
    }  # fmt: skip


def test_the_recording_of_an_mp3_is_read_from_its_own_frame(tmp_path):
    path = sound(tmp_path / "a.mp3")
    tag = id3([(b"TIT2", b"\x00Song"), (b"TPE1", b"\x00Ann"), (b"TSRC", b"\x00GBAYE7900123"),
               (b"UFID", b"http://musicbrainz.org\x00" + RECORDING.encode())])  # fmt: skip
    path.write_bytes(tag + path.read_bytes())
    found, problem = read_tags(path)
    assert (problem, found["title"], found["artist"]) == ("", "Song", "Ann")
    assert (found["mbid"], found["isrc"]) == (RECORDING, "GBAYE7900123")


@pytest.mark.parametrize(
    ("file", "right"),
    [
        ("Ann/First/01 Song.mp3", {"artist": "Ann", "album": "First", "track": 1, "title": "Song"}),
        ("Ann/First/01 - Song.mp3", {"artist": "Ann", "album": "First", "track": 1, "title": "Song"}),
        ("Ann/First/CD 2/07. Song.flac", {"artist": "Ann", "album": "First", "disc": 2, "track": 7, "title": "Song"}),
        ("Ann/First/2-07 Song.flac", {"artist": "Ann", "album": "First", "disc": 2, "track": 7, "title": "Song"}),
        ("Ann/1999 - First/Song.ogg", {"artist": "Ann", "album": "First", "year": 1999, "title": "Song"}),
        ("Ann/1999/Song.ogg", {"artist": "Ann", "album": "1999", "title": "Song"}),
        ("Ann - Song.mp3", {"artist": "Ann", "title": "Song"}),
        ("Various Artists/Mix/03 Bob - Tune.mp3",
         {"artist": "Bob", "album_artist": "Various Artists", "album": "Mix", "track": 3, "title": "Tune"}),
        ("99 Luftballons.mp3", {"track": 99, "title": "Luftballons"}),
        ("Song.mp3", {"title": "Song"}),
    ],
)  # fmt: skip
def test_folders_name_what_tags_do_not(file, right):
    assert {name: value for name, value in from_names(file).items() if value is not None} == right


def test_a_library_names_all_songs_and_counts_what_it_passes_over(tmp_path):
    sound(tmp_path / "Ann/First/01 Song.wav", seed=1)
    sound(tmp_path / "...And Then/a.wav", seed=2)
    sound(tmp_path / ".hidden/b.wav", seed=3)
    sound(tmp_path / "@eaDir/c.wav", seed=4)
    (tmp_path / "cover.jpg").write_bytes(b"x")
    (tmp_path / "loop").symlink_to(tmp_path)
    reading = read_library(tmp_path, SOUND_SUFFIXES)
    assert reading.songs.table["song_id"].to_list() == ["...And Then/a", "Ann/First/01 Song"]
    assert reading.songs.table["artist"].to_list() == ["...And Then", "Ann"]
    assert dict(reading.ignored.iter_rows()) == {
        ".hidden": "hidden", "@eaDir": "system", "cover.jpg": "suffix", "loop": "link",
    }  # fmt: skip


def test_a_second_reading_opens_only_what_has_changed_and_a_moved_song_keeps_its_id(tmp_path):
    music = tmp_path / "music"
    sound(music / "a.wav", seed=1)
    moving = sound(music / "b.wav", seed=2)
    first = read_library(music, SOUND_SUFFIXES)
    first.songs.save(tmp_path / "library")
    moving.rename(music / "z.wav")
    sound(music / "c.wav", seed=3)
    second = read_library(music, SOUND_SUFFIXES, Songs.load(tmp_path / "library"))
    assert second.n_reused == 1
    assert second.songs.table.select("song_id", "file").rows() == [("a", "a.wav"), ("c", "c.wav"), ("b", "z.wav")]


def test_two_files_that_would_share_an_id_keep_their_suffix(tmp_path):
    sound(tmp_path / "a.wav", seed=1)
    sound(tmp_path / "a.flac", seed=2)
    table = read_library(tmp_path, SOUND_SUFFIXES).songs.table
    assert table["song_id"].to_list() == ["a.flac", "a.wav"]


def test_copies_are_told(tmp_path):
    sound(tmp_path / "a.wav", seed=1)
    sound(tmp_path / "b.wav", seed=1)
    flac(tmp_path / "c.flac", [("TITLE", "Song"), ("ARTIST", "Ann"), ("ALBUM", "First")])
    flac(tmp_path / "d.flac", [("TITLE", "Song"), ("ARTIST", "ann"), ("ALBUM", "First (Remastered)"), ("X", "y")])
    found = read_library(tmp_path, SOUND_SUFFIXES).duplicates
    assert found.rows() == [("b", "b.wav", "a", "same bytes"), ("d", "d.flac", "c", "same song")]


def test_a_name_that_is_not_utf8_is_read_and_can_be_opened_again(tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    os.rename(sound(tmp_path / "x.wav"), raw)
    table = read_library(tmp_path, SOUND_SUFFIXES).songs.table
    assert table["file"].to_list() == ["caf\\xe9.wav"]
    assert os.fsencode(path_of("caf\\xe9.wav", tmp_path)) == raw
    assert text_of(os.fsdecode(raw)).endswith("caf\\xe9.wav")


def test_a_folder_without_music_is_refused(tmp_path):
    with pytest.raises(InputError, match="contains no sound files"):
        read_library(tmp_path, SOUND_SUFFIXES)
    with pytest.raises(InputError, match="no such folder"):
        read_library(tmp_path / "x", SOUND_SUFFIXES)


def test_a_linked_folder_is_walked_once(tmp_path):
    sound(tmp_path / "elsewhere/a.wav")
    (tmp_path / "music").mkdir()
    (tmp_path / "music/one").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "music/two").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "music/gone.wav").symlink_to(tmp_path / "nothing.wav")
    found = walk(tmp_path / "music", (".wav",))
    assert [name for name, _ in found.files] == ["gone.wav", "one/a.wav"]
    assert found.ignored == [("two", "link")]


def test_a_broken_link_is_named_in_a_library(tmp_path):
    sound(tmp_path / "a.wav")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nothing.wav")
    reading = read_library(tmp_path, SOUND_SUFFIXES)
    assert reading.songs.table["song_id"].to_list() == ["a"]
    assert reading.ignored.rows() == [("gone.wav", "broken link")]


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    assert walk(tmp_path, (".wav",)).ignored == [("a.wav", "special")]

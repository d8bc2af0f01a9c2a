"""`deepcuts audio ...`: bad files are set aside with exit code 7 and the rest is done; a second run goes on."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

SMALL = ("-j", "1", "--set=rate=8000", "--set=n_bands=24")


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    (folder / "album").mkdir(parents=True)
    for name, hz in (("low", 200), ("high", 900), ("album/middle", 500)):
        wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(4 * 8000) / 8000)
        soundfile.write(folder / f"{name}.wav", wave, 8000)
    return folder


def test_bad_files_are_set_aside_and_the_rest_is_done(deepcuts, music, tmp_path) -> None:
    (music / "empty.wav").write_bytes(b"")
    (music / "page.mp3").write_bytes(b"<html>" * 500)
    whole = (music / "low.wav").read_bytes()
    (music / "cut.wav").write_bytes(whole[: len(whole) // 2])
    told = deepcuts("audio", "logmel", music, "-o", tmp_path / "mel", *SMALL)
    assert (told.code, told.out) == (7, "")
    assert "3 files were set aside" in told.err
    assert "The rest is done." in told.err
    assert "empty.wav: zero bytes" in told.err
    reasons = dict(pl.read_csv(tmp_path / "mel/quarantine.csv").select("file", "reason").iter_rows())
    assert reasons == {"empty.wav": "zero bytes", "page.mp3": "not audio", "cut.wav": "truncated"}
    shape = json.loads(deepcuts("show", tmp_path / "mel").out)["shape"]
    assert shape["n_songs"] == 3
    again = deepcuts("audio", "logmel", music, "-o", tmp_path / "mel", *SMALL, "--json")
    assert again.code == 7
    found = json.loads(again.out)
    assert (found["songs"], found["reused"], len(found["quarantine"])) == (3, 6, 3)


def test_only_new_files_are_heard_the_second_time(deepcuts, music, tmp_path) -> None:
    assert deepcuts("audio", "logmel", music, "-o", tmp_path / "mel", *SMALL).code == 0
    shutil.copy(music / "low.wav", music / "low again.wav")
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, 4 * 8000)
    soundfile.write(music / "noise.wav", wave, 8000)
    told = deepcuts("audio", "logmel", music, "-o", tmp_path / "mel", *SMALL, "--json")
    found = json.loads(told.out)
    assert (found["songs"], found["reused"]) == (5, 4)  # the copy has the same bytes, so it is known too


def test_files_may_be_named_by_a_table(deepcuts, music, tmp_path) -> None:
    (tmp_path / "songs.csv").write_text("song_id,file\nA,low.wav\nA,album/middle.wav\nB,nowhere.wav\n")
    words = ["audio", "logmel", music, "-o", tmp_path / "mel", *SMALL, "--songs", tmp_path / "songs.csv", "--json"]
    found = json.loads(deepcuts(*words).out)
    assert (found["songs"], found["files"], found["songs_without_files"], found["ignored_files"]) == (1, 2, 1, 1)


def test_two_files_of_one_name_are_refused_with_the_way_out(deepcuts, music, tmp_path) -> None:
    shutil.copy(music / "low.wav", music / "album/low.wav")
    told = deepcuts("audio", "logmel", music, "-o", tmp_path / "mel", *SMALL)
    assert told.code == 3
    assert "would both be song 'low'" in told.err
    told = deepcuts("audio", "logmel", music, "-o", tmp_path / "mel", *SMALL, "--ids", "path")
    assert told.code == 0
    songs = pl.read_parquet(tmp_path / "mel/songs.parquet")["song_id"].to_list()
    assert songs == ["album/low", "album/middle", "high", "low"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--ids", "name"], 2, "ids = 'name'"),
        (["-j", "0"], 2, "jobs = 0: expected at least 1"),
        (["--songs", "no.csv"], 3, "no.csv: no such file"),
        (["--set", "hop=4096"], 2, "hop = 4096: expected 1 to window samples"),
    ],
)
def test_a_wrong_option_is_refused(deepcuts, music, tmp_path, words, code, message) -> None:
    told = deepcuts("audio", "logmel", music, "-o", tmp_path / "mel", *words)
    assert told.code == code
    assert message in told.err
    assert not (tmp_path / "mel").exists()


def test_a_folder_without_sound_is_told(deepcuts, tmp_path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("a")
    told = deepcuts("audio", "logmel", tmp_path / "texts", "-o", tmp_path / "mel")
    assert told.code == 3
    assert "holds no file to hear. Allowed: .mp3" in told.err


def test_when_nothing_can_be_heard_nothing_is_written(deepcuts, tmp_path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music/a.mp3").write_bytes(b"")
    told = deepcuts("audio", "logmel", tmp_path / "music", "-o", tmp_path / "mel", "-j", "1")
    assert told.code == 3
    assert "none of the 1 files gave features. The first: a.mp3: zero bytes" in told.err
    assert not (tmp_path / "mel").exists()


def test_features_are_made_like_those_of_an_encoder(deepcuts, music, tmp_path, home) -> None:
    """The encoder learned from log-mel of 24 bands at 8 kHz: `--like` says so, and nobody types it again."""
    told = deepcuts("audio", "logmel", music, "-o", tmp_path / "mel", "-j", "1", "--like", home / "linear")
    assert told.code == 0, told.err
    found = json.loads(deepcuts("show", tmp_path / "mel").out)["settings"]
    wanted = json.loads((home / "linear/meta.json").read_text())["settings"]["features"]
    assert found == wanted
    again = deepcuts("audio", "logmel", music, "-o", tmp_path / "again", "-j", "1", "--like", tmp_path / "mel")
    assert (again.code, json.loads(deepcuts("show", tmp_path / "again").out)["settings"]) == (0, wanted)


def test_settings_against_those_of_an_encoder_are_refused(deepcuts, music, tmp_path, home) -> None:
    like = ("-j", "1", "--like", home / "linear")
    told = deepcuts("audio", "logmel", music, "-o", tmp_path / "mel", *like, "--set", "n_bands=17")
    assert told.code == 2
    assert "n_bands = 17, but --like" in told.err
    told = deepcuts("audio", "mfcc", music, "-o", tmp_path / "mel", *like)
    assert told.code == 2
    assert "deepcuts audio logmel" in told.err
    told = deepcuts("audio", "logmel", music, "-o", tmp_path / "mel", "-j", "1", "--like", home / "world/plays")
    assert told.code == 4
    assert "holds plays" in told.err
    assert deepcuts("audio", "logmel", music, "-o", tmp_path / "mel", *like, "--set", "min_rate=500").code == 0

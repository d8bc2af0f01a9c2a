"""A model by one command, and the questions it answers."""

import json
from pathlib import Path

import polars as pl
import pytest

from deepcuts.artifacts import Bundle


@pytest.fixture(scope="session")
def model(deepcuts, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "model"
    made = deepcuts("bundle", home / "factors", "--predicted", home / "predicted", "--plays", home / "world/plays",
                    "--split", home / "split", "--encoder", home / "linear", "-o", folder)  # fmt: skip
    assert made.code == 0, made.err
    assert "never played" in made.err
    return folder


def rows(result) -> list[dict]:
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_a_model_knows_names_of_songs_nobody_has_played_and_no_hidden_plays(deepcuts, home, model) -> None:
    held = Bundle.load(model)
    cold = held.table.filter(pl.Series(held.songs.n_listeners == 0))
    assert cold.height > 0
    assert cold["title"].null_count() == 0
    positions = held.songs.songs.positions(cold["song_id"])
    assert held.plays[:, positions].nnz == 0


def test_a_user_gets_songs_they_have_not_played(deepcuts, model) -> None:
    user = Bundle.load(model).users.users[0]
    table = rows(deepcuts("for-user", model, user, "-k", "5", "--which", "cold", "--json"))
    assert len(table) == 5
    assert [row["rank"] for row in table] == [1, 2, 3, 4, 5]
    assert {row["method"] for row in table} == {"factors"}


def test_somebody_new_may_like_and_dislike(deepcuts, model) -> None:
    songs = Bundle.load(model).songs.songs
    table = rows(deepcuts("for-user", model, "--like", songs[0], "--dislike", songs[1], "-k", "4", "--json"))
    assert len(table) == 4
    assert not {songs[0], songs[1]} & {row["song_id"] for row in table}
    neither = deepcuts("for-user", model)
    assert neither.code == 2
    assert "--like" in neither.err


def test_a_playlist_begins_with_its_seeds(deepcuts, model) -> None:
    seeds = Bundle.load(model).songs.songs.ids.head(2).to_list()
    assert [row["song_id"] for row in rows(deepcuts("playlist", model, *seeds, "-k", "6", "--json"))][:2] == seeds


def test_a_sound_file_is_heard_placed_and_finds_its_audience(deepcuts, home, model) -> None:
    sound = sorted((home / "world/sounds").rglob("*.wav"))[0]
    near = rows(deepcuts("place", model, sound, "-k", "3", "--json"))
    assert len(near) == 3
    assert near[0]["score"] > near[2]["score"]
    assert len(rows(deepcuts("audience", model, sound, "-k", "4", "--json"))) == 4


def test_a_file_that_is_no_sound_is_refused_in_words(deepcuts, model, tmp_path) -> None:
    bad = tmp_path / "page.mp3"
    bad.write_bytes(b"<html>" * 500)
    refused = deepcuts("place", model, bad)
    assert refused.code == 3
    assert "page.mp3" in refused.err
    assert deepcuts("place", model, tmp_path / "none.mp3").code == 3


def test_a_folder_that_is_no_model_is_refused(deepcuts, home) -> None:
    refused = deepcuts("for-user", home / "factors", "user-1")
    assert refused.code == 4
    assert "holds factors, expected bundle" in refused.err

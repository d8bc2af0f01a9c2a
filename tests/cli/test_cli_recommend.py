"""`deepcuts recommend` and `deepcuts similar`: lists by id, on stdout, as text or JSON."""

import csv
import io
import json

import numpy as np
import polars as pl
import pytest

from deepcuts.artifacts import Plays, Split


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), delimiter="\t"))


@pytest.fixture
def cold(home) -> list[str]:
    table = pl.read_parquet(home / "split/split.parquet")
    return table.filter(pl.col("role") == "test")["song_id"].to_list()


@pytest.fixture
def words(home) -> list[object]:
    return ["recommend", home / "factors", "--predicted", home / "predicted"]


def test_cold_lists_hold_test_songs_only_best_first(deepcuts, words, cold) -> None:
    told = deepcuts(*words, "--which", "cold", "-k", "3", "--user", "listener-00002", "--user", "listener-00001")
    found = rows(told.out)
    assert [row["user_id"] for row in found] == ["listener-00002"] * 3 + ["listener-00001"] * 3
    assert [row["rank"] for row in found] == ["1", "2", "3"] * 2
    assert {row["song_id"] for row in found} <= set(cold)
    scores = [float(row["score"]) for row in found]
    assert scores[:3] == sorted(scores[:3], reverse=True)


def test_k_0_ranks_every_song(deepcuts, words, cold) -> None:
    told = deepcuts(*words, "--which", "cold", "-k", "0", "--user", "listener-00002")
    assert sorted(row["song_id"] for row in rows(told.out)) == sorted(cold)


def test_json_holds_the_same_rows_as_the_text(deepcuts, words) -> None:
    asked = [*words, "-k", "2", "--user", "listener-00002"]
    text, spoken = rows(deepcuts(*asked).out), json.loads(deepcuts(*asked, "--json").out)
    assert [(row["song_id"], int(row["rank"])) for row in text] == [(row["song_id"], row["rank"]) for row in spoken]


def test_played_songs_are_left_out_when_the_plays_are_given(deepcuts, home, words) -> None:
    from deepcuts.artifacts import Plays

    plays = Plays.load(home / "world/plays")
    user = plays.users[0]
    played = {plays.songs[int(song)] for song in plays.counts.indices[: plays.counts.indptr[1]]}
    told = deepcuts(*words, "-k", "0", "--user", user, "--plays", home / "world/plays")
    listed = {row["song_id"] for row in rows(told.out)}
    assert listed == set(plays.songs.ids.to_list()) - played
    told = deepcuts(*words, "-k", "0", "--user", user)
    assert {row["song_id"] for row in rows(told.out)} == set(plays.songs.ids.to_list())
    assert "no --plays: the lists may hold songs that the user has played" in told.err


def test_without_predictions_only_warm_songs_are_ranked_and_that_is_told(deepcuts, home, cold) -> None:
    told = deepcuts("recommend", home / "factors", "--user", "listener-00001", "-k", "0")
    assert told.code == 0
    assert "no --predicted: only songs with plays are ranked" in told.err
    assert not {row["song_id"] for row in rows(told.out)} & set(cold)
    told = deepcuts("recommend", home / "factors", "--which", "cold")
    assert (told.code, told.out) == (2, "")
    assert "cold songs need --predicted" in told.err


def test_an_unknown_user_is_told_with_a_near_miss(deepcuts, words) -> None:
    told = deepcuts(*words, "--user", "listner-00001")
    assert (told.code, told.out) == (3, "")
    assert "unknown user id 'listner-00001' (1 of 1 ids are unknown). Did you mean 'listener-00001'?" in told.err


@pytest.mark.parametrize("command", ["recommend", "similar"])
def test_an_unknown_kind_of_songs_is_told(deepcuts, home, command) -> None:
    given = ["song-00001"] if command == "similar" else []
    told = deepcuts(command, home / "factors", *given, "--predicted", home / "predicted", "--which", "wram")
    assert told.code == 2
    assert "wram" in told.err


def test_predicted_factors_in_the_place_of_observed_ones_are_told(deepcuts, home) -> None:
    told = deepcuts("recommend", home / "predicted")
    assert told.code == 4
    assert "song-factors, expected factors" in told.err


def test_a_ranking_is_saved_as_parquet_and_nothing_is_printed(deepcuts, home, words, tmp_path) -> None:
    told = deepcuts(*words, "-k", "4", "-o", tmp_path / "ranking")
    assert (told.code, told.out) == (0, "")
    table = pl.read_parquet(tmp_path / "ranking/ranking.parquet")
    assert table.columns == ["user_id", "song_id", "score", "rank"]
    plays, split = Plays.load(home / "world/plays"), Split.load(home / "split")
    known = np.diff(split.learning_plays(plays).counts.indptr) > 0  # of the others every play is hidden
    assert 100 < known.sum() < 120
    assert table.height == 4 * 120
    assert f"{(~known).sum()} users get the list of the average listener" in told.err
    lists = table.filter(pl.col("user_id").is_in(plays.users.ids.filter(~known).to_list())).group_by("rank")
    assert (lists.agg(pl.col("song_id").n_unique())["song_id"] == 1).all()


def test_telling_in_words_names_the_songs(deepcuts, home, words) -> None:
    told = deepcuts(*words, "--plays", home / "world/plays", "--which", "cold", "-k", "2", "--show", "2")
    assert told.out.count("would get, of songs nobody has played:") == 2
    assert " – " in told.out
    told = deepcuts(*words, "--show", "1", "--json")
    assert told.code == 2
    assert "choose one" in told.err


def test_lists_are_capped_by_artist_only_when_the_artists_are_known(deepcuts, home, words) -> None:
    told = deepcuts(*words, "--set", "per_artist=1")
    assert told.code == 3
    assert "--plays" in told.err
    told = deepcuts(*words, "--set", "per_artist=1", "-k", "0", "--plays", home / "world/plays", "--user",
                    "listener-00001")  # fmt: skip
    artist = dict(pl.read_parquet(home / "world/plays/songs.parquet").select("song_id", "artist").iter_rows())
    listed = [artist[row["song_id"]] for row in rows(told.out)]
    assert len(listed) == len(set(listed)) > 3


def test_similar_songs_by_id(deepcuts, home, cold) -> None:
    words = ["similar", home / "factors", cold[0], "--predicted", home / "predicted", "-k", "3"]
    found = rows(deepcuts(*words).out)
    assert [row["query_id"] for row in found] == [cold[0]] * 3
    assert cold[0] not in [row["song_id"] for row in found]
    only_cold = json.loads(deepcuts(*words, "--which", "cold", "--json").out)
    assert {row["song_id"] for row in only_cold} <= set(cold)


def test_similar_suggests_for_an_unknown_id(deepcuts, home) -> None:
    told = deepcuts("similar", home / "factors", "song-0002x", "--predicted", home / "predicted")
    assert (told.code, told.out) == (3, "")
    assert "unknown song id 'song-0002x'" in told.err
    assert "Did you mean 'song-000" in told.err


def test_similar_points_to_predicted_when_a_cold_song_is_asked_about(deepcuts, home, cold) -> None:
    told = deepcuts("similar", home / "factors", cold[0])
    assert (told.code, told.out) == (3, "")
    assert f"unknown song id '{cold[0]}'" in told.err
    assert "For a song that nobody has played, pass --predicted." in " ".join(told.err.split())


def test_similar_needs_predictions_for_cold_songs(deepcuts, home, cold) -> None:
    told = deepcuts("similar", home / "factors", cold[0], "--which", "both")
    assert told.code == 2
    assert "cold songs need --predicted" in told.err

"""The one object that answers, and the bundle it answers from."""

import json
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from deepcuts.artifacts import Bundle, Factors, Lineage, Plays, SongFactors, Vocabulary
from deepcuts.errors import ArtifactError, InputError, SettingError
from deepcuts.factors import WmfSettings, fit, fit_sizes
from deepcuts.recommend import Filters, Recommender

N_USERS, N_SONGS, N_COLD = 120, 60, 10


def listening() -> Plays:
    """Two tastes: even users play the first half of the songs, odd users the second."""
    rng = np.random.default_rng(0)
    rows = [
        (f"user{u:03d}", f"song{s:03d}", float(rng.integers(1, 9)))
        for u in range(N_USERS)
        for s in range(N_SONGS)
        if rng.random() < (0.45 if (s < N_SONGS // 2) == (u % 2 == 0) else 0.02)
    ]
    users, songs, counts = zip(*rows, strict=True)
    table = pl.DataFrame(
        {
            "song_id": [f"song{s:03d}" for s in range(N_SONGS)],
            "artist": [f"Artist {s // 6}" for s in range(N_SONGS)],
            "title": [f"Title {s}" for s in range(N_SONGS)],
            "album": [f"Album {s // 3}" for s in range(N_SONGS)],
            "year": [str(1970 + s) for s in range(N_SONGS)],
        }
    )
    return Plays.from_pairs(list(users), list(songs), list(counts), songs_table=table)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    plays = listening()
    factors = fit(plays, WmfSettings(n_factors=6, regularization=5.0, n_sweeps=12)).factors
    near = factors.songs.vectors[[0, 59] * (N_COLD // 2)]  # cold songs that sound like the first or the last song
    cold = SongFactors(Vocabulary([f"new{s}" for s in range(N_COLD)]), near, factors.lineage)
    return Bundle.of(factors, cold, plays, card={"name": "two tastes"})


@pytest.fixture(scope="module")
def answers(bundle: Bundle) -> Recommender:
    return Recommender(bundle)


def first_half(table: pl.DataFrame) -> float:
    return float(np.mean([int(song[-3:]) < N_SONGS // 2 for song in table["song_id"]]))


def test_users_get_unplayed_songs_of_their_own_taste(answers: Recommender) -> None:
    even, odd = (answers.recommend(user, 8, which="warm") for user in ("user000", "user001"))
    assert even.columns == ["user_id", "song_id", "score", "rank", "title", "artist", "method"]
    assert first_half(even) > 0.8
    assert first_half(odd) < 0.2
    assert even["rank"].to_list() == list(range(1, 9))
    played = set(answers.history_of(0))
    assert not played & set(even["song_id"])


def test_cold_songs_are_listed_by_what_they_sound_like(answers: Recommender) -> None:
    table = answers.recommend(["user000", "user001"], 5, which="cold")
    mine = table.filter(pl.col("user_id") == "user000")["song_id"].to_list()
    assert mine == sorted(mine, key=lambda song: int(song[3:]) % 2)
    assert int(mine[0][3:]) % 2 == 0
    assert int(table.filter(pl.col("user_id") == "user001")["song_id"][0][3:]) % 2 == 1


def test_a_new_listener_is_folded_in_and_dislikes_count(answers: Recommender) -> None:
    liked = answers.recommend({"song001": 5, "song002": 1}, 6, which="warm")
    assert first_half(liked) == 1
    assert liked["user_id"].unique().to_list() == ["you"]
    likes = {"song001": 5.0, "song040": 5.0}
    both, one = answers.fold_in(likes), answers.fold_in({**likes, "song040": -5.0})
    others = answers.bundle.songs.vectors[answers.bundle.songs.songs.positions([f"song{s:03d}" for s in range(30, 60)])]
    assert (others @ one).mean() < 0.6 * (others @ both).mean()


def test_a_known_users_vector_is_that_of_the_fold_in(answers: Recommender) -> None:
    folded = answers.fold_in(answers.history_of(4))
    np.testing.assert_allclose(folded, answers.bundle.users.vectors[4], atol=0.02)


def test_reasons_add_up_to_the_score(answers: Recommender) -> None:
    history = answers.history_of(0)
    target = answers.recommend("user000", 1, which="warm")["song_id"][0]
    reasons = answers.explain("user000", target, k=len(history))
    y = answers.bundle.songs.vectors[answers.bundle.songs.songs.positions([target])[0]]
    assert reasons["contribution"].sum() == pytest.approx(answers.fold_in(history) @ y, rel=1e-6)
    assert reasons["share"].sum() == pytest.approx(1)
    assert first_half(reasons.head(3)) == 1


def test_similar_songs_share_listeners_and_equal_songs_score_equal(answers: Recommender) -> None:
    assert first_half(answers.similar("song003", 10, which="warm")) == 1
    cold = answers.similar("song000", N_COLD, which="cold")
    even = cold.filter(pl.col("song_id").str.slice(3).cast(pl.Int64) % 2 == 0)
    assert even["score"].n_unique() == 1
    assert "song003" not in answers.similar("song003", 60)["song_id"]


def test_the_audience_of_a_song_has_its_taste_and_has_not_played_it(answers: Recommender) -> None:
    table = answers.audience("song000", 5)
    assert all(int(user[-3:]) % 2 == 0 for user in table["user_id"])
    assert not any("song000" in answers.history_of(int(user[-3:])) for user in table["user_id"])
    assert all(text.startswith("Artist") for text in table["typical_artists"])


def test_a_path_begins_and_ends_with_the_songs_asked_for(answers: Recommender) -> None:
    way = answers.path("song000", "song059", 6)["song_id"].to_list()
    assert (way[0], way[-1], len(way), len(set(way))) == ("song000", "song059", 6, 6)


def test_a_playlist_holds_its_seeds_and_spaces_artists(answers: Recommender) -> None:
    table = answers.playlist(["song000", "song001"], 12, filters=Filters(per_artist=2))
    assert table["song_id"].head(2).to_list() == ["song000", "song001"]
    added = table.slice(2)
    assert added.drop_nulls("artist")["artist"].value_counts()["count"].max() <= 2
    artists = table["artist"].to_list()[1:]
    assert all(one is None or one != other for one, other in pairwise(artists))


def test_the_seeds_of_a_playlist_count_towards_what_an_artist_may_have(answers: Recommender) -> None:
    table = answers.playlist(["song000"], 20, filters=Filters(per_artist=2))
    assert table["artist"].to_list().count(table["artist"][0]) <= 2


def test_filters_keep_artists_years_and_the_popular_back(answers: Recommender) -> None:
    few = answers.recommend("user001", 30, which="warm", filters=Filters(artists=["Artist 7"]))
    assert set(few["artist"]) == {"Artist 7"}
    years = answers.recommend("user001", 30, which="warm", filters=Filters(years=(2010, 2015)))
    assert {int(song[-3:]) + 1970 for song in years["song_id"]} <= set(range(2010, 2016))
    capped = answers.recommend("user001", 8, which="warm", filters=Filters(per_artist=1))
    assert capped["artist"].n_unique() == capped.height
    listeners = dict(zip(answers.bundle.songs.songs.ids, answers.bundle.songs.n_listeners, strict=True))
    plain, deep = (
        np.mean([listeners[s] for s in answers.recommend("user001", 10, which="warm", filters=f)["song_id"]])
        for f in (Filters(), Filters(deeper=3.0))
    )
    assert deep < plain


def test_one_single_listener_is_served_from_content_and_told_so() -> None:
    plays = listening()
    lone = Plays.from_pairs(["me"] * 3, ["song000", "song001", "song002"], [1, 1, 1])
    songs = fit(plays, WmfSettings(n_factors=6, regularization=5.0, n_sweeps=8)).factors.songs
    users = Factors.of(
        Vocabulary(["me"], "user"), np.zeros((1, 6), np.float32), songs.songs, songs.vectors, songs.lineage
    ).users
    answers = Recommender(Bundle.of(Factors(users, songs), None, lone))
    table = answers.recommend("me", 10)
    assert set(table["method"]) == {"content"}
    assert first_half(table) > 0.8


def test_what_cannot_be_answered_says_why(answers: Recommender) -> None:
    with pytest.raises(InputError, match=r"unknown user id 'user00'.*Did you mean"):
        answers.recommend("user00")
    with pytest.raises(InputError, match="unknown song id 'nosong'"):
        answers.similar("nosong")
    with pytest.raises(InputError, match=r"plays\['song001'\] = 0"):
        answers.fold_in({"song001": 0})
    with pytest.raises(SettingError, match="holds no encoder"):
        answers.place(Path("new.ogg"))


def test_a_new_sound_is_placed_and_one_of_another_factorisation_is_refused(bundle: Bundle) -> None:
    lineage, vector = bundle.lineage, bundle.songs.vectors[:1]
    answers = Recommender(bundle, lambda _: SongFactors(Vocabulary(["new"]), vector, lineage))
    song, near = answers.place(Path("new.ogg"), 5)
    assert near["song_id"][0] == "song000"
    assert near["score"][0] == pytest.approx(1, abs=1e-5)
    assert len(answers.audience(song.vectors[0], 5)) == 5
    other = Lineage("another", Vocabulary([]), "clean")
    with pytest.raises(InputError, match="different factorisations"):
        Recommender(bundle, lambda _: SongFactors(Vocabulary(["new"]), vector, other)).place(Path("new.ogg"))


def test_a_bundle_comes_back_whole_and_a_flipped_bit_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "model")
    back = Bundle.load(tmp_path / "model")
    assert back.fingerprint == bundle.fingerprint
    assert back.table.equals(bundle.table)
    assert dict(back.card) == {"name": "two tastes"}
    again = Recommender(back).recommend("user003", 7)
    assert again.equals(Recommender(bundle).recommend("user003", 7))
    for file in ("song_factors.npy", "table.parquet", "count.npy"):
        path = tmp_path / "model" / file
        good = path.read_bytes()
        path.write_bytes(good[:-2] + bytes([good[-2] ^ 4]) + good[-1:])
        with pytest.raises(ArtifactError, match=file):
            Bundle.load(tmp_path / "model")
        path.write_bytes(good)
    meta = json.loads((tmp_path / "model" / "meta.json").read_text())
    (tmp_path / "model" / "meta.json").write_text(json.dumps({**meta, "version": 1}))
    with pytest.raises(ArtifactError, match="format version 1, expected 3"):
        Bundle.load(tmp_path / "model")


def test_parts_of_two_factorisations_are_no_bundle(bundle: Bundle) -> None:
    plays = listening()
    factors = fit(plays, WmfSettings(n_factors=6, n_sweeps=2, seed=5)).factors
    cold = SongFactors(Vocabulary(["new"]), bundle.songs.vectors[:1], bundle.songs.lineage)
    with pytest.raises(InputError, match="different factorisations"):
        Bundle.of(factors, cold, plays)


def test_a_big_model_opens_and_folds_in_quickly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids, lineage = Vocabulary([f"s{i}" for i in range(10_000)]), Lineage("a fit", Vocabulary(["s0"]), "clean")
    users, songs = (rng.normal(size=(n, 50)).astype(np.float32) for n in (2_000, 10_000))
    record = {"alpha": 2.0, "epsilon": 1e-6, "regularization": 1.0}
    factors = Factors.of(
        Vocabulary([f"u{i}" for i in range(2_000)], "user"), users, ids, songs, lineage, settings=record
    )
    Bundle.of(factors).save(tmp_path / "model")
    began = time.perf_counter()
    answers = Recommender(Bundle.load(tmp_path / "model"))
    assert time.perf_counter() - began < 2
    assert answers.gram.shape == (50, 50)
    history = {f"s{i}": 1.0 for i in range(0, 4000, 200)}
    answers.fold_in(history)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        answers.fold_in(history)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.005


def test_dislikes_alone_give_no_chance_list(answers: Recommender) -> None:
    assert answers.recommend({"song000": -5.0}, 5).height == 0


def test_an_unknown_kind_of_songs_is_refused_by_every_list(answers: Recommender) -> None:
    for ask in (lambda: answers.recommend("user000", which="wram"), lambda: answers.similar("song000", which="wram")):
        with pytest.raises(SettingError, match="wram"):
            ask()


def test_in_a_model_of_several_sizes_each_size_folds_a_listener_in_by_itself() -> None:
    plays, how, history = listening(), WmfSettings(regularization=5.0, n_sweeps=6), {"song003": 2.0, "song040": 1.0}
    joined = Recommender(Bundle.of(fit_sizes(plays, how, [3, 5]).factors, None, plays))
    found = joined.fold_in(history)
    for size, part in ((3, slice(0, 3)), (5, slice(3, 8))):
        alone = Recommender(Bundle.of(fit_sizes(plays, how, [size]).factors, None, plays))
        np.testing.assert_allclose(found[part], alone.fold_in(history), rtol=1e-5)

"""From a folder of music and a history to a model that recommends, is brought up to date and hears new tracks."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from deepcuts.artifacts import Bundle, Features, Plays, Vocabulary
from deepcuts.chain.add import add_tracks
from deepcuts.chain.build import ModelSettings, build_model, update_model, wmf_settings
from deepcuts.chain.hear import Hearing, seconds_that_matter
from deepcuts.errors import ArtifactError, InputError
from deepcuts.recommend import Recommender
from deepcuts.recommend.content import content_factors
from deepcuts.recommend.playlists import spaced, write_playlist

RATE = 22_050
PITCH = (110.0, 440.0, 1760.0)


def tone(path: Path, style: int, seed: int, seconds: float = 4.0) -> Path:
    """A sound of one of three styles that nobody could confuse."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    t = np.arange(int(RATE * seconds)) / RATE
    sound = 0.3 * np.sin(2 * np.pi * PITCH[style] * (1 + 0.1 * rng.normal()) * t) + rng.normal(0, 0.01, len(t))
    soundfile.write(str(path), sound, RATE)
    return path


def music(folder: Path, n: int = 24) -> Path:
    for at in range(n):
        tone(folder / f"Band {at % 3}/First/{at // 3 + 1:02d} Song {at}.flac", at % 3, at)
    return folder


def history(path: Path, songs: list[int]) -> Path:
    lines = [
        {"listened_at": 1_700_000_000 + 400 * at,
         "track_metadata": {"artist_name": f"Band {song % 3}", "track_name": f"Song {song}"}}
        for at, song in enumerate(songs)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    built = build_model([history(folder / "ann.jsonl", [0, 3, 6, 9, 0])], music(folder / "music"), folder / "model",
                        user="ann", jobs=2)  # fmt: skip
    return folder, built


def test_one_listener_gets_songs_that_sound_like_theirs(home):
    folder, built = home
    answers = Recommender(Bundle.load(folder / "model"))
    table = answers.recommend("ann", 4)
    assert set(table["artist"].to_list()) == {"Band 0"}
    assert set(table["method"].to_list()) == {"content"}
    assert set(table["title"].to_list()) == {"Song 12", "Song 15", "Song 18", "Song 21"}
    assert built.notes["plays of songs in the library"] == 5


def test_reasons_add_up_to_the_score_of_a_content_model(home):
    answers = Recommender(Bundle.load(home[0] / "model"))
    best = answers.recommend("ann", 1)["song_id"][0]
    parts = answers.explain("ann", best, 100)
    vector = answers.fold_in({"Band 0/First/01 Song 0": 2, "Band 0/First/02 Song 3": 1, "Band 0/First/03 Song 6": 1,
                              "Band 0/First/04 Song 9": 1})  # fmt: skip
    row = answers.bundle.songs.rows([best])[0]
    listeners = 1.0 + answers.bundle.songs.n_listeners
    centre = listeners / listeners.sum() @ answers.bundle.songs.vectors
    assert parts["contribution"].sum() == pytest.approx(float(vector @ (row - centre)), rel=1e-4)


def test_a_disliked_style_moves_away(home):
    answers = Recommender(Bundle.load(home[0] / "model"))
    liked = {"Band 0/First/01 Song 0": 1.0}

    def best_of_band_1(history):
        ranks = answers.recommend(history, 24).filter(pl.col("artist") == "Band 1")["rank"]
        return ranks.mean()

    assert best_of_band_1({**liked, "Band 1/First/01 Song 1": -1.0}) > best_of_band_1(liked)


def test_an_update_without_changes_does_nothing_and_one_with_a_new_song_hears_it(home, tmp_path):
    folder, _ = home
    assert update_model(folder / "model", jobs=1).ran == ()
    new = tone(folder / "music/Band 0/First/99 Song 99.flac", 0, 99)
    try:
        built = update_model(folder / "model", jobs=1)
        assert {"library", "logmel", "pooled", "encoder"} <= set(built.ran)
        assert "plays" not in built.ran
        assert "Song 99" in Recommender(built.bundle).recommend("ann", 5)["title"].to_list()
    finally:
        new.unlink()
        update_model(folder / "model", jobs=1)


def test_new_tracks_land_among_their_kind_and_are_not_added_twice(home, tmp_path):
    folder, _ = home
    track = tone(tmp_path / "Else: Tune.wav", 1, 77)
    added = add_tracks(folder / "model", [track], jobs=1)
    assert added.songs["song_id"].to_list() == ["Else: Tune"]
    assert added.songs["nearest"][0].count("Band 1") == 3
    assert added.songs["audience"].to_list() == ["ann"]
    again = add_tracks(folder / "model", [track], jobs=1)
    assert (again.songs.height, again.n_there) == (0, 1)
    bundle = Bundle.load(folder / "model")
    assert bundle.encoder is not None
    assert bundle.plays.shape == (1, len(bundle.songs))


def test_tracks_that_were_added_stay_when_the_model_is_brought_up_to_date(tmp_path):
    music(tmp_path / "music", 15)
    build_model([history(tmp_path / "h.csv", [0, 3, 6])], tmp_path / "music", tmp_path / "model", user="ann", jobs=1)
    stays, goes = tone(tmp_path / "new/stays.wav", 1, 77), tone(tmp_path / "new/goes.wav", 2, 78)
    add_tracks(tmp_path / "model", [stays, goes], jobs=1)
    goes.unlink()
    built = update_model(tmp_path / "model", jobs=1)
    assert built.notes["tracks added earlier, heard again"] == 1
    assert built.notes["tracks added earlier whose files are gone, left out"] == 1
    songs = Bundle.load(tmp_path / "model").songs.songs
    assert "stays" in songs
    assert "goes" not in songs
    assert "stays" in built.bundle.songs.songs


def test_music_named_before_the_history_is_told_from_a_damaged_database(tmp_path):
    listens = history(tmp_path / "h.csv", [0, 3])
    with pytest.raises(InputError, match=r"h.csv: the music = a file.*Histories come first, the music last"):
        build_model([music(tmp_path / "music", 3)], listens, tmp_path / "model", jobs=1)


def test_an_encoder_of_a_content_model_puts_a_song_where_the_model_has_it(home):
    folder, _ = home
    bundle = Bundle.load(folder / "model")
    song = Hearing.load(bundle.encoder)(folder / "music/Band 2/First/01 Song 2.flac")
    assert song.vectors[0] == pytest.approx(bundle.songs.rows(["Band 2/First/01 Song 2"])[0], abs=0.02)


def test_the_seconds_that_speak_for_a_style_are_found(home, tmp_path):
    folder, _ = home
    low, _ = soundfile.read(str(tone(tmp_path / "low.wav", 0, 5, seconds=12)))
    high, _ = soundfile.read(str(tone(tmp_path / "high.wav", 2, 6, seconds=12)))
    soundfile.write(str(tmp_path / "both.wav"), np.concatenate([low, high]), RATE)
    bundle = Bundle.load(folder / "model")
    heard = Hearing.load(bundle.encoder).heard(tmp_path / "both.wav")
    table = seconds_that_matter(heard, bundle.users.rows(["ann"])[0])
    assert heard.seconds == pytest.approx(24, abs=0.2)
    assert table.filter(pl.col("above") > 0)["end"].max() <= 15.5
    assert table.filter(pl.col("start") >= 12)["above"].max() < 0


def test_music_without_plays_makes_a_model_that_knows_similar_songs(tmp_path):
    built = build_model([], music(tmp_path / "music"), tmp_path / "model", jobs=2)
    answers = Recommender(built.bundle)
    assert answers.similar("Band 1/First/01 Song 1", 4)["artist"].to_list().count("Band 1") >= 3
    assert answers.recommend({"Band 2/First/01 Song 2": 1}, 4)["artist"].to_list().count("Band 2") >= 3
    assert answers.audience("Band 1/First/01 Song 1").height == 0


def test_a_model_that_was_not_made_by_the_chain_cannot_be_brought_up_to_date(tmp_path):
    with pytest.raises(ArtifactError, match=r"it is not known what .* was made from"):
        update_model(tmp_path / "model")


def test_plays_that_have_nothing_to_do_with_the_music_serve_nobody(tmp_path):
    lines = [{"listened_at": 1_700_000_000, "track_metadata": {"artist_name": "Else", "track_name": "Where"}}]
    (tmp_path / "a.jsonl").write_text(json.dumps(lines[0]))
    built = build_model([tmp_path / "a.jsonl"], music(tmp_path / "music", 6), tmp_path / "model", jobs=1)
    assert built.notes["plays of songs not in the library"] == 1
    assert Recommender(built.bundle).recommend("me", 3).height == 0


def test_a_plain_table_of_listens_serves_as_plays(tmp_path):
    rows = "".join(f"ann,Band 0,Song {song}\n" for song in (0, 3, 6, 9))
    (tmp_path / "plays.csv").write_text("user,artist,title\n" + rows)
    built = build_model([tmp_path / "plays.csv"], music(tmp_path / "music"), tmp_path / "model", jobs=2)
    assert built.notes["plays of songs in the library"] == 4
    assert built.bundle.users.users.ids.to_list() == ["ann"]


def test_enough_listeners_are_compared_and_a_new_song_reaches_those_of_its_style(tmp_path):
    rows = [f"u{user},Band {song % 3},Song {song},1\n" for user in range(60) for song in range(21)
            if song % 3 == user % 3 and (song + user) % 5]  # fmt: skip
    (tmp_path / "plays.csv").write_text("user,artist,title,plays\n" + "".join(rows))
    built = build_model([tmp_path / "plays.csv"], music(tmp_path / "music"), tmp_path / "model", jobs=2)
    answers = Recommender(built.bundle)
    table = answers.recommend("u0", 1, which="cold")
    assert table["method"].to_list() == ["factors"]
    assert table["artist"].to_list() == ["Band 0"]
    assert (answers.bundle.songs.n_listeners == 0).sum() == 3
    best = answers.audience("Band 1/First/08 Song 22", 10)["typical_artists"].to_list()
    assert best.count("Band 1") >= 8


def test_few_songs_and_listeners_get_few_factors_and_large_counts_weigh_more():
    counts = np.ones(100)
    plays = Plays.from_pairs([f"u{i % 50}" for i in range(100)], [f"s{i}" for i in range(100)], counts)
    assert wmf_settings(plays, ModelSettings()).n_factors == 6
    many = Plays.from_pairs([f"u{i % 50}" for i in range(100)], [f"s{i}" for i in range(100)], 20 * counts)
    assert wmf_settings(many, ModelSettings()).alpha == 10.0


def test_a_content_model_needs_pooled_features():
    frames = Features(Vocabulary(["a"]), np.zeros((3, 2)), np.array([0, 3]), "logmel")
    with pytest.raises(InputError, match="pooled features"):
        content_factors(frames)


def test_m3u8_paths_are_relative_and_songs_without_files_are_counted(tmp_path):
    table = pl.DataFrame({
        "song_id": ["a", "b", "c", "d"], "title": ["Café\nx", None, "No file", "#1"],
        "artist": ["Ann", None, None, None],
        "file": ["Ann/a.mp3", "b é.mp3", None, "#1.mp3"], "duration": [61.6, None, 5.0, None],
    })  # fmt: skip
    (tmp_path / "lists").mkdir()
    n = write_playlist(tmp_path / "lists/mix.m3u8", table, str(tmp_path / "music"))
    assert n == 1
    assert (tmp_path / "lists/mix.m3u8").read_text(encoding="utf-8").splitlines() == [
        "#EXTM3U", "#PLAYLIST:mix", "#EXTINF:62,Ann - Café x", "../music/Ann/a.mp3", "#EXTINF:-1,b é",
        "../music/b é.mp3", "#EXTINF:-1,#1", "../music/#1.mp3",
    ]  # fmt: skip
    write_playlist(tmp_path / "music/mix.m3u", table, str(tmp_path / "music"))
    assert (tmp_path / "music/mix.m3u").read_text(encoding="utf-8").splitlines()[-1] == "./#1.mp3"


def test_jspf_names_recordings(tmp_path):
    table = pl.DataFrame({"song_id": ["a"], "title": ["Song"], "artist": ["Ann"], "file": ["a é.mp3"],
                          "duration": [1.5], "mbid": ["x-y"], "album": [None]})  # fmt: skip
    write_playlist(tmp_path / "mix.jspf", table, "/music", "Mix")
    content = json.loads((tmp_path / "mix.jspf").read_text())
    assert content == {"playlist": {"title": "Mix", "track": [{
        "title": "Song", "creator": "Ann", "duration": 1500, "location": ["file:///music/a%20%C3%A9.mp3"],
        "identifier": ["https://musicbrainz.org/recording/x-y"]}]}}  # fmt: skip
    with pytest.raises(InputError, match="unknown form of playlist"):
        write_playlist(tmp_path / "mix.txt", table)


def test_one_artists_songs_are_spaced():
    assert spaced(["a", "a", "b", "b", "a"]) == [0, 2, 1, 3, 4]
    assert spaced(["a", "a"]) == [0, 1]


def test_a_damaged_step_is_made_again_and_the_model_is_the_same(home):
    folder, _ = home
    steps, before = folder / "model.steps", update_model(folder / "model", jobs=1).bundle.fingerprint
    for name in ("library/songs.parquet", "plays/count.npy", "matched/song.npy", "pooled/frames.npy"):
        path = steps / name
        data = path.read_bytes()
        path.write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
        built = update_model(folder / "model", jobs=1)
        assert name.partition("/")[0] in built.ran, name
        assert built.bundle.fingerprint == before


@pytest.mark.parametrize(
    "changed",
    [{"plays": [None]}, {"plays": "x"}, {"music": 3}, {"user": []}, {"settings": None}, {"settings": {"x": 1}},
     {"settings": {"seed": "x"}}, {"settings": {"n_factors": -1}}],
)  # fmt: skip
def test_a_record_of_steps_that_makes_no_sense_is_refused(home, tmp_path, changed):
    content = json.loads((home[0] / "model.steps/steps.json").read_text())
    (tmp_path / "model.steps").mkdir()
    (tmp_path / "model.steps/steps.json").write_text(json.dumps({**content, "sources": content["sources"] | changed}))
    with pytest.raises(ArtifactError, match=r"model\.steps"):
        update_model(tmp_path / "model", jobs=1)

"""Small commands and options: average, words, bag, tracks, similar across --which, --verbose."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from deepcuts.artifacts import Factors, Features, SongFactors, Split
from deepcuts.store import read_meta, write_meta


def meta(folder: Path) -> dict:
    return json.loads((folder / "meta.json").read_text(encoding="utf-8"))


def listed(text: str) -> list[str]:
    return [row["song_id"] for row in csv.DictReader(io.StringIO(text), delimiter="\t")]


@pytest.fixture(scope="module")
def no_validation(deepcuts, home, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("no-validation")
    plays = home / "world/plays"
    made = deepcuts("data", "split", plays, "-o", folder / "split", "--set=by=artist", "--set=validation=0")
    assert made.code == 0
    words = ["factors", plays, "--split", folder / "split", "-o", folder / "factors", "--set=n_factors=4"]
    assert deepcuts(*words, "--set=n_sweeps=2").code == 0
    return folder


@pytest.fixture(scope="module")
def pooled(deepcuts, home, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("pooled") / "pooled"
    assert deepcuts("audio", "pool", home / "logmel", "-o", out).code == 0
    return out


def fit(deepcuts, features, made, out, encoder, *more):
    words = ["predict", "fit", features, made / "factors", "--split", made / "split", "--encoder", encoder]
    told = deepcuts(*words, "-o", out, *more)
    assert told.code == 0, told.err
    return told


def test_a_split_without_validation_songs_is_taken_at_its_word(deepcuts, no_validation, pooled, tmp_path) -> None:
    fit(deepcuts, pooled, no_validation, tmp_path / "linear", "linear")
    assert meta(tmp_path / "linear")["settings"]["settings"]["validation"] == 0
    fit(deepcuts, pooled, no_validation, tmp_path / "asked", "linear", "--set", "validation=0.3")
    assert meta(tmp_path / "asked")["settings"]["settings"]["validation"] == 0.3


def test_a_network_without_validation_songs_cuts_some_and_says_so(deepcuts, no_validation, pooled, tmp_path) -> None:
    quick = ("--set=n_epochs=2", "--set=n_hidden=8", "--set=device=cpu")
    told = fit(deepcuts, pooled, no_validation, tmp_path / "mlp", "mlp", *quick)
    assert meta(tmp_path / "mlp")["settings"]["settings"]["validation"] == 0.1
    assert "0.1 of the songs are held out" in told.err
    told = fit(deepcuts, pooled, no_validation, tmp_path / "all", "mlp", *quick, "--set=validation=0")
    assert meta(tmp_path / "all")["settings"]["settings"]["validation"] == 0
    assert "held out" not in told.err


@pytest.mark.parametrize(("ridge", "held_out"), [("none", 0.1), ("10", 0)])
def test_a_ridge_that_needs_validation_songs_gets_some(
    deepcuts, no_validation, pooled, tmp_path, ridge, held_out
) -> None:
    fit(deepcuts, pooled, no_validation, tmp_path / "usage", "linear", "--set=loss=usage", f"--set=ridge={ridge}")
    assert meta(tmp_path / "usage")["settings"]["settings"]["validation"] == held_out


def test_a_split_with_validation_songs_leaves_the_settings_alone(home) -> None:
    assert meta(home / "linear")["settings"]["settings"]["validation"] == 0.1


def test_the_network_refuses_pooled_features(deepcuts, home, pooled, tmp_path) -> None:
    told = deepcuts("predict", "fit", pooled, home / "factors", "--encoder", "cnn", "-o", tmp_path / "cnn")
    assert told.code == 3
    assert "pooled features have one frame a song: use linear, mlp, trees or kernel" in told.err
    assert list(tmp_path.iterdir()) == []


def test_predictions_are_averaged(deepcuts, home, pooled, tmp_path) -> None:
    fit(deepcuts, pooled, home, tmp_path / "trees", "trees", "--set=n_trees=5", "--set=n_jobs=1")
    words = ["predict", "songs", tmp_path / "trees", pooled, "--split", home / "split", "-o", tmp_path / "other"]
    assert deepcuts(*words).code == 0
    told = deepcuts("predict", "average", home / "predicted", tmp_path / "other", "-o", tmp_path / "mean")
    assert (told.code, told.out) == (0, "")
    one, two, mean = (SongFactors.load(f) for f in (home / "predicted", tmp_path / "other", tmp_path / "mean"))
    assert mean.songs == one.songs == two.songs
    np.testing.assert_allclose(mean.vectors, (one.vectors + two.vectors) / 2, atol=1e-6)
    assert set(mean.lineage.parents.values()) == {one.fingerprint, two.fingerprint}


def test_only_predictions_of_one_protocol_are_averaged(deepcuts, home, tmp_path) -> None:
    told = deepcuts("predict", "average", home / "predicted", home / "factors", "-o", tmp_path / "mean")
    assert told.code == 4
    assert "factors, expected song-factors" in told.err
    shutil.copytree(home / "predicted", tmp_path / "joint")
    known = read_meta(home / "predicted")
    write_meta(tmp_path / "joint", replace(known, lineage={**known.lineage, "protocol": "joint"}))
    told = deepcuts("predict", "average", home / "predicted", tmp_path / "joint", "-o", tmp_path / "mean")
    assert told.code == 3
    assert "protocols 'clean' and 'joint'" in told.err
    told = deepcuts("predict", "average", home / "predicted", "-o", home / "factors")
    assert told.code == 4
    assert "Choose another -o" in told.err


WORDS = ("--set=n_words=12", "--set=n_frames=2000", "--set=n_sweeps=3")


def test_words_and_bag_are_learned_and_counted(deepcuts, home, tmp_path) -> None:
    told = deepcuts("audio", "words", home / "logmel", "-o", tmp_path / "words", *WORDS)
    assert (told.code, told.out) == (0, "")
    assert meta(tmp_path / "words")["shape"]["n_words"] == 12
    told = deepcuts("audio", "bag", home / "logmel", tmp_path / "words", "-o", tmp_path / "bag")
    assert (told.code, told.out) == (0, "")
    counted, heard = Features.load(tmp_path / "bag"), Features.load(home / "logmel")
    assert counted.one_frame
    assert counted.songs == heard.songs
    parents = meta(tmp_path / "bag")["parents"]
    assert parents["words"] == meta(tmp_path / "words")["fingerprint"]
    assert parents["features"] == meta(home / "logmel")["fingerprint"]


def test_words_under_a_split_hear_no_test_song(deepcuts, home, tmp_path) -> None:
    heard, split = Features.load(home / "logmel"), Split.load(home / "split")
    frames = np.array(heard.frames)
    for song in heard.songs.positions(split.test_songs.ids):
        frames[heard.starts[song] : heard.starts[song + 1]] = 9
    Features(heard.songs, frames, heard.starts, heard.kind, heard.settings).save(tmp_path / "spoilt")
    for features, out in ((home / "logmel", "honest"), (tmp_path / "spoilt", "misled")):
        words = ["audio", "words", features, "--split", home / "split", "-o", tmp_path / out, *WORDS]
        assert deepcuts(*words).code == 0
    assert meta(tmp_path / "honest")["fingerprint"] == meta(tmp_path / "misled")["fingerprint"]
    learned = pl.read_parquet(tmp_path / "honest/learned_from.parquet")["song_id"].to_list()
    assert not set(learned) & set(split.test_songs.ids)
    assert len(learned) == len(split.songs) - len(split.test_songs)


def test_tracks_of_artists_become_a_table_for_songs_and_groups(deepcuts, home, tmp_path) -> None:
    table, out = tmp_path / "table.csv", tmp_path / "tracks.csv"
    table.write_text("lastfm_artist_id,track_id,song_id\nsong-00001,T1,S1\nsong-00002,T1,S1\nsong-00003,T2,S2\n")
    for _ in range(2):  # made again, it takes its own place
        told = deepcuts("data", "tracks", table, "-o", out)
        assert (told.code, told.out) == (0, "")
        assert out.read_text() == "song_id,track_id,group\nsong-00001,T1,0\nsong-00002,T1,0\nsong-00003,T2,1\n"
    told = deepcuts("data", "split", home / "world/plays", "--groups", out, "-o", tmp_path / "split", "--set=by=song")
    assert told.code == 0
    group = Split.load(tmp_path / "split").groups
    assert group[0] == group[1] != group[2]
    before = table.read_bytes()
    told = deepcuts("data", "tracks", table, "-o", table)
    assert told.code == 4
    assert "exists and is not a table of tracks" in told.err
    assert table.read_bytes() == before


def test_a_list_split_without_its_list_names_the_option(deepcuts, home, tmp_path) -> None:
    told = deepcuts("data", "split", home / "world/plays", "-o", tmp_path / "split", "--set", "by=list")
    assert told.code == 2
    assert "Name them: --test-songs FILE." in told.err


def test_a_known_song_may_ask_for_cold_ones_and_a_cold_one_for_known(deepcuts, home) -> None:
    split, observed = Split.load(home / "split"), Factors.load(home / "factors")
    cold, warm = split.test_songs.ids.to_list(), observed.songs.songs.ids.to_list()
    words = ["similar", home / "factors", "--predicted", home / "predicted", "-k", "50"]
    told = deepcuts(*words, warm[0], "--which", "cold")
    assert told.code == 0, told.err
    assert sorted(listed(told.out)) == sorted(cold)
    told = deepcuts(*words, cold[0], "--which", "warm")
    assert sorted(listed(told.out)) == sorted(warm)


def test_similar_may_be_centred(deepcuts, home) -> None:
    observed = Factors.load(home / "factors")
    patterns = observed.users.vectors.astype(float) @ observed.songs.vectors.astype(float).T
    expected = np.corrcoef(patterns.T)[0]
    expected[0] = -2
    words = ["similar", home / "factors", observed.songs.songs[0], "-k", "3", "--json"]
    rows = json.loads(deepcuts(*words, "--set", "centred=true").out)
    best = np.argsort(-expected)[:3]
    assert [row["song_id"] for row in rows] == [observed.songs.songs[place] for place in best]
    np.testing.assert_allclose([row["score"] for row in rows], expected[best], atol=1e-4)


def test_cold_and_warm_scores_of_different_scales_are_warned_of(deepcuts, home, tmp_path) -> None:
    words = ["predict", "songs", home / "linear", home / "logmel", "--unit-norm", "-o", tmp_path / "unit"]
    assert deepcuts(*words).code == 0
    assert deepcuts("predict", "average", tmp_path / "unit", tmp_path / "unit", "-o", tmp_path / "mean").code == 0
    warned = []
    for predicted, which in (("unit", "both"), ("mean", "both"), ("unit", "warm"), (home / "predicted", "both")):
        words = ["recommend", home / "factors", "--predicted", tmp_path / predicted, "--which", which]
        told = deepcuts(*words, "--user", "listener-00001")
        assert told.code == 0, told.err
        warned.append("warning:" in told.err)
        assert "warning" not in told.out
    assert warned == [True, True, False, False]


def test_a_ranking_names_its_parents(deepcuts, home, tmp_path) -> None:
    words = ["recommend", home / "factors", "--predicted", home / "predicted", "--plays", home / "world/plays"]
    assert deepcuts(*words, "-o", tmp_path / "ranking").code == 0
    assert meta(tmp_path / "ranking")["parents"] == {
        "observed": meta(home / "factors")["fingerprint"],
        "predicted": meta(home / "predicted")["fingerprint"],
        "plays": meta(home / "world/plays")["fingerprint"],
    }


def test_single_steps_are_logged_only_when_asked_for(deepcuts, home, tmp_path) -> None:
    words = ["factors", home / "world/plays", "-o", tmp_path / "factors", "--set=n_sweeps=2", "--set=n_factors=3"]
    quiet = deepcuts(*words)
    assert len(quiet.err.splitlines()) == 1
    told = deepcuts("--verbose", *words)
    assert [line.split(":")[0] for line in told.err.splitlines()[:4]] == [
        f"sweep {sweep}, {half}" for sweep in (1, 2) for half in ("users", "songs")
    ]
    assert deepcuts("-v", "version").code == 0


@pytest.mark.parametrize("option", ["overwrite", "ids"])
def test_messages_name_the_options_of_the_command(deepcuts, home, tmp_path, option) -> None:
    sounds = home / "world/sounds"
    if option == "ids":
        sounds = tmp_path / "sounds"
        for folder in ("a", "b"):
            (sounds / folder).mkdir(parents=True)
            shutil.copy(home / "world/sounds/song-00001.wav", sounds / folder)
    told = deepcuts("audio", "logmel", sounds, "-o", home / "logmel", "-j", "1", "--set=n_bands=20")
    assert told.code in (3, 4)
    assert {"ids": "(--ids path;", "overwrite": "or pass --overwrite."}[option] in told.err

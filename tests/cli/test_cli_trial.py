"""A trial by one command: folds, rivals, controls, scores by user, own systems."""

import json

import numpy as np
import polars as pl
import pytest

from deepcuts.artifacts import Features, Plays, Vocabulary


@pytest.fixture
def planted(tmp_path):
    """Two tastes, songs whose features tell which, artists that keep to one."""
    rng = np.random.default_rng(0)
    pairs = [(f"u{u}", f"s{s:02d}") for u in range(40) for s in range(40) if u % 2 == s % 2 and rng.random() < 0.4]
    table = pl.DataFrame({"song_id": [f"s{s:02d}" for s in range(40)], "artist": [f"a{s % 8}" for s in range(40)]})
    plays = Plays.from_pairs([u for u, _ in pairs], [s for _, s in pairs], np.ones(len(pairs)), songs_table=table)
    plays.save(tmp_path / "plays")
    ids = [f"s{s:02d}" for s in range(40)]
    numbers = np.stack([[s % 2 + 0.1 * rng.normal(), rng.normal()] for s in range(40)]).astype(np.float32)
    Features(Vocabulary(ids), numbers, np.arange(41), "table", {"one_frame": True}).save(tmp_path / "features")
    perfect = pl.DataFrame({"user_id": [u for u, _ in pairs], "song_id": [s for _, s in pairs], "score": 1.0})
    perfect.write_parquet(tmp_path / "perfect.parquet")
    return tmp_path


def test_a_trial_ranks_rivals_controls_and_own_systems_and_keeps_scores_by_user(deepcuts, planted):
    words = ["trial", planted / "plays", planted / "features", "-o", planted / "out", "--folds", "2", "--seeds", "2",
             "--set", "ridge=1.0", "--system", f"mine={planted / 'perfect.parquet'}", "--json"]  # fmt: skip
    report = json.loads(deepcuts(*words).out)
    auc = {row["system"]: row["auc"]["mean"] for row in report["rows"]}
    assert auc["mine"] == 1.0
    assert auc["linear"] > 0.7
    assert auc["same_artist"] > 0.65
    assert auc["content_knn"] > 0.65
    assert abs(auc["heard_fame"] - 0.5) < 0.2
    assert {"random", "shuffled", "popularity", "fold_in", "taste"} <= set(auc)
    users = pl.read_parquet(planted / "out/users.parquet")
    assert set(users["system"].unique()) == set(auc)
    assert users.filter(pl.col("system") == "mine")["auc"].drop_nulls().min() == 1.0
    assert sorted(users["seed"].unique()) == [0, 1]
    gap = next(one for one in report["comparisons"] if one["b"] == "random" and one["metric"] == "auc")
    assert gap["low"] > 0


def test_a_trial_by_time_and_one_fold_has_no_interval(deepcuts, planted):
    words = ["trial", planted / "plays", planted / "features", "-o", planted / "out", "--folds", "1", "--json"]
    report = json.loads(deepcuts(*words).out)
    assert report["rows"][0]["auc"]["low"] is None
    told = deepcuts("trial", planted / "plays", planted / "features", "-o", planted / "t", "--by", "time")
    assert told.code == 3
    assert "have no times" in told.err


def test_a_table_that_is_no_system_is_refused(deepcuts, planted):
    pl.DataFrame({"user_id": ["u0"], "song": ["s0"]}).write_parquet(planted / "bad.parquet")
    words = ["trial", planted / "plays", planted / "features", "-o", planted / "out"]
    told = deepcuts(*words, "--system", f"mine={planted / 'bad.parquet'}")
    assert (told.code, "not a table of user_id, song_id, score" in told.err) == (3, True)
    told = deepcuts(*words, "--system", "mine")
    assert (told.code, "expected NAME=FILE.parquet" in told.err) == (2, True)

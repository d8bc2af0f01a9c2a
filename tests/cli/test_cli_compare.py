"""`deepcuts compare`: two systems on one split, or two trials."""

import json

import numpy as np
import polars as pl
import pytest

from deepcuts.artifacts import Factors, Features, Plays, SongFactors, Split, Vocabulary


@pytest.fixture
def scored(home, tmp_path):
    """A table that knows the hidden plays, and one that knows them upside down."""
    plays, split = Plays.load(home / "world/plays"), Split.load(home / "split")
    hidden = plays.take_songs(split.members(2))
    rows = [(user, song, float(hidden.counts[u, s] > 0)) for u, user in enumerate(hidden.users.ids)
            for s, song in enumerate(hidden.songs.ids)]  # fmt: skip
    table = pl.DataFrame(rows, schema=["user_id", "song_id", "score"], orient="row")
    table.write_parquet(tmp_path / "right.parquet")
    table.with_columns(-pl.col("score")).write_csv(tmp_path / "wrong.csv")
    return tmp_path


def options(home):
    return ["--plays", home / "world/plays", "--split", home / "split"]


def test_tables_of_scores_are_compared_and_said_to_be_unaudited(deepcuts, home, scored):
    told = deepcuts("compare", f"right={scored / 'right.parquet'}", f"wrong={scored / 'wrong.csv'}", *options(home),
                    "-o", scored / "out", "--json")  # fmt: skip
    content = json.loads(told.out)
    effect = {one["metric"]: one for one in content["effects"]}
    assert effect["auc"]["difference"] == 1.0
    assert effect["map"]["low"] > 0
    assert [row["auc"]["mean"] for row in content["rows"]] == [1.0, 0.0]
    assert all(one["difference"] in (1.0, None) for one in content["groups"]["by_plays"])
    assert sum(one["n_songs"] for one in content["groups"]["by_plays"]) == content["n_songs"]
    assert content["protocol"] == "not audited"
    assert sum("NOT audited" in check for check in content["audit"]["checks"]) == 2
    assert json.loads((scored / "out/comparison.json").read_text()) == content
    assert (scored / "out/comparison.png").read_bytes().startswith(b"\x89PNG")


def test_predictions_are_compared_with_their_own_shuffled_selves_and_audited(deepcuts, home, tmp_path):
    own = SongFactors.load(home / "predicted")
    dealt = SongFactors(own.songs, own.vectors[::-1], own.lineage, settings=own.settings)
    dealt.save(tmp_path / "dealt")
    words = [
        "compare",
        home / "predicted",
        f"dealt={tmp_path / 'dealt'}",
        *options(home),
        "--factors",
        home / "factors",
    ]
    told = deepcuts(*words, "-o", tmp_path / "out")
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0].split() == ["metric", "predicted", "dealt", "difference", "interval", "p"]
    assert "clean protocol" in lines[-1]
    content = json.loads((tmp_path / "out/comparison.json").read_text())
    assert any("learned from" in check for check in content["audit"]["checks"])
    assert {one["group"] for one in content["groups"]["by_artist"]} == {"known", "unknown"}


def test_a_system_against_itself_differs_by_nothing(deepcuts, home, tmp_path):
    words = ["compare", f"a={home / 'predicted'}", f"b={home / 'predicted'}", *options(home)]
    told = deepcuts(*words, "--factors", home / "factors", "-o", tmp_path / "out", "--json")
    assert [(one["difference"], one["low"], one["high"], one["p"]) for one in json.loads(told.out)["effects"]] == [
        (0.0, 0.0, 0.0, 1.0)
    ] * 2


def test_factors_that_saw_the_hidden_plays_are_refused(deepcuts, home, tmp_path):
    small = ["--set", "n_factors=6", "--set", "n_sweeps=2"]
    assert deepcuts("factors", home / "world/plays", "-o", tmp_path / "all", *small).code == 0
    words = ["compare", tmp_path / "all", f"b={home / 'predicted'}", *options(home), "--factors", home / "factors"]
    told = deepcuts(*words, "-o", tmp_path / "out")
    assert told.code == 5
    assert not (tmp_path / "out").exists()


def test_predictions_that_plays_of_the_song_have_moved_are_refused(deepcuts, home, tmp_path):
    own = SongFactors.load(home / "predicted")
    moved = SongFactors(own.songs, own.vectors, own.lineage, n_listeners=np.ones(len(own), np.int64))
    moved.save(tmp_path / "moved")
    told = deepcuts("compare", tmp_path / "moved", home / "predicted", *options(home), "--factors", home / "factors",
                    "-o", tmp_path / "out")  # fmt: skip
    assert (told.code, "have listeners in predicted song factors" in told.err) == (5, True)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"user_id": ["u"], "song_id": ["s"]}, "not a table of user_id, song_id, score"),
        ({"user_id": ["u"], "song_id": ["s"], "score": [float("nan")]}, "score nan"),
        ({"user_id": ["u", None], "song_id": ["s", "s"], "score": [1.0, 2.0]}, "user None, song 's'"),
        ({"user_id": ["u", "u"], "song_id": ["s", "s"], "score": [1.0, 2.0]}, "appears more than once"),
        ({"user_id": ["u"], "song_id": ["s"], "score": ["high"]}, "not a table of user_id, song_id, score"),
        ({"user_id": ["nobody"], "song_id": ["s"], "score": [1.0]}, "without any of the users of the plays"),
    ],
)  # fmt: skip
def test_a_table_that_is_no_system_is_refused_and_named(deepcuts, home, tmp_path, table, said):
    pl.DataFrame(table).write_parquet(tmp_path / "bad.parquet")
    told = deepcuts("compare", tmp_path / "bad.parquet", f"b={home / 'predicted'}", *options(home), "--factors",
                    home / "factors", "-o", tmp_path / "out")  # fmt: skip
    assert (told.code, said in told.err, "bad.parquet" in told.err) == (3, True, True)


def test_what_is_missing_is_said(deepcuts, home, tmp_path):
    pair = [f"a={home / 'predicted'}", f"b={home / 'predicted'}"]
    told = deepcuts("compare", *pair, "-o", tmp_path / "out")
    assert (told.code, "need --plays and --split" in told.err) == (2, True)
    told = deepcuts("compare", *pair, *options(home), "-o", tmp_path / "out")
    assert (told.code, "with --factors" in told.err) == (3, True)
    told = deepcuts("compare", home / "predicted", home / "predicted", *options(home), "-o", tmp_path / "out",
                    "--factors", home / "factors")  # fmt: skip
    assert (told.code, "Name them: NAME=PATH" in told.err) == (3, True)
    told = deepcuts("compare", home / "logmel", home / "predicted", *options(home), "-o", tmp_path / "out")
    assert (told.code, "a folder of kind 'features'" in told.err) == (3, True)


@pytest.fixture(scope="module")
def trials(deepcuts, tmp_path_factory):
    """Songs of two kinds, heard with and without noise of their own, and tried by other folds."""
    home, rng = tmp_path_factory.mktemp("trials"), np.random.default_rng(0)
    pairs = [(f"u{u}", f"s{s:02d}") for u in range(30) for s in range(30) if u % 2 == s % 2 and rng.random() < 0.4]
    Plays.from_pairs([u for u, _ in pairs], [s for _, s in pairs], np.ones(len(pairs))).save(home / "plays")
    ids, noise = Vocabulary([f"s{s:02d}" for s in range(30)]), rng.normal(size=(30, 1))
    for name, numbers in (("sound", np.arange(30)[:, None] % 2 + 0.1 * noise), ("noise", noise)):
        Features(ids, numbers.astype(np.float32), np.arange(31), "table", {"one_frame": True}).save(home / name)
    for name, folds in (("sound", 2), ("noise", 2), ("other", 3)):
        heard = home / ("sound" if name == "other" else name)
        told = deepcuts("trial", home / "plays", heard, "-o", home / f"{name}-trial", "--folds", str(folds), "--set",
                        "ridge=1.0")  # fmt: skip
        assert told.code == 0, told.err
    return home


def test_trials_are_compared_fold_by_fold(deepcuts, trials, tmp_path):
    told = deepcuts("compare", f"sound={trials / 'sound-trial'}", f"noise={trials / 'noise-trial'}", "-o",
                    tmp_path / "out", "--json")  # fmt: skip
    content = json.loads(told.out)
    rows = pl.concat([pl.read_parquet(trials / f"{name}-trial/users.parquet").with_columns(pl.lit(name).alias("of"))
                      for name in ("sound", "noise")]).filter(pl.col("system") == "linear")  # fmt: skip
    by_fold = rows.group_by("of", "fold").agg(pl.col("auc").mean()).sort("of", "fold")
    noise, sound = by_fold["auc"].to_numpy().reshape(2, 2)
    effect = next(one for one in content["effects"] if one["metric"] == "auc")
    assert effect["difference"] == pytest.approx(float((sound - noise).mean()))
    assert effect["difference"] > 0.2
    assert sum(one["n_songs"] for one in content["groups"]["by_plays"]) == 30


def test_two_rows_of_one_trial_are_compared(deepcuts, trials, tmp_path):
    told = deepcuts("compare", f"best={trials / 'sound-trial'}", f"chance={trials / 'sound-trial'}:random", "-o",
                    tmp_path / "out", "--json")  # fmt: skip
    assert json.loads(told.out)["b"] == "chance"
    told = deepcuts("compare", trials / "sound-trial", f"x={trials / 'sound-trial'}:nothing", "-o", tmp_path / "out")
    assert (told.code, "no system 'nothing' was tried" in told.err) == (3, True)


def test_trials_that_hide_other_plays_are_not_compared(deepcuts, trials, tmp_path):
    told = deepcuts("compare", trials / "sound-trial", trials / "other-trial", "-o", tmp_path / "out")
    assert (told.code, "hide other plays" in told.err) == (3, True)


def test_a_model_is_compared_with_predictions(deepcuts, home, tmp_path):
    """The bundle is made of these very predictions, so nothing differs."""
    words = ["bundle", home / "factors", "--predicted", home / "predicted", "-o", tmp_path / "model"]
    assert deepcuts(*words).code == 0
    assert len(Factors.load(home / "factors").users)
    told = deepcuts("compare", tmp_path / "model", home / "predicted", *options(home), "--factors", home / "factors",
                    "-o", tmp_path / "out", "--json")  # fmt: skip
    assert told.code == 0, told.err
    assert [one["difference"] for one in json.loads(told.out)["effects"]] == pytest.approx([0, 0], abs=1e-9)

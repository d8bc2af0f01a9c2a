"""`deepcuts evaluate` refuses with exit code 5 what has learned from test songs, and labels the joint protocol."""

import json
import shutil

import numpy as np
import pytest

from deepcuts.artifacts import Factors, Features, Lineage, SongFactors, Vocabulary
from deepcuts.evaluate.report import read_report
from deepcuts.predict import LinearSettings, fit_encoder
from deepcuts.store import read_meta, write_meta

SMALL = ("--set", "n_factors=6", "--set", "n_sweeps=3")


@pytest.fixture
def evaluate(deepcuts, home, tmp_path):
    def run(factors=None, predicted=None, *more):
        words = ["evaluate", home / "world/plays", home / "split", factors or home / "factors", "-o", tmp_path / "out"]
        return deepcuts(*words, "--system", f"linear={predicted or home / 'predicted'}", "--set=n_bootstrap=20", *more)

    return run


def fit(deepcuts, home, factors, folder) -> None:
    """An encoder on these factors and its predictions, under the split: folder/encoder and folder/predicted."""
    split = ["--split", home / "split"]
    mel = home / "logmel"
    assert deepcuts("predict", "fit", mel, factors, "--encoder", "linear", *split, "-o", folder / "encoder").code == 0
    assert deepcuts("predict", "songs", folder / "encoder", mel, *split, "-o", folder / "predicted").code == 0


def test_a_clean_run_passes_the_audit_and_says_what_was_proven(evaluate, tmp_path) -> None:
    told = evaluate()
    assert told.code == 0, told.err
    report = read_report(tmp_path / "out")
    assert report["protocol"] == "clean"
    assert report["audit"]["passed"] is True
    assert "clean protocol" in told.out


def test_users_who_have_seen_hidden_plays_are_refused(deepcuts, home, evaluate, tmp_path) -> None:
    assert deepcuts("factors", home / "world/plays", "-o", tmp_path / "all", *SMALL).code == 0  # no --split
    told = evaluate(tmp_path / "all")
    assert (told.code, told.out) == (5, "")
    assert "are test songs with observed factors" in told.err
    assert not (tmp_path / "out").exists()


def test_an_encoder_that_learned_from_test_songs_is_refused(deepcuts, home, evaluate, tmp_path) -> None:
    assert deepcuts("factors", home / "world/plays", "-o", tmp_path / "all", *SMALL).code == 0
    mel = home / "logmel"
    words = ["predict", "fit", mel, tmp_path / "all", "--encoder", "linear", "-o", tmp_path / "encoder"]
    assert deepcuts(*words).code == 0  # no --split either
    words = ["predict", "songs", tmp_path / "encoder", mel, "--split", home / "split", "-o", tmp_path / "predicted"]
    assert deepcuts(*words).code == 0
    told = evaluate(home / "factors", tmp_path / "predicted")
    assert told.code == 5
    assert "are test songs that it learned from" in told.err


def test_factors_under_another_split_are_refused(deepcuts, home, evaluate, tmp_path) -> None:
    words = ["data", "split", home / "world/plays", "-o", tmp_path / "split", "--set", "by=artist", "--set", "seed=1"]
    assert deepcuts(*words).code == 0
    words = ["factors", home / "world/plays", "--split", tmp_path / "split", "-o", tmp_path / "factors", *SMALL]
    assert deepcuts(*words).code == 0
    assert evaluate(tmp_path / "factors").code == 5


def test_a_split_edited_by_hand_is_refused(deepcuts, home, tmp_path) -> None:
    import polars as pl

    split = tmp_path / "split"
    shutil.copytree(home / "split", split)
    table = pl.read_parquet(split / "split.parquet")
    meta = read_meta(split)
    table.with_columns(role=pl.lit("test")).write_parquet(split / "split.parquet")
    write_meta(split, meta)
    told = deepcuts("factors", home / "world/plays", "--split", split, "-o", tmp_path / "factors")
    assert told.code == 4
    assert "the roles do not match the hash" in told.err


@pytest.fixture
def joint(deepcuts, home, tmp_path):
    folder = tmp_path / "joint"
    folder.mkdir()
    words = ["factors", home / "world/plays", "--split", home / "split", "--protocol", "joint", *SMALL]
    assert deepcuts(*words, "-o", folder / "factors").code == 0
    fit(deepcuts, home, folder / "factors", folder)
    return folder


def test_the_joint_protocol_is_labelled_in_the_report(evaluate, joint, tmp_path) -> None:
    told = evaluate(joint / "factors", joint / "predicted")
    assert told.code == 0, told.err
    report = read_report(tmp_path / "out")
    assert report["protocol"] == "joint"
    assert "joint protocol" in told.out
    assert "joint" in (tmp_path / "out/report.html").read_text(encoding="utf-8")


def test_joint_and_clean_never_stand_in_one_table(evaluate, joint) -> None:
    told = evaluate(joint / "factors", None)
    assert told.code == 5
    assert "must not appear in one table" in told.err


def test_the_encoder_sees_no_factors_of_test_songs_even_under_the_joint_protocol(deepcuts, home, joint) -> None:
    factors, hidden = Factors.load(joint / "factors"), split_test_songs(home)
    spoilt = factors.songs.vectors.copy()
    spoilt[factors.songs.songs.positions(hidden)] = 1e6
    other = joint.parent / "spoilt"
    other.mkdir()
    from dataclasses import replace

    replace(factors, songs=replace(factors.songs, vectors=spoilt)).save(other / "factors")
    fit(deepcuts, home, other / "factors", other)
    honest, misled = (SongFactors.load(folder / "predicted").vectors for folder in (joint, other))
    assert np.array_equal(honest, misled)


def split_test_songs(home) -> list[str]:
    from deepcuts.artifacts import Split

    return Split.load(home / "split").test_songs.ids.to_list()


def test_two_systems_of_one_name_are_refused(evaluate, home) -> None:
    told = evaluate(None, None, "--system", f"linear={home / 'predicted'}")
    assert told.code == 2
    assert "a name stands twice" in told.err
    told = evaluate(None, None, "--system", f"random={home / 'predicted'}")
    assert told.code == 3
    assert "two systems are called 'random'" in told.err


@pytest.mark.parametrize("text", ["linear", "=predicted", "linear="])
def test_a_system_without_a_name_or_folder_is_refused(deepcuts, home, tmp_path, text) -> None:
    words = ["evaluate", home / "world/plays", home / "split", home / "factors", "-o", tmp_path / "out"]
    told = deepcuts(*words, "--system", text)
    assert told.code == 2
    assert "expected NAME=FOLDER" in told.err


def test_json_is_what_the_report_holds(evaluate, tmp_path) -> None:
    told = evaluate(None, None, "--json")
    assert json.loads(told.out) == json.loads((tmp_path / "out/report.json").read_text())


def test_a_dictionary_learned_from_test_songs_is_a_leak() -> None:
    songs = Vocabulary(["a", "b", "c"])
    bag = Features(
        songs, np.eye(3, dtype=np.float32), np.arange(4), "bagofwords", {"one_frame": True}, Lineage(learned_from=songs)
    )
    known = Vocabulary(["a", "b"])
    rows = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    encoder = fit_encoder(
        "linear",
        bag,
        SongFactors(known, rows, Lineage("a fit", known, "clean")),
        LinearSettings(ridge=1.0, validation=0),
    )
    assert "c" in encoder.provenance.lineage.learned_from

"""`deepcuts tune` on the planted world: its settings go into the next commands."""

import json

import pytest


@pytest.fixture
def searched(deepcuts, home, tmp_path):
    words = ["tune", home / "world/plays", home / "split", home / "logmel", "-o", tmp_path / "search", "--encoder",
             "linear", "--trials", "2", "--set", "weight_listeners=0"]  # fmt: skip
    told = deepcuts(*words, "--json")
    assert told.code == 0, told.err
    return words, json.loads(told.out), tmp_path / "search"


def test_what_was_found_goes_into_the_next_commands(deepcuts, home, searched, tmp_path):
    _, report, folder = searched
    assert {path.name for path in folder.iterdir()} >= {"search.jsonl", "trials.csv", "trials.md", "settings.toml",
                                                        "report.json"}  # fmt: skip
    assert report["n_trials"] == 2
    assert report["audit"]["passed"]
    assert json.loads((folder / "report.json").read_text()) == report
    with_settings = ["--settings", folder / "settings.toml"]
    told = deepcuts("factors", home / "world/plays", "--split", home / "split", "-o", tmp_path / "f", *with_settings)
    assert told.code == 0, told.err
    shown = json.loads(deepcuts("show", tmp_path / "f").out)["settings"]
    assert shown["n_factors"] == report["best"]["settings"]["factors.n_factors"]
    told = deepcuts("predict", "fit", home / "logmel", tmp_path / "f", "--encoder", "linear", "--split",
                    home / "split", "-o", tmp_path / "e", *with_settings)  # fmt: skip
    assert told.code == 0, told.err


def test_the_same_command_again_runs_no_trial_and_finds_the_same(deepcuts, searched):
    words, report, folder = searched
    log = (folder / "search.jsonl").read_text()
    assert json.loads(deepcuts(*words, "--json").out) == report
    assert (folder / "search.jsonl").read_text() == log


def test_what_cannot_be_searched_is_refused(deepcuts, home, tmp_path):
    words = ["tune", home / "world/plays", home / "split", home / "logmel"]
    told = deepcuts(*words, "-o", home / "split")
    assert (told.code, "not the folder of a search" in told.err) == (4, True)
    told = deepcuts(*words, "-o", tmp_path / "out", "--encoder", "ears")
    assert (told.code, "'ears': unknown" in told.err) == (2, True)
    told = deepcuts(*words, "-o", tmp_path / "out", "--minutes", "0")
    assert (told.code, "minutes = 0.0: expected above 0" in told.err) == (2, True)
    assert not (tmp_path / "out").exists()

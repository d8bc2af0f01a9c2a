"""The search of settings: seeded, resumable, on validation songs only."""

import dataclasses
import json

import numpy as np
import pytest

from deepcuts.artifacts import Features, Lineage, Plays, Split
from deepcuts.errors import ArtifactError, InputError, LeakageError, SettingError
from deepcuts.factors import WmfSettings
from deepcuts.predict import ENCODERS, LinearSettings
from deepcuts.trial import search as module
from deepcuts.trial.findings import best_trial, settings_text, table_text
from deepcuts.trial.search import Task, TuneSettings, search, with_values
from deepcuts.trial.spaces import ENCODERS as SPACES
from deepcuts.trial.spaces import FACTORS, Choice, Span, space_of

START = (WmfSettings(n_factors=4, n_sweeps=3, regularization=3.0), LinearSettings(ridge=1.0))


def parts() -> tuple[Plays, Split, Features]:
    """Two tastes that the first number of a song tells; a fifth of the songs validates, a fifth tests."""
    rng = np.random.default_rng(0)
    pairs = [(f"u{u}", f"s{s:02d}") for u in range(40) for s in range(50) if u % 2 == s % 2 and rng.random() < 0.4]
    plays = Plays.from_pairs([u for u, _ in pairs], [s for _, s in pairs], np.ones(len(pairs)))
    roles = (np.arange(50) % 5 // 3 * (np.arange(50) % 5 - 2)).astype(np.int8)  # 0 0 0 1 2
    split = Split(plays.songs, roles, np.arange(50), {"plays": plays.fingerprint})
    numbers = np.stack([[s % 2 + 0.2 * rng.normal(), rng.normal()] for s in range(50)]).astype(np.float32)
    return plays, split, Features(plays.songs, numbers, np.arange(51), "table", {"one_frame": True})


def ticking():
    """A clock that says one second more at every look."""
    seconds = iter(range(10_000))
    return lambda: float(next(seconds))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_has_a_space_of_its_own_settings_and_defaults_lie_in_it(encoder: str) -> None:
    names = {field.name for field in dataclasses.fields(ENCODERS[encoder].settings)}
    assert set(SPACES[encoder]) <= names
    assert set(FACTORS) <= {field.name for field in dataclasses.fields(WmfSettings)}
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = {name: drawn(one, rng) for name, one in SPACES[encoder].items()}
        ENCODERS[encoder].settings(**values)  # refuses what is out of range


def drawn(one: Span | Choice, rng: np.random.Generator) -> object:
    if isinstance(one, Choice):
        return one.values[rng.integers(len(one.values))]
    return int(rng.integers(one.low, one.high + 1)) if one.whole else float(rng.uniform(one.low, one.high))


def test_few_songs_bound_the_number_of_factors() -> None:
    assert space_of("linear", 20)["factors.n_factors"] == Span(8, 20, log=True)
    assert space_of("linear", 5)["factors.n_factors"] == Span(5, 5, log=True)


def test_a_search_begins_with_the_given_settings_and_finds_the_taste(tmp_path) -> None:
    trials = search(Task.of(*parts()), START, TuneSettings(n_trials=4), tmp_path / "log", clock=ticking())
    assert [one["number"] for one in trials] == [0, 1, 2, 3]
    assert (trials[0]["settings"]["factors.n_factors"], trials[0]["settings"]["linear.target"]) == (4, "raw")
    assert best_trial(trials, "auc")["auc"] > 0.7
    assert trials[0]["n_songs"] == 10
    assert len({json.dumps(one["settings"]) for one in trials}) == 4


def test_a_killed_search_goes_on_and_proposes_what_it_would_have(tmp_path, monkeypatch) -> None:
    task, settings = Task.of(*parts()), TuneSettings(n_trials=13, metric="auc")
    whole = search(task, START, settings, tmp_path / "whole", clock=ticking())
    real, done = module.run_trial, []

    def killed(*arguments):
        if len(done) == 11:
            raise KeyboardInterrupt
        done.append(1)
        return real(*arguments)

    monkeypatch.setattr(module, "run_trial", killed)
    with pytest.raises(KeyboardInterrupt):
        search(task, START, settings, tmp_path / "log", clock=ticking())
    monkeypatch.setattr(module, "run_trial", real)
    (tmp_path / "log").write_text((tmp_path / "log").read_text() + '{"number": 11, "sett')  # cut in the middle
    assert search(task, START, settings, tmp_path / "log", clock=ticking()) == whole


def test_the_budget_counts_trials_of_earlier_runs_and_may_grow(tmp_path) -> None:
    task = Task.of(*parts())

    def run(minutes: float) -> int:
        return len(search(task, START, TuneSettings(minutes=minutes), tmp_path / "log", clock=ticking()))

    assert run(3 / 60) == 3  # each trial takes one second of this clock
    assert run(3 / 60) == 3
    assert run(5 / 60) == 5


def test_another_search_does_not_go_on_from_this_log(tmp_path) -> None:
    task = Task.of(*parts())
    search(task, START, TuneSettings(n_trials=1), tmp_path / "log")
    with pytest.raises(ArtifactError, match="a search with other seed"):
        search(task, START, TuneSettings(n_trials=1, seed=1), tmp_path / "log")
    (tmp_path / "log").write_text("no json\n")
    with pytest.raises(ArtifactError, match="damaged"):
        search(task, START, TuneSettings(n_trials=1), tmp_path / "log")


def test_no_play_of_a_test_song_is_in_the_task_and_features_that_saw_one_are_refused() -> None:
    plays, split, features = parts()
    task = Task.of(plays, split, features)
    assert (task.plays.songs.find(split.test_songs.ids) < 0).all()
    assert task.unseen == 10
    seen = Lineage(learned_from=plays.songs)
    with pytest.raises(LeakageError, match="test songs shaped them"):
        Task.of(plays, split, dataclasses.replace(features, lineage=seen))


def test_a_split_without_validation_songs_cannot_choose() -> None:
    plays, split, features = parts()
    roles = np.where(split.roles == 1, 0, split.roles)
    with pytest.raises(InputError, match="no validation songs with features"):
        Task.of(plays, dataclasses.replace(split, roles=roles), features)


def test_settings_that_cannot_learn_are_kept_as_failed_trials(tmp_path, monkeypatch) -> None:
    def failing(*_):
        raise InputError("the fit diverged")

    monkeypatch.setattr(module, "learned", failing)
    with pytest.raises(InputError, match="each of 2 trials failed"):
        search(Task.of(*parts()), START, TuneSettings(n_trials=2), tmp_path / "log")
    assert "the fit diverged" in (tmp_path / "log").read_text()


def test_the_settings_file_says_exactly_what_the_best_trial_had(tmp_path) -> None:
    from deepcuts.config import make_settings

    settings = TuneSettings(n_trials=3, seed=5)
    trials = search(Task.of(*parts()), START, settings, tmp_path / "log")
    best = best_trial(trials, "map")
    values = with_values(START, best["settings"], settings)
    (tmp_path / "settings.toml").write_text(settings_text(values, settings, best))
    assert make_settings(WmfSettings, toml=tmp_path / "settings.toml", table="factors") == values[0]
    assert make_settings(LinearSettings, toml=tmp_path / "settings.toml", table="linear") == values[1]
    assert values[0].seed == 5


def test_the_table_ranks_trials_and_puts_failed_ones_last() -> None:
    trials = [{"number": 0, "settings": {"a": 1}, "map": 0.1, "auc": 0.6, "seconds": 1.0},
              {"number": 1, "settings": {"a": 2}, "error": "no, sir", "seconds": 1.0},
              {"number": 2, "settings": {"a": 3}, "map": 0.2, "auc": 0.5, "seconds": 1.0}]  # fmt: skip
    lines = table_text(trials, "map").splitlines()
    assert lines[0] == "trial,map500,auc,seconds,a,error"
    assert [line.split(",")[0] for line in lines[1:]] == ["2", "0", "1"]
    assert lines[3].endswith('2,"no, sir"')


@pytest.mark.parametrize(("name", "value"), [("minutes", 0.0), ("minutes", float("inf")), ("metric", "ndcg"),
                                             ("encoder", "ears"), ("n_trials", -1)])  # fmt: skip
def test_a_search_out_of_bounds_is_refused(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=name):
        TuneSettings(**{name: value})

"""The whole paper at the scale of tests: everything is there, everything has an interval, nothing is done twice."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from deepcuts.artifacts import TEST, SongFactors
from deepcuts.cli.reproduce import changed
from deepcuts.cli.reproduce import reproduce as command
from deepcuts.errors import SettingError
from deepcuts.lab.paper import reproduce as reproduce_module
from deepcuts.lab.paper import systems as paper_systems
from deepcuts.lab.paper import world as paper_world
from deepcuts.lab.paper.reproduce import report_stem, reproduce
from deepcuts.lab.paper.settings import SCALES
from deepcuts.lab.paper.systems import plays_behind, teaching_songs
from deepcuts.lab.paper.world import PaperWorld, build_world, observed_factors, of_songs

TINY = SCALES["tiny"]
HEARING = {"mlr", "linear", "ridge", "mlp", "cnn_mse", "cnn_wpe"}
CONTROLS = {"random", "shuffled", "popularity", "perfect_encoder", "bayes_listener", "audio_ceiling", "fold_in"}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("paper")


@pytest.fixture(scope="module")
def content(work: Path) -> dict[str, Any]:
    return reproduce(TINY, "tiny", work, work / "results")


@pytest.fixture(scope="module")
def world(content: dict[str, Any], work: Path) -> PaperWorld:
    return build_world(TINY, work)


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("made again")


def test_every_table_and_figure_is_written(content: dict[str, Any], work: Path) -> None:
    assert set(content["tables"]) == {"table1", "table2", "table3", "table4", "tags51", "figure1"}
    assert json.loads((work / "results" / "paper-tiny.json").read_text(encoding="utf-8")) == content
    page = (work / "results" / "paper-tiny.md").read_text(encoding="utf-8")
    for title in ("Table 1", "Table 2", "Table 3", "Table 4", "Section 5.1", "Figure 1", "The paper's claims"):
        assert f"## {title}" in page
    for name in ("figure1", "table2", "table3"):
        picture = (work / "results" / f"paper-tiny-{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) <= 300_000
        assert f"(paper-tiny-{name}.png)" in page


def test_table_2_has_every_system_of_the_paper_beside_controls(content: dict[str, Any]) -> None:
    assert {row["system"] for row in content["tables"]["table2"]} == HEARING | CONTROLS
    assert {row["system"] for row in content["beside"]["table2"]["part_rows"]} == {
        "linear_part",
        "ridge_part",
        "cnn_mse_part",
    }
    assert {row["system"] for row in content["tables"]["table3"]} == {"linear", "ridge", "cnn_mse"} | CONTROLS


def test_every_cell_of_systems_tags_and_lists_has_an_interval_around_it(content: dict[str, Any]) -> None:
    cells = [row[metric] for t in ("table2", "table3") for row in content["tables"][t] for metric in ("map500", "auc")]
    cells += [row["auc"] for row in content["tables"]["tags51"]]
    for cell in cells:
        assert cell["low"] <= cell["mean"] <= cell["high"]
    by_chance = [row for row in content["tables"]["table4"] if row["low"] is None]
    assert {(row["measure"], row["system"]) for row in by_chance} == {
        ("same_artist", "chance"),
        ("same_style", "chance"),
        ("overlap", "chance"),
        ("coverage", "observed"),
        ("coverage", "predicted"),
    }


def test_the_papers_ratios_stand_beside_ours(content: dict[str, Any]) -> None:
    two = {one["ratio"]: round(one["paper"], 2) for one in content["beside"]["table2"]["ratios"]}
    assert two == {"cnn_mse / linear": 2.1, "mlp / linear": 1.06, "linear / mlr": 1.33, "cnn_wpe / cnn_mse": 0.86}
    three = {one["ratio"]: round(one["paper"], 2) for one in content["beside"]["table3"]["ratios"]}
    assert three == {"cnn_mse / linear": 6.65, "fold_in / cnn_mse": 34.64}


def test_every_claim_is_answered_and_an_unsure_answer_comes_with_a_cause(content: dict[str, Any]) -> None:
    assert [one["claim"] for one in content["claims"]] == ["a", "b", "c", "c, growth", "d", "e", "f", "g"]
    for one in content["claims"]:
        assert one["answer"]
        assert one["tests"]
        plain = all(test["low"] > 0 for test in one["tests"])
        assert plain != ("likely_cause" in one)


def test_several_seeds_stand_behind_the_rows_whose_seed_matters(content: dict[str, Any]) -> None:
    by_seed = content["beside"]["table2"]["by_seed"]
    assert set(by_seed) == {"mlp", "cnn_mse", "cnn_wpe"}
    rows = {row["system"]: row for row in content["tables"]["table2"]}
    for name, values in by_seed.items():
        assert len(values["auc"]) == TINY.n_seeds
        assert rows[name]["auc"]["mean"] == pytest.approx(np.mean(values["auc"]))
        assert rows[name]["map500"]["mean"] == pytest.approx(np.mean(values["map"]))


def test_the_audit_passed_and_nothing_learned_from_a_test_song(content: dict[str, Any], world: PaperWorld) -> None:
    assert content["protocol"] == "clean"
    for table in ("table2", "table3"):
        assert content["beside"][table]["audit"]["passed"] is True
        assert content["beside"][table]["audit"]["protocol"] == "clean"
    hidden = set(world.songs(TEST).ids)
    for path in world.work.glob("predicted-*"):
        learned_from = SongFactors.load(path).lineage.learned_from
        assert learned_from is not None
        assert not hidden & set(learned_from.ids)
    assert not hidden & set(teaching_songs(world, 1.0).ids)


def test_a_second_run_makes_nothing_again_and_writes_the_same(
    content: dict[str, Any], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in (work / "results").iterdir()}
    for module, name in ((paper_systems, "fit_encoder"), (paper_systems, "evaluate"), (paper_world, "fit")):
        monkeypatch.setattr(module, name, refuse)
    assert reproduce(TINY, "tiny", work, work / "again") == content
    assert {path.name: path.read_bytes() for path in (work / "again").iterdir()} == before


def test_a_killed_run_goes_on_and_ends_with_the_same_numbers(
    content: dict[str, Any], work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(work, tmp_path / "work", ignore=shutil.ignore_patterns("results", "again", "table3*", "map*"))
    lost = next((tmp_path / "work").glob("predicted-cnn_mse-0-*"))
    shutil.rmtree(lost)

    def killed(_: PaperWorld) -> dict[str, Any]:
        raise KeyboardInterrupt

    parts: dict[str, Callable[[PaperWorld], dict[str, Any]]] = {**reproduce_module.PARTS, "table3": killed}
    with monkeypatch.context() as patched:
        patched.setattr(reproduce_module, "PARTS", parts)
        with pytest.raises(KeyboardInterrupt):
            reproduce(TINY, "tiny", tmp_path / "work", tmp_path / "results")
    assert not (tmp_path / "results").exists()
    assert reproduce(TINY, "tiny", tmp_path / "work", tmp_path / "results") == content


def test_the_joint_protocol_is_labelled_and_has_its_own_upper_bound(content: dict[str, Any], work: Path) -> None:
    joint = replace(TINY, protocol="joint", n_seeds=1, n_bootstrap=4)
    told = reproduce(joint, "tiny", work, work / "joint")
    assert told["protocol"] == "joint"
    assert {row["protocol"] for table in ("table2", "table3") for row in told["tables"][table]} == {"joint"}
    assert told["beside"]["table2"]["audit"]["protocol"] == "joint"
    assert "wmf" in {row["system"] for row in told["tables"]["table3"]}
    assert "JOINT" in (work / "joint" / "paper-tiny-joint.md").read_text(encoding="utf-8")
    assert report_stem(replace(joint, by="song"), "tiny") == "paper-tiny-song-joint"


def test_joint_factors_teach_with_training_songs_only(world: PaperWorld) -> None:
    joint = observed_factors(world, TINY.n_factors, protocol="joint")
    clean = observed_factors(world, TINY.n_factors)
    assert joint.songs.songs == world.plays.songs
    taught = of_songs(joint, teaching_songs(world, 1.0))
    assert not set(taught.songs.songs.ids) & set(world.songs(TEST).ids)
    assert plays_behind(world, joint).fingerprint == joint.lineage.parents["plays"]
    assert plays_behind(world, clean).fingerprint == clean.lineage.parents["plays"]


def test_of_songs_takes_rows_by_id(world: PaperWorld) -> None:
    factors = observed_factors(world, TINY.n_factors)
    some = factors.songs.songs.take(np.array([5, 2]))
    taken = of_songs(factors, some)
    np.testing.assert_array_equal(taken.songs.vectors, factors.songs.vectors[[5, 2]])
    np.testing.assert_array_equal(taken.songs.n_listeners, factors.songs.n_listeners[[5, 2]])
    assert taken.users is factors.users


def test_the_command_changes_settings_and_names_a_near_miss(tmp_path: Path) -> None:
    assert changed(TINY, ["n_seeds=1", "by = song"]) == replace(TINY, n_seeds=1, by="song")
    with pytest.raises(SettingError, match="Did you mean 'n_factors'"):
        changed(TINY, ["n_factor=3"])
    with pytest.raises(SettingError, match="name=value"):
        changed(TINY, ["n_seeds"])
    app = typer.Typer()
    app.command()(command)
    outcome = CliRunner().invoke(app, ["--scale", "smal", "--work", str(tmp_path)])
    assert isinstance(outcome.exception, SettingError)
    assert "Did you mean 'small'" in str(outcome.exception)
    assert not list(tmp_path.iterdir())


def test_the_command_prints_the_claims(content: dict[str, Any], work: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    outcome = CliRunner().invoke(app, ["--scale", "tiny", "--work", str(work), "-o", str(tmp_path)])
    assert outcome.exception is None
    assert "(a) Predicting latent factors beats learning a metric." in outcome.stdout
    assert (tmp_path / "paper-tiny.json").read_bytes() == (work / "results" / "paper-tiny.json").read_bytes()


def test_one_part_alone_is_the_part_of_the_whole(content: dict[str, Any], work: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    for part in ("table2", "table1"):
        outcome = CliRunner().invoke(app, ["--scale", "tiny", "--work", str(work), "--only", part])
        assert json.loads(outcome.stdout) == content["tables"][part]
    outcome = CliRunner().invoke(app, ["--scale", "tiny", "--work", str(work), "--only", "table5"])
    assert "Did you mean 'table" in str(outcome.exception)

"""Settings by --set and by file: precedence, refusals with exit code 2, and `deepcuts settings`."""

import ast
import json
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from deepcuts.cli import common
from deepcuts.cli.settings import CLASSES
from deepcuts.config import make_settings


def settings_in(folder) -> dict:
    return json.loads((folder / "meta.json").read_text())["settings"]


def test_set_wins_over_the_file_and_the_file_over_the_defaults(deepcuts, home, tmp_path) -> None:
    toml = tmp_path / "my.toml"
    toml.write_text("[factors]\nn_factors = 3\nn_sweeps = 2\n[cnn]\nwidth = 8\n")
    words = ["factors", home / "world/plays", "-o", tmp_path / "factors", "--settings", toml]
    assert deepcuts(*words, "--set", "n_factors=4").code == 0
    made = settings_in(tmp_path / "factors")
    assert (made["n_factors"], made["n_sweeps"], made["seed"]) == (4, 2, 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "n_factor=3"], "--set n_factor: unknown setting. Did you mean 'n_factors'?"),
        (["--set", "n_factors=many"], "--set n_factors = 'many': expected int."),
        (["--set", "n_factors=0"], "n_factors = 0: expected at least 1."),
        (["--set", "n_factors"], "--set 'n_factors': expected name=value"),
        (["--protocol", "joined"], "--protocol 'joined': unknown. Did you mean 'joint'?"),
        (["--settings", "no.toml"], "no.toml: cannot be read"),
    ],
)
def test_a_wrong_setting_is_refused(deepcuts, home, tmp_path, words, message) -> None:
    told = deepcuts("factors", home / "world/plays", "-o", tmp_path / "factors", *words)
    assert told.code == 2
    assert message in told.err
    assert not (tmp_path / "factors").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[factor]\nn_factors = 3\n", "[factor]: no such table. Did you mean 'factors'?"),
        ("n_factors = 3\n", "n_factors stands outside of any table. Write it below [factors]."),
        ("[factors]\nn_factor = 3\n", "[factors] n_factor: unknown setting. Did you mean 'n_factors'?"),
        ("[factors]\nn_factors = 3.5\n", "[factors] n_factors = 3.5: expected int."),
        ("[factors\n", "not valid TOML"),
    ],
)
def test_a_settings_file_that_would_do_nothing_is_refused(deepcuts, home, tmp_path, text, message) -> None:
    (tmp_path / "my.toml").write_text(text)
    told = deepcuts("factors", home / "world/plays", "-o", tmp_path / "factors", "--settings", tmp_path / "my.toml")
    assert told.code == 2
    assert f"{tmp_path}/my.toml: {message}" in told.err


def test_the_length_of_lists_may_come_from_the_file(deepcuts, home, tmp_path) -> None:
    (tmp_path / "my.toml").write_text("[recommend]\nk = 2\nwhich = 'cold'\n[similar]\nk = 3\n")
    told = deepcuts(
        "recommend", home / "factors", "--predicted", home / "predicted", "--settings", tmp_path / "my.toml",
        "--user", "listener-00001",
    )  # fmt: skip
    assert len(told.out.splitlines()) == 1 + 2
    told = deepcuts("similar", home / "factors", first_song(home), "--settings", tmp_path / "my.toml")
    assert len(told.out.splitlines()) == 1 + 3


def first_song(home) -> str:
    import polars as pl

    return pl.read_parquet(home / "factors/songs.parquet")["song_id"][0]


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_printed_settings_read_back_as_the_defaults(deepcuts, tmp_path, name) -> None:
    told = deepcuts("settings", *name.split())
    assert told.code == 0
    (tmp_path / "all.toml").write_text(told.out)
    table, load = CLASSES[name]
    assert list(tomllib.loads(told.out)) == [table]
    assert asdict(make_settings(load(), toml=tmp_path / "all.toml", table=table)) == asdict(load()())


def test_the_list_of_settings_names_every_command_that_has_some(deepcuts) -> None:
    assert deepcuts("settings").out.splitlines() == list(CLASSES)
    told = deepcuts("settings", "predict", "cnm")
    assert (told.code, told.out) == (2, "")
    assert "Did you mean 'predict cnn'?" in told.err


def test_every_table_that_a_command_reads_is_known_to_all() -> None:
    known = {table for table, _ in CLASSES.values()}
    read = set()
    for path in Path(common.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "settings_of":
                read |= {arg.value for arg in node.args[3:] if isinstance(arg, ast.Constant)}
    assert read <= known
    assert {"factors", "evaluate"} <= read

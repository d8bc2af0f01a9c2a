"""stdout is data, stderr is talk; --json is JSON; every option says what it does."""

import csv
import io
import json
import subprocess
import sys

import pytest
import typer

from deepcuts import __version__
from deepcuts.cli.commands import COMMANDS as LISTED
from deepcuts.cli.main import make_app


def commands(node=None, path=()):
    node = node or typer.main.get_command(make_app())
    if not hasattr(node, "commands"):
        yield " ".join(path), node
        return
    for name, child in node.commands.items():
        yield from commands(child, (*path, name))


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_option_and_argument_says_what_it_does(deepcuts, name) -> None:
    told = deepcuts(*name.split(), "--help")
    assert told.code == 0
    command = COMMANDS[name]
    assert command.help, name
    assert command.help.split("\n")[0].rstrip().endswith((".", "...")), name
    for param in command.params:
        if param.name != "help":
            assert getattr(param, "help", None), f"{name}: {param.name}"
            assert param.help[0].isupper() or "," in param.help or ":" in param.help, f"{name}: {param.name}"


def test_help_lists_the_stages_and_the_exit_codes_are_documented(deepcuts) -> None:
    told = deepcuts("--help")
    for stage in ("data", "factors", "audio", "predict", "recommend", "evaluate"):
        assert f"\n  {stage} " in told.out


def test_the_lines_of_the_list_are_those_of_the_commands() -> None:
    group = typer.main.get_command(make_app())
    for name, (_, _, line) in LISTED.items():
        assert (group.commands[name].help or "").split("\n")[0].startswith(line), name


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    words = [sys.executable, "-X", "importtime", "-m", "deepcuts", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"numpy", "polars", "torch", "scipy", "av", "pandas"}


def test_the_version(deepcuts) -> None:
    assert deepcuts("version").out == deepcuts("--version").out == f"{__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["facotrs"], "No such command 'facotrs'"),
        (["factors"], "Missing argument"),
        (["factors", "plays"], "Missing option"),
        (["recommend", "factors", "-k", "-1"], "Invalid value for '-k'"),
        (["recommend", "factors", "-k", "many"], "Invalid value for '-k'"),
        (["similar", "factors"], "Missing argument"),
        (["evaluate", "plays", "split", "factors", "-o", "out"], "Missing option '--system'"),
    ],
)
def test_a_wrong_command_line_leaves_with_2(deepcuts, words, message) -> None:
    told = deepcuts(*words)
    assert (told.code, told.out) == (2, "")
    assert message in told.err


def test_reading_as_json(deepcuts, table, tmp_path) -> None:
    path = table("user,song,plays\nann,one,2\nbob,two,1\n")
    told = deepcuts("data", "table", path, "-o", tmp_path / "plays", "--json")
    found = json.loads(told.out)
    assert (found["users"], found["songs"], found["user-song pairs"], found["rows read"]) == (2, 2, 2, 2)


def test_extracting_as_json(deepcuts, home) -> None:
    words = ["audio", "logmel", home / "world/sounds", "-o", home / "logmel", "-j", "1"]
    told = deepcuts(*words, "--set=rate=8000", "--set=n_bands=24", "--json")
    found = json.loads(told.out)
    assert (found["songs"], found["reused"], found["quarantined"], found["quarantine"]) == (60, 60, 0, [])


def test_showing_an_artifact(deepcuts, home) -> None:
    found = json.loads(deepcuts("show", home / "factors").out)
    assert found["kind"] == "factors"
    assert found["settings"]["protocol"] == "clean"
    plays = json.loads(deepcuts("show", home / "world/plays").out)
    assert plays["shape"]["n_users"] == 120
    told = deepcuts("show", home / "world")
    assert (told.code, told.out) == (4, "")


def test_the_doctor_speaks_json(deepcuts) -> None:
    told = deepcuts("doctor", "--json")
    found = json.loads(told.out)
    assert found["deepcuts"] == __version__
    assert set(found["decoders"]) == {"wav", "flac", "ogg", "opus", "mp3", "m4a"}
    assert found["packages"]["numpy"][0].isdigit()
    lacking = [s for part in ("decoders", "packages") for s in found[part].values() if s.startswith("no")]
    assert told.code == (6 if lacking else 0)


def test_the_doctor_leaves_with_6_when_something_is_lacking(deepcuts, monkeypatch) -> None:
    from deepcuts.cli import doctor

    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no-such-package"))
    monkeypatch.setattr(doctor, "FORMATS", ())
    told = deepcuts("doctor")
    assert told.code == 6
    assert "error: doctor: no-such-package not working" in told.err
    assert "no: not installed" in told.out
    assert "all is well" not in told.out


def test_the_doctor_says_so_when_all_is_well(deepcuts, monkeypatch) -> None:
    from deepcuts.cli import doctor

    monkeypatch.setattr(doctor, "FORMATS", ())
    told = deepcuts("doctor")
    assert told.code == 0
    assert told.out.endswith("all is well\n")
    assert "safetensors" in told.out
    assert "openTSNE" in told.out
    assert "all is well" not in deepcuts("doctor", "--json").out


def test_the_history_of_a_factorisation_is_kept_beside_the_factors(deepcuts, home) -> None:
    rows = list(csv.DictReader(io.StringIO((home / "factors/history.csv").read_text())))
    assert [(row["sweep"], row["half"]) for row in rows] == [(s, h) for s in "123" for h in ("users", "songs")]
    values = [float(row["objective"]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert not (home / ".factors.checkpoint").exists()


def test_a_bug_is_not_dressed_up_as_somebodys_mistake(deepcuts, home, monkeypatch) -> None:
    from deepcuts.cli import doctor

    def broken(folder):
        raise RuntimeError("a bug")

    monkeypatch.setattr(doctor, "read_meta", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        deepcuts("show", home / "factors")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "a/b"), "a/b: Permission denied"),
        (MemoryError("3 GB"), "memory is full (3 GB)"),
    ],
)
def test_what_the_machine_refuses_leaves_with_6(deepcuts, home, monkeypatch, error, message) -> None:
    from deepcuts.cli import doctor

    def refuse(folder):
        raise error

    monkeypatch.setattr(doctor, "read_meta", refuse)
    told = deepcuts("show", home / "factors")
    assert told.code == 6
    assert message in told.err

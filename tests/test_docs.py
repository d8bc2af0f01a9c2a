"""Docs that lie fail the build: every command they show must parse, every file they name must exist."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from deepcuts.cli.main import make_app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "runs").glob("*.sh"))]
# Where a path must lead to a file of the repository; the rest of what docs name is made by a run.
OURS = ("src", "tests", "runs", "docs", "bench")
WRITTEN_BY_RUNS = ("docs/results",)


def commands_in(text: str, *, script: bool) -> list[str]:
    """Command lines of `deepcuts`: in fenced blocks and code spans of a page, or where a script has commands."""
    text = re.sub(r"\s*\\\n\s*", " ", text)
    if script:
        lines = re.findall(r"(?:^|[;{(|&]|\b(?:then|do|else|if))[ \t]*(deepcuts .*)", text, flags=re.MULTILINE)
    else:
        fenced = re.findall(r"```(?:console|bash|sh|shell)?\n(.*?)```", text, flags=re.DOTALL)
        spans = re.findall(r"`(deepcuts [^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        lines = [line for block in fenced for line in block.splitlines()] + spans
    found = [line.strip().removeprefix("$ ") for line in lines]
    return [line for line in found if line.startswith("deepcuts ")]


def words_of(line: str) -> list[str]:
    """The words after `deepcuts`, without comments, pipes, redirections, and what a shell would expand."""
    line = re.sub(r"\$\{[^}]*:\+([^}]*)\}", r"\1", line)
    line = re.sub(r'"?\$\{\w+\[@\]\}"?', "", line)
    line = re.sub(r'"?\$\{[^}]*\}[^\s"]*"?', "FOLDER", line)
    line = re.split(r";\s|\s(?:\||&&|>|<|;|#)|\s\d?>", line)[0]
    return shlex.split(line, comments=True)[1:]


def complaints(line: str) -> list[str]:
    """What is wrong with a command line: an unknown command or option, or too many arguments."""
    if "…" in line or "..." in line:
        line = re.split(r"…|\.\.\.", line)[0]
    node, words = typer.main.get_command(make_app()), words_of(line)
    while hasattr(node, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in node.commands:
            return [f"no command {name!r}"]
        node = node.commands[name]
    options = {name: param for param in node.params for name in (*param.opts, *param.secondary_opts) if name[0] == "-"}
    options |= {"--help": None}
    told, n_arguments = [], 0
    while words:
        word = words.pop(0)
        name = word.partition("=")[0] if word.startswith("--") else word
        if not word.startswith("-"):
            n_arguments += 1
        elif name not in options:
            told.append(f"no option {name}")
        elif "=" not in word and options[name] is not None and not options[name].is_flag and words:
            words.pop(0)
    arguments = [param for param in node.params if param.param_type_name == "argument"]
    if not hasattr(node, "commands") and all(a.nargs == 1 for a in arguments) and n_arguments > len(arguments):
        told.append(f"{n_arguments} arguments, {len(arguments)} are taken")
    return told


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_in_the_docs_parses(page: Path) -> None:
    lines = commands_in(page.read_text(encoding="utf-8"), script=page.suffix == ".sh")
    assert [f"{line}: {why}" for line in lines for why in complaints(line)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_the_docs_name_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(rf"(?<![\w./-])((?:{'|'.join(OURS)})/[\w./-]*\w)", text))
    if page.suffix == ".md":
        links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text)
        named |= {str((page.parent / link).resolve().relative_to(ROOT.resolve())) for link in links}
    lost = [name for name in sorted(named) if not name.startswith(WRITTEN_BY_RUNS) and not exists(name)]
    assert lost == []


def exists(name: str) -> bool:
    return (ROOT / name).exists() or (ROOT / f"{name}.py").exists() or bool(list(ROOT.glob(f"{name}*")))


@pytest.mark.parametrize("script", sorted((ROOT / "runs").glob("*.sh")), ids=lambda path: path.name)
def test_a_script_stops_at_the_first_error_and_says_how_it_is_used(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert "set -euo pipefail" in text
    assert "Usage: runs/" in text


@pytest.mark.parametrize("toml", sorted((ROOT / "runs").glob("*.toml")), ids=lambda path: path.name)
def test_the_settings_of_runs_are_settings(toml: Path) -> None:
    import tomllib

    from deepcuts.cli.settings import CLASSES
    from deepcuts.config import make_settings

    classes = dict(CLASSES.values())
    for table in tomllib.loads(toml.read_text(encoding="utf-8")):
        make_settings(classes[table](), toml=toml, table=table)


def test_the_make_targets_in_the_docs_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for page in PAGES:
        named = re.findall(r"(?:^|`)make ([a-z]+)\b", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert set(named) <= targets, page


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("deepcuts factors plays -o factors --set n_factors=50", []),
        ("deepcuts factors plays --output=factors | head", []),
        ("deepcuts facotrs plays -o factors", ["no command 'facotrs'"]),
        ("deepcuts data tabel x.csv", ["no command 'tabel'"]),
        ("deepcuts factors plays -o factors --folds 3", ["no option --folds"]),
        ("deepcuts factors plays more -o factors", ["2 arguments, 1 are taken"]),
        ('deepcuts audio logmel "$OUT/sounds" -o "$OUT/mel" ${N:+--set n_epochs=$N} # prose', []),
    ],
)
def test_a_lie_is_noticed(line: str, wrong: list[str]) -> None:
    found = complaints(line)
    assert found[: len(wrong)] == wrong
    assert bool(found) == bool(wrong)


def test_commands_are_found_in_pages_and_scripts() -> None:
    page = "Try `deepcuts doctor`.\n```console\n$ deepcuts show x\nmake demo\n```\n"
    assert commands_in(page, script=False) == ["deepcuts show x", "deepcuts doctor"]
    assert commands_in("part() { deepcuts show a; }", script=True) == ["deepcuts show a; }"]
    assert words_of("deepcuts show a; }") == ["show", "a"]
    assert commands_in("if x; then\n  deepcuts data \\\n    split y\nfi\n", script=True) == ["deepcuts data split y"]

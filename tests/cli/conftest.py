"""A tiny planted world and what the commands make of it, once for all tests of the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = ("--set", "n_factors=6", "--set", "n_sweeps=3")


@pytest.fixture(scope="session")
def home(deepcuts: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """world/, split/, factors/, logmel/, linear/ and predicted/, all made by commands."""
    home = tmp_path_factory.mktemp("home")
    plays = home / "world/plays"
    world = [f"--set={text}" for text in ("n_songs=60", "n_users=120", "seconds=3.2", "mean_listeners=15", "n_jobs=1")]
    mel = ["--set=rate=8000", "--set=n_bands=24", "-j", "1"]
    for words in (
        ["data", "world", "-o", home / "world", *world],
        ["data", "split", plays, "-o", home / "split", "--set", "by=artist"],
        ["factors", plays, "--split", home / "split", "-o", home / "factors", *SMALL],
        ["audio", "logmel", home / "world/sounds", "-o", home / "logmel", *mel],
        ["predict", "fit", home / "logmel", home / "factors", "--encoder", "linear", "--split", home / "split",
         "-o", home / "linear"],
        ["predict", "songs", home / "linear", home / "logmel", "--split", home / "split", "-o", home / "predicted"],
    ):  # fmt: skip
        told = deepcuts(*words)
        assert told.code == 0, told.err
        assert told.out == ""  # stdout is for data; these commands have none
    return home


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    """Write a csv of plays."""

    def write(text: str, name: str = "plays.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write

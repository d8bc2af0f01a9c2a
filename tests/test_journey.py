"""The whole journey through the commands, on a tiny planted world; and the script that tells it."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).parents[1]
HEARD, CONTROLS = {"linear", "cnn"}, {"random", "shuffled", "heard_fame", "popularity", "fold_in"}
SYSTEMS = HEARD | CONTROLS | {"perfect_encoder", "bayes_listener", "audio_ceiling"}
CHEATING = {"popularity", "fold_in"}
WORLD = ("n_songs=120", "n_users=300", "seconds=4", "mean_listeners=40", "n_jobs=1")
FACTORS = ("n_factors=8", "n_sweeps=6")
CNN = ("width=16", "kernel=4", "dense=32", "window=64", "n_epochs=2", "device=cpu", "target=unit")


def sets(settings: tuple[str, ...]) -> list[str]:
    return [f"--set={text}" for text in settings]


@pytest.fixture(scope="module")
def journey(deepcuts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("journey")
    plays, split, mel = home / "world/plays", home / "split", home / "logmel"
    under = ["--split", split]
    steps = [
        ["data", "world", "-o", home / "world", *sets(WORLD)],
        ["data", "split", plays, "-o", split, "--set", "by=artist", "--set", "test=0.3"],
        ["factors", plays, *under, "-o", home / "factors", *sets(FACTORS)],
        ["audio", "logmel", home / "world/sounds", "-o", mel, "-j", "1", "--set=n_bands=40"],
        ["predict", "fit", mel, home / "factors", "--encoder", "linear", *under, "-o", home / "linear",
         "--set=target=unit"],
        ["predict", "fit", mel, home / "factors", "--encoder", "cnn", *under, "-o", home / "cnn", *sets(CNN)],
        ["predict", "songs", home / "linear", mel, *under, "-o", home / "predicted-linear"],
        ["predict", "songs", home / "cnn", mel, *under, "-o", home / "predicted-cnn"],
        ["evaluate", plays, split, home / "factors", "--system", f"linear={home}/predicted-linear",
         "--system", f"cnn={home}/predicted-cnn", "--truth", home / "world/truth", "-o", home / "evaluation"],
        ["recommend", home / "factors", "--predicted", home / "predicted-cnn", "--plays", plays, "--which", "cold",
         "-k", "5", "-o", home / "ranking"],
    ]  # fmt: skip
    for step in steps:
        told = deepcuts(*step)
        assert told.code == 0, told.err
    return home


@pytest.fixture(scope="module")
def report(journey: Path) -> dict:
    return json.loads((journey / "evaluation/report.json").read_text(encoding="utf-8"))


def check_schema(report: dict, systems: set[str] = SYSTEMS) -> None:
    """What every report promises to programs."""
    assert report["protocol"] in ("clean", "joint")
    assert isinstance(report["settings"], dict)
    assert isinstance(report["seed"], int)
    assert {row["system"] for row in report["rows"]} == systems
    for row in report["rows"]:
        for metric in ("map500", "auc"):
            one = row[metric]
            assert all(math.isfinite(one[part]) for part in ("mean", "low", "high")), row["system"]
            assert 0 <= one["low"] <= one["mean"] <= one["high"] <= 1, row["system"]
        assert row["n_users"] > 0
        assert row["n_songs"] > 0
        assert row["cheating"] is (row["system"] in CHEATING)


def test_the_report_has_every_system_with_intervals_and_counts(report: dict) -> None:
    check_schema(report)
    assert report["protocol"] == "clean"
    assert report["audit"]["passed"] is True


def test_counts_in_the_report_are_those_of_split_and_plays(journey: Path, report: dict) -> None:
    from deepcuts.artifacts import Plays, Split

    plays, split = Plays.load(journey / "world/plays"), Split.load(journey / "split")
    hidden = plays.take_songs(split.members(2))
    listeners = len(set(hidden.counts.nonzero()[0].tolist()))
    assert {(row["n_users"], row["n_songs"]) for row in report["rows"]} == {(listeners, hidden.shape[1])}


def test_the_planted_truth_comes_out_in_its_order(report: dict) -> None:
    auc = {row["system"]: row["auc"]["mean"] for row in report["rows"]}
    assert auc["audio_ceiling"] > auc["perfect_encoder"] > auc["shuffled"]
    assert auc["fold_in"] > auc["linear"] > auc["random"]
    assert auc["audio_ceiling"] > auc["cnn"]
    assert abs(auc["random"] - 0.5) < 0.1
    assert report["chance"]["auc"] == 0.5


def test_only_never_played_songs_are_recommended_five_for_everyone(journey: Path) -> None:
    table = pl.read_parquet(journey / "ranking/ranking.parquet")
    roles = pl.read_parquet(journey / "split/split.parquet")
    assert table.schema == {"user_id": pl.String, "song_id": pl.String, "score": pl.Float32, "rank": pl.Int32}
    test_songs = roles.filter(pl.col("role") == "test")["song_id"]
    assert table["song_id"].is_in(test_songs.implode()).all()
    assert (table.group_by("user_id").len()["len"] == 5).all()
    assert table["user_id"].n_unique() == 300


def test_the_page_stands_alone(journey: Path) -> None:
    page = (journey / "evaluation/report.html").read_text(encoding="utf-8")
    for system in SYSTEMS:
        assert system in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script src" not in page
    assert (journey / "evaluation/report.png").read_bytes().startswith(b"\x89PNG")


def test_no_scratch_is_left_behind(journey: Path) -> None:
    hidden = [path.name for path in journey.iterdir() if path.name.startswith(".")]
    assert hidden == []


def test_every_artifact_names_its_parents(deepcuts, journey: Path) -> None:
    def meta(name: str) -> dict:
        return json.loads(deepcuts("show", journey / name).out)

    encoder = meta("cnn")
    assert encoder["parents"]["factors"] == meta("factors")["fingerprint"]
    assert encoder["parents"]["features"] == meta("logmel")["fingerprint"]
    assert meta("predicted-cnn")["parents"]["encoder"] == encoder["fingerprint"]
    assert meta("split")["parents"]["plays"] == meta("world/plays")["fingerprint"]


@pytest.mark.slow
def test_the_demonstration_runs(tmp_path: Path) -> None:
    command = tmp_path / "bin/deepcuts"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m deepcuts "$@"\n')
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "OMP_NUM_THREADS": "1",
        "DEMO_SONGS": "120",
        "DEMO_USERS": "300",
        "DEMO_EPOCHS": "1",
    }
    out = tmp_path / "demo"
    done = subprocess.run(
        ["bash", "runs/demo.sh", str(out)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    check_schema(
        json.loads((out / "report.json").read_text(encoding="utf-8")), SYSTEMS | {"best", "content_knn", "taste"}
    )
    assert (out / "report.html").exists()
    assert pl.read_parquet(out / "ranking/ranking.parquet").height == 300 * 5
    assert "would get, of songs nobody has played:" in done.stdout

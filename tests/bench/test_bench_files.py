"""Benchmarks rot first: every one is listed, and the short ones run here, equal results and all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import run
from sides import Row

BENCH = Path(__file__).parents[2] / "bench"
# Not measured one by one: what they share, the pages, and what has a command of its own.
OTHERS = {"sides", "floors", "growth", "page", "run", "stages", "million", "paper_stages", "kill_extract", "mlr"}
OTHERS |= {"real_audio", "light", "serve_load", "ray_als", "engines", "outofcore"}


def test_every_benchmark_is_run_by_make_bench():
    assert {path.stem for path in BENCH.glob("*.py")} == set(run.WORKS) | OTHERS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["exact", "words"])
def test_a_benchmark_runs_and_writes_rows(name, tmp_path):
    path = tmp_path / "rows.json"
    subprocess.run([sys.executable, str(BENCH / f"{name}.py"), "--quick", "-o", str(path)], check=True)
    rows = [Row(**row) for row in json.loads(path.read_text())]
    assert rows
    for row in rows:
        assert row.ours > 0
        assert row.theirs > 0
        assert row.low <= row.high
        assert row.n >= 1


@pytest.mark.slow
def test_serving_without_torch_is_measured(tmp_path):
    command = [sys.executable, str(BENCH / "light.py"), "--quick", "-o", str(tmp_path / "light.json")]
    subprocess.run(command, check=True, capture_output=True)
    for row in json.loads((tmp_path / "light.json").read_text()).values():
        assert row["ratio of memory"][0] < 1


@pytest.mark.slow
def test_a_server_under_load_is_measured_beside_implicit(tmp_path):
    command = [sys.executable, str(BENCH / "serve_load.py"), "--quick", "-o", str(tmp_path / "load.json")]
    subprocess.run(command, check=True, capture_output=True)
    (result,) = json.loads((tmp_path / "load.json").read_text())
    assert len(result["rows"]) == 2 * 2 * 3  # servers, queries, numbers of connections
    assert all(row["n"] >= 1 for row in result["rows"])
    assert "| user | 64 |" in (tmp_path / "load.md").read_text()

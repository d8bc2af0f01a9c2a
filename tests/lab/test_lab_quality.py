"""The page of the quality ladder, written from numbers."""

import json
from pathlib import Path

import pytest

from deepcuts.errors import InputError
from deepcuts.lab import quality


def row(system: str, auc: float, cpu: float | None = None, kind: str = "content") -> dict[str, object]:
    def around(value: float) -> dict[str, float]:
        return {"mean": value, "low": value - 0.01, "high": value + 0.01}

    return {"system": system, "kind": kind, "cheating": False, "auc": around(auc), "map500": around(auc / 10),
            "n_users": 7, "n_songs": 5, "cpu_seconds": cpu}  # fmt: skip


def artists() -> dict[str, object]:
    comparison = {"a": "best", "b": "heard_fame", "metric": "auc", "difference": 0.12, "low": 0.1, "high": 0.14,
                  "p": 0.001}  # fmt: skip
    rows = [row("heard_fame", 0.65, kind="control"), row("best", 0.77, 31.5)]
    return {"title": "Artists", "about_text": "Made up.", "protocol": "clean", "seed": 0, "rows": rows,
            "settings": {"interval": "95 %"}, "comparisons": [comparison]}  # fmt: skip


def test_the_page_shows_every_row_best_first_with_its_cost(tmp_path: Path) -> None:
    (tmp_path / "artists.json").write_text(json.dumps(artists()))
    quality.write(tmp_path, tmp_path / "quality.md")
    lines = (tmp_path / "quality.md").read_text().splitlines()
    assert [line for line in lines if line.startswith(("| best", "| heard"))] == [
        "| best | 0.770 (0.760–0.780) | 0.0770 (0.0670–0.0870) | 31.5 | |".replace("| |", "|  |"),
        "| heard_fame | 0.650 (0.640–0.660) | 0.0650 (0.0550–0.0750) |  | control |",
    ]
    assert "- best − heard_fame, auc: +0.1200 (+0.1000 to +0.1400), p = 0.001" in lines


def test_rows_of_the_planted_world_stay_in_the_json(tmp_path: Path) -> None:
    (tmp_path / "artists.json").write_text(json.dumps(artists()))
    kept = {"planted": [row("paper", 0.65)], "artists": [], "hearing": {"paper": [0.5]}}
    (tmp_path / "quality.json").write_text(json.dumps(kept))
    quality.write(tmp_path, tmp_path / "quality.md")
    written = json.loads((tmp_path / "quality.json").read_text())
    assert written["planted"] == kept["planted"]
    assert written["hearing"] == kept["hearing"]
    assert [one["system"] for one in written["artists"]] == ["heard_fame", "best"]


def test_calibration_and_blend_are_shown(tmp_path: Path) -> None:
    number = {"auc": {"mean": 0.7, "low": 0.6, "high": 0.8}, "map": {"mean": 0.08, "low": 0.07, "high": 0.09}}
    gap = {"difference": 0.01, "low": -0.002, "high": 0.02, "p": 0.1}
    both = {parent: {"auc": gap, "map": gap} for parent in ("audio", "plays")}
    text = quality.blend_text([{"k": 5, "n_songs": 1200, "audio": number, "plays": number, "blend": number,
                                "gaps": both}])  # fmt: skip
    gaps = "+0.0100 (-0.0020 to +0.0200) | +0.0100 (-0.0020 to +0.0200) |"
    assert f"| 5 | 1,200 | 0.700 | 0.700 | 0.700 | {gaps}" in text
    assert f"| 5 | 1,200 | 0.0800 | 0.0800 | 0.0800 | {gaps}" in text
    text = quality.calibration_text([{"songs": "all songs", "n_songs": 30, "rank_correlation": 0.412,
                                      "deciles": [{"n": 15, "expected": 0.02, "actual": 0.0151}] * 2}])  # fmt: skip
    assert "all songs (30 songs): rank correlation 0.41." in text
    assert "| actual | 15.1 | 15.1 |" in text


def test_without_numbers_there_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no artists\.json"):
        quality.write(tmp_path, tmp_path / "quality.md")
    assert not (tmp_path / "quality.md").exists()

"""docs/quality.md and docs/results/quality.json, written from the numbers of the experiments."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepcuts.errors import InputError
from deepcuts.lab.results import cell, comparisons_text, how
from deepcuts.store import write_file

ARTISTS, QUALITY = "artists.json", "quality.json"
HEAD = """# Quality: what lifts recommendations of songs nobody has played

Written by `deepcuts experiment quality` from `docs/results/artists.json`; not edited by hand.
"""


def write(results: Path, page: Path) -> None:
    """Write the page and the json that sums up the ladder.

    The json keeps rows of other worlds that are already in it.

    Raises:
        InputError: `results` has no artists.json.
    """
    if not (results / ARTISTS).exists():
        raise InputError(f"{results}: has no {ARTISTS}. Run `deepcuts experiment artists DATA` first.")
    artists = json.loads((results / ARTISTS).read_text(encoding="utf-8"))
    kept: dict[str, Any] = {"planted": [], "artists": [], "hearing": {}}
    if (results / QUALITY).exists():
        kept |= json.loads((results / QUALITY).read_text(encoding="utf-8"))
    kept["artists"] = artists["rows"]
    write_file(results / QUALITY, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    write_file(page, page_text(artists))


def page_text(artists: Mapping[str, Any]) -> str:
    """The page."""
    head = f"{HEAD}\n## {artists['title']}\n\n{artists['about_text']}\n\n{how(artists)}\n"
    return f"{head}{ladder(artists['rows'])}\n{comparisons_text(artists)}"


def ladder(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of systems, best first, with what each costs."""
    lines = ["| system | AUC | mAP@500 | CPU seconds | |", "|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: -row["auc"]["mean"]):
        spent = row.get("cpu_seconds")
        remark = "sees the hidden plays" if row["cheating"] else ("control" if row["kind"] == "control" else "")
        cost = "" if spent is None else f"{spent:g}"
        lines.append(f"| {row['system']} | {cell(row['auc'], 3)} | {cell(row['map500'], 4)} | {cost} | {remark} |")
    return "\n".join(lines) + "\n"

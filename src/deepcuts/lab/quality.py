"""docs/quality.md and docs/results/quality.json, written from the numbers of the experiments."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepcuts.errors import InputError
from deepcuts.lab.results import comparisons_text, format_interval, how
from deepcuts.store import write_file

ARTISTS, PLANTED, QUALITY = "artists.json", "planted.json", "quality.json"
PLANTED_ABOUT = (
    "One split by artist, one training seed. `paper` is one CNN of raw targets, `cnn` one of unit targets; `small` is "
    "ridge regression on timbre and lagged covariances, `best` adds relevance learned in rounds; `best_taste` replaces "
    "the users by tastes in the space that `best` hears, `best_stacked` puts these beside them; `direct_ears` is the "
    "CNN taught by the true latents themselves. Beware: the design of `best` was chosen while looking at test songs "
    "of this very world (docs/log.md), so another world is its clean check."
)
CALIBRATION_ABOUT = (
    "Squared error of a factor, in thousandths, by decile of what was expected. The actual error is measured against "
    "factors from the hidden plays, which are noisy where a song has few listeners; no sound foretells how many it "
    "will have. The third table adds that noise, learned from other songs. Expected errors lie above actual ones: "
    "they were measured against factors learned together with the users, which hold more of their own noise."
)
BLEND_ABOUT = (
    "Half of the users give k plays of every song, the other half must find it. `audio` looks at no play, `plays` at "
    "these alone. Tables of different k hold different songs: only those with enough listeners."
)
HEAD = """# Quality: what lifts recommendations of songs nobody has played

Written by `deepcuts experiment quality` from `docs/results/artists.json` and `planted.json`; not edited by hand.
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
    planted = None
    if (results / PLANTED).exists():
        planted = json.loads((results / PLANTED).read_text(encoding="utf-8"))
        kept |= {"planted": planted["rows"], "hearing": planted["hearing"]}
    write_file(results / QUALITY, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    write_file(page, page_text(artists, planted))


def page_text(artists: Mapping[str, Any], planted: Mapping[str, Any] | None = None) -> str:
    """The page."""
    head = f"{HEAD}\n## {artists['title']}\n\n{artists['about_text']}\n\n{how(artists)}\n"
    text = f"{head}{ladder(artists['rows'])}\n{comparisons_text(artists)}"
    text += f"\n{blend_text(artists['blend'])}" if "blend" in artists else ""
    return text if planted is None else f"{text}\n{planted_text(planted)}"


def planted_text(content: Mapping[str, Any]) -> str:
    """The planted ladder: rows, comparisons, and what of each true latent is heard."""
    head = f"## {content['title']}\n\n{PLANTED_ABOUT}\n\n{how(content)}\n"
    parts = [f"{head}{ladder(content['rows'])}", comparisons_text(content), hearing_text(content["hearing"])]
    parts += [calibration_text(content["calibration"])] if "calibration" in content else []
    parts += [blend_text(content["blend"])] if "blend" in content else []
    return "\n".join(parts)


def calibration_text(tables: Sequence[Mapping[str, Any]]) -> str:
    """Expected against actual errors by decile, and the rank correlation over single songs."""
    lines = ["### How sure: expected against actual errors of `best`", "", CALIBRATION_ABOUT, ""]
    for one in tables:
        n = len(one["deciles"])
        lines += [f"{one['songs']} ({one['n_songs']:,} songs): rank correlation {one['rank_correlation']:.2f}.", ""]
        lines += ["| decile | " + " | ".join(str(at + 1) for at in range(n)) + " |", "|---" * (n + 1) + "|"]
        lines += [f"| {name} | " + " | ".join(f"{decile[name] * 1000:.1f}" for decile in one["deciles"]) + " |"
                  for name in ("expected", "actual")]  # fmt: skip
        lines.append("")
    return "\n".join(lines)


def blend_text(tables: Sequence[Mapping[str, Any]]) -> str:
    """The blend and both its parents at several numbers of plays, a table for each metric."""
    lines = ["### Sound and plays together: the blend at k plays", "", BLEND_ABOUT, ""]
    for metric, title, digits in (("auc", "AUC", 3), ("map", "mAP@500", 4)):
        lines += [f"| {title}: k | songs | audio | plays | blend | blend − audio | blend − plays |", "|---" * 7 + "|"]
        for one in tables:
            means = [f"{one[name][metric]['mean']:.{digits}f}" for name in ("audio", "plays", "blend")]
            gaps = [f"{gap['difference']:+.4f} ({gap['low']:+.4f} to {gap['high']:+.4f})"
                    for gap in (one["gaps"][parent][metric] for parent in ("audio", "plays"))]  # fmt: skip
            lines.append("| " + " | ".join([str(one["k"]), f"{one['n_songs']:,}", *means, *gaps]) + " |")
        lines.append("")
    return "\n".join(lines)


def hearing_text(heard: Mapping[str, Sequence[float]]) -> str:
    """R² of each true latent by system."""
    n = len(next(iter(heard.values())))
    lines = ["### What is heard: R² of each true latent", "",
             "| system | " + " | ".join(str(at + 1) for at in range(n)) + " |", "|---" * (n + 1) + "|"]  # fmt: skip
    lines += [f"| {name} | " + " | ".join(f"{one:.2f}" for one in row) + " |" for name, row in heard.items()]
    return "\n".join(lines) + "\n"


def ladder(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of systems, best first, with what each costs."""
    lines = ["| system | AUC | mAP@500 | CPU seconds | |", "|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: -row["auc"]["mean"]):
        spent = row.get("cpu_seconds")
        remark = "sees the hidden plays" if row["cheating"] else ("control" if row["kind"] == "control" else "")
        cost = "" if spent is None else f"{spent:g}"
        scores = f"{format_interval(row['auc'], 3)} | {format_interval(row['map500'], 4)}"
        lines.append(f"| {row['system']} | {scores} | {cost} | {remark} |")
    return "\n".join(lines) + "\n"

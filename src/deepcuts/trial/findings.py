"""What a search found: a table of its trials, the best settings as a file, and how much they gain."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from deepcuts import store
from deepcuts.evaluate import EvaluateSettings, compare, evaluate, relevant_plays
from deepcuts.trial.search import Start, Task, TuneSettings, learned, with_values

SETTINGS, TABLE, PAGE, REPORT = "settings.toml", "trials.csv", "trials.md", "report.json"
AUDITED = (
    "Every trial was audited: no play of a validation song reached its factors, its encoder or its users.",
    "The plays of the split's test songs were removed before the first trial.",
)


def best_trial(trials: Sequence[Mapping[str, Any]], metric: str) -> Mapping[str, Any]:
    """The trial with the highest score; of equal ones the first."""
    return max((one for one in trials if "error" not in one), key=lambda one: one[metric])


def ranked(trials: Sequence[Mapping[str, Any]], metric: str) -> list[Mapping[str, Any]]:
    """Best first; trials that failed come last."""
    return sorted(trials, key=lambda one: -one.get(metric, -1.0))


def gain(task: Task, start: Start, best: Start, encoder: str, seed: int) -> dict[str, Any]:
    """How much better the best settings are than those to start from, paired, on the validation songs.

    The best of many trials is lucky on the songs that chose it, so the gain is hopeful; test songs tell.

    Returns:
        for "map" and "auc": difference, low, high, p.
    """
    made = [learned(task, one, encoder) for one in (start, best)]
    systems = [replace(system, name=name) for name, (system, _, _) in zip(("start", "best"), made, strict=True)]
    hidden = relevant_plays(task.plays, made[0][2], made[0][1])
    evaluation = evaluate(systems, hidden, EvaluateSettings(seed=seed))
    return {metric: compare(evaluation, "best", "start", metric) for metric in ("map", "auc")}


def write_findings(
    folder: Path, task: Task, trials: Sequence[Mapping[str, Any]], start: Start, settings: TuneSettings
) -> dict[str, Any]:
    """Write settings.toml, trials.csv, trials.md and report.json.

    Returns:
        what report.json holds: best (its trial), gain, n_trials, n_failed, seconds, n_users, n_songs, audit, settings.
    """
    best = best_trial(trials, settings.metric)
    values = with_values(start, best["settings"], settings)
    usual = with_values(start, {}, settings)
    report = {
        "encoder": settings.encoder, "metric": settings.metric, "best": dict(best),
        "gain": None if values == usual else gain(task, usual, values, settings.encoder, settings.seed),
        "n_trials": len(trials), "n_failed": sum("error" in one for one in trials),
        "seconds": round(sum(one["seconds"] for one in trials), 1), "n_users": best["n_users"],
        "n_songs": best["n_songs"],
        "audit": {"passed": True, "unseen_test_songs": task.unseen, "checks": list(AUDITED)},
        "settings": asdict(settings),
    }  # fmt: skip
    store.write_file(folder / SETTINGS, settings_text(values, settings, best))
    store.write_file(folder / TABLE, table_text(trials, settings.metric))
    store.write_file(folder / PAGE, page_text(trials, report))
    store.write_file(folder / REPORT, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return report


def settings_text(values: Start, settings: TuneSettings, best: Mapping[str, Any]) -> str:
    """A settings file for `deepcuts factors` and `deepcuts predict fit --encoder NAME`."""
    head = (f"# Found by `deepcuts tune` on validation songs: trial {best['number']}, "
            f"mAP@500 {best['map']:.4f}, AUC {best['auc']:.4f}.\n")  # fmt: skip
    tables = {"factors": asdict(values[0]), settings.encoder: asdict(values[1])}
    return head + "".join(
        f"\n[{name}]\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )


def toml_value(value: Any) -> str:
    """A value as TOML writes it; None is the text "none"."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else json.dumps("none" if value is None else value)


def columns_of(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that any trial has, in their order."""
    return list(dict.fromkeys(name for one in trials for name in one["settings"]))


def row_of(trial: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """One trial: number, map, auc, seconds, its settings, error."""
    scores = [f"{trial[metric]:.6f}" if metric in trial else "" for metric in ("map", "auc")]
    chosen = [shown(trial["settings"].get(name)) for name in names]
    return [str(trial["number"]), *scores, f"{trial['seconds']:g}", *chosen, trial.get("error", "")]


def shown(value: Any) -> str:
    """A value with four digits at most."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table_text(trials: Sequence[Mapping[str, Any]], metric: str) -> str:
    """All trials as csv, best first."""
    names, out = columns_of(trials), io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["trial", "map500", "auc", "seconds", *names, "error"])
    writer.writerows(row_of(one, names) for one in ranked(trials, metric))
    return out.getvalue()


def page_text(trials: Sequence[Mapping[str, Any]], report: Mapping[str, Any], n_shown: int = 20) -> str:
    """The best trials as a page, with what they rest on."""
    names, chosen = columns_of(trials), ranked(trials, report["metric"])[:n_shown]
    lines = [f"# Settings of `{report['encoder']}`, searched on validation songs", "",
             f"{report['n_trials']} trials ({report['n_failed']} failed) in {report['seconds']:g} s · "
             f"{report['n_songs']:,} validation songs, {report['n_users']:,} users who play them · seed "
             f"{report['settings']['seed']}. {' '.join(report['audit']['checks'])}", ""]  # fmt: skip
    if report["gain"]:
        told = "; ".join(
            f"{name} {one['difference']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f})"
            for name, one in (("mAP@500", report["gain"]["map"]), ("AUC", report["gain"]["auc"]))
        )
        lines += [f"Best against the settings to start from, on the very songs that chose it, so hopeful: {told}.", ""]
    head = ["trial", "mAP@500", "AUC", "s", *names, ""]
    lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(cell.replace("|", "/") for cell in row_of(one, names)) + " |" for one in chosen]
    return "\n".join(lines) + "\n"

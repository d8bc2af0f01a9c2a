"""Write an evaluation down: report.json for machines, report.html and report.png for people, a table for the terminal.

Every evaluation has the one schema of `report_content`. Rows are sorted, best mAP first.
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepcuts import store
from deepcuts.evaluate.audit import AuditReport
from deepcuts.evaluate.buckets import auc_by_plays
from deepcuts.evaluate.html import page
from deepcuts.evaluate.picture import draw_report
from deepcuts.evaluate.popularity import popularity_bins
from deepcuts.evaluate.systems import WITH_INTERVALS, Evaluation, Row, compare
from deepcuts.store import Meta, write_file, write_meta, writing


def report_content(
    evaluation: Evaluation,
    *,
    audit: AuditReport | None = None,
    comparisons: Sequence[tuple[str, str]] | None = None,
    title: str = "Evaluation",
    about: Mapping[str, Any] | None = None,
    details: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """What report.json holds.

    Args:
        audit: what was proven before; None writes that no audit was made.
        comparisons: pairs of system names; None takes `default_comparisons`.
        title: of the page.
        about: anything to be kept with the numbers, such as the data set, split and sizes.
        details: system → what its row shall hold besides, such as the measures of its lists (`trial.details`).
    Returns:
        title, protocol, settings, seed, map_key ("map500"), chance, n_users, n_songs, n_bootstrap_users,
        users_left_out, rows, comparisons, audit, about. Numbers that are undefined are null.
    """
    settings = evaluation.settings
    key = f"map{settings.at}"
    rows = sorted(evaluation.rows, key=lambda row: -row.mean("map"))
    pairs = default_comparisons(rows) if comparisons is None else comparisons
    content = {
        "title": title,
        "protocol": evaluation.protocol,
        "settings": dataclasses.asdict(settings),
        "seed": settings.seed,
        "map_key": key,
        "chance": {key: evaluation.random_map, "auc": 0.5},
        "n_users": evaluation.n_users,
        "n_songs": evaluation.n_songs,
        "n_bootstrap_users": evaluation.n_bootstrap_users,
        "users_left_out": dict(evaluation.left_out),
        "rows": [{**_row_content(evaluation, row, key), **(details or {}).get(row.name, {})} for row in rows],
        "comparisons": [
            {"a": a, "b": b, "metric": key if metric == "map" else metric, **compare(evaluation, a, b, metric)}
            for a, b in pairs
            for metric in WITH_INTERVALS
        ],
        "audit": audit.as_dict() if audit else {"passed": None, "checks": []},
        "about": dict(about or {}),
    }
    return without_nan(content)


def default_comparisons(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """The best content system against the others and the controls, leaving out ceilings and rows that cheat."""
    honest = [row for row in rows if not row.cheating and row.kind != "ceiling"]
    best = next((row.name for row in honest if row.kind == "content"), None)
    return [(best, row.name) for row in honest if row.name != best] if best else []


def _row_content(evaluation: Evaluation, row: Row, key: str) -> dict[str, Any]:
    short = evaluation.settings.short_at
    content: dict[str, Any] = {"system": row.name, "kind": row.kind, "cheating": row.cheating, "note": row.note}
    content["protocol"] = row.protocol
    for metric, name in (("map", key), ("auc", "auc")):
        low, high = evaluation.interval(row.name, metric)
        content[name] = {"mean": row.mean(metric), "low": low, "high": high}
    content[f"recall{short}"], content[f"ndcg{short}"] = row.mean("recall"), row.mean("ndcg")
    content |= {"n_users": evaluation.n_users, "n_songs": evaluation.n_songs}
    content |= {"users_left_out": dict(evaluation.left_out), "tied": row.tied}
    content["auc_by_popularity"] = popularity_bins(evaluation, row.name)
    content["by_plays"] = auc_by_plays(evaluation, row.name)
    return content


def without_nan(value: Any) -> Any:
    """JSON has no NaN: null instead."""
    if isinstance(value, dict):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_report(
    evaluation: Evaluation,
    folder: Path | str,
    *,
    audit: AuditReport | None = None,
    comparisons: Sequence[tuple[str, str]] | None = None,
    title: str = "Evaluation",
    about: Mapping[str, Any] | None = None,
    details: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Write report.json, report.html (one file, nothing loaded from elsewhere) and report.png, whole or not at all.

    Args: as in `report_content`.
    Returns:
        what report.json holds.
    """
    content = report_content(
        evaluation, audit=audit, comparisons=comparisons, title=title, about=about, details=details
    )
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    image = draw_report(content)
    with writing(folder) as scratch:
        write_file(scratch / "report.json", text)
        write_file(scratch / "report.png", image)
        write_file(scratch / "report.html", page(content, image))
        shape = {"n_systems": len(evaluation.rows), "n_users": evaluation.n_users, "n_songs": evaluation.n_songs}
        parents = dict(audit.parties) if audit else {}
        write_meta(scratch, Meta("report", store.fingerprint(text), parents, content["settings"], shape))
    return content


def read_report(folder: Path | str) -> dict[str, Any]:
    """What report.json of a report folder holds.

    Raises:
        ArtifactError: missing, half-written or not a report.
    """
    store.read_meta(folder, "report")
    return json.loads((Path(folder) / "report.json").read_text(encoding="utf-8"))


def table_text(evaluation: Evaluation) -> str:
    """The rows as an aligned plain table for the terminal, best mAP first, with intervals and what was counted."""
    settings = evaluation.settings
    head = ["system", f"mAP@{settings.at}", "interval", "AUC", "interval", ""]
    lines = [head]
    for row in sorted(evaluation.rows, key=lambda row: -row.mean("map")):
        line = [row.name]
        for metric, digits in (("map", 4), ("auc", 3)):
            low, high = evaluation.interval(row.name, metric)
            line += [f"{row.mean(metric):.{digits}f}", f"{low:.{digits}f}..{high:.{digits}f}"]
        lines.append([*line, "has seen hidden plays" if row.cheating else ""])
    lines.append(["(chance)", f"{evaluation.random_map:.4f}", "", "0.500", "", ""])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    table = []
    for line in lines:
        cells = [line[0].ljust(widths[0])] + [
            cell.rjust(width) for cell, width in zip(line[1:5], widths[1:5], strict=True)
        ]
        table.append("  ".join([*cells, line[5]]).rstrip())
    left = ", ".join(f"{n:,} {why}" for why, n in evaluation.left_out.items())
    table.append(
        f"{evaluation.n_users:,} users, {evaluation.n_songs:,} test songs, {evaluation.protocol} protocol, "
        f"{settings.level:.0%} intervals over users and songs. Users left out: {left}."
    )
    return "\n".join(table)

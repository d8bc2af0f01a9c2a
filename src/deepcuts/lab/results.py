"""Pages made from numbers: nobody types a result by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepcuts.errors import InputError
from deepcuts.store import write_file

BEGIN, END = "<!-- results: written by `deepcuts experiment pages` -->", "<!-- end of results -->"
# Which files make the page, in order; each was written by the command beside it.
PARTS = {
    "demo.json": "make demo",
    "artists.json": "deepcuts experiment artists ../shared/data",
    "lastfm.json": "runs/lastfm.sh ../shared/data",
    "real_paper.json": "runs/lastfm.sh ../shared/data",
    "taste_profile.json": "runs/taste_profile.sh ../shared/data",
    "real_audio.json": "runs/real_audio.sh",
    "fuzz.json": "make fuzz",
    "paper_stages.json": "python bench/paper_stages.py",
    "choose.json": "deepcuts experiment choose",
}
IN_README = ("demo.json", "artists.json")


def write_pages(folder: Path, page: Path, readme: Path) -> None:
    """Write the page of all results, and the block between the marks of the README.

    Raises:
        InputError: the README has no marks, or there are no results.
    """
    parts = {name: read(folder / name) for name in PARTS if (folder / name).exists()}
    if not parts:
        raise InputError(f"{folder}: holds no results. Run an experiment first.")
    head = (
        "# Results\n\nWritten by `deepcuts experiment pages` from the files in `docs/results/`; not edited by hand.\n"
    )
    body = "".join(section(name, content) for name, content in parts.items())
    write_file(page, head + body + paper_reports(folder, page))
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise InputError(f"{readme}: lacks the marks {BEGIN!r} and {END!r}. Put them where the results belong.")
    before, rest = text.split(BEGIN, 1)
    block = "".join(short_section(name, parts[name]) for name in IN_README if name in parts)
    write_file(readme, f"{before}{BEGIN}\n{block}\n{END}{rest.split(END, 1)[1]}")


def paper_reports(folder: Path, page: Path) -> str:
    """Links to the reports of `deepcuts reproduce`."""
    found = sorted(folder.glob("paper-*.md"))
    if not found:
        return ""
    links = [f"- [{one.stem}]({one.relative_to(page.parent).as_posix()})" for one in found]
    return "\n## The paper, table by table\n\nCommand: `deepcuts reproduce`\n\n" + "\n".join(links) + "\n"


def read(path: Path) -> dict[str, Any]:
    """One file of numbers."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def section(name: str, content: Mapping[str, Any]) -> str:
    """One chapter of the page."""
    lines = [f"\n## {content.get('title', name)}\n", f"Command: `{PARTS[name]}` · numbers: `docs/results/{name}`\n"]
    if content.get("about_text"):
        lines.append(content["about_text"] + "\n")
    if content.get("picture"):
        lines.append(f"![{content.get('title', name)}](results/{content['picture']})\n")
    if "rows" in content:
        lines += [how(content), rows_markdown(content["rows"]), comparisons_text(content)]
    for title, table in content.get("tables", {}).items():
        lines += [f"\n### {title}\n", table_markdown(table)]
    return "\n".join(lines) + "\n"


def short_section(name: str, content: Mapping[str, Any]) -> str:
    """What the README shows of it."""
    picture = "\n![mAP and AUC of every row with intervals](docs/results/demo.png)\n" if name == "demo.json" else ""
    head = f"\n**{content.get('title', name)}** (`{PARTS[name]}`)\n"
    return f"{head}\n{how(content)}\n{rows_markdown(content['rows'])}{picture}\n"


def how(content: Mapping[str, Any]) -> str:
    """Protocol, n and kind of interval, in one line."""
    settings, first = content["settings"], content["rows"][0]
    interval = settings.get("interval", f"{100 * settings.get('level', 0.95):.0f} %, bootstrap over users and songs")
    return (
        f"Protocol: {content['protocol']} · {first['n_songs']:,} cold songs · {first['n_users']:,} users with hidden "
        f"plays of them · seed {content['seed']} · interval: {interval}.\n"
    )


def format_interval(number: Mapping[str, float], digits: int) -> str:
    """`.194 (.180–.208)`."""
    return f"{number['mean']:.{digits}f} ({number['low']:.{digits}f}–{number['high']:.{digits}f})"


def rows_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of systems."""
    lines = ["| system | AUC | mAP@500 | |", "|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: -row["auc"]["mean"]):
        remark = "sees the hidden plays" if row.get("cheating") else ""
        lines.append(
            f"| {row['system']} | {format_interval(row['auc'], 3)} | {format_interval(row['map500'], 4)} | {remark} |"
        )
    return "\n".join(lines) + "\n"


def rows_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table for a terminal."""
    head = f"{'system':<18}{'AUC':>24}{'mAP@500':>27}"
    lines = [
        f"{row['system']:<18}{format_interval(row['auc'], 3):>24}{format_interval(row['map500'], 4):>27}"
        for row in rows
    ]
    return "\n".join([head, *lines])


def comparisons_text(content: Mapping[str, Any]) -> str:
    """Paired comparisons, a line each."""
    pairs = content.get("comparisons", [])
    if not pairs:
        return ""
    lines = ["Paired comparisons:\n"]
    floor = 2 / (content["settings"].get("n_bootstrap", 10**9) + 1)  # no bootstrap can tell a smaller p
    for one in pairs:
        p_text = f"p ≤ {floor:.2g}" if one["p"] <= floor * 1.001 else f"p = {one['p']:.2g}"
        lines.append(
            f"- {one['a']} − {one['b']}, {one['metric']}: {one['difference']:+.4f} "
            f"({one['low']:+.4f} to {one['high']:+.4f}), {p_text}"
        )
    return "\n".join(lines) + "\n"


def table_markdown(table: Sequence[Mapping[str, Any]]) -> str:
    """Any list of rows as a table."""
    if not table:
        return "(empty)\n"
    names = list(table[0])
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in table]
    return "\n".join(lines) + "\n"

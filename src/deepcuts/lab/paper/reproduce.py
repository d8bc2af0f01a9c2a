"""The whole paper in one call: every table and figure on a planted world, beside the paper's own numbers.

Parts are kept in the work folder as they are finished: a run that was killed goes on, and a run that is complete only
writes its report again.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts.artifacts import ROLE_NAMES
from deepcuts.checks import did_you_mean
from deepcuts.errors import SettingError
from deepcuts.evaluate.picture import draw_report
from deepcuts.lab.paper.figure1 import figure1, picture1
from deepcuts.lab.paper.report import report_text
from deepcuts.lab.paper.settings import PaperSettings
from deepcuts.lab.paper.systems import chosen_price, learned_metric, price_scores
from deepcuts.lab.paper.table1 import table1
from deepcuts.lab.paper.table2 import table2
from deepcuts.lab.paper.table3 import table3
from deepcuts.lab.paper.table4 import table4
from deepcuts.lab.paper.tags51 import tags51
from deepcuts.lab.paper.world import PaperWorld, build_world, regularization, regularization_scores
from deepcuts.store import write_file

log = logging.getLogger(__name__)

# In the order of the work, not of the paper: what is shared comes first.
PARTS: dict[str, Callable[[PaperWorld], dict[str, Any]]] = {
    "table2": table2,
    "table3": table3,
    "table1": table1,
    "table4": table4,
    "tags51": tags51,
    "figure1": figure1,
}


def reproduce(settings: PaperSettings, name: str, work: Path, output: Path) -> dict[str, Any]:
    """Run what is not there yet, and write `paper-NAME.md`, `.json` and the figures.

    Args:
        name: of the scale; the protocol and the split are added where they are not the default.
        work: scratch folder, some 2 GB at `small` and 20 GB at `paper`; may be shared by all scales.
        output: folder of the report.
    Returns:
        what the .json holds.
    """
    began, used = time.monotonic(), time.process_time()
    world = build_world(settings, work)
    log.info("world of %d songs and %d users is there", *world.plays.shape[::-1])
    parts = {}
    for number, (title, make) in enumerate(PARTS.items(), start=1):
        since = time.process_time()
        parts[title] = make(world)
        log.info("%s is there (%d of %d), %.0f s of CPU", title, number, len(PARTS), time.process_time() - since)
    stem = report_stem(settings, name)
    pictures = {f"{stem}-figure1.png": picture1(world, parts["figure1"]["rows"])}
    for title in ("table2", "table3"):
        pictures[f"{stem}-{title}.png"] = draw_report(parts[title], dpi=110)
    content = report_content(world, name, parts)
    for file, picture in pictures.items():
        write_file(output / file, picture)
    write_file(output / f"{stem}.json", json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_file(output / f"{stem}.md", report_text(content, stem))
    log.info("done in %.0f s, %.0f s of CPU in this process", time.monotonic() - began, time.process_time() - used)
    return content


def one_part(settings: PaperSettings, title: str, work: Path) -> Any:
    """One part alone, and what it needs: the rows of a key of PARTS, or the facts of the "world".

    Raises:
        SettingError: no such part.
    """
    if title not in ("world", *PARTS):
        raise SettingError(f"part {title!r}: unknown.{did_you_mean(title, ['world', *PARTS])}")
    world = build_world(settings, work)
    return world_facts(world) if title == "world" else PARTS[title](world)["rows"]


def report_stem(settings: PaperSettings, name: str) -> str:
    """`paper-small`, or `paper-small-song-joint` for a run by song under the joint protocol."""
    marks = ["paper", name]
    marks += ["song"] if settings.by == "song" else []
    marks += ["joint"] if settings.protocol == "joint" else []
    return "-".join(marks)


def report_content(world: PaperWorld, name: str, parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Everything that was measured: one list of rows a table, and what stands beside them."""
    settings = world.settings
    order = sorted(parts)
    claims = [one for title in ("table2", "tags51", "table4") for one in parts[title].pop("claims")]
    return {
        "title": f"The paper's experiments on a planted world ({name})",
        "scale": name,
        "protocol": settings.protocol,
        "seed": settings.seed,
        "settings": {**asdict(settings), "level": settings.evaluation().level},
        "world": world_facts(world),
        "chosen": choices(world),
        "claims": sorted(claims, key=lambda one: one["claim"]),
        "tables": {title: parts[title].pop("rows") for title in order},
        "beside": {title: parts[title] for title in order},
    }


def world_facts(world: PaperWorld) -> dict[str, Any]:
    """Sizes and density."""
    n_users, n_songs = world.plays.shape
    listeners = np.bincount(world.plays.counts.indices, minlength=n_songs)
    roles = {name: int((world.split.roles == role).sum()) for role, name in enumerate(ROLE_NAMES)}
    return {
        "n_users": n_users,
        "n_songs": n_songs,
        "n_plays": world.plays.n_plays,
        "density": world.plays.n_plays / (n_users * n_songs),
        "median_listeners": float(np.median(listeners)),
        "roles": roles,
        "bag_components": world.bag.n_channels,
        "n_artists": int(world.plays.songs_table["artist"].n_unique()),
    }


def choices(world: PaperWorld) -> dict[str, Any]:
    """What validation songs chose, and the AUC that each candidate had there."""
    settings, metric = world.settings, learned_metric(world, chosen_price(world))
    return {
        "mlr_converged": metric.converged,
        "mlr_rounds": metric.history.height,
        "regularization": regularization(world),
        "regularization_auc": regularization_scores(world) if settings.regularization is None else {},
        "mlr_price": chosen_price(world),
        "mlr_price_auc": price_scores(world) if settings.mlr_price is None else {},
    }

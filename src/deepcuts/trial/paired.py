"""Two trials, or two systems of one trial, compared user by user from the tables that they keep."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from deepcuts.artifacts.vocabulary import read_parquet
from deepcuts.errors import ArtifactError, InputError
from deepcuts.evaluate.bootstrap import compare_draws
from deepcuts.evaluate.buckets import auc_gaps, buckets_of
from deepcuts.evaluate.folds import mean_over_folds, paired_over_folds

METRICS = ("map", "auc")
FOLD = ("seed", "fold")
TELLTALE = "popularity"  # the row that depends on the folds alone: it must be the same in both trials
N_DRAWS = 1000


@dataclass(frozen=True)
class Tried:
    """One system of a trial.

    Attributes:
        name: of the system.
        report: report.json of the trial.
        users: seed · fold · user_id · map · auc of the system; telltale: the same of the row "popularity".
        songs: seed · fold · song_id · listeners · auc of the system.
    """

    name: str
    report: dict[str, Any]
    users: pl.DataFrame
    telltale: pl.DataFrame
    songs: pl.DataFrame


def is_trial(folder: Path) -> bool:
    """Whether a folder was written by `deepcuts trial`."""
    return folder.is_dir() and (folder / "users.parquet").exists() and (folder / "report.json").exists()


def read_trial(folder: Path, system: str = "") -> Tried:
    """One system of a trial; its encoder when none is named.

    Raises:
        ArtifactError: the folder lacks a table (it is of an older version, say), or one is damaged.
        InputError: no such system in it.
    """
    try:
        report = dict(json.loads((folder / "report.json").read_text(encoding="utf-8")))
        users, songs = read_parquet(folder / "users.parquet"), read_parquet(folder / "songs.parquet")
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder}: not a whole trial ({error}). Run `deepcuts trial` again.") from error
    name = system or str(report.get("settings", {}).get("encoder", ""))
    names = users["system"].unique().sort().to_list()
    if name not in names:
        raise InputError(f"{folder}: no system {name!r} was tried: {', '.join(names)}.")
    own, other = (users.filter(pl.col("system") == one).drop("system") for one in (name, TELLTALE))
    return Tried(name, report, own, other, songs.filter(pl.col("system") == name).drop("system"))


def compare_trials(a: Tried, b: Tried, names: tuple[str, str], level: float = 0.95, seed: int = 0) -> dict[str, Any]:
    """How much better one system is than the other, paired by fold, user and song.

    With several folds the interval is Student's t over folds, corrected for their overlap; with one fold, a bootstrap
    over users.

    Returns:
        what comparison.json holds; see `trial.compare.compare_systems`.
    Raises:
        InputError: trials over other folds, plays or songs; the row "popularity" tells.
    """
    refuse_other_folds(a, b)
    keys = [*FOLD, "user_id"]
    both = a.users.join(b.users, on=keys, suffix="_b", validate="1:1").sort(keys)
    songs = a.songs.join(b.songs, on=[*FOLD, "song_id", "listeners"], suffix="_b", validate="1:1").sort(
        [*FOLD, "song_id"]
    )
    n_folds = both.select(FOLD).unique().height
    share = 1 / int(a.report["settings"]["n_folds"]) if int(a.report["settings"]["n_folds"]) > 1 else 0.2
    listeners = songs["listeners"].to_numpy()
    auc = [songs[column].fill_null(float("nan")).to_numpy() for column in ("auc", "auc_b")]
    groups = auc_gaps(auc[0], auc[1], listeners, buckets_of(listeners), level=level, n_draws=N_DRAWS, seed=seed)
    interval = "Student's t over folds, corrected for overlap" if n_folds > 1 else "bootstrap over users"
    return {
        "title": f"{names[0]} against {names[1]}: songs nobody has played",
        "a": names[0], "b": names[1], "protocol": a.report["protocol"], "map_key": a.report["map_key"],
        "n_users": both["user_id"].n_unique(), "n_songs": songs["song_id"].n_unique(), "n_folds": n_folds,
        "left_out": {"pairs of fold and user that one trial lacks": len(a.users) + len(b.users) - 2 * len(both)},
        "rows": [{"system": name, **{metric: spread(both, metric + end, share, level) for metric in METRICS}}
                 for name, end in zip(names, ("", "_b"), strict=True)],
        "effects": [{"metric": metric, **effect(both, metric, share, level, seed)} for metric in METRICS],
        "groups": {"by_plays": groups},
        "audit": {"protocol": a.report["protocol"], "passed": True,
                  "checks": ["Both trials were audited when they ran.",
                             "Both rank the same hidden plays: their popularity rows are equal."]},
        "settings": {"level": level, "n_bootstrap": N_DRAWS, "seed": seed, "interval": interval},
        "split": {"by": a.report["settings"].get("by")},
    }  # fmt: skip


def refuse_other_folds(a: Tried, b: Tried) -> None:
    """Refuse trials whose folds hide other plays."""
    keys = [*FOLD, "user_id"]
    one, two = a.telltale.sort(keys), b.telltale.sort(keys)
    if not one.equals(two, null_equal=True):
        raise InputError(
            f"compare: the trials of {a.name} and {b.name} hide other plays ({len(one):,} and {len(two):,} pairs of "
            "fold and user). Try both with the same plays, songs, --by, --folds and --seeds."
        )


def fold_means(both: pl.DataFrame, column: str) -> np.ndarray:
    """The mean over users of each fold [n_folds]."""
    return both.group_by(FOLD, maintain_order=True).agg(pl.col(column).mean())[column].to_numpy()


def spread(both: pl.DataFrame, column: str, share: float, level: float) -> dict[str, float]:
    """Mean of one system with its interval over folds; without one for a single fold."""
    values = fold_means(both, column)
    if len(values) < 2:
        return {"mean": float(values[0]), "low": float("nan"), "high": float("nan")}
    told = mean_over_folds(values.tolist(), level, test_share=share)
    return {name: told[name] for name in ("mean", "low", "high")}


def effect(both: pl.DataFrame, metric: str, share: float, level: float, seed: int) -> dict[str, float]:
    """The paired difference with interval and p."""
    a, b = fold_means(both, metric), fold_means(both, f"{metric}_b")
    if len(a) > 1:
        return paired_over_folds(a.tolist(), b.tolist(), level, test_share=share)
    gaps = (both[metric] - both[f"{metric}_b"]).drop_nulls().to_numpy()
    drawn = np.random.default_rng(seed).integers(len(gaps), size=(N_DRAWS, len(gaps)))
    return compare_draws(float(gaps.mean()), gaps[drawn].mean(axis=1), level)

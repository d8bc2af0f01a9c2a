"""The real benchmark with power: Last.fm artists nobody has played, known by the audio statistics of one track each.

Folds by group (artists that share a name never part), several seeds. The plays of a fold's artists are removed before
anything is learned; its artists are then ranked for every listener who plays one of them. One track an artist, on
purpose: with all tracks averaged, the norm of the mean would tell how many tracks, and so how famous, an artist is.
"""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from deepcuts.artifacts import CLEAN, Factors, Features, Plays, SongFactors, Split
from deepcuts.audio.table import features_of_table, read_numbers
from deepcuts.config import require
from deepcuts.data import LastfmSettings, SplitSettings, folds, read_lastfm
from deepcuts.evaluate import EvaluateSettings, audit, evaluate, relevant_plays
from deepcuts.evaluate.folds import mean_over_folds, paired_over_folds
from deepcuts.factors import WmfSettings, fit, fit_sizes
from deepcuts.lab.artists_blend import blend_of_fold
from deepcuts.predict import KernelSettings, LinearSettings, TreesSettings, fit_encoder, predict_songs
from deepcuts.predict.stack import StackSettings
from deepcuts.progress import progress
from deepcuts.store import write_file
from deepcuts.trial.details import details_of, mean_details
from deepcuts.trial.rivals import content_rivals
from deepcuts.trial.rows import system_of, with_controls

log = logging.getLogger(__name__)

PLAYS, TABLE = "lastfm/hetrec2011-lastfm-2k.zip", "lastfm_artist_track_audio.csv"
WMF = WmfSettings(n_factors=64, alpha=10.0, epsilon=100.0, regularization=50.0, n_sweeps=12)
BEST_WMF = WMF  # of `best`; the reference rows keep the settings that the benchmark came with
SIZES = (8, 16, 32, 64, 128)
SHARED: dict[str, Any] = {"target": "unit", "weight_listeners": 30}
REFERENCE = "trees_reference"
BEST = StackSettings(weight_listeners=30)
# Rows on the one factorisation of 64; `best` learns several sizes side by side.
ENCODERS: dict[str, tuple[str, Any]] = {
    "ridge": ("linear", LinearSettings(**SHARED)),
    "kernel": ("kernel", KernelSettings(**SHARED)),
    REFERENCE: ("trees", TreesSettings(**SHARED, n_cov=0)),
}
ABOUT = (
    "Thirteen audio statistics of one track an artist. Learned from four fifths of the artists (by group), asked for "
    "the last fifth. The rows beside `best` use one factorisation of 64 factors; `best` has sizes 8 to 128 side by "
    "side and the encoder `stack`. Beware: the settings of `best` (sizes, leaves, the weight of fame) were chosen by "
    "cross-validation inside four fifths of these very artists, so most test artists here took part in that choice; "
    "artists kept aside (`runs/newartists.sh`) are the clean check."
)


@dataclass(frozen=True)
class ArtistsBench:
    """How the benchmark runs.

    Attributes:
        n_folds, n_seeds: of the artists; each seed deals them anew.
        seed: the first seed.
        blend: also blend sound and plays at several numbers of plays, on the first fold.
    """

    n_folds: int = 5
    n_seeds: int = 3
    seed: int = 0
    blend: bool = True

    def __post_init__(self) -> None:
        require(self.n_folds >= 2, "n_folds", self.n_folds, "2 or more")
        require(self.n_seeds >= 1, "n_seeds", self.n_seeds, "1 or more")
        require(self.seed >= 0, "seed", self.seed, "0 or more")


def run(data: Path, work: Path, bench: ArtistsBench) -> dict[str, Any]:
    """All folds and seeds; finished folds are kept in `work`, so a killed run resumes.

    Args:
        data: the folder with the plays and the table of audio statistics.
        work: scratch folder.
    Returns:
        the report, in the schema of every evaluation.
    """
    plays = read_lastfm(data / PLAYS, LastfmSettings()).plays
    table = read_numbers(data / TABLE)
    features = features_of_table(table, where=TABLE, song_id="artist_id", drop=["key"])
    groups = table.select(pl.col("artist_id").cast(pl.String).alias("song_id"), pl.col("group").cast(pl.String))
    outcomes, first = [], None
    with progress("benchmark", total=bench.n_folds * bench.n_seeds, unit="fold") as bar:
        for seed in range(bench.seed, bench.seed + bench.n_seeds):
            how = SplitSettings(by="artist", seed=seed)
            dealt = folds(plays, bench.n_folds, how, groups=groups, only=features.songs.ids.to_list())
            first = first or dealt[0]
            for number, split in enumerate(dealt):
                outcomes.append(kept_fold(work / f"artists-{seed}-{number}.json", plays, split, features, seed))
                bar.advance(1)
    content = report(outcomes, bench)
    if bench.blend and first is not None:
        content["blend"] = blend_of_fold(plays, first, features, BEST_WMF, SIZES, replace(BEST, seed=bench.seed), work)
    return content


def kept_fold(path: Path, plays: Plays, split: Split, features: Features, seed: int) -> dict[str, Any]:
    """The outcome of one fold, read when an earlier run made it under the same settings."""
    named = {name: (kind, asdict(how)) for name, (kind, how) in ENCODERS.items()}
    recipe = {"format": 2, "wmf": asdict(WMF), "best_wmf": asdict(BEST_WMF), "sizes": SIZES, "encoders": named,
              "stack": asdict(BEST), "features": features.fingerprint, "split": split.fingerprint,
              "seed": seed}  # fmt: skip
    recipe = json.loads(json.dumps(recipe))
    if path.exists():
        content = dict(json.loads(path.read_text(encoding="utf-8")))
        if content.pop("recipe", None) == recipe:
            return content
    outcome = one_fold(plays, split, features, seed)
    write_file(path, json.dumps({**outcome, "recipe": recipe}))
    return outcome


def one_fold(plays: Plays, split: Split, features: Features, seed: int) -> dict[str, Any]:
    """Learn from everything but the fold's artists; rank these for every listener; score."""
    learning = split.learning_plays(plays)
    alone, joined = fit(learning, WMF).factors, fit_sizes(learning, BEST_WMF, SIZES).factors
    seconds: dict[str, float] = {}
    predicted = {
        name: timed(name, seconds, kind, replace(how, seed=seed), alone, features, split)
        for name, (kind, how) in ENCODERS.items()
    }
    best = timed("best", seconds, "stack", replace(BEST, seed=seed), joined, features, split)
    table, songs = with_controls(plays, split, alone, predicted, seed=seed)
    table.append(replace(system_of("best", joined, best, songs), note="Trees and kernel on several factorisations."))
    others, fame = content_rivals(learning, alone, features, split.test_songs)
    audit(split, plays, [alone, joined], {**predicted, "best": best}, [*table, *others], test_songs=songs)
    relevant = relevant_plays(plays, alone.users.users, songs)
    evaluation = evaluate([*table, *others], relevant, EvaluateSettings(n_bootstrap=2))
    details = details_of(evaluation, [*table, *others], plays, split, songs)
    rows = {
        row.name: {"map": row.mean("map"), "auc": row.mean("auc"), "cheating": row.cheating, "kind": row.kind,
                   "note": row.note, "cpu_seconds": seconds.get(row.name), "details": details[row.name]}
        for row in evaluation.rows
    }  # fmt: skip
    listeners = evaluation.listeners
    heard = float(spearmanr(fame, listeners).statistic)
    return {"rows": rows, "n_users": evaluation.n_users, "n_songs": evaluation.n_songs, "fame_correlation": heard}


def timed(
    name: str, seconds: dict[str, float], kind: str, how: Any, factors: Factors, features: Features, split: Split
) -> SongFactors:
    """Predictions of the test artists by one encoder; CPU seconds of learning and predicting go to `seconds`."""
    began = time.process_time()
    made = predict_songs(fit_encoder(kind, features, factors.songs, how), features, split.test_songs)
    seconds[name] = time.process_time() - began
    return made


def report(outcomes: Sequence[dict[str, Any]], bench: ArtistsBench) -> dict[str, Any]:
    """Means over folds with corrected intervals, and paired comparisons, in the schema of every evaluation."""
    share = 1 / bench.n_folds
    names = list(outcomes[0]["rows"])
    values = {name: {m: [one["rows"][name][m] for one in outcomes] for m in ("map", "auc")} for name in names}
    n_users = round(float(np.mean([one["n_users"] for one in outcomes])))
    n_songs = sum(one["n_songs"] for one in outcomes) // bench.n_seeds
    rows = []
    for name in names:
        first = outcomes[0]["rows"][name]
        spent = [one["rows"][name]["cpu_seconds"] for one in outcomes]
        rows.append({
            "system": name, "kind": first["kind"], "cheating": first["cheating"], "note": first["note"],
            "map500": mean_over_folds(values[name]["map"], test_share=share),
            "auc": mean_over_folds(values[name]["auc"], test_share=share),
            "n_users": n_users, "n_songs": n_songs,
            "cpu_seconds": None if spent[0] is None else round(float(np.median(spent)), 1),
            **mean_details([one["rows"][name]["details"] for one in outcomes]),
        })  # fmt: skip
    rows.sort(key=lambda row: -row["map500"]["mean"])
    pairs = [("best", name) for name in (REFERENCE, "kernel", "ridge", "heard_fame", "taste", "shuffled")]
    compared = [
        {"a": a, "b": b, "metric": key, **paired_over_folds(values[a][m], values[b][m], test_share=share)}
        for a, b in pairs
        for m, key in (("map", "map500"), ("auc", "auc"))
    ]
    heard = float(np.mean([one["fame_correlation"] for one in outcomes]))
    return {
        "title": "Last.fm artists nobody has played, from thirteen audio statistics of one track",
        "protocol": CLEAN,
        "about_text": f"{ABOUT} How well content alone foretells an artist's listeners: rank correlation {heard:.2f}.",
        "seed": bench.seed,
        "map_key": "map500",
        "n_users": n_users,
        "n_songs": n_songs,
        "fame_correlation": heard,
        "settings": {**asdict(bench), "interval": f"95 %, Student t over {len(outcomes)} folds, corrected for overlap"},
        "rows": rows,
        "comparisons": compared,
    }  # fmt: skip

"""A trial over folds and seeds: split, factorise, learn to hear, rank the hidden songs, score; rivals beside it all.

Every fold is kept when it is done, so a killed trial resumes. Intervals over folds are corrected for their overlap.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from deepcuts import store
from deepcuts.artifacts import CLEAN, VALIDATION, Factors, Features, Plays, SongFactors, Split, Vocabulary
from deepcuts.audio import PoolSettings, pool_features
from deepcuts.config import require
from deepcuts.data import SplitSettings, folds, make_split
from deepcuts.evaluate import EvaluateSettings, audit, evaluate, relevant_plays
from deepcuts.evaluate.folds import mean_over_folds, paired_over_folds
from deepcuts.evaluate.systems import Row
from deepcuts.factors import WmfSettings, fit
from deepcuts.predict import ENCODERS, fit_encoder, learns_from_all, predict_songs
from deepcuts.predict.targets import EncoderSettings
from deepcuts.progress import progress
from deepcuts.trial.details import details_of, mean_details
from deepcuts.trial.rivals import content_rivals, same_artist
from deepcuts.trial.rows import of_known_listeners, with_controls
from deepcuts.trial.sides import system_of_table

log = logging.getLogger(__name__)

FORMAT = 2  # of kept folds; others are tried again
METRICS = {"map": "map500", "auc": "auc"}


@dataclass(frozen=True)
class TrialSettings:
    """What is tried.

    Attributes:
        by: "song", "artist" or "time"; see `data split`. By time there is one fold.
        n_folds: of the songs (or artists); 1 tests a fifth.
        n_seeds: each deals the songs anew and starts the encoder anew.
        seed: the first.
        encoder: a key of ENCODERS.
    """

    by: str = "song"
    n_folds: int = 5
    n_seeds: int = 1
    seed: int = 0
    encoder: str = "linear"

    def __post_init__(self) -> None:
        require(self.by in ("song", "artist", "time"), "by", self.by, "song, artist or time")
        require(self.n_folds >= 1, "n_folds", self.n_folds, "1 or more")
        require(self.by != "time" or self.n_folds == 1, "n_folds", self.n_folds, "1 with by = 'time'")
        require(self.n_seeds >= 1, "n_seeds", self.n_seeds, "1 or more")
        require(self.seed >= 0, "seed", self.seed, "0 or more")
        require(self.encoder in ENCODERS, "encoder", self.encoder, " or ".join(ENCODERS))


def run_folds(
    plays: Plays,
    features: Features,
    settings: TrialSettings,
    wmf: WmfSettings,
    encoder: EncoderSettings,
    work: Path,
    *,
    systems: Mapping[str, pl.DataFrame] | None = None,
) -> tuple[dict[str, Any], pl.DataFrame, pl.DataFrame]:
    """Try an encoder on songs whose plays are hidden, over folds and seeds.

    Args:
        features: of the songs that may be tested; frames, or one frame a song (embeddings, descriptors).
        wmf, encoder: settings of the factorisation and of the encoder.
        work: where finished folds are kept.
        systems: own systems by name: tables of user_id, song_id, score; pairs without a score count as the lowest.
    Returns:
        the report (rows with intervals over folds, paired comparisons), a table of scores by user:
        seed · fold · system · user_id · map · auc; and one by song: seed · fold · system · song_id · listeners · auc.
    Raises:
        InputError: no song has both plays and features.
    """
    systems = systems or {}
    pooled = features if features.one_frame else pool_features(features, PoolSettings())
    marks = {"plays": plays.fingerprint, "features": features.fingerprint, "wmf": asdict(wmf),
             "encoder": asdict(encoder), "systems": {name: store.fingerprint(table.write_ndjson())
                                                      for name, table in systems.items()}}  # fmt: skip
    outcomes, users, songs = [], [], []
    with progress("trial", total=settings.n_seeds * settings.n_folds, unit="fold") as bar:
        for seed in range(settings.seed, settings.seed + settings.n_seeds):
            for number, split in enumerate(_splits(plays, features, settings, seed)):
                what = [FORMAT, marks, asdict(settings), seed, split.fingerprint]
                recipe = store.fingerprint(json.dumps(what, sort_keys=True))
                path = work / f"{seed}-{number}.json"
                outcome = _kept(path, recipe)
                if outcome is None:
                    outcome = _one_fold(plays, features, pooled, split, settings, wmf, encoder, seed, systems)
                    _keep(path, recipe, outcome)
                outcomes.append(outcome)
                users.append(_by_user(outcome, seed, number))
                songs.append(_by_song(outcome, seed, number))
                bar.advance(1)
    return report(outcomes, settings), pl.concat(users), pl.concat(songs)


def _splits(plays: Plays, features: Features, settings: TrialSettings, seed: int) -> Sequence[Split]:
    only = features.songs.ids.filter(plays.songs.find(features.songs.ids) >= 0).to_list()
    how = SplitSettings(by=settings.by, seed=seed)
    if settings.n_folds == 1:
        return [make_split(plays, how, only=only)]
    return folds(plays, settings.n_folds, how, only=only)


def _keep(path: Path, recipe: str, outcome: dict[str, Any]) -> None:
    text = json.dumps(outcome)
    store.write_file(path, json.dumps({"recipe": recipe, "hash": store.fingerprint(text), "outcome": text}))


def _kept(path: Path, recipe: str) -> dict[str, Any] | None:
    """What an earlier run found for a fold; None when there is nothing, or it is damaged or of another trial."""
    if not path.exists():
        return None
    with suppress(ValueError, KeyError, TypeError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["hash"] == store.fingerprint(content["outcome"]):
            return dict(json.loads(content["outcome"])) if content["recipe"] == recipe else None
    log.warning("%s: damaged; this fold is tried again.", path)
    return None


def _one_fold(
    plays: Plays,
    features: Features,
    pooled: Features,
    split: Split,
    settings: TrialSettings,
    wmf: WmfSettings,
    encoder: EncoderSettings,
    seed: int,
    systems: Mapping[str, pl.DataFrame],
) -> dict[str, Any]:
    learning = split.learning_plays(plays)
    observed = fit(learning, wmf).factors
    predicted = {settings.encoder: _predicted(settings.encoder, encoder, features, observed, split, seed)}
    table, songs = with_controls(plays, split, observed, predicted, seed=seed)
    rivals, _ = content_rivals(learning, observed, pooled, songs)
    artist = same_artist(plays, learning, observed, songs)
    others = [*rivals, *([artist] if artist is not None else []),
              *(system_of_table(name, one, observed.users.users, songs) for name, one in systems.items())]  # fmt: skip
    audit(split, plays, [observed], predicted, [*table, *rivals], test_songs=songs)
    hidden, _ = of_known_listeners(relevant_plays(plays, observed.users.users, songs), observed)
    evaluation = evaluate([*table, *others], hidden, EvaluateSettings(n_bootstrap=2, seed=seed))
    users = observed.users.users.ids.gather(evaluation.users).to_list()
    details = details_of(evaluation, [*table, *others], plays, split, songs)
    return {"rows": {row.name: {**_scores(row), "details": details[row.name]} for row in evaluation.rows},
            "users": users, "songs": songs.ids.to_list(), "listeners": evaluation.listeners.tolist(),
            "n_users": evaluation.n_users, "n_songs": evaluation.n_songs}  # fmt: skip


def _predicted(
    name: str, settings: EncoderSettings, features: Features, observed: Factors, split: Split, seed: int
) -> SongFactors:
    ids = split.songs.take(split.members(VALIDATION)).ids
    ids = ids.filter((observed.songs.songs.find(ids) >= 0) & (features.songs.find(ids) >= 0))
    validation = Vocabulary(ids) if len(ids) else None
    settings = replace(settings, seed=seed)
    settings = settings if validation else learns_from_all(settings)
    made = fit_encoder(name, features, observed, settings, validation=validation)
    test = split.test_songs.ids
    return predict_songs(made, features, Vocabulary(test.filter(features.songs.find(test) >= 0)))


def _scores(row: Row) -> dict[str, Any]:
    values = {
        metric: [None if np.isnan(one) else round(float(one), 6) for one in row.values[metric]] for metric in METRICS
    }
    means = {metric: row.mean(metric) for metric in METRICS}
    by_song = [None if np.isnan(one) else round(float(one), 6) for one in row.song_auc]
    return {"kind": row.kind, "cheating": row.cheating, "note": row.note, "mean": means, "by_user": values,
            "by_song": by_song}  # fmt: skip


def _by_user(outcome: Mapping[str, Any], seed: int, fold: int) -> pl.DataFrame:
    tables = [
        pl.DataFrame({"system": [name] * len(outcome["users"]), "user_id": outcome["users"], **row["by_user"]},
                     schema_overrides={"map": pl.Float64, "auc": pl.Float64})
        for name, row in outcome["rows"].items()
    ]  # fmt: skip
    return pl.concat(tables).select(pl.lit(seed).alias("seed"), pl.lit(fold).alias("fold"), pl.all())


def _by_song(outcome: Mapping[str, Any], seed: int, fold: int) -> pl.DataFrame:
    known = {"song_id": outcome["songs"], "listeners": outcome["listeners"]}
    tables = [pl.DataFrame({"system": [name] * len(outcome["songs"]), **known, "auc": row["by_song"]},
                           schema_overrides={"auc": pl.Float64}) for name, row in outcome["rows"].items()]  # fmt: skip
    return pl.concat(tables).select(pl.lit(seed).alias("seed"), pl.lit(fold).alias("fold"), pl.all())


def _mean(values: Sequence[float], share: float) -> dict[str, float | None]:
    """Mean with its interval; one fold alone has none: `evaluate` gives one over users and songs."""
    if len(values) < 2:
        return {"mean": float(values[0]), "low": None, "high": None}
    return dict(mean_over_folds(values, test_share=share))


def report(outcomes: Sequence[Mapping[str, Any]], settings: TrialSettings) -> dict[str, Any]:
    """Means over folds with corrected intervals, and the encoder against every other row, pair by pair."""
    share = 1 / settings.n_folds if settings.n_folds > 1 else 0.2
    names = [name for name in outcomes[0]["rows"] if all(name in one["rows"] for one in outcomes)]
    values = {name: {m: [one["rows"][name]["mean"][m] for one in outcomes] for m in METRICS} for name in names}
    rows = []
    for name in names:
        first = outcomes[0]["rows"][name]
        rows.append({
            "system": name, "kind": first["kind"], "cheating": first["cheating"], "note": first["note"],
            **{key: _mean(values[name][m], share) for m, key in METRICS.items()},
            "n_users": round(float(np.mean([one["n_users"] for one in outcomes]))),
            "n_songs": round(float(np.mean([one["n_songs"] for one in outcomes]))),
            **mean_details([one["rows"][name]["details"] for one in outcomes]),
        })  # fmt: skip
    rows.sort(key=lambda row: -row["map500"]["mean"])
    compared = [
        {"a": settings.encoder, "b": name, "metric": key,
         **paired_over_folds(values[settings.encoder][m], values[name][m], test_share=share)}
        for name in names if name != settings.encoder
        for m, key in METRICS.items()
    ] if len(outcomes) > 1 else []  # fmt: skip
    return {
        "title": f"Songs nobody has played, by {settings.encoder}",
        "protocol": CLEAN, "seed": settings.seed, "map_key": "map500", "settings": asdict(settings),
        "n_folds": len(outcomes), "rows": rows, "comparisons": compared,
    }  # fmt: skip

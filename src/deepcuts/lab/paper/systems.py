"""The systems of Tables 2 and 3: trained, kept, and scored together; trainings with several seeds count as one row."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from deepcuts.artifacts import CLEAN, TRAIN, VALIDATION, Factors, Lineage, SongFactors, Vocabulary
from deepcuts.evaluate import AuditReport, EvaluateSettings, Evaluation, Row, System, audit, evaluate, relevant_plays
from deepcuts.lab.cache import kept, kept_json, part
from deepcuts.lab.mlr.metric import Metric, MlrSettings, relevance_from_plays
from deepcuts.lab.mlr.metric import fit as fit_metric
from deepcuts.lab.paper.settings import PRICES, SYSTEMS
from deepcuts.lab.paper.world import PaperWorld, of_songs
from deepcuts.predict import fit_encoder, predict_songs
from deepcuts.trial.ceilings import ceilings_of
from deepcuts.trial.rows import with_controls


@dataclass(frozen=True)
class Scored:
    """Systems on the same users and test songs.

    Attributes:
        evaluation: one row a system; where several seeds were trained, their average.
        by_seed: for each of those, what every seed gave: metric → values.
    """

    evaluation: Evaluation
    audit: AuditReport
    by_seed: Mapping[str, Mapping[str, list[float]]]


def predictions(world: PaperWorld, observed: Factors, names: Iterable[str]) -> dict[str, SongFactors]:
    """Predicted factors of all songs, by "name seed"; the seeds are trainings, the factors behind them are the same."""
    seeds = range(world.settings.seed, world.settings.seed + world.settings.n_seeds)
    made = {}
    for name in names:
        for seed in seeds if SYSTEMS[name][2] else seeds[:1]:
            made[f"{name} {seed}"] = predicted_songs(world, observed, name, seed)
    return made


def predicted_songs(world: PaperWorld, observed: Factors, name: str, seed: int, *, share: float = 1.0) -> SongFactors:
    """Factors of all songs, predicted from sound by one training of a system.

    Training songs teach, validation songs choose; test songs are only predicted.

    Args:
        share: of the training songs to learn from; for as many steps as from all.
    """
    encoder, hears, _ = SYSTEMS[name]
    heard = world.bag if hears == "bag" else world.logmel
    how = world.settings.training_set(name, seed, part=share)
    teachers = of_songs(observed, teaching_songs(world, share))
    recipe = (name, how, share, heard.fingerprint, observed.fingerprint, world.split.fingerprint)
    path = part(world.work, f"predicted-{name}-{seed}", *recipe)
    checkpoint = path.with_name(f".{path.name}.checkpoint")

    def learn() -> SongFactors:
        validation = world.songs(VALIDATION)
        extra: dict[str, Any] = {"plays": plays_behind(world, observed)} if name == "cnn_wpe" else {}
        learned = fit_encoder(encoder, heard, teachers, how, validation=validation, checkpoint=checkpoint, **extra)
        return predict_songs(learned, heard)

    made = kept(path, SongFactors.load, learn)
    shutil.rmtree(checkpoint, ignore_errors=True)
    return made


def teaching_songs(world: PaperWorld, share: float) -> Vocabulary:
    """Validation songs, and a random share of the training songs."""
    train = world.split.members(TRAIN)
    rng = np.random.default_rng(world.settings.seed)
    drawn = rng.permutation(train)[: max(round(share * len(train)), 1)]
    chosen = np.sort(np.concatenate([drawn, world.split.members(VALIDATION)]))
    return world.split.songs.take(chosen)


def plays_behind(world: PaperWorld, observed: Factors) -> Any:
    """The plays that factors were fitted on, by their fingerprint."""
    joint = observed.lineage.parents.get("plays") == world.plays.fingerprint
    return world.plays if joint else world.split.learning_plays(world.plays)


def metric_system(world: PaperWorld, observed: Factors, songs: Vocabulary) -> System:
    """MLR: users are the mean of the songs they played (training and validation songs), under a learned metric."""
    metric = learned_metric(world, chosen_price(world))
    return system_of_metric(world, metric, observed, songs, world.songs(TRAIN, VALIDATION))


def learned_metric(world: PaperWorld, price: float) -> Metric:
    """The metric, learned from training songs: near are songs with the same listeners."""
    songs = world.songs(TRAIN)
    how = world.settings.mlr(price)
    n = world.settings.mlr_components
    points, recipe = leading(world, songs, n), (how, n, world.bag.fingerprint)
    path = part(world.work, f"metric-{price:g}", *recipe, world.plays.fingerprint, world.split.fingerprint)

    def learn() -> Metric:
        plays = world.plays.counts[:, world.plays.songs.positions(songs.ids)]
        relevant, ignored = relevance_from_plays(plays, how.n_relevant, how.n_ignore)
        return fit_metric(points, relevant, how, np.random.default_rng(how.seed), ignored=ignored)

    return kept(path, Metric.load, learn)


def chosen_price(world: PaperWorld) -> float:
    """C: as the settings say, else that under which validation songs are ranked best (AUC)."""
    if world.settings.mlr_price is not None:
        return world.settings.mlr_price
    scores = price_scores(world)
    return float(max(scores, key=lambda one: scores[one]))


def price_scores(world: PaperWorld) -> dict[str, float]:
    """AUC of validation songs for each of PRICES."""
    how: MlrSettings = world.settings.mlr(1.0)
    recipe = (how, PRICES, world.settings.mlr_components, world.split.fingerprint, world.bag.fingerprint)
    path = part(world.work, "prices", world.plays.fingerprint, *recipe)
    return kept_json(path, lambda: {str(price): _auc_at_price(world, price) for price in PRICES})


def _auc_at_price(world: PaperWorld, price: float) -> float:
    songs, metric = world.songs(VALIDATION), learned_metric(world, price)
    system = system_of_metric(world, metric, None, songs, world.songs(TRAIN))
    hidden = relevant_plays(world.plays, world.plays.users, songs)
    return evaluate([system], hidden, EvaluateSettings(n_bootstrap=2)).row("mlr").mean("auc")


def system_of_metric(
    world: PaperWorld, metric: Metric, observed: Factors | None, songs: Vocabulary, played: Vocabulary
) -> System:
    """Vectors of users and songs under a metric."""
    plays = world.plays.counts[:, world.plays.songs.positions(played.ids)]
    if observed is not None:
        plays = plays[world.plays.users.positions(observed.users.users.ids)]
    n = world.settings.mlr_components
    note = "Mean similarity to the songs a user played, under a metric learned from bags of words to rank."
    return System(
        "mlr",
        metric.user_vectors(plays, leading(world, played, n)),
        metric.song_vectors(leading(world, songs, n)),
        note=note,
        lineage=Lineage(learned_from=played, protocol=CLEAN if observed is None else observed.lineage.protocol),
    )


def leading(world: PaperWorld, songs: Vocabulary, n: int) -> np.ndarray:
    """The n leading components of the bags of words of songs [n_songs, n], or all where there are fewer."""
    return np.asarray(world.bag.frames[world.bag.songs.positions(songs.ids), :n])


def score(
    world: PaperWorld, observed: Factors, predicted: Mapping[str, SongFactors], extra: Sequence[System] = ()
) -> Scored:
    """All systems with controls and ceilings on the test songs, after the leakage audit."""
    seed, truth = world.settings.seed, world.world.folder / "truth"
    teachers = of_songs(observed, world.songs(TRAIN, VALIDATION))
    ceilings = ceilings_of(truth, world.plays, world.split, teachers)
    systems, songs = with_controls(world.plays, world.split, teachers, predicted, ceilings=ceilings, seed=seed)
    systems = [*systems, *extra]
    proof = audit(world.split, world.plays, [observed], predicted, systems, test_songs=songs)
    hidden = relevant_plays(world.plays, observed.users.users, songs)
    return averaged(evaluate(systems, hidden, world.settings.evaluation()), proof)


def averaged(evaluation: Evaluation, proof: AuditReport) -> Scored:
    """Rows called "name 0", "name 1", ... as one row "name": the mean of their outcomes, user by user and draw by draw.

    So an interval is that of the mean over trainings, and paired tests stay paired.
    """
    rows, by_seed = [], {}
    for name, group in groupby(evaluation.rows, key=lambda row: row.name.partition(" ")[0]):
        several = list(group)
        rows.append(_mean_row(name, several))
        if len(several) > 1:
            by_seed[name] = {metric: [row.mean(metric) for row in several] for metric in ("map", "auc")}
    return Scored(replace(evaluation, rows=rows), proof, by_seed)


def _mean_row(name: str, rows: Sequence[Row]) -> Row:
    first = rows[0]
    return replace(
        first,
        name=name,
        values={metric: np.mean([row.values[metric] for row in rows], axis=0) for metric in first.values},
        draws={metric: np.mean([row.draws[metric] for row in rows], axis=0) for metric in first.draws},
        tied=float(np.mean([row.tied for row in rows])),
        song_auc=np.mean([row.song_auc for row in rows], axis=0),
    )

"""The ladder on the planted world of `make demo`: where ears can still gain, and what lifts them, one change at a time.

paper        the paper's network: one CNN, raw targets, squared error
cnn          one CNN of unit targets (the demonstration's)
pooled       trees and a kernel on pooled log-mels ("stack")
cnns         the mean of several CNNs, each from another seed
best         cnns and pooled, mixed as validation songs say
direct_ears  one CNN that learns the true latents themselves: what better targets could give
"""

import logging
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts.artifacts import CLEAN, VALIDATION, Factors, Features, Lineage, Plays, SongFactors, Split, Vocabulary
from deepcuts.audio import PoolSettings, pool_features
from deepcuts.config import make_settings, require
from deepcuts.evaluate import EvaluateSettings, System, audit, evaluate, relevant_plays
from deepcuts.evaluate.metrics import auc
from deepcuts.evaluate.report import report_content
from deepcuts.predict import CnnSettings, LinearSettings, average_predictions, fit_encoder, load_encoder, predict_songs
from deepcuts.predict.stack import StackSettings
from deepcuts.progress import progress
from deepcuts.trial.ceilings import ceilings_of
from deepcuts.trial.rows import with_controls
from deepcuts.worlds import Truth, load_truth

log = logging.getLogger(__name__)

MIXES = (0.0, 0.25, 0.5, 0.75, 1.0)  # weight of the pooled encoder
RIDGE, FOLDS = 10.0, 5


@dataclass(frozen=True)
class PlantedBench:
    """How the ladder runs.

    Attributes:
        n_nets: CNNs in the mean.
        epochs: of each CNN.
        seed: the first seed.
    """

    n_nets: int = 5
    epochs: int = 25
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.n_nets >= 1, "n_nets", self.n_nets, "1 or more")
        require(self.epochs >= 1, "epochs", self.epochs, "1 or more")
        require(self.seed >= 0, "seed", self.seed, "0 or more")


@dataclass(frozen=True)
class _World:
    """The demonstration's folder, opened."""

    plays: Plays
    split: Split
    observed: Factors
    mel: Features
    pooled: Features
    truth: Truth
    work: Path


def run(demo: Path, settings_file: Path, bench: PlantedBench) -> dict[str, Any]:
    """Fit the ladder and score it; encoders are kept in `demo/ladder`, so a killed run resumes.

    Args:
        demo: the folder of `make demo`.
        settings_file: the demonstration's TOML, for the CNN.
    Returns:
        the report in the schema of every evaluation, with `hearing`: system → R² of each true latent.
    """
    mel = Features.load(demo / "logmel")
    world = _World(Plays.load(demo / "world/plays"), Split.load(demo / "split"), Factors.load(demo / "factors"), mel,
                   pool_features(mel, PoolSettings()), load_truth(demo / "world/truth"), demo / "ladder")  # fmt: skip
    cnn = replace(make_settings(CnnSettings, toml=settings_file, table="cnn"), n_epochs=bench.epochs)
    seconds: dict[str, float] = {}
    predicted = _predictions(world, cnn, bench, seconds)
    ears = _direct_ears(world, cnn, seconds)
    ceilings = ceilings_of(demo / "world/truth", world.plays, world.split, world.observed)
    table, songs = with_controls(
        world.plays, world.split, world.observed, predicted, ceilings=ceilings, seed=bench.seed
    )
    note = "The CNN taught by the true latents, and their own map to factors."
    users = world.observed.users.vectors
    direct = System("direct_ears", users, ears[0].rows(songs.ids), "ceiling", note=note, lineage=Lineage())
    proof = audit(world.split, world.plays, [world.observed], predicted, table, test_songs=songs)
    hidden = relevant_plays(world.plays, world.observed.users.users, songs)
    evaluation = evaluate([*table, direct], hidden, EvaluateSettings(seed=bench.seed))
    about = {"bench": asdict(bench), "cnn": asdict(cnn), "split": dict(world.split.settings)}
    title = "The planted world of `make demo`: what lifts ears, one change at a time"
    pairs = [("best", name) for name in ("paper", "cnn", "cnns", "pooled", "shuffled")]
    content = report_content(evaluation, audit=proof, comparisons=pairs, title=title, about=about)
    for row in content["rows"]:
        row["cpu_seconds"] = round(seconds[row["system"]], 1) if row["system"] in seconds else None
    heard = {name: one.rows(songs.ids) for name, one in predicted.items()} | {"direct_ears": ears[1].rows(songs.ids)}
    latents = world.truth.audible[world.plays.songs.positions(songs.ids)]
    content["hearing"] = {name: hearing(rows, latents) for name, rows in heard.items()}
    return content


def _predictions(
    world: _World, cnn: CnnSettings, bench: PlantedBench, seconds: dict[str, float]
) -> dict[str, SongFactors]:
    """All rows that only listen."""
    learn = world.observed.without_songs(world.split.test_songs)
    made: dict[str, SongFactors] = {}
    with progress("ladder", total=bench.n_nets + 2, unit="fit") as bar:
        raw = replace(cnn, target="raw", seed=bench.seed)
        made["paper"] = _kept(world, "paper", "cnn", world.mel, learn, raw, seconds)
        bar.advance(1)
        nets = []
        for seed in range(bench.seed, bench.seed + bench.n_nets):
            named = replace(cnn, seed=seed)
            nets.append(_kept(world, f"cnn-{seed}", "cnn", world.mel, learn, named, seconds))
            bar.advance(1)
        pooled = _kept(world, "pooled", "stack", world.pooled, learn, StackSettings(seed=bench.seed), seconds)
        bar.advance(1)
    made |= {"cnn": nets[0], "pooled": pooled, "cnns": average_predictions(nets)}
    seconds["cnn"] = seconds[f"cnn-{bench.seed}"]
    seconds["cnns"] = sum(seconds[f"cnn-{seed}"] for seed in range(bench.seed, bench.seed + bench.n_nets))
    seconds["best"] = seconds["cnns"] + seconds["pooled"]
    made["best"] = _mixed(world, made["cnns"], pooled)
    return made


def _kept(
    world: _World, name: str, kind: str, features: Features, learn: Factors, settings: Any, seconds: dict[str, float]
) -> SongFactors:
    """Predictions of all songs by an encoder that is kept on disk, with the CPU seconds that it took.

    The split's validation songs are never fitted: the mix is chosen by them.
    """
    folder, spent = world.work / name, world.work / f"{name}.seconds"
    if not folder.exists():
        began = time.process_time()
        ids = world.split.songs.take(world.split.members(VALIDATION)).ids
        known = Vocabulary(ids.filter(learn.songs.songs.find(ids) >= 0))
        encoder = fit_encoder(kind, features, learn, settings, validation=known if len(known) else None,
                              checkpoint=world.work / f".{name}.checkpoint")  # fmt: skip
        encoder.save(folder)
        spent.write_text(f"{time.process_time() - began:.1f}")
    seconds[name] = float(spent.read_text()) if spent.exists() else float("nan")
    return predict_songs(load_encoder(folder), features)


def _mixed(world: _World, nets: SongFactors, pooled: SongFactors) -> SongFactors:
    """The mix of two predictions that ranks validation songs best; both are brought to one mean length first."""
    scale = np.linalg.norm(nets.vectors, axis=1).mean() / np.linalg.norm(pooled.vectors, axis=1).mean()
    other = pooled.rows(nets.songs.ids) * scale
    ids = world.split.songs.take(world.split.members(VALIDATION)).ids
    ids = ids.filter(nets.songs.find(ids) >= 0)
    at = nets.songs.positions(ids)
    users = world.observed.users
    played = world.plays.counts_of(users.users, Vocabulary(ids)).toarray() > 0
    some = np.flatnonzero(played.any(axis=1) & ~played.all(axis=1))
    values = {}
    for weight in MIXES:
        mixed = (1 - weight) * nets.vectors[at] + weight * other[at]
        values[weight] = float(np.nanmean(auc(users.vectors[some] @ mixed.T, played[some])))
    best = max(values, key=lambda one: values[one])
    log.info("best: %.2f of the pooled encoder, by AUC on validation songs %s", best, values)
    vectors = ((1 - best) * nets.vectors + best * other).astype(np.float32)
    return replace(nets, vectors=vectors, settings={**nets.settings, "encoder": "best", "pooled": best})


def _direct_ears(world: _World, cnn: CnnSettings, seconds: dict[str, float]) -> tuple[SongFactors, SongFactors]:
    """Factors, and latents, heard by a network that was taught the true latents of the learning songs."""
    latents = np.hstack([world.truth.audible, world.truth.heard]).astype(np.float32)
    lineage = Lineage(space="truth", protocol=CLEAN)
    true = SongFactors(world.plays.songs, latents, lineage).without(world.split.test_songs)
    users = np.zeros((1, latents.shape[1]), np.float32)
    pair = Factors.of(Vocabulary(["nobody"], "user"), users, true.songs, true.vectors, lineage)
    heard = _kept(world, "direct_ears", "cnn", world.mel, pair, replace(cnn, target="raw"), seconds)
    exact = Features(world.plays.songs, latents, np.arange(len(latents) + 1), "truth", {"one_frame": True})
    to_factors = fit_encoder("linear", exact, world.observed.songs.without(world.split.test_songs), LinearSettings())
    as_features = Features(heard.songs, heard.vectors, np.arange(len(heard) + 1), "truth", {"one_frame": True})
    return predict_songs(to_factors, as_features), heard


def hearing(rows: np.ndarray, latents: np.ndarray) -> list[float]:
    """R² of each true latent [n_latents], told from vectors [n_songs, d] by cross-validated ridge regression."""
    x = (rows - rows.mean(axis=0)) / max(float(rows.std()), 1e-12)
    told = np.zeros_like(latents, dtype=np.float64)
    fold = np.random.default_rng(0).permutation(len(x)) % FOLDS
    for number in range(FOLDS):
        learn, test = fold != number, fold == number
        mean = latents[learn].mean(axis=0)
        gram = x[learn].T @ x[learn] + RIDGE * np.eye(x.shape[1])
        told[test] = mean + x[test] @ np.linalg.solve(gram, x[learn].T @ (latents[learn] - mean))
    left = ((latents - told) ** 2).sum(axis=0) / ((latents - latents.mean(axis=0)) ** 2).sum(axis=0)
    return [round(float(1 - one), 3) for one in left]

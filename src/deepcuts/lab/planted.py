"""The ladder on the planted world of `make demo`: where ears can still gain, and what lifts them.

paper        the paper's network: one CNN, raw targets, squared error
cnn          one CNN of unit targets (the demonstration's)
small        ridge regression on timbre and lagged covariances
best         the same with relevance learned in rounds (preset "best")
best_taste, best_stacked   tastes in the space that `best` hears, alone and beside the factorisation's users
direct_ears  one CNN that learns the true latents themselves: what better targets could give

Beside the rows stand what of each true latent is heard, how well expected errors foretell actual ones, and the blend
of sound and plays at several numbers of plays.
"""

import logging
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts.artifacts import CLEAN, VALIDATION, Factors, Features, Lineage, Plays, SongFactors, Split, Vocabulary
from deepcuts.chain.build import on_scale
from deepcuts.config import make_settings, require
from deepcuts.evaluate import EvaluateSettings, System, audit, evaluate, relevant_plays
from deepcuts.evaluate.report import report_content
from deepcuts.lab.cache import kept, part
from deepcuts.lab.calibration import calibration
from deepcuts.predict import PRESETS, CnnSettings, LinearSettings, fit_encoder, load_encoder, predict_songs
from deepcuts.predict.crossfit import cross_fitted
from deepcuts.progress import progress
from deepcuts.recommend import prior_precision
from deepcuts.trial.blending import blend_table
from deepcuts.trial.ceilings import ceilings_of
from deepcuts.trial.details import details_of
from deepcuts.trial.heard_tastes import heard_tastes
from deepcuts.trial.rows import fold_in, with_controls
from deepcuts.worlds import Truth, load_truth

log = logging.getLogger(__name__)

RIDGE, FOLDS = 10.0, 5


@dataclass(frozen=True)
class PlantedBench:
    """How the ladder runs.

    Attributes:
        epochs: of each CNN.
        seed: the first seed.
    """

    epochs: int = 25
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs", self.epochs, "1 or more")
        require(self.seed >= 0, "seed", self.seed, "0 or more")


@dataclass(frozen=True)
class _World:
    """The demonstration's folder, opened."""

    plays: Plays
    split: Split
    observed: Factors
    mel: Features
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
                   load_truth(demo / "world/truth"), demo / "ladder")  # fmt: skip
    cnn = replace(make_settings(CnnSettings, toml=settings_file, table="cnn"), n_epochs=bench.epochs)
    seconds: dict[str, float] = {}
    predicted = _predictions(world, cnn, bench, seconds)
    learned = _cross_fitted(world, bench)
    to_factors, ears = _direct_ears(world, cnn, seconds)
    content, songs = _scored(world, predicted, learned, to_factors, bench)
    content["about"] |= {"bench": asdict(bench), "cnn": asdict(cnn)}
    for row in content["rows"]:
        row["cpu_seconds"] = round(seconds[row["system"]], 1) if row["system"] in seconds else None
    latents = world.truth.audible[world.plays.songs.positions(songs.ids)]
    heard = {**predicted, "direct_ears": ears}
    content["hearing"] = {name: hearing(one.rows(songs.ids), latents) for name, one in heard.items()}
    best = predicted["best"].take(predicted["best"].songs.positions(songs.ids))
    return {**content, **_sureness(world, learned, best, bench)}


def _scored(
    world: _World, predicted: dict[str, SongFactors], learned: SongFactors, ears: SongFactors, bench: PlantedBench
) -> tuple[dict[str, Any], Vocabulary]:
    """The report of all rows, and the test songs."""
    plays, split, observed = world.plays, world.split, world.observed
    ceilings = ceilings_of(world.work.parent / "world/truth", plays, split, observed)
    table, songs = with_controls(plays, split, observed, predicted, ceilings=ceilings, seed=bench.seed)
    table += heard_tastes(split.learning_plays(plays), observed, learned, predicted["best"], songs, "best")
    proof = audit(split, plays, [observed], predicted, table, test_songs=songs)
    note = "The CNN taught by the true latents, and their own map to factors."
    table.append(System("direct_ears", observed.users.vectors, ears.rows(songs.ids), "ceiling", note=note,
                        lineage=Lineage()))  # fmt: skip
    hidden = relevant_plays(plays, observed.users.users, songs)
    evaluation = evaluate(table, hidden, EvaluateSettings(seed=bench.seed))
    title = "The planted world of `make demo`: what lifts ears, one change at a time"
    pairs = [("best", name) for name in ("paper", "cnn", "small", "shuffled")] + [("best_stacked", "best")]
    details = details_of(evaluation, table, plays, split, songs)
    return report_content(evaluation, audit=proof, comparisons=pairs, title=title, details=details,
                          about={"split": dict(split.settings)}), songs  # fmt: skip


def _predictions(
    world: _World, cnn: CnnSettings, bench: PlantedBench, seconds: dict[str, float]
) -> dict[str, SongFactors]:
    """All rows that only listen."""
    learn = world.observed.without_songs(world.split.test_songs)
    ladder: list[tuple[str, str, Any]] = [
        ("paper", "cnn", replace(cnn, target="raw")),
        ("cnn", "cnn", cnn),
        *((name, *PRESETS[name]) for name in ("small", "best")),
    ]
    made = {}
    with progress("ladder", total=len(ladder), unit="fit") as bar:
        for name, kind, settings in ladder:
            made[name] = _kept(world, name, kind, world.mel, learn, replace(settings, seed=bench.seed), seconds)
            bar.advance(1)
    return made


def _kept(
    world: _World, name: str, kind: str, features: Features, learn: Factors, settings: Any, seconds: dict[str, float]
) -> SongFactors:
    """Predictions of all songs by an encoder that is kept on disk, with the CPU seconds that it took.

    The split's validation songs choose when to stop, and what else an encoder chooses.
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
    if spent.exists():  # not where the encoder was put there by hand, such as the demonstration's own
        seconds[name] = float(spent.read_text())
    return predict_songs(load_encoder(folder), features)


def _cross_fitted(world: _World, bench: PlantedBench) -> SongFactors:
    """Predictions of the learning songs by `best`, each from encoders that did not learn from its artist."""
    learn = world.observed.without_songs(world.split.test_songs)
    groups = world.split.groups[world.split.songs.positions(learn.songs.songs.ids)]
    name, settings = PRESETS["best"]
    settings = replace(settings, seed=bench.seed)
    path = part(world.work, "best-cross-fitted", learn.fingerprint, world.mel.fingerprint, settings)
    return kept(path, SongFactors.load, lambda: cross_fitted(name, world.mel, learn, settings, groups=groups))


def _sureness(world: _World, learned: SongFactors, best: SongFactors, bench: PlantedBench) -> dict[str, Any]:
    """Expected against actual errors of `best` on the test songs, and its blend with plays."""
    observed = world.observed
    hidden = world.plays.counts_of(observed.users.users, best.songs)
    listeners = np.bincount(hidden.indices, minlength=len(best))
    behind = observed.songs.n_listeners
    places = observed.songs.songs.positions(learned.songs.ids)
    known = (learned, observed.songs.vectors[places], np.ones(len(learned)) if behind is None else behind[places])
    scaled = on_scale(learned, observed.songs)
    errors = scaled.vectors - observed.songs.vectors[places]
    precision = prior_precision(errors, float(observed.settings["regularization"]))
    sound = replace(best, vectors=best.vectors * np.float32(scaled.settings["scale"]))
    return {
        "calibration": calibration(best, fold_in(observed, hidden).song_vectors, listeners, known),
        "blend": blend_table(world.plays, observed, sound, precision, EvaluateSettings(seed=bench.seed)),
    }


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
    estimates = np.zeros_like(latents, dtype=np.float64)
    fold = np.random.default_rng(0).permutation(len(x)) % FOLDS
    for number in range(FOLDS):
        learn, test = fold != number, fold == number
        mean = latents[learn].mean(axis=0)
        gram = x[learn].T @ x[learn] + RIDGE * np.eye(x.shape[1])
        estimates[test] = mean + x[test] @ np.linalg.solve(gram, x[learn].T @ (latents[learn] - mean))
    left = ((latents - estimates) ** 2).sum(axis=0) / ((latents - latents.mean(axis=0)) ** 2).sum(axis=0)
    return [round(float(1 - one), 3) for one in left]

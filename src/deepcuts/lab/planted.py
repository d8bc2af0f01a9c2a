"""The ladder on the planted world of `make demo`: where ears can still gain, and what lifts them.

paper        the paper's network: one CNN, raw targets, squared error
cnn          one CNN of unit targets (the demonstration's)
small        ridge regression on timbre and lagged covariances
best         the same with relevance learned in rounds (preset "best")
direct_ears  one CNN that learns the true latents themselves: what better targets could give
"""

import logging
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts.artifacts import CLEAN, VALIDATION, Factors, Features, Lineage, Plays, SongFactors, Split, Vocabulary
from deepcuts.config import make_settings, require
from deepcuts.evaluate import EvaluateSettings, System, audit, evaluate, relevant_plays
from deepcuts.evaluate.report import report_content
from deepcuts.predict import PRESETS, CnnSettings, LinearSettings, fit_encoder, load_encoder, predict_songs
from deepcuts.progress import progress
from deepcuts.trial.ceilings import ceilings_of
from deepcuts.trial.rows import with_controls
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
    pairs = [("best", name) for name in ("paper", "cnn", "small", "shuffled")]
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

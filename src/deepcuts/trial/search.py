"""Search settings of factorisation and encoder on validation songs, with the test songs out of sight.

The split's validation songs take the part of test songs (`Split.inner`): their plays and those of the test songs are
removed before anything is learned, and an audit proves it in every trial. A trial factorises, learns to hear, ranks the
validation songs for their listeners and scores the lists. Trial 0 has the settings to start from; a tree-structured
Parzen estimator proposes the others from what the trials so far gave.

The log has a line a trial, so a killed search goes on where it was. Each proposal depends on the seed, its number and
the trials before it alone: a search that was killed proposes what one that was not would have proposed.

Source: Bergstra et al. 2011 (the estimator); Akiba et al. 2019 (optuna).
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts import store
from deepcuts.artifacts import Features, Plays, Split, Vocabulary
from deepcuts.config import require
from deepcuts.errors import ArtifactError, InputError, LeakageError, SettingError
from deepcuts.evaluate import EvaluateSettings, System, audit, evaluate, relevant_plays
from deepcuts.factors import WmfSettings, fit
from deepcuts.predict import ENCODERS, fit_encoder, predict_songs
from deepcuts.predict.targets import EncoderSettings
from deepcuts.progress import progress
from deepcuts.trial.proposals import add, propose, study_of
from deepcuts.trial.rows import system_of
from deepcuts.trial.spaces import Choice, Span, space_of

FORMAT = 1  # of the log
METRICS = ("map", "auc")


@dataclass(frozen=True)
class TuneSettings:
    """How to search.

    Attributes:
        encoder: a key of ENCODERS.
        metric: "map" (mAP@500) or "auc", which the best trial has highest.
        minutes: no trial begins after so many minutes of trials, those of earlier runs included.
        n_trials: most trials, earlier runs included; 0 for no limit but the minutes.
        seed: of the proposals, and of everything random in a trial.
    """

    encoder: str = "linear"
    metric: str = "map"
    minutes: float = 30.0
    n_trials: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.encoder in ENCODERS, "encoder", self.encoder, " or ".join(ENCODERS))
        require(self.metric in METRICS, "metric", self.metric, " or ".join(METRICS))
        require(0 < self.minutes < np.inf, "minutes", self.minutes, "above 0")
        require(self.n_trials >= 0, "n_trials", self.n_trials, "0 or more")
        require(self.seed >= 0, "seed", self.seed, "0 or more")


@dataclass(frozen=True)
class Task:
    """What every trial works on.

    Attributes:
        plays, split: of the learning songs, with the validation songs in the part of test songs.
        features: of songs.
        unseen: how many test songs stay out of sight.
    """

    plays: Plays
    split: Split
    features: Features
    unseen: int

    @staticmethod
    def of(plays: Plays, split: Split, features: Features) -> "Task":
        """The task of a split.

        Raises:
            InputError: the split has no validation songs with features.
            LeakageError: something was learned from test songs for the features (a dictionary, say).
        """
        hidden = split.test_songs
        learned = features.lineage.learned_from
        if learned is None or (len(learned) and (hidden.find(learned.ids) >= 0).any()):
            raise LeakageError("features: test songs shaped them, or it is not known. Make them from learning songs.")
        inner, inner_plays = split.inner(plays)
        if not len(inner.test_songs) or not (features.songs.find(inner.test_songs.ids) >= 0).any():
            raise InputError("split: has no validation songs with features to choose by. Split with validation=0.1.")
        return Task(inner_plays, inner, features, len(hidden))


Start = tuple[WmfSettings, EncoderSettings]
Space = Mapping[str, Span | Choice]


def search(
    task: Task, start: Start, settings: TuneSettings, log: Path, *, clock: Callable[[], float] = time.monotonic
) -> list[dict[str, Any]]:
    """Run trials until the budget is spent.

    Args:
        start: settings of trial 0; what the space does not name keeps these values in all trials.
        log: a file of JSON lines: the recipe first, then a line a trial. Trials that it holds are not run again.
        clock: seconds.
    Returns:
        all trials in order: number, settings, map, auc, seconds, n_users, n_songs; `error` in place of the scores
        where settings cannot be used.
    Raises:
        ArtifactError: the log is of another task, or damaged.
        InputError: every trial failed (tells the first reason).
    """
    space = space_of(settings.encoder, max(min(task.plays.shape) // 2, 2))
    trials = open_log(log, recipe_of(task, start, settings, space))
    study = study_of(space, [(one["settings"], one[settings.metric]) for one in trials if "error" not in one])
    with progress("tune", total=settings.n_trials or None, unit="trial") as bar:
        bar.skip(len(trials))
        while not spent(trials, settings):
            number = len(trials)
            chosen = propose(study, space, settings.seed, number) if number else values_of(start, space)
            began = clock()
            outcome = run_trial(task, start, chosen, settings)
            outcome = {"number": number, "settings": chosen, **outcome, "seconds": round(clock() - began, 2)}
            append(log, outcome)
            trials.append(outcome)
            if "error" not in outcome:
                add(study, space, chosen, outcome[settings.metric])
            bar.advance(1)
    if trials and all("error" in one for one in trials):
        raise InputError(f"tune: each of {len(trials)} trials failed. The first: {trials[0]['error']}")
    return trials


def spent(trials: Sequence[Mapping[str, Any]], settings: TuneSettings) -> bool:
    """Whether the budget is: there is always room for the first trial."""
    if settings.n_trials and len(trials) >= settings.n_trials:
        return True
    return bool(trials) and sum(one["seconds"] for one in trials) >= 60 * settings.minutes


def values_of(start: Start, space: Space) -> dict[str, Any]:
    """What the settings to start from say of each setting of the space."""
    held = {"factors": asdict(start[0])}
    return {name: (held.get(name.partition(".")[0]) or asdict(start[1]))[name.partition(".")[2]] for name in space}


def with_values(start: Start, chosen: Mapping[str, Any], settings: TuneSettings) -> Start:
    """The settings to start from, with some values changed; both take the search's seed.

    Raises:
        SettingError: values that do not go together.
    """
    own: dict[str, dict[str, Any]] = {"factors": {"seed": settings.seed}, settings.encoder: {"seed": settings.seed}}
    for name, value in chosen.items():
        table, _, key = name.partition(".")
        own[table][key] = value
    return replace(start[0], **own["factors"]), replace(start[1], **own[settings.encoder])


def run_trial(task: Task, start: Start, chosen: Mapping[str, Any], settings: TuneSettings) -> dict[str, Any]:
    """Factorise, learn to hear, audit, rank the validation songs, score.

    Returns:
        map, auc, n_users, n_songs; or `error` where these settings cannot learn from these songs.
    """
    try:
        system, songs, users = learned(task, with_values(start, chosen, settings), settings.encoder)
    except (SettingError, InputError) as error:
        return {"error": str(error)}
    hidden = relevant_plays(task.plays, users, songs)
    scored = evaluate([system], hidden, EvaluateSettings(n_bootstrap=2))
    means = {metric: round(scored.rows[0].mean(metric), 6) for metric in METRICS}
    return {**means, "n_users": scored.n_users, "n_songs": scored.n_songs}


def learned(task: Task, chosen: Start, encoder: str) -> tuple[System, Vocabulary, Vocabulary]:
    """A system that learned with some settings, audited; the validation songs that it ranks; and its users.

    Raises:
        LeakageError: a play of a validation song reached it.
    """
    observed = fit(task.split.learning_plays(task.plays), chosen[0]).factors
    made = fit_encoder(encoder, task.features, observed, chosen[1])
    ids = task.split.test_songs.ids
    songs = Vocabulary(ids.filter(task.features.songs.find(ids) >= 0))
    predicted = predict_songs(made, task.features, songs)
    system = system_of(encoder, observed, predicted, songs)
    audit(task.split, task.plays, [observed], {encoder: predicted}, [system], test_songs=songs)
    return system, songs, observed.users.users


# ---- the log ----


def recipe_of(task: Task, start: Start, settings: TuneSettings, space: Space) -> dict[str, Any]:
    """What makes a log fit a search: not the budget, which may grow."""
    bounds = {name: asdict(one) for name, one in space.items()}
    recipe = {"format": FORMAT, "encoder": settings.encoder, "metric": settings.metric, "seed": settings.seed,
              "plays": task.plays.fingerprint, "split": task.split.fingerprint,
              "features": task.features.fingerprint, "start": [asdict(start[0]), asdict(start[1])],
              "space": bounds}  # fmt: skip
    return dict(json.loads(json.dumps(recipe)))


def open_log(log: Path, recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The trials of a log, which is begun where there is none; a last line that a kill cut short is dropped.

    Raises:
        ArtifactError: of another task, or damaged.
    """
    if not log.exists():
        store.write_file(log, json.dumps({"recipe": recipe}) + "\n")
        return []
    text = log.read_text(encoding="utf-8")
    whole, _, rest = text.rpartition("\n")
    if rest:
        store.write_file(log, whole + "\n")
    try:
        lines = [json.loads(line) for line in whole.splitlines()]
        found, trials = lines[0]["recipe"], lines[1:]
    except (ValueError, LookupError, TypeError) as error:
        raise ArtifactError(f"{log}: damaged ({error}). Remove it to search anew.") from error
    differ = [name for name in recipe if found.get(name) != recipe[name]]
    if differ:
        raise ArtifactError(
            f"{log}: holds a search with other {', '.join(differ)}. Choose another -o, or repeat its settings to go on."
        )
    return trials


def append(log: Path, outcome: Mapping[str, Any]) -> None:
    """One more line."""
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(outcome, ensure_ascii=False) + "\n")

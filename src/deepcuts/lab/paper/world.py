"""What the paper's experiments stand on: a planted world, its split, what its songs sound like, and their factors."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deepcuts.artifacts import TRAIN, VALIDATION, Factors, Features, Plays, Split, Vocabulary
from deepcuts.audio.bagofwords import BagOfWords, bag, learn_bagofwords
from deepcuts.audio.extract import extract
from deepcuts.data import make_split
from deepcuts.evaluate import EvaluateSettings, evaluate, relevant_plays
from deepcuts.factors import fit
from deepcuts.lab.cache import kept, kept_json, part
from deepcuts.lab.paper.settings import REGULARIZATIONS, PaperSettings
from deepcuts.predict import LinearSettings, fit_encoder, predict_songs
from deepcuts.trial.rows import system_of
from deepcuts.worlds import World, make_world
from deepcuts.worlds.synth import SYNTH_VERSION

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PaperWorld:
    """Everything that the tables share.

    Attributes:
        work: folder of finished parts.
        logmel, bag: what all songs sound like: frames, and one vector of PCA'd word counts a song.
    """

    settings: PaperSettings
    work: Path
    world: World
    split: Split
    logmel: Features
    bag: Features

    @property
    def plays(self) -> Plays:
        """All plays, the hidden ones too."""
        return self.world.plays

    def songs(self, *roles: int) -> Vocabulary:
        """The songs with these roles."""
        return self.split.songs.take(self.split.members(*roles))


def build_world(settings: PaperSettings, work: Path) -> PaperWorld:
    """Make the world and listen to it; what an earlier run finished is taken over."""
    recipe = (replace(settings.world(), n_jobs=0), SYNTH_VERSION)
    world = make_world(settings.world(), part(work, "world", *recipe))
    split = make_split(world.plays, settings.split())
    jobs = settings.n_jobs or None
    sounds = {"logmel": settings.logmel(), "mfcc": settings.mfcc()}
    for kind, how in sounds.items():
        extract(world.sounds, kind, how, part(work, kind, *recipe, how), jobs=jobs)
    heard = {kind: Features.load(part(work, kind, *recipe, how)) for kind, how in sounds.items()}
    return PaperWorld(settings, work, world, split, heard["logmel"], bag_of_words(settings, work, split, heard["mfcc"]))


def bag_of_words(settings: PaperSettings, work: Path, split: Split, mfcc: Features) -> Features:
    """Section 4.1: MFCC → words → counts → PCA, all learned from training songs only."""
    how = settings.words()
    training = split.songs.take(split.members(TRAIN))
    recipe = (how, mfcc.fingerprint, training.fingerprint)
    positions = mfcc.songs.positions(training.ids)
    words = kept(part(work, "words", *recipe), BagOfWords.load, lambda: learn_bagofwords(mfcc, positions, how))
    return kept(part(work, "bag", *recipe), Features.load, lambda: bag(mfcc, words.words, words.pca))


def observed_factors(world: PaperWorld, n_factors: int, *, protocol: str | None = None) -> Factors:
    """WMF of the plays that may be learned from; under the joint protocol of all plays, with all songs.

    Args:
        protocol: None takes that of the settings. Section 5.1 and Tables 1 and 4 ask for "joint", as the paper: they
            are about songs whose plays are known.
    """
    protocol = protocol or world.settings.protocol
    how = world.settings.wmf(n_factors, regularization(world))
    plays = world.plays if protocol == "joint" else world.split.learning_plays(world.plays)
    path = part(world.work, f"factors-{protocol}-{n_factors}", how, plays.fingerprint)
    checkpoint = path.with_name(f".{path.name}.checkpoint")
    return kept(path, Factors.load, lambda: fit(plays, how, checkpoint=checkpoint, protocol=protocol).factors)


def of_songs(factors: Factors, songs: Vocabulary) -> Factors:
    """The factors of all users and of some songs; the lineage stays: it says whose plays shaped them."""
    return replace(factors, songs=factors.songs.take(factors.songs.songs.positions(songs.ids)))


def regularization(world: PaperWorld) -> float:
    """λ: as the settings say, else the one under which linear regression ranks validation songs best (AUC)."""
    given = world.settings.regularization
    if given is not None:
        return given
    scores = regularization_scores(world)
    return float(max(scores, key=lambda one: scores[one]))


def regularization_scores(world: PaperWorld) -> dict[str, float]:
    """AUC of validation songs for each of REGULARIZATIONS; test songs are never looked at."""
    settings = world.settings
    recipe = (settings.wmf(settings.n_factors, 1.0), REGULARIZATIONS, world.split.fingerprint, world.bag.fingerprint)
    path = part(world.work, "regularization", world.plays.fingerprint, *recipe)
    return kept_json(path, lambda: {str(one): validation_auc(world, one) for one in REGULARIZATIONS})


def validation_auc(world: PaperWorld, value: float) -> float:
    """AUC of ridge regression on validation songs, with factors fitted on training songs alone."""
    inner, plays = world.split.inner(world.plays)
    observed = fit(inner.learning_plays(plays), world.settings.wmf(world.settings.n_factors, value)).factors
    songs = world.songs(VALIDATION)
    encoder = fit_encoder("linear", world.bag, observed, LinearSettings(validation=0.0, standardise=False))
    predicted = predict_songs(encoder, world.bag, songs)
    hidden = relevant_plays(world.plays, observed.users.users, songs)
    outcome = evaluate([system_of("ridge", observed, predicted, songs)], hidden, EvaluateSettings(n_bootstrap=2))
    auc = outcome.row("ridge").mean("auc")
    log.info("λ = %g: AUC of validation songs %.4f", value, auc)
    return auc if np.isfinite(auc) else 0.0

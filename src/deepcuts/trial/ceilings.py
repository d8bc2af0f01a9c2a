"""What only the truth of a planted world can know: how far ears, plays and tastes could lead."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from deepcuts.artifacts import CLEAN, Factors, Features, Lineage, Plays, Split, Vocabulary
from deepcuts.errors import InputError
from deepcuts.evaluate import System
from deepcuts.predict import LinearSettings, fit_encoder, predict_songs
from deepcuts.recommend import posterior_tastes
from deepcuts.trial.rows import system_of
from deepcuts.worlds import Truth, audio_ceiling, load_truth


def ceilings_of(truth: Path, plays: Plays, split: Split, observed: Factors) -> Callable[[Vocabulary], list[System]]:
    """A function from the ranked songs to the rows `perfect_encoder`, `bayes_listener` and `audio_ceiling`.

    Args:
        truth: folder of the truth of the planted world that the plays come from.
    Raises:
        InputError: the truth of another world.
    """
    known = load_truth(truth)
    if known.audible.shape[0] != len(plays.songs):
        raise InputError(f"truth: of {known.audible.shape[0]} songs, the plays have {len(plays.songs)}. Another world?")
    return partial(_ceilings, known, plays, split, observed)


def _ceilings(truth: Truth, plays: Plays, split: Split, observed: Factors, songs: Vocabulary) -> list[System]:
    return [
        perfect_encoder(truth, plays, split, observed, songs),
        bayes_listener(truth, plays, split, observed, songs),
        true_tastes(truth, plays, observed, songs),
    ]


def perfect_encoder(truth: Truth, plays: Plays, split: Split, observed: Factors, songs: Vocabulary) -> System:
    """Song factors predicted from the true audible latents."""
    latents = np.hstack([truth.audible, truth.heard]).astype(np.float32)
    heard = Features(plays.songs, latents, np.arange(len(latents) + 1), "truth", {"one_frame": True})
    encoder = fit_encoder("linear", heard, observed.songs.without(split.test_songs), LinearSettings())
    perfect = system_of("perfect_encoder", observed, predict_songs(encoder, heard, songs), songs)
    note = "Song factors predicted from the true audible latents: hearing without error."
    return replace(perfect, kind="ceiling", note=note)


def bayes_listener(truth: Truth, plays: Plays, split: Split, observed: Factors, songs: Vocabulary) -> System:
    """Perfect ears, and the posterior of each taste given the plays of learning songs (`recommend.taste`)."""
    learning = split.learning_plays(plays)
    played = learning.counts_of(observed.users.users, learning.songs)
    tastes = posterior_tastes(played, truth.heard[plays.songs.positions(learning.songs.ids)])
    space = truth.heard[plays.songs.positions(songs.ids)] - tastes.centre
    note = "The true audible latents, and the best guess of each taste that these plays allow."
    lineage = Lineage(learned_from=learning.songs, protocol=CLEAN)
    if observed.lineage.protocol != CLEAN:
        lineage = replace(lineage, protocol=observed.lineage.protocol)
    return System("bayes_listener", tastes.vectors, space, "ceiling", note=note, lineage=lineage)


def true_tastes(truth: Truth, plays: Plays, observed: Factors, songs: Vocabulary) -> System:
    """The true audible taste of the true users: the audio ceiling."""
    users, all_songs = audio_ceiling(truth)
    rows = plays.users.positions(observed.users.users.ids)
    vectors = all_songs[plays.songs.positions(songs.ids)]
    note = "The true audible taste of every user on the true audible latents: nobody who only listens can do better."
    lineage = Lineage(protocol=observed.lineage.protocol or CLEAN)
    return System("audio_ceiling", users[rows], vectors, "ceiling", note=note, lineage=lineage)

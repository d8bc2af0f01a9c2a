"""How far a model can be trusted: some songs are kept aside, and their listeners are asked of it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from deepcuts.artifacts import Factors, Features, Plays, SongFactors, Vocabulary
from deepcuts.data import SplitSettings, make_split
from deepcuts.errors import InputError
from deepcuts.evaluate import System, relevant_plays
from deepcuts.factors import WmfSettings, fold_in_songs
from deepcuts.recommend.content import CONTENT
from deepcuts.trial.trust import LEAST_SONGS, SHARE, Trust, trust_of

# (learning plays, songs to predict) → factors, and predictions of these songs.
Learn = Callable[[Plays, Vocabulary], tuple[Factors, SongFactors]]


def check_model(plays: Plays, features: Features, learn: Learn, seed: int = 0) -> Trust | None:
    """Hide the plays of a fifth of the songs, learn from the rest, and rank the hidden songs by their sound.

    Args:
        plays: of all songs.
        features: of songs; only songs that have them are hidden.
        learn: makes a model as the final one will be made.
    Returns:
        None where too few songs have both plays and sound to tell.
    """
    known = features.songs.ids.filter(plays.songs.find(features.songs.ids) >= 0)
    if len(known) * SHARE < LEAST_SONGS:
        return None
    split = make_split(plays, SplitSettings(by="song", test=SHARE, validation=0.0, seed=seed), only=known.to_list())
    songs = split.test_songs
    try:
        factors, predicted = learn(split.learning_plays(plays), songs)
    except InputError:  # what is left is too little to learn from
        return None
    hidden = relevant_plays(plays, factors.users.users, songs)
    if not hidden.nnz:
        return None
    system = System("model", factors.users.vectors, predicted.rows(songs.ids), lineage=predicted.lineage)
    errors = None
    if factors.users.settings.get("model") != CONTENT:
        errors = predicted.rows(songs.ids) - _observed(factors, hidden)
    return trust_of(system, hidden, errors)


def _observed(factors: Factors, hidden: Any) -> np.ndarray:
    """What the hidden plays say of the songs [n_songs, n_factors]."""
    names = ("alpha", "epsilon", "regularization")
    settings = WmfSettings(**{name: factors.users.settings[name] for name in names})
    return fold_in_songs(hidden, factors.users.vectors, settings)

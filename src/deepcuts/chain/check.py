"""How far a model can be trusted: some songs are kept aside, and their listeners are asked of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepcuts.artifacts import Factors, Features, Plays, SongFactors, Vocabulary
from deepcuts.data import SplitSettings, make_split
from deepcuts.errors import InputError
from deepcuts.evaluate import EvaluateSettings, System, evaluate, relevant_plays
from deepcuts.factors import WmfSettings, fold_in_songs
from deepcuts.recommend.content import CONTENT

LEAST_SONGS = 10  # kept aside; fewer say nothing
SHARE = 0.2

# (learning plays, songs to predict) → factors, and predictions of these songs.
Learn = Callable[[Plays, Vocabulary], tuple[Factors, SongFactors]]


@dataclass(frozen=True)
class Trust:
    """How well songs that were kept aside are ranked for the listeners who did play them.

    Attributes:
        auc: mean over listeners; .5 is chance.
        low, high: 95 % interval over listeners and songs.
        n_users, n_songs: scored.
        errors: predicted less observed factors of these songs [n_songs, n_factors]; None for a content model.
    """

    auc: float
    low: float
    high: float
    n_users: int
    n_songs: int
    errors: np.ndarray | None = None

    def sentence(self) -> str:
        """In words."""
        verdict = "better than chance" if self.low > 0.5 else "not told apart from chance"
        return (
            f"trust: of {self.n_songs:,} songs kept aside, those that a listener plays rank above the others with "
            f"probability {self.auc:.3f} (95 %: {self.low:.3f} to {self.high:.3f}; .5 is chance; "
            f"{self.n_users:,} listeners): {verdict}"
        )

    def record(self) -> dict[str, Any]:
        """For a model card."""
        numbers = {"auc": round(self.auc, 4), "low": round(self.low, 4), "high": round(self.high, 4)}
        return {**numbers, "n_users": self.n_users, "n_songs": self.n_songs, "protocol": "clean, songs kept aside"}


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
    evaluation = evaluate([system], hidden, EvaluateSettings())
    low, high = evaluation.interval("model", "auc")
    errors = None
    if factors.users.settings.get("model") != CONTENT:
        errors = predicted.rows(songs.ids) - _observed(factors, hidden)
    return Trust(evaluation.row("model").mean("auc"), low, high, evaluation.n_users, len(songs), errors)


def _observed(factors: Factors, hidden: Any) -> np.ndarray:
    """What the hidden plays say of the songs [n_songs, n_factors]."""
    names = ("alpha", "epsilon", "regularization")
    settings = WmfSettings(**{name: factors.users.settings[name] for name in names})
    return fold_in_songs(hidden, factors.users.vectors, settings)

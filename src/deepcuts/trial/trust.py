"""How far rankings can be trusted: songs that nothing was learned from are ranked for the listeners who play them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from deepcuts.artifacts import Factors, Features, Plays, Vocabulary
from deepcuts.evaluate import EvaluateSettings, System, evaluate, relevant_plays
from deepcuts.factors import blocks, fold_in_settings, fold_in_users
from deepcuts.predict.encoder import Encoder
from deepcuts.predict.fit import ENCODERS, fit_encoder, predict_songs
from deepcuts.predict.targets import EncoderSettings, NetworkSettings, kept_aside

LEAST_SONGS = 10  # kept aside; fewer say nothing
SHARE = 0.2  # of the songs, where an encoder keeps none aside itself


@dataclass(frozen=True)
class Trust:
    """How well songs that were kept aside are ranked for the listeners who did play them.

    Attributes:
        auc: mean over listeners; .5 is chance.
        low, high: 95 % interval over listeners and songs.
        n_users, n_songs: scored.
        errors: predicted less observed factors of these songs [n_songs, n_factors]; None where not measured.
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
            f"probability {self.auc:.3f} (AUC; 95 %: {self.low:.3f} to {self.high:.3f}; .5 is chance; "
            f"{self.n_users:,} listeners): {verdict}"
        )

    def record(self) -> dict[str, Any]:
        """For a model card."""
        numbers = {"auc": round(self.auc, 4), "low": round(self.low, 4), "high": round(self.high, 4)}
        return {**numbers, "n_users": self.n_users, "n_songs": self.n_songs, "protocol": "clean, songs kept aside"}


def trust_of(system: System, hidden: sparse.csr_array, errors: np.ndarray | None = None) -> Trust:
    """Score one system on songs kept aside.

    Args:
        system: vectors of users and of the songs kept aside.
        hidden: their plays [n_users, n_songs] CSR, at least one.
        errors: kept with the answer.
    """
    evaluation = evaluate([system], hidden, EvaluateSettings())
    low, high = evaluation.interval(system.name, "auc")
    auc = evaluation.row(system.name).mean("auc")
    return Trust(auc, low, high, evaluation.n_users, hidden.shape[1], errors)


def trust_in_encoder(
    encoder: Encoder,
    features: Features,
    factors: Factors,
    plays: Plays,
    settings: EncoderSettings,
    validation: Vocabulary | None = None,
) -> Trust | str:
    """Rank songs that an encoder did not fit, for listeners who are folded in again without their plays.

    The songs are those that only chose when to stop, or how much ridge. Where an encoder kept none, another of the same
    settings is fitted without a fifth of the songs. The factors of the other songs did learn beside the plays of the
    songs kept aside; that indirect trace stays, and a trial over folds (`deepcuts trial`) has none.

    Args:
        factors: those that the encoder learned from.
        plays: those that the factors learned from: without the plays of test songs.
        settings, validation: as given to `fit_encoder`.
    Returns:
        the figure, or in words why there is none.
    """
    if "alpha" not in factors.users.settings:
        return "these factors do not say how a listener is folded in"
    name = encoder.provenance.name
    ends_with_all = ENCODERS[name].ends_with_all
    aside = Vocabulary([]) if ends_with_all else kept_aside(features, factors, settings, validation)
    if len(aside) < LEAST_SONGS and not isinstance(settings, NetworkSettings):
        aside = _a_fifth(features, factors, settings)
        others = factors.without_songs(aside)
        encoder = (
            fit_encoder(name, features, others, replace(settings, validation=0.0)) if len(others.songs) else encoder
        )
    if len(aside) < LEAST_SONGS:
        return f"{len(aside)} songs could be kept aside, and fewer than {LEAST_SONGS} say nothing"
    return _ranked(encoder, features, factors, plays, aside)


def _a_fifth(features: Features, factors: Factors, settings: EncoderSettings) -> Vocabulary:
    return kept_aside(features, factors, replace(settings, validation=SHARE), None)


def _ranked(encoder: Encoder, features: Features, factors: Factors, plays: Plays, aside: Vocabulary) -> Trust | str:
    """The figure for songs that `encoder` did not fit."""
    counts = relevant_plays(plays, factors.users.users, factors.songs.songs)
    columns = factors.songs.songs.positions(aside.ids, where="factors")
    hidden = counts[:, columns].tocsr()
    if not hidden.nnz:
        return "nobody in the plays has played the songs kept aside"
    seen, settings = _without(counts, columns), fold_in_settings(factors)
    users = np.hstack([fold_in_users(seen, factors.songs.vectors[:, block], settings) for block in blocks(factors)])
    predicted = predict_songs(encoder, features, aside)
    return trust_of(System("encoder", users, predicted.vectors, lineage=predicted.lineage), hidden)


def _without(counts: sparse.csr_array, columns: np.ndarray) -> sparse.csr_array:
    """The plays [n_users, n_songs] CSR, with some songs unplayed."""
    kept = np.ones(counts.shape[1])
    kept[columns] = 0
    others = sparse.csr_array(counts.multiply(kept[None, :]))
    others.eliminate_zeros()
    return others

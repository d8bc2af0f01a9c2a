"""`predict fit` ends by saying how far to trust the encoder, from songs that it did not fit."""

import re
from pathlib import Path

import numpy as np
import pytest

from deepcuts.artifacts import Factors, Features, Plays, Vocabulary
from deepcuts.predict import ENCODERS, fit_encoder
from deepcuts.trial import trust
from deepcuts.trial.trust import Trust, trust_in_encoder

FAST = {
    "cnn": ["--set=n_epochs=1", "--set=width=4", "--set=window=32", "--set=kernel=2", "--set=pool=2", "--set=dense=4"],
    "mlp": ["--set=n_epochs=2"],
    "trees": ["--set=n_trees=5"],
    "stack": ["--set=n_trees=5"],
    "relevance": ["--set=n_lags=2"],
}


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_every_encoder_ends_with_its_auc(deepcuts, home: Path, tmp_path: Path, encoder: str) -> None:
    words = ["predict", "fit", home / "logmel", home / "factors", "--encoder", encoder, "-o", tmp_path / "encoder"]
    told = deepcuts(*words, "--plays", home / "world/plays", *FAST.get(encoder, []), "--set=validation=0.3")
    assert told.code == 0, told.err
    last = told.err.strip().splitlines()[-1]
    assert re.search(r"trust: of 1\d songs kept aside, .* probability 0\.\d+ \(AUC; 95 %: ", last), told.err


def test_without_plays_the_command_says_how_to_measure(deepcuts, home: Path, tmp_path: Path) -> None:
    told = deepcuts("predict", "fit", home / "logmel", home / "factors", "--encoder", "linear", "-o", tmp_path / "e")
    assert told.code == 0
    assert told.err.strip().endswith("trust: not measured. Name the plays that the factors come from with --plays")


def test_too_few_songs_kept_aside_are_said_to_say_nothing(home: Path) -> None:
    mel, factors = Features.load(home / "logmel"), Factors.load(home / "factors")
    few = factors.without_songs(Vocabulary(factors.songs.songs.ids[20:]))
    settings = ENCODERS["linear"].settings(validation=0.1)
    encoder = fit_encoder("linear", mel, few, settings)
    found = trust_in_encoder(encoder, mel, few, Plays.load(home / "world/plays"), settings)
    assert found == "4 songs could be kept aside, and fewer than 10 say nothing"


def test_the_songs_are_ranked_by_an_encoder_and_users_that_did_not_learn_from_them(home: Path, monkeypatch) -> None:
    """The plays of the songs kept aside are blanked before listeners are folded in, and the encoder never saw them."""
    mel, factors, plays = (
        Features.load(home / "logmel"),
        Factors.load(home / "factors"),
        Plays.load(home / "world/plays"),
    )
    settings = ENCODERS["relevance"].settings(n_lags=2)
    encoder = fit_encoder("relevance", mel, factors, settings)
    fitted, folded = [], []
    real_fit, real_fold = trust.fit_encoder, trust.fold_in_users

    def fit(name, features, others, *rest, **named):
        fitted.append(set(others.songs.songs.ids))
        return real_fit(name, features, others, *rest, **named)

    def fold(counts, *rest):
        folded.append(np.flatnonzero(np.diff(counts.tocsc().indptr) == 0))
        return real_fold(counts, *rest)

    monkeypatch.setattr(trust, "fit_encoder", fit)
    monkeypatch.setattr(trust, "fold_in_users", fold)
    found = trust_in_encoder(encoder, mel, factors, plays, settings)
    assert isinstance(found, Trust)
    aside = set(factors.songs.songs.ids) - fitted[0]
    assert len(aside) == found.n_songs
    assert aside <= set(factors.songs.songs.take(folded[0]).ids)

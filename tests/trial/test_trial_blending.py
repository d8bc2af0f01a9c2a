"""The blend against its parents, tastes in the heard space, and cross-fitted predictions: planted truth and laws."""

import numpy as np
import pytest
from scipy import sparse

from deepcuts.artifacts import Factors, Features, Lineage, Plays, SongFactors, UserFactors, Vocabulary
from deepcuts.errors import InputError
from deepcuts.evaluate import EvaluateSettings, evaluate, relevant_plays
from deepcuts.predict import LinearSettings
from deepcuts.predict.crossfit import cross_fitted, deal_folds
from deepcuts.recommend.taste import posterior_tastes
from deepcuts.trial.blending import blend_table, some_listeners
from deepcuts.trial.heard_tastes import heard_space, heard_tastes, spread

SETTINGS = {"alpha": 2.0, "epsilon": 1.0, "regularization": 10.0}


def world(rng: np.random.Generator, n_users: int = 400, n_songs: int = 60) -> tuple[Plays, Factors, np.ndarray]:
    """Plays drawn by x·y, the true users as factors, and the true songs."""
    x, y = rng.normal(size=(n_users, 4)).astype(np.float32), rng.normal(size=(n_songs, 4)).astype(np.float32)
    user, song = np.nonzero(rng.random((n_users, n_songs)) < 1 / (1 + np.exp(2.0 - x @ y.T)))
    users, songs = [f"u{i:03d}" for i in range(n_users)], [f"s{i:02d}" for i in range(n_songs)]
    plays = Plays.from_pairs([users[i] for i in user], [songs[i] for i in song], np.ones(len(user)))
    lineage = Lineage("a fit", Vocabulary(songs), "clean")
    observed = Factors(UserFactors(Vocabulary(users, "user"), x, lineage, SETTINGS),
                       SongFactors(Vocabulary(songs), y, lineage, settings=SETTINGS))  # fmt: skip
    return plays, observed, y


def test_the_blend_is_audio_without_plays_and_nears_the_truth_with_them() -> None:
    rng = np.random.default_rng(0)
    plays, observed, y = world(rng)
    heard = SongFactors(observed.songs.songs, (y + rng.normal(0, 1, y.shape)).astype(np.float32), observed.lineage)
    told = {one["k"]: one for one in blend_table(plays, observed, heard, 10 * np.eye(4),
                                                 EvaluateSettings(n_bootstrap=20), (0, 5, 20))}  # fmt: skip
    assert list(told) == [0, 5, 20]
    assert told[0]["blend"]["auc"] == told[0]["audio"]["auc"]
    assert told[0]["plays"]["auc"]["mean"] == 0.5
    assert told[20]["gaps"]["audio"]["auc"]["low"] > 0
    gap = told[20]["gaps"]["plays"]["auc"]["difference"]
    assert gap == pytest.approx(told[20]["blend"]["auc"]["mean"] - told[20]["plays"]["auc"]["mean"])


def test_a_number_of_plays_that_too_few_songs_have_ends_the_table() -> None:
    plays, observed, _ = world(np.random.default_rng(1))
    told = blend_table(plays, observed, observed.songs, np.eye(4), EvaluateSettings(n_bootstrap=5), (0, 10_000))
    assert [one["k"] for one in told] == [0]


def test_every_song_gets_k_listeners_and_only_from_those_who_give() -> None:
    rng = np.random.default_rng(2)
    counts = sparse.csr_array((rng.random((30, 8)) < 0.6) * rng.integers(1, 9, size=(30, 8)))
    gives = np.arange(30) < 15
    seen = some_listeners(counts, gives, 3, rng).toarray()
    assert ((seen > 0).sum(axis=0) == 3).all()
    assert not seen[15:].any()
    assert (seen[seen > 0] == counts.toarray()[seen > 0]).all()


def test_cross_fitted_predictions_come_from_encoders_that_did_not_see_the_song() -> None:
    """Targets without any relation to sound: an encoder that saw a song would fit it, a stranger cannot."""
    rng = np.random.default_rng(3)
    ids = Vocabulary([f"s{i}" for i in range(60)])
    features = Features(ids, rng.normal(size=(60, 40)).astype(np.float32), np.arange(61), "table", {"one_frame": True})
    lineage = Lineage("a fit", ids, "clean")
    songs = SongFactors(ids, rng.normal(size=(60, 2)).astype(np.float32), lineage)
    factors = Factors(UserFactors(Vocabulary(["u"], "user"), np.ones((1, 2), np.float32), lineage), songs)
    settings = LinearSettings(ridge=1e-3, validation=0.0)
    found = cross_fitted("linear", features, factors, settings, groups=np.arange(60) // 2, n_folds=3)
    assert found.songs == ids
    assert found.lineage.space == "a fit"
    assert np.square(found.vectors - songs.vectors).mean() > np.square(songs.vectors).mean()


def test_groups_never_part_between_folds_and_too_few_are_refused() -> None:
    groups = np.repeat(np.arange(10), 3)
    fold = deal_folds(groups, 4, np.random.default_rng(0))
    assert all(len(set(fold[groups == group])) == 1 for group in range(10))
    assert sorted(np.bincount(fold[::3])) == [2, 2, 3, 3]
    with pytest.raises(InputError, match="11 folds of 10 groups"):
        deal_folds(groups, 11, np.random.default_rng(0))


def test_tastes_in_a_perfectly_heard_space_are_those_of_the_true_space() -> None:
    plays, observed, y = world(np.random.default_rng(4))
    new, known = Vocabulary([f"s{i:02d}" for i in range(20)]), observed.songs.take(np.arange(20, 60))
    learning = plays.take_songs(np.arange(20, 60))
    rows = heard_tastes(learning, observed, known, observed.songs, new, "ears")
    assert [row.name for row in rows] == ["ears_taste", "ears_stacked"]
    space, placed = heard_space(y[20:].astype(float), y[:20].astype(float))
    tastes = posterior_tastes(learning.counts_of(observed.users.users, known.songs), space)
    np.testing.assert_allclose(rows[0].user_vectors @ rows[0].song_vectors.T, tastes.scores(placed), atol=1e-9)
    hidden = relevant_plays(plays, observed.users.users, new)
    scored = evaluate(rows, hidden, EvaluateSettings(n_bootstrap=2))
    assert scored.row("ears_taste").mean("auc") > 0.7
    assert scored.row("ears_stacked").mean("auc") >= scored.row("ears_taste").mean("auc")  # its users are the truth


def test_spread_is_the_standard_deviation_of_a_users_scores() -> None:
    rng = np.random.default_rng(5)
    users, songs = rng.normal(size=(6, 3)), rng.normal(size=(50, 3))
    users[0] = 0
    found = spread(users, songs)
    np.testing.assert_allclose(found[1:], (users[1:] @ songs.T).std(axis=1, ddof=1))
    assert found[0] == 1.0

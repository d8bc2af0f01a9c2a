"""Encoders that learn on the weighted prediction error: from plays through factors to predictions."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from deepcuts.artifacts import Factors, Features, Plays, SongFactors, Vocabulary
from deepcuts.errors import InputError, SettingError
from deepcuts.factors import WmfSettings, fit, surplus_confidence
from deepcuts.predict import (
    ENCODERS,
    CnnSettings,
    LinearSettings,
    MlpSettings,
    fit_encoder,
    load_encoder,
    predict_songs,
    weighted_prediction_error,
)
from deepcuts.predict import train as train_module
from deepcuts.predict.conjugate import ConjugateSolver
from deepcuts.predict.linear import RidgeSolver
from deepcuts.predict.losses import Mse
from deepcuts.predict.train import validation_loss
from deepcuts.predict.training_set import Examples

CNN = CnnSettings(
    width=8, kernel=4, pool=2, dense=16, window=32, n_epochs=20, batch=16, lr=1e-2, device="cpu", precision="float32"
)
KINDS = {
    "linear": LinearSettings(ridge=1.0, validation=0.0),
    "mlp": MlpSettings(n_hidden=32, n_epochs=60, lr=5e-3, device="cpu", validation=0.0),
    "cnn": dataclasses.replace(CNN, validation=0.0),
}


@pytest.fixture(scope="module")
def played() -> tuple[Features, Factors, Plays]:
    """80 songs of 40 frames in 6 channels, of which 4 say what they sound like; 200 users; a few songs known to all."""
    rng = np.random.default_rng(11)
    sound = rng.normal(size=(80, 6))
    taste = 1.5 * rng.normal(size=(200, 4))
    liking = taste @ (sound[:, :4] + 0.5 * rng.normal(size=(80, 4))).T / 2 + 1.5 * rng.normal(size=80) - 2.5
    likes = rng.random((200, 80)) < 1 / (1 + np.exp(-liking))
    likes[np.arange(80), np.arange(80)] = True  # every song is known to someone
    user, song = np.nonzero(likes)
    plays = Plays.from_pairs(
        [f"user{u:03d}" for u in user], [f"song{i:02d}" for i in song], rng.integers(1, 9, len(user))
    )
    frames = [(level + rng.normal(0, 0.3, size=(40, 6))).astype(np.float32) for level in sound]
    songs = Vocabulary([f"song{i:02d}" for i in range(80)])
    features = Features(songs, np.concatenate(frames), 40 * np.arange(81), "logmel", {"frame_rate": 43.0})
    return features, fit(plays, WmfSettings(n_factors=5, regularization=5.0)).factors, plays


def one_frame(rows: np.ndarray, songs: Vocabulary) -> Features:
    return Features(songs, rows.astype(np.float32), np.arange(len(rows) + 1), "vectors", {"one_frame": True})


def heard_error(settings, name, features, observed, plays):
    encoder = fit_encoder(name, features, observed, settings, plays=plays)
    return float(weighted_prediction_error(predict_songs(encoder, features, plays.songs), observed, plays).sum())


@pytest.mark.parametrize("name", sorted(KINDS))
def test_training_on_wpe_lowers_wpe_more_than_training_on_mse_does(played, name):
    features, observed, plays = played
    mse, wpe = (
        heard_error(dataclasses.replace(KINDS[name], loss=loss), name, features, observed, plays)
        for loss in ("mse", "wpe")
    )
    mean_song = np.tile(observed.songs.vectors.mean(axis=0), (80, 1))
    nothing_heard, best = (
        float(weighted_prediction_error(SongFactors(plays.songs, Y), observed, plays).sum())
        for Y in (mean_song, observed.songs.vectors)
    )
    assert best < wpe < 0.97 * mse < 0.97 * nothing_heard


def dense_normal_equations(stats, observed, plays, ridge, kappa, scale):
    """W [n_stats + 1, n_factors] in raw factors from one large system, all pairs of user and song written out."""
    X = observed.users.vectors.astype(np.float64)
    s = surplus_confidence(plays.counts, observed.settings["alpha"], observed.settings["epsilon"]).toarray().T
    s = s.astype(np.float64)
    heard = np.column_stack([stats, np.ones(len(stats))])
    A = X.T @ X + np.einsum("iu,uf,ug->ifg", s, X, X)
    b = ((s > 0) * (1 + s)) @ X
    n = heard.shape[1] * X.shape[1]
    left = np.einsum("ia,ib,ifg->afbg", heard, heard, A).reshape(n, n)
    penalty = np.ones((heard.shape[1], X.shape[1]))
    penalty[-1] = 0  # the intercept is free; W is penalised in standardised factors, E by κ
    left += np.diag(ridge * kappa * penalty.ravel())
    return np.linalg.solve(left, np.einsum("ia,if->af", heard, b).ravel()).reshape(heard.shape[1], -1)


@pytest.mark.parametrize("ridge", [1e-6, 30.0])
def test_the_linear_encoder_reaches_the_lowest_point_in_closed_form(played, ridge):
    _, observed, plays = played
    rng = np.random.default_rng(0)
    rows = (observed.songs.vectors[:, :3] * 2 + rng.normal(size=(80, 3))).astype(np.float32)
    features = one_frame(rows, plays.songs)
    settings = LinearSettings(loss="wpe", ridge=ridge, validation=0.0)
    encoder = fit_encoder("linear", features, observed, settings, plays=plays)
    X = observed.users.vectors.astype(np.float64)
    s = surplus_confidence(plays.counts, observed.settings["alpha"], observed.settings["epsilon"]).toarray()
    kappa = (80 * np.trace(X.T @ X) + (s.sum(axis=1) * (X**2).sum(axis=1)).sum()) / (80 * 5)
    scale = encoder.provenance.target_scale
    stats = (rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)) / rows.std(axis=0, dtype=np.float64)
    W = dense_normal_equations(stats, observed, plays, ridge, kappa, scale)
    by_hand = np.column_stack([stats, np.ones(80)]) @ W
    np.testing.assert_allclose(encoder.predict(features, np.arange(80)), by_hand, rtol=1e-4, atol=1e-5)


def test_where_the_sound_says_all_the_error_is_the_smallest_there_is(played):
    """Planted: the features are a linear map of the songs' own lowest points."""
    _, observed, plays = played
    X = observed.users.vectors.astype(np.float64)
    s = surplus_confidence(plays.counts, observed.settings["alpha"], observed.settings["epsilon"]).toarray().T
    A = X.T @ X + np.einsum("iu,uf,ug->ifg", s.astype(np.float64), X, X)
    lowest = np.linalg.solve(A, (((s > 0) * (1.0 + s)) @ X)[:, :, None])[:, :, 0]
    smallest = weighted_prediction_error(SongFactors(plays.songs, lowest), observed, plays).sum()
    features = one_frame(lowest @ np.random.default_rng(0).normal(size=(5, 5)), plays.songs)
    line = heard_error(LinearSettings(loss="wpe", ridge=1e-9, validation=0.0), "linear", features, observed, plays)
    assert line == pytest.approx(smallest, rel=1e-5)
    settings = MlpSettings(
        n_hidden=100, n_epochs=300, lr=1e-2, loss="wpe", validation=0.0, weight_decay=0.0, device="cpu"
    )
    network = heard_error(settings, "mlp", features, observed, plays)
    assert smallest <= network < 1.02 * smallest


def test_conjugate_gradient_on_the_squared_error_is_the_closed_form():
    rng = np.random.default_rng(0)
    stats = rng.normal(size=(50, 8)) * rng.uniform(0.1, 3, 8)
    weights = rng.uniform(0.1, 1, 50).astype(np.float32)
    examples = Examples(np.arange(50), rng.normal(size=(50, 3)).astype(np.float32), weights)
    solver = ConjugateSolver(stats, examples, Mse(3))
    closed = RidgeSolver(stats, examples)
    started = None
    for ridge in (1e3, 1.0, 1e-2):
        started = solver.solve(ridge, started)
        W, intercept = closed.solve(ridge)
        np.testing.assert_allclose(started[:-1], W, atol=1e-7)
        np.testing.assert_allclose(started[-1], intercept, atol=1e-7)


def test_the_ridge_is_chosen_by_validation_songs_and_refused_without(played):
    features, observed, plays = played
    encoder = fit_encoder("linear", features, observed, LinearSettings(loss="wpe"), plays=plays)
    assert np.isfinite(encoder.weights).all()
    with pytest.raises(SettingError, match="ridge = None"):
        fit_encoder("linear", features, observed, LinearSettings(loss="wpe", validation=0.0), plays=plays)


def test_training_stops_by_the_error_of_whole_validation_songs_which_is_that_of_the_answers(played, monkeypatch):
    features, observed, plays = played
    settings = dataclasses.replace(CNN, loss="wpe", validation=0.2, n_epochs=3)
    seen = []
    monkeypatch.setattr(
        train_module, "validation_loss", lambda *a: seen.append((validation_loss(*a), a)) or seen[-1][0]
    )
    encoder = fit_encoder("cnn", features, observed, settings, plays=plays)
    found, (_, objective, _, validation, _) = min(seen, key=lambda one: one[0])
    songs = features.songs.take(validation.songs)
    known = SongFactors(songs, observed.songs.vectors[validation.songs])
    heard = predict_songs(encoder, features, songs)
    excess = weighted_prediction_error(heard, observed, plays) - weighted_prediction_error(known, observed, plays)
    assert found == pytest.approx(np.mean(excess) / objective.unit, rel=1e-4)
    assert len(songs) == 16


def test_the_basis_in_which_a_network_learns_does_not_show_in_its_answers(played):
    """Learned well in either basis, the answers are on the scale of factors and foretell alike."""
    features, observed, plays = played
    settings = dataclasses.replace(KINDS["mlp"], loss="wpe")
    one, other = (
        heard_error(dataclasses.replace(settings, precondition=p), "mlp", features, observed, plays)
        for p in (True, False)
    )
    assert one == pytest.approx(other, rel=0.1)


@pytest.mark.parametrize("loss", ["wpe", "usage"])
@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_saved_encoder_knows_its_loss_and_predicts_identically(played, name, loss, tmp_path: Path):
    features, observed, plays = played
    settings = dataclasses.replace(KINDS[name], loss=loss)
    if name != "linear":
        settings = dataclasses.replace(settings, n_epochs=2, validation=0.2, clip=1.0)
    one, two = (fit_encoder(name, features, observed, settings, plays=plays) for _ in range(2))
    assert one.fingerprint == two.fingerprint
    one.save(tmp_path / "encoder")
    loaded = load_encoder(tmp_path / "encoder")
    assert loaded.provenance.settings["loss"] == loss
    assert loaded.provenance.lineage.parents.get("plays") == (plays.fingerprint if loss == "wpe" else None)
    np.testing.assert_array_equal(loaded.predict(features, np.arange(80)), one.predict(features, np.arange(80)))


def test_a_resumed_run_ends_with_the_same_weights_and_other_plays_are_another_run(
    played, tmp_path: Path, monkeypatch, caplog
):
    features, observed, plays = played
    settings = dataclasses.replace(CNN, loss="wpe", n_epochs=4)
    undisturbed = fit_encoder("cnn", features, observed, settings, plays=plays)
    real, n_calls = train_module.judge, []

    def killed(*arguments):
        n_calls.append(1)
        if len(n_calls) == 3:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(train_module, "judge", killed)
    with pytest.raises(KeyboardInterrupt):
        fit_encoder("cnn", features, observed, settings, checkpoint=tmp_path / "run", plays=plays)
    monkeypatch.setattr(train_module, "judge", real)
    resumed = fit_encoder("cnn", features, observed, settings, checkpoint=tmp_path / "run", plays=plays)
    assert resumed.fingerprint == undisturbed.fingerprint
    doubled = dataclasses.replace(plays, counts=sparse.csr_array(plays.counts * 2))
    lineage = observed.lineage.with_parents(plays=doubled.fingerprint)
    users, songs = (dataclasses.replace(one, lineage=lineage) for one in (observed.users, observed.songs))
    other = Factors(users, songs)
    fit_encoder("cnn", features, other, settings, checkpoint=tmp_path / "run", plays=doubled)
    assert "other settings, songs or targets; starting over" in caplog.text


def test_plays_change_nothing_under_other_losses(played):
    features, observed, plays = played
    settings = dataclasses.replace(KINDS["mlp"], n_epochs=2)
    with_plays, without = (fit_encoder("mlp", features, observed, settings, plays=p) for p in (plays, None))
    assert with_plays.fingerprint == without.fingerprint
    assert with_plays.provenance.lineage.parents == without.provenance.lineage.parents


def test_plays_that_may_not_be_learned_from_are_refused(played):
    """All plays where the factors knew only some would let test songs' plays into the loss."""
    features, _, plays = played
    learning = plays.take_songs(np.arange(60))
    observed = fit(learning, WmfSettings(n_factors=3, n_sweeps=2)).factors
    settings = LinearSettings(loss="wpe", ridge=1.0)
    with pytest.raises(InputError, match="the factors were learned from"):
        fit_encoder("linear", features, observed, settings, plays=plays)
    with pytest.raises(InputError, match="plays: none"):
        fit_encoder("linear", features, observed, settings)
    encoder = fit_encoder("linear", features, observed, settings, plays=learning)
    assert set(encoder.provenance.lineage.learned_from.ids) == set(learning.songs.ids)
    with pytest.raises(InputError, match="hold no users"):
        fit_encoder("linear", features, observed.songs, settings, plays=learning)


@pytest.mark.parametrize("name", sorted(set(ENCODERS) - set(KINDS)))
def test_encoders_that_know_only_the_squared_error_say_so(played, name):
    features, observed, plays = played
    with pytest.raises(SettingError, match=f"loss = 'wpe': expected 'mse' with encoder '{name}'"):
        fit_encoder(name, features, observed, ENCODERS[name].settings(loss="wpe", target="raw"), plays=plays)


def test_gamma_takes_the_weight_off_popular_songs(played):
    """At γ = 1 the less known half is foretold better, and the well known half worse, than in the paper."""
    features, observed, plays = played
    listeners = np.bincount(plays.counts.indices, minlength=80)
    known = listeners >= np.median(listeners)
    errors = {}
    for gamma in (0.0, 1.0):
        settings = dataclasses.replace(KINDS["linear"], loss="wpe", wpe_gamma=gamma)
        encoder = fit_encoder("linear", features, observed, settings, plays=plays)
        errors[gamma] = weighted_prediction_error(predict_songs(encoder, features, plays.songs), observed, plays)
    assert errors[1.0][~known].sum() < errors[0.0][~known].sum()
    assert errors[1.0][known].sum() > errors[0.0][known].sum()


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_cuda_learns_as_the_cpu_does(played, name):
    features, observed, plays = played
    here, there = (
        heard_error(dataclasses.replace(KINDS[name], loss="wpe", device=device), name, features, observed, plays)
        for device in ("cpu", "cuda")
    )
    assert there == pytest.approx(here, rel=0.05)

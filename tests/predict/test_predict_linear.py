import numpy as np
import pytest
from sklearn.linear_model import Ridge

from deepcuts.artifacts import SongFactors, Vocabulary
from deepcuts.errors import SettingError
from deepcuts.predict import LinearSettings, fit_encoder, predict_songs
from deepcuts.predict.linear import RIDGES, RidgeSolver
from deepcuts.predict.targets import Examples


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 5)) + 3
    y = (x @ rng.normal(size=(5, 2)) + rng.normal(size=(30, 2))).astype(np.float32)
    weights = rng.uniform(0.2, 1, size=30).astype(np.float32)
    return x, Examples(np.arange(30), y, weights)


def test_a_planted_linear_map_is_found_on_songs_never_heard(world):
    features, factors = world
    known = np.arange(30)
    seen = SongFactors(factors.songs.take(known), factors.vectors[:30])
    predicted = predict_songs(fit_encoder("linear", features, seen), features).vectors
    truth = factors.vectors[30:]
    assert 1 - np.sum((predicted[30:] - truth) ** 2) / np.sum((truth - truth.mean(0)) ** 2) > 0.95


def test_the_solution_is_scikit_learns(problem):
    x, examples = problem
    oracle = Ridge(alpha=3.0).fit(x, examples.targets, sample_weight=examples.weights)
    weights, intercept = RidgeSolver(x, examples).solve(3.0)
    np.testing.assert_allclose(weights, oracle.coef_.T, atol=1e-6)
    np.testing.assert_allclose(intercept, oracle.intercept_, atol=1e-5)


def test_losses_of_all_ridges_are_those_of_their_solutions(problem):
    x, examples = problem
    part, rest = np.arange(20), np.arange(20, 30)
    solver = RidgeSolver(x[part], Examples(part, examples.targets[part], examples.weights[part]))
    held = Examples(rest, examples.targets[rest], examples.weights[rest])
    losses = solver.validation_losses(RIDGES, x[rest], held)
    for ridge, loss in zip(RIDGES, losses, strict=True):
        weights, intercept = solver.solve(ridge)
        error = ((held.targets - x[rest] @ weights - intercept) ** 2).mean(axis=1)
        assert loss == pytest.approx(np.average(error, weights=held.weights))


def test_leaving_one_out_is_fitting_without_it(problem):
    x, examples = problem
    error = np.empty(30)
    for i in range(30):
        others = np.delete(np.arange(30), i)
        oracle = Ridge(alpha=2.0).fit(x[others], examples.targets[others], sample_weight=examples.weights[others])
        error[i] = ((examples.targets[i] - oracle.predict(x[i : i + 1])[0]) ** 2).mean()
    expected = np.average(error, weights=examples.weights)
    assert RidgeSolver(x, examples).leave_one_out_losses(np.array([2.0]))[0] == pytest.approx(expected, rel=1e-5)


def test_noise_is_shrunk_to_the_mean(make_features, make_factors):
    rng = np.random.default_rng(4)
    features = make_features([rng.normal(size=(30, 4)) for _ in range(200)])
    factors = make_factors(rng.normal(size=(200, 2)) + 5)
    for settings in (LinearSettings(), LinearSettings(validation=0.0)):
        predicted = predict_songs(fit_encoder("linear", features, factors, settings), features).vectors
        assert predicted.std(axis=0).max() < 0.25


def test_turning_the_factor_space_turns_the_predictions(world, make_factors):
    features, factors = world
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    plain = predict_songs(fit_encoder("linear", features, factors), features).vectors
    turned = predict_songs(fit_encoder("linear", features, make_factors(factors.vectors @ turn)), features).vectors
    np.testing.assert_allclose(turned, plain @ turn, atol=1e-4)


def test_with_a_fixed_ridge_a_validation_song_changes_nothing(world, make_features):
    features, factors = world
    poisoned = make_features([np.full_like(features[i], 50) if i == 9 else features[i] for i in range(40)])
    settings, validation = LinearSettings(ridge=1.0), Vocabulary(["song9"])
    one = fit_encoder("linear", features, factors, settings, validation=validation)
    two = fit_encoder("linear", poisoned, factors, settings, validation=validation)
    assert one.fingerprint == two.fingerprint


def test_a_ridge_of_zero_is_refused():
    with pytest.raises(SettingError, match="ridge"):
        LinearSettings(ridge=0.0)

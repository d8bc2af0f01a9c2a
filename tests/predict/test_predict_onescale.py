"""Inputs that share a unit keep their proportions: principal components are not divided each by its own spread."""

import numpy as np
from sklearn.linear_model import Ridge

from deepcuts.artifacts import Factors, Features, SongFactors, Vocabulary
from deepcuts.predict import LinearSettings, MlpSettings, fit_encoder, predict_songs
from deepcuts.predict.mlp import scaling_of
from deepcuts.predict.scaling import one_scale

N, SPREADS = 80, np.array([5.0, 2.0, 1.0, 0.2])


def songs_and_factors() -> tuple[Features, Factors]:
    """Songs with exactly uncorrelated components of known spread, and factors that follow them with noise."""
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((N, len(SPREADS)))
    orthogonal, _ = np.linalg.qr(raw - raw.mean(axis=0))
    rows = (np.sqrt(N) * orthogonal * SPREADS).astype(np.float32)
    songs = Vocabulary([f"s{i:02d}" for i in range(N)])
    features = Features(songs, rows, np.arange(N + 1), "components", {"one_frame": True})
    targets = rows @ rng.standard_normal((len(SPREADS), 3)) + rng.standard_normal((N, 3))
    return features, SongFactors(songs, targets.astype(np.float32))


def predicted(settings: LinearSettings) -> np.ndarray:
    features, factors = songs_and_factors()
    answers = predict_songs(fit_encoder("linear", features, factors, settings), features).vectors
    assert answers is not None
    return answers - answers.mean(axis=0)


def test_one_scale_is_the_root_mean_square_and_what_never_changes_is_not_heard() -> None:
    scale = one_scale(np.zeros(3), np.array([3.0, 4.0, 0.0]))
    np.testing.assert_allclose(scale, [np.sqrt(12.5), np.sqrt(12.5), np.inf])
    assert np.isinf(one_scale(np.zeros(2), np.zeros(2))).all()


def test_the_ridge_on_one_scale_is_scikit_learns_on_the_inputs_as_they_are() -> None:
    features, factors = songs_and_factors()
    found = predicted(LinearSettings(ridge=30.0, standardise=False, validation=0.0))
    rows, targets = np.asarray(features.frames, dtype=np.float64), factors.vectors
    unit = np.mean(SPREADS**2)
    theirs = Ridge(alpha=30.0 * unit).fit(rows, targets).predict(rows)
    np.testing.assert_allclose(found, theirs - theirs.mean(axis=0), atol=1e-4)


def test_standardised_components_are_only_shrunk_by_a_ridge_and_others_are_turned() -> None:
    least = predicted(LinearSettings(ridge=1e-6, validation=0.0))
    shrunk = predicted(LinearSettings(ridge=100.0, validation=0.0))
    np.testing.assert_allclose(shrunk, least * N / (N + 100.0), atol=1e-4)
    turned = predicted(LinearSettings(ridge=100.0, validation=0.0, standardise=False))
    share = np.sum(turned * least) / np.linalg.norm(turned) / np.linalg.norm(least)
    assert share < 0.999


def test_the_perceptron_divides_all_inputs_by_one_number() -> None:
    features, factors = songs_and_factors()
    rows = np.asarray(features.frames, dtype=np.float64)
    _, _, weight = scaling_of(rows, standardise=False)
    np.testing.assert_allclose(weight, 1 / np.sqrt(np.mean(SPREADS**2)), rtol=1e-5)
    encoder = fit_encoder("mlp", features, factors, MlpSettings(n_hidden=8, n_epochs=2, standardise=False))
    assert len(set(encoder.arrays()["weight"].tolist())) == 1

"""Relevance: order is heard, noise is weighed down, what cannot be heard is answered by the mean."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from deepcuts.artifacts import Features, Lineage, SongFactors, Vocabulary
from deepcuts.predict import RelevanceSettings, fit_encoder, load_encoder, predict_songs
from deepcuts.predict.lagged import grouped, lagged, statistics
from deepcuts.predict.relevance import RIDGES, ridge_by_direction
from deepcuts.predict.training_set import Examples
from deepcuts.predict.uncertainty import calibrate, expected_errors


def table(rows: np.ndarray) -> Features:
    songs = Vocabulary([f"s{i}" for i in range(len(rows))])
    return Features(songs, rows.astype(np.float32), np.arange(len(rows) + 1), "table", {"one_frame": True})


def factors(rows: np.ndarray) -> SongFactors:
    songs = Vocabulary([f"s{i}" for i in range(len(rows))])
    return SongFactors(songs, rows.astype(np.float32), Lineage("a fit", songs, "clean"))


def test_lagged_covariances_are_those_of_a_loop() -> None:
    z = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    found = lagged(z, 12)
    for lag in range(12):
        for a in range(3):
            for b in range(3):
                wanted = sum(float(z[t, a] * z[t + lag, b]) for t in range(9 - lag)) / 9 if lag < 9 else 0.0
                assert found[lag, a, b] == pytest.approx(wanted, abs=1e-5)


def test_groups_are_means_of_neighbours_with_unit_spread() -> None:
    frames = np.random.default_rng(0).normal(3, 2, size=(50, 32)).astype(np.float32)
    z = grouped(frames)
    assert z.shape == (50, 16)
    own = frames[:, 4:6].mean(axis=1)
    np.testing.assert_allclose(z[:, 2], (own - own.mean()) / own.std(), atol=1e-4)


def test_reversed_time_turns_order_round_and_leaves_the_bag_of_frames_alone() -> None:
    frames = np.random.default_rng(0).normal(size=(60, 24)).astype(np.float32)
    starts = np.array([0, 60, 120])
    both = Features(Vocabulary(["there", "back"]), np.concatenate([frames, frames[::-1]]), starts, "logmel", {})
    plain, _, order = statistics(both, np.arange(2), 10)
    np.testing.assert_allclose(plain[0], plain[1], atol=1e-5)
    np.testing.assert_allclose(order[0], -order[1], atol=1e-5)


def test_leaving_one_out_is_what_refitting_without_the_song_gives() -> None:
    """One factor, so that there is one direction; the mean of the targets is 0 and stays fixed."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(25, 4)), rng.normal(size=(25, 1))
    y -= y.mean()
    weights = np.ones(25, dtype=np.float32)
    fit = ridge_by_direction(x @ x.T, Examples(np.arange(25), y.astype(np.float32), weights))
    losses = []
    for ridge in RIDGES:
        errors = []
        for i in range(25):
            others = np.arange(25) != i
            w = np.linalg.solve(x[others].T @ x[others] + ridge * np.eye(4), x[others].T @ y[others])
            errors.append(float((y[i] - x[i] @ w).item()))
        losses.append(np.mean(np.square(errors)))
    assert fit.loss == pytest.approx(min([*losses, np.mean(y**2)]), rel=1e-3)


def test_rounds_of_relevance_weigh_noise_down() -> None:
    """Three statistics of 300 carry the factors: with relevance new songs are predicted better than by ridge."""
    rng = np.random.default_rng(1)
    sound = rng.normal(size=(500, 300))
    truth = sound[:, :3] @ rng.normal(size=(3, 4))
    noisy = truth + rng.normal(0, 2, size=truth.shape)
    features, seen = table(sound), factors(noisy).take(np.arange(250))
    new = features.songs.take(np.arange(250, 500))
    error = {}
    for n_rounds in (0, 3):
        encoder = fit_encoder("relevance", features, seen, RelevanceSettings(target="raw", n_rounds=n_rounds))
        error[n_rounds] = np.square(predict_songs(encoder, features, new).vectors - truth[250:]).mean()
    assert error[3] < 0.9 * error[0]


def test_a_direction_that_cannot_be_heard_is_answered_by_its_mean() -> None:
    rng = np.random.default_rng(2)
    sound = rng.normal(size=(400, 3))
    y = np.column_stack([2 * sound[:, 0], rng.normal(5, 1, size=400)])
    features = table(sound)
    predicted = predict_songs(fit_encoder("relevance", features, factors(y), RelevanceSettings(target="raw")), features)
    assert np.corrcoef(predicted.vectors[:, 0], sound[:, 0])[0, 1] > 0.99
    np.testing.assert_allclose(predicted.vectors[:, 1], 5, atol=0.4)


def test_how_errors_depend_on_the_prediction_is_found_and_they_never_fall_to_zero() -> None:
    """The mean target points along the first factor, three long: only its direction counts."""
    rng, mean = np.random.default_rng(3), np.array([3.0, 0.0])
    predicted = rng.normal(size=(8000, 2))
    scale = np.sqrt(1.2 + 0.5 * (predicted**2).sum(axis=1) + 0.4 * predicted[:, 0])
    observed = predicted + scale[:, None] * rng.normal(size=(8000, 2))
    found = calibrate(predicted, observed, mean)
    assert found is not None
    np.testing.assert_allclose(found, [1.2, 0.5, 0.4], atol=0.1)
    expected = expected_errors(np.array([1.2, 0.5, 0.4]), predicted, mean)
    np.testing.assert_allclose(expected, scale**2)
    assert calibrate(predicted[:5], observed[:5], mean) is None
    assert expected_errors(np.array([1.0, -9.0, 0.0]), predicted, mean).min() > 0


def test_without_a_mean_direction_and_from_older_encoders_length_alone_tells() -> None:
    predicted = np.random.default_rng(4).normal(size=(50, 2))
    found = calibrate(predicted, predicted + 1, np.zeros(2))
    assert found is not None
    np.testing.assert_allclose(found, [1, 0, 0], atol=1e-9)  # every song errs alike
    old = expected_errors(np.array([2.0, 0.5]), predicted, np.ones(2))
    np.testing.assert_allclose(old, 2 + 0.5 * (predicted**2).sum(axis=1))


def test_predictions_of_new_songs_know_how_sure_they_are(tmp_path) -> None:
    """Songs of a silent kind say nothing of their factors; loud ones say all."""
    rng = np.random.default_rng(4)
    sound = rng.normal(size=(600, 3)) * rng.uniform(0, 2, size=(600, 1))
    y = sound @ rng.normal(size=(3, 3)) + rng.normal(0, 0.5, size=(600, 3))
    features = table(sound)
    seen, new = factors(y).take(np.arange(400)), features.songs.take(np.arange(400, 600))
    encoder = fit_encoder("relevance", features, seen, RelevanceSettings())
    predicted = predict_songs(encoder, features, new)
    unit = y[400:] / np.linalg.norm(y[400:], axis=1, keepdims=True)
    errors = ((predicted.vectors - unit) ** 2).mean(axis=1)
    assert predicted.precision is not None
    assert spearmanr(1 / predicted.precision, errors).statistic > 0.4
    encoder.save(tmp_path / "encoder")
    again = predict_songs(load_encoder(tmp_path / "encoder"), features, new)
    np.testing.assert_array_equal(again.precision, predicted.precision)

"""Trees, a kernel and foretold fame together."""

import numpy as np
import pytest

from deepcuts.artifacts import Features, Lineage, SongFactors, Vocabulary
from deepcuts.predict import ENCODERS, StackSettings, fit_encoder, predict_songs
from deepcuts.predict.stack import normal_scores

PARTS = ("trees", "kernel")


def test_normal_scores_are_ranks_on_the_normal_curve_and_ties_share_their_middle() -> None:
    x = np.concatenate([np.zeros(500), np.ones(500)])[:, None]
    quantiles = np.quantile(x, np.linspace(0, 1, 201), axis=0)
    scores = normal_scores(np.array([[0.0], [1.0], [0.5], [-9.0], [9.0]]), quantiles)[:, 0]
    assert scores[0] == pytest.approx(-0.674, abs=0.02)  # a quarter of the way
    assert scores[1] == pytest.approx(0.674, abs=0.02)
    assert abs(scores[2]) < 0.05
    assert scores[3] < -2.5 < 2.5 < scores[4]
    assert normal_scores(np.full((3, 1), 7.0), np.full((201, 1), 7.0)).tolist() == [[0], [0], [0]]


@pytest.fixture(scope="module")
def world():
    """Songs whose sound shows two tastes and how famous they are."""
    rng = np.random.default_rng(0)
    sound = rng.normal(size=(400, 6))
    fame = np.exp(1.2 * sound[:, 2] + 2 + 0.3 * rng.normal(size=400))
    mean = np.array([1.0, 0.5, 0.0])
    y = np.column_stack([np.sin(sound[:, 0]), np.cos(sound[:, 1]), sound[:, 0] * sound[:, 1] / 2]) + mean
    y = y / np.linalg.norm(y, axis=1, keepdims=True) * np.sqrt(fame)[:, None]
    songs = Vocabulary([f"s{i}" for i in range(400)])
    features = Features(songs, sound.astype(np.float32), np.arange(401), "table", {"one_frame": True})
    lineage = Lineage("a fit", songs, "clean")
    factors = SongFactors(songs, y.astype(np.float32), lineage, n_listeners=fame.astype(np.int64) + 1)
    return features, factors, fame


def test_it_errs_less_than_either_part_and_fame_is_heard_along_the_mean_direction(world) -> None:
    features, factors, fame = world
    seen, new = factors.take(np.arange(300)), factors.songs.take(np.arange(300, 400))
    made = {f: fit_encoder("stack", features, seen, StackSettings(n_trees=60, fame=f, n_jobs=1)) for f in (0.0, 0.5)}
    truth = factors.vectors[300:] / np.linalg.norm(factors.vectors[300:], axis=1, keepdims=True)
    error = {}
    error["stack"] = np.square(predict_songs(made[0.0], features, new).vectors - truth).mean()
    for name in ("trees", "kernel"):
        how = ENCODERS[name].settings(target="unit")
        error[name] = np.square(
            predict_songs(fit_encoder(name, features, seen, how), features, new).vectors - truth
        ).mean()
    assert error["stack"] < max(error["trees"], error["kernel"])
    added = predict_songs(made[0.5], features, new).vectors - predict_songs(made[0.0], features, new).vectors
    along = added @ np.array([1.0, 0.5, 0.0])
    assert np.corrcoef(along, np.log(fame[300:]))[0, 1] > 0.7
    assert np.linalg.matrix_rank(added, tol=1e-3) == 1

import numpy as np
import pytest

from deepcuts.artifacts import Factors, Features, Lineage, SongFactors, Vocabulary
from deepcuts.errors import InputError
from deepcuts.predict import average_predictions, fit_encoder, predict_songs
from deepcuts.predict import kernel as module
from deepcuts.predict.kernel import likeness, solve
from deepcuts.predict.targets import Examples


def world(n: int = 200, seed: int = 0) -> tuple[Features, Factors]:
    """Factors that are a curved function of two of five statistics."""
    rng = np.random.default_rng(seed)
    stats = rng.normal(size=(n, 5)).astype(np.float32)
    factors = np.column_stack([np.sin(2 * stats[:, 0]), stats[:, 1] ** 2]).astype(np.float32)
    songs = Vocabulary([f"s{i:03}" for i in range(n)])
    features = Features(songs, stats, np.arange(n + 1), "pooled", {"one_frame": True})
    return features, SongFactors(songs, factors, n_listeners=np.full(n, 9))


def test_it_learns_curves_that_a_line_cannot() -> None:
    features, factors = world()
    known = Vocabulary(features.songs.ids.head(150))
    seen = SongFactors(known, factors.vectors[:150], n_listeners=factors.n_listeners[:150])
    new = Vocabulary(features.songs.ids.tail(50))
    error = {}
    for name in ("kernel", "linear"):
        predicted = predict_songs(fit_encoder(name, features, seen), features, new).vectors
        error[name] = float(((predicted - factors.vectors[150:]) ** 2).mean())
    assert error["kernel"] < 0.4 * error["linear"]


def test_leaving_one_out_by_formula_is_leaving_one_out_in_fact() -> None:
    rng = np.random.default_rng(1)
    anchors, targets = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    targets -= targets.mean(axis=0)
    K = likeness(anchors, anchors, 0.7)
    weights = rng.uniform(0.2, 1, size=12).astype(np.float32)
    examples = Examples(np.arange(12), targets.astype(np.float32), weights)
    y = examples.targets.astype(float)
    mean = (weights[:, None].astype(float) * y).sum(axis=0) / weights.sum(dtype=float)
    total = 0.0
    for i in range(12):
        rest = [j for j in range(12) if j != i]
        system = K[np.ix_(rest, rest)] + np.diag(0.5 / weights[rest].astype(float))
        alpha = np.linalg.solve(system, y[rest] - mean)
        total += weights[i] * ((y[i] - mean - K[i, rest] @ alpha) ** 2).sum()
    assert solve(anchors, examples, 0.7, 0.5)[2] == pytest.approx(total / (weights.sum() * 2), rel=1e-6)


def test_likeness_of_a_song_to_itself_is_one_and_falls_with_distance() -> None:
    a = np.array([[0.0, 0.0], [1.0, 1.0], [3.0, 3.0]])
    k = likeness(a, a, 2.0)
    assert np.diag(k) == pytest.approx(1)
    assert k[0, 1] == pytest.approx(np.exp(-1.0))
    assert k[0, 2] == pytest.approx(np.exp(-9.0))


def test_the_mean_of_predictions_is_by_song_and_remembers_all_teachers() -> None:
    songs, rows = Vocabulary(["a", "b"]), np.array([[1, 2], [3, 4]], dtype=np.float32)
    one = SongFactors(songs, rows, Lineage("a space", Vocabulary(["x", "y"]), "clean"))
    two = SongFactors(Vocabulary(["b", "a"]), rows, Lineage("a space", Vocabulary(["y", "z"]), "clean"))
    both = average_predictions([one, two])
    assert both.vectors.tolist() == [[2, 3], [2, 3]]
    assert both.lineage.learned_from.ids.to_list() == ["x", "y", "z"]
    with pytest.raises(InputError, match="average: 1 songs × 2 factors beside 2 × 2"):
        average_predictions([one, SongFactors(Vocabulary(["a"]), rows[:1], one.lineage)])


def test_more_songs_than_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SONGS", 10)
    features, factors = world(20)
    with pytest.raises(InputError, match="20 training songs, at most 10 fit"):
        fit_encoder("kernel", features, factors)

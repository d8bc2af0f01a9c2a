"""Metric learning to rank: planted truths, explicit averages, and what it refuses."""

import itertools

import numpy as np
import pytest
from scipy import sparse

from deepcuts.errors import ArtifactError, InputError, SettingError
from deepcuts.lab.mlr.metric import Metric, MlrSettings, fit, relevance_from_plays
from deepcuts.store import read_meta


def planted(n_songs, n_features, rng, n_true=3, n_relevant=5):
    """Songs whose nearest songs are told by the first few features only; the rest is noise."""
    features = rng.normal(size=(n_songs, n_features))
    truth = features[:, :n_true] + 0.05 * rng.normal(size=(n_songs, n_true))
    distance = ((truth[:, None] - truth[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    return features, np.argsort(distance, axis=1)[:, :n_relevant]


def auc_of_queries(distance, relevant):
    """The mean share of (relevant, irrelevant) pairs in the right order."""
    values = []
    for query, good in enumerate(relevant):
        bad = np.setdiff1d(np.arange(len(distance)), [*good, query])
        values.append((distance[query, good][:, None] < distance[query, bad]).mean())
    return float(np.mean(values))


def squared_distances(placed):
    return ((placed[:, None] - placed[None]) ** 2).sum(axis=2)


QUICK = MlrSettings(C=1.0, n_rounds=80, tolerance=5e-3)


@pytest.fixture(scope="module")
def learned():
    features, relevant = planted(150, 10, np.random.default_rng(0))
    return features, relevant, fit(features, relevant, QUICK, np.random.default_rng(0))


def test_the_planted_metric_beats_the_euclidean_one_on_songs_never_seen(learned):
    _, _, metric = learned
    features, relevant = planted(120, 10, np.random.default_rng(99))
    euclidean = auc_of_queries(squared_distances(features), relevant)
    ours = auc_of_queries(squared_distances(metric.place(features)), relevant)
    assert metric.converged
    assert metric.n_dropped == 0
    assert euclidean < 0.85
    assert ours > 0.95


def test_the_metric_looks_where_the_truth_was_planted(learned):
    metric = learned[2]
    weights = np.diag(metric.W)
    assert weights[:3].min() > 5 * weights[3:].max()
    np.testing.assert_allclose(metric.L.T @ metric.L, metric.W, atol=1e-10)


def test_the_history_ends_within_the_tolerance_and_its_bound_holds(learned):
    history = learned[2].history
    assert history["violation"][-1] <= QUICK.tolerance
    assert (history["bound"] <= history["objective"] + 1e-12).all()
    assert (np.diff(history["objective"]) <= 0).all()
    # The returned objective is proven to be within a little more than C * tolerance of the best possible.
    assert history["objective"][-1] - history["bound"][-1] <= 2.1 * QUICK.C * QUICK.tolerance


def test_admm_and_primal_find_the_same_objective():
    features, relevant = planted(60, 4, np.random.default_rng(1))
    ends = []
    for solver in ("admm", "primal"):
        settings = MlrSettings(C=1.0, solver=solver, tolerance=1e-4)
        metric = fit(features, relevant, settings, np.random.default_rng(0))
        assert metric.converged
        ends.append(metric.history["objective"][-1])
    assert ends[0] == pytest.approx(ends[1], rel=1e-3)


@pytest.mark.parametrize("loss", ["map", "mrr", "precision", "ndcg"])
def test_every_loss_learns_the_planted_metric(loss):
    features, relevant = planted(80, 6, np.random.default_rng(2))
    settings = MlrSettings(loss=loss, k=5, C=10.0, n_rounds=60, tolerance=0.01)
    metric = fit(features, relevant, settings, np.random.default_rng(0))
    ours = auc_of_queries(squared_distances(metric.place(features)), relevant)
    assert ours > auc_of_queries(squared_distances(features), relevant) + 0.03


def test_batches_learn_nearly_as_well_and_repeat_with_the_seed():
    features, relevant = planted(150, 8, np.random.default_rng(3))
    settings = MlrSettings(C=1.0, batch=40, n_rounds=60)
    metric, again = (fit(features, relevant, settings, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(metric.W, again.W)
    assert auc_of_queries(squared_distances(metric.place(features)), relevant) > 0.93


def test_standardising_makes_the_units_of_features_irrelevant():
    features, relevant = planted(60, 4, np.random.default_rng(4))
    units = np.array([1024.0, 1.0, 1 / 1024, 8.0])  # powers of two: no rounding, so the very same rounds follow
    plain = fit(features, relevant, QUICK, np.random.default_rng(0))
    scaled = fit(features * units, relevant, QUICK, np.random.default_rng(0))
    np.testing.assert_allclose(scaled.W * np.outer(units, units), plain.W, rtol=1e-12)


def test_a_users_score_is_the_mean_of_minus_the_distances(learned):
    features, _, metric = learned
    rng = np.random.default_rng(8)
    counts = rng.poisson(0.3, size=(12, 100)).astype(float)
    counts[3] = 0
    warm, cold = features[:100] + 40.0, features[100:] + 40.0
    moved = Metric(metric.W, metric.centre + 40.0, metric.history, True, 1, 0)
    scores = moved.user_vectors(sparse.csr_array(counts), warm) @ moved.song_vectors(cold).T
    for user in range(12):
        if user == 3:
            assert (scores[user] == 0).all()  # no plays, no preference
            continue
        heard = np.flatnonzero(counts[user])
        means = np.array([np.mean([-(x - warm[j]) @ metric.W @ (x - warm[j]) for j in heard]) for x in cold])
        # Equal but for a number of the user alone.
        np.testing.assert_allclose(scores[user] - scores[user, 0], means - means[0], atol=1e-9)


def test_a_metric_comes_back_from_disk_as_it_was(tmp_path, learned):
    metric = learned[2]
    metric.save(tmp_path / "metric")
    again = Metric.load(tmp_path / "metric")
    np.testing.assert_array_equal(again.W, metric.W)
    assert again.fingerprint == metric.fingerprint
    assert again.history.equals(metric.history)
    assert (again.converged, again.n_queries, again.n_dropped) == (True, 150, 0)
    assert again.settings == dict(metric.settings)
    assert read_meta(tmp_path / "metric").kind == "metric"
    (tmp_path / "metric" / "W.npy").write_bytes(b"")
    with pytest.raises(ArtifactError, match="Half-written"):
        Metric.load(tmp_path / "metric")


def test_relevance_worked_by_hand():
    # Song 0 and 1 share both users of 1; 0 and 2 share one; 3 shares none.
    plays = np.array([[5, 1, 1, 0], [2, 3, 0, 0], [1, 0, 0, 0], [0, 0, 0, 4]])
    relevant, ignored = relevance_from_plays(sparse.csr_array(plays), 1, 5)
    # cosine(0, 1) = 2 / sqrt(6) = .82, cosine(0, 2) = 1 / sqrt(3) = .58, cosine(1, 2) = 1 / sqrt(2) = .71
    assert [relevant[[song]].indices.tolist() for song in range(4)] == [[1], [0], [1], []]
    assert [ignored[[song]].indices.tolist() for song in range(4)] == [[2], [2], [0], []]


def test_relevance_is_the_top_of_the_dense_cosines_in_any_chunks(monkeypatch):
    rng = np.random.default_rng(6)
    plays = (rng.random((30, 25)) < 0.2).astype(float)
    both = plays.T @ plays
    norms = np.sqrt(np.outer(both.diagonal(), both.diagonal()))
    cosine = np.divide(both, norms, out=np.zeros_like(both), where=norms > 0)
    np.fill_diagonal(cosine, 0)
    monkeypatch.setattr("deepcuts.lab.mlr.metric.PAIRS_AT_ONCE", 50)
    relevant, ignored = relevance_from_plays(sparse.csr_array(plays), 4, 3)
    for song in range(25):
        order = [int(j) for j in np.lexsort((np.arange(25), -cosine[song])) if cosine[song, j] > 0]
        assert sorted(relevant[[song]].indices.tolist()) == sorted(order[:4])
        assert sorted(ignored[[song]].indices.tolist()) == sorted(order[4:7])


def test_songs_without_relevant_songs_are_dropped_and_counted():
    features, relevant = planted(40, 3, np.random.default_rng(9))
    lists = [list(row) for row in relevant]
    lists[0] = []
    lists[7] = [7]  # itself only
    lists[8] = list(range(40))  # all relevant
    metric = fit(features, lists, QUICK, np.random.default_rng(0))
    assert (metric.n_queries, metric.n_dropped) == (37, 3)


def test_a_constant_feature_gets_no_weight_and_is_told(caplog):
    features, relevant = planted(40, 3, np.random.default_rng(9))
    features[:, 2] = 4.5
    for standardise in (True, False):
        settings = MlrSettings(C=1.0, n_rounds=30, tolerance=0.01, standardise=standardise)
        metric = fit(features, relevant, settings, np.random.default_rng(0))
        assert (metric.W[2] == 0).all()
        assert np.isfinite(metric.W).all()
    assert "1 of 3 features never vary" in caplog.text


def test_what_cannot_be_learned_from_is_refused():
    rng = np.random.default_rng(0)
    features, relevant = planted(20, 3, rng)
    hurt = features.copy()
    hurt[4, 1] = np.nan
    everything = np.tile(np.arange(20), (20, 1))
    cases = [
        (features[:1], [[]], "at least 3"),
        (hurt, relevant, "not finite"),
        (np.ones((20, 3)), relevant, "same features"),
        (features, everything, "none of 20 songs"),
        (features, [[] for _ in range(20)], "none of 20 songs"),
        (features, relevant[:10], "relevant has shape"),
        (features, sparse.csr_array((20, 19)), "relevant has shape"),
        (features, [[20]] * 20, "song 20 is not a position"),
    ]
    for given, rows, message in cases:
        with pytest.raises(InputError, match=message):
            fit(given, rows, QUICK, rng)


def test_vectors_refuse_other_features_and_other_songs(learned):
    features, _, metric = learned
    with pytest.raises(InputError, match="features has shape"):
        metric.song_vectors(features[:, :4])
    with pytest.raises(InputError, match="plays has shape"):
        metric.user_vectors(sparse.csr_array((5, 7)), features)


@pytest.mark.parametrize(
    ("name", "value"),
    list(
        itertools.chain(
            [("loss", "rmse"), ("solver", "sgd"), ("k", 0), ("C", 0.0), ("C", float("nan")), ("n_rounds", 0)],
            [("tolerance", 0.0), ("batch", 0), ("n_relevant", 0), ("n_ignore", -1)],
        )
    ),
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(SettingError, match=name):
        MlrSettings(**{name: value})

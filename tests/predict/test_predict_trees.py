import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from deepcuts.errors import SettingError
from deepcuts.kernels.pool import pool_songs
from deepcuts.predict import TreesSettings, fit_encoder
from deepcuts.predict.trees import TreesEncoder, table_of_nodes


@pytest.mark.parametrize("n_factors", [1, 4])
@pytest.mark.parametrize("min_leaf", [1, 3])
def test_our_table_predicts_what_scikit_learn_does(n_factors, min_leaf):
    rng = np.random.default_rng(n_factors)
    x = rng.normal(size=(120, 9)).astype(np.float32)
    y = np.tanh(x[:, :n_factors]) + x[:, 4:5] * x[:, 5:6]
    weights = rng.uniform(0.1, 1, size=120)
    forest = ExtraTreesRegressor(25, min_samples_leaf=min_leaf, random_state=3)
    forest.fit(x, y[:, 0] if n_factors == 1 else y, sample_weight=weights)
    ours = TreesEncoder(None, 0, **table_of_nodes(forest))
    unseen = rng.normal(size=(3000, 9)).astype(np.float32)
    np.testing.assert_allclose(ours.average(unseen), forest.predict(unseen).reshape(3000, n_factors), atol=1e-5)


def test_the_whole_encoder_is_scikit_learn_on_pooled_statistics(world):
    features, factors = world
    settings = TreesSettings(n_trees=10, n_cov=4, seed=5, n_jobs=1)
    encoder = fit_encoder("trees", features, factors, settings)
    stats = pool_songs(features, np.arange(40), 4)
    oracle = ExtraTreesRegressor(10, min_samples_leaf=3, max_features=0.2, random_state=5)
    oracle.fit(stats, factors.vectors)
    assert len(encoder.roots) == 10
    # trained on scaled targets, whose forks may tie differently: equal to float32
    np.testing.assert_allclose(encoder.predict(features, np.arange(40)), oracle.predict(stats), atol=1e-4)


def test_threads_do_not_change_the_trees(world):
    features, factors = world
    one, two = (fit_encoder("trees", features, factors, TreesSettings(n_trees=6, n_jobs=n)) for n in (1, 2))
    assert one.fingerprint == two.fingerprint


@pytest.mark.parametrize("wrong", [{"n_trees": 0}, {"min_leaf": 0}, {"max_features": 0.0}, {"n_jobs": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        TreesSettings(**wrong)

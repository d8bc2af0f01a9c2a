import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcuts.evaluate import bootstrap
from deepcuts.evaluate.bootstrap import compare_draws, draw_counts, interval, resampled_metrics
from deepcuts.evaluate.metrics import auc, average_precision
from deepcuts.kernels import places


def slow_resampled(scores, relevant, counts, at, order):
    """Write the copies of every song side by side, then use the plain metrics."""
    ap, area = [], []
    for draw in range(counts.shape[1]):
        songs = np.repeat(order, counts[order, draw].astype(int))  # columns in tie order, copies together
        ap.append(average_precision(scores[:, songs], relevant[:, songs], at, np.arange(len(songs))))
        area.append(auc(scores[:, songs], relevant[:, songs]))
    return np.stack(ap, axis=1), np.stack(area, axis=1)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), at=st.integers(1, 14), levels=st.sampled_from([2, 5, 10_000]))
def test_song_multiplicities_agree_with_copied_columns(seed, at, levels):
    rng = np.random.default_rng(seed)
    n_songs = int(rng.integers(2, 12))
    scores = rng.integers(0, levels, size=(11, n_songs)).astype(np.float32)
    relevant = rng.random((11, n_songs)) < 0.4
    counts, order = draw_counts(n_songs, 6, rng), rng.permutation(n_songs)
    ap, area = resampled_metrics(scores, relevant, counts, at, order)
    want_ap, want_area = slow_resampled(scores, relevant, counts, at, order)
    np.testing.assert_allclose(ap, want_ap, atol=1e-12)
    np.testing.assert_allclose(area, want_area, atol=1e-12)


def test_blocks_that_do_not_divide_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    scores, relevant = rng.normal(size=(30, 17)).round(1), rng.random((30, 17)) < 0.2
    counts = draw_counts(17, 5, rng)
    whole = resampled_metrics(scores, relevant, counts, 6)
    monkeypatch.setattr(bootstrap, "PAIRS", 7)
    monkeypatch.setattr(places, "SONGS_AT_ONCE", 5)
    monkeypatch.setenv("DEEPCUTS_KERNEL", "numpy")
    np.testing.assert_allclose(resampled_metrics(scores, relevant, counts, 6), whole, atol=1e-12)


def test_every_song_once_gives_the_plain_metrics():
    rng = np.random.default_rng(2)
    scores, relevant = rng.normal(size=(30, 17)), rng.random((30, 17)) < 0.2
    ap, area = resampled_metrics(scores, relevant, np.ones((17, 1), dtype=np.float32), 6)
    np.testing.assert_allclose(ap[:, 0], average_precision(scores, relevant, 6), atol=1e-12)
    np.testing.assert_allclose(area[:, 0], auc(scores, relevant), atol=1e-12)


def test_a_doubled_song_worked_by_hand():
    """Order a, B, B, c with B relevant and standing twice: AP = (1/2 + 2/3)/2, AUC = 1/2."""
    ap, area = resampled_metrics(
        np.array([[3.0, 2.0, 1.0]]), np.array([[False, True, False]]), np.array([[1.0], [2.0], [1.0]], np.float32), 500
    )
    assert ap[0, 0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert area[0, 0] == pytest.approx(0.5)


def test_draws_keep_their_number_and_follow_the_seed():
    counts = draw_counts(50, 20, np.random.default_rng(3))
    assert (counts.sum(axis=0) == 50).all()
    np.testing.assert_array_equal(counts, draw_counts(50, 20, np.random.default_rng(3)))
    assert not np.array_equal(counts, draw_counts(50, 20, np.random.default_rng(4)))


def test_the_interval_of_known_draws():
    draws = np.arange(101) / 100 + 7  # uniform on 7..8, mean 7.5
    low, high = interval(0.5, draws, 0.9)
    assert (low, high) == (pytest.approx(0.05), pytest.approx(0.95))


def test_p_is_one_for_no_difference_and_least_for_a_certain_one():
    assert compare_draws(0.0, np.zeros(200), 0.95)["p"] == 1
    certain = compare_draws(1.0, 1 + np.linspace(-0.1, 0.1, 199), 0.95)
    assert certain["p"] == pytest.approx(2 / 200)
    assert 0.9 < certain["low"] < 1 < certain["high"] < 1.1
    even = compare_draws(0.0, np.linspace(-1, 1, 200), 0.95)
    assert even["p"] > 0.95


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Planted truth: users and songs drawn anew from one world; intervals must cover the mean over many worlds."""
    rng = np.random.default_rng(5)

    def world():
        x, y, appeal = rng.normal(size=(120, 4)), rng.normal(size=(60, 4)), rng.normal(size=60)
        relevant = rng.random((120, 60)) < 1 / (1 + np.exp(3 - 0.8 * x @ y.T - appeal))
        return x @ (y + rng.normal(size=y.shape)).T, relevant

    def means(scores, relevant):
        return np.nanmean(average_precision(scores, relevant)), np.nanmean(auc(scores, relevant))

    truth = np.mean([means(*world()) for _ in range(150)], axis=0)
    covered = np.zeros(2)
    n_worlds = 40
    for _ in range(n_worlds):
        scores, relevant = world()
        counts, users = draw_counts(60, 80, rng), draw_counts(120, 80, rng)
        for which, metric in enumerate(resampled_metrics(scores, relevant, counts, 500)):
            good = np.isfinite(metric)
            draws = (np.where(good, metric, 0) * users).sum(axis=0) / (good * users).sum(axis=0)
            low, high = interval(means(scores, relevant)[which], draws, 0.95)
            covered[which] += low <= truth[which] <= high
    assert (covered / n_worlds >= 0.85).all(), covered / n_worlds

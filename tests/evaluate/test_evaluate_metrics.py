import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score

from deepcuts.errors import InputError, SettingError
from deepcuts.evaluate.metrics import (
    METRICS,
    auc,
    average_precision,
    expected_average_precision,
    find_places,
    fixed_order,
    ndcg,
    recall,
    share_beaten,
)


def slow_auc(scores, relevant):
    """Every (played, unplayed) pair of one user, one by one."""
    won = [
        (scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j])
        for i in np.flatnonzero(relevant)
        for j in np.flatnonzero(~relevant)
    ]
    return np.mean(won) if won else np.nan


def slow_ranking(scores, order):
    place = {song: k for k, song in enumerate(order)}
    return sorted(range(len(scores)), key=lambda song: (-scores[song], place[song]))


def slow_average_precision(scores, relevant, at, order):
    """Walk down the list of one user."""
    if not relevant.any():
        return np.nan
    hits, total = 0, 0.0
    for k, song in enumerate(slow_ranking(scores, order)[:at], 1):
        if relevant[song]:
            hits += 1
            total += hits / k
    return total / min(relevant.sum(), at)


def some_users(rng, n_users=37, n_songs=23, decimals=None, density=0.2):
    scores = rng.normal(size=(n_users, n_songs))
    if decimals is not None:
        scores = np.round(scores, decimals)
    return scores, rng.random((n_users, n_songs)) < density


def test_average_precision_worked_by_hand():
    scores = np.array([[0.9, 0.8, 0.7, 0.6, 0.5]])
    relevant = np.array([[True, False, True, False, True]])
    assert average_precision(scores, relevant)[0] == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)
    assert average_precision(scores, relevant, at=4)[0] == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert average_precision(scores, relevant, at=2)[0] == pytest.approx((1 / 1) / 2), "divides by min(3, 2)"


def test_auc_worked_by_hand_with_a_tie():
    scores = np.array([[3.0, 2.0, 2.0, 1.0]])
    relevant = np.array([[False, True, False, False]])
    assert auc(scores, relevant)[0] == pytest.approx((0 + 0.5 + 1) / 3)


def test_recall_and_ndcg_worked_by_hand():
    scores = np.array([[5.0, 4.0, 3.0, 2.0]])
    relevant = np.array([[False, True, False, True]])
    assert recall(scores, relevant, at=2)[0] == 0.5
    assert recall(scores, relevant, at=1)[0] == 0.0
    best = 1 + 1 / np.log2(3)
    assert ndcg(scores, relevant, at=4)[0] == pytest.approx((1 / np.log2(3) + 1 / np.log2(5)) / best)
    assert ndcg(scores, relevant, at=1)[0] == 0.0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n_songs=st.integers(1, 12), at=st.integers(1, 15), levels=st.integers(1, 6))
def test_auc_and_average_precision_agree_with_their_slow_twins(seed, n_songs, at, levels):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, size=(9, n_songs)).astype(np.float32)
    relevant = rng.random((9, n_songs)) < rng.random()
    order = rng.permutation(n_songs)
    want_auc = [slow_auc(s, r) for s, r in zip(scores, relevant, strict=True)]
    want_ap = [slow_average_precision(s, r, at, order) for s, r in zip(scores, relevant, strict=True)]
    np.testing.assert_allclose(auc(scores, relevant), want_auc, atol=1e-12)
    np.testing.assert_allclose(average_precision(scores, relevant, at, order), want_ap, atol=1e-12)


@pytest.mark.parametrize("decimals", [None, 0, 1])
def test_auc_is_that_of_scikit_learn_ties_included(decimals):
    rng = np.random.default_rng(3)
    scores, relevant = some_users(rng, decimals=decimals)
    relevant[:, 0], relevant[:, 1] = True, False
    want = [roc_auc_score(r, s) for s, r in zip(scores, relevant, strict=True)]
    np.testing.assert_allclose(auc(scores, relevant), want, atol=1e-12)


def test_average_precision_of_a_whole_list_is_that_of_scikit_learn():
    scores, relevant = some_users(np.random.default_rng(4))
    relevant[:, 0] = True
    want = [average_precision_score(r, s) for s, r in zip(scores, relevant, strict=True)]
    np.testing.assert_allclose(average_precision(scores, relevant, at=500), want, atol=1e-12)


@pytest.mark.parametrize("at", [1, 5, 23, 100])
def test_ndcg_is_that_of_scikit_learn(at):
    scores, relevant = some_users(np.random.default_rng(5))
    relevant[:, 0] = True
    want = [ndcg_score(r[None].astype(float), s[None], k=at) for s, r in zip(scores, relevant, strict=True)]
    np.testing.assert_allclose(ndcg(scores, relevant, at), want, atol=1e-12)


@pytest.mark.parametrize(("n_songs", "at"), [(12, 500), (12, 12), (12, 5), (30, 3)])
@pytest.mark.parametrize("n_relevant", [1, 4, 8])
def test_the_closed_form_for_random_order_agrees_with_simulation(n_songs, at, n_relevant):
    rng = np.random.default_rng(6)
    scores = rng.normal(size=(20_000, n_songs))
    relevant = np.zeros(scores.shape, dtype=bool)
    relevant[:, :n_relevant] = True
    values = average_precision(scores, relevant, at)
    margin = 4.5 * values.std() / np.sqrt(len(values))
    assert abs(values.mean() - expected_average_precision(n_relevant, n_songs, at)) < margin


def test_the_closed_form_gives_the_random_row_of_the_papers_table_3():
    values = expected_average_precision(np.array([2, 20]), 46_728, 500)
    np.testing.assert_allclose(values, [1.456e-4, 1.497e-4], rtol=1e-3)


def test_the_closed_form_at_its_edges():
    assert np.isnan(expected_average_precision(0, 10))
    assert expected_average_precision(1, 1) == 1
    assert expected_average_precision(10, 10) == pytest.approx(1)
    assert expected_average_precision(10, 10, at=3) == pytest.approx(1)


def test_equal_scores_give_an_auc_of_one_half_exactly():
    _, relevant = some_users(np.random.default_rng(7))
    values = auc(np.ones(relevant.shape), relevant)
    counted = relevant.any(axis=1) & ~relevant.all(axis=1)
    assert (values[counted] == 0.5).all()


def test_equal_scores_give_the_average_precision_of_random_order_whatever_the_file_order():
    """Songs sorted by popularity, as in the paper's subset: ties broken by position would look like a good system."""
    rng = np.random.default_rng(8)
    n_songs = 60
    relevant = rng.random((400, n_songs)) < np.linspace(0.5, 0.0, n_songs)
    counted = relevant.any(axis=1)
    flat = np.zeros(relevant.shape)
    values = [np.nanmean(average_precision(flat, relevant, 10, tie_order=rng.permutation(n_songs))) for _ in range(80)]
    expected = expected_average_precision(relevant[counted].sum(axis=1), n_songs, 10).mean()
    assert abs(np.mean(values) - expected) < 4 * np.std(values) / np.sqrt(len(values))
    by_position = np.nanmean(average_precision(flat, relevant, 10, tie_order=np.arange(n_songs)))
    assert by_position > 2 * expected, "the trap is real in these data"


def test_permuting_users_permutes_the_values_and_permuting_songs_changes_nothing():
    rng = np.random.default_rng(9)
    scores, relevant = some_users(rng, decimals=1)
    users, songs = rng.permutation(scores.shape[0]), rng.permutation(scores.shape[1])
    order = fixed_order(scores.shape[1])
    moved_order = np.argsort(songs)[order]  # the same songs in the same tie order, at their new columns
    for metric in METRICS.values():
        plain = metric(find_places(scores, relevant, order), 5)
        moved = metric(find_places(scores[users][:, songs], relevant[users][:, songs], moved_order), 5)
        np.testing.assert_allclose(moved, plain[users], atol=1e-12)


def test_only_the_order_of_scores_matters():
    scores, relevant = some_users(np.random.default_rng(10), decimals=1)
    for metric in METRICS.values():
        np.testing.assert_array_equal(
            metric(find_places(scores, relevant), 7), metric(find_places(np.exp(scores), relevant), 7)
        )


@pytest.mark.parametrize("name", sorted(METRICS))
def test_users_without_a_hit_count_as_zero_and_only_users_without_plays_are_left_out(name):
    """A known bug elsewhere: `ndcg[ndcg == 0] = nan` drops every user with zero hits and inflates the mean."""
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    relevant = np.array([[False, False, True], [False, False, False], [True, False, False]])
    values = METRICS[name](find_places(scores, relevant), 1)
    assert values[0] == 0
    assert np.isnan(values[1])
    assert values[2] == 1


def test_recall_does_not_grow_by_a_smaller_divisor():
    """A known bug elsewhere: dividing by min(k, likes) makes precision and recall grow with k for no reason."""
    scores = np.arange(10.0)[None, ::-1]
    relevant = np.ones((1, 10), dtype=bool)
    assert recall(scores, relevant, at=2)[0] == pytest.approx(0.2)


def test_auc_is_not_a_number_for_users_who_played_all_or_nothing():
    values = auc(np.arange(6.0).reshape(2, 3), np.array([[True, True, True], [False, False, False]]))
    assert np.isnan(values).all()


def test_zero_norm_vectors_that_turn_cosines_into_nan_are_refused():
    """A run with zero-norm vectors once gave NaN scores and a plausible AUC of .525."""
    vectors = np.array([[1.0, 2.0], [0.0, 0.0], [2.0, 1.0]])
    with np.errstate(invalid="ignore"):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.ones((2, 2)) @ unit.T
    relevant = np.array([[True, False, False], [False, True, False]])
    for metric in (auc, average_precision):
        with pytest.raises(InputError, match=r"scores\[0, 1\] = nan.*zero-norm"):
            metric(scores, relevant)


def test_sparse_and_boolean_relevance_mean_the_same_and_stored_zeros_are_not_relevant():
    scores, relevant = some_users(np.random.default_rng(11))
    stored = sparse.csr_array(relevant.astype(np.float32) * 3)
    np.testing.assert_array_equal(auc(scores, stored), auc(scores, relevant))
    stored.data[:5] = 0
    dropped = relevant.copy()
    dropped[tuple(axis[:5] for axis in np.nonzero(relevant))] = False
    np.testing.assert_array_equal(auc(scores, stored), auc(scores, dropped))
    assert stored.nnz == relevant.sum(), "the caller's matrix is left alone"


def test_the_mean_share_beaten_by_a_users_songs_is_the_users_auc():
    scores, relevant = some_users(np.random.default_rng(12), decimals=0)
    places = find_places(scores, relevant)
    share = share_beaten(places)
    for user, want in enumerate(auc(scores, relevant)):
        mine = share[places.start[user] : places.start[user + 1]]
        assert np.isnan(want) if not len(mine) else mine.mean() == pytest.approx(want)


def test_rows_beyond_one_block_are_placed_like_the_first():
    scores, relevant = some_users(np.random.default_rng(13), n_users=64 * 3 + 5)
    whole = average_precision(scores, relevant, 5)
    one_by_one = [average_precision(scores[[u]], relevant[[u]], 5)[0] for u in range(len(scores))]
    np.testing.assert_array_equal(whole, one_by_one)


def test_wrong_input_is_refused_with_the_shape():
    scores, relevant = some_users(np.random.default_rng(14))
    with pytest.raises(InputError, match="looks transposed"):
        auc(scores, relevant.T)
    with pytest.raises(InputError, match="permutation"):
        average_precision(scores, relevant, tie_order=np.zeros(23, dtype=int))
    with pytest.raises(SettingError, match="at = 0"):
        average_precision(scores, relevant, at=0)

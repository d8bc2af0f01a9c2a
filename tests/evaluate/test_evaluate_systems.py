import numpy as np
import pytest
from scipy import sparse

from deepcuts.artifacts import Plays, Vocabulary
from deepcuts.errors import InputError, SettingError
from deepcuts.evaluate import (
    EvaluateSettings,
    System,
    auc,
    average_precision,
    compare,
    evaluate,
    fixed_order,
    popularity_bins,
    popularity_system,
    random_system,
    relevant_plays,
)
from deepcuts.evaluate.bootstrap import draw_counts

FAST = EvaluateSettings(n_bootstrap=40)


def planted(seed=0, n_users=150, n_songs=60, n_factors=5):
    """Users, songs and plays that follow their dot products; a good ear and a poor ear for the songs."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_users, n_factors)).astype(np.float32)
    y = rng.normal(size=(n_songs, n_factors)).astype(np.float32)
    played = rng.random((n_users, n_songs)) < 1 / (1 + np.exp(3.5 - 1.2 * x @ y.T))
    played[0], played[1] = False, True
    good = System("good ear", x, y + 0.3 * rng.normal(size=y.shape).astype(np.float32))
    poor = System("poor ear", x, y + 2.0 * rng.normal(size=y.shape).astype(np.float32))
    return rng, x, y, sparse.csr_array(played.astype(np.float32)), good, poor


def test_means_are_those_of_the_plain_metrics():
    _, x, _, played, good, _ = planted()
    row = evaluate([good], played, FAST).rows[0]
    scores = x @ good.song_vectors.T
    want = average_precision(scores, played, 500, fixed_order(60, FAST.seed))
    assert row.mean("map") == pytest.approx(np.nanmean(want))
    assert row.mean("auc") == pytest.approx(np.nanmean(auc(scores, played)))


def test_users_left_out_are_counted():
    _, _, _, played, good, _ = planted()
    found = evaluate([good], played, FAST)
    nobody = int((np.diff(played.indptr) == 0).sum())
    assert nobody >= 1
    assert found.left_out == {"no plays of test songs": nobody, "played every test song": 1}
    assert found.n_users == 150 - nobody
    assert np.isnan(found.rows[0].values["auc"]).sum() == 1
    assert not np.isnan(found.rows[0].values["map"]).any()


@pytest.mark.parametrize("chunk", [1, 7, 149, 150, 10_000])
def test_chunks_that_do_not_divide_change_nothing(chunk):
    """A known bug elsewhere: partial batches skipped, or only the last block kept."""
    _, _, _, played, good, poor = planted()
    whole = evaluate([good, poor], played, FAST)
    cut = evaluate([good, poor], played, EvaluateSettings(n_bootstrap=40, chunk=chunk))
    for a, b in zip(whole.rows, cut.rows, strict=True):
        for metric in a.values:
            np.testing.assert_allclose(a.values[metric], b.values[metric], atol=1e-6)
        for metric in a.draws:
            np.testing.assert_allclose(a.draws[metric], b.draws[metric], atol=1e-6)
        np.testing.assert_allclose(a.song_auc, b.song_auc, atol=1e-6)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_other_intervals():
    _, _, _, played, good, _ = planted()
    one, two = (evaluate([good], played, FAST) for _ in range(2))
    assert one.interval("good ear", "map") == two.interval("good ear", "map")
    other = evaluate([good], played, EvaluateSettings(n_bootstrap=40, seed=1))
    assert other.interval("good ear", "map") != one.interval("good ear", "map")
    assert other.rows[0].mean("map") == pytest.approx(one.rows[0].mean("map")), "the estimate itself has no seed"


def test_replicates_resample_users_too():
    """One replicate by hand: copy the drawn users and songs and take the plain mean."""
    _, x, _, played, good, _ = planted(n_users=30, n_songs=20)
    settings = EvaluateSettings(n_bootstrap=3, seed=5)
    found = evaluate([good], played, settings)
    rng = np.random.default_rng(5)
    n_users = found.n_users
    rng.choice(n_users, size=n_users, replace=False)
    user_counts, song_counts = draw_counts(n_users, 3, rng), draw_counts(20, 3, rng)
    order = fixed_order(20, 5)
    scores = (x @ good.song_vectors.T)[found.users]
    hidden = played.toarray()[found.users] > 0
    for draw in range(3):
        users = np.repeat(np.arange(n_users), user_counts[:, draw].astype(int))
        songs = np.repeat(order, song_counts[order, draw].astype(int))
        picked = np.ix_(users, songs)
        want = np.nanmean(average_precision(scores[picked], hidden[picked], 500, np.arange(len(songs))))
        assert found.rows[0].draws["map"][draw] == pytest.approx(want)
        assert found.rows[0].draws["auc"][draw] == pytest.approx(np.nanmean(auc(scores[picked], hidden[picked])))


def test_a_planted_order_of_systems_is_found_and_is_certain():
    rng, x, _, played, good, poor = planted()
    found = evaluate([good, poor, random_system(x, 60, rng)], played, EvaluateSettings(n_bootstrap=200))
    means = [row.mean("map") for row in found.rows]
    assert means[0] > means[1] > means[2]
    for metric in ("map", "auc"):
        better = compare(found, "good ear", "poor ear", metric)
        assert better["low"] > 0
        assert better["p"] < 0.05
        worse = compare(found, "poor ear", "good ear", metric)
        assert worse["difference"] == pytest.approx(-better["difference"])
        assert worse["p"] == pytest.approx(better["p"])


def test_a_system_compared_with_its_double_differs_by_nothing():
    _, x, _, played, good, _ = planted()
    double = System("double", x, good.song_vectors)
    found = compare(evaluate([good, double], played, FAST), "good ear", "double")
    assert found == {"difference": 0, "low": 0, "high": 0, "p": 1}


def test_equal_scores_sit_at_chance():
    _, _, _, played, _, _ = planted()
    flat = System("flat", np.ones((150, 1)), np.ones((60, 1)), kind="control")
    found = evaluate([flat], played, FAST)
    assert found.rows[0].mean("auc") == 0.5
    assert found.rows[0].tied == 1
    assert found.rows[0].mean("map") == pytest.approx(found.random_map, rel=0.3)


def test_the_random_row_holds_chance_within_its_interval():
    rng, x, _, played, _, _ = planted()
    found = evaluate([random_system(x, 60, rng)], played, FAST)
    low, high = found.interval("random", "auc")
    assert low - 0.05 < 0.5 < high + 0.05


def test_popularity_ranks_by_listeners_and_is_marked_as_cheating():
    rng = np.random.default_rng(3)
    played = sparse.csr_array((rng.random((80, 20)) < np.linspace(0.02, 0.6, 20)).astype(float))
    listeners = played.sum(axis=0)
    system = popularity_system(80, listeners)
    assert system.cheating
    found = evaluate([system], played, FAST)
    assert found.rows[0].mean("auc") > 0.7
    assert (found.listeners == listeners).all()


def test_with_many_users_intervals_rest_on_a_choice_of_them():
    _, _, _, played, good, _ = planted()
    found = evaluate([good], played, EvaluateSettings(n_bootstrap=40, bootstrap_users=50, chunk=32))
    assert found.n_bootstrap_users == 50
    whole = evaluate([good], played, FAST)
    assert found.rows[0].mean("map") == whole.rows[0].mean("map"), "means still count everyone"
    low, high = found.interval("good ear", "map")
    assert low < found.rows[0].mean("map") < high


def test_popularity_groups_hold_every_pair_once_and_agree_with_pairs_counted_by_hand():
    _, x, _, played, good, _ = planted()
    played = sparse.csr_array(played.toarray()[2:])
    system = System("good ear", x[2:], good.song_vectors)
    found = evaluate([system], played, FAST)
    bins = popularity_bins(found, "good ear")
    assert sum(one["n_pairs"] for one in bins) == played.nnz
    assert [one["listeners_low"] for one in bins] == sorted(one["listeners_low"] for one in bins)
    scores, hit = x[2:] @ good.song_vectors.T, played.toarray() > 0
    listeners = hit.sum(axis=0)
    for one in bins:
        inside = np.flatnonzero((listeners >= one["listeners_low"]) & (listeners <= one["listeners_high"]))
        assert len(inside) == one["n_songs"]
        beaten = [np.mean(scores[u, i] > scores[u, ~hit[u]]) for i in inside for u in np.flatnonzero(hit[:, i])]
        assert one["auc"] == pytest.approx(np.mean(beaten), abs=1e-6)


def test_hidden_plays_are_found_by_id_in_any_order():
    plays = Plays.from_pairs(["u1", "u1", "u2", "u3"], ["a", "b", "b", "c"], [1, 7, 2, 1])
    found = relevant_plays(plays, Vocabulary(["u2", "new", "u1"], "user"), Vocabulary(["b", "z", "a"], "song"))
    np.testing.assert_array_equal(found.toarray(), [[1, 0, 0], [0, 0, 0], [1, 0, 1]])


def test_wrong_systems_are_refused():
    _, x, y, played, good, _ = planted()
    with pytest.raises(InputError, match="two systems are called 'good ear'"):
        evaluate([good, good], played, FAST)
    with pytest.raises(InputError, match=r"'short'.*expected \[60, any\]"):
        evaluate([System("short", x, y[:10])], played, FAST)
    with pytest.raises(InputError, match="not finite"):
        System("broken", x, np.full_like(y, np.nan))
    with pytest.raises(InputError, match="no user played any test song"):
        evaluate([good], sparse.csr_array(played.shape), FAST)
    with pytest.raises(SettingError, match="kind"):
        System("odd", x, y, kind="magic")
    huge = np.full_like(y, 3e38)
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(InputError, match="scores of 'huge'"):
        evaluate([System("huge", np.full_like(x, 3e38), huge)], played, FAST)
    with pytest.raises(InputError, match="Did you mean 'good ear'"):
        compare(evaluate([good], played, FAST), "good eat", "good ear")
    with pytest.raises(InputError, match="no replicates of 'recall'"):
        compare(evaluate([good], played, FAST), "good ear", "good ear", "recall")


@pytest.mark.parametrize("wrong", [{"at": 0}, {"level": 1.0}, {"n_bootstrap": 1}, {"seed": -1}, {"chunk": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        EvaluateSettings(**wrong)

"""AUC for kinds of songs, and what lists look like: worked by hand."""

import math

import numpy as np
import pytest

from deepcuts.evaluate import EvaluateSettings, System, evaluate
from deepcuts.evaluate.buckets import auc_by_group, auc_by_plays, auc_gaps, buckets_of
from deepcuts.evaluate.lists import best_songs, list_measures


def test_songs_fall_into_buckets_at_their_borders() -> None:
    held = buckets_of(np.array([0, 1, 5, 6, 50, 51, 9000]))
    assert {name: np.flatnonzero(which).tolist() for name, which in held.items()} == {
        "0": [0], "1-5": [1, 2], "6-50": [3, 4], ">50": [5, 6],
    }  # fmt: skip


def test_a_group_weighs_its_songs_by_listeners_and_songs_nobody_played_have_no_auc() -> None:
    auc, listeners = np.array([0.9, 0.5, np.nan]), np.array([3, 1, 0])
    told = auc_by_group(auc, listeners, {"all": np.ones(3, bool), "none": np.array([False, False, True])})
    assert told[0] == {"group": "all", "n_songs": 3, "n_pairs": 4, "auc": pytest.approx((3 * 0.9 + 0.5) / 4)}
    assert (told[1]["n_songs"], told[1]["n_pairs"], math.isnan(told[1]["auc"])) == (1, 0, True)


def test_pairs_of_all_buckets_together_give_the_share_of_pairs_in_order() -> None:
    """Seven users love song 0 and the system lists it first; one user plays song 1, which it lists last."""
    scores = np.tile([3.0, 1.0, 2.0], (8, 1))
    played = np.zeros((8, 3))
    played[:7, 0], played[7, 1] = 1, 1
    evaluation = evaluate([System("one", scores, np.eye(3))], played, EvaluateSettings(n_bootstrap=5))
    told = {one["group"]: one["auc"] for one in auc_by_plays(evaluation, "one")}
    assert told["6-50"] == 1.0
    assert told["1-5"] == 0.0
    assert math.isnan(told["0"])
    assert math.isnan(told[">50"])


def test_a_gap_is_paired_by_song_so_a_constant_gap_has_no_spread() -> None:
    rng = np.random.default_rng(0)
    b, listeners = rng.random(40) * 0.5, rng.integers(1, 60, size=40)
    (row,) = auc_gaps(b + 0.1, b, listeners, {"all": np.ones(40, bool)})
    assert [row[name] for name in ("difference", "low", "high")] == pytest.approx([0.1] * 3)


def test_a_gap_of_chance_alone_is_inside_its_interval_about_95_times_of_100() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for seed in range(200):
        gap, listeners = rng.normal(0, 0.1, size=60), rng.integers(1, 9, size=60)
        (row,) = auc_gaps(0.5 + gap, np.full(60, 0.5), listeners, {"all": np.ones(60, bool)}, seed=seed)
        inside += row["low"] <= 0 <= row["high"]
    assert 180 <= inside <= 198


def test_one_song_has_no_interval() -> None:
    (row,) = auc_gaps(np.array([0.7]), np.array([0.6]), np.array([4]), {"all": np.ones(1, bool)})
    assert row["difference"] == pytest.approx(0.1)
    assert math.isnan(row["low"])


def test_the_best_songs_are_those_of_a_plain_sort() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(20, 3))
    found = best_songs(System("one", x, y), np.array([1, 4, 6]), 5)
    wanted = [sorted(range(20), key=lambda song: -float(x[user] @ y[song]))[:5] for user in (1, 4, 6)]
    assert found.tolist() == wanted


def test_equal_scores_are_not_listed_in_the_order_of_the_file() -> None:
    lists = best_songs(System("one", np.ones((1, 1)), np.ones((500, 1))), np.array([0]), 20)
    assert sorted(lists[0].tolist()) != list(range(20))


def test_lists_that_are_all_alike_cover_little_and_one_hub_skews() -> None:
    same = np.tile(np.arange(2), (6, 1))  # the same two of ten songs for everybody
    listeners = np.array([9, 7, *[1] * 8])
    told = list_measures(same, listeners)
    assert told["coverage"] == 0.2
    # Two of ten listed 6 times, the others never: deviations 4.8 (twice) and -1.2 (8 times).
    third, variance = (2 * 4.8**3 - 8 * 1.2**3) / 10, (2 * 4.8**2 + 8 * 1.2**2) / 10
    assert told["hubness"] == pytest.approx(third / variance**1.5)
    assert told["popularity_lift"] == pytest.approx(8 / 2.4)


def test_lists_that_share_songs_out_evenly_have_no_hubs_and_favour_nobody() -> None:
    told = list_measures(np.arange(10).reshape(5, 2), np.arange(10))
    assert (told["coverage"], told["hubness"], told["popularity_lift"]) == (1.0, 0.0, 1.0)


def test_variety_is_the_mean_of_one_less_cosine_and_artists_without_a_name_differ() -> None:
    space = np.array([[1.0, 0], [0, 1], [1, 0]])
    told = list_measures(np.array([[0, 1, 2]]), np.ones(3), space, ["a", None, None])
    assert told["variety"] == pytest.approx(2 / 3)  # cosines 0, 1, 0
    assert told["artists"] == 1.0
    assert list_measures(np.array([[0, 2]]), np.ones(3), space, ["a", "b", "a"])["artists"] == 0.5

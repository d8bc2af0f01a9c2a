"""Similar songs from two spaces: the lists, and how varied they are."""

import numpy as np
import polars as pl
import pytest
from sklearn.neighbors import NearestNeighbors

from deepcuts.artifacts import Vocabulary
from deepcuts.errors import InputError
from deepcuts.explore import ListSettings, compare_lists
from deepcuts.explore.lists import nearest
from deepcuts.recommend import usage_space

IDS = Vocabulary(list("abcde"))
TABLE = pl.DataFrame({"song_id": list("abcde"), "artist": ["X", "X", "Y", "Z", None], "title": list("ABCDE")})


def circle(*degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.column_stack([np.cos(angle), np.sin(angle)])


def random_units(n: int, seed: int, d: int = 6) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, d))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def value_of(summary: pl.DataFrame, measure: str, system: str) -> float:
    return summary.filter(pl.col("measure") == measure, pl.col("system") == system)["value"].item()


def test_lists_on_a_circle_by_hand() -> None:
    found = nearest(circle(0, 10, 30, 80, 180), np.arange(5), 2, np.random.default_rng(0))
    assert found.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1], [3, 2]]


def test_lists_are_those_of_scikit_learn() -> None:
    space = random_units(300, 0)
    expected = NearestNeighbors(n_neighbors=7, metric="cosine").fit(space).kneighbors(return_distance=False)
    assert np.array_equal(nearest(space, np.arange(300), 7, np.random.default_rng(1)), expected)


def test_equal_songs_take_turns() -> None:
    space = np.vstack([circle(0), np.repeat(circle(20), 30, axis=0)])
    first = {int(nearest(space, np.array([0]), 1, np.random.default_rng(seed))[0, 0]) for seed in range(20)}
    assert len(first) > 5


def test_measures_of_variety_by_hand() -> None:
    seen, heard = circle(0, 10, 30, 80, 180), circle(0, 170, 30, 60, 40)
    told = compare_lists(seen, heard, IDS, TABLE, ListSettings(k=2), query_ids=["a", "e"])
    # a: plays give b (X), c (Y), sound gives c (Y), e (none); e: plays give d, c; sound gives c, d
    assert told.observed.tolist() == [[1, 2], [3, 2]]
    assert told.predicted.tolist() == [[2, 4], [2, 3]]
    assert told.measures["overlap"].to_list() == [0.5, 1.0]
    assert told.measures["distinct_artists_observed"].to_list() == [2, 2]
    assert told.measures["same_artist_observed"].to_list() == [1, 0]
    assert told.measures["same_artist_predicted"].to_list() == [0, 0]
    expected = np.cos(np.radians([20, 50]))  # between the two songs of a list, in the space of plays
    assert np.allclose(told.measures["intra_cosine_observed"], expected)
    assert np.allclose(told.measures["intra_cosine_predicted"], np.cos(np.radians([150, 50])))
    assert value_of(told.summary, "same_artist", "difference") == -0.5
    assert value_of(told.summary, "coverage", "observed") == 3 / 5
    assert value_of(told.summary, "overlap", "chance") == 2 / 4


def test_what_chance_gives_for_the_own_artist() -> None:
    # a has one song of its artist among the 4 others: lists of 2 miss it with C(3,2) / C(4,2) = 1/2; c has none
    told = compare_lists(circle(0, 10, 30, 80, 180), circle(0, 10, 30, 80, 180), IDS, TABLE, ListSettings(k=2),
                         query_ids=["a", "c"])  # fmt: skip
    assert value_of(told.summary, "same_artist", "chance") == pytest.approx((0.5 + 0) / 2)


def test_a_space_agrees_with_itself() -> None:
    space = random_units(200, 0)
    told = compare_lists(space, space, Vocabulary([str(song) for song in range(200)]), settings=ListSettings(k=5))
    assert value_of(told.summary, "overlap", "both") == 1
    assert value_of(told.summary, "intra_cosine", "difference") == 0
    assert "same_artist" not in told.summary["measure"].to_list()  # nobody said whose songs they are


def test_unrelated_spaces_agree_by_chance_only() -> None:
    ids = Vocabulary([str(song) for song in range(400)])
    told = compare_lists(random_units(400, 0), random_units(400, 1), ids, settings=ListSettings(k=8, n_queries=0))
    chance = told.summary.filter(pl.col("measure") == "overlap")
    assert abs(value_of(chance, "overlap", "both") - 8 / 399) < 0.01
    assert value_of(told.summary, "overlap", "chance") == pytest.approx(8 / 399)


def test_intervals_hold_the_mean_and_count_the_queries() -> None:
    ids = Vocabulary([str(song) for song in range(300)])
    told = compare_lists(random_units(300, 0), random_units(300, 1), ids, settings=ListSettings(n_queries=50))
    with_interval = told.summary.drop_nulls("low")
    assert (with_interval["low"] <= with_interval["value"]).all()
    assert (with_interval["value"] <= with_interval["high"]).all()
    assert set(told.summary["n"]) == {50}
    assert len(told.queries) == 50


def test_songs_without_a_usage_pattern_are_in_no_list() -> None:
    seen, heard = circle(0, 10, 30, 80, 180), circle(0, 170, 30, 60, 40)
    heard[1] = 0
    told = compare_lists(seen, heard, IDS, TABLE, ListSettings(k=2))
    assert told.n_left_out == 1
    assert told.songs.ids.to_list() == ["a", "c", "d", "e"]
    assert told.observed[0].tolist() == [1, 2]  # c, d: b is no candidate for plays either
    with pytest.raises(InputError, match="'b': has no usage pattern"):
        compare_lists(seen, heard, IDS, TABLE, ListSettings(k=2), query_ids=["b"])


def test_lists_stand_side_by_side_by_name() -> None:
    seen, heard = circle(0, 10, 30, 80, 180), circle(0, 170, 30, 60, 40)
    told = compare_lists(seen, heard, IDS, TABLE, ListSettings(k=2), query_ids=["a"])
    assert told.side_by_side(TABLE).rows() == [("X – A", 1, "X – B", "Y – C"), ("X – A", 2, "Y – C", "E")]


def test_lists_from_usage_space_are_those_of_the_usage_patterns_themselves() -> None:
    rng = np.random.default_rng(0)
    users, songs = rng.normal(size=(50, 4)) + 1, rng.normal(size=(60, 4))
    patterns = users @ songs.T
    patterns /= np.linalg.norm(patterns, axis=0)
    cosine = patterns.T @ patterns
    np.fill_diagonal(cosine, -2)
    found = nearest(usage_space(users, songs), np.arange(60), 3, rng)
    assert np.array_equal(found, np.argsort(-cosine, axis=1)[:, :3])


def test_factors_in_place_of_unit_vectors_are_refused() -> None:
    with pytest.raises(InputError, match="Pass what usage_space gives"):
        compare_lists(circle(0, 10, 30, 80, 180) * 2, circle(0, 10, 30, 80, 180), IDS, TABLE)
    with pytest.raises(InputError, match="expected \\[5, any\\]"):
        compare_lists(circle(0, 10), circle(0, 10, 30, 80, 180), IDS, TABLE)
    with pytest.raises(InputError, match="lists of k = 5 need more"):
        compare_lists(circle(0, 10, 30, 80, 180), circle(0, 10, 30, 80, 180), IDS, TABLE)
    with pytest.raises(InputError, match="unknown song id 'q'"):
        compare_lists(circle(0, 10, 30, 80, 180), circle(0, 10, 30, 80, 180), IDS, query_ids=["q"],
                      settings=ListSettings(k=2))  # fmt: skip

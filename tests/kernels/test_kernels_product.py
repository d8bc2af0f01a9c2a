"""Equal songs have equal scores, wherever they stand in a matrix."""

import numpy as np
import pytest

from deepcuts.artifacts import Vocabulary
from deepcuts.kernels.product import DistinctRows
from deepcuts.recommend import RecommendSettings, recommend
from deepcuts.recommend.topk import scored


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_distinct_rows_are_told_with_their_places(kind):
    rows = np.array([[1, 2], [3, 4], [1, 2], [0, 0], [-0.0, 0], [3, 4]], dtype=kind)
    found = DistinctRows(rows)
    assert found.rows.tolist() == [[1, 2], [3, 4], [0, 0]]
    assert found.place.tolist() == [0, 1, 0, 2, 2, 1]
    assert found.spread(np.array([[10, 20, 30]])).tolist() == [[10, 20, 10, 30, 30, 20]]


def test_a_matrix_without_repeated_rows_is_left_as_it_is():
    rows = np.random.default_rng(0).normal(size=(1000, 5))
    found = DistinctRows(rows)
    assert found.rows is rows
    assert found.place is None
    assert DistinctRows(np.zeros((0, 3))).place is None


@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 1), (200, 77, 50), (3, 1001, 32), (129, 65, 17), (1000, 333, 8)])
def test_equal_rows_and_columns_give_equal_values(n, m, d):
    rng = np.random.default_rng(n + m + d)
    row, column = rng.normal(size=d).astype(np.float32), rng.normal(size=d).astype(np.float32)
    made = scored(np.tile(row, (n, 1)), DistinctRows(np.tile(column, (m, 1))))
    assert made.shape == (n, m)
    assert len(np.unique(made)) == 1


def test_equal_listeners_get_equal_lists():
    rng = np.random.default_rng(1)
    users = np.tile(rng.normal(size=30).astype(np.float32), (200, 1))
    songs = np.repeat(rng.normal(size=(61, 30)).astype(np.float32), 3, axis=0)
    names = Vocabulary([f"u{i}" for i in range(200)], "user"), Vocabulary([f"s{i}" for i in range(183)])
    made = recommend(users, songs, *names, RecommendSettings(k=20))
    assert (made.song == made.song[0]).all()
    assert (made.scores == made.scores[0]).all()
    triples = made.song[0] // 3
    assert all(len(np.unique(made.scores[0][triples == one])) == 1 for one in np.unique(triples))

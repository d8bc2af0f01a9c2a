import numpy as np
import pytest

from deepcuts.artifacts import Vocabulary
from deepcuts.errors import InputError, SettingError
from deepcuts.recommend import SimilarSettings, similar_songs, usage_space


def songs(n):
    return Vocabulary([f"s{i}" for i in range(n)])


@pytest.mark.parametrize("n_users", [200, 4])
def test_the_space_holds_the_cosines_of_explicit_usage_patterns(n_users):
    """Also with fewer users than factors, where G has no Cholesky factor."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n_users, 7)) + 0.5, rng.normal(size=(30, 7))
    patterns = x @ y.T  # [n_users, n_songs]
    unit = patterns / np.linalg.norm(patterns, axis=0)
    z = usage_space(x, y)
    np.testing.assert_allclose(z @ z.T, unit.T @ unit, atol=1e-9)


def test_the_centred_space_holds_the_correlations_of_usage_patterns():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 5)) + 1, rng.normal(size=(20, 5))
    z = usage_space(x, y, centred=True)
    np.testing.assert_allclose(z @ z.T, np.corrcoef((x @ y.T).T), atol=1e-9)


def test_float32_factors_agree_with_explicit_patterns_to_a_millionth():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(300, 20)).astype(np.float32), rng.normal(size=(40, 20)).astype(np.float32)
    patterns = x.astype(np.float64) @ y.T.astype(np.float64)
    unit = patterns / np.linalg.norm(patterns, axis=0)
    z = usage_space(x, y)
    np.testing.assert_allclose(z @ z.T, unit.T @ unit, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 7, 30, 100])
def test_neighbours_are_those_of_a_full_sort_without_the_query(chunk):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(50, 4)), rng.normal(size=(30, 4))
    z = usage_space(x, y)
    found = similar_songs(z, songs(30), SimilarSettings(k=5, chunk=chunk))
    cosines = z @ z.T
    np.fill_diagonal(cosines, -2)
    np.testing.assert_array_equal(found.song, np.argsort(-cosines, axis=1)[:, :5])
    assert not (found.song == np.arange(30)[:, None]).any()
    assert found.table().columns == ["query_id", "song_id", "score", "rank"]


def test_some_queries_by_id_and_an_unknown_one_with_a_near_miss():
    z = usage_space(np.eye(3), np.array([[1, 0, 0], [1, 0.1, 0], [0, 1, 0.2], [0, 1, 0]]))
    found = similar_songs(z, songs(4), SimilarSettings(k=1), query_ids=["s3", "s0"])
    assert found.table()["song_id"].to_list() == ["s2", "s1"]
    with pytest.raises(InputError, match="unknown song id 's9'"):
        similar_songs(z, songs(4), query_ids=["s9"])


def test_songs_without_a_usage_pattern_are_never_listed_and_have_empty_lists():
    y = np.array([[1.0, 0.0], [0.0, 0.0], [0.5, 0.5], [-1.0, 0.0]])
    z = usage_space(np.eye(2), y)
    assert (z[1] == 0).all()
    found = similar_songs(z, songs(4), SimilarSettings(k=3))
    assert (found.song[1] == -1).all()
    assert 1 not in found.song
    assert found.song[0].tolist() == [2, 3, -1], "opposite songs are last but still listed"


def test_equal_neighbours_do_not_follow_the_file():
    found = similar_songs(np.ones((40, 1)), songs(40), SimilarSettings(k=39))
    for query in range(40):
        assert sorted(found.song[query]) == [song for song in range(40) if song != query]
    assert abs(np.corrcoef(found.song[0], np.arange(39))[0, 1]) < 0.5


def test_scaling_a_song_or_all_users_changes_nothing():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(50, 4)), rng.normal(size=(30, 4))
    louder = y * rng.uniform(0.1, 10, size=(30, 1))
    np.testing.assert_allclose(usage_space(3 * x, louder), usage_space(x, y), atol=1e-9)


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match="not finite"):
        usage_space(np.ones((2, 2)), np.full((3, 2), np.inf))
    with pytest.raises(InputError, match="song_factors has shape"):
        usage_space(np.ones((2, 2)), np.ones((3, 1)))
    for wrong in ({"k": 0}, {"chunk": 0}, {"seed": -1}):
        with pytest.raises(SettingError):
            SimilarSettings(**wrong)


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_lists_of_some_songs_are_the_full_lists_without_the_others_whoever_asks(chunk):
    rng = np.random.default_rng(5)
    z = usage_space(rng.normal(size=(50, 4)), np.repeat(rng.normal(size=(15, 4)), 2, axis=0))  # with equal neighbours
    listed = rng.random(30) < 0.4
    full = similar_songs(z, songs(30), SimilarSettings(k=30, chunk=chunk))
    some = similar_songs(z, songs(30), SimilarSettings(k=30, chunk=chunk), listed=listed)
    for query in range(30):
        kept = [song for song in full.song[query] if song >= 0 and listed[song]]
        assert some.song[query].tolist() == kept + [-1] * (30 - len(kept))
        assert query not in kept


def test_a_mask_of_another_length_is_refused():
    with pytest.raises(InputError, match="listed has shape"):
        similar_songs(np.ones((4, 1)), songs(4), listed=np.ones(3, dtype=bool))

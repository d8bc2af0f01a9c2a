from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from deepcuts.artifacts import Factors, Lineage, Plays, SongFactors, Vocabulary
from deepcuts.errors import InputError, SettingError
from deepcuts.recommend import RecommendSettings, candidates, recommend
from deepcuts.recommend.topk import best_columns, best_with_cap


def ids(prefix, n, noun):
    return Vocabulary([f"{prefix}{i}" for i in range(n)], noun)


def slow_best(scores, k, artists=None, cap=None):
    """Walk down the sorted list of one row."""
    taken, count = [], {}
    for column in sorted(range(len(scores)), key=lambda c: (-scores[c], c)):
        if len(taken) == k or scores[column] == -np.inf:
            break
        if cap is not None and count.get(artists[column], 0) >= cap:
            continue
        if artists is not None:
            count[artists[column]] = count.get(artists[column], 0) + 1
        taken.append(column)
    return taken + [-1] * (k - len(taken))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 30),
    k=st.integers(1, 8),
    levels=st.integers(1, 9),
    cap=st.sampled_from([None, 1, 2]),
)
def test_lists_agree_with_a_full_sort_ties_caps_and_holes_included(seed, n, k, levels, cap):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, size=(5, n)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    artists = rng.integers(0, 4, size=n)
    columns, values = best_with_cap(scores, k, artists, cap)
    assert columns.tolist() == [slow_best(row, k, artists, cap) for row in scores]
    held = columns >= 0
    rows = np.nonzero(held)[0]
    np.testing.assert_array_equal(values[held], scores[rows, columns[held]])
    assert (values[~held] == -np.inf).all()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 1500),
    k=st.sampled_from([1, 3, 10, 40]),
    levels=st.sampled_from([1, 5, 300, 10**6]),
    held=st.sampled_from([0.0, 0.01, 0.9]),
)
def test_short_lists_of_many_songs_agree_with_a_full_sort_and_ties_stand_by_place(seed, n, k, levels, held):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-levels, levels, size=(3, n)).astype(np.float32)
    scores[rng.random(scores.shape) < held] = -np.inf
    scores[0] = -np.inf
    place = rng.permutation(n)
    columns, values = best_columns(scores, k, place)
    for row, found, value in zip(scores, columns, values, strict=True):
        want = [c for c in np.lexsort((place, -row)) if row[c] > -np.inf][:k]
        assert found.tolist() == want + [-1] * (k - len(want))
        assert value.tolist() == row[want].tolist() + [-np.inf] * (k - len(want))


def test_a_list_worked_by_hand():
    x = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    y = np.array([[3.0, 1.0], [2.0, 5.0], [1.0, 9.0]], np.float32)
    found = recommend(x, y, ids("u", 2, "user"), ids("s", 3, "song"), RecommendSettings(k=2))
    assert found.song.tolist() == [[0, 1], [2, 1]]
    assert found.scores.tolist() == [[3, 2], [9, 5]]
    assert found.table()["song_id"].to_list() == ["s0", "s1", "s2", "s1"]


def test_played_songs_are_left_out_and_short_lists_are_padded():
    x, y = np.ones((2, 1), np.float32), np.array([[4.0], [3.0], [2.0]], np.float32)
    played = sparse.csr_array(np.array([[1, 0, 1], [0, 0, 0]]))
    users, songs = ids("u", 2, "user"), ids("s", 3, "song")
    found = recommend(x, y, users, songs, RecommendSettings(k=2), played=played)
    assert found.song.tolist() == [[1, -1], [0, 1]]
    assert found.scores[0, 1] == -np.inf
    assert found.table().height == 3
    kept = recommend(x, y, users, songs, RecommendSettings(k=2, exclude_played=False), played=played)
    assert kept.song.tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize("chunk", [1, 4, 11, 12, 1000])
def test_chunks_that_do_not_divide_change_nothing(chunk):
    rng = np.random.default_rng(0)
    x, y = rng.integers(-3, 4, size=(12, 3)).astype(np.float32), rng.integers(-3, 4, size=(40, 3)).astype(np.float32)
    played = sparse.csr_array(rng.random((12, 40)) < 0.3)
    users, songs = ids("u", 12, "user"), ids("s", 40, "song")
    whole = recommend(x, y, users, songs, RecommendSettings(k=7), played=played)
    cut = recommend(x, y, users, songs, RecommendSettings(k=7, chunk=chunk), played=played)
    np.testing.assert_array_equal(whole.song, cut.song)
    scores = np.where(played.toarray(), -np.inf, x @ y.T)
    np.testing.assert_array_equal(whole.scores, -np.sort(-scores, axis=1)[:, :7])


def test_equal_scores_do_not_follow_the_file_and_are_the_same_for_everyone():
    found = recommend(
        np.ones((3, 1)), np.ones((50, 1)), ids("u", 3, "user"), ids("s", 50, "song"), RecommendSettings(k=50)
    )
    assert (found.song == found.song[0]).all()
    assert sorted(found.song[0]) == list(range(50))
    assert np.corrcoef(found.song[0], np.arange(50))[0, 1] < 0.5


def test_some_users_by_id_in_the_order_asked():
    x, y = np.array([[1.0], [-1.0], [0.5]]), np.array([[1.0], [2.0]])
    played = sparse.csr_array(np.array([[0, 0], [0, 1], [0, 0]]))
    found = recommend(x, y, ids("u", 3, "user"), ids("s", 2, "song"), RecommendSettings(k=1),
                      user_ids=["u2", "u1"], played=played)  # fmt: skip
    assert found.queries.ids.to_list() == ["u2", "u1"]
    assert found.song.tolist() == [[1], [0]]


def test_an_unknown_user_is_refused_with_a_near_miss():
    users = Vocabulary(["alice", "bob"], "user")
    with pytest.raises(InputError, match=r"unknown user id 'alise'.*Did you mean 'alice'"):
        recommend(np.ones((2, 1)), np.ones((3, 1)), users, ids("s", 3, "song"), user_ids=["alise"])


def test_an_artist_fills_no_more_than_its_share_and_unknown_artists_are_free():
    x, y = np.ones((1, 1)), np.arange(6.0, 0, -1)[:, None]
    artists = ["abba", "abba", "abba", "blur", None, None]
    found = recommend(
        x, y, ids("u", 1, "user"), ids("s", 6, "song"), RecommendSettings(k=5, per_artist=1), artists=artists
    )
    assert found.song.tolist() == [[0, 3, 4, 5, -1]]
    with pytest.raises(InputError, match="needs the artist"):
        recommend(x, y, ids("u", 1, "user"), ids("s", 6, "song"), RecommendSettings(per_artist=1))
    with pytest.raises(InputError, match="2 of them for 6 songs"):
        recommend(x, y, ids("u", 1, "user"), ids("s", 6, "song"), RecommendSettings(per_artist=1), artists=["a", "b"])


def observed_and_predicted():
    users, rng = ids("u", 2, "user"), np.random.default_rng(1)
    lineage = Lineage("a fit", Vocabulary(["a", "b"]), "clean")
    observed = Factors.of(users, rng.normal(size=(2, 3)), Vocabulary(["a", "b"]), np.full((2, 3), 1.0), lineage)
    predicted = SongFactors(Vocabulary(["b", "c", "d"]), np.full((3, 3), 2.0), lineage)
    return observed, predicted


@pytest.mark.parametrize(("which", "want"), [("warm", "ab"), ("cold", "cd"), ("both", "abcd")])
def test_candidates_are_warm_cold_or_both(which, want):
    observed, predicted = observed_and_predicted()
    found = candidates(observed, predicted, which)
    assert found.songs.songs.ids.to_list() == list(want)
    assert found.users is observed.users
    warm = found.songs.songs.find(["a", "b"])
    assert (found.songs.vectors[warm[warm >= 0]] == 1).all(), "a song with plays keeps its observed factors"
    assert found.songs.lineage.parents == {"observed": observed.fingerprint, "predicted": predicted.fingerprint}
    assert found.lineage.learned_from.ids.to_list() == ["a", "b"]


def test_predictions_of_another_factorisation_are_refused_by_the_names_of_both_fits():
    observed, predicted = observed_and_predicted()
    other = replace(predicted, lineage=replace(predicted.lineage, space="another fit"))
    with pytest.raises(InputError, match=r"\(factorisation a fit\) and the predicted factors \(factorisation another"):
        candidates(observed, other, "cold")


def test_candidates_that_cannot_be_are_refused():
    observed, predicted = observed_and_predicted()
    with pytest.raises(InputError, match="no predicted song factors"):
        candidates(observed, None, "both")
    with pytest.raises(InputError, match="Did you mean 'cold'"):
        candidates(observed, predicted, "colds")
    short = SongFactors(Vocabulary(["z"]), np.ones((1, 2)))
    with pytest.raises(InputError, match="2 factors, the observed ones have 3"):
        candidates(observed, short, "cold")
    known = observed.songs
    with pytest.raises(InputError, match="no songs are left"):
        candidates(observed, known, "cold")


def test_played_songs_are_found_by_id():
    plays = Plays.from_pairs(["u1", "u1", "u2"], ["a", "b", "b"], [1, 7, 2])
    found = plays.counts_of(Vocabulary(["u2", "new", "u1"], "user"), Vocabulary(["b", "z", "a"]))
    np.testing.assert_array_equal(found.toarray(), [[2, 0, 0], [0, 0, 0], [7, 0, 1]])


def test_wrong_input_is_refused():
    users, songs = ids("u", 2, "user"), ids("s", 3, "song")
    with pytest.raises(InputError, match="not finite"):
        recommend(np.full((2, 1), np.nan), np.ones((3, 1)), users, songs)
    with pytest.raises(InputError, match="song_factors has shape"):
        recommend(np.ones((2, 1)), np.ones((3, 2)), users, songs)
    with pytest.raises(InputError, match="transposed"):
        recommend(np.ones((2, 1)), np.ones((3, 1)), users, songs, played=sparse.csr_array(np.ones((3, 2))))
    for wrong in ({"k": 0}, {"which": "hot"}, {"per_artist": 0}, {"chunk": 0}, {"seed": -1}):
        with pytest.raises(SettingError):
            RecommendSettings(**wrong)


def test_a_list_of_no_songs_is_empty():
    columns, values = best_columns(np.zeros((2, 0)), 3)
    assert (columns == -1).all()
    assert (values == -np.inf).all()

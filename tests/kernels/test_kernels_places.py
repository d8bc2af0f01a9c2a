"""Places by counting: the C loop in every instruction set and its twin against songs put in order one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcuts.errors import InputError
from deepcuts.kernels import native, places

SETS = native.built("_places").instructions() if native.built("_places") else []


def some_scores(seed: int, n_users: int, n_songs: int, levels: int):
    """Scores with ties where there are few levels, zeros of both signs; users with no, one and many relevant songs."""
    rng = np.random.default_rng(seed)
    scores = (rng.integers(-levels, levels + 1, size=(n_users, n_songs)) / 4).astype(np.float32)
    scores[(scores == 0) & (rng.random(scores.shape) < 0.5)] = -0.0
    relevant = rng.random(scores.shape) < rng.choice([0, 1 / n_songs, 0.3, 1], size=n_users)[:, None]
    start = np.concatenate([[0], np.cumsum(relevant.sum(axis=1))])
    return scores, start, np.nonzero(relevant)[1].astype(np.int32), rng.permutation(n_songs).astype(np.int32)


def placed_one_by_one(scores, start, song, place) -> np.ndarray:
    """Rank, greater, equal by looking at every other song."""
    found = []
    for user, line in enumerate(scores.astype(float).tolist()):
        for own in song[start[user] : start[user + 1]].tolist():
            greater = sum(s > line[own] for s in line)
            tied = [other for other, s in enumerate(line) if s == line[own]]
            found.append([greater + sum(place[other] < place[own] for other in tied), greater, len(tied)])
    return np.array(found, np.int64).reshape(-1, 3).T


@pytest.fixture(params=[*SETS, "numpy"])
def loop(request, monkeypatch):
    """Once for each instruction set of this processor, once with the twin."""
    if request.param == "numpy":
        monkeypatch.setenv("DEEPCUTS_KERNEL", "numpy")
    else:
        only = SETS[: SETS.index(request.param) + 1]
        built = native.built("_places")

        class UpTo:
            instructions = staticmethod(lambda: only)
            count_places = staticmethod(built.count_places)
            copies_before = staticmethod(built.copies_before)

        monkeypatch.setattr(native, "loop", lambda _name: UpTo)
    return request.param


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("levels", [1, 8, 100_000])
def test_places_are_those_of_songs_compared_one_by_one(loop, seed, levels):
    n_songs = [1, 3, 15, 16, 17, 33, 50, 64, 7, 31, 48, 5][seed]
    made = some_scores(seed, 9, n_songs, levels)
    np.testing.assert_array_equal(places.count_places(*made), placed_one_by_one(*made))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), n_users=st.integers(0, 80), n_songs=st.integers(1, 150), levels=st.integers(1, 400)
)
def test_the_loops_agree_to_the_bit(seed, n_users, n_songs, levels):
    scores, start, song, place = some_scores(seed, n_users, n_songs, levels)
    pairs = [(row, slice(start[row], start[row + 1])) for row in range(n_users)]
    twin = [places.places_by_sorting(scores[row], song[held], place) for row, held in pairs]
    wanted = np.concatenate([np.zeros((3, 0), np.int64), *twin], axis=1)
    np.testing.assert_array_equal(places.count_places(scores, start, song, place, n_threads=2), wanted)


def test_a_user_with_more_songs_than_are_counted_is_placed_like_the_others(loop):
    rng = np.random.default_rng(3)
    n_songs, n_relevant = 2_000, [3, places.COUNTED_AT_MOST + 40, 0, places.COUNTED_AT_MOST, 700]
    scores = rng.standard_normal((5, n_songs)).astype(np.float32)
    song = np.concatenate([rng.choice(n_songs, n, replace=False) for n in n_relevant]).astype(np.int32)
    start = np.concatenate([[0], np.cumsum(n_relevant)])
    rank, greater, equal = places.count_places(scores, start, song, rng.permutation(n_songs))
    user = np.repeat(np.arange(5), n_relevant)
    np.testing.assert_array_equal(greater, [(scores[u] > scores[u, s]).sum() for u, s in zip(user, song, strict=True)])
    np.testing.assert_array_equal(rank, greater)
    assert (equal == 1).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 15, 16, 37, 40])
@pytest.mark.parametrize("n_relevant", [0, 1, 5])
def test_a_score_that_is_not_finite_is_refused_wherever_it_stands(loop, bad, column, n_relevant):
    scores = np.arange(3 * 41, dtype=np.float32).reshape(3, 41)
    scores[1, column] = bad
    start = np.array([0, 1, 1 + n_relevant, 1 + n_relevant])
    song = np.concatenate([[4], np.arange(10, 10 + n_relevant)]).astype(np.int32)
    with pytest.raises(InputError, match=rf"scores of 'x'\[\d, {column}\] = {bad}"):
        places.count_places(scores, start, song, np.arange(41), name="scores of 'x'")


def test_the_greatest_and_the_least_finite_scores_pass(loop):
    scores = np.array([[3.4e38, -3.4e38, 1e-45, -1e-45, 0]], np.float32)
    found = places.count_places(scores, np.array([0, 5]), np.arange(5), np.arange(5))
    np.testing.assert_array_equal(found, [[0, 4, 1, 3, 2], [0, 4, 1, 3, 2], [1, 1, 1, 1, 1]])


def test_scores_in_float64_are_compared_as_such(loop):
    scores = np.array([[1.0, 1.0 + 1e-12, 1.0]])
    found = places.count_places(scores, np.array([0, 3]), np.arange(3), np.array([2, 1, 0]))
    np.testing.assert_array_equal(found, [[2, 0, 1], [1, 0, 1], [2, 1, 2]])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("levels", [1, 8, 100_000])
def test_copies_before_a_boundary_are_those_added_one_by_one(loop, seed, levels):
    rng = np.random.default_rng(seed)
    n_songs, n_draws = int(rng.integers(1, 70)), int(rng.integers(1, 40))
    scores, _, _, place = some_scores(seed, 6, n_songs, levels)
    n_boundaries = rng.integers(0, 6, size=6)
    start = np.concatenate([[0], np.cumsum(n_boundaries)])
    user = np.repeat(np.arange(6), n_boundaries)
    t = scores[user, rng.integers(n_songs, size=len(user))]
    own = rng.integers(-1, n_songs + 1, size=len(user)).astype(np.int32)
    best = np.lexsort((own, -t, user))
    t, own = t[best], own[best]
    copies = rng.poisson(1, size=(n_songs, n_draws)).astype(np.uint8)
    copies[0] = 255
    wanted = np.zeros((len(user), n_draws))
    for k, u in enumerate(user):
        for song in range(n_songs):
            if scores[u, song] > t[k] or (scores[u, song] == t[k] and place[song] < own[k]):
                wanted[k] += copies[song]
    found = places.copies_before(scores, start, t, own, place, copies)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(places.copies_before(scores, start, t, own, place, copies.astype(np.float32)), wanted)


def test_copies_of_more_songs_than_are_taken_at_a_time(loop):
    rng = np.random.default_rng(9)
    scores = rng.standard_normal((3, 5_003)).astype(np.float32)
    start = np.array([0, 2, 2, 5])
    user, t = np.repeat(np.arange(3), np.diff(start)), np.array([1, 0, 2, 0.5, -3], np.float32)
    copies = rng.poisson(1, size=(5_003, 9)).astype(np.uint8)
    found = places.copies_before(scores, start, t, np.zeros(5, np.int32), np.arange(5_003), copies)
    wanted = [copies[scores[u] > score].sum(axis=0) for u, score in zip(user, t, strict=True)]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.skipif(not SETS, reason="the C loops were not built")
def test_arrays_that_do_not_fit_are_refused_before_memory_is_touched():
    built = native.built("_places")
    scores, start, song, place = np.zeros((2, 4), np.float32), np.array([0, 1, 2]), np.zeros(2, np.int32), np.arange(4)
    place, room = place.astype(np.int32), [np.zeros(2, np.int64) for _ in range(3)]
    good = [scores, start, song, place, *room, 0, 2, 0]
    assert built.count_places(*good) == -1
    for at, wrong in [
        (0, scores.astype(np.float64)),
        (1, np.array([0, 1, 3])),
        (1, np.array([0, 2, 1])),
        (1, np.array([-1, 1, 2])),
        (1, np.array([0, 2])),
        (2, np.array([0, 4], np.int32)),
        (2, np.array([0, -1], np.int32)),
        (3, place[:3]),
        (4, np.zeros(1, np.int64)),
        (7, -1),
        (8, 3),
        (9, 9),
    ]:
        with pytest.raises(ValueError, match=r".+"):
            built.count_places(*good[:at], wrong, *good[at + 1 :])
    copies, before = np.ones((4, 3), np.uint8), np.zeros((2, 3), np.int32)
    good = [scores, start, np.zeros(2, np.float32), song, place, copies, before, 0, 2, 0]
    assert built.copies_before(*good) is None
    for at, wrong in [(1, np.array([0, 1, 3])), (2, np.zeros(1, np.float32)), (4, place[:3]), (5, copies[:3])]:
        with pytest.raises(ValueError, match=r".+"):
            built.copies_before(*good[:at], wrong, *good[at + 1 :])
    for at, wrong in [(6, before[:1]), (6, before[:, :2].copy()), (8, 3)]:
        with pytest.raises(ValueError, match=r".+"):
            built.copies_before(*good[:at], wrong, *good[at + 1 :])


# ---- the same on a device of torch ----


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("levels", [1, 8, 100_000])
def test_places_on_a_device_are_those_of_songs_compared_one_by_one(device, levels, monkeypatch):
    import torch

    from deepcuts.kernels import places_torch

    monkeypatch.setattr(places_torch, "FLOATS_AT_ONCE", 100)
    scores, start, song, place = some_scores(5, 9, 37, levels)
    on_device = places_torch.TorchScores(np.zeros((37, 2)), place, device)
    found = on_device.count_places(torch.from_numpy(scores).to(device), start, song)
    np.testing.assert_array_equal(found, placed_one_by_one(scores, start, song, place))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_scores_on_a_device_are_full_float32_products_and_must_be_finite(device):
    from deepcuts.kernels.places_torch import TorchScores

    rng = np.random.default_rng(6)
    users, songs = rng.standard_normal((20, 400)), rng.standard_normal((50, 400))
    on_device = TorchScores(songs, np.arange(50), device)
    np.testing.assert_allclose(on_device.score(users).cpu().numpy(), users @ songs.T, atol=2e-4)
    with pytest.raises(InputError, match="not all are finite"):
        on_device.score(np.full((2, 400), np.nan))

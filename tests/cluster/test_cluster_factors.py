"""A factorisation in tasks gives the factors of one machine, whatever the number of workers and whoever dies."""

import logging

import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_limits

from deepcuts.artifacts import Plays, Vocabulary
from deepcuts.cluster import factors
from deepcuts.cluster.factors import Group, cut, ray_engine
from deepcuts.errors import InputError, SettingError
from deepcuts.factors import WmfSettings, fit, objective, surplus_confidence

SETTINGS = WmfSettings(n_factors=6, n_sweeps=3, regularization=0.1)


def some_plays(n_users: int = 700, n_songs: int = 300, seed: int = 0) -> Plays:
    """Plays of which some users and songs have none, and one user plays most songs."""
    rng = np.random.default_rng(seed)
    counts = sparse.random_array((n_users, n_songs), density=0.05, rng=rng, dtype=np.float32).tolil()
    counts[3, :] = rng.integers(1, 9, n_songs)
    counts[5, :], counts[:, 7] = 0, 0
    songs = Vocabulary([f"s{i}" for i in range(n_songs)], "song")
    users = Vocabulary([f"u{i}" for i in range(n_users)], "user")
    return Plays(users, songs, sparse.csr_array(counts), songs.ids.to_frame())


def told(done) -> list:
    return [(h["sweep"], h["half"], h["objective"]) for h in done.history]


@pytest.fixture(scope="module")
def alone():
    return fit(some_plays(), SETTINGS)


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_factors_and_objectives_are_those_of_one_machine_to_the_bit(cluster, monkeypatch, alone, n_workers):
    monkeypatch.setattr(cluster, "n_workers", n_workers)
    made = fit(some_plays(), SETTINGS, engine=ray_engine(cluster))
    assert made.factors.fingerprint == alone.factors.fingerprint
    assert told(made) == told(alone)


def test_killed_workers_change_nothing_and_are_told(deadly, alone, caplog):
    cluster = deadly(9, 30)
    with caplog.at_level(logging.WARNING):
        made = fit(some_plays(), SETTINGS, engine=ray_engine(cluster))
    assert cluster.n_died == 2
    assert caplog.text.count("its task is run again") >= 2  # two tasks may wait for one process
    assert made.factors.fingerprint == alone.factors.fingerprint


@pytest.mark.parametrize("deaths", [(), (3, 4)])
def test_a_fixed_side_in_pieces_gives_the_same_bits(deadly, deaths):
    """Pieces of 1024 rows, the least: three of users and two of songs."""
    short = WmfSettings(n_factors=6, n_sweeps=1, regularization=0.1)
    plays = some_plays(3000, 1500)
    cluster = deadly(*deaths)
    made = fit(plays, short, engine=ray_engine(cluster, broadcast_bytes=0))
    assert made.factors.fingerprint == fit(plays, short).factors.fingerprint
    assert cluster.n_died == len(deaths)


def test_a_fixed_side_of_one_piece_gives_the_same_bits(cluster, alone):
    made = fit(some_plays(), SETTINGS, engine=ray_engine(cluster, broadcast_bytes=0))
    assert made.factors.fingerprint == alone.factors.fingerprint


def test_threads_of_blas_change_no_bit(cluster):
    """More factors than the tile of a matrix product: threads would part the change of basis elsewhere."""
    large = WmfSettings(n_factors=40, n_sweeps=1, regularization=0.1)
    plays = some_plays(3000, 1500)
    with threadpool_limits(2, "blas"):
        made = fit(plays, large, engine=ray_engine(cluster))
    assert made.factors.fingerprint == fit(plays, large).factors.fingerprint


def test_gram_matrices_summed_from_tasks_are_the_same_to_the_bit(cluster, monkeypatch):
    monkeypatch.setattr(cluster, "n_nodes", 2)  # on one, the driver has the cores
    rows = np.random.default_rng(1).standard_normal((9000, 5)).astype(np.float32)  # nine parts
    made = ray_engine(cluster)(0.1, 3, "cpu").gram(rows)
    np.testing.assert_array_equal(made, factors.als.gram(rows))
    np.testing.assert_allclose(made, rows.astype(float).T @ rows.astype(float), rtol=1e-12)


def test_the_exact_solver_agrees_to_rounding(cluster):
    exactly = WmfSettings(n_factors=6, n_sweeps=2, regularization=0.1, solver="exact")
    here, there = fit(some_plays(), exactly), fit(some_plays(), exactly, engine=ray_engine(cluster))
    np.testing.assert_allclose(there.factors.songs.vectors, here.factors.songs.vectors, atol=1e-5)
    for (*_, mine), (*_, theirs) in zip(told(there), told(here), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-6)


def test_the_objective_it_tells_is_equation_3(cluster):
    plays = some_plays(60, 40)
    made = fit(plays, SETTINGS, engine=ray_engine(cluster))
    surplus = surplus_confidence(plays.counts, SETTINGS.alpha, SETTINGS.epsilon)
    X, Y = made.factors.users.vectors, made.factors.songs.vectors
    assert made.history[-1]["objective"] == pytest.approx(objective(surplus, X, Y, 0.1), rel=1e-6)


def test_a_run_goes_on_from_the_checkpoint_of_one_machine(cluster, alone, tmp_path):
    shorter = WmfSettings(n_factors=6, n_sweeps=1, regularization=0.1)
    fit(some_plays(), shorter, checkpoint=tmp_path / "aside")
    made = fit(some_plays(), SETTINGS, checkpoint=tmp_path / "aside", engine=ray_engine(cluster))
    assert made.factors.fingerprint == alone.factors.fingerprint


def test_an_overflow_is_the_error_of_one_machine(cluster):
    wild = WmfSettings(n_factors=6, n_sweeps=1, init_scale=1e30)
    with pytest.raises(InputError) as here:
        fit(some_plays(60, 40), wild)
    with pytest.raises(InputError) as there:
        fit(some_plays(60, 40), wild, engine=ray_engine(cluster))
    assert str(there.value) == str(here.value)


def test_a_device_is_refused(cluster):
    with pytest.raises(SettingError, match="device = 'cuda': expected cpu with --on ray"):
        fit(some_plays(60, 40), WmfSettings(device="cuda"), engine=ray_engine(cluster))


@pytest.mark.parametrize("n_workers", [1, 3, 50])
def test_groups_hold_every_row_and_play_once_and_in_order(n_workers):
    surplus = surplus_confidence(some_plays().counts, 2.0, 1e-6)
    groups = cut(surplus, n_workers)
    assert [group.begin for group in groups] == [0, *[group.end for group in groups[:-1]]]
    assert groups[-1].end == surplus.shape[0]
    np.testing.assert_array_equal(np.concatenate([group.other for group in groups]), surplus.indices)
    np.testing.assert_array_equal(np.concatenate([group.surplus for group in groups]), surplus.data)
    assert all(group.start[-1] == len(group.other) for group in groups)
    assert all(group.blocks[-1][1] == group.end - group.begin for group in groups)


@pytest.mark.parametrize(
    ("n_plays", "n_workers", "n_groups"),
    [(1000, 2, 16), (1000, 500, 2048), (1000, 5000, 5000), (3e10, 100, 1789)],  # 3·10¹⁰ / 2²⁴ = 1788.1
)
def test_groups_are_some_a_worker_and_not_too_many_for_the_driver(n_plays, n_workers, n_groups):
    assert factors.number_of_groups(n_plays, n_workers) == n_groups


def test_a_group_is_sent_each_row_it_needs_once():
    whole = np.arange(40, dtype=np.float32).reshape(8, 5)
    other = np.array([6, 0, 6, 2, 7], np.int32)
    start, surplus = np.array([0, 5]), np.ones(5, np.float32)
    needs = factors.needed_rows(Group(0, 1, ((0, 1),), start, other, surplus), 3, 3)
    assert [rows.tolist() for rows in needs] == [[0, 2], [], [0, 1]]  # rows 0 and 2; none of 3 to 5; 6 and 7
    pieces = [whole[0:3], whole[3:6], whole[6:8]]
    taken = np.concatenate([factors.take_rows(piece, rows) for piece, rows in zip(pieces, needs, strict=True)])
    np.testing.assert_array_equal(taken, whole[[0, 2, 6, 7]])


@pytest.mark.parametrize(("n", "f", "rows"), [(10, 4, 2 * 2**20), (10**8, 400, 1526 * 1024), (5 * 10**5, 128, 65536)])
def test_pieces_are_large_enough_to_be_few_and_whole_blocks(n, f, rows):
    """32 MB or more, 64 at most: 10⁸ rows / 64 = 1,562,500, in blocks of 1024 rounded up to 1526."""
    assert factors._rows_a_piece(n, f) == rows

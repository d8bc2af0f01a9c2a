"""Weighted matrix factorisation: the objective, the confidence, the fit, folding in."""

import logging
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import implicit.als
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from threadpoolctl import threadpool_limits

from deepcuts.artifacts import Factors, Plays, Vocabulary
from deepcuts.errors import InputError, SettingError
from deepcuts.factors import wmf
from deepcuts.factors.wmf import WmfSettings
from deepcuts.kernels import als_torch, device


def plays_of(counts: np.ndarray) -> Plays:
    """Plays from a dense matrix; empty users and songs stay."""
    users = Vocabulary([f"u{u}" for u in range(counts.shape[0])], "user")
    songs = Vocabulary([f"s{i}" for i in range(counts.shape[1])], "song")
    table = songs.ids.to_frame()
    return Plays(users, songs, sparse.csr_array(counts.astype(np.float32)), table)


def random_plays(seed: int, n_users: int, n_songs: int, density: float = 0.2) -> Plays:
    rng = np.random.default_rng(seed)
    counts = rng.geometric(0.3, (n_users, n_songs)) * (rng.random((n_users, n_songs)) < density)
    counts[0, 0] = 1
    return plays_of(counts)


def dense_objective(counts: np.ndarray, X: np.ndarray, Y: np.ndarray, settings: WmfSettings) -> float:
    """Equation 3 written out: every pair, one after another."""
    total = settings.regularization * ((X.astype(float) ** 2).sum() + (Y.astype(float) ** 2).sum())
    for u, x in enumerate(X.astype(float)):
        for i, y in enumerate(Y.astype(float)):
            c = 1 + settings.alpha * np.log(1 + counts[u, i] / settings.epsilon)
            total += c * ((counts[u, i] > 0) - x @ y) ** 2
    return total


# ---- confidence ----


def test_confidence_at_the_authors_settings_is_as_published():
    plays = sparse.csr_array(np.array([[1, 2, 10, 100]]))
    c = 1 + wmf.surplus_confidence(plays, alpha=2.0, epsilon=1e-6).data
    np.testing.assert_allclose(c, [28.6, 30.0, 33.2, 37.8], atol=0.05)


def test_an_unplayed_song_has_a_confidence_of_exactly_one():
    surplus = wmf.surplus_confidence(sparse.csr_array(np.array([[0, 3], [0, 0]])), 2.0, 1e-6)
    assert surplus.nnz == 1
    assert (1 + surplus.toarray())[0, 0] == 1.0


def test_counts_matter_at_epsilon_a_hundredth_and_hardly_at_a_millionth():
    plays = sparse.csr_array(np.array([[1, 100]]))
    ratio = {eps: np.divide(*(1 + wmf.surplus_confidence(plays, 2.0, eps).data)[::-1]) for eps in (1e-6, 0.01, 1.0)}
    assert ratio[1e-6] == pytest.approx(1.32, abs=0.01)
    assert ratio[0.01] == pytest.approx((1 + 2 * np.log(10001)) / (1 + 2 * np.log(101)), rel=1e-6)
    assert ratio[0.01] > 1.8
    assert ratio[1.0] > 4


def test_play_counts_reach_the_factors():
    """Confidences computed after binarising would make these two fits equal."""
    rng = np.random.default_rng(0)
    counts = (rng.random((30, 20)) < 0.3) * rng.geometric(0.1, (30, 20))
    chosen = WmfSettings(n_factors=3, epsilon=0.01, regularization=1.0)
    scores = []
    for told in (counts, counts > 0):
        factors = wmf.fit(plays_of(told), chosen).factors
        scores.append(factors.users.vectors @ factors.songs.vectors.T)
    assert abs(scores[0] - scores[1]).max() > 0.05


@pytest.mark.parametrize(("n_factors", "warns"), [(3, False), (4, True), (9, True)])
def test_as_many_factors_as_songs_give_a_warning(n_factors, warns, caplog):
    wmf.fit(random_plays(1, 7, 4, 0.5), WmfSettings(n_factors=n_factors, regularization=1.0, n_sweeps=1))
    assert ("with 7 users and 4 songs: so many memorise plays" in caplog.text) == warns


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_count_that_is_none_is_refused_with_its_place(bad):
    plays = sparse.csr_array((np.array([1.0, 2.0, bad]), np.array([0, 3, 1]), np.array([0, 2, 3])), shape=(2, 4))
    with pytest.raises(InputError, match=r"plays\[1, 1\] = .*positive finite count"):
        wmf.surplus_confidence(plays, 2.0, 1e-6)


def test_a_count_too_large_for_its_confidence_is_refused():
    plays = sparse.csr_array(np.array([[1.0, 1e308]]))
    with pytest.raises(InputError, match=r"plays\[0, 1\].*confidence"):
        wmf.surplus_confidence(plays, 2.0, 1e-6)


# ---- objective ----


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n_users=st.integers(1, 7), n_songs=st.integers(1, 7), f=st.integers(1, 4))
def test_the_objective_is_equation_3_over_all_pairs(seed, n_users, n_songs, f):
    rng = np.random.default_rng(seed)
    chosen = WmfSettings(n_factors=f, epsilon=0.1, regularization=0.3)
    counts = rng.poisson(0.7, (n_users, n_songs))
    X, Y = rng.standard_normal((n_users, f)), rng.standard_normal((n_songs, f))
    surplus = wmf.surplus_confidence(sparse.csr_array(counts), chosen.alpha, chosen.epsilon)
    found = wmf.objective(surplus, X, Y, chosen.regularization)
    assert found == pytest.approx(dense_objective(counts, X, Y, chosen), rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    f=st.sampled_from([1, 3, 8, 20, 50]),
    solver=st.sampled_from(["cg", "exact"]),
    regularization=st.sampled_from([1e-5, 1.0, 100.0]),
    alpha=st.sampled_from([0.0, 2.0, 40.0]),
    n_steps=st.integers(1, 4),
)
def test_the_objective_never_rises(seed, shape, f, solver, regularization, alpha, n_steps):
    """Beyond rounding: with more factors than songs the fit is perfect, the objective a difference of large sums."""
    chosen = WmfSettings(
        n_factors=f, alpha=alpha, regularization=regularization, solver=solver, n_steps=n_steps, n_sweeps=5
    )
    plays = random_plays(seed, *shape)
    values = [half["objective"] for half in wmf.fit(plays, chosen).history]
    with_nothing_learned = (1 + alpha * np.log(1 + plays.counts.data / chosen.epsilon)).sum()
    for before, after in pairwise(values):
        assert after <= before + 1e-6 * abs(before) + 5e-6 * with_nothing_learned


@pytest.mark.parametrize("solver", ["cg", "exact"])
@pytest.mark.parametrize("seed", range(5))
def test_the_objective_of_an_ordinary_fit_never_rises_by_a_millionth(solver, seed):
    """Ordinary: fewer factors than songs, so the fit is not perfect. λ = 0 is the hardest."""
    chosen = WmfSettings(n_factors=4, regularization=0.0, solver=solver, n_sweeps=15)
    values = [half["objective"] for half in wmf.fit(random_plays(seed, 60, 40), chosen).history]
    assert all(after <= before * (1 + 1e-6) for before, after in pairwise(values))


@pytest.mark.parametrize("kernel", ["", "numpy"])
def test_the_objective_logged_is_that_of_the_factors(monkeypatch, kernel):
    monkeypatch.setenv("DEEPCUTS_KERNEL", kernel)
    plays, chosen = random_plays(1, 12, 9), WmfSettings(n_factors=4, n_sweeps=3, regularization=0.1)
    done = wmf.fit(plays, chosen)
    expected = dense_objective(plays.counts.toarray(), done.factors.users.vectors, done.factors.songs.vectors, chosen)
    assert done.history[-1]["objective"] == pytest.approx(expected, rel=1e-5)


# ---- fit ----


def test_users_are_solved_first_and_every_half_sweep_is_recorded():
    history = wmf.fit(random_plays(2, 8, 6), WmfSettings(n_factors=2, n_sweeps=2)).history
    assert [(h["sweep"], h["half"]) for h in history] == [(1, "users"), (1, "songs"), (2, "users"), (2, "songs")]
    assert all(h["seconds"] >= 0 for h in history)


def test_the_factors_say_where_they_come_from(tmp_path):
    plays = random_plays(3, 8, 6)
    factors = wmf.fit(plays, WmfSettings(n_factors=2, n_sweeps=1, seed=4), protocol="joint").factors
    factors.save(tmp_path / "factors")
    again = Factors.load(tmp_path / "factors")
    assert again.settings["protocol"] == "joint"
    assert again.settings["seed"] == 4
    assert again.lineage.parents == {"plays": plays.fingerprint}
    assert again.lineage.learned_from == plays.songs
    np.testing.assert_array_equal(again.songs.n_listeners, (plays.counts.toarray() > 0).sum(0))
    assert factors.users.vectors.dtype == factors.songs.vectors.dtype == np.float32


def test_equal_seeds_give_equal_bits_and_others_do_not():
    plays = random_plays(4, 30, 20)
    a, b, c = (wmf.fit(plays, WmfSettings(n_factors=5, n_sweeps=3, seed=seed)).factors for seed in (1, 1, 2))
    assert a.fingerprint == b.fingerprint != c.fingerprint


def test_cg_and_exact_end_at_the_same_objective():
    rng = np.random.default_rng(5)  # two groups: one minimum stands out, so both ways lead there
    counts = rng.geometric(0.3, (40, 30)) * (np.kron(np.eye(2), np.ones((20, 15))) * (rng.random((40, 30)) < 0.6))
    ends = [
        wmf.fit(plays_of(counts), WmfSettings(n_factors=2, n_sweeps=20, regularization=1.0, solver=solver)).history[-1]
        for solver in ("cg", "exact")
    ]
    assert ends[0]["objective"] == pytest.approx(ends[1]["objective"], rel=1e-5)


def test_planted_taste_groups_are_recovered():
    """Three groups who each play half of their own songs: every unheard song of the group beats every other."""
    rng = np.random.default_rng(6)
    group_u, group_i = np.arange(90) % 3, np.arange(60) % 3
    own = group_u[:, None] == group_i[None, :]
    counts = rng.geometric(0.3, (90, 60)) * (own & (rng.random((90, 60)) < 0.5))
    factors = wmf.fit(plays_of(counts), WmfSettings(n_factors=3, n_sweeps=30, regularization=1.0)).factors
    scores = factors.users.vectors @ factors.songs.vectors.T
    unheard = counts == 0
    assert scores[own & unheard].min() > scores[~own].max() + 0.3


def test_a_planted_low_rank_matrix_is_fitted_to_nothing():
    """Plays of rank 2 (blocks) with every pair explained: only the regularisation is left of the objective."""
    counts = np.kron(np.eye(2), np.ones((10, 7)))
    done = wmf.fit(plays_of(counts), WmfSettings(n_factors=2, n_sweeps=30))
    fitted = done.factors.users.vectors @ done.factors.songs.vectors.T
    np.testing.assert_allclose(fitted, counts, atol=1e-3)


def test_implicit_reaches_the_same_objective_from_the_same_beginning():
    """implicit reads the stored number as c: 1 + s. It takes plain CG steps, ours are preconditioned: not above it."""
    plays = random_plays(7, 200, 120, density=0.1)
    chosen = WmfSettings(n_factors=8, n_sweeps=30, regularization=1.0)
    surplus = wmf.surplus_confidence(plays.counts, chosen.alpha, chosen.epsilon)
    with threadpool_limits(1, "blas"):
        theirs = implicit.als.AlternatingLeastSquares(factors=8, regularization=1.0, iterations=30, num_threads=1)
        theirs.user_factors = np.zeros((200, 8), np.float32)
        theirs.item_factors = (0.01 * np.random.default_rng(0).standard_normal((120, 8))).astype(np.float32)
        confidence = sparse.csr_matrix(surplus)
        confidence.data = confidence.data + 1
        theirs.fit(confidence, show_progress=False)
    ours = wmf.fit(plays, chosen).history[-1]["objective"]
    assert ours == pytest.approx(wmf.objective(surplus, theirs.user_factors, theirs.item_factors, 1.0), rel=2e-3)


def test_one_half_sweep_of_implicit_is_ours_when_both_have_converged():
    plays = random_plays(8, 40, 25)
    surplus = wmf.surplus_confidence(plays.counts, 2.0, 1e-6)
    Y = np.random.default_rng(0).standard_normal((25, 6)).astype(np.float32)
    confidence = sparse.csr_matrix(surplus)
    confidence.data = confidence.data + 1
    with threadpool_limits(1, "blas"):
        theirs = implicit.als.AlternatingLeastSquares(factors=6, regularization=0.7, num_threads=1)
        theirs.item_factors = Y
        rows = theirs.recalculate_user(np.arange(40), confidence)
    ours = wmf.fold_in_users(plays.counts, Y, WmfSettings(n_factors=6, regularization=0.7))
    np.testing.assert_allclose(ours, rows, atol=2e-4)


def test_an_overflow_is_refused_with_half_sweep_and_user():
    plays = random_plays(9, 5, 4)
    with np.errstate(all="ignore"), pytest.raises(InputError, match=r"sweep 1, users: row \d \('u\d'\) is not finite"):
        wmf.fit(plays, WmfSettings(n_factors=2, alpha=1e37, init_scale=1e3, n_sweeps=2))


def test_lambda_zero_with_silent_users_and_songs_is_fine():
    counts = np.zeros((6, 5))
    counts[0, 0] = counts[1, 1] = counts[2, 0] = 3
    factors = wmf.fit(plays_of(counts), WmfSettings(n_factors=4, regularization=0.0)).factors
    assert not factors.users.vectors[3:].any()
    assert not factors.songs.vectors[2:].any()


@pytest.mark.parametrize(
    "wrong",
    [
        *({"n_factors": 0}, {"alpha": -1.0}, {"epsilon": 0.0}, {"regularization": -1e-5}, {"n_sweeps": 0}),
        *({"n_steps": 0}, {"init_scale": 0.0}, {"solver": "sgd"}, {"seed": -1}, {"alpha": float("nan")}),
        *({"device": "tpu"}, {"solver": "exact", "device": "cuda"}),
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        WmfSettings(**wrong)


def test_cuda_where_there_is_none_is_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(als_torch.torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingError, match="device = 'cuda': this machine has none"):
        wmf.fit(random_plays(0, 3, 3), WmfSettings(device="cuda"))


def test_the_other_device_ends_at_the_objective_of_this_one(monkeypatch):
    """Torch on the CPU in the place of CUDA."""
    monkeypatch.setattr(device, "pick_device", lambda _name: als_torch.torch.device("cpu"))
    plays, chosen = random_plays(13, 60, 40), WmfSettings(n_factors=5, n_sweeps=6, regularization=0.5)
    here, there = wmf.fit(plays, chosen), wmf.fit(plays, replace(chosen, device="cuda"))
    for one, other in zip(here.history, there.history, strict=True):
        assert other["objective"] == pytest.approx(one["objective"], rel=1e-4)
    assert here.factors.fingerprint != there.factors.fingerprint
    assert there.factors.settings["device"] == "cuda"


@pytest.mark.gpu
def test_cuda_ends_at_the_objective_of_the_cpu():
    plays, chosen = random_plays(14, 600, 400, 0.05), WmfSettings(n_factors=30, n_sweeps=6, regularization=0.5)
    here, there = wmf.fit(plays, chosen), wmf.fit(plays, replace(chosen, device="cuda"))
    assert there.history[-1]["objective"] == pytest.approx(here.history[-1]["objective"], rel=1e-4)


def test_a_fit_on_the_cpu_does_not_wait_for_torch():
    code = (
        "import sys, numpy as np; from scipy import sparse; from deepcuts.factors import wmf\n"
        "wmf.fold_in_users(sparse.csr_array(np.eye(2)), np.ones((2, 1), np.float32))\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_protocol_is_refused():
    with pytest.raises(SettingError, match="clean or joint"):
        wmf.fit(random_plays(0, 3, 3), protocol="leaky")


# ---- folding in ----


def test_folding_in_a_training_user_gives_its_own_row():
    """Users are solved before songs, so the fit's users belong to the songs of the sweep before: converge first."""
    chosen = WmfSettings(n_factors=2, solver="exact", n_sweeps=150, regularization=5.0)
    plays = random_plays(10, 15, 10, density=0.4)
    factors = wmf.fit(plays, chosen).factors
    again = wmf.fold_in_users(plays.counts[4:9], factors.songs.vectors, chosen)
    np.testing.assert_allclose(again, factors.users.vectors[4:9], atol=1e-4)


def test_folding_in_a_training_song_after_an_exact_sweep_gives_its_own_row():
    chosen = WmfSettings(n_factors=3, solver="exact", n_sweeps=2)
    plays = random_plays(11, 25, 15)
    factors = wmf.fit(plays, chosen).factors
    again = wmf.fold_in_songs(plays.counts[:, [3, 7]], factors.users.vectors, chosen)
    np.testing.assert_allclose(again, factors.songs.vectors[[3, 7]], atol=1e-6)


@pytest.mark.parametrize("solver", ["cg", "exact"])
def test_folding_in_is_the_dense_normal_equations_over_all_songs(solver):
    rng = np.random.default_rng(12)
    chosen = WmfSettings(n_factors=4, alpha=5.0, epsilon=0.5, regularization=0.2, solver=solver)
    counts, Y = rng.poisson(0.8, (6, 10)), rng.standard_normal((10, 4)).astype(np.float32)
    found = wmf.fold_in_users(sparse.csr_array(counts), Y, chosen)
    for x, r in zip(found, counts, strict=True):
        C = np.diag(1 + 5.0 * np.log(1 + r / 0.5))
        np.testing.assert_allclose(x, np.linalg.solve(Y.T @ C @ Y + 0.2 * np.eye(4), Y.T @ C @ (r > 0)), atol=1e-5)


def test_folding_in_stays_on_the_cpu_whatever_the_fit_ran_on():
    counts, Y = sparse.csr_array(np.eye(3)), np.ones((3, 2), np.float32)
    found = wmf.fold_in_users(counts, Y, WmfSettings(device="cuda"))
    np.testing.assert_array_equal(found, wmf.fold_in_users(counts, Y, WmfSettings()))


def test_folding_in_somebody_without_plays_gives_zero():
    Y = np.ones((4, 2), np.float32)
    assert not wmf.fold_in_users(sparse.csr_array((3, 4)), Y).any()
    assert not wmf.fold_in_songs(sparse.csr_array((4, 3)), Y).any()


def test_folding_in_transposed_plays_is_refused():
    with pytest.raises(InputError, match="plays has shape"):
        wmf.fold_in_users(sparse.csr_array(np.eye(3, 5)), np.ones((3, 2), np.float32))
    with pytest.raises(InputError, match="plays has shape"):
        wmf.fold_in_songs(sparse.csr_array(np.eye(3, 5)), np.ones((5, 2), np.float32))


def test_folding_in_with_factors_that_are_not_numbers_is_refused():
    with pytest.raises(InputError, match="factors"):
        wmf.fold_in_users(sparse.csr_array(np.eye(2)), np.array([[1], [np.nan]], np.float32))


def test_a_rising_objective_is_told_in_the_log(caplog):
    history: list = [{"sweep": 1, "half": "users", "objective": 1.0, "seconds": 0.0}]
    with caplog.at_level(logging.WARNING):
        wmf._keep(history, {"sweep": 1, "half": "songs", "objective": 1.1, "seconds": 0.0}, nothing_learned=10.0)
    assert "rose from 1 to 1.1" in caplog.text

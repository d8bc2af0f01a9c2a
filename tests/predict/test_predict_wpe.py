"""The weighted prediction error (eq. 5) against its definition, and the objectives built on it."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from deepcuts import factors as factors_stage
from deepcuts.artifacts import Factors, Features, Lineage, Plays, SongFactors, UserFactors, Vocabulary
from deepcuts.errors import InputError, SettingError
from deepcuts.factors import WmfSettings, fold_in_songs
from deepcuts.kernels.confidence import surplus_confidence
from deepcuts.predict import (
    LOSS_NAMES,
    CnnSettings,
    EncoderSettings,
    LinearSettings,
    MlpSettings,
    weighted_prediction_error,
    wpe,
    wpe_torch,
)
from deepcuts.predict.encoder import Provenance
from deepcuts.predict.losses import LOSSES, make_objective
from deepcuts.predict.training_set import Examples, TrainingSet
from deepcuts.predict.wpe import as_pairs, errors_of
from deepcuts.predict.wpe_torch import errors_and_slopes, weighted_errors


def problem(n_factors, n_users=60, n_songs=7, seed=0, kind=np.float64):
    """Songs, users and surplus [n_songs, n_users]; the last song has no plays, the first user no songs."""
    rng = np.random.default_rng(seed)
    Y, X = (rng.normal(0, n_factors**-0.25, size=(n, n_factors)).astype(kind) for n in (n_songs, n_users))
    s = np.where(rng.random((n_songs, n_users)) < 0.3, rng.uniform(0.5, 30, (n_songs, n_users)), 0).astype(np.float32)
    s[-1], s[:, 0] = 0, 0
    return Y, X, s


def over_all_users(Y, X, s):
    """Σ_u c (p - z)², every pair written out."""
    return ((1 + s.astype(np.float64)) * ((s > 0) - Y.astype(np.float64) @ X.T.astype(np.float64)) ** 2).sum(axis=1)


def tensors(Y, X, s, device="cpu"):
    arrays = (Y, X, X.T @ X, *as_pairs(sparse.csr_array(s)))
    parts = [torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in arrays]
    return [*parts[:5], parts[5].to(parts[0].dtype)]


def test_worked_by_hand():
    # y = ½; users x = 2 (played, s = 3: z = 1, no error), x = 1 (unplayed: z = ½, error ¼), x = -2 (played, s = 1:
    # z = -1, error (1 + 1)(1 + 1)² = 8)
    s = np.array([[3.0, 0.0, 1.0]], np.float32)
    errors = errors_of(np.array([[0.5]]), np.array([[2.0], [1.0], [-2.0]]), sparse.csr_array(s))
    np.testing.assert_allclose(errors, [8.25])


@pytest.mark.parametrize("n_factors", [1, 50, 400])
def test_the_gram_trick_is_the_sum_over_all_users(n_factors):
    Y, X, s = problem(n_factors)
    errors, _ = errors_and_slopes(*tensors(Y, X, s))
    np.testing.assert_allclose(errors.numpy(), over_all_users(Y, X, s), rtol=1e-11)


def test_plays_are_gathered_in_parts_without_a_trace(monkeypatch):
    problem_of = tensors(*problem(5))
    whole = errors_and_slopes(*problem_of)
    monkeypatch.setattr(wpe_torch, "FLOATS_AT_ONCE", {"cpu": 15})
    for one, other in zip(whole, errors_and_slopes(*problem_of), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_plays_are_gathered_in_parts_in_numpy_as_well(monkeypatch):
    Y, X, s = problem(5)
    monkeypatch.setattr(wpe, "FLOATS_AT_ONCE", 15)
    np.testing.assert_allclose(errors_of(Y, X, sparse.csr_array(s)), over_all_users(Y, X, s), rtol=1e-11)


@pytest.mark.parametrize("n_factors", [3, 50])
def test_the_gradient_agrees_with_finite_differences(n_factors):
    songs, *others = tensors(*problem(n_factors, n_users=30, n_songs=3))
    assert torch.autograd.gradcheck(lambda y: weighted_errors(y, *others), songs.requires_grad_(), fast_mode=False)


def test_the_gradient_agrees_with_autograd_of_the_definition():
    Y, X, s = problem(400)
    songs, users, *others = tensors(Y, X, s)
    songs.requires_grad_()
    upstream = torch.arange(1.0, 8, dtype=torch.float64)
    (ours,) = torch.autograd.grad((upstream * weighted_errors(songs, users, *others)).sum(), songs)
    dense = torch.from_numpy(s).double()
    defined = ((1 + dense) * ((dense > 0).double() - songs @ users.T) ** 2).sum(dim=1)
    (truth,) = torch.autograd.grad((upstream * defined).sum(), songs)
    torch.testing.assert_close(ours, truth, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("n_factors", [5, 50])
def test_it_is_the_quadratic_whose_lowest_point_is_the_song_step_of_the_factorisation(n_factors):
    Y, X, surplus = problem(n_factors, n_users=200)
    s = surplus.astype(np.float64)
    A = X.T @ X + np.einsum("iu,uf,ug->ifg", s, X, X)
    b = ((s > 0) * (1.0 + s)) @ X
    lowest = np.linalg.solve(A, b[:, :, None])[:, :, 0]
    away = Y - lowest
    constant = ((s > 0) * (1.0 + s)).sum(axis=1) - np.einsum("if,if->i", b, lowest)
    errors, slopes = errors_and_slopes(*tensors(Y, X, surplus))
    np.testing.assert_allclose(errors, np.einsum("if,ifg,ig->i", away, A, away) + constant, rtol=1e-9)
    np.testing.assert_allclose(slopes, 2 * np.einsum("ifg,ig->if", A, away), rtol=1e-9, atol=1e-9)
    counts = 1e-2 * np.expm1(s / 2.0).T  # so that 2 log(1 + r / .01) = s
    step = fold_in_songs(sparse.csr_array(counts), X, WmfSettings(alpha=2.0, epsilon=1e-2, regularization=0.0))
    np.testing.assert_allclose(step, lowest, rtol=2e-3, atol=2e-4)


def test_float32_is_enough():
    Y, X, s = problem(50, n_users=3000, kind=np.float32)
    errors, slopes = errors_and_slopes(*tensors(Y, X, s))
    exact, exact_slopes = errors_and_slopes(*tensors(Y.astype(np.float64), X.astype(np.float64), s))
    assert errors.dtype == torch.float32
    np.testing.assert_allclose(errors, exact, rtol=1e-5)
    np.testing.assert_allclose(slopes, exact_slopes, atol=1e-5 * float(exact_slopes.abs().max()))


@pytest.mark.gpu
@pytest.mark.parametrize("n_factors", [50, 400])
def test_cuda_agrees_with_the_definition(n_factors):
    Y, X, s = problem(n_factors)
    songs, *others = tensors(Y, X, s, "cuda")
    errors = weighted_errors(songs.requires_grad_(), *others)
    np.testing.assert_allclose(errors.detach().cpu(), over_all_users(Y, X, s), rtol=1e-10)
    errors.sum().backward()
    _, slopes = errors_and_slopes(*tensors(Y, X, s))
    np.testing.assert_allclose(songs.grad.cpu(), slopes, rtol=1e-9, atol=1e-9)


def test_the_confidence_is_that_of_the_factorisation():
    counts = sparse.csr_array(np.array([[0.0, 3.0, 0.5], [1.0, 0.0, 70.0]]))
    np.testing.assert_allclose(surplus_confidence(counts, 2.0, 1.0).toarray()[0], [0, 2 * np.log(4), 2 * np.log(1.5)])
    with pytest.raises(InputError, match=r"plays\[0, 1\] = -3.0"):
        surplus_confidence(sparse.csr_array(np.array([[0.0, -3.0]])), 2.0, 1.0)


@pytest.fixture(scope="module")
def listened() -> tuple[Plays, Factors]:
    rng = np.random.default_rng(3)
    user, song = np.nonzero(rng.random((30, 12)) < 0.4)
    plays = Plays.from_pairs(
        [f"user{u:02d}" for u in user], [f"song{i:02d}" for i in song], rng.integers(1, 9, len(user))
    )
    return plays, factors_stage.fit(plays, WmfSettings(n_factors=4, alpha=3.0, epsilon=0.5, n_sweeps=3)).factors


def test_the_public_measure_is_eq_5_song_by_song_whatever_the_order(listened):
    plays, observed = listened
    rng = np.random.default_rng(0)
    asked = rng.permutation(12)[:9]
    predicted = SongFactors(plays.songs.take(asked), rng.normal(size=(9, 4)).astype(np.float32))
    r = plays.counts.toarray()[:, asked].T
    s = np.where(r > 0, 3.0 * np.log1p(r / 0.5), 0)
    truth = over_all_users(predicted.vectors, observed.users.vectors, s)
    np.testing.assert_allclose(weighted_prediction_error(predicted, observed, plays), truth, rtol=1e-6)
    turned = rng.permutation(len(observed.users))
    mixed = dataclasses.replace(
        observed, users=UserFactors(observed.users.users.take(turned), observed.users.vectors[turned], observed.lineage)
    )
    mixed = dataclasses.replace(mixed, users=dataclasses.replace(mixed.users, settings=observed.settings))
    np.testing.assert_allclose(weighted_prediction_error(predicted, mixed, plays), truth, rtol=1e-6)


def test_observed_factors_have_a_smaller_error_than_any_others(listened):
    plays, observed = listened
    rng = np.random.default_rng(0)
    moved = observed.songs.vectors + rng.normal(0, 0.1, observed.songs.vectors.shape).astype(np.float32)
    best, worse = (
        weighted_prediction_error(SongFactors(plays.songs, Y), observed, plays) for Y in (observed.songs.vectors, moved)
    )
    assert (best < worse).all()


def relabelled(observed, **what):
    return Factors(dataclasses.replace(observed.users, **what), dataclasses.replace(observed.songs, **what))


def test_other_plays_and_factors_that_do_not_know_theirs_are_refused(listened):
    plays, observed = listened
    predicted = SongFactors(plays.songs, observed.songs.vectors)
    other = plays.take_songs(np.arange(11))
    with pytest.raises(InputError, match="the factors were learned from " + plays.fingerprint):
        weighted_prediction_error(dataclasses.replace(predicted), observed, other)
    with pytest.raises(InputError, match="plays unknown"):
        weighted_prediction_error(predicted, relabelled(observed, lineage=observed.lineage.with_parents()), plays)
    with pytest.raises(InputError, match="lack alpha and epsilon"):
        weighted_prediction_error(predicted, relabelled(observed, settings={}), plays)
    with pytest.raises(InputError, match="length 0"):
        users = dataclasses.replace(observed.users, vectors=0 * observed.users.vectors)
        silent = dataclasses.replace(observed, users=users)
        weighted_prediction_error(predicted, silent, plays)
    with pytest.raises(InputError, match="'nosong'"):
        weighted_prediction_error(SongFactors(Vocabulary(["nosong"]), np.ones((1, 4), np.float32)), observed, plays)


def lessons_of(loss, gamma=0.0, weights=None):
    """TrainingSet on the problem of 5 factors: what the objective needs, and nothing to hear."""
    Y, X, s = problem(5, n_users=80, n_songs=9, kind=np.float32)
    mean, scale = Y.mean(axis=0).astype(np.float64), 0.7
    surplus = sparse.csr_array(s)
    weights = np.ones(9, np.float32) if weights is None else weights
    examples = Examples(np.arange(9), (Y - mean).astype(np.float32) / np.float32(scale), weights, surplus,
                        over_all_users(Y, X, s))  # fmt: skip
    songs = Vocabulary([f"song{i}" for i in range(9)])
    settings = {"loss": loss, "wpe_gamma": gamma}
    provenance = Provenance("mlp", settings, "logmel", {}, 1, mean, scale, Lineage("a fit", songs, "clean"))
    features = Features(songs, np.zeros((9, 1), np.float32), np.arange(10), "logmel")
    return TrainingSet(features, examples, examples, provenance, X), Y, X, s


def value(objective, training_set, outputs, places):
    about = [torch.from_numpy(part) for part in objective.about(training_set.train, places)]
    return float(objective(torch.from_numpy(outputs), *about))


@pytest.mark.parametrize("precondition", [False, True])
@pytest.mark.parametrize(("loss", "gamma"), [("wpe", 0.0), ("wpe", 0.5), ("wpe", 1.0), ("usage", 0.0)])
def test_objectives_are_their_definitions_up_to_one_scale_and_0_at_the_observed_factors(loss, gamma, precondition):
    rng = np.random.default_rng(1)
    training_set, Y, X, s = lessons_of(loss, gamma, rng.uniform(0.2, 1, 9).astype(np.float32))
    objective = make_objective(training_set, precondition=precondition, dtype=torch.float64)

    def defined(outputs, places):
        raw = training_set.provenance.target_mean + outputs @ objective.basis.numpy().T
        if loss == "wpe":
            errors = over_all_users(raw, X, s[places]) - over_all_users(Y[places], X, s[places])
            errors = errors / (1 + s[places].sum(axis=1)) ** gamma
        else:
            errors = (((raw - Y[places]) @ X.T) ** 2).sum(axis=1)
        return np.average(errors, weights=training_set.train.weights[places])

    found = []
    for places in (np.arange(9), np.array([4, 1, 8])):
        outputs = rng.normal(size=(len(places), 5))
        found.append(value(objective, training_set, outputs, places) / defined(outputs, places))
    np.testing.assert_allclose(found, 1 / objective.unit, rtol=1e-4)
    at_observed = np.linalg.solve(objective.basis.numpy(), (Y - training_set.provenance.target_mean).T).T
    assert abs(value(objective, training_set, at_observed, np.arange(9))) < 1e-5


def test_the_names_of_losses_are_their_keys():
    assert tuple(LOSSES) == LOSS_NAMES


@pytest.mark.parametrize("precondition", [False, True])
@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_all_losses_curve_alike_in_the_mean(loss, precondition):
    """So a learning rate that suits one suits all: the second difference along each output, summed, is 2."""
    training_set, *_ = lessons_of(loss)
    objective = make_objective(training_set, precondition=precondition, dtype=torch.float64)
    all_songs = np.arange(9)

    def at(outputs):
        return value(objective, training_set, np.tile(outputs, (9, 1)), all_songs)

    bends = [at(e) + at(-e) - 2 * at(0 * e) for e in np.eye(5)]
    assert sum(bends) == pytest.approx(2, rel=1e-5)
    if precondition or loss == "mse":
        np.testing.assert_allclose(bends, 2 / 5, rtol=1e-3)
    np.testing.assert_allclose(2 * np.diag(objective.curvature), bends, rtol=1e-3)


@pytest.mark.parametrize("loss", ["wpe", "usage"])
def test_a_settled_network_answers_the_same_factors_standardised(loss):
    training_set, *_ = lessons_of(loss)
    objective = make_objective(training_set, precondition=True, dtype=torch.float32)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5))
    heard = torch.randn(6, 3)
    with torch.no_grad():
        before = objective.raw(network(heard)).numpy()
        objective.fold_in_basis(network)
        after = training_set.provenance.target_mean + training_set.provenance.target_scale * network(heard).numpy()
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


def test_directions_no_user_has_do_not_blow_up_the_basis():
    training_set, _, X, _ = lessons_of("wpe")
    X[:, 2] = 0
    objective = make_objective(training_set, precondition=True, dtype=torch.float64)
    assert np.isfinite(objective.basis.numpy()).all()
    assert np.isfinite(value(objective, training_set, np.ones((9, 5)), np.arange(9)))


@pytest.mark.parametrize(
    ("kind", "wrong", "words"),
    [
        (EncoderSettings, {"loss": "mae"}, "loss = 'mae': expected 'mse' or 'wpe' or 'usage'"),
        (CnnSettings, {"loss": "wpe", "target": "unit"}, "target = 'unit': expected 'raw' with loss = 'wpe'"),
        (LinearSettings, {"wpe_gamma": 1.0}, "wpe_gamma = 1.0: expected 0 with loss = 'mse'"),
        (MlpSettings, {"loss": "wpe", "wpe_gamma": -1.0}, "wpe_gamma"),
        (MlpSettings, {"clip": -1.0}, "clip"),
    ],
)
def test_settings_that_make_no_sense_are_refused(kind, wrong, words):
    with pytest.raises(SettingError, match=words):
        kind(**wrong)

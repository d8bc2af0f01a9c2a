"""The worst ranking against a search through every interleaving, written from the definitions."""

import itertools
import math

import numpy as np
import pytest
from scipy import sparse

from deepcuts.lab.mlr.oracle import MEASURES, Judgements, worst_batch, worst_by_table, worst_ranking


def measure_of(labels, loss, k):
    """The measure of a ranking told by its labels (1 relevant, 0 irrelevant), straight from the textbook."""
    ranks = [rank for rank, label in enumerate(labels, 1) if label]
    n_relevant, n_irrelevant = len(ranks), len(labels) - len(ranks)
    if loss == "auc":
        right = sum(1 for i, a in enumerate(labels) if a for b in labels[i + 1 :] if not b)
        return right / (n_relevant * n_irrelevant)
    if loss == "map":
        return sum(hits / rank for hits, rank in enumerate(ranks, 1)) / n_relevant
    if loss == "mrr":
        return 1 / ranks[0]
    if loss == "precision":
        depth = min(k, n_relevant, n_irrelevant)
        return sum(labels[:depth]) / depth
    depth = min(k, n_relevant)
    discounts = [1.0 if rank <= 2 else 1 / math.log2(rank) for rank in range(1, depth + 1)]
    return sum(d for d, label in zip(discounts, labels, strict=False) if label) / sum(discounts)


def correlation(order, scores, n_relevant):
    """<W, psi> from its definition: every pair, + when the relevant song comes first."""
    place = {song: rank for rank, song in enumerate(order)}
    n_irrelevant = len(scores) - n_relevant
    pairs = itertools.product(range(n_relevant), range(n_relevant, len(scores)))
    total = sum((1 if place[i] < place[j] else -1) * (scores[i] - scores[j]) for i, j in pairs)
    return total / (n_relevant * n_irrelevant)


def interleavings(relevant, irrelevant):
    """All orders that keep each side in descending score; songs 0 .. P-1 are relevant."""
    s = sorted(range(len(relevant)), key=lambda i: -relevant[i])
    t = sorted(range(len(irrelevant)), key=lambda j: -irrelevant[j])
    size = len(s) + len(t)
    for places in itertools.combinations(range(size), len(s)):
        ups, downs = iter(s), iter(t)
        yield [next(ups) if rank in places else len(s) + next(downs) for rank in range(size)]


def order_of(worst, relevant, irrelevant):
    """The ranking that b tells, as an order of songs."""
    n_relevant = len(relevant)
    keys = [(worst.before[i], 1, -relevant[i], i) for i in range(n_relevant)]
    t = sorted(range(len(irrelevant)), key=lambda j: -irrelevant[j])
    keys += [(place, 2, 0.0, n_relevant + j) for place, j in enumerate(t)]
    return [key[-1] for key in sorted(keys)]


@pytest.mark.parametrize("loss", sorted(MEASURES))
def test_no_interleaving_is_more_violated_than_the_worst_ranking(loss):
    rng = np.random.default_rng(7)
    for case in range(120):
        n_relevant, n_irrelevant = int(rng.integers(1, 5)), int(rng.integers(1, 7))
        width = (0.1, 0.5, 2.0)[case % 3]
        scores = rng.normal(0, width, n_relevant + n_irrelevant)
        if case % 10 == 0:
            scores = np.round(scores, 1)  # ties
        k = int(rng.integers(1, 8))
        relevant, irrelevant = scores[:n_relevant], scores[n_relevant:]
        worst = worst_ranking(relevant, irrelevant, loss, k)
        perfect = correlation(range(len(scores)), scores, n_relevant)
        best_value = -np.inf
        for order in interleavings(relevant, irrelevant):
            labels = [int(song < n_relevant) for song in order]
            value = 1 - measure_of(labels, loss, k) + correlation(order, scores, n_relevant)
            best_value = max(best_value, value)
        order = order_of(worst, relevant, irrelevant)
        labels = [int(song < n_relevant) for song in order]
        assert worst.loss == pytest.approx(1 - measure_of(labels, loss, k), abs=1e-12)
        assert worst.margin == pytest.approx(perfect - correlation(order, scores, n_relevant), abs=1e-12)
        assert worst.loss - worst.margin + perfect == pytest.approx(best_value, abs=1e-12)


@pytest.mark.parametrize("loss", sorted(MEASURES))
def test_keeping_each_side_sorted_loses_nothing_against_all_permutations(loss):
    rng = np.random.default_rng(3)
    for _ in range(10):
        scores = rng.normal(0, 0.5, 5)
        worst = worst_ranking(scores[:2], scores[2:], loss, 2)
        perfect = correlation(range(5), scores, 2)
        values = [
            1 - measure_of([int(song < 2) for song in order], loss, 2) + correlation(order, scores, 2)
            for order in itertools.permutations(range(5))
        ]
        assert worst.loss - worst.margin + perfect == pytest.approx(max(values), abs=1e-12)


def test_the_closed_form_of_auc_is_the_dynamic_programme():
    rng = np.random.default_rng(11)
    for _ in range(30):
        relevant, irrelevant = rng.normal(0, 1, 10), rng.normal(0, 1, 300)
        worst = worst_ranking(relevant, irrelevant, "auc")
        before, after, loss = worst_by_table(relevant, irrelevant, "auc", 10)
        np.testing.assert_array_equal(worst.before, before)
        np.testing.assert_array_equal(worst.after, after)
        assert worst.loss == pytest.approx(loss, abs=1e-12)


def test_auc_worked_by_hand():
    # s = 0, t = -0.2 and -1: the first is nearer than the margin 1/2 to s, the second is not.
    worst = worst_ranking(np.array([0.0]), np.array([-1.0, -0.2]), "auc")
    assert worst.before.tolist() == [1]
    assert worst.after.tolist() == [0, 1]
    assert worst.loss == pytest.approx(0.5)  # not 1 - 1/4, the published code's slip
    assert worst.margin == pytest.approx(2 * (1 * 0.0 - 1 * -0.2) / 2)


@pytest.mark.parametrize("loss", sorted(MEASURES))
def test_scores_far_enough_apart_break_nothing(loss):
    worst = worst_ranking(np.array([30.0, 40.0]), np.array([-30.0, -50.0, -40.0]), loss, 2)
    assert worst.before.tolist() == [0, 0]
    assert worst.loss == worst.margin == 0.0


@pytest.mark.parametrize("loss", sorted(MEASURES))
def test_the_batch_by_matrices_is_the_mean_over_queries_of_explicit_pairs(loss):
    rng = np.random.default_rng(5)
    n_songs, n_features = 12, 3
    points = rng.normal(size=(n_songs, n_features))
    L = rng.normal(size=(2, n_features)) * 0.3
    W = L.T @ L
    relevant = sparse.csr_array((rng.random((n_songs, n_songs)) < 0.25).astype(float))
    ignored = sparse.csr_array((rng.random((n_songs, n_songs)) < 0.1).astype(float))
    judgements = Judgements(relevant, ignored)
    queries = judgements.usable()
    psi, lost = worst_batch(points, points @ L.T, queries, judgements, loss, 3)
    expected, expected_loss = np.zeros_like(psi), 0.0
    for q in queries:
        good, bad = judgements.of(q)
        assert q not in good
        assert q not in bad
        phi = [-np.outer(points[q] - x, points[q] - x) for x in points]
        scores = np.array([np.sum(W * p) for p in phi])
        worst = worst_ranking(scores[good], scores[bad], loss, 3)
        order = order_of(worst, scores[good], scores[bad])
        place = {song: rank for rank, song in enumerate(order)}
        for (a, i), (b, j) in itertools.product(enumerate(good), enumerate(bad)):
            if place[a] > place[len(good) + b]:  # this pair is turned round: y goes from +1 to -1
                expected += 2 * (phi[i] - phi[j]) / (len(good) * len(bad) * len(queries))
        expected_loss += worst.loss / len(queries)
    np.testing.assert_allclose(psi, expected, atol=1e-12)
    assert lost == pytest.approx(expected_loss)


def test_chunks_of_queries_change_nothing(monkeypatch):
    rng = np.random.default_rng(5)
    points = rng.normal(size=(20, 3))
    judgements = Judgements(sparse.csr_array((rng.random((20, 20)) < 0.2).astype(float)))
    queries = judgements.usable()
    whole = worst_batch(points, points, queries, judgements, "map", 3)
    monkeypatch.setattr("deepcuts.lab.mlr.oracle.CHUNK_NUMBERS", 60)
    pieces = worst_batch(points, points, queries, judgements, "map", 3)
    np.testing.assert_allclose(pieces[0], whole[0], atol=1e-13)
    assert pieces[1] == pytest.approx(whole[1])

"""Tastes of few listeners: the closed form, and what it is worth beside chance and neighbours."""

import numpy as np
import pytest
from scipy import optimize, sparse

from deepcuts.errors import InputError
from deepcuts.recommend.taste import PosteriorSettings, content_neighbours, content_space, posterior_tastes


def test_the_posterior_is_the_optimum_of_the_quadratic_log_posterior() -> None:
    rng = np.random.default_rng(0)
    h, popularity = rng.normal(size=(30, 3)), rng.uniform(1, 5, 30)
    played = sparse.csr_array((np.ones(6), np.array([1, 4, 7, 9, 20, 22]), np.array([0, 4, 6])), shape=(2, 30))
    found = posterior_tastes(played, h, popularity, PosteriorSettings(prior_variance=0.7))
    share = popularity / popularity.sum()
    centre = share @ h
    spread = (h - centre).T @ ((h - centre) * share[:, None])
    for user, songs in enumerate(([1, 4, 7, 9], [20, 22])):
        s, n = (h[songs] - centre).sum(axis=0), len(songs)

        def cost(w, s=s, n=n):
            return -(w @ s - n / 2 * w @ spread @ w - w @ w / 2 / 0.7)

        np.testing.assert_allclose(found.vectors[user], optimize.minimize(cost, np.zeros(3)).x, atol=1e-4)
    np.testing.assert_allclose(found.scores(h[:2]), found.vectors @ (h[:2] - centre).T)
    assert not found.learned_prior


def auc(scores: np.ndarray, liked: np.ndarray) -> float:
    better = (scores[liked][:, None] > scores[~liked][None]) + 0.5 * (scores[liked][:, None] == scores[~liked][None])
    return float(better.mean())


@pytest.mark.parametrize("n_users", [1, 5, 20])
def test_few_listeners_get_rankings_above_chance_and_not_below_neighbours(n_users: int) -> None:
    """Songs of 40 statistics that show 5 latents with noise; plays follow tastes in the latents, and popularity."""
    rng = np.random.default_rng(1)
    results = []
    for _ in range(60 // n_users):
        latents = rng.normal(size=(600, 5))
        sound = latents @ rng.normal(size=(5, 40)) + rng.normal(scale=1.5, size=(600, 40))
        tastes = rng.normal(size=(n_users, 5)) * 0.8
        rate = np.exp(tastes @ latents.T + rng.normal(scale=0.5, size=600))
        plays = rng.random((n_users, 600)) < np.minimum(rate / rate.sum(axis=1, keepdims=True) * 40, 1)
        learn, new = np.arange(400), np.arange(400, 600)
        space = content_space(sound, learn)
        played = sparse.csr_array(plays[:, learn].astype(float))
        ours = posterior_tastes(played, space[learn]).scores(space[new])
        theirs = content_neighbours(played, space[learn], space[new])
        for user in range(n_users):
            liked = plays[user, new]
            if liked.any() and plays[user, learn].any():
                results.append((auc(ours[user], liked), auc(theirs[user], liked)))
    mean = np.mean(results, axis=0)
    assert mean[0] > 0.62
    assert mean[0] >= mean[1] - 0.005


def test_many_listeners_teach_the_prior() -> None:
    rng = np.random.default_rng(2)
    h = rng.normal(size=(200, 3))
    tastes = rng.normal(size=(300, 3)) * np.array([1.2, 0.1, 0.1])
    chance = np.exp(tastes @ h.T)
    played = sparse.csr_array((rng.random((300, 200)) < 20 * chance / chance.sum(axis=1, keepdims=True)).astype(float))
    found = posterior_tastes(played, h)
    assert found.learned_prior
    spread = found.vectors.std(axis=0)
    assert spread[0] > 3 * spread[1]
    assert np.corrcoef(found.vectors[:, 0], tastes[:, 0])[0, 1] > 0.8


def test_songs_for_testing_do_not_shape_the_space() -> None:
    rng = np.random.default_rng(3)
    sound = rng.normal(size=(50, 8))
    other = sound.copy()
    other[40:] += 100
    one, two = (content_space(x, np.arange(40), 4)[:40] for x in (sound, other))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(one.std(axis=0), 1)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="at least 2"):
        content_space(np.ones((3, 2)), np.arange(1))
    with pytest.raises(InputError, match="space has shape"):
        posterior_tastes(sparse.csr_array(np.ones((1, 4))), np.ones((3, 2)))

"""A song's vector between prediction and plays."""

import dataclasses

import numpy as np
import pytest
from scipy import sparse

from deepcuts.artifacts import Lineage, SongFactors, UserFactors, Vocabulary
from deepcuts.errors import InputError
from deepcuts.recommend.blend import HALF_WAY, blend, prior_precision

SETTINGS = {"alpha": 2.0, "epsilon": 1e-6, "regularization": 20.0}
LINEAGE = Lineage("a fit", Vocabulary(["s"]), "clean")


def users_of(vectors: np.ndarray) -> UserFactors:
    return UserFactors(Vocabulary([f"u{i}" for i in range(len(vectors))], "user"), vectors, LINEAGE, SETTINGS)


def songs_of(vectors: np.ndarray, **more: np.ndarray) -> SongFactors:
    return SongFactors(Vocabulary([f"s{i}" for i in range(len(vectors))]), vectors.astype(np.float32), LINEAGE, **more)


def test_a_song_is_the_minimum_of_the_blended_objective() -> None:
    rng = np.random.default_rng(0)
    x, guess = rng.normal(size=(9, 3)).astype(np.float32), rng.normal(size=3)
    plays = np.zeros((9, 1))
    plays[[2, 5], 0] = 3.0
    prior = np.diag([1.0, 2.0, 5.0])
    y = blend(sparse.csr_array(plays), users_of(x), songs_of(guess[None]), prior).vectors[0].astype(float)
    g, s = 2 / (2 + HALF_WAY), 2.0 * np.log1p(3.0 / 1e-6)

    def cost(y: np.ndarray) -> float:
        z = x.astype(float) @ y
        played = sum((s * z[u] ** 2 - 2 * (1 + s) * z[u]) for u in (2, 5))
        return float(g * (z**2).sum() + played + (y - guess) @ prior @ (y - guess))

    best = cost(y)
    for step in np.vstack([np.eye(3), -np.eye(3)]) * 1e-2:
        assert cost(y + step) > best


def test_without_plays_it_is_the_prediction_and_it_moves_smoothly_as_plays_arrive() -> None:
    rng = np.random.default_rng(1)
    x, guess = rng.normal(size=(200, 4)).astype(np.float32), np.ones((1, 4))
    towards = []
    for k in (0, 1, 5, 50):
        plays = np.zeros((200, 1))
        plays[:k] = 1
        towards.append(np.linalg.norm(blend(sparse.csr_array(plays), users_of(x), songs_of(guess), 100.0).vectors - 1))
    assert towards[0] == 0
    assert towards == sorted(towards)


def test_a_surer_prediction_moves_less() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(50, 4)).astype(np.float32)
    plays = np.zeros((50, 2))
    plays[:3] = 1
    guess = songs_of(np.ones((2, 4)), precision=np.array([0.5, 1.5], np.float32))
    moved = np.linalg.norm(blend(sparse.csr_array(plays), users_of(x), guess, 100.0).vectors - 1, axis=1)
    assert moved[1] < moved[0]


def ranking_auc(scores: np.ndarray, liked: np.ndarray) -> float:
    values = []
    for row, mine in zip(scores, liked, strict=True):
        if mine.any() and not mine.all():
            values.append((row[mine][:, None] > row[~mine][None]).mean())
    return float(np.mean(values))


def planted(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users x, who likes which song, and what an encoder hears of each song: half of its latents, with noise."""
    n_users, n_songs, f = 1500, 400, 8
    x = rng.normal(size=(n_users, f)) * 0.5
    truth = rng.normal(size=(n_songs, f))
    likes = rng.random((n_users, n_songs)) < 1 / (1 + np.exp(-(x @ truth.T - 2.5)))
    return x, likes, truth[:, :4] + rng.normal(scale=0.4, size=(n_songs, 4))


def test_the_blend_is_at_or_above_both_parents_at_any_number_of_plays() -> None:
    x, likes, sound = planted(np.random.default_rng(3))
    half, learn = len(x) // 2, np.arange(250)
    users = users_of(x.astype(np.float32))
    users = dataclasses.replace(users, settings={**SETTINGS, "alpha": 1.0, "epsilon": 1.0})
    nothing = songs_of(np.zeros((likes.shape[1], x.shape[1])))
    observed = blend(sparse.csr_array(likes.astype(float)), users, nothing, 40.0).vectors.astype(float)
    design = np.column_stack([sound, np.ones(len(sound))])
    guess = design @ np.linalg.lstsq(design[learn], observed[learn], rcond=None)[0]
    prior, new = prior_precision((guess - observed)[learn], 40.0), np.arange(250, 400)
    for k in (0, 1, 2, 3, 5, 10, 20, 50):
        known = np.zeros(likes.shape)
        for song in new:
            known[np.flatnonzero(likes[:half, song])[:k], song] = 1
        seen = sparse.csr_array(known)
        both, played = blend(seen, users, songs_of(guess), prior).vectors, blend(seen, users, nothing, 40.0).vectors
        scores = [ranking_auc(x[half:] @ y[new].T, likes[half:][:, new]) for y in (both, guess, played)]
        assert scores[0] >= max(scores[1:]) - 0.003, (k, scores)
    assert scores[0] > scores[1] + 0.05


def test_factorisations_side_by_side_are_blended_each_by_itself() -> None:
    rng = np.random.default_rng(4)
    x, guess = rng.normal(size=(40, 5)).astype(np.float32), rng.normal(size=(3, 5))
    errors, plays = rng.normal(size=(30, 5)), sparse.csr_array((rng.random((40, 3)) < 0.3) * 2.0)
    users = users_of(x)
    joined = dataclasses.replace(users, settings={**SETTINGS, "sizes": [2, 3]})
    both = blend(plays, joined, songs_of(guess), prior_precision(errors, 9.0, [2, 3])).vectors
    for part in (slice(0, 2), slice(2, 5)):
        alone = dataclasses.replace(users, vectors=x[:, part])
        own = blend(plays, alone, songs_of(guess[:, part]), prior_precision(errors[:, part], 9.0)).vectors
        np.testing.assert_allclose(both[:, part], own, atol=1e-6)


def test_two_factor_spaces_are_never_blended() -> None:
    other = dataclasses.replace(songs_of(np.ones((1, 3))), lineage=dataclasses.replace(LINEAGE, space="another"))
    with pytest.raises(InputError, match="different factorisations"):
        blend(sparse.csr_array((4, 1)), users_of(np.ones((4, 3), np.float32)), other)

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from deepcuts.artifacts import Plays
from deepcuts.errors import ArtifactError, InputError, SettingError
from deepcuts.worlds.truth import Truth, audio_ceiling, load_truth, oracle, play_rates
from deepcuts.worlds.world import WorldSettings, assign_artists, draw_plays, draw_truth, taste_features

SMALL = WorldSettings(n_songs=300, n_users=400, mean_listeners=25)


@pytest.fixture(scope="module")
def full() -> tuple[Truth, Plays]:
    """The world of the default settings, without its sounds."""
    settings = WorldSettings()
    truth = draw_truth(settings)
    return truth, draw_plays(truth, settings)


def mean_auc(plays: Plays, users: np.ndarray, songs: np.ndarray) -> float:
    """Mean over a hundred users of the chance that a played song stands above one that was not (scikit-learn's AUC)."""
    aucs = []
    for user in range(0, len(plays.users), max(1, len(plays.users) // 100)):
        played = plays.counts[[user], :].toarray().ravel() > 0
        if played.any():
            aucs.append(roc_auc_score(played, songs @ users[user]))
    return float(np.mean(aucs))


def test_tastes_are_worked_by_hand() -> None:
    a = np.array([[2.0, 3.0]])  # q_1 = ((4-1)/√2 + 6)/√2 = 1.5 + 6/√2,  q_2 = ((9-1)/√2 + 6)/√2 = 4 + 6/√2
    wanted = (a + 0.5 * (np.array([1.5, 4.0]) + 6 / np.sqrt(2))) / np.sqrt(1.25)
    np.testing.assert_allclose(taste_features(a, 0.5), wanted)


def test_without_nonlinearity_tastes_respond_to_the_latents_themselves() -> None:
    a = np.random.default_rng(0).standard_normal((5, 4))
    np.testing.assert_array_equal(taste_features(a, 0.0), a)


def test_no_straight_line_finds_the_quadratic_part_of_taste() -> None:
    a = np.random.default_rng(0).standard_normal((20_000, 6))
    h = taste_features(a, 0.35)
    design = np.column_stack([a, np.ones(len(a))])
    left = h - design @ np.linalg.lstsq(design, h, rcond=None)[0]
    share = left.var(axis=0) / h.var(axis=0)
    np.testing.assert_allclose(share, 0.35**2 / (1 + 0.35**2), atol=0.02)
    np.testing.assert_allclose(h.var(axis=0), 1, atol=0.06)


def test_rates_are_worked_by_hand_for_two_songs() -> None:
    one = np.ones((1, 1), dtype=np.float32)
    truth = Truth(
        audible=np.array([[0.0], [9.0]], np.float32),
        heard=np.array([[1.0], [0.0]], np.float32),
        inaudible=np.array([[0.0], [2.0]], np.float32),
        popularity=np.array([0.5, 0.0], np.float32),
        style=np.zeros(2, np.int64),
        artist=np.zeros(2, np.int64),
        user_audible=3 * one,
        user_inaudible=one,
        activity=np.array([7.0], np.float32),
        temporal=np.array([True]),
        beta_audible=0.5,
        beta_inaudible=0.25,
    )
    first, second = np.exp(0.5 * 3 * 1 + 0.5), np.exp(0.25 * 1 * 2)  # the popular song; the other one
    np.testing.assert_allclose(
        play_rates(truth, slice(None)), [[7 * first / (first + second), 7 * second / (first + second)]]
    )


def test_each_user_plays_as_much_as_the_activity_says_and_the_oracle_gives_the_order() -> None:
    truth = draw_truth(SMALL)
    rates = play_rates(truth, slice(0, 50))
    np.testing.assert_allclose(rates.sum(axis=1), truth.activity[:50], rtol=1e-6)
    users, songs = oracle(truth)
    np.testing.assert_array_equal(np.argmax(rates, axis=1), np.argmax(users[:50] @ songs.T, axis=1))


def test_the_default_world_is_as_dense_as_the_trial(full: tuple[Truth, Plays]) -> None:
    _, plays = full
    listeners = np.bincount(plays.counts.indices, minlength=1_500)
    assert 80_000 <= plays.n_plays <= 95_000
    assert 32 <= np.median(listeners) <= 40


def test_listeners_are_heavy_tailed(full: tuple[Truth, Plays]) -> None:
    _, plays = full
    listeners = np.sort(np.bincount(plays.counts.indices, minlength=1_500))[::-1]
    assert listeners[:150].sum() > 0.3 * listeners.sum()  # a tenth of the songs holds a third of the listening
    assert listeners.mean() > 1.3 * np.median(listeners)


def test_counts_spread_more_than_poisson_counts_would(full: tuple[Truth, Plays]) -> None:
    _, plays = full
    counts = plays.counts.data
    assert counts.min() == 1
    assert (counts == np.rint(counts)).all()
    assert counts.var() > 2 * counts.mean()


def test_the_oracle_ranks_above_the_audio_ceiling_and_that_above_chance(full: tuple[Truth, Plays]) -> None:
    truth, plays = full
    ceiling = mean_auc(plays, *audio_ceiling(truth))
    best = mean_auc(plays, *oracle(truth))
    assert 0.73 < ceiling < 0.83
    assert 0.86 < best < 0.94


def test_when_taste_is_deaf_the_audio_ceiling_is_chance() -> None:
    settings = replace(SMALL, beta_audible=0.0, n_songs=1_500)
    truth = draw_truth(settings)
    plays = draw_plays(truth, settings)
    assert mean_auc(plays, *audio_ceiling(truth)) == pytest.approx(0.5, abs=0.02)


def test_popularity_says_nothing_of_the_sound() -> None:
    truth = draw_truth(replace(SMALL, n_songs=5_000, n_users=60))
    for latents in (truth.audible, truth.heard, truth.inaudible):
        seen = np.corrcoef(np.column_stack([truth.popularity, latents]), rowvar=False)[0, 1:]
        assert np.abs(seen).max() < 4 / np.sqrt(5_000)


def test_variance_is_shared_as_the_dials_say() -> None:
    settings = WorldSettings(n_songs=20_000, n_users=60, mean_listeners=5, songs_per_artist=10)
    truth = draw_truth(settings)

    def between(groups: np.ndarray, values: np.ndarray) -> float:
        """Unbiased share of the variance that lies between groups (one-way random effects)."""
        sizes = np.bincount(groups)
        means = np.stack([np.bincount(groups, column) / sizes for column in values.T], axis=1)
        within = ((values - means[groups]) ** 2).sum(axis=0) / (len(values) - len(sizes))
        return float(1 - (within / values.var(axis=0)).mean())

    assert between(truth.style, truth.audible) == pytest.approx(0.45, abs=0.03)
    assert between(truth.artist, truth.audible) == pytest.approx(0.65, abs=0.03)
    assert between(truth.artist, truth.inaudible) == pytest.approx(0.8, abs=0.02)


def test_every_artist_has_a_song_and_one_style() -> None:
    artist = assign_artists(SMALL, np.random.default_rng(0))
    assert set(artist) == set(range(60))
    truth = draw_truth(SMALL)
    assert all(len(set(truth.style[truth.artist == one])) == 1 for one in range(60))


def test_the_same_seed_draws_the_same_world_and_another_seed_another() -> None:
    first, again, other = (draw_truth(replace(SMALL, seed=seed)) for seed in (3, 3, 4))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    plays = [draw_plays(truth, replace(SMALL, seed=3)).fingerprint for truth in (first, again)]
    assert plays[0] == plays[1]


def test_a_dial_of_the_plays_leaves_the_latents_alone() -> None:
    first, denser = draw_truth(SMALL), draw_truth(replace(SMALL, mean_listeners=50, beta_audible=2.0))
    np.testing.assert_array_equal(first.audible, denser.audible)
    np.testing.assert_array_equal(first.user_audible, denser.user_audible)


def test_the_truth_survives_the_disk(tmp_path) -> None:
    truth = draw_truth(SMALL)
    truth.save(tmp_path / "truth")
    assert load_truth(tmp_path).fingerprint == load_truth(tmp_path / "truth").fingerprint == truth.fingerprint
    (tmp_path / "truth" / "heard.npy").write_bytes(b"half")
    with pytest.raises(ArtifactError, match="Half-written"):
        load_truth(tmp_path)


def test_a_truth_that_is_not_a_number_is_refused() -> None:
    truth = draw_truth(SMALL)
    heard = truth.heard.copy()
    heard[3, 1] = np.nan
    with pytest.raises(InputError, match=r"heard\[3, 1\] = nan"):
        replace(truth, heard=heard)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_songs", 1),
        ("n_timbres", 13),
        ("n_audible", 13),
        ("style_share", 0.9),
        ("mean_listeners", 201.0),
        ("replay_shape", 0.0),
        ("snr_high_db", 5.0),
        ("seed", -1),
        ("seconds", 0.1),
    ],
)
def test_dials_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(SettingError, match=name):
        replace(SMALL, **{name: value})

from dataclasses import replace

import numpy as np
import pytest

from deepcuts.artifacts import TEST, TRAIN, VALIDATION, Factors, Plays, Split, Vocabulary
from deepcuts.errors import InputError, LeakageError
from deepcuts.evaluate import System, audit

N_SONGS = 12
SONG_IDS = [f"song{i:02d}" for i in range(N_SONGS)]
ROLES = np.array([TRAIN] * 6 + [VALIDATION] * 2 + [TEST] * 4, dtype=np.int8)


@pytest.fixture
def plays():
    rng = np.random.default_rng(0)
    users, songs = np.nonzero(rng.random((9, N_SONGS)) < 0.6)
    return Plays.from_pairs(
        [f"u{u}" for u in [*users, *([0] * N_SONGS)]], [SONG_IDS[i] for i in [*songs, *range(N_SONGS)]],
        np.ones(len(users) + N_SONGS),
    )  # fmt: skip


@pytest.fixture
def split(plays):
    return Split(plays.songs, ROLES, np.arange(N_SONGS) // 2, {"plays": plays.fingerprint})


@pytest.fixture
def observed(plays, split):
    learning = split.learning_plays(plays)
    return Factors(
        plays.users, np.ones((len(plays.users), 3), np.float32), learning.songs,
        np.ones((len(learning.songs), 3), np.float32), learned_from=learning.songs,
        settings={"protocol": "clean"}, parents={"plays": learning.fingerprint},
    )  # fmt: skip


@pytest.fixture
def predicted(split):
    train = split.songs.take(split.members(TRAIN))
    return Factors(None, None, split.songs, np.ones((N_SONGS, 3), np.float32), train, settings={"protocol": "clean"})


def system(name="cnn", **more):
    return System(name, np.ones((2, 3)), np.ones((4, 3)), **more)


def test_clean_parties_pass_and_the_report_says_what_was_proven(split, plays, observed, predicted):
    report = audit(split, plays, {"wmf": observed, "cnn": predicted}, [system(learned_from=predicted.learned_from)])
    assert report.protocol == "clean"
    assert report.n_test_songs == 4
    assert report.parties["plays"] == plays.fingerprint
    assert report.parties["wmf"] == observed.fingerprint
    assert len(report.checks) == 5
    assert any(check.startswith("factors 'wmf': fitted on") for check in report.checks)
    assert report.as_dict()["passed"] is True


def test_a_test_song_with_observed_factors_is_a_leak(split, plays, observed):
    ids = Vocabulary([*SONG_IDS[:6], "song09", "song10"])
    with pytest.raises(LeakageError, match="'wmf': 'song09' and 1 more are test songs with observed factors"):
        audit(split, plays, {"wmf": replace(observed, songs=ids)}, [])


def test_factors_that_learned_from_a_test_song_are_a_leak_even_without_its_row(split, plays, observed):
    ids = Vocabulary([*SONG_IDS[:8], "song11"])
    with pytest.raises(LeakageError, match="'song11' and 0 more are test songs that it learned from"):
        audit(split, plays, {"wmf": replace(observed, learned_from=ids)})


@pytest.mark.parametrize("parents", [{}, {"plays": "of all plays"}])
def test_factors_fitted_on_other_plays_are_a_leak(split, plays, observed, parents):
    with pytest.raises(LeakageError, match="expected the split's learning plays"):
        audit(split, plays, {"wmf": replace(observed, parents=parents)})


def test_users_fitted_on_all_plays_are_a_leak_although_no_song_shows_it(split, plays, observed):
    users = replace(observed, songs=None, song_factors=None, parents={"plays": plays.fingerprint})
    with pytest.raises(LeakageError, match=plays.fingerprint):
        audit(split, plays, {"users": users})


def test_an_encoder_that_learned_from_a_test_song_is_a_leak(split, plays, predicted):
    leaky = replace(predicted, learned_from=split.songs)
    with pytest.raises(LeakageError, match="'cnn': 'song08' and 3 more are test songs that it learned from"):
        audit(split, plays, {"cnn": leaky})


def test_predictions_that_do_not_say_what_they_learned_from_are_refused(split, plays, predicted):
    with pytest.raises(LeakageError, match="do not say which songs"):
        audit(split, plays, {"cnn": replace(predicted, learned_from=None)})


def test_predictions_must_cover_the_ranked_songs(split, plays, predicted):
    partly = replace(predicted, songs=Vocabulary(SONG_IDS[:10]), song_factors=np.ones((10, 3), np.float32))
    with pytest.raises(InputError, match=r"'song10' and 1 more of 4 ranked songs have no prediction"):
        audit(split, plays, {"cnn": partly})
    report = audit(split, plays, {"cnn": partly}, test_songs=Vocabulary(["song08", "song09"]))
    assert report.n_test_songs == 2


def test_ranking_a_training_song_is_a_leak(split, plays, predicted):
    with pytest.raises(LeakageError, match="ranked songs: 'song05' and 0 more are not test songs"):
        audit(split, plays, {"cnn": predicted}, test_songs=Vocabulary(["song05", "song08"]))


def test_a_group_in_two_roles_is_a_leak(split, plays):
    groups = split.groups.copy()
    groups[[0, 8]] = 77  # an artist with a training and a test song
    with pytest.raises(LeakageError, match=r"the group of song 'song08' has songs in two roles \(1 groups do\)"):
        audit(replace(split, groups=groups), plays, {})


def test_a_role_that_does_not_exist_is_refused(split, plays):
    with pytest.raises(LeakageError, match="'song00' has role 5"):
        audit(replace(split, roles=np.where(np.arange(N_SONGS) < 2, 5, ROLES).astype(np.int8)), plays, {})


def test_a_split_of_other_plays_or_without_test_songs_is_refused(split, plays):
    with pytest.raises(InputError, match="other plays"):
        audit(replace(split, settings={"plays": "of another data set"}), plays, {})
    with pytest.raises(InputError, match="no test songs"):
        audit(replace(split, roles=np.zeros(N_SONGS, np.int8)), plays, {})


def test_all_joint_passes_as_joint_and_a_mixture_is_refused(split, plays, observed, predicted):
    seen_all = replace(observed, songs=plays.songs, song_factors=np.ones((N_SONGS, 3), np.float32), n_listeners=None,
                       learned_from=plays.songs, settings={"protocol": "joint"},
                       parents={"plays": plays.fingerprint})  # fmt: skip
    ear = replace(predicted, learned_from=plays.songs, settings={"protocol": "joint"})
    report = audit(split, plays, {"wmf": seen_all, "cnn": ear}, [system(protocol="joint")])
    assert report.protocol == "joint"
    with pytest.raises(LeakageError, match=r"'wmf' has seen plays of test songs.*'cnn' has not"):
        audit(split, plays, {"wmf": seen_all, "cnn": predicted})
    with pytest.raises(LeakageError, match="must not stand in one table"):
        audit(split, plays, {"wmf": seen_all, "cnn": ear}, [system(protocol="clean")])


def test_a_system_that_learned_from_test_songs_must_be_marked_as_cheating(split, plays):
    with pytest.raises(LeakageError, match="system 'fold-in': 'song08' and 3 more"):
        audit(split, plays, {}, [system("fold-in", learned_from=split.songs)])
    audit(split, plays, {}, [system("fold-in", learned_from=split.songs, cheating=True)])


def test_the_inner_split_is_audited_like_the_outer(split, plays):
    inner, inner_plays = split.inner(plays)
    fitted = inner.learning_plays(inner_plays)
    users = Factors(fitted.users, np.ones((len(fitted.users), 2), np.float32), None, None,
                    learned_from=fitted.songs, parents={"plays": fitted.fingerprint})  # fmt: skip
    assert audit(inner, inner_plays, {"users": users}).n_test_songs == 2
    outer = replace(users, parents={"plays": split.learning_plays(plays).fingerprint})
    with pytest.raises(LeakageError, match="expected the split's learning plays"):
        audit(inner, inner_plays, {"users": outer})

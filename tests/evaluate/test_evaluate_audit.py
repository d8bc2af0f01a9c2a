from dataclasses import replace

import numpy as np
import pytest

from deepcuts.artifacts import TEST, TRAIN, VALIDATION, Factors, Lineage, Plays, SongFactors, Split, Vocabulary
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
    return fitted_on(split.learning_plays(plays), "clean")


def fitted_on(plays, protocol):
    lineage = Lineage("the fit", plays.songs, protocol, parents={"plays": plays.fingerprint})
    users, songs = (np.ones((len(ids), 3), np.float32) for ids in (plays.users, plays.songs))
    return Factors.of(plays.users, users, plays.songs, songs, lineage)


@pytest.fixture
def predicted(split):
    return SongFactors(split.songs, np.ones((N_SONGS, 3), np.float32), known(split.songs.take(split.members(TRAIN))))


def known(songs, protocol="clean", space="the fit"):
    return Lineage(space, songs, protocol)


def relabelled(factors, **what):
    """The same numbers with another lineage."""
    lineage = replace(factors.lineage, **what)
    return Factors(replace(factors.users, lineage=lineage), replace(factors.songs, lineage=lineage))


def system(name="cnn", lineage=None, **more):
    return System(name, np.ones((2, 3)), np.ones((4, 3)), lineage=lineage or known(Vocabulary([])), **more)


def test_clean_parties_pass_and_the_report_says_what_was_proven(split, plays, observed, predicted):
    report = audit(split, plays, [observed], {"cnn": predicted}, [system(lineage=predicted.lineage)])
    assert report.protocol == "clean"
    assert report.n_test_songs == 4
    assert report.parties["plays"] == plays.fingerprint
    assert report.parties["factors"] == observed.fingerprint
    assert report.parties["predictions 'cnn'"] == predicted.fingerprint
    assert "All predictions belong to the factor space of the users." in report.checks
    assert any(check.startswith("factors: fitted on") for check in report.checks)
    assert report.as_dict()["passed"] is True


def test_a_test_song_with_observed_factors_is_a_leak(split, plays, observed):
    ids = Vocabulary([*SONG_IDS[:6], "song09", "song10"])
    leaky = replace(observed, songs=replace(observed.songs, songs=ids))
    with pytest.raises(LeakageError, match="factors: 'song09' and 1 more are test songs with observed factors"):
        audit(split, plays, [leaky])


def test_factors_that_learned_from_a_test_song_are_a_leak_even_without_its_row(split, plays, observed):
    ids = Vocabulary([*SONG_IDS[:8], "song11"])
    with pytest.raises(LeakageError, match="'song11' and 0 more are test songs that it learned from"):
        audit(split, plays, [relabelled(observed, learned_from=ids)])


@pytest.mark.parametrize("parents", [{}, {"plays": "of all plays"}])
def test_factors_fitted_on_other_plays_are_a_leak(split, plays, observed, parents):
    with pytest.raises(LeakageError, match="expected the split's learning plays"):
        audit(split, plays, [relabelled(observed, parents=parents)])


def test_users_fitted_on_all_plays_are_a_leak_although_no_song_shows_it(split, plays, observed):
    with pytest.raises(LeakageError, match=plays.fingerprint):
        audit(split, plays, [relabelled(observed, parents={"plays": plays.fingerprint})])


def test_an_encoder_that_learned_from_a_test_song_is_a_leak(split, plays, predicted):
    leaky = replace(predicted, lineage=known(split.songs))
    with pytest.raises(LeakageError, match="'cnn': 'song08' and 3 more are test songs that it learned from"):
        audit(split, plays, predicted={"cnn": leaky})


def test_a_system_called_observed_is_audited_like_any_other(split, plays, observed, predicted):
    leaky = replace(predicted, lineage=known(split.songs))
    for name in ("observed", "factors", "cnn"):
        with pytest.raises(LeakageError, match="song08"):
            audit(split, plays, [observed], {name: leaky})


def test_predictions_of_another_factorisation_are_refused(split, plays, observed, predicted):
    other = replace(predicted, lineage=known(Vocabulary(SONG_IDS[:6]), space="an older fit"))
    with pytest.raises(InputError, match="different factorisations"):
        audit(split, plays, [observed], {"cnn": other})
    with pytest.raises(InputError, match="which factorisation"):
        audit(split, plays, [observed], {"cnn": replace(predicted, lineage=replace(predicted.lineage, space=None))})


def test_whatever_does_not_say_what_it_learned_from_is_refused(split, plays, predicted):
    silent = replace(predicted.lineage, learned_from=None)
    with pytest.raises(LeakageError, match="does not say which songs"):
        audit(split, plays, predicted={"cnn": replace(predicted, lineage=silent)})
    with pytest.raises(LeakageError, match="does not say which songs"):
        audit(split, plays, systems=[system(lineage=silent)])
    with pytest.raises(LeakageError, match="does not say whether"):
        audit(split, plays, systems=[System("own", np.ones((2, 3)), np.ones((4, 3)))])


def test_predictions_must_cover_the_ranked_songs(split, plays, predicted):
    partly = predicted.take(np.arange(10))
    with pytest.raises(InputError, match=r"'song10' and 1 more of 4 ranked songs have no prediction"):
        audit(split, plays, predicted={"cnn": partly})
    report = audit(split, plays, predicted={"cnn": partly}, test_songs=Vocabulary(["song08", "song09"]))
    assert report.n_test_songs == 2


def test_ranking_a_training_song_is_a_leak(split, plays, predicted):
    with pytest.raises(LeakageError, match="ranked songs: 'song05' and 0 more are not test songs"):
        audit(split, plays, predicted={"cnn": predicted}, test_songs=Vocabulary(["song05", "song08"]))


def test_a_group_in_two_roles_is_a_leak(split, plays):
    groups = split.groups.copy()
    groups[[0, 8]] = 77  # an artist with a training and a test song
    with pytest.raises(LeakageError, match=r"the group of song 'song08' has songs in two roles \(1 groups do\)"):
        audit(replace(split, groups=groups), plays)


def test_a_role_that_does_not_exist_is_refused(split, plays):
    with pytest.raises(LeakageError, match="'song00' has role 5"):
        audit(replace(split, roles=np.where(np.arange(N_SONGS) < 2, 5, ROLES).astype(np.int8)), plays)


def test_a_split_of_other_plays_or_without_test_songs_is_refused(split, plays):
    with pytest.raises(InputError, match="other plays"):
        audit(replace(split, settings={"plays": "of another data set"}), plays)
    with pytest.raises(InputError, match="no test songs"):
        audit(replace(split, roles=np.zeros(N_SONGS, np.int8)), plays)


def test_all_joint_passes_as_joint_and_a_mixture_is_refused(split, plays, predicted):
    seen_all = fitted_on(plays, "joint")
    joint = known(plays.songs, "joint")
    ear = replace(predicted, lineage=joint)
    assert audit(split, plays, [seen_all], {"cnn": ear}, [system(lineage=joint)]).protocol == "joint"
    with pytest.raises(LeakageError, match=r"factors has seen plays of test songs.*'cnn' has not"):
        audit(split, plays, [seen_all], {"cnn": predicted})
    with pytest.raises(LeakageError, match="must not appear in one table"):
        audit(split, plays, [seen_all], {"cnn": ear}, [system()])


def test_a_system_that_learned_from_test_songs_must_be_marked_as_cheating(split, plays):
    with pytest.raises(LeakageError, match="system 'fold-in': 'song08' and 3 more"):
        audit(split, plays, systems=[system("fold-in", known(split.songs))])
    audit(split, plays, systems=[system("fold-in", known(split.songs), cheating=True)])


def test_the_inner_split_is_audited_like_the_outer(split, plays):
    inner, inner_plays = split.inner(plays)
    users = fitted_on(inner.learning_plays(inner_plays), "clean")
    assert audit(inner, inner_plays, [users]).n_test_songs == 2
    outer = relabelled(users, parents={"plays": split.learning_plays(plays).fingerprint})
    with pytest.raises(LeakageError, match="expected the split's learning plays"):
        audit(inner, inner_plays, [outer])

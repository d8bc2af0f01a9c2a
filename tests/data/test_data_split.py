"""Splits: nothing that is tested is learned from."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcuts.artifacts import TEST, TRAIN, VALIDATION, Plays, Split
from deepcuts.data import SplitSettings, folds, make_split
from deepcuts.errors import InputError, SettingError


def plays_of(n_songs, artists=None, times=None):
    songs = [f"s{i:03}" for i in range(n_songs)]
    table = None if artists is None else pl.DataFrame({"song_id": songs, "artist": artists})
    return Plays.from_pairs(["u"] * n_songs, songs, np.ones(n_songs), first_played=times, songs_table=table)


def test_a_split_by_song_has_the_fractions_asked_for():
    split = make_split(plays_of(200), SplitSettings(test=0.25, validation=0.1))
    assert [len(split.members(role)) for role in (TRAIN, VALIDATION, TEST)] == [135, 15, 50]


def test_every_song_has_the_same_chance_to_be_tested():
    plays = plays_of(20)
    tested = sum((make_split(plays, SplitSettings(test=0.5, seed=s)).roles == TEST).astype(int) for s in range(300))
    assert abs(tested / 300 - 0.5).max() < 4.5 * 0.5 / np.sqrt(300)  # 4.5 standard deviations


def test_the_same_seed_gives_the_same_split_and_the_settings_say_how():
    plays = plays_of(50)
    split = make_split(plays, SplitSettings(seed=3))
    assert make_split(plays, SplitSettings(seed=3)).fingerprint == split.fingerprint
    assert make_split(plays, SplitSettings(seed=4)).fingerprint != split.fingerprint
    assert split.settings == {
        "by": "song",
        "test": 0.2,
        "validation": 0.1,
        "seed": 3,
        "group_column": "artist",
        "plays": plays.fingerprint,
    }


artist_lists = st.lists(st.sampled_from([*"abcdefgh", None]), min_size=12, max_size=40)


@given(artist_lists, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_no_artist_stands_on_both_sides(artists, seed):
    plays = plays_of(len(artists), artists)
    try:
        split = make_split(plays, SplitSettings(by="artist", test=0.3, validation=0.2, seed=seed))
    except InputError:
        assert max(map(artists.count, set(artists) - {None}), default=0) > 0.55 * len(
            artists
        )  # one artist has most songs
        return
    for artist in set(artists) - {None}:
        assert len({int(r) for r, a in zip(split.roles, artists, strict=True) if a == artist}) == 1
    assert len(np.unique(split.groups)) == len(set(artists) - {None}) + artists.count(None)


def test_whole_artists_are_drawn_until_the_fraction_is_met():
    artists = [f"a{i // 5}" for i in range(100)]
    split = make_split(plays_of(100, artists), SplitSettings(by="artist", test=0.2, validation=0.125))
    assert [len(split.members(role)) for role in (TRAIN, VALIDATION, TEST)] == [70, 10, 20]


def test_one_giant_artist_does_not_swallow_the_split():
    artists = ["giant"] * 60 + [f"a{i}" for i in range(40)]
    for seed in range(5):
        split = make_split(plays_of(100, artists), SplitSettings(by="artist", test=0.2, validation=0, seed=seed))
        assert len(split.test_songs) == 20


def test_a_table_of_groups_may_be_given_instead_of_a_column():
    groups = pl.DataFrame({"song_id": ["s000", "s001", "s002"], "group": [7, 7, 7]})
    for seed in range(10):
        split = make_split(plays_of(12), SplitSettings(by="song", test=0.4, seed=seed), groups=groups)
        assert len(set(split.roles[:3].tolist())) == 1
    with pytest.raises(InputError, match="song 's000' is in two groups"):
        make_split(plays_of(12), SplitSettings(), groups=pl.DataFrame({"song_id": ["s000"] * 2, "group": [1, 2]}))
    with pytest.raises(InputError, match="groups: no column 'group'"):
        make_split(plays_of(12), SplitSettings(), groups=pl.DataFrame({"song_id": ["s000"]}))


def test_a_missing_artist_column_names_those_there_are():
    with pytest.raises(InputError, match=r"no column 'artist' to split by; the columns are song_id\. Choose with") as e:
        make_split(plays_of(9), SplitSettings(by="artist"))
    assert e.value.exit_code == 3


def test_by_time_the_latest_songs_are_tested_and_later_plays_are_hidden():
    users, songs = ["u", "v", "u", "v", "u", "u"], ["a", "a", "b", "b", "c", "d"]
    times = np.array([10, 90, 20, 25, 50, 60])
    plays = Plays.from_pairs(users, songs, np.ones(6), first_played=times)
    split = make_split(plays, SplitSettings(by="time", cutoff=50, validation=0.5))
    assert split.roles.tolist() == [TRAIN, VALIDATION, TEST, TEST]
    assert split.settings["cutoff"] == 50
    assert split.settings["validation_cutoff"] == 20
    learned = split.learning_plays(plays)
    assert learned.songs.ids.to_list() == ["a", "b"]
    assert sorted(learned.first_played.tolist()) == [10, 20, 25]  # v played a at 90: not yet known at 50


def test_by_time_without_a_cutoff_the_latest_fraction_is_tested():
    times = np.random.default_rng(0).permutation(40)
    split = make_split(plays_of(40, times=times), SplitSettings(by="time", test=0.25, validation=0.1))
    assert set(split.members(TEST)) == set(np.flatnonzero(times >= 30))
    assert split.settings["cutoff"] == 30
    assert set(split.members(VALIDATION)) == set(np.flatnonzero((times >= 27) & (times < 30)))


def test_by_time_needs_times_and_a_cutoff_that_leaves_songs_on_both_sides():
    with pytest.raises(InputError, match="plays: have no times"):
        make_split(plays_of(9), SplitSettings(by="time"))
    for cutoff, what in ((0, "learn from"), (99, "test")):
        with pytest.raises(InputError, match=f"none is left to {what}"):
            make_split(plays_of(9, times=np.arange(1, 10)), SplitSettings(by="time", cutoff=cutoff))


def test_by_list_exactly_those_songs_are_tested():
    plays = plays_of(30)
    split = make_split(plays, SplitSettings(by="list", validation=0.25), test_songs=["s004", "s009"])
    assert split.members(TEST).tolist() == [4, 9]
    assert len(split.members(VALIDATION)) == 7
    with pytest.raises(InputError, match=r"test songs: unknown song id 's4'"):
        make_split(plays, SplitSettings(by="list"), test_songs=["s4"])
    with pytest.raises(SettingError, match="test songs go with by=list"):
        make_split(plays, SplitSettings(by="list"))
    with pytest.raises(SettingError, match="test songs go with by=list"):
        make_split(plays, SplitSettings(), test_songs=["s004"])


@pytest.mark.parametrize("by", ["song", "artist", "time"])
def test_songs_without_content_are_always_train(by):
    plays = plays_of(40, [f"a{i // 2}" for i in range(40)], np.arange(40))
    only = [f"s{i:03}" for i in range(20, 40)] + ["not among the plays"]
    split = make_split(plays, SplitSettings(by=by, test=0.5, validation=0.2), only=only)
    assert (split.roles[:20] == TRAIN).all()
    assert [len(split.members(role)) for role in (VALIDATION, TEST)] == [2, 10]
    with pytest.raises(InputError, match="none of these 1 ids is a song"):
        make_split(plays, SplitSettings(by=by), only=["elsewhere"])


def test_an_artist_with_a_song_that_may_not_be_tested_stays_whole_in_train(caplog):
    plays = plays_of(12, ["a", "a", *(f"b{i}" for i in range(10))])
    for seed in range(10):
        split = make_split(
            plays, SplitSettings(by="artist", test=0.5, seed=seed), only=[f"s{i:03}" for i in range(1, 12)]
        )
        assert split.roles[:2].tolist() == [TRAIN, TRAIN]
    assert "1 groups have songs that may not be tested" in caplog.text


def test_folds_test_every_song_once_and_keep_artists_whole():
    artists = [f"a{i % 17}" for i in range(60)]
    plays = plays_of(60, artists)
    made = folds(plays, 5, SplitSettings(by="artist", validation=0.1))
    tested = np.concatenate([split.members(TEST) for split in made])
    assert sorted(tested.tolist()) == list(range(60))
    assert all(10 <= len(split.members(TEST)) <= 15 for split in made)
    for split in made:
        assert len(split.members(VALIDATION)) > 0
        for role in (VALIDATION, TEST):
            inside = {artists[i] for i in split.members(role)}
            assert not inside & {artists[i] for i in np.flatnonzero(split.roles != role)}
    assert [split.settings["fold"] for split in made] == list(range(5))
    again = folds(plays, 5, SplitSettings(by="artist", validation=0.1))
    assert [s.fingerprint for s in again] == [s.fingerprint for s in made]


def test_folds_take_only_what_may_be_tested():
    made = folds(plays_of(30), 3, SplitSettings(validation=0), only=[f"s{i:03}" for i in range(6)])
    assert [len(split.members(TEST)) for split in made] == [2, 2, 2]
    assert all((split.roles[6:] == TRAIN).all() for split in made)
    with pytest.raises(InputError, match="6 groups of songs for 7 folds"):
        folds(plays_of(6), 7, SplitSettings())
    with pytest.raises(SettingError, match="expected by song or artist, 2 or more"):
        folds(plays_of(6), 2, SplitSettings(by="time"))
    with pytest.raises(SettingError, match="n_folds = 1"):
        folds(plays_of(6), 1, SplitSettings())


def test_a_split_comes_back_from_disk(tmp_path):
    plays = plays_of(20, times=np.arange(20))
    split = make_split(plays, SplitSettings(by="time"))
    split.save(tmp_path / "split")
    loaded = Split.load(tmp_path / "split")
    assert loaded.fingerprint == split.fingerprint
    assert loaded.settings == split.settings


@pytest.mark.parametrize(
    "wrong", [{"by": "user"}, {"test": 0.0}, {"test": 1}, {"validation": 1.0}, {"seed": -1}, {"cutoff": 5}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        SplitSettings(**wrong)


def test_too_few_songs_are_refused():
    with pytest.raises(InputError, match="none is left to test"):
        make_split(plays_of(2), SplitSettings(test=0.1))

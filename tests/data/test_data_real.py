"""The research data: what its documentation says is in it."""

import numpy as np
import pytest

from deepcuts.artifacts import TEST
from deepcuts.data import (
    LastfmSettings,
    MsdSettings,
    SplitSettings,
    folds,
    read_artist_tracks,
    read_h5_metadata,
    read_lastfm,
    read_msd,
    read_triplets,
)

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def hetrec(real_data):
    return read_lastfm(real_data / "lastfm" / "hetrec2011-lastfm-2k.zip", LastfmSettings())


def test_hetrec_has_the_counts_its_readme_states(hetrec):
    assert hetrec.plays.shape == (1892, 17632)
    assert hetrec.plays.n_plays == hetrec.notes["rows read"] == 92834
    assert hetrec.plays.counts.sum(dtype=np.float64) == 69_183_975
    assert hetrec.notes["tag assignments read"] == 186479
    assert hetrec.notes["artists without a name"] == 0


def test_hetrec_names_are_decoded_whatever_their_encoding(hetrec):
    tags = set(hetrec.tags.tags.ids)
    assert {"tropicália", "rock français", "español", "düsseldorf"} <= tags
    assert not [tag for tag in tags if "\ufffd" in tag]
    table = hetrec.plays.songs_table
    assert table.filter(table["song_id"] == "707")["artist"].to_list() == ["Metallica"]


def test_the_benchmarks_folds_are_disjoint_by_group(hetrec, real_data):
    tracks = read_artist_tracks(real_data / "lastfm_artist_to_msd_track.csv")
    assert [tracks[c].n_unique() for c in ("song_id", "track_id", "group")] == [218, 245, 204]
    groups = tracks.select("song_id", "group").unique()
    group_of = dict(groups.iter_rows())
    made = folds(hetrec.plays, 5, SplitSettings(), groups=groups, only=tracks["song_id"].to_list())
    tested = [set(split.test_songs.ids) for split in made]
    assert set().union(*tested) == set(group_of)
    assert sum(map(len, tested)) == 218
    for songs in tested:
        others = {group_of[s] for s in set(group_of) - songs}
        assert not others & {group_of[s] for s in songs}
        assert 40 <= len(songs) <= 48
    learned = made[0].learning_plays(hetrec.plays)
    assert not set(learned.songs.ids) & tested[0]
    assert len(made[0].members(TEST)) == len(tested[0])


def test_the_taste_profile_has_its_stated_counts(real_data):
    reading = read_triplets(real_data / "taste_profile" / "10000.txt", MsdSettings())
    assert reading.plays.shape == (1630, 9071)
    assert reading.notes["rows read"] == 42739
    small = read_msd(real_data / "taste_profile" / "train_triplets_small.txt", MsdSettings())
    assert (small.notes["rows read"], len(small.plays.users)) == (5000, 92)


def test_the_analyses_say_what_they_are(real_data):
    tracks, terms = read_h5_metadata(real_data / "msd_h5")
    assert tracks.height == len(list((real_data / "msd_h5").glob("*.h5")))
    assert set(tracks["track_id"]) == {path.stem for path in (real_data / "msd_h5").glob("*.h5")}
    first = tracks.row(0, named=True)
    assert (first["track_id"], first["artist"], first["title"]) == ("TRAAAFD128F92F423A", "Gob", "Face the Ashes")
    assert first["song_id"] == "SOFSOCN12A8C143F5D"
    assert terms.row(0) == ("TRAAAFD128F92F423A", "SOFSOCN12A8C143F5D", "pop punk", 1.0)
    assert terms["weight"].is_between(0, 1).all()

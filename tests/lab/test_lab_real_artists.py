"""Real artists: terms as the analyses tell them, and what factors of real plays know of both kinds of tags."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from deepcuts.artifacts import Features, Vocabulary
from deepcuts.data import LastfmSettings, read_artist_tracks, read_lastfm
from deepcuts.factors import fit
from deepcuts.lab.lastfm import ALONE, ANALYSES, PLAYS, TRACKS
from deepcuts.lab.real_paper import extremes_table, score_tags
from deepcuts.lab.real_world import RealPaper, RealWorld, artist_terms, listeners_of, rows_of

pytestmark = pytest.mark.realdata
QUICK = RealPaper(min_carriers=30, n_folds=3, n_bootstrap=100)


@pytest.fixture(scope="module")
def world(real_data: Path) -> RealWorld:
    """Everything but the sounds, which stay silent: one frame of zeros for each artist with content."""
    reading, tracks = read_lastfm(real_data / PLAYS, LastfmSettings()), read_artist_tracks(real_data / TRACKS)
    songs = Vocabulary(tracks["song_id"].unique().sort())
    silence = Features(songs, np.zeros((len(songs), 1), np.float32), np.arange(len(songs) + 1), "echonest")
    terms = artist_terms(real_data / ANALYSES, tracks, songs)
    factors = fit(reading.plays, ALONE, protocol="joint").factors
    assert reading.tags is not None
    return RealWorld(reading.plays, tracks, {"timbre": silence}, reading.tags, terms, factors, factors)


def test_every_artist_has_the_terms_of_its_own_tracks(world: RealWorld, real_data: Path) -> None:
    assert len(world.songs) == 218
    row = world.tracks.filter(song_id="190").row(0, named=True)  # Muse
    with h5py.File(real_data / ANALYSES / f"{row['track_id']}.h5", "r") as file:
        told = {raw.decode() for raw in file["metadata/artist_terms"][:]}
    place = int(world.songs.find(["190"])[0])
    held = world.terms.weights[[place]].indices
    assert {world.terms.tags[tag] for tag in held} == told


def test_factors_of_real_plays_tell_tags_and_noise_tells_nothing(world: RealWorld) -> None:
    factors = rows_of(world.alone, world.songs)
    noise = np.random.default_rng(0).normal(size=(len(world.songs), 20))
    for tags, least in ((world.tags, 0.75), (world.terms, 0.62)):
        assert score_tags(factors, world, tags, QUICK).mean > least
        assert 0.42 < score_tags(noise, world, tags, QUICK).mean < 0.58


def test_fame_alone_tells_the_tags_that_people_gave_and_hardly_the_terms(world: RealWorld) -> None:
    """The trap of section 5.1 on these artists: people tag whom they know, and factors of the famous are long."""
    fame = np.log(listeners_of(world.plays, world.songs))[:, None]
    given, terms = (score_tags(fame, world, tags, QUICK).mean for tags in (world.tags, world.terms))
    assert given > 0.75
    assert terms < given - 0.1


def test_artists_that_share_a_track_are_tested_in_one_fold(world: RealWorld) -> None:
    noise = np.random.default_rng(0).normal(size=(len(world.songs), 2))
    scores = score_tags(noise, world, world.terms, QUICK)
    for _, of_group in world.tracks.group_by("group"):
        assert len(set(scores.fold[scores.songs.positions(of_group["song_id"].unique())].tolist())) == 1


def test_metal_and_pop_never_stand_at_the_same_end_of_an_axis(world: RealWorld) -> None:
    ends = {(row["axis"], row["end"]): row["tags that stand out"].split(", ") for row in extremes_table(world, QUICK)}
    metal = [end for end, tags in ends.items() if "metal" in tags]
    soft = [end for end, tags in ends.items() if {"female vocalists", "indie pop"} & set(tags)]
    assert metal
    assert soft
    assert not set(metal) & set(soft)

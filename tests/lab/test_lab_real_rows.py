"""The parts of the real experiments that need no real data: what is learned from whom, and how rows are told."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from deepcuts.artifacts import Factors, Features, Lineage, Plays, Tags, Vocabulary
from deepcuts.lab import lastfm
from deepcuts.lab.real_paper import predicted_rows, smallest_enough
from deepcuts.lab.real_world import RealPaper, RealWorld
from deepcuts.lab.results import section

N_SONGS, N_FRAMES, N_CHANNELS = 60, 40, 26


def sounds(seed: int = 0) -> Features:
    """Frames of songs that each have their own mean, so that bags differ."""
    rng = np.random.default_rng(seed)
    means = np.repeat(rng.normal(size=(N_SONGS, N_CHANNELS)), N_FRAMES, axis=0)
    frames = (means + rng.normal(size=means.shape)).astype(np.float32)
    songs = Vocabulary([f"s{song:02d}" for song in range(N_SONGS)], "song")
    return Features(songs, frames, np.arange(N_SONGS + 1) * N_FRAMES, "echonest", {"n_channels": N_CHANNELS})


def plays_of_neighbours(songs: Vocabulary) -> Plays:
    """User u plays the songs u, u+1, ..., u+4: near songs share listeners."""
    users = [f"u{user:02d}" for user in range(N_SONGS) for _ in range(5)]
    ids = [songs[(user + step) % N_SONGS] for user in range(N_SONGS) for step in range(5)]
    return Plays.from_pairs(users, ids, np.ones(len(ids), dtype=np.int64))


def test_timbre_is_the_first_twelve_channels_of_the_same_songs() -> None:
    heard = sounds()
    timbre = lastfm.timbre_of(heard)
    assert timbre.n_channels == 12
    assert timbre.settings["n_channels"] == 12
    np.testing.assert_array_equal(timbre[7], heard[7][:, :12])
    assert timbre.recipe != heard.recipe


def test_words_do_not_change_when_hidden_songs_sound_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lastfm, "WORDS", dataclasses.replace(lastfm.WORDS, n_words=20))
    timbre = lastfm.timbre_of(sounds())
    learning = timbre.songs.take(np.arange(40))
    other = np.array(timbre.frames)
    other[40 * N_FRAMES :] += 3.0
    bags = [
        lastfm.bag_of(one, learning) for one in (timbre, dataclasses.replace(timbre, frames=other.astype(np.float32)))
    ]
    np.testing.assert_array_equal(bags[0].frames[:40], bags[1].frames[:40])
    assert bags[0].lineage.learned_from == learning
    assert (bags[0].frames[40:] != bags[1].frames[40:]).any(axis=1).all()


def test_the_metric_system_learns_from_no_song_whose_plays_are_hidden() -> None:
    heard, rng = sounds(), np.random.default_rng(0)
    bags = dataclasses.replace(
        heard, frames=rng.normal(size=(N_SONGS, 6)).astype(np.float32), starts=np.arange(N_SONGS + 1)
    )
    learning = plays_of_neighbours(heard.songs).take_songs(np.arange(45))
    songs = heard.songs.take(np.arange(45, N_SONGS))
    system = lastfm.metric_system(learning, learning.users, bags, songs)
    assert system.lineage.learned_from is not None
    assert (songs.find(system.lineage.learned_from.ids) < 0).all()
    assert system.song_vectors.shape[0] == len(songs)
    assert system.user_vectors.shape[0] == len(learning.users)


def test_every_encoder_of_the_benchmark_hears_something_that_is_made() -> None:
    hears = {kind for _, kind, _ in lastfm.encoders(0).values()}
    assert hears == {"pooled", "frames", "bag"}
    raw = {name for name, (_, _, settings) in lastfm.encoders(0).items() if settings.target == "raw"}
    assert raw == {"cnn_mse", "cnn_wpe"}


def test_the_two_networks_of_the_paper_differ_in_their_objective_alone() -> None:
    mse, wpe = (dataclasses.asdict(lastfm.encoders(3)[name][2]) for name in ("cnn_mse", "cnn_wpe"))
    assert {name for name in mse if mse[name] != wpe[name]} == {"loss"}


def test_a_picture_is_drawn_coarser_until_it_is_small_enough() -> None:
    assert smallest_enough(lambda dpi: b"x" * (3000 * dpi)) == b"x" * (3000 * 90)
    assert smallest_enough(lambda dpi: b"x" * 10**6) == b"x" * 10**6


def test_a_page_shows_the_picture_that_its_numbers_name() -> None:
    content = {"title": "Artists", "picture": "real_map.png", "tables": {"T": [{"a": 1}]}}
    assert "![Artists](results/real_map.png)" in section("real_paper.json", content)
    assert "![" not in section("real_paper.json", {**content, "picture": None})


def small_world(song_factors: np.ndarray) -> RealWorld:
    """Sixty artists of one track each, the first two of which share theirs."""
    heard = sounds()
    songs, plays = heard.songs, plays_of_neighbours(heard.songs)
    stats = np.random.default_rng(1).normal(size=(N_SONGS, 8)).astype(np.float32)
    pooled = Features(songs, stats, np.arange(N_SONGS + 1), "pooled-echonest", {"one_frame": True})
    group = [max(song - 1, 0) for song in range(N_SONGS)]
    tracks = pl.DataFrame({"song_id": songs.ids, "track_id": [f"t{one}" for one in group], "group": group})
    users = np.random.default_rng(2).normal(size=(N_SONGS, 3)).astype(np.float32)
    listeners, lineage = np.full(N_SONGS, 5), Lineage("fit", songs, "joint")
    factors = Factors.of(
        plays.users,
        users,
        songs,
        song_factors.astype(np.float32),
        lineage,
        n_listeners=listeners,
    )
    tags = Tags(songs, Vocabulary(["rock"], "tag"), sparse.csr_array(np.ones((N_SONGS, 1), dtype=np.float32)))
    return RealWorld(plays, tracks, {"pooled": pooled, "timbre": heard}, tags, tags, factors, factors)


def test_an_artist_is_predicted_without_its_own_factors_or_those_of_its_group() -> None:
    raw = np.random.default_rng(3).normal(size=(N_SONGS, 3))
    changed = raw.copy()
    changed[:2] *= -5.0
    before, after = (predicted_rows(small_world(one), RealPaper()) for one in (raw, changed))
    np.testing.assert_array_equal(before[:2], after[:2])
    assert (before[2:] != after[2:]).any(axis=1).sum() > N_SONGS / 2

"""The map: what lies together stays together, the same seed draws the same map."""

import numpy as np
import pytest

from deepcuts import store
from deepcuts.artifacts import Vocabulary
from deepcuts.errors import ArtifactError, InputError
from deepcuts.explore.songmap import (
    MapSettings,
    SongMap,
    label_agreement,
    map_caption,
    map_songs,
    neighbours_kept,
)

QUICK = MapSettings(perplexity=10, n_early=100, n_iterations=150)


@pytest.fixture(scope="module")
def clusters() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 45)
    Z = rng.normal(size=(4, 12))[labels] + 0.5 * rng.normal(size=(180, 12))
    return Z / np.linalg.norm(Z, axis=1, keepdims=True), labels


@pytest.fixture(scope="module")
def xy(clusters: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return map_songs(clusters[0], QUICK)


def test_planted_groups_stay_together(clusters: tuple[np.ndarray, np.ndarray], xy: np.ndarray) -> None:
    share, chance = label_agreement(xy, clusters[1], k=10)
    assert share > 0.9
    assert chance == pytest.approx(44 / 179)


def test_the_map_is_centred_and_keeps_neighbours(clusters: tuple[np.ndarray, np.ndarray], xy: np.ndarray) -> None:
    assert xy.shape == (180, 2)
    assert xy.dtype == np.float32
    assert np.allclose(xy.mean(axis=0), 0, atol=1e-3)
    mixed = xy[np.random.default_rng(0).permutation(180)]
    assert neighbours_kept(clusters[0], xy) > 3 * neighbours_kept(clusters[0], mixed)


def test_the_same_seed_draws_the_same_map(clusters: tuple[np.ndarray, np.ndarray], xy: np.ndarray) -> None:
    assert np.array_equal(map_songs(clusters[0], QUICK), xy)
    other = map_songs(clusters[0], QUICK, np.random.default_rng(1))
    assert not np.array_equal(other, xy)


def test_equal_songs_do_not_break_the_map() -> None:
    Z = np.tile(np.eye(3), (20, 1))
    assert np.isfinite(map_songs(Z, MapSettings(perplexity=5, n_early=20, n_iterations=20))).all()


def test_what_cannot_be_mapped_is_refused(clusters: tuple[np.ndarray, np.ndarray]) -> None:
    Z = clusters[0].copy()
    with pytest.raises(InputError, match="Set perplexity to 19 or less"):
        map_songs(Z[:60])
    with pytest.raises(InputError, match="usage_space"):
        map_songs(3 * Z, QUICK)
    Z[5] = 0
    with pytest.raises(InputError, match="Z: 1 "):
        map_songs(Z, QUICK)


def test_agreement_by_hand() -> None:
    places = np.array([[0.0], [1], [2.1], [10], [50], [11]])
    labels = np.array([0, 0, 1, 1, -1, 1])
    # nearest labelled: 0→1 same, 1→0 same, 2→1 other, 3→5 same, 5→3 same
    share, chance = label_agreement(places, labels, k=1)
    assert share == pytest.approx(4 / 5)
    assert chance == pytest.approx((2 * 1 / 4 + 3 * 2 / 4) / 5)


def test_a_flat_space_keeps_all_its_neighbours() -> None:
    xy = np.random.default_rng(0).normal(size=(50, 2))
    assert neighbours_kept(xy, 3 * xy, k=5) == 1
    with pytest.raises(InputError, match="Lower k"):
        neighbours_kept(xy[:5], xy[:5], k=5)


def test_a_map_comes_back_as_it_was_saved(tmp_path, xy: np.ndarray) -> None:
    songs = Vocabulary([f"s{song}" for song in range(len(xy))])
    made = SongMap(songs, xy, {"perplexity": 10.0}, {"factors": "abc"})
    made.save(tmp_path / "map", beside={"map.png": b"picture", "map.html": "page"})
    back = SongMap.load(tmp_path / "map")
    assert np.array_equal(back.xy, xy)
    assert back.songs == songs
    assert (back.settings, back.parents) == (made.settings, made.parents)
    assert (tmp_path / "map" / "map.html").read_text() == "page"
    assert store.read_meta(tmp_path / "map", "map").shape == {"n_songs": len(xy)}
    (tmp_path / "map" / "map.png").unlink()
    with pytest.raises(ArtifactError, match="Half-written"):
        SongMap.load(tmp_path / "map")


def test_the_caption_says_how_far_the_map_can_be_trusted(
    clusters: tuple[np.ndarray, np.ndarray], xy: np.ndarray
) -> None:
    text = map_caption(clusters[0], xy, clusters[1], QUICK, "learned from plays")
    share, chance = label_agreement(xy, clusters[1])
    assert f"{share:.0%} have its colour (by chance {chance:.0%})" in text
    assert "180 songs, learned from plays; perplexity 10" in text
    assert "colour" not in map_caption(clusters[0], xy, np.full(180, -1), QUICK, "learned from plays")

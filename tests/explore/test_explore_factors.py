"""Both ends of a factor: artists and tags."""

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from deepcuts.artifacts import Factors, SongFactors, Tags, Vocabulary
from deepcuts.errors import InputError
from deepcuts.explore import ExtremeSettings, extreme_artists, extreme_tags, extremes_text
from deepcuts.explore.factors import principal_axes

SONGS = Vocabulary(list("abcdefgh"))
TABLE = pl.DataFrame({"song_id": list("hgfedcba"), "artist": ["Rio", "Rio", None, "Mo", "Mo", "Lu", "Ann", "Ann"]})
# Ann: a 4, b 2; Lu: c 1; Mo: d -1, e 0; no one: f 9; Rio: g -5, h -7
VALUES = np.array([[4, 0], [2, 0], [1, 0.1], [-1, 0], [0, 0], [9, 0], [-5, 0], [-7, 0.2]], dtype=np.float32)


def factors(values: np.ndarray = VALUES, n_listeners: np.ndarray | None = None) -> Factors:
    return SongFactors(SONGS, values.astype(np.float32), n_listeners=n_listeners)


def ends_of(table: pl.DataFrame, end: str) -> list[tuple[str, float, int]]:
    return table.filter(pl.col("end") == end).select("artist", "value", "n_songs").rows()


def test_artists_are_ordered_by_the_mean_of_their_songs() -> None:
    told = extreme_artists(factors(), TABLE, ExtremeSettings(n_factors=1, n_artists=2))
    assert set(told["factor"]) == {0}
    assert ends_of(told, "high") == [("Ann", 3.0, 2), ("Lu", 1.0, 1)]
    assert ends_of(told, "low") == [("Rio", -6.0, 2), ("Mo", -0.5, 2)]


def test_factors_of_greatest_variance_come_first_unless_others_are_asked_for() -> None:
    settings = ExtremeSettings(n_factors=2, n_artists=1)
    assert extreme_artists(factors(), TABLE, settings)["factor"].unique(maintain_order=True).to_list() == [0, 1]
    swapped = factors(VALUES[:, ::-1])
    assert extreme_artists(swapped, TABLE, settings)["factor"].unique(maintain_order=True).to_list() == [1, 0]
    assert set(extreme_artists(factors(), TABLE, settings, which=[1])["factor"]) == {1}
    with pytest.raises(InputError, match="factor 2: there are 2, numbered from 0"):
        extreme_artists(factors(), TABLE, settings, which=[2])


def test_artists_of_few_songs_and_songs_of_few_listeners_are_left_out() -> None:
    told = extreme_artists(factors(), TABLE, ExtremeSettings(n_factors=1, n_artists=1, min_songs=2))
    assert ends_of(told, "high") == [("Ann", 3.0, 2)]
    heard = factors(n_listeners=np.array([9, 1, 9, 9, 9, 9, 9, 1]))
    told = extreme_artists(heard, TABLE, ExtremeSettings(n_factors=1, n_artists=1, min_listeners=5))
    assert ends_of(told, "high") == [("Ann", 4.0, 1)]
    assert ends_of(told, "low") == [("Rio", -5.0, 1)]
    with pytest.raises(InputError, match="do not say how many listened"):
        extreme_artists(factors(), TABLE, ExtremeSettings(min_listeners=5))
    with pytest.raises(InputError, match="two ends of n_artists = 3 need 6"):
        extreme_artists(factors(), TABLE, ExtremeSettings(n_artists=3))


def test_a_table_without_artists_is_refused_with_a_near_miss() -> None:
    with pytest.raises(InputError, match="Did you mean 'artists'"):
        extreme_artists(factors(), TABLE.rename({"artist": "artists"}))


def test_principal_axes_do_not_depend_on_the_rotation() -> None:
    rng = np.random.default_rng(0)
    Y = rng.exponential(size=(200, 5)) * [5, 4, 3, 2, 1]
    rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    axes = principal_axes(Y)
    assert np.allclose(axes, principal_axes(Y @ rotation), atol=1e-9)
    assert np.all(np.diff(axes.var(axis=0)) < 0)
    assert np.allclose(np.corrcoef(axes.T), np.eye(5), atol=1e-9)
    assert np.all(((axes - axes.mean(axis=0)) ** 3).sum(axis=0) > 0)  # the longer tail is high


def test_a_planted_tag_stands_first_at_its_end_with_its_z_by_hand() -> None:
    rng = np.random.default_rng(0)
    songs = Vocabulary([str(song) for song in range(100)])
    values = np.arange(100.0)
    has = np.zeros((100, 3))
    has[90:, 0] = 1
    has[:10, 1] = 1
    has[rng.choice(100, 40, replace=False), 2] = 1
    tags = Tags(songs, Vocabulary(["top", "bottom", "any"], "tag"), sparse.csr_array(has))
    told = extreme_tags(SongFactors(songs, values[:, None].astype(np.float32)), tags, ExtremeSettings(n_tags=1))
    assert told.select("end", "tag_id", "n_songs").rows() == [("high", "top", 10), ("low", "bottom", 10)]
    assert told["z"][0] == pytest.approx((94.5 - 49.5) * np.sqrt(10) / np.sqrt((100**2 - 1) / 12))


def test_tags_of_few_songs_say_nothing() -> None:
    tags = Tags(SONGS, Vocabulary(["rare"], "tag"), sparse.csr_array(np.eye(8)[:, :1]))
    assert extreme_tags(factors(), tags).is_empty()


def test_the_text_names_both_ends_of_each_factor() -> None:
    artists = extreme_artists(factors(), TABLE, ExtremeSettings(n_factors=1, n_artists=2))
    text = extremes_text(artists)
    assert text.splitlines() == ["factor 0", "  high Ann, Lu  (+3 … +1)", "  low  Rio, Mo  (-6 … -0.5)"]

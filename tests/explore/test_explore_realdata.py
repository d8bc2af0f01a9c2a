"""What real plays know of tags: Last.fm (hetrec-2011), where an artist stands for a song."""

from pathlib import Path

import pytest

from deepcuts.data import LastfmSettings, read_lastfm
from deepcuts.explore import ExtremeSettings, extreme_tags
from deepcuts.explore.tags import TagSettings, predict_tags
from deepcuts.factors import WmfSettings, fit


@pytest.mark.realdata
def test_factors_of_real_plays_know_what_people_call_artists(real_data: Path) -> None:
    reading = read_lastfm(real_data / "lastfm" / "hetrec2011-lastfm-2k.zip", LastfmSettings())
    assert reading.tags is not None
    settings = WmfSettings(n_factors=20, alpha=10.0, epsilon=100.0, regularization=50.0, n_sweeps=6)
    factors = fit(reading.plays, settings).factors
    asked = TagSettings(n_tags=10, n_folds=3, untagged="leave_out")
    scores = predict_tags(factors.songs.vectors, factors.songs.songs, reading.tags, asked)
    assert len(scores.songs) > 12_000
    assert scores.tags[0] == "rock"
    assert 0.80 < scores.low < scores.high < 0.88
    words = extreme_tags(factors.songs, reading.tags, ExtremeSettings(axes="principal", n_factors=4, n_tags=3))
    assert {"metal", "indie"} & set(words["tag_id"])

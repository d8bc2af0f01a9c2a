"""Numbers that somebody else has made of songs."""

import numpy as np
import polars as pl
import pytest

from deepcuts.audio.table import features_of_table, read_numbers
from deepcuts.errors import InputError


def test_numeric_columns_become_one_frame_a_song(tmp_path) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("artist_id,name,tempo,key,loud\n7,ann,120.5,3,-4\n9,bob,99,0,-7.5\n")
    found = features_of_table(read_numbers(path), song_id="artist_id", drop=["key"])
    assert found.songs.ids.to_list() == ["7", "9"]
    assert np.asarray(found.frames).tolist() == [[120.5, -4.0], [99.0, -7.5]]
    assert found.one_frame
    assert list(found.settings["columns"]) == ["tempo", "loud"]


def test_lists_of_numbers_become_channels_and_say_what_they_were_learned_from(tmp_path) -> None:
    pl.DataFrame({"song_id": ["a", "b"], "embed": [[1.0, 2.0], [3.0, 4.0]]}).write_parquet(tmp_path / "any.name")
    found = features_of_table(read_numbers(tmp_path / "any.name"), pretrained_on=["Last.fm tags"])
    assert np.asarray(found.frames).tolist() == [[1, 2], [3, 4]]
    assert found.lineage.pretrained_on == ("Last.fm tags",)
    taken = features_of_table(read_numbers(tmp_path / "any.name"), columns=["embed"])
    assert list(taken.settings["columns"]) == ["embed_0", "embed_1"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"song_id": ["a", "b"], "x": [1.0, None]}, r"song 'b', column 'x' = nan"),
        ({"song_id": ["a", "a"], "x": [1.0, 2.0]}, "'a'"),
        ({"song_id": ["a"], "name": ["n"]}, "no numeric column"),
        ({"id": ["a"], "x": [1.0]}, "no column 'song_id'"),
        ({"song_id": ["a", "b"], "e": [[1.0], [1.0, 2.0]]}, "different lengths"),
    ],
)
def test_what_cannot_be_features_is_refused_in_words(table, message) -> None:
    with pytest.raises(InputError, match=message):
        features_of_table(pl.DataFrame(table))

"""The blend on one fold of artists, with a planted taste that the content tells."""

from pathlib import Path

import numpy as np

from deepcuts.artifacts import Features, Plays
from deepcuts.data import SplitSettings, make_split
from deepcuts.factors import WmfSettings
from deepcuts.lab.artists_blend import blend_of_fold
from deepcuts.predict.stack import StackSettings


def test_sound_and_plays_are_blended_for_several_sizes_and_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    liked = rng.random((150, 125)) < np.where(np.arange(150)[:, None] % 2 == np.arange(125)[None] % 2, 0.4, 0.05)
    user, song = np.nonzero(liked)
    plays = Plays.from_pairs([f"u{i}" for i in user], [f"s{i:03d}" for i in song], np.full(len(user), 50.0))
    numbers = np.column_stack([np.arange(125) % 2 + rng.normal(0, 0.4, 125), rng.normal(size=125)]).astype(np.float32)
    features = Features(plays.songs, numbers, np.arange(126), "table", {"one_frame": True})
    split = make_split(plays, SplitSettings(by="song", validation=0.0))
    wmf = WmfSettings(alpha=10.0, epsilon=100.0, regularization=5.0, n_sweeps=4)
    encoder = StackSettings(weight_listeners=30, n_trees=10, n_jobs=1)

    def made() -> list[dict]:
        return blend_of_fold(plays, split, features, wmf, (2, 3), encoder, tmp_path)

    told = made()
    assert [one["k"] for one in told][:3] == [0, 1, 2]
    assert told[0]["blend"] == told[0]["audio"]
    assert told[0]["audio"]["auc"]["mean"] > 0.7
    assert told[-1]["blend"]["auc"]["mean"] > told[0]["plays"]["auc"]["mean"] + 0.2
    began = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert made() == told
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == began

import numpy as np
import pytest

from deepcuts.artifacts import Factors, Plays
from deepcuts.errors import SettingError
from deepcuts.factors import WmfSettings, blocks, fit, fit_sizes


def some_plays() -> Plays:
    rng = np.random.default_rng(0)
    user, song = np.nonzero(rng.random((30, 20)) < 0.3)
    return Plays.from_pairs([f"u{u:02}" for u in user], [f"s{s:02}" for s in song], np.ones(len(user)))


def test_scores_of_joined_factors_are_the_sum_of_the_parts(tmp_path) -> None:
    plays, settings = some_plays(), WmfSettings(n_sweeps=3, regularization=1.0)
    joined = fit_sizes(plays, settings, [2, 5]).factors
    total = np.zeros(plays.shape)
    for size in (2, 5):
        part = fit(plays, WmfSettings(n_factors=size, n_sweeps=3, regularization=1.0)).factors
        total += part.users.vectors @ part.songs.vectors.T
    assert joined.users.vectors @ joined.songs.vectors.T == pytest.approx(total, abs=1e-5)
    assert joined.n_factors == 7
    joined.save(tmp_path / "f")
    assert blocks(Factors.load(tmp_path / "f")) == [slice(0, 2), slice(2, 7)]


def test_factors_of_one_fit_are_one_block() -> None:
    assert blocks(fit(some_plays(), WmfSettings(n_factors=3, n_sweeps=1)).factors) == [slice(0, 3)]


@pytest.mark.parametrize("sizes", [[], [4, 4]])
def test_sizes_must_be_given_each_once(sizes) -> None:
    with pytest.raises(SettingError, match="each once"):
        fit_sizes(some_plays(), WmfSettings(), sizes)

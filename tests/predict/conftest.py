"""Small worlds for the tests of encoders: songs with frames, and factors under the same ids."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from deepcuts.artifacts import Factors, Features, SongFactors, Vocabulary
from deepcuts.predict import ENCODERS, CnnSettings, EncoderSettings, RelevanceSettings, StackSettings, TreesSettings

MakeFeatures = Callable[..., Features]
MakeFactors = Callable[..., Factors]


@pytest.fixture
def make_features() -> MakeFeatures:
    def make(
        songs: Sequence[np.ndarray], ids: Sequence[str] | None = None, kind: str = "logmel", **settings: object
    ) -> Features:
        names = [f"song{i}" for i in range(len(songs))] if ids is None else list(ids)
        starts = np.concatenate([[0], np.cumsum([len(s) for s in songs])]).astype(np.int64)
        return Features(Vocabulary(names), np.concatenate(songs), starts, kind, settings or {"frame_rate": 43.0})

    return make


@pytest.fixture
def make_factors() -> MakeFactors:
    def make(rows: np.ndarray, ids: Sequence[str] | None = None, **more: object) -> Factors:
        names = [f"song{i}" for i in range(len(rows))] if ids is None else list(ids)
        return SongFactors(Vocabulary(names), np.asarray(rows, dtype=np.float32), **more)  # type: ignore[arg-type]

    return make


@pytest.fixture
def world(make_features: MakeFeatures, make_factors: MakeFactors) -> tuple[Features, Factors]:
    """40 songs of 40 to 79 frames in 6 channels; 3 factors that are a linear map of the channel means."""
    rng = np.random.default_rng(7)
    level = rng.normal(size=(40, 6))
    features = make_features([(level[i] + rng.normal(0, 0.3, size=(40 + i, 6))).astype(np.float16) for i in range(40)])
    return features, make_factors(level @ rng.normal(size=(6, 3)))


def small_settings(name: str) -> EncoderSettings:
    if name == "cnn":
        return CnnSettings(width=8, kernel=4, pool=2, dense=16, window=32, n_epochs=8, batch=8, lr=5e-3, device="cpu")
    if name == "trees":
        return TreesSettings(n_trees=12, n_cov=3, n_jobs=1)
    if name == "stack":
        return StackSettings(n_trees=12, n_cov=3, n_jobs=1, target="raw", weight_listeners=0)
    if name == "relevance":
        return RelevanceSettings(target="raw", n_lags=8)
    return ENCODERS[name].settings()


@pytest.fixture(params=sorted(ENCODERS))
def encoder_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def small(encoder_name: str) -> EncoderSettings:
    return small_settings(encoder_name)

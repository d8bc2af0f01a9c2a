"""A useless encoder is told of: held-out songs that are predicted no better than by the mean of all songs."""

import numpy as np
import pytest

from deepcuts.artifacts import Factors, Features, SongFactors, Vocabulary
from deepcuts.predict import ENCODERS, CnnSettings, EncoderSettings, fit_encoder
from deepcuts.predict.linear import LinearSettings
from deepcuts.predict.mlp import MlpSettings

# Half of the songs are held out: among few of them the best of many ridges or epochs is better by mere luck.
NO_BETTER = "when predicting the mean of all songs: no better"
QUICK: dict[str, EncoderSettings] = {
    "linear": LinearSettings(validation=0.5),
    "kernel": ENCODERS["kernel"].settings(),
    "mlp": MlpSettings(validation=0.5, n_hidden=32, n_epochs=60, lr=1e-2, device="cpu"),
    "cnn": CnnSettings(
        validation=0.5, width=8, kernel=4, pool=2, dense=16, window=32, n_epochs=8, batch=8, lr=5e-3, device="cpu"
    ),
}


def world(audible: bool, n: int = 400) -> tuple[Features, Factors]:
    """Songs of 32 frames in 4 channels; factors are their levels, or have nothing to do with them."""
    rng = np.random.default_rng(3)
    level, other = rng.normal(size=(2, n, 4))
    frames = (np.repeat(level, 32, axis=0) + 0.1 * rng.normal(size=(32 * n, 4))).astype(np.float32)
    songs = Vocabulary([f"s{i:03}" for i in range(n)])
    features = Features(songs, frames, 32 * np.arange(n + 1), "logmel", {"frame_rate": 43.0})
    return features, SongFactors(songs, (level if audible else other)[:, :2].astype(np.float32))


@pytest.mark.parametrize("name", QUICK)
def test_factors_that_cannot_be_heard_give_a_warning(name: str, caplog: pytest.LogCaptureFixture) -> None:
    fit_encoder(name, *world(audible=False), QUICK[name])
    told = [one for one in caplog.records if NO_BETTER in one.getMessage()]
    assert [one.levelname for one in told] == ["WARNING"]
    assert ("try --encoder kernel" in told[0].getMessage()) == (name != "kernel")


@pytest.mark.parametrize("name", QUICK)
def test_factors_that_can_be_heard_give_none(name: str, caplog: pytest.LogCaptureFixture) -> None:
    fit_encoder(name, *world(audible=True), QUICK[name])
    assert NO_BETTER not in caplog.text


def test_leaving_one_out_warns_too(caplog: pytest.LogCaptureFixture) -> None:
    fit_encoder("linear", *world(audible=False), LinearSettings(validation=0.0))
    assert NO_BETTER in caplog.text

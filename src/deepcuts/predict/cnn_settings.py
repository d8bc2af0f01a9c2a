"""Settings of the convolutional network, and how many frames its layers leave. Nothing here loads torch."""

from dataclasses import dataclass

from deepcuts.config import require
from deepcuts.errors import SettingError
from deepcuts.predict.targets import NetworkSettings

OPTIMISERS = ("adamw", "sgd")
SCHEDULES = ("onecycle", "cosine", "step", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class CnnSettings(NetworkSettings):
    """Settings of the convolutional network. As in the 2014 blog: optimiser="sgd", lr=0.01, schedule="step".

    Attributes:
        width: channels of every convolution.
        kernel, pool: frames.
        n_layers: convolutions, each with its max-pool.
        dense: width of the hidden dense layer.
        window: frames heard at once; 128 are 3 s of log-mel frames.
        batch_norm: after every convolution.
        global_pool: mean, max and root mean square over time in place of flattening.
        dropout: fraction dropped before each dense layer while learning, never while predicting; in [0, 1).
        n_epochs: visits to every song, each to one random window.
        batch: windows in a step.
        optimiser: "adamw", or "sgd" with Nesterov momentum .9.
        lr: the highest learning rate.
        schedule: how lr changes: "onecycle" (up for 30 %, down along a cosine), "cosine" (down), "step" (a tenth
            after 60 % and again after 85 %), "constant".
        weight_decay: decoupled with adamw, L2 with sgd.
        patience: epochs without a better validation error before stopping; 0 never stops. The best weights are kept.
        precision: of the arithmetic while learning; "auto" is bfloat16 where the processor has it, else float32.
            Weights are float32, and predictions are always made in float32.
        device: "auto" is CUDA where there is one.
        cache_gb: training songs up to this size are read into memory once.
    """

    width: int = 256
    kernel: int = 8
    pool: int = 4
    n_layers: int = 2
    dense: int = 1024
    window: int = 128
    batch_norm: bool = False
    global_pool: bool = False
    dropout: float = 0.0
    n_epochs: int = 20
    batch: int = 128
    optimiser: str = "adamw"
    lr: float = 1e-3
    schedule: str = "onecycle"
    weight_decay: float = 1e-2
    patience: int = 10
    precision: str = "auto"
    device: str = "auto"
    cache_gb: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "kernel", "pool", "n_layers", "dense", "window", "n_epochs", "batch"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("weight_decay", "patience", "cache_gb"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(self.lr > 0, "lr", self.lr, "above 0")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "a fraction from 0 up to, not including, 1")
        for name, allowed in (
            ("optimiser", OPTIMISERS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
            ("device", DEVICES),
        ):
            require(getattr(self, name) in allowed, name, getattr(self, name), " or ".join(map(repr, allowed)))
        frames_left(self)


def frames_left(settings: CnnSettings) -> int:
    """Frames after all layers: each turns t into floor((t - kernel + 1) / pool).

    Raises:
        SettingError: nothing is left; the window is too short for the layers.
    """
    frames = settings.window
    for layer in range(1, settings.n_layers + 1):
        frames = (frames - settings.kernel + 1) // settings.pool
        if frames < 1:
            raise SettingError(
                f"window = {settings.window}, kernel = {settings.kernel}, pool = {settings.pool}: no frame is left "
                f"after layer {layer} of {settings.n_layers}. Widen the window, or lower kernel, pool or n_layers."
            )
    return frames


def frames_heard(settings: CnnSettings) -> int:
    """The first frames of a window, which reach the output: a pool drops frames at the end that do not fill it.

    Of 128 frames the paper's network hears 115. All with batch norm, whose statistics are of all frames.
    """
    if settings.batch_norm:
        return settings.window
    frames = frames_left(settings)
    for _ in range(settings.n_layers):
        frames = frames * settings.pool + settings.kernel - 1
    return frames

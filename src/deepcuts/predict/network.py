"""The paper's convolutional network: it convolves over time only, mel bands are its input channels.

    window [n_frames, n_channels] → z-score by channel
      → n_layers times: convolution (width, kernel frames) → [batch norm] → ReLU → max-pool (pool frames)
      → flatten, or mean, max and root mean square over time
      → [dropout] → dense → ReLU → [dropout] → n_factors, linear

Factors have no bounds, so nothing follows the last layer.
Source: van den Oord et al. 2013, section 4.2. Depth and widths are not in the paper: 2 + 2 layers is what Dieleman's
blog says of it (2014), the widths are ours.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from deepcuts.config import require
from deepcuts.errors import SettingError
from deepcuts.predict.conv import ReluMaxPool, TimeConv
from deepcuts.predict.targets import NetworkSettings

OPTIMISERS = ("adamw", "sgd")
SCHEDULES = ("onecycle", "cosine", "step", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")
DEVICES = ("auto", "cpu", "cuda")
AT_ONCE = 16  # windows standardised at a time


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


class Standardise(nn.Module):
    """Windows [n, n_frames, n_channels] of any float type → z-scores [n, n_channels, n_heard] float32.

    Where the CPU learns in bfloat16 they are rounded to it at once, as the convolution would do: a few windows at a
    time, so that their float32 form stays in the cache.

    Args:
        mean, scale: of the channels [n_channels].
        n_heard: the first frames of a window, which go further; the network does not hear the others.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, mean: np.ndarray, scale: np.ndarray, n_heard: int) -> None:
        super().__init__()
        self.n_heard = n_heard
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Standardise, in one walk; turn time last: in the answer's shape, not in memory."""
        heard, shift, factor = windows[:, : self.n_heard], -self.mean / self.scale, 1 / self.scale
        if heard.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return torch.addcmul(shift, heard, factor).transpose(1, 2)
        rounded = torch.empty(heard.shape, dtype=torch.get_autocast_dtype("cpu"))
        for part, whole in zip(rounded.split(AT_ONCE), heard.split(AT_ONCE), strict=True):
            part.copy_(torch.addcmul(shift, whole, factor))
        return rounded.transpose(1, 2)


class PoolOverTime(nn.Module):
    """[n, width, n_frames] → [n, 3 * width]: mean, max and root mean square over time (Dieleman's blog, 2014)."""

    def forward(self, heard: torch.Tensor) -> torch.Tensor:
        """Pool; the root stays differentiable at 0."""
        heard = heard.float()
        root = (heard.square().mean(dim=2) + 1e-8).sqrt()
        return torch.cat([heard.mean(dim=2), heard.amax(dim=2), root], dim=1)


def build_network(settings: CnnSettings, mean: np.ndarray, scale: np.ndarray, n_factors: int) -> nn.Sequential:
    """The network with fresh weights, drawn from torch's current random state.

    Args:
        mean, scale: of the input channels [n_channels].
    """
    layers: list[nn.Module] = [Standardise(mean, scale, frames_heard(settings))]
    n_in = len(mean)
    for _ in range(settings.n_layers):
        layers.append(TimeConv(n_in, settings.width, settings.kernel))
        if settings.batch_norm:
            layers.append(nn.BatchNorm1d(settings.width))
        layers += [ReluMaxPool(settings.pool), nn.Identity()]  # the second has its place in saved networks
        n_in = settings.width
    layers.append(PoolOverTime() if settings.global_pool else nn.Flatten())
    n_heard = settings.width * (3 if settings.global_pool else frames_left(settings))
    layers += [nn.Dropout(settings.dropout), nn.Linear(n_heard, settings.dense), nn.ReLU()]
    layers += [nn.Dropout(settings.dropout), nn.Linear(settings.dense, n_factors)]
    return nn.Sequential(*layers)

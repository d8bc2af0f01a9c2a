"""The paper's convolutional network: it convolves over time only, mel bands are its input channels.

    window [n_frames, n_channels] → z-score by channel
      → n_layers times: convolution (width, kernel frames) → [batch norm] → ReLU → max-pool (pool frames)
      → flatten, or mean, max and root mean square over time
      → [dropout] → dense → ReLU → [dropout] → n_factors, linear

Factors have no bounds, so nothing follows the last layer.
Source: van den Oord et al. 2013, section 4.2. Depth and widths are not in the paper: 2 + 2 layers is what Dieleman's
blog says of it (2014), the widths are ours.
"""

import numpy as np
import torch
from torch import nn

from deepcuts.predict.cnn_settings import CnnSettings, frames_heard, frames_left
from deepcuts.predict.conv import ReluMaxPool, TimeConv

AT_ONCE = 16  # windows standardised at a time


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

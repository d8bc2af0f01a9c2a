"""Convolution over time at the speed of a matrix product on the CPU; elsewhere torch's own.

torch's conv1d first turns its input so that time lies last. Log-mel frames come with their channels last, and oneDNN
is fastest in that order, but knows it only for images: so windows become images of height 1, or several windows the
rows of one image, which the kernel of height 1 keeps apart. The answers have the shapes of torch's and lie in memory
with channels last, so nothing is turned between the layers.
"""

import torch
from torch import nn

SHORT = 64  # frames: shorter windows do not fill oneDNN's blocks, so some are stacked
STACK = 16  # windows at most in one image, where they are short


class TimeConv(nn.Conv1d):
    """nn.Conv1d of stride 1 without padding: the same weights by name and shape, the same answers up to rounding."""

    def forward(self, heard: torch.Tensor) -> torch.Tensor:
        """[n, n_in, n_frames] → [n, n_out, n_frames - kernel + 1]; channels last in memory on the CPU.

        Args:
            heard: copied unless its channels lie last in memory.
        """
        if heard.device.type != "cpu":
            return super().forward(heard)
        n, n_in, n_frames = heard.shape
        rows = stack_of(n, n_frames)
        images = heard.transpose(1, 2).contiguous().view(n // rows, rows, n_frames, n_in).permute(0, 3, 1, 2)
        # turned and rounded in one pass: left to themselves, autocast and oneDNN take two, forward and backward
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else self.weight.dtype
        weight = self.weight.unsqueeze(2).to(kind, memory_format=torch.channels_last)
        seen = nn.functional.conv2d(images, weight, self.bias)
        return seen.permute(0, 2, 3, 1).reshape(n, -1, self.out_channels).transpose(1, 2)


def stack_of(n: int, n_frames: int) -> int:
    """How many of n windows are the rows of one image: a divisor of n."""
    if n_frames >= SHORT:
        return 1
    most = max(rows for rows in range(1, STACK + 1) if n % rows == 0)
    return most if most > 1 else n


class ReluMaxPool(nn.Module):
    """The greatest of every `size` frames, then ReLU: the same as ReLU first, on fewer frames.

    Args:
        size: frames that become one; frames at the end that do not fill it are dropped.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, heard: torch.Tensor) -> torch.Tensor:
        """[n, width, n_frames] → [n, width, n_frames // size]."""
        return nn.functional.relu(nn.functional.max_pool1d(heard, self.size))

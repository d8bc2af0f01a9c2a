"""Convolution and max-pooling over time at the speed of a matrix product on the CPU; elsewhere torch's own.

torch's conv1d first turns its input so that time lies last. Log-mel frames come with their channels last, and oneDNN
is fastest in that order, but knows it only for images: so windows become images of height 1, or several windows the
rows of one image, which the kernel of height 1 keeps apart. The answers have the shapes of torch's and lie in memory
with channels last, so nothing is turned between the layers.
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepcuts.kernels import native

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
    """ReLU, then the greatest of every `size` frames; learning overwrites the frames with their gradient.

    So neither indices nor a second array of the size of the frames are kept. That asks for a layer before it that
    does not look at its own answer again, such as a convolution, and allows one `backward`.

    Args:
        size: frames that become one; frames at the end that do not fill it are dropped.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, heard: torch.Tensor) -> torch.Tensor:
        """[n, width, n_frames] → [n, width, n_frames // size]."""
        frames = heard.transpose(1, 2)
        suits = frames.is_contiguous() and frames.shape[1] % self.size == 0 and len(frames)
        known = heard.device.type == "cpu" and heard.dtype in (torch.float32, torch.bfloat16)
        if suits and known and native.loop("_maxpool"):
            pooled: torch.Tensor = _ReluMaxPool.apply(frames, self.size)
            return pooled.transpose(1, 2)
        return nn.functional.relu(nn.functional.max_pool1d(heard, self.size))  # the same as ReLU first, on fewer frames


class _ReluMaxPool(torch.autograd.Function):
    """Frames [n, n_frames, width] → [n, n_frames / size, width], by the C loop."""

    @staticmethod
    def forward(ctx: Any, frames: torch.Tensor, size: int) -> torch.Tensor:
        n, n_frames, width = frames.shape
        pooled = frames.new_empty((n, n_frames // size, width))
        over_rows("largest", frames, pooled)
        ctx.frames = frames.detach()
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        frames, ctx.frames = ctx.frames, None
        if frames is None:
            raise RuntimeError("ReluMaxPool: backward was called twice; the frames hold their gradient by now")
        over_rows("give_back", frames, gradient.contiguous())
        return frames, None


def over_rows(name: str, frames: torch.Tensor, pooled: torch.Tensor) -> None:
    """Run a loop of _maxpool.c over all pooled frames, by torch's own threads where they can be reached."""
    module = native.loop("_maxpool")
    assert module is not None
    kind = torch.int16 if frames.dtype == torch.bfloat16 else frames.dtype  # NumPy has no bfloat16
    arrays = [part.detach().view(kind).flatten(0, 1).numpy() for part in (frames, pooled)]
    work = getattr(module, name)
    work(*arrays, 0, len(arrays[1]), len(module.instructions()) - 1, *crew(), torch.get_num_threads())


@cache
def crew() -> tuple[int, int, int]:
    """Where the functions lie that share work out among torch's threads; zeros where torch brought no libgomp.

    Threads of our own would have to wait for torch's, which go on spinning for a while after a convolution: two of
    them took longer than one.
    """
    path = Path(torch.__file__).parent / "lib" / "libgomp.so.1"
    if not path.exists():
        return (0, 0, 0)
    library = ctypes.CDLL(str(path))  # the copy that torch has loaded
    names = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
    first, second, third = (ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in names)
    return (first, second, third)

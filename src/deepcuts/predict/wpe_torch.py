"""The weighted prediction error (eq. 5) and its slope in torch, for networks that make it small; see `wpe`."""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

# Floats of users gathered for their plays at a time: what a processor's cache holds; a quarter of a gigabyte on CUDA.
FLOATS_AT_ONCE = {"cpu": 2**18, "cuda": 2**26}


def errors_and_slopes(
    songs: torch.Tensor,
    users: torch.Tensor,
    gram: torch.Tensor,
    owner: torch.Tensor,
    listener: torch.Tensor,
    surplus: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """E and ∇E of every song, on any device, in the precision of `songs`.

    Args:
        songs: y [n_songs, n_factors].
        users: X [n_users, n_factors], of any precision: only those who listened are converted, a few at a time.
        gram: XᵀX [n_factors, n_factors].
        owner: the song of each play [n_plays], positions in `songs`.
        listener: the user of each play [n_plays], positions in `users`.
        surplus: s = c - 1 of each play [n_plays].
    Returns:
        E [n_songs] and ∇E [n_songs, n_factors].
    """
    across = songs @ gram
    errors, slopes = (across * songs).sum(dim=1), 2 * across
    step = max(1, FLOATS_AT_ONCE[songs.device.type] // users.shape[1])
    for begin in range(0, len(owner), step):
        of, s = owner[begin : begin + step], surplus[begin : begin + step]
        x = users.index_select(0, listener[begin : begin + step]).to(songs.dtype)
        z = (x * songs.index_select(0, of)).sum(dim=1)
        errors.index_add_(0, of, s * (1 - z).square() + 1 - 2 * z)
        slopes.index_add_(0, of, x.mul_((2 * (s * z - 1 - s))[:, None]))
    return errors, slopes


class _Errors(torch.autograd.Function):
    """E with its own gradient: autograd would keep a row of X for every play until the way back."""

    @staticmethod
    def forward(ctx: Any, songs: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        errors, slopes = errors_and_slopes(songs, *others)
        ctx.save_for_backward(slopes)
        return errors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (slopes,) = ctx.saved_tensors
        return upstream[:, None] * slopes, None, None, None, None, None


def weighted_errors(
    songs: torch.Tensor,
    users: torch.Tensor,
    gram: torch.Tensor,
    owner: torch.Tensor,
    listener: torch.Tensor,
    surplus: torch.Tensor,
) -> torch.Tensor:
    """E of every song [n_songs], differentiable once in `songs`; arguments as for `errors_and_slopes`."""
    errors: torch.Tensor = _Errors.apply(songs, users, gram, owner, listener, surplus)
    return errors

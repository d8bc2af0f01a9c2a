"""Scores and places on any device that torch knows: the same counting as `places.py`, a few pairs against all songs."""

import threading

import numpy as np
import torch

from deepcuts.errors import InputError
from deepcuts.kernels.device import pick_device

FLOATS_AT_ONCE = 2**25  # compared at a time


class TorchScores:
    """Scores of users for songs, float32 on a device.

    Args:
        songs: [n_songs, d].
        place: [n_songs], a permutation: the place of each song among songs of equal score.
        device: such as "cuda".
    Raises:
        SettingError: the device is not there.
    """

    def __init__(self, songs: np.ndarray, place: np.ndarray, device: str) -> None:
        on = pick_device(device)
        self.songs = torch.from_numpy(np.ascontiguousarray(songs, np.float32)).to(on)
        self.place = torch.from_numpy(np.asarray(place, np.int32)).to(on)

    def score(self, users: np.ndarray) -> torch.Tensor:
        """Scores of users [n_users, d] for all songs [n_users, n_songs], on the device, in full float32 (no TF32).

        Raises:
            InputError: a score is NaN or infinite.
        """
        rows = torch.from_numpy(np.ascontiguousarray(users, np.float32)).to(self.songs.device)
        scores = in_full_precision(rows, self.songs.T)
        if not torch.isfinite(scores.sum()) and not torch.isfinite(scores).all():
            raise InputError("scores: not all are finite. Look for zero-norm vectors or a diverged fit upstream.")
        return scores

    def count_places(self, scores: torch.Tensor, start: np.ndarray, song: np.ndarray) -> np.ndarray:
        """As `places.count_places`: int64 [3, n_pairs], rank, greater and equal."""
        device = self.songs.device
        user = torch.from_numpy(np.repeat(np.arange(len(start) - 1), np.diff(start))).to(device)
        own_song = torch.from_numpy(np.asarray(song, np.int64)).to(device)
        found = torch.empty((3, len(song)), dtype=torch.int64, device=device)
        step = max(1, FLOATS_AT_ONCE // scores.shape[1])
        for first in range(0, len(song), step):
            pairs = slice(first, first + step)
            line, own = scores[user[pairs]], own_song[pairs]
            score = line.gather(1, own[:, None])
            same = line == score
            greater = (line > score).sum(dim=1)
            before = (same & (self.place < self.place[own][:, None])).sum(dim=1)
            found[:, pairs] = torch.stack([greater + before, greater, same.sum(dim=1)])
        return found.cpu().numpy()


_changing_precision = threading.Lock()  # it is one switch for the whole process


def in_full_precision(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The product of two matrices without TF32, whatever the process allows; its own setting is put back."""
    with _changing_precision:
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            return a @ b
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before

"""Where torch computes."""

import torch

from deepcuts.errors import SettingError


def pick_device(device: str) -> torch.device:
    """The device that a setting means: "cpu", "cuda", or "auto" for CUDA where it is there.

    Raises:
        SettingError: CUDA is asked for and not there.
    """
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise SettingError("device = 'cuda': this machine has none that torch can use. Set device='cpu'.")
    return torch.device("cuda" if device == "cuda" or (device == "auto" and there) else "cpu")

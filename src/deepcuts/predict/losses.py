"""What the network makes small. A loss is one function and one line in LOSSES."""

from collections.abc import Callable

import torch

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def weighted_mse(predicted: torch.Tensor, target: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean squared error a factor: sum_i w_i |y_i - y'_i|² / (n_factors * sum_i w_i).

    Args:
        predicted, target: [n_songs, n_factors].
        weights: [n_songs], 0 or more, not all 0.
    Source: van den Oord et al. 2013, eq. 4 (there all w_i = 1).
    """
    error = (predicted - target).square().mean(dim=1)
    return (weights * error).sum() / weights.sum()


LOSSES: dict[str, Loss] = {"mse": weighted_mse}

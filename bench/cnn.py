"""A training step of the paper's network against the machine's own matrix product, in float32 and bfloat16.

    OMP_NUM_THREADS=2 python bench/cnn.py

Floating-point work a window, counted once a multiplication and once an addition, of the frames that reach the output:

    2 · [ 2 · t₁ · kernel · n_channels · width + 3 · Σ_{l > 1} t_l · kernel · width² + 3 · (dense layers' weights) ]

t_l is the number of frames after convolution l that a pool passes on. 3 products a layer: the answer, the gradient by
the weights, and that by the input, which the first layer is not asked for. Pools, ReLU, z-scores, the loss and the
optimiser count as no work, but their time counts. Theirs is the time of that work at the rate of torch's product of
two square matrices of 2,048, measured in turn with our steps.
"""

import dataclasses

import numpy as np
import torch
from torch import nn

from deepcuts.predict.cnn_settings import CnnSettings, frames_heard, frames_left
from deepcuts.predict.conv import ReluMaxPool, TimeConv
from deepcuts.predict.losses import Mse
from deepcuts.predict.network import build_network
from deepcuts.predict.train import make_optimiser, step
from sides import Row, alternate, main, row, threads

N_CHANNELS, N_FACTORS = 128, 50
SQUARE = 2048
LIMITS = {"float32": (1 / 0.60, 1 / 0.75), "bfloat16": (1 / 0.50, 1 / 0.60)}  # must and aim, shares as inverses
NEAR = {"float32": 1e-4, "bfloat16": 2e-2}  # the answers' root mean square error against torch's layers


def work_of_window(settings: CnnSettings) -> int:
    """Floating-point operations of a training step, by window."""
    n_left = frames_left(settings)
    after = n_left
    convolutions = 0
    for layer in reversed(range(settings.n_layers)):
        after *= settings.pool
        n_in, n_products = (settings.width, 3) if layer else (N_CHANNELS, 2)
        convolutions += n_products * after * settings.kernel * n_in * settings.width
        after += settings.kernel - 1
    dense = n_left * settings.width * settings.dense + settings.dense * N_FACTORS
    return 2 * (convolutions + 3 * dense)


def made_batch(settings: CnnSettings) -> tuple[torch.Tensor, ...]:
    """Windows as they are read, weights and targets."""
    rng = np.random.default_rng(0)
    windows = rng.standard_normal((settings.batch, frames_heard(settings), N_CHANNELS)).astype(np.float16)
    targets = rng.standard_normal((settings.batch, N_FACTORS)).astype(np.float32)
    return torch.from_numpy(windows), torch.ones(settings.batch), torch.from_numpy(targets)


def away_from_torch(network: nn.Sequential, windows: torch.Tensor, precision: str) -> float:
    """Error of our layers' answers against torch's conv1d and max_pool1d in float32, as a share of their size."""
    own: list[nn.Module] = []
    for layer in network:
        if isinstance(layer, TimeConv):
            own.append(nn.Conv1d(layer.in_channels, layer.out_channels, layer.kernel_size[0]))
            own[-1].load_state_dict(layer.state_dict())
        elif isinstance(layer, ReluMaxPool):
            own += [nn.ReLU(), nn.MaxPool1d(layer.size)]
        else:
            own.append(layer)
    with torch.inference_mode():
        expected = nn.Sequential(*own)(windows)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            found = network(windows).float()
    return float((found - expected).norm() / expected.norm())


def compare(settings: CnnSettings, repeats: int) -> Row:
    """One row: seconds a window."""
    torch.manual_seed(0)
    network = build_network(settings, np.zeros(N_CHANNELS), np.ones(N_CHANNELS), N_FACTORS)
    batch = made_batch(settings)
    away = away_from_torch(network, batch[0], settings.precision)
    if away > NEAR[settings.precision]:
        raise AssertionError(f"{settings.precision}: the answers are {away:.1e} away from torch's")
    optimiser, objective = make_optimiser(network, settings), Mse(N_FACTORS)
    network.train()
    square = torch.randn(SQUARE, SQUARE).to(getattr(torch, settings.precision))
    n_products = max(1, round(settings.batch * work_of_window(settings) / (2 * SQUARE**3)))  # about as long as a step
    steps, products = alternate(
        lambda: step(network, optimiser, objective, batch, settings, settings.lr),
        lambda: [square @ square for _ in range(n_products)],
        repeats,
    )
    must, aim = LIMITS[settings.precision]
    work = work_of_window(settings)
    at_peak = [seconds * work / (n_products * 2 * SQUARE**3) for seconds in products]
    return row(
        f"training step, {settings.window} frames x {N_CHANNELS}, batch {settings.batch}, {settings.precision}",
        [seconds / settings.batch for seconds in steps],
        at_peak,
        against=f"its work at the rate of torch {torch.__version__}'s matrix product",
        must=must,
        aim=aim,
        unit="s a window",
        note=f"{work / 1e6:.0f} MFLOP a window; answers {away:.0e} away from torch's own layers",
    )


def measure(quick: bool) -> list[Row]:
    torch.set_num_threads(threads())
    windows = (128,) if quick else (128, 599)
    given = [
        dataclasses.replace(CnnSettings(), window=window, precision=precision)
        for window in windows
        for precision in LIMITS
    ]
    return [compare(settings, 7 if quick else 15) for settings in given]


if __name__ == "__main__":
    main(measure, __doc__)

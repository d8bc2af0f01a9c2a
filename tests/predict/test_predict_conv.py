"""The network's own convolution and pooling against torch's, layer by layer and whole."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from deepcuts.predict import CnnSettings
from deepcuts.predict.cnn_settings import frames_heard
from deepcuts.predict.conv import ReluMaxPool, TimeConv, stack_of
from deepcuts.predict.losses import Mse
from deepcuts.predict.network import Standardise, build_network
from deepcuts.predict.train import step

SMALL = CnnSettings(width=20, kernel=4, pool=3, dense=16, window=50, device="cpu", precision="float32")


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def channels_last(seed: int, n: int, n_channels: int, n_frames: int) -> torch.Tensor:
    return drawn(seed, n, n_frames, n_channels).transpose(1, 2)


def like_torch(network: nn.Module) -> nn.Sequential:
    """The same network of torch's own layers, with the same weights."""
    layers = []
    for layer in network:
        if isinstance(layer, TimeConv):
            own = nn.Conv1d(layer.in_channels, layer.out_channels, layer.kernel_size[0])
            own.load_state_dict(layer.state_dict())
            layers.append(own)
        elif isinstance(layer, ReluMaxPool):
            layers.append(nn.Sequential(nn.ReLU(), nn.MaxPool1d(layer.size)))
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 33), st.integers(1, 33), st.integers(1, 9), st.integers(0, 80), st.booleans())
def test_the_convolution_is_torchs_with_its_gradients(n, n_in, n_out, kernel, more, last):
    heard = channels_last(0, n, n_in, kernel + more) if last else drawn(0, n, n_in, kernel + more)
    torch.manual_seed(n)
    ours = TimeConv(n_in, n_out, kernel)
    answers = []
    for convolve in (ours, lambda x: nn.functional.conv1d(x, ours.weight, ours.bias)):
        given_ = heard.clone().requires_grad_()
        ours.zero_grad()
        answer = convolve(given_)
        (answer * drawn(1, *answer.shape)).sum().backward()
        answers.append([answer.detach(), given_.grad, ours.weight.grad.clone(), ours.bias.grad.clone()])
    for here, there in zip(*answers, strict=True):
        assert here.shape == there.shape
        torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-4 * float(there.abs().max()) + 1e-5)


def test_windows_stacked_in_an_image_leave_none_over():
    assert all(n % stack_of(n, 20) == 0 for n in range(1, 300))
    assert stack_of(128, 20) == 16
    assert stack_of(125, 20) == 5
    assert stack_of(127, 20) == 127
    assert stack_of(128, 500) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 40),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(0, 1),
    st.sampled_from([torch.float32, torch.bfloat16]),
    st.booleans(),
)
def test_the_pool_is_torchs_with_its_gradient_also_among_equals(n, width, n_rows, size, over, kind, equals):
    heard = channels_last(n, n, width, n_rows * size + min(over, size - 1)).to(kind)
    heard = heard.round() if equals else heard
    answers = []
    for pool in (ReluMaxPool(size), lambda x: nn.functional.max_pool1d(nn.functional.relu(x), size)):
        given_ = heard.clone().requires_grad_()
        answer = pool(given_ * 1)
        (answer * drawn(2, *answer.shape).to(kind)).sum().backward()
        answers.append((answer.detach(), given_.grad))
    for here, there in zip(*answers, strict=True):
        assert torch.equal(here, there)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_what_is_not_a_number_is_not_lost_in_the_pool(at):
    heard = torch.ones(1, 3, 17)
    heard[0, at, 5] = np.nan
    pooled = ReluMaxPool(3)(heard.transpose(1, 2))
    assert torch.isnan(pooled).nonzero().tolist() == [[0, 5, 0]]


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("n", [1, 7, 16])
def test_the_network_is_that_of_torchs_layers_with_its_gradients(batch_norm, n):
    torch.manual_seed(n)
    chosen = dataclasses.replace(SMALL, batch_norm=batch_norm, kernel=5, window=57)
    network = build_network(chosen, np.zeros(6), np.ones(6), 3)
    windows, own = drawn(0, n, 57, 6), like_torch(network)
    answers, slopes = [], []
    for one in (network, own):
        one.zero_grad()
        answers.append(one(windows))
        (answers[-1] * drawn(1, n, 3)).sum().backward()
        slopes.append([weight.grad.clone() for weight in one.parameters()])
    torch.testing.assert_close(answers[0], answers[1], rtol=1e-4, atol=1e-5)
    largest = max(float(slope.abs().max()) for slope in slopes[1])  # batch norm leaves no slope by a bias before it
    for here, there in zip(*slopes, strict=True):
        torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-4 * largest)


def test_only_the_frames_that_reach_the_output_are_heard():
    # 5 frames of the second pool are 20 before it, 27 before the convolution, 108 before the first pool, 115 at first
    assert frames_heard(CnnSettings()) == 115
    assert frames_heard(CnnSettings(batch_norm=True)) == 128
    network = build_network(SMALL, np.zeros(6), np.ones(6), 3)
    windows = drawn(0, 4, 50, 6)
    heard = frames_heard(SMALL)
    assert heard < 50
    others = windows.clone()
    others[:, heard:] = 1e3
    assert torch.equal(network(windows), network(others))
    assert torch.equal(network(windows), network(windows[:, :heard]))
    others[:, heard - 1] = 1e3
    assert not torch.equal(network(windows), network(others))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_saved_networks_keep_their_names(batch_norm):
    network = build_network(dataclasses.replace(SMALL, batch_norm=batch_norm), np.zeros(6), np.ones(6), 3)
    at = (1, 5, 11, 14) if batch_norm else (1, 4, 9, 12)
    weights = {f"{layer}.{part}" for layer, part in itertools.product(at, ("weight", "bias"))}
    assert weights | {"0.mean", "0.scale"} <= set(network.state_dict())
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert shapes[f"{at[0]}.weight"] == (20, 6, 4)
    assert shapes[f"{at[1]}.weight"] == (20, 20, 4)


def test_a_gradient_in_bfloat16_points_where_that_in_float32_does():
    batch = (drawn(0, 64, 50, 6), torch.ones(64), drawn(1, 64, 3))
    slopes, errors = [], []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        network = build_network(SMALL, np.zeros(6), np.ones(6), 3)
        optimiser = torch.optim.SGD(network.parameters(), 0.0)
        chosen = dataclasses.replace(SMALL, precision=precision)
        errors.append(float(step(network, optimiser, Mse(3), batch, chosen, 0.0)))
        slopes.append(torch.cat([weight.grad.flatten() for weight in network.parameters()]))
    assert errors[1] == pytest.approx(errors[0], rel=0.01)
    assert float(nn.functional.cosine_similarity(slopes[0], slopes[1], dim=0)) > 0.995
    assert float(slopes[1].norm()) == pytest.approx(float(slopes[0].norm()), rel=0.03)


@pytest.mark.parametrize("n", [1, 16, 37])
def test_z_scores_rounded_a_few_windows_at_a_time_are_those_of_float32_rounded(n):
    windows = torch.randn(n, 20, 5, generator=torch.Generator().manual_seed(n)).half()
    mean, scale = np.linspace(-3, 3, 5), np.linspace(0.5, 4, 5)
    layer = Standardise(mean, scale, 18)
    plain = layer(windows)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = layer(windows)
    assert rounded.dtype == torch.bfloat16
    assert torch.equal(rounded, plain.bfloat16())
    by_hand = (windows[:, :18].double().numpy() - mean) / scale
    np.testing.assert_allclose(plain.numpy(), by_hand.transpose(0, 2, 1), atol=1e-5)

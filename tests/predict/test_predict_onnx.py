"""The ONNX graph of a network says what torch says."""

import dataclasses
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from deepcuts.artifacts import Features, Lineage, Vocabulary
from deepcuts.errors import ArtifactError
from deepcuts.predict import CnnSettings, fit, load_encoder
from deepcuts.predict.cnn import CnnEncoder
from deepcuts.predict.encoder import Provenance
from deepcuts.predict.network import build_network
from deepcuts.predict.onnx_network import GRAPH, OnnxEncoder

N_CHANNELS, N_FACTORS = 6, 5
SHAPES = {
    "the paper's": {},
    "batch norm": {"batch_norm": True},
    "pooled over time": {"global_pool": True},
    "both, with dropout": {"batch_norm": True, "global_pool": True, "dropout": 0.5},
    "one layer": {"n_layers": 1},
    "three layers": {"n_layers": 3, "kernel": 2},
    "a pool that drops frames": {"pool": 3},
    "a pool of one": {"pool": 1},
}


def trained(**changes) -> CnnEncoder:
    """A network with batch statistics as training leaves them, and one channel that never changed."""
    settings = CnnSettings(
        **({"width": 8, "kernel": 4, "pool": 2, "dense": 16, "window": 37, "device": "cpu"} | changes)
    )
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.5, 3, N_CHANNELS)
    scale[2] = np.inf
    network = build_network(settings, rng.normal(0, 3, N_CHANNELS), scale, N_FACTORS)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.BatchNorm1d):
                layer.running_mean.normal_(0, 0.5, generator=generator)
                layer.running_var.uniform_(0.2, 3, generator=generator)
                layer.weight.normal_(1, 0.3, generator=generator)
                layer.bias.normal_(0, 0.3, generator=generator)
    mean = rng.normal(size=N_FACTORS)
    provenance = Provenance(
        "cnn", dataclasses.asdict(settings), "logmel", {"frame_rate": 43.0}, N_CHANNELS, mean, 2.5, Lineage()
    )
    return CnnEncoder(provenance, network, settings.window)


def some_songs() -> Features:
    """Songs shorter than a window, of one window, and of many; one far louder than the others."""
    rng = np.random.default_rng(2)
    lengths = [5, 37, 38, 200, 90]
    frames = rng.normal(0, 3, size=(sum(lengths), N_CHANNELS))
    frames[-90:] *= 30
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = Vocabulary([f"song {at}" for at in range(len(lengths))])
    return Features(ids, frames.astype(np.float16), starts, "logmel", {"frame_rate": 43.0})


@pytest.mark.parametrize("shape", SHAPES)
def test_onnxruntime_and_torch_predict_the_same(shape, tmp_path: Path):
    encoder, features, songs = trained(**SHAPES[shape]), some_songs(), np.array([4, 0, 1, 2, 3])
    encoder.save(tmp_path / "encoder")
    light = load_encoder(tmp_path / "encoder", light=True)
    assert isinstance(light, OnnxEncoder)
    assert light.fingerprint == encoder.fingerprint
    apart = np.abs(light.predict_standardised(features, songs) - encoder.predict_standardised(features, songs))
    assert apart.max() < 1e-4
    np.testing.assert_allclose(light.predict(features, songs), encoder.predict(features, songs), atol=2.5e-4)


def test_the_graph_stands_alone(tmp_path: Path):
    """Any ONNX runtime can read it: windows in, standardised factors out, however many windows."""
    encoder = trained()
    encoder.save(tmp_path / "encoder")
    session = onnxruntime.InferenceSession((tmp_path / "encoder" / GRAPH).read_bytes())
    windows = np.random.default_rng(3).normal(0, 3, size=(3, 37, N_CHANNELS)).astype(np.float32)
    encoder.network.eval()
    with torch.no_grad():
        expected = encoder.network(torch.from_numpy(windows)).numpy()
    np.testing.assert_allclose(session.run(None, {"windows": windows})[0], expected, atol=1e-4)
    np.testing.assert_allclose(session.run(None, {"windows": windows[:1]})[0], expected[:1], atol=1e-4)


def test_an_encoder_saved_before_graphs_were_kept_gets_one_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    encoder, features = trained(), some_songs()
    with monkeypatch.context() as patch:
        patch.setattr(CnnEncoder, "other_forms", lambda self: {})
        encoder.save(tmp_path / "old")
    assert not (tmp_path / "old" / GRAPH).exists()
    light = load_encoder(tmp_path / "old", light=True)
    assert isinstance(light, OnnxEncoder)
    np.testing.assert_allclose(
        light.predict_standardised(features, np.arange(5)),
        encoder.predict_standardised(features, np.arange(5)),
        atol=1e-4,
    )


def test_saving_the_light_form_gives_the_same_folder(tmp_path: Path):
    trained().save(tmp_path / "encoder")
    load_encoder(tmp_path / "encoder", light=True).save(tmp_path / "again")
    for name in (GRAPH, "weights.safetensors"):
        assert (tmp_path / "encoder" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_graph_that_was_changed_is_noticed(tmp_path: Path):
    trained().save(tmp_path / "encoder")
    path = tmp_path / "encoder" / GRAPH
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match=r"network\.onnx: does not match its hash"):
        load_encoder(tmp_path / "encoder", light=True)


def test_without_the_package_onnx_no_graph_is_saved_and_torch_goes_on(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("deepcuts.predict.onnx_network.is_installed", lambda name: name != "onnx")
    trained().save(tmp_path / "encoder")
    assert "pip install 'deepcuts[torch]'" in caplog.text
    assert not (tmp_path / "encoder" / GRAPH).exists()
    assert isinstance(load_encoder(tmp_path / "encoder", light=True), CnnEncoder)


def test_without_torch_an_encoder_loads_in_its_light_form(tmp_path, monkeypatch):
    trained().save(tmp_path / "encoder")
    monkeypatch.setattr(fit, "is_installed", lambda name: False)
    assert isinstance(load_encoder(tmp_path / "encoder"), OnnxEncoder)

"""The convolutional network as an ONNX graph, and onnxruntime to let it predict: no torch is loaded.

    windows [n, window, n_channels] float32  →  standardised factors [n, n_factors] float32

The graph is written from the saved arrays, layer by layer as `network.build_network` stacks them, and lies beside them
as network.onnx; a song's prediction is target_mean + target_scale · the mean over its windows. Dropout is left out.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts.artifacts import Features
from deepcuts.checks import is_installed
from deepcuts.errors import ArtifactError
from deepcuts.kernels.native import default_threads
from deepcuts.predict.cnn_settings import CnnSettings, frames_heard
from deepcuts.predict.encoder import Encoder, Provenance
from deepcuts.predict.windows import mean_over_windows
from deepcuts.store import read_meta

log = logging.getLogger(__name__)

GRAPH = "network.onnx"
OPSET, IR_VERSION = 17, 8  # old enough for runtimes of 2022
BATCH_NORM_EPSILON = 1e-5  # of torch.nn.BatchNorm1d
POOL_EPSILON = 1e-8  # of network.PoolOverTime


def can_run(folder: Path) -> bool:
    """Whether onnxruntime can predict for the encoder in a folder: its graph is there, or can be made."""
    return is_installed("onnxruntime") and (_holds_graph(folder) or is_installed("onnx"))


def _holds_graph(folder: Path) -> bool:
    """Whether the graph is part of the encoder: a file that its meta.json does not list is not."""
    return GRAPH in read_meta(folder, "encoder", verify=False).files


def graph_file(provenance: Provenance, arrays: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """The graph of a network by the name of its file; none, and a warning, where the package onnx is missing."""
    if not is_installed("onnx"):
        log.warning("the package onnx is missing, so this encoder predicts only where torch is. "
                    "Install it with: pip install 'deepcuts[torch]'")  # fmt: skip
        return {}
    return {GRAPH: graph_of(provenance, arrays)}


@dataclass(frozen=True, eq=False)
class OnnxEncoder(Encoder):
    """A trained network in onnxruntime; a song's prediction is the mean over its consecutive windows.

    Attributes:
        session: an onnxruntime.InferenceSession.
        window: frames heard at once.
        learned: all arrays, as torch names them.
    """

    session: Any
    window: int
    learned: dict[str, np.ndarray]

    def predict_standardised(self, features: Features, songs: np.ndarray) -> np.ndarray:
        """Standardised predictions [n_songs, n_factors] float64."""

        def answer(windows: np.ndarray) -> np.ndarray:
            found: np.ndarray = self.session.run(None, {"windows": windows})[0]
            return found

        return mean_over_windows(features, songs, self.window, answer, lambda one: one.astype(np.float32, copy=False))

    def arrays(self) -> dict[str, np.ndarray]:
        """What was learned, by name."""
        return self.learned

    def other_forms(self) -> dict[str, bytes]:
        """The graph, made again."""
        return graph_file(self.provenance, self.learned)


def build_onnx(provenance: Provenance, arrays: dict[str, np.ndarray], folder: Path) -> OnnxEncoder:
    """The encoder in a folder, ready to predict on the CPU; where an older folder holds no graph, it is made in memory.

    Raises:
        ArtifactError: onnxruntime cannot read the graph.
    """
    import onnxruntime

    path = folder / GRAPH
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = default_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores to others
    content = path.read_bytes() if _holds_graph(folder) else graph_of(provenance, arrays)
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except RuntimeError as error:
        raise ArtifactError(f"{path}: onnxruntime cannot read it ({error}). Save the encoder again.") from error
    return OnnxEncoder(provenance, session, CnnSettings(**provenance.settings).window, arrays)


def graph_of(provenance: Provenance, arrays: Mapping[str, np.ndarray]) -> bytes:
    """The network as the bytes of an ONNX file.

    Args:
        arrays: learned, by torch's names: "4.weight" belongs to the layer at place 4.
    """
    settings = CnnSettings(**provenance.settings)
    graph = _Graph(arrays)
    last, place = graph.standardised(frames_heard(settings)), 1
    for _ in range(settings.n_layers):
        last = graph.add("Conv", last, f"{place}.weight", f"{place}.bias")
        if settings.batch_norm:
            place += 1
            names = [f"{place}.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
            last = graph.add("BatchNormalization", last, *names, epsilon=BATCH_NORM_EPSILON)
        last = graph.add("Relu", last)
        last = graph.add("MaxPool", last, kernel_shape=[settings.pool], strides=[settings.pool])
        place += 3  # the convolution or norm, the pool and an empty layer
    last = graph.pooled_over_time(last) if settings.global_pool else graph.add("Flatten", last, axis=1)
    for layer in (place + 2, place + 5):  # after pooling and dropout; after ReLU and dropout
        last = graph.add("Gemm", last, f"{layer}.weight", f"{layer}.bias", transB=1)
        last = graph.add("Relu", last) if layer == place + 2 else last
    return graph.content(last, [settings.window, provenance.n_channels], provenance.n_factors)


class _Graph:
    """Nodes and constants, as they are added."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays, self.nodes, self.constants = arrays, [], {}  # type: ignore[var-annotated]

    def constant(self, name: str, array: Any, kind: type = np.float32) -> str:
        self.constants[name] = np.asarray(array, kind)
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node; returns the name of what it gives. Inputs that are names of learned arrays become constants."""
        from onnx import helper

        for name in inputs:
            if name in self.arrays:
                self.constant(name, self.arrays[name])
        output = f"{kind} {len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def standardised(self, n_heard: int) -> str:
        """The frames that are heard, z-scored by channel, time last."""
        mean, scale = (self.arrays[f"0.{name}"].astype(np.float32) for name in ("mean", "scale"))
        bounds = [self.constant(name, [at], np.int64) for name, at in (("from", 0), ("to", n_heard), ("frames", 1))]
        last = self.add("Slice", "windows", *bounds)
        last = self.add("Mul", last, self.constant("factor", 1 / scale))
        last = self.add("Add", last, self.constant("shift", -mean / scale))
        return self.add("Transpose", last, perm=[0, 2, 1])

    def pooled_over_time(self, last: str) -> str:
        """Mean, max and root mean square."""
        squares = self.add("ReduceMean", self.add("Mul", last, last), axes=[2], keepdims=0)
        root = self.add("Sqrt", self.add("Add", squares, self.constant("least", POOL_EPSILON)))
        mean = self.add("ReduceMean", last, axes=[2], keepdims=0)
        most = self.add("ReduceMax", last, axes=[2], keepdims=0)
        return self.add("Concat", mean, most, root, axis=1)

    def content(self, last: str, window: list[int], n_factors: int) -> bytes:
        """The file; `last` becomes its answer."""
        from onnx import TensorProto, checker, helper, numpy_helper

        self.nodes.append(helper.make_node("Identity", [last], ["factors"]))
        graph = helper.make_graph(
            self.nodes,
            "deepcuts",
            [helper.make_tensor_value_info("windows", TensorProto.FLOAT, ["n", *window])],
            [helper.make_tensor_value_info("factors", TensorProto.FLOAT, ["n", n_factors])],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        checker.check_model(model)
        return bytes(model.SerializeToString())

"""What `deepcuts tune` may change, and within which bounds: one dict, a line a setting.

A setting that is not here keeps the value of the settings file or the default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Value = int | float | str | bool


@dataclass(frozen=True)
class Span:
    """A number between two bounds, both allowed; whole where both bounds are.

    Attributes:
        low, high: bounds.
        log: even on a logarithmic scale.
    """

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def holds(self, value: Any) -> bool:
        """Whether a value is allowed."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[Value, ...]

    def holds(self, value: Any) -> bool:
        """Whether a value is allowed."""
        return value in self.values


Space = Mapping[str, Span | Choice]

FACTORS: Space = {
    "n_factors": Span(8, 128, log=True),
    "alpha": Span(0.5, 40.0, log=True),
    "epsilon": Span(1e-6, 300.0, log=True),
    "regularization": Span(1.0, 1000.0, log=True),
}
TARGETS: Space = {"target": Choice(("raw", "unit")), "weight_listeners": Choice((0, 30, 100))}
NETWORK: Space = {
    **TARGETS,
    "dropout": Span(0.0, 0.5),
    "lr": Span(1e-4, 1e-2, log=True),
    "weight_decay": Span(1e-4, 1e-1, log=True),
}
# Encoder → its space; a test asks for one of each. Linear and kernel choose ridge and sharpness by themselves.
ENCODERS: Mapping[str, Space] = {
    "linear": {**TARGETS, "standardise": Choice((False, True))},
    "kernel": TARGETS,
    "trees": {**TARGETS, "min_leaf": Span(1, 20, log=True), "max_features": Span(0.1, 1.0)},
    "stack": {**TARGETS, "min_leaf": Span(1, 20, log=True), "max_features": Span(0.1, 1.0), "fame": Span(0.0, 1.5)},
    "relevance": {**TARGETS, "n_lags": Span(12, 96), "n_rounds": Span(0, 5)},
    "mlp": {**NETWORK, "n_hidden": Span(64, 2048, log=True), "batch": Choice((32, 128))},
    "cnn": {**NETWORK, "width": Span(32, 256, log=True), "n_epochs": Span(10, 40),
            "batch_norm": Choice((False, True)), "global_pool": Choice((False, True)), "window": Choice((128, 256))},
}  # fmt: skip


def space_of(encoder: str, most_factors: int) -> dict[str, Span | Choice]:
    """The space of a factorisation and an encoder: keys "factors.NAME" and "ENCODER.NAME".

    Args:
        most_factors: n_factors goes no higher; from 2 on.
    """
    size = FACTORS["n_factors"]
    high = min(int(size.high), most_factors) if isinstance(size, Span) else most_factors
    factors = {**FACTORS, "n_factors": Span(min(8, high), high, log=True)}
    return {f"factors.{name}": one for name, one in factors.items()} | {
        f"{encoder}.{name}": one for name, one in ENCODERS[encoder].items()
    }

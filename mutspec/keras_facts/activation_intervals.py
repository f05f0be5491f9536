"""The values that activations output, and those that they return unchanged, as intervals.

So it is known which activation changes nothing after another: ReLU after ReLU, or after a sigmoid. Checked against
Keras 3.15 by `tests/keras_facts/test_activation_intervals.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any


@dataclass(frozen=True, slots=True)
class Interval:
    """The numbers from a lowest to a highest one."""

    low: float = -inf
    high: float = inf

    def holds(self, other: Interval) -> bool:
        """Returns whether all of another interval is in this one."""
        return self.low <= other.low and other.high <= self.high


ALL = Interval()
_POSITIVE, _UNIT, _BOTH = Interval(0.0), Interval(0.0, 1.0), Interval(-1.0, 1.0)

OUTPUTS: Mapping[str, Interval] = {
    "relu": _POSITIVE,
    "relu6": Interval(0.0, 6.0),
    "elu": Interval(-1.0),
    "celu": Interval(-1.0),
    "hard_tanh": _BOTH,
    "tanh": _BOTH,
    "softsign": _BOTH,
    **dict.fromkeys(("sigmoid", "hard_sigmoid", "sparse_sigmoid", "softmax", "sparsemax"), _UNIT),
    **dict.fromkeys(("softplus", "sparse_plus", "squareplus", "exponential"), _POSITIVE),
    "log_sigmoid": Interval(high=0.0),
    "log_softmax": Interval(high=0.0),
}
"""The values that activations output, by name; any value if there is none."""

UNCHANGED: Mapping[str, Interval] = {
    "linear": ALL,
    "relu6": Interval(0.0, 6.0),
    "hard_tanh": _BOTH,
    **dict.fromkeys(("relu", "elu", "celu", "leaky_relu"), _POSITIVE),
}
"""The values that activations return as they are, by name; none if there is no row."""


def activation_of(config: Mapping[str, Any]) -> str:
    """Returns the name of a layer's activation."""
    value = config.get("activation")
    if isinstance(value, Mapping):
        value = value.get("config") if isinstance(value.get("config"), str) else value.get("class_name")
    return str(value or "linear").lower()


def outputs_of(class_name: str, config: Mapping[str, Any]) -> Interval:
    """Returns the values that a layer outputs, as far as its activation tells."""
    if class_name == "ReLU" and not config.get("negative_slope"):
        highest = config.get("max_value")
        return Interval(0.0, inf if highest is None else float(highest))
    return OUTPUTS.get(activation_of(config), ALL)


def leaves_unchanged(class_name: str, config: Mapping[str, Any], values: Interval) -> bool:
    """Returns whether a layer's activation, or an activation layer, returns all values of an interval unchanged."""
    if class_name == "ReLU":
        highest = config.get("max_value")
        fixed = Interval(float(config.get("threshold") or 0.0), inf if highest is None else float(highest))
        return fixed.holds(values)
    if class_name in ("LeakyReLU", "ELU"):
        return UNCHANGED["elu"].holds(values)
    fixed_by_name = UNCHANGED.get(activation_of(config))
    return fixed_by_name is not None and fixed_by_name.holds(values)

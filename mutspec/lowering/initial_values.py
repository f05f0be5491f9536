"""Initial values of new weights: Keras's initializers on our own streams.

Sources: Glorot and Bengio 2010; He et al. 2015; LeCun et al. 1998; Saxe et al. 2014. An initializer that is not in the
table runs in Keras, and is numeric. An initializer's `seed` is for Keras: here all draws are from the step's stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod, sqrt
from typing import Any

from mutspec.errors import PlanError
from mutspec.graph.choice import Box, Listed, StridedSlices
from mutspec.graph.expression import Expression, constant, dirac, draw
from mutspec.graph.graph import GraphBuilder
from mutspec.keras_facts.first_values import FORGET_GATE
from mutspec.model.spec import TensorSpec

Config = Mapping[str, Any]

_TRUNCATION = 0.87962566103423978
"""The standard deviation of a standard normal that is cut off at ±2."""


@dataclass(frozen=True, slots=True)
class NewWeight:
    """A new weight, before it has a value.

    Arguments:
        builder: the graph.
        tensor: the weight.
        key: of its random stream.
        below: its path below the layer that it is in: `kernel`, `forward_layer/cell/kernel`.
        unit_fans: the inputs and outputs of a unit; None if they follow from the shape.
    """

    builder: GraphBuilder
    tensor: TensorSpec
    key: bytes
    below: str = ""
    unit_fans: tuple[float, float] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; a number counts as one entry."""
        return self.tensor.shape or (1,)

    @property
    def dtype(self) -> str:
        """The dtype that it is computed in."""
        return self.tensor.dtype if self.tensor.dtype == "float64" else "float32"

    def full(self, value: float) -> Expression:
        """Returns the same number in every entry."""
        return constant(self.builder, value).cast(self.dtype).spread(self.shape)

    def drawn(self, primitive: str) -> Expression:
        """Returns draws of its stream."""
        return draw(self.builder, primitive, self.key, self.shape, self.dtype)

    def between(self, low: float, high: float) -> Expression:
        """Returns uniform draws in [low, high)."""
        return self.drawn("uniform") * (high - low) + low

    def fans(self, config: Config) -> tuple[float, float]:
        """Returns the inputs and outputs of a unit, as Keras counts them: the last two axes, times the window."""
        shape = self.tensor.shape
        axes = config.get("input_axes"), config.get("output_axes")
        if axes[0] is not None and axes[1] is not None:
            fan_in, fan_out = (float(prod(shape[axis] for axis in each or ())) for each in axes)
            return fan_in, fan_out
        if self.unit_fans is not None:
            return self.unit_fans
        if len(shape) < 2:
            return (float(shape[0]),) * 2 if shape else (1.0, 1.0)
        window = prod(shape[:-2])
        return float(shape[-2] * window), float(shape[-1] * window)


def _variance_scaling(new: NewWeight, config: Config) -> Expression:
    fan_in, fan_out = new.fans(config)
    mode = config.get("mode", "fan_in")
    fan = {"fan_in": fan_in, "fan_out": fan_out}.get(mode, (fan_in + fan_out) / 2)
    variance = float(config.get("scale", 1.0)) / max(1.0, fan)
    distribution = str(config.get("distribution", "truncated_normal")).lower()
    if distribution == "uniform":
        limit = sqrt(3.0 * variance)
        return new.between(-limit, limit)
    if distribution == "untruncated_normal":
        return new.drawn("normal") * sqrt(variance)
    return new.drawn("truncated_normal") * (sqrt(variance) / _TRUNCATION)


def _scaling(scale: float, mode: str, distribution: str) -> Callable[[NewWeight, Config], Expression]:
    fixed = {"scale": scale, "mode": mode, "distribution": distribution}
    return lambda new, config: _variance_scaling(new, {**config, **fixed})


def _normal(primitive: str) -> Callable[[NewWeight, Config], Expression]:
    return lambda new, config: new.drawn(primitive) * float(config.get("stddev", 0.05)) + float(config.get("mean", 0.0))


_OTHER = "choose another initializer for it, such as zeros or glorot_uniform"


def _identity(new: NewWeight, config: Config) -> Expression:
    if len(new.tensor.shape) != 2:
        message = f"an identity matrix does not fit `{new.tensor.path}`, which does not have two axes"
        raise PlanError(message, hint=_OTHER)
    rows, columns = new.shape
    ones = dirac(new.builder, new.shape, new.dtype, ())
    if columns > rows:  # a kernel of ones would begin again
        ones = ones.where(Box((rows, rows)), new.full(0.0))
    return ones * float(config.get("gain", 1.0))


def _orthogonal(new: NewWeight, config: Config) -> Expression:
    if len(new.tensor.shape) < 2:
        message = f"an orthogonal matrix does not fit `{new.tensor.path}`, which has less than two axes"
        raise PlanError(message, hint=_OTHER)
    normals = draw(new.builder, "normal", new.key, new.shape, "float64")
    return normals.whole("orthogonal", rows=prod(new.shape[:-1])) * float(config.get("gain", 1.0))


INITIALIZERS: Mapping[str, Callable[[NewWeight, Config], Expression]] = {
    "zeros": lambda new, config: new.full(0.0),
    "ones": lambda new, config: new.full(1.0),
    "constant": lambda new, config: new.full(float(config.get("value", 0.0))),
    "randomuniform": lambda new, config: new.between(
        float(config.get("minval", -0.05)), float(config.get("maxval", 0.05))
    ),
    "randomnormal": _normal("normal"),
    "truncatednormal": _normal("truncated_normal"),
    "variancescaling": _variance_scaling,
    "glorotuniform": _scaling(1.0, "fan_avg", "uniform"),
    "glorotnormal": _scaling(1.0, "fan_avg", "truncated_normal"),
    "heuniform": _scaling(2.0, "fan_in", "uniform"),
    "henormal": _scaling(2.0, "fan_in", "truncated_normal"),
    "lecununiform": _scaling(1.0, "fan_in", "uniform"),
    "lecunnormal": _scaling(1.0, "fan_in", "truncated_normal"),
    "identity": _identity,
    "orthogonal": _orthogonal,
}
"""By name, in lower case and without underscores: `glorot_uniform` and `GlorotUniform` are one."""

_SHORT = {"uniform": "randomuniform", "normal": "randomnormal", "zero": "zeros", "one": "ones"}
_SHORT |= {"identitymatrix": "identity", "identityinitializer": "identity", "orthogonalinitializer": "orthogonal"}


_AXES = ("input_axes", "output_axes")
_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "constant": ("value",),
    "randomuniform": ("minval", "maxval"),
    "randomnormal": ("mean", "stddev"),
    "truncatednormal": ("mean", "stddev"),
    "variancescaling": ("scale", "mode", "distribution", *_AXES),
    **{f"{family}{law}": _AXES for family in ("glorot", "he", "lecun") for law in ("uniform", "normal")},
    **{
        f"{family}{kind}": ("input_axes", "output_axes")
        for family in ("glorot", "he", "lecun")
        for kind in ("uniform", "normal")
    },
    "identity": ("gain",),
    "orthogonal": ("gain",),
}
_CHOICES = {
    "mode": ("fan_in", "fan_out", "fan_avg"),
    "distribution": ("truncated_normal", "untruncated_normal", "uniform", "normal"),
}


def config_problem(initializer: Any) -> str:
    """Returns the problem of how an initializer is written; empty if there is none, or if it is not drawn here."""
    if not isinstance(initializer, Mapping):
        return ""
    config = initializer.get("config") or {}
    if not isinstance(config, Mapping):
        return f"`config` takes a mapping, not {config!r}"
    plain = _plain(initializer.get("class_name", ""))
    known = (*_ARGUMENTS.get(plain, ()), "seed")
    unknown = next((key for key in config if plain in INITIALIZERS and key not in known), None)
    if unknown is not None:
        return f"it has no `{unknown}`, but {', '.join(f'`{key}`' for key in known)}"
    for key, choices in _CHOICES.items():
        if key in config and str(config[key]).lower() not in choices:
            return f"`{key}` takes {', '.join(f'`{each}`' for each in choices)}"
    return ""


def _plain(name: Any) -> str:
    plain = str(name).replace("_", "").lower()
    return _SHORT.get(plain, plain)


def initial_value(new: NewWeight, initializer: Any) -> Expression | None:
    """Returns what an initializer makes of a new weight; None if only Keras knows."""
    name: Any = initializer
    config: Config = {}
    if isinstance(initializer, Mapping):
        name, config = str(initializer.get("class_name", "")), initializer.get("config") or {}
    rule = INITIALIZERS.get(_plain(name))
    return None if rule is None else rule(new, config).cast(new.tensor.dtype)


def with_forget_gate(new: NewWeight, initializer: Any) -> Expression | None:
    """Returns the biases of an LSTM's gates: 1 for the forget gate, and what an initializer makes of the others.

    Keras draws the biases before and after those of the forget gate by themselves.
    """
    units = new.shape[-1] // 4
    fans = ((float(gates * units),) * 2 for gates in (FORGET_GATE, 3 - FORGET_GATE))
    first, rest = (initial_value(replace(new, unit_fans=each), initializer) for each in fans)
    if first is None or rest is None:
        return None
    gates = StridedSlices(4, units)
    others = first if first.node == rest.node else first.where(gates.choose(Listed((0,))), rest)
    return new.full(1.0).cast(new.tensor.dtype).where(gates.choose(Listed((FORGET_GATE,))), others)

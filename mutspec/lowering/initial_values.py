"""Initial values of new weights: Keras's initializers on our own streams.

Sources: Glorot and Bengio 2010; He et al. 2015; LeCun et al. 1998. An initializer that is not in the table runs in
Keras, and is numeric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

from mutspec.errors import PlanError
from mutspec.graph.expression import Expression, constant, dirac, draw
from mutspec.graph.graph import GraphBuilder
from mutspec.model.spec import TensorSpec

Config = Mapping[str, Any]

_KEYS = {
    "recurrent_kernel": "recurrent_initializer",
    "depthwise_kernel": "depthwise_initializer",
    "pointwise_kernel": "pointwise_initializer",
}
"""The config key of a weight's initializer, where it is not `<role>_initializer`."""

_DEFAULTS = {
    "kernel": "glorot_uniform",
    "depthwise_kernel": "glorot_uniform",
    "pointwise_kernel": "glorot_uniform",
    "recurrent_kernel": "orthogonal",
    "embeddings": "uniform",
    "gamma": "ones",
    "moving_variance": "ones",
}
"""Keras's initializers where a config does not say; zeros for all other weights."""

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
    """

    builder: GraphBuilder
    tensor: TensorSpec
    key: bytes
    below: str = ""

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

    def fans(self) -> tuple[float, float]:
        """Returns the inputs and outputs of a unit, as Keras counts them: the last two axes, times the window."""
        shape = self.tensor.shape
        if len(shape) < 2:
            return (float(shape[0]),) * 2 if shape else (1.0, 1.0)
        window = prod(shape[:-2])
        return float(shape[-2] * window), float(shape[-1] * window)


def _variance_scaling(new: NewWeight, config: Config) -> Expression:
    fan_in, fan_out = new.fans()
    mode = config.get("mode", "fan_in")
    fan = {"fan_in": fan_in, "fan_out": fan_out}.get(mode, (fan_in + fan_out) / 2)
    variance = float(config.get("scale", 1.0)) / max(1.0, fan)
    distribution = config.get("distribution", "truncated_normal")
    if distribution == "uniform":
        limit = sqrt(3.0 * variance)
        return new.between(-limit, limit)
    if distribution == "untruncated_normal":
        return new.drawn("normal") * sqrt(variance)
    return new.drawn("truncated_normal") * (sqrt(variance) / _TRUNCATION)


def _scaling(scale: float, mode: str, distribution: str) -> Callable[[NewWeight, Config], Expression]:
    fixed = {"scale": scale, "mode": mode, "distribution": distribution}
    return lambda new, config: _variance_scaling(new, fixed)


def _normal(primitive: str) -> Callable[[NewWeight, Config], Expression]:
    return lambda new, config: new.drawn(primitive) * float(config.get("stddev", 0.05)) + float(config.get("mean", 0.0))


def _identity(new: NewWeight, config: Config) -> Expression:
    if len(new.shape) != 2:
        raise PlanError(f"an identity matrix does not fit `{new.tensor.path}`, of {len(new.shape)} axes")
    return dirac(new.builder, new.shape, new.dtype, ()) * float(config.get("gain", 1.0))


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
}
"""By name, in lower case and without underscores: `glorot_uniform` and `GlorotUniform` are one."""

_SHORT = {"uniform": "randomuniform", "normal": "randomnormal", "identitymatrix": "identity"}


def initializer_of(tensor: TensorSpec, configs: Iterator[Config]) -> Any:
    """Returns a weight's initializer by the configs, or else Keras's default.

    Arguments:
        tensor: the weight.
        configs: the config of its layer, then of those that it is in.
    """
    key = _KEYS.get(tensor.role, f"{tensor.role}_initializer")
    stated = next((config[key] for config in configs if config.get(key) is not None), None)
    return stated if stated is not None else _DEFAULTS.get(tensor.role, "zeros")


_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "constant": ("value",),
    "randomuniform": ("minval", "maxval"),
    "randomnormal": ("mean", "stddev"),
    "truncatednormal": ("mean", "stddev"),
    "variancescaling": ("scale", "mode", "distribution"),
    "identity": ("gain",),
}
_CHOICES = {
    "mode": ("fan_in", "fan_out", "fan_avg"),
    "distribution": ("truncated_normal", "untruncated_normal", "uniform"),
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
    wrong = next((key for key, choices in _CHOICES.items() if key in config and config[key] not in choices), None)
    return f"`{wrong}` takes {', '.join(f'`{each}`' for each in _CHOICES[wrong])}" if wrong in _CHOICES else ""


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
    if rule is None or config.get("input_axes") is not None or config.get("output_axes") is not None:
        return None
    return rule(new, config).cast(new.tensor.dtype)

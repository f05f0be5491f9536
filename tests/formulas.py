"""The formula of each op in NumPy: what the whole of one weight becomes.

Borrowed from the product are the draws alone: see `tests/oracle.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import log, prod, sqrt
from typing import Any

import numpy as np

from mutspec.graph.permutation import Permutation
from mutspec.graph.streams import stream_key
from tests.bits import bit_flip, block_bit_flip, stuck_at
from tests.toys import Tensors, exponential, normal, standard_deviation, total, truncated_normal, uniform

Step = dict[str, Any]

LEAST = 2.0**-126


@dataclass(frozen=True)
class Case:
    """One weight that a step is for.

    Arguments:
        step: the step.
        path: the weight's path, which is its origin.
        weight: its values; float16 and bfloat16 come as float32.
        stored: its dtype.
        chosen: which entries the step touches.
        inputs: the other models.
        lanes: of a step on neurons, those that the step touches, in the order in which they are drawn.
    """

    step: Step
    path: str
    weight: np.ndarray
    stored: np.dtype[Any]
    chosen: np.ndarray
    inputs: Mapping[str, Tensors] = field(default_factory=dict)
    lanes: tuple[int, ...] = ()

    @property
    def real(self) -> Any:
        return self.weight.dtype.type

    def get(self, key: str, default: Any = None) -> Any:
        return self.step.get(key, default)

    def key(self, draw: str) -> bytes:
        return stream_key(self.get("seed", 0), name_of(self.step), self.path, draw)

    def drawn(self, draws: Callable[..., np.ndarray], name: str = "noise") -> np.ndarray:
        return draws(self.key(name), self.weight.size, self.weight.dtype.name).reshape(self.weight.shape)

    def unit(self, default: str = "absolute") -> tuple[float, np.ndarray]:
        return unit_of(self.get("relative_to", default), self.weight)

    def other(self, source: str) -> np.ndarray:
        return self.inputs[source.rstrip(":")][self.path].astype(self.weight.dtype)


def name_of(step: Step) -> str:
    """The name of a step's stream."""
    return step.get("stream") or step.get("id") or step["op"]


def unit_of(relative_to: str, weight: np.ndarray) -> tuple[float, np.ndarray]:
    """The unit of a noise as a number, in float64, times a tensor."""
    one = weight.dtype.type(1)
    if relative_to == "std":
        return standard_deviation(weight), one
    if relative_to == "max_abs":
        return float(np.abs(weight).max()), one
    if relative_to == "channel_max":
        return 1.0, np.abs(weight).max(axis=tuple(range(weight.ndim - 1)), keepdims=True)
    return 1.0, np.abs(weight) if relative_to == "weight" else one


def _noisy(case: Case, noise: np.ndarray) -> np.ndarray:
    one = case.real(1)
    return bounded(case, case.weight + noise if case.get("mode", "add") == "add" else case.weight * (noise + one))


def bounded(case: Case, values: np.ndarray) -> np.ndarray:
    """Values, moved into the step's bounds."""
    bounds = case.get("bounds", {})
    values = np.maximum(values, case.real(bounds["min"])) if "min" in bounds else values
    return np.minimum(values, case.real(bounds["max"])) if "max" in bounds else values


def _gaussian_noise(case: Case) -> np.ndarray:
    factor, unit = case.unit()
    return _noisy(case, case.real(case.step["std"] * factor) * unit * case.drawn(normal))


def _uniform_noise(case: Case) -> np.ndarray:
    factor, unit = case.unit()
    low, high = case.step["low"], case.step["high"]
    return _noisy(case, case.real(factor) * unit * (case.real(low) + case.real(high - low) * case.drawn(uniform)))


def _laplace_noise(case: Case) -> np.ndarray:
    factor, unit = case.unit()
    difference = case.drawn(exponential) - case.drawn(exponential, "minus")
    return _noisy(case, case.real(case.step["scale"] * factor) * unit * difference)


def _polynomial_noise(case: Case) -> np.ndarray:
    low, high, power = case.step["low"], case.step["high"], case.real(case.get("eta", 20.0) + 1)
    one, range_ = case.real(1), case.real(high - low)
    inside = np.clip(case.weight, case.real(low), case.real(high))
    drawn = case.drawn(uniform) * case.real(2) - one
    upward = np.where(drawn < 0, -one, one)
    behind = np.maximum(upward * (inside - case.real((low + high) / 2)) / range_ + case.real(0.5), case.real(0))
    stay = np.power(one - np.abs(drawn) + np.abs(drawn) * np.power(behind, power), case.real(1 / float(power)))
    return np.clip(inside + upward * range_ * (one - stay), case.real(low), case.real(high))


def _discretized_noise(case: Case) -> np.ndarray:
    factor, unit = case.unit("max_abs")
    step = np.maximum(case.real(max(case.step["resolution"] * factor, LEAST)) * unit, case.real(LEAST))
    noise = case.real(case.step["std"] * factor) * unit * case.drawn(normal)
    return step * np.rint(case.weight / step) + noise


def _programming_noise(case: Case) -> np.ndarray:
    factor, unit = case.unit("max_abs")
    whole = np.maximum(case.real(max(factor, LEAST)) * unit, case.real(LEAST))
    deviation = np.zeros_like(case.weight)
    for coefficient in reversed(case.get("coefficients", [0.26348, 1.965, -1.1731])):
        deviation = deviation * (np.abs(case.weight) / whole) + case.real(coefficient)
    if case.get("relative_to") in ("weight", "channel_max"):
        size = case.real(case.get("std", 1.0)) * whole / case.real(case.get("g_max", 25.0))
    else:
        size = case.real(case.get("std", 1.0) * max(factor, LEAST) / case.get("g_max", 25.0))
    noisy = case.weight + size * (np.maximum(deviation, case.real(0)) * case.drawn(normal))
    return np.where(case.weight < 0, -np.abs(noisy), np.abs(noisy)) if case.get("keep_sign", True) else noisy


def _conductance_drift(case: Case) -> np.ndarray:
    real, (factor, unit) = case.real, case.unit("max_abs")
    first, reading = case.get("first_read", 20.0), case.get("read_time", 250e-9)
    time = case.step["seconds"] + first
    share = np.abs(case.weight) / np.maximum(real(max(factor, LEAST)) * unit, real(LEAST))
    logarithm = np.log(np.maximum(share, real(1e-7)))
    mean = np.clip(logarithm * real(-0.0155) + real(0.0244), real(0.049), real(0.1))
    spread = np.clip(logarithm * real(-0.0125) + real(-0.0059), real(0.008), real(0.045))
    exponent = np.abs(mean + spread * case.drawn(normal, "drift")) * real(case.get("drift", 1.0))
    deviation = np.minimum(real(0.0088) / np.maximum(np.power(share, real(0.65)), real(1e-3)), real(0.2))
    deviation *= real(case.get("read_noise", 1.0) * sqrt(log((time + reading) / (2 * reading))))
    left = np.power(real(time / first), -exponent)
    return case.weight * left * np.maximum(deviation * case.drawn(normal, "read") + real(1), real(0))


def _shift(case: Case) -> np.ndarray:
    factor, unit = case.unit()
    return case.weight + case.real(case.step["by"] * factor) * unit


def _clip(case: Case) -> np.ndarray:
    low, high = case.get("min", -np.inf), case.get("max", np.inf)
    wide = case.weight.astype(np.float64)
    low = np.quantile(wide, case.step["min_quantile"]) if "min_quantile" in case.step else low
    high = np.quantile(wide, case.step["max_quantile"]) if "max_quantile" in case.step else high
    return np.minimum(np.maximum(case.weight, case.real(low)), case.real(high))


def _reinitialize(case: Case) -> np.ndarray:
    """The distributions that Keras documents: keras.io/api/layers/initializers."""
    initializer = case.step["initializer"]
    name, config = (initializer, {}) if isinstance(initializer, str) else initializer.values()
    if name in ("zeros", "ones", "constant"):
        return np.full_like(case.weight, {"zeros": 0.0, "ones": 1.0}.get(name, config.get("value", 0.0)))
    if name in ("random_normal", "truncated_normal"):
        draws = normal if name == "random_normal" else truncated_normal
        stddev, mean = config.get("stddev", 0.05), config.get("mean", 0.0)
        return case.drawn(draws, "init") * case.real(stddev) + case.real(mean)
    if name == "random_uniform":
        low, high = config.get("minval", -0.05), config.get("maxval", 0.05)
        return case.drawn(uniform, "init") * case.real(high - low) + case.real(low)
    *window, fan_in, fan_out = (*(1,) * (2 - case.weight.ndim), *case.weight.shape)
    if case.weight.ndim == 1:
        fan_in = fan_out
    fan_in, fan_out = fan_in * prod(window), fan_out * prod(window)
    family, _, distribution = name.partition("_")
    scale, fan = {"glorot": (1.0, (fan_in + fan_out) / 2), "he": (2.0, fan_in), "lecun": (1.0, fan_in)}[family]
    if distribution == "uniform":
        limit = sqrt(3 * (scale / max(1.0, fan)))
        return case.drawn(uniform, "init") * case.real(limit - -limit) + case.real(-limit)
    stddev = sqrt(scale / max(1.0, fan)) / 0.87962566103423978
    return case.drawn(truncated_normal, "init") * case.real(stddev)


def _round(case: Case) -> np.ndarray:
    return np.round(case.weight, case.step["decimals"])


def _quantize(case: Case) -> np.ndarray:
    """What a tensor has one of is a number in float64; what channels have is of the weight's dtype."""
    is_channel = case.get("granularity") == "channel"
    axes = tuple(range(case.weight.ndim - 1)) if is_channel else None
    number = case.real if is_channel else float
    levels = 2.0 ** case.step["bits"]

    def largest(values: np.ndarray) -> Any:
        return values.max(axis=axes, keepdims=True) if is_channel else float(values.max())

    if case.get("scheme", "symmetric") == "symmetric":
        step = np.maximum(largest(np.abs(case.weight)) / number(levels / 2 - 1), number(LEAST))
        lowest, highest = -(levels / 2 - 1), levels / 2 - 1
    else:
        low = -np.maximum(largest(-case.weight), number(0))
        high = np.maximum(largest(case.weight), number(0))
        step = np.maximum((high - low) / number(levels - 1), number(LEAST))
        lowest = np.rint(low / step)
        highest = lowest + number(levels - 1)
    step = case.real(step)
    return np.minimum(np.maximum(np.rint(case.weight / step), case.real(lowest)), case.real(highest)) * step


def _dorefa_quantize(case: Case) -> np.ndarray:
    factor = case.get("clip", 0.6) / max(float(np.tanh(np.float64(np.abs(case.weight).max()))), LEAST)
    apart = case.real(case.step["resolution"])
    return np.rint(np.tanh(case.weight) * case.real(factor) / apart) * apart


def _binarize(case: Case) -> np.ndarray:
    size = case.get("scale")
    if size is None:
        size = total(np.abs(case.weight)) / case.weight.size
    return np.where(case.weight < 0, -case.real(size), case.real(size))


def _low_rank(case: Case) -> np.ndarray:
    matrix = case.weight.reshape(-1, case.weight.shape[-1]).astype(np.float64)
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    rank = case.get("to_rank")
    if rank is None:
        parts = singular**2 / (singular**2).sum()
        rank = next(n for n in range(1, len(parts) + 1) if parts[:n].sum() >= case.step["energy"] - 1e-9)
    kept = sum(singular[n] * np.outer(left[:, n], right[n]) for n in range(rank))
    return kept.reshape(case.weight.shape).astype(case.weight.dtype)


def _permuted(size: int, key: bytes) -> list[int]:
    permutation = Permutation(size, key)
    return [permutation.image(number) for number in range(size)]


def _shuffle(case: Case) -> np.ndarray:
    result = case.weight.copy()
    inside = case.weight[case.chosen]
    result[case.chosen] = inside[_permuted(len(inside), case.key("order"))] if len(inside) else inside
    return result


def _shuffle_neurons(case: Case) -> np.ndarray:
    result = case.weight.reshape(-1, case.weight.shape[-1]).copy()
    for lane in case.lanes:
        key = blake2b(lane.to_bytes(8, "little"), key=case.key("order"), digest_size=16).digest()
        result[:, lane] = result[_permuted(len(result), key), lane]
    return result.reshape(case.weight.shape)


def _swap_neurons(case: Case) -> np.ndarray:
    result = case.weight.copy()
    for one, two in zip(case.lanes[::2], case.lanes[1::2], strict=True):
        result[..., one], result[..., two] = case.weight[..., two], case.weight[..., one]
    return result


def _blend(case: Case) -> np.ndarray:
    other, t = case.other(case.step["source"]), case.step["t"]
    if case.get("along", "linear") == "linear":
        return case.weight + case.real(t) * (other - case.weight)
    one, two = (each.astype(np.float64).ravel() for each in (case.weight, other))
    if not np.any(one) or not np.any(two):
        return ((1 - t) * one + t * two).reshape(other.shape).astype(other.dtype)
    angle = np.arccos(np.clip(one @ two / np.linalg.norm(one) / np.linalg.norm(two), -1, 1))
    if np.sin(angle) < 1e-7:
        left, right = 1 - t, t
    else:
        left, right = np.sin((1 - t) * angle) / np.sin(angle), np.sin(t * angle) / np.sin(angle)
    return (left * one + right * two).reshape(other.shape).astype(other.dtype)


def _average(case: Case) -> np.ndarray:
    parts = [case.weight, *(case.other(source) for source in case.step["sources"])]
    shares = case.get("shares", [1.0] * len(parts))
    mean = parts[0] * case.real(shares[0] / sum(shares))
    for part, share in zip(parts[1:], shares[1:], strict=True):
        mean = mean + part * case.real(share / sum(shares))
    return mean


def _add_difference(case: Case) -> np.ndarray:
    difference = case.other(case.step["plus"]) - case.other(case.step["minus"])
    return case.weight + case.real(case.get("factor", 1.0)) * difference


FORMULAS: Mapping[str, Callable[[Case], np.ndarray]] = {
    "gaussian_noise": _gaussian_noise,
    "uniform_noise": _uniform_noise,
    "laplace_noise": _laplace_noise,
    "polynomial_noise": _polynomial_noise,
    "discretized_noise": _discretized_noise,
    "programming_noise": _programming_noise,
    "conductance_drift": _conductance_drift,
    "scale": lambda case: case.real(case.step["factor"]) * case.weight,
    "shift": _shift,
    "negate": lambda case: -case.weight,
    "reciprocal": lambda case: case.real(1) / case.weight,
    "clip": _clip,
    "reinitialize": _reinitialize,
    "fill": lambda case: np.full_like(case.weight, case.step["value"]),
    "zero": lambda case: np.zeros_like(case.weight),
    "round": _round,
    "quantize": _quantize,
    "dorefa_quantize": _dorefa_quantize,
    "binarize": _binarize,
    "prune_weights": lambda case: np.zeros_like(case.weight),
    "low_rank": _low_rank,
    "shuffle": _shuffle,
    "bit_flip": bit_flip,
    "stuck_at": stuck_at,
    "block_bit_flip": block_bit_flip,
    "zero_neurons": lambda case: np.zeros_like(case.weight),
    "negate_neurons": lambda case: -case.weight,
    "scale_neurons": lambda case: case.real(case.step["factor"]) * case.weight,
    "shuffle_neurons": _shuffle_neurons,
    "swap_neurons": _swap_neurons,
    "blend": _blend,
    "average": _average,
    "add_difference": _add_difference,
    "crossover": lambda case: case.other(case.step["source"]),
}
"""The table of laws: every op that computes weights entry by entry, or tensor by tensor, in NumPy."""

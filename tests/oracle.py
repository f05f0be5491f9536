"""The oracle: what a step does to tensors, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import ml_dtypes  # noqa: F401  (makes NumPy know bfloat16 by name)
import numpy as np

from mutspec.graph.amounts import binomial_quantile
from mutspec.graph.permutation import Permutation
from mutspec.graph.streams import stream_key, uniform_64_bits
from tests.toys import Tensors, normal, standard_deviation, uniform

COMPUTED_IN = {"float16": "float32", "bfloat16": "float32"}

Step = dict[str, Any]


def formula(step: Step, path: str, weight: np.ndarray) -> np.ndarray:
    """What the whole of one weight becomes; float16 and bfloat16 come as float32."""
    real = weight.dtype.type
    if step["op"] == "zero":
        return np.zeros_like(weight)
    if step["op"] == "fill":
        return np.full_like(weight, step["value"])
    if step["op"] == "scale":
        return real(step["factor"]) * weight
    key = stream_key(step.get("seed", 0), step.get("stream") or step.get("id") or step["op"], path, "noise")
    factor, unit = unit_of(step.get("relative_to", "absolute"), weight)
    if step["op"] == "gaussian_noise":
        noise = normal(key, weight.size, weight.dtype.name).reshape(weight.shape)
        return weight + real(step["std"] * factor) * unit * noise
    noise = uniform(key, weight.size, weight.dtype.name).reshape(weight.shape)
    span = real(step["high"] - step["low"])
    return weight + real(factor) * unit * (real(step["low"]) + span * noise)


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


def count_of(step: Step, size: int, origin: str) -> int:
    """How many entries of a pool a step touches."""
    name = step.get("stream") or step.get("id") or step["op"]
    if "fraction" in step:
        exact = Decimal(str(step["fraction"])) * size
        count = int(exact.to_integral_value(ROUND_HALF_UP))
    elif "rate" in step:
        draw = uniform_64_bits(stream_key(step.get("seed", 0), name, origin, "rate"))
        count = binomial_quantile(size, Fraction(str(step["rate"])), draw)
    else:
        count = step["count"]
    return max(count, min(step.get("at_least", 0), size))


def masks(step: Step, tensors: Tensors) -> dict[str, np.ndarray]:
    """Which entries of its targets a step touches."""
    if "indices" in step:
        result = {path: np.zeros(values.size, bool) for path, values in tensors.items()}
        for mask in result.values():
            mask[step["indices"]] = True
    elif not {"fraction", "rate", "count"} & step.keys():
        result = {path: np.ones(values.size, bool) for path, values in tensors.items()}
    else:
        result = {}
        per = step.get("per", "tensor")
        origin = {"tensor": lambda path: path, "layer": lambda path: path.rpartition("/")[0], "all": lambda path: ""}[
            per
        ]
        name = step.get("stream") or step.get("id") or step["op"]
        for pool in dict.fromkeys(map(origin, tensors)):
            paths = [path for path in tensors if origin(path) == pool]
            size = sum(tensors[path].size for path in paths)
            whole = np.zeros(size, bool)
            if size:
                permutation = Permutation(size, stream_key(step.get("seed", 0), name, pool, "choose"))
                whole[permutation.chosen(count_of(step, size, pool))] = True
            ends = np.cumsum([tensors[path].size for path in paths])
            result.update(zip(paths, np.split(whole, ends[:-1]), strict=True))
    return {path: mask.reshape(tensors[path].shape) for path, mask in result.items()}


def expected(step: Step, tensors: Tensors, targets: Sequence[str]) -> dict[str, np.ndarray]:
    """The tensors after a step."""
    chosen = masks(step, {path: tensors[path] for path in targets})
    results = dict(tensors)
    for path in targets:
        values = tensors[path]
        if values.size:
            compute = values.astype(COMPUTED_IN.get(values.dtype.name, values.dtype.name))
            with np.errstate(all="ignore"):
                results[path] = np.where(chosen[path], formula(step, path, compute).astype(values.dtype), values)
    return results

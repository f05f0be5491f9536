"""The oracle: what a step does to tensors, in NumPy.

It borrows from the product what it draws with, as random streams are defined by that code. Each is held against
something else: `Permutation` against NumPy's sorting, chi-square and golden choices in
`tests/graph/test_permutation.py`; `stream_key` and `uniform_64_bits` against golden keys in
`tests/graph/test_streams.py`; `binomial_quantile` against exact fractions and SciPy in `tests/graph/test_amounts.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import ml_dtypes  # noqa: F401  (makes NumPy know bfloat16 by name)
import numpy as np

from mutspec.graph.exact_counts import binomial_quantile
from mutspec.graph.permutation import Permutation
from mutspec.graph.streams import stream_key, uniform_64_bits
from tests.bits import bits_per_weight, flipped_bits
from tests.formulas import FORMULAS, Case, Step, bounded, name_of
from tests.toys import Tensors, normal

COMPUTED_IN = {"float16": "float32", "bfloat16": "float32"}
NEURON_OPS = ("zero_neurons", "negate_neurons", "scale_neurons", "shuffle_neurons", "swap_neurons")
AMOUNTS = ("fraction", "rate", "count", "indices")

__all__ = ["NEURON_OPS", "Step", "computed", "expected", "masks", "touches"]


def count_of(step: Step, size: int, origin: str) -> int:
    """How many units of a pool a step touches."""
    if "fraction" in step:
        exact = Decimal(str(step["fraction"])) * size
        count = int(exact.to_integral_value(ROUND_HALF_UP))
    elif "rate" in step:
        draw = uniform_64_bits(stream_key(step.get("seed", 0), name_of(step), origin, "rate"))
        count = binomial_quantile(size, Fraction(str(step["rate"])), draw)
    else:
        count = step["count"]
    return max(count, min(step.get("at_least", 0), size))


@dataclass(frozen=True)
class Chosen:
    """What a step touches: of each weight the entries, and its units in the order in which they are drawn."""

    masks: Mapping[str, np.ndarray]
    units: Mapping[str, tuple[int, ...]]


def unit_of_step(step: Step) -> str:
    """What its amount is a number of."""
    return str(step.get("unit", "neuron" if step["op"] in NEURON_OPS else "entry"))


def units_of(step: Step, weight: np.ndarray) -> np.ndarray:
    """For each entry of a weight, the number of the unit that it is in.

    Neurons are those of a Dense layer; or of a recurrent one, if the step says how many units it has, as no plan does.
    """
    columns = weight.shape[-1] if weight.ndim else 1
    entries = np.arange(weight.size)
    row, column = entries // max(1, columns), entries % max(1, columns)
    if unit_of_step(step) == "row":
        return row
    if unit_of_step(step) == "neuron":
        return column % step.get("neurons", max(1, columns))
    if unit_of_step(step) == "column":
        return column
    if unit_of_step(step) == "block":
        if len(step["block"]) == 1:
            return entries // step["block"][0]
        height, width = step["block"]
        return row // height * -(-columns // width) + column // width
    return entries


def _unit_pools(step: Step, tensors: Tensors, over: str) -> list[tuple[str, list[str]]]:
    """What has units, by its origin: each weight; but the weights of a layer share its neurons."""
    if unit_of_step(step) != "neuron" or over == "tensor":
        return [(path, [path]) for path in tensors]
    layers: dict[tuple[str, int], list[str]] = {}
    for path, weight in tensors.items():
        layers.setdefault((path.rpartition("/")[0], weight.shape[-1]), []).append(path)
    return [(layer, paths) for (layer, _), paths in layers.items()]


def chosen(step: Step, tensors: Tensors) -> Chosen:
    """Which entries of its targets a step touches."""
    tensors = {path: values for path, values in tensors.items() if values.size}
    over = step.get("per", "layer" if unit_of_step(step) == "neuron" else "tensor")
    numbers = {path: units_of(step, values) for path, values in tensors.items()}
    sizes = {path: int(each.max()) + 1 for path, each in numbers.items()}
    unit_pools = _unit_pools(step, tensors, over)
    units: dict[str, tuple[int, ...]] = {}
    if not set(AMOUNTS) & step.keys():
        units = {path: tuple(range(size)) for path, size in sizes.items()}
    elif "indices" in step:
        units = {path: tuple(index % size for index in step["indices"]) for path, size in sizes.items()}
    elif "rank" in step or step["op"] == "prune_weights":
        for origin, paths in unit_pools:
            count = count_of(step, sizes[paths[0]], origin)
            units.update(dict.fromkeys(paths, tuple(_ranked(step, [tensors[path] for path in paths])[:count])))
    else:
        units = _drawn(step, unit_pools, sizes, over)
    if step["op"] == "swap_neurons":
        units = {path: each[: len(each) // 2 * 2] for path, each in units.items()}
    entries = {path: np.isin(numbers[path], units.get(path, ())) for path in tensors}
    return Chosen({path: mask.reshape(tensors[path].shape) for path, mask in entries.items()}, units)


def _ranked(step: Step, weights: Sequence[np.ndarray]) -> list[int]:
    """Units in the order of their norms; of equal ones the first is first."""
    wide = [weight.astype(np.float64).ravel() for weight in weights]
    if unit_of_step(step) == "entry":
        norms = np.abs(wide[0])
    else:
        norms = sum(
            np.bincount(units_of(step, weight), values**2) for weight, values in zip(weights, wide, strict=True)
        )
    sign = -1 if step.get("rank", "smallest") == "largest" else 1
    return sorted(range(len(norms)), key=lambda unit: (sign * norms[unit], unit))


def _drawn(
    step: Step, unit_pools: list[tuple[str, list[str]]], sizes: Mapping[str, int], over: str
) -> dict[str, tuple[int, ...]]:
    """Units by a keyed permutation of a pool: that of one tensor, of the tensors of a layer, or of all."""
    is_neuron = unit_of_step(step) == "neuron"
    pool_of: Mapping[str, Callable[[str], str]] = {
        "tensor": lambda origin: origin,
        "layer": lambda origin: origin if is_neuron else origin.rpartition("/")[0],
        "all": lambda origin: "",
    }
    units: dict[str, list[int]] = {}
    pools: dict[tuple[str, int], list[list[str]]] = {}
    for number, (origin, paths) in enumerate(unit_pools):
        alone = number if is_neuron and over == "layer" else 0
        pools.setdefault((pool_of[over](origin), alone), []).append(paths)
    for (origin, _), parts in pools.items():
        size = sum(sizes[paths[0]] for paths in parts)
        permutation = Permutation(size, stream_key(step.get("seed", 0), name_of(step), origin, "choose"))
        drawn = [permutation.image(image, inverse=True) for image in range(count_of(step, size, origin))]
        offset = 0
        for paths in parts:
            inside = [number - offset for number in drawn if offset <= number < offset + sizes[paths[0]]]
            units.update(dict.fromkeys(paths, inside))
            offset += sizes[paths[0]]
    return {path: tuple(each) for path, each in units.items()}


def masks(step: Step, tensors: Tensors) -> dict[str, np.ndarray]:
    """Which entries of its targets a step touches."""
    if step["op"] == "crossover":
        step = _crossed(step)
    if step["op"] == "block_bit_flip" and step.get("bits") == "exponent":
        step = {**step, "unit": "block", "block": [step.get("shared_by", 1 << 40)]}
    if step["op"] == "crossover" and step.get("method", "uniform") != "uniform":
        return {path: _cut(step, path, weight) for path, weight in tensors.items()}
    if "keep" in step:
        return {path: _beyond(step["keep"], weight) for path, weight in tensors.items()}
    if "rate_per_bit" in step:
        return {path: _of_bits(step, path, weight) for path, weight in tensors.items()}
    if "reset_rate" in step:
        return {path: np.logical_or(*noised_and_redrawn(step, path, weight)) for path, weight in tensors.items()}
    empty = {path: np.zeros(weight.shape, bool) for path, weight in tensors.items()}
    return {**empty, **chosen(step, tensors).masks}


def _crossed(step: Step) -> Step:
    is_plain = step.get("method", "uniform") == "uniform" and not set(AMOUNTS) & step.keys()
    return {**step, "rate": 0.5} if is_plain else step


def _cut(step: Step, path: str, weight: np.ndarray) -> np.ndarray:
    """One point: all entries from one on that is not the first. Layers: all of them, or none."""

    def drawn(origin: str, name: str) -> int:
        return uniform_64_bits(stream_key(step.get("seed", 0), name_of(step), origin, name))

    if step["method"] == "layers":
        takes = Fraction(drawn(path.rpartition("/")[0], "choose"), 2**64) < Fraction(str(step.get("rate", 0.5)))
        return np.full(weight.shape, takes)
    start = 1 + drawn(path, "cut") * (weight.size - 1) // 2**64 if weight.size > 1 else 0
    return (np.arange(weight.size) >= start).reshape(weight.shape)


def _beyond(pattern: str, weight: np.ndarray) -> np.ndarray:
    """Of every m neighbours along the input axis, all but the n largest; of equal ones the first go first."""
    kept, group = map(int, pattern.split(":"))
    moved = np.moveaxis(np.abs(weight), -2, -1)
    mask = np.zeros(moved.shape, bool)
    for index in np.ndindex(*moved.shape[:-1]):
        for start in range(0, moved.shape[-1], group):
            order = sorted(range(start, start + group), key=lambda at, index=index: (moved[index][at], at))
            mask[index][order[: group - kept]] = True
    return np.moveaxis(mask, -1, -2)


def _of_bits(step: Step, path: str, weight: np.ndarray) -> np.ndarray:
    case = Case(step, path, weight, weight.dtype, np.ones(weight.shape, bool))
    bits = bits_per_weight(case)
    mask = np.zeros(weight.size, bool)
    mask[[number // bits for number in flipped_bits(case, bits)]] = True
    return mask.reshape(weight.shape)


def noised_and_redrawn(step: Step, path: str, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """With `reset_rate`, which entries get noise, and which of the others are drawn again."""

    def drawn(name: str) -> int:
        return uniform_64_bits(stream_key(step.get("seed", 0), name_of(step), path, name))

    rate, anew = Fraction(str(step["rate"])), Fraction(str(step["reset_rate"]))
    noised = binomial_quantile(weight.size, rate, drawn("rate"))
    reset = binomial_quantile(weight.size - noised, anew / (1 - rate), drawn("reset_rate")) if rate < 1 else 0
    permutation = Permutation(weight.size, stream_key(step.get("seed", 0), name_of(step), path, "choose"))
    images = np.array([permutation.image(entry) for entry in range(weight.size)]).reshape(weight.shape)
    return images < noised, (images >= noised) & (images < noised + reset)


def touches(step: Step, path: str) -> bool:
    """Whether a weight of a toy is one that a step can touch, if its target has it."""
    role = path.rpartition("/")[2]
    return step["op"] not in NEURON_OPS or role == "kernel" or (role == "bias" and step.get("bias", False))


def computed(
    step: Step, path: str, values: np.ndarray, mask: np.ndarray, lanes: tuple[int, ...], inputs: Mapping[str, Tensors]
) -> np.ndarray:
    """The whole of one weight after a step, as if all entries were touched."""
    weight = values.astype(COMPUTED_IN.get(values.dtype.name, values.dtype.name))
    case = Case(step, path, weight, values.dtype, mask, inputs, lanes)
    with np.errstate(all="ignore"):
        result = FORMULAS[step["op"]](case)
        if "reset_rate" in step:
            fresh = bounded(case, case.drawn(normal, "reset") * case.real(step.get("reset_std", 1.0)))
            result = np.where(noised_and_redrawn(step, path, values)[0], result, fresh)
        return np.asarray(result).astype(values.dtype)


def expected(
    step: Step, tensors: Tensors, targets: Sequence[str], inputs: Mapping[str, Tensors] | None = None
) -> dict[str, np.ndarray]:
    """The tensors after a step."""
    touched: dict[str, Any] = {path: tensors[path] for path in targets if touches(step, path)}
    entries = masks(step, touched)
    lanes = chosen(step, touched).units if step["op"] in NEURON_OPS else {}
    results = dict(tensors)
    for path, values in touched.items():
        if values.size:
            after = computed(step, path, values, entries[path], lanes.get(path, ()), inputs or {})
            results[path] = np.where(entries[path], after, values)
    return results

"""The variables of Keras's optimizers, in the order in which files number them. Pure data, and its lookup.

Checked against Keras 3.15 by `tests/keras_facts/test_optimizers.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """A variable that an optimizer has for each weight that it trains.

    Arguments:
        name: its name.
        first: its first value in every entry; or the argument of the optimizer that it is.
        without_axis: for a factor of a weight of rank 2 or more, the axis of the weight that it lacks. For other
            weights such a factor is a placeholder.
    """

    name: str
    first: float | str = 0.0
    without_axis: int | None = None


@dataclass(frozen=True, slots=True)
class Slots:
    """Variables that alternate: all slots of the first weight, then those of the second, and so on.

    Arguments:
        slots: the slots.
        when: the argument that must be set for an optimizer to have them; empty if it always has them.
    """

    slots: tuple[Slot, ...]
    when: str = ""


def _slots(*names: str, when: str = "") -> Slots:
    return Slots(tuple(map(Slot, names)), when)


_ACCUMULATOR = Slot("accumulator", first="initial_accumulator_value")
_ADAM = (_slots("momentum", "velocity"), _slots("velocity_hat", when="amsgrad"))

OPTIMIZERS: Mapping[str, tuple[Slots, ...]] = {
    "SGD": (_slots("momentum", when="momentum"),),
    "Adam": _ADAM,
    "AdamW": _ADAM,
    "Nadam": (_slots("momentum", "velocity"),),
    "RMSprop": (
        _slots("velocity"),
        _slots("momentum", when="momentum"),
        _slots("average_gradient", when="centered"),
    ),
    "Adagrad": (Slots((_ACCUMULATOR,)),),
    "Adadelta": (_slots("accumulated_grad", "accumulated_delta_var"),),
    "Adamax": (_slots("momentum", "norm"),),
    "Ftrl": (Slots((_ACCUMULATOR, Slot("linear"))),),
    "Lion": (_slots("momentum"),),
    "Lamb": (_slots("momentum", "velocity"),),
    "Adafactor": (Slots((Slot("rows", without_axis=-1), Slot("columns", without_axis=-2), Slot("velocity"))),),
}
"""The optimizers whose variables follow from their config and from the shapes of the weights.

Muon is not among them, because it chooses by the names of layers, and neither is ScheduleFreeAdamW, because its first
values are those of the weights."""

OF_EVERY_OPTIMIZER = (
    _slots("average", when="use_ema"),
    _slots("gradient_accumulator", when="gradient_accumulation_steps"),
)
"""The slots of every optimizer, before its own."""

DEFAULTS: Mapping[str, Any] = {"learning_rate": 0.001, "initial_accumulator_value": 0.1, "initial_scale": 2.0**15}
"""The arguments of an optimizer that is given by its name alone, as far as they matter here."""

DEFAULT_RATE_OF_SGD = 0.01

WRAPPER = "LossScaleOptimizer"
"""The optimizer that holds another one. Its variables come first, and those of the other one follow."""

PRODUCT = frozenset({"Nadam"})
"""Optimizers that end with a product of one entry, whose first value is 1."""


@dataclass(frozen=True, slots=True)
class OptimizerVariable:
    """One variable of an optimizer.

    Arguments:
        slot: the number of its slot in the optimizer; None for a counter, which the optimizer has once.
        weight: the number of the weight that it belongs to; None for a counter.
        shape, dtype: of its values.
        first: its first value, in every entry.
        name: the name with which its path ends; empty if Keras does not give it one that tells it from others.
    """

    slot: int | None
    weight: int | None
    shape: Shape
    dtype: str
    first: float
    name: str = ""


def optimizer_name(optimizer: Any) -> str:
    """Returns the class of an optimizer in a `compile_config`, where it is serialised, or only named."""
    if not isinstance(optimizer, Mapping):
        lower = {name.lower(): name for name in (*OPTIMIZERS, WRAPPER)}
        return lower.get(str(optimizer).lower(), str(optimizer))
    is_keras_optimizer = str(optimizer.get("module") or "keras.optimizers").startswith("keras.")
    name = str(optimizer.get("class_name"))
    return name if is_keras_optimizer else str(optimizer.get("registered_name") or name)


def unknown_optimizer(optimizer: Any) -> str:
    """Returns the class of an optimizer, or of the one in it, that is not in the table; empty if both are."""
    name = optimizer_name(optimizer)
    if name == WRAPPER:
        return unknown_optimizer(_config(optimizer).get("inner_optimizer"))
    return "" if name in OPTIMIZERS else name


def variables_of_optimizer(
    optimizer: Any, weights: Sequence[tuple[Shape, str]]
) -> tuple[tuple[OptimizerVariable, ...], ...]:
    """Returns the variables of an optimizer that is in the table, and then those of the optimizer in it, if any.

    Arguments:
        optimizer: the optimizer in a `compile_config`: serialised, or named.
        weights: the shape and dtype of each weight that it trains.
    """
    name, config = optimizer_name(optimizer), _config(optimizer)
    if name != WRAPPER:
        return ((*_counters(name, config), *_for_weights(name, config, weights), *_product(name, weights)),)
    scale = float(config.get("initial_scale") or DEFAULTS["initial_scale"])
    own = (
        *_counters(name, {"learning_rate": 0.0}),
        OptimizerVariable(None, None, (), "int64", 0.0, "step_counter"),  # the steps since it last changed its scale
        OptimizerVariable(None, None, (), "float32", scale, "dynamic_scale"),
    )
    return (own, *variables_of_optimizer(config["inner_optimizer"], weights))


def _config(optimizer: Any) -> Mapping[str, Any]:
    config = optimizer.get("config") if isinstance(optimizer, Mapping) else None
    return config if isinstance(config, Mapping) else {}


def _counters(name: str, config: Mapping[str, Any]) -> Iterator[OptimizerVariable]:
    yield OptimizerVariable(None, None, (), "int64", 0.0, "iteration")
    rate = config.get("learning_rate", DEFAULT_RATE_OF_SGD if name == "SGD" else DEFAULTS["learning_rate"])
    if isinstance(rate, int | float):  # a schedule computes it from the number of steps
        yield OptimizerVariable(None, None, (), "float32", float(rate), "learning_rate")


def _for_weights(
    name: str, config: Mapping[str, Any], weights: Sequence[tuple[Shape, str]]
) -> Iterator[OptimizerVariable]:
    number = 0
    for group in (*OF_EVERY_OPTIMIZER, *OPTIMIZERS[name]):
        if group.when and not config.get(group.when):
            continue
        for weight, (shape, dtype) in enumerate(weights):
            for offset, slot in enumerate(group.slots):
                yield _slot_of(slot, number + offset, weight, shape, dtype, config)
        number += len(group.slots)


def _slot_of(
    slot: Slot, number: int, weight: int, shape: Shape, dtype: str, config: Mapping[str, Any]
) -> OptimizerVariable:
    key = slot.first
    first = float(config.get(key, DEFAULTS[key])) if isinstance(key, str) else key
    if slot.without_axis is None:
        return OptimizerVariable(number, weight, shape, dtype, first, slot.name)
    if len(shape) < 2:
        return OptimizerVariable(number, weight, (), "int32", first)
    axis = len(shape) + slot.without_axis
    return OptimizerVariable(number, weight, shape[:axis] + shape[axis + 1 :], dtype, first)


def _product(name: str, weights: Sequence[tuple[Shape, str]]) -> Iterator[OptimizerVariable]:
    if name in PRODUCT:
        yield OptimizerVariable(None, None, (), weights[0][1] if weights else "float32", 1.0)

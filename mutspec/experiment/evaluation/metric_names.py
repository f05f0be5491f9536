"""Names of metrics: those that the call gives, or made of the class and the arguments by which equal classes differ.

Keras's own names will not do. It numbers the metrics of a process, so that one metric is `auc` in a job and `auc_3` in
the next; and of some classes all metrics have one name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from mutspec.errors import CallError, Problem

LOSS = "loss"
"""The name of the loss."""

OBJECT = "_object_"
"""The key of a mapping for a metric or loss that Python gives as an object, or as a function. It has `_target_` too."""

_TAKEN = frozenset(
    {LOSS, "agreement", "sample_agreement", "divergence", "deviation", "non_finite_outputs", "breaking_point"}
)
"""Names that results use for other measures."""

_LONGEST_VALUE = 24
"""Characters of an argument in a name; longer ones, such as lists of thresholds, are told by a digest."""


@dataclass(frozen=True)
class Named:
    """The parts of a metric's name. Metrics that are equal in all of them are one.

    Arguments:
        name: the name that the call gives, else the class's.
        arguments: those that the call gives, of which the name may take some.
        is_given: whether the call gives the name, which is then taken as it is.
        target: what makes the metric, as the call has it; empty for a name of Keras.
        made: the metric itself, if Python gives it.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    is_given: bool = False
    target: str = ""
    made: Any = None


def named(spec: str | Mapping[str, Any], class_name: str, own: str) -> Named:
    """Returns the parts of the name of one metric.

    Arguments:
        spec: the metric in the configuration.
        class_name: its class.
        own: the name of the object, which may be one that its class always has, or one that Keras has counted.
    """
    if isinstance(spec, str):
        return Named(spec, is_given=True)
    arguments = {
        key.strip("_"): value for key, value in spec.items() if key == "_args_" or not (key == "name" or key[:1] == "_")
    }
    target = str(spec.get("_target_"))
    if isinstance(given := spec.get("name"), str) and given:
        return Named(given, arguments, is_given=True, target=target)
    made = spec.get(OBJECT)
    snake = snake_case(class_name)
    is_counted = re.fullmatch(rf"{re.escape(snake)}(_\d+)?", own) is not None
    return Named(snake if is_counted or not own else own, arguments, target=target, made=made)


def unique_names(metrics: Sequence[Named]) -> list[str]:
    """Returns a name for each metric. Metrics that are equal in everything share one.

    Raises:
        CallError: two that differ have one name, or one has a name that results give to something else.
    """
    names = [_with_arguments(each, [other for other in metrics if other.name == each.name]) for each in metrics]
    problems = [
        Problem(f"a metric is called `{name}`, as another measure of each result is", hint="give it another `name`")
        for name in dict.fromkeys(names)
        if name in _TAKEN or name.startswith("drop.")
    ]
    first: dict[str, Named] = {}
    clashes = [name for name, one in zip(names, metrics, strict=True) if first.setdefault(name, one) != one]
    problems += [
        Problem(f"two metrics are called `{name}`", hint="give one of them another `name`")
        for name in dict.fromkeys(clashes)
    ]
    if problems:
        raise CallError(problems)
    return names


def by_output(names: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], str]:
    """Returns the names of each output's metrics. With several outputs they begin with the output's, as in Keras.

    Arguments:
        names: of the metrics, by output.

    Raises:
        CallError: two names come out the same.
    """
    is_single = len(names) == 1
    joined = {
        (output, name): name if is_single else f"{output}_{name}" for output, each in names.items() for name in each
    }
    found: dict[str, tuple[str, str]] = {}
    for (output, name), whole in joined.items():
        if whole in _TAKEN or found.setdefault(whole, (output, name)) != (output, name):
            message = f"the metric `{name}` of the output `{output}` is called `{whole}`, as another measure is"
            raise CallError(message, hint="give the metric another `name`")
    return joined


def snake_case(name: str) -> str:
    """`TopKCategoricalAccuracy` as Keras names it: `top_k_categorical_accuracy`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])|(?<!^)([A-Z])(?=[a-z])", r"_\1\2", name).lower()


def _with_arguments(one: Named, alike: Sequence[Named]) -> str:
    """The name with those of its arguments that are not the same in all metrics of that name."""
    if one.is_given:
        return one.name
    others = [each for each in alike if not each.is_given]
    keys = sorted({key for each in others for key in each.arguments})
    differing = [key for key in keys if len({_canonical(each.arguments.get(key, ...)) for each in others}) > 1]
    parts = [f"{key}_{_value(one.arguments[key])}" for key in differing if key in one.arguments]
    return "_".join([one.name, *parts])


def _value(value: Any) -> str:
    """An argument's value as a part of a name."""
    if isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, list | tuple):
        text = "_".join(map(_value, value))
    elif isinstance(value, str | int | None):
        text = re.sub(r"[^a-z0-9.+-]+", "_", str(value).lower()).strip("_")
    else:
        text = ""
    return text if 0 < len(text) <= _LONGEST_VALUE else blake2b(_canonical(value).encode(), digest_size=4).hexdigest()


def _canonical(value: Any) -> str:
    return "" if value is ... else json.dumps(value, sort_keys=True, default=str)

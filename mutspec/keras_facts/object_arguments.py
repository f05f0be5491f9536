"""The arguments of Keras's initializers, regularizers and constraints, and what is wrong with those of a plan.

Checked against Keras 3.15 by `tests/keras_facts/test_keras_arguments.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mutspec.errors import Problem, nearest
from mutspec.keras_facts.object_classes import object_class
from mutspec.text.words import got


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_SCALED = _names("seed input_axes output_axes")

OBJECT_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "Constant": _names("value"),
    **dict.fromkeys(_names("GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform"), _SCALED),
    "Identity": _names("gain"),
    "Ones": (),
    "Orthogonal": _names("gain seed"),
    "RandomNormal": _names("mean stddev seed"),
    "RandomUniform": _names("minval maxval seed"),
    "STFT": _names("side window scaling periodic"),
    "TruncatedNormal": _names("mean stddev seed"),
    "VarianceScaling": _names("scale mode distribution seed input_axes output_axes"),
    "Zeros": (),
    "L1": _names("l1"),
    "L1L2": _names("l1 l2"),
    "L2": _names("l2"),
    "OrthogonalRegularizer": _names("factor mode"),
    "MaxNorm": _names("max_value axis"),
    "MinMaxNorm": _names("min_value max_value rate axis"),
    "NonNeg": (),
    "UnitNorm": _names("axis"),
}
"""The arguments of each class."""

_NUMBERS = frozenset(_names("gain mean stddev minval maxval scale l1 l2 factor max_value min_value rate"))
_NOT_NEGATIVE = frozenset(_names("l1 l2 stddev"))

_KERAS_KEYS = frozenset({"class_name", "config", "module", "registered_name", "build_config", "shared_object_id"})


def class_of_object(name: str) -> str:
    """Returns Keras's class for a name such as `glorot_uniform` or `l2`; empty if it has none."""
    name = object_class(name, frozenset(OBJECT_ARGUMENTS))
    return name if name in OBJECT_ARGUMENTS else ""


def object_problem(value: Mapping[str, Any], what: str) -> Problem | None:
    """Returns the problem of how an object is written in Keras's form, if it has one. Its path begins at the object.

    Arguments:
        value: the object, of one of Keras's classes or of another.
        what: the kind of the object: `regularizer`.
    """
    name = class_of_object(str(value.get("class_name", "")))
    if not name:
        return None
    for key in value:
        if key not in _KERAS_KEYS:
            hint = f"its arguments go under `config`, or write {{type: {name}, {key}: …}}"
            return Problem(f"the {what}, in Keras's form, has no key `{key}`", path=(key,), hint=hint)
    config = value.get("config") or {}
    for key, argument in config.items() if isinstance(config, Mapping) else ():
        known = OBJECT_ARGUMENTS[name]
        if key not in known:
            near = nearest(str(key), known)
            hint = "" if near else f"its arguments are {', '.join(known)}" if known else "it has none"
            message = f"the {what} `{name}` has no argument `{key}`"
            return Problem(message, path=("config", key), hint=hint, candidates=near)
        if key in _NUMBERS and not _is_number(argument, 0 if key in _NOT_NEGATIVE else None):
            least = " of at least 0" if key in _NOT_NEGATIVE else ""
            message = f"`{key}` of the {what} `{name}` takes a number{least}, not {got(argument)}"
            return Problem(message, path=("config", key), hint=f"for instance {{type: {name}, {key}: 0.01}}")
    return None


def _is_number(value: Any, least: float | None) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and (least is None or value >= least)

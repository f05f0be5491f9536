"""The arguments that a layer takes over from the layer whose place it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mutspec.errors import PlanError
from mutspec.keras_facts.argument_values import value_problem
from mutspec.keras_facts.classes import is_keras_class, plain_class_name
from mutspec.keras_facts.homonyms import means_the_same
from mutspec.keras_facts.layer_arguments import CLASS_ALIASES, arguments_of, defaults_of
from mutspec.structure.layer_config import plain_json
from mutspec.structure.network import Entry, Network

_NEVER = frozenset({"name", "dtype"})
"""Arguments that a new layer gets in other ways."""


def inherited(old: Entry | Network, layer: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a layer that another class knows too, and takes with the same value.

    Arguments:
        old: the serialised layer, whose unstated arguments have their defaults.
        layer: the new layer, as a plan writes it.

    Raises:
        PlanError: the old one is a model, or nobody knows the arguments of the new one's class.
    """
    if isinstance(old, Network):
        message = f"`{old.name}` is a model, which has no arguments to inherit"
        raise PlanError(message, path=("inherit",), hint="leave `inherit` out")
    name = layer.get("type", layer.get("class_name"))
    class_name = CLASS_ALIASES.get(str(name), str(name))
    known = arguments_of(class_name)
    if known is None and ">" in class_name:
        message = f"`{class_name}` is a class of your own, whose arguments are known to its code alone"
        raise PlanError(message, path=("inherit",), hint="leave `inherit` out, and give the arguments in `layer`")
    old_class = plain_class_name(old)
    stated = defaults_of(old_class) if is_keras_class(old) else {}
    return {
        key: plain_json(value)
        for key, value in {**stated, **old["config"]}.items()
        if key in (known or {})
        and key not in _NEVER
        and means_the_same(key, old_class, class_name)
        and value_problem(class_name, key, plain_json(value)) is None
    }

"""Lookups in the class table: the variables and base classes of a layer with a certain config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from mutspec.keras_facts.class_names import ALIASES, MODELS, UNKNOWN, WEIGHTLESS
from mutspec.keras_facts.class_table import CLASSES, ClassFacts, Variable, When
from mutspec.keras_facts.roles import Group

Config = Mapping[str, Any]

KNOWN_CLASSES = frozenset(CLASSES) | frozenset(WEIGHTLESS) | frozenset(UNKNOWN) | frozenset(ALIASES) | frozenset(MODELS)
"""The names of Keras's layer classes, with and without weights."""

KNOWN_ROLES = frozenset(Group) | frozenset(
    variable.role
    for facts in CLASSES.values()
    for variables in (facts.variables, *facts.quantized.values())
    for variable in variables
)
"""The names of weights in those classes, and the groups of weights."""

_KERAS_MODULE = re.compile(r"(tf_)?keras(\..*)?|tensorflow\.(python\.)?keras(\..*)?")


@lru_cache(maxsize=4096)
def snake_case(class_name: str) -> str:
    """Returns a class's name as in Keras's stored paths and automatic names: `conv2d` for `Conv2D`."""
    name = re.sub(r"\W+", "", class_name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


_DIMENSIONS = re.compile(r"([123])D(Transpose)?$")


def dimensions_of(class_name: str) -> int:
    """Returns the number of spatial dimensions by the name of a class: 2 for `Conv2D`; 0 if it does not have one."""
    match = _DIMENSIONS.search(class_name)
    return int(match[1]) if match else 0


def is_keras_class(entry: Config) -> bool:
    """Returns whether a serialised layer is of one of Keras's classes, according to its entry."""
    module = entry.get("module")
    if isinstance(module, str):
        return _KERAS_MODULE.fullmatch(module) is not None
    return ">" not in str(entry.get("class_name", ""))  # legacy entries have no module; registered names have a `>`


def plain_class_name(entry: Config) -> str:
    """Returns Keras's current name of the class, without the package that it is registered in."""
    name = str(entry.get("class_name", "")).rpartition(">")[2]
    if not is_keras_class(entry):
        return name
    if name == "Model" and "output_layers" not in (entry.get("config") or {}):
        return name
    return ALIASES.get(name, name)


def facts_of(entry: Config) -> ClassFacts | None:
    """Returns the table's row for a serialised layer's class, or None."""
    if not is_keras_class(entry):
        return None
    name = plain_class_name(entry)
    if name in CLASSES:
        return CLASSES[name]
    return ClassFacts(bases=WEIGHTLESS[name]) if name in WEIGHTLESS else None


def ancestry_of(entry: Config) -> tuple[str, ...]:
    """Returns the class and its public Keras base classes, nearest first. For a user's own class it is only itself."""
    name = plain_class_name(entry)
    if not is_keras_class(entry):
        return (name,)
    if name in CLASSES:
        return (name, *CLASSES[name].bases)
    for table in (WEIGHTLESS, UNKNOWN, MODELS):
        if name in table:
            return (name, *table[name])
    return (name,)


def variables_of(facts: ClassFacts, config: Config) -> tuple[Variable, ...]:
    """Returns the variables of a layer with this config, in stored order."""
    variables = facts.quantized.get(quantization_mode(config), facts.variables)
    return _existing(variables, config)


def other_variables_of(facts: ClassFacts, config: Config) -> tuple[tuple[Variable, ...], ...]:
    """Returns other variables that the layer may have, because each inner layer has its own dtype policy."""
    policy = config.get("dtype")
    if not isinstance(policy, Mapping) or policy.get("class_name") != "DTypePolicyMap":
        return ()
    return tuple(_existing(variables, config) for variables in facts.quantized.values())


def _existing(variables: tuple[Variable, ...], config: Config) -> tuple[Variable, ...]:
    return tuple(variable for variable in variables if all(holds(when, config) for when in variable.when))


def holds(when: When, config: Config) -> bool:
    """Returns whether a condition holds for a config."""
    value = config.get(when.key, when.default)
    return value in when.values if when.values else bool(value)


def quantization_mode(config: Config) -> str:
    """Returns the quantisation mode of a layer's dtype policy (`int8`, `int4`, `float8`, …), or an empty text."""
    policy = config.get("dtype")
    if isinstance(policy, str):
        return policy.partition("_from_")[0] if "_from_" in policy else ""
    if not isinstance(policy, Mapping) or not isinstance(policy.get("config"), Mapping):
        return ""
    mode = policy["config"].get("mode")
    return str(mode).partition("/")[0] if mode else ""

"""Lookups in the class table: which variables and parts a layer's config says that it has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mutspec.keras_facts.class_names import ALIASES, MODELS, UNKNOWN, WEIGHTLESS
from mutspec.keras_facts.class_table import CLASSES, ClassFacts, Variable, When
from mutspec.keras_facts.roles import Group

Config = Mapping[str, Any]

KNOWN_CLASSES = frozenset(CLASSES) | frozenset(WEIGHTLESS) | frozenset(UNKNOWN) | frozenset(ALIASES) | frozenset(MODELS)
"""Keras's layer classes, whether they hold weights or not."""

KNOWN_ROLES = frozenset(Group) | frozenset(
    variable.role
    for facts in CLASSES.values()
    for variables in (facts.variables, *facts.quantized.values())
    for variable in variables
)
"""The names of weights in those classes, and the groups of weights."""

_KERAS_MODULE = re.compile(r"(tf_)?keras(\..*)?|tensorflow\.(python\.)?keras(\..*)?")


def snake_case(class_name: str) -> str:
    """A class's name as Keras writes it in stored paths and automatic names: `Conv2D` is `conv2d`."""
    name = re.sub(r"\W+", "", class_name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def is_keras_class(entry: Config) -> bool:
    """Whether a serialised layer is of a class of Keras's own, as far as its entry tells."""
    module = entry.get("module")
    if isinstance(module, str):
        return _KERAS_MODULE.fullmatch(module) is not None
    return ">" not in str(entry.get("class_name", ""))  # legacy entries have no module; registered names have a `>`


def plain_class_name(entry: Config) -> str:
    """The class's name without the package it was registered in, and by Keras's current name for it."""
    name = str(entry.get("class_name", "")).rpartition(">")[2]
    if not is_keras_class(entry):
        return name
    if name == "Model" and "output_layers" not in (entry.get("config") or {}):
        return name
    return ALIASES.get(name, name)


def facts_of(entry: Config) -> ClassFacts | None:
    """What the table says of a serialised layer's class; None if it is not in the table."""
    if not is_keras_class(entry):
        return None
    name = plain_class_name(entry)
    if name in CLASSES:
        return CLASSES[name]
    return ClassFacts(bases=WEIGHTLESS[name]) if name in WEIGHTLESS else None


def ancestry_of(entry: Config) -> tuple[str, ...]:
    """The class and the public Keras classes that it derives from, nearest first; a user's own class stands alone."""
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
    """The variables that a layer with this config has, in stored order."""
    variables = facts.quantized.get(quantization_mode(config), facts.variables)
    return _existing(variables, config)


def other_variables_of(facts: ClassFacts, config: Config) -> tuple[tuple[Variable, ...], ...]:
    """The variables that it might have instead: where each layer in a layer has a dtype policy of its own."""
    policy = config.get("dtype")
    if not isinstance(policy, Mapping) or policy.get("class_name") != "DTypePolicyMap":
        return ()
    return tuple(_existing(variables, config) for variables in facts.quantized.values())


def _existing(variables: tuple[Variable, ...], config: Config) -> tuple[Variable, ...]:
    return tuple(variable for variable in variables if all(holds(when, config) for when in variable.when))


def holds(when: When, config: Config) -> bool:
    """Whether a condition holds for a config."""
    value = config.get(when.key, when.default)
    return value in when.values if when.values else bool(value)


def quantization_mode(config: Config) -> str:
    """The quantisation mode of a layer's dtype policy (`int8`, `int4`, `float8`, …); empty if it has none."""
    policy = config.get("dtype")
    if isinstance(policy, str):
        return policy.partition("_from_")[0] if "_from_" in policy else ""
    if not isinstance(policy, Mapping) or not isinstance(policy.get("config"), Mapping):
        return ""
    mode = policy["config"].get("mode")
    return str(mode).partition("/")[0] if mode else ""

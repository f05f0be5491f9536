"""The arguments of a model's layers, for `where`: what the config states, or else Keras's default.

An object, such as a regularizer or an activation, is compared by its name, in any of Keras's spellings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from msgspec import UNSET

from mutspec.errors import DocumentPath, PlanError, Problem
from mutspec.keras_facts.argument_values import value_problem
from mutspec.keras_facts.layer_arguments import LAYER_ARGUMENTS, arguments_of, defaults_of, known_classes
from mutspec.keras_facts.object_defaults import (
    FUNCTION_ALIASES,
    INITIALIZER_ALIASES,
    LAYER_DEFAULTS,
    VARIANCE_SCALING,
)
from mutspec.language.types import ArgumentRange, ArgumentValue
from mutspec.model._bits import union
from mutspec.model.meaning import class_meant, value_meant
from mutspec.model.spec import LayerSpec
from mutspec.text.words import listed

_OBJECTS = ("activation", "initializer", "regularizer", "constraint")
"""The ends of the names of arguments whose values are objects of Keras."""

_VALUES_SHOWN = 8
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class ObjectName:
    """An object as the value of an argument: its name, and the other spellings of it."""

    name: str
    spellings: frozenset[str]


class LayerArguments:
    """The arguments of the layers of one model.

    Arguments:
        layers: the layers.
    """

    def __init__(self, layers: Sequence[LayerSpec]) -> None:
        self._layers = layers
        self._values: dict[str, Mapping[int, Any]] = {}

    def names(self) -> tuple[str, ...]:
        """Returns the names of all arguments that a layer has."""
        stated = {name: None for layer in self._layers for name in (*layer.config, *_defaults(layer.class_name))}
        return tuple(name for name in stated if self.values(name))

    def values(self, argument: str) -> Mapping[int, Any]:
        """Returns the value of an argument, in one spelling, for the number of each layer that has it."""
        if argument not in self._values:
            found = ((number, _stated(layer, argument)) for number, layer in enumerate(self._layers))
            self._values[argument] = {
                number: _in_one_spelling(argument, value) for number, value in found if value is not _ABSENT
            }
        return self._values[argument]

    def fitting(self, argument: str, wanted: ArgumentValue) -> int:
        """Returns the layers whose argument has a wanted value, as bits.

        Raises:
            PlanError: a value is of a kind that the argument never has; its path begins at the value.
        """
        for path, item in _items(wanted):
            if not self._has(argument, item):
                self._check_kind(argument, item, path)
        return union(1 << number for number, value in self.values(argument).items() if _fits(argument, wanted, value))

    def _has(self, argument: str, wanted: Any) -> bool:
        return any(_fits(argument, wanted, value) for value in self.values(argument).values())

    def _check_kind(self, argument: str, wanted: Any, path: DocumentPath) -> None:
        if isinstance(wanted, ArgumentRange):
            stated = [value for value in self.values(argument).values() if value is not None]
            if stated and not any(map(_numbers, stated)):
                message = f"`{argument}` is not a number in any layer, so it has no `min` or `max`"
                raise PlanError(message, path=path, hint=f"its values are {listed_values(stated)}")
        elif wanted is not None and not (isinstance(wanted, str) and argument.endswith(_OBJECTS)):
            problem = self._problem(argument, wanted)
            if problem is not None:
                raise PlanError([problem.below(*path)])

    def _problem(self, argument: str, wanted: Any) -> Problem | None:
        """Returns why no class of Keras in the model takes a value. Nothing is known of other classes."""
        classes = {class_meant(self._layers[number].class_name) for number in self.values(argument)}
        problems = [_value_problem(name, argument, wanted) for name in sorted(classes)]
        return problems[0] if problems and all(problems) else None

    def is_known(self, argument: str) -> bool:
        """Returns whether a layer of the model, or a class of Keras, has an argument."""
        return bool(self.values(argument)) or argument in _all_arguments()

    def unknown_names(self, argument: str, wanted: ArgumentValue) -> Iterator[str]:
        """Yields the names of objects that neither Keras nor the model has."""
        for _, item in _items(wanted) if argument.endswith(_OBJECTS) else ():
            if isinstance(item, str) and not self._has(argument, item) and self._problem(argument, item):
                yield item

    def nearest_name(self, argument: str, name: str) -> tuple[str, ...]:
        """Returns the names of objects most similar to one that is not known."""
        problem = self._problem(argument, name)
        return problem.candidates if problem else ()


def listed_values(values: Iterable[Any]) -> str:
    """Lists the different values of an argument, in back-quotes, as a plan writes them."""
    return listed(list(dict.fromkeys(map(written, values))), _VALUES_SHOWN)


def written(value: Any) -> str:
    """Returns a value of an argument as a plan writes it."""
    if isinstance(value, ObjectName):
        return value.name
    if isinstance(value, ArgumentRange):
        ends = {"min": value.min, "max": value.max}
        return f"{{{', '.join(f'{key}: {end:g}' for key, end in ends.items() if end is not UNSET)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def is_spelling(name: str, value: Any) -> bool:
    """Returns whether a value is a name in another spelling: `relu` for `ReLU`."""
    return isinstance(value, str) and _folded(name) == _folded(value)


def _stated(layer: LayerSpec, argument: str) -> Any:
    """Returns the value of a layer's argument as Keras writes it; `_ABSENT` if it has none, or none is known."""
    if argument in LAYER_ARGUMENTS or not layer.config:  # a layer that a class holds implicitly has no config
        return _ABSENT
    if argument in layer.config:
        return layer.config[argument]
    return _defaults(layer.class_name).get(argument, _ABSENT) if "Layer" in layer.ancestry else _ABSENT


@cache
def _defaults(class_name: str) -> Mapping[str, Any]:
    """Returns the defaults of a class of Keras; none for other classes."""
    stated = defaults_of(class_meant(class_name))
    return {**stated, **LAYER_DEFAULTS} if stated else {}


@cache
def _all_arguments() -> frozenset[str]:
    return frozenset(name for kind in known_classes() for name in arguments_of(kind) or ())


def _value_problem(class_name: str, argument: str, value: Any) -> Problem | None:
    """Returns why a class of Keras does not take a value, or one value for each dimension; None for other classes."""
    is_keras = bool(_defaults(class_name))
    return value_problem(class_name, argument, _plain(value)) if is_keras else None


def _in_one_spelling(argument: str, value: Any) -> Any:
    if argument.endswith("activation") and value is None:
        value = "linear"
    if isinstance(value, Mapping) and "class_name" in value and argument != "dtype":
        return _named(argument, value)
    if isinstance(value, str) and argument.endswith(_OBJECTS):
        return ObjectName(value, _spellings(argument, value))
    meant = value_meant(argument, value)
    return meant.get("class_name") if isinstance(meant, Mapping) else meant


def _named(argument: str, value: Mapping[str, Any]) -> ObjectName:
    """Returns the names of a serialised object."""
    config = value.get("config")
    name = str(config if value["class_name"] == "function" else value["class_name"])
    spellings = {str(value.get("registered_name") or name), *_spellings(argument, name)}
    if isinstance(config, Mapping):
        if name == "VarianceScaling":  # as Keras before 2.2.3 wrote HeNormal and others
            row = (config.get("scale"), config.get("mode"), str(config.get("distribution")))
            row = (*row[:2], "truncated_normal" if row[2] == "normal" else row[2])
            spellings |= {_folded(each) for each, facts in VARIANCE_SCALING.items() if facts == row}
        if name == "L1L2":  # as Keras 2 wrote L1 and L2
            spellings |= {"l2"} if not config.get("l1") else {"l1"} if not config.get("l2") else set()
    return ObjectName(name, frozenset(spellings))


def _spellings(argument: str, name: str) -> frozenset[str]:
    if ">" in name:  # a registered name, which has no other spelling
        return frozenset({name})
    aliases = INITIALIZER_ALIASES if argument.endswith("initializer") else FUNCTION_ALIASES
    return frozenset({name, _folded(aliases.get(name, name))})


def _folded(name: str) -> str:
    """Returns a name without what distinguishes `GlorotUniform` from `glorot_uniform`."""
    return name.replace("_", "").lower()


def _fits(argument: str, wanted: Any, value: Any) -> bool:
    if isinstance(wanted, ArgumentRange):
        return bool(numbers := _numbers(value)) and all(_is_within(wanted, number) for number in numbers)
    if isinstance(wanted, list | tuple):
        if _is_flat(wanted) and isinstance(value, list) and len(value) == len(wanted):
            return all(map(_is_same, wanted, value))
        return _plain(wanted) == value or any(_fits(argument, each, value) for each in wanted)
    if isinstance(value, ObjectName):
        wanted = "linear" if wanted is None and argument.endswith("activation") else wanted
        return isinstance(wanted, str) and not value.spellings.isdisjoint(_spellings(argument, wanted))
    if isinstance(value, list):
        return bool(value) and all(_is_same(wanted, each) for each in value)
    return _is_same(wanted, value)


def _items(wanted: ArgumentValue) -> Iterator[tuple[DocumentPath, Any]]:
    """Yields each of the wanted values with its path."""
    if isinstance(wanted, tuple):
        yield from (((number,), each) for number, each in enumerate(wanted))
    else:
        yield (), wanted


def _is_same(wanted: Any, value: Any) -> bool:
    return isinstance(wanted, bool) == isinstance(value, bool) and bool(wanted == value)


def _is_flat(value: Sequence[Any]) -> bool:
    return not any(isinstance(each, list | tuple) for each in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(value: Any) -> Sequence[Any]:
    """Returns the numbers of a value, which is a number or a list of them; none for other values."""
    items = value if isinstance(value, list) else [value]
    return items if all(map(_is_number, items)) else ()


def _is_within(bounds: ArgumentRange, number: float) -> bool:
    return (bounds.min is UNSET or bounds.min <= number) and (bounds.max is UNSET or number <= bounds.max)


def _plain(value: Any) -> Any:
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value

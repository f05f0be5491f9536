"""A call of a layer, for which shape rules find the output shapes: its config, its inputs, and errors about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from mutspec.errors import ModelError
from mutspec.keras_facts.tensor_types import Shape, TensorType

Extents = tuple[int, ...]


class UncertainError(Exception):
    """Raised where the tables do not know the shapes, so that Keras must be asked."""


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The shapes that a rule finds.

    Arguments:
        outputs: the shapes of the outputs. They have the layer's compute dtype, unless the rule gives their types.
        weights: the shape of each role that the class may have, also of those that the layer's config switches off.
            They have the layer's dtype of variables, unless the rule gives their types.
        keeps_dtype: whether outputs have the dtype of whole-number inputs, instead of the layer's compute dtype.
        parts: the results for the layers in the layer, in the order of the class table; if there are none, the
            layers in it have the roles in `weights`.
    """

    outputs: tuple[Shape | TensorType, ...]
    weights: Mapping[str, Extents | TensorType] = field(default_factory=dict)
    keeps_dtype: bool = False
    parts: tuple[RuleResult, ...] = ()

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes of the outputs."""
        return tuple(each.shape if isinstance(each, TensorType) else each for each in self.outputs)


Entry = Mapping[str, Any]

_INNER = "has a layer that cannot be called: "


def _knows_nothing(entry: Entry, inputs: tuple[TensorType, ...]) -> RuleResult:
    raise UncertainError


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a call, with the types of tensors in their places."""

    positional: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)

    def bound(self, *names: str) -> dict[str, Any]:
        """Returns the arguments by name.

        Arguments:
            names: the names of the positional parameters.

        Raises:
            UncertainError: there are more arguments.
        """
        if len(self.positional) > len(names):
            raise UncertainError
        return {**dict(zip(names, self.positional, strict=False)), **self.named}


@dataclass(frozen=True, slots=True)
class LayerCall:
    """A layer and the inputs that it is called on.

    Arguments:
        name: the layer's name.
        class_name: its class.
        config: its config, as JSON values.
        inputs: the types of its inputs.
        arguments: all arguments of the call; None if only the inputs are known.
        ask: finds the shapes of a layer in this layer, with the dtypes of its weights.
    """

    name: str
    class_name: str
    config: Mapping[str, Any]
    inputs: tuple[TensorType, ...]
    arguments: Arguments | None = None
    ask: Callable[[Entry, tuple[TensorType, ...]], RuleResult] = _knows_nothing

    def refuse(self, what: str) -> NoReturn:
        """Raises the ModelError "`name` (Class) what"."""
        raise ModelError(f"`{self.name}` ({self.class_name}) {what}")

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return tuple(tensor.shape for tensor in self.inputs)

    @property
    def without_masks(self) -> tuple[TensorType, ...]:
        """The inputs without masks, which a model's config passes as arguments, too."""
        return (*self.inputs[:1], *(tensor for tensor in self.inputs[1:] if tensor.dtype != "bool"))

    def bound(self, *names: str) -> dict[str, Any]:
        """Returns the arguments of the call by name; the inputs if there are no others.

        Arguments:
            names: the names of the positional parameters.
        """
        return (self.arguments or Arguments(self.inputs)).bound(*names)

    def part(self, key: str, *inputs: Shape) -> RuleResult:
        """Returns the shapes of the layer in this layer that a key of the config holds."""
        return self.inner(self.config.get(key), *inputs)

    def inner(self, entry: Any, *inputs: Shape) -> RuleResult:
        """Returns the shapes of a serialised layer that is called on these inputs in this layer."""
        if not isinstance(entry, Mapping):
            raise UncertainError
        try:
            return self.ask(entry, tuple(TensorType(shape) for shape in inputs))
        except ModelError as error:
            innermost = error.problems[0].message.rpartition(_INNER)[2]
            self.refuse(f"{_INNER}{innermost}")

    def shape(self, *, rank: int | None = None, at_least: int = 0) -> Shape:
        """Returns the shape of the only input, which must have this rank."""
        inputs = self.without_masks
        if len(inputs) != 1:
            self.refuse(f"takes one input, not {len(inputs)}")
        shape = inputs[0].shape
        if rank is not None and len(shape) != rank:
            self.refuse(f"needs inputs of rank {rank}, not {shape}")
        if len(shape) < at_least:
            self.refuse(f"needs inputs of rank {at_least} or more, not {shape}")
        return shape

    def extent(self, shape: Shape, axis: int) -> int:
        """Returns the extent of an axis, which must be known, because weights depend on it."""
        if not -len(shape) <= axis < len(shape):
            self.refuse(f"has no axis {axis} in inputs {shape}")
        extent = shape[axis]
        if extent is None:
            self.refuse(f"needs a known extent of axis {axis % len(shape)}, not {shape}")
        return extent

    def whole(self, key: str, default: int | None = None, minimum: int = 1) -> int:
        """Returns a whole number of the config."""
        value: Any = self.config.get(key)
        value = default if value is None else value
        if not _is_whole(value) or value < minimum:
            self.refuse(f"has {key} = {value!r}, but needs a whole number of at least {minimum}")
        return int(value)

    def sizes(self, key: str, count: int, default: Any = None, minimum: int = 1) -> Extents:
        """Returns a whole number for each dimension. A single number in the config is for all of them."""
        value = self.config.get(key)
        value = default if value is None else value
        if _is_whole(value):
            value = (value,) * count
        if not _are_whole(value, count) or min(value) < minimum:
            self.refuse(f"has {key} = {value!r}, but needs {count} whole numbers of at least {minimum}")
        return tuple(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """Returns a truth value of the config."""
        return bool(self.config.get(key, default))

    def choice(self, key: str, default: str, *choices: str) -> str:
        """Returns a word of the config, in lower case."""
        value = self.config.get(key)
        word = default if value is None else value
        word = word.lower() if isinstance(word, str) else word
        if word not in choices:
            self.refuse(f"has {key} = {value!r}, but needs {' or '.join(choices)}")
        return str(word)

    @property
    def is_channels_first(self) -> bool:
        return self.choice("data_format", "channels_last", "channels_last", "channels_first") == "channels_first"

    def with_spatial(self, change: Callable[[int, int], int], *, channels: int | None = None) -> Shape:
        """Returns the input's shape with other spatial extents, where they are known, and other channels.

        Arguments:
            change: returns the new extent for a spatial dimension (0, 1, …) and its extent.
            channels: the number of channels; None to keep it.
        """
        shape = self.shape()
        first = 2 if self.is_channels_first else 1
        changed = list(shape)
        for dimension in range(len(shape) - 2):
            extent = shape[first + dimension]
            if extent is not None:
                changed[first + dimension] = change(dimension, extent)
        if any(extent is not None and extent < 1 for extent in changed[first : first + len(shape) - 2]):
            self.refuse(f"would output a dimension of 0 or less for {shape}")
        if channels is not None:
            changed[1 if self.is_channels_first else -1] = channels
        return tuple(changed)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_whole(value: object, count: int) -> bool:
    return isinstance(value, list | tuple) and len(value) == count and all(_is_whole(item) for item in value)


Rule = Callable[[LayerCall], RuleResult]
"""Finds the output shapes of a class; raises UncertainError where only Keras knows them."""

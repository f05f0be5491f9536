"""A layer that is asked what it makes: its config read by key, its inputs, and the sentences that refuse them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from mutspec.errors import ModelError
from mutspec.keras_facts.tensor_types import Shape, TensorType

Extents = tuple[int, ...]


class UncertainError(Exception):
    """The table cannot tell; whoever knows Keras itself must."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a rule finds.

    Arguments:
        outputs: the shapes of the outputs.
        weights: the shape of each role that the class may have; those that the layer's config switches off included.
        keeps_dtype: whether whole numbers come out as they went in, instead of in the dtype that the layer computes in.
    """

    outputs: tuple[Shape, ...]
    weights: Mapping[str, Extents] = field(default_factory=dict)
    keeps_dtype: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A layer and the inputs that it is called on.

    Arguments:
        name: the layer's name.
        class_name: its class.
        config: its config, as JSON values.
        inputs: the types of its inputs.
    """

    name: str
    class_name: str
    config: Mapping[str, Any]
    inputs: tuple[TensorType, ...]

    def refuse(self, what: str) -> NoReturn:
        """Raise the ModelError "`name` (Class) what"."""
        raise ModelError(f"`{self.name}` ({self.class_name}) {what}")

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return tuple(tensor.shape for tensor in self.inputs)

    @property
    def without_masks(self) -> tuple[TensorType, ...]:
        """Its inputs, without those that only say which entries count: a model's config passes masks as arguments."""
        return (*self.inputs[:1], *(tensor for tensor in self.inputs[1:] if tensor.dtype != "bool"))

    def shape(self, *, rank: int | None = None, at_least: int = 0) -> Shape:
        """The shape of its only input, which must have this rank."""
        inputs = self.without_masks
        if len(inputs) != 1:
            self.refuse(f"takes one input, not {len(inputs)}")
        shape = inputs[0].shape
        if rank is not None and len(shape) != rank:
            self.refuse(f"needs inputs of rank {rank}, not {shape}")
        if len(shape) < at_least:
            self.refuse(f"needs inputs of rank {at_least} or more, not {shape}")
        return shape

    def known(self, shape: Shape, axis: int) -> int:
        """The extent of an axis that weights depend on."""
        if not -len(shape) <= axis < len(shape):
            self.refuse(f"has no axis {axis} in inputs {shape}")
        extent = shape[axis]
        if extent is None:
            self.refuse(f"needs a known extent of axis {axis % len(shape)}, not {shape}")
        return extent

    def whole(self, key: str, default: int | None = None, minimum: int = 1) -> int:
        """A whole number of the config."""
        value: Any = self.config.get(key)
        value = default if value is None else value
        if not _is_whole(value) or value < minimum:
            self.refuse(f"has {key} = {value!r}, where it needs a whole number from {minimum} on")
        return int(value)

    def sizes(self, key: str, count: int, default: Any = None, minimum: int = 1) -> Extents:
        """A whole number for each of some dimensions; one number stands for all."""
        value = self.config.get(key)
        value = default if value is None else value
        if _is_whole(value):
            value = (value,) * count
        if not _are_whole(value, count) or min(value) < minimum:
            self.refuse(f"has {key} = {value!r}, where it needs {count} whole numbers from {minimum} on")
        return tuple(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """A yes or no of the config."""
        return bool(self.config.get(key, default))

    def choice(self, key: str, default: str, *known: str) -> str:
        """A word of the config, in small letters."""
        value = self.config.get(key)
        word = default if value is None else value
        word = word.lower() if isinstance(word, str) else word
        if word not in known:
            self.refuse(f"has {key} = {value!r}, where it needs {' or '.join(known)}")
        return str(word)

    @property
    def is_channels_first(self) -> bool:
        return self.choice("data_format", "channels_last", "channels_last", "channels_first") == "channels_first"

    def with_spatial(self, change: Callable[[int, int], int], *, channels: int | None = None) -> Shape:
        """The input with each spatial extent changed, if it is known, and with other channels, if they are given.

        Arguments:
            change: the new extent, from the spatial dimension (0, 1, …) and its extent.
            channels: the number of channels; that of the input if None.
        """
        shape = self.shape()
        first = 2 if self.is_channels_first else 1
        changed = list(shape)
        for dimension in range(len(shape) - 2):
            extent = shape[first + dimension]
            if extent is not None:
                changed[first + dimension] = change(dimension, extent)
        if any(extent is not None and extent < 1 for extent in changed[first : first + len(shape) - 2]):
            self.refuse(f"makes a dimension of 0 or less out of {shape}")
        if channels is not None:
            changed[1 if self.is_channels_first else -1] = channels
        return tuple(changed)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_whole(value: object, count: int) -> bool:
    return isinstance(value, list | tuple) and len(value) == count and all(_is_whole(item) for item in value)


Rule = Callable[[Asked], Made]
"""What a class makes of its inputs; raises UncertainError where only Keras knows."""

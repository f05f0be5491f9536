"""Patterns of axes (`keras_facts/layer_axes.py`), read and followed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from math import prod
from typing import Any

from mutspec.keras_facts.layer_axes import LayerAxes
from mutspec.model.spec import TensorRef
from mutspec.structure.coupling.axis_call import (
    Argument,
    AxisCall,
    Extents,
    Keys,
    Traced,
    UncoupledError,
    Use,
    WeightAxis,
)
from mutspec.structure.coupling.labels import Axes, Axis, Labels, MarkKind

Token = tuple[str, ...]
"""An axis: its factors. One name for most."""

REST, MIXED, PLAIN = ("...",), ("*",), ("_",)


@cache
def tokens(pattern: str) -> tuple[Token, ...]:
    """Returns the axes of a pattern."""
    found = re.findall(r"\(([^()]*)\)|(\S+)", pattern)
    return tuple(tuple(product.split()) if product else (name,) for product, name in found)


def follow(axes: LayerAxes, call: AxisCall, inputs: tuple[TensorRef, ...] | None = None) -> Traced:
    """Returns how the axes of a layer are related, by its pattern.

    Arguments:
        axes: the pattern.
        call: the call.
        inputs: the tensors that its inputs are. Default: those of the call, in their order.

    Raises:
        UncoupledError: the call does not fit the pattern.
    """
    before, _, after = axes.call.partition("->")
    patterns = [tokens(each) for each in before.split(",")]
    given = call.inputs if inputs is None else inputs
    bindings = _Bindings(call, axes)
    for pattern, ref in zip(patterns, given, strict=False):  # states and keys of attention may be missing
        bindings.match(pattern, call.axes[ref])
    outputs = tuple(bindings.output(tokens(each)) for each in after.split(",") if each.strip())
    weights = {role: tuple(bindings.weight(each)) for role, each in axes.weights.items()}
    for name, why in axes.mixes.items():
        call.note_mixed(bindings.named.get(name), why)
    return Traced(outputs, weights, dict(bindings.arguments()), bindings.widths())


@dataclass
class _Bindings:
    """What the names of a pattern stand for in a call."""

    call: AxisCall
    axes: LayerAxes
    named: dict[str, Axis] = field(default_factory=dict)
    rest: Axes = ()
    mixed: int = 0

    def match(self, pattern: tuple[Token, ...], axes: Axes) -> None:
        """Takes the labels of an input."""
        count = len(axes) - len(pattern) + 1  # of the axes that the one open token stands for
        is_open = any(token in (REST, MIXED) for token in pattern)
        if count < 0 or (not is_open and count != 1):
            raise UncoupledError(f"is called on a tensor of rank {len(axes)}")
        at = 0
        for token in pattern:
            if token in (REST, MIXED):
                run = axes[at : at + count]
                at += count
                if token == REST:
                    self.rest = run
                    continue
                self.mixed = count
                for axis in run:
                    self.call.ties.mark(axis, MarkKind.BARRIER, self.call.path, "mixes the entries along this axis")
                continue
            if token != PLAIN:
                self._bind(token, axes[at])
            else:
                self.call.note_whole(axes[at])
            at += 1

    def _bind(self, token: Token, axis: Axis) -> None:
        name, outer, inner = self._factors(token)
        if axis is None and self._is_width(name):  # the layer has channels there, whatever it is called on
            axis = self.call.fixed(name, self._width(name), "is called on an axis without channels")
        elif axis is not None and (outer, inner) != (1, 1):
            axis = self._divided(axis, outer, inner)
        if name in self.named:
            self.named[name] = self.call.tied(self.named[name], axis, "needs axes of equal width")
        else:
            self.named[name] = axis

    def _divided(self, axis: Labels, outer: int, inner: int) -> Labels:
        """Returns the labels of the factor of an axis that has channels. All its repetitions are tied."""
        length, rest = divmod(len(axis), outer * inner)
        if rest:
            raise UncoupledError(f"divides {len(axis)} channels by {outer * inner}")
        base = tuple(axis[number * inner] for number in range(length))
        whole = tuple(base[number // inner % length] for number in range(len(axis)))
        self.call.ties.tie(whole, axis)
        return base

    def _factors(self, token: Token) -> tuple[str, int, int]:
        """Returns the factor of an axis that has channels, and how often it is repeated as a whole, and each index."""
        tracked = [number for number, factor in enumerate(token) if self._size(factor) is None]
        if len(tracked) != 1:
            raise UncoupledError(f"has an axis ({' '.join(token)})")
        (at,) = tracked
        sizes = [self._size(factor) or 1 for factor in token]
        return token[at], prod(sizes[:at]), prod(sizes[at + 1 :])

    def _size(self, factor: str) -> int | None:
        return int(factor) if factor.isdigit() else self.axes.sizes.get(factor)

    def labels(self, token: Token) -> Axis:
        """Returns the labels of an axis that the layer makes, or has been given."""
        if token in (PLAIN, MIXED) or all(self._size(factor) is not None for factor in token):
            return None
        name, outer, inner = self._factors(token)
        if name not in self.named:
            self.named[name] = self.call.fresh(name, self._width(name))
        base = self.named[name]
        return None if base is None else self.call.ties.repeated(base, inner) * outer

    def _is_width(self, name: str) -> bool:
        return any((name,) in tokens(pattern) for pattern in self.axes.widths.values())

    def _width(self, name: str) -> int:
        """Returns the number of channels that the layer makes along an axis, from the argument that counts them."""
        if name in self.axes.made:
            return self.axes.made[name]
        for argument, pattern in self.axes.widths.items():
            for number, token in enumerate(tokens(pattern)):
                if token == (name,):
                    value = self.call.config.get(argument)
                    found = value[number] if isinstance(value, list | tuple) and number < len(value) else value
                    if isinstance(found, int):
                        return found
        raise UncoupledError(f"does not say how long its axis `{name}` is")

    def output(self, pattern: tuple[Token, ...]) -> Axes:
        """Returns the labels of an output."""
        found: list[Axis] = []
        for token in pattern:
            if token == REST:
                found += self.rest
            elif token == MIXED:
                found += [None] * self.mixed
            else:
                found.append(self.labels(token))
        return tuple(found)

    def weight(self, pattern: str) -> Iterator[WeightAxis]:
        """Yields the axes of a weight."""
        signs = [token for token in tokens(pattern) if token in _SIGNS]
        use = Use.SCALES if not signs else _BEFORE[signs[0]]
        for token in tokens(pattern):
            if token in _SIGNS:
                use = _SIGNS[token]
            elif token == REST:
                yield WINDOW
            else:
                labels = self.labels(token)
                yield WeightAxis(labels, Use.NONE if labels is None else use)

    def arguments(self) -> Iterator[tuple[Keys, Argument]]:
        """Yields the arguments that count channels."""
        for argument, pattern in self.axes.widths.items():
            if argument not in self.call.config:
                continue
            value: Any = self.call.config[argument]
            found = [self._count(token) for token in tokens(pattern)]
            if isinstance(value, list | tuple):
                parts = (value[number] if each is None else each for number, each in enumerate(found))
                yield ("config", argument), Extents(tuple(parts))
            elif found[0] is not None:
                yield ("config", argument), found[0]

    def _count(self, token: Token) -> Labels | None:
        return None if token == PLAIN else self.labels(token)

    def widths(self) -> Mapping[str, Labels]:
        """Returns the channels that each argument counts."""
        found = {argument: self.labels(tokens(pattern)[0]) for argument, pattern in self.axes.widths.items()}
        return {argument: labels for argument, labels in found.items() if labels is not None}


WINDOW = WeightAxis(())
"""Stands for the axes of a weight that are not named: those of a window."""

_SIGNS: Mapping[Token, Use] = {(">",): Use.PRODUCES, ("<",): Use.SUMS, ("=",): Use.SCALES}
"""What the axes after a sign are for."""

_BEFORE: Mapping[Token, Use] = {(">",): Use.SUMS, ("<",): Use.PRODUCES, ("=",): Use.SCALES}
"""What the axes before the first sign are for."""

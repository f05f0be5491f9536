"""The values of a graph in one place, a chunk of a tensor or a few of its entries, computed when asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mutspec.execute.gather import PANEL, Panels, are_scattered, gathered, summed
from mutspec.execute.tensor_store import StoredTensor, TensorStore
from mutspec.graph.choice import Choice, Computed
from mutspec.graph.graph import Graph, Node, Shape, Version
from mutspec.graph.numpy_kernels.entrywise import MAP_KERNELS, TAKES_ROOM, Array, gather_indices
from mutspec.graph.numpy_kernels.masks import Mask
from mutspec.graph.numpy_kernels.places import Entries, Place, Span
from mutspec.graph.numpy_kernels.traits import passing
from mutspec.graph.numpy_kernels.whole import WHOLE_KERNELS
from mutspec.graph.primitives import Access


@dataclass
class RunState:
    """The results and draws that all chunks of a run share.

    Arguments:
        graph: what is computed.
        tensors: where tensors are read.
        small: the values of small nodes, by node.
        stores: the stored nodes that are still read.
        panels: parts of transposed tensors that several chunks lie in.
    """

    graph: Graph
    tensors: TensorStore
    small: dict[int, Any] = field(default_factory=dict)
    stores: dict[int, StoredTensor] = field(default_factory=dict)
    panels: Panels = field(default_factory=Panels)

    @cached_property
    def passing(self) -> frozenset[int]:
        """The tensors whose memory may be reused for what is computed from them."""
        return passing(self.graph)

    def small_value(self, number: int) -> Any:
        """Returns the value of a node that consists of numbers and reductions alone."""
        if number not in self.small:
            node = self.graph.nodes[number]
            inputs = [self.small_value(each) for each in node.inputs]
            if node.access is Access.WHOLE:
                self.small[number] = WHOLE_KERNELS[node.primitive](node, *inputs)
            else:
                self.small[number] = MAP_KERNELS[node.primitive](node, Span(0, prod(node.shape)), *inputs)
        return self.small[number]


class Masks:
    """The masks of one pass, each made once."""

    def __init__(self) -> None:
        self.made: dict[Any, Mask] = {}

    def of(self, choice: Choice | None, shape: tuple[int, ...]) -> Mask:
        """Returns the mask of a choice over a shape."""
        key = (choice, shape)
        if key not in self.made:
            self.made[key] = Mask(choice, shape)
        return self.made[key]


class Chunk:
    """The values in one place, computed when asked for."""

    def __init__(self, state: RunState, place: Place, masks: Masks) -> None:
        self.state = state
        self.place = place
        self.all_masks = masks
        self.values: dict[int, Array] = {}
        self.bases: dict[tuple[str, str], Array] = {}
        self.masks: dict[tuple[Choice, Shape], NDArray[np.bool_] | None] = {}

    def mask(self, choice: Choice, shape: Shape) -> NDArray[np.bool_] | None:
        """Returns the mask of the chosen entries here, drawn once; None if no entry is chosen."""
        if isinstance(choice, Computed):
            truth: NDArray[np.bool_] = self.value(choice.node)
            return truth
        key = (choice, shape)
        if key not in self.masks:
            mask = self.all_masks.of(choice, shape)
            self.masks[key] = (
                mask.at(self.place.start, self.place.stop)
                if isinstance(self.place, Span)
                else mask.these(self.place.indices)
            )
        return self.masks[key]

    def touched(self, version: Version) -> int:
        """Returns the number of entries here that a version chooses."""
        if version.choice is None:
            return self.place.size
        mask = self.mask(version.choice, self.state.graph.nodes[version.node].shape)
        return 0 if mask is None else int(np.count_nonzero(mask))

    def base(self, model: str, path: str) -> Array:
        """Returns the entries of an input model here, which are read once."""
        key = (model, path)
        if key not in self.bases:
            tensors, place = self.state.tensors, self.place
            self.bases[key] = (
                tensors.read(model, path, place.start, place.stop)
                if isinstance(place, Span)
                else tensors.read_entries(model, path, place.indices)
            )
        return self.bases[key]

    def keep_only(self, number: int) -> None:
        """Drops all values but one, and all masks."""
        self.values = {number: self.values[number]}
        self.masks.clear()

    def value(self, number: int) -> Any:
        """Returns the value of a node in this chunk. For a small node it is the whole value."""
        if self.state.graph.is_small[number]:
            return self.state.small_value(number)
        if number not in self.values:
            self.values[number] = self._compute(number, self.state.graph.nodes[number])
        return self.values[number]

    def _compute(self, number: int, node: Node) -> Array:
        if number in self.state.stores:
            return self.state.stores[number].read(self.place.start, self.place.stop)
        if node.primitive == "base":
            return self.base(node.attribute("model"), node.attribute("path"))
        if node.primitive == "choose":
            return self._choose(node)
        if node.access is Access.GATHER:
            return self._gather(node)
        inputs = [self.value(each) for each in node.inputs]
        room = self._room(node)
        result: Array = MAP_KERNELS[node.primitive](
            node, self.place, *inputs, **({} if room is None else {"out": room})
        )
        return result

    def _room(self, node: Node) -> Array | None:
        """Returns an input's array for the result, if nothing else reads it: new memory costs more than arithmetic."""
        if node.primitive in TAKES_ROOM:
            for number in node.inputs:
                if number in self.state.passing and self.state.graph.nodes[number].dtype == node.dtype:
                    return self.values.pop(number)
        return None

    def _choose(self, node: Node) -> Array:
        chosen, otherwise = node.inputs
        mask = self.mask(node.attribute("choice"), node.shape)
        before: Array = self.value(otherwise)
        return before if mask is None else np.where(mask, self.value(chosen), before)

    def _gather(self, node: Node) -> Array:
        take = partial(self._entries_of, node.inputs[0])
        indices = gather_indices(node, self.place)
        if node.primitive == "sum_over":
            return summed(take, indices, node.attribute("count"), node.attribute("stride"))
        if isinstance(self.place, Span) and are_scattered(indices):
            start = self.place.start // PANEL * PANEL
            panel = Span(start, min(start + PANEL, prod(node.shape)))
            values = self.state.panels.get((node, start), lambda: take(gather_indices(node, panel)))
            return values[self.place.start - start : self.place.stop - start]
        return take(indices)

    def _entries_of(self, number: int, indices: Entries) -> Array:
        """Returns some entries, in any order, of a tensor of an input model or one that is stored."""
        node, tensors = self.state.graph.nodes[number], self.state.tensors
        if number in self.state.stores:
            return gathered(self.state.stores[number].read, indices, np.dtype(node.dtype))
        model, path = node.attribute("model"), node.attribute("path")
        if isinstance(self.place, Span):
            return gathered(partial(tensors.read, model, path), indices, np.dtype(node.dtype))
        distinct, positions = np.unique(indices, return_inverse=True)
        return tensors.read_entries(model, path, distinct)[positions]

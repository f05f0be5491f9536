"""Computes what ops need to know of weights while a plan is compiled, from the values of its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from mutspec.access.model_lock import hold
from mutspec.access.read import Readable, Reader, reader_of
from mutspec.access.threads import default_threads
from mutspec.execute.engine import execute
from mutspec.execute.memory_store import MemoryStore
from mutspec.graph.graph import Graph
from mutspec.graph.numpy_kernels.entrywise import Array
from mutspec.graph.numpy_kernels.places import Entries
from mutspec.model.live import LiveModel


@dataclass(frozen=True)
class ModelValues:
    """Computes small tensors from the values of models.

    Arguments:
        models: the model that is mutated, under "", and the plan's inputs, by name.
    """

    models: Mapping[str, Readable]

    def __call__(self, graph: Graph) -> Sequence[tuple[float, ...]]:
        """Returns the entries of each new tensor of a graph. Only the weights that it needs are read."""
        used = {node.attribute("model"): None for node in graph.nodes if node.primitive == "base"}
        models = {name: self.models[name] for name in used}
        with ExitStack() as stack:
            stack.enter_context(hold(reads=[each for each in models.values() if isinstance(each, LiveModel)]))
            readers = {name: stack.enter_context(reader_of(each)) for name, each in models.items()}
            tensors = _SmallTensors(readers, graph)
            execute(graph, tensors, threads=default_threads())
        return [tuple(map(float, tensors.made[name])) for name in graph.created]


class _SmallTensors:
    """New tensors in memory, as a store for the engine.

    Arguments:
        readers: readers of the models, by name.
        graph: what is computed.
    """

    def __init__(self, readers: Mapping[str, Reader], graph: Graph) -> None:
        self._readers = readers
        self.made = {
            name: np.empty(prod(graph.nodes[number].shape), np.float64) for name, number in graph.created.items()
        }

    def read(self, model: str, path: str, start: int, stop: int) -> Array:
        """Reads entries of a tensor of a model."""
        return self._readers[model].read(path, start, stop)

    def read_entries(self, model: str, path: str, entries: Entries) -> Array:
        """Reads some entries of a tensor of a model."""
        return self._readers[model].read_entries(path, entries)

    def write(self, path: str, start: int, before: Array | None, after: Array) -> None:
        """Keeps a chunk of a new tensor; a number is one entry."""
        values = np.atleast_1d(after)
        self.made[path][start : start + len(values)] = values

    def write_entries(self, path: str, entries: Entries, before: Array, after: Array) -> None:
        """Is not called, because all entries of new tensors are computed."""
        raise NotImplementedError

    def store(self, size: int, dtype: np.dtype[Any]) -> MemoryStore:
        """Returns a store in memory."""
        return MemoryStore(np.empty(size, dtype))

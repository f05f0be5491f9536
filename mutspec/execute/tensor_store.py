"""The interface of stores of tensors for the engine: a model file, or a model in memory."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from mutspec.graph.numpy_kernels.entrywise import Array
from mutspec.graph.numpy_kernels.places import Entries


class StoredTensor(Protocol):
    """A place for one computed tensor while others read it."""

    def write(self, start: int, values: Array) -> None: ...
    def read(self, start: int, stop: int) -> Array: ...
    def close(self) -> None: ...


class TensorStore(Protocol):
    """A store of tensors: a model file, or a model in memory. Its methods may be called from several threads."""

    def read(self, model: str, path: str, start: int, stop: int) -> Array:
        """Reads the flat entries [start, stop) of an input model's tensor, in native byte order."""
        ...

    def write(self, path: str, start: int, before: Array | None, after: Array) -> None:
        """Writes entries of a result from `start` on; `before` is what the input holds there, if it has the tensor."""
        ...

    def read_entries(self, model: str, path: str, entries: Entries) -> Array:
        """Reads some flat entries of an input model's tensor, in ascending order."""
        ...

    def write_entries(self, path: str, entries: Entries, before: Array, after: Array) -> None:
        """Writes some entries of a result, in ascending order. All others are what the input holds.

        No two calls for one tensor have entries in the same chunk.
        """
        ...

    def store(self, size: int, dtype: np.dtype[Any]) -> StoredTensor:
        """Returns a store for a computed tensor."""
        ...

"""Stores of tensors, as the engine sees them: a model file, or a model in memory."""

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
        """The flat entries [start, stop) of an input model's tensor, in native byte order."""
        ...

    def write(self, path: str, start: int, before: Array | None, after: Array) -> None:
        """Entries of a result from `start` on; `before` is what the input holds there, if it has the tensor."""
        ...

    def read_entries(self, model: str, path: str, entries: Entries) -> Array:
        """Some flat entries of an input model's tensor, which ascend."""
        ...

    def write_entries(self, path: str, entries: Entries, before: Array, after: Array) -> None:
        """Some entries of a result, which ascend; all others are what the input holds.

        No two calls for one tensor have entries in the same chunk.
        """
        ...

    def store(self, size: int, dtype: np.dtype[Any]) -> StoredTensor:
        """Room for a computed tensor."""
        ...

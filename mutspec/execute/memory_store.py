"""Computed tensors in memory while others read them."""

from __future__ import annotations

from dataclasses import dataclass

from mutspec.graph.numpy_kernels.entrywise import Array


@dataclass(frozen=True)
class MemoryStore:
    """A computed tensor in memory, flat."""

    values: Array

    def write(self, start: int, values: Array) -> None:
        """Keeps entries from `start` on."""
        self.values[start : start + len(values)] = values

    def read(self, start: int, stop: int) -> Array:
        """Reads the entries [start, stop)."""
        return self.values[start:stop]

    def close(self) -> None:
        """Does nothing: memory is freed with its last reader."""

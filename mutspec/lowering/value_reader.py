"""The interface of value readers, which compute a few numbers of the models' weights while a plan is compiled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mutspec.graph.graph import Graph

MOST_VALUES = 1 << 16
"""The most entries of one value that an op may ask for: norms of channels and singular values, but no weights."""


class ValueReader(Protocol):
    """Computes the new tensors of a graph from the values of the models that a plan is compiled for."""

    def __call__(self, graph: Graph) -> Sequence[tuple[float, ...]]:
        """Returns the entries of each new tensor of a graph, in C order.

        Arguments:
            graph: has no versions. Each new tensor has at most `MOST_VALUES` entries.

        Raises:
            ModelError: a file ends before its weights do, or was changed after it was opened.
        """
        ...

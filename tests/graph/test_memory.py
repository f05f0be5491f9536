"""The memory that primitives need which take all entries at once: enough, and not wildly more."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from mutspec.graph.graph import Graph
from mutspec.graph.memory import whole_bytes
from mutspec.graph.numpy_kernels.whole import WHOLE_KERNELS
from tests.toys import Toy

ROWS, COLUMNS = 600, 500
WHOLE: dict[str, dict[str, Any]] = {
    "ranked": {"dtype": "bool", "count": 1000, "largest": False},
    "ranked_in_groups": {"dtype": "bool", "length": ROWS, "stride": COLUMNS, "group": 4, "count": 2},
    "quantile": {"shape": (), "dtype": "float64", "q": (0.3).hex()},
    "shuffle": {"choice": None, "key": bytes(16)},
    "shuffle_slices": {"length": COLUMNS, "stride": 1, "choice": None, "key": bytes(16)},
    "orthogonal": {"rows": ROWS},
    "low_rank": {"rows": ROWS, "rank": 3, "energy": None},
    "factors": {"shape": (100 * (ROWS + COLUMNS),), "count": 1, "rows": ROWS, "rank": 100},
    "energies": {"shape": (COLUMNS,), "dtype": "float64", "count": 1, "rows": ROWS},
}


@pytest.mark.parametrize("primitive", WHOLE)
def test_the_estimate_covers_what_a_kernel_takes_and_at_most_four_times_that(primitive: str) -> None:
    values = np.random.default_rng(0).standard_normal((ROWS, COLUMNS)).astype(np.float32)
    toy = Toy({"a": values})
    number = toy["a"].whole(primitive, **WHOLE[primitive]).node
    graph: Graph = toy.builder.build()
    node, flat = graph.nodes[number], values.reshape(-1)
    WHOLE_KERNELS[primitive](node, flat)  # what is loaded at first is not counted
    tracemalloc.start()
    WHOLE_KERNELS[primitive](node, flat)
    peak = tracemalloc.get_traced_memory()[1] + values.nbytes
    tracemalloc.stop()
    estimate = whole_bytes(graph)[number]
    assert peak / 1.15 <= estimate <= 4 * peak

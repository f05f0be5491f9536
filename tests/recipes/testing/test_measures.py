"""Weights are measured in blocks, and as if they were measured at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.testing import assert_allclose

from mutspec.recipes.testing import expectations, measures
from mutspec.recipes.testing.measures import values_of

BLOCK = 8


class BlockReader:
    """A reader of one weight that gives no more than a block."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __enter__(self) -> BlockReader:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, path: str, start: int, stop: int) -> Any:
        assert stop - start <= BLOCK
        return self.values[start:stop].copy()


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a model of one weight."""

    def made(values: Any) -> Any:
        for module in (measures, expectations):
            monkeypatch.setattr(module, "reader_of", lambda _: BlockReader(values))
        tensor = SimpleNamespace(path="a", size=values.size, dtype=str(values.dtype))
        return SimpleNamespace(spec=SimpleNamespace(tensor_by_path={"a": tensor}, tensors=[tensor]))

    monkeypatch.setattr(measures, "CHUNK", BLOCK)
    monkeypatch.setattr(measures, "MOST_AT_ONCE", 2 * BLOCK)
    return made


GENERATOR = np.random.default_rng(1)
WEIGHTS = {
    "many": GENERATOR.normal(size=300).astype("float32"),
    "few": GENERATOR.integers(3, size=300).astype("float16"),
    "signed zeros": np.array([0.0, -0.0, 1.0] * 9),
    "NaN": np.array([1, np.nan, 2, -np.nan] + [3] * 30, "float32"),
    "infinite": np.array([np.inf] + [0] * 20 + [-np.inf]),
    "bfloat16": np.arange(100).astype(ml_dtypes.bfloat16),
    "integers beyond float64": np.arange(2**53, 2**53 + 50),
    "unsigned": GENERATOR.integers(256, size=300).astype("uint8"),
    "truth": np.array([True, False] * 20),
    "empty": np.empty(0),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_is_measured_in_blocks_as_if_at_once(name: str, model: Any) -> None:
    values = WEIGHTS[name]
    found = values_of(model(values), "a")
    assert found.zeros == np.count_nonzero(values == 0)
    assert found.distinct == len(np.unique(values if values.dtype.kind in "biu" else values.astype(float)))
    with np.errstate(invalid="ignore"):
        wide = values.astype(float) if values.size else np.array([np.nan])
        assert_allclose([found.min, found.max, found.mean], [wide.min(), wide.max(), wide.mean()], rtol=1e-12)
    assert values_of(model(values), "a", counts_distinct=False).distinct is None


def test_non_finite_entries_are_counted_in_blocks(model: Any) -> None:
    made = model(np.where(np.arange(100) % 7, 1.0, np.nan))
    attempt: Any = SimpleNamespace(made=made, after=made.spec)
    (problem,) = expectations.EXPECTATIONS["finite"].check("weights", attempt)
    assert "15 entries of `a` are infinite or NaN" in problem.message

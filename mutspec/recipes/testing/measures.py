"""The measures of weights that tests set bounds to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mutspec.access.read import reader_of
from mutspec.model.files.archive import Archive

NO_DIFFERENCE: dict[str, float] = {
    "changed": 0,
    "l2": 0.0,
    "relative_l2": 0.0,
    "max_abs": 0.0,
    "mean": 0.0,
    "std": 0.0,
    "cosine": 1.0,
    "non_finite": 0,
}
"""The measures of the difference of two equal weights."""


@dataclass(frozen=True)
class Values:
    """What is measured of the values of a weight: see `ValuesExpected`."""

    zeros: int
    distinct: int
    min: float
    max: float
    mean: float


def values_of(model: Archive, path: str) -> Values:
    """Returns the measures of a weight's values.

    Raises:
        ModelError: they cannot be read.
    """
    with reader_of(model) as reader:
        values: Any = reader.read(path, 0, model.spec.tensor_by_path[path].size)
    if not values.size:
        return Values(0, 0, np.nan, np.nan, np.nan)
    wide = values.astype(np.float64)
    zeros = int(values.size - np.count_nonzero(values))
    with np.errstate(invalid="ignore"):
        return Values(zeros, len(np.unique(wide)), float(wide.min()), float(wide.max()), float(wide.mean()))

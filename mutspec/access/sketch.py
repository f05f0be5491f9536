"""Sketches of tensors: a few numbers from which the distance between two tensors can be estimated.

A projection is the sum of a tensor's entries with random signs. The square of the difference of two projections has the
squared distance of the two tensors as its mean. So the mean over some projections estimates it, wherever the tensors
differ.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mutspec.access.read import Readable, reader_of
from mutspec.graph.primitives import CHUNK

PROJECTIONS = 16
_DIGITS = 9
"""The digits that are kept, so that the last bits of a sum, which depend on the processor, do not show."""


@dataclass(frozen=True)
class Sketch:
    """A sketch of a tensor.

    Arguments:
        l2: the norm of the finite entries.
        non_finite: how many entries are infinite or NaN.
        projections: the sums of the finite entries with random signs.
    """

    l2: float
    non_finite: int
    projections: tuple[float, ...]


def sketches(model: Readable, paths: Sequence[str]) -> dict[str, Sketch]:
    """Returns a sketch of each of some tensors of a model, by path. Memory stays bounded.

    Arguments:
        model: a model file, or a live model that was read.
        paths: the tensors' paths.
    """
    sizes = {path: model.spec.tensor_by_path[path].size for path in paths}
    found = {}
    with reader_of(model) as reader:
        for path, size in sizes.items():
            sums, squares, non_finite = np.zeros(PROJECTIONS), 0.0, 0
            for start in range(0, size, CHUNK):
                values = np.asarray(reader.read(path, start, min(start + CHUNK, size))).astype(np.float64)
                is_finite = np.isfinite(values)
                non_finite += int(values.size - np.count_nonzero(is_finite))
                values = np.where(is_finite, values, 0.0)
                squares += float(np.sum(values * values))
                sums += np.sum(_signs(start // CHUNK, values.size) * values, axis=1)
            found[path] = Sketch(_rounded(math.sqrt(squares)), non_finite, tuple(map(_rounded, sums.tolist())))
    return found


def relative_distance(one: Sequence[float], other: Sequence[float], norm: float) -> float:
    """Estimates the norm of the difference of two tensors by their projections, divided by a norm.

    With 16 projections, nine of ten estimates are within 30 % of the distance.
    """
    distance = math.sqrt(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / len(one))
    if norm:
        return distance / norm
    return 0.0 if not distance else math.inf


def _signs(block: int, size: int) -> NDArray[np.float64]:
    """Returns the signs of the entries of a block, a row for each projection."""
    bits = np.frombuffer(hashlib.shake_128(b"mutspec sketch 1" + block.to_bytes(8, "little")).digest(2 * size), "<u2")
    powers = np.arange(PROJECTIONS, dtype=np.uint16)[:, None]
    signs: NDArray[np.float64] = (1 - 2 * ((bits[None, :] >> powers) & 1).astype(np.int8)).astype(np.float64)
    return signs


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")

"""The arithmetic of a comparison: what differs between two blocks of values, and how blocks add up. All in float64."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 16
"""The entries of a partial sum. Partials are merged in index order, so that threads and chunk sizes change no bit."""

Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Partial:
    """The comparison of a range of entries, as a part of a tensor's comparison.

    Arguments:
        entries: the number of entries that it covers.
        changed: those that differ.
        squares: the sum of the squared differences.
        squares_before, squares_after, products: the sums over the values before and after, and of their products.
        max_abs: the largest absolute difference.
        mean: the mean of the differences.
        spread: the sum of the squared deviations from that mean.
        non_finite: the infinite and NaN entries after.
    """

    entries: int = 0
    changed: int = 0
    squares: float = 0.0
    squares_before: float = 0.0
    squares_after: float = 0.0
    products: float = 0.0
    max_abs: float = 0.0
    mean: float = 0.0
    spread: float = 0.0
    non_finite: int = 0

    def merged(self, other: Partial) -> Partial:
        """Returns both together; `other` covers the next entries. Means and spreads merge as in Chan et al. (1979)."""
        entries = self.entries + other.entries
        shift = other.mean - self.mean
        share = other.entries / entries if entries else 0.0
        return Partial(
            entries,
            self.changed + other.changed,
            self.squares + other.squares,
            self.squares_before + other.squares_before,
            self.squares_after + other.squares_after,
            self.products + other.products,
            float(np.maximum(self.max_abs, other.max_abs)),  # unlike max(), it keeps a NaN
            self.mean + shift * share,
            self.spread + other.spread + shift * shift * self.entries * share,
            self.non_finite + other.non_finite,
        )


class Scratch:
    """Memory in which one thread works on a block: new memory for each step would cost four times the arithmetic."""

    def __init__(self) -> None:
        """Takes 1.5 MB."""
        self._arrays = tuple(np.empty(BLOCK) for _ in range(3))

    def arrays(self, size: int) -> list[NDArray[np.float64]]:
        """Returns three float64 arrays of that size, at most a block, whose content is undefined."""
        return [array[:size] for array in self._arrays]


def compare(before: Values, after: Values, scratch: Scratch) -> Partial:
    """Compares two blocks of the same size.

    Entries of one dtype differ if their bits do. Entries of two dtypes differ if their values do. Equal entries count
    as a difference of 0, and count in the norms if they are finite. Complex numbers count as pairs of real ones, except
    in the number of entries that changed.
    """
    if "c" in (before.dtype.kind, after.dtype.kind):
        return _compare_complex(before, after, scratch)
    one, other, work = scratch.arrays(len(before))
    with np.errstate(all="ignore"):
        np.copyto(one, before)
        squares_before = _sum_of_squares(one, work)
        if before.dtype == after.dtype:
            differs = _bits(before) != _bits(after)
            if np.isfinite(squares_before) and not differs.any():
                return Partial(len(before), 0, 0.0, squares_before, squares_before, squares_before)
            np.copyto(other, after)
        else:
            np.copyto(other, after)
            differs = (one != other) & ~(np.isnan(one) & np.isnan(other))
        squares_after, non_finite = _sum_of_squares(other, work), 0
        if not (np.isfinite(squares_before) and np.isfinite(squares_after)):
            is_non_finite = ~np.isfinite(other)
            non_finite = int(np.count_nonzero(is_non_finite))
            same = is_non_finite & ~differs
            one[same] = other[same] = 0.0
            squares_before, squares_after = _sum_of_squares(one, work), _sum_of_squares(other, work)
        products = float(np.multiply(one, other, out=work).sum())
        difference = np.subtract(other, one, out=other)
        mean = float(difference.sum()) / len(difference)
        squares = _sum_of_squares(difference, work)
        return Partial(
            len(before),
            int(np.count_nonzero(differs)),
            squares,
            squares_before,
            squares_after,
            products,
            float(np.maximum(difference.max(), -difference.min())),
            mean,
            _sum_of_squares(np.subtract(difference, mean, out=difference), work),
            non_finite,
        )


def _compare_complex(before: Values, after: Values, scratch: Scratch) -> Partial:
    one, other = before.astype(np.complex128), after.astype(np.complex128)
    differs = one.view(np.uint64).reshape(-1, 2) != other.view(np.uint64).reshape(-1, 2)
    halves = [slice(None, len(one)), slice(len(one), None)]
    parts = [compare(one.view(np.float64)[half], other.view(np.float64)[half], scratch) for half in halves]
    return replace(
        parts[0].merged(parts[1]),
        changed=int(np.count_nonzero(differs.any(axis=1))),
        non_finite=int(np.count_nonzero(~np.isfinite(other))),
    )


def count_non_finite(values: Values) -> Partial:
    """Counts the entries of a block that are infinite or NaN."""
    with np.errstate(all="ignore"):
        wide = values if values.dtype.kind == "c" else values.astype(np.float64)
        return Partial(len(values), non_finite=int(np.count_nonzero(~np.isfinite(wide))))


def _bits(values: Values) -> Values:
    return values.view(f"u{values.dtype.itemsize}")


def _sum_of_squares(values: NDArray[np.float64], work: NDArray[np.float64]) -> float:
    # Not a dot product: BLAS sums in an order that depends on the processor and on its own threads.
    return float(np.square(values, out=work).sum())

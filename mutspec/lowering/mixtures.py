"""Mixtures: first values of new channels that are sums of those of old ones, such as their mean."""

from __future__ import annotations

from collections.abc import Sequence

from mutspec.errors import PlanError
from mutspec.graph.choice import Listed, StridedSlices
from mutspec.graph.computed_dtypes import INTEGERS
from mutspec.graph.expression import Expression
from mutspec.lowering.changed_weight import ChangedWeight
from mutspec.structure.coupling.substitution import NEW


def mixed(weight: ChangedWeight, groups: Sequence[int], shares: Sequence[float]) -> Expression:
    """Returns the values of a weight in whose new channels old ones are added up.

    Arguments:
        weight: the weight.
        groups: the old channels.
        shares: the factor of each of them.

    Raises:
        PlanError: the weight consists of whole numbers.
    """
    if weight.dtype in INTEGERS:
        raise PlanError(
            f"`{weight.new.tensor.path}` is {weight.dtype}, whose whole numbers cannot be added up by parts",
            path=("op",),
            hint="begin with zeros, copy channels, or leave quantised layers for later",
        )
    value = weight.old
    for axis, found in enumerate(weight.maps):
        if found is None:
            continue
        taken = value.take(axis, [max(at, 0) for at in found])
        if NEW in found:
            labels = weight.axes[axis].labels
            assert labels is not None
            numbers, rows = weight.substitution.new_channels(labels, groups)
            sums = _sums(value, axis, rows, shares).take(axis, [max(number, 0) for number in numbers])
            slices = StridedSlices.along(axis, taken.shape)
            taken = sums.where(slices.choose(Listed(weight.new_places()[axis])), taken)
        value = taken
    return value


def _sums(value: Expression, axis: int, rows: Sequence[Sequence[int]], shares: Sequence[float]) -> Expression:
    """Returns a tensor that has, along one axis, the sum of the slices of each row."""
    dtype, count = value.dtype, len(shares)
    before, after = value.shape[:axis], value.shape[axis + 1 :]
    parts = value.take(axis, [at for row in rows for at in row]).reshape((*before, len(rows), count, *after))
    if len(set(shares)) == 1:
        return (parts.sum_over(axis + 1) * shares[0]).cast(dtype)
    slices = StridedSlices.along(axis + 1, parts.shape)
    for number, share in enumerate(shares):
        parts = (parts * share).where(slices.choose(Listed((number,))), parts)
    return parts.sum_over(axis + 1).cast(dtype)

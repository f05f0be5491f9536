"""One tensor as a step sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar, cast

from msgspec import Struct

from mutspec.errors import PlanError
from mutspec.graph.choice import Choice, StridedSlices
from mutspec.graph.expression import Expression, constant, draw
from mutspec.language.types import ByTarget, Case, Scale
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.neuron_slices import known_neurons
from mutspec.model.spec import TensorSpec

T = TypeVar("T")

LEAST = 2.0**-126
"""The least step between levels, in place of 0: where all weights are 0, they stay it."""


@dataclass(frozen=True, slots=True)
class TensorContext:
    """One tensor as a step sees it: the step's values for it, its draws, its scales.

    Arguments:
        context: where the step is lowered.
        op: the step.
        tensor: the tensor.
        choice: the entries that the step touches; None for all.
    """

    context: LoweringContext
    op: Struct
    tensor: TensorSpec
    choice: Choice | None = None

    def value(self, values: ByTarget[T]) -> T:
        """Returns the step's value for this tensor: of a list of values by target, the first that matches."""
        if not isinstance(values, tuple):
            return values
        field = self._field_of(values)
        for position, case in enumerate(cast("tuple[Case[T], ...]", values)):
            if self.context.case_matches(case.target, self.tensor, (field, position, "target")):
                return case.value
        raise PlanError(
            f"no entry of `{field}` matches `{self.tensor.path}`",
            path=(field,),
            hint="end the list with an entry that has no `target`; it is for all others",
        )

    def weight(self) -> Expression:
        """Returns the weight as the steps before left it, in the dtype that is computed in."""
        return self.context.read(self.tensor).cast(self.context.compute_dtype(self.tensor))

    def neurons(self) -> StridedSlices:
        """Returns the neurons of the tensor, as slices of it.

        Raises:
            PlanError: it has none that are known.
        """
        return known_neurons(self.context.models[""], self.tensor)

    def number(self, values: ByTarget[float]) -> Expression:
        """Returns the step's number for this tensor, as an expression."""
        return constant(self.context.builder, self.value(values))

    def normal(self, name: str) -> Expression:
        """Returns standard normal draws, one for each entry. Each draw of a step has a name of its own."""
        return self._draw("normal", name)

    def uniform(self, name: str) -> Expression:
        """Returns uniform draws from [0, 1), one for each entry. Each draw of a step has a name of its own."""
        return self._draw("uniform", name)

    def exponential(self, name: str) -> Expression:
        """Returns standard exponential draws, one for each entry. Each draw of a step has a name of its own."""
        return self._draw("exponential", name)

    def one_bit(self, name: str, dtype: str, positions: tuple[int, ...], group: int = 1) -> Expression:
        """Returns words of a dtype, one for each entry or each group of entries, in which one of some bits is set."""
        return self._draw("one_bit", name, dtype, positions=positions, group=group)

    def _draw(self, primitive: str, name: str, dtype: str = "", **attributes: Any) -> Expression:
        shape = self.context.read(self.tensor).shape
        key, dtype = self.key(name), dtype or self.context.compute_dtype(self.tensor)
        return draw(self.context.builder, primitive, key, shape, dtype, **attributes)

    def key(self, name: str) -> bytes:
        """Returns the key of one of the step's draws for this tensor."""
        return self.context.key(self.tensor.origin, name)

    def scale(self, unit: Scale, weight: Expression) -> Expression:
        """Returns the unit of a noise's size: a number, or a tensor of the weight's shape.

        Arguments:
            unit: `absolute` is 1, `std` the tensor's population standard deviation, `max_abs` its largest |w|,
                `channel_max` the largest |w| of each output channel, `weight` the |w| of each entry.
            weight: the weight that the step sees.
        """
        if unit is Scale.ABSOLUTE:
            return constant(self.context.builder, 1.0)
        if unit is Scale.STD:
            return weight.standard_deviation()
        if unit is Scale.MAX_ABS:
            return abs(weight).max()
        if unit is Scale.WEIGHT:
            return abs(weight)
        return self.channel_max(abs(weight), "relative_to")

    def channel_max(self, values: Expression, needed_by: str) -> Expression:
        """Returns the largest value of each output channel, as a tensor.

        Arguments:
            values: a tensor of the weight's shape.
            needed_by: the key of the step that asks for it.
        """
        axis = self.tensor.channel_axis
        if axis is None:
            raise PlanError(
                f"`{self.tensor.path}` has no known output channels, which "
                f"`{needed_by}: {getattr(self.op, needed_by)}` needs",
                path=(needed_by,),
                hint="use `max_abs`, or leave this weight out" if needed_by == "relative_to" else "use `tensor`",
            )
        axis %= max(1, len(self.tensor.shape))
        return values.max_along(axis).along(axis, values.shape)

    def _field_of(self, values: object) -> str:
        names = zip(self.op.__struct_fields__, self.op.__struct_encode_fields__, strict=True)
        return next(written for name, written in names if getattr(self.op, name) is values)

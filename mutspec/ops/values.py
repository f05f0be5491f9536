"""Values: weights that are scaled, or set."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from mutspec.graph.expression import Expression, constant
from mutspec.language.errors import PlanError, Problem
from mutspec.language.types import ByTarget
from mutspec.ops.base import WeightOp
from mutspec.ops.bench import INTEGERS
from mutspec.ops.site import Site


class ScaleWeights(WeightOp, tag="scale", frozen=True, kw_only=True):
    """Multiply: each chosen weight w becomes factor·w.

    Literature: inhibitors, WI (MuFF: a factor below 1); CW of DeepMAACC is a factor of 1.1 on one neuron at a time.
    """

    factor: Annotated[ByTarget[float], Meta(description="The factor, without unit.", examples=[1.1])]

    def lower(self, weight: Expression, at: Site) -> Expression:
        """factor·w."""
        return at.number(self.factor) * weight


class Fill(WeightOp, tag="fill", frozen=True, kw_only=True):
    """Set: each chosen weight becomes `value`.

    Literature: set value (MRFI); stuck weights (hardware fault studies).
    """

    accepts_integers: ClassVar[bool] = True
    accepts_nan: ClassVar[frozenset[str]] = frozenset({"value"})

    value: Annotated[
        ByTarget[float], Meta(description="The value that is set, in the weight's own unit.", examples=[0.5])
    ]

    def lower(self, weight: Expression, at: Site) -> Expression:
        """The value, everywhere."""
        value = at.value(self.value)
        if weight.dtype in INTEGERS:
            _refuse_unrepresentable(value, at)
        return constant(at.bench.builder, value)


class Zero(WeightOp, tag="zero", frozen=True, kw_only=True):
    """Set each chosen weight to zero.

    Literature: zeros (TensorFI 2, TF-Injector), set zero (MRFI), dead or pruned weights; drop-connect at test time
    (AIHWKit).
    """

    accepts_integers: ClassVar[bool] = True

    def lower(self, weight: Expression, at: Site) -> Expression:
        """Zero, everywhere."""
        return constant(at.bench.builder, 0.0)


def _refuse_unrepresentable(value: float, at: Site) -> None:
    dtype = at.tensor.dtype
    bits = 1 if dtype == "bool" else int(dtype.lstrip("uint"))
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if dtype.startswith("int") else (0, (1 << bits) - 1)
    if not (value == value and low <= value <= high and value == int(value)):
        raise PlanError(
            Problem(
                f"`{at.tensor.path}` is {dtype} and cannot hold {value:g}",
                path=("value",),
                hint=f"give a whole number from {low:,} to {high:,}",
            )
        )

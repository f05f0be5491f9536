"""The shape of an op: its typed parameters, its documentation, and how it lowers to expressions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import DocumentPath, Problem
from mutspec.graph.expression import Expression
from mutspec.language.plan import Plan
from mutspec.language.types import Count, NonFinite, Patterns, Per, PlanValue, Rank, Share, Target, Unit
from mutspec.lowering.amounts import Amount, Chosen
from mutspec.lowering.context import LoweringContext, StepContext, TensorWrite
from mutspec.lowering.structure_context import StructureContext
from mutspec.lowering.tensor_context import TensorContext
from mutspec.lowering.units import Units
from mutspec.model.spec import TensorSpec


class Op(PlanValue, tag_field="op", frozen=True, kw_only=True):
    """The keys that every step may have. An op's name is its class's tag; its family is the module that it is in."""

    accepts_nan: ClassVar[frozenset[str]] = frozenset()
    """The keys for which NaN is a value like others; for all others it is refused."""
    example: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Keys that an example of a step needs beside the required ones, or that make a better one."""
    may_be_done: ClassVar[bool] = False
    """Whether weights are often as it leaves them already, such as within its bounds: no news if some of them are."""
    is_structural: ClassVar[bool] = False
    """Whether it changes the architecture, so that the mutant is a new model."""

    id: Annotated[str, Meta(description="The step's name. Default: the op's name.", min_length=1)] = ""
    stream: Annotated[str, Meta(description="The name of the step's random stream. Default: the step's id.")] = ""
    seed: Annotated[Count | UnsetType, Meta(description="The seed of this step alone. Default: the plan's.")] = UNSET
    allow_empty: Annotated[bool, Meta(description="Whether a step that touches nothing is fine.")] = False
    non_finite: Annotated[
        NonFinite | UnsetType,
        Meta(description="What to do when a finite entry becomes infinite or NaN. Default: the plan's, else `error`."),
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        """What is wrong with the step by itself, beyond what types can say. Paths are relative to the step."""
        return ()

    def inputs_used(self) -> Iterable[tuple[DocumentPath, str]]:
        """The inputs that the step reads, each with the path, relative to the step, at which it is named."""
        return ()

    def context(self, number: int, plan_seed: int) -> StepContext:
        """What the bench needs to know of the step.

        Arguments:
            number: its index in the plan.
            plan_seed: the plan's seed.
        """
        seed = plan_seed if isinstance(self.seed, UnsetType) else self.seed
        return StepContext(number, op_name(type(self)), self.stream or self.id, seed, self.allow_empty)

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Lower the step: read and bind tensors on the bench, and say what was touched."""
        raise NotImplementedError


class WeightOp(Op, frozen=True, kw_only=True):
    """An op that changes the values of the weights that `target` chooses: all entries, or an amount of them.

    A subclass gives `lower`, which says what a whole tensor becomes. Choosing entries, rounding to the stored dtype and
    reporting are done here, alike for all ops.
    """

    accepts_integers: ClassVar[bool] = False
    """Whether `lower` is meaningful for tensors of integers."""
    computes_as_stored: ClassVar[bool] = False
    """Whether `lower` gets half precision as it is stored, instead of as float32."""
    default_unit: ClassVar[Unit] = Unit.ENTRY
    """What an amount is a number of, if the step does not say."""
    default_rank: ClassVar[Rank | None] = None
    """By what entries are chosen, if the step does not say; None for at random."""

    target: Annotated[Target, Meta(description="The layers and weights to change.")]
    fraction: Annotated[
        Share | UnsetType,
        Meta(
            description="The part to touch of the entries, or of what `unit` says, rounded half up to a whole number.",
            examples=["1%"],
        ),
    ] = UNSET
    count: Annotated[
        Count | UnsetType, Meta(description="The number of entries, or of what `unit` says, to touch.", examples=[5])
    ] = UNSET
    rate: Annotated[
        Share | UnsetType,
        Meta(
            description="The probability with which each of them is touched; their number is binomial.", examples=[1e-4]
        ),
    ] = UNSET
    indices: Annotated[
        tuple[int, ...] | UnsetType,
        Meta(
            description="Those to touch, by number: entries in C order; negative numbers count from the end.",
            examples=[[0, -1]],
        ),
    ] = UNSET
    per: Annotated[
        Per | UnsetType,
        Meta(
            description="What an amount counts over: each tensor (the default), each layer (the default of neurons), "
            "or all targets together."
        ),
    ] = UNSET
    at_least: Annotated[Count, Meta(description="Touch at least this many, where there are so many.")] = 0
    unit: Annotated[
        Unit | UnsetType,
        Meta(
            description="What an amount is a number of: single entries (the default); rows, columns or blocks of the "
            "weight as a matrix, whose columns its last axis runs over; or neurons (output units, channels, heads), "
            "the only unit of ops on neurons."
        ),
    ] = UNSET
    block: Annotated[
        tuple[Count, ...] | UnsetType,
        Meta(
            description="The height and width of blocks; or their length alone, as runs of entries in C order.",
            examples=[[4, 4], [16]],
        ),
    ] = UNSET
    rank: Annotated[
        Rank | UnsetType,
        Meta(description="Touch the units with the smallest or largest norm (of entries, |w|) instead of random ones."),
    ] = UNSET
    gates: Annotated[
        Patterns | UnsetType,
        Meta(
            description="Touch these gates of recurrent layers alone: input, forget, candidate, output; of a GRU "
            "update, reset, candidate.",
            examples=[["forget"]],
        ),
    ] = UNSET

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        """What the whole of one weight becomes.

        Arguments:
            weight: the weight as the steps before left it, in the dtype that is computed in: float16 and bfloat16
                weights arrive as float32, and the result is rounded once.
            ctx: the place: the tensor, its draws, and the step's values for it.
        """
        raise NotImplementedError

    def given(self, *keys: str) -> tuple[str, ...]:
        """Which of some keys, of those that may be left out, the step has."""
        return tuple(key for key in keys if getattr(self, key) is not UNSET)

    @property
    def amount(self) -> Amount:
        """What the step says about how many entries it touches."""
        unit = self.default_unit if isinstance(self.unit, UnsetType) else self.unit
        gates: tuple[str, ...] = ()
        if not isinstance(self.gates, UnsetType):
            gates = (self.gates,) if isinstance(self.gates, str) else self.gates
        rank = self.default_rank if isinstance(self.rank, UnsetType) else self.rank
        units = Units(unit, () if isinstance(self.block, UnsetType) else self.block, gates, rank)
        return Amount(self.fraction, self.count, self.rate, self.indices, self.per, self.at_least, units)

    def problems(self) -> Iterable[Problem]:
        """Amounts that exclude one another."""
        return self.amount.problems()

    def tensors(self, context: LoweringContext) -> Sequence[TensorSpec]:
        """The weights that the step is for."""
        return context.select(self.target, "target").tensors

    def choices(self, context: LoweringContext, tensors: Sequence[TensorSpec]) -> list[Chosen]:
        """Which entries of the weights are touched."""
        return self.amount.choices(context, tensors)

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Lower every chosen weight, choose entries, and bind the results."""
        tensors = self.tensors(context)
        context.refuse_dtypes(tensors)
        if not self.accepts_integers:
            context.refuse_integers(tensors)
        writes = []
        for tensor, choice in self.choices(context, tensors):
            before = context.read(tensor)
            compute = before if self.computes_as_stored else before.cast(context.compute_dtype(tensor))
            after = self.lower(compute, TensorContext(context, self, tensor, choice))
            context.check_result(tensor, after)
            writes.append(context.bind(tensor, after.cast(tensor.dtype).spread(before.shape), choice))
        return writes


class StructureOp(Op, frozen=True, kw_only=True):
    """An op that changes the architecture. A subclass gives `restructure`."""

    is_structural: ClassVar[bool] = True

    def restructure(self, ctx: StructureContext) -> None:
        """Changes the architecture by the context's methods.

        Arguments:
            ctx: the model as the steps before left it, and the ways in which it can be changed.
        """
        raise NotImplementedError

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Changes the architecture; the first values of new weights are not counted as changes."""
        self.restructure(StructureContext(context, self.id))
        return ()


def is_structural(plan: Plan[Op]) -> bool:
    """Whether a plan changes the architecture."""
    return any(step.is_structural for step in plan.steps)


def package(op: type[Op]) -> str:
    """The package that an op comes from, as one imports it: `mutspec`, `dead_zone`."""
    return op.__module__.partition(".")[0]


def op_name(op: type[Op]) -> str:
    """The op's name in plans."""
    return str(op.__struct_config__.tag)

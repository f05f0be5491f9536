"""The base classes of ops: typed parameters, documentation, and a method that lowers them to expressions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import DocumentPath, Problem
from mutspec.graph.expression import Expression
from mutspec.language.plan import Plan
from mutspec.language.steps import op_name
from mutspec.language.types import (
    OF_AMOUNT,
    OF_COMMON,
    OF_NAME,
    OF_TARGET,
    Count,
    NonFinite,
    Patterns,
    Per,
    PlanValue,
    Rank,
    Share,
    Target,
    Unit,
    or_default,
)
from mutspec.lowering.amounts import Amount, Chosen
from mutspec.lowering.claims import SamePredictions
from mutspec.lowering.context import LoweringContext, StepContext, TensorWrite
from mutspec.lowering.tensor_context import TensorContext
from mutspec.lowering.units import Units
from mutspec.model.spec import TensorSpec

if TYPE_CHECKING:
    from mutspec.lowering.structure_context import StructureContext


class Op(PlanValue, tag_field="op", frozen=True, kw_only=True):
    """The keys that every step may have. An op's name is its class's tag; its family is the module that it is in."""

    accepts_nan: ClassVar[frozenset[str]] = frozenset()
    """The keys for which NaN is a value like others; for all others it is refused."""
    example: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Keys that an example of a step needs besides the required ones, or that make a better one."""
    may_be_done: ClassVar[bool] = False
    """Whether weights are often as it leaves them already, such as within its bounds. It is not reported then."""
    is_structural: ClassVar[bool] = False
    """Whether it changes the architecture, so that the mutant is a new model."""
    reads_architecture: ClassVar[bool] = False
    """Whether it looks at how layers are connected, so that shapes between them must be known."""

    id: Annotated[str, OF_NAME, Meta(description="The step's name. Default: the op's name.", min_length=1)] = ""
    stream: Annotated[
        str, OF_COMMON, Meta(description="The name of the step's random stream. Default: the step's id.")
    ] = ""
    seed: Annotated[
        Count | UnsetType, OF_COMMON, Meta(description="The seed of this step alone. Default: the plan's.")
    ] = UNSET
    allow_empty: Annotated[bool, OF_COMMON, Meta(description="Whether a step that touches nothing is fine.")] = False
    non_finite: Annotated[
        NonFinite | UnsetType,
        OF_COMMON,
        Meta(description="What to do when a finite entry becomes infinite or NaN. Default: the plan's, else `error`."),
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        """Returns the problems of the step by itself, beyond what types can say. Paths are relative to the step."""
        return ()

    def inputs_used(self) -> Iterable[tuple[DocumentPath, str]]:
        """Returns the inputs that the step reads, each with the path, relative to the step, at which it is named."""
        return ()

    @property
    def reads_data(self) -> bool:
        """Whether it needs the data of the call, on which it measures activations."""
        return False

    def claim(self) -> SamePredictions | None:
        """Returns what the step claims about the model's predictions, for `--check`; None for nothing.

        A step that only renames layers, or adds or removes layers that act only in training, need not claim anything.
        """
        return None

    def context(self, number: int, plan_seed: int) -> StepContext:
        """Returns what the context of lowering needs to know of the step.

        Arguments:
            number: its index in the plan.
            plan_seed: the plan's seed.
        """
        seed = or_default(self.seed, plan_seed)
        return StepContext(number, op_name(type(self)), self.stream or self.id, seed, self.allow_empty)

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Lowers the step: selects, reads and binds tensors, and returns what `bind` returned."""
        raise NotImplementedError("it has no method `apply`")


class WeightOp(Op, frozen=True, kw_only=True):
    """An op that changes the values of the weights that `target` chooses: all entries, or an amount of them.

    A subclass gives `lower`: what a whole tensor becomes. Choosing entries, rounding to the stored dtype and
    reporting are done here, alike for all ops.
    """

    accepts_integers: ClassVar[bool] = False
    """Whether `lower` is meaningful for tensors of integers."""
    computes_as_stored: ClassVar[bool] = False
    """Whether `lower` gets half precision as it is stored, instead of as float32."""
    default_unit: ClassVar[Unit] = Unit.ENTRY
    """The unit of an amount, if the step does not say."""
    default_rank: ClassVar[Rank | None] = None
    """By what entries are chosen, if the step does not say; None for at random."""

    target: Annotated[Target, OF_TARGET, Meta(description="The layers and weights to change.")]
    fraction: Annotated[
        Share | UnsetType,
        OF_AMOUNT,
        Meta(
            description="The part to touch of the entries, or of what `unit` says, rounded half up to a whole number.",
            examples=["1%"],
        ),
    ] = UNSET
    count: Annotated[
        Count | UnsetType,
        OF_AMOUNT,
        Meta(description="The number of entries, or of what `unit` says, to touch.", examples=[5]),
    ] = UNSET
    rate: Annotated[
        Share | UnsetType,
        OF_AMOUNT,
        Meta(
            description="The probability with which each of them is touched; their number is binomial.", examples=[1e-4]
        ),
    ] = UNSET
    indices: Annotated[
        tuple[int, ...] | UnsetType,
        OF_AMOUNT,
        Meta(
            description="Those to touch, by number: entries in C order; negative numbers count from the end.",
            examples=[[0, -1]],
        ),
    ] = UNSET
    per: Annotated[
        Per | UnsetType,
        OF_AMOUNT,
        Meta(
            description="What an amount counts over: each tensor (the default), each layer (the default of neurons), "
            "or all targets together."
        ),
    ] = UNSET
    at_least: Annotated[
        Count, OF_AMOUNT, Meta(description="Touch at least this many, or all where there are fewer.")
    ] = 0
    unit: Annotated[
        Unit | UnsetType,
        OF_AMOUNT,
        Meta(
            description="What an amount is a number of: single entries (the default); rows, columns or blocks of the "
            "weight as a matrix, whose columns its last axis runs over; or neurons (output units, channels, heads), "
            "the only unit of ops on neurons."
        ),
    ] = UNSET
    block: Annotated[
        tuple[Count, ...] | UnsetType,
        OF_AMOUNT,
        Meta(
            description="The height and width of blocks; or their length alone, as runs of entries in C order.",
            examples=[[4, 4], [16]],
        ),
    ] = UNSET
    rank: Annotated[
        Rank | UnsetType,
        OF_AMOUNT,
        Meta(description="Touch the units with the smallest or largest norm (of entries, |w|) instead of random ones."),
    ] = UNSET
    gates: Annotated[
        Patterns | UnsetType,
        OF_AMOUNT,
        Meta(
            description="Touch these gates of recurrent layers alone: input, forget, candidate, output; of a GRU "
            "update, reset, candidate.",
            examples=[["forget"]],
        ),
    ] = UNSET

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        """Returns what all entries of one weight become.

        Arguments:
            weight: the weight as the steps before left it, in the dtype that is computed in: float16 and bfloat16
                weights arrive as float32, and the result is rounded once.
            ctx: the place: the tensor, its draws, and the step's values for it.
        """
        raise NotImplementedError("it has no method `lower`")

    def given(self, *keys: str) -> tuple[str, ...]:
        """Returns those of some optional keys that the step has."""
        return tuple(key for key in keys if getattr(self, key) is not UNSET)

    @property
    def amount(self) -> Amount:
        """The step's keys that say how many entries it changes."""
        unit = or_default(self.unit, self.default_unit)
        gates: tuple[str, ...] = ()
        if self.gates is not UNSET:
            gates = (self.gates,) if isinstance(self.gates, str) else self.gates
        rank = or_default(self.rank, self.default_rank)
        units = Units(unit, or_default(self.block, ()), gates, rank)
        return Amount(self.fraction, self.count, self.rate, self.indices, self.per, self.at_least, units)

    def problems(self) -> Iterable[Problem]:
        """Returns the problems of the amount."""
        return self.amount.problems()

    def tensors(self, context: LoweringContext) -> Sequence[TensorSpec]:
        """Returns the weights that the step is for."""
        return context.select(self.target, "target").tensors

    def choices(self, context: LoweringContext, tensors: Sequence[TensorSpec]) -> list[Chosen]:
        """Returns the entries of the weights that the step changes."""
        return self.amount.choices(context, tensors)

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Lowers every chosen weight, chooses entries, and binds the results."""
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
    reads_architecture: ClassVar[bool] = True

    def restructure(self, ctx: StructureContext) -> None:
        """Changes the architecture by the context's methods.

        Arguments:
            ctx: the model as the steps before left it, and the ways in which it can be changed.
        """
        raise NotImplementedError("it has no method `restructure`")

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Changes the architecture; the first values of new weights are not counted as changes."""
        from mutspec.lowering.structure_context import StructureContext  # plans of weight steps do not need it

        ctx = StructureContext(context, self.id)
        self.restructure(ctx)
        return ctx.writes


def is_structural(plan: Plan[Op]) -> bool:
    """Returns whether a plan changes the architecture."""
    return any(step.is_structural for step in plan.steps)

"""The base class of ops that remove or mask units with all that is coupled to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import Problem
from mutspec.language.types import OF_AMOUNT, OF_TARGET, Count, Share, Target
from mutspec.lowering.base import Op
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.layer_units import OnUnremovable
from mutspec.lowering.unit_groups import Over, UnitChoice, chosen_groups
from mutspec.lowering.unit_ranking import Measure, UnitRank
from mutspec.lowering.widths import coupling
from mutspec.structure.coupling.coupling import Coupling


@dataclass(frozen=True, slots=True)
class ChosenUnits:
    """The units that a step chooses.

    Arguments:
        coupling: the channels of the model.
        targets: the paths of the layers whose units they are.
        groups: the groups of channels that are coupled with them.
    """

    coupling: Coupling
    targets: tuple[str, ...]
    groups: tuple[int, ...]


class UnitsOp(Op, frozen=True, kw_only=True):
    """An op that chooses units of layers, and is told the groups of channels that are coupled with them."""

    reads_architecture: ClassVar[bool] = True

    target: Annotated[Target, OF_TARGET, Meta(description="The layers whose units are chosen.")]
    fraction: Annotated[
        Share | UnsetType,
        OF_AMOUNT,
        Meta(description="The part of the units, rounded half up to a whole number.", examples=["25%"]),
    ] = UNSET
    count: Annotated[Count | UnsetType, OF_AMOUNT, Meta(description="The number of units.", examples=[8])] = UNSET
    indices: Annotated[
        tuple[int, ...] | UnsetType,
        OF_AMOUNT,
        Meta(
            description="The units by number, in each layer; negative numbers count from the end.", examples=[[0, -1]]
        ),
    ] = UNSET
    per: Annotated[
        Over,
        OF_AMOUNT,
        Meta(
            description="What an amount counts over: each layer, where layers that share channels count as one; or all "
            "targets together, of which those with the smallest share of their layer's mean norm go first."
        ),
    ] = Over.LAYER
    rank: Annotated[
        UnitRank | UnsetType,
        OF_AMOUNT,
        Meta(
            description="Choose the units that are smallest or largest by `by`, or random ones, whatever `by` says. "
            "Default: the smallest if there is a `by`, else random ones."
        ),
    ] = UNSET
    by: Annotated[
        Measure | UnsetType,
        OF_AMOUNT,
        Meta(
            description="What units are ranked by: the L2 norm (the default) or L1 norm of their incoming weights, |γ| "
            "of the batch normalization that follows, or the mean |activation| that the layer puts out on the data of "
            "the call (`--data`), which Keras computes."
        ),
    ] = UNSET
    argument: Annotated[
        str,
        Meta(
            description="The argument that counts the units, where a layer has several: of attention `num_heads` (the "
            "default), `key_dim`, `value_dim` or `output_shape`; of GroupQueryAttention also `head_dim`."
        ),
    ] = ""
    outputs: Annotated[bool, Meta(description="Whether units that are outputs of the model may be chosen.")] = False
    on_unremovable: Annotated[
        OnUnremovable,
        Meta(
            description="What happens if all units of a layer must stay: they are an input or output of the model, or "
            "a layer that they reach has axes of which nobody knows how they are related. `skip`: the layer stays as "
            "it is, and the report says why."
        ),
    ] = OnUnremovable.ERROR

    @property
    def reads_data(self) -> bool:
        return self.by is Measure.ACTIVATION and self.choice.is_ranked

    @property
    def rounding(self) -> int:
        """The number of units that stay is a multiple of this."""
        return 1

    @property
    def choice(self) -> UnitChoice:
        """The step's keys that say which units."""
        return UnitChoice(
            self.fraction,
            self.count,
            self.indices,
            self.per,
            self.rank,
            self.by,
            self.argument,
            self.rounding,
            self.outputs,
            self.on_unremovable,
        )

    def problems(self) -> Iterable[Problem]:
        """Returns the problems of the amount."""
        return self.choice.problems()

    def chosen(self, context: LoweringContext) -> ChosenUnits:
        """Returns the units that the step chooses.

        Raises:
            PlanError: the target or the amount does not fit the model.
        """
        found = coupling(context)
        layers = context.select_layers(self.target, "target")
        groups = chosen_groups(context, found, layers, self.choice)
        return ChosenUnits(found, tuple(layer.path for layer in layers), groups)

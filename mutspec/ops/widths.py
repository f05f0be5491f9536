"""Widths: channels, filters, heads and units, with everything that hangs together with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from mutspec.errors import PlanError
from mutspec.lowering.context import LoweringContext, TensorWrite
from mutspec.lowering.masking import masked
from mutspec.lowering.structure_context import StructureContext
from mutspec.lowering.units_op import UnitsOp
from mutspec.lowering.widths import report_coupled, substitute
from mutspec.structure.coupling.axis_call import Use
from mutspec.structure.coupling.substitution import Substitution
from mutspec.text.words import listed


class Coupled(StrEnum):
    """What happens to the units of other layers that are coupled to removed ones."""

    PROPAGATE = "propagate"
    MASK = "mask"
    REFUSE = "refuse"


class RemoveNeurons(UnitsOp, tag="remove_neurons", frozen=True, kw_only=True):
    """Remove neurons: units, filters, heads, with everything that is coupled to them.

    A removed filter takes with it its bias, its entries in the batch normalization that follows, the weights by which
    later layers read it, and the filters of other layers that are added to it. Gates of recurrent layers, groups of
    convolutions, flattened and concatenated axes follow. Inputs and outputs of the model stay. The mutant predicts what
    `mask_neurons` makes the model predict, but for layers that compute with all channels together, such as
    LayerNormalization: the report names them.

    Literature: filter pruning (Li et al. 2017: `rank: smallest, by: l1`); network slimming (Liu et al. 2017: `by:
    gamma, per: all`); mean activation (Molchanov et al. 2017: `by: activation, per: all`); DepGraph (Fang et al. 2023:
    coupled groups, `per: all`); delete_channels (keras-surgeon); drop filters (LEMONADE).
    """

    is_structural: ClassVar[bool] = True
    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"count": 1})

    coupled: Annotated[
        Coupled,
        Meta(
            description="What happens to units of other layers that are coupled to chosen ones, such as those that are "
            "added to them. `propagate`: they go too. `mask`: all become zero, and nothing is removed. `refuse`: an "
            "error."
        ),
    ] = Coupled.PROPAGATE
    round_to: Annotated[
        int, Meta(ge=1, description="The number of units that stay in a layer is a multiple of this.", examples=[8])
    ] = 1

    @property
    def rounding(self) -> int:
        return self.round_to

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Removes the units by one edit of all layers that have them."""
        chosen = self.chosen(context)
        if self.coupled is Coupled.MASK:
            return tuple(masked(context, chosen.coupling, chosen.groups))
        removal = Substitution.removal(chosen.coupling, chosen.groups)
        if self.coupled is Coupled.REFUSE:
            _refuse_others(removal, chosen.targets)
        ctx = StructureContext(context, self.id)
        if chosen.groups:
            report_coupled(context, removal, dict.fromkeys(chosen.targets, self.argument))
            substitute(ctx, removal, key="target")
            if (left := removal.after_removal()) is not None:
                context.coupling = (context.architecture.network, left)
        return ctx.writes


def _refuse_others(removal: Substitution, targets: Sequence[str]) -> None:
    """Refuses a removal that takes units of layers that the step does not name.

    Raises:
        PlanError: there is one.
    """
    makers = [
        layer.path
        for layer in removal.layers
        if layer.path not in targets
        and any(
            axis.use is Use.PRODUCES and axis.labels and removal.index_map(axis.labels) is not None
            for axes in layer.weights.values()
            for axis in axes
        )
    ]
    if makers:
        raise PlanError(
            f"units of {listed(makers, 3)} would go too, because they are coupled",
            path=("coupled",),
            hint="add these layers to the target, or say `coupled: propagate`",
        )


class MaskNeurons(UnitsOp, tag="mask_neurons", frozen=True, kw_only=True):
    """Mask neurons: set everything to zero that `remove_neurons` would remove, and keep the architecture.

    Biases, the entries of batch normalizations and the weights by which later layers read a unit become zero as well,
    so that whatever its activation is, nothing of it arrives anywhere.

    Literature: soft pruning, masks of structured pruning (Li et al. 2017; DepGraph, Fang et al. 2023).
    """

    may_be_done: ClassVar[bool] = True
    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"count": 1})

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Writes the zeros."""
        chosen = self.chosen(context)
        return tuple(masked(context, chosen.coupling, chosen.groups))

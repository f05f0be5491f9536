"""Widening: more units, filters, heads or channels in a layer, with everything that hangs together with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import PlanError, Problem
from mutspec.graph.expression import Expression
from mutspec.language.types import Positive, Target
from mutspec.lowering.base import StructureOp
from mutspec.lowering.changed_weight import ChangedWeight, divided, indivisible, with_noise, zero_outgoing
from mutspec.lowering.claims import SamePredictions
from mutspec.lowering.structure_context import StructureContext
from mutspec.lowering.wider import Widening, wider
from mutspec.lowering.widths import coupling, report_coupled, substitute
from mutspec.structure.coupling.substitution import Substitution


class Method(StrEnum):
    """The values that new units begin with."""

    NET2WIDER = "net2wider"
    ZERO_OUTGOING = "zero_outgoing"
    RANDOM = "random"


class WidenLayer(StructureOp, tag="widen_layer", frozen=True, kw_only=True):
    """Make layers wider: more units, filters, heads, with everything that is coupled to them.

    The new units come after the last one. By default each is a copy of an old one, and the weights by which later
    layers read the copies are divided by their number: the model predicts what it did before. With
    `zero_outgoing` new units begin as their initializers say, and later layers read them with weights of 0. Biases,
    batch normalizations, depthwise kernels, gates of recurrent layers, other layers whose units are added to these, and
    flattened or concatenated axes follow. Outputs of the model stay (see `resize_output`).

    Literature: Net2WiderNet (Net2Net, Chen et al. 2016); widen (network morphism, Wei et al. 2016; LEMONADE).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"factor": 1.5})

    target: Annotated[Target, Meta(description="The layers to make wider.")]
    to: Annotated[
        Positive | UnsetType, Meta(description="The number of units that each layer has then.", examples=[64])
    ] = UNSET
    factor: Annotated[
        float | UnsetType,
        Meta(description="How many times as many units each layer has then, rounded half up.", examples=[1.5]),
    ] = UNSET
    copies: Annotated[
        tuple[int, ...] | UnsetType,
        Meta(description="For each new unit the old one that it copies, instead of random ones.", examples=[[0, 3, 3]]),
    ] = UNSET
    method: Annotated[
        Method,
        Meta(
            description="How new units begin. `net2wider`: as copies, whose outgoing weights are shared out; "
            "`zero_outgoing`: by the initializers, with outgoing weights of 0; `random`: by the initializers."
        ),
    ] = Method.NET2WIDER
    noise: Annotated[
        float,
        Meta(
            ge=0,
            description="The standard deviation of normal noise on the kernels of copies, as a part of the kernel's "
            "own: so that they do not stay alike when they are trained.",
            examples=[0.01],
        ),
    ] = 0.0
    argument: Annotated[
        str,
        Meta(
            description="The argument that counts the units, where a layer has several: of attention `num_heads` (the "
            "default) or `key_dim`."
        ),
    ] = ""
    approximate: Annotated[
        bool,
        Meta(
            description="Whether to widen also where a layer computes with all units together, such as "
            "LayerNormalization, so that predictions change."
        ),
    ] = False

    @property
    def _keeps(self) -> bool:
        """Whether predictions are to stay what they were."""
        return self.method is not Method.RANDOM and not self.approximate

    @property
    def _widening(self) -> Widening:
        has_values = self.method is Method.NET2WIDER
        return Widening(self.to, self.factor, self.copies, self.argument, has_values, self._keeps)

    def problems(self) -> Iterable[Problem]:
        yield from self._widening.problems()
        if self.method is not Method.NET2WIDER:
            for key, value in (("copies", self.copies is not UNSET), ("noise", self.noise)):
                if value:
                    message = f"`{key}` is for copies, which `method: {self.method}` does not make"
                    yield Problem(message, path=(key,), hint="leave it out, or say `method: net2wider`")
        if self.method is Method.RANDOM and self.approximate:
            message = "`approximate` is for methods that keep predictions"
            yield Problem(message, path=("approximate",), hint="leave it out")

    def claim(self) -> SamePredictions | None:
        return SamePredictions() if self._keeps and not self.noise else None

    def restructure(self, ctx: StructureContext) -> None:
        channels = coupling(ctx.context)
        layers = ctx.select(self.target, "target")
        others = wider(ctx.context, channels, layers, self._widening)
        if not others:
            return
        substitution = Substitution(channels, others)
        report_coupled(ctx.context, substitution, dict.fromkeys((layer.path for layer in layers), self.argument))
        if self.method is Method.NET2WIDER:
            if (weight := indivisible(ctx.context, substitution)) is not None:
                raise PlanError(
                    f"`{weight.path}` reads the units, and is {weight.dtype}, so that it cannot be divided",
                    path=("target",),
                    hint="say `method: zero_outgoing`",
                )
            substitute(ctx, substitution, key="target", adjust=self._shared_out)
        else:
            filling = zero_outgoing if self.method is Method.ZERO_OUTGOING else None
            substitute(ctx, substitution, key="target", filling=filling)

    def _shared_out(self, weight: ChangedWeight, value: Expression) -> Expression:
        return with_noise(weight, divided(weight, value), self.noise) if self.noise else divided(weight, value)

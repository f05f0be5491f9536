"""Conversions: the same model in another dtype, in another form, or for other inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import PlanError
from mutspec.graph.expression import Expression
from mutspec.language.types import Target, or_default
from mutspec.lowering.base import StructureOp
from mutspec.lowering.initial_values import NewWeight
from mutspec.lowering.new_layer import FirstValue
from mutspec.lowering.structure_context import AddedLayer, StructureContext
from mutspec.model.outline import is_within, join
from mutspec.structure.dtype_policies import with_policy
from mutspec.structure.network import Entry, Network, refs


class PolicyName(StrEnum):
    """The dtype policies of Keras for layers that are not quantised."""

    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    MIXED_FLOAT16 = "mixed_float16"
    MIXED_BFLOAT16 = "mixed_bfloat16"

    @property
    def is_mixed(self) -> bool:
        """Whether weights stay in float32, while layers compute in half precision."""
        return self.startswith("mixed")


class SetDtypePolicy(StructureOp, tag="set_dtype_policy", frozen=True, kw_only=True):
    """Give layers another dtype policy: mixed precision, half precision, float64.

    Weights of another dtype are the old ones, rounded once; with a mixed policy they stay in float32. Each layer casts
    its inputs itself, so no layer is added. With a mixed policy, the layers that make the model's outputs compute in
    float32, as Keras advises, because a softmax or a loss in half precision is not stable.

    Literature: mixed precision training (Micikevicius et al. 2018).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"policy": "mixed_bfloat16"})

    policy: PolicyName
    target: Annotated[
        Target | UnsetType,
        Meta(description="The layers; a model stands for all layers in it. Default: all.", examples=["encoder/*"]),
    ] = UNSET
    output_policy: Annotated[
        PolicyName | UnsetType,
        Meta(
            description="The policy of those of the layers that make the outputs of the model. Default: `float32` for "
            "a mixed policy, otherwise `policy`."
        ),
    ] = UNSET

    def restructure(self, ctx: StructureContext) -> None:
        chosen = self._chosen(ctx)
        at_end = set(_makers_of_outputs(ctx.network("")))
        own = PolicyName.FLOAT32 if self.policy.is_mixed else self.policy
        policies = {True: or_default(self.output_policy, own), False: self.policy}
        for owner, names in chosen.items():
            network, changed = ctx.network(owner), {}
            for name in names:
                entry = network.layers[name]
                assert not isinstance(entry, Network)
                after = self._with_policy(entry, policies[join(owner, name) in at_end])
                if after is not entry:
                    changed[name] = after
            if changed:
                _reconfigure(ctx, owner, changed)

    def _with_policy(self, entry: Entry, policy: PolicyName) -> Entry:
        try:
            return with_policy(entry, policy.value)
        except PlanError as error:
            hint = "leave it out of the target, with `not:`"
            raise PlanError(
                error.problems[0].message, path=("policy" if self.target is UNSET else "target",), hint=hint
            ) from None

    def _chosen(self, ctx: StructureContext) -> dict[str, dict[str, None]]:
        """Returns the names of the layers to change, by the path of their model. Layers in wrappers go with these."""
        if self.target is UNSET:
            return {owner: dict.fromkeys(names) for owner, names in _all_layers(ctx.network(""), "")}
        chosen: dict[str, dict[str, None]] = {}
        layers = ctx.select(self.target, "target")
        paths = {layer.path for layer in layers}
        for layer in layers:
            owner = layer.path.rpartition("/")[0]
            if owner in paths:
                continue  # its model or wrapper stands for it
            found = ctx.locate(layer, "target")
            if isinstance(found.entry, Network):
                for path, names in _all_layers(found.entry, found.path):
                    chosen.setdefault(path, {}).update(dict.fromkeys(names))
            else:
                chosen.setdefault(found.owner, {})[found.name] = None
        return chosen


def _all_layers(network: Network, owner: str) -> Iterator[tuple[str, list[str]]]:
    """Yields the paths of a model and of those in it, each with the names of its layers that are not models."""
    yield owner, [name for name, layer in network.layers.items() if not isinstance(layer, Network)]
    for name, layer in network.layers.items():
        if isinstance(layer, Network):
            yield from _all_layers(layer, join(owner, name))


def _makers_of_outputs(network: Network, owner: str = "") -> Iterator[str]:
    """Yields the paths of the layers that make the outputs of a model, in the models in it too."""
    for ref in refs(network.outputs):
        layer = network.layers.get(ref.layer)
        if isinstance(layer, Network):
            yield from _makers_of_outputs(layer, join(owner, ref.layer))
        else:
            yield join(owner, ref.layer)


def _reconfigure(ctx: StructureContext, owner: str, changed: Mapping[str, Entry]) -> None:
    """Gives layers other configs, from which their weights follow: cast where the dtype is another one."""
    paths = {name: join(owner, name) for name in changed}
    added = {name: AddedLayer(changed[name], path, _converted(ctx, path)) for name, path in paths.items()}
    ctx.edit(
        owner,
        lambda network: network.with_layers({**network.layers, **changed}),
        added=added,
        configured=paths.values(),
    )


def _converted(ctx: StructureContext, layer: str) -> FirstValue:
    """Returns first values that are those of a layer's weights in another dtype."""
    weights = {
        tensor.path.removeprefix(f"{layer}/"): tensor
        for tensor in ctx.context.models[""].tensors
        if is_within(tensor.layer, layer)
    }

    def value(new: NewWeight) -> Expression | None:
        old = weights.get(new.below)
        if old is None or old.shape != new.tensor.shape:
            return None
        return ctx.context.read(old).cast(ctx.context.compute_dtype(old)).cast(new.tensor.dtype)

    return value

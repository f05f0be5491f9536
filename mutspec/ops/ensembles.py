"""Ensembles: other models beside this one, and a layer that merges what they return."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import DocumentPath, PlanError, Problem
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.lowering.base import StructureOp
from mutspec.lowering.merge_op import model_and_name
from mutspec.lowering.name_patterns import NamePattern, names_by, pattern_problems
from mutspec.lowering.new_layer import AddedLayer, LayerConfig, name_of_new
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.spec import TensorRef
from mutspec.structure import edits
from mutspec.structure.flow import is_compatible, shown_type
from mutspec.structure.fragments import input_entry, placed, whole
from mutspec.structure.network import Entry, Network, mapped, refs, with_ports
from mutspec.text.words import plural


class JoinedInputs(StrEnum):
    """What joined models are given."""

    SHARED = "shared"
    SEPARATE = "separate"


class Join(StructureOp, tag="join", frozen=True, kw_only=True):
    """Put other models beside this one, on the same inputs or their own, and merge the outputs of all by a layer.

    With `layer` (Average, Add, Concatenate, …) each output of this model is merged with those of the others; without it
    the outputs of the others are further outputs.

    Literature: ensembles; two-branch fusion.
    """

    source: Annotated[
        str | tuple[str, ...],
        Meta(description="The inputs that are joined: `<input>:`, or a list.", examples=["second:"]),
    ]
    layer: Annotated[
        LayerConfig | UnsetType, Meta(description="The layer that merges the outputs. Default: all are outputs.")
    ] = UNSET
    inputs: Annotated[
        JoinedInputs, Meta(description="`shared`: all models get the same inputs; `separate`: each has its own.")
    ] = JoinedInputs.SHARED
    names: NamePattern = "{model}_{name}"

    def problems(self) -> Iterable[Problem]:
        yield from pattern_problems(self.names, "names")
        if not self.source:
            yield Problem("`source` names no input", path=("source",), hint="write the input and a colon")
        for path, source in self._sources():
            model, name = model_and_name(source)
            if not model or name:
                message = f"`source: {source}` is not an input as a whole"
                yield Problem(message, path=path, hint='write the input and a colon, such as `source: "second:"`')

    def inputs_used(self) -> Iterable[tuple[DocumentPath, str]]:
        return [(path, model_and_name(source)[0]) for path, source in self._sources()]

    def _sources(self) -> list[tuple[DocumentPath, str]]:
        if isinstance(self.source, str):
            return [(("source",), self.source)]
        return [(("source", number), each) for number, each in enumerate(self.source)]

    def restructure(self, ctx: StructureContext) -> None:
        before = ctx.functional("")
        joined, added, others = before, dict[str, AddedLayer](), dict[str, tuple[TensorRef, ...]]()
        for path, source in self._sources():
            model, _ = model_and_name(source)
            if model in others:
                raise PlanError(f"the input `{model}` is named twice", path=path, hint="name each input once")
            joined, new, others[model] = self._beside(ctx, before, joined, model, path)
            added |= new
        joined, merges = self._merged(ctx, joined, others)
        ctx.edit("", lambda _: joined, added=added | merges)

    def _beside(
        self, ctx: StructureContext, before: Network, joined: Network, model: str, path: DocumentPath
    ) -> tuple[Network, dict[str, AddedLayer], tuple[TensorRef, ...]]:
        """Returns the joined models with another one, the layers that it adds, and its outputs.

        Arguments:
            ctx: the context of the step.
            before: the model, alone.
            joined: the model with those that come before.
            model: the input that is the other one.
            path: where the step names it.
        """
        other = ctx.context.network_of_input(model)
        fragment = whole(other)
        names = names_by(self.names, fragment.layers, model, joined.layers, "names")
        own: dict[TensorRef, tuple[str, Entry]] = {}
        if self.inputs is JoinedInputs.SHARED:
            ports = _shared(ctx, before, other, model)
        else:
            own = self._own_inputs(joined, other, model)
            ports = {ref: TensorRef(name) for ref, (name, _) in own.items()}
        body = placed(fragment, ports, names)
        inputs = with_ports(joined.inputs, {name: TensorRef(name) for name, _ in own.values()})
        wider = joined.changed(layers=dict(own.values()), calls={name: () for name, _ in own.values()}, inputs=inputs)
        added = {name: AddedLayer(entry) for name, entry in own.values()}
        for old, new in names.items():
            added[new] = AddedLayer(body.layers[new], first_value=ctx.copies(old, model, key=str(path[0])))
        return edits.added(wider, body.layers, body.calls), added, tuple(body.outputs)

    def _own_inputs(self, joined: Network, other: Network, model: str) -> dict[TensorRef, tuple[str, Entry]]:
        """Returns a new input of this model for each of the other: its name and its entry."""
        found: dict[TensorRef, tuple[str, Entry]] = {}
        for ref in refs(other.inputs):
            layer = other.layers.get(ref.layer) or input_entry("input", other.types[ref])
            assert not isinstance(layer, Network)
            name = edits.layer_name(layer)
            new = names_by(self.names, [name], model, joined.layers, "names")[name]
            found[ref] = new, edits.named(layer, new)
        return found

    def _merged(
        self, ctx: StructureContext, joined: Network, others: Mapping[str, tuple[TensorRef, ...]]
    ) -> tuple[Network, dict[str, AddedLayer]]:
        """Returns the joined models with their outputs, and the layers that merge these."""
        if self.layer is UNSET:
            more = {f"{model}_{ref.layer}": ref for model, found in others.items() for ref in found}
            return joined.changed(outputs=with_ports(joined.outputs, more)), {}
        ours = list(refs(joined.outputs))
        for model, found in others.items():
            if len(ours) != len(found):
                raise PlanError(
                    f"this model has {plural(len(ours), 'output')}, and the input `{model}` {len(found)}",
                    path=("layer",),
                    hint="leave `layer` out, and merge what fits in later steps",
                )
        layers: dict[str, AddedLayer] = {}
        merged: dict[TensorRef, TensorRef] = {}
        for number, tensors in enumerate(zip(ours, *others.values(), strict=True)):
            name = name_of_new(self.id, number)
            entry = ctx.new_layer(self.layer, "", tensors[0], name=name, inputs=len(tensors))
            joined = edits.added(joined, {name: entry}, {name: (edits.call_of(entry, tensors),)})
            layers[name], merged[tensors[0]] = AddedLayer(entry), TensorRef(name)
        return joined.changed(outputs=mapped(joined.outputs, lambda ref: merged[ref])), layers


def _shared(ctx: StructureContext, network: Network, other: Network, model: str) -> dict[TensorRef, TensorRef]:
    """Returns, for each input of the other model, the input of this one that takes its place."""
    ours, theirs = list(refs(network.inputs)), list(refs(other.inputs))
    flow = ctx.context.flow()
    given, wanted = ([flow.type_of(each, ref) for ref in every] for each, every in ((network, ours), (other, theirs)))
    if not (len(given) == len(wanted) and all(map(is_compatible, wanted, given))):
        raise PlanError(
            f"the input `{model}` takes {_shapes(wanted)}, and this model {_shapes(given)}",
            path=("inputs",),
            hint="say `inputs: separate`, so that each has its own",
        )
    return dict(zip(theirs, ours, strict=True))


def _shapes(types: Iterable[TensorType]) -> str:
    return " and ".join(shown_type(each) for each in types)

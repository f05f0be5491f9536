"""Inputs of Sequential models that have no InputLayer."""

from __future__ import annotations

from mutspec.lowering.new_layer import AddedLayer
from mutspec.lowering.structure_context import StructureContext
from mutspec.structure.model_form import with_input_layer
from mutspec.structure.network import SEQUENTIAL_INPUT, refs, unique_name


def give_input_layer(ctx: StructureContext, owner: str) -> None:
    """Gives a Sequential model that was built for a shape an InputLayer."""
    network = ctx.network(owner)
    (start, *_) = refs(network.inputs)
    if start != SEQUENTIAL_INPUT:
        return
    name = unique_name("input_layer", network.layers)
    with_input = with_input_layer(network, name, ctx.type_of(owner, start))
    ctx.edit(owner, lambda _: with_input, added={name: AddedLayer(with_input.layers[name])})

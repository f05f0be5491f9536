"""Places between layers as steps name them: tensors by the layers that make them, in the network of an edit."""

from __future__ import annotations

from mutspec.errors import DocumentPath, PlanError, nearest
from mutspec.language.types import Target
from mutspec.lowering.found_layer import FoundLayer
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.spec import TensorRef
from mutspec.structure.network import Network, refs
from mutspec.structure.soundness import CYCLE, unsound
from mutspec.text.words import listed


def tensors_named(ctx: StructureContext, owner: str, text: str, calls: int, at: DocumentPath) -> tuple[TensorRef, ...]:
    """Returns the tensors that a step names by `layer` or `layer:output`, one for each of some calls.

    Arguments:
        ctx: the step's view of the model.
        owner: the path of the network in which the tensors are needed.
        text: the layer's name or path, and the number of its output if it has several.
        calls: the number of calls. Of a layer that is called as often, call k gives the tensor for call k.
        at: where the step names them.

    Raises:
        PlanError: the network does not have the layer or the output, or it is not clear which call is meant.
    """
    network = ctx.network(owner)
    name, output = layer_and_output(network, owner, text)
    if name not in network.layers:
        raise _not_there(ctx, owner, text, name, at)
    made = max(1, len(network.calls[name]))
    if made not in (1, calls):
        raise PlanError(
            f"`{name}` is called {made} times, so it is not clear which of its outputs is meant",
            path=at,
            hint="name a layer that is called once",
        )
    outputs = _number_of_outputs(ctx, owner, TensorRef(name))
    if output is None and outputs > 1:
        raise PlanError(f"`{name}` has {outputs} outputs", path=at, hint=f"choose one, for instance `{name}:0`")
    if output is not None:
        refuse_missing_output(ctx, owner, TensorRef(name, 0, output), at)
    return tuple(TensorRef(name, call if made > 1 else 0, output or 0) for call in range(calls))


def refuse_missing_output(ctx: StructureContext, owner: str, ref: TensorRef, at: DocumentPath) -> None:
    """Refuses an output that a layer does not have.

    Arguments:
        ctx: the step's view of the model.
        owner: the path of the network that the layer is in.
        ref: the output.
        at: where the step names it.

    Raises:
        PlanError: the layer does not have it.
    """
    outputs = _number_of_outputs(ctx, owner, TensorRef(ref.layer, ref.call))
    if ref.output >= outputs:
        numbers = ", ".join(map(str, range(outputs)))
        raise PlanError(f"`{ref.layer}` has no output {ref.output}", path=at, hint=f"it has: {numbers}")


def own_name(owner: str, path: str) -> str:
    """Returns a layer's name in a network, of its name there or its path."""
    return path.removeprefix(f"{owner}/") if owner else path


def layer_and_output(network: Network, owner: str, text: str) -> tuple[str, int | None]:
    """Returns the name in the network, and the number of the output; None if the text has none."""
    own = own_name(owner, text)
    name, colon, number = own.rpartition(":")
    if own not in network.layers and colon and number.isdecimal():
        return name, int(number)
    return own, None


def _not_there(ctx: StructureContext, owner: str, text: str, name: str, at: DocumentPath) -> PlanError:
    where = model_named(owner)
    elsewhere = [each.path for each in ctx.context.models[""].layers if name in (each.name, each.path)]
    if elsewhere:
        hint = "a step can only connect layers of one model, not those of a model with those of another in it"
        inside = elsewhere[0].rpartition("/")[0]
        found = f"inside `{inside}`" if inside else "in the model around it"
        return PlanError(f"`{text}` is not in {where}, but {found}", path=at, hint=hint)
    near = nearest(name, ctx.network(owner).layers)
    hint = "" if near else "name the layer that makes the tensor"
    return PlanError(f"{where} has no layer `{name}`", path=at, hint=hint, candidates=near)


def _number_of_outputs(ctx: StructureContext, owner: str, ref: TensorRef) -> int:
    network = ctx.network(owner)
    ctx.type_of(owner, ref)  # of a call, the types of all outputs are found at once
    return sum(each.layer == ref.layer and each.call == ref.call for each in network.known_types)


def output_in_use(found: FoundLayer, number: int | None, at: DocumentPath = ("output",)) -> int:
    """Returns the number of the output that stands for a layer: of several, the one that is used.

    Arguments:
        found: the layer.
        number: the one that the step names; None if it names none.
        at: where the step names it.

    Raises:
        PlanError: nothing uses that output; or several are used, and the step names none.
    """
    network = found.network
    used = sorted({ref.output for ref in (*refs(network.calls), *refs(network.outputs)) if ref.layer == found.name})
    if number is not None and number not in used:
        hint = f"used are: {', '.join(map(str, used)) or 'none'}"
        raise PlanError(f"nothing uses output {number} of `{found.name}`", path=at, hint=hint)
    if number is None and len(used) > 1:
        raise PlanError(
            f"`{found.name}` has {len(used)} outputs that are used", path=(found.key,), hint="choose: `output: 0`"
        )
    return number if number is not None else used[0] if used else 0


def refuse_loop(after: Network, before: Network, at: DocumentPath, hint: str) -> Network:
    """Returns an edited network, if its calls can be made one after the other.

    Arguments:
        after: the network after the edit.
        before: the network before.
        at: where the step names the tensor that makes the loop.
        hint: what would be right.

    Raises:
        PlanError: they cannot.
    """
    if problem := unsound(after, before):
        message = problem.replace(CYCLE, "that makes a loop, in which no layer can be called first")
        raise PlanError(message, path=at, hint=hint)
    return after


def model_named(owner: str) -> str:
    """Returns a network's path for a sentence."""
    return f"`{owner}`" if owner else "the model"


def by_owner(ctx: StructureContext, target: Target, key: str) -> dict[str, list[str]]:
    """Returns the layers that a target stands for, in model order, by the network that they are in.

    Raises:
        PlanError: the target matches nothing, or takes in an input of the model or a layer inside another layer.
    """
    groups: dict[str, list[str]] = {}
    for found in ctx.find(target, key):
        found.refuse_input("which stays")
        groups.setdefault(found.owner, []).append(found.name)
    return groups


def one_layer(ctx: StructureContext, target: Target, key: str, *below: str | int) -> FoundLayer | None:
    """Returns the only layer that a target stands for; None if it stands for none, and the step allows that.

    Where layers at several depths have the name, the one of exactly this path is meant: there is no other way to name
    a layer of the outermost model.

    Arguments:
        ctx: the step's view of the model.
        target: the target.
        key: the key of the step that it is at.
        below: where it is below that key.

    Raises:
        PlanError: it stands for several layers.
    """
    _ = ctx.context.architecture  # of a model that cannot be edited, this is said, and not that a name is wrong
    layers = ctx.context.select_layers(target, key, *below)
    if len(layers) > 1:
        layers = tuple(layer for layer in layers if layer.path == target) or layers
    if len(layers) > 1:
        paths = listed([layer.path for layer in layers])
        message = f"one layer is needed, but {len(layers)} match: {paths}"
        raise PlanError(message, path=(key, *below), hint="name one of them by its path")
    return ctx.locate(layers[0], key) if layers else None

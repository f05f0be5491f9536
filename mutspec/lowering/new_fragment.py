"""Layers that a step adds together: a single one, a chain, or a small graph in short form.

All of them are graphs of layers in which a layer takes the one before it, unless its `of` names others. An element of a
graph is a layer, or a graph itself (`{layers: […]}`, which is what the name of a block stands for).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from msgspec import UNSET, UnsetType

from mutspec.errors import DocumentPath, Problem, nearest
from mutspec.keras_facts.classes import snake_case
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.language.steps import name_in_recipe
from mutspec.language.types import or_default
from mutspec.lowering.found_layer import FoundLayer
from mutspec.lowering.identity_layers import identity_value
from mutspec.lowering.new_layer import (
    AddedLayer,
    FirstValue,
    Initialize,
    entry_of_new,
    name_of_new,
    refuse_merge,
    refuse_no_identity,
)
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.spec import TensorRef
from mutspec.structure import edits
from mutspec.structure.fragments import Fragment
from mutspec.structure.layer_config import SAME
from mutspec.structure.network import Arguments, Entry, Network, mapped, refs, unique_name
from mutspec.text.words import got

Graph = Sequence[tuple[DocumentPath, Any]]
"""The elements of a graph, each with its path in the step."""

Stands = Sequence[tuple[TensorRef, ...]]
"""What a graph stands on, for each of its calls: the tensor of its place, then the tensors that are merged in."""

INPUT, WITH = "input", "with"
"""What `of` calls the tensor that a graph stands on, and those that are merged in."""


def graph_of(layer: Mapping[str, Any] | UnsetType, layers: Iterable[Mapping[str, Any]] | UnsetType = UNSET) -> Graph:
    """Returns the graph that a step's `layer` or `layers` stands for."""
    if layer is UNSET:
        return [(("layers", index), each) for index, each in enumerate(or_default(layers, ()))]
    return _elements(layer, ("layer",)) if is_graph(layer) else [(("layer",), layer)]


def is_graph(element: Mapping[str, Any]) -> bool:
    """Returns whether an element is a graph itself."""
    return "layers" in element and "type" not in element and "class_name" not in element


def _elements(graph: Mapping[str, Any], path: DocumentPath) -> Graph:
    below = graph["layers"]
    return [((*path, "layers", index), each) for index, each in enumerate(below if isinstance(below, list) else ())]


def _of(element: Mapping[str, Any]) -> list[str] | None:
    """Returns the names of what an element takes; None if it takes the element before it."""
    of = element.get("of")
    return None if of is None else [of] if isinstance(of, str) else list(of)


def is_chain(graph: Graph) -> bool:
    """Returns whether each layer of a graph takes the layer before it, and nothing else."""
    return all(
        "of" not in element and (not is_graph(element) or is_chain(_elements(element, path))) for path, element in graph
    )


# Checks that need no model.


def layer_problems(
    layer: Mapping[str, Any] | UnsetType,
    layers: Iterable[Mapping[str, Any]] | UnsetType,
    op: str,
    merges: bool | None = None,
) -> Iterator[Problem]:
    """Finds what is wrong with the `layer` or `layers` of a step, but not in the layers.

    Arguments:
        layer: the step's `layer`.
        layers: its `layers`.
        op: the op's name.
        merges: whether other tensors are merged in; None if that is not known.
    """
    if layer is UNSET and layers is UNSET:
        yield Problem(f"`{op}` needs the key `layer`", hint="or `layers`, for several")
    elif layer is not UNSET and layers is not UNSET:
        yield Problem("a step takes `layer` or `layers`, not both", path=("layers",), hint="write one list: `layers`")
    else:
        if layer is not UNSET and is_graph(layer):
            yield from _problems_of_block(layer, ("layer",), [INPUT, WITH] if merges else [INPUT])
        else:
            yield from graph_problems(graph_of(layer, layers), merges)


def graph_problems(graph: Graph, merges: bool | None) -> Iterator[Problem]:
    """Finds what is wrong with a graph in short form, but not in its layers.

    Arguments:
        graph: the graph.
        merges: whether it stands on more than one tensor; None if that is not known.
    """
    known: dict[str, bool] = {INPUT: False, WITH: merges is False}
    previous: list[str] = [INPUT, WITH]
    paths: dict[str, DocumentPath] = {}
    for path, element in graph:
        if not isinstance(element, Mapping):
            yield Problem(f"a layer must be a mapping, not {got(element)}", path=path, hint="write {type: ReLU}")
            return
        if is_graph(element):
            yield from _problems_of_block(element, path, previous)
        if "of" in element:
            problem = _problem_of_of(element["of"], (*path, "of"), [*known], graph, merges)
            if problem is not None:
                yield problem
                return
        known |= dict.fromkeys(_of(element) or previous, True)
        name = element.get("name")
        if isinstance(name, str) and name in known:
            what = "stands for what the block stands on" if name in (INPUT, WITH) else "is the name of two layers"
            yield Problem(f"`{name}` {what}", path=(*path, "name"), hint="give the layer another name")
            return
        label = name if isinstance(name, str) else f"/{len(paths)}"
        known[label], paths[label], previous = False, path, [label]
    yield from _unused_problems(known, paths, previous, merges)


def _unused_problems(
    known: Mapping[str, bool], paths: Mapping[str, DocumentPath], last: list[str], merges: bool | None
) -> Iterator[Problem]:
    for name, path in paths.items():
        if not known[name] and name not in last:
            what = "this layer" if name.startswith("/") else f"`{name}`"
            yield Problem(f"no layer of the block takes {what}", path=path, hint="name it in the `of` of another layer")
    first = next(iter(paths.values()), ("layers",))
    if paths and not known[INPUT]:
        yield Problem("no layer takes what the block stands on", path=first, hint="name it: `of: input`")
    if paths and merges and not known[WITH]:
        yield Problem("no layer takes what `with` merges in", path=("with",), hint="name it: `of: [input, with]`")


def _problems_of_block(element: Mapping[str, Any], path: DocumentPath, previous: list[str]) -> Iterator[Problem]:
    unknown = [key for key in element if key not in ("layers", "of", "name")]
    for key in unknown:
        hint = "put it into the layers of the block"
        yield Problem(f"a block has no key `{key}`", path=(*path, key), hint=hint)
    if not isinstance(element["layers"], list) or not element["layers"]:
        yield Problem("a block needs a list of layers", path=(*path, "layers"), hint="for instance [{type: ReLU}]")
        return
    taken = _of(element) or previous
    yield from graph_problems(_elements(element, path), None if WITH in taken else len(taken) > 1)


def _problem_of_of(
    of: Any, path: tuple[str | int, ...], known: list[str], graph: Graph, merges: bool | None
) -> Problem | None:
    names = [of] if isinstance(of, str) else of
    if not isinstance(names, list) or not names or not all(isinstance(each, str) for each in names):
        hint = "for instance `of: [input, gate]`"
        return Problem(f"`of` takes names of layers of the block, or `input`, not {got(of)}", path=path, hint=hint)
    known = [name for name in known if not name.startswith("/")]
    for index, name in enumerate(names):
        at = path if isinstance(of, str) else (*path, index)
        if name == WITH and merges is False:
            hint = "name the tensor to merge in: `with: <layer>` in the step"
            return Problem("nothing is merged in that `with` could stand for", path=at, hint=hint)
        if name in known:
            continue
        if any(name == each.get("name") for _, each in graph if isinstance(each, Mapping)):
            message = f"`{name}` does not stand before this layer"
            return Problem(message, path=at, hint="put it first: a layer takes layers before it")
        near = nearest(name, known)
        hint = "" if near else f"it can take {', '.join(f'`{each}`' for each in known)}"
        return Problem(f"the block has no layer `{name}`", path=at, hint=hint, candidates=near)
    return None


# Layers as Keras has them, and their calls.


@dataclass(frozen=True)
class NewFragment:
    """The layers of a graph under their names in the model, on the tensors that it stands on.

    Arguments:
        fragment: the layers and their calls; of its outputs there is one for each call of the graph.
        added: how the weights of each layer begin.
        last: the name of the layer whose output is that of the graph.
    """

    fragment: Fragment
    added: Mapping[str, AddedLayer]
    last: str


@dataclass(frozen=True)
class Heir:
    """The layer of a graph to which the arguments and weights of a replaced layer go.

    Arguments:
        at: its path in the step.
        defaults: the values of arguments that it does not state.
        keep_weights_of: the path of the replaced layer, if weights are carried over where they fit.
        first_value: gives the values that its other weights begin with; None for its initializers.
    """

    at: DocumentPath
    defaults: Mapping[str, Any]
    keep_weights_of: str = ""
    first_value: FirstValue | None = None


def heir_in(graph: Graph, replaced: FoundLayer) -> tuple[DocumentPath, Mapping[str, Any]]:
    """Returns the first layer of a graph that is of the class of a replaced layer, or the last one, and its path."""
    layers = list(_layers_of(graph))
    kind = "" if isinstance(replaced.entry, Network) else replaced.entry["class_name"]
    return next((each for each in layers if each[1].get("type", each[1].get("class_name")) == kind), layers[-1])


def _layers_of(graph: Graph) -> Iterator[tuple[DocumentPath, Mapping[str, Any]]]:
    for path, element in graph:
        if is_graph(element):
            yield from _layers_of(_elements(element, path))
        else:
            yield path, element


def new_fragment(
    ctx: StructureContext,
    graph: Graph,
    owner: str,
    stands: Stands,
    *,
    initialize: Initialize = Initialize.DEFAULT,
    replaced: str = "",
    heir: Heir | None = None,
) -> NewFragment:
    """Makes the layers of a graph. The model does not have them yet.

    Arguments:
        ctx: the step's view of the model.
        graph: the graph.
        owner: the path of the network that it will be in.
        stands: what it stands on, for each of its calls.
        initialize: how weights begin.
        replaced: the name of the layer whose place it takes: `same` is its width then, and its last layer is called so.
        heir: the layer to which arguments and weights of that layer go.

    Raises:
        PlanError: a layer is not one that mutspec may build, its name is taken, or it cannot begin as it is to.
    """
    builder = _Builder(
        ctx, owner, stands[0][0], initialize, replaced, heir or Heir((), {}), len(list(_layers_of(graph))) > 1
    )
    outputs = builder.graph(graph, stands, is_last=True)
    inputs = tuple(dict.fromkeys(ref for each in stands for ref in each))
    return NewFragment(Fragment(builder.layers, builder.calls, inputs, tuple(outputs)), builder.added, outputs[0].layer)


class _Builder:
    """Makes one layer of a graph after the other, and calls them."""

    def __init__(
        self,
        ctx: StructureContext,
        owner: str,
        like: TensorRef,
        initialize: Initialize,
        replaced: str,
        heir: Heir,
        is_several: bool,
    ) -> None:
        like = TensorRef(replaced) if replaced else like
        self.layers: dict[str, Entry | Network] = {}
        self.calls: dict[str, tuple[Arguments, ...]] = {}
        self.added: dict[str, AddedLayer] = {}
        self._ctx, self._owner, self._network = ctx, owner, ctx.network(owner)
        self._neighbour = self._network.layers.get(like.layer)
        self._initialize, self._replaced, self._is_several = initialize, replaced, is_several
        self._like, self._heir = like, heir
        self._number = ctx.layers_added

    def graph(self, graph: Graph, stands: Stands, *, is_last: bool, like: TensorRef | None = None) -> list[TensorRef]:
        """Makes the layers of a graph, and returns its output for each of its calls."""
        width = self._type(like or self._like)
        known: dict[str, Stands] = {INPUT: [each[:1] for each in stands], WITH: [each[1:] for each in stands]}
        previous: Stands = stands
        for number, (path, element) in enumerate(graph):
            of = _of(element)
            taken = (
                previous if of is None else [_joined(each) for each in zip(*(known[name] for name in of), strict=True)]
            )
            ends = is_last and number == len(graph) - 1
            if is_graph(element):
                outputs = self.graph(_elements(element, path), taken, is_last=ends, like=taken[0][0])
            else:
                outputs = self._layer(path, element, width, taken, is_last=ends)
            previous = [(each,) for each in outputs]
            if isinstance(element.get("name"), str):
                known[element["name"]] = previous
        return [each[0] for each in previous]

    def _layer(
        self, path: DocumentPath, element: Mapping[str, Any], width: TensorType, taken: Stands, *, is_last: bool
    ) -> list[TensorRef]:
        layer = {key: value for key, value in element.items() if key != "of"}
        is_heir = path == self._heir.at
        defaults = self._heir.defaults if is_heir else None
        entry = entry_of_new(*self._named(layer, path, is_last=is_last), self._neighbour, width, defaults, path)
        name = str(entry["name"])
        if not (is_last and name == self._replaced):
            hint = "for several, leave `name` out" if self._number else "give the layer another `name`"
            self._ctx.refuse_name(self._owner, name, (*path, "name"), hint)
        refuse_merge(entry, len(taken[0]), path)
        first_value = self._heir.first_value if is_heir else None
        if self._initialize is Initialize.IDENTITY:
            first_value = self._identity(entry, taken[0][0])
        kept = self._heir.keep_weights_of if is_heir else ""
        self.layers[name] = entry
        self.calls[name] = tuple(edits.call_of(entry, each) for each in taken)
        self.added[name] = AddedLayer(entry, kept, first_value, path)
        return [TensorRef(name, call) for call in range(len(taken))]

    def _named(self, layer: dict[str, Any], path: DocumentPath, *, is_last: bool) -> tuple[dict[str, Any], str]:
        """Returns a layer and the name that it gets unless it has one."""
        config = layer.get("config")
        own = layer.get("name") or (config.get("name") if isinstance(config, Mapping) else None)
        if is_last and self._replaced and own in (None, SAME, self._replaced):
            return _without_name(layer), self._replaced
        if not self._is_several and (own is None or path == ("layer",)):
            return layer, name_of_new(self._ctx.id, self._number)
        kind = str(layer.get("type") or layer.get("class_name") or "layer")
        base = str(own or f"{name_in_recipe(self._ctx.id)}_{snake_case(kind.rpartition('>')[2])}")
        free = unique_name(base, {*self._network.layers, *self.layers})
        return (layer if own == free else _without_name(layer)), free

    def _identity(self, entry: Entry, on: TensorRef) -> FirstValue:
        # Every layer of the graph passes its input on, so what is before each of them is what is before the first.
        refuse_no_identity(entry, self._type(on), self._neighbour)
        return partial(identity_value, class_name=str(entry["class_name"]), config=entry["config"])

    def _type(self, ref: TensorRef) -> TensorType:
        """Returns the type of a tensor of the network, or of a layer that was made."""
        if ref.layer not in self.layers:
            return self._ctx.type_of(self._owner, ref)
        return self._ctx.type_in(edits.added(self._network, self.layers, self.calls), ref, self._owner)


def _joined(groups: Iterable[tuple[TensorRef, ...]]) -> tuple[TensorRef, ...]:
    return tuple(ref for group in groups for ref in group)


def _without_name(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a layer of a plan without its name, in either form."""
    layer = {key: value for key, value in layer.items() if key != "name"}
    config = layer.get("config")
    if isinstance(config, Mapping) and "name" in config:
        layer["config"] = {key: value for key, value in config.items() if key != "name"}
    return layer


# Edits that add them.


def inserted(network: Network, new: NewFragment, sources: Sequence[TensorRef], only: Sequence[str] = ()) -> Network:
    """Returns the network with a fragment on some tensors: what used them uses its outputs instead.

    Arguments:
        network: the network.
        new: the fragment.
        sources: the tensors; the fragment has an output for each.
        only: the layers that are to use it. Default: all, and the model's outputs.
    """
    outputs = dict(zip(sources, new.fragment.outputs, strict=True))
    after = edits.redirected(network, outputs, only=only, ports=not only)
    return edits.added(after, new.fragment.layers, new.fragment.calls)


def put_fragment(network: Network, name: str, new: NewFragment) -> Network:
    """Returns the network with a fragment in the place of a layer, for whoever used the layer.

    Arguments:
        network: the network.
        name: the layer.
        new: the fragment, which has an output for each call of the layer.
    """
    used = {ref for user in network.consumers(name) for call in network.uses[user] for ref in call}
    used |= {*refs(network.outputs)}
    outputs = new.fragment.outputs
    goes = {ref: replace(outputs[ref.call], output=ref.output) for ref in used if ref.layer == name}
    names = list(network.layers)
    at = names.index(name)
    calls = {
        each: tuple(mapped(call, lambda ref: goes.get(ref, ref)) for call in made)
        for each, made in new.fragment.calls.items()
    }
    return edits.redirected(network, goes).changed(
        layers=new.fragment.layers,
        calls=calls,
        removed=() if name in new.fragment.layers else (name,),
        after=names[at - 1] if at else None,
    )

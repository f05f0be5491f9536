"""Ports: the inputs and outputs of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType, field

from mutspec.errors import PlanError, Problem
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.language.steps import name_in_recipe
from mutspec.language.types import Count, Target, or_default
from mutspec.lowering.base import StructureOp
from mutspec.lowering.found_layer import FoundLayer
from mutspec.lowering.limits_of_made import extent_problems
from mutspec.lowering.name_patterns import name_problems
from mutspec.lowering.new_layer import AddedLayer, LayerConfig
from mutspec.lowering.places import one_layer, refuse_missing_output
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.outline import join
from mutspec.model.spec import TensorRef
from mutspec.structure import edits
from mutspec.structure.fragments import between, closed, cut, functional_entry, input_entry
from mutspec.structure.layer_edit import EditKind
from mutspec.structure.network import Entry, Network, refs, unique_name, with_ports
from mutspec.text.words import listed


class Extract(StructureOp, tag="extract", frozen=True, kw_only=True):
    """Make a part of the model the model: its trunk, a block of it, features at some layers, all but the first layers.

    The part is what stands on the paths from `from` to `to`, both ends included. Where a tensor enters it from outside,
    the model gets a new input, called after the first layer that takes it; inputs of the model that the part uses stay.
    Layers of a model in the model may be named too; their paths lose that model's name.
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"to": "dense_1"})

    from_: Annotated[
        Target | UnsetType,
        Meta(description="The layers with which the part begins. Default: the model's inputs.", examples=["block_2"]),
    ] = field(default=UNSET, name="from")
    to: Annotated[
        Target | UnsetType,
        Meta(
            description="The layers whose outputs are the outputs, in model order. Default: the model's outputs.",
            examples=["block_4"],
        ),
    ] = UNSET
    outputs: Annotated[
        tuple[str, ...] | dict[str, str] | UnsetType,
        Meta(
            description="The same, by names in the order in which the model returns them; or by key, for a model that "
            "returns a dictionary.",
            examples=[["block_2", "block_4"], {"features": "block_4"}],
        ),
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        if self.from_ is UNSET and self.to is UNSET and self.outputs is UNSET:
            yield Problem(
                "`extract` needs `from`, `to` or `outputs`", hint="say where the part begins, or where it ends"
            )
        if self.to is not UNSET and self.outputs is not UNSET:
            yield Problem("`to` and `outputs` cannot be used together", path=("outputs",), hint="leave one of them out")
        if self.outputs is not UNSET and not self.outputs:
            yield Problem("`outputs` is empty", path=("outputs",), hint="name a layer")
        for key in self.outputs if isinstance(self.outputs, Mapping) else ():
            yield from _key_problems(key, "outputs", key)

    def restructure(self, ctx: StructureContext) -> None:
        ends = self._ends(ctx)
        starts = list(ctx.find(self.from_, "from")) if self.from_ is not UNSET else []
        found = [*starts, *ends.values()]
        if not found:
            return
        owner = _common_owner(found)
        network = found[0].network
        if network.is_sequential and (len(ends) > 1 or isinstance(self.outputs, Mapping)):
            network = ctx.functional(owner)  # a Sequential model returns what its last layer makes, and no more
        outputs = {key: _only_output(each) for key, each in ends.items()}
        first = [each.name for each in starts] or list(network.layers)
        last = [ref.layer for ref in outputs.values()] or [ref.layer for ref in refs(network.outputs)]
        names = [name for name in between(network, first, last) if network.calls[name]]
        if not names:
            raise PlanError(
                f"no path leads from {listed(first)} to {listed(last)}",
                path=("from",) if starts else ("to",),
                hint="name a layer that comes later in the model, or exchange the two",
            )
        if entry := next((each for each in starts if not each.calls), None):
            message = f"`{entry.path}` is an input of the model, with which the part begins by itself"
            raise PlanError(message, path=("from",), hint="leave `from` out, or name the first layer of the part")
        there = {*names, *(ref.layer for ref in cut(network, names).inputs if not network.calls.get(ref.layer))}
        outside = next((each for each in ends.values() if each.name not in there), None)
        if outside is not None:
            raise PlanError(
                f"no path leads from {listed(first)} to {listed([outside.name])}",
                path=(outside.key,),
                hint="the outputs are those of layers in the part: leave it out, or begin earlier in the model",
            )
        self._extract(ctx, network, owner, names, self._form(network, outputs))

    def _ends(self, ctx: StructureContext) -> dict[str, FoundLayer]:
        """Returns the layers whose outputs are the outputs, by key; none for the model's own."""
        if self.to is not UNSET:
            return {each.path: each for each in ctx.find(self.to, "to")}
        if self.outputs is UNSET:
            return {}
        named = self.outputs if isinstance(self.outputs, Mapping) else {name: name for name in self.outputs}
        ends: dict[str, FoundLayer] = {}
        for key, name in named.items():
            found = one_layer(ctx, name, "outputs", *([key] if isinstance(self.outputs, Mapping) else [len(ends)]))
            if found is not None:
                ends[key] = found
        return ends

    def _form(self, network: Network, outputs: Mapping[str, TensorRef]) -> Any:
        """Returns the outputs as the model is to return them."""
        if not outputs:
            return network.outputs
        if isinstance(self.outputs, Mapping):
            return with_ports({}, outputs)
        return list(outputs.values())

    def _extract(self, ctx: StructureContext, network: Network, owner: str, names: list[str], outputs: Any) -> None:
        fragment = cut(network, names)
        kept = {ref.layer for ref in fragment.inputs if ref.layer in network.layers and not network.calls[ref.layer]}
        kept_inputs = [ref for ref in refs(network.inputs) if ref.layer in kept]
        inputs: dict[TensorRef, tuple[str, Entry]] = {}
        for ref in [*kept_inputs, *(each for each in fragment.inputs if each not in kept_inputs)]:
            layer = network.layers.get(ref.layer)
            if ref.layer in kept and layer is not None and not isinstance(layer, Network):
                inputs[ref] = ref.layer, layer
            else:
                user = next(name for name in names if any(ref in call for call in network.uses[name]))
                taken = {*network.layers, *(name for name, _ in inputs.values())}
                name = unique_name(f"{user}_input", taken)
                inputs[ref] = name, input_entry(name, ctx.type_of(owner, ref))
        entry = functional_entry(network.name)
        part = closed(fragment, entry, inputs, outputs)
        if network.is_sequential:
            end = next(refs(part.outputs))
            part = replace(part, entry=network.entry, outputs=end, is_sequential=True)
        elif isinstance(network.inputs, Mapping):
            keys = {ref: key for key, ref in network.inputs.items()}
            by_key = {keys.get(ref, ref.layer): ref for ref in refs(part.inputs)}
            part = replace(part, inputs=with_ports({}, by_key))
        added = {name: AddedLayer(each) for name, each in inputs.values() if name not in kept}
        renamed = {name: join(owner, name) for name in (*kept, *names)} if owner else {}
        is_same_form = isinstance(outputs, Mapping) is isinstance(network.outputs, Mapping)
        before = {ref.layer for ref in refs(network.outputs)} if not owner and is_same_form else set()
        marks = {ref.layer: EditKind.OUTPUT_ADDED for ref in refs(outputs) if ref.layer not in before}
        ctx.edit("", lambda _: part, added=added, renamed=renamed, marks=marks)


def _key_problems(key: str, *at: str) -> Iterator[Problem]:
    """Yields what is wrong with the key of an output, which unlike the name of a layer may be a path."""
    return name_problems(key.replace("/", "_"), *at)


def _common_owner(found: Sequence[FoundLayer]) -> str:
    """Returns the path of the network that all of some layers are in.

    Raises:
        PlanError: they are in several.
    """
    other = next((each for each in found if each.owner != found[0].owner), None)
    if other is not None:
        raise PlanError(
            f"`{found[0].path}` and `{other.path}` are in different models",
            path=(other.key,),
            hint="name layers of one model, or first put the layers of the inner one in its place with `inline_model`",
        )
    return found[0].owner


def _only_output(found: FoundLayer, output: int = 0) -> TensorRef:
    if len(found.calls) > 1:
        raise PlanError(
            f"`{found.path}` is called {len(found.calls)} times, and has an output of each call",
            path=(found.key,),
            hint="first make a layer of each call, with `unshare_weights`",
        )
    return found.output(0, output)


class AddOutput(StructureOp, tag="add_output", frozen=True, kw_only=True):
    """Make what layers return an output of the model, after those that it has.

    A layer in a model in the model becomes an output of that model first, and so of all models around it.

    Literature: intermediate outputs; auxiliary heads, with `insert_layer`.
    """

    target: Annotated[Target, Meta(description="The layers.", examples=["dense_1"])]
    output: Annotated[Count, Meta(description="Which output of the layer, counted from 0.")] = 0
    key: Annotated[
        str | UnsetType, Meta(description="For a model that returns a dictionary: the key. Default: the layer's name.")
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        if self.key is not UNSET:
            yield from _key_problems(self.key, "key")

    def restructure(self, ctx: StructureContext) -> None:
        for found in ctx.find(self.target, "target"):
            ref, owner, path = _only_output(found, self.output), found.owner, found.path
            if self.output:  # each layer has output 0, whatever its types
                refuse_missing_output(ctx, owner, ref, ("output",))
            while owner:
                ref, owner = self._through(ctx, owner, ref), owner.rpartition("/")[0]
            network = ctx.functional("")
            if ref in list(refs(network.outputs)):
                raise PlanError(
                    f"`{path}` is an output of the model already", path=("target",), hint="leave it out of the target"
                )
            self._add(ctx, "", ref, path)

    def _through(self, ctx: StructureContext, owner: str, ref: TensorRef) -> TensorRef:
        """Makes a tensor of a model in the model an output of it, and returns it as a tensor around that model."""
        outside, _, name = owner.rpartition("/")
        calls = ctx.network(outside).calls[name]
        if len(calls) > 1:
            raise PlanError(
                f"`{owner}` is called {len(calls)} times, and has an output of each call",
                path=("target",),
                hint="first make a model of each call, with `unshare_weights`",
            )
        network = ctx.functional(owner)
        before = list(refs(network.outputs))
        if ref in before:
            return TensorRef(name, 0, before.index(ref))
        if isinstance(network.outputs, Mapping):  # keys in order, so that a new one moves those after it
            raise PlanError(
                f"`{owner}` returns a dictionary, so that its outputs would change their places",
                path=("target",),
                hint="first put its layers in its place, with `inline_model`",
            )
        self._add(ctx, owner, ref, join(owner, ref.layer))
        return TensorRef(name, 0, len(before))

    def _add(self, ctx: StructureContext, owner: str, ref: TensorRef, path: str) -> None:
        network = ctx.network(owner)
        key = or_default(self.key, path.rpartition("/")[2])
        if isinstance(network.outputs, Mapping):
            if key in network.outputs:
                raise PlanError(f"the model has an output `{key}` already", path=("key",), hint="give another `key`")
        elif self.key is not UNSET and not owner:
            raise PlanError("the model does not return a dictionary", path=("key",), hint="leave `key` out")
        outputs = with_ports(network.outputs, {key: ref})
        marks = {} if owner else {path: EditKind.OUTPUT_ADDED}  # of inner models, this is said of the outermost
        ctx.edit(owner, lambda each: each.changed(outputs=outputs), marks=marks)


class RemoveOutput(StructureOp, tag="remove_output", frozen=True, kw_only=True):
    """Take outputs from the model, and the layers that only led to them."""

    target: Annotated[Target, Meta(description="The layers whose outputs go.", examples=["auxiliary"])]

    def restructure(self, ctx: StructureContext) -> None:
        layers = ctx.select(self.target, "target")
        network = ctx.network("")
        gone = {layer.path for layer in layers}
        outputs = list(refs(network.outputs))
        makers = {ref.layer for ref in outputs}
        if wrong := sorted(gone - makers):
            raise PlanError(
                f"`{wrong[0]}` is not an output of the model",
                path=("target",),
                hint=f"its outputs are {listed(sorted(makers))}",
            )
        if not gone:
            return
        left = _without(network.outputs, gone)
        if next(refs([left]), None) is None:
            raise PlanError(
                "the model would have no output", path=("target",), hint="leave one of them out of the target"
            )
        marks = dict.fromkeys(gone, EditKind.OUTPUT_REMOVED)
        ctx.edit("", lambda each: edits.without_unused(each.changed(outputs=left), makers), key="target", marks=marks)


def _without(ports: Any, gone: set[str]) -> Any:
    """Returns outputs without those of some layers, in the same form."""
    if isinstance(ports, Mapping):
        return {key: _without(each, gone) for key, each in ports.items() if not _is_gone(each, gone)}
    if isinstance(ports, list):
        return [_without(each, gone) for each in ports if not _is_gone(each, gone)]
    return [] if _is_gone(ports, gone) else ports


def _is_gone(port: Any, gone: set[str]) -> bool:
    return isinstance(port, TensorRef) and port.layer in gone


class AddInput(StructureOp, tag="add_input", frozen=True, kw_only=True):
    """Give the model another input, and merge it into a tensor by a layer.

    `layer` is called on the output of `after` and the new input, and what used the one uses the layer's output:
    Concatenate, Add, Multiply, Attention, ….
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"layer": {"type": "Concatenate"}})

    after: Annotated[Target, Meta(description="The layer into whose output it is merged.", examples=["dense_2"])]
    shape: Annotated[
        tuple[int | None, ...],
        Meta(description="The shape of the input without the batch; null for an unknown extent.", examples=[[8]]),
    ]
    layer: LayerConfig
    dtype: Annotated[str, Meta(description="The dtype of the input.")] = "float32"
    name: Annotated[str, Meta(description="The name of the input. Default: the step's id and `_input`.")] = ""

    def problems(self) -> Iterable[Problem]:
        if any(extent is not None and extent < 1 for extent in self.shape):
            yield Problem("an extent of `shape` is below 1", path=("shape",), hint="write null for an unknown extent")
        yield from extent_problems(self.shape, "shape")
        if self.name:
            yield from name_problems(self.name, "name")
        if self.dtype not in _DTYPES:
            yield Problem(
                f"`dtype: {self.dtype}` is not a dtype of inputs",
                path=("dtype",),
                hint=f"choose among {listed(_DTYPES, 9)}",
            )

    def restructure(self, ctx: StructureContext) -> None:
        place = one_layer(ctx, self.after, "after")
        if place is None:
            return
        if place.owner:
            raise PlanError(
                f"`{place.path}` is in a model in the model, and an input is merged in the outermost model",
                path=("after",),
                hint="name a layer of the outermost model; `inline_model` puts the layers of an inner one there",
            )
        network = ctx.functional("")
        source = _only_output(place)
        name = self.name or f"{name_in_recipe(self.id)}_input"
        ctx.refuse_name("", name, ("name",), "give the input another `name`")
        port = TensorRef(name)
        new_input = input_entry(name, TensorType((None, *self.shape), self.dtype))
        merge = ctx.new_layer(self.layer, "", source, inputs=2)
        layer = str(merge["name"])

        def edit(_: Network) -> Network:
            wider = network.changed(
                layers={name: new_input}, calls={name: ()}, inputs=with_ports(network.inputs, {name: port})
            )
            call = edits.call_of(merge, [source, port])
            return edits.added(edits.redirected(wider, {source: TensorRef(layer)}), {layer: merge}, {layer: (call,)})

        ctx.edit("", edit, added={name: AddedLayer(new_input), layer: AddedLayer(merge)})


_DTYPES = ("float16", "bfloat16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool", "string")

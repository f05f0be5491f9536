"""Structure: layers that are inserted, removed, replaced, renamed or configured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from mutspec.language.errors import ModelError, PlanError, Problem
from mutspec.language.types import Count, Target
from mutspec.model.shapes import TensorType
from mutspec.model.spec import LayerSpec, TensorRef, TensorSpec
from mutspec.ops.base import Op, StructureOp
from mutspec.ops.bench import Bench, Touch
from mutspec.ops.identity import identity_problem, identity_value
from mutspec.ops.initial import Fresh, initial_value, initializer_of
from mutspec.structure import edits
from mutspec.structure.architecture import Change
from mutspec.structure.layer_config import configured, layer_entry
from mutspec.structure.network import Entry, Network, refs


class Initialize(StrEnum):
    """The values that the weights of a new layer begin with."""

    DEFAULT = "default"
    IDENTITY = "identity"


LayerConfig = Annotated[
    dict[str, Any],
    Meta(
        description="The layer: `type` and its arguments, or Keras's `class_name` and `config`. `same` stands for the "
        "width of the tensor that it is put on. Without a `name` it is called after its step.",
        examples=[{"type": "Dense", "units": "same"}],
    ),
]


_LEAVE_OUT = "leave it out of the target, with `not:` if a pattern matches it"


class InsertLayer(StructureOp, tag="insert_layer", frozen=True, kw_only=True):
    """Insert a layer after or before another, on the path to whatever uses it.

    With `after` alone, everything that used the layer's output, the model's outputs included, uses the new layer's.
    With `before` alone, the new layer stands on that layer's input. With both it stands on the edge between the two,
    and other users of the output are left alone. Where a layer is called several times, so is the new one. A target of
    several layers inserts one after (or before) each: `adapter`, `adapter_1`, ….

    With `initialize: identity` the model predicts what it did before: Dense, Conv1D to Conv3D, depthwise and separable
    convolutions, BatchNormalization, and layers that only act in training.

    Literature: LA, LAm (DeepMutation, DeepMutation++, LEMON); Net2DeeperNet (Chen et al. 2016).
    """

    after: Annotated[Target | UnsetType, Meta(description="The layers whose output it is put on.")] = UNSET
    before: Annotated[Target | UnsetType, Meta(description="The layers whose input it is put on.")] = UNSET
    output: Annotated[
        Count | UnsetType, Meta(description="Which output of `after`, counted from 0, if it has several.")
    ] = UNSET
    layer: LayerConfig
    initialize: Annotated[
        Initialize, Meta(description="`default`: as the layer's initializers say; `identity`: to pass its input on.")
    ] = Initialize.DEFAULT

    def problems(self) -> Iterable[Problem]:
        """A place that is not told."""
        if isinstance(self.after, UnsetType) and isinstance(self.before, UnsetType):
            yield Problem("`insert_layer` needs `after` or `before`", hint="name the layer to insert after or before")
        if isinstance(self.after, UnsetType) and not isinstance(self.output, UnsetType):
            yield Problem(
                "`output` is one of `after`, which is not there", path=("output",), hint="add `after: <layer>`"
            )

    def apply(self, bench: Bench) -> Sequence[Touch]:
        """Insert a layer at each place."""
        for number, (owner, sources, only) in enumerate(list(self._places(bench))):
            network = _level(bench, owner)
            flows = [_type_of(bench, network, ref, owner) for ref in sources]
            beside = network.layers.get(sources[0].layer)
            name = _new_name(self, network, number)
            entry = _entry(self.layer, name, beside, flows[0])
            name = str(entry["name"])
            _refuse_name(network, name, ("layer", "name"), "for several, leave `name` out" if number else _OTHER_NAME)
            _refuse_merge(entry, len(sources[:1]))
            if self.initialize is Initialize.IDENTITY:
                _refuse_no_identity(entry, flows[0], beside)
            outputs = {ref: TensorRef(name, call) for call, ref in enumerate(sources)}
            change = _edited(
                bench,
                owner,
                lambda at, n=name, e=entry, o=outputs, b=only: edits.insert(at, n, e, o, b),  # type: ignore[misc]
            )
            _add(bench, self, change, owner, name, entry, number)
        return ()

    def _places(self, bench: Bench) -> Iterator[tuple[str, list[TensorRef], tuple[str, ...]]]:
        """The model, the tensors in it to put a layer on, and the layers that are to use it (none: all)."""
        befores = () if isinstance(self.before, UnsetType) else _chosen(bench, self.before, "before")
        if isinstance(self.after, UnsetType):
            for layer in befores:
                owner, name, network = _found(bench, layer, "before")
                yield owner, self._only_input(network, name), (name,)
            return
        for layer in _chosen(bench, self.after, "after"):
            owner, name, network = _found(bench, layer, "after")
            output = self._output(network, name)
            calls = max(1, len(network.calls[name]))
            sources = [TensorRef(name, call, output) for call in range(calls)]
            only: tuple[str, ...] = ()
            if not isinstance(self.before, UnsetType):
                only = tuple(each.name for each in befores if each.path.rpartition("/")[0] == owner)
                used = {ref for each in only for ref in refs(network.calls[each])}
                sources = [ref for ref in sources if ref in used]
                if not sources:
                    users = ", ".join(f"`{each}`" for each in network.consumers(name)) or "the model's outputs alone"
                    raise PlanError(
                        Problem(
                            f"no layer that `before` names is called on `{name}`",
                            path=("before",),
                            hint=f"its output is used by {users}",
                        )
                    )
            yield owner, sources, only

    def _only_input(self, network: Network, name: str) -> list[TensorRef]:
        sources: list[TensorRef] = []
        for call in network.calls[name]:
            found = list(dict.fromkeys(refs(call["args"])))
            if len(found) != 1:
                listing = ", ".join(f"`{ref.layer}`" for ref in found) or "none"
                raise PlanError(
                    Problem(
                        f"`{name}` has {len(found)} inputs: {listing}",
                        path=("before",),
                        hint="say on which of them the layer goes: add `after: <layer>`",
                    )
                )
            sources += found
        if not sources:
            raise PlanError(
                Problem(f"`{name}` is an input of the model", path=("before",), hint=f"insert `after: {name}`")
            )
        return list(dict.fromkeys(sources))

    def _output(self, network: Network, name: str) -> int:
        used = sorted({ref.output for ref in (*refs(network.calls), *refs(network.outputs)) if ref.layer == name})
        if not isinstance(self.output, UnsetType):
            if self.output not in used:
                raise PlanError(
                    Problem(
                        f"nothing uses output {self.output} of `{name}`",
                        path=("output",),
                        hint=f"used are: {', '.join(map(str, used)) or 'none'}",
                    )
                )
            return self.output
        if len(used) > 1:
            raise PlanError(
                Problem(f"`{name}` has {len(used)} outputs that are used", path=("after",), hint="choose: `output: 0`")
            )
        return used[0] if used else 0


class RemoveLayer(StructureOp, tag="remove_layer", frozen=True, kw_only=True):
    """Remove layers: whatever used a layer's output uses its input instead.

    Of a layer with several inputs, such as Add, `keep` names the one that goes on; branches that led nowhere else are
    removed with it. What the layer's output is used for must be able to take its input, or a later step must mend it.

    Literature: LR, ARem (DeepMutation, DeepMutation++, LEMON); AFRm where the target is an activation; delete layer
    (keras-surgeon).
    """

    target: Annotated[Target, Meta(description="The layers to remove.")]
    keep: Annotated[
        str | UnsetType, Meta(description="Of a layer with several inputs, the layer whose output takes its place.")
    ] = UNSET

    def apply(self, bench: Bench) -> Sequence[Touch]:
        """Remove the layers one by one; some may go with others."""
        keep = "" if isinstance(self.keep, UnsetType) else self.keep
        for layer in _chosen(bench, self.target, "target"):
            if layer.path not in bench.models[""].layer_by_path:
                continue
            owner, name, network = _found(bench, layer, "target")
            if not network.calls[name]:
                raise PlanError(
                    Problem(f"`{layer.path}` is an input of the model, which stays", path=("target",), hint=_LEAVE_OUT)
                )
            if sum(bool(calls) for calls in network.calls.values()) == 1:
                raise PlanError(
                    Problem(f"`{layer.path}` is the last layer of its model", path=("target",), hint=_LEAVE_OUT)
                )
            try:
                bench.restructure(_edited(bench, owner, lambda at, n=name: edits.remove(at, n, keep)), self.id)  # type: ignore[misc]
            except PlanError as error:
                raise PlanError(
                    p if p.path else Problem(p.message, path=("target",), hint=p.hint) for p in error.problems
                ) from None
        return ()


class ReplaceLayer(StructureOp, tag="replace_layer", frozen=True, kw_only=True):
    """Put another layer in a layer's place, on the same inputs and for the same users.

    Its weights are new, unless `keep_weights` carries over those of the same role and shape. `same` stands for the
    width of what the replaced layer made, so that those who use it still fit; `name: same` keeps its name.

    Literature: ARep (LEMON); replace layer (keras-surgeon); change an op (regularised evolution).
    """

    target: Annotated[Target, Meta(description="The layers to replace.")]
    layer: LayerConfig
    keep_weights: Annotated[
        bool, Meta(description="Whether weights of the same role and shape are kept; others are new in any case.")
    ] = False

    def apply(self, bench: Bench) -> Sequence[Touch]:
        """Replace the layers one by one."""
        for number, layer in enumerate(_chosen(bench, self.target, "target")):
            owner, name, network = _found(bench, layer, "target")
            if not network.calls[name]:
                raise PlanError(
                    Problem(f"`{layer.path}` is an input of the model, which stays", path=("target",), hint=_LEAVE_OUT)
                )
            made = _type_of(bench, network, TensorRef(name), owner)
            keeps_name = self.layer.get("name") == "same"
            written = {key: value for key, value in self.layer.items() if not (keeps_name and key == "name")}
            wanted = name if keeps_name else _new_name(self, network, number)
            entry = _entry(written, wanted, network.layers[name], made)
            wanted = str(entry["name"])
            if wanted != name:
                hint = "for several, leave `name` out" if number else _OTHER_NAME
                _refuse_name(network, wanted, ("layer", "name"), hint)
            _refuse_merge(entry, min(len(list(refs(call["args"]))) for call in network.calls[name]))
            change = _edited(bench, owner, lambda at, n=name, e=entry, w=wanted: edits.put(at, n, e, w))  # type: ignore[misc]
            _add(bench, self, change, owner, wanted, entry, number, like=layer.path if self.keep_weights else "")
        return ()


class RenameLayer(StructureOp, tag="rename_layer", frozen=True, kw_only=True):
    """Give a layer another name. Its weights, and their random streams in later steps, stay the same."""

    target: Annotated[Target, Meta(description="The layer to rename.")]
    to: Annotated[str, Meta(description="Its new name.", examples=["backbone_out"])]

    def problems(self) -> Iterable[Problem]:
        """Names that Keras does not take."""
        if not self.to or "/" in self.to:
            what = "is empty" if not self.to else f"`{self.to}` holds a `/`"
            yield Problem(f"the name {what}, and Keras takes no such name", path=("to",), hint="give the bare name")

    def apply(self, bench: Bench) -> Sequence[Touch]:
        """Rename it."""
        found = _chosen(bench, self.target, "target")
        if len(found) > 1:
            paths = ", ".join(f"`{layer.path}`" for layer in found[:4])
            raise PlanError(
                Problem(
                    f"one name is for one layer, and the target matches {len(found)}: {paths}",
                    path=("target",),
                    hint="write a step for each of them",
                )
            )
        for layer in found:
            owner, name, network = _found(bench, layer, "target")
            if self.to == name:
                raise PlanError(
                    Problem(f"`{layer.path}` is called that already", path=("to",), hint="give another name")
                )
            _refuse_name(network, self.to, ("to",), "give another name")
            change = _edited(bench, owner, lambda at, n=name: edits.rename(at, n, self.to))  # type: ignore[misc]
            renamed = {f"{owner}/{self.to}" if owner else self.to: layer.path}
            bench.restructure(Change(change.network, renamed=renamed), self.id)
        return ()


class ConfigureLayer(StructureOp, tag="configure_layer", frozen=True, kw_only=True):
    """Change arguments of layers that change neither shapes nor weights: activation, rate, trainable, momentum, ….

    Literature: AFRm (DeepMutation: `activation: linear`), change and remove activation (DeepCrime).
    """

    target: Annotated[Target, Meta(description="The layers to configure.")]
    set: Annotated[dict[str, Any], Meta(description="The new values, by argument.", examples=[{"activation": "elu"}])]

    def problems(self) -> Iterable[Problem]:
        """Nothing to set."""
        if not self.set:
            yield Problem("`set` is empty, and changes nothing", path=("set",), hint="say what to set")

    def apply(self, bench: Bench) -> Sequence[Touch]:
        """Configure the layers."""
        for layer in _chosen(bench, self.target, "target"):
            owner, name, network = _found(bench, layer, "target")
            entry = network.layers[name]
            if not network.calls[name]:
                raise PlanError(
                    Problem(
                        f"`{layer.path}` is an input of the model, with nothing to set",
                        path=("target",),
                        hint=_LEAVE_OUT,
                    )
                )
            if isinstance(entry, Network):
                raise PlanError(
                    Problem(f"`{layer.path}` is a model", path=("target",), hint="name the layers in it to configure")
                )
            try:
                changed = configured(entry, self.set)
            except PlanError as error:
                raise PlanError(problem.below("set") for problem in error.problems) from None
            change = _edited(bench, owner, lambda at, n=name, e=changed: edits.put(at, n, e, n))  # type: ignore[misc]
            bench.restructure(Change(change.network, configured=frozenset({layer.path})), self.id)
        return ()


def _chosen(bench: Bench, target: Target, at: str) -> tuple[LayerSpec, ...]:
    """The layers that a target stands for, in a model that can be edited: a name is no mistake where none can be."""
    _ = bench.architecture
    return bench.select_layers(target, at)


def _edited(bench: Bench, owner: str, edit: Callable[[Network], Network]) -> Change:
    return Change(edits.edited(bench.architecture.network, owner, edit))


def _type_of(bench: Bench, network: Network, ref: TensorRef, owner: str) -> TensorType:
    try:
        return bench.flow().type_of(network, ref, owner)
    except ModelError as error:
        raise PlanError(
            Problem(problem.message, path=("op",), hint="mend that first, in a step before this one")
            for problem in error.problems
        ) from None


def _level(bench: Bench, owner: str) -> Network:
    found = edits.level(bench.architecture.network, owner)
    assert found is not None
    return found


def _found(bench: Bench, layer: LayerSpec, at: str) -> tuple[str, str, Network]:
    """The model that holds a layer: its path, the layer's name in it, and the network."""
    owner, _, name = layer.path.rpartition("/")
    network = edits.level(bench.architecture.network, owner)
    if network is None or name not in network.layers:
        holder = bench.models[""].layer_by_path.get(owner)
        kind = f" ({holder.class_name})" if holder is not None else ""
        raise PlanError(
            Problem(
                f"`{layer.path}` is inside `{owner}`{kind}, which calls it itself",
                path=(at,),
                hint=f"name `{owner}`, or leave the layers in it out with `not:`",
            )
        )
    return owner, name, network


def _new_name(op: Op, network: Network, number: int) -> str:
    """The step's id; for further layers of one step with a number, as Keras counts."""
    return op.id if number == 0 else f"{op.id}_{number}"


_OTHER_NAME = "give the layer another `name`"


def _refuse_name(network: Network, name: str, at: tuple[str, ...], hint: str) -> None:
    if name in network.layers:
        raise PlanError(Problem(f"the model has a layer `{name}` already", path=at, hint=hint))


_MERGES = frozenset(
    {"Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"}
)  # fmt: skip
"""Layers that Keras calls on a list of tensors only."""


def _refuse_merge(entry: Entry, inputs: int) -> None:
    if entry["class_name"] in _MERGES and inputs == 1:
        raise PlanError(
            Problem(
                f"`{entry['name']}` ({entry['class_name']}) takes several inputs, and would get one",
                path=("layer",),
                hint="choose a layer that takes one",
            )
        )


def _entry(layer: Mapping[str, Any], name: str, beside: Entry | Network | None, flow: TensorType) -> Entry:
    like = beside["config"] if beside is not None and not isinstance(beside, Network) else {}
    is_first = str(layer.get("data_format") or like.get("data_format")) == "channels_first"
    width = None
    if len(flow.shape) > 1:
        width = flow.shape[1 if is_first else -1]
    if beside is None or isinstance(beside, Network) or beside["class_name"] == "InputLayer":
        is_real = flow.dtype.startswith(("float", "bfloat"))
        like = {**like, "dtype": flow.dtype if is_real else "float32"}
    try:
        return layer_entry(layer, name=name, like=like, width=width)
    except PlanError as error:
        raise PlanError(problem.below("layer") for problem in error.problems) from None


def _refuse_no_identity(entry: Entry, flow: TensorType, beside: Entry | Network | None) -> None:
    config = entry["config"]
    width = flow.shape[1 if config.get("data_format") == "channels_first" else -1] if flow.shape else None
    before = "linear"
    if beside is not None and not isinstance(beside, Network):
        is_relu = beside["class_name"] == "ReLU" or beside["config"].get("activation") == "relu"
        before = "relu" if is_relu else before
    why = identity_problem(str(entry["class_name"]), config, width, before)
    if why:
        raise PlanError(
            Problem(
                f"the new layer cannot begin as an identity: {why}",
                path=("initialize",),
                hint="leave `initialize` out, or choose a layer that can",
            )
        )


def _add(
    bench: Bench, op: Op, change: Change, owner: str, name: str, entry: Entry, number: int, like: str = ""
) -> None:
    """Change the architecture by one new layer, and give its weights their first values."""
    path = f"{owner}/{name}" if owner else name
    origin = f"{op.id}/{number}"
    created = bench.restructure(Change(change.network, new={path: like}), origin)
    if path in bench.architecture.misfits:
        _, message = bench.architecture.misfits[path]
        raise PlanError(Problem(message, path=("layer",), hint="choose a layer that fits what it gets"))
    is_identity = getattr(op, "initialize", None) is Initialize.IDENTITY
    for tensor in created:
        fresh = Fresh(bench.builder, tensor, bench.key(tensor.origin, "init"))
        if is_identity:
            value = identity_value(fresh, str(entry["class_name"]), entry["config"])
        else:
            _, initializer = initializer_of(tensor, _configs(bench, tensor))
            drawn = None if _has_forget_bias(tensor, entry) else initial_value(fresh, initializer)
            if drawn is None:
                bench.keras_made.add(tensor.origin)
                continue
            value = drawn
        bench.create(tensor, value)


def _has_forget_bias(tensor: TensorSpec, entry: Entry) -> bool:
    """Whether a bias is one of an LSTM, whose forget gate begins at 1 (Jozefowicz et al. 2015)."""
    return tensor.role == "bias" and "LSTM" in str(entry["class_name"])


def _configs(bench: Bench, tensor: TensorSpec) -> Iterator[Mapping[str, Any]]:
    """The config of the layer that owns a weight, then of those that it is in."""
    path = tensor.layer
    while path:
        layer = bench.models[""].layer_by_path.get(path)
        if layer is not None:
            yield layer.config
        path = path.rpartition("/")[0]

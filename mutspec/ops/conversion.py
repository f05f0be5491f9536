"""Conversions: the same model in another dtype, as another class, or in another data format."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import PlanError, Problem
from mutspec.graph.expression import Expression
from mutspec.keras_facts.argument_values import a
from mutspec.keras_facts.classes import is_keras_class
from mutspec.language.steps import name_in_recipe
from mutspec.language.types import Target, or_default
from mutspec.lowering.base import StructureOp
from mutspec.lowering.claims import SamePredictions
from mutspec.lowering.initial_values import NewWeight
from mutspec.lowering.new_layer import AddedLayer, FirstValue
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.outline import is_operation, join
from mutspec.model.spec import TensorRef
from mutspec.structure.data_format import DataFormat, Ports
from mutspec.structure.dtype_policies import with_policy
from mutspec.structure.layer_edit import EditKind, LayerEdit
from mutspec.structure.model_form import as_functional, as_sequential
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
        users_own = []
        for owner, names in chosen.items():
            network, changed = ctx.network(owner), {}
            for name in names:
                entry = network.layers[name]
                assert not isinstance(entry, Network)
                if self.target is UNSET and not is_keras_class(entry) and not is_operation(entry):
                    users_own.append(join(owner, name))
                    continue
                after = self._with_policy(entry, policies[join(owner, name) in at_end])
                if after is not entry:
                    changed[name] = after
            if changed:
                _reconfigure(ctx, owner, changed)
        if users_own:
            ctx.context.notes.append(
                "layers of your own classes keep their policy, because only their code knows what they compute in; to "
                f"set it, name them in `target`: {_listing(users_own)}"
            )

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


class Form(StrEnum):
    """What a model can be converted to."""

    FUNCTIONAL = "functional"
    SEQUENTIAL = "sequential"
    CHANNELS_FIRST = "channels_first"
    CHANNELS_LAST = "channels_last"

    @property
    def is_data_format(self) -> bool:
        """Whether it is the place of the channels, and not the class of the model."""
        return self in (Form.CHANNELS_FIRST, Form.CHANNELS_LAST)


class Convert(StructureOp, tag="convert", frozen=True, kw_only=True):
    """Convert a model to the other form, or to the other data format. It predicts the same.

    `sequential` needs a chain of layers; `functional` takes any Sequential model. With `channels_first` the images that
    the model takes, and those that it outputs, have their channels before height and width, and with `channels_last`
    behind. Layers with a `data_format` and layers that name axes are converted, in all models in the model. Others,
    such as Dense on images, Reshape and classes of your own, keep their order: a Permute is put before and after them.
    Kernels stay as they are, because Keras stores them in one order for both formats.
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"to": "functional"})

    to: Form
    target: Annotated[
        Target | UnsetType,
        Meta(
            description="Models in the model, to convert these instead, to `functional` or `sequential`.",
            examples=["encoder"],
        ),
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        if self.to.is_data_format and self.target is not UNSET:
            yield Problem("a data format is that of the whole model", path=("target",), hint="leave `target` out")

    def claim(self) -> SamePredictions | None:
        return None if self.to.is_data_format else SamePredictions()

    def restructure(self, ctx: StructureContext) -> None:
        if self.to.is_data_format:
            self._convert_format(ctx)
            return
        if self.target is UNSET:
            self._convert_form(ctx, "", "to")
            return
        for found in ctx.find(self.target, "target"):
            if not isinstance(found.entry, Network):
                raise PlanError(
                    f"`{found.path}` is {a(found.class_name)}, and not a model",
                    path=("target",),
                    hint="leave `target` out to convert the whole model",
                )
            self._convert_form(ctx, found.path, "target")

    def _convert_form(self, ctx: StructureContext, path: str, key: str) -> None:
        network = ctx.network(path)
        label = f"`{path or network.name}`"
        if network.is_sequential is (self.to is Form.SEQUENTIAL):
            raise PlanError(f"{label} is a {network.entry['class_name']} model already", path=(key,), hint=_NO_STEP)
        if self.to is Form.SEQUENTIAL:
            try:
                after = as_sequential(network)
            except PlanError as error:
                why = error.problems[0]
                message = f"{label} is not a chain of layers: {why.message}"
                raise PlanError(message, path=(key,), hint=why.hint) from None
            ctx.edit(path, lambda _: after, key=key)
        else:
            ctx.give_input_layer(path)
            after = as_functional(ctx.network(path))
            ctx.edit(path, lambda _: after, key=key)
        ctx.context.edits.append(LayerEdit(EditKind.CONFIGURED, path or network.name, str(after.entry["class_name"])))

    def _convert_format(self, ctx: StructureContext) -> None:
        conversion = DataFormat(self.to.value, name_in_recipe(self.id))
        done = _convert_network(ctx, conversion, "")
        if not done.edited:
            raise PlanError(f"no layer has another data format than {self.to}", path=("to",), hint=_NO_STEP)
        if done.misread:
            ctx.context.notes.append(
                "Keras on TensorFlow (3.15) adds a bias along the wrong axis where a tensor is as wide as it has "
                f"channels; predict with another backend, or at another size: {_listing(done.misread)}"
            )
        if done.kept:
            shown = _listing(done.kept, [f" ({kind})" for kind in done.kept.values()])
            ctx.context.notes.append(f"not converted, but put between Permute layers: {shown}")


_NO_STEP = "leave the step out"


def _listing(paths: Collection[str], kinds: Sequence[str] = ()) -> str:
    """Returns the first of some layers, with what is said of each, and how many more there are."""
    shown = [f"`{path}`{kind}" for path, kind in zip_longest(paths, kinds, fillvalue="")]
    more = f" and {len(shown) - 3:,} more" if len(shown) > 3 else ""
    return ", ".join(shown[:3]) + more


@dataclass(frozen=True)
class _Done:
    """What the conversion of a model, and of those in it, has done."""

    ports: Ports
    edited: bool
    kept: Mapping[str, str]
    misread: tuple[str, ...]


def _convert_network(ctx: StructureContext, conversion: DataFormat, owner: str) -> _Done:
    """Converts the data format of a model and of the models in it."""
    ctx.give_input_layer(owner)
    network = ctx.network(owner)
    # The types of its tensors, before the models in it are converted.
    tensors = {ref for calls in network.uses.values() for call in calls for ref in call}
    made = {TensorRef(name, call) for name, calls in network.calls.items() for call in range(max(1, len(calls)))}
    ports = {*refs(network.inputs), *refs(network.outputs)}
    shapes = {ref: ctx.type_of(owner, ref).shape for ref in tensors | made | ports}
    inner = {
        name: _convert_network(ctx, conversion, join(owner, name))
        for name, layer in network.layers.items()
        if isinstance(layer, Network)
    }
    converted = conversion.converted(
        ctx.network(owner), {name: done.ports for name, done in inner.items()}, shapes.__getitem__
    )
    after, added = converted.network, {}
    for name in converted.changed:
        path, order = join(owner, name), converted.orders.get(name)
        first_value = _transposed(ctx, path, order) if order is not None else None
        added[name] = AddedLayer(after.layers[name], "" if order is not None else path, first_value)
    added |= {name: AddedLayer(after.layers[name]) for name in converted.permutes}
    if added:
        ctx.edit(owner, lambda _: after, added=added, configured=[join(owner, name) for name in converted.changed])
    kept = {join(owner, name): kind for name, kind in converted.unchanged.items()}
    misread = [join(owner, name) for name in converted.misread]
    for done in inner.values():
        kept |= done.kept
        misread += done.misread
    is_edited = bool(added) or any(done.edited for done in inner.values())
    return _Done(converted.ports, is_edited, kept, tuple(misread))


def _transposed(ctx: StructureContext, layer: str, order: tuple[int, ...]) -> FirstValue:
    """Returns first values that are those of a layer's weights with their axes in another order."""
    weights = {each.role: each for each in ctx.context.models[""].tensors if each.layer == layer}
    return lambda new: ctx.context.read(weights[new.tensor.role]).transpose(order)


def _reconfigure(ctx: StructureContext, owner: str, changed: Mapping[str, Entry]) -> None:
    """Gives layers other configs, from which their weights follow: cast where the dtype is another one."""
    paths = {name: join(owner, name) for name in changed}
    added = {name: AddedLayer(changed[name], path, _converted(ctx, path), ("policy",)) for name, path in paths.items()}
    ctx.edit(
        owner,
        lambda network: network.with_layers({**network.layers, **changed}),
        added=added,
        configured=paths.values(),
    )


def _converted(ctx: StructureContext, layer: str) -> FirstValue:
    """Returns first values that are those of a layer's weights in another dtype."""
    weights = ctx.context.models[""].weights_of(layer)

    def value(new: NewWeight) -> Expression | None:
        old = weights.get(new.below)
        if old is None or old.shape != new.tensor.shape:
            return None
        return ctx.context.read(old).cast(ctx.context.compute_dtype(old)).cast(new.tensor.dtype)

    return value

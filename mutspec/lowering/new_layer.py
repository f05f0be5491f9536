"""A layer that a step adds: how it is called, what it is, and the values that its weights begin with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta

from mutspec.errors import PlanError
from mutspec.keras_facts.class_table import CLASSES
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.identity_layers import identity_problem, identity_value
from mutspec.lowering.initial_values import NewWeight, initial_value, initializer_of
from mutspec.model.spec import TensorSpec
from mutspec.structure.architecture import Change
from mutspec.structure.layer_config import layer_entry
from mutspec.structure.layer_edit import EditKind
from mutspec.structure.network import Entry, Network


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


def name_of_new(step: str, number: int) -> str:
    """The step's id; for further layers of one step with a number, as Keras counts."""
    return step if number == 0 else f"{step}_{number}"


def refuse_name(network: Network, name: str, at: tuple[str, ...], hint: str) -> None:
    """Refuse a name that a layer of the network has; `at` is where the step says it."""
    if name in network.layers:
        raise PlanError(f"the model has a layer `{name}` already", path=at, hint=hint)


def refuse_name_of_new(network: Network, name: str, number: int) -> None:
    """Refuse the name of a step's new layer, of which `number` came before it, if there is such a layer."""
    hint = "for several, leave `name` out" if number else "give the layer another `name`"
    refuse_name(network, name, ("layer", "name"), hint)


_MERGES = frozenset(
    {"Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"}
)  # fmt: skip
"""Layers that Keras calls on a list of tensors only."""


def refuse_merge(entry: Entry, inputs: int) -> None:
    """Refuse a layer that merges several tensors where it would get one."""
    if entry["class_name"] in _MERGES and inputs == 1:
        raise PlanError(
            f"`{entry['name']}` ({entry['class_name']}) takes several inputs, and would get one",
            path=("layer",),
            hint="choose a layer that takes one",
        )


def entry_of_new(layer: Mapping[str, Any], name: str, beside: Entry | Network | None, flow: TensorType) -> Entry:
    """The serialised layer that a step's `layer` stands for.

    Arguments:
        layer: as the plan has it.
        name: what it is called unless it says so itself.
        beside: the layer that it stands beside, whose dtype and data format it takes; None at a Sequential's input.
        flow: the tensor whose width `same` stands for.
    """
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


def refuse_no_identity(entry: Entry, flow: TensorType, beside: Entry | Network | None) -> None:
    """Refuse a new layer that no weights make an identity."""
    config = entry["config"]
    width = flow.shape[1 if config.get("data_format") == "channels_first" else -1] if flow.shape else None
    before = "linear"
    if beside is not None and not isinstance(beside, Network):
        is_relu = beside["class_name"] == "ReLU" or beside["config"].get("activation") == "relu"
        before = "relu" if is_relu else before
    why = identity_problem(str(entry["class_name"]), config, width, before)
    if why:
        raise PlanError(
            f"the new layer cannot begin as an identity: {why}",
            path=("initialize",),
            hint="leave `initialize` out, or choose a layer that can",
        )


def add_layer(
    context: LoweringContext,
    change: Change,
    path: str,
    entry: Entry,
    origin: str,
    initialize: Initialize = Initialize.DEFAULT,
    like: str = "",
) -> None:
    """Change the architecture by one new layer, and give its weights their first values.

    Arguments:
        context: where the step is lowered.
        change: the network with the layer in it.
        path: the layer's path.
        entry: the layer, serialised.
        origin: with what the origins of its weights begin.
        initialize: the values that they begin with.
        like: the path of a layer whose weights it keeps where they fit; empty for none.
    """
    created = context.restructure(Change(change.network, new={path: like}), origin)
    if path in context.architecture.misfits:
        _, message = context.architecture.misfits[path]
        raise PlanError(message, path=("layer",), hint="choose a layer that fits what it gets")
    for tensor in created:
        fresh = NewWeight(context.builder, tensor, context.key(tensor.origin, "init"))
        if initialize is Initialize.IDENTITY:
            context.create(tensor, identity_value(fresh, str(entry["class_name"]), entry["config"]))
            continue
        initializer = initializer_of(tensor, _configs(context, tensor))
        try:
            drawn = None if _is_made_by_keras(context, tensor, entry) else initial_value(fresh, initializer)
        except (
            TypeError,
            ValueError,
        ):  # an array, which Keras takes too, or what it refuses in its words
            drawn = None
        if drawn is None:
            context.keras_made.add(tensor.origin)
        else:
            context.create(tensor, drawn)


def tell_training_only(context: LoweringContext) -> None:
    """Note that layers which the step under way adds act in training only, if so: as faults they are none."""
    idle = [edit for edit in context.edits if edit.kind is EditKind.ADDED and edit.acts_in_training_only]
    if not idle:
        return
    more = f" and {len(idle) - 1:,} more act" if len(idle) > 1 else " acts"
    is_all = all(edit.acts_in_training_only for edit in context.edits)
    so = "predictions do not change" if is_all else "in predictions the input is passed on as it is"
    context.notes.append(f"`{idle[0].layer}` ({idle[0].type}){more} in training only: {so}")


def _is_made_by_keras(context: LoweringContext, tensor: TensorSpec, entry: Entry) -> bool:
    """Whether configs do not say what a weight begins with.

    Those are the weights of which only the code of a user's class says it, and the biases of LSTMs, whose forget gates
    begin at 1 (Jozefowicz et al. 2015).
    """
    layer = context.models[""].layer_by_path.get(tensor.layer)
    if not tensor.has_role or (layer is not None and layer.is_inner and layer.class_name not in CLASSES):
        return True
    kinds = (str(entry["class_name"]), layer.class_name if layer is not None else "")
    return tensor.role == "bias" and any("LSTM" in kind for kind in kinds)


def _configs(context: LoweringContext, tensor: TensorSpec) -> Iterator[Mapping[str, Any]]:
    """The config of the layer that owns a weight, then of those that it is in."""
    path = tensor.layer
    while path:
        layer = context.models[""].layer_by_path.get(path)
        if layer is not None:
            yield layer.config
        path = path.rpartition("/")[0]

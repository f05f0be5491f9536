"""A layer that a step adds: its name, its serialised form, and the values that its weights begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import prod
from typing import Annotated, Any

from msgspec import Meta

from mutspec.errors import DocumentPath, PlanError
from mutspec.graph.expression import Expression
from mutspec.keras_facts.activation_intervals import ALL, outputs_of
from mutspec.keras_facts.class_names import TAKES_LIST
from mutspec.keras_facts.class_table import CLASSES
from mutspec.keras_facts.classes import quantization_mode
from mutspec.keras_facts.first_values import has_forget_gate, initialized_by
from mutspec.keras_facts.neurons import HEAD_PROJECTIONS
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.language.steps import name_in_recipe
from mutspec.language.types import OF_LAYER
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.identity_layers import identity_problem
from mutspec.lowering.initial_values import NewWeight, initial_value, with_forget_gate
from mutspec.model.spec import LayerSpec, TensorSpec
from mutspec.structure.layer_config import layer_entry
from mutspec.structure.network import Entry, Network


class Initialize(StrEnum):
    """The values that the weights of a new layer begin with."""

    DEFAULT = "default"
    IDENTITY = "identity"


LayerConfig = Annotated[
    dict[str, Any],
    OF_LAYER,
    Meta(
        description="The layer: `type` and its arguments, or Keras's `class_name` and `config`. `same` stands for the "
        "width of the tensor that it is put on. Without a `name` it is called after its step, or as the layer that it "
        "replaces. Or `{block: <name>}`, a block of the plan.",
        examples=[{"type": "Dense", "units": "same"}],
    ),
]


LayerChain = Annotated[tuple[LayerConfig, ...], Meta(min_length=1)]
"""Layers, each of which takes the one before it, unless its `of` names others."""


FirstValue = Callable[[NewWeight], Expression | None]
"""Gives the value that a new weight begins with; None for what its initializer says."""


@dataclass(frozen=True, slots=True)
class AddedLayer:
    """A layer that an edit adds, and where its weights come from.

    Arguments:
        layer: the serialised layer; of a model its network.
        keep_weights_of: the path of a layer that the edit takes out, whose weights are carried over where they fit.
        first_value: gives the values that its other weights begin with; None of it stands for its initializer's.
        at: where the step has it, for errors.
    """

    layer: Entry | Network
    keep_weights_of: str = ""
    first_value: FirstValue | None = None
    at: DocumentPath = ()


def name_of_new(step: str, number: int) -> str:
    """Returns the name of a new layer: the step's own name; for further layers with a number, as Keras counts."""
    name = name_in_recipe(step)
    return name if number == 0 else f"{name}_{number}"


def refuse_merge(entry: Entry, inputs: int, at: DocumentPath = ("layer",)) -> None:
    """Refuses a layer that merges several tensors where it would get one."""
    if entry["class_name"] in TAKES_LIST and inputs == 1:
        raise PlanError(
            f"`{entry['name']}` ({entry['class_name']}) takes several inputs, and would get one",
            path=at,
            hint="choose a layer that takes one, or merge another tensor in",
        )


def entry_of_new(
    layer: Mapping[str, Any],
    name: str,
    neighbour: Entry | Network | None,
    flow: TensorType,
    defaults: Mapping[str, Any] | None = None,
    at: DocumentPath = ("layer",),
) -> Entry:
    """Returns the serialised layer that a step's `layer` stands for.

    Arguments:
        layer: as the plan has it.
        name: what it is called unless it says so itself.
        neighbour: the layer that it is put on, or whose place it takes; it gives the dtype and the data format. None at
            a Sequential's input.
        flow: the tensor whose width `same` stands for.
        defaults: the values of arguments that it does not state.
        at: where the step has it.
    """
    if "layers" in layer and not {"type", "class_name"} & layer.keys():
        hint = "write out one layer: {type: Dense, units: 8}"
        raise PlanError("a block stands for several layers, but the step takes a single one", path=at, hint=hint)
    like = neighbour["config"] if neighbour is not None and not isinstance(neighbour, Network) else {}
    is_first = str(layer.get("data_format") or like.get("data_format")) == "channels_first"
    width = None
    if len(flow.shape) > 1:
        width = flow.shape[1 if is_first else -1]
    if neighbour is None or isinstance(neighbour, Network) or neighbour["class_name"] == "InputLayer":
        is_real = flow.dtype.startswith(("float", "bfloat"))
        like = {**like, "dtype": flow.dtype if is_real else "float32"}
    try:
        return layer_entry(layer, name=name, like=like, width=width, defaults=defaults)
    except PlanError as error:
        raise PlanError(problem.below(*at) for problem in error.problems) from None


def refuse_no_identity(entry: Entry, flow: TensorType, neighbour: Entry | Network | None) -> None:
    """Refuses a new layer that no weights make an identity."""
    config = entry["config"]
    width = flow.shape[1 if config.get("data_format") == "channels_first" else -1] if flow.shape else None
    before = ALL
    if neighbour is not None and not isinstance(neighbour, Network):
        before = outputs_of(str(neighbour["class_name"]), neighbour["config"])
    why = identity_problem(str(entry["class_name"]), config, width, before)
    if why:
        raise PlanError(
            f"the new layer cannot begin as an identity: {why}",
            path=("initialize",),
            hint="leave `initialize` out, or choose a layer that can",
        )


def value_by_initializer(context: LoweringContext, new: NewWeight) -> Expression | None:
    """Returns what a new weight's initializer draws; None if only Keras can draw it, or has the initializer.

    Only Keras has those of quantised layers, and of weights of which only the code of a user's class says it.
    """
    tensor, layer = new.tensor, context.models[""].layer_by_path.get(new.tensor.layer)
    if layer is None or not tensor.has_role or (layer.is_inner and layer.class_name not in CLASSES):
        return None
    initialized, configs = initialized_by(layer.class_name, tensor.role), list(_configs(context, tensor))
    if initialized is None or any(map(quantization_mode, configs)):
        return None
    argument = initialized.argument
    stated = next((config[argument] for config in configs if config.get(argument) is not None), initialized.default)
    new = replace(new, unit_fans=_einsum_fans(context, layer, tensor))
    has_gate = has_forget_gate(layer.class_name, tensor.role) and configs[0].get("unit_forget_bias", True)
    try:
        value = (with_forget_gate if has_gate else initial_value)(new, stated)
    except (TypeError, ValueError):  # an array, which Keras takes too, or what it refuses in its words
        return None
    except PlanError as error:
        raise PlanError(problem.below("layer") for problem in error.problems) from None
    return value.square_root() if value is not None and initialized.is_root else value


def _einsum_fans(context: LoweringContext, layer: LayerSpec, tensor: TensorSpec) -> tuple[float, float] | None:
    """Returns the inputs and outputs of a unit of an EinsumDense, whose equation says which axes they are.

    In attention the last two axes of the kernels of queries, keys and values are those of their outputs: heads, and the
    width of a head. In the kernel of the attention's output the first two axes are those of its inputs.
    """
    if tensor.role != "kernel" or "EinsumDense" not in (layer.class_name, *layer.ancestry):
        return None
    kernel, _, output = str(layer.config.get("equation", "")).partition(",")[2].partition("->")
    if len(kernel) == len(tensor.shape):
        outputs = [axis for axis, letter in enumerate(kernel) if letter in output]
    elif layer.name.removeprefix("_").removesuffix("_dense") in HEAD_PROJECTIONS:
        outputs = list(range(len(tensor.shape)))[-2:]
    else:
        outputs = list(range(len(tensor.shape)))[2:]
    fan_out = prod(tensor.shape[axis] for axis in outputs)
    return tensor.size / max(1, fan_out), float(fan_out)


def _configs(context: LoweringContext, tensor: TensorSpec) -> Iterator[Mapping[str, Any]]:
    """Yields the config of the layer that owns a weight, then of those that it is in."""
    path = tensor.layer
    while path:
        layer = context.models[""].layer_by_path.get(path)
        if layer is not None:
            yield layer.config
        path = path.rpartition("/")[0]

"""A convolution that a structural step has found: its kernel, and how its window moves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from mutspec.errors import PlanError
from mutspec.keras_facts.argument_values import a
from mutspec.keras_facts.classes import is_keras_class, quantization_mode
from mutspec.keras_facts.linear_layers import LINEAR
from mutspec.keras_facts.windows import WindowAxis
from mutspec.lowering.found_layer import LEAVE_OUT, FoundLayer
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.spec import TensorRef, TensorSpec
from mutspec.structure.network import refs


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution as the edits before have left it.

    Arguments:
        found: the layer.
        kernel: the weight whose first axes are the window.
        axes: how the window moves along each of them.
    """

    found: FoundLayer
    kernel: TensorSpec
    axes: tuple[WindowAxis, ...]

    @property
    def window(self) -> tuple[int, ...]:
        """The size of the window."""
        return self.kernel.shape[: len(self.axes)]

    @property
    def padding(self) -> str:
        """The kind of padding."""
        return str(self.found.config.get("padding", "valid"))

    def lengths(self, ctx: StructureContext) -> list[tuple[int | None, ...]]:
        """Returns the size of its input along the axes of the window, for each call."""
        is_first = self.found.config.get("data_format") == "channels_first"
        shapes = [ctx.type_of(self.found.owner, ref).shape for ref in sources_of(self.found)]
        return [shape[2:] if is_first else shape[1:-1] for shape in shapes]


def sources_of(found: FoundLayer) -> list[TensorRef]:
    """Returns the tensor that each call of a layer with one input takes."""
    return [next(refs(call["args"])) for call in found.calls]


def linear_layer(ctx: StructureContext, found: FoundLayer, classes: Collection[str], what: str) -> TensorSpec:
    """Returns the first kernel of a layer of some classes of `LINEAR`.

    Arguments:
        ctx: the step's view of the model.
        found: the layer.
        classes: the classes that the step takes.
        what: why it takes no others, as the end of a sentence: "which has no window".

    Raises:
        PlanError: it is of another class, or is quantised, or has adapters.
    """
    if found.class_name not in classes or not is_keras_class(found.serialised):
        raise PlanError(
            f"`{found.path}` is {a(found.class_name)}, {what}",
            path=(found.key,),
            hint=f"name layers of the classes {', '.join(classes)}",
        )
    if quantization_mode(found.config) or found.config.get("lora_rank"):
        raise PlanError(f"`{found.path}` is quantised, or has adapters (LoRA)", path=(found.key,), hint=LEAVE_OUT)
    kernel = ctx.weight(found.path, LINEAR[found.class_name].first)
    assert kernel is not None  # all layers of these classes have it
    ctx.context.refuse_dtypes([kernel])
    return kernel


def convolution(found: FoundLayer, kernel: TensorSpec) -> Convolution:
    """Returns a layer as a convolution.

    Arguments:
        found: a layer of a class of convolutions.
        kernel: the kernel that its window is in.
    """
    config, rank = found.config, len(kernel.shape) - 2
    strides, dilations = (_for_each(config.get(key, 1), rank) for key in ("strides", "dilation_rate"))
    paddings = _for_each(config.get("output_padding"), rank)
    is_transposed = found.class_name.endswith("Transpose")
    axes = tuple(
        WindowAxis(stride, dilation, str(config.get("padding", "valid")), is_transposed, output_padding)
        for stride, dilation, output_padding in zip(strides, dilations, paddings, strict=True)
    )
    return Convolution(found, kernel, axes)


def _for_each(value: Any, rank: int) -> list[Any]:
    return [*value] if isinstance(value, list | tuple) else [value] * rank

"""The interface of shape oracles, which find the output shapes of layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mutspec.keras_facts.tensor_types import TensorType
from mutspec.model.spec import LayerSpec, TensorSpec


@dataclass(frozen=True, slots=True)
class LayerShapes:
    """The shapes that follow from a layer's config and its inputs.

    Arguments:
        outputs: the types of its outputs, in order.
        weights: its weights and those of the layers in it, in model order; their paths begin with the layer's own name,
            as in the outermost model.
        inner: the layers in it that are not in its config, with paths like those of the weights.
    """

    outputs: tuple[TensorType, ...]
    weights: tuple[TensorSpec, ...]
    inner: tuple[LayerSpec, ...] = ()


class ShapeOracle(Protocol):
    """Finds the output shapes of a layer for its inputs."""

    def __call__(self, entry: Mapping[str, Any], inputs: tuple[TensorType, ...]) -> LayerShapes:
        """Returns the types of a layer's outputs, and its weights.

        Arguments:
            entry: the serialised layer, as in a model's config: `class_name`, `config`, `module`, `registered_name`.
            inputs: the types of the tensors that it is called on, in the order of its arguments.

        Raises:
            ModelError: the layer cannot be called on these, or its config is invalid; the message names the layer, what
                it expects, and what it gets.
            EnvironmentProblem: only Keras knows the shapes, and it is not installed.
        """
        ...

"""What shapes a layer makes: the question, and the form of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mutspec.keras_facts.tensor_types import TensorType
from mutspec.model.spec import LayerSpec, TensorSpec


@dataclass(frozen=True, slots=True)
class LayerShapes:
    """What follows from a layer's config and its inputs.

    Arguments:
        outputs: the types of its outputs, in order.
        weights: its weights and those of the layers in it, in model order; their paths begin with the layer's own name,
            as if it stood in the outermost model.
        inner: the layers in it of which its config does not tell, with paths like those of the weights.
    """

    outputs: tuple[TensorType, ...]
    weights: tuple[TensorSpec, ...]
    inner: tuple[LayerSpec, ...] = ()


class ShapeOracle(Protocol):
    """Tells what shapes a layer makes of its inputs."""

    def __call__(self, entry: Mapping[str, Any], inputs: tuple[TensorType, ...]) -> LayerShapes:
        """What a layer makes of its inputs.

        Arguments:
            entry: the serialised layer, as in a model's config: `class_name`, `config`, `module`, `registered_name`.
            inputs: the types of the tensors that it is called on, in the order of its arguments.

        Raises:
            ModelError: it cannot be called on these, or its config is wrong; the message names the layer, and says what
                it expects and what it got.
            EnvironmentProblem: only Keras could tell, and it is not installed.
        """
        ...

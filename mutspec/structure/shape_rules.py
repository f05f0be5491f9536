"""Output shapes of Keras's common layers, by table, without Keras and NumPy.

The rules are small functions for a class or a family, in `keras_facts/plain_shapes.py` and `spatial_shapes.py`. They
compute shapes by role. The class table has the roles that exist, their groups, channel axes and paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mutspec.errors import EnvironmentProblem
from mutspec.keras_facts.classes import facts_of, plain_class_name, quantization_mode
from mutspec.keras_facts.dtypes import FLOATS, Policy, policy_of
from mutspec.keras_facts.layer_call import LayerCall, Rule, RuleResult, UncertainError
from mutspec.keras_facts.plain_shapes import PLAIN_RULES
from mutspec.keras_facts.spatial_shapes import SPATIAL_RULES
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.model.build import build_from_outline
from mutspec.model.outline import OutlineNode, is_operation, join, outline_of
from mutspec.model.shapes import LayerShapes, ShapeOracle
from mutspec.model.spec import TensorSpec

RULES: Mapping[str, Rule] = {**PLAIN_RULES, **SPATIAL_RULES}
"""The rules of all classes in the tables."""


class TableOracle:
    """Finds the output shapes of a layer in a table of classes.

    Arguments:
        fallback: the oracle for layers that are not in the table, if there is one.
    """

    def __init__(self, fallback: ShapeOracle | None = None) -> None:
        self._fallback = fallback

    def __call__(self, entry: Mapping[str, Any], inputs: tuple[TensorType, ...]) -> LayerShapes:
        """Returns the types of a layer's outputs, and its weights.

        Arguments:
            entry: the serialised layer, as in a model's config.
            inputs: the types of the tensors that it is called on; for a recurrent layer, initial states come last.

        Raises:
            ModelError: the layer cannot be called on these, or its config is invalid.
            EnvironmentProblem: the table does not have the layer, and there is no fallback.
        """
        try:
            return _by_table(entry, inputs)
        except UncertainError:
            pass
        if self._fallback is None:
            raise EnvironmentProblem(
                f"only Keras knows the output shapes of `{_name(entry)}` ({plain_class_name(entry)})",
                hint="install mutspec[tensorflow]",
            )
        return self._fallback(entry, inputs)


def _by_table(entry: Mapping[str, Any], inputs: tuple[TensorType, ...]) -> LayerShapes:
    config, class_name = entry.get("config"), plain_class_name(entry)
    rule = RULES.get(class_name)
    if rule is None or facts_of(entry) is None or is_operation(entry) or not isinstance(config, Mapping):
        raise UncertainError
    policy = policy_of(config.get("dtype"))
    if policy is None or quantization_mode(config):
        raise UncertainError
    result = rule(LayerCall(_name(entry), class_name, config, inputs))
    if result.weights and policy.variable not in FLOATS:
        raise UncertainError
    return LayerShapes(_outputs(result, policy, inputs), _weights(entry, result, policy))


def _name(entry: Mapping[str, Any]) -> str:
    config = entry.get("config")
    return str((config.get("name") if isinstance(config, Mapping) else "") or entry.get("name") or "")


def _outputs(result: RuleResult, policy: Policy, inputs: tuple[TensorType, ...]) -> tuple[TensorType, ...]:
    # Keras casts a layer's float inputs to its compute dtype (`Layer.__call__`, `autocast`). Most layers state that
    # dtype for their outputs, whatever the inputs are.
    dtype = policy.compute
    if result.keeps_dtype and inputs and inputs[0].dtype not in FLOATS:
        dtype = inputs[0].dtype
    return tuple(TensorType(shape, dtype) for shape in result.outputs)


def _weights(entry: Mapping[str, Any], result: RuleResult, policy: Policy) -> tuple[TensorSpec, ...]:
    """Returns the weights, built in the same way as by readers of files: from an outline and the stored shapes."""
    outline = outline_of({"class_name": "Sequential", "config": {"name": "", "layers": [entry]}})
    stored = {
        f"{at}/vars/{index}": (result.weights[role], policy.variable)
        for at, node in _nodes(outline.root, "")
        for index, role in enumerate(variable.role for variable in node.variables or ())
    }
    return build_from_outline(outline, stored).spec.tensors


def _nodes(node: OutlineNode, at: str) -> Iterator[tuple[str, OutlineNode]]:
    yield at, node
    for child in node.children:
        yield from _nodes(child, join(at, child.stored[0]))

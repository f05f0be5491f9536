"""What shapes Keras's common layers make, by table: no Keras, no NumPy.

The rules, a small function for each class or family, lie in `_plain_rules` and `_spatial_rules`. They tell shapes by
role; which of the roles exist, their groups and channel axes, and where they lie is what the class table says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mutspec.errors import EnvironmentProblem
from mutspec.keras_facts.classes import facts_of, plain_class_name, quantization_mode
from mutspec.keras_facts.dtypes import FLOATS, Policy, policy_of
from mutspec.keras_facts.plain_shapes import PLAIN_RULES
from mutspec.keras_facts.shape_question import Asked, Made, Rule, UncertainError
from mutspec.keras_facts.spatial_shapes import SPATIAL_RULES
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.model.build import build_from_outline
from mutspec.model.outline import OutlineNode, is_operation, join, outline_of
from mutspec.model.shapes import LayerShapes, ShapeOracle
from mutspec.model.spec import TensorSpec

RULES: Mapping[str, Rule] = {**PLAIN_RULES, **SPATIAL_RULES}
"""The classes that the table knows."""


class TableOracle:
    """Tells what shapes a layer makes of its inputs, by a table of classes.

    Arguments:
        fallback: whom to ask about layers that the table cannot tell; None if there is nobody.
    """

    def __init__(self, fallback: ShapeOracle | None = None) -> None:
        self._fallback = fallback

    def __call__(self, entry: Mapping[str, Any], inputs: tuple[TensorType, ...]) -> LayerShapes:
        """What a layer makes of its inputs.

        Arguments:
            entry: the serialised layer, as in a model's config.
            inputs: the types of the tensors that it is called on; for a recurrent layer, initial states come last.

        Raises:
            ModelError: it cannot be called on these, or its config is wrong.
            EnvironmentProblem: the table cannot tell, and there is no fallback.
        """
        try:
            return _by_table(entry, inputs)
        except UncertainError:
            pass
        if self._fallback is None:
            raise EnvironmentProblem(
                f"Only Keras can tell what `{_name(entry)}` ({plain_class_name(entry)}) makes of its inputs",
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
    made = rule(Asked(_name(entry), class_name, config, inputs))
    if made.weights and policy.variable not in FLOATS:
        raise UncertainError
    return LayerShapes(_outputs(made, policy, inputs), _weights(entry, made, policy))


def _name(entry: Mapping[str, Any]) -> str:
    config = entry.get("config")
    return str((config.get("name") if isinstance(config, Mapping) else "") or entry.get("name") or "")


def _outputs(made: Made, policy: Policy, inputs: tuple[TensorType, ...]) -> tuple[TensorType, ...]:
    # Keras casts a layer's inputs to the dtype that it computes in, if they are floats; most layers state that dtype as
    # their outputs' whatever the inputs are.
    dtype = policy.compute
    if made.keeps_dtype and inputs and inputs[0].dtype not in FLOATS:
        dtype = inputs[0].dtype
    return tuple(TensorType(shape, dtype) for shape in made.outputs)


def _weights(entry: Mapping[str, Any], made: Made, policy: Policy) -> tuple[TensorSpec, ...]:
    """The weights, built as a reader of files builds them: from an outline, and from what would be stored."""
    outline = outline_of({"class_name": "Sequential", "config": {"name": "", "layers": [entry]}})
    stored = {
        f"{at}/vars/{index}": (made.weights[role], policy.variable)
        for at, node in _nodes(outline.root, "")
        for index, role in enumerate(variable.role for variable in node.variables or ())
    }
    return build_from_outline(outline, stored).spec.tensors


def _nodes(node: OutlineNode, at: str) -> Iterator[tuple[str, OutlineNode]]:
    yield at, node
    for child in node.children:
        yield from _nodes(child, join(at, child.stored[0]))

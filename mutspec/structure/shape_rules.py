"""Output shapes of Keras's common layers, by table, without Keras and NumPy.

The rules are small functions for a class or a family, in the modules `keras_facts/*_shapes.py`. They compute shapes by
role. The class table has the roles that exist, their groups, channel axes and paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.keras_facts.attention_shapes import ATTENTION_RULES
from mutspec.keras_facts.classes import facts_of, is_keras_class, plain_class_name, quantization_mode
from mutspec.keras_facts.dtypes import FLOATS, Policy, policy_of
from mutspec.keras_facts.first_values import initialized_by
from mutspec.keras_facts.input_dtypes import refuses
from mutspec.keras_facts.layer_call import Arguments, LayerCall, Rule, RuleResult, UncertainError
from mutspec.keras_facts.object_classes import object_class
from mutspec.keras_facts.object_names import INITIALIZERS
from mutspec.keras_facts.operation_shapes import OPERATION_RULES
from mutspec.keras_facts.plain_shapes import PLAIN_RULES
from mutspec.keras_facts.preprocessing_shapes import PREPROCESSING_RULES
from mutspec.keras_facts.recurrent_shapes import RECURRENT_RULES
from mutspec.keras_facts.spatial_shapes import SPATIAL_RULES
from mutspec.keras_facts.tensor_types import Shape, TensorType
from mutspec.keras_facts.wrapper_shapes import WRAPPER_RULES
from mutspec.model.build import build_from_outline
from mutspec.model.limits import current_limits
from mutspec.model.outline import OutlineNode, is_operation, join, outline_of
from mutspec.model.shapes import LayerShapes, ShapeOracle
from mutspec.model.spec import TensorSpec
from mutspec.model.stored import Stored

RULES: Mapping[str, Rule] = {
    **PLAIN_RULES,
    **SPATIAL_RULES,
    **RECURRENT_RULES,
    **WRAPPER_RULES,
    **ATTENTION_RULES,
    **PREPROCESSING_RULES,
}
"""The rules of all classes in the tables."""

WHOLE_ROLES = frozenset({"count"})
"""Weights that are whole numbers in layers of any dtype."""


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


def arguments_of(entry: Mapping[str, Any], inputs: tuple[TensorType, ...]) -> Arguments | None:
    """Returns the arguments of the call in a serialised layer, with these types in the places of its tensors.

    Returns None if it has no call, or one with another number of tensors.
    """
    node = next(iter(entry.get("inbound_nodes") or ()), None)
    if not isinstance(node, Mapping) or "args" not in node:
        return None
    remaining = iter(inputs)
    try:
        positional = _with_types(node.get("args") or [], remaining)
        named = _with_types(node.get("kwargs") or {}, remaining)
    except StopIteration:
        return None
    return Arguments(tuple(positional), named) if next(remaining, None) is None else None


def _with_types(value: Any, types: Iterator[TensorType]) -> Any:
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            return next(types)
        return {key: _with_types(item, types) for key, item in value.items()}
    return [_with_types(item, types) for item in value] if isinstance(value, list | tuple) else value


def _by_table(entry: Mapping[str, Any], inputs: tuple[TensorType, ...]) -> LayerShapes:
    result = _result(entry, inputs, arguments_of(entry, inputs))
    outputs = tuple(each for each in result.outputs if isinstance(each, TensorType))
    return LayerShapes(outputs, () if is_operation(entry) else _weights(entry, result))


def _result(
    entry: Mapping[str, Any], inputs: tuple[TensorType, ...], arguments: Arguments | None = None, depth: int = 1
) -> RuleResult:
    """Returns the shapes of a layer by its class's rule, with all dtypes."""
    current_limits().check("layer_depth", depth, "layers in layers", is_counted=False)
    config, class_name = entry.get("config"), plain_class_name(entry)
    if class_name == "Sequential" and isinstance(config, Mapping):
        return _in_sequence(entry, inputs, depth)
    is_known = is_operation(entry) if is_keras_class(entry) else False
    rule = OPERATION_RULES.get(class_name) if is_known else RULES.get(class_name)
    if rule is None or not isinstance(config, Mapping) or (facts_of(entry) is None and not is_known):
        raise UncertainError
    if inputs and not is_known and not _passes_all(class_name, config):
        _refuse_dtype(entry, class_name, inputs[0].dtype)
    policy = policy_of(config.get("dtype"))
    if policy is None or quantization_mode(config):
        raise UncertainError
    result = rule(LayerCall(_name(entry), class_name, config, inputs, arguments, partial(_result, depth=depth + 1)))
    if policy.variable == "bfloat16":
        _refuse_orthogonal(entry, class_name, config, result)
    return _with_dtypes(result, policy, inputs)


def _passes_all(class_name: str, config: Mapping[str, Any]) -> bool:
    """Returns whether a layer returns its input, of whatever dtype."""
    return class_name == "Activation" and config.get("activation") in (None, "linear")


def _refuse_dtype(entry: Mapping[str, Any], class_name: str, dtype: str) -> None:
    """Refuses a dtype on which a layer can be put, but not called."""
    if wanted := refuses(class_name, dtype):
        raise ModelError(f"`{_name(entry)}` ({class_name}) {wanted}, but gets {dtype}, which Keras does not cast")


def _refuse_orthogonal(entry: Mapping[str, Any], class_name: str, config: Mapping[str, Any], made: RuleResult) -> None:
    """Refuses an orthogonal matrix in bfloat16, a dtype that TensorFlow's QR decomposition does not have.

    Keras draws such a matrix whenever it builds the layer, also if the weights are loaded after that.
    """
    for role in made.weights:
        known = initialized_by(class_name, role)
        stated: Any = config.get(known.argument) or known.default if known is not None else ""
        name = str(stated.get("class_name") if isinstance(stated, Mapping) else stated)
        if object_class(name, INITIALIZERS) == "Orthogonal":
            raise ModelError(
                f"`{_name(entry)}` ({class_name}) begins its {role} with an orthogonal matrix, which Keras cannot draw "
                "in bfloat16; with mixed_bfloat16 or another initializer it can be built"
            )


def _in_sequence(entry: Mapping[str, Any], inputs: tuple[TensorType, ...], depth: int) -> RuleResult:
    """Returns the shapes of a Sequential model that a layer holds, such as TimeDistributed."""
    layers = entry["config"].get("layers")
    if not isinstance(layers, list | tuple) or not layers:
        raise UncertainError
    at = inputs
    parts: list[RuleResult] = []
    for layer in layers:
        if len(at) != 1 or not isinstance(layer, Mapping):
            raise UncertainError
        is_input = plain_class_name(layer) == "InputLayer"
        part = _result(layer, () if is_input else at, depth=depth + 1)
        if is_input:
            _check_input(entry, part.shapes[0], at[0].shape)
        else:
            at = tuple(each for each in part.outputs if isinstance(each, TensorType))
        parts.append(part)
    return RuleResult(at, parts=tuple(parts))


def _check_input(entry: Mapping[str, Any], expected: Shape, given: Shape) -> None:
    """Compares what a model is called on with what it was built for. It keeps the weights of the latter."""
    if expected[1:] == given[1:]:
        return
    if len(expected) == len(given) and all(
        None in pair or pair[0] == pair[1] for pair in zip(expected, given, strict=True)
    ):
        raise UncertainError
    raise ModelError(f"`{_name(entry)}` (Sequential) expects {expected}, not {given}")


def _with_dtypes(result: RuleResult, policy: Policy, inputs: tuple[TensorType, ...]) -> RuleResult:
    # Keras casts a layer's float inputs to its compute dtype (`Layer.__call__`, `autocast`). Most layers state that
    # dtype for their outputs, whatever the inputs are.
    dtype = policy.compute
    if result.keeps_dtype and inputs and inputs[0].dtype not in FLOATS:
        dtype = inputs[0].dtype
    weights = {role: _typed(weight, policy.variable) for role, weight in result.weights.items()}
    if any(weight.dtype not in FLOATS for role, weight in weights.items() if role not in WHOLE_ROLES):
        raise UncertainError
    return RuleResult(
        tuple(_typed(output, dtype) for output in result.outputs),
        weights,
        parts=tuple(_with_dtypes(part, policy, inputs) for part in result.parts),
    )


def _typed(found: Shape | TensorType, dtype: str) -> TensorType:
    return found if isinstance(found, TensorType) else TensorType(found, dtype)


def _name(entry: Mapping[str, Any]) -> str:
    config = entry.get("config")
    return str((config.get("name") if isinstance(config, Mapping) else "") or entry.get("name") or "")


def _weights(entry: Mapping[str, Any], result: RuleResult) -> tuple[TensorSpec, ...]:
    """Returns the weights, built in the same way as by readers of files: from an outline and the stored shapes."""
    outline = outline_of({"class_name": "Sequential", "config": {"name": "", "layers": [entry]}})
    (layer,) = outline.root.children
    stored = {f"{at}/vars/{index}": weight for at, index, weight in _stored(layer, layer.stored[0], result)}
    return build_from_outline(outline, stored).spec.tensors


def _stored(node: OutlineNode, at: str, result: RuleResult) -> Iterator[tuple[str, int, Stored]]:
    """Yields the stored path of each group of weights, the number in it, and the weight's shape and dtype."""
    for index, variable in enumerate(node.variables or ()):
        weight = result.weights.get(variable.role)
        if isinstance(weight, TensorType) and None not in weight.shape:
            yield at, index, (tuple(extent or 0 for extent in weight.shape), weight.dtype)
        elif not variable.is_optional:
            raise UncertainError
    for number, child in enumerate(node.children):
        if result.parts and number >= len(result.parts):
            raise UncertainError
        yield from _stored(child, join(at, child.stored[0]), result.parts[number] if result.parts else result)

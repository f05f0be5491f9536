"""Output shapes of layers that wrap another layer, whose rule they ask.

Checked against Keras 3.15 by `tests/structure/test_shape_rules.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mutspec.keras_facts.argument_values import a
from mutspec.keras_facts.classes import facts_of, is_keras_class, plain_class_name
from mutspec.keras_facts.layer_arguments import known_classes
from mutspec.keras_facts.layer_call import LayerCall, Rule, RuleResult, UncertainError
from mutspec.keras_facts.recurrent_shapes import RECURRENT_RULES
from mutspec.keras_facts.tensor_types import Shape, TensorType

_SEQUENCE_LAYERS = frozenset(name for name in RECURRENT_RULES if "Cell" not in name)
_SAME_FOR_BOTH = ("stateful", "return_sequences", "return_state")


def _bidirectional(call: LayerCall) -> RuleResult:
    inputs = call.without_masks
    if not inputs:
        call.refuse("takes one input or more, not 0")
    first, states = inputs[0].shape, [tensor.shape for tensor in inputs[1:]]
    back = "backward_layer" if call.config.get("backward_layer") else "layer"
    configs = [_config_of_sequence_layer(call, key) for key in ("layer", back)]
    is_same = {key: bool(configs[0].get(key)) == bool(configs[1].get(key)) for key in (*_SAME_FOR_BOTH, "go_backwards")}
    # A stated backward layer runs in the other direction; without one, Keras turns a copy of the forward layer round.
    if (is_same.pop("go_backwards") and back != "layer") or len(states) % 2 or not all(is_same.values()):
        raise UncertainError  # Keras refuses other flags
    half = len(states) // 2
    forward = call.part("layer", first, *states[:half])
    backward = call.part(back, first, *states[half:])
    if forward.shapes != backward.shapes:
        raise UncertainError  # Keras takes all shapes from the forward layer
    output, *kept = forward.shapes
    return RuleResult((*_merged(call, output), *kept, *kept), parts=(forward, backward))


def _config_of_sequence_layer(call: LayerCall, key: str) -> Mapping[str, Any]:
    entry = call.config.get(key)
    config = entry.get("config") if isinstance(entry, Mapping) else None
    if not isinstance(entry, Mapping) or not isinstance(config, Mapping):
        raise UncertainError
    name = plain_class_name(entry)
    if name not in _SEQUENCE_LAYERS:
        if is_keras_class(entry) and name in known_classes():
            call.refuse(f"turns a recurrent layer round, and {a(name)} is not one")
        raise UncertainError
    return config


def _merged(call: LayerCall, output: Shape) -> tuple[Shape, ...]:
    mode = call.config.get("merge_mode", "concat")
    if mode is None:
        return (output, output)
    if call.choice("merge_mode", "concat", "concat", "sum", "mul", "ave") != "concat":
        return (output,)
    *others, last = output
    return ((*others, None if last is None else 2 * last),)


def _time_distributed(call: LayerCall) -> RuleResult:
    shape = call.shape(at_least=3)
    inner = call.part("layer", (shape[0], *shape[2:]))
    if len(inner.outputs) != 1:
        raise UncertainError
    (output,) = inner.shapes
    return RuleResult(((output[0], shape[1], *output[1:]),), parts=(inner,))


def _spectral_normalization(call: LayerCall) -> RuleResult:
    inner = call.part("layer", call.shape(at_least=1))
    facts = facts_of(call.config["layer"])
    own = [variable.role for variable in facts.variables] if facts is not None else []
    normalized = next((inner.weights[role] for role in ("kernel", "embeddings") if role in own), None)
    if len(inner.outputs) != 1 or not isinstance(normalized, TensorType):
        raise UncertainError
    direction = TensorType((1, normalized.shape[-1]), normalized.dtype)
    return RuleResult(inner.shapes, {"kernel": normalized, "vector_u": direction}, parts=(inner,))


WRAPPER_RULES: Mapping[str, Rule] = {
    "Bidirectional": _bidirectional,
    "TimeDistributed": _time_distributed,
    "SpectralNormalization": _spectral_normalization,
}
"""The rules by class."""

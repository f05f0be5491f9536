"""Which tensors are 0 in a channel without weights, so that a sum over channels is the same without it."""

from __future__ import annotations

from mutspec.keras_facts.activation_intervals import activation_of
from mutspec.keras_facts.class_names import TRAINING_ONLY
from mutspec.keras_facts.classes import is_keras_class
from mutspec.keras_facts.zeros import ACTIVATIONS, LAYERS, OPERATIONS, REARRANGING, is_nonzero
from mutspec.model.outline import is_operation
from mutspec.model.spec import TensorRef
from mutspec.structure.coupling.axis_call import AxisCall, Traced, Use
from mutspec.structure.network import Entry
from mutspec.structure.network_config import is_network
from mutspec.structure.parts import parts_of


def keeps_zeros(call: AxisCall, traced: Traced) -> bool:
    """Returns whether the outputs of a layer are 0 in a channel whose weights are all 0."""
    all_zero = call.zeros.issuperset(call.inputs)
    if not is_keras_class(call.entry):
        return False
    if is_operation(call.entry):
        return _operation(call, all_zero)
    if not _activates(call.entry):
        return False
    name, config = call.class_name, call.config
    makes = any(axis.use is Use.PRODUCES for axes in traced.weights.values() for axis in axes)
    if makes and not parts_of_states(call):
        return not call.argument(7, "return_attention_scores") or "Attention" not in name
    if name == "BatchNormalization":
        return all_zero or bool(config.get("scale", True))
    if name in ("LayerNormalization", "GroupNormalization"):
        return bool(config.get("scale", True))
    if name == "Multiply":
        return any(ref in call.zeros for ref in call.inputs)
    if name == "Rescaling":
        return all_zero and config.get("offset") in (0, 0.0, None)
    return all_zero and (makes or name in LAYERS or name in TRAINING_ONLY)


def parts_of_states(call: AxisCall) -> bool:
    """Returns whether a layer begins with states that it is given."""
    return call.argument(1, "initial_state") is not None and len(call.inputs) > 1


def _activates(entry: Entry) -> bool:
    """Returns whether the activation of a layer, and of the layers in it, makes 0 of 0."""
    config = entry.get("config") or {}
    default = "tanh" if any(kind in str(entry.get("class_name")) for kind in ("LSTM", "GRU", "RNN")) else "linear"
    own = activation_of({"activation": default, **config})
    if is_network(entry):  # what its layers and operations do, nobody has looked at
        return False
    return own in ACTIVATIONS and all(_activates(part.entry) for part in parts_of(entry))


def _operation(call: AxisCall, all_zero: bool) -> bool:
    if call.class_name == "Multiply":
        return any(ref in call.zeros for ref in call.inputs)
    arguments = list(call.arguments.get("args") or ())
    if call.class_name in ("Divide", "TrueDivide", "Power") and len(arguments) == 2:
        base, number = arguments
        return isinstance(base, TensorRef) and all_zero and isinstance(number, int | float) and number > 0
    if call.class_name in REARRANGING:
        return all_zero
    if call.class_name in ("Matmul", "Einsum"):
        return any(ref in call.zeros for ref in call.inputs)
    constants = [*arguments, *(call.arguments.get("kwargs") or {}).values()]
    return call.class_name in OPERATIONS and all_zero and not any(map(is_nonzero, constants))

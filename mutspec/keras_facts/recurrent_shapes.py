"""Output shapes of recurrent layers and of the cells in them. An RNN takes its shapes from the rule of its cell.

Checked against Keras 3.15 by `tests/structure/test_shape_rules.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from mutspec.keras_facts.layer_call import Extents, LayerCall, Rule, RuleResult, UncertainError
from mutspec.keras_facts.tensor_types import Shape, TensorType

GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}
_STATES = {"SimpleRNN": 1, "GRU": 1, "LSTM": 2}


def _sequence(call: LayerCall, step: RuleResult) -> tuple[Shape, ...]:
    """Returns the outputs of a layer that makes a step for each entry of the time axis, and has those of one step."""
    first, *_ = call.shapes
    batch, length = first[:2]
    one, *states = (shape[1:] for shape in step.shapes)
    if call.flag("stateful", default=False) and batch is None:
        call.refuse(f"needs a known batch size with stateful = true, not {first}")
    output = (batch, length, *one) if call.flag("return_sequences", default=False) else (batch, *one)
    kept = [(batch, *state) for state in states] if call.flag("return_state", default=False) else []
    return (output, *kept)


def _sequence_and_states(call: LayerCall) -> tuple[Shape, list[Shape]]:
    if not call.inputs:
        call.refuse("takes one input or more, not 0")
    first, *states = (tensor.shape for tensor in call.without_masks)
    return first, states


def _check_states(call: LayerCall, states: list[Shape], step: RuleResult) -> None:
    """Compares initial states with those that a step makes. Keras does it only when it computes."""
    expected = step.shapes[1:]
    if len(states) not in (0, len(expected)):
        raise UncertainError
    for state, (_, *extents) in zip(states, expected, strict=False):
        if len(state) != len(extents) + 1 or any(
            None not in pair and pair[0] != pair[1] for pair in zip(state[1:], extents, strict=True)
        ):
            call.refuse(f"needs initial states of {(None, *extents)}, not {state}")


# Cells. Their outputs are the output of one step and the states after it.


def _step(call: LayerCall, kind: str, first: Shape) -> RuleResult:
    units = call.whole("units")
    gates = GATES[kind] * units
    has_two_biases = kind == "GRU" and call.flag("reset_after", default=True)
    weights = {
        "kernel": (call.extent(first, -1), gates),
        "recurrent_kernel": (units, gates),
        "bias": (2, gates) if has_two_biases else (gates,),
    }
    return RuleResult(((first[0], units),) * (1 + _STATES[kind]), weights)


def _cell(call: LayerCall, *, kind: str) -> RuleResult:
    # An RNN asks about its cell without states. Who calls a cell passes them.
    if not call.inputs or len(call.shapes[0]) != 2:
        raise UncertainError
    first, *states = call.shapes
    step = _step(call, kind, first)
    if len(states) != (0 if call.arguments is None else _STATES[kind]):
        raise UncertainError
    _check_states(call, states, step)
    return step


def _stacked_cells(call: LayerCall) -> RuleResult:
    cells = call.config.get("cells")
    if call.arguments is not None or not isinstance(cells, list | tuple) or not cells:
        raise UncertainError
    at, states, parts = call.shape(rank=2), [], []
    for entry in cells:
        part = call.inner(entry, at)
        at, *kept = part.shapes
        states += kept
        parts.append(part)
    return RuleResult((at, *states), parts=tuple(parts))


# Layers


def _recurrent(call: LayerCall) -> RuleResult:
    first, states = _sequence_and_states(call)
    if len(first) != 3:
        call.refuse(f"needs inputs of rank 3, not {first}")
    call.extent(first, 2)
    step = _step(call, call.class_name, (first[0], first[2]))
    _check_states(call, states, step)
    return RuleResult(_sequence(call, step), step.weights)


def _recurrent_with_cell(call: LayerCall) -> RuleResult:
    first, states = _sequence_and_states(call)
    if len(first) != 3:
        raise UncertainError  # which ranks fit depends on the cell
    step = call.part("cell", (first[0], *first[2:]))
    _check_states(call, states, step)
    return RuleResult(_sequence(call, step), parts=(step,))


_CONVOLUTIONAL = ("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate")


def _convolutional(call: LayerCall, *, dimensions: int) -> RuleResult:
    first, states = _sequence_and_states(call)
    if len(first) != dimensions + 3:
        call.refuse(f"needs inputs of rank {dimensions + 3}, not {first}")
    call.choice("padding", "valid", "valid", "same")  # a Conv1D may also be causal
    if None in first[2:]:
        call.refuse(f"needs known spatial extents and channels, not {first}")
    config = {key: call.config[key] for key in _CONVOLUTIONAL if key in call.config}
    entry = {"class_name": f"Conv{dimensions}D", "module": "keras.layers", "config": {"name": call.name, **config}}
    convolution = call.ask(entry, (TensorType((first[0], *first[2:])),))
    sizes, filters = call.sizes("kernel_size", dimensions), call.whole("filters")
    channels = first[2] if call.is_channels_first else first[-1]
    weights: dict[str, Extents] = {
        "kernel": (*sizes, channels or 0, 4 * filters),
        "recurrent_kernel": (*sizes, filters, 4 * filters),
        "bias": (4 * filters,),
    }
    step = RuleResult(convolution.outputs * 3, weights)
    _check_states(call, states, step)
    return RuleResult(_sequence(call, step), weights)


RECURRENT_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(GATES, _recurrent),
    **{f"{kind}Cell": partial(_cell, kind=kind) for kind in GATES},
    **{f"ConvLSTM{dimensions}D": partial(_convolutional, dimensions=dimensions) for dimensions in (1, 2, 3)},
    "StackedRNNCells": _stacked_cells,
    "RNN": _recurrent_with_cell,
}
"""The rules by class."""

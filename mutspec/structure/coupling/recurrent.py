"""Rules of recurrent layers: they have the weights of their cells, and make a step for each entry of the time axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mutspec.keras_facts.layer_axes import LAYER_AXES
from mutspec.model.spec import TensorRef
from mutspec.structure.coupling.axis_call import AxisCall, Rule, Traced, joined, with_own
from mutspec.structure.coupling.labels import Axes
from mutspec.structure.coupling.patterns import follow
from mutspec.structure.network import refs

_STATE = "has states with and without channels"


def sequence_and_states(call: AxisCall) -> tuple[TensorRef, tuple[TensorRef, ...]]:
    """Returns the tensor that has a time axis, and the initial states. Keras 2 calls such layers on a list of both."""
    sequence, *states = refs([call.argument(0, "sequences", "sequence", "inputs")])
    return sequence, (*states, *refs([call.argument(1, "initial_state")]))


def _series(call: AxisCall, step: str) -> str:
    """Returns the pattern of the output, by that of one step without the batch."""
    return f"_ _ {step}" if call.config.get("return_sequences") else f"_ {step}"


def recurrent(call: AxisCall) -> Traced:
    """SimpleRNN, GRU, LSTM."""
    sequence, states = sequence_and_states(call)
    cell = LAYER_AXES[f"{call.class_name}Cell"]
    before = ", ".join(["_ _ i", *["_ u"] * len(states)])
    kept = ["_ u"] * cell.call.partition("->")[0].count("u") if call.config.get("return_state") else []
    axes = replace(cell, call=f"{before} -> {', '.join([_series(call, 'u'), *kept])}")
    return follow(axes, call, (sequence, *states))


def convolutional(call: AxisCall) -> Traced:
    """ConvLSTM1D to ConvLSTM3D."""
    sequence, states = sequence_and_states(call)
    image, state = ("i *", "u *") if call.channels_first else ("* i", "* u")
    before = ", ".join([f"_ _ {image}", *[f"_ {state}"] * len(states)])
    kept = [f"_ {state}"] * 2 if call.config.get("return_state") else []
    after = ", ".join([_series(call, state), *kept])
    return follow(replace(LAYER_AXES["ConvLSTMCell"], call=f"{before} -> {after}"), call, (sequence, *states))


def with_cell(call: AxisCall) -> Traced:
    """An RNN around a cell, or around a stack of them."""
    sequence, states = sequence_and_states(call)
    axes, shape = call.axes[sequence], call.shapes[sequence]
    (part,) = call.parts()
    call.note_whole(axes[1])
    step = call.inside(part, [((axes[0], *axes[2:]), (shape[0], *shape[2:]))], ())
    one, *kept = step.outputs
    for state, own in zip(states, kept, strict=False):
        tied(call, call.axes[state], own)
    output = (one[0], None, *one[1:]) if call.config.get("return_sequences") else one
    outputs = (output, *kept) if call.config.get("return_state") else (output,)
    return replace(step, outputs=outputs, widths=with_own(step.widths))


def stacked(call: AxisCall) -> Traced:
    """Cells of which each takes what the one before it makes."""
    ref, *_ = call.inputs
    at, shape = call.axes[ref], call.shapes[ref]
    steps: list[Traced] = []
    for part in call.parts():
        steps.append(call.inside(part, [(at, shape)], ()))
        at = steps[-1].outputs[0]
        shape = tuple(None if axis is None else len(axis) for axis in at)
    return joined(steps, (at, *(state for step in steps for state in step.outputs[1:])))


def tied(call: AxisCall, one: Axes, other: Axes) -> None:
    """Ties the axes of two tensors that must be alike."""
    for first, second in zip(one, other, strict=False):
        if first is not None or second is not None:
            call.tied(first, second, _STATE)


RECURRENT: Mapping[str, Rule] = {
    **dict.fromkeys(["SimpleRNN", "GRU", "LSTM"], recurrent),
    **{f"ConvLSTM{count}D": convolutional for count in (1, 2, 3)},
    "RNN": with_cell,
    "StackedRNNCells": stacked,
}
"""The rules by class."""

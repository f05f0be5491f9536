"""What the other common layers make: dense, normalising, element-wise, merging, reshaping, embedding, recurrent.

Checked against Keras 3.15 by `tests/structure/test_shape_rules.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from math import prod
from typing import Any

from mutspec.keras_facts.shape_question import Asked, Extents, Made, Rule, UncertainError
from mutspec.keras_facts.tensor_types import Shape


def _same(asked: Asked, *, rank: int | None = None) -> Made:
    return Made((asked.shape(rank=rank),))


def _identity(asked: Asked) -> Made:
    return Made((asked.shape(),), keeps_dtype=True)


def _input(asked: Asked) -> Made:
    if asked.inputs:
        asked.refuse("takes no inputs")
    shape = asked.config.get("batch_shape") or asked.config.get("batch_input_shape")
    if not isinstance(shape, list | tuple):
        raise UncertainError
    return Made((tuple(shape),), keeps_dtype=True)


# Layers of weights


def _dense(asked: Asked) -> Made:
    if asked.config.get("lora_rank"):
        raise UncertainError
    shape, units = asked.shape(at_least=2), asked.whole("units")
    return Made(((*shape[:-1], units),), {"kernel": (asked.known(shape, -1), units), "bias": (units,)})


_EQUATION = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


def _einsum_dense(asked: Asked) -> Made:
    """As `_analyze_einsum_string` in Keras's `layers/core/einsum_dense.py`."""
    shape = asked.shape(at_least=1)
    match = _EQUATION.fullmatch(str(asked.config.get("equation")))
    stated = asked.config.get("output_shape")
    if match is None or asked.config.get("lora_rank") or not isinstance(stated, int | list | tuple):
        raise UncertainError
    left, inner, right, kernel, left_out, outer, right_out = match.groups()
    rest = len(shape) - len(inner)  # axes that the dots stand for
    if (left, right) != (left_out, right_out) or (left and right) or rest < 0 or (rest > 0 and not (left or right)):
        raise UncertainError
    output: list[int | None] = [shape[0], *([stated] if isinstance(stated, int) else stated)]
    if left:
        output[1:1] = shape[1:rest]
    elif right:
        output += shape[len(shape) - rest :]
    first = rest if left else 0
    if len(output) != len(outer) + rest or len(set(inner)) != len(inner) or len(set(outer)) != len(outer):
        raise UncertainError
    ours = {letter: shape[first + index] for index, letter in enumerate(inner)}
    theirs = {letter: output[first + index] for index, letter in enumerate(outer)}
    if not set(kernel) <= {*ours, *theirs} or not set(outer) <= {*inner, *kernel}:
        raise UncertainError
    if any(theirs.get(letter) not in (None, extent) for letter, extent in ours.items()):
        asked.refuse(f"with the equation {asked.config['equation']} cannot make {tuple(output)} of {shape}")
    extents = [theirs.get(letter, ours.get(letter)) for letter in kernel]
    if None in extents:
        asked.refuse(f"needs known extents where its equation {asked.config['equation']} has a weight, not {shape}")
    weights = {"kernel": tuple(extent for extent in extents if extent is not None)}
    if axes := asked.config.get("bias_axes"):
        start = min(outer.find(letter) for letter in axes)
        bias = [theirs[letter] if letter in axes else 1 for letter in outer[max(start, 0) :]]
        if start < 0 or None in bias:
            raise UncertainError
        weights["bias"] = (*(extent or 0 for extent in bias), *(1,) * (rest if right else 0))
    return Made((tuple(output),), weights)


def _embedding(asked: Asked) -> Made:
    if asked.config.get("lora_rank"):
        raise UncertainError
    rows, width = asked.whole("input_dim"), asked.whole("output_dim")
    return Made(((*asked.shape(at_least=1), width),), {"embeddings": (rows, width)})


def _prelu(asked: Asked) -> Made:
    shape = asked.shape(at_least=1)
    shared = asked.config.get("shared_axes") or ()
    extents = list(shape[1:])
    for axis in (shared,) if isinstance(shared, int) else shared:
        if not 1 <= axis < len(shape):
            asked.refuse(f"has no axis {axis} to share in inputs {shape}")
        extents[axis - 1] = 1
    if None in extents:
        asked.refuse(f"needs known extents where its slopes are not shared, not {shape}")
    return Made((shape,), {"alpha": tuple(extent or 0 for extent in extents)})


# Normalisation

_STATISTICS = ("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev")


def _batch_normalization(asked: Asked) -> Made:
    shape, axis = asked.shape(at_least=1), asked.config.get("axis", -1)
    # Keras 2 wrote a list of one.
    extents = _normalized(asked, shape, *(axis if isinstance(axis, list) and len(axis) == 1 else [axis]))
    return Made((shape,), dict.fromkeys(("gamma", "beta", *_STATISTICS), extents))


def _group_normalization(asked: Asked) -> Made:
    shape = asked.shape(at_least=1)
    extents = _normalized(asked, shape, asked.config.get("axis", -1))
    groups = asked.whole("groups", 32, minimum=-1)
    if groups == 0 or (groups > 0 and extents[0] % groups):
        asked.refuse(f"needs a number of channels that groups = {groups} divides, not {shape}")
    return Made((shape,), {"gamma": extents, "beta": extents})


def _layer_normalization(asked: Asked) -> Made:
    if asked.config.get("rms_scaling"):
        raise UncertainError
    shape = asked.shape(at_least=1)
    axis = asked.config.get("axis", -1)
    extents = _normalized(asked, shape, *(sorted(axis) if isinstance(axis, list | tuple) else [axis]))
    return Made((shape,), dict.fromkeys(("gamma", "beta", "scale"), extents))


def _normalized(asked: Asked, shape: Shape, *axes: Any) -> Extents:
    if not all(isinstance(axis, int) for axis in axes):
        raise UncertainError
    return tuple(asked.known(shape, axis) for axis in axes)


def _unit_normalization(asked: Asked) -> Made:
    shape = asked.shape()
    axis = asked.config.get("axis", -1)
    for one in axis if isinstance(axis, list | tuple) else (axis,):
        if not -len(shape) <= one < len(shape):
            asked.refuse(f"has no axis {one} in inputs {shape}")
    return Made((shape,))


# Other shapes of the same entries


def _flatten(asked: Asked) -> Made:
    shape = asked.shape(at_least=1)
    return Made(((shape[0], _product(shape[1:])),), keeps_dtype=True)


def _product(extents: Shape) -> int | None:
    return None if None in extents else prod(extent for extent in extents if extent is not None)


def _reshape(asked: Asked) -> Made:
    shape, target = asked.shape(at_least=1), asked.config.get("target_shape")
    if not isinstance(target, list | tuple) or not all(size is None or isinstance(size, int) for size in target):
        raise UncertainError
    if any(size is not None and size < -1 for size in target) or list(target).count(-1) > 1:
        asked.refuse(f"has target_shape = {target!r}, of which one dimension may be -1, and none less")
    size = _product(shape[1:])
    if size is None or None in target:
        return Made(((shape[0], *(None if extent == -1 else extent for extent in target)),), keeps_dtype=True)
    stated = prod(extent for extent in target if extent != -1)
    if (size != stated) if -1 not in target else (stated == 0 or size % stated):
        asked.refuse(f"cannot make {tuple(target)} of {shape}")
    return Made(((shape[0], *(size // stated if extent == -1 else extent for extent in target)),), keeps_dtype=True)


def _permute(asked: Asked) -> Made:
    dimensions = asked.config.get("dims")
    if not isinstance(dimensions, list | tuple) or sorted(dimensions) != list(range(1, len(dimensions) + 1)):
        asked.refuse(f"has dims = {dimensions!r}, where it needs each of 1, 2, … once")
    shape = asked.shape(rank=len(dimensions) + 1)
    return Made(((shape[0], *(shape[axis] for axis in dimensions)),), keeps_dtype=True)


def _repeat_vector(asked: Asked) -> Made:
    batch, width = asked.shape(rank=2)
    return Made(((batch, asked.whole("n"), width),))


# Several inputs


def _merge(asked: Asked, *, count: int | None = None) -> Made:
    shapes = asked.shapes
    if not shapes or (count is not None and len(shapes) != count):
        asked.refuse(f"takes {count or 'one or more'} inputs, not {len(shapes)}")
    together = " and ".join(map(str, shapes))
    if any(not shape for shape in shapes) or len({shape[0] for shape in shapes} - {None}) > 1:
        asked.refuse(f"cannot combine {together}")
    merged = shapes[0][1:]
    for shape in shapes[1:]:
        short, long = sorted((merged, shape[1:]), key=len)
        ends = list(zip(long[len(long) - len(short) :], short, strict=True))
        if any(None not in pair and 1 not in pair and pair[0] != pair[1] for pair in ends):
            asked.refuse(f"cannot combine {together}")
        merged = (
            *long[: len(long) - len(short)],
            # Unlike NumPy, Keras's merging layers take an unknown extent for unknown, whatever the other is.
            *(None if None in pair else pair[1] if pair[0] == 1 else pair[0] for pair in ends),
        )
    batches = {shape[0] for shape in shapes} - {None}
    return Made(((batches.pop() if batches else None, *merged),))


def _concatenate(asked: Asked) -> Made:
    shapes, axis = asked.shapes, asked.config.get("axis", -1)
    if not shapes or not isinstance(axis, int):
        asked.refuse("takes one or more inputs, and one axis")
    first = shapes[0]
    if not -len(first) <= axis < len(first):
        asked.refuse(f"has no axis {axis} in inputs {first}")
    axis %= len(first)
    for index in range(len(first)):
        known = {shape[index] for shape in shapes if len(shape) == len(first)} - {None}
        if any(len(shape) != len(first) for shape in shapes) or (index != axis and len(known) > 1):
            asked.refuse(f"cannot combine {' and '.join(map(str, shapes))} along axis {axis}")
    parts = [shape[axis] for shape in shapes]
    whole = None if None in parts else sum(part for part in parts if part is not None)
    return Made(((*first[:axis], whole, *first[axis + 1 :]),))


def _dot(asked: Asked) -> Made:
    if len(asked.inputs) != 2:
        asked.refuse(f"takes 2 inputs, not {len(asked.inputs)}")
    shapes, axes = asked.shapes, asked.config.get("axes")
    pair = [axes, axes] if isinstance(axes, int) else axes
    if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(axis, int) for axis in pair):
        asked.refuse(f"has axes = {axes!r}, where it needs one axis, or one for each input")
    left, right = (list(shape) for shape in shapes)
    if any(not -len(shape) <= axis < len(shape) for shape, axis in zip(shapes, pair, strict=True)):
        asked.refuse(f"has no axes {pair} in {shapes[0]} and {shapes[1]}")
    if left.pop(pair[0]) != right.pop(pair[1]):
        asked.refuse(f"cannot combine {shapes[0]} and {shapes[1]} along axes {pair[0]} and {pair[1]}")
    output = (*left, *right[1:])
    return Made((output if len(output) != 1 else (*output, 1),))


# Recurrent layers

_GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}


def _recurrent(asked: Asked) -> Made:
    if not asked.inputs:
        asked.refuse("takes one input or more, not 0")
    first, *states = (tensor.shape for tensor in asked.without_masks)
    units = asked.whole("units")
    gates, count = _GATES[asked.class_name] * units, 2 if asked.class_name == "LSTM" else 1
    if len(first) != 3:
        asked.refuse(f"needs inputs of rank 3, not {first}")
    if len(states) not in (0, count):
        raise UncertainError
    for state in states:
        if len(state) != 2 or state[1] not in (None, units):
            asked.refuse(f"needs initial states of {(None, units)}, not {state}")
    batch, length, _ = first
    if asked.flag("stateful", default=False) and batch is None:
        asked.refuse(f"with stateful = true needs a known batch size, not {first}")
    output = (batch, length, units) if asked.flag("return_sequences", default=False) else (batch, units)
    kept = ((batch, units),) * count if asked.flag("return_state", default=False) else ()
    has_two_biases = asked.class_name == "GRU" and asked.flag("reset_after", default=True)
    weights = {
        "kernel": (asked.known(first, 2), gates),
        "recurrent_kernel": (units, gates),
        "bias": (2, gates) if has_two_biases else (gates,),
    }
    return Made((output, *kept), weights)


_ELEMENTWISE = (
    "Activation ReLU LeakyReLU ThresholdedReLU ELU Softmax Dropout GaussianNoise GaussianDropout AlphaDropout "
    "ActivityRegularization Rescaling Masking"
)
_MERGING = "Add Multiply Average Maximum Minimum"

PLAIN_RULES: Mapping[str, Rule] = {
    "InputLayer": _input,
    "Dense": _dense,
    "EinsumDense": _einsum_dense,
    "Embedding": _embedding,
    "PReLU": _prelu,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "RMSNormalization": _layer_normalization,
    "GroupNormalization": _group_normalization,
    "UnitNormalization": _unit_normalization,
    "Identity": _identity,
    **dict.fromkeys(_ELEMENTWISE.split(), _same),
    **{f"SpatialDropout{count}D": partial(_same, rank=count + 2) for count in (1, 2, 3)},
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "RepeatVector": _repeat_vector,
    **dict.fromkeys(_MERGING.split(), _merge),
    "Subtract": partial(_merge, count=2),
    "Concatenate": _concatenate,
    "Dot": _dot,
    **dict.fromkeys(_GATES, _recurrent),
}
"""By class."""

"""Output shapes of dense, normalising, element-wise, merging, reshaping and embedding layers.

Checked against Keras 3.15 by `tests/structure/test_shape_rules.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from math import prod
from typing import Any

from mutspec.keras_facts.layer_call import Extents, LayerCall, Rule, RuleResult, UncertainError
from mutspec.keras_facts.tensor_types import Shape, TensorType


def _same(call: LayerCall, *, rank: int | None = None) -> RuleResult:
    return RuleResult((call.shape(rank=rank),))


def _identity(call: LayerCall) -> RuleResult:
    return RuleResult((call.shape(),), keeps_dtype=True)


def _input(call: LayerCall) -> RuleResult:
    if call.inputs:
        call.refuse("takes no inputs")
    shape = call.config.get("batch_shape") or call.config.get("batch_input_shape")
    if not isinstance(shape, list | tuple):
        raise UncertainError
    return RuleResult((tuple(shape),), keeps_dtype=True)


# Layers of weights


def _dense(call: LayerCall) -> RuleResult:
    if call.config.get("lora_rank"):
        raise UncertainError
    shape, units = call.shape(at_least=2), call.whole("units")
    return RuleResult(((*shape[:-1], units),), {"kernel": (call.extent(shape, -1), units), "bias": (units,)})


_EQUATION = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


def _einsum_dense(call: LayerCall) -> RuleResult:
    """Follows `_analyze_einsum_string` in Keras's `layers/core/einsum_dense.py`."""
    shape = call.shape(at_least=1)
    match = _EQUATION.fullmatch(str(call.config.get("equation")))
    stated = call.config.get("output_shape")
    if match is None or call.config.get("lora_rank") or not isinstance(stated, int | list | tuple):
        raise UncertainError
    left, inner, right, kernel, left_out, outer, right_out = match.groups()
    rest = len(shape) - len(inner)  # axes that the dots stand for
    if rest < 0 and not (left or right):
        call.refuse(f"with the equation {call.config['equation']} needs inputs of rank {len(inner)}, not {shape}")
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
    input_extents = {letter: shape[first + index] for index, letter in enumerate(inner)}
    output_extents = {letter: output[first + index] for index, letter in enumerate(outer)}
    if not set(kernel) <= {*input_extents, *output_extents} or not set(outer) <= {*inner, *kernel}:
        raise UncertainError
    if any(output_extents.get(letter) not in (None, extent) for letter, extent in input_extents.items()):
        call.refuse(f"with the equation {call.config['equation']} cannot output {tuple(output)} for {shape}")
    extents = [output_extents.get(letter, input_extents.get(letter)) for letter in kernel]
    if None in extents:
        call.refuse(f"needs known extents where its equation {call.config['equation']} has a weight, not {shape}")
    weights = {"kernel": tuple(extent for extent in extents if extent is not None)}
    if axes := call.config.get("bias_axes"):
        start = min(outer.find(letter) for letter in axes)
        bias = [output_extents[letter] if letter in axes else 1 for letter in outer[max(start, 0) :]]
        if start < 0 or None in bias:
            raise UncertainError
        weights["bias"] = (*(extent or 0 for extent in bias), *(1,) * (rest if right else 0))
    return RuleResult((tuple(output),), weights)


def _embedding(call: LayerCall) -> RuleResult:
    if call.config.get("lora_rank"):
        raise UncertainError
    rows, width = call.whole("input_dim"), call.whole("output_dim")
    return RuleResult(((*call.shape(at_least=1), width),), {"embeddings": (rows, width)})


def _reversible_embedding(call: LayerCall) -> RuleResult:
    arguments = call.bound("inputs", "reverse")
    tensor, back = arguments.get("inputs"), arguments.get("reverse", False)
    if call.config.get("lora_rank") or not isinstance(tensor, TensorType) or not isinstance(back, bool):
        raise UncertainError
    rows, width = call.whole("input_dim"), call.whole("output_dim")
    if back and (not tensor.shape or tensor.shape[-1] not in (None, width)):
        call.refuse(f"needs inputs of width {width}, not {tensor.shape}")
    output = (*tensor.shape[:-1], rows) if back else (*tensor.shape, width)
    return RuleResult((output,), {"embeddings": (rows, width), "reverse_embeddings": (width, rows)})


def _prelu(call: LayerCall) -> RuleResult:
    shape = call.shape(at_least=1)
    shared = call.config.get("shared_axes") or ()
    extents = list(shape[1:])
    for axis in (shared,) if isinstance(shared, int) else shared:
        if not 1 <= axis < len(shape):
            call.refuse(f"has no axis {axis} to share in inputs {shape}")
        extents[axis - 1] = 1
    if None in extents:
        call.refuse(f"needs known extents where its slopes are not shared, not {shape}")
    return RuleResult((shape,), {"alpha": tuple(extent or 0 for extent in extents)})


# Normalisation

_STATISTICS = ("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev")


def _batch_normalization(call: LayerCall) -> RuleResult:
    shape, axis = call.shape(at_least=1), call.config.get("axis", -1)
    # Keras 2 wrote a list of one.
    extents = _normalized(call, shape, *(axis if isinstance(axis, list) and len(axis) == 1 else [axis]))
    return RuleResult((shape,), dict.fromkeys(("gamma", "beta", *_STATISTICS), extents))


def _group_normalization(call: LayerCall) -> RuleResult:
    shape = call.shape(at_least=1)
    extents = _normalized(call, shape, call.config.get("axis", -1))
    groups = call.whole("groups", 32, minimum=-1)
    if groups == 0 or (groups > 0 and extents[0] % groups):
        call.refuse(f"needs a number of channels that groups = {groups} divides, not {shape}")
    return RuleResult((shape,), {"gamma": extents, "beta": extents})


def _layer_normalization(call: LayerCall) -> RuleResult:
    if call.config.get("rms_scaling"):
        raise UncertainError
    shape = call.shape(at_least=1)
    axis = call.config.get("axis", -1)
    extents = _normalized(call, shape, *(sorted(axis) if isinstance(axis, list | tuple) else [axis]))
    return RuleResult((shape,), dict.fromkeys(("gamma", "beta", "scale"), extents))


def _normalized(call: LayerCall, shape: Shape, *axes: Any) -> Extents:
    if not all(isinstance(axis, int) for axis in axes):
        raise UncertainError
    return tuple(call.extent(shape, axis) for axis in axes)


def _unit_normalization(call: LayerCall) -> RuleResult:
    shape = call.shape()
    axis = call.config.get("axis", -1)
    for one in axis if isinstance(axis, list | tuple) else (axis,):
        if not -len(shape) <= one < len(shape):
            call.refuse(f"has no axis {one} in inputs {shape}")
    return RuleResult((shape,))


# Other shapes of the same entries


def _flatten(call: LayerCall) -> RuleResult:
    shape = call.shape(at_least=1)
    return RuleResult(((shape[0], _product(shape[1:])),), keeps_dtype=True)


def _product(extents: Shape) -> int | None:
    return None if None in extents else prod(extent for extent in extents if extent is not None)


def _reshape(call: LayerCall) -> RuleResult:
    shape, target = call.shape(at_least=1), call.config.get("target_shape")
    if not isinstance(target, list | tuple) or not all(size is None or isinstance(size, int) for size in target):
        raise UncertainError
    if any(size is not None and size < -1 for size in target) or list(target).count(-1) > 1:
        call.refuse(f"has target_shape = {target!r}, but only one dimension may be -1, and none less")
    size = _product(shape[1:])
    if size is None or None in target:
        return RuleResult(((shape[0], *(None if extent == -1 else extent for extent in target)),), keeps_dtype=True)
    stated = prod(extent for extent in target if extent != -1)
    if (size != stated) if -1 not in target else (stated == 0 or size % stated):
        call.refuse(f"cannot reshape {shape} to {tuple(target)}")
    return RuleResult(
        ((shape[0], *(size // stated if extent == -1 else extent for extent in target)),), keeps_dtype=True
    )


def _permute(call: LayerCall) -> RuleResult:
    dimensions = call.config.get("dims")
    if not isinstance(dimensions, list | tuple) or sorted(dimensions) != list(range(1, len(dimensions) + 1)):
        call.refuse(f"has dims = {dimensions!r}, but needs each of 1, 2, … once")
    shape = call.shape(rank=len(dimensions) + 1)
    return RuleResult(((shape[0], *(shape[axis] for axis in dimensions)),), keeps_dtype=True)


def _repeat_vector(call: LayerCall) -> RuleResult:
    batch, width = call.shape(rank=2)
    return RuleResult(((batch, call.whole("n"), width),))


# Several inputs


def _merge(call: LayerCall, *, count: int | None = None) -> RuleResult:
    shapes = call.shapes
    if not shapes or (count is not None and len(shapes) != count):
        call.refuse(f"takes {count or 'one or more'} inputs, not {len(shapes)}")
    together = " and ".join(map(str, shapes))
    if any(not shape for shape in shapes) or len({shape[0] for shape in shapes} - {None}) > 1:
        call.refuse(f"cannot combine {together}")
    merged = shapes[0][1:]
    for shape in shapes[1:]:
        short, long = sorted((merged, shape[1:]), key=len)
        ends = list(zip(long[len(long) - len(short) :], short, strict=True))
        if any(None not in pair and 1 not in pair and pair[0] != pair[1] for pair in ends):
            call.refuse(f"cannot combine {together}")
        merged = (
            *long[: len(long) - len(short)],
            # Unlike in NumPy, an unknown extent stays unknown in Keras's merging layers, whatever the other extent is.
            *(None if None in pair else pair[1] if pair[0] == 1 else pair[0] for pair in ends),
        )
    batches = {shape[0] for shape in shapes} - {None}
    return RuleResult(((batches.pop() if batches else None, *merged),))


def _concatenate(call: LayerCall) -> RuleResult:
    shapes, axis = call.shapes, call.config.get("axis", -1)
    if not shapes or not isinstance(axis, int):
        call.refuse("takes one or more inputs, and one axis")
    first = shapes[0]
    if not -len(first) <= axis < len(first):
        call.refuse(f"has no axis {axis} in inputs {first}")
    axis %= len(first)
    for index in range(len(first)):
        fixed = {shape[index] for shape in shapes if len(shape) == len(first)} - {None}
        if any(len(shape) != len(first) for shape in shapes) or (index != axis and len(fixed) > 1):
            call.refuse(f"cannot combine {' and '.join(map(str, shapes))} along axis {axis}")
    parts = [shape[axis] for shape in shapes]
    whole = None if None in parts else sum(part for part in parts if part is not None)
    return RuleResult(((*first[:axis], whole, *first[axis + 1 :]),))


def _dot(call: LayerCall) -> RuleResult:
    if len(call.inputs) != 2:
        call.refuse(f"takes 2 inputs, not {len(call.inputs)}")
    shapes, axes = call.shapes, call.config.get("axes")
    pair = [axes, axes] if isinstance(axes, int) else axes
    if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(axis, int) for axis in pair):
        call.refuse(f"has axes = {axes!r}, but needs one axis, or one for each input")
    left, right = (list(shape) for shape in shapes)
    if any(not -len(shape) <= axis < len(shape) for shape, axis in zip(shapes, pair, strict=True)):
        call.refuse(f"has no axes {pair} in {shapes[0]} and {shapes[1]}")
    if left.pop(pair[0]) != right.pop(pair[1]):
        call.refuse(f"cannot combine {shapes[0]} and {shapes[1]} along axes {pair[0]} and {pair[1]}")
    output = (*left, *right[1:])
    return RuleResult((output if len(output) != 1 else (*output, 1),))


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
    "ReversibleEmbedding": _reversible_embedding,
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
}
"""The rules by class."""

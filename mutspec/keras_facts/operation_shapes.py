"""Output types of the operations in Functional models, such as `x + y` or `x[:, 0]`.

Their settings are in the config, or among the arguments of the call. Rules as in Keras 3.15: `ops/numpy.py`,
`ops/nn.py` and `ops/operation_utils.py`. Where the dtype depends on more than the rule says, Keras is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from math import prod
from typing import Any

from mutspec.keras_facts.dtypes import FLOATS, WHOLES
from mutspec.keras_facts.layer_call import LayerCall, Rule, RuleResult, UncertainError
from mutspec.keras_facts.tensor_types import Shape, TensorType

_SCALAR: Shape = ()

# Arguments


def _only_tensor(call: LayerCall) -> TensorType:
    """Returns the tensor of an operation that is called on nothing else."""
    arguments = call.arguments
    if arguments is None or arguments.named or len(arguments.positional) != 1:
        raise UncertainError
    (tensor,) = arguments.positional
    if not isinstance(tensor, TensorType):
        raise UncertainError
    return tensor


def _operands(call: LayerCall, count: int) -> tuple[Any, ...]:
    """Returns the operands of an operation: tensors and numbers, at least one of them a tensor."""
    arguments = call.arguments
    if arguments is None or arguments.named or len(arguments.positional) != count:
        raise UncertainError
    return arguments.positional


def _list(call: LayerCall) -> list[TensorType]:
    """Returns the tensors of an operation that is called on a list of them."""
    (tensors,) = _operands(call, 1)
    if not isinstance(tensors, list) or not all(isinstance(each, TensorType) for each in tensors) or not tensors:
        raise UncertainError
    return tensors


def _shape_of(operand: Any) -> Shape:
    if isinstance(operand, TensorType):
        return operand.shape
    if isinstance(operand, bool | int | float):
        return _SCALAR
    raise UncertainError


def _dtype(operands: Iterable[Any]) -> str:
    """Returns the dtype of a result, where all operands agree on it."""
    operands = tuple(operands)
    dtypes = {operand.dtype for operand in operands if isinstance(operand, TensorType)}
    if len(dtypes) != 1:
        raise UncertainError
    (dtype,) = dtypes
    numbers = [operand for operand in operands if not isinstance(operand, TensorType)]
    if dtype not in FLOATS and (dtype == "bool" or any(not isinstance(number, int) for number in numbers)):
        raise UncertainError
    return dtype


def _float(tensor: TensorType) -> str:
    if tensor.dtype not in FLOATS:
        raise UncertainError
    return tensor.dtype


def _setting(call: LayerCall, key: str) -> Any:
    """Returns a value of the config; which one is the default, only Keras says."""
    if key not in call.config:
        raise UncertainError
    return call.config[key]


def _axis(call: LayerCall, axis: Any, rank: int, shape: Shape) -> int:
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise UncertainError
    if not -rank <= axis < rank:
        call.refuse(f"has no axis {axis} in inputs {shape}")
    return axis % rank


def _one(shape: Iterable[int | None], dtype: str) -> RuleResult:
    return RuleResult((TensorType(tuple(shape), dtype),))


# Entry by entry


def _broadcast(call: LayerCall, operands: Iterable[Any]) -> Shape:
    """Returns the shape of operands together, as `broadcast_shapes` in Keras does."""
    together: Shape = ()
    for shape in map(_shape_of, operands):
        rank = max(len(together), len(shape))
        left, right = ((*(1,) * (rank - len(each)), *each) for each in (together, shape))
        if any(None not in pair and 1 not in pair and pair[0] != pair[1] for pair in zip(left, right, strict=True)):
            call.refuse(f"cannot combine {together} and {shape}")
        together = tuple(
            other if one == 1 else (one if other in (1, None) else other)
            for one, other in zip(left, right, strict=True)
        )
    return together


def _elementwise(call: LayerCall) -> RuleResult:
    tensor = _only_tensor(call)
    return _one(tensor.shape, _float(tensor))


def _along_axis(call: LayerCall) -> RuleResult:
    tensor = _only_tensor(call)
    axes = _setting(call, "axis")
    for axis in axes if isinstance(axes, list | tuple) else (axes,):
        _axis(call, axis, len(tensor.shape), tensor.shape)
    return _one(tensor.shape, _float(tensor))


def _kept(call: LayerCall) -> RuleResult:
    tensor = _only_tensor(call)
    return _one(tensor.shape, tensor.dtype)


def _truth(call: LayerCall) -> RuleResult:
    return _one(_only_tensor(call).shape, "bool")


def _arithmetic(call: LayerCall) -> RuleResult:
    operands = _operands(call, 2)
    return _one(_broadcast(call, operands), _dtype(operands))


def _quotient(call: LayerCall) -> RuleResult:
    operands = _operands(call, 2)
    dtype = _dtype(operands)
    if dtype not in FLOATS:
        raise UncertainError
    return _one(_broadcast(call, operands), dtype)


def _comparison(call: LayerCall) -> RuleResult:
    return _one(_broadcast(call, _operands(call, 2)), "bool")


def _where(call: LayerCall) -> RuleResult:
    operands = _operands(call, 3)
    return _one(_broadcast(call, operands), _dtype(operands[1:]))


def _cast(call: LayerCall) -> RuleResult:
    dtype = _setting(call, "dtype")
    if dtype not in (*FLOATS, *WHOLES):
        raise UncertainError
    return _one(_only_tensor(call).shape, dtype)


# Over axes


def _reduced(call: LayerCall, tensor: TensorType) -> Shape:
    axes, keeps = _setting(call, "axis"), bool(_setting(call, "keepdims"))
    shape = tensor.shape
    if axes is None:
        axes = list(range(len(shape)))
    gone = {_axis(call, axis, len(shape), shape) for axis in (axes if isinstance(axes, list | tuple) else (axes,))}
    return tuple(1 if axis in gone else extent for axis, extent in enumerate(shape) if keeps or axis not in gone)


def _reduction(call: LayerCall) -> RuleResult:
    tensor = _only_tensor(call)
    if call.config.get("dtype") is not None:
        raise UncertainError
    return _one(_reduced(call, tensor), _float(tensor))


def _extreme(call: LayerCall) -> RuleResult:
    tensor = _only_tensor(call)
    return _one(_reduced(call, tensor), tensor.dtype)


def _quantifier(call: LayerCall) -> RuleResult:
    return _one(_reduced(call, _only_tensor(call)), "bool")


def _position(call: LayerCall) -> RuleResult:
    return _one(_reduced(call, _only_tensor(call)), "int32")


# Other shapes of the same entries


def _reshape(call: LayerCall) -> RuleResult:
    tensor, target = _only_tensor(call), _setting(call, "newshape")
    if not isinstance(target, list | tuple) or not all(isinstance(extent, int) for extent in target):
        raise UncertainError
    if any(extent < -1 for extent in target) or list(target).count(-1) > 1:
        call.refuse(f"has newshape = {target!r}, but only one dimension may be -1, and none less")
    extents = [extent for extent in tensor.shape if extent is not None]
    if len(extents) < len(tensor.shape):
        return _one((None if extent == -1 else extent for extent in target), tensor.dtype)
    size, stated = prod(extents), prod(extent for extent in target if extent != -1)
    if (size != stated) if -1 not in target else (stated == 0 or size % stated):
        call.refuse(f"cannot reshape {tensor.shape} to {tuple(target)}")
    return _one((size // stated if extent == -1 else extent for extent in target), tensor.dtype)


def _transpose(call: LayerCall) -> RuleResult:
    tensor, axes = _only_tensor(call), _setting(call, "axes")
    rank = len(tensor.shape)
    if axes is None:
        return _one(tensor.shape[::-1], tensor.dtype)
    if not isinstance(axes, list | tuple):
        raise UncertainError
    if sorted(_axis(call, axis, rank, tensor.shape) for axis in axes) != list(range(rank)):
        call.refuse(f"has axes = {axes!r}, but needs each axis of {tensor.shape} once")
    return _one((tensor.shape[axis] for axis in axes), tensor.dtype)


def _swap_axes(call: LayerCall) -> RuleResult:
    tensor = _only_tensor(call)
    shape = list(tensor.shape)
    one, other = (_axis(call, _setting(call, key), len(shape), tensor.shape) for key in ("axis1", "axis2"))
    shape[one], shape[other] = shape[other], shape[one]
    return _one(shape, tensor.dtype)


def _expand(call: LayerCall) -> RuleResult:
    tensor = _only_tensor(call)
    shape = list(tensor.shape)
    shape.insert(_axis(call, _setting(call, "axis"), len(shape) + 1, tensor.shape), 1)
    return _one(shape, tensor.dtype)


def _squeeze(call: LayerCall) -> RuleResult:
    tensor, axes = _only_tensor(call), _setting(call, "axis")
    shape = tensor.shape
    if axes is None:
        return _one((extent for extent in shape if extent != 1), tensor.dtype)
    gone = {_axis(call, axis, len(shape), shape) for axis in (axes if isinstance(axes, list | tuple) else (axes,))}
    if any(shape[axis] != 1 for axis in gone):
        call.refuse(f"needs an extent of 1 in the axes that it removes, not {shape}")
    return _one((extent for axis, extent in enumerate(shape) if axis not in gone), tensor.dtype)


def _repeat(call: LayerCall) -> RuleResult:
    tensor, repeats = _only_tensor(call), _setting(call, "repeats")
    if not isinstance(repeats, int):
        raise UncertainError
    shape = list(tensor.shape)
    axis = _axis(call, _setting(call, "axis"), len(shape), tensor.shape)
    extent = shape[axis]
    shape[axis] = None if extent is None else extent * repeats
    return _one(shape, tensor.dtype)


# Parts and joints


def _item(call: LayerCall) -> RuleResult:
    tensor, key = _operands(call, 2)
    if not isinstance(tensor, TensorType):
        raise UncertainError
    keys = [key] if isinstance(key, int) else key
    if not isinstance(keys, list):
        raise UncertainError
    ellipses = [number for number, each in enumerate(keys) if _is(each, "__ellipsis__")]
    taken = sum(each is not None for each in keys) - len(ellipses)
    if len(ellipses) > 1 or taken > len(tensor.shape):
        call.refuse(f"takes {taken} indices of {tensor.shape}")
    everything = [_EVERYTHING] * (len(tensor.shape) - taken)
    at = ellipses[0] if ellipses else len(keys)
    remaining = iter(tensor.shape)
    found: list[int | None] = []
    for each in (*keys[:at], *everything, *keys[at + 1 :]):
        found += [1] if each is None else _picked(call, each, next(remaining), tensor.shape)
    return _one(found, tensor.dtype)


_EVERYTHING: Mapping[str, Any] = {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": None}}


def _is(value: Any, class_name: str) -> bool:
    return isinstance(value, Mapping) and value.get("class_name") == class_name


def _picked(call: LayerCall, key: Any, extent: int | None, shape: Shape) -> list[int | None]:
    if isinstance(key, int) and not isinstance(key, bool):
        if extent is not None and not -extent <= key < extent:
            call.refuse(f"takes index {key} of {shape}, where it does not exist")
        return []
    if not _is(key, "__slice__") or not isinstance(key.get("config"), Mapping):
        raise UncertainError
    ends = [key["config"].get(end) for end in ("start", "stop", "step")]
    if not all(end is None or isinstance(end, int) for end in ends) or ends[2] == 0:
        raise UncertainError
    return [None if extent is None else len(range(*slice(*ends).indices(extent)))]


def _split(call: LayerCall) -> RuleResult:
    tensor, sections = _only_tensor(call), _setting(call, "indices_or_sections")
    shape = tensor.shape
    axis = _axis(call, _setting(call, "axis"), len(shape), shape)
    extent, parts = shape[axis], []
    if isinstance(sections, int) and sections > 0:
        if extent is not None and extent % sections:
            call.refuse(f"cannot split axis {axis} of {shape} into {sections} equal parts")
        parts = [None if extent is None else extent // sections] * sections
    elif isinstance(sections, list | tuple) and all(isinstance(each, int) and each >= 0 for each in sections):
        ends = [0, *sections, extent]
        parts = [None if end is None or start is None else end - start for start, end in pairwise(ends)]
    if not parts or any(part is not None and part < 0 for part in parts):
        raise UncertainError
    return RuleResult(tuple(TensorType((*shape[:axis], part, *shape[axis + 1 :]), tensor.dtype) for part in parts))


def _check_alike(call: LayerCall, shapes: list[Shape], but: int | None) -> None:
    first = shapes[0]
    for shape in shapes[1:]:
        if len(shape) != len(first) or any(
            axis != but and None not in (one, other) and one != other
            for axis, (one, other) in enumerate(zip(first, shape, strict=True))
        ):
            call.refuse(f"cannot join {first} and {shape}")


def _concatenate(call: LayerCall) -> RuleResult:
    tensors = _list(call)
    shapes = [tensor.shape for tensor in tensors]
    axis = _axis(call, _setting(call, "axis"), len(shapes[0]), shapes[0])
    _check_alike(call, shapes, axis)
    extents = [shape[axis] for shape in shapes]
    whole = None if None in extents else sum(extent or 0 for extent in extents)
    return _one((*shapes[0][:axis], whole, *shapes[0][axis + 1 :]), _dtype(tensors))


def _stack(call: LayerCall) -> RuleResult:
    tensors = _list(call)
    shapes = [tensor.shape for tensor in tensors]
    axis = _axis(call, _setting(call, "axis"), len(shapes[0]) + 1, shapes[0])
    _check_alike(call, shapes, None)
    return _one((*shapes[0][:axis], len(shapes), *shapes[0][axis:]), _dtype(tensors))


def _matmul(call: LayerCall) -> RuleResult:
    operands = _operands(call, 2)
    left, right = map(_shape_of, operands)
    if min(len(left), len(right)) < 2 or _dtype(operands) not in FLOATS:
        raise UncertainError
    if None not in (left[-1], right[-2]) and left[-1] != right[-2]:
        call.refuse(f"cannot multiply {left} by {right}")
    batch = _broadcast(call, [TensorType(left[:-2]), TensorType(right[:-2])])
    return _one((*batch, left[-2], right[-1]), _dtype(operands))


_OF_FLOATS = (
    "Absolute Abs Ceil Clip Cos Erf Exp Expm1 Floor Log Log10 Log1p Log2 Rsqrt Sign Sin Sqrt Square Tan "
    "Tanh Celu Elu Gelu HardSigmoid HardSilu HardTanh LeakyRelu LogSigmoid Relu6 Selu Sigmoid Silu SoftShrink Softplus "
    "Softsign"
)


def _each(names: str, rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


ENTRYWISE = frozenset(
    f"{_OF_FLOATS} Negative Relu StopGradient LogicalNot Isfinite Isinf Isnan Add Subtract Multiply Maximum Minimum "
    "Divide TrueDivide FloorDivide Mod Power Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr "
    "Where Cast".split()
)
"""Operations that compute each entry from the entries of the same place, as NumPy broadcasts them."""

OPERATION_RULES: Mapping[str, Rule] = {
    **_each(_OF_FLOATS, _elementwise),
    **_each("Softmax LogSoftmax", _along_axis),
    **_each("Negative Relu StopGradient", _kept),
    **_each("LogicalNot Isfinite Isinf Isnan", _truth),
    **_each("Add Subtract Multiply Maximum Minimum", _arithmetic),
    **_each("Divide TrueDivide", _quotient),
    **_each("Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr", _comparison),
    "Where": _where,
    "Cast": _cast,
    **_each("Mean Sum Prod Std Var", _reduction),
    **_each("Max Min", _extreme),
    **_each("Any All", _quantifier),
    **_each("Argmax Argmin", _position),
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Swapaxes": _swap_axes,
    "ExpandDims": _expand,
    "Squeeze": _squeeze,
    "Repeat": _repeat,
    "GetItem": _item,
    "Split": _split,
    "Concatenate": _concatenate,
    "Stack": _stack,
    "Matmul": _matmul,
}
"""The rules by the class of the operation."""

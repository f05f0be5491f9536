"""Operations such as `x + y`: the table says what Keras says in a model that it builds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.keras_facts.operation_shapes import OPERATION_RULES
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.model.outline import is_operation
from mutspec.structure.shape_rules import TableOracle
from tests.structure.calls_in_models import calls_in

ORACLE = TableOracle()
Shape = tuple[int | None, ...]
SOUND, FLAT = (None, 9, 4), (None, 4)


def _names(text: str) -> list[str]:
    return text.split()


OPERATIONS: dict[str, tuple[Callable[..., Any], tuple[Shape, ...]]] = {
    **{
        f"{name} of one tensor": (lambda ops, x, name=name: getattr(ops, name)(x), (SOUND,))
        for name in _names(
            "absolute abs ceil cos erf exp expm1 floor log log10 log1p log2 rsqrt sign sin sqrt square tan "
            "tanh celu elu gelu hard_sigmoid hard_silu hard_tanh leaky_relu log_sigmoid relu6 selu sigmoid silu "
            "soft_shrink softplus softsign softmax log_softmax negative relu stop_gradient logical_not isfinite isinf "
            "isnan"
        )
    },
    "clip": (lambda ops, x: ops.clip(x, -1, 1), (SOUND,)),
    "softmax over two axes": (lambda ops, x: ops.softmax(x, axis=(1, 2)), (SOUND,)),
    **{
        f"{name} of two tensors": (lambda ops, x, y, name=name: getattr(ops, name)(x, y), (SOUND, (None, 1, 4)))
        for name in _names(
            "add subtract multiply maximum minimum divide true_divide equal not_equal greater greater_equal less "
            "less_equal logical_and logical_or"
        )
    },
    "known and unknown extents": (lambda ops, x, y: x + y, ((None, None, 4), (2, 9, 1))),
    "other ranks": (lambda ops, x, y: x * y, ((None, 9, 4), (4,))),
    "a number on the right": (lambda ops, x: (x + 1) * 2.5, (SOUND,)),
    "a number on the left": (lambda ops, x: 1.0 - x, (SOUND,)),
    "a negated tensor over a number": (lambda ops, x: -x / 2, (SOUND,)),
    "a comparison with a number": (lambda ops, x: x > 0.5, (SOUND,)),
    "where": (lambda ops, x, y: ops.where(x > 0, x, y), (SOUND, (None, 9, 1))),
    "where with a number": (lambda ops, x: ops.where(x > 0, x, 0.0), (SOUND,)),
    "cast": (lambda ops, x: ops.cast(ops.cast(x, "float16"), "int32"), (SOUND,)),
    **{
        f"{name} over {axis}, {'kept' if keeps else 'removed'}": (
            lambda ops, x, name=name, axis=axis, keeps=keeps: getattr(ops, name)(x, axis=axis, keepdims=keeps),
            (SOUND,),
        )
        for name in _names("mean sum prod std var max min any all argmax argmin")
        for axis in ((1, None) if name.startswith("arg") else (1, (0, -1), None))
        for keeps in (True, False)
    },
    "reshape": (lambda ops, x: ops.reshape(x, (-1, 2, 18)), (SOUND,)),
    "reshape of known extents": (lambda ops, x: ops.reshape(x, (4, -1)), ((2, 9, 4),)),
    "transpose": (lambda ops, x: ops.transpose(x, (0, -1, 1)), (SOUND,)),
    "transpose of all axes": (lambda ops, x: ops.transpose(x), (SOUND,)),
    "swapaxes": (lambda ops, x: ops.swapaxes(x, 1, -1), (SOUND,)),
    "expand_dims": (lambda ops, x: ops.expand_dims(x, -1), (SOUND,)),
    "squeeze": (lambda ops, x: ops.squeeze(x, 1), ((None, 1, 4),)),
    "squeeze of all axes": (lambda ops, x: ops.squeeze(x), ((2, 1, 4, 1),)),
    "repeat": (lambda ops, x: ops.repeat(x, 3, axis=1), (SOUND,)),
    "an index": (lambda ops, x: x[:, 0], (SOUND,)),
    "an index from the end": (lambda ops, x: x[:, -1], ((None, None, 4),)),
    "slices": (lambda ops, x: x[:, 1:8:3, ::-1], (SOUND,)),
    "slices of unknown extents": (lambda ops, x: x[2:, 1:8:3], ((None, None, 4),)),
    "an ellipsis": (lambda ops, x: x[..., 0], (SOUND,)),
    "an ellipsis in the middle": (lambda ops, x: x[0, ..., 2:], ((2, 3, 9, 4),)),
    "a new axis": (lambda ops, x: x[:, None, :, 1], (SOUND,)),
    "a single index": (lambda ops, x: x[1], ((2, 9, 4),)),
    "split": (lambda ops, x: ops.split(x, 3, axis=1), (SOUND,)),
    "split at indices": (lambda ops, x: ops.split(x, [1, 3], axis=-1), (SOUND,)),
    "split of an unknown extent": (lambda ops, x: ops.split(x, 2, axis=1), ((None, None, 4),)),
    "concatenate": (lambda ops, x, y: ops.concatenate([x, y], axis=-1), (SOUND, (None, 9, 2))),
    "concatenate unknown extents": (lambda ops, x, y: ops.concatenate([x, y], axis=1), (SOUND, (None, None, 4))),
    "stack": (lambda ops, x, y: ops.stack([x, y], axis=1), (SOUND, SOUND)),
    "stack at the end": (lambda ops, x, y: ops.stack([x, y, x], axis=-1), (SOUND, SOUND)),
    "matmul": (lambda ops, x, y: x @ y, (SOUND, (None, 4, 3))),
    "matmul of other ranks": (lambda ops, x, y: ops.matmul(x, y), ((None, 2, 9, 4), (4, 3))),
}


def _of_operations(build: Callable[..., Any], shapes: tuple[Shape, ...], dtype: str) -> Any:
    import keras

    inputs = [keras.Input(batch_shape=shape, dtype=dtype) for shape in shapes]
    return keras.Model(inputs, build(keras.ops, *inputs))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_on_floats_makes_what_it_makes_in_a_model(name: str, dtype: str) -> None:
    for call in calls_in(_of_operations(*OPERATIONS[name], dtype)):
        assert ORACLE(call.entry, call.inputs).outputs == call.outputs, call.entry


@pytest.mark.parametrize("dtype", ["int32", "bool"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_on_whole_numbers_makes_what_keras_says_or_keras_is_asked(name: str, dtype: str) -> None:
    for call in calls_in(_of_operations(*OPERATIONS[name], dtype)):
        try:
            made = ORACLE(call.entry, call.inputs)
        except EnvironmentProblem:
            continue
        assert made.outputs == call.outputs


def test_the_operations_are_of_every_class_in_the_table() -> None:
    found = {
        call.entry["class_name"]
        for build, shapes in OPERATIONS.values()
        for call in calls_in(_of_operations(build, shapes, "float32"))
        if is_operation(call.entry)
    }
    assert set(OPERATION_RULES) - found == {"Abs"}  # Keras writes Absolute


REFUSED: dict[str, tuple[Callable[..., Any], tuple[Shape, ...], tuple[Shape, ...], str]] = {
    "add": (lambda ops, x, y: x + y, (SOUND, SOUND), (SOUND, (None, 9, 3)), "cannot combine (None, 9, 4) and"),
    "an index": (lambda ops, x: x[:, 5], (SOUND,), ((None, 5, 4),), "takes index 5 of (None, 5, 4)"),
    "too many indices": (lambda ops, x: x[:, 1, 2], (SOUND,), (FLAT,), "takes 3 indices of (None, 4)"),
    "split": (lambda ops, x: ops.split(x, 2, axis=-1), (SOUND,), ((None, 9, 3),), "cannot split axis 2 of"),
    "concatenate": (
        lambda ops, x, y: ops.concatenate([x, y], axis=-1),
        (SOUND, SOUND),
        (SOUND, (None, 8, 4)),
        "cannot join (None, 9, 4) and (None, 8, 4)",
    ),
    "stack": (lambda ops, x, y: ops.stack([x, y]), (SOUND, SOUND), (SOUND, FLAT), "cannot join"),
    "reshape": (lambda ops, x: ops.reshape(x, (5, -1)), ((5, 4),), ((3, 4),), "cannot reshape (3, 4) to (5, -1)"),
    "transpose": (lambda ops, x: ops.transpose(x, (0, 2, 1)), (SOUND,), (FLAT,), "has no axis 2 in inputs (None, 4)"),
    "mean": (lambda ops, x: ops.mean(x, axis=2), (SOUND,), (FLAT,), "has no axis 2 in inputs (None, 4)"),
    "squeeze": (lambda ops, x: ops.squeeze(x, 1), ((None, 1, 4),), (SOUND,), "needs an extent of 1 in the axes"),
    "matmul": (
        lambda ops, x, y: x @ y,
        (SOUND, (None, 4, 3)),
        (SOUND, (None, 5, 3)),
        "cannot multiply (None, 9, 4) by (None, 5, 3)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_operation_refuses_what_keras_refuses(name: str) -> None:
    build, fitting, others, message = REFUSED[name]
    call = next(each for each in calls_in(_of_operations(build, fitting, "float32")) if is_operation(each.entry))
    with pytest.raises(ModelError) as refused:
        ORACLE(call.entry, tuple(TensorType(shape) for shape in others))
    assert message in refused.value.problems[0].message
    with pytest.raises(Exception):  # noqa: B017, PT011 - of many kinds
        _of_operations(build, others, "float32")

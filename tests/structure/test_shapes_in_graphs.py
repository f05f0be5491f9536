"""Layers with arguments, layers in layers, and operations: the table says what Keras says in a model that it builds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.keras_facts.attention_shapes import ATTENTION_RULES
from mutspec.keras_facts.class_names import WEIGHTLESS
from mutspec.keras_facts.class_table import CLASSES
from mutspec.keras_facts.operation_shapes import OPERATION_RULES
from mutspec.keras_facts.preprocessing_shapes import PREPROCESSING_RULES
from mutspec.keras_facts.recurrent_shapes import RECURRENT_RULES
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.keras_facts.wrapper_shapes import WRAPPER_RULES
from mutspec.model.outline import is_operation
from mutspec.structure.shape_rules import RULES, TableOracle
from tests.structure.calls_in_models import calls_in, weights_of
from tests.zoo import ZOO
from tests.zoo.play import shared

ORACLE = TableOracle()
Tensor = Any
Shape = tuple[int | None, ...]
SOUND, STATE, IMAGE = (None, 9, 4), (None, 3), (None, 6, 8, 4)


@pytest.fixture(params=["float32", "mixed_float16", "float16"])
def policy(request: pytest.FixtureRequest) -> Iterator[str]:
    """The dtype policy of the layers that a test makes."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def assert_all_found(model: Any) -> None:
    for call in calls_in(model):
        made = ORACLE(call.entry, call.inputs)
        assert made.outputs == call.outputs, call.entry
        assert weights_of(made) == call.weights


def _model(build: Callable[..., Any], *shapes: Shape, dtype: str = "float32") -> Any:
    import keras

    inputs = [keras.Input(batch_shape=shape, dtype=dtype) for shape in shapes]
    return keras.Model(inputs, build(keras.layers, *inputs))


LAYERS: dict[str, tuple[Callable[..., Any], tuple[Shape, ...]]] = {
    # Cells
    "RNN of an LSTMCell": (lambda k, x: k.RNN(k.LSTMCell(3))(x), (SOUND,)),
    "RNN of a GRUCell with states": (
        lambda k, x, h: k.RNN(k.GRUCell(3, reset_after=False), return_sequences=True, return_state=True)(
            x, initial_state=[h]
        ),
        (SOUND, STATE),
    ),
    "stateful RNN": (lambda k, x: k.RNN(k.SimpleRNNCell(3, use_bias=False), stateful=True)(x), ((2, None, 4),)),
    "RNN of stacked cells": (
        lambda k, x: k.RNN([k.LSTMCell(3), k.GRUCell(5), k.LSTMCell(2, use_bias=False)], return_sequences=True)(x),
        (SOUND,),
    ),
    "RNN of stacked cells that returns their states": (
        lambda k, x: k.RNN([k.SimpleRNNCell(3), k.GRUCell(5)], return_state=True)(x),
        (SOUND,),
    ),
    "a cell by itself": (lambda k, x, h, c: k.LSTMCell(3)(x, [h, c])[0], ((None, 4), STATE, STATE)),
    "a mask that the author passes": (
        lambda k, x: k.LSTM(3, return_state=True)(x, mask=k.Masking().compute_mask(x)),
        (SOUND,),
    ),
    # Convolutional
    "ConvLSTM1D": (lambda k, x: k.ConvLSTM1D(3, 2)(x), ((None, 5, 7, 4),)),
    "ConvLSTM2D": (
        lambda k, x: k.ConvLSTM2D(3, [2, 3], padding="same", strides=2, return_sequences=True, return_state=True)(x),
        ((None, None, 6, 7, 4),),
    ),
    "ConvLSTM2D with channels first": (
        lambda k, x: k.ConvLSTM2D(3, 2, data_format="channels_first", use_bias=False)(x),
        ((2, 5, 4, 6, 7),),
    ),
    "ConvLSTM3D": (lambda k, x: k.ConvLSTM3D(2, 2, dilation_rate=2)(x), ((None, 2, 5, 6, 7, 1),)),
    # Wrappers
    **{
        f"Bidirectional with merge_mode {mode}": (
            lambda k, x, mode=mode: k.Bidirectional(k.LSTM(3, return_sequences=True), merge_mode=mode)(x),
            (SOUND,),
        )
        for mode in ("concat", "sum", "mul", "ave", None)
    },
    "Bidirectional that returns states": (
        lambda k, x: k.Bidirectional(k.LSTM(3, return_state=True), merge_mode=None)(x),
        ((None, None, 4),),
    ),
    "Bidirectional with states": (
        lambda k, x, f, b: k.Bidirectional(k.GRU(3, return_state=True))(x, initial_state=[f, b]),
        (SOUND, STATE, STATE),
    ),
    "Bidirectional with another layer backward": (
        lambda k, x: k.Bidirectional(k.LSTM(3), backward_layer=k.GRU(3, go_backwards=True))(x),
        (SOUND,),
    ),
    "Bidirectional of an RNN": (lambda k, x: k.Bidirectional(k.RNN(k.LSTMCell(3)))(x), (SOUND,)),
    "Bidirectional of a ConvLSTM": (lambda k, x: k.Bidirectional(k.ConvLSTM1D(3, 2))(x), ((None, 5, 7, 4),)),
    "TimeDistributed": (lambda k, x: k.TimeDistributed(k.Conv2D(3, 2))(x), ((None, 5, 6, 7, 4),)),
    "TimeDistributed over unknown steps": (lambda k, x: k.TimeDistributed(k.Dense(3))(x), ((2, None, 4),)),
    "TimeDistributed in TimeDistributed": (
        lambda k, x: k.TimeDistributed(k.TimeDistributed(k.Dense(3)))(x),
        ((None, 5, 6, 4),),
    ),
    "TimeDistributed Bidirectional": (
        lambda k, x: k.TimeDistributed(k.Bidirectional(k.LSTM(3)))(x),
        ((None, 5, 9, 4),),
    ),
    "TimeDistributed with another dtype inside": (
        lambda k, x: k.TimeDistributed(k.Dense(3, dtype="float16"), dtype="float32")(x),
        (SOUND,),
    ),
    "SpectralNormalization": (lambda k, x: k.SpectralNormalization(k.Conv1D(3, 2))(x), (SOUND,)),
    "SpectralNormalization of an EinsumDense": (
        lambda k, x: k.SpectralNormalization(k.EinsumDense("abc,cd->abd", [None, 3]))(x),
        (SOUND,),
    ),
    # Attention
    "Attention": (lambda k, q, v: k.Attention()([q, v]), ((None, 5, 4), SOUND)),
    "Attention with scores": (
        lambda k, q, v, key: k.Attention(use_scale=True, score_mode="concat")(
            [q, v, key], return_attention_scores=True
        ),
        ((None, 5, 4), (None, 9, 3), SOUND),
    ),
    "Attention with masks": (
        lambda k, q, v, m, n: k.Attention()([q, v], mask=[k.Flatten()(m) > 0, k.Flatten()(n) > 0]),
        ((None, 5, 4), SOUND, (None, 5), (None, 9)),
    ),
    "AdditiveAttention": (lambda k, q, v: k.AdditiveAttention()([q, v]), ((None, 5, 4), SOUND)),
    "AdditiveAttention without scale": (
        lambda k, q, v: k.AdditiveAttention(use_scale=False)([q, v], use_causal_mask=True),
        ((None, 5, 4), SOUND),
    ),
    "MultiHeadAttention": (lambda k, x: k.MultiHeadAttention(2, 3)(x, x), (SOUND,)),
    "MultiHeadAttention by name, with scores": (
        lambda k, q, v: k.MultiHeadAttention(2, 3, value_dim=5, use_bias=False)(
            query=q, value=v, return_attention_scores=True
        ),
        ((None, 5, 4), (None, 9, 6)),
    ),
    "MultiHeadAttention over two axes": (
        lambda k, q, v, key: k.MultiHeadAttention(2, 3, output_shape=7, attention_axes=[1, 2])(q, v, key),
        ((None, 5, 2, 4), (None, 9, 2, 6), (None, 9, 2, 3)),
    ),
    "MultiHeadAttention with a gate": (
        lambda k, x: k.MultiHeadAttention(2, 3, value_dim=5, use_gate=True)(x, x, use_causal_mask=True),
        (SOUND,),
    ),
    "GroupQueryAttention": (
        lambda k, q, v: k.GroupQueryAttention(3, 4, 2)(q, v, return_attention_scores=True),
        ((None, 5, 4), SOUND),
    ),
    "GroupQueryAttention with a gate": (
        lambda k, x: k.GroupQueryAttention(3, 4, 2, use_gate=True, use_bias=False)(x, x),
        (SOUND,),
    ),
    "ReversibleEmbedding": (lambda k, x: k.ReversibleEmbedding(9, 3)(x), ((None, 5),)),
    "ReversibleEmbedding in reverse": (
        lambda k, x: k.ReversibleEmbedding(9, 3, tie_weights=False)(x, reverse=True),
        ((None, 5, 3),),
    ),
    # Preprocessing
    "Normalization": (lambda k, x: k.Normalization(axis=[1, -1])(x), (SOUND,)),
    "Normalization of all axes": (lambda k, x: k.Normalization(axis=None)(x), ((None, None, 4),)),
    "Normalization with given statistics": (lambda k, x: k.Normalization(mean=1.0, variance=2.0)(x), (SOUND,)),
    "Resizing": (lambda k, x: k.Resizing(3, 5)(x), (IMAGE,)),
    "CenterCrop": (lambda k, x: k.CenterCrop(3, 5, data_format="channels_first")(x), ((None, 4, 6, 8),)),
    "RandomCrop": (lambda k, x: k.RandomCrop(3, 5)(x), ((None, None, None, 3),)),
    "CategoryEncoding": (lambda k, x: k.CategoryEncoding(7)(x), ((None, 4),)),
    "CategoryEncoding, one-hot": (lambda k, x: k.CategoryEncoding(7, "one_hot")(x), ((None, 4),)),
    "CategoryEncoding, one-hot of one": (lambda k, x: k.CategoryEncoding(7, "one_hot")(x), ((None, 1),)),
    **{
        f"AdaptiveAveragePooling{n}D": (
            lambda k, x, n=n: getattr(k, f"AdaptiveAveragePooling{n}D")(2)(x),
            ((None, *(6,) * n, 4),),
        )
        for n in (1, 2, 3)
    },
    "AdaptiveMaxPooling2D": (
        lambda k, x: k.AdaptiveMaxPooling2D([2, 3], data_format="channels_first")(x),
        ((None, 4, 6, 8),),
    ),
    **{
        name: (lambda k, x, name=name, options=options: getattr(k, name)(**options)(x), ((None, 6, 8, 3),))
        for name, options in {
            "AugMix": {},
            "AutoContrast": {},
            "ContrastLimitedAdaptiveHistogramEqualization": {"tile_grid_size": (2, 2)},
            "CutMix": {},
            "MixUp": {},
            "RandAugment": {},
            "RandomBrightness": {"factor": 0.1},
            "RandomColorDegeneration": {"factor": 0.1},
            "RandomColorJitter": {"brightness_factor": 0.1},
            "RandomContrast": {"factor": 0.1},
            "RandomElasticTransform": {},
            "RandomErasing": {},
            "RandomFlip": {},
            "RandomGaussianBlur": {},
            "RandomGrayscale": {},
            "RandomHue": {"factor": 0.1},
            "RandomInvert": {},
            "RandomPerspective": {},
            "RandomPosterization": {"factor": 4},
            "RandomRotation": {"factor": 0.1},
            "RandomSaturation": {"factor": 0.1},
            "RandomSharpness": {"factor": 0.1},
            "RandomShear": {"x_factor": 0.1},
            "RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1},
            "RandomZoom": {"height_factor": 0.1},
            "Solarization": {},
        }.items()
    },
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_makes_what_it_makes_in_a_model(name: str, policy: str) -> None:
    build, shapes = LAYERS[name]
    assert_all_found(_model(build, *shapes))


def test_the_layers_are_of_every_class_in_their_tables() -> None:
    import keras

    found: set[str] = set()
    for build, shapes in LAYERS.values():
        text = json.dumps(keras.saving.serialize_keras_object(_model(build, *shapes)))
        found |= set(re.findall(r'"class_name": "(\w+)"', text))
    tables = {**RECURRENT_RULES, **WRAPPER_RULES, **ATTENTION_RULES, **PREPROCESSING_RULES}
    assert {name for name in set(tables) - found if "Adaptive" not in name} == {"Hashing", "SimpleRNN"}


# Operations

FLAT = (None, 4)


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


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_on_floats_makes_what_it_makes_in_a_model(name: str, dtype: str) -> None:
    assert_all_found(_of_operations(*OPERATIONS[name], dtype))


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_on_whole_numbers_makes_what_keras_says_or_keras_is_asked(name: str, dtype: str) -> None:
    try:
        model = _of_operations(*OPERATIONS[name], dtype)
    except Exception:
        pytest.skip("not for whole numbers")
    for call in calls_in(model):
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


# What is still asked

WITHOUT_A_RULE = frozenset(
    _names(
        "ClassMethod ConvLSTMCell Equalization HashedCrossing Lambda MaxNumBoundingBoxes MelSpectrogram "
        "STFTSpectrogram SlicingOpLambda TFOpLambda"
    )
)
"""The classes of the tables whose shapes only Keras knows. They should become fewer."""


def test_only_these_classes_of_the_tables_need_keras() -> None:
    assert {*CLASSES, *WEIGHTLESS} - set(RULES) == WITHOUT_A_RULE


def test_of_the_models_in_the_zoo_only_code_and_quantised_layers_need_keras() -> None:
    import keras

    asked = set()
    for name in ZOO:
        model = shared(name)
        if isinstance(model, keras.Sequential) or hasattr(model, "operations"):
            for call in (each for each in calls_in(model) if "layers" not in each.entry["config"]):
                try:
                    ORACLE(call.entry, call.inputs)
                except EnvironmentProblem:
                    asked.add((name, call.entry["class_name"]))
    assert asked == {
        ("custom_layer", "Gate"),
        ("nested_custom", "Subclassed"),
        ("preprocessing", "IntegerLookup"),
        ("quantized_int8", "Dense"),
        ("quantized_int8", "EinsumDense"),
        ("quantized_int8", "Embedding"),
    }

"""Layers with arguments, and layers in layers: the table says what Keras says in a model that it builds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.keras_facts.attention_shapes import ATTENTION_RULES
from mutspec.keras_facts.class_names import WEIGHTLESS
from mutspec.keras_facts.class_table import CLASSES
from mutspec.keras_facts.preprocessing_shapes import PREPROCESSING_RULES
from mutspec.keras_facts.recurrent_shapes import RECURRENT_RULES
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.keras_facts.wrapper_shapes import WRAPPER_RULES
from mutspec.structure.shape_rules import RULES, TableOracle
from tests.effort import examples
from tests.structure.calls_in_models import calls_in, weights_of

ORACLE = TableOracle()
Tensor = Any
Shape = tuple[int | None, ...]
SOUND, STATE, IMAGE, FLAT = (None, 9, 4), (None, 3), (None, 6, 8, 4), (None, 4)


@pytest.fixture(params=["float32", "mixed_float16"])
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


@st.composite
def _wrapped(draw: st.DrawFn) -> tuple[Callable[..., Any], Shape]:
    """A recurrent layer, perhaps in wrappers, and a shape for it."""
    flags = {key: draw(st.booleans()) for key in ("return_sequences", "return_state", "use_bias")}
    units, of_cells = st.integers(1, 3), draw(st.booleans())
    kinds = draw(st.lists(st.sampled_from(("LSTM", "GRU", "SimpleRNN")), min_size=1, max_size=3 if of_cells else 1))
    sizes = [draw(units) for _ in kinds]
    wrappers = draw(st.lists(st.sampled_from(("Bidirectional", "TimeDistributed")), max_size=2))
    mode = draw(st.sampled_from(("concat", "sum", None)))
    rank = 3 + wrappers.count("TimeDistributed")
    shape = draw(st.lists(st.none() | st.integers(1, 4), min_size=rank, max_size=rank))

    def build(k: Any, x: Tensor) -> Any:
        if of_cells:
            cells = [getattr(k, f"{kind}Cell")(size) for kind, size in zip(kinds, sizes, strict=True)]
            layer = k.RNN(cells, **{key: flags[key] for key in ("return_sequences", "return_state")})
        else:
            layer = getattr(k, kinds[0])(sizes[0], **flags)
        for wrapper in wrappers:
            layer = k.TimeDistributed(layer) if wrapper == "TimeDistributed" else k.Bidirectional(layer, mode)
        return layer(x)

    return build, tuple(shape)


@given(_wrapped())
@settings(max_examples=examples(60, 30))
def test_any_recurrent_layer_in_any_wrapper_makes_what_keras_makes(case: tuple[Callable[..., Any], Shape]) -> None:
    build, shape = case
    try:
        model = _model(build, shape)
    except Exception:
        return
    for call in calls_in(model):
        try:
            made = ORACLE(call.entry, call.inputs)
        except EnvironmentProblem:
            # Keras states a wrong shape for a wrapped layer that returns states.
            assert "TimeDistributed" in json.dumps(call.entry)
            continue
        assert made.outputs == call.outputs
        assert weights_of(made) == call.weights


REFUSED_LAYERS: dict[str, tuple[Callable[..., Any], tuple[Shape, ...], tuple[Shape, ...], str]] = {
    "Bidirectional": (
        lambda k, x: k.Bidirectional(k.LSTM(3, name="lstm"))(x),
        (SOUND,),
        (FLAT,),
        "has a layer that cannot be called: `forward_lstm` (LSTM) needs inputs of rank 3, not (None, 4)",
    ),
    "stateful RNN": (
        lambda k, x: k.RNN(k.GRUCell(3), stateful=True)(x),
        ((2, 9, 4),),
        (SOUND,),
        "needs a known batch size with stateful = true",
    ),
    "TimeDistributed": (
        lambda k, x: k.TimeDistributed(k.Dense(3))(x),
        (SOUND,),
        (FLAT,),
        "needs inputs of rank 3 or more, not (None, 4)",
    ),
    "TimeDistributed of a convolution": (
        lambda k, x: k.TimeDistributed(k.Conv1D(3, 2))(x),
        ((None, 5, 9, 4),),
        ((None, 5, 1, 4),),
        "would output a dimension of 0 or less",
    ),
    "ConvLSTM2D": (
        lambda k, x: k.ConvLSTM2D(3, 2)(x),
        ((None, 5, 6, 7, 4),),
        ((None, 5, None, 7, 4),),
        "needs known spatial extents and channels",
    ),
    "MultiHeadAttention": (
        lambda k, q, v, key: k.MultiHeadAttention(2, 3)(q, v, key),
        (SOUND, SOUND, SOUND),
        (SOUND, SOUND, (None, 8, 4)),
        "needs a value and a key of the same lengths, not (None, 9, 4) and (None, 8, 4)",
    ),
    "GroupQueryAttention": (
        lambda k, q, v: k.GroupQueryAttention(3, 4, 2)(q, v),
        (SOUND, SOUND),
        (SOUND, (None, 9, 3)),
        "needs a query and a value of the same width",
    ),
    "Normalization": (
        lambda k, x: k.Normalization(axis=1)(x),
        (SOUND,),
        ((None, None, 4),),
        "needs a known extent of axis 1",
    ),
}


@pytest.mark.parametrize("name", REFUSED_LAYERS)
def test_a_layer_refuses_what_keras_refuses(name: str) -> None:
    build, fitting, others, message = REFUSED_LAYERS[name]
    call = list(calls_in(_model(build, *fitting)))[-1]
    with pytest.raises(ModelError) as refused:
        ORACLE(call.entry, tuple(TensorType(shape) for shape in others))
    assert message in refused.value.problems[0].message
    with pytest.raises(Exception):  # noqa: B017, PT011 - of many kinds
        _model(build, *others)


def test_attention_over_widths_that_do_not_fit_is_refused() -> None:
    # Keras finds out only when it computes.
    call = list(calls_in(_model(lambda k, q, v: k.Attention(name="it")([q, v]), SOUND, SOUND)))[-1]
    with pytest.raises(ModelError, match=r"`it` \(Attention\) needs a query and a key of the same width"):
        ORACLE(call.entry, (TensorType(SOUND), TensorType((None, 9, 3))))
    call = list(calls_in(_model(lambda k, q, v: k.AdditiveAttention(name="it")([q, v]), SOUND, SOUND)))[-1]
    with pytest.raises(ModelError, match="needs a query and a key of the same width"):
        ORACLE(call.entry, (TensorType(SOUND), TensorType((None, 9, 3))))


def test_a_wrapped_model_is_not_called_on_a_shape_that_it_was_not_built_for() -> None:
    # Keras finds out only when it computes.
    import keras

    wrapped = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="wrapped")
    call = list(calls_in(_model(lambda k, x: k.TimeDistributed(wrapped)(x), SOUND)))[-1]
    assert ORACLE(call.entry, call.inputs).outputs == call.outputs
    with pytest.raises(ModelError, match=r"`wrapped` \(Sequential\) expects \(None, 4\), not \(None, 3\)"):
        ORACLE(call.entry, (TensorType((None, 9, 3)),))


DIFFERING: dict[str, Callable[..., Any]] = {
    "backward units": lambda k, x: k.Bidirectional(k.LSTM(3), backward_layer=k.LSTM(2, go_backwards=True))(x),
    "a class of the user's own": lambda k, x: k.TimeDistributed(k.Lambda(lambda y: y))(x),
}


@pytest.mark.parametrize("name", DIFFERING)
def test_what_a_rule_cannot_tell_is_left_to_keras(name: str) -> None:
    call = list(calls_in(_model(DIFFERING[name], SOUND)))[-1]
    with pytest.raises(EnvironmentProblem):
        ORACLE(call.entry, call.inputs)


def test_the_layers_are_of_every_class_in_their_tables() -> None:
    import keras

    found: set[str] = set()
    for build, shapes in LAYERS.values():
        text = json.dumps(keras.saving.serialize_keras_object(_model(build, *shapes)))
        found |= set(re.findall(r'"class_name": "(\w+)"', text))
    tables = {**RECURRENT_RULES, **WRAPPER_RULES, **ATTENTION_RULES, **PREPROCESSING_RULES}
    assert {name for name in set(tables) - found if "Adaptive" not in name} == {"Hashing", "SimpleRNN"}


# What is still asked

WITHOUT_A_RULE = {
    "ClassMethod", "ConvLSTMCell", "Equalization", "HashedCrossing", "Lambda", "MaxNumBoundingBoxes", "MelSpectrogram",
    "STFTSpectrogram", "SlicingOpLambda", "TFOpLambda",
}  # fmt: skip
"""The classes of the tables whose shapes only Keras knows. They should become fewer."""


def test_only_these_classes_of_the_tables_need_keras() -> None:
    assert {*CLASSES, *WEIGHTLESS} - set(RULES) == WITHOUT_A_RULE

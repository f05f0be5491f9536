"""Keras, asked about one layer, says what a user sees when calling it; and nobody sees that it was asked."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from mutspec.errors import ModelError
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.model.live import read_live
from mutspec.model.live.oracle import KerasOracle


def _entry(layer: Any) -> dict[str, Any]:
    import keras

    entry: dict[str, Any] = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    return entry


def _types(*shapes: tuple[int | None, ...], dtype: str = "float32") -> tuple[TensorType, ...]:
    return tuple(TensorType(shape, dtype) for shape in shapes)


SEQUENCE = (None, 6, 4)
LAYERS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "bidirectional": (lambda layers: layers.Bidirectional(layers.LSTM(3, return_sequences=True)), 1),
    "bidirectional of different layers": (
        lambda layers: layers.Bidirectional(layers.GRU(2), backward_layer=layers.GRU(2, go_backwards=True)),
        1,
    ),
    "time distributed": (lambda layers: layers.TimeDistributed(layers.Dense(3)), 1),
    "stacked cells": (lambda layers: layers.RNN([layers.LSTMCell(2), layers.GRUCell(3)], return_state=True), 1),
    "attention": (lambda layers: layers.MultiHeadAttention(2, 3), 2),
    "attention without bias": (lambda layers: layers.MultiHeadAttention(2, 3, use_bias=False, dtype="float16"), 3),
    "spectral normalisation": (lambda layers: layers.SpectralNormalization(layers.Dense(3)), 1),
    "conv lstm": (lambda layers: layers.TimeDistributed(layers.Conv1D(3, 1, data_format="channels_last")), 1),
    "int8": (lambda layers: layers.Dense(3, dtype="int8_from_float32"), 1),
    "augmentation": (lambda layers: layers.RandomContrast(0.2), 1),
}


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_keras_says_what_a_call_makes(name: str) -> None:
    import keras

    make, count = LAYERS[name]
    layer = make(keras.layers)
    shape = (None, 6, 4, 2) if name in ("conv lstm", "augmentation") else SEQUENCE
    shape = (None, 4) if name in ("spectral normalisation", "int8") else shape
    made = KerasOracle()(_entry(layer), _types(*(shape,) * count))
    tensors = [keras.Input(batch_shape=shape) for _ in range(count)]
    outputs = layer(*tensors)
    flat = keras.tree.flatten(outputs)
    assert made.outputs == tuple(TensorType(tuple(each.shape), each.dtype) for each in flat)
    assert made.weights == read_live(keras.Model(tensors, outputs)).spec.tensors


def test_inputs_go_where_the_layer_takes_them() -> None:
    import keras

    oracle = KerasOracle()
    assert oracle(_entry(keras.layers.Add()), _types(SEQUENCE, SEQUENCE)).outputs == _types(SEQUENCE)
    assert oracle(_entry(keras.layers.Concatenate()), _types(SEQUENCE)).outputs == _types(SEQUENCE)
    states = _types(SEQUENCE, (None, 3), (None, 3))
    assert oracle(_entry(keras.layers.LSTM(3)), states).outputs == _types((None, 3))
    masked = (*_types(SEQUENCE), *_types((None, 6), dtype="bool"))
    assert oracle(_entry(keras.layers.GlobalAveragePooling1D()), masked).outputs == _types((None, 4))
    first, second = keras.Input((6, 4)), keras.Input((6, 4))
    model = keras.Model([first, second], keras.layers.Dot(-1)([first, second]))
    assert oracle(_entry(model), _types(SEQUENCE, SEQUENCE)).outputs == _types((None, 6, 6))


def test_operations_are_called_as_the_model_calls_them() -> None:
    import keras

    first, second = keras.Input((6, 4)), keras.Input((6, 4))
    model = keras.Model([first, second], (first[:, 0] + 2.0 * second[:, 1], keras.ops.reshape(first, (-1, 3, 8))))
    entries = {each["class_name"]: each for each in _entry(model)["config"]["layers"]}
    oracle = KerasOracle()
    assert oracle(entries["GetItem"], _types((None, 9, 5))).outputs == _types((None, 5))
    assert oracle(entries["Multiply"], _types((None, 5))).outputs == _types((None, 5))
    assert oracle(entries["Add"], _types((None, 5), (None, 1))).outputs == _types((None, 5))
    without_call = {key: value for key, value in entries["Add"].items() if key != "inbound_nodes"}
    assert oracle(without_call, _types((None, 5), (None, 1))).outputs == _types((None, 5))


def test_the_shapes_that_a_layer_was_built_for_do_not_matter() -> None:
    import keras

    layer = keras.layers.TimeDistributed(keras.layers.Dense(3))
    layer(keras.Input((6, 4)))
    entry = _entry(layer)
    assert "input_shape" in entry["build_config"]
    assert KerasOracle()(entry, _types((None, 6, 9))).weights[0].shape == (9, 3)


def test_nobody_sees_that_keras_was_asked() -> None:
    import keras

    keras.config.set_dtype_policy("mixed_float16")
    try:
        keras.layers.Dense(1)
        random.seed(7)
        before = random.getstate()
        entry = _entry(keras.layers.MultiHeadAttention(2, 3, dtype="float32", dropout=0.5))
        before_name = keras.layers.Dense(1).name
        random.setstate(before)
        oracle = KerasOracle()
        oracle(entry, _types(SEQUENCE, SEQUENCE))
        with pytest.raises(ModelError):
            oracle(entry, _types((None,), (None,)))
        assert random.getstate() == before
        assert keras.config.dtype_policy().name == "mixed_float16"
        number = int(before_name.rpartition("_")[2]) + 1
        assert keras.layers.Dense(1).name == f"dense_{number}"
        assert keras.layers.MultiHeadAttention(1, 1).name.endswith(f"_{_number(entry['config']['name']) + 1}")
        # Global settings do not matter either: a config without a dtype means float32.
        plain = {"class_name": "Bidirectional", "module": "keras.layers", "registered_name": None}
        inner = {"class_name": "LSTM", "module": "keras.layers", "config": {"units": 2, "name": "lstm"}}
        made = oracle({**plain, "config": {"name": "it", "layer": inner}}, _types(SEQUENCE))
        assert made.outputs == _types((None, 4))
        assert len(keras.layers.Dense(1).weights) == 0
    finally:
        keras.config.set_dtype_policy("float32")


def _number(name: str) -> int:
    return int(name.rpartition("_")[2]) if name[-1].isdigit() else 0


def test_a_global_data_format_does_not_matter_and_stays() -> None:
    import keras

    keras.config.set_image_data_format("channels_first")
    try:
        inner = {"class_name": "Conv2D", "module": "keras.layers", "config": {"filters": 2, "kernel_size": 1}}
        entry = {"class_name": "TimeDistributed", "module": "keras.layers", "config": {"name": "it", "layer": inner}}
        assert KerasOracle()(entry, _types((None, 2, 5, 5, 3))).outputs == _types((None, 2, 5, 5, 2))
        assert keras.config.image_data_format() == "channels_first"
    finally:
        keras.config.set_image_data_format("channels_last")


def test_an_answer_is_remembered() -> None:
    import keras

    oracle, entry = KerasOracle(), _entry(keras.layers.Dense(3, name="it"))
    assert oracle(entry, _types((None, 4))) is oracle(dict(entry), _types((None, 4)))
    assert oracle(entry, _types((None, 5))) is not oracle(entry, _types((None, 4)))


def test_a_users_own_class_is_found_by_its_registered_name() -> None:
    import keras

    class Widen(keras.layers.Layer):
        def __init__(self, times: int, **options: Any) -> None:
            super().__init__(**options)
            self.times = times

        def build(self, shape: tuple[int | None, ...]) -> None:
            self.spread = self.add_weight(shape=(shape[-1], shape[-1] * self.times))
            # A value, which can only be set where values are.
            self.offset = keras.Variable([1.0, 2.0])

        def call(self, first: Any, second: Any) -> Any:
            return keras.ops.matmul(first + second, self.spread)

    entry = {"class_name": "Widen", "module": None, "registered_name": "mine>Widen"}
    entry["config"] = {"name": "wide", "times": 3, "dtype": "mixed_float16"}
    made = KerasOracle({"mine>Widen": Widen})(entry, _types((None, 4), (None, 4)))
    assert made.outputs == _types((None, 12), dtype="float16")
    assert [(each.path, each.shape, each.dtype) for each in made.weights] == [
        ("wide/var0", (4, 12), "float32"),
        ("wide/var1", (2,), "float32"),
    ]
    with pytest.raises(
        ModelError, match=r"`wide` \(Widen\) needs `Widen`, which is not registered with Keras"
    ) as error:
        KerasOracle()(entry, _types((None, 4), (None, 4)))
    assert "--import" in error.value.problems[0].hint
    curve = {"class_name": "function", "module": "mine", "config": "curve", "registered_name": "mine>curve"}
    entry = {"class_name": "Dense", "module": "keras.layers", "config": {"name": "it", "units": 2, "activation": curve}}
    with pytest.raises(ModelError, match=r"`it` \(Dense\) needs `curve`, which is not registered with Keras"):
        KerasOracle()(entry, _types((None, 4)))
    legacy = {"class_name": "Widen", "config": {"name": "wide"}}
    with pytest.raises(ModelError, match=r"`wide` \(Widen\) needs `Widen`, which is not registered with Keras"):
        KerasOracle()(legacy, _types((None, 4)))


ASK = """
import resource
from mutspec.errors import ModelError
from mutspec.model.live.oracle import KerasOracle
from mutspec.keras_facts.tensor_types import TensorType

def ask(units):
    wide = [{"class_name": "Dense", "config": {"name": name, "units": units}} for name in ("one", "two")]
    layers = [*wide, {"class_name": "Conv2D", "config": {"name": "conv", "filters": 1, "kernel_size": 1}}]
    layers = [{"module": "keras.layers", "registered_name": None, **layer} for layer in layers]
    config = {"name": "it", "layers": layers}
    entry = {"class_name": "Sequential", "module": "keras", "registered_name": None, "config": config}
    try:
        KerasOracle()(entry, (TensorType((None, units)),))
    except ModelError as error:
        assert "cannot be called" in str(error), error
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

print(ask(10), ask(10_000))
"""


def test_a_wide_model_that_does_not_fit_is_refused_without_making_its_weights() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    small, wide = map(int, done.stdout.split())
    assert wide - small < 200, "megabytes; the weights have 763"


def test_code_in_a_layer_is_not_run_unless_asked_for() -> None:
    import keras

    entry = _entry(keras.layers.Lambda(lambda x: x[:, :2], name="it"))
    with pytest.raises(ModelError, match=r"`it` \(Lambda\) holds Python code") as error:
        KerasOracle()(entry, _types((None, 4)))
    assert "--unsafe" in error.value.problems[0].hint
    wrapped = _entry(keras.layers.TimeDistributed(keras.layers.Lambda(lambda x: x)))
    with pytest.raises(ModelError, match="holds Python code"):
        KerasOracle()(wrapped, _types(SEQUENCE))
    assert KerasOracle(safe_mode=False)(entry, _types((None, 4))).outputs == _types((None, 2))


FAILURES = (
    ("Dense", {"units": 3}, ((None,),), "`it` (Dense) cannot be called on (None,): Input 0 "),
    ("Add", {}, ((None, 3), (None, 4)), "`it` (Add) cannot be called on (None, 3) and (None, 4): Inputs have incomp"),
    ("Dense", {"units": -3}, ((None, 4),), "`it` (Dense) cannot be made from its config: Received an invalid value"),
    ("Dense", {"unit": 3}, ((None, 4),), "`it` (Dense) cannot be made from its config: "),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 2}, ((None, 4),), "`it` (MultiHeadAttention) cannot be called"),
    ("Conv2D", {"filters": 2, "kernel_size": 3}, ((None, 2, 2, 1),), "Computed output size would be zero or negative"),
)


@pytest.mark.parametrize(("class_name", "config", "shapes", "message"), FAILURES)
def test_what_keras_refuses_is_said_in_one_line(
    class_name: str, config: dict[str, Any], shapes: tuple[tuple[int | None, ...], ...], message: str
) -> None:
    entry = {"class_name": class_name, "module": "keras.layers", "config": {"name": "it", **config}}
    with pytest.raises(ModelError) as error:
        KerasOracle()(entry, _types(*shapes))
    text = error.value.problems[0].message
    assert message in text
    assert "\n" not in text
    assert "\x1b" not in text
    assert not text.endswith(".")


def test_keras_2s_entries_are_understood() -> None:
    entry = {
        "class_name": "BatchNormalization",
        "config": {"name": "it", "axis": [3], "dtype": "float32", "momentum": 0.9},
    }
    made = KerasOracle()(entry, _types((None, 4, 4, 3)))
    assert [each.path for each in made.weights] == ["it/gamma", "it/beta", "it/moving_mean", "it/moving_variance"]


def test_keras_oracle_and_table_agree_on_a_port() -> None:
    import keras

    entry = _entry(keras.layers.InputLayer(shape=(3,), dtype="int32"))
    assert KerasOracle()(entry, ()).outputs == _types((None, 3), dtype="int32")


def test_weights_are_not_computed() -> None:
    """A layer of 4 GB can be asked about in no time: it takes no memory."""
    inner = {"class_name": "Dense", "module": "keras.layers", "config": {"units": 2**15, "name": "dense"}}
    entry = {"class_name": "TimeDistributed", "module": "keras.layers", "config": {"name": "it", "layer": inner}}
    made = KerasOracle()(entry, _types((None, 2, 2**15)))
    assert made.weights[0].shape == (2**15, 2**15)

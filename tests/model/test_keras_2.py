"""Files of Keras 2 become models of Keras 3: the same weights, the same predictions, or a reason why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mutspec.access.read import reader_of
from mutspec.errors import ModelError
from mutspec.execute.loading import load
from mutspec.model.code import code_in
from mutspec.model.files.opening import open_archive
from mutspec.model.live import read_live
from mutspec.model.old_configs import in_keras_3_form, only_in_keras_2

DATA = Path(__file__).parents[1] / "data"
KERAS_2 = DATA / "keras2"
FILES = sorted((*KERAS_2.rglob("*.keras"), *KERAS_2.rglob("stack.h5"), *KERAS_2.rglob("graph.h5")))
OLDEST = [DATA / "old" / "keras_2.0.9" / f"{name}.h5" for name in ("cnn", "residual", "recurrent")]


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _oracle(path: Path) -> tuple[list[Any], list[Any]]:
    """The inputs, and what the Keras that wrote a file predicts for them."""
    at = path.with_suffix(".npz") if path in FILES else KERAS_2 / f"{path.stem}.2.0.9.npz"
    arrays = np.load(at)
    return ([arrays[key] for key in arrays.files if key[0] == kind] for kind in "xy")  # type: ignore[return-value]


def test_there_are_files_of_every_form() -> None:
    assert [_shown(path) for path in FILES] == [
        "keras_2.13.1/stack.keras",
        "keras_2.14.0/stack.keras",
        "keras_2.15.0/graph.h5",
        "keras_2.15.0/stack.h5",
    ]


@pytest.mark.parametrize("path", [path for path in FILES if path.stem == "stack"], ids=_shown)
def test_each_layer_has_the_weights_that_it_had_however_the_file_counts_its_layers(path: Path) -> None:
    archive, oracle = open_archive(path), np.load(path.with_suffix(".npz"))
    assert [tensor.path for tensor in archive.spec.tensors] == [
        f"{layer}/{role}" for layer in ("fc1", "fc2", "fc3") for role in ("kernel", "bias")
    ]
    with reader_of(archive) as reader:
        for number, tensor in enumerate(archive.spec.tensors):
            value = np.asarray(reader.read(tensor.path, 0, tensor.size)).reshape(tensor.shape)
            assert np.array_equal(value, oracle[f"w{number}"])


@pytest.mark.parametrize("path", [*FILES, *OLDEST], ids=_shown)
def test_a_model_predicts_in_keras_3_what_it_did_in_the_keras_that_wrote_it(path: Path) -> None:
    inputs, (expected,) = _oracle(path)
    model = load(path).model
    assert read_live(model).spec.tensors == open_archive(path).spec.tensors
    assert np.allclose(model(inputs if len(inputs) > 1 else inputs[0]), expected, rtol=0, atol=1e-6)


def test_what_keras_3_cannot_revive_of_training_is_left_out_and_said_so() -> None:
    path = KERAS_2 / "keras_2.15.0" / "stack.h5"
    loaded = load(path)
    (warning,) = loaded.warnings
    assert warning.is_warning
    assert "stack.h5 is loaded without its loss, optimizer and metrics" in warning.message
    assert "cannot revive the loss `mse`" in warning.message
    assert warning.hint == "compile the mutant yourself"  # nothing of the user's own is in it
    assert not loaded.model.compiled


def test_a_loss_that_nobody_registered_does_not_keep_a_model_of_keras_3_from_being_loaded(tmp_path: Path) -> None:
    import keras

    def own_loss(wanted: Any, got: Any) -> Any:
        return keras.ops.mean(wanted - got)

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    for suffix in ("keras", "h5"):
        path = tmp_path / f"own.{suffix}"
        model.compile(loss=keras.losses.MeanSquaredError())
        model.save(path)
        assert load(path).model.compiled
        assert load(path).warnings == ()
        model.compile(loss=own_loss)
        model.save(path)
        loaded = load(path)
        assert not loaded.model.compiled
        assert "without its loss, optimizer and metrics" in loaded.warnings[0].message


def test_a_hard_sigmoid_of_keras_2_is_warned_of_as_it_is_steeper_than_that_of_keras_3() -> None:
    (warning,) = load(OLDEST[2]).warnings
    assert "`lstm_1`, `backward_lstm_1`, `gru`" in warning.message


def _lstm(**arguments: Any) -> dict[str, Any]:
    layers = [
        {"class_name": "InputLayer", "config": {"name": "i", "batch_input_shape": [None, 4, 3], "dtype": "float32"}},
        {"class_name": "LSTM", "config": {"name": "lstm", "units": 2, "trainable": True, **arguments}},
    ]
    return {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}


def test_time_as_an_axis_is_dropped_where_it_is_false_and_refused_where_it_is_true() -> None:
    import keras

    written = in_keras_3_form(_lstm(time_major=False, implementation=1), "2.15.0")
    assert only_in_keras_2(written) == ""
    model = keras.saving.deserialize_keras_object(json.loads(json.dumps(written)))
    assert model.output_shape == (None, 2)
    assert only_in_keras_2(in_keras_3_form(_lstm(time_major=True), "2.15.0")) == (
        "`lstm` (LSTM) takes time as its first axis"
    )


def test_what_keras_3_wrote_itself_stays_as_it_is() -> None:
    import keras

    layers = keras.layers
    recurrent = layers.Bidirectional(layers.GRU(2, return_sequences=True))
    first = keras.Sequential([keras.Input((4, 3)), recurrent, layers.LayerNormalization(axis=[-1])])
    tensor = keras.Input((4, 3), name="i")
    model = keras.Model([tensor], [layers.SpatialDropout1D(0.1)(first(tensor) + 1)])
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    assert in_keras_3_form(config, keras.__version__) == config
    assert in_keras_3_form(config) == config


@pytest.mark.parametrize(
    ("layer", "arguments", "expected"),
    [
        (
            "Dense",
            {"dtype": {"class_name": "Policy", "config": {"name": "mixed_float16"}}},
            ("compute_dtype", "float16"),
        ),
        ("DepthwiseConv2D", {"kernel_size": 2, "groups": 1}, ("kernel_size", (2, 2))),
        ("LeakyReLU", {"alpha": 0.25}, ("negative_slope", 0.25)),
        ("BatchNormalization", {"axis": [3]}, ("axis", 3)),
        ("SyncBatchNormalization", {}, ("synchronized", True)),
        ("Embedding", {"input_dim": 3, "output_dim": 2, "input_length": 7}, ("input_dim", 3)),
        ("GRU", {"units": 2}, ("reset_after", False)),
        ("SpatialDropout1D", {"rate": 0.5, "noise_shape": None}, ("rate", 0.5)),
        ("Convolution2D", {"filters": 2, "kernel_size": 1}, ("filters", 2)),
    ],
)
def test_names_of_keras_2_become_those_of_keras_3(layer: str, arguments: dict[str, Any], expected: Any) -> None:
    import keras

    config = {"name": "it", "trainable": True, **arguments}
    if layer == "Dense":
        initializer = {"class_name": "GlorotUniform", "config": {"seed": None, "dtype": "float32"}}
        config |= {"units": 2, "kernel_initializer": initializer}
    written = in_keras_3_form({"class_name": layer, "config": config}, "2.2.4-tf")
    made = keras.saving.deserialize_keras_object(json.loads(json.dumps(written)))
    assert getattr(made, expected[0]) == expected[1]


def test_a_function_of_tensorflow_in_a_graph_is_refused_by_its_name() -> None:
    config = {
        "class_name": "Functional",
        "config": {
            "name": "m",
            "layers": [
                {
                    "name": "i",
                    "class_name": "InputLayer",
                    "config": {"name": "i", "batch_input_shape": [None, 4], "dtype": "float32"},
                    "inbound_nodes": [],
                },
                {
                    "name": "tf.math.multiply",
                    "class_name": "TFOpLambda",
                    "config": {"name": "tf.math.multiply", "trainable": True, "function": "math.multiply"},
                    "inbound_nodes": [["i", 0, 0, {"y": 2, "name": None}]],
                },
            ],
            "input_layers": [["i", 0, 0]],
            "output_layers": [["tf.math.multiply", 0, 0]],
        },
    }
    assert "`tf.math.multiply` (TFOpLambda)" in only_in_keras_2(in_keras_3_form(config, "2.15.0"))


def test_a_file_without_a_version_hides_nothing_from_who_looks_for_code(tmp_path: Path) -> None:
    """What is dropped of a configuration must not be what Keras then builds."""
    import h5py

    code = {"class_name": "__lambda__", "config": {"code": "", "defaults": None, "closure": None}}
    layer = {
        "class_name": "DepthwiseConv2D",
        "config": {"name": "d", "kernel_size": [1, 1], "kernel_initializer": code},
    }
    first = {"class_name": "InputLayer", "config": {"name": "i", "batch_input_shape": [None, 4, 4, 1]}}
    path = tmp_path / "hostile.h5"
    with h5py.File(path, "w") as file:
        config = {"class_name": "Sequential", "config": {"name": "s", "layers": [first, layer]}}
        file.attrs["model_config"] = json.dumps(config)
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"d"]
        weights = group.create_group("d")
        weights.attrs["weight_names"] = [b"d/depthwise_kernel:0", b"d/bias:0"]
        weights["d/depthwise_kernel:0"], weights["d/bias:0"] = np.ones((1, 1, 1, 1), "f4"), np.zeros(1, "f4")
    (layer_built,) = load(path).model.layers
    assert type(layer_built.depthwise_initializer).__name__ == "GlorotUniform"
    with h5py.File(path, "a") as file:
        layer["config"]["depthwise_initializer"] = code
        config["config"]["layers"] = [first, layer]
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ModelError, match="Python code"):
        load(path)


@pytest.mark.parametrize("name", ["stack", "graph"])
def test_weights_of_keras_2_have_the_same_paths_with_an_architecture_and_without(name: str) -> None:
    path = KERAS_2 / "keras_2.15.0" / f"{name}.legacy.h5"
    named, known = open_archive(path), open_archive(path, architecture=path.with_name(f"{name}.h5"))
    assert named.spec.is_partial
    assert not known.spec.is_partial
    assert dict(named.extents) == dict(known.extents)
    assert [(each.path, each.group) for each in named.spec.tensors] == [
        (each.path, each.group) for each in known.spec.tensors
    ]


@pytest.mark.parametrize(
    ("layer", "stored", "path"),
    [
        ("lstm", "lstm/lstm_cell_3/recurrent_kernel:0", "lstm/recurrent_kernel"),
        ("two_ways", "two_ways/forward_gru/gru_cell/bias:0", "two_ways/forward_gru/bias"),
        ("dense_1", "dense_1_1/kernel:0", "dense_1/kernel"),
        ("encoder", "inner/gamma:0", "encoder/inner/gamma"),
        ("dense", "my_model/dense/kernel:0", "dense/kernel"),
        ("depthwise", "depthwise/depthwise_kernel:0", "depthwise/kernel"),
        ("mine", "mine/gain:0", "mine/var0"),
    ],
)
def test_names_of_weights_tell_their_layer_and_role(layer: str, stored: str, path: str, tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["layer_names"] = [layer.encode()]
        group = file.create_group(layer)
        group.attrs["weight_names"] = [stored.encode()]
        group[stored] = np.ones((2, 2), "f4")
    assert [each.path for each in open_archive(tmp_path / "weights.h5").spec.tensors] == [path]


def test_weights_are_found_under_the_name_that_their_class_had_in_keras_2() -> None:
    spec = open_archive(DATA / "keras2_classes" / "sync.keras").spec
    found = {tensor.path for tensor in spec.tensors if tensor.layer == "sbn"}
    assert found == {f"sbn/{each}" for each in ("gamma", "beta", "moving_mean", "moving_variance")}


def test_a_lambda_of_keras_2_is_built_where_code_may_run() -> None:
    import keras
    from keras.src.utils.python_utils import func_dump

    code = func_dump(lambda x: x * 2)
    config = {"name": "double", "trainable": True, "dtype": "float32", "function": list(code), "arguments": {}}
    config |= {"function_type": "lambda", "module": "__main__"}
    config |= {"output_shape": None, "output_shape_type": "raw", "output_shape_module": None}
    written = in_keras_3_form({"class_name": "Lambda", "config": config}, "2.15.0")
    assert code_in(written) == "the layer `double` (Lambda) holds Python code"
    layer = keras.saving.deserialize_keras_object(json.loads(json.dumps(written)), safe_mode=False)
    assert layer.function(3.0) == 6.0


def test_an_optimizer_of_keras_2_that_lacks_a_name_is_said_to_be_what_is_lost() -> None:
    import keras

    from mutspec.model.loading.by_parts import _compile

    inner = {"class_name": "Custom>Adam", "config": {"name": "Adam"}}
    optimizer = {"class_name": "LossScaleOptimizerV3", "config": {"inner_optimizer": inner, "dynamic": True}}
    training = {"loss": "mse", "metrics": None, "loss_weights": None, "optimizer_config": optimizer}
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    (warning,) = _compile(model, "old.h5", {}, json.dumps(training))
    assert "cannot revive the optimizer `LossScaleOptimizerV3`: its configuration has no 'name'" in warning.message
    assert warning.hint == "compile the mutant yourself"

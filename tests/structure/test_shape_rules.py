"""The table of shapes is compared with Keras itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.keras_facts.input_dtypes import refuses
from mutspec.keras_facts.plain_shapes import PLAIN_RULES
from mutspec.keras_facts.spatial_shapes import SPATIAL_RULES
from mutspec.keras_facts.tensor_types import Shape, TensorType
from mutspec.model.live import read_live
from mutspec.model.live.oracle import KerasOracle
from mutspec.model.shapes import LayerShapes
from mutspec.structure.shape_rules import TableOracle
from tests.effort import examples
from tests.structure.calls_in_models import calls_in, weights_of
from tests.structure.layer_cases import CASES, IMPOSSIBLE
from tests.zoo import ZOO
from tests.zoo.play import shared

ORACLE = TableOracle()


def _layer(class_name: str, config: Mapping[str, Any], **more: Any) -> Any:
    import keras

    return getattr(keras.layers, class_name)(**config, **more)


def _entry(layer: Any) -> dict[str, Any]:
    import keras

    entry: dict[str, Any] = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    return entry


def _from(entry: Mapping[str, Any]) -> Any:
    import keras

    return keras.saving.deserialize_keras_object(dict(entry))


def _keras_says(layer: Any, inputs: tuple[TensorType, ...]) -> LayerShapes:
    """What the layer makes when a user calls it."""
    import keras

    tensors = [keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype) for tensor in inputs]
    if type(layer).__name__ in ("LSTM", "GRU", "SimpleRNN") and len(tensors) > 1:
        outputs = layer(tensors[0], initial_state=tensors[1:])
    else:
        outputs = layer(tensors if type(layer).__module__.startswith("keras.src.layers.merging") else tensors[0])
    model = keras.Model(tensors, outputs)
    flat = outputs if isinstance(outputs, list | tuple) else [outputs]
    return LayerShapes(
        tuple(TensorType(tuple(tensor.shape), tensor.dtype) for tensor in flat), read_live(model).spec.tensors
    )


def _types(shapes: tuple[Shape, ...], dtype: str = "float32") -> tuple[TensorType, ...]:
    return tuple(TensorType(shape, dtype) for shape in shapes)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "float16"])
@pytest.mark.parametrize(
    ("class_name", "config", "shapes"), CASES, ids=[f"{index}-{case[0]}" for index, case in enumerate(CASES)]
)
def test_the_table_says_what_keras_says(
    class_name: str, config: Mapping[str, Any], shapes: tuple[Shape, ...], dtype: str
) -> None:
    for input_dtype in ("float32", "int32") if dtype == "float32" else ("float32",):
        entry, inputs = _entry(_layer(class_name, config, dtype=dtype)), _types(shapes, input_dtype)
        if refuses(class_name, input_dtype):  # what Keras makes of such an input cannot be called: test_input_dtypes.py
            with pytest.raises(ModelError, match="which Keras does not cast"):
                ORACLE(entry, inputs)
            continue
        # What counts is the layer that its config makes: a SpatialDropout's forgets that its policy was mixed.
        assert ORACLE(entry, inputs) == _keras_says(_from(entry), inputs)


def test_the_cases_are_of_every_class_in_the_table() -> None:
    import keras

    existing = {name for name in (*PLAIN_RULES, *SPATIAL_RULES) if hasattr(keras.layers, name)}
    missing = existing - {case[0] for case in CASES} - {"InputLayer", "ReversibleEmbedding"}
    assert {name for name in missing if "Pooling" not in name} == set()


@pytest.mark.parametrize(
    ("class_name", "config", "shapes", "message"),
    IMPOSSIBLE,
    ids=[f"{index}-{case[0]}" for index, case in enumerate(IMPOSSIBLE)],
)
def test_what_cannot_be_called_is_refused_in_a_sentence_and_by_keras_too(
    class_name: str, config: Mapping[str, Any], shapes: tuple[Shape, ...], message: str
) -> None:
    entry = {"class_name": class_name, "module": "keras.layers", "config": {"name": "it", **config}}
    with pytest.raises(ModelError) as refused:
        ORACLE(entry, _types(shapes))
    assert message in refused.value.problems[0].message
    assert refused.value.problems[0].message.startswith(f"`it` ({class_name}) ")
    with pytest.raises(Exception):  # noqa: B017, PT011 - of many kinds
        _keras_says(_layer(class_name, config), _types(shapes))


def test_two_inputs_of_a_layer_for_one_are_refused() -> None:
    with pytest.raises(ModelError, match=r"`it` \(Dense\) takes one input, not 2"):
        ORACLE(_entry(_layer("Dense", {"units": 3, "name": "it"})), _types(((None, 4), (None, 4))))


def test_a_state_of_another_width_is_refused() -> None:
    # Keras finds out only when it computes.
    layer = _layer("LSTM", {"units": 3, "name": "it"})
    with pytest.raises(ModelError, match=r"needs initial states of \(None, 3\), not \(None, 4\)"):
        ORACLE(_entry(layer), _types(((None, 5, 2), (None, 3), (None, 4))))


@st.composite
def _sliding(draw: st.DrawFn) -> tuple[str, dict[str, Any], Shape]:
    """A convolution or pooling layer, and a shape for it."""
    dimensions = draw(st.sampled_from((1, 2, 3)))
    families = ["Conv{}D", "Conv{}DTranspose", "MaxPooling{}D", "AveragePooling{}D"]
    families += ["DepthwiseConv{}D", "SeparableConv{}D"] if dimensions < 3 else []
    class_name = draw(st.sampled_from(families)).format(dimensions)

    def sizes(most: int) -> st.SearchStrategy[Any]:
        size = st.integers(1, most)
        return size | st.lists(size, min_size=dimensions, max_size=dimensions)

    paddings = ["valid", "same", *(["causal"] if class_name == "Conv1D" else [])]
    config: dict[str, Any] = {"padding": draw(st.sampled_from(paddings)), "strides": draw(sizes(3))}
    config["data_format"] = draw(st.sampled_from(["channels_last", "channels_first"]))
    channels = draw(st.integers(1, 4))
    if "Pooling" in class_name:
        config["pool_size"] = draw(sizes(3))
    else:
        config |= {"kernel_size": draw(sizes(3)), "use_bias": draw(st.booleans())}
        config["dilation_rate"] = draw(st.just(1) | sizes(3))
    if class_name.startswith(("Conv", "Separable")):
        config["filters"] = draw(st.integers(1, 4))
    if class_name.startswith(("Depthwise", "Separable")):
        config["depth_multiplier"] = draw(st.integers(1, 2))
    if class_name.endswith("Transpose"):
        config["output_padding"] = draw(st.none() | st.integers(0, 2))
    elif class_name.startswith("Conv"):
        config["groups"] = draw(st.sampled_from((1, 1, 2, 3)))
    space = draw(st.lists(st.none() | st.integers(1, 8), min_size=dimensions, max_size=dimensions))
    batch = draw(st.sampled_from((None, 2)))
    is_first = config["data_format"] == "channels_first"
    return class_name, config, (batch, channels, *space) if is_first else (batch, *space, channels)


@given(_sliding())
@settings(max_examples=examples(100, 50))
def test_any_convolution_or_pooling_makes_what_keras_makes(case: tuple[str, dict[str, Any], Shape]) -> None:
    class_name, config, shape = case
    entry = {"class_name": class_name, "module": "keras.layers", "config": {"name": "it", **config}}
    inputs = _types((shape,))
    try:
        expected = _keras_says(_layer(class_name, config, name="it"), inputs)
    except Exception:
        with pytest.raises(ModelError):
            ORACLE(entry, inputs)
        return
    if any(extent is not None and extent < 1 for extent in expected.outputs[0].shape):
        with pytest.raises(ModelError, match="0 or less"):
            ORACLE(entry, inputs)
        return
    assert ORACLE(entry, inputs) == expected


# Whole models


@pytest.mark.parametrize("name", sorted(ZOO.keys() - {"subclassed"}))  # it has no graph
def test_each_layer_of_a_model_makes_what_it_makes_in_the_model(name: str) -> None:
    model = shared(name)
    asked = set()

    def keras_says(entry: Mapping[str, Any], inputs: tuple[TensorType, ...]) -> LayerShapes:
        if "layers" not in entry["config"]:
            asked.add(entry["class_name"])
        return KerasOracle(custom_objects=_own_classes(), safe_mode=False)(entry, inputs)

    for call in calls_in(model):
        made = TableOracle(keras_says)(call.entry, call.inputs)
        assert made.outputs == call.outputs
        assert weights_of(made) == call.weights
    assert asked == ASKED_IN.get(name, set())


ASKED_IN = {
    "custom_layer": {"Gate"},
    "nested_custom": {"Subclassed"},
    "preprocessing": {"IntegerLookup"},
    "quantized_int8": {"Dense", "EinsumDense", "Embedding"},
}
"""The classes in the zoo's models whose shapes only Keras knows, by model. They should become fewer."""


def _own_classes() -> dict[str, type]:
    from keras.src.saving.object_registration import GLOBAL_CUSTOM_OBJECTS

    return dict(GLOBAL_CUSTOM_OBJECTS)


# Who is asked


def test_the_table_tells_without_keras_and_without_numpy() -> None:
    code = """
import sys
for name in ("keras", "tensorflow", "numpy", "h5py"):
    sys.modules[name] = None
from mutspec.keras_facts.plain_shapes import PLAIN_RULES
from mutspec.keras_facts.spatial_shapes import SPATIAL_RULES
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.structure.layer_config import layer_entry
from mutspec.structure.shape_rules import TableOracle
entry = layer_entry({"type": "LSTM", "units": "same"}, name="it", like={}, width=3)
made = TableOracle()(entry, (TensorType((None, 5, 4)),))
print(made.outputs[0].shape, [(weight.path, weight.shape) for weight in made.weights])
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    weights = [("it/kernel", (4, 12)), ("it/recurrent_kernel", (3, 12)), ("it/bias", (12,))]
    assert result.stdout.strip() == f"(None, 3) {weights}"


UNCERTAIN = (
    {"class_name": "Bidirectional", "module": "keras.layers", "config": {"name": "it"}},
    {"class_name": "MyLayer", "module": None, "registered_name": "mine>MyLayer", "config": {"name": "it"}},
    {"class_name": "Dense", "module": "mine.layers", "config": {"name": "it", "units": 3}},
    {"class_name": "Einsum", "module": "keras.src.ops.numpy", "config": {"name": "it"}},
    {"class_name": "Dense", "module": "keras.layers", "config": {"name": "it", "units": 3, "lora_rank": 2}},
    {
        "class_name": "Dense",
        "module": "keras.layers",
        "config": {
            "name": "it",
            "units": 3,
            "dtype": {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": "float32"}},
        },
    },
    {
        "class_name": "Dense",
        "module": "keras.layers",
        "config": {"name": "it", "units": 3, "dtype": "int8_from_float32"},
    },
)


@pytest.mark.parametrize("entry", UNCERTAIN)
def test_what_the_table_cannot_tell_is_asked_further(entry: dict[str, Any]) -> None:
    answer = LayerShapes((TensorType((7,)),), ())
    asked = []

    def fallback(entry: Mapping[str, Any], inputs: tuple[TensorType, ...]) -> LayerShapes:
        asked.append((entry, inputs))
        return answer

    inputs = _types(((None, 4), (None, 4)))
    assert TableOracle(fallback)(entry, inputs) is answer
    assert asked == [(entry, inputs)]


@pytest.mark.parametrize("entry", UNCERTAIN)
def test_where_nobody_else_is_to_be_asked_the_error_names_the_layer_and_what_to_install(entry: dict[str, Any]) -> None:
    with pytest.raises(EnvironmentProblem) as error:
        ORACLE(entry, _types(((None, 4),)))
    (problem,) = error.value.problems
    assert f"`it` ({entry['class_name']})" in problem.message
    assert problem.hint == "install mutspec[tensorflow]"


def test_ports_make_what_their_config_says() -> None:
    entry = _entry(_layer("InputLayer", {"shape": (3, None), "dtype": "int32", "batch_size": 2}))
    assert ORACLE(entry, ()) == LayerShapes((TensorType((2, 3, None), "int32"),), ())


def test_configs_of_keras_2_are_understood() -> None:
    entry = {"class_name": "Dense", "config": {"name": "it", "units": 3, "dtype": "float32", "batch_input_shape": [1]}}
    assert ORACLE(entry, _types(((None, 4),))).outputs == (TensorType((None, 3)),)
    policy = {"class_name": "Policy", "config": {"name": "mixed_float16"}}
    entry = {"class_name": "Conv2D", "config": {"name": "it", "filters": 3, "kernel_size": [2, 2], "dtype": policy}}
    made = ORACLE(entry, _types(((None, 4, 4, 1),)))
    assert made.outputs == (TensorType((None, 3, 3, 3), "float16"),)
    assert [weight.dtype for weight in made.weights] == ["float32", "float32"]
    entry = {"class_name": "BatchNormalization", "config": {"name": "it", "axis": [3], "dtype": "float32"}}
    inputs = _types(((None, 4, 4, 3),))
    assert ORACLE(entry, inputs) == KerasOracle()(entry, inputs)

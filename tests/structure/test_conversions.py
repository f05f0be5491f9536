"""Conversions on real models: to the other form, to the other data format, to other dtypes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError
from tests.effort import share
from tests.structure.real_networks import first_stages
from tests.zoo import attention, functional, recurrent, simple
from tests.zoo.play import assert_same_outputs, by_xla, drawn, inputs_of, mutant_of, outputs, shared, weights


def _converted(model: Any, *forms: str, **keys: Any) -> Any:
    return mutant_of(model, *({"op": "convert", "to": form, "id": f"to_{form}", **keys} for form in forms))


# Functional and Sequential

CHAINS = ("sequential", "sequential_deferred", "nested_twice_deep", "prelu", "normalizers", "bidirectional")


@pytest.mark.parametrize("name", CHAINS)
def test_a_sequential_model_becomes_functional_and_back_with_the_same_weights(name: str) -> None:
    import keras

    model = shared(name)
    values = inputs_of(model)
    functional = _converted(model, "functional")
    assert type(functional) is keras.src.models.functional.Functional
    assert functional.name == model.name
    assert weights(functional) == weights(model)
    assert_same_outputs(outputs(model, values), outputs(functional, values))
    again = _converted(functional, "sequential")
    assert type(again) is keras.Sequential
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert weights(again) == weights(model)
    assert not isinstance(functional(values[0]), list)


def test_a_functional_chain_becomes_the_sequential_model_that_keras_would_make() -> None:
    import keras

    inputs = keras.Input((6,), name="vector")
    hidden = keras.layers.Dropout(0.5, name="drop")(keras.layers.Dense(4, activation="relu", name="hidden")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, name="out")(hidden), name="chain")
    by_hand = keras.Sequential([inputs, *model.layers[1:]], name="chain")
    made = _converted(model, "sequential")
    ours, theirs = made.get_config(), by_hand.get_config()
    assert [each["config"] for each in ours["layers"]] == [each["config"] for each in theirs["layers"]]
    assert weights(made) == weights(by_hand)


def test_a_chain_with_masks_becomes_sequential_and_keeps_them() -> None:
    model = shared("embedding_mask")
    converted = _converted(model, "sequential")
    values = np.array([[1, 2, 3, 0, 0, 0, 0], [4, 5, 0, 0, 0, 0, 0]], "int32")
    assert_same_outputs(outputs(model, [values]), outputs(converted, [values]))
    assert_same_outputs(outputs(model, [values]), outputs(_converted(converted, "functional"), [values]))


def test_a_nested_model_is_converted_where_it_is() -> None:
    import keras

    model = shared("nested")
    converted = _converted(model, "functional", target="head")
    assert isinstance(converted.get_layer("head"), keras.src.models.functional.Functional)
    assert not isinstance(converted.get_layer("head"), keras.Sequential)
    values = inputs_of(model)
    assert_same_outputs(outputs(model, values), outputs(converted, values))
    back = _converted(converted, "sequential", target=["head", "encoder"])
    assert isinstance(back.get_layer("encoder"), keras.Sequential)
    assert_same_outputs(outputs(model, values), outputs(back, values))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("residual", "the output of `image` is used by `stem` and `concat`"),
        ("multiple_io", "it has 2 inputs"),
        ("called_twice", "`inner` is called 2 times"),
        ("operators", "the output of `input_layer` is used by"),
        ("sequential", "`sequential` is a Sequential model already"),
    ],
)
def test_what_is_not_a_chain_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(PlanError, match=why):
        _converted(shared(name), "sequential")


# channels_first and channels_last


def _moved(value: np.ndarray, is_moved: bool) -> np.ndarray:
    return np.moveaxis(value, -1, 1).copy() if is_moved else value


def _assert_converted(model: Any, converted: Any, relative: float = 2e-6) -> None:
    values = inputs_of(model)
    moves = [one.shape != other.shape for one, other in zip(model.inputs, converted.inputs, strict=True)]
    found = by_xla(converted, list(map(_moved, values, moves)))
    expected = outputs(model, values)
    moves = [one.shape != other.shape for one, other in zip(expected, found, strict=True)]
    assert_same_outputs(list(map(_moved, expected, moves)), found, relative)


def _volumes() -> Any:
    import keras

    layers = keras.layers
    inputs = keras.Input((6, 7, 5, 2))
    x = layers.UpSampling3D(2)(layers.Conv3D(3, 2)(inputs))
    x = layers.Cropping3D(1)(layers.ZeroPadding3D(1)(layers.MaxPooling3D(2)(x)))
    x = layers.LayerNormalization(axis=[1, 2, 3, 4])(layers.AveragePooling3D(2, padding="same")(x))
    return keras.Model(inputs, [layers.GlobalAveragePooling3D(keepdims=True)(x), layers.Flatten()(x)])


def _sequences() -> Any:
    import keras

    layers = keras.layers
    inputs = keras.Input((8,), dtype="int32")
    x = layers.Conv1D(5, 3)(layers.Embedding(7, 4)(inputs))
    x = layers.PReLU(shared_axes=[1])(layers.MaxPooling1D(2)(x))
    x = layers.GlobalMaxPooling1D()(layers.LSTM(3, return_sequences=True)(x))
    return keras.Model(inputs, x)


def _segmentation() -> Any:
    import keras

    layers = keras.layers
    inputs = keras.Input((8, 6, 3))
    x = layers.GroupNormalization(2)(layers.Conv2D(4, 3, padding="same")(inputs))
    x = layers.SpatialDropout2D(0.5)(layers.PReLU(shared_axes=[1, 2])(x))
    x = layers.UnitNormalization()(layers.RMSNormalization()(layers.DepthwiseConv2D(2, padding="same")(x)))
    y = layers.Conv2DTranspose(4, 2, strides=2, padding="same")(layers.MaxPooling2D(2)(x))
    x = layers.Concatenate()([x, y, x * 0.5 + y])
    return keras.Model(inputs, layers.Conv2D(3, 1, activation="softmax")(x))


def _attention() -> Any:
    import keras

    layers = keras.layers
    inputs = keras.Input((6, 6, 3))
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(layers.Rescaling(0.5)(inputs))
    x = layers.SeparableConv2D(4, 2, activation="relu")(x)
    gate = layers.Reshape((1, 1, 4))(layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))
    x = layers.Multiply()([x, layers.Conv2D(4, 1, activation="sigmoid")(gate)])
    tokens = layers.Reshape((25, 4), name="tokens")(layers.Dropout(0.5, noise_shape=(None, 1, 1, 1))(x))
    tokens = layers.MultiHeadAttention(2, 3)(tokens, tokens)
    return keras.Model(inputs, [layers.Permute((2, 1))(tokens), layers.Dense(2)(x), layers.Softmax()(x)])


def _nested() -> Any:
    import keras

    layers = keras.layers
    inside = keras.Input((6, 6, 4))
    conv = layers.Conv2D(4, 3, padding="same")(inside)
    block = keras.Model(inside, [conv, layers.GlobalMaxPooling2D()(conv)], name="block")
    head = keras.Sequential([layers.BatchNormalization(axis=3), layers.Conv2D(2, 2)], name="head")
    inputs = keras.Input((6, 6, 4))
    first, _ = block(inputs)
    second, vector = block(first)
    return keras.Model(inputs, {"image": head(layers.Add()([first, second])), "vector": vector})


IMAGES = {
    "volumes": _volumes,
    "sequences": _sequences,
    "segmentation": _segmentation,
    "attention": _attention,
    "nested": _nested,
}


@cache
def _image_model(name: str) -> Any:
    return drawn(IMAGES[name]()) if name in IMAGES else shared(name)


@pytest.mark.filterwarnings("ignore::mutspec.MutspecWarning")
@pytest.mark.parametrize("name", [*IMAGES, "sequential", "residual", "prelu", "normalizers"])
def test_a_model_with_channels_first_predicts_the_same(name: str) -> None:
    model = _image_model(name)
    converted = _converted(model, "channels_first")
    _assert_converted(model, converted)


@pytest.mark.filterwarnings("ignore::mutspec.MutspecWarning")
@pytest.mark.parametrize("name", [*IMAGES, "sequential", "residual", "prelu"])
def test_a_model_that_is_converted_there_and_back_predicts_the_same(name: str) -> None:
    model = _image_model(name)
    again = mutant_of(model, *({"op": "convert", "to": f"channels_{each}", "id": each} for each in ("first", "last")))
    values = inputs_of(model)
    assert [each.shape for each in again.inputs] == [each.shape for each in model.inputs]
    assert_same_outputs(outputs(model, values), outputs(again, values))


def test_a_plain_network_needs_no_permute_and_keeps_its_weights_to_the_bit() -> None:
    import keras

    keras.utils.set_random_seed(1)
    model = drawn(first_stages("MobileNetV2", 32))
    converted = _converted(model, "channels_first")
    assert len(converted.layers) == len(model.layers)
    assert converted.input_shape == (None, 3, 32, 32)
    assert weights(converted) == weights(model)
    assert {layer.axis for layer in converted.layers if "BatchNorm" in type(layer).__name__} == {1}


def test_layers_that_keep_their_order_are_named() -> None:
    with pytest.warns(
        mutspec.MutspecWarning, match=r"not converted, but put between Permute layers: `tokens` \(Reshape\)"
    ):
        _converted(_image_model("attention"), "channels_first")


def test_a_bias_that_tensorflow_would_add_along_the_wrong_axis_is_told() -> None:
    import keras

    model = keras.Sequential([keras.Input((5, 5, 2)), keras.layers.Conv2D(4, 2, name="conv")])
    with pytest.warns(mutspec.MutspecWarning, match="as wide as it has channels.*`conv`"):
        converted = _converted(model, "channels_first")
    model.layers[0].bias.assign([0.0, 1.0, 2.0, 3.0])
    converted.layers[0].set_weights(model.layers[0].get_weights())
    (expected,) = outputs(model, inputs_of(model))
    (found,) = by_xla(converted, [_moved(each, True) for each in inputs_of(model)])
    is_wrong = not np.allclose(_moved(expected, True), found, atol=1e-5)
    assert is_wrong, "Keras is right now: leave the warning out"


def test_a_model_without_images_has_no_data_format_to_convert() -> None:
    with pytest.raises(PlanError, match="no layer has another data format than channels_first"):
        _converted(shared("nested"), "channels_first")


# Dtype policies

RECURRENT = ("bidirectional", "time_distributed")


@pytest.mark.parametrize(
    ("name", "policy"),
    share(
        [
            (name, policy)
            for name in ("sequential", "residual", "nested", "transformer", "operators", *RECURRENT)
            for policy in ("mixed_bfloat16", "mixed_float16", "float16", "bfloat16", "float64")
            if policy != "bfloat16" or name not in RECURRENT  # Keras draws no orthogonal matrix in bfloat16
        ],
        of=2,
    ),
)
def test_a_model_of_another_policy_is_the_one_that_keras_builds_under_it(name: str, policy: str) -> None:
    import keras

    model = shared(name)
    mutant = mutant_of(model, {"op": "set_dtype_policy", "policy": policy, "output_policy": policy})
    build = next(
        getattr(module, name) for module in (simple, functional, recurrent, attention) if hasattr(module, name)
    )
    keras.config.set_dtype_policy(policy)
    try:
        theirs = build()
    finally:
        keras.config.set_dtype_policy("float32")
    pairs = zip(model.weights, theirs.weights, strict=True)
    theirs.set_weights([before.numpy().astype(str(after.dtype)) for before, after in pairs])
    assert [str(each.dtype) for each in mutant.weights] == [str(each.dtype) for each in theirs.weights]
    assert weights(mutant) == weights(theirs)
    values = inputs_of(model)
    for ours, expected in zip(outputs(mutant, values), outputs(theirs, values), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_the_outputs_of_a_mixed_model_stay_in_float32() -> None:
    model = mutant_of(shared("sequential"), {"op": "set_dtype_policy", "policy": "mixed_bfloat16"})
    assert {str(each.dtype) for each in model.weights} == {"float32"}
    assert model.layers[-1].dtype_policy.name == "float32"
    assert {layer.dtype_policy.name for layer in model.layers[:-1]} == {"mixed_bfloat16"}
    assert model.outputs[0].dtype == "float32"


def test_a_mixed_model_trains() -> None:
    model = mutant_of(shared("residual"), {"op": "set_dtype_policy", "policy": "mixed_bfloat16"})
    model.compile("sgd", "mse")
    loss = model.fit(inputs_of(model, 4)[0], np.zeros((4, 3)), verbose=0).history["loss"]
    assert np.isfinite(loss).all()


def test_some_layers_get_a_policy_and_a_model_stands_for_its_layers() -> None:
    model = mutant_of(shared("nested"), {"op": "set_dtype_policy", "policy": "float16", "target": "encoder"})
    policies = {layer.name: layer.dtype_policy.name for layer in model.get_layer("encoder").layers}
    assert set(policies.values()) == {"float32", "float16"}  # the first is that of the input
    assert {layer.dtype_policy.name for layer in model.get_layer("head").layers} == {"float32"}


def test_noise_before_and_after_a_cast_is_that_of_the_weights_of_the_time() -> None:
    noise = {"op": "fill", "target": "dense/bias", "value": 0.1}
    policy = {"op": "set_dtype_policy", "policy": "float16"}
    early = mutant_of(shared("sequential"), noise, policy)
    late = mutant_of(shared("sequential"), policy, noise)
    assert weights(early) == weights(late)
    assert np.asarray(late.get_layer("dense").bias)[0] == np.float16(0.1)


def test_a_layer_of_a_users_own_class_keeps_its_policy_unless_it_is_named() -> None:
    model = shared("custom_layer")
    policy = {"op": "set_dtype_policy", "policy": "float16"}
    with pytest.warns(mutspec.MutspecWarning, match="layers of your own classes keep their policy.*`gate`"):
        mutant = mutant_of(model, policy)
    assert mutant.get_layer("gate").dtype_policy.name == "float32"
    assert_same_outputs(outputs(model, inputs_of(model)), outputs(mutant, inputs_of(model)), 1e-2)
    assert mutant_of(model, {**policy, "target": "gate"}).get_layer("gate").dtype_policy.name == "float16"

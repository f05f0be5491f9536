"""Morphisms on real models: the model predicts what it did before, and what cannot be folded or deepened is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError
from mutspec.model.live import read_live
from tests.structure.real_networks import first_stages
from tests.zoo.play import drawn, mutant_of

NORMS = {"type": "BatchNormalization"}


def _fold(model: Any, target: Any = NORMS, **keys: Any) -> Any:
    return mutant_of(model, {"op": "fold_batch_normalization", "target": target, **keys})


def _predicted(model: Any, values: Any) -> list[np.ndarray]:
    import keras

    return [np.asarray(each, "float64") for each in keras.tree.flatten(model(values, training=False))]


def _assert_same(model: Any, mutant: Any, shape: tuple[int, ...], tolerance: float = 1e-5) -> None:
    values = np.random.default_rng(2).normal(size=(2, *shape)).astype("float32")
    for one, other in zip(_predicted(model, values), _predicted(mutant, values), strict=True):
        assert np.abs(one - other).max() <= tolerance * np.abs(one).max()


def _norms(model: Any) -> list[str]:
    return [each.path for each in read_live(model).spec.layers if each.class_name == "BatchNormalization"]


def _chain(*layers: Any, shape: tuple[int, ...] = (6, 6, 4)) -> Any:
    import keras

    return drawn(keras.Sequential([keras.Input(shape), *layers]))


def _pairs() -> dict[str, Callable[[Any], tuple[Any, ...]]]:
    norm = {"name": "norm"}
    return {
        "a convolution": lambda ly: (ly.Conv2D(6, 3), ly.BatchNormalization(**norm)),
        "one without a bias": lambda ly: (ly.Conv2D(6, 3, use_bias=False), ly.BatchNormalization(**norm)),
        "one in groups": lambda ly: (ly.Conv2D(6, 3, groups=2, padding="same"), ly.BatchNormalization(**norm)),
        "a depthwise one": lambda ly: (ly.DepthwiseConv2D(3, depth_multiplier=2), ly.BatchNormalization(**norm)),
        "a separable one": lambda ly: (ly.SeparableConv2D(5, 3, use_bias=False), ly.BatchNormalization(**norm)),
        "a transposed one": lambda ly: (ly.Conv2DTranspose(3, 2, strides=2), ly.BatchNormalization(**norm)),
        "a dense layer on four axes": lambda ly: (ly.Dense(5), ly.BatchNormalization(**norm)),
        "no scale": lambda ly: (ly.Conv2D(6, 3), ly.BatchNormalization(scale=False, **norm)),
        "no center": lambda ly: (ly.Conv2D(6, 3, use_bias=False), ly.BatchNormalization(center=False, **norm)),
        "neither": lambda ly: (ly.Conv2D(6, 3), ly.BatchNormalization(scale=False, center=False, **norm)),
        "another epsilon": lambda ly: (ly.Conv2D(6, 3), ly.BatchNormalization(epsilon=0.5, **norm)),
        "an axis from the start": lambda ly: (ly.Conv2D(6, 3), ly.BatchNormalization(axis=3, **norm)),
        "the layer after": lambda ly: (ly.BatchNormalization(**norm), ly.Conv2D(6, 3)),
        "the one after, without a bias": lambda ly: (ly.BatchNormalization(**norm), ly.Conv2D(6, 3, use_bias=False)),
        "the one after, in groups": lambda ly: (ly.BatchNormalization(**norm), ly.Conv2D(6, 3, groups=2)),
        "the one after, pointwise": lambda ly: (ly.BatchNormalization(**norm), ly.Conv2D(6, 1, padding="same")),
        "the one after, depthwise": lambda ly: (
            ly.BatchNormalization(**norm),
            ly.DepthwiseConv2D(2, depth_multiplier=3, use_bias=False),
        ),
        "the one after, separable": lambda ly: (
            ly.BatchNormalization(**norm),
            ly.SeparableConv2D(5, 2, depth_multiplier=2, activation="relu"),
        ),
        "the one after an activation": lambda ly: (ly.ReLU(), ly.BatchNormalization(**norm), ly.Dense(3, "tanh")),
    }


@pytest.mark.parametrize("name", _pairs())
def test_a_folded_model_predicts_the_same_without_the_normalization(name: str) -> None:
    from keras import layers

    model = _chain(*_pairs()[name](layers))
    folded = _fold(model)
    assert not _norms(folded)
    _assert_same(model, folded, (6, 6, 4))


def test_the_folded_weights_are_what_numpy_says() -> None:
    from keras import layers

    model = _chain(layers.Dense(5, use_bias=False, name="dense"), layers.BatchNormalization(), shape=(4,))
    kernel, gamma, beta, mean, variance = (np.asarray(each, "float64") for each in model.get_weights())
    scale = gamma / np.sqrt(variance + 1e-3)
    folded = _fold(model)
    np.testing.assert_allclose(folded.layers[0].kernel, kernel * scale, rtol=1e-6)
    np.testing.assert_allclose(folded.layers[0].bias, beta - mean * scale, rtol=1e-5, atol=1e-7)


def test_the_report_lists_the_biases_that_layers_get() -> None:
    import keras

    ly = keras.layers
    model = _chain(ly.Conv2D(6, 3, use_bias=False, name="conv"), ly.BatchNormalization(), ly.Dense(2, name="dense"))
    plan = mutspec.plan({"mutspec": 1, "steps": [{"op": "fold_batch_normalization", "target": NORMS}]})
    report = mutspec.dry_run(plan, model)
    assert "~ conv (Conv2D): + bias, 6 parameters" in str(report)
    edits = {each["layer"]: each for each in report.to_json()["steps"][0]["layers"]}
    assert (edits["conv"]["new_weights"], edits["conv"]["parameters"]) == (["bias"], 6)


def test_channels_that_come_first_are_folded() -> None:
    from keras import layers

    first = {"data_format": "channels_first"}
    model = _chain(layers.Conv2D(4, 3, **first), layers.BatchNormalization(axis=1), shape=(2, 5, 5))
    kernel, _, gamma, _, _, variance = model.get_weights()
    folded = _fold(model)
    np.testing.assert_allclose(folded.layers[0].kernel, kernel * gamma / np.sqrt(variance + 1e-3), rtol=1e-5)
    assert folded.output_shape == model.output_shape


def _application(name: str, size: int) -> Any:
    import keras

    keras.utils.set_random_seed(1)
    model = first_stages(name, size)
    random = np.random.default_rng(4)
    for weight in model.weights:  # statistics near those that such a layer would have, so that signals stay in range
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.8, 1.2, weight.shape).astype("float32"))
        elif weight.name in ("beta", "moving_mean"):
            weight.assign(random.uniform(-0.1, 0.1, weight.shape).astype("float32"))
    return model


@pytest.mark.parametrize("name", ["ResNet50", "MobileNetV2"])
def test_all_normalizations_of_a_real_network_fold(name: str) -> None:
    model = _application(name, 32)
    folded = _fold(model)
    assert _norms(model)
    assert not _norms(folded)
    _assert_same(model, folded, (32, 32, 3))


def test_what_cannot_be_folded_stays_if_the_step_says_so() -> None:
    import keras

    inputs = keras.Input((6, 6, 4))
    first = keras.layers.Conv2D(4, 3, activation="relu", padding="same")(inputs)
    kept = keras.layers.BatchNormalization(name="kept")(first)
    second = keras.layers.Conv2D(4, 3, padding="same")(kept)
    model = drawn(keras.Model(inputs, keras.layers.BatchNormalization(name="gone")(second)))
    with pytest.raises(PlanError, match=r"`kept` cannot be folded.*activation relu.*pads its input with zeros"):
        _fold(model)
    with pytest.warns(mutspec.MutspecWarning, match=r"`kept` is not folded: before it"):
        folded = _fold(model, on_unfoldable="skip")
    assert _norms(folded) == ["kept"]
    _assert_same(model, folded, (6, 6, 4))


def test_a_layer_that_is_used_elsewhere_is_not_folded_into() -> None:
    import keras

    inputs = keras.Input((4,))
    dense = keras.layers.Dense(4, name="dense")(inputs)
    norm = keras.layers.BatchNormalization(name="norm")(dense)
    model = drawn(keras.Model(inputs, keras.layers.Add(name="add")([norm, dense])))
    with pytest.raises(PlanError, match=r"`dense` is used by `add` too; after it, `add` is an Add"):
        _fold(model)


def test_layers_of_a_nested_model_that_is_called_twice_are_folded_once() -> None:
    import keras

    inside = keras.Input((4,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(6, use_bias=False)(inside))
    encoder = keras.Model(inside, keras.layers.Dense(4)(hidden), name="encoder")
    inputs = keras.Input((4,))
    model = drawn(keras.Model(inputs, encoder(encoder(inputs))))
    folded = _fold(model)
    assert not _norms(folded)
    _assert_same(model, folded, (4,))


def test_a_pair_that_is_called_twice_is_folded_at_both_places() -> None:
    import keras

    dense, norm = keras.layers.Dense(4, use_bias=False), keras.layers.BatchNormalization()
    left, right = keras.Input((4,)), keras.Input((4,))
    model = drawn(keras.Model([left, right], keras.layers.Concatenate()([norm(dense(left)), norm(dense(right))])))
    folded = _fold(model)
    values = [np.random.default_rng(each).normal(size=(3, 4)).astype("float32") for each in (1, 2)]
    np.testing.assert_allclose(folded(values), model(values), rtol=1e-5, atol=1e-6)
    assert len(folded.layers) == len(model.layers) - 1


def test_steps_on_weights_before_and_after_see_the_folded_weights() -> None:
    from keras import layers

    model = _chain(layers.Dense(5, use_bias=False, name="dense"), layers.BatchNormalization(name="norm"), shape=(4,))
    scaled = {"op": "scale", "factor": 2.0}
    once = mutant_of(
        model,
        {**scaled, "id": "before", "target": "norm/gamma"},
        {"op": "fold_batch_normalization", "target": "norm"},
        {**scaled, "id": "after", "target": ["dense/kernel", "dense/bias"]},
    )
    kernel, gamma, beta, mean, variance = (np.asarray(each, "float64") for each in model.get_weights())
    scale = 2 * gamma / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(once.layers[0].kernel, 2 * kernel * scale, rtol=1e-5)
    np.testing.assert_allclose(once.layers[0].bias, 2 * (beta - mean * scale), rtol=1e-5, atol=1e-6)


def test_the_folded_layer_is_reported_as_configured_and_its_kernel_as_changed() -> None:
    from keras import layers

    model = _chain(layers.Dense(5, use_bias=False, name="dense"), layers.BatchNormalization(name="norm"), shape=(4,))
    plan = mutspec.plan({"steps": [{"op": "fold_batch_normalization", "target": NORMS}]})
    step = mutspec.dry_run(plan, model).steps[0]
    assert {(str(edit.kind), edit.layer) for edit in step.edits} == {("removed", "norm"), ("configured", "dense")}
    assert [(each.layer, each.weight) for each in step.targets] == [("dense", "kernel")]


def _deepened(model: Any, target: Any, **keys: Any) -> Any:
    return mutant_of(model, {"op": "deepen", "target": target, **keys})


@pytest.mark.parametrize("has_norm", [False, True])
@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_a_deeper_model_predicts_the_same(rank: int, has_norm: bool) -> None:
    from keras import layers

    made = getattr(layers, f"Conv{rank}D")(4, 3, activation="relu") if rank else layers.Dense(4, activation="relu")
    model = _chain(made, layers.Dense(2), shape=(*(5,) * rank, 3))
    deeper = _deepened(model, made.name, batch_normalization=has_norm)
    kinds = [type(layer).__name__ for layer in deeper.layers]
    name = type(made).__name__
    assert kinds == [name, name, *(["BatchNormalization", "Activation"] if has_norm else []), "Dense"]
    _assert_same(model, deeper, (*(5,) * rank, 3), 1e-6)


def test_the_new_layer_comes_after_an_activation_that_is_a_layer() -> None:
    from keras import layers

    model = _chain(layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(), layers.ReLU(max_value=6))
    deeper = _deepened(model, "conv")
    kinds = [type(layer).__name__ for layer in deeper.layers]
    assert kinds == ["Conv2D", "BatchNormalization", "ReLU", "Conv2D", "ReLU"]
    assert deeper.layers[-1].max_value == 6
    assert deeper.layers[3].kernel_size == (3, 3)
    _assert_same(model, deeper, (6, 6, 4), 1e-6)


def test_an_activation_that_changes_its_own_outputs_is_refused() -> None:
    from keras import layers

    model = _chain(layers.Dense(4, activation="sigmoid", name="dense"), shape=(3,))
    with pytest.raises(PlanError, match=r"another `sigmoid` changes the values"):
        _deepened(model, "dense")
    deeper = _deepened(model, "dense", activation="relu")
    _assert_same(model, deeper, (3,), 1e-6)


def test_a_block_of_a_real_network_is_deepened() -> None:
    model = _application("MobileNetV2", 32)
    deeper = _deepened(model, ["Conv1", "block_3_expand"], kernel_size=1)
    assert len(deeper.layers) == len(model.layers) + 4
    _assert_same(model, deeper, (32, 32, 3), 1e-6)


def test_a_deeper_model_trains() -> None:
    from keras import layers

    model = _chain(layers.Dense(4, activation="relu", name="dense"), layers.Dense(1), shape=(3,))
    deeper = _deepened(model, "dense", batch_normalization=True)
    deeper.compile("sgd", "mse")
    history = deeper.fit(np.ones((8, 3)), np.zeros((8, 1)), epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]

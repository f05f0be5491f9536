"""Other channels of an input: the layers that read them predict what follows from their old weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError
from tests.zoo.play import drawn, mutant_of, outputs, weights

GREY = np.random.default_rng(3).uniform(-1, 1, (2, 6, 6, 1)).astype("float32")
COLOUR = np.random.default_rng(4).uniform(-1, 1, (2, 6, 6, 3)).astype("float32")
LUMINOSITY = np.array([0.299, 0.587, 0.114], "float32")


def with_channels(model: Any, **keys: Any) -> Any:
    return mutant_of(model, {"op": "set_input", **keys})


def built(build: Callable[[Any, Any], Any], shape: tuple[int, ...] = (6, 6, 3)) -> Any:
    import keras

    given = keras.Input(shape, name="image")
    return drawn(keras.Model(given, build(keras.layers, given)))


def plain(ly: Any, x: Any) -> Any:
    x = ly.Conv2D(4, 3, activation="relu", name="conv")(ly.ZeroPadding2D()(ly.Rescaling(0.5)(x)))
    return ly.Dense(2)(ly.Flatten()(x))


def branched(ly: Any, x: Any) -> Any:
    one, two = ly.Conv2D(4, 3, groups=1, name="one")(x), ly.Conv2D(4, 3, name="two")(ly.ReLU()(x))
    return ly.Dense(2)(ly.GlobalAveragePooling2D()(ly.Concatenate()([one, two])))


def flat(ly: Any, x: Any) -> Any:
    return ly.Dense(4, name="hidden")(ly.Flatten()(x))


def nested(ly: Any, x: Any) -> Any:
    import keras

    given = keras.Input((6, 6, 3))
    inner = keras.Model(given, ly.Conv2D(3, 3, name="conv")(given), name="backbone")
    return ly.Dense(2)(ly.Flatten()(inner(x)))


def deferred(ly: Any, x: Any) -> Any:
    import keras

    inner = keras.Sequential([ly.Conv2D(3, 3, name="conv"), ly.ReLU()], name="backbone")
    return ly.Dense(2)(ly.Flatten()(inner(x)))


def first(ly: Any, x: Any) -> Any:
    return ly.Flatten()(ly.Conv2D(4, 1, data_format="channels_first", name="conv")(ly.Rescaling(0.5)(x)))


def first_in_a_model(ly: Any, x: Any) -> Any:
    import keras

    given = keras.Input((3, 6, 6))
    return ly.Flatten()(keras.Model(given, first(ly, given), name="backbone")(ly.ReLU()(x)))


READERS = {each.__name__: each for each in (plain, branched, flat, nested, deferred)}


@cache
def model_of(name: str) -> Any:
    return built(READERS[name])


def assert_alike(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", READERS)
def test_one_channel_by_sum_predicts_what_three_equal_ones_did(name: str) -> None:
    model = model_of(name)
    mutant = with_channels(model, channels=1, **{"from": "sum"})
    assert mutant.input_shape == (None, 6, 6, 1)
    assert_alike(outputs(mutant, [GREY])[0], outputs(model, [np.repeat(GREY, 3, axis=-1)])[0])


@pytest.mark.parametrize("name", READERS)
def test_one_channel_by_luminosity_predicts_what_its_parts_did(name: str) -> None:
    model = model_of(name)
    if name == "branched":  # a ReLU of parts is not a part of the ReLU of a negative number, but of each alike
        assert (LUMINOSITY > 0).all()
    mutant = with_channels(model, channels=1, **{"from": "luminosity"})
    assert_alike(outputs(mutant, [GREY])[0], outputs(model, [GREY * LUMINOSITY])[0])


@pytest.mark.parametrize("name", READERS)
def test_one_channel_by_mean_predicts_what_three_thirds_did_and_rescaled_it_is_the_sum(name: str) -> None:
    model = model_of(name)
    mutant = with_channels(model, channels=1, **{"from": "mean"})
    assert_alike(outputs(mutant, [GREY])[0], outputs(model, [np.repeat(GREY / 3, 3, axis=-1)])[0])
    mutant = with_channels(model, channels=1, rescale="keep_sum", **{"from": "mean"})
    assert_alike(outputs(mutant, [GREY])[0], outputs(model, [np.repeat(GREY, 3, axis=-1)])[0])


@pytest.mark.parametrize("name", READERS)
def test_three_of_one_share_its_weights(name: str) -> None:
    model = with_channels(model_of(name), channels=1, **{"from": "sum"})
    mutant = with_channels(model, rescale="keep_sum", **{"from": [0, 0, 0]})
    assert mutant.input_shape == (None, 6, 6, 3)
    assert_alike(outputs(mutant, [np.repeat(GREY, 3, axis=-1)])[0], outputs(model, [GREY])[0])


@pytest.mark.parametrize("name", READERS)
def test_a_fourth_channel_that_copies_the_first_keeps_predictions_if_it_shows_the_same(name: str) -> None:
    model = model_of(name)
    mutant = with_channels(model, rescale="keep_sum", **{"from": [0, 1, 2, 0]})
    four = COLOUR[..., [0, 1, 2, 0]]
    assert_alike(outputs(mutant, [four])[0], outputs(model, [COLOUR])[0])


@pytest.mark.parametrize("name", READERS)
def test_channels_that_are_read_with_zeros_change_nothing(name: str) -> None:
    model = model_of(name)
    mutant = with_channels(model, channels=8, **{"from": "zero"})
    more = np.concatenate([COLOUR, np.random.default_rng(1).normal(size=(2, 6, 6, 5)).astype("float32")], axis=-1)
    assert_alike(outputs(mutant, [more])[0], outputs(model, [COLOUR])[0])


def test_new_channels_are_read_by_the_mean_the_sum_or_as_the_initializer_says() -> None:
    model = model_of("plain")
    kernel = model.get_layer("conv").kernel.numpy()
    for source, wanted in (
        ("mean", kernel.mean(axis=2)),
        ("sum", kernel.sum(axis=2)),
        ("luminosity", (kernel * LUMINOSITY[:, None]).sum(axis=2)),
    ):
        found = with_channels(model, channels=5, **{"from": source}).get_layer("conv").kernel.numpy()
        np.testing.assert_array_equal(found[:, :, :3], kernel)
        np.testing.assert_allclose(found[:, :, 3], wanted, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found[:, :, 4], found[:, :, 3])
    found = with_channels(model, channels=5, **{"from": "default"}).get_layer("conv").kernel.numpy()
    assert len(np.unique(found[:, :, 3:])) == 3 * 3 * 2 * 4


def test_with_the_mean_all_are_scaled_where_the_sum_is_kept() -> None:
    model = model_of("plain")
    kernel = model.get_layer("conv").kernel.numpy()
    found = with_channels(model, channels=4, rescale="keep_sum", **{"from": "mean"}).get_layer("conv").kernel.numpy()
    np.testing.assert_allclose(found.sum(axis=2), kernel.sum(axis=2), rtol=1e-4, atol=1e-5)


def test_channels_may_go_and_change_places() -> None:
    model = model_of("plain")
    mutant = with_channels(model, **{"from": [2, 0]})
    filled = np.zeros_like(COLOUR)
    filled[..., [2, 0]] = COLOUR[..., :2]
    assert_alike(outputs(mutant, [COLOUR[..., :2].copy()])[0], outputs(model, [filled])[0])
    mutant = with_channels(model, **{"from": [2, 1, 0]})  # of BGR
    assert_alike(outputs(mutant, [COLOUR])[0], outputs(model, [COLOUR[..., ::-1].copy()])[0])


def normalized(ly: Any, x: Any) -> Any:
    x = ly.BatchNormalization(name="norm")(x)
    x = ly.DepthwiseConv2D(3, depth_multiplier=2, name="deep")(x)
    return ly.Dense(2)(ly.Flatten()(ly.Conv2D(4, 1, name="point")(x)))


def test_weights_of_each_channel_follow_copies() -> None:
    model = built(normalized)
    mutant = with_channels(model, rescale="keep_sum", **{"from": [0, 1, 2, 0]})
    assert_alike(outputs(mutant, [COLOUR[..., [0, 1, 2, 0]]])[0], outputs(model, [COLOUR])[0])
    gammas = [each.get_layer("norm").gamma.numpy() for each in (model, mutant)]
    np.testing.assert_array_equal(gammas[1], gammas[0][[0, 1, 2, 0]])
    found = with_channels(model, channels=4, **{"from": "mean"}).get_layer("norm").gamma.numpy()
    np.testing.assert_allclose(found[3], gammas[0].mean(), rtol=1e-6)


def test_values_that_a_layer_states_for_each_channel_follow_copies() -> None:
    model = built(lambda ly, x: flat(ly, ly.Rescaling([1.0, 2.0, 3.0], name="scales")(x)))
    mutant = with_channels(model, rescale="keep_sum", **{"from": [0, 1, 2, 0]})
    assert mutant.get_layer("scales").scale == [1.0, 2.0, 3.0, 1.0]
    assert_alike(outputs(mutant, [COLOUR[..., [0, 1, 2, 0]]])[0], outputs(model, [COLOUR])[0])


def test_the_size_and_dtype_change_with_them() -> None:
    import keras

    layers = [keras.Input((6, 6, 3)), keras.layers.Conv2D(2, 3), keras.layers.GlobalMaxPooling2D()]
    mutant = with_channels(drawn(keras.Sequential(layers)), channels=1, size=9, batch_size=2, **{"from": "sum"})
    assert mutant.input_shape == (2, 9, 9, 1)
    assert mutant.layers[0].kernel.shape == (3, 3, 1, 2)


def test_features_are_channels_too() -> None:
    model = built(lambda ly, x: ly.Dense(2)(ly.Dense(4, "relu")(x)), (3,))
    mutant = with_channels(model, channels=5, **{"from": "zero"})
    given = np.ones((2, 5), "float32")
    assert_alike(outputs(mutant, [given])[0], outputs(model, [given[:, :3]])[0])


@pytest.mark.parametrize("build", [first, first_in_a_model])
def test_channels_first_are_the_first_axis(build: Callable[[Any, Any], Any]) -> None:
    mutant = with_channels(built(build, (3, 6, 6)), channels=1, **{"from": "sum"})
    assert mutant.input_shape == (None, 1, 6, 6)
    (conv,) = (each for each in mutant._flatten_layers() if each.name == "conv")
    assert conv.kernel.shape == (1, 1, 1, 4)


def siamese() -> Any:
    import keras

    one, two = keras.Input((6, 6, 3), name="one"), keras.Input((6, 6, 3), name="two")
    conv = keras.layers.Conv2D(3, 2, name="conv")
    return drawn(keras.Model([one, two], [conv(one), conv(two)]))


@pytest.mark.filterwarnings("ignore:.*the input `two` follows:mutspec.MutspecWarning")
def test_another_input_that_the_same_layers_read_follows() -> None:
    mutant = with_channels(siamese(), input="one", channels=1, **{"from": "sum"})
    assert [each.shape for each in mutant.inputs] == [(None, 6, 6, 1)] * 2


REFUSED: dict[str, tuple[Callable[[], Any], dict[str, Any], str, str]] = {
    "no way": (lambda: model_of("plain"), {"channels": 1}, "`channels` needs `from`", "mean"),
    "no number": (lambda: model_of("plain"), {"from": "sum"}, "needs `channels`", "channels: 1"),
    "two numbers": (lambda: model_of("plain"), {"from": [0], "channels": 2}, "names 1 channels", "leave"),
    "the whole shape": (lambda: model_of("plain"), {"from": [0], "shape": [6, 6, 1]}, "`shape` says", "size"),
    "a sum that is kept anyway": (
        lambda: model_of("plain"), {"from": "sum", "channels": 1, "rescale": "keep_sum"}, "`rescale` is for", "leave"),
    "a channel that is not there": (lambda: model_of("plain"), {"from": [3]}, "and no channel 3", "from 0 to 2"),
    "the same channels": (lambda: model_of("plain"), {"from": [0, 1, 2]}, "has these channels already", "leave"),
    "brightness of two": (
        lambda: built(plain, (6, 6, 2)), {"from": "luminosity", "channels": 1}, "red, green and blue", "mean"),
    "one of several statistics": (
        lambda: built(normalized), {"from": "sum", "channels": 1}, "`norm` has weights for each channel", "from: [0]"),
    "lists of scales": (
        lambda: built(lambda ly, x: flat(ly, ly.Rescaling([1.0, 2.0, 3.0], name="scales")(x))),
        {"from": "mean", "channels": 1}, "`scales` states a value for each channel", "copy channels"),
    "an output": (
        lambda: built(lambda ly, x: ly.Add()([x, ly.Conv2D(3, 1)(x)])),
        {"from": "mean", "channels": 1}, "they are an output of the model", "insert a layer"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_follow_is_named_with_the_way_on(what: str) -> None:
    model, keys, message, hint = REFUSED[what]
    with pytest.raises(PlanError) as caught:
        with_channels(model(), **keys)
    problem = caught.value.problems[0]
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_from_file_to_file_it_is_the_mutant_in_memory(suffix: str, tmp_path: Path) -> None:
    import keras

    model = model_of("nested")
    model.save(tmp_path / f"base{suffix}")
    plan = mutspec.plan({"steps": [{"op": "set_input", "channels": 1, "from": "luminosity"}]})
    mutspec.apply(plan, tmp_path / f"base{suffix}", tmp_path / f"out{suffix}")
    loaded = keras.saving.load_model(tmp_path / f"out{suffix}")
    assert weights(loaded) == weights(mutspec.apply(plan, model))
    assert loaded.get_layer("backbone").input_shape == (None, 6, 6, 1)

"""A layer that takes another's place keeps its name, and what it is told to keep of its arguments and weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError

Weights = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def images() -> keras.Model:
    keras.utils.set_random_seed(3)
    options: dict[str, Any] = {"strides": 2, "padding": "same", "kernel_regularizer": "l2"}
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(6, (3, 5), activation="relu", bias_regularizer="l1", name="conv", **options),
            keras.layers.BatchNormalization(epsilon=0.5, center=False, name="norm"),
            keras.layers.GlobalAveragePooling2D(name="pool"),
            keras.layers.Dense(4, name="dense", trainable=False),
            keras.layers.Dense(2, name="head"),
        ]
    )


@pytest.fixture(scope="module")
def sequence() -> keras.Model:
    keras.utils.set_random_seed(4)
    inner = keras.layers.LSTM(3, return_sequences=True, recurrent_activation="hard_sigmoid", name="lstm")
    return keras.Sequential([keras.Input((5, 4)), inner, keras.layers.GlobalMaxPooling1D(name="pool")])


def replaced(model: keras.Model, target: Any, layer: dict[str, Any], **keys: Any) -> keras.Model:
    step = {"op": "replace_layer", "id": "new", "target": target, "layer": layer, **keys}
    return mutspec.apply(mutspec.plan({"steps": [step]}), model)


def replaced_with_warning(model: keras.Model, target: Any, layer: dict[str, Any], **keys: Any) -> tuple[Any, str]:
    with pytest.warns(mutspec.MutspecWarning) as told:
        mutant = replaced(model, target, layer, **keys)
    return mutant, " | ".join(str(each.message) for each in told)


# Names


@pytest.mark.parametrize("form", [{}, {"name": "same"}])
def test_the_name_stays(form: dict[str, Any], images: keras.Model) -> None:
    mutant = replaced(images, "dense", {"type": "Dense", "units": 4, **form})
    assert [each.name for each in mutant.layers] == ["conv", "norm", "pool", "dense", "head"]


def test_a_name_that_is_given_is_taken(images: keras.Model) -> None:
    for layer in (
        {"type": "Dense", "units": 4, "name": "x"},
        {"class_name": "Dense", "config": {"units": 4, "name": "x"}},
    ):
        assert replaced(images, "dense", layer).layers[3].name == "x"


def test_several_layers_keep_each_their_name(images: keras.Model) -> None:
    mutant = replaced(images, {"type": "Dense"}, {"type": "Dense", "units": "same", "activation": "relu"})
    assert [each.name for each in mutant.layers[3:]] == ["dense", "head"]
    assert all(each.activation is keras.activations.relu for each in mutant.layers[3:])


# Arguments


def test_a_separable_convolution_inherits_what_a_convolution_has_too(images: keras.Model) -> None:
    new = replaced(images, "conv", {"type": "SeparableConv2D", "depth_multiplier": 2}, inherit=True).get_layer("conv")
    assert (new.filters, new.kernel_size, new.strides, new.padding) == (6, (3, 5), (2, 2), "same")
    assert new.activation is keras.activations.relu
    assert isinstance(new.bias_regularizer, keras.regularizers.L1)
    assert new.depth_multiplier == 2
    assert new.depthwise_regularizer is None  # which a convolution does not have


def test_an_argument_in_the_layer_wins(images: keras.Model) -> None:
    layer = {"type": "SeparableConv2D", "kernel_size": 3, "activation": None, "strides": [2, 2]}
    new = replaced(images, "conv", layer, inherit=True).get_layer("conv")
    assert (new.kernel_size, new.activation) == ((3, 3), keras.activations.linear)


def test_without_inherit_an_argument_that_is_needed_is_missing(images: keras.Model) -> None:
    with pytest.raises(PlanError, match="a SeparableConv2D needs `filters`"):
        replaced(images, "conv", {"type": "SeparableConv2D"})


def test_arguments_that_the_old_layer_leaves_out_are_inherited_with_its_defaults(sequence: keras.Model) -> None:
    """A LSTM that a plan adds does not state its activation. A SimpleRNN has the same one by its own default."""
    plan = mutspec.plan(
        {
            "steps": [
                {"op": "replace_layer", "id": "a", "target": "lstm", "layer": {"type": "LSTM", "units": 3}},
                {"op": "replace_layer", "id": "b", "target": "lstm", "layer": {"type": "GRU"}, "inherit": True},
            ]
        }
    )
    with pytest.raises(PlanError, match="`pool`"):  # return_sequences is false by default, and is inherited
        mutspec.apply(plan, sequence)
    new = replaced(sequence, "lstm", {"type": "GRU"}, inherit=True).get_layer("lstm")
    assert new.return_sequences
    assert new.recurrent_activation is keras.activations.hard_sigmoid


def test_arguments_of_the_same_name_with_another_meaning_are_not_inherited(images: keras.Model) -> None:
    new = replaced(images, "norm", {"type": "GroupNormalization", "groups": 3}, inherit=True).get_layer("norm")
    assert (new.epsilon, new.center, new.scale, new.groups) == (0.5, False, True, 3)
    rescaled = replaced(images, "norm", {"type": "Rescaling", "scale": 2.0}, inherit=True).get_layer("norm")
    assert rescaled.scale == 2.0
    with pytest.raises(PlanError, match="a Rescaling needs `scale`"):
        replaced(images, "norm", {"type": "Rescaling"}, inherit=True)


def test_a_frozen_layer_stays_frozen_only_if_it_is_inherited(images: keras.Model) -> None:
    layer = {"type": "Dense", "units": 4}
    assert not replaced(images, "dense", layer, inherit=True).get_layer("dense").trainable
    assert replaced(images, "dense", layer).get_layer("dense").trainable


def test_a_value_that_the_new_class_does_not_take_is_left_out() -> None:
    sound = keras.Sequential([keras.Input((9, 3)), keras.layers.Conv1D(4, 3, padding="causal", name="conv")])
    layer = {"type": "Conv1DTranspose", "padding": "same"}
    assert replaced(sound, "conv", layer, inherit=True).get_layer("conv").filters == 4
    assert replaced(sound, "conv", {"type": "Conv1DTranspose"}, inherit=True).get_layer("conv").padding == "valid"


def test_a_mixed_precision_is_kept() -> None:
    keras.utils.set_random_seed(1)
    layer = keras.layers.Conv2D(4, 3, dtype="mixed_float16", name="conv")
    model = keras.Sequential([keras.Input((8, 8, 3)), layer])
    new = replaced(model, "conv", {"type": "DepthwiseConv2D"}, inherit=True).get_layer("conv")
    assert new.dtype_policy.name == "mixed_float16"
    assert new.kernel_size == (3, 3)


def test_nothing_is_inherited_from_a_model_or_by_a_class_of_ones_own(images: keras.Model) -> None:
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)], name="inner")
    model = keras.Sequential([keras.Input((4,)), inner])
    with pytest.raises(PlanError, match="`inner` is a model, which has no arguments to inherit") as caught:
        replaced(model, "inner", {"type": "Dense", "units": 4}, inherit=True)
    assert caught.value.problems[0].path == ("steps", 0, "inherit")
    with pytest.raises(PlanError, match="`mine>Layer` is a class of your own"):
        replaced(images, "dense", {"type": "mine>Layer"}, inherit=True)


# Weights


def test_a_layer_without_weights_takes_the_place_of_one_with_some(images: keras.Model) -> None:
    mutant = replaced(images, "norm", {"type": "Rescaling", "scale": 2.0})
    assert len(mutant.weights) == len(images.weights) - 3


def test_what_fits_is_kept_and_what_does_not_is_told(images: keras.Model) -> None:
    with pytest.warns(mutspec.MutspecWarning, match=r"keeps none of the weights of `head`: kernel was 4×2, and is 4×3"):
        replaced(images, "head", {"type": "Dense", "units": 3}, keep_weights=True)
    mutant, told = replaced_with_warning(images, "conv", {"type": "SeparableConv2D"}, inherit=True, keep_weights=True)
    assert "keeps 1 of 2 weights of `conv`: kernel (3×5×3×6) has no place in a SeparableConv2D" in told
    np.testing.assert_array_equal(mutant.get_layer("conv").bias, images.get_layer("conv").bias)
    with pytest.warns(mutspec.MutspecWarning, match="keeps nothing of `pool`, which has no weights"):
        replaced(images, "pool", {"type": "GlobalMaxPooling2D"}, keep_weights=True)


def test_nothing_is_told_where_all_is_kept(images: keras.Model) -> None:
    mutant = replaced(images, "head", {"type": "Dense", "activation": "relu"}, inherit=True, keep_weights=True)
    assert all(np.array_equal(a, b) for a, b in zip(mutant.get_weights(), images.get_weights(), strict=True))


def test_a_dry_run_tells_it_too_and_many_are_told_shortly() -> None:
    layers = [keras.layers.Dense(4, name=f"d{number}") for number in range(6)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    layer = {"type": "EinsumDense", "equation": "ab,bc->ac", "output_shape": 4}
    step = {"op": "replace_layer", "target": {"type": "Dense"}, "layer": layer, "keep_weights": True}
    told = [str(each) for each in mutspec.dry_run(mutspec.plan({"steps": [step]}), model).warnings]
    assert len(told) == 4
    assert "keeps 1 of 2 weights of `d0`: bias (4) has no place in an EinsumDense" in told[0]
    assert "3 more layers are alike" in told[3]


@pytest.mark.parametrize("units", [3, 1])
def test_of_a_dense_layer_of_another_width_the_common_part_is_kept(units: int, images: keras.Model) -> None:
    layer = {"type": "Dense", "units": units}
    fresh = replaced(images, "head", layer).get_layer("head").get_weights()
    sliced = replaced(images, "head", layer, keep_weights="slice").get_layer("head").get_weights()
    common = min(units, 2)
    for new, old, ours in zip(fresh, images.get_layer("head").get_weights(), sliced, strict=True):
        expected = new.copy()
        expected[..., :common] = old[..., :common]
        np.testing.assert_array_equal(ours, expected)


def test_of_a_convolution_the_common_corner_is_kept_over_all_axes(images: keras.Model) -> None:
    layer = {"type": "Conv2D", "filters": 6, "kernel_size": [5, 3], "strides": 2, "padding": "same"}
    fresh = replaced(images, "conv", layer).get_layer("conv").get_weights()[0]
    sliced = replaced(images, "conv", layer, keep_weights="slice").get_layer("conv").get_weights()
    expected = fresh.copy()
    expected[:3, :3] = images.get_layer("conv").get_weights()[0][:3, :3]
    np.testing.assert_array_equal(sliced[0], expected)
    np.testing.assert_array_equal(sliced[1], images.get_layer("conv").get_weights()[1])


GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}


@pytest.mark.parametrize("units", [5, 2])
@pytest.mark.parametrize("name", GATES)
def test_of_a_recurrent_layer_the_units_of_each_gate_are_kept(name: str, units: int) -> None:
    """So units of a wider layer compute what they did, if they do not hear the new ones."""
    keras.utils.set_random_seed(6)
    make = getattr(keras.layers, name)
    model = keras.Sequential(
        [keras.Input((5, 4)), make(3, return_sequences=True, bias_initializer="normal", name="rnn")]
    )
    options = {"return_sequences": True, "recurrent_initializer": "zeros"}
    mutant = replaced(model, "rnn", {"type": name, "units": units, **options}, keep_weights="slice")
    common = min(3, units)
    for role, (old, new) in enumerate(zip(model.get_weights(), mutant.get_weights(), strict=True)):
        by_gate = [each.reshape(*each.shape[:-1], GATES[name], -1) for each in (old, new)]
        rows = slice(None, common) if role == 1 else slice(None)
        np.testing.assert_array_equal(by_gate[1][rows][..., :common], by_gate[0][rows][..., :common])
    if units > 3:
        x = np.random.default_rng(0).standard_normal((2, 5, 4)).astype("float32")
        np.testing.assert_allclose(mutant.predict(x, verbose=0)[..., :3], model.predict(x, verbose=0), atol=1e-6)


def test_weights_of_gates_of_another_kind_are_not_mixed(sequence: keras.Model) -> None:
    mutant, told = replaced_with_warning(sequence, "lstm", {"type": "GRU"}, inherit=True, keep_weights="slice")
    assert "keeps none of the weights of `lstm`: kernel was 4×16" not in told
    assert "kernel was 4×12, and is 4×9 now; recurrent_kernel was 3×12, and is 3×9 now; bias was 12, and is 2×9" in told
    assert mutant.get_layer("lstm").get_weights()[0].shape == (4, 9)


def test_heads_of_attention_are_kept() -> None:
    keras.utils.set_random_seed(2)
    x = keras.Input((5, 6))
    model = keras.Model(x, keras.layers.MultiHeadAttention(2, 3, name="mha")(x, x))
    layer = {"type": "MultiHeadAttention", "num_heads": 4, "key_dim": 3}
    mutant = replaced(model, "mha", layer, keep_weights="slice")
    for old, new in zip(model.get_weights(), mutant.get_weights(), strict=True):
        np.testing.assert_array_equal(new[tuple(map(slice, old.shape))], old)


def test_steps_before_are_in_what_is_kept_and_steps_after_change_it(images: keras.Model) -> None:
    steps = [
        {"op": "fill", "id": "a", "target": "head/kernel", "value": 7.0},
        {
            "op": "replace_layer",
            "id": "b",
            "target": "head",
            "layer": {"type": "Dense", "units": 3},
            "keep_weights": "slice",
        },
        {"op": "shift", "id": "c", "target": "head/kernel", "by": 1.0},
    ]
    kernel = mutspec.apply(mutspec.plan({"steps": steps}), images).get_layer("head").get_weights()[0]
    assert (kernel[:, :2] == 8).all()
    assert not (kernel[:, 2] == 8).any()


def test_a_file_gets_the_same_parts_as_a_model_in_memory(images: keras.Model, tmp_path: Any) -> None:
    images.save(tmp_path / "base.keras")
    step = {"op": "replace_layer", "target": "head", "layer": {"type": "Dense", "units": 3}, "keep_weights": "slice"}
    plan = mutspec.plan({"steps": [step]})
    mutspec.apply(plan, tmp_path / "base.keras", tmp_path / "out.keras")
    live = mutspec.apply(plan, images).get_weights()
    loaded = keras.saving.load_model(tmp_path / "out.keras").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(live, loaded, strict=True))

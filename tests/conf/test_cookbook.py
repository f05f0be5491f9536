"""The recipes of the cookbook: each does what people asked for. The oracle is Keras itself, or a few lines of NumPy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import mutspec
from tests.cookbook import (
    DISHES,
    PAGE,
    PLANS,
    digits,
    in_a_row,
    page,
    with_augmentation,
    with_backbone,
    with_memory,
    with_residual,
    with_softmax,
)
from tests.zoo.play import inputs_of, outputs, part, predict_the_same


def mutant_of(name: str, model: Any, *overrides: str, **inputs: Any) -> Any:
    plan = mutspec.load_plan(PLANS / f"{name}.yaml", overrides=overrides)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mutspec.MutspecWarning)
        return mutspec.apply(plan, model, inputs=inputs)


@pytest.fixture(scope="module")
def model() -> Any:
    return digits()


def test_the_page_shows_what_ships_and_what_it_does() -> None:
    assert PAGE.read_text() == page(), "write it again: python -m tests.cookbook --write"


def test_each_entry_is_there_once() -> None:
    assert len({dish.recipe for dish in DISHES}) == len({dish.title for dish in DISHES}) == len(DISHES)


def test_other_activation_leaves_no_relu(model: Any) -> None:
    mutant = mutant_of("other_activation", model, "params.activation=tanh")
    assert [getattr(layer, "activation", None).__name__ for layer in mutant.layers if hasattr(layer, "activation")] == [
        "linear", "tanh", "linear", "tanh", "tanh", "linear"
    ]  # fmt: skip
    assert not predict_the_same(part(mutant, "flatten"), part(model, "flatten"))


def test_wider_predicts_the_same(model: Any) -> None:
    mutant = mutant_of("wider", model)
    assert mutant.get_layer("dense_1").units == model.get_layer("dense_1").units * 3 // 2
    assert predict_the_same(mutant, model, tolerance=1e-5)


def test_fewer_filters_predict_what_remains_if_the_others_are_zero(model: Any) -> None:
    mutant, masked = mutant_of("channel_pruning", model), digits()
    for name, then in (("conv_1", "bn_1"), ("conv_2", "conv_2"), ("dense_1", "dense_1")):
        kernel = model.get_layer(name).kernel.numpy()
        norms = np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), axis=0)
        assert mutant.get_layer(name).kernel.shape[-1] == len(norms) // 2
        last = masked.get_layer(then)  # what makes zeros of the filters, with its bias or β
        smallest = np.argsort(norms)[: len(norms) // 2]
        values = last.get_weights()
        values[0][..., smallest] = values[1][smallest] = 0
        last.set_weights(values)
    assert predict_the_same(mutant, masked, tolerance=1e-5)


def test_grey_images_predict_what_three_equal_colours_did() -> None:
    model = with_backbone()
    mutant = mutant_of("grey_images", model)
    grey = inputs_of(mutant)
    np.testing.assert_allclose(outputs(mutant, grey)[0], outputs(model, [np.repeat(grey[0], 3, axis=-1)])[0], rtol=1e-4)


def test_more_classes_begin_as_the_mean_of_the_old_ones(model: Any) -> None:
    mutant = mutant_of("more_classes", model)
    before, after = (outputs(each, inputs_of(model))[0] for each in (model, mutant))
    np.testing.assert_array_equal(after[:, :10], before)
    np.testing.assert_allclose(after[:, 11], before.mean(axis=1), rtol=1e-4, atol=1e-5)


def test_freeze_base_leaves_the_last_layers_to_train() -> None:
    for name, given in {"digits": digits(), "backbone": with_backbone()}.items():
        mutant = mutant_of("freeze_base", given)
        assert {weight.path.split("/")[-2] for weight in mutant.trainable_weights} == {
            "logits" if name == "digits" else "classes"
        }
        assert predict_the_same(mutant, given)


def test_features_are_those_of_the_layer(model: Any) -> None:
    mutant = mutant_of("features", model, "params.layer=pool")
    assert predict_the_same(mutant, part(model, "pool"))


def test_a_new_head_has_other_classes_and_the_trunk_stays(model: Any) -> None:
    mutant = mutant_of("new_head", model, "params.classes=3")
    assert mutant.output_shape == (None, 3)
    assert predict_the_same(part(mutant, "dense_1"), part(model, "dense_1"))


def test_one_more_class_keeps_what_was_learned_of_the_others(model: Any) -> None:
    mutant = mutant_of("one_more_class", model)
    given = inputs_of(model)
    assert mutant.output_shape == (None, 11)
    assert np.allclose(outputs(mutant, given)[0][:, :10], outputs(model, given)[0], atol=1e-5)


def test_weights_by_name_are_those_of_the_other_model_where_they_fit(model: Any) -> None:
    other = mutant_of("new_head", model, "params.classes=3")
    mutant = mutant_of("weights_by_name", other, old=model)
    for layer in mutant.layers:
        expected = other if layer.name == "logits" else model
        pairs = zip(layer.get_weights(), expected.get_layer(layer.name).get_weights(), strict=True)
        assert all(np.array_equal(*pair) for pair in pairs)


def test_dropout_stands_after_each_dense_layer_but_the_last(model: Any) -> None:
    mutant = mutant_of("dropout_after_dense", model, "params.rate=0.3")
    names = [layer.name for layer in mutant.layers]
    assert names[-3:] == ["dense_1", "dense_dropout", "logits"]
    assert mutant.get_layer("dense_dropout").rate == 0.3
    assert predict_the_same(mutant, model)


def test_weight_decay_is_in_the_loss(model: Any) -> None:
    mutant = mutant_of("weight_decay", model, "params.l2=0.5")
    kernels = [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]
    expected = 0.5 * sum(float(np.sum(np.square(np.asarray(kernel, "float64")))) for kernel in kernels)
    assert np.isclose(float(sum(mutant.losses)), expected, rtol=1e-5)


def test_an_intermediate_output_comes_second(model: Any) -> None:
    mutant = mutant_of("intermediate_output", model)
    first, second = outputs(mutant, inputs_of(model))
    assert np.array_equal(first, outputs(model, inputs_of(model))[0])
    assert np.array_equal(second, outputs(part(model, "pool"), inputs_of(model))[0])


def test_global_pooling_averages_over_the_image(model: Any) -> None:
    mutant = mutant_of("global_pooling", model)
    given = inputs_of(model)
    pooled = outputs(part(model, "pool"), given)[0].mean(axis=(1, 2))
    assert np.allclose(outputs(part(mutant, "flatten"), given)[0], pooled, atol=1e-6)


def test_group_normalization_keeps_gamma_and_beta(model: Any) -> None:
    mutant = mutant_of("group_normalization", model)
    old, new = model.get_layer("bn_1"), mutant.get_layer("bn_1")
    assert type(new).__name__ == "GroupNormalization"
    assert np.array_equal(old.gamma, new.gamma)
    assert np.array_equal(old.beta, new.beta)


def test_an_ensemble_of_two_predicts_their_mean(model: Any) -> None:
    other = digits()
    for weight in other.trainable_weights:
        weight.assign(weight * 0.9)
    mutant = mutant_of("ensemble", model, second=other)
    given = inputs_of(model)
    mean = (outputs(model, given)[0] + outputs(other, given)[0]) / 2
    assert np.allclose(outputs(mutant, given)[0], mean, atol=1e-5)


def test_softmax_of_the_logits_is_what_was_predicted() -> None:
    base = with_softmax()
    mutant = mutant_of("without_softmax", base)
    logits, expected = outputs(mutant, inputs_of(base))[0], outputs(base, inputs_of(base))[0]
    found = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    assert np.allclose(found, expected, atol=1e-6)


def test_without_augmentation_training_sees_the_image_as_it_is() -> None:
    base = with_augmentation()
    mutant = mutant_of("without_augmentation", base)
    assert not [layer for layer in mutant.layers if type(layer).__name__.startswith("Random")]
    given = inputs_of(base)[0]
    assert np.array_equal(mutant(given, training=True), base(given, training=False))


def test_without_nesting_predicts_the_same_in_training_too() -> None:
    base = with_backbone()
    mutant = mutant_of("without_nesting", base)
    assert "backbone_conv" in [layer.name for layer in mutant.layers]
    given = inputs_of(base)[0]
    assert np.array_equal(mutant(given, training=True), base(given, training=True))


def test_a_nested_trunk_predicts_the_same(model: Any) -> None:
    mutant = mutant_of("nested_trunk", model)
    assert [layer.name for layer in mutant.layers][:2] == ["image", "trunk"]
    assert predict_the_same(mutant, model)


def test_mixed_precision_computes_in_half_precision_and_keeps_weights(model: Any) -> None:
    mutant = mutant_of("mixed_precision", model, "params.policy=mixed_bfloat16")
    assert {str(weight.dtype) for weight in mutant.weights} == {"float32"}
    assert mutant.get_layer("conv_1").compute_dtype == "bfloat16"
    assert mutant.outputs[0].dtype == "float32"
    assert predict_the_same(mutant, model, tolerance=0.2)


def test_folded_normalization_predicts_the_same(model: Any) -> None:
    mutant = mutant_of("folded_normalization", model)
    assert "bn_1" not in [layer.name for layer in mutant.layers]
    assert predict_the_same(mutant, model, tolerance=1e-4)


def test_images_of_another_size_are_taken_and_weights_stay() -> None:
    base = with_augmentation()
    mutant = mutant_of("image_size", base, "params.size=20")
    assert mutant.input_shape == (None, 20, 20, 3)
    assert [weight.numpy().tobytes() for weight in mutant.weights] == [
        weight.numpy().tobytes() for weight in base.weights
    ]


def test_a_functional_form_predicts_the_same() -> None:
    import keras

    mutant = mutant_of("functional_form", in_a_row())
    assert not isinstance(mutant, keras.Sequential)
    assert predict_the_same(mutant_of("functional_form", base := in_a_row()), base)


def test_channels_first_moves_the_channels_of_the_input(model: Any) -> None:
    mutant = mutant_of("channels_first", model)
    assert mutant.input_shape == (None, 1, 8, 8)
    assert [weight.numpy().tobytes() for weight in mutant.weights] == [
        weight.numpy().tobytes() for weight in model.weights
    ]


def made_by(model: Any, layer: str) -> np.ndarray:
    """What a layer of a model makes of the model's inputs."""
    (found,) = outputs(part(model, layer), inputs_of(model))
    return found


def test_squeeze_excitation_scales_each_channel_by_its_gate(model: Any) -> None:
    mutant = mutant_of("squeeze_excitation", model, "params.width=3")
    features = made_by(mutant, "relu_2")
    hidden = np.maximum(features.mean((1, 2)) @ mutant.get_layer("se_dense").kernel.numpy(), 0)
    gate = 1 / (1 + np.exp(-hidden @ mutant.get_layer("gate").kernel.numpy()))
    np.testing.assert_allclose(made_by(mutant, "se_multiply"), features * gate[:, None, None], rtol=1e-4, atol=1e-5)


def test_skip_connection_adds_what_the_layer_made(model: Any) -> None:
    mutant = mutant_of("skip_connection", model)
    wanted = made_by(mutant, "conv_2") + made_by(mutant, "relu_2")
    np.testing.assert_allclose(made_by(mutant, "skip"), wanted, rtol=1e-6)


def test_prefixed_names_changes_names_alone(model: Any) -> None:
    mutant = mutant_of("prefixed_names", model, "params.prefix=right")
    assert mutant.name == "right"
    assert [layer.name for layer in mutant.layers] == [f"right_{layer.name}" for layer in model.layers]
    assert predict_the_same(mutant, model)


def test_normalization_after_activation_exchanges_the_two(model: Any) -> None:
    mutant = mutant_of("normalization_after_activation", model)
    norm = model.get_layer("bn_1")
    gamma, beta, mean, variance = (weight.numpy() for weight in norm.weights)
    wanted = (np.maximum(made_by(model, "conv_1"), 0) - mean) / np.sqrt(variance + norm.epsilon) * gamma + beta
    np.testing.assert_allclose(made_by(mutant, "bn_1"), wanted, rtol=1e-4, atol=1e-5)


def test_stateful_layers_go_on_where_the_batch_before_has_ended() -> None:
    base = with_memory()
    mutant = mutant_of("stateful", base, "params.batch_size=2")
    values = np.random.default_rng(1).normal(size=(2, 10, 3)).astype("float32")
    mutant(values[:, :5])
    memory = base.get_layer("memory")
    expected = base.get_layer("out")(memory(values))  # the whole sequence at once
    assert np.allclose(mutant(values[:, 5:]), expected, atol=1e-6)


def test_a_deeper_model_predicts_the_same(model: Any) -> None:
    mutant = mutant_of("deeper", model)
    assert len(mutant.layers) == len(model.layers) + 1
    assert predict_the_same(mutant, model, tolerance=1e-4)


def test_a_block_twice_is_applied_twice() -> None:
    import keras

    base = with_residual()
    mutant = mutant_of("duplicate_block", base)
    value = base.get_layer("conv_1").output
    for _ in range(2):
        value = base.get_layer("add")([value, base.get_layer("conv_2")(value)])
    pooled = base.get_layer("classes")(base.get_layer("pool")(value))
    assert predict_the_same(mutant, keras.Model(base.input, pooled), tolerance=1e-5)

"""What people ask of transfer, each as a plan of a few steps, against models that are built by hand in Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import mutspec
from mutspec.errors import PlanError
from mutspec.execute import live
from mutspec.execute.check import check_plan
from mutspec.model.files.opening import open_archive
from tests.oracle import Step


def seeded(build: Any, seed: int = 1) -> keras.Model:
    """A model whose weights are all random, biases and statistics too."""
    keras.utils.set_random_seed(seed)
    model = build()
    random = np.random.default_rng(seed)
    model.set_weights([random.uniform(0.5, 1.5, each.shape).astype(each.dtype) for each in model.get_weights()])
    return model


def applied(model: keras.Model, *steps: Step, **inputs: keras.Model) -> Any:
    """A mutant, and its report, which says what the dry-run said."""
    plan = mutspec.plan({"inputs": {name: {} for name in inputs}, "steps": list(steps)})
    planned = mutspec.dry_run(plan, model, inputs=inputs)
    done = live.apply(plan, model, inputs=inputs)
    for one, other in zip(planned.steps, done.report.steps, strict=True):
        assert [(each.path, each.touched, each.copied) for each in one.targets] == [
            (each.path, each.touched, each.copied) for each in other.targets
        ]
        assert one.skipped == other.skipped
    return done.model, done.report


def classifier(classes: int, *, channels: int = 3, extra: bool = False) -> keras.Model:
    inputs = keras.Input((8, 8, channels))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(5, name="extra")(x) if extra else layers.Dense(5, name="hidden")(x)
    return keras.Model(inputs, layers.Dense(classes, name="head")(x))


def batch(*shape: int) -> np.ndarray:
    return np.random.default_rng(9).normal(size=(3, *shape)).astype(np.float32)


def close(model: keras.Model, other: keras.Model, values: np.ndarray) -> None:
    np.testing.assert_allclose(model(values), other(values), rtol=1e-4, atol=1e-4)


def test_weights_are_loaded_by_name_and_what_does_not_fit_is_skipped() -> None:
    old, new = seeded(lambda: classifier(10)), seeded(lambda: classifier(12, extra=True), 2)
    step = {"op": "transfer_weights", "source": "old:", "target": "*", "on_mismatch": "skip"}
    mutant, report = applied(new, step, old=old)
    for layer in mutant.layers:
        wanted = old if layer.name in ("stem", "norm") else new
        for value, other in zip(layer.get_weights(), wanted.get_layer(layer.name).get_weights(), strict=True):
            assert np.array_equal(value, other), layer.name
    (done,) = report.steps
    assert [each.path for each in done.targets] == [
        *("stem/kernel", "stem/bias", "norm/gamma", "norm/beta", "norm/moving_mean", "norm/moving_variance")
    ]
    assert {each.tensor.path: each.reason for each in done.skipped} == {
        "extra/kernel": "the input `old` does not have it",
        "extra/bias": "the input `old` does not have it",
        "head/kernel": "`old:head/kernel` (5×10) does not fit `head/kernel` (5×12)",
        "head/bias": "`old:head/bias` (10) does not fit `head/bias` (12)",
    }


def test_a_file_is_loaded_by_name_as_keras_loads_it(tmp_path: Any) -> None:
    old, new = seeded(lambda: classifier(10)), seeded(lambda: classifier(12, extra=True), 2)
    step = {"op": "transfer_weights", "source": "old:", "target": "*", "on_mismatch": "skip"}
    mutant, _ = applied(new, step, old=old)
    old.save(tmp_path / "old.h5")
    with pytest.warns(UserWarning, match="Skipping loading weights"):
        new.load_weights(tmp_path / "old.h5", by_name=True, skip_mismatch=True)
    assert all(np.array_equal(*each) for each in zip(mutant.get_weights(), new.get_weights(), strict=True))


def test_statistics_can_be_left_out() -> None:
    old, new = seeded(lambda: classifier(10)), seeded(lambda: classifier(10), 2)
    learned = ["kernels", "biases", "norms"]
    mutant, _ = applied(new, {"op": "transfer_weights", "source": "old:", "target": "*", "weights": learned}, old=old)
    gamma, _, mean, _ = mutant.get_layer("norm").get_weights()
    assert np.array_equal(gamma, old.get_layer("norm").get_weights()[0])
    assert np.array_equal(mean, new.get_layer("norm").get_weights()[2])


def test_of_another_model_what_both_have_is_copied_and_the_rest_is_set_to_zero() -> None:
    old, new = seeded(lambda: classifier(10)), seeded(lambda: classifier(12), 2)
    mutant, _ = applied(new, {"op": "transfer_weights", "source": "old:", "target": "*", "on_mismatch": "pad"}, old=old)
    values = batch(8, 8, 3)
    np.testing.assert_allclose(mutant(values)[:, :10], old(values), rtol=1e-4)
    assert not np.any(mutant(values)[:, 10:])


def test_all_weights_that_are_missing_or_do_not_fit_are_named() -> None:
    old, new = seeded(lambda: classifier(10)), seeded(lambda: classifier(12, extra=True), 2)
    plan = mutspec.plan({"inputs": {"old": {}}, "steps": [{"op": "transfer_weights", "source": "old:", "target": "*"}]})
    with pytest.raises(PlanError, match="`old` does not have 2 of 10 weights: `extra/kernel`, `extra/bias`"):
        mutspec.apply(plan, new, inputs={"old": old})
    with pytest.raises(PlanError) as caught:
        mutspec.apply(plan.overridden({"steps.transfer_weights.target": ["stem", "head"]}), new, inputs={"old": old})
    assert [problem.message.split(" does")[0] for problem in caught.value.problems] == [
        "`old:head/kernel` (5×10)",
        "`old:head/bias` (10)",
    ]


def test_nothing_is_copied_from_a_model_of_other_names() -> None:
    old = seeded(lambda: keras.Sequential([keras.Input((3,)), layers.Dense(2, name="other")]))
    step = {"op": "transfer_weights", "source": "old:", "target": "*", "on_mismatch": "skip"}
    with pytest.raises(PlanError, match="nothing is copied: `stem/kernel` and 9 more would be skipped, because the"):
        applied(seeded(lambda: classifier(2)), step, old=old)


def test_a_class_is_added_and_the_old_ones_are_kept() -> None:
    model = seeded(lambda: classifier(10))
    mutant, _ = applied(
        model,
        {"op": "replace_layer", "target": "head", "layer": {"type": "Dense", "units": 11, "name": "same"}},
        {"op": "transfer_weights", "source": "base:head", "target": "head", "on_mismatch": "slice"},
    )
    values = batch(8, 8, 3)
    np.testing.assert_allclose(mutant(values)[:, :10], model(values), rtol=1e-5)
    assert mutant.output_shape == (None, 11)


def test_the_model_before_the_plan_gives_what_steps_have_removed_and_renamed_since() -> None:
    model = seeded(lambda: classifier(10))
    mutant, _ = applied(
        model,
        {"op": "rename_layer", "target": "stem", "to": "first"},
        {"op": "scale", "target": "*", "factor": 2.0},
        {"op": "replace_layer", "target": "hidden", "layer": {"type": "Dense", "units": 5, "name": "fresh"}},
        {"op": "transfer_weights", "source": "base:", "target": {"not": "fresh"}},
        {"op": "transfer_weights", "id": "back", "source": "base:hidden", "target": "fresh"},
    )
    assert all(np.array_equal(*each) for each in zip(mutant.get_weights(), model.get_weights(), strict=True))


def test_a_plan_is_checked_against_the_model_before_it(tmp_path: Any) -> None:
    seeded(lambda: classifier(10)).save(tmp_path / "model.keras")
    archive = open_archive(tmp_path / "model.keras")
    step = {"op": "transfer_weights", "source": "base:head", "target": "head"}
    assert check_plan(mutspec.plan({"steps": [step]}), archive, {}) == ()
    with pytest.raises(PlanError, match="in the model before the plan, no layer is called `hat`"):
        check_plan(mutspec.plan({"steps": [{**step, "source": "base:hat"}]}), archive, {})


@pytest.mark.parametrize("channels", [1, 4])
def test_a_model_of_other_input_channels_takes_the_mean_of_those_it_had(channels: int) -> None:
    old, new = seeded(lambda: classifier(10)), seeded(lambda: classifier(10, channels=channels), 2)
    rest = {"op": "transfer_weights", "source": "rgb:", "target": "*", "on_mismatch": "skip"}
    first = {"id": "first", "op": "transfer_weights", "source": "rgb:stem/kernel", "target": "stem/kernel", "axis": -2}
    if channels == 1:
        steps = [rest, {**first, "combine": "sum"}]
    else:
        # The new channel gets the mean, and the others what they had.
        steps = [rest, first, {**first, "id": "new", "combine": "mean", "at": 3}]
    mutant, _ = applied(new, *steps, rgb=old)
    values = batch(8, 8, 3)
    kernel = old.get_layer("stem").get_weights()[0]
    if channels == 1:
        grey = values[..., :1]
        np.testing.assert_allclose(mutant(grey), old(np.repeat(grey, 3, axis=-1)), rtol=1e-4, atol=1e-4)
        return
    made = mutant.get_layer("stem").get_weights()[0]
    assert np.array_equal(made[:, :, :3], kernel)
    np.testing.assert_allclose(made[:, :, 3], kernel.mean(axis=2), rtol=1e-6)


def test_a_trained_lstm_becomes_bidirectional() -> None:
    def build(wrapped: bool) -> keras.Model:
        inputs = keras.Input((6, 3))
        lstm = layers.LSTM(4, name="lstm")
        x = layers.Bidirectional(lstm, merge_mode="ave", name="lstm")(inputs) if wrapped else lstm(inputs)
        return keras.Model(inputs, layers.Dense(2, name="head")(x))

    model = seeded(lambda: build(False))
    inner = {"class_name": "LSTM", "config": {"units": 4, "name": "lstm"}}
    bidirectional = {"type": "Bidirectional", "layer": inner, "merge_mode": "ave", "name": "same"}
    mutant, _ = applied(
        model,
        {"op": "replace_layer", "target": "lstm", "layer": bidirectional},
        {"op": "transfer_weights", "source": "base:lstm", "target": "lstm/forward_lstm"},
        {"op": "transfer_weights", "id": "backward", "source": "base:lstm", "target": "lstm/backward_lstm"},
    )
    hand = build(True)
    trained = model.get_layer("lstm").get_weights()
    hand.get_layer("lstm").set_weights([*trained, *trained])
    hand.get_layer("head").set_weights(model.get_layer("head").get_weights())
    close(mutant, hand, batch(6, 3))


def dense_on_channels() -> keras.Model:
    inputs = keras.Input((4, 4, 3))
    x = layers.Dense(6, activation="relu", name="dense")(inputs)
    return keras.Model(inputs, layers.Conv2D(2, 3, name="last")(x))


def test_a_dense_layer_becomes_a_convolution_of_one_pixel() -> None:
    model = seeded(dense_on_channels)
    convolution = {"type": "Conv2D", "filters": 6, "kernel_size": 1, "activation": "relu", "name": "conv"}
    mutant, report = applied(
        model,
        {"op": "replace_layer", "target": "dense", "layer": convolution},
        {"op": "transfer_weights", "source": "base:dense", "target": "conv", "reshape": True},
    )
    close(mutant, model, batch(4, 4, 3))
    assert [each.path for each in report.steps[1].targets] == ["conv/kernel", "conv/bias"]


def test_a_dense_layer_after_flatten_becomes_a_convolution_over_all_of_its_input() -> None:
    def fully_convolutional() -> keras.Model:
        inputs = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
        x = layers.BatchNormalization(name="norm")(x)
        x = layers.Conv2D(5, 8, name="hidden")(x)
        return keras.Model(inputs, layers.Conv2D(10, 1, name="head")(x))

    model, new = seeded(lambda: classifier(10)), seeded(fully_convolutional, 2)
    mutant, _ = applied(
        new,
        {"op": "transfer_weights", "source": "old:", "target": "*", "reshape": True},
        old=model,
    )
    values = batch(8, 8, 3)
    np.testing.assert_allclose(mutant(values)[:, 0, 0], model(values), rtol=1e-4)


def test_a_kernel_of_3_by_3_predicts_the_same_in_one_of_5_by_5() -> None:
    def build(size: int) -> keras.Model:
        inputs = keras.Input((9, 9, 2))
        x = layers.Conv2D(3, size, padding="same", name="conv")(inputs)
        x = layers.DepthwiseConv2D(size, padding="same", name="depthwise")(x)
        return keras.Model(inputs, layers.Conv2DTranspose(2, size, padding="same", name="up")(x))

    old, new = seeded(lambda: build(3)), seeded(lambda: build(5), 2)
    step = {"op": "transfer_weights", "source": "old:", "target": "*", "align": "center", "on_mismatch": "pad"}
    mutant, report = applied(new, step, old=old)
    close(mutant, old, batch(9, 9, 2))
    kernel = report.to_json()["steps"][0]["targets"][0]["copied_from"]
    assert kernel == {"source": "old:conv/kernel", "shape": [3, 3, 2, 3], "copied": 54, "cut": 0, "padded": 96}
    back, _ = applied(old, {**step, "on_mismatch": "slice"}, old=mutant)
    close(back, old, batch(9, 9, 2))


def test_an_embedding_is_tied_to_the_layer_after_it_by_transposing() -> None:
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 3, name="embedding")(inputs)
    model = keras.Model(inputs, layers.Dense(7, name="logits")(x))
    step = {"op": "transfer_weights", "source": "embedding/embeddings", "target": "logits/kernel", "transpose": True}
    mutant, _ = applied(model, step)
    embeddings = model.get_layer("embedding").get_weights()[0]
    assert np.array_equal(mutant.get_layer("logits").get_weights()[0], embeddings.T)

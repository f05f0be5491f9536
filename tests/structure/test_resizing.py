"""Other classes and vocabularies: what is kept predicts what it did, and new ones begin as the step says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError
from tests.zoo.play import drawn, inputs_of, mutant_of, outputs, weights


def classifier(activation: str = "linear") -> Any:
    import keras

    layers = [keras.layers.Dense(5, "relu", name="hidden"), keras.layers.Dense(4, activation, name="classes")]
    return drawn(keras.Sequential([keras.Input((3,)), *layers]))


def resized(model: Any, **keys: Any) -> Any:
    return mutant_of(model, {"op": "resize_output", **keys})


def logits(model: Any, mutant: Any) -> tuple[np.ndarray, np.ndarray]:
    given = inputs_of(model)
    return outputs(model, given)[0], outputs(mutant, given)[0]


def test_more_classes_leave_the_old_ones_first_and_as_they_were() -> None:
    model = classifier()
    mutant = resized(model, units=6)
    before, after = logits(model, mutant)
    assert after.shape == (3, 6)
    np.testing.assert_array_equal(after[:, :4], before)
    assert len(np.unique(mutant.get_layer("classes").kernel.numpy()[:, 4:])) == 10
    assert not mutant.get_layer("classes").bias.numpy()[4:].any()


def test_fewer_classes_are_the_first_or_those_that_are_kept() -> None:
    model = classifier()
    before, after = logits(model, resized(model, units=2))
    np.testing.assert_array_equal(after, before[:, :2])
    before, after = logits(model, resized(model, keep=[3, -4, 1]))
    np.testing.assert_array_equal(after, before[:, [3, 0, 1]])


def test_classes_of_the_same_number_may_change_places() -> None:
    model = classifier()
    before, after = logits(model, resized(model, keep=[3, 2, 1, 0]))
    np.testing.assert_array_equal(after, before[:, ::-1])


def test_classes_are_kept_by_name() -> None:
    model = classifier()
    keys = {"old_classes": ["dog", "cat", "cow", "ant"], "classes": ["cat", "bird", "dog", "owl", "cow"]}
    before, after = logits(model, resized(model, initialize="zero", **keys))
    np.testing.assert_array_equal(after[:, [0, 2, 4]], before[:, [1, 0, 2]])
    assert not after[:, [1, 3]].any()


def test_new_classes_of_a_quantised_layer_may_be_zero() -> None:
    model = classifier()
    model.quantize("int8")
    before, after = logits(model, resized(model, units=6, initialize="zero"))
    np.testing.assert_array_equal(after[:, :4], before)
    assert not after[:, 4:].any()


def test_new_classes_begin_as_the_mean_of_all_old_ones() -> None:
    model = classifier()
    before, after = logits(model, resized(model, keep=[0], units=3, initialize="mean"))
    np.testing.assert_array_equal(after[:, 0], before[:, 0])
    np.testing.assert_allclose(after[:, 1], before.mean(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(after[:, 1], after[:, 2])


def behind_activations() -> Any:
    import keras

    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="classes")], name="head")
    given = keras.Input((3,))
    return drawn(keras.Model(given, keras.layers.Softmax()(keras.layers.Activation("relu")(inner(given)))))


def segmentation() -> Any:
    import keras

    layers = [keras.layers.Conv2D(4, 1, name="classes"), keras.layers.BatchNormalization(), keras.layers.Softmax()]
    return drawn(keras.Sequential([keras.Input((4, 4, 3)), *layers]))


def added() -> Any:
    import keras

    given = keras.Input((3,))
    return drawn(
        keras.Model(given, keras.layers.Dense(4, name="one")(given) + keras.layers.Dense(4, name="two")(given))
    )


@pytest.mark.parametrize("build", [behind_activations, segmentation, added])
def test_the_layer_that_makes_the_output_is_found(build: Callable[[], Any]) -> None:
    model = build()
    mutant = resized(model, keep=[2, 0], units=3, initialize="mean")
    assert mutant.output_shape[-1] == 3
    made = [layer for layer in mutant._flatten_layers() if layer.name in ("classes", "one", "two")]
    old = {layer.name: layer for layer in model._flatten_layers()}
    for layer in made:
        before = old[layer.name].kernel.numpy()
        wanted = np.concatenate([before[..., [2, 0]], before.mean(axis=-1, keepdims=True)], axis=-1)
        np.testing.assert_allclose(layer.kernel.numpy(), wanted, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:the optimizer's state is reset for 2 of 4:mutspec.MutspecWarning")
def test_the_mutant_is_compiled_as_its_base_and_can_be_trained(tmp_path: Path) -> None:
    import keras

    model = classifier("softmax")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(np.ones((4, 3)), np.array([0, 1, 2, 3]), verbose=0)
    model.save(tmp_path / "base.keras")
    plan = mutspec.plan({"steps": [{"op": "resize_output", "units": 6}]})
    mutspec.apply(plan, tmp_path / "base.keras", tmp_path / "out.keras")
    loaded = keras.saving.load_model(tmp_path / "out.keras")
    assert weights(loaded) == weights(mutspec.apply(plan, model))
    assert np.isfinite(loaded.fit(np.ones((2, 3)), np.array([5, 4]), verbose=0).history["loss"][0])


def two_outputs() -> Any:
    import keras

    given = keras.Input((3,))
    made = [keras.layers.Dense(4, name=name)(given) for name in ("one", "two")]
    return drawn(keras.Model(given, made))


REFUSED: dict[str, tuple[Callable[[], Any], dict[str, Any], str, str]] = {
    "the same number": (classifier, {"units": 4}, "has these 4 classes already", "leave the step out"),
    "no number": (classifier, {}, "needs a number of classes", "say `units`"),
    "a hidden layer": (classifier, {"target": "hidden", "units": 9}, "not an output", "widen_layer"),
    "several outputs": (two_outputs, {"units": 9}, "has 2 outputs", "target: one"),
    "several layers": (two_outputs, {"units": 9, "target": ["one", "two"]}, "matches 2 layers", "a step for each"),
    "a class that is not there": (classifier, {"keep": [9]}, "index 9 is outside `classes`", "once"),
    "a class kept twice": (classifier, {"keep": [1, -3]}, "is there twice", "once"),
    "more kept than there are": (classifier, {"keep": [0, 1, 2], "units": 2}, "and `units` is less", "raise it"),
    "names without the old ones": (classifier, {"classes": ["a"]}, "needs `old_classes`", "before"),
    "names and a number": (
        classifier, {"classes": ["a"], "old_classes": ["a"], "units": 3}, "cannot be used together", "lists all"),
    "too few old names": (classifier, {"classes": ["a", "c"], "old_classes": ["a", "b"]}, "has 2 names", "all of them"),
    "a name twice": (classifier, {"classes": ["a", "a"], "old_classes": ["a", "b"]}, "`a` is there twice", "once"),
    "no old name": (classifier, {"classes": ["x"], "old_classes": ["a", "b"]}, "none of the classes", "replace_layer"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_an_output_is_named_with_the_way_on(what: str) -> None:
    model, keys, message, hint = REFUSED[what]
    with pytest.raises(PlanError) as caught:
        resized(model(), **keys)
    problem = caught.value.problems[0]
    assert message in problem.message
    assert hint in problem.hint


# Embeddings.


def text(**options: Any) -> Any:
    import keras

    layers = [keras.layers.Embedding(6, 4, name="words", **options), keras.layers.GRU(3), keras.layers.Dense(2)]
    return drawn(keras.Sequential([keras.Input((5,), dtype="int32"), *layers]))


def with_vocabulary(model: Any, **keys: Any) -> Any:
    return mutant_of(model, {"op": "resize_embedding", "target": {"type": "Embedding"}, **keys})


def rows(model: Any) -> np.ndarray:
    found: np.ndarray = model.get_layer("words").embeddings.numpy()
    return found


@pytest.mark.parametrize("mask_zero", [False, True])
def test_more_rows_leave_what_old_ids_predict(mask_zero: bool) -> None:
    model = text(mask_zero=mask_zero)
    mutant = with_vocabulary(model, input_dim=9)
    given = [np.random.default_rng(1).integers(0, 6, (4, 5)).astype("int32")]
    np.testing.assert_array_equal(outputs(mutant, given)[0], outputs(model, given)[0])
    assert rows(mutant).shape == (9, 4)
    assert np.abs(rows(mutant)[6:]).max() <= 0.05
    assert rows(mutant)[6:].all()


def test_new_rows_are_zeros_or_the_mean_of_the_old_ones() -> None:
    model = text()
    assert not rows(with_vocabulary(model, input_dim=8, initialize="zero"))[6:].any()
    mean = rows(with_vocabulary(model, input_dim=8, initialize="mean"))[6:]
    np.testing.assert_allclose(mean, np.tile(rows(model).mean(axis=0), (2, 1)), rtol=1e-6)


def test_rows_are_kept_by_number_and_by_token() -> None:
    model = text()
    np.testing.assert_array_equal(rows(with_vocabulary(model, input_dim=3)), rows(model)[:3])
    np.testing.assert_array_equal(rows(with_vocabulary(model, keep=[0, 5, 2])), rows(model)[[0, 5, 2]])
    old, new = ["", "a", "b", "c", "d", "e"], ["", "e", "x", "b"]
    found = rows(with_vocabulary(model, vocabulary=new, old_vocabulary=old, initialize="zero"))
    np.testing.assert_array_equal(found, rows(model)[[0, 5, 0, 2]] * np.array([1, 1, 0, 1], "float32")[:, None])


@pytest.mark.parametrize("rows", [4, 9])
def test_a_report_does_not_call_other_rows_something_else(rows: int) -> None:
    plan = mutspec.plan({"steps": [{"op": "resize_embedding", "target": "words", "input_dim": rows}]})
    (group,) = mutspec.dry_run(plan, text()).steps[0].coupled
    assert group.units[0].after == rows
    assert group.mixtures == ()


def test_a_report_names_a_class_that_goes_for_another_one() -> None:
    plan = mutspec.plan({"steps": [{"op": "resize_output", "units": 4, "keep": [1, 0, 3]}]})
    assert "`classes`: units 4 → 4, without 2" in str(mutspec.dry_run(plan, classifier()))


def test_the_row_of_padding_must_stay() -> None:
    with pytest.raises(PlanError, match="row 0 of `words` is that of padding"):
        with_vocabulary(text(mask_zero=True), keep=[1, 2])


def test_a_layer_without_a_vocabulary_is_named() -> None:
    with pytest.raises(PlanError, match="`hidden` is a Dense, which has no vocabulary"):
        mutant_of(classifier(), {"op": "resize_embedding", "target": "hidden", "input_dim": 9})


def test_a_large_vocabulary_takes_little_time() -> None:
    import time

    import keras

    model = keras.Sequential([keras.Input((5,), dtype="int32"), keras.layers.Embedding(30000, 4, name="words")])
    start = time.perf_counter()
    mutant = with_vocabulary(model, input_dim=31000, initialize="mean")
    assert time.perf_counter() - start < 5
    np.testing.assert_allclose(rows(mutant)[30000], rows(model).mean(axis=0), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_from_file_to_file_the_rows_are_those_in_memory(suffix: str, tmp_path: Path) -> None:
    import keras

    model = text(mask_zero=True)
    model.save(tmp_path / f"base{suffix}")
    step = {"op": "resize_embedding", "target": "words", "keep": [0, 3, 4], "input_dim": 7}
    plan = mutspec.plan({"seed": 2, "steps": [step, {"op": "resize_output", "units": 5, "initialize": "mean"}]})
    mutspec.apply(plan, tmp_path / f"base{suffix}", tmp_path / f"out{suffix}")
    loaded = keras.saving.load_model(tmp_path / f"out{suffix}")
    assert weights(loaded) == weights(mutspec.apply(plan, model))


@pytest.mark.parametrize(
    ("target", "argument", "hint"),
    [
        ("hidden", {"units": 8}, "use `widen_layer`, with `to: 8`"),
        ("hidden", {"units": 2}, "use `remove_neurons`, with `count: 3`"),
        ("classes", {"units": 8}, "use `resize_output`, with `units: 8`"),
        ("classes", {"use_bias": False}, "use `replace_layer`"),
    ],
)
def test_a_width_that_is_configured_is_refused_with_the_op_that_changes_it(
    target: str, argument: dict[str, Any], hint: str
) -> None:
    with pytest.raises(PlanError) as caught:
        mutant_of(classifier(), {"op": "configure_layer", "target": target, "set": argument})
    assert hint in caught.value.problems[0].hint


def test_a_vocabulary_that_is_configured_is_refused_with_the_op_that_changes_it() -> None:
    with pytest.raises(PlanError) as caught:
        mutant_of(text(), {"op": "configure_layer", "target": "words", "set": {"input_dim": 9}})
    assert caught.value.problems[0].hint == "use `resize_embedding`, with `input_dim: 9`"

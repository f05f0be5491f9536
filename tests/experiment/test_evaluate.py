"""Evaluating models: the numbers are NumPy's, whatever form labels and outputs have."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from mutspec.errors import CallError
from mutspec.experiment.data.arrays import Data
from mutspec.experiment.evaluation.evaluate import Evaluator
from mutspec.experiment.job_settings import EvaluateSettings

DRAW = np.random.default_rng(7)
X = DRAW.normal(size=(50, 6)).astype(np.float32)
CLASSES = DRAW.integers(0, 4, 50)
ANSWERS = DRAW.integers(0, 2, 50)
VALUES = DRAW.normal(size=(50, 4)).astype(np.float32)


def network(width: int, activation: str | None = None) -> keras.Model:
    """A model of one layer."""
    keras.utils.set_random_seed(width)
    return keras.Sequential([keras.Input((6,), name="x"), keras.layers.Dense(width, activation, name="out")])


def judge(
    y: Any, *, x: Any = X, loss: Any = "crossentropy", metrics: Any = ("accuracy",), **settings: Any
) -> Evaluator:
    """A judge of 50 samples."""
    return Evaluator(EvaluateSettings(loss, list(metrics), **{"batch_size": 16, **settings}), Data("own", x, y, 50))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("activation", [None, "softmax"])
@pytest.mark.parametrize("labels", [CLASSES, CLASSES[:, None], CLASSES.astype(np.float32), np.eye(4)[CLASSES]])
def test_classes_in_any_form_with_logits_or_probabilities(activation: str | None, labels: np.ndarray) -> None:
    model = network(4, activation)
    outputs = np.asarray(model(X)).astype(np.float64)
    probabilities = outputs if activation else softmax(outputs)
    expected = {
        "accuracy": np.mean(outputs.argmax(axis=-1) == CLASSES),
        "loss": -np.log(probabilities[np.arange(50), CLASSES]).mean(),
    }
    assert judge(labels).evaluate(model).metrics == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("activation", [None, "sigmoid"])
@pytest.mark.parametrize("labels", [ANSWERS, ANSWERS[:, None]])
def test_yes_or_no_with_logits_or_probabilities(activation: str | None, labels: np.ndarray) -> None:
    model = network(1, activation)
    outputs = np.asarray(model(X)).astype(np.float64)[:, 0]
    probabilities = outputs if activation else 1 / (1 + np.exp(-outputs))
    expected = {
        "accuracy": np.mean((probabilities > 0.5) == ANSWERS),
        "loss": -np.log(np.where(ANSWERS, probabilities, 1 - probabilities)).mean(),
    }
    evaluation = judge(labels).evaluate(model)
    assert evaluation.metrics == pytest.approx(expected, abs=1e-6)
    assert evaluation.classes["out"].tolist() == (probabilities > 0.5).astype(int).tolist()


@pytest.mark.parametrize("width", [1, 4])
def test_numbers_are_not_taken_for_logits(width: int) -> None:
    model = network(width)
    wanted = VALUES[:, :width]
    errors = np.asarray(model(X)).astype(np.float64) - wanted
    found = judge(wanted, loss="mean_squared_error", metrics=["mean_absolute_error", "mse"]).evaluate(model).metrics
    squares = np.mean(errors**2)
    expected = {"mean_absolute_error": np.mean(np.abs(errors)), "mse": squares, "loss": squares}
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_metric_with_a_threshold_is_given_probabilities() -> None:
    model = network(1)
    said = np.asarray(model(X))[:, 0] > 0
    found = judge(ANSWERS, loss=None, metrics=["precision", "recall"]).evaluate(model).metrics
    hits = np.count_nonzero(said & (ANSWERS == 1))
    expected = {"precision": hits / np.count_nonzero(said), "recall": hits / np.count_nonzero(ANSWERS)}
    assert found == pytest.approx(expected, abs=1e-6)


def test_losses_and_metrics_can_be_made_with_arguments() -> None:
    model = network(4)
    logits = np.asarray(model(X))
    top = np.mean([label in row.argsort()[-2:] for label, row in zip(CLASSES, logits, strict=True)])
    top_2 = {"_target_": "keras.metrics.SparseTopKCategoricalAccuracy", "k": 2, "name": "top_2"}
    loss = {"_target_": "keras.losses.SparseCategoricalCrossentropy", "from_logits": True}
    found = judge(CLASSES, loss=loss, metrics=[top_2]).evaluate(model).metrics
    wanted = -np.log(softmax(logits.astype(np.float64))[np.arange(50), CLASSES]).mean()
    assert found == pytest.approx({"top_2": top, "loss": wanted}, abs=1e-6)


def test_metrics_begin_again_for_each_model() -> None:
    models, each = [network(4), network(4, "softmax")], judge(CLASSES, from_logits=False, loss=None)
    together = [each.evaluate(model).metrics for model in (*models, models[0])]
    assert together[0] == together[2]
    assert together[1] == judge(CLASSES, from_logits=False, loss=None).evaluate(models[1]).metrics


def two_headed() -> keras.Model:
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    both = keras.layers.Concatenate()([left, right])
    return keras.Model(
        {"left": left, "right": right},
        {"kind": keras.layers.Dense(4, name="a")(both), "yes": keras.layers.Dense(1, "sigmoid", name="b")(both)},
    )


def test_several_inputs_and_outputs_go_by_their_names() -> None:
    model, x = two_headed(), {"left": X, "right": -X}
    outputs = model.predict(x, verbose=0)
    found = judge({"yes": ANSWERS, "kind": CLASSES}, x=x).evaluate(model).metrics
    assert found["kind_accuracy"] == pytest.approx(np.mean(outputs["kind"].argmax(axis=-1) == CLASSES))
    assert found["yes_accuracy"] == pytest.approx(np.mean((outputs["yes"][:, 0] > 0.5) == ANSWERS))
    losses = [
        -np.log(softmax(outputs["kind"].astype(np.float64))[np.arange(50), CLASSES]).mean(),
        -np.log(np.where(ANSWERS, outputs["yes"][:, 0], 1 - outputs["yes"][:, 0])).mean(),
    ]
    assert found["loss"] == pytest.approx(sum(losses), abs=1e-5)


def test_without_labels_there_are_classes_and_no_metrics() -> None:
    model = network(4)
    evaluation = judge(None).evaluate(model)
    assert evaluation.metrics == {}
    assert evaluation.classes["out"].tolist() == np.asarray(model(X)).argmax(axis=-1).tolist()


@pytest.mark.parametrize("labels", [VALUES[:, 0], VALUES[:, :1], 2 * ANSWERS - 1, np.where(ANSWERS, np.nan, 0)])
def test_an_accuracy_of_labels_that_are_not_answers_is_refused(labels: np.ndarray) -> None:
    with pytest.raises(CallError, match=r"are not all from 0, for no, to 1, for yes.*evaluate=regression"):
        judge(labels).evaluate(network(1))
    assert judge(labels, loss="mean_squared_error", metrics=["mae"]).evaluate(network(1)).metrics
    assert judge(np.nan_to_num(labels).clip(0.2, 0.7)).evaluate(network(1)).metrics


def test_each_output_of_a_layer_that_is_called_twice_counts() -> None:
    """Keras calls both of them by the layer's name."""
    inputs, layer = keras.Input((6,)), keras.layers.Dense(4, name="out")
    model = keras.Model(inputs, [layer(inputs), layer(keras.layers.Lambda(lambda x: -x)(inputs))])
    there, back = (each.argmax(axis=-1) for each in model.predict(X, verbose=0))
    measured = judge([there, CLASSES], loss=None).evaluate(model).metrics
    assert measured == pytest.approx({"out_accuracy": 1.0, "out_1_accuracy": np.mean(back == CLASSES)})
    base = judge(None)
    found = base.evaluate(model)
    assert list(found.outputs) == ["out", "out_1"]
    layer.bias.assign_add([1.0, 2.0, 3.0, 4.0])
    assert base.evaluate(model, found).fidelity.deviation == pytest.approx(2.5, abs=1e-6)


def test_a_mutant_whose_output_has_another_name_is_compared_with_the_same_output() -> None:
    inputs = keras.Input((6,), name="x")
    base = keras.Model(inputs, keras.layers.Dense(4, name="logits")(inputs))
    mutant = keras.Model(inputs, keras.layers.Dense(4, name="head")(inputs))
    mutant.set_weights(base.get_weights())
    judging = judge(CLASSES)
    before = judging.evaluate(base)
    after = judging.evaluate(mutant, before)
    assert after.metrics == before.metrics
    assert after.fidelity.agreement == 1


def test_outputs_that_are_not_finite_are_counted_and_agree_with_nothing() -> None:
    model = network(4)
    base = judge(None)
    before = base.evaluate(model)
    kernel = model.get_layer("out").kernel
    kernel.assign(np.where(np.arange(4) == 1, np.nan, kernel.numpy()).astype(np.float32))
    after = base.evaluate(model, before)
    assert (before.non_finite, after.non_finite) == (0, 50)
    assert after.fidelity.agreement == 0
    assert sum(after.fidelity.flips.values()) == 50
    assert (after.fidelity.divergence, before.fidelity.agreement) == (None, 1)


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (CLASSES + 1, {}, "go from 1 to 4, and the output has 4 classes"),
        (CLASSES - 1, {}, "go from -1 to 2, and the output has 4 classes"),
        (CLASSES + 0.5, {}, "are float64, not class numbers"),
        (np.array(["a"] * 50), {}, "are <U1, not class numbers"),
        (np.where(ANSWERS, np.inf, 0.0), {}, "are float64, not class numbers"),
        (np.zeros((50, 3)), {}, r"of shape \(n, 4\), and its labels are of shape \(n, 3\)"),
        (CLASSES, {"loss": "mse", "metrics": []}, r"of shape \(n, 4\), and its labels are of shape \(n,\)"),
        ([CLASSES, CLASSES], {}, "one output, `out`, and the labels are 2 arrays"),
        ({"outt": CLASSES}, {}, "one output, `out`, and the labels are `outt`"),
        (CLASSES, {"x": X[:, :5]}, r"the model takes \(n, 6\), and `own` has \(n, 5\)"),
        (CLASSES, {"x": [X, X]}, "the model takes one input, `x`, and `own` has 2 arrays"),
        (CLASSES, {"x": {"y": X}}, "the model has no input `y`; it takes `x`"),
        (CLASSES, {"metrics": ["f1_score"]}, "metrics cannot be computed|is not a single number"),
    ],
)
def test_data_that_do_not_fit_the_model_are_refused(y: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CallError, match=message):
        judge(y, **options).evaluate(network(4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metrics": ["acuracy"]}, "Keras has no metric `acuracy`.*`accuracy`"),
        ({"metrics": ["mean_io_u"]}, "the metric `mean_io_u` needs `num_classes`.*keras.metrics.MeanIoU"),
        ({"metrics": [{"_target_": "keras.metrics.MeanIou"}]}, "`keras.metrics` has no `MeanIou`.*MeanIoU"),
        ({"metrics": [{"_target_": "keras.metrics.MeanIoU"}]}, "cannot be made: TypeError"),
        ({"metrics": [{"name": "x"}]}, "`evaluate.metrics` names no metric"),
        ({"metrics": [{"_target_": "collections.OrderedDict"}]}, "`collections.OrderedDict` is not a metric of Keras"),
        ({"loss": "crosentropy"}, "Keras has no loss `crosentropy`.*`crossentropy`"),
    ],
)
def test_losses_and_metrics_that_are_not_there_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(CallError, match=message):
        judge(CLASSES, **settings).evaluate(network(4))


def test_a_missing_channel_axis_is_not_a_mistake_because_keras_adds_it() -> None:
    model = keras.Sequential([keras.Input((6, 1)), keras.layers.Flatten(), keras.layers.Dense(4)])
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    assert judge(CLASSES).evaluate(model).metrics == judge(CLASSES, x=X[..., None]).evaluate(twin).metrics


def test_a_model_that_fails_says_what_its_layer_says() -> None:
    model = keras.Sequential([keras.Input((None, 6)), keras.layers.Reshape((5,)), keras.layers.Dense(4)])
    with pytest.raises(CallError, match=r"the model fails on `own`: (?!Exception encountered)"):
        judge(CLASSES, x=np.zeros((50, 3, 6), np.float32)).evaluate(model)

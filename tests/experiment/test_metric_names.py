"""Names of metrics are stable and tell metrics apart; what they measure is recomputed with NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from mutspec.errors import CallError
from mutspec.experiment.data.arrays import Data
from mutspec.experiment.evaluation.evaluate import Evaluator
from mutspec.experiment.evaluation.measures import check_names, metric_names
from mutspec.experiment.evaluation.metric_names import Named, by_output, unique_names
from mutspec.experiment.job_settings import EvaluateSettings
from mutspec.experiment.metric_kinds import grows_when_worse, is_share

DRAW = np.random.default_rng(5)
X = DRAW.normal(size=(60, 6)).astype(np.float32)
CLASSES = DRAW.integers(0, 5, 60)
ANSWERS = DRAW.integers(0, 2, 60)


def keras_metric(class_name: str, **arguments: Any) -> dict[str, Any]:
    """A metric as a configuration has it."""
    return {"_target_": f"keras.metrics.{class_name}", **arguments}


def measured(model: Any, y: Any, metrics: list[Any], loss: Any = None) -> dict[str, float]:
    return Evaluator(EvaluateSettings(loss, metrics, batch_size=16), Data("own", X, y, 60)).evaluate(model).metrics


def classifier(width: int, activation: str) -> Any:
    keras.utils.set_random_seed(width)
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(width, activation=activation)])


def test_equal_classes_are_told_apart_by_the_arguments_that_differ() -> None:
    model = classifier(5, "softmax")
    top = "SparseTopKCategoricalAccuracy"
    found = measured(model, CLASSES, [keras_metric(top, k=3), keras_metric(top, k=2, dtype="float32"), "accuracy"])
    order = np.argsort(-np.asarray(model(X)), axis=-1)
    hits = {k: np.mean([label in row[:k] for label, row in zip(CLASSES, order, strict=True)]) for k in (1, 2, 3)}
    assert len(set(hits.values())) == 3
    assert found == pytest.approx(
        {
            "sparse_top_k_categorical_accuracy_k_3": hits[3],
            "sparse_top_k_categorical_accuracy_dtype_float32_k_2": hits[2],
            "accuracy": hits[1],
        },
        abs=1e-6,
    )


def test_a_metric_that_keras_counts_has_one_name_in_every_job() -> None:
    model, names = classifier(1, "sigmoid"), []
    for _ in range(3):
        found = measured(model, ANSWERS, [keras_metric("AUC"), keras_metric("Precision", thresholds=0.3)])
        names.append(list(found))
    assert names == [["auc", "precision"]] * 3
    said = np.asarray(model(X))[:, 0] > 0.3
    assert found["precision"] == pytest.approx(ANSWERS[said].mean(), abs=1e-6)


def test_a_name_of_the_call_or_of_the_class_itself_wins() -> None:
    class Near(keras.metrics.Mean):
        def __init__(self, name: str = "nearness", **options: Any) -> None:
            super().__init__(name=name, **options)

    assert metric_names([{"_target_": "own.Near"}] * 2, [Near(), Near()]) == ["nearness"] * 2
    specs = [keras_metric("MeanSquaredError", name="squares"), keras_metric("LogCoshError")]
    found = measured(classifier(1, "linear"), DRAW.normal(size=(60, 1)), specs)
    assert list(found) == ["squares", "logcosh"]


def test_metrics_of_several_outputs_have_the_outputs_name_in_front() -> None:
    x = keras.Input((6,))
    keras.utils.set_random_seed(1)
    heads = [keras.layers.Dense(5, activation="softmax", name=name)(x) for name in ("left", "right")]
    top = "SparseTopKCategoricalAccuracy"
    found = measured(
        keras.Model(x, heads), [CLASSES, CLASSES], [keras_metric(top, k=2), keras_metric(top, k=3)], "crossentropy"
    )
    wanted = [f"{side}_sparse_top_k_categorical_accuracy_k_{k}" for side in ("left", "right") for k in (2, 3)]
    assert list(found) == [*wanted, "loss"]
    assert all(np.isfinite(value) for value in found.values())


@pytest.mark.parametrize(
    ("metrics", "name"),
    [
        ([keras_metric("AUC", name="x"), keras_metric("AUC", name="x", curve="PR")], "x"),
        ([keras_metric("AUC", name="x"), keras_metric("Precision", name="x")], "x"),
        (["accuracy", keras_metric("Accuracy")], "accuracy"),
        ([keras_metric("AUC", name="loss")], "loss"),
        ([keras_metric("AUC", name="agreement")], "agreement"),
    ],
)
def test_a_name_that_stands_for_two_things_is_refused(metrics: list[Any], name: str) -> None:
    with pytest.raises(CallError, match=f"called `{name}`"):
        check_names(None, metrics)


def test_metrics_that_are_equal_in_everything_are_one() -> None:
    one = Named("auc", {"curve": "PR"}, target="keras.metrics.AUC")
    assert unique_names([one, one, Named("accuracy", is_given=True)]) == ["auc", "auc", "accuracy"]


def test_an_argument_too_long_for_a_name_is_told_by_its_digest() -> None:
    grids = [[index / 100 for index in range(start, 90)] for start in (0, 1)]
    first, second = unique_names([Named("auc", {"thresholds": grid}) for grid in grids])
    assert first != second
    assert len(first) < 32
    assert unique_names([Named("auc", {"thresholds": grid}) for grid in reversed(grids)]) == [second, first]


def test_outputs_and_metrics_whose_joined_names_clash_are_refused() -> None:
    assert by_output({"a": ["b_c"], "d": ["c"]}) == {("a", "b_c"): "a_b_c", ("d", "c"): "d_c"}
    with pytest.raises(CallError, match="`a_b_c`"):
        by_output({"a": ["b_c"], "a_b": ["c"]})


def test_what_a_measure_is_is_told_with_arguments_in_its_name_too() -> None:
    assert grows_when_worse("huber_delta_0.5")
    assert grows_when_worse("left_binary_crossentropy_from_logits_true_label_smoothing_0.1")
    assert not grows_when_worse("auc_curve_pr")
    assert is_share("sparse_top_k_categorical_accuracy_k_3", [0.5])

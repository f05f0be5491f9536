"""The names of losses and metrics are compared with the installed Keras."""

from __future__ import annotations

from mutspec.keras_facts.compile_objects import LOSS_NAMES, LOSSES, METRIC_NAMES, METRICS


def test_the_names_of_losses_are_those_of_keras() -> None:
    from keras.src import losses

    assert losses.ALL_OBJECTS_DICT.keys() - {"Loss", "LossFunctionWrapper"} == LOSS_NAMES
    assert {name for name in LOSS_NAMES if isinstance(losses.ALL_OBJECTS_DICT[name], type)} == LOSSES


def test_the_names_of_metrics_are_those_of_keras() -> None:
    from keras.src import metrics

    base = {"Mean", "MeanMetricWrapper", "Metric", "Sum", "mean", "mean_metric_wrapper", "metric", "sum"}
    assert METRIC_NAMES - {"acc", "ce", "crossentropy"} == metrics.ALL_OBJECTS_DICT.keys() - base
    assert {name for name in METRICS if hasattr(metrics, name)} == METRICS

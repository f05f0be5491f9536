"""Losses and metrics by output, and functions for them: the numbers are Keras's, after `compile` with the same."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from mutspec.errors import CallError
from mutspec.experiment.data.arrays import Data
from mutspec.experiment.evaluation.evaluate import Evaluator
from mutspec.experiment.evaluation.measures import check_measures
from mutspec.experiment.jobs.application import ApplicationCall, run
from mutspec.experiment.jobs.from_python import as_evaluate
from mutspec.experiment.reports.aggregate import collect

DRAW = np.random.default_rng(7)
X = DRAW.normal(size=(50, 6)).astype(np.float32)
Y = {"age": DRAW.normal(size=50).astype(np.float32), "kind": DRAW.integers(0, 4, 50)}
SQUARES = {"_target_": "keras.metrics.MeanSquaredError"}
OWN = """
import keras
import numpy as np

def off(y_true, y_pred, scale=1.0):
    return scale * abs(y_true - y_pred)

def off_on_average(y_true, y_pred):
    return keras.ops.mean(keras.ops.abs(y_true - y_pred))

def hits(y_true, y_pred):
    return keras.ops.equal(keras.ops.cast(y_true, "int64"), keras.ops.argmax(y_pred, axis=-1))

def makes_one():
    return keras.metrics.MeanAbsoluteError(name="made")
"""


@pytest.fixture(autouse=True)
def own() -> Iterator[ModuleType]:
    """A module with functions of the user's own."""
    module = ModuleType("own_measures")
    exec(OWN, module.__dict__)
    sys.modules["own_measures"] = module
    yield module
    del sys.modules["own_measures"]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """A model with two outputs."""
    keras.utils.set_random_seed(3)
    x = keras.Input((6,), name="x")
    outputs = {"age": keras.layers.Dense(1)(x), "kind": keras.layers.Dense(4, "softmax")(x)}
    return keras.Model(x, outputs)


def measured(model: Any, y: Any = Y, **evaluate: Any) -> dict[str, float]:
    settings = as_evaluate({"batch_size": 16, **evaluate})
    check_measures(settings)
    return Evaluator(settings, Data("own", X, y, 50)).evaluate(model).metrics


def by_keras(model: Any, **compiled: Any) -> dict[str, float]:
    model.compile(**compiled)
    return dict(model.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True))


def test_losses_and_metrics_by_output_are_those_of_keras(model: keras.Model) -> None:
    loss = {"age": "mse", "kind": "sparse_categorical_crossentropy"}
    metrics = {"age": ["mae", "mse"], "kind": ["accuracy"]}
    found = measured(model, loss=loss, metrics=metrics)
    expected = by_keras(model, loss=loss, metrics=metrics)
    assert set(found) == {"age_mae", "age_mse", "kind_accuracy", "loss"}
    assert found == pytest.approx({name: expected[name] for name in found}, abs=1e-5)


def test_outputs_that_are_not_named_have_no_loss_and_no_metrics(model: keras.Model) -> None:
    found = measured(model, loss={"age": "mse", "kind": None}, metrics={"kind": "accuracy"})
    squares = (model.predict(X, verbose=0)["age"][:, 0] - Y["age"]) ** 2
    assert set(found) == {"kind_accuracy", "loss"}
    assert found["loss"] == pytest.approx(squares.mean(), abs=1e-5)


def test_one_loss_for_all_outputs_goes_with_metrics_by_output(model: keras.Model) -> None:
    assert set(measured(model, loss=None, metrics={"age": [SQUARES]})) == {"age_mean_squared_error"}


@pytest.mark.parametrize(
    ("evaluate", "words"),
    [
        ({"loss": {"aeg": "mse"}}, "`evaluate.loss` names the output `aeg`, and the model has `age`, `kind`"),
        ({"loss": None, "metrics": {"sort": ["mae"]}}, "`evaluate.metrics` names the output `sort`"),
        ({"loss": {"age": "msee"}}, "Keras has no loss `msee`"),
        ({"loss": None, "metrics": {"kind": ["acuracy"]}}, "Keras has no metric `acuracy`"),
        ({"loss": {"age": 3}}, "`evaluate.loss.age` is 3, which does not name a loss"),
        ({"loss": None, "metrics": {"age": [["mae"]]}}, r"`evaluate.metrics.age` is [['mae']], which does not name"),
    ],
)
def test_a_mistake_in_a_mapping_is_told(evaluate: dict[str, Any], words: str, model: keras.Model) -> None:
    with pytest.raises(CallError) as caught:
        measured(model, **{"metrics": {}, **evaluate})
    assert words in str(caught.value)
    if "aeg" in words:
        assert caught.value.problems[0].candidates == ("age",)


def test_a_call_gives_them_by_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: keras.Model) -> None:
    monkeypatch.chdir(tmp_path)
    model.save("two.keras")
    np.savez("data.npz", x=X, y=Y["kind"])
    Path("own_two.py").write_text(
        "import numpy as np\ndef load():\n    d = np.load('data.npz')\n"
        f"    return d['x'], {{'age': np.array({Y['age'].tolist()}, 'float32'), 'kind': d['y']}}\n"
    )
    Path("noise.yaml").write_text("mutspec: 1\nsteps: [{op: gaussian_noise, target: {weights: kernels}, std: 0.1}]\n")
    call = ["plan_file=noise.yaml", "model.path=two.keras", "data._target_=own_two.load", "objective=age_mae"]
    call += ["evaluate.loss={age: mse, kind: sparse_categorical_crossentropy}", "evaluate.metrics={age: [mae]}"]
    result = run(ApplicationCall(tuple(call))).result
    assert result is not None
    expected = measured(model, loss={"age": "mse", "kind": "sparse_categorical_crossentropy"}, metrics={"age": ["mae"]})
    assert result.base == pytest.approx(expected)
    assert result.objective == "age_mae"
    swept = run(
        ApplicationCall((*call[:-1], "evaluate.metrics={age: [mae]},{age: [mse]}", "objective=loss"), is_sweep=True)
    )
    assert [sorted(each.base) for each in collect(swept.folder)] == [["age_mae", "loss"], ["age_mse", "loss"]]


FUNCTIONS = {
    "a vector over samples": ({"_target_": "own_measures.hits"}, "kind", "hits"),
    "a vector of the labels' shape": ({"_target_": "own_measures.off"}, "age", "off"),
    "a single number": ({"_target_": "own_measures.off_on_average"}, "age", "off_on_average"),
    "a function of Keras": ({"_target_": "keras.losses.mean_absolute_error"}, "age", "mean_absolute_error"),
    "an argument": ({"_target_": "own_measures.off", "scale": 2.5}, "age", "off"),
    "a name": ({"_target_": "own_measures.off", "name": "far"}, "age", "far"),
    "hydra's get_method": ({"_target_": "hydra.utils.get_method", "path": "own_measures.off"}, "age", "off"),
    "a function that makes a metric": ({"_target_": "own_measures.makes_one"}, "age", "made"),
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_a_function_is_a_metric_by_its_mean_over_samples(kind: str, model: keras.Model) -> None:
    spec, output, name = FUNCTIONS[kind]
    outputs = model.predict(X, verbose=0)
    if output == "kind":
        expected = np.mean(outputs["kind"].argmax(axis=-1) == Y["kind"])
    else:
        expected = spec.get("scale", 1.0) * np.abs(outputs["age"][:, 0] - Y["age"]).mean()
    found = measured(model, loss=None, metrics={output: [spec]})
    assert found == pytest.approx({f"{output}_{name}": expected}, abs=1e-5)


@pytest.mark.parametrize(
    "target", ["own_measures.off", "own_measures.off_on_average", "keras.losses.mean_absolute_error"]
)
def test_a_function_is_a_loss(target: str, model: keras.Model) -> None:
    expected = np.abs(model.predict(X, verbose=0)["age"][:, 0] - Y["age"]).mean()
    found = measured(model, loss={"age": {"_target_": target}}, metrics={})
    assert found == pytest.approx({"loss": expected}, abs=1e-5)


def test_a_function_of_the_users_takes_class_numbers() -> None:
    keras.utils.set_random_seed(4)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
    expected = np.mean(model.predict(X, verbose=0).argmax(axis=-1) == Y["kind"])
    found = measured(model, Y["kind"], loss=None, metrics=[{"_target_": "own_measures.hits"}])
    assert found == pytest.approx({"hits": expected})


def test_what_is_neither_a_metric_nor_a_function_is_refused(model: keras.Model) -> None:
    spec = {"_target_": "hydra.utils.get_class", "path": "keras.losses.MeanSquaredError"}
    with pytest.raises(CallError, match=r"is not a metric of Keras.*function of \(y_true, y_pred\)"):
        measured(model, loss=None, metrics=[spec])


def test_the_python_interface_takes_them_by_output(model: keras.Model) -> None:
    plan = mutspec.plan({"steps": [{"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.1}]})
    swept = mutspec.sweep(plan, model, (X, Y), loss={"age": "mse"}, metrics={"kind": ["accuracy"]})
    assert set(swept.results[0].base) == {"kind_accuracy", "loss"}

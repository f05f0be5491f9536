"""Sweeps from Python: against plain Keras, mutant by mutant, and what they leave and refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from mutspec.experiment.reports.aggregate import collect

RANDOM = np.random.default_rng(11)
X = RANDOM.normal(size=(60, 6)).astype(np.float32)
Y = RANDOM.integers(0, 4, 60)
NOISE = {"params": {"std": 0.1}, "steps": [{"op": "gaussian_noise", "target": "*", "std": "${params.std}"}]}


@pytest.fixture
def model() -> Any:
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(4, activation="softmax")]
    )


@pytest.fixture
def plan() -> Any:
    return mutspec.plan(NOISE)


def test_every_mutant_is_what_apply_makes_and_its_numbers_are_kerass(model: Any, plan: Any) -> None:
    """What `apply` makes is held against formulas by tests/execute/test_every_op.py."""
    before = [weight.copy() for weight in model.get_weights()]
    sweep = mutspec.sweep(plan, model, (X, Y), {"params.std": (scale for scale in (0.1, 1.0))}, seeds=3)
    assert [(row["params.std"], row["seed"]) for row in sweep.rows] == [(s, k) for s in (0.1, 1.0) for k in range(3)]
    for row in sweep.rows:
        mutant = mutspec.apply(plan.with_(std=row["params.std"], seed=row["seed"]), model)
        outputs = np.asarray(mutant(X))
        loss = float(np.mean(keras.losses.sparse_categorical_crossentropy(Y, outputs)))
        assert row["metrics.accuracy"] == pytest.approx((outputs.argmax(-1) == Y).mean(), abs=1e-6)
        assert row["metrics.loss"] == pytest.approx(loss, rel=1e-5)  # Keras averages in float32
        assert row["drop.accuracy"] == row["base.accuracy"] - row["metrics.accuracy"]
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))


def test_it_is_the_sweep_of_the_command_line(model: Any, tmp_path: Path) -> None:
    from mutspec.experiment.jobs.application import ApplicationCall, run

    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    (tmp_path / "noise.yaml").write_text(
        "mutspec: 1\nparams: {std: 0.1}\nsteps: [{op: gaussian_noise, target: '*', std: '${params.std}'}]\n"
    )
    overrides = (
        *(f"plan_file={tmp_path}/noise.yaml", f"model.path={tmp_path}/model.keras", "data=npz", "plan.seed=5"),
        *(f"data.path={tmp_path}/data.npz", "plan.params.std=0.1,1", "seeds=2", f"hydra.sweep.dir={tmp_path}/runs"),
    )
    wanted = collect(run(ApplicationCall(overrides, is_sweep=True)).folder)
    plan = mutspec.load_plan(tmp_path / "noise.yaml")
    found = mutspec.sweep(plan, tmp_path / "model.keras", (X, Y), {"params.std": [0.1, 1]}, seeds=[5, 6]).results
    for one, other in zip(found, wanted, strict=True):
        assert [row.metrics for row in one.rows] == [row.metrics for row in other.rows]
        assert [row.divergence for row in one.rows] == [row.divergence for row in other.rows]
        assert (one.value, one.parameters) == (other.value, other.parameters)


def test_several_keys_are_combined_the_last_one_fastest_and_steps_can_be_set(model: Any) -> None:
    plan = mutspec.plan(NOISE | {"steps": [{"id": "jitter", **NOISE["steps"][0]}]})  # type: ignore[dict-item]
    values = {"params.std": np.array([0.1, 1]), "steps.jitter.fraction": ["10%", 1.0]}
    sweep = mutspec.sweep(plan, model, (X, Y), values)
    assert [result.job.overrides for result in sweep.results] == [
        ("plan.params.std=0.1", "plan.steps.jitter.fraction=10%"),
        ("plan.params.std=0.1", "plan.steps.jitter.fraction=1.0"),
        ("plan.params.std=1.0", "plan.steps.jitter.fraction=10%"),
        ("plan.params.std=1.0", "plan.steps.jitter.fraction=1.0"),
    ]
    assert [row["touched"] for row in sweep.rows] == [9, 92, 9, 92]


def test_plans_that_change_the_architecture_are_swept_too(model: Any) -> None:
    insert = {"op": "insert_layer", "after": model.layers[0].name, "layer": {"type": "Dropout", "rate": 0.5}}
    plan = mutspec.plan({"steps": [{"id": "drop", **insert}]})
    sweep = mutspec.sweep(plan, model, (X, Y), {"steps.drop.layer.rate": [0.1, 0.9]})
    assert [row["agreement"] for row in sweep.rows] == [1, 1]


def test_it_needs_no_labels(model: Any, plan: Any) -> None:
    (row,) = mutspec.sweep(plan, model, (X, None)).rows
    assert 0 <= row["agreement"] <= 1
    assert "metrics.accuracy" not in row


def test_gates_are_told_and_the_table_is_that_of_a_sweep(model: Any, plan: Any) -> None:
    gates = [{"metric": "agreement", "min": 0.99}]
    sweep = mutspec.sweep(plan, model, (X, Y), {"params.std": [0.0, 5.0]}, seeds=2, require=gates)
    assert [not result.failed_gates for result in sweep.results] == [True, False]
    assert "1 job failed a gate" in str(sweep)
    assert "Divergence" in sweep.table("divergence")


def test_what_it_leaves_is_read_by_the_report(model: Any, plan: Any, tmp_path: Path) -> None:
    sweep = mutspec.sweep(plan, model, (X, Y), {"params.std": [0.1, 1.0]}, seeds=2)
    report = sweep.write(tmp_path / "out")
    assert (tmp_path / "out" / "results.csv").is_file()
    assert [result.rows for result in collect(tmp_path / "out")] == [result.rows for result in sweep.results]
    assert "params" not in str(report).splitlines()[0]


@pytest.mark.parametrize("seeds", [2, np.int64(2), range(2), np.arange(2), [1, 0, 1]])
def test_seeds_are_a_number_of_them_or_a_list_in_which_each_counts_once(model: Any, plan: Any, seeds: Any) -> None:
    (result,) = mutspec.sweep(plan, model, (X, Y), seeds=seeds).results
    assert sorted(row.seed for row in result.rows) == [0, 1]
    assert all(type(row.seed) is int for row in result.rows)


def test_progress_counts_mutants(model: Any, plan: Any) -> None:
    heard: list[tuple[int, int]] = []
    mutspec.sweep(plan, model, (X, Y), {"params.std": [0, 1]}, seeds=2, on_progress=lambda *told: heard.append(told))
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


def off_by(y_true: Any, y_pred: Any) -> Any:
    return np.abs(np.asarray(y_true) - np.asarray(y_pred).argmax(-1))


class Within(keras.metrics.Metric):
    """How many answers are at most `distance` away; it tells no configuration."""

    def __init__(self, distance: int) -> None:
        super().__init__(name="within")
        self.distance = distance
        self.hits = self.add_weight(name="hits", initializer="zeros")
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        away = np.abs(np.asarray(y_true) - np.asarray(y_pred).argmax(-1))
        self.hits.assign_add(float((away <= self.distance).sum()))
        self.count.assign_add(float(len(away)))

    def result(self) -> Any:
        return self.hits / self.count


def test_losses_and_metrics_may_be_objects_of_keras_and_functions(model: Any, plan: Any) -> None:
    top = keras.metrics.SparseTopKCategoricalAccuracy
    metrics = [
        *("accuracy", keras.metrics.sparse_categorical_accuracy, off_by, Within(1)),
        *(top(k=2), top(k=3), top(k=1, name="first")),
    ]
    metrics[3].update_state(Y, np.eye(4)[Y])  # what an object has measured before does not count
    loss = keras.losses.SparseCategoricalCrossentropy()
    sweep = mutspec.sweep(plan, model, (X, Y), seeds=2, metrics=metrics, loss=loss)
    wanted = mutspec.sweep(plan, model, (X, Y), seeds=2)
    for row, same in zip(sweep.rows, wanted.rows, strict=True):
        outputs = mutspec.apply(plan.with_(seed=row["seed"]), model).predict(X, verbose=0)
        away = np.abs(outputs.argmax(-1) - Y)
        order = np.argsort(-outputs, axis=-1)
        measured = {name.removeprefix("metrics."): value for name, value in row.items() if name.startswith("metrics.")}
        assert measured == pytest.approx(
            {
                "loss": same["metrics.loss"],
                "accuracy": same["metrics.accuracy"],
                "sparse_categorical_accuracy": same["metrics.accuracy"],
                "off_by": away.mean(),
                "within": (away <= 1).mean(),
                "sparse_top_k_categorical_accuracy_k_2": (order[:, :2] == Y[:, None]).any(-1).mean(),
                "sparse_top_k_categorical_accuracy_k_3": (order[:, :3] == Y[:, None]).any(-1).mean(),
                "first": same["metrics.accuracy"],
            },
            rel=1e-5,
        )


def test_one_object_does_not_measure_two_outputs(plan: Any) -> None:
    inputs = keras.Input((6,))
    two = keras.Model(inputs, {name: keras.layers.Dense(4, name=name)(inputs) for name in ("a", "b")})
    top = keras.metrics.SparseTopKCategoricalAccuracy
    with pytest.raises(mutspec.MutspecError, match="is one object, and would measure several outputs together"):
        mutspec.sweep(plan, two, (X, {"a": Y, "b": Y}), metrics=[top(k=2)])
    (row,) = mutspec.sweep(plan, two, (X, {"a": Y, "b": Y}), metrics={"a": [top(k=4)], "b": top(k=4)}).rows
    assert [row[f"metrics.{name}_sparse_top_k_categorical_accuracy"] for name in "ab"] == [1, 1]


def test_functions_of_one_name_are_not_taken_for_one_metric(model: Any, plan: Any) -> None:
    both = [lambda y_true, y_pred: 0.0, lambda y_true, y_pred: 1.0]
    with pytest.raises(mutspec.MutspecError, match="two metrics are called `<lambda>`"):
        mutspec.sweep(plan, model, (X, Y), metrics=both)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": {"params.sdt": [1]}}, "sdt"),
        ({"values": {"params.std": ["wide"]}}, "std"),
        ({"values": {"params.std": 0.1}}, "not a list of values"),
        ({"values": {"params.std": "0.1"}}, "not a list of values"),
        ({"values": {"params.std": []}}, "no values"),
        ({"seeds": []}, "no seeds"),
        ({"seeds": 0}, "no seeds"),
        ({"seeds": 2.5}, "`seeds` is 2.5"),
        ({"seeds": None}, "`seeds` is None"),
        ({"metrics": ["acuracy"]}, "acuracy"),
        ({"metrics": "accuracy"}, "expected a list of metrics, got text"),
        ({"metrics": [3]}, "expected a name of Keras or a mapping with `_target_`"),
        ({"metrics": [keras.metrics.AUC]}, r"the class AUC, not an object of it. write AUC\(\)"),
        ({"loss": keras.losses.MeanSquaredError}, "the class MeanSquaredError"),
        ({"metric": ["accuracy"]}, "`evaluate` has no key `metric`"),
        ({"batch_size": 0}, "batch_size"),
        ({"require": [{"metric": "accuracy"}]}, "sets no bound"),
        ({"require": [{"metrc": "accuracy", "min": 1}]}, "has no key `metrc`"),
        ({"require": [{"metric": "acuracy", "min": 1}]}, "no measure is called `acuracy`"),
        ({"objective": "acuracy"}, "no measure is called `acuracy`"),
        ({"data": (X[:5], Y)}, "different lengths"),
        ({"data": X}, "not x and y"),
        ({"data": (X[:, :3], Y)}, "the model takes"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    model: Any, plan: Any, changes: dict[str, Any], message: str
) -> None:
    arguments = {"data": (X, Y), "values": {}, **changes}
    with pytest.raises(mutspec.MutspecError, match=message):
        mutspec.sweep(plan, model, arguments.pop("data"), arguments.pop("values"), **arguments)

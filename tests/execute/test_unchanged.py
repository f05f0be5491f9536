"""Steps that change nothing say so: in a dry-run where it is known, and after they were applied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from jsonschema import Draft202012Validator

import mutspec

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

ROOT = Path(__file__).parents[2]
X = np.random.default_rng(1).normal(size=(8, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Any:
    """As Keras makes it: all biases are 0; the last kernel has one entry."""
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(4, name="wide"), keras.layers.Dense(1, name="narrow")]
    return keras.Sequential([keras.Input((6,)), *layers, keras.layers.Dense(1, name="last")])


@pytest.fixture(scope="module")
def file(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "model.keras"
    model.save(path)
    return path


def plan(*steps: dict[str, Any]) -> Any:
    return mutspec.plan({"steps": list(steps)})


def said(report: Any) -> list[str]:
    return [problem.message for problem in report.warnings]


RELATIVE = {"op": "gaussian_noise", "id": "jitter", "std": 0.5, "relative_to": "std", "target": {"weights": "kernels"}}


def test_a_step_of_size_0_is_told_with_its_targets_before_and_after(file: Path, tmp_path: Path) -> None:
    nothing = plan({"op": "gaussian_noise", "target": {"weights": "*"}, "std": 0.0})
    listed = "`wide/kernel`, `wide/bias`, `narrow/kernel` and 3 more, all that it touches"
    assert said(mutspec.dry_run(nothing, file)) == [f"step `gaussian_noise` can change nothing in {listed}"]
    report = mutspec.apply(nothing, file, tmp_path / "out.keras")
    assert said(report) == [f"step `gaussian_noise` changed nothing in {listed}"]
    assert report.changes_nothing
    assert {target.changed for target in report.steps[0].targets} == {0}


def test_a_weight_of_one_entry_has_no_standard_deviation_to_be_relative_to(file: Path, tmp_path: Path) -> None:
    report = mutspec.dry_run(plan(RELATIVE), file)
    assert said(report) == ["step `jitter` can change nothing in 1 of 3 weights: `last/kernel`"]
    assert "a single entry has a standard deviation of 0" in report.warnings[0].hint
    assert not report.changes_nothing
    applied = mutspec.apply(plan(RELATIVE), file, tmp_path / "out.keras")
    assert said(applied) == ["step `jitter` changed nothing in 1 of 3 weights: `last/kernel`"]
    alone = {**RELATIVE, "target": "last/kernel"}
    assert said(mutspec.dry_run(plan(alone), file)) == [
        "step `jitter` can change nothing in `last/kernel`, all that it touches"
    ]
    document = mutspec.dry_run(plan(RELATIVE), file).to_json()
    assert [target["may_change"] for target in document["steps"][0]["targets"]] == [True, True, False]
    Draft202012Validator(json.loads((ROOT / "schemas/apply.schema.json").read_text())).validate(document)


def test_zeros_that_are_multiplied_are_told_once_they_were_found(file: Path, tmp_path: Path) -> None:
    scaled = plan({"op": "gaussian_noise", "id": "spread", "std": 0.5, "mode": "multiply", "target": {"weights": "*"}})
    assert said(mutspec.dry_run(scaled, file)) == []
    report = mutspec.apply(scaled, file, tmp_path / "out.keras")
    assert said(report) == ["step `spread` changed nothing in 3 of 6 weights: `wide/bias`, `narrow/bias`, `last/bias`"]


def test_a_step_that_finds_its_work_done_tells_only_if_it_is_all_of_it(model: Any) -> None:
    with mutspec.mutated(plan({"op": "zero", "target": {"weights": "*"}}), model) as report:
        assert said(report) == []
    with mutspec.mutated(plan({"op": "zero", "target": {"weights": "biases"}}), model) as report:
        (problem,) = report.warnings
        assert (
            problem.message
            == "step `zero` changed nothing in `wide/bias`, `narrow/bias`, `last/bias`, all that it touches"
        )
        assert problem.hint == "they were already as it leaves them"
        assert report.changes_nothing
    with mutspec.mutated(plan({"op": "clip", "target": "*", "max": 100}), model) as report:
        assert report.changes_nothing
        assert len(report.warnings) == 1


def test_what_does_change_weights_is_told_nothing_of(model: Any) -> None:
    noise = {"op": "gaussian_noise", "std": 0.1, "target": {"weights": "*"}}
    flips = {"op": "bit_flip", "bits": "mantissa", "count": 1, "target": {"weights": "*"}}
    with mutspec.mutated(plan(noise, flips), model) as report:
        assert said(report) == []
        assert not report.changes_nothing


def test_a_step_that_is_allowed_to_touch_nothing_is_not_warned_of_and_changes_nothing(model: Any) -> None:
    allowed = plan({"op": "gaussian_noise", "std": 1.0, "fraction": 0.0, "target": "*", "allow_empty": True})
    with mutspec.mutated(allowed, model) as report:
        assert said(report) == []
        assert report.changes_nothing
    assert mutspec.dry_run(allowed, model).changes_nothing


def test_the_expected_difference_leaves_out_what_cannot_change(file: Path) -> None:
    from click.testing import CliRunner

    from mutspec.cli.main import cli

    written = json.dumps({"mutspec": 1, "steps": [RELATIVE]})
    done = CliRunner().invoke(cli, ["apply", "-", str(file), "--dry-run", "--diff", "--json"], input=written)
    assert [each["weight"] for each in json.loads(done.stdout)["diff"]["tensors"]] == ["kernel", "kernel"]


def inserted(**layer: Any) -> dict[str, Any]:
    return {"op": "insert_layer", "id": "fault", "after": "wide", "layer": layer}


def test_a_layer_that_acts_in_training_only_is_not_a_fault(model: Any) -> None:
    for step in (inserted(type="GaussianNoise", stddev=0.5), inserted(type="Dropout", rate=0.5)):
        with pytest.warns(mutspec.MutspecWarning, match="acts in training only"):
            mutant = mutspec.apply(plan(step), model)
        np.testing.assert_array_equal(mutant.predict(X, verbose=0), model.predict(X, verbose=0))
        report = mutspec.dry_run(plan(step), model)
        kind = step["layer"]["type"]
        assert said(report) == [f"`fault` ({kind}) acts in training only: predictions do not change"]
        assert report.changes_nothing


def test_of_several_such_layers_one_is_named(model: Any) -> None:
    step = {**inserted(type="Dropout", rate=0.5), "after": {"type": "Dense", "not": "last"}}
    assert said(mutspec.dry_run(plan(step), model)) == [
        "`fault` (Dropout) and 1 more act in training only: predictions do not change"
    ]


def test_in_place_of_a_layer_that_acts_it_passes_the_input_on() -> None:
    layers = keras.layers
    base = keras.Sequential(
        [keras.Input((6,)), layers.Activation("tanh", name="squash"), layers.Dropout(0.1, name="d")]
    )
    step = {"op": "replace_layer", "target": "squash", "id": "new", "layer": {"type": "GaussianNoise", "stddev": 1.0}}
    report = mutspec.dry_run(plan(step), base)
    assert said(report) == [
        "`squash` (GaussianNoise) acts in training only: in predictions the input is passed on as it is"
    ]
    assert not report.changes_nothing
    with pytest.warns(mutspec.MutspecWarning, match="is passed on"):
        mutant = mutspec.apply(plan(step), base)
    np.testing.assert_array_equal(mutant.predict(X, verbose=0), X)
    idle = mutspec.dry_run(plan({**step, "target": "d"}), base)
    assert said(idle) == ["`d` (GaussianNoise) acts in training only: predictions do not change"]
    assert idle.changes_nothing


def test_other_layers_and_identities_that_are_asked_for_are_not_warned_of(model: Any) -> None:
    assert said(mutspec.dry_run(plan(inserted(type="Dense", units="same")), model)) == []
    asked_for = {**inserted(type="Dropout", rate=0.5), "initialize": "identity"}
    assert said(mutspec.dry_run(plan(asked_for), model)) == []
    removed = keras.Sequential([keras.Input((6,)), keras.layers.Dropout(0.5, name="drop"), keras.layers.Dense(2)])
    report = mutspec.dry_run(plan({"op": "remove_layer", "target": "drop"}), removed)
    assert said(report) == []
    assert report.changes_nothing


def test_a_layer_that_is_called_as_in_training_acts_always() -> None:
    x = keras.Input((6,))
    always = keras.Model(x, keras.layers.Dense(2)(keras.layers.Dropout(0.5, name="drop")(x, training=True)))
    assert not mutspec.dry_run(plan({"op": "remove_layer", "target": "drop"}), always).changes_nothing

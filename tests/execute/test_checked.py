"""`apply --check`: base and mutant are called in Keras before the mutant gets its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import mutspec
from mutspec.cli.boundary import run
from mutspec.cli.main import cli
from mutspec.errors import CallError, CheckError
from mutspec.execute import checked
from mutspec.execute.checked import apply_checked
from mutspec.lowering.batch_norm_folding import affine_of
from mutspec.lowering.claims import SamePredictions
from mutspec.model.live import read_live
from mutspec.ops import morphism
from mutspec.ops.naming import RenameLayer
from mutspec.ops.structure import ConfigureLayer, RemoveLayer
from tests.zoo.play import shared

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "apply.schema.json").read_text())
Saved = Callable[[str], Path]


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """Saves a model of the zoo."""

    def save(name: str) -> Path:
        shared(name).save(tmp_path / "base.keras")
        return tmp_path / "base.keras"

    return save


def plan(*steps: dict[str, Any], **keys: Any) -> Any:
    numbered = [{"id": f"step_{number}", **step} for number, step in enumerate(steps, start=1)]
    return mutspec.plan({"mutspec": 1, "steps": numbered, **keys})


RENAME = {"op": "rename_layer", "target": "head", "to": "top"}
IDENTITY = {
    "op": "insert_layer",
    "after": "stem",
    "layer": {"type": "Conv2D", "filters": "same", "kernel_size": 3, "padding": "same"},
    "initialize": "identity",
}
NOISE = {"op": "gaussian_noise", "target": "stem", "std": 0.1}
REMOVE = {"op": "remove_layer", "target": "relu"}


def test_claims_that_hold_are_reported_and_the_file_is_written(saved: Saved, tmp_path: Path) -> None:
    output = tmp_path / "mutant.keras"
    report = apply_checked(plan(RENAME, IDENTITY, NOISE, REMOVE), saved("residual"), output)
    assert report.check is not None
    assert [(claim.step, claim.holds) for claim in report.check.claims] == [("step_1", True), ("step_2", True)]
    assert report.output == output
    assert sorted(each.name for each in tmp_path.iterdir()) == ["base.keras", "mutant.keras"]
    document = report.to_json()
    jsonschema.validate(json.loads(json.dumps(document, allow_nan=False)), SCHEMA)
    assert document["check"]["inputs"] == [{"name": "image", "shape": [2, 6, 6, 3]}]
    assert "After `step_2` the model predicts" in str(report)


@pytest.mark.parametrize("steps", [(RENAME, REMOVE), (REMOVE, RENAME), (RENAME, REMOVE, NOISE)])
def test_the_step_that_breaks_its_claim_is_named_and_nothing_is_written(
    steps: tuple[dict[str, Any], ...], saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RemoveLayer, "claim", lambda self: SamePredictions())
    with pytest.raises(CheckError, match="`remove_layer` claims that the model predicts the same, but") as caught:
        apply_checked(plan(*steps), saved("residual"), tmp_path / "mutant.keras")
    assert caught.value.problems[0].path == ("steps", steps.index(REMOVE))
    assert [each.name for each in tmp_path.iterdir()] == ["base.keras"]


def test_a_claim_has_its_own_tolerance(saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RemoveLayer, "claim", lambda self: SamePredictions(tolerance=100.0))
    report = apply_checked(plan(REMOVE), saved("residual"), tmp_path / "mutant.keras")
    assert report.check is not None
    (claim,) = report.check.claims
    assert claim.holds
    assert claim.difference


def test_the_step_after_which_outputs_are_not_finite_is_named(saved: Saved, tmp_path: Path) -> None:
    fill = {"op": "fill", "target": "head/kernel", "value": float("nan"), "non_finite": "report"}
    with pytest.raises(CheckError, match="the outputs become infinite or NaN") as caught:
        apply_checked(plan(NOISE, fill, IDENTITY), saved("residual"), tmp_path / "mutant.keras")
    assert caught.value.problems[0].path == ("steps", 1)


@pytest.mark.parametrize(
    "name", ["embedding_mask", "siamese", "multiple_io", "transformer", "mixed_float16", "called_twice"]
)
def test_models_are_called_on_inputs_that_they_take(name: str, saved: Saved, tmp_path: Path) -> None:
    model = saved(name)
    target = {"name": "*", "not": {"type": "InputLayer"}, "pick": {"last": 1}}
    report = apply_checked(
        plan({"op": "rename_layer", "target": target, "to": "other"}), model, tmp_path / "mutant.keras"
    )
    assert report.check is not None
    assert [claim.holds for claim in report.check.claims] == [True]


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("residual", {"op": "fold_batch_normalization", "target": "norm"}),
        ("sequential", {"op": "convert", "to": "functional"}),
        ("nested", {"op": "inline_model", "target": "encoder"}),
        ("residual", {"op": "nest_layers", "target": ["branch", "norm"], "name": "block"}),
        ("shared_layers", {"op": "unshare_weights", "target": "shared"}),
    ],
)
def test_an_op_that_keeps_predictions_claims_it_and_does(
    name: str, step: dict[str, Any], saved: Saved, tmp_path: Path
) -> None:
    report = apply_checked(plan(step), saved(name), tmp_path / "mutant.keras")
    assert report.check is not None
    assert [claim.holds for claim in report.check.claims] == [True]


@pytest.fixture
def cancelling(tmp_path: Path) -> Path:
    """A model in which float32 rounds much: large sums, from which a normalization takes as much as they are."""
    import keras
    import numpy as np

    layers = keras.layers
    norm = layers.BatchNormalization(name="norm")
    model = keras.Sequential([keras.Input((8,)), layers.Dense(40, name="stem"), norm, layers.Activation("sigmoid")])
    random = np.random.default_rng(0)
    model.layers[0].set_weights([random.normal(size=(8, 40)), np.full(40, 1e4)])
    norm.set_weights([np.ones(40), np.zeros(40), np.full(40, 1e4), np.ones(40)])
    model.save(tmp_path / "base.keras")
    return tmp_path / "base.keras"


FOLD = {"op": "fold_batch_normalization", "target": "norm"}
TO_FUNCTIONAL = {"op": "convert", "to": "functional"}


@pytest.mark.parametrize("steps", [(FOLD,), (FOLD, TO_FUNCTIONAL)])
def test_what_is_rounding_in_float32_is_told_by_float64(
    steps: tuple[dict[str, Any], ...], cancelling: Path, tmp_path: Path
) -> None:
    report = apply_checked(plan(*steps), cancelling, tmp_path / "mutant.keras")
    assert report.check is not None
    claim = report.check.claims[0]
    assert claim.difference is not None
    assert claim.float64_difference is not None
    assert claim.float64_difference < 1e-9 < claim.tolerance < claim.difference
    assert claim.holds
    assert "This is rounding: in float64 it is" in " ".join(str(report).split())
    jsonschema.validate(json.loads(json.dumps(report.to_json(), allow_nan=False)), SCHEMA)


def fold_wrongly(monkeypatch: pytest.MonkeyPatch, *dtypes: str) -> None:
    """Makes folds of batch normalizations of some dtypes wrong by a ten-thousandth of their shift."""

    def affine(ctx: Any, layer: Any) -> Any:
        right = affine_of(ctx, layer)
        is_wrong = ctx.weight(layer.path, "gamma").dtype in dtypes
        return replace(right, shift=right.shift * (1.0001 if is_wrong else 1.0))

    monkeypatch.setattr(morphism, "affine_of", affine)


def test_a_wrong_fold_is_not_taken_for_rounding(
    cancelling: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold_wrongly(monkeypatch, "float32", "float64")
    with pytest.raises(CheckError, match=r"in float64 it is 0\.\d+, which is not rounding"):
        apply_checked(plan(FOLD), cancelling, tmp_path / "mutant.keras")


def test_weights_that_are_wrong_in_float32_alone_are_not_taken_for_rounding(
    cancelling: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold_wrongly(monkeypatch, "float32")
    with pytest.raises(CheckError, match=r"at most 1e-05 is allowed; if you trust"):
        apply_checked(plan(FOLD), cancelling, tmp_path / "mutant.keras")


def test_shapes_that_keras_does_not_make_are_named(
    saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_another_head(model: Any) -> Any:
        live = read_live(model)
        tensors = tuple(
            replace(each, shape=(9, 9)) if each.path == "head/kernel" else each for each in live.spec.tensors
        )
        return replace(live, spec=replace(live.spec, tensors=tensors))

    monkeypatch.setattr(checked, "read_live", with_another_head)
    with pytest.raises(CheckError, match=r"`head/kernel` with shape .*, but Keras builds it with shape \(9, 9\)"):
        apply_checked(plan(NOISE), saved("residual"), tmp_path / "mutant.keras")
    assert [each.name for each in tmp_path.iterdir()] == ["base.keras"]


def test_weights_are_checked_with_their_architecture(saved: Saved, tmp_path: Path) -> None:
    import keras

    model, weights = saved("residual"), tmp_path / "base.weights.h5"
    keras.models.load_model(model).save_weights(weights)
    report = apply_checked(plan(NOISE), weights, tmp_path / "mutant.weights.h5", architecture=model)
    assert report.check is not None
    assert report.check.claims == ()
    with pytest.raises(CallError, match="cannot be checked from its weights alone"):
        apply_checked(plan(IDENTITY), model, tmp_path / "other.weights.h5")


def test_what_is_only_for_training_is_claimed() -> None:
    def claim(**arguments: Any) -> SamePredictions | None:
        return ConfigureLayer(target="a", set=arguments).claim()

    assert claim(trainable=False, kernel_regularizer="l2", dropout=0.1)
    assert claim(trainable=False, activation="relu") is None
    assert claim(rate=0.5) is None  # of what, only the layer tells
    assert RenameLayer(target="a", to="b").claim() is None  # it follows from what the step does


def test_the_command_ends_with_1_and_says_why(
    saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, written = saved("residual"), tmp_path / "plan.yaml"
    written.write_text("mutspec: 1\nsteps:\n  - {op: remove_layer, target: relu}\n")
    call = ["apply", str(written), str(model), "-o", str(tmp_path / "mutant.keras"), "--check"]
    assert _code(call) == 0
    assert "Checked in Keras on 1 random input (seed 0)" in capsys.readouterr().out
    monkeypatch.setattr(RemoveLayer, "claim", lambda self: SamePredictions())
    assert _code([*call, "--force"]) == 1
    assert "plan.yaml:3:10: `remove_layer` claims" in capsys.readouterr().err
    assert _code([*call, "--dry-run"]) == 2
    base = model.read_bytes()
    assert _code(["apply", str(written), str(model), "-o", str(model), "--check", "--force"]) == 2
    assert model.read_bytes() == base


def _code(call: list[str]) -> int:
    return int(run(cli, call, "mutspec"))

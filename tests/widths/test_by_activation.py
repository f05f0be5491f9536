"""`by: activation`: units are ranked by what flows out of them on the data of the call, as Keras itself computes it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import mutspec
from mutspec.errors import CallError, PlanError
from mutspec.model.layer_output import LayerOutput
from mutspec.model.live import mean_activations
from tests.cli.conftest import ROOT, called
from tests.widths.networks import step
from tests.without_keras import BLOCKER
from tests.zoo.play import drawn, outputs, shared

RANDOM = np.random.default_rng(3)
IMAGES = RANDOM.normal(size=(70, 6, 6, 3)).astype(np.float32)
VOLUMES = RANDOM.normal(size=(40, 3, 4, 4, 4)).astype(np.float32)
SERIES = RANDOM.normal(size=(40, 5, 4)).astype(np.float32)
ROWS = RANDOM.normal(size=(50, 6)).astype(np.float32)


class Case(NamedTuple):
    """A layer whose units are ranked.

    Arguments:
        model: the model.
        layer: the path of the layer.
        data: what the model is called on.
        oracle: returns what the layer puts out, from plain Keras; its units are on the axis.
        axis: the axis.
        bias: returns the bias of the layer, which is zero in a unit that is masked.
    """

    model: Any
    layer: str
    data: Any
    oracle: Callable[[], list[np.ndarray]]
    axis: int
    bias: Callable[[Any], np.ndarray]


def _of(model: Any, name: str, data: Any) -> Callable[[], list[np.ndarray]]:
    """Returns what a layer of the outermost model puts out."""
    import keras

    given = list(data.values()) if isinstance(data, dict) else data
    return lambda: [np.asarray(keras.Model(model.input, model.get_layer(name).output)(given, training=False))]


def _bias(name: str) -> Callable[[Any], np.ndarray]:
    return lambda model: np.asarray(model.get_layer(name).get_weights()[-1]).reshape(-1)


def _networks() -> dict[str, Case]:
    import keras
    from keras import layers

    def image() -> Any:
        given = keras.Input((6, 6, 3))
        x = layers.Conv2D(7, 3, activation="relu", name="conv")(given)
        x = layers.Flatten()(layers.MaxPooling2D()(layers.BatchNormalization(name="bn")(x)))
        return drawn(keras.Model(given, layers.Dense(2, name="head")(x)))

    def volume() -> Any:
        keys = {"data_format": "channels_first"}  # of the plain convolutions, TensorFlow has this one on processors
        given = keras.Input((3, 4, 4, 4))
        x = layers.Conv3D(7, 3, activation="relu", name="conv", **keys)(given)
        return drawn(keras.Model(given, layers.Dense(2)(layers.Flatten(**keys)(x))))

    def series() -> Any:
        given = keras.Input((5, 4))
        x = layers.Dense(6, activation="tanh", name="dense")(given)
        x = layers.Conv1D(5, 2, name="conv")(x)
        x = layers.LSTM(7, name="lstm")(layers.ReLU(name="relu")(x))
        return drawn(keras.Model(given, layers.Dense(2)(x)))

    def two_inputs() -> Any:
        left, right = keras.Input((5, 4), name="left"), keras.Input((6,), name="right")
        shared = layers.Dense(6, activation="relu", name="shared")
        both = layers.Concatenate()(
            [
                layers.Flatten()(shared(left)),
                shared(layers.Dense(4, name="narrow")(layers.Dense(9, name="wide")(right))),
            ]
        )
        return drawn(keras.Model([left, right], layers.Dense(2)(both)))

    def nested() -> Any:
        inside = keras.Input((6, 6, 3))
        hidden = layers.Conv2D(6, 3, activation="relu", name="conv")(inside)
        encoder = keras.Model(inside, layers.GlobalAveragePooling2D()(hidden), name="encoder")
        given = keras.Input((6, 6, 3))
        return drawn(keras.Model(given, layers.Dense(2)(encoder(given))))

    plain, planes, sequences, two, deep = image(), volume(), series(), two_inputs(), nested()
    pair = {"left": SERIES, "right": ROWS[:40]}

    def of_shared() -> list[np.ndarray]:
        dense = two.get_layer("shared")
        return [np.asarray(dense(SERIES)), np.asarray(dense(two.get_layer("narrow")(two.get_layer("wide")(ROWS[:40]))))]

    def of_nested() -> list[np.ndarray]:
        return [np.asarray(deep.get_layer("encoder").get_layer("conv")(IMAGES))]

    gates = _bias("lstm")
    return {
        "a convolution": Case(plain, "conv", IMAGES, _of(plain, "conv", IMAGES), -1, _bias("conv")),
        "channels first": Case(planes, "conv", VOLUMES, _of(planes, "conv", VOLUMES), 1, _bias("conv")),
        "a Dense of rank 3": Case(sequences, "dense", SERIES, _of(sequences, "dense", SERIES), -1, _bias("dense")),
        "a layer before its ReLU": Case(sequences, "conv", SERIES, _of(sequences, "conv", SERIES), -1, _bias("conv")),
        "recurrent units": Case(
            sequences, "lstm", SERIES, _of(sequences, "lstm", SERIES), -1, lambda model: gates(model)[:7]
        ),
        "a layer that is called twice": Case(two, "shared", pair, of_shared, -1, _bias("shared")),
        "several inputs": Case(two, "wide", pair, _of(two, "wide", pair), -1, _bias("wide")),
        "a layer in a model": Case(
            deep, "encoder/conv", IMAGES, of_nested, -1, lambda model: _bias("conv")(model.get_layer("encoder"))
        ),
    }


NAMES = (
    "a convolution", "channels first", "a Dense of rank 3", "a layer before its ReLU", "recurrent units",
    "a layer that is called twice", "several inputs", "a layer in a model",
)  # fmt: skip


@cache
def case(name: str) -> Case:
    cases = _networks()
    assert tuple(cases) == NAMES
    return cases[name]


CASES = pytest.mark.parametrize("name", NAMES)


def expected(case: Case) -> np.ndarray:
    """The mean |activation| of each unit, over all samples, positions and calls."""
    moved = [np.moveaxis(np.asarray(each, np.float64), case.axis, 0) for each in case.oracle()]
    return np.abs(np.concatenate([each.reshape(len(each), -1) for each in moved], axis=1)).mean(axis=1)


def plan_of(target: Any, op: str = "mask_neurons", **keys: Any) -> Any:
    return mutspec.plan({"steps": [step(target, op, by="activation", **keys)]})


def plan_file(folder: Path, target: str, op: str = "remove_neurons") -> str:
    path = folder / "plan.yaml"
    path.write_text(f"mutspec: 1\nsteps:\n- {{op: {op}, target: {target}, count: 2, by: activation}}\n")
    return str(path)


@CASES
@pytest.mark.parametrize("rank", ["smallest", "largest"])
def test_the_units_with_the_smallest_or_largest_mean_activation_are_chosen(name: str, rank: str) -> None:
    known = case(name)
    masked = known.bias(mutspec.apply(plan_of(known.layer, count=3, rank=rank), known.model, data=known.data)) == 0
    order = np.argsort(expected(known))
    assert sorted(np.flatnonzero(masked)) == sorted(order[:3] if rank == "smallest" else order[-3:])


@CASES
def test_the_numbers_are_those_of_keras_and_the_same_each_time(name: str) -> None:
    known = case(name)
    place = LayerOutput(known.layer, -4 if name == "channels first" else -1)
    inputs = list(known.data.values()) if isinstance(known.data, dict) else [known.data]
    found, again = (mean_activations(known.model, [place], inputs) for _ in range(2))
    assert found == again
    assert np.allclose(found[0], expected(known), rtol=1e-5)


def test_a_model_that_was_measured_is_as_it_was() -> None:
    known = case("a convolution")
    layer, before = known.model.get_layer("conv"), outputs(known.model, IMAGES)
    attributes = set(vars(layer))
    mutspec.dry_run(plan_of("conv", count=2), known.model, data=IMAGES)
    assert set(vars(layer)) == attributes
    assert all(np.array_equal(*each) for each in zip(before, outputs(known.model, IMAGES), strict=True))


def test_a_block_masks_what_apply_masks() -> None:
    known = case("a convolution")
    plan = plan_of("conv", count=2)
    mutant = mutspec.apply(plan, known.model, data=IMAGES)
    with mutspec.mutated(plan, known.model, data=IMAGES):
        assert np.array_equal(known.bias(known.model), known.bias(mutant))


def test_one_budget_over_all_targets_goes_by_the_share_of_the_mean_activation_of_a_layer() -> None:
    known = case("a Dense of rank 3")
    scores = {
        name: expected(known._replace(oracle=_of(known.model, name, SERIES))) for name in ("dense", "conv", "lstm")
    }
    shares = sorted((value / each.mean(), name) for name, each in scores.items() for value in each)
    gone = [name for _, name in shares[:6]]
    mutant = mutspec.apply(
        plan_of(["dense", "conv", "lstm"], "remove_neurons", count=6, per="all"), known.model, data=SERIES
    )
    units = {"dense": mutant.get_layer("dense").units, "conv": mutant.get_layer("conv").filters}
    units["lstm"] = mutant.get_layer("lstm").units
    assert units == {name: len(each) - gone.count(name) for name, each in scores.items()}


def test_layers_that_are_added_are_measured_together() -> None:
    model = shared("residual")
    width = model.get_layer("branch").output.shape[-1]
    x = RANDOM.normal(size=(20, *model.inputs[0].shape[1:])).astype(np.float32)
    scores = sum(
        np.abs(_of(model, name, x)()[0].astype(np.float64)).reshape(-1, width).mean(axis=0)
        for name in ("stem", "branch")
    )
    mutant = mutspec.apply(plan_of(["stem", "branch"], count=1), model, data=x)
    changed = np.asarray(mutant.get_layer("stem").get_weights()[0]) != np.asarray(
        model.get_layer("stem").get_weights()[0]
    )
    assert np.flatnonzero(changed.any(axis=(0, 1, 2))).tolist() == [int(np.argmin(scores))]


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("quantized_int8", "dense_1"),
        ("mixed_float16", "conv2d"),
        ("time_distributed", "time_distributed/dense"),
        ("bidirectional", "bidirectional/backward_lstm"),
        ("einsum", "einsum_dense"),
        ("conv_lstm", "conv_lstm2d"),
        ("embedding_mask", "lstm"),
    ],
)
def test_layers_of_other_kinds_are_measured_too(name: str, layer: str) -> None:
    model = shared(name)
    x = RANDOM.integers(0, 3, size=(4, *model.inputs[0].shape[1:])).astype(model.inputs[0].dtype)
    report = mutspec.dry_run(plan_of(layer, count=1), model, data=x)
    assert any(each.touched for each in report.steps[0].targets)


# Files.


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_gets_what_a_model_in_memory_gets(tmp_path: Path, suffix: str) -> None:
    import keras

    known = case("several inputs")
    base, data, out = tmp_path / f"base{suffix}", tmp_path / "data.npz", tmp_path / f"mutant{suffix}"
    known.model.save(base)
    np.savez(data, **known.data)
    result = called("apply", plan_file(tmp_path, "shared"), str(base), "-o", str(out), "--data", str(data), "--check")
    assert (result.code, result.err) == (0, "")
    mutant = mutspec.apply(plan_of("shared", "remove_neurons", count=2), known.model, data=str(data))
    written = keras.saving.load_model(out)
    assert all(np.array_equal(*each) for each in zip(written.get_weights(), mutant.get_weights(), strict=True))
    report = mutspec.dry_run(mutspec.load_plan(tmp_path / "plan.yaml"), base, data=known.data)
    assert report.needs_keras == ""


@pytest.mark.parametrize("saved", [{"anything": IMAGES}, {"x": IMAGES, "y": np.arange(70)}])
def test_the_only_input_may_have_any_name_and_labels_beside_it(tmp_path: Path, saved: dict[str, Any]) -> None:
    known = case("a convolution")
    np.savez(tmp_path / "data.npz", **saved)
    mutant = mutspec.apply(plan_of("conv", count=2), known.model, data=tmp_path / "data.npz")
    assert np.array_equal(
        known.bias(mutant), known.bias(mutspec.apply(plan_of("conv", count=2), known.model, data=IMAGES))
    )


def test_a_drawing_of_coupled_layers_takes_data_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=RANDOM.normal(size=(4, 8, 8, 1)))
    call = ("graph", plan_file(tmp_path, "conv_1"), str(ROOT / "conf/model/digits.keras"), "--coupling")
    assert called(*call).code == 2
    result = called(*call, "--data", str(tmp_path / "data.npz"))
    assert (result.code, result.err) == (0, "")
    assert "conv_1" in result.out
    drawing = str(tmp_path / "data.npz")
    assert called(*call, "--data", drawing, "-o", drawing, "--force").code == 2


def test_without_keras_the_exit_code_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((2, 8, 8, 1), np.float32))
    plan, model = plan_file(tmp_path, "conv_1"), ROOT / "conf/model/digits.keras"
    call = ["apply", plan, str(model), "--dry-run", "--data", str(tmp_path / "data.npz")]
    script = f"{BLOCKER}\nfrom mutspec.cli.boundary import run\nfrom mutspec.cli.main import cli\n"
    script += f"raise SystemExit(int(run(cli, {call!r}, 'mutspec')))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 3
    assert "mutspec[tensorflow]" in done.stderr


# Sweeps.


def test_a_sweep_measures_on_its_own_data() -> None:
    known = case("a convolution")
    y = np.arange(70) % 2
    sweep = mutspec.sweep(plan_of("conv", count=2), known.model, (IMAGES, y), metrics=["accuracy"], from_logits=True)
    mutant = mutspec.apply(plan_of("conv", count=2), known.model, data=IMAGES)
    predicted = np.asarray(mutant.predict(IMAGES, verbose=0)).argmax(axis=-1)
    assert sweep.rows[0]["metrics.accuracy"] == pytest.approx(float((predicted == y).mean()), abs=1e-6)


@pytest.mark.usefixtures("hdf5_in_this_process")
@pytest.mark.parametrize("options", [["mode=dry_run"], ["save=true"]])
def test_a_run_measures_on_the_data_that_are_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plan_file(tmp_path, "conv_1", "mask_neurons")
    model = f"model.path={ROOT}/conf/model/digits.keras"
    result = called("run", "-q", "plan_file=plan.yaml", model, "data.limit=20", "data=npz", "data.path=d.npz", *options)
    assert result.code == 2
    assert "d.npz" in result.err
    np.savez("d.npz", x=RANDOM.normal(size=(20, 8, 8, 1)).astype(np.float32), y=np.zeros(20, int))
    result = called("run", "-q", "plan_file=plan.yaml", model, "data.limit=20", "data=npz", "data.path=d.npz", *options)
    assert (result.code, result.err) == (0, "")


def test_validate_says_that_a_step_needs_data(tmp_path: Path) -> None:
    result = called("validate", plan_file(tmp_path, "conv_1"), "--model", str(ROOT / "conf/model/digits.keras"))
    assert result.code == 0
    assert "ranks units by their activations on data" in result.err


# Refusals.


def test_a_call_without_data_is_told_how_to_give_them(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="`data=` in Python"):
        mutspec.dry_run(plan_of("conv", count=2), case("a convolution").model)
    result = called("apply", plan_file(tmp_path, "conv_1"), str(ROOT / "conf/model/digits.keras"), "--dry-run")
    assert result.code == 2
    assert "plan.yaml:3:" in result.err
    assert "--data FILE.npz" in result.err


def test_an_earlier_step_must_not_have_changed_the_model() -> None:
    first = [{"op": "zero", "target": "head", "count": 1}, step("conv", count=1, indices=None)]
    del first[1]["indices"]
    for earlier in first:
        plan = mutspec.plan({"steps": [earlier, {**step("conv", count=1, by="activation"), "id": "second"}]})
        with pytest.raises(PlanError, match="before other steps, or in a plan of its own"):
            mutspec.dry_run(plan, case("a convolution").model, data=IMAGES)


def test_heads_of_attention_put_nothing_out_by_themselves() -> None:
    model = shared("transformer")
    with pytest.raises(PlanError, match="no axis of the output of `mha` is its units"):
        mutspec.dry_run(plan_of("mha", count=1), model, data=RANDOM.normal(size=(3, 5, 8)))


PAIR = {"left": SERIES, "right": ROWS[:40]}
WRONG: dict[str, tuple[str, Any, str]] = {
    "another shape": (
        "a convolution",
        IMAGES[:, :5],
        r"the model takes \(n, 6, 6, 3\), and the call's data has \(n, 5",
    ),
    "another shape of an input": ("several inputs", {**PAIR, "right": SERIES}, r"the input `right` takes \(n, 6\)"),
    "a misspelt input": ("several inputs", {"left": SERIES, "rihgt": ROWS[:40]}, "has no input `rihgt`.*`right`"),
    "an input that is missing": ("several inputs", {"left": SERIES}, "has nothing for the input `right`"),
    "one array for two inputs": ("several inputs", SERIES, "takes 2 inputs, `left`, `right`, and .* has one array"),
    "different lengths": ("several inputs", {**PAIR, "right": ROWS}, "`left` has 40, `right` has 50"),
    "no samples": ("a convolution", IMAGES[:0], "no samples"),
    "no arrays": ("several inputs", {}, "no samples"),
    "a number": ("a convolution", 3.0, "a single value"),
    "objects": ("a convolution", np.array([{}, {}]), "an array of Python objects"),
    "ragged rows": ("a convolution", [[1.0], [1.0, 2.0]], "cannot be made an array"),
    "NaN": ("a convolution", np.where(IMAGES > 3, np.nan, IMAGES), "`conv` puts out infinite or NaN numbers"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_data_that_do_not_fit_are_refused(mistake: str) -> None:
    name, data, said = WRONG[mistake]
    known = case(name)
    with pytest.raises(CallError, match=f"(?s){said}"):
        mutspec.dry_run(plan_of(known.layer, count=2), known.model, data=data)


def _save_alone(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, IMAGES)


def _save_bytes(path: Path) -> None:
    path.write_bytes(b"PK of sorts")


FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no file": (lambda path: None, "there is no such file"),
    "one array without a name": (_save_alone, "one array, without a name"),
    "not a NumPy file": (_save_bytes, "not a NumPy archive"),
    "Python objects": (lambda path: np.savez(path, x=np.array([{}], object)), "cannot be read"),
    "a number": (lambda path: np.savez(path, x=3.0), "`x` is a single value"),
    "an empty array": (lambda path: np.savez(path, x=np.zeros((0, 8, 8, 1))), "no samples"),
    "another shape": (lambda path: np.savez(path, x=IMAGES), r"the model takes (n, 8, 8, 1)"),
    "NaN": (lambda path: np.savez(path, x=np.full((3, 8, 8, 1), np.nan)), "`conv_1` puts out infinite or NaN numbers"),
}


@pytest.mark.parametrize("mistake", FILES)
def test_the_command_line_says_what_is_wrong_with_a_file(tmp_path: Path, mistake: str) -> None:
    save, said = FILES[mistake]
    data = tmp_path / "data.npz"
    save(data)
    model = str(ROOT / "conf/model/digits.keras")
    result = called("apply", plan_file(tmp_path, "conv_1"), model, "--dry-run", "--data", str(data))
    assert result.code == 2
    assert said in " ".join(result.err.split())


def test_data_cannot_be_the_output(tmp_path: Path) -> None:
    data = tmp_path / "mutant.keras"
    with data.open("wb") as file:
        np.savez(file, x=np.zeros((2, 8, 8, 1), np.float32))
    before, model = data.read_bytes(), ROOT / "conf/model/digits.keras"
    call = ("apply", plan_file(tmp_path, "conv_1"), str(model), "-o", str(data), "--data", str(data), "--force")
    assert called(*call).code == 2
    with pytest.raises(CallError):
        mutspec.apply(mutspec.load_plan(tmp_path / "plan.yaml"), model, data, data=data, force=True)
    assert data.read_bytes() == before

"""The experiments that ship: what they find is what a plain script finds, with Keras and NumPy alone."""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from mutspec.errors import CallError, MutspecError, PlanError
from mutspec.experiment.data import digits
from mutspec.experiment.jobs.application import ApplicationCall, run
from mutspec.experiment.reports.aggregate import collect
from mutspec.experiment.reports.groups import summarise
from mutspec.experiment.result import Result
from mutspec.resources import resource_folder

MODEL = resource_folder("conf") / "model" / "digits.keras"
RECIPE = resource_folder("conf") / "plan" / "weight_noise.yaml"
KERNELS = ("conv_1/kernel", "conv_2/kernel", "dense_1/kernel", "logits/kernel")
T_OF_FOUR = 2.7764451
"""The 97.5 % quantile of Student's t with 4 degrees of freedom, as tables have it."""


@pytest.fixture(scope="module")
def base() -> Any:
    return keras.saving.load_model(MODEL)


def sweep(folder: Path, *overrides: str) -> tuple[Result, ...]:
    """The results of a sweep none of whose jobs fails."""
    outcome = run(ApplicationCall((*overrides, f"hydra.sweep.dir={folder}"), is_sweep=True))
    assert not outcome.failures
    return collect(outcome.folder)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, ...]:
    return sweep(tmp_path_factory.mktemp("noise"), "experiment=noise_sweep")


@pytest.fixture(scope="module")
def sensitivity(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, ...]:
    return sweep(tmp_path_factory.mktemp("sensitivity"), "experiment=sensitivity", "seeds=2")


def measured(model: Any) -> tuple[float, float]:
    """Accuracy and loss on the digits, from Keras's outputs by NumPy."""
    images, labels = digits()
    logits = model.predict_on_batch(images).astype(np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(labels)), labels]
    return float(np.mean(logits.argmax(axis=-1) == labels)), float(losses.mean())


def kernels(model: Any) -> dict[str, Any]:
    return {path: each for each in model.weights if (path := "/".join(each.path.split("/")[-2:])) in KERNELS}


def test_a_noise_sweep_is_ten_scales_of_five_seeds(noise: tuple[Result, ...]) -> None:
    assert len({result.parameters["std"] for result in noise}) == len(noise) == 10
    assert all([row.seed for row in result.rows] == [0, 1, 2, 3, 4] for result in noise)


def test_a_noise_sweep_finds_what_a_plain_script_finds_seed_by_seed(noise: tuple[Result, ...], base: Any) -> None:
    """The mutants are by mutspec, which tests/execute/test_every_op.py holds against formulas; the numbers are not."""
    for result in noise[::3]:
        for row in result.rows:
            plan = mutspec.load_plan(RECIPE).with_(std=result.parameters["std"], seed=row.seed)
            with mutspec.mutated(plan, base):
                accuracy, loss = measured(base)
            assert row.metrics["accuracy"] == pytest.approx(accuracy, abs=1e-6)
            assert row.metrics["loss"] == pytest.approx(loss, rel=1e-6, abs=1e-6)


def test_accuracy_falls_with_the_scale(noise: tuple[Result, ...]) -> None:
    means = [group.metric.mean for group in summarise(noise).groups]
    assert all(later < earlier for earlier, later in pairwise(means))
    assert means[0] > 0.95
    assert means[-1] < 0.2


def test_its_bands_are_those_of_numpy(noise: tuple[Result, ...]) -> None:
    for group in summarise(noise).groups:
        values = np.array([row.metrics["accuracy"] for row in group.rows])
        assert group.metric.mean == pytest.approx(values.mean())
        assert group.metric.half_width == pytest.approx(T_OF_FOUR * values.std(ddof=1) / np.sqrt(5), rel=1e-6)


def test_its_bands_cover_what_noise_of_numpys_does(noise: tuple[Result, ...], base: Any) -> None:
    """Ten mutants of each scale by NumPy's own generator. Of ten 95 % intervals, one or two may miss."""
    random = np.random.default_rng(2024)
    variables = kernels(base)
    before = {path: each.numpy() for path, each in variables.items()}
    covered = []
    for group in summarise(noise).groups:
        found = []
        for _ in range(10):
            for path, variable in variables.items():
                kernel = before[path]
                variable.assign(kernel + group.values[0] * kernel.std() * random.normal(size=kernel.shape))
            found.append(measured(base)[0])
        covered.append(abs(np.mean(found) - group.metric.mean) <= group.metric.half_width)
    for path, variable in variables.items():
        variable.assign(before[path])
    assert sum(covered) >= 8


def test_an_experiments_scales_can_be_chosen(tmp_path: Path) -> None:
    results = sweep(tmp_path, "experiment=noise_sweep", "plan.params.std=0.5,3", "seeds=1")
    assert [result.parameters["std"] for result in results] == [0.5, 3]


def test_sensitivity_mutates_each_layer_by_itself(sensitivity: tuple[Result, ...], base: Any) -> None:
    layers = [path.partition("/")[0] for path in KERNELS]
    assert [result.parameters["layer"] for result in sensitivity] == [each for each in layers for _ in range(3)]
    size = {path.partition("/")[0]: int(np.prod(each.shape)) for path, each in kernels(base).items()}
    assert all(row.touched == size[result.parameters["layer"]] for result in sensitivity for row in result.rows)


def test_sensitivity_finds_what_a_plain_script_finds_seed_by_seed(sensitivity: tuple[Result, ...], base: Any) -> None:
    """The mutants are by mutspec, which tests/execute/test_every_op.py holds against formulas; the numbers are not."""
    for result in sensitivity:
        for row in result.rows:
            plan = mutspec.plan(
                {
                    "seed": row.seed,
                    "steps": [
                        {
                            "op": "gaussian_noise",
                            "target": f"{result.parameters['layer']}/kernel",
                            "relative_to": "std",
                            "std": result.parameters["std"],
                        }
                    ],
                }
            )
            with mutspec.mutated(plan, base):
                assert row.metrics["accuracy"] == pytest.approx(measured(base)[0], abs=1e-6)


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (["sensitivity.select={type: Conv2D}"], ["conv_1", "conv_2"]),
        (["sensitivity.select=[conv_2,logits/bias]"], ["conv_2", "logits"]),
        (["sensitivity.select=re:conv_.*", "sensitivity.by=tensor"], ["conv_1/kernel", "conv_2/kernel", "conv_2/bias"]),
    ],
)
def test_sensitivity_takes_any_target(tmp_path: Path, overrides: list[str], names: list[str]) -> None:
    results = sweep(tmp_path, "experiment=sensitivity", "mode=dry_run", "plan.params.std=1", "seeds=1", *overrides)
    assert [result.parameters["layer"] for result in results] == names


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("sensitivity.select=conv_11", ["no layer is called `conv_11`", "did you mean `conv_1`"]),
        ("sensitivity.select={type: Conv3D}", ["no layer of type `Conv3D`", "did you mean `Conv2D`"]),
        ("sensitivity.select={typ: Conv2D}", ["no key `typ`", "did you mean `type`"]),
        ("sensitivity.select='{type: [Conv2D'", ["this is not YAML"]),
        ("sensitivity.by=tensors", ["not by `tensors`", "did you mean `tensor`"]),
        ("model.path=nothing.keras", ["nothing.keras: there is no such model file"]),
    ],
)
def test_a_wrong_choice_of_layers_is_told_in_our_words(tmp_path: Path, override: str, said: list[str]) -> None:
    with pytest.raises(MutspecError) as caught:
        run(
            ApplicationCall(
                ("experiment=sensitivity", override, f"hydra.sweep.dir={tmp_path / 'sweep'}"), is_sweep=True
            )
        )
    text = "\n".join(map(str, caught.value.problems))
    text += "".join(f"did you mean `{each}`" for problem in caught.value.problems for each in problem.candidates)
    assert all(each in text for each in said), text


def test_layers_may_have_any_name(tmp_path: Path) -> None:
    names = ["a b", "it's", "null", "True", "1", "a,b", "back\\", "back\\'", "[k]", "a=b", "ünï"]
    layers = [keras.layers.Dense(units, name=name) for units, name in enumerate(names, 2)]
    keras.Sequential([keras.Input((1,)), *layers]).save(tmp_path / "model.keras")
    call = ("experiment=sensitivity", "mode=dry_run", "plan.params.std=1", f"model.path={tmp_path / 'model.keras'}")
    results = sweep(tmp_path / "sweep", *call)
    touched = {result.parameters["layer"]: result.rows[0].touched for result in results}
    assert touched == {name: (units - 1) * units for units, name in enumerate(names, 2)}


def test_a_layer_that_shares_its_name_with_one_inside_another_is_mutated_by_itself() -> None:
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="dense")], name="inner")
    model = keras.Sequential([keras.Input((4,)), inner, keras.layers.Dense(2, name="dense")])
    names = mutspec.matching(model, {"weights": "kernels"})
    sizes = [
        mutspec.dry_run(mutspec.load_plan(RECIPE).with_(layer=name), model).steps[0].targets[0].touched
        for name in names
    ]
    assert names == ["inner/dense", "dense/*"]
    assert sizes == [16, 8]


def test_matching_names_what_inspect_selects() -> None:
    assert mutspec.matching(MODEL, "conv_*") == ["conv_1", "conv_2"]
    assert mutspec.matching(MODEL, {"weights": "kernels"}, by="tensor") == list(KERNELS)
    with pytest.raises(PlanError, match="no layer is called `conv_11`"):
        mutspec.matching(MODEL, "conv_11")


@pytest.mark.parametrize("target", [None, 5, {"name": {"conv_1"}}, {"type": float}])
def test_what_is_not_a_target_is_named(target: Any) -> None:
    with pytest.raises(CallError, match="is not a target"):
        mutspec.matching(MODEL, target)


def test_a_sweep_from_python_finds_what_the_experiment_finds(sensitivity: tuple[Result, ...]) -> None:
    layers = mutspec.matching(MODEL, {"weights": "kernels"})
    found = mutspec.sweep(
        mutspec.load_plan(RECIPE), MODEL, digits(), {"params.layer": layers, "params.std": [0.5, 1, 2]}, seeds=2
    )
    assert [row.metrics for result in found.results for row in result.rows] == [
        row.metrics for result in sensitivity for row in result.rows
    ]


# How much of a model can go


def pruned(model: Any, fraction: float) -> tuple[int, int]:
    """The parameters and the multiply–adds of the digits' model with a part of each hidden layer, by hand."""
    first, second, dense = (
        count - round(fraction * count) for count in (16, 32, model.get_layer("dense_1").kernel.shape[1])
    )
    parameters = 9 * first + 4 * first + (9 * first + 1) * second + (16 * second + 1) * dense + (dense + 1) * 10
    return parameters, 64 * 9 * (first + first * second) + 16 * second * dense + dense * 10


def test_pruning_finds_what_keras_measures_over_what_the_mutants_cost(base: Any, tmp_path: Path) -> None:
    results = sweep(tmp_path, "experiment=pruning", "plan.params.fraction=25%", "seeds=1")
    assert [each.parameters["rank"] for each in results] == ["smallest", "random", "largest"]
    recipe = mutspec.load_plan(RECIPE.with_name("channel_pruning.yaml"))
    for each in results:
        chosen = {name: each.parameters[name] for name in ("fraction", "rank")}
        for row in each.rows:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that weights are read to rank by them
                mutant = mutspec.apply(recipe.with_(**chosen, seed=row.seed), base)
            assert row.metrics["accuracy"] == pytest.approx(measured(mutant)[0])
            assert (row.parameters, row.multiply_adds) == pruned(base, 0.25)
        assert (each.model.parameters, each.model.multiply_adds) == pruned(base, 0)
    smallest, _, largest = (each.value for each in results)
    assert smallest > largest

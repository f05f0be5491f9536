"""The recipes that ship: each fits the model that ships, is documented, and does what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from mutspec.language.recipe_files import shipped_files
from mutspec.recipes.lock_file import read_lock
from mutspec.recipes.lock_places import locks_at
from mutspec.recipes.replaying import verify
from mutspec.recipes.testing.names import path_of_tests
from mutspec.recipes.testing.reading import read_tests
from mutspec.recipes.testing.run import run_tests
from mutspec.resources import resource_folder

RECIPES = shipped_files()
MODEL = resource_folder("conf") / "model" / "digits.keras"

Weights = dict[str, np.ndarray]


def recipe(name: str, *overrides: str) -> Any:
    return mutspec.load_plan(resource_folder("conf") / "plan" / f"{name}.yaml", overrides=overrides)


def values(path: Path) -> Weights:
    """The weights of a model file, as Keras reads them."""
    model = keras.saving.load_model(path)
    return {"/".join(each.path.split("/")[-2:]): each.numpy() for each in model.weights}


@pytest.fixture(scope="module")
def before() -> Weights:
    return values(MODEL)


def mutant(folder: Path, plan: Any) -> Weights:
    mutspec.apply(plan, MODEL, folder / "mutant.keras", force=True)
    return values(folder / "mutant.keras")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_has_its_files_name_a_description_and_a_test(path: Path) -> None:
    plan = mutspec.load_plan(path)
    assert plan.name == path.stem
    assert plan.description.endswith(".")
    assert path.read_text().startswith("# yaml-language-server: $schema=../../schemas/plan.schema.json\nmutspec: 1\n")
    test = path_of_tests(path).read_text()
    assert test.startswith("# yaml-language-server: $schema=../../schemas/test.schema.json\nmutspec_test: 1\n")


def test_the_tests_of_all_recipes_pass() -> None:
    cases = [case for file in read_tests([RECIPES[0].parent]) for case in file.cases]
    assert len(cases) > len(RECIPES)
    assert [*filter(None, (result.problems for result in run_tests(cases)))] == []


def test_the_locks_of_all_recipes_replay() -> None:
    locks = locks_at(RECIPES[0].parent)
    assert {lock.name.partition(".")[0] for lock in locks} == {recipe.stem for recipe in RECIPES}
    for lock in locks:
        verify(read_lock(lock))  # raises if anything differs


def test_recipes_warn_of_nothing_where_they_change_the_shipped_model() -> None:
    model = keras.saving.load_model(MODEL)
    plans = [plan for plan in map(mutspec.load_plan, RECIPES) if not plan.inputs]
    changing = [plan for plan in plans if not any(step.is_structural for step in plan.steps)]
    assert len(changing) > 5
    for plan in changing:
        with mutspec.mutated(plan, model) as report:
            assert report.warnings == (), plan.name


def test_bit_flips_flips_as_many_bits_as_the_rate_says_and_only_in_kernels(before: Weights, tmp_path: Path) -> None:
    after = mutant(tmp_path, recipe("bit_flips", "params.rate=0.01"))
    flips, bits = 0, 0
    for path, weight in before.items():
        difference = weight.view("u4") ^ after[path].view("u4")
        if path.endswith("kernel"):
            flips += int(np.unpackbits(difference.view("u1")).sum())
            bits += 32 * weight.size
        else:
            assert not difference.any()
    assert abs(flips - 0.01 * bits) < 5 * np.sqrt(0.01 * 0.99 * bits)


def test_blocked_neurons_silences_a_twentieth_of_each_layer_but_the_last(before: Weights, tmp_path: Path) -> None:
    after = mutant(tmp_path, recipe("blocked_neurons"))
    changed = {path for path in before if not np.array_equal(before[path], after[path])}
    assert changed == {"conv_1/kernel", "conv_2/kernel", "conv_2/bias", "dense_1/kernel", "dense_1/bias"}
    for layer, number in {"conv_1": 1, "conv_2": 2, "dense_1": 2}.items():
        kernel = after[f"{layer}/kernel"]
        blocked = ~kernel.reshape(-1, kernel.shape[-1]).any(axis=0)
        assert blocked.sum() == number
        kept = before[f"{layer}/kernel"][..., ~blocked]
        np.testing.assert_array_equal(kernel[..., ~blocked], kept)
        if f"{layer}/bias" in after:
            np.testing.assert_array_equal(after[f"{layer}/bias"], np.where(blocked, 0, before[f"{layer}/bias"]))


def test_magnitude_pruning_zeroes_the_smaller_half_of_each_kernel(before: Weights, tmp_path: Path) -> None:
    after = mutant(tmp_path, recipe("magnitude_pruning"))
    for path, weight in before.items():
        expected = weight.copy()
        if path.endswith("kernel"):
            order = np.argsort(np.abs(weight), axis=None, kind="stable")
            expected.flat[order[: (weight.size + 1) // 2]] = 0
        np.testing.assert_array_equal(after[path], expected)

"""Locks: what is written down, and what is refused later, by name, with exit code 1 and nothing written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import mutspec
from mutspec.recipes.lock_file import read_lock
from tests.cli.conftest import ROOT, called, files_of_at_most
from tests.cli.test_schemas import validator

LOCK = "plan.lock.yaml"


def changed(path: Path, *steps: dict[str, object]) -> None:
    """Replaces a model by a mutant of it."""
    mutspec.apply(mutspec.plan({"steps": list(steps)}), path, path.with_name("changed.keras"))
    path.with_name("changed.keras").replace(path)


def edited(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))


BIT = {"op": "bit_flip", "target": "dense_1/bias", "count": 1, "bits": 0}

CHANGES: dict[str, tuple[Callable[[Path], object], list[str], str]] = {
    "parameter": (
        lambda folder: edited(folder / "plan.yaml", "std: 0.1", "std: 0.2"),
        [],
        "parameter `std` is 0.2, the lock has 0.1",
    ),
    "parameter in the call": (lambda _: None, ["--set", "params.std=0.3"], "parameter `std` is 0.3, the lock has 0.1"),
    "seed": (lambda _: None, ["--seed", "3"], "the seed is 3, the lock has 0"),
    "key of a step": (
        lambda folder: edited(folder / "plan.yaml", "weights: kernel}", "weights: bias}"),
        [],
        "step `jitter`: `target` is {type: Dense, weights: bias}, the lock has {type: Dense, weights: kernel}",
    ),
    "step": (
        lambda folder: edited(folder / "plan.yaml", "id: jitter", "id: shake"),
        [],
        "the plan has no step `jitter`, which the lock has",
    ),
    "one bit of the model": (
        lambda folder: changed(folder / "model.keras", BIT),
        [],
        "the model: `dense_1/bias` has other values than in the lock",
    ),
    "a layer's name": (
        lambda folder: changed(folder / "model.keras", {"op": "rename_layer", "target": "dropout", "to": "drop"}),
        [],
        "the model has the layer `drop`, which the lock does not have",
    ),
    "a layer's configuration": (
        lambda folder: changed(
            folder / "model.keras", {"op": "configure_layer", "target": "dropout", "set": {"rate": 0.1}}
        ),
        [],
        "the model: the layer `dropout` is configured or called in another way",
    ),
    "a layer that the plan needs": (
        lambda folder: changed(folder / "model.keras", {"op": "rename_layer", "target": "conv_1", "to": "conv_first"}),
        [],
        "the model has no layer `conv_1`, which the lock has",
    ),
    "an input": (
        lambda folder: changed(folder / "teacher.keras", BIT),
        [],
        "the input `teacher`: `dense_1/bias` has other values than in the lock",
    ),
    "the random streams": (
        lambda folder: edited(folder / LOCK, 'stream: "1"', 'stream: "2"'),
        [],
        "the random streams of the lock have version 2, and this mutspec replays 1: a newer one does",
    ),
    "the class of a layer in the lock": (
        lambda folder: edited_first(folder / LOCK, "flatten: Flatten", "flatten: Dense"),
        [],
        "the model: the layer `flatten` is a Flatten, in the lock a Dense",
    ),
    "the name of a layer in the lock": (
        lambda folder: edited_first(folder / LOCK, "flatten: Flatten", "fatten: Flatten"),
        [],
        "the model has no layer `fatten`, which the lock has",
    ),
    "the targets": (
        lambda folder: edited(folder / LOCK, "dense_1/kernel: 20480", "dense_1/kernel: 20"),
        [],
        "step `jitter` chooses 20,480 entries of `dense_1/kernel`, in the lock 20",
    ),
    "the result": (
        lambda folder: edit_result(folder / LOCK),
        [],
        "the result: `logits/kernel` has other values than in the lock",
    ),
}


def edited_first(file: Path, before: str, after: str) -> None:
    file.write_text(file.read_text().replace(before, after, 1))


def edit_result(lock: Path) -> None:
    head, result = lock.read_text().split("result:\n")
    was = next(line for line in result.splitlines() if "logits/kernel" in line)
    lock.write_text(f"{head}result:\n{result.replace(was, was[:-8] + '00000000')}")


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_refused_by_name_and_nothing_is_written(what: str, folder: Path) -> None:
    change, options, words = CHANGES[what]
    change(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    call = ["plan.yaml", "model.keras", "--input", "teacher=teacher.keras", "-o", "out.keras"]
    result = called("apply", *call, "--locked", *options)
    code = 3 if what == "the random streams" else 1  # nothing is said of the plan and the model then
    assert (result.code, words in result.err, result.out) == (code, True, ""), result.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    if not options:
        assert words in (verified := called("verify", LOCK)).err
        assert verified.code == code
        checked = called("lock", "--check")
        assert (checked.code, words in checked.err) == ((0, False) if what == "the result" else (code, True))
        if words.startswith("parameter"):
            assert checked.err.endswith("If this is meant: mutspec lock --update plan.lock.yaml\n")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_is_as_locked_is_applied_and_replays_and_its_output_is_known(folder: Path) -> None:
    call = ["plan.yaml", "model.keras", "--input", "teacher=teacher.keras", "--locked"]
    for output in ("out.keras", "out.safetensors"):
        assert called("apply", *call, "-o", output, "-q").code == 0
    assert called("lock", "--check").out == f"{LOCK}: as locked, for model.keras\n"
    assert called("verify", LOCK).out == f"{LOCK}: replayed on model.keras: 11 weights equal to the bit\n"
    for output in (["out.keras"], ["out.safetensors", "--model", "model.keras"]):
        assert called("verify", LOCK, "--output", *output).code == 0
    wrong = called("verify", LOCK, "--output", "teacher.keras")
    assert (wrong.code, wrong.err.count("has other values than in the lock")) == (1, 2)


def test_a_lock_is_the_same_text_when_it_is_made_again_and_as_its_schema_says(folder: Path) -> None:
    before = (folder / LOCK).read_text()
    document = yaml.safe_load(before)
    validator("lock").validate(document | {"steps": [{"layers": [], "keys": {}, **step} for step in document["steps"]]})
    assert called("lock", "--update").out == f"{LOCK}: unchanged\n"
    assert (folder / LOCK).read_text() == before
    head = before.splitlines()[:2]
    assert head == [
        "# yaml-language-server: $schema=../schemas/lock.schema.json",
        "# Made by: mutspec lock plan.yaml model.keras --input teacher=teacher.keras",
    ]
    again = called("lock", "plan.yaml", "model.keras", "--input", "teacher=teacher.keras", "-o", "b.lock.yaml")
    assert again.out == "b.lock.yaml: written, for model.keras: 11 weights\n"
    assert (folder / "b.lock.yaml").read_text().splitlines()[3:] == before.splitlines()[3:]


def test_an_update_shows_what_changed_and_keeps_the_overrides_of_the_call(folder: Path) -> None:
    options = ["--input", "teacher=teacher.keras", "--set", "params.std=0.5", "--seed", "4"]
    assert called("lock", "plan.yaml", "model.keras", *options, "--force").code == 0
    assert read_lock(folder / LOCK).lock.plan.overrides == ("params.std=0.5", "seed=4")
    edited(folder / "plan.yaml", "type: Dense, ", "")
    result = called("lock", "--update", "plan.yaml")
    assert result.code == 0
    for line in (
        "-    target: {type: Dense, weights: kernel}",
        "+    target: {weights: kernel}",
        "+    conv_2/kernel: 4608",
    ):
        assert line in result.out.splitlines()
    assert "0.5" not in "".join(line for line in result.out.splitlines() if line[:1] in "+-")
    assert called("lock", "--check").code == 0
    call = ["plan.yaml", "model.keras", "--input", "teacher=teacher.keras", "--locked", "-q"]
    assert called("apply", *call, "-o", "out.keras").code == 0  # with the overrides of the lock
    assert called("apply", *call, "-o", "other.keras", "--set", "params.std=0.1").code == 1


def test_a_lock_that_exists_is_not_replaced_and_the_error_says_what_to_do(folder: Path) -> None:
    before = (folder / LOCK).read_bytes()
    same = called("lock", "plan.yaml", "model.keras", "--input", "teacher=teacher.keras")
    assert (same.code, "mutspec lock --update plan.lock.yaml" in same.err) == (2, True)
    other = called("lock", "plan.yaml", "teacher.keras", "--input", "teacher=teacher.keras")
    assert (other.code, "-o plan.teacher.lock.yaml" in other.err) == (2, True)
    assert (folder / LOCK).read_bytes() == before


def test_of_several_locks_that_of_the_model_is_found_by_its_fingerprint(folder: Path) -> None:
    teacher = ["--input", "teacher=teacher.keras"]
    assert called("lock", "plan.yaml", "teacher.keras", *teacher, "-o", "plan.teacher.lock.yaml").code == 0
    for model in ("model.keras", "teacher.keras"):
        shutil.copy(model, "copy.keras")
        assert called("apply", "plan.yaml", "copy.keras", *teacher, "-o", f"of_{model}", "--locked", "-q").code == 0
    changed(folder / "copy.keras", BIT)
    none = called("apply", "plan.yaml", "copy.keras", *teacher, "-o", "out.keras", "--locked")
    assert (none.code, "none of the locks beside the plan is of copy.keras" in none.err) == (1, True)
    shutil.copy("plan.lock.yaml", "plan.again.lock.yaml")
    several = called("apply", "plan.yaml", "model.keras", *teacher, "-o", "out.keras", "--locked")
    assert (several.code, "several locks beside the plan are of model.keras" in several.err) == (2, True)
    named = ["-o", "out.keras", "--locked=plan.again.lock.yaml", "-q"]
    assert called("apply", "plan.yaml", "model.keras", *teacher, *named).code == 0


def test_of_two_copies_of_a_model_that_was_moved_the_one_of_its_name_is_found(folder: Path) -> None:
    (folder / "models").mkdir()
    shutil.copy("model.keras", "a.keras")
    (folder / "model.keras").rename(folder / "models" / "model.keras")
    assert "replayed on models/model.keras" in called("verify", LOCK).out


def test_moved_and_renamed_models_are_found_by_their_fingerprints(folder: Path) -> None:
    (folder / "models").mkdir()
    (folder / "model.keras").rename(folder / "models" / "renamed.keras")
    (folder / "teacher.keras").rename(folder / "models" / "better_teacher.keras")
    shutil.copy(folder / "models" / "renamed.keras", folder / "a_similar_one.keras")
    changed(folder / "a_similar_one.keras", BIT)
    result = called("verify", LOCK)
    assert result.code == 0, result.err
    assert "the model was found by its fingerprint: models/renamed.keras" in result.err
    assert "the input `teacher` was found by its fingerprint: models/better_teacher.keras" in result.err
    (folder / "models" / "renamed.keras").rename(folder.parent / "elsewhere.keras")
    missing = called("lock", "--check")
    assert missing.code == 2
    assert "the model model.keras is missing, and none of 2 model files in the current folder" in missing.err
    assert called("verify", LOCK, "--model", "../elsewhere.keras").code == 0


def test_names_descriptions_and_versions_of_packages_decide_nothing(folder: Path) -> None:
    edited(folder / "plan.yaml", "mutspec: 1\n", "mutspec: 1\nname: other\ndescription: Other words.\n")
    lock = folder / LOCK
    lock.write_text(lock.read_text().replace("mutspec: 0", "mutspec: 99"))
    result = called("lock", "--check")
    assert result.code == 0
    assert "the lock was made with mutspec 99" in result.err
    assert "metadata or lint settings of the plan differ from those of the lock" in result.err


def test_a_comment_in_a_used_recipe_decides_nothing_and_a_change_does(folder: Path) -> None:
    for name in ("quiet", "loud"):
        (folder / f"{name}.yaml").write_text("mutspec: 1\nsteps: [{op: negate, target: {weights: bias}}]\n")
    (folder / "user.yaml").write_text("mutspec: 1\nsteps: [{use: quiet.yaml}, {use: loud.yaml}]\n")
    assert called("lock", "user.yaml", "model.keras", "-q").code == 0
    for name in ("quiet", "loud"):
        edited(folder / f"{name}.yaml", "steps", "# A comment.\nsteps")
    for call in (["verify", "user.lock.yaml"], ["lock", "--check", "user.yaml"]):
        result = called(*call)
        assert (result.code, result.err.count("was changed, which makes the same plan")) == (0, 2), result.err
    edited(folder / "loud.yaml", "negate", "zero")
    changed_recipe = called("verify", "user.lock.yaml")
    assert (changed_recipe.code, "the recipe `loud.yaml` was changed\n" in changed_recipe.err) == (1, True)


def test_the_json_of_checks_is_as_its_schema_says_and_one_bad_lock_does_not_hide_the_others(folder: Path) -> None:
    (folder / "a.lock.yaml").write_text("lock: 1\nplan: 3\n")
    edited(folder / "plan.yaml", "std: 0.1", "std: 0.2")
    result = called("lock", "--check", "--json")
    document = json.loads(result.out)
    validator("verify").validate(document)
    assert (result.code, [each["status"] for each in document["locks"]]) == (2, ["failed", "differs"])
    assert [each["line"] for each in document["locks"][1]["problems"]] == [11, 78]
    update = json.loads(called("lock", "--update", LOCK, "--json").out)
    validator("verify").validate(update)
    assert update["locks"][0]["status"] == "updated"
    github = called("lock", "--check", "--format", "github")
    assert "::error file=a.lock.yaml,line=2," in github.out


def test_what_the_machine_does_not_allow_for_one_lock_does_not_hide_the_others(folder: Path) -> None:
    shutil.copy(ROOT / "tests/data/generations/keras-3.6/dense.keras", "small.keras")
    (folder / "a.yaml").write_text("mutspec: 1\nsteps: [{op: negate, target: {weights: '*'}}]\n")
    assert called("lock", "a.yaml", "small.keras", "-q").code == 0
    edited(folder / "a.yaml", "negate", "zero")
    assert (folder / "small.keras").stat().st_size < 60 << 10 < (folder / "model.keras").stat().st_size
    names = sorted(path.name for path in folder.iterdir())
    for call, first in ((["lock", "--update"], "updated"), (["verify", "."], "as locked")):
        with files_of_at_most(60 << 10):
            result = called(*call, "--json")
        document = json.loads(result.out)
        validator("verify").validate(document)
        assert (result.code, document["passed"]) == (3, False)
        assert [each["status"] for each in document["locks"]] == [first, "not possible"]
        words = "updating" if first == "updated" else "replaying"
        problem = document["locks"][1]["problems"][0]
        assert problem["message"] == f"{words} is not possible: cannot write a temporary file in .: File too large"
        assert problem["file"] == LOCK
    assert sorted(path.name for path in folder.iterdir()) == names


def test_what_folders_plans_and_models_are_called_does_not_matter(folder: Path) -> None:
    long = "模" * 76
    (folder / "plan.yaml").rename(f"{long}.yaml")
    (folder / "user.replayed.keras").mkdir()
    (folder / f"{long}.replayed.keras").mkdir()
    call = ["lock", f"{long}.yaml", "model.keras", "--input", "teacher=teacher.keras", "-q"]
    assert (made := called(*call)).code == 0, made.err
    assert called("verify", f"{long}.lock.yaml", "-q").code == 0


def test_differences_beyond_the_first_are_counted(folder: Path) -> None:
    changed(folder / "model.keras", {"op": "negate", "target": {"weights": "*"}})
    lock = folder / LOCK
    result = called("verify", LOCK)
    assert result.code == 1
    assert result.err.count("has other values than in the lock") == 10
    assert "1 more difference" in result.err
    assert lock.exists()


def test_a_shipped_recipe_is_locked_in_the_current_folder(folder: Path) -> None:
    assert called("lock", "dense_noise", "model.keras", "-q").code == 0
    assert read_lock(folder / "dense_noise.lock.yaml").lock.plan.file == "dense_noise"
    assert called("verify", "dense_noise.lock.yaml", "-q").code == 0
    assert called("apply", "dense_noise", "model.keras", "-o", "out.keras", "--locked", "-q").code == 0


WRONG_CALLS = [
    (["lock"], "give a plan and a model"),
    (["lock", "plan.yaml"], "give a plan and a model"),
    (["lock", "plan.yaml", "model.keras", "-o", "plan.txt"], "does not end with .lock.yaml"),
    (["lock", "-", "model.keras"], "not of one on standard input"),
    (["lock", "--check", "--update"], "leave out one of them"),
    (["lock", "--check", "--set", "a=b"], "--set does not go with --check"),
    (["lock", "--check", "empty"], "there are no locks in empty"),
    (["lock", "--check", "other.yaml"], "there is no lock beside other.yaml"),
    (["lock", "plan.yaml", "model.keras", "-o", "missing/a.lock.yaml"], "mkdir -p missing"),
    (["verify"], "missing argument"),
    (["verify", "model.keras"], "model.keras is not a lock"),
    (["verify", "missing.lock.yaml"], "there is no such file"),
    (["verify", "plan.yaml", "b.lock.yaml", "--model", "model.keras"], "go with one lock"),
    (["apply", "plan.yaml", "model.keras", "--locked", "--dry-run"], "--locked needs the mutant"),
    (["apply", "plan.yaml", "model.keras", "-o", "o.keras", "--locked=plan.yaml"], "this is not a lock"),
]


@pytest.mark.parametrize(("call", "words"), WRONG_CALLS, ids=[" ".join(call) for call, _ in WRONG_CALLS])
def test_a_wrong_call_says_what_is_wrong(call: list[str], words: str, folder: Path) -> None:
    (folder / "empty").mkdir()
    result = called(*call)
    assert (result.code, result.out) == (2, "")
    assert words in result.err


def test_numeric_values_are_marked_and_compared_by_the_tolerance_of_the_lock(folder: Path) -> None:
    edited(
        folder / "plan.yaml", "{op: transfer", "{op: low_rank, target: conv_2/kernel, to_rank: 4}\n  - {op: transfer"
    )
    assert called("lock", "--update", "-q").code == 0
    lock = read_lock(folder / LOCK).lock
    assert list(lock.result.numeric) == ["conv_2/kernel"]
    call = ["plan.yaml", "model.keras", "--input", "teacher=teacher.keras", "-q", "--locked"]
    assert called("apply", *call, "-o", "near.keras").code == 0
    shutil.copy("near.keras", "far.keras")
    shutil.copy("near.keras", "other.keras")
    changed(folder / "near.keras", {"op": "scale", "target": "conv_2/kernel", "factor": 1 + 2e-6})
    changed(folder / "far.keras", {"op": "scale", "target": "conv_2/kernel", "factor": 1.001})
    changed(folder / "other.keras", {"op": "scale", "target": "conv_2/bias", "factor": 1 + 2e-6})
    near = called("verify", LOCK, "--output", "near.keras")
    assert near.out == f"{LOCK}: near.keras is as locked: 11 weights, 1 of them numeric, within 1e-05\n"
    far = called("verify", LOCK, "--output", "far.keras")
    assert (far.code, far.err.count("differs from the lock by about 0.00")) == (1, 1), far.err
    other = called("verify", LOCK, "--output", "other.keras")
    assert (other.code, "`conv_2/bias` has other values" in other.err) == (1, True)
    edited(folder / LOCK, "relative_l2: 1.0e-05", "relative_l2: 0.01")
    assert called("verify", LOCK, "--output", "far.keras").code == 0
    assert called("lock", "--update").out == f"{LOCK}: unchanged\n"
    lines = (folder / LOCK).read_text().replace(lock.result.tensors["conv_2/kernel"][-32:], "0" * 32)
    (folder / LOCK).write_text(lines)  # as another processor would make it
    assert called("verify", LOCK).code == 0
    assert called("lock", "--update").out == f"{LOCK}: unchanged\n"


LATER = """
import sys
from tests.without_keras import BLOCKER
exec(BLOCKER)
from mutspec.cli.main import main
main(sys.argv[1:])
"""


def test_a_lock_replays_in_other_processes_with_other_threads_hash_seeds_and_folders(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / "moved" / "recipes")
    for threads, hash_seed, cwd, path in (
        ("1", "1", folder.parent / "moved", f"recipes/{LOCK}"),
        ("3", "42", folder.parent, f"moved/recipes/{LOCK}"),
    ):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", LATER, "verify", path, "--threads", threads]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=cwd, check=False, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_the_output_of_a_locked_structural_plan_must_say_its_structure(folder: Path) -> None:
    (folder / "deeper.yaml").write_text("mutspec: 1\nsteps: [{op: remove_layer, target: dropout}]\n")
    assert called("lock", "deeper.yaml", "model.keras", "-q").code == 0
    call = ["apply", "deeper.yaml", "model.keras", "--locked", "-o"]
    assert called(*call, "out.keras", "-q").code == 0
    refused = called(*call, "out.weights.h5")
    assert (refused.code, "holds weights alone" in refused.err) == (2, True)
    assert "dropout" not in read_lock(folder / "deeper.lock.yaml").lock.result.layers


def test_a_plan_does_not_stand_for_the_lock_of_another_plan_beside_it(folder: Path) -> None:
    (folder / "dense_noise.yaml").write_text("mutspec: 1\nsteps: [{op: negate, target: {weights: bias}}]\n")
    assert called("lock", "dense_noise", "model.keras", "-q").code == 0  # the recipe that ships with mutspec
    for call in (["lock", "--check"], ["verify"]):
        result = called(*call, "dense_noise.yaml")
        assert result.code == 2
        assert "dense_noise.lock.yaml is not a lock of dense_noise.yaml, but of `dense_noise`" in result.err
    assert called("verify", "dense_noise.lock.yaml").code == 0


@pytest.mark.parametrize("tolerance", [".inf", ".nan", "-1"])
def test_a_tolerance_without_an_end_is_refused(folder: Path, tolerance: str) -> None:
    edited(folder / LOCK, "result:\n", f"result:\n  tolerance: {{relative_l2: {tolerance}}}\n")
    result = called("verify", LOCK)
    assert (result.code, "a tolerance is a finite number of 0 or more" in result.err) == (2, True), result.err

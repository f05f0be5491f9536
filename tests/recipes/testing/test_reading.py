"""Test files are found and read, and what is wrong in them is told at its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mutspec import CallError, PlanError
from mutspec.recipes.testing.names import is_recipe_test
from mutspec.recipes.testing.reading import read_tests, selected
from tests.recipes.testing.folders import MODELS, read, write_recipe

ONE = "- {name: a, expect: {finite: weights}}\n"


def test_a_folder_stands_for_all_tests_in_it_and_a_recipe_for_those_beside_it(tmp_path: Path) -> None:
    for folder in (tmp_path / "b", tmp_path / "a", tmp_path / ".hidden"):
        folder.mkdir()
        write_recipe(folder, ONE)
    (tmp_path / "theirs.test.yaml").write_text("stages: [test]\n")
    assert [file.path.parent.name for file in read_tests([tmp_path])] == ["a", "b"]
    (file,) = read_tests([tmp_path / "a" / "noise.yaml"])
    assert file.path == tmp_path / "a" / "noise.test.yaml"
    assert file.plan == tmp_path / "a" / "noise.yaml"
    assert [case.test.name for case in selected([file], "NOISE.TEST")] == ["a"]
    assert selected([file], "other") == []


@pytest.mark.parametrize(
    ("text", "is_ours"),
    [
        ("mutspec_test: 1\n", True),
        ("\ufeff# about it\n\n---\n# more\nmutspec_test: 1\n", True),
        ("# mutspec_test: 1\nstages: []\n", False),
        ("name: a\nmutspec_test: 1\n", False),
        ("mutspec_tests: 1\n", False),
        ("", False),
    ],
)
def test_a_file_is_ours_if_its_first_key_says_so(text: str, is_ours: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.test.yaml"
    path.write_text(text)
    assert is_recipe_test(path) is is_ours
    assert not is_recipe_test(tmp_path / "missing.test.yaml")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["."], "no recipe tests were found"),
        (["nose.test.yaml"], "noise.test.yaml"),
        (["other.yaml"], "other.test.yaml"),
    ],
)
def test_a_call_without_tests_is_wrong(names: list[str], words: str, tmp_path: Path) -> None:
    if names != ["."]:
        write_recipe(tmp_path, ONE)
    (tmp_path / "other.yaml").write_text("mutspec: 1\n")
    with pytest.raises(CallError) as caught:
        read_tests([tmp_path / name for name in names])
    assert words in str(caught.value)


MISTAKES = {
    "- {name: a, expect: {finite: wights}}": "6:30: `tests[0].expect.finite` takes `outputs` or `weights`",
    "- {name: a, expect: {fnite: weights}}": "6:22: `tests[0].expect` has no key `fnite`. Did you mean `finite`?",
    "- {name: a}": "needs the key `expect`",
    "- {name: a, expect: {}}": "6:21: the test expects nothing",
    "- {name: a, expect: {diff: {}}}": "6:28: this expects nothing",
    "- {name: a, expect: {counts: {noise: {min: 3, max: 2}}}}": "`min` is 3, which is more than `max`, 2",
    "- {name: a, expect: {targets: {match: 're:('}}}": "is not a regular expression",
    "- {name: a, expect: {unchanged: []}}": "an empty list matches nothing",
    "- {name: a, expect: {error: x, finite: weights}}": "where an error is expected, nothing is made",
    "- {name: a, expect: {gates: [{metric: accuracy, min: 1}]}}": "the test has none",
    "- {name: a, expect: {gates: [{metric: accuracy}]}}": "this expects nothing",
    "- {name: a, expect: {finite: weights}}\n- {name: a, expect: {finite: weights}}": "7:10: test 1 has the name `a`",
    "- {name: a, model: ../m.keras, expect: {finite: weights}}": "`../m.keras` is outside of the folder",
    "- {name: a, inputs: {t: /etc/passwd}, expect: {finite: weights}}": "`/etc/passwd` is outside of the folder",
    "- {name: a, data: link/x.npz, expect: {finite: weights}}": "`link/x.npz` is outside of the folder",
}


@pytest.mark.parametrize(("tests", "words"), MISTAKES.items(), ids=range(len(MISTAKES)))
def test_a_mistake_in_a_test_is_told_at_its_place(tests: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "link").symlink_to(tmp_path)
    with pytest.raises(PlanError) as caught:
        read(tmp_path / "recipes", tests + "\n")
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/recipes/noise.test.yaml:")


HEADS = {
    f"mutspec_test: 2\n{MODELS}": "`mutspec_test` takes `1`, not 2",
    f"mutspec_test: 1\nplan: ../a.yaml\n{MODELS}": "`../a.yaml` is outside",
    "mutspec_test: 1\n": "the test names no model",
    "mutspec_test: 1\nmodel: a\nmodels: {a: {}}\n": "either `layers` or `config`",
    "mutspec_test: 1\nmodel: a\nmodels: {a: {layers: [{type: ReLU}]}}\n": "needs the key `input`",
    "mutspec_test: 1\nmodel: a\nmodels: {a: {input: [3], config: {}}}\n": "leave `input` out",
    "mutspec_test: 1\nmodel: a\nmodels: {a: {input: [0], layers: [{type: ReLU}]}}\n": "of at least 1, not 0",
}


@pytest.mark.parametrize(("head", "words"), HEADS.items(), ids=range(len(HEADS)))
def test_a_mistake_before_the_tests_is_told_too(head: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "noise.test.yaml"
    path.write_text(f"{head}tests:\n{ONE}")
    with pytest.raises(PlanError) as caught:
        read_tests([path])
    assert words in str(caught.value)


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.test.yaml").write_text("mutspec_test: 1\nmodle: x\ntests: []\n")
    with pytest.raises(PlanError) as caught:
        read_tests([tmp_path])
    assert len(caught.value.problems) == 4


def test_own_keys_and_anchors_are_allowed(tmp_path: Path) -> None:
    file = read(tmp_path, "- {name: a, x-ticket: 3, expect: &e {finite: weights}}\n- {name: b, expect: *e}\n")
    assert [case.test.expect.finite for case in file.cases] == ["weights", "weights"]


def test_links_lead_no_further_than_names(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    path = write_recipe(tmp_path, ONE)
    (tmp_path / "recipes" / path.name).symlink_to(path)
    (tmp_path / "recipes" / "noise.yaml").symlink_to(tmp_path / "noise.yaml")
    with pytest.raises(PlanError) as caught:
        read_tests([tmp_path / "recipes"])
    assert [problem.message.split()[0] for problem in caught.value.problems] == ["`noise.test.yaml`", "`noise.yaml`"]
    assert len(read_tests([tmp_path / "recipes"], tmp_path)) == 1


def test_a_root_lets_tests_name_files_beside_their_folder(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    path = write_recipe(tmp_path / "recipes", "- {name: a, model: ../m.keras, expect: {finite: weights}}\n")
    (file,) = read_tests([path], tmp_path)
    assert file.file_of("../m.keras") == tmp_path / "recipes" / ".." / "m.keras"


def test_a_file_below_the_current_folder_may_name_files_of_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recipes").mkdir()
    path = write_recipe(tmp_path / "recipes", "- {name: a, model: ../models/a.keras, expect: {finite: weights}}\n")
    monkeypatch.chdir(tmp_path)
    relative = path.relative_to(tmp_path)
    for each in (relative, path, relative.with_name("noise.yaml"), Path()):
        (file,) = read_tests([each])
        assert file.file_of("../models/a.keras") == file.path.parent / "../models/a.keras"
    with pytest.raises(PlanError, match="is outside of the folder recipes, which the call names"):
        read_tests([Path("recipes")])
    monkeypatch.chdir(tmp_path / "recipes")
    with pytest.raises(PlanError, match="is outside of the current folder"):
        read_tests([Path("noise.test.yaml")])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(PlanError, match="is outside of the folder"):
        read_tests([path])


def test_pipes_are_not_read(tmp_path: Path) -> None:
    for name in ("a.test.yaml", "x.npz"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(CallError, match="no recipe tests were found"):
        read_tests([tmp_path])
    write_recipe(tmp_path, "- {name: a, data: x.npz, model: x.npz, expect: {finite: weights}}\n")
    with pytest.raises(PlanError) as caught:
        read_tests([tmp_path])
    assert [each.message for each in caught.value.problems] == ["`x.npz` is a pipe or a device, not a file"] * 2

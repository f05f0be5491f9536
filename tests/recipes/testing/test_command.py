"""`mutspec test` as a user sees it: lines, failures, exit codes, JSON, JUnit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator

from mutspec.recipes.testing import run
from mutspec.recipes.testing.results import CaseResult, results_schema
from mutspec.resources import resource_folder
from tests.cli.conftest import called
from tests.recipes.testing.folders import write_recipe

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

TESTS = """\
- {name: right, expect: {counts: {noise: 18}}}
- {name: wrong, expect: {counts: {noise: 17}}}
- {name: refused, set: {params.std: -1}, expect: {error: at least 0}}
"""
PRINTED = """\
noise.test.yaml .F.

FAILED noise.test.yaml::wrong
noise.test.yaml:7:42: entries that `noise` touches: expected 17, found 18
  7 | - {name: wrong, expect: {counts: {noise: 17}}}
    |                                          ^^

1 failed, 2 passed in 0.00 s
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a recipe and three tests, of which one fails."""
    write_recipe(tmp_path, TESTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return tmp_path


def without_times(text: str) -> str:
    return re.sub(r"\d+\.\d\d s", "0.00 s", text)


def test_failures_are_told_at_the_end_with_places_and_a_summary(folder: Path) -> None:
    result = called("test")
    assert (result.code, result.err) == (1, "")
    assert without_times(result.out) == PRINTED


def test_a_quiet_call_prints_only_what_fails(folder: Path) -> None:
    assert without_times(called("test", "-q").out) == "\n".join(PRINTED.splitlines()[2:6]) + "\n"
    assert called("test", "-q", "-k", "right").out == ""


def test_tests_are_chosen_by_text_and_listed_one_by_one(folder: Path) -> None:
    result = called("test", "noise.yaml", "-v", "-k", "r")
    assert result.out.splitlines()[:3] == [
        "noise.test.yaml::right PASSED",
        "noise.test.yaml::wrong FAILED",
        "noise.test.yaml::refused PASSED",
    ]
    assert called("test", "-k", "refused").code == 0


def test_x_stops_at_the_first_failure(folder: Path) -> None:
    assert "1 failed, 1 passed, 1 not run in" in called("test", "-x").out


def test_colours_are_for_terminals(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = called("test").out
    assert "\x1b[31mF\x1b[0m" in out
    assert without_times(re.sub(r"\x1b\[\d+m", "", out)) == PRINTED


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-k", "rigth"], "did you mean `right`?"),
        (["nose.test.yaml"], "did you mean `noise.test.yaml`"),
        (["--junit", "noise.test.yaml"], "is the same file as the input noise.test.yaml"),
        (["--import", "no_such_module"], "`no_such_module` cannot be imported"),
    ],
)
def test_a_wrong_call_is_2_and_says_what_would_be_right(arguments: list[str], words: str, folder: Path) -> None:
    result = called("test", *arguments)
    assert (result.code, result.out) == (2, "")
    assert words in result.err


def test_a_wrong_file_is_2_and_no_test_is_run(folder: Path) -> None:
    (folder / "other.test.yaml").write_text("mutspec_test: 1\nmodel: digits\ntests: [{name: a, expct: {}}]\n")
    result = called("test")
    assert (result.code, result.out) == (2, "")
    assert "other.test.yaml:3:19: `tests[0]` has no key `expct`" in result.err


def test_json_is_as_its_schema_says(folder: Path) -> None:
    result = called("test", "--json")
    document = json.loads(result.out)
    schema = json.loads((resource_folder("schemas") / "test-results.schema.json").read_text(encoding="utf-8"))
    assert schema == results_schema()
    Draft202012Validator(schema).validate(document)
    assert (result.code, document["passed"], document["failed"]) == (1, 2, 1)
    (problem,) = document["tests"][1]["problems"]
    assert (problem["file"], problem["line"], problem["column"]) == ("noise.test.yaml", 7, 42)


def test_junit_has_each_test_and_what_failed(folder: Path) -> None:
    path = write_recipe(folder, TESTS + '- {name: "odd <&> \\u0007 name", expect: {error: x}}\n')
    assert called("test", str(path), "--junit", "results.xml").code == 1
    suite = ElementTree.parse(folder / "results.xml").getroot()[0]
    assert {key: suite.attrib[key] for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "2",
        "errors": "0",
        "skipped": "0",
    }
    assert [case.attrib["name"] for case in suite] == ["right", "wrong", "refused", "odd <&> \\u0007 name"]
    (failure,) = suite[1]
    assert failure.tag == "failure"
    assert failure.attrib["message"] == "entries that `noise` touches: expected 17, found 18"
    assert failure.text is not None
    assert "noise.test.yaml:7:42" in failure.text
    assert called("test", "--junit", "results.xml").code == 2
    assert called("test", "--junit", "results.xml", "--force").code == 1


def test_the_tests_on_the_page_pass(folder: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "recipe-tests.md").read_text()
    text = page.partition("```yaml\n")[2].partition("```")[0]
    (folder / "dense_noise.test.yaml").write_text(text)
    (folder / "dense_noise.yaml").write_text((resource_folder("conf") / "plan" / "dense_noise.yaml").read_text())
    result = called("test", "dense_noise.yaml")
    assert (result.code, result.out.splitlines()[0]) == (0, "dense_noise.test.yaml ...")
    (folder / "dense_noise.test.yaml").write_text(
        text.replace("    set: {params.std: 0.2} ", "    set: {params.std: 0.1} ")
    )
    failure = without_times(called("test", "dense_noise.yaml").out)
    shown = page.partition("$ mutspec test recipes\n")[2].partition("```")[0].replace("recipes/", "")
    assert failure == without_times(shown)


def test_update_leaves_a_file_that_changes_while_its_tests_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_recipe(folder, "- name: kept\n  expect:\n    snapshot:\n")
    edited = path.read_text().replace("- name: kept", "- {name: new, expect: {finite: weights}}\n- name: kept")
    run_test = run.run_test

    def edits(*arguments: Any, **options: Any) -> CaseResult:
        path.write_text(edited)
        return run_test(*arguments, **options)

    monkeypatch.setattr(run, "run_test", edits)
    result = called("test", "--update")
    assert (result.code, "noise.test.yaml has changed since it was read" in result.err) == (2, True)
    assert path.read_text() == edited


def test_update_fills_snapshots_in_where_all_else_is_right(folder: Path) -> None:
    tests = """\
- name: good
  expect:
    snapshot:
- name: bad
  expect:
    counts: {noise: 1}
    snapshot:
"""
    path = write_recipe(folder, tests)
    result = called("test", "--update")
    assert result.code == 1
    assert "noise.test.yaml: snapshots updated" in result.out
    good, bad = path.read_text().split("- name: bad")
    assert "dense/kernel" in good
    assert bad == "\n  expect:\n    counts: {noise: 1}\n    snapshot:\n"
    assert called("test", "-k", "good").code == 0
    (folder / "noise.yaml").write_text((folder / "noise.yaml").read_text().replace("0.1", "0.2"))
    changed = called("test", "-k", "good")
    assert changed.code == 1
    assert "if this is meant: `mutspec test --update`" in changed.out


@pytest.mark.parametrize(
    "output",
    ["noise.test.yaml", "noise.yaml", "used.yaml", "deeper.yaml", "model.keras", "teacher.keras", "x.npz", "link.xml"],
)
def test_junit_never_takes_the_place_of_what_a_test_reads(output: str, folder: Path) -> None:
    tests = """\
    - {name: a, model: model.keras, inputs: {teacher: teacher.keras}, data: x.npz, expect: {finite: weights}}
    - {name: b, expect: {finite: weights}}
    """
    write_recipe(folder, tests, "mutspec: 1\nsteps: [{use: used}, {op: none}]\n")
    (folder / "used.yaml").write_text("mutspec: 1\nsteps: [{use: deeper}]\n")
    (folder / "deeper.yaml").write_text("mutspec: 1\nsteps: [{op: zero, target: dense}]\n")
    for name in ("model.keras", "teacher.keras", "x.npz"):
        (folder / name).write_bytes(b"of value")
    (folder / "link.xml").symlink_to("teacher.keras")
    before = (folder / output).read_bytes()
    result = called("test", "-k", "::b", "--junit", output, "--force")
    assert (result.code, "is the same file as the input" in result.err) == (2, True)
    assert (folder / output).read_bytes() == before

"""The plug-in of pytest: a team's own pytest finds the tests of its recipes."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

import mutspec.recipes.testing.run  # noqa: F401  # pytester forgets what is first imported in its runs
from tests.recipes.testing.folders import write_recipe

pytest_plugins = ["pytester"]

TESTS = """\
- {name: right, expect: {counts: {noise: 18}}}
- {name: wrong, expect: {counts: {noise: 17}}}
"""
IS_INSTALLED = any(each.value == "mutspec.pytest_plugin" for each in entry_points(group="pytest11"))
LOAD = () if IS_INSTALLED else ("-p", "mutspec.pytest_plugin")


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess(*LOAD, "-p", "no:cacheprovider", *arguments)


@pytest.mark.usefixtures("hdf5_in_this_process")
def test_pytest_collects_and_runs_recipe_tests_and_leaves_other_files_alone(pytester: pytest.Pytester) -> None:
    write_recipe(pytester.path, TESTS)
    (pytester.path / "theirs.test.yaml").write_text("stages: [test]\n")
    result = run(pytester)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*noise.test.yaml:7:42: entries that `noise` touches: expected 17, found 18",
            "FAILED noise.test.yaml::wrong*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    run(pytester, "-k", "right").assert_outcomes(passed=1, deselected=1)
    run(pytester, "noise.test.yaml::right").assert_outcomes(passed=1)


@pytest.mark.usefixtures("hdf5_in_this_process")
def test_snapshots_are_updated_on_demand(pytester: pytest.Pytester) -> None:
    path = write_recipe(pytester.path, "".join(f"- name: {name}\n  expect:\n    snapshot:\n" for name in "ab"))
    run(pytester).assert_outcomes(failed=2)
    run(pytester, "--update-mutspec-snapshots").assert_outcomes(passed=2)
    assert path.read_text().count("dense/kernel") == 2
    run(pytester).assert_outcomes(passed=2)


def test_a_wrong_file_is_an_error_of_collection(pytester: pytest.Pytester) -> None:
    write_recipe(pytester.path, "- {name: a, expct: {}}\n")
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*noise.test.yaml:6:13: `tests[[]0]` has no key `expct`"])


def test_the_plug_in_is_light_until_a_file_is_collected() -> None:
    code = "import sys, mutspec.pytest_plugin; print({'numpy', 'msgspec', 'yaml', 'h5py', 'keras'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"

"""Recipe tests and locks stand beside recipes, and are not taken for plans."""

from __future__ import annotations

from pathlib import Path

import pytest

import mutspec
from mutspec.experiment.jobs.recipes import find_recipes, option_groups
from mutspec.language.files import is_plan_name
from tests.cli.conftest import called

PLAN = "mutspec: 1\nsteps: [{op: zero, target: dense}]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recipe, a test and a lock."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "noise.yaml").write_text(PLAN)
    (tmp_path / "recipes" / "noise.test.yaml").write_text("mutspec_test: 1\n")
    (tmp_path / "recipes" / "noise.lock.yaml").write_text("mutspec_lock: 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_only_the_endings_test_and_lock_mark_other_documents() -> None:
    names = ("noise.yaml", "test.yaml", "noise.test.yaml", "noise.lock.yaml", "noise.resnet50.lock.yaml", "locks.yml")
    assert [is_plan_name(name) for name in names] == [True, True, False, False, False, True]


@pytest.mark.parametrize(
    ("name", "words"), [("noise.test.yaml", "`mutspec test"), ("noise.lock.yaml", "`mutspec verify")]
)
def test_a_test_or_a_lock_is_refused_as_a_plan_with_the_command_that_reads_it(
    name: str, words: str, folder: Path
) -> None:
    with pytest.raises(mutspec.PlanError, match="not a plan") as caught:
        mutspec.load_plan(f"recipes/{name}")
    assert words in str(caught.value)
    result = called("validate", f"recipes/{name}")
    assert result.code == 2
    assert words in result.err


def test_validate_leaves_out_what_a_glob_finds_beside_plans_and_says_so(folder: Path) -> None:
    paths = [str(path) for path in sorted((folder / "recipes").glob("*.yaml"))]
    result = called("validate", *paths)
    assert (result.code, result.out) == (0, f"{folder}/recipes/noise.yaml: valid\n")
    assert "left out 2 files that are not plans" in result.err
    quiet = called("validate", "-q", *paths)
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_hydra_has_no_option_for_a_test_or_a_lock(folder: Path) -> None:
    assert [name for name in find_recipes(folder).names if "." in name] == []
    assert "noise" in find_recipes(folder).names
    assert [name for name in option_groups(folder)["plan"] if "." in name] == []


def test_a_run_refuses_a_test_as_its_plan(folder: Path) -> None:
    result = called("run", "plan_file=recipes/noise.test.yaml")
    assert result.code == 2
    assert "recipes/noise.test.yaml: this is a recipe test, not a plan" in result.err

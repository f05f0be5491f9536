"""What golden plans of every op, and of every part of the language, made of their models, they still make."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

import mutspec
from mutspec.language.steps import op_name
from mutspec.ops import catalogue
from tests.golden_plans.golden import COMPARED, FOLDER, TOLERANCE, Record, mutant_of, read, record_of, write
from tests.without_keras import BLOCKER

BROKEN = (
    "a golden plan makes another mutant than it did: plans that users have run would too. docs/stability.md says what "
    "such a change takes. If the plan is new: python -m tests.golden_plans --write"
)


@pytest.mark.usefixtures("hdf5_in_this_process")
@pytest.mark.filterwarnings("ignore::mutspec.MutspecWarning")
@pytest.mark.parametrize("path", COMPARED, ids=lambda path: path.stem)
def test_a_golden_plan_makes_what_it_made(path: Path, tmp_path: Path) -> None:
    made, known = mutant_of(path, tmp_path), read(record_of(path))
    assert (made.plan, made.structure) == (known.plan, known.structure), BROKEN
    assert [*made.exact.items()] == [*known.exact.items()], BROKEN
    assert made.numeric.keys() == known.numeric.keys(), BROKEN
    for weight, expected in known.numeric.items():
        assert made.numeric[weight].pop("form") == expected.pop("form"), BROKEN
        assert made.numeric[weight] == pytest.approx(expected, rel=TOLERANCE), f"{weight}: {BROKEN}"


def test_every_op_has_a_golden_plan() -> None:
    used = {path.stem: {op_name(type(step)) for step in mutspec.load_plan(path).steps} for path in COMPARED}

    def has_one(op: str) -> bool:
        return any(plan.startswith(op) and op in ops for plan, ops in used.items())

    assert [op for op in catalogue(plugins=False) if not has_one(op)] == []


def test_a_record_is_never_written_over(tmp_path: Path) -> None:
    record = Record("1", "2", {}, {})
    write(record, tmp_path / "plan.json")
    with pytest.raises(FileExistsError):
        write(Record("3", "4", {}, {}), tmp_path / "plan.json")
    assert read(tmp_path / "plan.json") == record


@pytest.mark.skipif(which("git") is None or not (FOLDER.parents[1] / ".git").exists(), reason="this is no git checkout")
def test_golden_files_were_never_changed_or_removed() -> None:
    """As far as the checkout's history goes back."""
    command = ["git", "log", "--diff-filter=MDRT", "--format=%h %s", "--", "plans", "models"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"git does not say: {done.stderr.strip()}")  # a checkout of another user's, say
    assert done.stdout == "", "golden files are kept for good: add a plan under another name"


def test_golden_plans_need_no_keras(tmp_path: Path) -> None:
    """One on weights and one on structure, in a process that cannot import it."""
    names = ("gaussian_noise", "insert_layer", "language_targets")
    code = f"""{BLOCKER}
import warnings
from pathlib import Path
from tests.golden_plans.golden import PLANS, mutant_of, read, record_of
warnings.simplefilter("ignore")
for path in PLANS:
    if path.stem in {names}:
        assert mutant_of(path, Path({str(tmp_path)!r})) == read(record_of(path)), path
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=FOLDER.parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

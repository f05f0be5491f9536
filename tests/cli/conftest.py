"""The command line called in this process, files to call it with, and texts to compare with."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from mutspec.cli.boundary import run
from mutspec.cli.main import cli as command
from mutspec.language.recipe_files import shipped_files

ROOT = Path(__file__).parents[2]
SNAPSHOTS = Path(__file__).parent / "snapshots"


@dataclass(frozen=True)
class Result:
    """What a call printed and its exit code."""

    code: int
    out: str
    err: str


Call = Callable[..., Result]


def called(*arguments: str) -> Result:
    """Returns what a call of the command line printed, and its exit code."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(command, arguments, "mutspec")
    return Result(int(code), out.getvalue(), err.getvalue())


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Runs a block in which no file may become larger, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def cli() -> Call:
    """Calls the command line as the shell would: `cli("diff", "a.keras", "b.keras")`."""
    return called


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with the digits model as `model.keras` and the shipped recipes; pages are 80 wide."""
    shutil.copy(ROOT / "conf/model/digits.keras", tmp_path / "model.keras")
    for recipe in shipped_files():
        shutil.copy(recipe, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def same_as() -> Callable[[str, str], None]:
    """Compares a text with a file under `snapshots`. `UPDATE_SNAPSHOTS=1 pytest tests/cli` writes the files again."""

    def compare(text: str, name: str) -> None:
        path = SNAPSHOTS / f"{name}.txt"
        if os.environ.get("UPDATE_SNAPSHOTS"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"if this is meant: UPDATE_SNAPSHOTS=1 pytest {__file__}"

    return compare

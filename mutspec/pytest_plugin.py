"""The plug-in of pytest that runs recipe tests, so that a team's own pytest finds them beside its recipes.

pytest loads it in every project of the environment. So it imports nothing but the rule which files are recipe tests,
until there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mutspec.recipes.testing.names import is_recipe_test

if TYPE_CHECKING:
    from mutspec.recipes.testing.attempt import Workspace
    from mutspec.recipes.testing.reading import Case
    from mutspec.recipes.testing.results import CaseResult

UPDATE = "--update-mutspec-snapshots"

_WORKSPACE = pytest.StashKey[Any]()
_TEXTS = pytest.StashKey[dict[Path, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option that updates snapshots."""
    group = parser.getgroup("mutspec", "tests of mutspec's recipes")
    group.addoption(UPDATE, action="store_true", help="Write the snapshots of recipe tests again.")


def pytest_configure(config: pytest.Config) -> None:
    """Refuses to update snapshots in several processes, of which one would undo what another writes."""
    if config.getoption(UPDATE) and (hasattr(config, "workerinput") or getattr(config.option, "numprocesses", None)):
        raise pytest.UsageError(f"{UPDATE} writes files, and works in one process: leave out -n")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> RecipeFile | None:
    """Collects a file if it is a recipe test; YAML files of others are left alone."""
    return RecipeFile.from_parent(parent, path=file_path) if is_recipe_test(file_path) else None


class RecipeFile(pytest.File):
    """A test file of a recipe."""

    def collect(self) -> Iterator[RecipeItem]:
        """Yields its tests."""
        from mutspec.errors import MutspecError
        from mutspec.recipes.testing.reading import read_test_file
        from mutspec.text.visible import in_one_line

        root = self.config.rootpath
        try:
            file = read_test_file(self.path, root if self.path.is_relative_to(root) else self.path.parent)
        except MutspecError as error:
            raise self.CollectError(_text(error.problems)) from None
        for case in file.cases:
            yield RecipeItem.from_parent(self, name=in_one_line(case.test.name), case=case)


class RecipeItem(pytest.Item):
    """A test of a recipe."""

    def __init__(self, *, case: Case, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.case = case

    def runtest(self) -> None:
        """Runs it.

        Raises:
            RecipeTestFailure: something is not as expected.
        """
        from mutspec.recipes.testing.run import run_test, write_snapshots

        updates = bool(self.config.getoption(UPDATE))
        result = run_test(self.case, _workspace(self.config), updates=updates)
        if result.outcome != "passed":
            raise RecipeTestFailure(result)
        if updates:
            write_snapshots([result], self.config.stash.setdefault(_TEXTS, {}))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Returns what is not as expected, with places, instead of a traceback."""
        if isinstance(excinfo.value, RecipeTestFailure):
            return _text(excinfo.value.result.problems)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Returns the place of the test: the file, the line from 0, and the name."""
        place = self.case.place
        return self.path, place.line - 1 if place else None, self.name


class RecipeTestFailure(Exception):
    """A recipe test did not pass."""

    def __init__(self, result: CaseResult) -> None:
        super().__init__("\n".join(map(str, result.problems)))
        self.result = result


def _text(problems: Any) -> str:
    from mutspec.cli.problems import as_texts

    return as_texts(problems)


def _workspace(config: pytest.Config) -> Workspace:
    """Returns what all recipe tests of this run share, until pytest ends."""
    if _WORKSPACE not in config.stash:
        from mutspec.recipes.testing.attempt import workspace

        stack = ExitStack()
        config.stash[_WORKSPACE] = stack.enter_context(workspace())
        config.add_cleanup(stack.close)
    shared: Workspace = config.stash[_WORKSPACE]
    return shared

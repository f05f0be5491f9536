"""Finds and reads test files, and checks in them what their types do not say."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import UNSET, Struct

from mutspec.documents_beside import TEST_SUFFIX
from mutspec.errors import CallError, DocumentPath, Place, PlanError, Problem
from mutspec.language.declared import Declared, read_declared
from mutspec.language.files import called_like, is_inside, read_text
from mutspec.language.types import Selector, field_types, or_default
from mutspec.recipes.testing.document import DescribedModel, Expected, RecipeTest, RecipeTests
from mutspec.recipes.testing.names import path_of_tests, recipe_beside, recipe_tests_in
from mutspec.resources import resource_folder

NO_TESTS = "no recipe tests were found"


@dataclass(frozen=True)
class RecipeTestFile:
    """A test file that was read.

    Arguments:
        path: the file.
        root: the folder out of which its tests may name no file.
        text: its text.
        declared: its content.
    """

    path: Path
    root: Path
    text: str
    declared: Declared[RecipeTests]

    @property
    def content(self) -> RecipeTests:
        """What the file holds."""
        return self.declared.value

    @property
    def plan(self) -> Path:
        """The recipe that is tested."""
        return self.path.parent / self.content.plan if self.content.plan else recipe_beside(self.path)

    @property
    def cases(self) -> tuple[Case, ...]:
        """The tests, in their order."""
        return tuple(Case(self, number, test) for number, test in enumerate(self.content.tests))

    def file_of(self, model: str) -> Path | DescribedModel:
        """Returns the file of a model, or its description, for the name that a test has for it."""
        entry = self.content.models.get(model, model)
        if isinstance(entry, DescribedModel):
            return entry
        path = self.path.parent / entry
        return path if path.exists() else shipped_model(entry) or path


@dataclass(frozen=True)
class Case:
    """One test of a file, by its number."""

    file: RecipeTestFile
    number: int
    test: RecipeTest

    @property
    def id(self) -> str:
        """The file and the name, as pytest would say it."""
        return f"{self.file.path}::{self.test.name}"

    @property
    def place(self) -> Place | None:
        """The place of the test in its file."""
        return self.file.declared.place(("tests", self.number, "name"))

    @property
    def model(self) -> str:
        """The name of the model that the plan is applied to."""
        return or_default(self.test.model, self.file.content.model)

    def placed(self, problem: Problem) -> Problem:
        """Returns a problem of the test, whose path begins at it, with its place."""
        return self.file.declared.placed(problem.below("tests", self.number))


def shipped_model(name: str) -> Path | None:
    """Returns the model file of a name that ships with mutspec; None if there is none."""
    path = resource_folder("conf") / "model" / f"{name}.keras"
    return path if name.isidentifier() and path.is_file() else None


def shipped_models() -> list[str]:
    """Returns the names of the models that ship with mutspec."""
    return sorted(path.stem for path in (resource_folder("conf") / "model").glob("*.keras"))


def read_tests(paths: Sequence[Path], root: Path | None = None) -> list[RecipeTestFile]:
    """Reads the test files that a call names.

    Arguments:
        paths: test files; recipes, each of which stands for the tests beside it; and folders, which stand for all that
            are in them.
        root: the folder out of which tests may name no file; by default, for a folder of the call that folder, and for
            a file the current folder, or the file's own if it is not below that.

    Raises:
        CallError: a path does not exist, or there are no tests.
        PlanError: with every problem of every file.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            found |= {each: root or path for each in recipe_tests_in(path) if each not in found}
        else:
            found.setdefault(_test_file(path), root or _root_of(path))
    if not found:
        where = ", ".join(map(str, paths))
        hint = f"they are called NAME{TEST_SUFFIX}, and begin with `mutspec_test: 1`"
        raise CallError(f"{NO_TESTS} in {where}", hint=hint)
    files, problems = [], list[Problem]()
    for path, folder in found.items():
        try:
            files.append(read_test_file(path, folder))
        except PlanError as error:
            problems += error.problems
    if problems:
        raise PlanError(problems)
    return files


def _root_of(path: Path) -> Path:
    """Returns the folder out of which the tests of a file that the call names may name no file."""
    is_below = path.parent.resolve().is_relative_to(Path.cwd())
    return Path() if is_below else path.parent


def _test_file(path: Path) -> Path:
    if not path.exists():
        raise CallError("there is no such file", place=Place(str(path), 0, 0, 0), candidates=called_like(path))
    if path.name.endswith(TEST_SUFFIX):
        return path
    if path.suffix == ".yaml" and path_of_tests(path).exists():
        return path_of_tests(path)
    hint = f"a test file is called NAME{TEST_SUFFIX}"
    if path.suffix == ".yaml":
        hint = f"the tests of this recipe would be in {path_of_tests(path)}"
    raise CallError("this is not a recipe test", place=Place(str(path), 0, 0, 0), hint=hint)


def read_test_file(path: Path, root: Path) -> RecipeTestFile:
    """Reads a test file.

    Arguments:
        path: the file.
        root: the folder out of which its tests may name no file.

    Raises:
        PlanError: with every problem of the file.
    """
    text = read_text(path, title="a recipe test")
    declared = read_declared(text, str(path), RecipeTests, "a recipe test")
    file = RecipeTestFile(path, root, text, declared)
    problems = [declared.placed(problem) for problem in _problems(file)]
    if problems:
        raise PlanError(problems)
    return file


def _problems(file: RecipeTestFile) -> Iterator[Problem]:
    """Finds what is wrong in a file whose values all have the right types."""
    content = file.content
    yield from _outside(file, file.path.name, ())
    yield from _outside(file, content.plan or file.plan.name, ("plan",))
    yield from _outside(file, "" if content.model in content.models else content.model, ("model",))
    for name, model in content.models.items():
        if isinstance(model, str):
            yield from _outside(file, model, ("models", name))
        else:
            yield from (problem.below("models", name) for problem in _problems_of_description(model))
    first: dict[str, int] = {}
    for number, case in enumerate(file.cases):
        at: DocumentPath = ("tests", number)
        if first.setdefault(case.test.name, number) != number:
            message = f"test {first[case.test.name] + 1} has the name `{case.test.name}` already"
            yield Problem(message, path=(*at, "name"), hint="choose another name")
        yield from (problem.below(*at) for problem in _problems_of_test(case))


def _problems_of_test(case: Case) -> Iterator[Problem]:
    test, models = case.test, case.file.content.models
    if not case.model:
        hint = "add `model: digits`, a model file, or a name under `models`"
        yield Problem("the test names no model", path=("name",), hint=hint)
    named: dict[DocumentPath, str] = {("inputs", name): model for name, model in test.inputs.items()}
    named |= {("model",): or_default(test.model, "")}
    for path, model in named.items():
        yield from _outside(case.file, "" if model in models else model, path)
    if test.data is not UNSET and test.data != DIGITS:
        yield from _outside(case.file, test.data, ("data",))
    if test.expect.gates is not UNSET and test.data is UNSET:
        yield Problem("gates are measured on data, and the test has none", path=("expect", "gates"), hint=_HOW_DATA)
    yield from (problem.below("expect") for problem in _problems_of_expected(test.expect))


DIGITS = "digits"
"""The name of the data that come with scikit-learn, the only ones that a test can name without a file."""
_HOW_DATA = "add `data: digits`, or an .npz file with arrays `x` and `y`"


def _outside(file: RecipeTestFile, name: str, path: DocumentPath) -> Iterator[Problem]:
    """Refuses a file outside of the folder that the call names, and a pipe, as reading it may never end."""
    if not name:
        return
    named = file.path.parent / name
    if not is_inside(named, [file.root]):
        where = "the current folder" if file.root == Path() else f"the folder {file.root}, which the call names"
        message = f"`{name}` is outside of {where}"
        yield Problem(message, path=path, hint="call `mutspec test` on a folder that holds both, or with --root")
    elif os.path.exists(named) and not (os.path.isfile(named) or os.path.isdir(named)):
        yield Problem(f"`{name}` is a pipe or a device, not a file", path=path, hint="name a file")


def _problems_of_description(model: DescribedModel) -> Iterator[Problem]:
    if (model.layers is UNSET) == (model.config is UNSET):
        hint = "`layers: [{type: Dense, units: 3}]`, or `config`, as Keras serialises a model"
        yield Problem("a described model has either `layers` or `config`", hint=hint)
    elif model.layers is not UNSET and not model.input:
        yield Problem("a model of layers needs the key `input`", hint="the shape of a sample, such as [8, 8, 3]")
    elif model.config is not UNSET and model.input is not UNSET:
        yield Problem("the configuration says what the model takes", path=("input",), hint="leave `input` out")


def _problems_of_expected(expected: Expected) -> Iterator[Problem]:
    given = [key for key, (name, _) in field_types(Expected).items() if getattr(expected, name) is not UNSET]
    if not given:
        yield Problem("the test expects nothing", hint="the least is `finite: weights`")
    if expected.error is not UNSET and len(given) > 1:
        others = ", ".join(f"`{key}`" for key in given if key != "error")
        message = f"where an error is expected, nothing is made that {others} could hold for"
        yield Problem(message, path=("error",), hint="write two tests")
    if expected.error == "":
        yield Problem("`error` is empty", path=("error",), hint="write a part of the message")
    yield from _empty_or_reversed(expected, ())


def _empty_or_reversed(value: Any, path: DocumentPath) -> Iterator[Problem]:
    """Finds mappings that expect nothing, and ranges whose ends are the wrong way round."""
    if isinstance(value, tuple | list):
        for index, each in enumerate(value):
            yield from _empty_or_reversed(each, (*path, index))
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _empty_or_reversed(each, (*path, key))
    elif isinstance(value, Struct) and not isinstance(value, Selector):
        given = {key: each for key, each in _given(value).items() if key not in ("target", "metric")}
        if path and not given:
            keys = ", ".join(f"`{key}`" for key in field_types(type(value)) if key not in ("target", "metric"))
            yield Problem("this expects nothing", path=path, hint=f"add one of {keys}")
        low, high = given.get("min"), given.get("max")
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            yield Problem(f"`min` is {low:g}, which is more than `max`, {high:g}", path=(*path, "min"))
        for key, each in given.items():
            yield from _empty_or_reversed(each, (*path, key))


def _given(value: Struct) -> dict[str, Any]:
    fields = {key: getattr(value, name) for key, (name, _) in field_types(type(value)).items()}
    return {key: each for key, each in fields.items() if each is not UNSET and each is not None}


def selected(files: Iterable[RecipeTestFile], words: str) -> list[Case]:
    """Returns the tests whose file or name contains a text, in any case; all for an empty one."""
    return [case for file in files for case in file.cases if words.lower() in case.id.lower()]

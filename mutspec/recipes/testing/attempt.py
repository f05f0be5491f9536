"""The attempt of a test: its plan, read and applied to its model in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from mutspec.errors import CallError, MutspecError, Place, Problem, nearest
from mutspec.execute.files import apply, dry_report, prepare_archives, prepare_files
from mutspec.execute.prepare import Prepared
from mutspec.language import Plan
from mutspec.language.load import load_plan
from mutspec.language.overrides import Override
from mutspec.language.recipe_files import RecipeSource
from mutspec.language.types import or_default
from mutspec.lowering.base import Op
from mutspec.model.files.archive import Archive
from mutspec.model.files.opening import open_archive
from mutspec.model.spec import ModelSpec
from mutspec.ops import catalogue
from mutspec.recipes.testing.document import DescribedModel
from mutspec.recipes.testing.models import make_model
from mutspec.recipes.testing.reading import DIGITS, Case, RecipeTestFile, shipped_models
from mutspec.show.diff import DiffReport
from mutspec.show.report import Report

if TYPE_CHECKING:
    from mutspec.execute.checked import ComparedOutputs
    from mutspec.recipes.testing.in_keras import KerasModels


class Workspace:
    """A temporary folder, and what the tests of a call share: described models, open files, models in Keras.

    Arguments:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._archives: dict[Path, Archive] = {}

    @cached_property
    def keras(self) -> KerasModels:
        """The models that Keras has loaded."""
        from mutspec.recipes.testing.in_keras import KerasModels  # few expectations need it

        return KerasModels()

    def model(self, case: Case, name: str) -> Path:
        """Returns the file of a model, by the name that a test has for it. A described one is made at its first use.

        Raises:
            CallError: there is no such model.
            PlanError: it cannot be made of its description.
        """
        found = case.file.file_of(name)
        if not isinstance(found, DescribedModel):
            if not found.exists():
                known = {*case.file.content.models, *shipped_models()} - {name}
                raise CallError(
                    f"there is no model `{name}`", hint=f"{found} is missing", candidates=nearest(name, known)
                )
            return found
        text = msgspec.json.encode((name, found), order="sorted")
        path = self.folder / f"{blake2b(text, digest_size=8).hexdigest()}.keras"
        if not path.exists():
            try:
                make_model(found, name, path)
            except MutspecError as error:
                placed = case.file.declared.placed
                raise type(error)(placed(each.below("models", name)) for each in error.problems) from None
        return path

    def archive(self, path: Path) -> Archive:
        """Returns a model file that no test changes, opened once."""
        if path not in self._archives:
            self._archives[path] = open_archive(path)
        return self._archives[path]


@contextmanager
def workspace() -> Iterator[Workspace]:
    """Yields a workspace, and removes its folder at the end."""
    with TemporaryDirectory(prefix="mutspec-test-") as folder:
        yield Workspace(Path(folder))


@dataclass(frozen=True)
class Attempt:
    """A plan that fits its model, and was applied to it if the test asks for that.

    Arguments:
        case: the test.
        plan: the plan, with the overrides and the seed of the test.
        base: the model file.
        inputs: the files of the plan's inputs, by name.
        data: the arrays that steps rank by; None if the test has no data.
        mutant: the file that was made; None after a dry-run.
        report: what the steps do.
        shared: what tests share.
    """

    case: Case
    plan: Plan[Op]
    base: Archive
    inputs: Mapping[str, Path]
    data: Any
    mutant: Archive | None
    report: Report
    shared: Workspace

    @property
    def before(self) -> ModelSpec:
        """The model."""
        return self.base.spec

    @property
    def after(self) -> ModelSpec:
        """The mutant, or what it would be."""
        return self.prepared.program.after if self.mutant is None else self.mutant.spec

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration of the mutant."""
        return self.prepared.program.config if self.mutant is None else self.mutant.config

    @property
    def made(self) -> Archive:
        """The mutant, for expectations that ask for one."""
        assert self.mutant is not None
        return self.mutant

    @cached_property
    def prepared(self) -> Prepared:
        """The compiled plan."""
        others = {name: self.shared.archive(path) for name, path in self.inputs.items()}
        return prepare_archives(self.plan, self.base, others, data=self.data)

    @cached_property
    def outputs(self) -> ComparedOutputs:
        """How what the mutant predicts compares with what the model does, as Keras tells.

        Raises:
            CheckError, EnvironmentProblem, ModelError: as for `compare_outputs`.
        """
        return self.shared.keras.compared(self.prepared, self.base, self.made, self.inputs)

    @cached_property
    def diff(self) -> DiffReport:
        """How far the mutant is from the model."""
        from mutspec.compare.diff import diff

        return diff(self.base, self.made)


@contextmanager
def attempted(case: Case, shared: Workspace, *, makes_mutant: bool) -> Iterator[Attempt]:
    """Yields the attempt of a test, and removes the mutant at the end.

    Arguments:
        case: the test.
        shared: what tests share.
        makes_mutant: whether the plan is applied; otherwise a dry-run says what it would do.

    Raises:
        MutspecError: the plan, a model or data cannot be read, or do not fit each other, or an entry becomes infinite.
    """
    plan = plan_of(case)
    with errors_at(case, "model"):
        model = shared.model(case, case.model)
        base = shared.archive(model)
    with errors_at(case, "inputs"):
        inputs = {name: shared.model(case, each) for name, each in case.test.inputs.items()}
    with errors_at(case, "data"):
        data = None if case.test.data is UNSET else shared.keras.arrays(case)
    if not makes_mutant:
        prepared = prepare_files(plan, model, inputs=inputs, data=data)
        yield Attempt(case, plan, base, inputs, data, None, dry_report(prepared), shared)
        return
    output = shared.folder / "mutant.keras"
    try:
        report = apply(plan, model, output, inputs=inputs, data=data, force=True)
        yield Attempt(case, plan, base, inputs, data, open_archive(output), report, shared)
    finally:
        output.unlink(missing_ok=True)


@contextmanager
def errors_at(case: Case, key: str = "name") -> Iterator[None]:
    """Gives the errors of a block that have no place the place of a key of the test."""
    try:
        yield
    except MutspecError as error:
        place = case.file.declared.place(("tests", case.number, key))
        raise type(error)(replace(each, place=each.place or place) for each in error.problems) from None


def files_of(file: RecipeTestFile) -> Iterator[Path]:
    """Yields what the tests of a file read: it, the plan and what that uses, models, data. Some may be missing."""
    yield file.path
    yield file.plan
    for case in file.cases:
        models = [file.file_of(name) for name in (case.model, *case.test.inputs.values())]
        yield from (model for model in models if not isinstance(model, DescribedModel))
        if case.test.data not in (UNSET, DIGITS):
            yield file.path.parent / str(case.test.data)
    source = _source_of(file)
    for case in file.cases:
        with suppress(MutspecError):  # the test says what is wrong; what was read until then counts
            plan_of(case, source)
    yield from source.paths()


def _source_of(file: RecipeTestFile) -> RecipeSource:
    return RecipeSource.of_file(file.plan, file.root)


def plan_of(case: Case, source: RecipeSource | None = None) -> Plan[Op]:
    """Returns the plan of a test, with its overrides and its seed.

    Arguments:
        case: the test.
        source: where the recipes are that it may use; by default, they are read again.

    Raises:
        PlanError: it is invalid. Problems of overrides are at their places in the test.
    """
    values = case.test.set
    overrides = [Override(f"{key}={value}", number, value) for number, (key, value) in enumerate(values.items(), 1)]
    source = _source_of(case.file) if source is None else source
    try:
        seed = or_default(case.test.seed, None)
        return load_plan(case.file.plan, catalogue(), overrides=overrides, seed=seed, recipes=source)
    except MutspecError as error:
        raise type(error)(_of_override(problem, case) for problem in error.problems) from None


def _of_override(problem: Problem, case: Case) -> Problem:
    """Returns a problem of an override with the place of the override in the test."""
    file = problem.place.file if problem.place else ""
    if not file.startswith("override "):
        return problem
    key = list(case.test.set)[int(file.removeprefix("override ")) - 1]
    place: Place | None = case.file.declared.place(("tests", case.number, "set", key), on_key=True)
    return replace(problem, place=place)

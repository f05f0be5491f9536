"""Locks a plan on a model: the plan is applied, and what came of it is written down."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from mutspec.access.read import Readable
from mutspec.documents_beside import LOCK_SUFFIX
from mutspec.errors import CallError, CheckError, EnvironmentProblem, PlanError, Problem
from mutspec.execute.files import apply
from mutspec.execute.hooks import Hooks
from mutspec.execute.output import check_output
from mutspec.execute.output_kind import kind_by_default
from mutspec.execute.prepare import Prepared
from mutspec.execute.temporary import temporary_name
from mutspec.language import Plan, load_plan
from mutspec.language.recipe_files import RecipeSource
from mutspec.lowering.base import Op, is_structural
from mutspec.model.files.formats import FORMATS, FileKind
from mutspec.model.files.opening import format_of, open_archive, open_beside
from mutspec.recipes.checking import differences, result_differences
from mutspec.recipes.lock_document import Lock
from mutspec.recipes.lock_file import LockFile, lock_text, read_lock, write_lock
from mutspec.recipes.lock_making import Names, facts, with_result, with_targets
from mutspec.recipes.lock_places import default_lock, name_in_lock, refuse_plan_elsewhere, way_to
from mutspec.resources import shipped_recipe
from mutspec.text.words import plural

if TYPE_CHECKING:
    from mutspec.execute.engine import Progress

MOST_DIFFERENCES = 10
"""The most differences that an error names; the others are counted."""


@dataclass(frozen=True)
class Files:
    """The files of a lock.

    Arguments:
        plan: the plan's file.
        model: the model's file.
        plan_name: the name of a recipe that ships with mutspec, if the plan is one and is called so.
        inputs: the files of the plan's inputs, by name.
        architecture: the file with the architecture, if the model's holds weights alone.
        data: the file with the data.
        recipes: the folder outside of which the plan uses no other recipes; by default its own.
    """

    plan: Path
    model: Path
    plan_name: str = ""
    inputs: Mapping[str, Path] = field(default_factory=dict)
    architecture: Path | None = None
    data: Path | None = None
    recipes: Path | None = None

    def names(self, lock: Path) -> Names:
        """Returns what a lock calls them."""
        return Names(
            self.plan_name or name_in_lock(self.plan, lock),
            name_in_lock(self.model, lock),
            UNSET if self.architecture is None else name_in_lock(self.architecture, lock),
            {name: name_in_lock(path, lock) for name, path in self.inputs.items()},
            UNSET if self.data is None else name_in_lock(self.data, lock),
        )

    @property
    def all(self) -> tuple[Path | None, ...]:
        """All of them."""
        return (self.plan, self.model, *self.inputs.values(), self.architecture, self.data)

    @property
    def default_lock(self) -> Path:
        """The lock's file by default: beside the plan; for a shipped recipe in the current folder."""
        return default_lock(Path(self.plan_name) if self.plan_name else self.plan)

    def load(self, overrides: tuple[str, ...]) -> Plan[Op]:
        """Reads the plan.

        Raises:
            PlanError: the plan is invalid.
        """
        from mutspec.ops import catalogue

        source = RecipeSource.of_file(self.plan, self.recipes)
        return load_plan(self.plan, catalogue(), overrides=overrides, recipes=source)

    def arrays(self) -> Any:
        """Reads the data; None if there are none.

        Raises:
            CallError: they cannot be read.
        """
        if self.data is None:
            return None
        from mutspec.experiment.data import named_arrays

        return named_arrays(self.data)


@dataclass(frozen=True)
class Options:
    """How plans are applied: arguments of `apply` of the same names."""

    unsafe: bool = False
    verify: bool = True
    threads: int | None = None
    max_memory: int | None = None
    on_progress: Progress | None = None

    def given(self) -> dict[str, Any]:
        """Returns them by name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


DEFAULTS = Options()


def plan_file(name: str) -> tuple[Path, str]:
    """Returns the file of a plan that a call names, and its name if it is a recipe that ships with mutspec.

    Raises:
        CallError: the plan is on standard input.
    """
    if name == "-":
        raise CallError("a lock is of a plan in a file, not of one on standard input", hint="write the plan to a file")
    recipe = None if Path(name).exists() else shipped_recipe(name)
    return (Path(name), "") if recipe is None else (recipe, name)


def lock(
    files: Files,
    output: Path | None = None,
    overrides: tuple[str, ...] = (),
    options: Options = DEFAULTS,
    *,
    force: bool = False,
) -> LockFile:
    """Makes the lock of a plan on a model, and writes it.

    Arguments:
        files: the plan, the model, and others.
        output: the lock's file; by default beside the plan.
        overrides: `key=value` texts.
        options: how the plan is applied.
        force: whether to replace the file if it exists.

    Raises:
        CallError: the lock exists, without `force`; or the call is wrong.
        PlanError, ModelError, CheckError, EnvironmentProblem: as for `apply`.
    """
    path = files.default_lock if output is None else output
    if not path.name.endswith(LOCK_SUFFIX):
        stem = path.name.removesuffix(".yaml").removesuffix(".yml")
        raise CallError(
            f"the name of the lock {path} does not end with {LOCK_SUFFIX}", hint=f"name it {stem}{LOCK_SUFFIX}"
        )
    _refuse_existing(path, files, force=force)
    check_output(path, files.all, force=force)
    if not files.plan_name:
        refuse_plan_elsewhere(files.plan, path)
    made = text_of(make_lock(files, path, overrides, options), path, files.plan)
    write_lock(path, made, force=force)
    return read_lock(path)


def _refuse_existing(path: Path, files: Files, *, force: bool) -> None:
    """Refuses a lock that exists, and says what to do: to update it, or to give that of another model another name.

    Raises:
        CallError: it exists.
    """
    if force or not path.is_file():
        return
    try:
        locked = read_lock(path).lock
    except CallError:
        return  # it is something else, which `check_output` refuses
    if locked.model.file == name_in_lock(files.model, path):
        raise CallError(f"the lock {path} exists", hint=f"to make it again: mutspec lock --update {path}")
    model = files.model.name.partition(".")[0]
    name = path.with_name(f"{path.name.removesuffix(LOCK_SUFFIX)}.{model}{LOCK_SUFFIX}")
    raise CallError(
        f"the lock {path} exists, and is of {locked.model.file}", hint=f"give this one another name: -o {name}"
    )


def make_lock(files: Files, path: Path, overrides: tuple[str, ...], options: Options) -> Lock:
    """Applies a plan to a model, and returns the lock. Nothing of the mutant is left.

    Arguments:
        files: the plan, the model, and others.
        path: the lock's file. It is not written, but the mutant is in its folder for a while.
        overrides: `key=value` texts.
        options: how the plan is applied.

    Raises:
        PlanError, ModelError, CallError, CheckError, EnvironmentProblem: as for `apply`.
    """
    making = Making(files, path, overrides)
    replay(files.load(overrides), making, path.parent, options)
    return making.lock


def replay(plan: Plan[Op], making: Making, folder: Path, options: Options) -> None:
    """Applies a plan into a temporary file, which is looked at and removed.

    Arguments:
        plan: the plan.
        making: looks at it.
        folder: the folder for the file.
        options: how the plan is applied.

    Raises:
        PlanError, ModelError, CallError, CheckError, EnvironmentProblem: as for `apply`.
    """
    files = making.files
    form = format_of(files.model)
    kind = kind_by_default(form.kind if form else FileKind.KERAS, is_structural=is_structural(plan))
    name = temporary_name(folder / "replayed")
    output = name.with_name(f"{name.name}{FORMATS[kind].suffixes[0]}")  # no file ever has this name
    with making.explaining(plan), _not_naming(output):
        apply(
            plan,
            files.model,
            output,
            inputs=files.inputs,
            architecture=files.architecture,
            force=True,
            data=files.arrays(),
            hooks=making.hooks(keeps_output=False),
            **options.given(),
        )


@contextmanager
def _not_naming(output: Path) -> Iterator[None]:
    """Runs a block whose errors say "a temporary file" in place of a name that nobody knows.

    Raises:
        EnvironmentProblem: the file cannot be written.
    """
    try:
        yield
    except EnvironmentProblem as error:
        what, hint = f"a temporary file in {output.parent}", "the mutant is written there while it is looked at"
        raise type(error)(
            replace(each, message=each.message.replace(str(output), what), hint=hint)
            if str(output) in each.message
            else each
            for each in error.problems
        ) from error


class Making:
    """Hooks of `apply` that make a lock, and compare it with another one.

    Arguments:
        files: the plan, the model, and others.
        path: the lock's file.
        overrides: those of the call.
        locked: the lock to compare with, if there is one.
        architecture: the file with the architecture of an output that holds weights alone.
    """

    def __init__(
        self,
        files: Files,
        path: Path,
        overrides: tuple[str, ...],
        locked: LockFile | None = None,
        architecture: Path | None = None,
    ) -> None:
        """Begins with nothing known."""
        self.files = files
        self.notes: tuple[Problem, ...] = ()
        self._path = path
        self._overrides = overrides
        self._locked = locked
        self._architecture = architecture or files.architecture
        self._prepared: Prepared | None = None
        self._now: Lock | None = None

    @property
    def lock(self) -> Lock:
        """The lock as far as it is made."""
        assert self._now is not None  # `apply` has called the hooks
        return self._now

    def hooks(self, *, keeps_output: bool) -> Hooks:
        """Returns the hooks."""
        return Hooks(self.compiled, self.written, keeps_output)

    def compiled(self, prepared: Prepared, model: Readable, inputs: Mapping[str, Readable]) -> None:
        """Makes what is known before anything is computed, and compares it.

        Raises:
            DifferenceError: something differs.
        """
        self._prepared = prepared
        self._now = with_targets(self._facts(prepared.program.plan, model, inputs, prepared.data), prepared)
        if self._locked is not None:
            self.notes = refuse(self._locked, differences(self._locked.lock, self._now))

    def _facts(self, plan: Plan[Op], model: Readable, inputs: Mapping[str, Readable], data: Any) -> Lock:
        """Returns what is known before the plan is compiled. Data that no step reads are not part of it."""
        digest = None
        if data is not None and any(step.reads_data for step in plan.steps):
            from mutspec.access.digests import data_digest

            digest = data_digest(data)
        return facts(plan, model, inputs, self.files.names(self._path), self._overrides, digest)

    @contextmanager
    def explaining(self, plan: Plan[Op]) -> Iterator[None]:
        """Compiles a plan in a block. If it does not fit the model, because plan or model differ, that is raised.

        Raises:
            DifferenceError: something differs.
        """
        try:
            yield
        except PlanError:
            if self._locked is not None and self._prepared is None:
                model = open_archive(self.files.model, architecture=self.files.architecture)
                inputs = {name: open_archive(path) for name, path in self.files.inputs.items()}
                now = self._facts(plan, model, inputs, self.files.arrays())
                refuse(self._locked, differences(self._locked.lock, now, is_compiled=False))
            raise

    def written(self, path: Path) -> None:
        """Makes the result of a finished file, and compares it.

        Raises:
            DifferenceError: something differs.
        """
        self.made(open_beside(path, self._architecture))

    def made(self, mutant: Readable) -> None:
        """Makes the result, and compares it.

        Raises:
            DifferenceError: something differs.
        """
        assert self._prepared is not None
        self._now = with_result(self.lock, mutant, self._prepared)
        if self._locked is not None:
            locked = self._locked.lock
            refuse(self._locked, result_differences(locked.result, self._now.result, locked.model), self.notes)


class DifferenceError(CheckError):
    """What there is differs from a lock. The error names the first differences.

    Arguments:
        found: all differences.
        notes: what differs too, and decides nothing.
    """

    def __init__(self, found: tuple[Problem, ...], notes: tuple[Problem, ...]) -> None:
        super().__init__(capped(found))
        self.found = found
        self.notes = notes


def capped(found: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Returns the first of some differences, and how many more there are."""
    more = len(found) - MOST_DIFFERENCES
    rest = (Problem(f"and {plural(more, 'more difference')}"),) if more > 0 else ()
    return (*found[:MOST_DIFFERENCES], *rest)


def refuse(locked: LockFile, problems: list[Problem], notes: tuple[Problem, ...] = ()) -> tuple[Problem, ...]:
    """Raises what differs from a lock, and decides. Returns the rest, with places.

    Raises:
        DifferenceError: something differs.
    """
    placed = [locked.placed(each) for each in problems]
    notes = (*notes, *(each for each in placed if each.is_warning))
    if found := tuple(each for each in placed if not each.is_warning):
        raise DifferenceError(found, notes)
    return notes


# -- the text


def text_of(made: Lock, path: Path, plan: Path) -> str:
    """Returns a lock as text: a comment says how it was made, and for editors where its schema is.

    Arguments:
        made: the lock.
        path: its file.
        plan: the plan's file. If its first lines name the schema of plans, that of locks is beside it.
    """
    return lock_text(made, _call(made, path), _schema(path, plan))


_MODELINE = re.compile(r"#\s*yaml-language-server:\s*\$schema=(\S*?)plan\.schema\.json\s*")


def _schema(path: Path, plan: Path) -> str:
    try:
        with plan.open(encoding="utf-8") as file:
            lines = [file.readline(500) for _ in range(5)]
    except (OSError, UnicodeError):
        return ""
    found = next((match for line in lines if (match := _MODELINE.fullmatch(line))), None)
    is_near = os.path.abspath(path.parent) == os.path.abspath(plan.parent)
    return f"{found[1]}lock.schema.json" if found and (is_near or "://" in found[1]) else ""


def _call(made: Lock, path: Path) -> str:
    """Returns the call that makes a lock, from the nearest folder that holds all its files."""
    data = None if made.data is UNSET else made.data.file
    layout = None if made.model.architecture is UNSET else made.model.architecture
    inputs = {name: each.file for name, each in made.inputs.items()}
    is_shipped = not (path.parent / made.plan.file).is_file() and shipped_recipe(made.plan.file) is not None
    own = () if is_shipped else (made.plan.file,)
    names = (*own, made.model.file, *inputs.values(), *filter(None, (layout, data)))
    lock = way_to(path, names)

    def typed(name: str) -> str:
        return os.path.normpath(lock.parent / name)

    plan = made.plan.file if is_shipped else typed(made.plan.file)
    words = ["mutspec", "lock", plan, typed(made.model.file)]
    words += [] if default_lock(Path(plan)) == lock else ["-o", str(lock)]
    for text in made.plan.overrides:
        words += ["--set", text]
    for name, file in inputs.items():
        words += ["--input", f"{name}={typed(file)}"]
    words += [] if layout is None else ["--architecture", typed(layout)]
    words += [] if data is None else ["--data", typed(data)]
    return " ".join(shlex.quote(" ".join(word.split())) for word in words)

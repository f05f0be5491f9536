"""Checks locks, makes them again, and replays them: from files, and for models in memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from mutspec.access.fingerprint import fingerprint
from mutspec.access.read import Readable
from mutspec.errors import CallError, CheckError, EnvironmentProblem, ModelError, Problem
from mutspec.execute.files import prepare_files
from mutspec.execute.hooks import Hooks
from mutspec.execute.output_kind import kind_of_name
from mutspec.graph.streams import unknown_streams
from mutspec.language import Plan
from mutspec.lowering.base import Op, is_structural
from mutspec.model.files.archive import Archive
from mutspec.model.files.formats import FORMATS
from mutspec.model.files.opening import format_of, open_archive, open_beside
from mutspec.recipes.checking import as_before, result_differences
from mutspec.recipes.lock_document import Lock
from mutspec.recipes.lock_file import LockFile, read_lock, write_lock
from mutspec.recipes.lock_making import result_of
from mutspec.recipes.lock_places import default_lock, file_of, find_model, is_like, locks_of
from mutspec.recipes.locking import DEFAULTS, Files, Making, Options, make_lock, refuse, replay, text_of
from mutspec.recipes.model_meaning import in_lock
from mutspec.resources import shipped_recipe
from mutspec.text.words import listed


@dataclass(frozen=True)
class Given:
    """What a call gives in place of what a lock names.

    Arguments:
        model: the model's file.
        inputs: files of the plan's inputs, by name.
        architecture: the file with the architecture of the model.
        data: the file with the data.
        recipes: the folder outside of which plans use no other recipes; by default that of each plan.
    """

    model: Path | None = None
    inputs: Mapping[str, Path] | None = None
    architecture: Path | None = None
    data: Path | None = None
    recipes: Path | None = None


NOTHING_GIVEN = Given()


@dataclass(frozen=True)
class Checked:
    """A lock from which nothing differs.

    Arguments:
        model: the model's file; empty if it was not read.
        notes: what differs and decides nothing, and what was found elsewhere.
        now: the lock that would be made; without a result if the plan was not applied.
    """

    model: str
    notes: tuple[Problem, ...]
    now: Lock


def check(locked: LockFile, options: Options = DEFAULTS, given: Given = NOTHING_GIVEN) -> Checked:
    """Checks the plan, the parameters, the targets, the models and the versions of a lock. The plan is not applied.

    Raises:
        DifferenceError: something differs.
        PlanError, ModelError, CallError: the plan or a model cannot be read, or do not fit.
        EnvironmentProblem: this engine does not have the lock's random streams.
    """
    refuse_stream(locked)
    files, notes = files_of(locked, given)
    plan = files.load(locked.lock.plan.overrides)
    making = Making(files, locked.path, locked.lock.plan.overrides, locked)
    with making.explaining(plan):
        prepared = prepare_files(
            plan,
            files.model,
            inputs=files.inputs,
            architecture=files.architecture,
            unsafe=options.unsafe,
            data=files.arrays(),
        )
    making.compiled(prepared, prepared.model, prepared.inputs)
    return Checked(str(files.model), (*notes, *making.notes), making.lock)


def update(locked: LockFile, options: Options = DEFAULTS, given: Given = NOTHING_GIVEN) -> str:
    """Makes a lock again, for what its plan and its models are now, and writes it if anything has changed.

    Returns:
        Its text now.

    Raises:
        PlanError, ModelError, CallError, CheckError, EnvironmentProblem: as for `apply`.
    """
    files, _ = files_of(locked, given)
    made = make_lock(files, locked.path, locked.lock.plan.overrides, options)
    made = replace(made, result=as_before(locked.lock.result, made.result))
    text = text_of(made, locked.path, files.plan)
    if text != locked.text:
        write_lock(locked.path, text, force=True)
    return text


def verify(locked: LockFile, options: Options = DEFAULTS, given: Given = NOTHING_GIVEN) -> Checked:
    """Replays a lock: everything is checked as by `check`, then the plan is applied, and the result compared.

    Raises:
        DifferenceError: something differs.
        PlanError, ModelError, CallError, CheckError, EnvironmentProblem: as for `apply`.
    """
    refuse_stream(locked)
    files, notes = files_of(locked, given)
    making = Making(files, locked.path, locked.lock.plan.overrides, locked)
    replay(files.load(locked.lock.plan.overrides), making, _folder_for(locked.path), options)
    return Checked(str(files.model), (*notes, *making.notes), making.lock)


def verify_output(locked: LockFile, output: Path, given: Given = NOTHING_GIVEN) -> Checked:
    """Compares a model file with the result of a lock. The plan is not applied.

    The lock's model is not needed, except for its architecture if the file holds weights alone.

    Raises:
        DifferenceError: something differs.
        CallError: the file holds weights alone, and its structure is in no file.
        ModelError: the file or the model cannot be read.
    """
    made, notes = _opened(locked, output, given)
    return Checked("", notes, _compared(locked, made, locked.lock))


def _opened(locked: LockFile, output: Path, given: Given) -> tuple[Archive, tuple[Problem, ...]]:
    """Opens a file that may be the result of a lock, with the architecture of the lock's model if it has none."""
    architecture, form = given.architecture or given.model, format_of(output)
    if architecture is not None or form is None or form.is_whole:
        return open_beside(output, architecture), ()
    own, lock = locked.lock, locked.path
    with suppress(ModelError):  # the lock's model may hold weights alone, too
        if (made := open_archive(output)).spec.structure_digest == own.result.structure:
            return made, ()
    if own.result.layers is not UNSET or own.result.ports is not UNSET:
        message = f"{output} holds weights alone, and the structure of the result is not that of the lock's model"
        raise CallError(message, hint="name a file that has it: --architecture MODEL")
    if own.model.architecture is not UNSET:
        hint = "name the file: mutspec verify LOCK --output OUT --architecture MODEL"
        return open_beside(output, file_of(own.model.architecture, lock, "the architecture", hint)), ()
    hint = f"{output.name} holds weights alone; name the model: mutspec verify LOCK --output OUT --model MODEL"
    found = find_model(own.model, lock, lock, "the model", hint)
    notes = (_moved(locked, "the model", ("model", "file"), found.path),) if found.is_moved else ()
    return open_beside(output, found.path), notes


def verify_live(
    locked: LockFile, model: Any, inputs: Mapping[str, Any] | None = None, *, unsafe: bool = False
) -> Checked:
    """Does the same as `verify` for a model in memory, which stays as it is.

    Arguments:
        locked: the lock.
        model: a keras.Model.
        inputs: the models of the plan's inputs, in memory or files; by default the files that the lock names.
        unsafe: whether code that the model holds may run where the mutant is built from its config.

    Raises:
        DifferenceError: something differs.
        PlanError, ModelError, CallError, CheckError, EnvironmentProblem: as for `apply`.
    """
    from mutspec.access.model_lock import hold
    from mutspec.execute.live import build_mutant
    from mutspec.execute.prepare import check_inputs, prepare
    from mutspec.model.live import read_live

    refuse_stream(locked)
    plan_path, plan_name = _plan_of(locked)
    files = Files(plan_path, Path(locked.lock.model.file), plan_name)
    plan = files.load(locked.lock.plan.overrides)
    given = {name: each for name, each in (inputs or {}).items() if not isinstance(each, str | os.PathLike)}
    paths = {name: Path(each) for name, each in (inputs or {}).items() if name not in given}
    found, notes = _inputs_of(locked, paths, plan_path, without=given)
    check_inputs(plan, [*given, *found])
    data = None if locked.lock.data is UNSET else file_of(locked.lock.data.file, locked.path, "the data")
    files = Files(plan_path, locked.path.parent / locked.lock.model.file, plan_name, {}, None, data)
    with hold(reads=(model, *given.values())):
        live = read_live(model)
        others: dict[str, Readable] = {name: read_live(each) for name, each in given.items()}
        others |= {name: open_archive(path) for name, path in found.items()}
        prepared = prepare(plan, live, others, unsafe=unsafe, data=files.arrays())
        making = Making(files, locked.path, locked.lock.plan.overrides, locked)
        making.compiled(prepared, live, others)
        mutant = build_mutant(prepared, unsafe=unsafe).model
        making.made(read_live(mutant))
    return Checked(live.spec.name, (*notes, *making.notes), making.lock)


def _compared(locked: LockFile, made: Readable, now: Lock) -> Lock:
    result = result_of(locked.lock, made, locked.lock.result.numeric)
    refuse(locked, result_differences(locked.lock.result, result, locked.lock.model))
    return replace(now, result=result)


def refuse_stream(locked: LockFile) -> None:
    """Refuses a lock whose random streams this engine does not have.

    Raises:
        EnvironmentProblem: it is one.
    """
    if reason := unknown_streams(locked.lock.plan.stream, "the lock"):
        raise EnvironmentProblem(locked.placed(Problem(reason, path=("plan", "stream"))))


# -- files


def files_of(locked: LockFile, given: Given) -> tuple[Files, tuple[Problem, ...]]:
    """Finds the files of a lock: what the call gives, where the lock says, or by fingerprints.

    Returns:
        The files, and notes on those that were found elsewhere.

    Raises:
        CallError: the lock names a file elsewhere.
        ModelError: a model is not found.
    """
    plan, name = _plan_of(locked)
    own, lock = locked.lock, locked.path
    notes: tuple[Problem, ...] = ()
    architecture, data = given.architecture, given.data
    if architecture is None and own.model.architecture is not UNSET:
        hint = "name the file: mutspec verify LOCK --architecture MODEL"
        architecture = file_of(own.model.architecture, lock, "the architecture", hint)
    if data is None and own.data is not UNSET:
        data = file_of(own.data.file, lock, "the data", "name the file: mutspec verify LOCK --data FILE")
    model = given.model
    if model is None:
        found = find_model(own.model, lock, plan, "the model", "name its file: mutspec verify LOCK --model MODEL")
        model = found.path
        notes = (_moved(locked, "the model", ("model", "file"), model),) if found.is_moved else ()
    inputs, more = _inputs_of(locked, given.inputs or {}, plan)
    return Files(plan, model, name, inputs, architecture, data, given.recipes), (*notes, *more)


def _inputs_of(
    locked: LockFile, given: Mapping[str, Path], plan: Path, without: Mapping[str, Any] | None = None
) -> tuple[dict[str, Path], tuple[Problem, ...]]:
    inputs, notes = dict(given), []
    for name, each in locked.lock.inputs.items():
        if name in inputs or name in (without or {}):
            continue
        hint = f"name its file: mutspec verify LOCK --input {name}=MODEL"
        found = find_model(each, locked.path, plan, f"the input `{name}`", hint)
        inputs[name] = found.path
        if found.is_moved:
            notes.append(_moved(locked, f"the input `{name}`", ("inputs", name, "file"), found.path))
    return inputs, tuple(notes)


def _moved(locked: LockFile, what: str, path: tuple[str, ...], found: Path) -> Problem:
    return locked.placed(Problem(f"{what} was found by its fingerprint: {found}", path=path, is_warning=True))


def _plan_of(locked: LockFile) -> tuple[Path, str]:
    """Returns the plan's file, and its name if it is a recipe that ships with mutspec.

    Raises:
        CallError: the lock names a file elsewhere.
    """
    name = locked.lock.plan.file
    path = file_of(name, locked.path, "the plan")
    recipe = None if path.is_file() else shipped_recipe(name)
    return (path, "") if recipe is None else (recipe, name)


def _folder_for(lock: Path) -> Path:
    """Returns the folder in which a plan is replayed: that of the lock, which is on a disk, if it can be written to."""
    return lock.parent if os.access(lock.parent, os.W_OK) else Path(tempfile.gettempdir())


# -- applying as locked


def lock_for(plan: Path, plan_name: str, model: Path, architecture: Path | None) -> LockFile:
    """Finds the lock beside a plan that is of a model, by its fingerprint if there are several.

    Raises:
        CallError: there is none beside the plan; or several are of the model.
        CheckError: none is of the model.
    """
    beside = default_lock(Path(plan_name) if plan_name else plan)
    paths = locks_of(Path(plan_name) if plan_name else plan)
    if not paths:
        raise CallError(f"there is no lock {beside}", hint=f"to make it: mutspec lock {plan_name or plan} {model}")
    found = [read_lock(path) for path in paths]
    if len(found) == 1:
        return found[0]
    archive = open_archive(model, architecture=architecture)
    fitting = [each for each in found if is_like(archive.spec, each.lock.model)]
    if len(fitting) > 1:
        tensors = in_lock(fingerprint(archive).tensors)
        fitting = [each for each in fitting if each.lock.model.tensors == tensors]
    if len(fitting) == 1:
        return fitting[0]
    names = listed([str(path) for path in paths], is_quoted=False)
    if fitting:
        raise CallError(f"several locks beside the plan are of {model}: {names}", hint="name one: --locked=LOCK")
    hint = f"name the lock to see what differs: --locked={paths[0]}"
    raise CheckError(f"none of the locks beside the plan is of {model}: {names}", hint=hint)


@dataclass(frozen=True)
class AsLocked:
    """A plan that is applied as a lock says.

    Arguments:
        plan: the plan, with the lock's overrides where the call gives no others.
        lock: the lock.
        hooks: hooks of `apply` that refuse what differs.
        explaining: a context in which the plan is applied: if it does not fit the model, the differences are raised.
        notes: returns what differs and decides nothing.
    """

    plan: Plan[Op]
    lock: LockFile
    hooks: Hooks
    explaining: AbstractContextManager[None]
    notes: Callable[[], tuple[Problem, ...]]


def as_locked(locked: LockFile, files: Files, overrides: tuple[str, ...], output: Path) -> AsLocked:
    """Prepares to apply a plan as a lock says.

    Arguments:
        locked: the lock.
        files: the files of the call.
        overrides: the overrides of the call.
        output: the file to write.

    Raises:
        CallError: the output holds weights alone, and its structure is in no file.
        EnvironmentProblem: this engine does not have the lock's random streams.
        PlanError: the plan is invalid.
    """
    refuse_stream(locked)
    keys = {text.partition("=")[0].strip() for text in overrides}
    kept = tuple(text for text in locked.lock.plan.overrides if text.partition("=")[0].strip() not in keys)
    plan = files.load((*kept, *overrides))
    architecture = files.architecture
    form = format_of(files.model)
    if not FORMATS[kind_of_name(output)].is_whole and form is not None and form.is_whole:
        if is_structural(plan):
            message = f"{output.name} holds weights alone, so its structure cannot be compared with the lock"
            raise CallError(message, hint="name the output .keras, or leave out --locked")
        architecture = files.model
    making = Making(files, locked.path, (*kept, *overrides), locked, architecture)
    return AsLocked(plan, locked, making.hooks(keeps_output=True), making.explaining(plan), lambda: making.notes)

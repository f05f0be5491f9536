"""Locks of recipes: made, and replayed."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mutspec import arguments
from mutspec.api.given import (
    File,
    Inputs,
    KerasModel,
    MutspecWarning,
    architecture_file,
    files_by_name,
    inputs_by_name,
    is_file,
    model_file,
)

if TYPE_CHECKING:
    from mutspec.recipes.lock_file import LockFile
    from mutspec.recipes.replaying import Checked


def lock(
    plan: File,
    model: File,
    output: File | None = None,
    *,
    overrides: Iterable[str] = (),
    inputs: Mapping[str, File] | None = None,
    architecture: File | None = None,
    data: File | None = None,
    force: bool = False,
    unsafe: bool = False,
    verify: bool = True,
    threads: int | None = None,
) -> LockFile:
    """Writes down what a plan does to a model file: the plan, the model, and a digest of each weight of the result.

    Arguments:
        plan: a YAML file, or the name of a recipe that ships with mutspec.
        model: the model file. The plan is applied to it, but the mutant is not kept.
        output: the lock to write; by default `PLAN.lock.yaml` beside the plan.
        overrides: `key=value` texts as on the command line: `params.std=0.05`, `seed=3`.
        inputs: the files of the plan's inputs, by name.
        architecture: a file with the architecture, for a model file that holds only weights.
        data: an .npz file with the model's inputs, for steps that rank by activation.
        force: whether to replace the lock if it exists.
        unsafe: as for `apply`.
        verify: as for `apply`.
        threads: as for `apply`.

    Returns:
        The lock as it was written: its `path`, `text`, and `lock`, which is what it says.

    Raises:
        CallError: the lock exists, without `force`; or as for `apply`.
        PlanError, ModelError, CheckError, EnvironmentProblem: as for `apply`.
    """
    from mutspec.recipes.locking import Files, Options, plan_file
    from mutspec.recipes.locking import lock as make

    path, name = plan_file(str(arguments.file_path(plan, "the plan")))
    arrays = None if data is None else arguments.file_path(data, "the data")
    files = Files(path, model_file(model), name, files_by_name(inputs), architecture_file(architecture), arrays)
    target = None if output is None else arguments.file_path(output, "the lock")
    texts, options = arguments.texts(overrides, "overrides"), Options(unsafe, verify, threads)
    return make(files, target, texts, options, force=force)


def verify(
    lock: File,
    model: File | KerasModel | None = None,
    *,
    output: File | None = None,
    inputs: Inputs | None = None,
    unsafe: bool = False,
) -> Checked:
    """Replays a lock, and compares every weight of the result with it. A MutspecWarning says what decides nothing.

    Arguments:
        lock: the lock's file.
        model: the model: a file, by default where the lock says; or a keras.Model, which stays as it is.
        output: a mutant's file, which is compared with the lock. Then no plan is applied.
        inputs: the files or models of the plan's inputs, by name; by default the files that the lock names.
        unsafe: as for `apply`.

    Returns:
        What was compared: `now` is the lock that would be made.

    Raises:
        CheckError: something differs. The error names the first differences, each with its place in the lock.
        CallError, PlanError, ModelError: a file cannot be read, or the plan does not fit the model.
    """
    from mutspec.recipes import replaying
    from mutspec.recipes.lock_file import read_lock
    from mutspec.recipes.locking import Options

    read = read_lock(arguments.file_path(lock, "the lock"))
    if model is not None and not is_file(model):
        done = replaying.verify_live(read, model, inputs_by_name(inputs), unsafe=unsafe)
    else:
        given = replaying.Given(None if model is None else model_file(model), files_by_name(inputs))
        if output is not None:
            done = replaying.verify_output(read, arguments.file_path(output, "the output"), given)
        else:
            done = replaying.verify(read, Options(unsafe), given)
    for note in done.notes:
        warnings.warn(str(note), MutspecWarning, stacklevel=2)
    return done

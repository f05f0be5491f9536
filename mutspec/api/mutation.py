"""Plans, dry-runs and mutants, of Keras models and of model files."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, overload

from mutspec import arguments
from mutspec.api.given import (
    Data,
    File,
    Inputs,
    KerasModel,
    MutspecWarning,
    architecture_file,
    arrays,
    call_error,
    files_by_name,
    inputs_by_name,
    is_file,
    loaded,
    model_file,
)

if TYPE_CHECKING:
    from mutspec.language.plan import Plan
    from mutspec.lowering.base import Op
    from mutspec.show.report import Report


@contextmanager
def limits(**changes: int) -> Iterator[None]:
    """Changes the limits on files, such as their size, for the length of a `with` block, in this thread.

    The error about a file above a limit names the limit. docs/limits.md lists all limits.

    Arguments:
        changes: the new limits by name; the others stay as they are.

    Raises:
        CallError: no limit has that name, or its value is not a whole number of at least 1.

    Example:
        with mutspec.limits(config_bytes=2**30):
            mutspec.dry_run(plan, "huge.keras")
    """
    from mutspec.model.limits import limits as changed

    with changed(**changes):
        yield


def load_plan(path: File, *, overrides: Iterable[str] = (), recipes: File | None = None) -> Plan[Op]:
    """Reads and validates a plan file, and the recipes that it uses.

    Arguments:
        path: a YAML file.
        overrides: `key=value` texts as on the command line: `params.std=0.05`, `seed=3`, `steps.jitter.std=0.1`.
        recipes: the folder outside of which it uses no recipes, except those that ship; by default its own.

    Raises:
        PlanError: the plan is invalid; the error has every problem with its place.
    """
    from mutspec.language import load_plan as load
    from mutspec.language.recipe_files import RecipeSource
    from mutspec.ops import catalogue

    file, root = arguments.plan_path(path), None if recipes is None else arguments.recipe_folder(recipes)
    source = RecipeSource.of_file(file, root)
    return load(file, catalogue(), overrides=arguments.texts(overrides, "overrides"), recipes=source)


def plan(document: Mapping[str, Any], *, recipes: File | None = None) -> Plan[Op]:
    """Makes a plan from the mapping that a plan file would hold. `mutspec: 1` may be left out.

    Arguments:
        document: the mapping.
        recipes: the folder whose recipes it may use; by default it may only use those that ship with mutspec.

    Raises:
        PlanError: the plan is invalid; the error has every problem with its path.
        CallError: the folder does not exist.
    """
    from mutspec.language import plan_from
    from mutspec.language.recipe_files import RecipeSource
    from mutspec.ops import catalogue

    root = None if recipes is None else arguments.recipe_folder(recipes)
    return plan_from(arguments.plan_document(document), catalogue(), recipes=RecipeSource(root=root))


def dry_run(
    plan: Plan[Op],
    model: File | KerasModel,
    *,
    inputs: Inputs | None = None,
    architecture: File | None = None,
    unsafe: bool = False,
    data: Data | None = None,
) -> Report:
    """Reports the effect of a plan on a model. Printing the report shows a table.

    It reads no weights, except those whose values a step must know to find shapes; notes of the report name them.

    Arguments:
        plan: the plan.
        model: a file in one of the formats of docs/formats.md, for which TensorFlow is not needed; or a keras.Model.
        inputs: the files or models of the plan's inputs, by name.
        architecture: a file with the architecture, for a model file that holds only weights.
        unsafe: whether code in the model (Lambda layers) may run, where only Keras can compute a layer's output shape.
        data: the model's inputs, for steps that rank by activation: an array, a list of arrays, a mapping of arrays by
            the names of inputs, or an .npz file of such a mapping. Keras computes the activations.

    Raises:
        PlanError: the plan does not fit the model.
        ModelError: a model cannot be read.
        CallError: an input is not bound, or the data do not fit the model.
    """
    arguments.check_plan(plan)
    if not is_file(model):
        from mutspec.execute import live

        return live.dry_run(plan, model, inputs=inputs_by_name(inputs), unsafe=unsafe, data=arrays(data))
    from mutspec.execute import files

    others, layout = files_by_name(inputs), architecture_file(architecture)
    return files.dry_run(plan, model_file(model), inputs=others, architecture=layout, unsafe=unsafe, data=arrays(data))


@overload
def apply(
    plan: Plan[Op],
    model: File,
    output: File,
    *,
    inputs: Mapping[str, File] | None = None,
    architecture: File | None = None,
    force: bool = False,
    unsafe: bool = False,
    verify: bool = True,
    threads: int | None = None,
    max_memory: int | None = None,
    data: Data | None = None,
    provenance: bool = True,
) -> Report: ...


@overload
def apply(
    plan: Plan[Op],
    model: KerasModel,
    *,
    inputs: Inputs | None = None,
    in_place: bool = False,
    unsafe: bool = False,
    verify: bool = True,
    threads: int | None = None,
    data: Data | None = None,
) -> KerasModel: ...


def apply(
    plan: Plan[Op],
    model: File | KerasModel,
    output: File | None = None,
    *,
    inputs: Inputs | None = None,
    in_place: bool = False,
    architecture: File | None = None,
    force: bool = False,
    unsafe: bool = False,
    verify: bool = True,
    threads: int | None = None,
    max_memory: int | None = None,
    data: Data | None = None,
    provenance: bool = True,
) -> Any:
    """Applies a plan to a Keras model, or to a model file.

    With an `output`, the mutant is written to that file, in the format of its suffix, and the report is returned. It
    says in `needs_keras` why Keras had to build the mutant; this is empty if mutspec wrote the file. Then `asked_keras`
    names the layers about which alone Keras was asked, if there were any.

    Without an `output`, the mutant is returned as a keras.Model: a new one, unless `in_place` is set. Compilation and
    the optimizer's state are kept where they fit; where they do not, a MutspecWarning is issued.

    A call waits while another thread mutates the model, an input in memory, or a model that shares weights with them:
    see `mutated`.

    Arguments:
        plan: the plan.
        model: a keras.Model, or a file, which is never changed. Without an `output`, Keras loads the file.
        output: the file to write. It is written completely or not at all.
        inputs: the models of the plan's inputs, by name: files, or (without an `output`) keras.Models.
        in_place: whether to change the keras.Model itself; for plans without structural steps.
        architecture: a file with the architecture, for a model file that holds only weights.
        force: whether to replace the output if it exists.
        unsafe: whether code in the model (Lambda layers) may run, where Keras loads or builds it.
        verify: whether to check the checksums of the files whose weights the plan reads. Without the check, damage to
            the model can still be detected in the output.
        threads: the number of chunks to compute at once; by default one per processor, up to 8. The result does not
            depend on it.
        max_memory: the most bytes that editing a file may use.
        data: the model's inputs, for steps that rank by activation: an array, a list of arrays, a mapping of arrays by
            the names of inputs, or an .npz file of such a mapping. Keras computes the activations.
        provenance: whether the output says where it comes from, in itself or in a file beside it: see `provenance`.
            It costs one read of the model.

    Returns:
        The report with an `output`, else the mutant.

    Raises:
        PlanError, ModelError: as for `dry_run`; or a file is damaged, or was changed while it was read.
        CallError: an input is not bound; the output exists, or is an input; structure cannot be changed in place; the
            data do not fit the model; or the call would wait forever for the model (see `mutated`).
        CheckError: entries become infinite or NaN, and neither the step nor the plan states `non_finite: report`.
        EnvironmentProblem: the disk is full, or Keras is needed and not installed.
    """
    arguments.check_plan(plan)
    arguments.check_count(threads, "threads")
    arguments.check_count(max_memory, "max_memory")
    if output is not None:
        from mutspec.execute import files

        if not is_file(model):
            raise call_error(
                "`output` needs a model file, and the model is in memory",
                "save the mutant: apply(plan, model).save(path)",
            )
        if in_place:
            raise call_error("`in_place` does not apply to a file, which is never changed", "leave `in_place` out")
        return files.apply(
            plan,
            model_file(model),
            arguments.file_path(output, "the output"),
            inputs=files_by_name(inputs),
            architecture=architecture_file(architecture),
            force=force,
            unsafe=unsafe,
            verify=verify,
            threads=threads,
            max_memory=max_memory,
            data=arrays(data, not_at=output, force=force),
            provenance=provenance,
        )
    from mutspec.execute import live
    from mutspec.model.live import building_alone

    arguments.check_plan(plan)
    base = loaded(model, unsafe=unsafe, verify=verify) if is_file(model) else model
    done = live.apply(
        plan,
        base,
        inputs=inputs_by_name(inputs),
        in_place=in_place or _may_become_mutant(plan, model),
        unsafe=unsafe,
        verify=verify,
        threads=threads,
        data=arrays(data),
    )
    for problem in done.report.warnings:
        with building_alone():  # a thread that builds a model silences the warnings of all threads
            warnings.warn(str(problem), MutspecWarning, stacklevel=2)
    return done.model


@contextmanager
def mutated(
    plan: Plan[Op],
    model: KerasModel,
    *,
    inputs: Inputs | None = None,
    verify: bool = True,
    threads: int | None = None,
    data: Data | None = None,
) -> Iterator[Report]:
    """Mutates a keras.Model for the length of a `with` block, then restores it bit for bit, also after an exception.

    Blocks can be nested. Only the variables that the plan changes are assigned.

    One thread at a time mutates a model, and the others do not read it meanwhile: their blocks, sweeps, searches,
    `apply` and `diff` wait until the block ends. This includes calls on submodels and on models that share layers with
    the model. So do not wait inside a block for a thread that needs the model. Calls that do not go through mutspec,
    such as `model.predict` or `model.fit` in another thread, do not wait. Models without common weights are mutated at
    the same time.

    Arguments:
        plan: the plan, without structural steps.
        model: a built keras.Model.
        inputs: the models of the plan's inputs, by name. They are read before the block begins.
        verify: whether to check the checksums of inputs that are files, as for `apply`.
        threads: as for `apply`.
        data: as for `apply`.

    Yields:
        The report on each step.

    Raises:
        PlanError, ModelError, CheckError: as for `apply`.
        CallError: as for `apply`; or two threads would wait for each other; or another task of this thread is inside a
            block; or this process was forked while the model was in use. Also where a block ends before one that was
            opened inside it: then both raise it, and the end of the outer block restores the model of before it.
    """
    from mutspec.execute import live

    arguments.check_plan(plan)
    with live.mutated(
        plan, model, inputs=inputs_by_name(inputs), verify=verify, threads=threads, data=arrays(data)
    ) as report:
        yield report


def _may_become_mutant(plan: Plan[Op], model: object) -> bool:
    """Returns whether the base was loaded only for this call, so that it can be changed into the mutant."""
    from mutspec.lowering.base import is_structural

    return is_file(model) and not is_structural(plan)

"""The Python API: the plans, dry-runs and diffs of the command line, for Keras models and for model files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from mutspec import arguments

if TYPE_CHECKING:
    from mutspec.access.read import Readable
    from mutspec.experiment.in_process import BreakingPoint, Sweep
    from mutspec.language.plan import Plan
    from mutspec.lowering.base import Op
    from mutspec.model.provenance import Provenance
    from mutspec.patches import PatchReport
    from mutspec.recipes.lock_file import LockFile
    from mutspec.recipes.replaying import Checked
    from mutspec.show.diff import DiffReport
    from mutspec.show.report import Report

File = str | PathLike[str]
KerasModel = Any
"""A keras.Model. The type is Any, so that Keras is not imported."""

Inputs = Mapping[str, File | KerasModel]


Data = Any
"""An array, a list or mapping of arrays, or an .npz file. The type is Any, so that NumPy is not imported."""


class MutspecWarning(UserWarning):
    """A warning about a mutant that was made nevertheless."""


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
    if not _is_file(model):
        from mutspec.execute import live

        return live.dry_run(plan, model, inputs=_inputs(inputs), unsafe=unsafe, data=_data(data))
    from mutspec.execute import files

    others, layout = _files(inputs), _path(architecture)
    return files.dry_run(plan, _file(model), inputs=others, architecture=layout, unsafe=unsafe, data=_data(data))


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

        if not _is_file(model):
            raise _call_error(
                "`output` needs a model file, and the model is in memory",
                "save the mutant: apply(plan, model).save(path)",
            )
        if in_place:
            raise _call_error("`in_place` does not apply to a file, which is never changed", "leave `in_place` out")
        return files.apply(
            plan,
            _file(model),
            arguments.file_path(output, "the output"),
            inputs=_files(inputs),
            architecture=_path(architecture),
            force=force,
            unsafe=unsafe,
            verify=verify,
            threads=threads,
            max_memory=max_memory,
            data=_data(data, not_at=output, force=force),
            provenance=provenance,
        )
    from mutspec.execute import live
    from mutspec.model.live import building_alone

    arguments.check_plan(plan)
    base = _loaded(model, unsafe=unsafe, verify=verify) if _is_file(model) else model
    done = live.apply(
        plan,
        base,
        inputs=_inputs(inputs),
        in_place=in_place or _may_become_mutant(plan, model),
        unsafe=unsafe,
        verify=verify,
        threads=threads,
        data=_data(data),
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
    with live.mutated(plan, model, inputs=_inputs(inputs), verify=verify, threads=threads, data=_data(data)) as report:
        yield report


def sweep(
    plan: Plan[Op],
    model: File | KerasModel,
    data: tuple[Any, Any],
    values: Mapping[str, Iterable[Any]] | None = None,
    *,
    seeds: int | Iterable[int] = 1,
    inputs: Inputs | None = None,
    require: Iterable[Mapping[str, Any]] = (),
    objective: str | None = None,
    unsafe: bool = False,
    verify: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
    **evaluate: Any,
) -> Sweep:
    """Mutates and evaluates a model for each combination of values and each seed, in this process.

    The model is loaded, read and compiled once, and restored at the end. Until then it is locked as in a block of
    `mutated`, so sweeps of one model in several threads run one after the other.

    Arguments:
        plan: the plan.
        model: a built keras.Model, or a file.
        data: (x, y): arrays, or lists and mappings of arrays; y is None without labels.
        values: lists of values by the dotted keys of `--set`, such as `{"params.std": [0.1, 1]}`.
        seeds: the seeds, or their number, counted from the plan's own.
        inputs: the models of the plan's inputs, by name.
        require: gates, such as `[{"metric": "accuracy", "max_drop": 0.02}]`; the results state which are met.
        objective: the measure that the table shows; by default the first metric.
        unsafe: whether code in the model (Lambda layers) may run, where Keras loads or builds it.
        verify: whether to check the checksums of files, as for `apply`.
        on_progress: called with the number of finished mutants and the number of all mutants.
        evaluate: the keys of the group `evaluate`: `loss`, by default "crossentropy", `metrics`, by default
            ["accuracy"], `from_logits`, `agreement`, `batch_size`. Losses and metrics may also be Keras objects, or
            functions of (y_true, y_pred).

    Raises:
        PlanError, ModelError: a combination does not fit the plan, or the plan does not fit the model.
        CallError: the data do not fit the model; loss, metrics or gates are invalid; or the call would wait forever for
            the model (see `mutated`).
    """
    from mutspec.experiment.in_process import sweep as run
    from mutspec.experiment.jobs.from_python import as_evaluate, as_gates

    arguments.check_plan(plan)
    base = _loaded(model, unsafe=unsafe, verify=verify) if _is_file(model) else model
    return run(
        plan,
        base,
        data,
        arguments.mapping({} if values is None else values, "values"),
        seeds=seeds,
        inputs=_inputs(inputs),
        verify=verify,
        settings=as_evaluate(evaluate),
        unsafe=unsafe,
        require=as_gates(require),
        objective=objective,
        on_progress=on_progress,
    )


def breaking_point(
    plan: Plan[Op],
    model: File | KerasModel,
    data: tuple[Any, Any],
    key: str | None = None,
    *,
    metric: str | None = None,
    max_drop: float | None = None,
    min: float | None = None,
    max: float | None = None,
    low: float = 0.0,
    high: float = 1.0,
    limit: float | None = None,
    tolerance: float = 0.01,
    seeds: int | Iterable[int] = 1,
    inputs: Inputs | None = None,
    unsafe: bool = False,
    verify: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
    **evaluate: Any,
) -> BreakingPoint:
    """Finds the scale at which mutants of a model begin to break, by bisection, for each seed.

    Noise of one seed has the same direction at all scales, so a mutant is a function of its scale. A measure that does
    not fall steadily may cross its bound at several scales; then one of them is found. Printing the result shows a
    table.

    The model is locked as by `sweep`.

    Arguments:
        plan: the plan.
        model: a built keras.Model, or a file.
        data: (x, y), as for `sweep`.
        key: the key of the number that is scaled, as in `--set`: `params.std`, `steps.jitter.std`; by default the
            plan's only numeric parameter.
        metric: the measure with a bound; by default the first metric.
        max_drop: its largest fall below the base's value. Without any bound, an accuracy or an agreement may fall by
            0.1.
        min: its smallest value.
        max: its largest value.
        low: a scale at which the mutant is within the bound.
        high: the first scale that is tried. It is doubled until the mutant breaks.
        limit: the largest scale that is tried: by default 1024 times `high`, or the largest that the plan accepts. If
            the mutant does not break there, its breaking point is infinite.
        tolerance: the largest relative distance between the last scale that holds and the first that breaks.
        seeds: the seeds, or their number, counted from the plan's own.
        inputs: the models of the plan's inputs, by name.
        unsafe: whether code in the model (Lambda layers) may run, where Keras loads or builds it.
        verify: whether to check the checksums of files, as for `apply`.
        on_progress: called with the number of finished seeds and the number of all seeds.
        evaluate: the keys of the group `evaluate`, as for `sweep`.

    Raises:
        PlanError, ModelError: the plan does not fit the model.
        CallError: the data do not fit the model, the search is invalid, or mutants are broken at `low`; or the call
            would wait forever for the model (see `mutated`).
    """
    from mutspec.experiment.in_process import breaking_point as find
    from mutspec.experiment.jobs.from_python import as_evaluate, as_search

    bounds = {"max_drop": max_drop, "min": min, "max": max}
    search = {"key": key, "metric": metric, **bounds, "low": low, "high": high, "limit": limit, "tolerance": tolerance}
    arguments.check_plan(plan)
    base = _loaded(model, unsafe=unsafe, verify=verify) if _is_file(model) else model
    return find(
        plan,
        base,
        data,
        as_search(search),
        seeds=seeds,
        inputs=_inputs(inputs),
        verify=verify,
        settings=as_evaluate(evaluate),
        unsafe=unsafe,
        on_progress=on_progress,
    )


def matching(
    model: File | KerasModel, target: str | Mapping[str, Any] | Sequence[Any], *, by: str = "layer"
) -> list[str]:
    """Lists the layers or tensors that a target selects in a model, in model order, as values for a sweep.

    A MutspecWarning names weights that are left out because their role is unknown.

    Arguments:
        model: a model file, for which TensorFlow is not needed, or a keras.Model.
        target: as in a plan: a name or path, a mapping, or a list of them.
        by: "layer" for the layers that own the selected weights, "tensor" for the weights.

    Returns:
        One target for each: its name, or a glob that matches only it, where the name has another meaning in a plan.

    Raises:
        PlanError: the target is invalid, or selects nothing.
        ModelError: the model cannot be read.

    Example:
        layers = mutspec.matching(model, {"type": "Conv2D"})
        mutspec.sweep(plan, model, data, {"params.layer": layers, "params.std": [0.5, 1]}, seeds=5)
    """
    from mutspec.experiment.jobs.matching import matching as names

    def warn(note: str) -> None:
        warnings.warn(note, MutspecWarning, stacklevel=4)

    return names(_read(model).spec, target, by, tell=warn)


def diff(
    before: File | KerasModel,
    after: File | KerasModel,
    *,
    architecture: File | None = None,
    verify: bool = True,
    patch: File | None = None,
    force: bool = False,
) -> DiffReport:
    """Compares two models of any structure and format: their layers, tensors and values. Printing it shows a table.

    It waits while another thread mutates one of them: see `mutated`.

    Arguments:
        before: a model file or a keras.Model.
        after: the same.
        architecture: a file with the architecture, for model files that hold only weights.
        verify: whether to check the checksums of files. A MutspecWarning is issued for one that is damaged.
        patch: a file to write, if the models differ, that turns one model file into the other: see `patch`.
        force: whether to replace that file if it exists.

    Raises:
        ModelError: a model cannot be read, or was changed while it was read.
        CallError: the call would wait forever for a model (see `mutated`); or a patch of a model in memory is wanted,
            or cannot be written.
    """
    from mutspec.compare.diff import diff as difference
    from mutspec.execute.verify import damages

    if patch is not None:
        _check_patch(patch, before, after, force=force)
    models = _read(before, architecture), _read(after, architecture)
    found = difference(*models)
    if patch is not None:
        from mutspec.patches import write_patch

        write_patch(*models, arguments.file_path(patch, "the patch"), force=force)  # type: ignore[arg-type]
    for problem in damages(models) if verify else ():
        warnings.warn(str(problem), MutspecWarning, stacklevel=2)
    return found


def provenance(model: File) -> Provenance | None:
    """Returns where a mutant comes from: the plans that made it, the newest first, and the models they were applied to.

    What a file says of its provenance can be checked by making the model again: `mutspec provenance MODEL --replay
    BASE`.

    Arguments:
        model: a model file that `apply` wrote, or a copy of one. The file beside it, `MODEL.provenance.json`, is read
            if the model's own file has no place for a provenance.

    Returns:
        The provenance; None if the file has none.

    Raises:
        ModelError: the provenance is damaged, or the file cannot be read.

    Example:
        for generation in mutspec.provenance("mutant.keras").generations:
            print(generation.plan.name, generation.seed, generation.parameters)
    """
    from mutspec.model.files.opening import open_archive
    from mutspec.model.files.provenance_file import read_provenance

    return read_provenance(open_archive(_file(model)).path)


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
    files = Files(path, _file(model), name, _files(inputs), _path(architecture), arrays)
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
    if model is not None and not _is_file(model):
        done = replaying.verify_live(read, model, _inputs(inputs), unsafe=unsafe)
    else:
        given = replaying.Given(None if model is None else _file(model), _files(inputs))
        if output is not None:
            done = replaying.verify_output(read, arguments.file_path(output, "the output"), given)
        else:
            done = replaying.verify(read, Options(unsafe), given)
    for note in done.notes:
        warnings.warn(str(note), MutspecWarning, stacklevel=2)
    return done


def patch(
    model: File,
    patch: File,
    output: File,
    *,
    reverse: bool = False,
    architecture: File | None = None,
    force: bool = False,
    verify: bool = True,
    threads: int | None = None,
) -> PatchReport:
    """Applies a patch that `diff` wrote to a model file, and writes the other model. Printing the report shows it.

    Arguments:
        model: the file, which is never changed: the model that the patch was made from, under any name.
        patch: the patch.
        output: the file to write. It comes to be whole or not at all.
        reverse: whether to undo the patch.
        architecture: a file with the architecture, for a model file that holds only weights.
        force: whether to replace the output if it exists.
        verify: whether to check the checksum of the model's file.
        threads: how many blocks to compute at once; by default one for each processor, up to 8.

    Raises:
        CheckError: it is another model; the message says which weights differ.
        CallError: the output cannot be written.
        ModelError: a file cannot be read, is damaged, or was changed while it was read.
        EnvironmentProblem: the disk is full.

    Example:
        mutspec.diff("model.keras", "tuned.keras", patch="fix.safetensors")
        mutspec.patch("model.keras", "fix.safetensors", "again.keras")
    """
    from mutspec.patches import apply_patch

    arguments.check_count(threads, "threads")
    return apply_patch(
        _file(model),
        arguments.file_path(patch, "the patch"),
        arguments.file_path(output, "the output"),
        reverse=reverse,
        architecture=_path(architecture),
        force=force,
        verify=verify,
        threads=threads,
    )


def _check_patch(patch: File, before: File | KerasModel, after: File | KerasModel, *, force: bool) -> None:
    from mutspec.patches import check_patch_output

    if not (_is_file(before) and _is_file(after)):
        raise _call_error("`patch` needs two model files, and a model is in memory", "save it: model.save(path)")
    check_patch_output(arguments.file_path(patch, "the patch"), [_file(before), _file(after)], force=force)


def _read(model: File | KerasModel, architecture: File | None = None) -> Readable:
    if _is_file(model):
        from mutspec.model.files.opening import open_beside

        return open_beside(Path(model), _path(architecture))
    from mutspec.model.live import read_live

    return read_live(model)


def _loaded(model: File, *, unsafe: bool, verify: bool) -> KerasModel:
    """Loads the model in a file. Warns, at the caller's line, about parts of the file that the model does not have."""
    from mutspec.execute.loading import load

    loaded = load(Path(model), unsafe=unsafe, verify=verify)
    for problem in loaded.warnings:
        warnings.warn(str(problem), MutspecWarning, stacklevel=3)
    return loaded.model


def _is_file(model: object) -> bool:
    return isinstance(model, str | PathLike)


def _may_become_mutant(plan: Plan[Op], model: object) -> bool:
    """Returns whether the base was loaded only for this call, so that it can be changed into the mutant."""
    from mutspec.lowering.base import is_structural

    return _is_file(model) and not is_structural(plan)


def _path(file: File | None) -> Path | None:
    return None if file is None else arguments.file_path(file, "the architecture")


def _file(model: File) -> Path:
    return arguments.file_path(model, "the model")


def _data(data: Data | None, not_at: File | None = None, *, force: bool = False) -> Any:
    """Returns data as they are, or as a file has them, which must not be the output."""
    if data is None or not _is_file(data):
        return data
    from mutspec.execute.output import check_output
    from mutspec.experiment.data import named_arrays

    path = arguments.file_path(data, "the data")
    if not_at is not None:
        check_output(arguments.file_path(not_at, "the output"), [path], force=force)
    return named_arrays(path)


def _inputs(inputs: Inputs | None) -> dict[str, Any]:
    given = arguments.mapping({} if inputs is None else inputs, "inputs")
    return {name: _input(name, each) if _is_file(each) else each for name, each in given.items()}


def _files(inputs: Inputs | None) -> dict[str, Path]:
    given = arguments.mapping({} if inputs is None else inputs, "inputs")
    for name, each in given.items():
        if not _is_file(each):
            raise _call_error(
                f"the input `{name}` is a model in memory, but the model is a file", "pass a file for the input, too"
            )
    return {name: _input(name, each) for name, each in given.items()}


def _input(name: str, file: File) -> Path:
    return arguments.file_path(file, f"the input `{name}`")


def _call_error(message: str, hint: str) -> Exception:
    from mutspec.errors import CallError

    return CallError(message, hint=hint)

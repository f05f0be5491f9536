"""The Python API: the same plans, dry-runs and diffs as on the command line, on Keras models and on model files."""

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
    from mutspec.show.diff import DiffReport
    from mutspec.show.report import Report

File = str | PathLike[str]
KerasModel = Any
"""A keras.Model; to say so would import Keras."""

Inputs = Mapping[str, File | KerasModel]


class MutspecWarning(UserWarning):
    """What a user should know of a mutant that was made all the same."""


@contextmanager
def limits(**changes: int) -> Iterator[None]:
    """Read files that declare more than mutspec believes by default, for the length of a `with` block.

    The error that a file is above a limit names the limit. docs/limits.md has all of them. They hold in this thread.

    Example:
        with mutspec.limits(config_bytes=2**30):
            mutspec.dry_run(plan, "huge.keras")

    Arguments:
        changes: the new limits by name; the others stay as they are.

    Raises:
        CallError: there is no such limit, or its value is not a whole number from 1 on.
    """
    from mutspec.model.limits import limits as changed

    with changed(**changes):
        yield


def load_plan(path: File, *, overrides: Iterable[str] = ()) -> Plan[Op]:
    """Read and validate a plan file.

    Arguments:
        path: a YAML file.
        overrides: `key=value` texts as on the command line: `params.std=0.05`, `seed=3`, `steps.jitter.std=0.1`.

    Raises:
        PlanError: the plan is wrong; it carries every problem with its place.
    """
    from mutspec.language import load_plan as load
    from mutspec.ops import catalogue

    return load(arguments.plan_path(path), catalogue(), overrides=arguments.texts(overrides, "overrides"))


def plan(document: Mapping[str, Any]) -> Plan[Op]:
    """A plan from Python values: the mapping that a plan file would hold. `mutspec: 1` may be left out.

    Raises:
        PlanError: the plan is wrong; it carries every problem with its path.
    """
    from mutspec.language import plan_from
    from mutspec.ops import catalogue

    return plan_from(arguments.plan_document(document), catalogue())


def dry_run(
    plan: Plan[Op],
    model: File | KerasModel,
    *,
    inputs: Inputs | None = None,
    architecture: File | None = None,
    unsafe: bool = False,
) -> Report:
    """What a plan would do to a model. It reads no weights and changes nothing; printing it shows a table.

    Arguments:
        plan: the plan.
        model: a file of one of the forms on the page on formats, for which no TensorFlow is needed; or a keras.Model.
        inputs: the files or models of the plan's inputs, by name.
        architecture: a file with the architecture, for a model that is weights alone.
        unsafe: whether code that the model holds (Lambda layers) may run, where only Keras knows what a layer makes.

    Raises:
        PlanError: the plan does not fit the model.
        ModelError: a model cannot be read.
        CallError: an input is not bound.
    """
    arguments.check_plan(plan)
    if not _is_file(model):
        from mutspec.execute import live

        return live.dry_run(plan, model, inputs=_inputs(inputs), unsafe=unsafe)
    from mutspec.execute import files

    return files.dry_run(plan, _file(model), inputs=_files(inputs), architecture=_path(architecture), unsafe=unsafe)


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
) -> Any:
    """Apply a plan to a Keras model, or to a model file.

    With an `output`, the mutant is written as the kind of file that its name asks for, and the report is returned. A
    plan that changes no structure edits the file without TensorFlow.

    Without one, the mutant is returned as a keras.Model, a new one unless `in_place` is set. Compilation and the
    optimizer's state come along where they fit; where they do not, a MutspecWarning says so.

    A call waits while another thread mutates the model, or an input in memory, or a model that shares weights with
    them: see `mutated`.

    Arguments:
        plan: the plan.
        model: a keras.Model, or a file, which is never changed. Without an `output` a file is loaded by Keras.
        output: the file to write. It comes to be whole or not at all.
        inputs: the models of the plan's inputs, by name: files, or (without an `output`) keras.Models.
        in_place: whether to change the keras.Model itself; for plans without structural steps.
        architecture: a file with the architecture, for a model that is weights alone.
        force: whether to replace the output if it exists.
        unsafe: whether code that the model holds (Lambda layers) may run, where Keras loads or builds it.
        verify: whether the checksums of the files are checked that the plan reads weights of. Without it, damage of the
            model stays detectable in the output.
        threads: how many chunks to compute at once; by default one per processor, up to 8. The bytes do not depend on
            it.
        max_memory: the bytes that editing a file may use.

    Raises:
        PlanError, ModelError: as for `dry_run`; or a file is damaged, or was changed while it was read.
        CallError: an input is not bound; the output exists, or is an input; structure cannot be changed in place; or
            to wait for the model would never end (see `mutated`).
        CheckError: entries become infinite or NaN, and neither step nor plan say `non_finite: report`.
        EnvironmentProblem: the disk is full, or Keras is needed and not installed.
    """
    arguments.check_plan(plan)
    arguments.check_count(threads, "threads")
    arguments.check_count(max_memory, "max_memory")
    if output is not None:
        from mutspec.execute import files

        if not _is_file(model):
            raise _call_error("a model in memory has no output file", "save the mutant: apply(plan, model).save(path)")
        if in_place:
            raise _call_error("a file is never changed in place", "leave `in_place` out")
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
    )
    for problem in done.report.warnings:
        with building_alone():  # who builds in another thread silences all threads
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
) -> Iterator[Report]:
    """Mutate a keras.Model for the length of a `with` block, then restore it bit for bit, also after an exception.

    Blocks nest. Only the variables that the plan touches are assigned.

    One thread at a time mutates a model, and others do not read it meanwhile: their blocks, sweeps, searches, `apply`
    and `diff` wait until the block is left, also those on submodels and on models that share layers with it. So do not
    wait inside a block for a thread that needs the model. What is not called through mutspec, such as `model.predict`
    or `model.fit` in another thread, does not wait. Models that share no weights are mutated at the same time.

    Arguments:
        plan: the plan, without structural steps.
        model: a built keras.Model.
        inputs: the models of the plan's inputs, by name. They are read before the block begins.
        verify: whether the checksums of inputs that are files are checked, as for `apply`.
        threads: as for `apply`.

    Raises:
        PlanError, ModelError, CheckError: as for `apply`.
        CallError: as for `apply`; or two threads would wait for each other; or another task of this thread is inside a
            block; or this process was forked while the model was in use. Also where a block ends before one that was
            opened inside it: both blocks raise it, and at the end of the outer one the model is restored to what it was
            before it.

    Yields:
        What each step did.
    """
    from mutspec.execute import live

    arguments.check_plan(plan)
    with live.mutated(plan, model, inputs=_inputs(inputs), verify=verify, threads=threads) as report:
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
    """Mutate and evaluate a model for each combination of values and each seed, in this process.

    The model is loaded, read and compiled once, and is as it was at the end. Until then it is held as in a block of
    `mutated`, so that sweeps of one model in several threads run one after the other.

    Arguments:
        plan: the plan.
        model: a built keras.Model, or a file.
        data: (x, y), arrays, or lists and mappings of arrays; y is None without labels.
        values: what varies: lists of values by the dotted keys of `--set`, such as `{"params.std": [0.1, 1]}`.
        seeds: the seeds, or how many there are, from the plan's own on.
        inputs: the models of the plan's inputs, by name.
        require: gates, such as `[{"metric": "accuracy", "max_drop": 0.02}]`; the results say which hold.
        objective: the measure that the table shows; by default the first metric.
        unsafe: whether code that the model holds (Lambda layers) may run, where Keras loads or builds it.
        verify: whether the checksums of files are checked, as for `apply`.
        on_progress: told about the mutants that are done, and the mutants in all.
        evaluate: the keys of the group `evaluate`: `loss`, by default "crossentropy", `metrics`, by default
            ["accuracy"], `from_logits`, `agreement`, `batch_size`. Losses and metrics are also taken as objects of
            Keras, or as functions of (y_true, y_pred).

    Raises:
        PlanError, ModelError: a combination does not fit the plan, or the plan the model.
        CallError: the data do not fit the model, or loss, metrics or gates are wrong; or to wait for the model would
            never end (see `mutated`).
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
    """The scale at which mutants of a model begin to break, by bisection, for each seed. Printing it shows a table.

    Noise of one seed has one direction at all scales, so a mutant is a function of its scale. Where a measure does not
    fall steadily, one of the scales is found at which it crosses its bound.

    The model is held as by `sweep`.

    Arguments:
        plan: the plan.
        model: a built keras.Model, or a file.
        data: (x, y), as for `sweep`.
        key: the number that is scaled, as `--set` names it: `params.std`, `steps.jitter.std`; by default the plan's
            only numeric parameter.
        metric: the measure that breaks; by default the first metric.
        max_drop: how far it may fall below the base's. Without any bound an accuracy or an agreement may fall by 0.1.
        min: how small it may be.
        max: how great it may be.
        low: a scale at which the mutant holds.
        high: the scale that is tried first, and doubled for as long as the mutant holds.
        limit: the greatest scale that is tried, by default 1024 times `high`, or what the plan takes. The breaking
            point of a mutant that holds there is infinite.
        tolerance: how far apart, relatively, the last scale that holds and the first that breaks may be.
        seeds: the seeds, or how many there are, from the plan's own on.
        inputs: the models of the plan's inputs, by name.
        unsafe: whether code that the model holds (Lambda layers) may run, where Keras loads or builds it.
        verify: whether the checksums of files are checked, as for `apply`.
        on_progress: told about the seeds that are done, and the seeds in all.
        evaluate: the keys of the group `evaluate`, as for `sweep`.

    Raises:
        PlanError, ModelError: the plan does not fit the model.
        CallError: the data do not fit the model, the search makes no sense, or mutants are broken at `low`; or to wait
            for the model would never end (see `mutated`).
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
    """The names of the layers or tensors that a target chooses in a model, in model order: values for a sweep.

    ```python
    layers = mutspec.matching(model, {"type": "Conv2D"})
    mutspec.sweep(plan, model, data, {"params.layer": layers, "params.std": [0.5, 1]}, seeds=5)
    ```

    Arguments:
        model: a model file, for which no TensorFlow is needed, or a keras.Model.
        target: as in a plan: a name or path, a mapping, or a list of them.
        by: "layer" for the layers that own the chosen weights, "tensor" for the weights.

    Returns:
        Targets that choose one of them each: its name, or if a plan would read more in it, a glob that fits it alone.
        A MutspecWarning tells of weights that are left out as nobody says what they are.

    Raises:
        PlanError: the target is wrong, or chooses nothing.
        ModelError: the model cannot be read.
    """
    from mutspec.experiment.jobs.matching import matching as names

    def tell(note: str) -> None:
        warnings.warn(note, MutspecWarning, stacklevel=4)

    return names(_read(model).spec, target, by, tell=tell)


def diff(
    before: File | KerasModel, after: File | KerasModel, *, architecture: File | None = None, verify: bool = True
) -> DiffReport:
    """The difference of two models, of any structure and kind: layers, tensors, values. Printing it shows a table.

    It waits while another thread mutates one of them: see `mutated`.

    Arguments:
        before: a model file or a keras.Model.
        after: the same.
        architecture: a file with the architecture of those that hold weights alone.
        verify: whether the checksums of files are checked. Of one that is damaged a MutspecWarning tells.

    Raises:
        ModelError: a model cannot be read, or was changed while it was read.
        CallError: to wait for a model would never end (see `mutated`).
    """
    from mutspec.compare.diff import diff as difference
    from mutspec.execute.verify import damages

    models = _read(before, architecture), _read(after, architecture)
    found = difference(*models)
    for problem in damages(models) if verify else ():
        warnings.warn(str(problem), MutspecWarning, stacklevel=2)
    return found


def _read(model: File | KerasModel, architecture: File | None = None) -> Readable:
    if _is_file(model):
        from mutspec.model.files.opening import open_beside

        return open_beside(Path(model), _path(architecture))
    from mutspec.model.live import read_live

    return read_live(model)


def _loaded(model: File, *, unsafe: bool, verify: bool) -> KerasModel:
    """The model in a file; what it does not have of the file is warned of where the function was called."""
    from mutspec.execute.loading import load

    loaded = load(Path(model), unsafe=unsafe, verify=verify)
    for problem in loaded.warnings:
        warnings.warn(str(problem), MutspecWarning, stacklevel=3)
    return loaded.model


def _is_file(model: object) -> bool:
    return isinstance(model, str | PathLike)


def _may_become_mutant(plan: Plan[Op], model: object) -> bool:
    """Whether the base was loaded for this call alone, so that it may become the mutant itself."""
    from mutspec.lowering.base import is_structural

    return _is_file(model) and not is_structural(plan)


def _path(file: File | None) -> Path | None:
    return None if file is None else arguments.file_path(file, "the architecture")


def _file(model: File) -> Path:
    return arguments.file_path(model, "the model")


def _inputs(inputs: Inputs | None) -> dict[str, Any]:
    given = arguments.mapping({} if inputs is None else inputs, "inputs")
    return {name: _input(name, each) if _is_file(each) else each for name, each in given.items()}


def _files(inputs: Inputs | None) -> dict[str, Path]:
    given = arguments.mapping({} if inputs is None else inputs, "inputs")
    for name, each in given.items():
        if not _is_file(each):
            raise _call_error(f"the input `{name}` is a model in memory", "give a file, as the model is one")
    return {name: _input(name, each) for name, each in given.items()}


def _input(name: str, file: File) -> Path:
    return arguments.file_path(file, f"the input `{name}`")


def _call_error(message: str, hint: str) -> Exception:
    from mutspec.errors import CallError

    return CallError(message, hint=hint)

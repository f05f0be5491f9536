"""The live executor: runs a program over Keras models in memory.

All results are computed before anything is assigned, so that a plan that fails changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from mutspec.access.model_lock import hold
from mutspec.access.read import Readable, Reader, reader_of
from mutspec.access.threads import default_threads
from mutspec.compare.arithmetic import count_non_finite
from mutspec.errors import CallError, ModelError, PlanError, Problem
from mutspec.execute.engine import Effect, Progress, execute
from mutspec.execute.memory_store import MemoryStore
from mutspec.execute.prepare import Prepared, begun_non_finite, check_inputs, non_finite_warnings, prepare
from mutspec.execute.reporting import report
from mutspec.execute.unregistered import unregistered
from mutspec.execute.verify import Verification
from mutspec.graph.graph import Version
from mutspec.graph.numpy_kernels.entrywise import Array
from mutspec.graph.numpy_kernels.places import Entries
from mutspec.graph.primitives import CHUNK
from mutspec.keras_facts.roles import Group
from mutspec.language.plan import Plan
from mutspec.language.types import NonFinite
from mutspec.lowering.base import Op
from mutspec.lowering.compile import Program
from mutspec.lowering.origins import why_not_kept
from mutspec.model.files.archive import Archive
from mutspec.model.files.opening import open_archive
from mutspec.model.live import LiveModel, as_array, assign, read_live, rebuild, refresh, room_for, snapshot
from mutspec.model.spec import TensorSpec
from mutspec.show.report import Report

Model = Any
"""A keras.Model. It is not named as its class, so that this module need not import Keras."""


@dataclass(frozen=True)
class Applied:
    """A mutant in memory, and what was done to it.

    Arguments:
        model: the keras.Model.
        report: what each step did.
    """

    model: Model
    report: Report


def dry_run(
    plan: Plan[Op],
    model: Model,
    *,
    inputs: Mapping[str, Model | Path] | None = None,
    unsafe: bool = False,
    data: Any = None,
) -> Report:
    """Reports what a plan would do to a Keras model. It changes nothing, and reads only values that steps rank by.

    Arguments and errors are those of `apply`.
    """
    prepared = _prepare(plan, model, inputs or {}, NonFinite.ERROR, unsafe=unsafe, data=data)
    return report(prepared.program, prepared.model, prepared.inputs)


def apply(
    plan: Plan[Op],
    model: Model,
    *,
    inputs: Mapping[str, Model | Path] | None = None,
    in_place: bool = False,
    unsafe: bool = False,
    non_finite: NonFinite = NonFinite.ERROR,
    verify: bool = True,
    threads: int | None = None,
    on_progress: Progress | None = None,
    data: Any = None,
) -> Applied:
    """Applies a plan to a Keras model.

    Arguments:
        plan: the plan.
        model: a built keras.Model.
        inputs: the models of the plan's inputs, by name: keras.Models, or model files.
        in_place: whether to change `model` itself, which only plans without structural steps can; otherwise the mutant
            is a new model, and `model` stays as it is.
        unsafe: whether code that the model holds (Lambda layers) may run where the mutant is built from its config.
        non_finite: what newly non-finite entries mean if neither the step nor the plan says it.
        verify: whether the checksums of inputs that are files are checked, where the plan reads tensors of them.
        threads: how many chunks to compute at once; by default one per processor, up to 8.
        on_progress: told about the entries done, and the entries in all.
        data: as for `prepare`.

    Raises:
        PlanError: the plan does not fit the model.
        ModelError: a model cannot be read, or not be built again from its config; an input's file is damaged, or was
            changed while it was read.
        CallError: an input is not bound; or a structural plan is to be applied in place.
        CheckError: entries become infinite or NaN, and neither the step nor the plan allows it.
    """
    others = (inputs or {}).values()
    if not in_place:
        with hold(reads=(model, *others)):
            prepared = _prepare(plan, model, inputs or {}, non_finite, unsafe=unsafe, data=data)
            return build_mutant(prepared, unsafe=unsafe, verify=verify, threads=threads, on_progress=on_progress)
    _refuse_structure(plan, "be applied in place", "leave `in_place` out: the mutant is a new model")
    with hold(mutates=(model,), reads=others):
        prepared = _prepare(plan, model, inputs or {}, non_finite, data=data)
        results = _compute(prepared, threads, on_progress, verify=verify)
        live = _live(prepared)
        variables = {path: live.variables[path] for path in results.values}
        with _restored_if_it_fails(live, variables):
            _assign(live, variables, results.values)
        return Applied(live.model, results.report)


def build_mutant(
    prepared: Prepared,
    *,
    unsafe: bool = False,
    verify: bool = True,
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> Applied:
    """Builds the mutant of a plan that is compiled for a live model, as a new model.

    Arguments:
        prepared: the compiled plan; its model is a live one.
        unsafe: whether code that the model holds (Lambda layers) may run where the mutant is built from its config.
        verify: whether the checksums of inputs that are files are checked.
        threads: how many chunks to compute at once; by default one per processor, up to 8.
        on_progress: told about the entries done, and the entries in all.

    Raises:
        PlanError, ModelError, CheckError: as for `apply`.
    """
    results = _compute(prepared, threads, on_progress, verify=verify)
    live, program = _live(prepared), prepared.program

    def value(tensor: TensorSpec) -> Array | None:
        if tensor.origin in results.values:
            return results.values[tensor.origin]
        return as_array(snapshot(live.variables[tensor.origin])) if tensor.origin in live.variables else None

    try:
        rebuilt = rebuild(
            live,
            program.config,
            program.after.tensors,
            value,
            program.plan.seed,
            why_not_kept=why_not_kept(program),
            unsafe=unsafe,
        )
    except ModelError:
        if problems := unregistered(program):  # a dry-run without Keras does not know these
            raise PlanError(problems) from None
        raise
    made_by_keras = _non_finite_of_keras(program, rebuilt.model)
    return Applied(rebuilt.model, results.report.with_warnings((*made_by_keras, *rebuilt.warnings)))


def _non_finite_of_keras(program: Program, mutant: Model) -> tuple[Problem, ...]:
    """Returns warnings of new weights whose first values Keras made while it built the mutant.

    `non_finite_warnings` gives those of all other weights.

    Raises:
        CheckError: as for `non_finite_warnings`.
    """
    drawn = program.graph.created
    steps = [
        replace(step, writes=(), created=tuple(each for each in step.created if each.origin not in drawn))
        for step in program.steps
    ]
    paths = {tensor.origin: tensor.path for tensor in program.after.tensors}
    origins = [each.origin for step in steps for each in step.created if each.origin in paths]
    if not origins:
        return ()
    variables = read_live(mutant).variables
    values = {origin: as_array(snapshot(variables[paths[origin]])) for origin in origins if paths[origin] in variables}
    counts = {origin: count_non_finite(value.reshape(-1)).non_finite for origin, value in values.items()}
    return non_finite_warnings(replace(program, steps=tuple(steps)), {}, counts)


@contextmanager
def mutated(
    plan: Plan[Op],
    model: Model,
    *,
    inputs: Mapping[str, Model | Path] | None = None,
    non_finite: NonFinite = NonFinite.ERROR,
    verify: bool = True,
    threads: int | None = None,
    data: Any = None,
) -> Iterator[Report]:
    """Mutates a Keras model for the length of a `with` block, then restores it bit for bit, also after an exception.

    Blocks nest: the inner one sees what the outer one made. Only the variables that the plan touches are assigned. What
    the block itself does to them is undone too. While the block lasts, its thread holds the model: see
    `model_lock.hold`, whose errors it raises.

    Arguments and errors are those of `apply`. Plans with structural steps are refused.

    Yields:
        What each step did.
    """
    _refuse_structure(plan, "be undone", "use apply(plan, model), which makes a new model")
    with hold(mutates=(model,), reads=(inputs or {}).values()) as held:
        prepared = _prepare(plan, model, inputs or {}, non_finite, data=data)
        results = _compute(prepared, threads, None, verify=verify)
        held.read_no_more()
        live = _live(prepared)
        variables = {path: live.variables[path] for path in results.values}
        held.undo = _restorer(live, variables)
        _assign(live, variables, results.values)
        yield results.report


@dataclass(frozen=True)
class _Results:
    """The results of a run: the value of each touched or new tensor by origin, and the report."""

    values: Mapping[str, Array]
    report: Report


def _prepare(
    plan: Plan[Op],
    model: Model,
    inputs: Mapping[str, Model | Path],
    non_finite: NonFinite,
    *,
    unsafe: bool = False,
    data: Any = None,
) -> Prepared:
    check_inputs(plan, inputs)
    others: dict[str, Readable] = {
        name: open_archive(Path(other)) if isinstance(other, str | Path) else _read(other)
        for name, other in inputs.items()
    }
    return prepare(plan, _read(model), others, non_finite, unsafe=unsafe, data=data)


def _read(model: Model) -> LiveModel:
    return model if isinstance(model, LiveModel) else read_live(model)


def _live(prepared: Prepared) -> LiveModel:
    assert isinstance(prepared.model, LiveModel)
    return prepared.model


def _refuse_structure(plan: Plan[Op], what: str, hint: str) -> None:
    for number, op in enumerate(plan.steps):
        if op.is_structural:
            problem = Problem(
                f"step `{op.id}` changes the architecture, and cannot {what}", None, ("steps", number), hint
            )
            raise CallError(plan.placed(problem))


def _compute(prepared: Prepared, threads: int | None, on_progress: Progress | None, *, verify: bool = True) -> _Results:
    program, threads = prepared.program, threads or default_threads()
    files = {name: each for name, each in prepared.inputs.items() if isinstance(each, Archive)}
    verification = Verification(program, files, verify, threads)
    with ExitStack() as stack:
        stack.enter_context(verification.guard())
        models = {"": prepared.model, **prepared.inputs}
        tensors = MemoryTensors({name: stack.enter_context(reader_of(each)) for name, each in models.items()}, program)
        effects: Mapping[Version, Effect] = execute(program.graph, tensors, threads=threads, on_progress=on_progress)
        verification.check_inputs()
    values = tensors.values()
    kept = {tensor.origin for tensor in program.after.tensors} & program.graph.created.keys()
    ends = {path: count_non_finite(values[path]).non_finite for path in kept}
    warnings = non_finite_warnings(program, effects, begun_non_finite(effects, ends))
    done = report(program, prepared.model, prepared.inputs, effects=effects, warnings=warnings)
    return _Results(values, done)


class MemoryTensors:
    """Results in memory, as a store for the engine. It reads from models of any kind.

    Arguments:
        readers: a reader of the model that is mutated, under "", and of each input, by name.
        program: what is computed.
    """

    def __init__(self, readers: Mapping[str, Reader], program: Program) -> None:
        self._readers = readers
        nodes, graph = program.graph.nodes, program.graph
        shapes = {path: nodes[node] for path, node in graph.created.items()}
        shapes |= {path: nodes[version.node] for path, version in graph.outputs.items()}
        self._results = {path: _Result(node.shape, node.dtype) for path, node in shapes.items()}
        self._created = graph.created

    def read(self, model: str, path: str, start: int, stop: int) -> Array:
        """Reads entries of a tensor of a model."""
        return self._readers[model].read(path, start, stop)

    def read_entries(self, model: str, path: str, entries: Entries) -> Array:
        """Reads some entries of a tensor of a model."""
        return self._readers[model].read_entries(path, entries)

    def write(self, path: str, start: int, before: Array | None, after: Array) -> None:
        """Keeps a chunk of a result."""
        self._results[path].write(start, after)

    def write_entries(self, path: str, entries: Entries, before: Array, after: Array) -> None:
        """Keeps some entries of a result."""
        self._results[path].write_entries(entries, after, self._held(path))

    def values(self) -> Mapping[str, Array]:
        """Returns the new tensors, and those in which entries were written, flat, by origin."""
        return {
            path: result.whole(self._held(path))
            for path, result in self._results.items()
            if result.is_written or path in self._created
        }

    def _held(self, path: str) -> Held:
        """Returns a reader of the entries that the model holds of a tensor."""
        return lambda start, stop: self._readers[""].read(path, start, stop)

    def store(self, size: int, dtype: np.dtype[Any]) -> MemoryStore:
        """Returns a store in memory."""
        return MemoryStore(np.empty(size, dtype))


Held = Callable[[int, int], Array]
"""Reads entries of a tensor as it was."""


class _Result:
    """A result under way. Entries that are not written are those that the model holds.

    Arguments:
        shape: the tensor's shape.
        dtype: its dtype.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        self._values = room_for(prod(shape), np.dtype(dtype))
        self._written: set[int] = set()
        self._lock = Lock()

    @property
    def is_written(self) -> bool:
        """Tells whether anything was written."""
        return bool(self._written)

    def write(self, start: int, after: Array) -> None:
        """Keeps a chunk."""
        self._values[start : start + len(after)] = after
        self._written.add(start // CHUNK)

    def write_entries(self, entries: Entries, after: Array, held: Held) -> None:
        """Keeps some entries."""
        with self._lock:
            self.whole(held)
        self._values[entries] = after

    def whole(self, held: Held) -> Array:
        """Returns the flat tensor. Entries that were not written are those that the model holds."""
        size = len(self._values)
        missing = set(range(-(-size // CHUNK))) - self._written
        if missing and not self._written:
            self._values[:] = held(0, size)
        else:
            for number in missing:
                span = slice(number * CHUNK, min((number + 1) * CHUNK, size))
                self._values[span] = held(span.start, span.stop)
        self._written |= missing
        return self._values


def _assign(live: LiveModel, variables: Mapping[str, Any], results: Mapping[str, Array]) -> None:
    for path, variable in variables.items():
        assign(variable, results[path])
    _after_assigning(live, variables)


def _restorer(live: LiveModel, variables: Mapping[str, Any]) -> Callable[[], None]:
    """Returns a function that restores the values that variables have now."""
    before = {path: snapshot(variable) for path, variable in variables.items()}

    def restore() -> None:
        for path, variable in variables.items():
            variable.assign(before[path])
        _after_assigning(live, variables)

    def restore_whatever_comes() -> None:
        try:
            restore()
        except BaseException:  # Ctrl-C must not leave half a mutant
            restore()
            raise

    return restore_whatever_comes


def _after_assigning(live: LiveModel, paths: Iterable[str]) -> None:
    if any(live.spec.tensor_by_path[path].group is Group.STATISTICS for path in paths):
        refresh(live.model)


@contextmanager
def _restored_if_it_fails(live: LiveModel, variables: Mapping[str, Any]) -> Iterator[None]:
    restore = _restorer(live, variables)
    try:
        yield
    except BaseException:
        restore()
        raise

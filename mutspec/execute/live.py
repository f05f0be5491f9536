"""The live executor: runs a program over Keras models in memory.

All results are computed before anything is assigned, so that a plan that fails changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from mutspec.execute.engine import Effect, Progress, execute
from mutspec.execute.prepare import Prepared, check_inputs, non_finite_warnings, prepare
from mutspec.execute.read import Readable, Reader, reader_of
from mutspec.execute.report import Report, report
from mutspec.execute.threads import default_threads
from mutspec.graph.graph import Version
from mutspec.graph.kernels import Array
from mutspec.language.errors import CallError, Problem
from mutspec.language.plan import Plan
from mutspec.language.types import NonFinite
from mutspec.model.files import open_archive
from mutspec.model.live import LiveModel, read_live, rebuild, refresh
from mutspec.model.spec import Group, TensorSpec
from mutspec.ops.base import Op
from mutspec.ops.compile import Program

Model = Any
"""A keras.Model; this module does not import Keras to say so."""


@dataclass(frozen=True)
class Applied:
    """A mutant in memory, and what was done to it.

    Arguments:
        model: the keras.Model.
        report: what each step did.
    """

    model: Model
    report: Report


def dry_run(plan: Plan[Op], model: Model, *, inputs: Mapping[str, Model | Path] | None = None) -> Report:
    """What a plan would do to a Keras model. Reads no values and changes nothing.

    Arguments, errors: as for `apply`.
    """
    prepared = _prepare(plan, model, inputs or {}, NonFinite.ERROR)
    return report(prepared.program, prepared.model, prepared.inputs)


def apply(
    plan: Plan[Op],
    model: Model,
    *,
    inputs: Mapping[str, Model | Path] | None = None,
    in_place: bool = False,
    non_finite: NonFinite = NonFinite.ERROR,
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> Applied:
    """Apply a plan to a Keras model.

    Arguments:
        plan: the plan.
        model: a built keras.Model.
        inputs: the models of the plan's inputs, by name: keras.Models, or model files.
        in_place: whether to change `model` itself, which only plans without structural steps can; otherwise the mutant
            is a new model, and `model` stays as it is.
        non_finite: what newly non-finite entries mean where neither step nor plan say.
        threads: how many chunks to compute at once; by default one per processor, up to 8.
        on_progress: told about the entries done, and the entries in all.

    Raises:
        PlanError: the plan does not fit the model.
        ModelError: a model cannot be read, or not be built anew from its config.
        CallError: an input is not bound; or a structural plan is to be applied in place.
        CheckError: entries become infinite or NaN, and neither step nor plan allow it.
    """
    if in_place:
        _refuse_structure(plan, "be applied in place", "leave `in_place` out: the mutant is a new model")
    prepared = _prepare(plan, model, inputs or {}, non_finite)
    results = _compute(prepared, threads, on_progress)
    live = _live(prepared)
    if in_place:
        variables = {path: live.variables[path] for path in results.values}
        with _restored_if_it_fails(live, variables):
            _assign(live, variables, results.values)
        return Applied(live.model, results.report)
    program = prepared.program

    def value(tensor: TensorSpec) -> Array | None:
        if tensor.origin in results.values:
            return results.values[tensor.origin]
        return _value(live.variables[tensor.origin]) if tensor.origin in live.variables else None

    rebuilt = rebuild(live, program.config, program.after.tensors, value, plan.seed)
    return Applied(rebuilt.model, results.report.with_warnings(rebuilt.warnings))


@contextmanager
def mutated(
    plan: Plan[Op],
    model: Model,
    *,
    inputs: Mapping[str, Model | Path] | None = None,
    non_finite: NonFinite = NonFinite.ERROR,
    threads: int | None = None,
) -> Iterator[Report]:
    """Mutate a Keras model for the length of a `with` block, then restore it bit for bit, also after an exception.

    Blocks nest: the inner one sees what the outer one made. Only the variables that the plan touches are assigned; what
    the block itself does to them is undone with it.

    Arguments, errors: as for `apply`; plans with structural steps are refused.

    Yields:
        What each step did.
    """
    _refuse_structure(plan, "be undone", "use apply(plan, model), which makes a new model")
    prepared = _prepare(plan, model, inputs or {}, non_finite)
    results = _compute(prepared, threads, None)
    live = _live(prepared)
    variables = {path: live.variables[path] for path in results.values}
    before = {path: _value(variable) for path, variable in variables.items()}
    try:
        _assign(live, variables, results.values)
        yield results.report
    finally:
        _assign(live, variables, before)


@dataclass(frozen=True)
class _Results:
    """What a run made: the value of each touched or new tensor by origin, and the report."""

    values: Mapping[str, Array]
    report: Report


def _prepare(plan: Plan[Op], model: Model, inputs: Mapping[str, Model | Path], non_finite: NonFinite) -> Prepared:
    check_inputs(plan, inputs)
    others: dict[str, Readable] = {
        name: open_archive(Path(other)) if isinstance(other, str | Path) else _read(other)
        for name, other in inputs.items()
    }
    return prepare(plan, _read(model), others, non_finite)


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


def _compute(prepared: Prepared, threads: int | None, on_progress: Progress | None) -> _Results:
    program = prepared.program
    with ExitStack() as stack:
        models = {"": prepared.model, **prepared.inputs}
        home = MemoryHome({name: stack.enter_context(reader_of(each)) for name, each in models.items()}, program)
        effects: Mapping[Version, Effect] = execute(
            program.graph, home, threads=threads or default_threads(), on_progress=on_progress
        )
    warnings = non_finite_warnings(program, effects)
    done = report(program, prepared.model, prepared.inputs, effects=effects, warnings=warnings)
    return _Results(home.values(), done)


class MemoryHome:
    """Memory as the home of results; what is read comes from models of any kind.

    Arguments:
        readers: a reader of the model that is mutated, under "", and of each input, by name.
        program: what is computed.
    """

    def __init__(self, readers: Mapping[str, Reader], program: Program) -> None:
        self._readers = readers
        nodes, graph = program.graph.nodes, program.graph
        shapes = {path: nodes[node] for path, node in graph.created.items()}
        shapes |= {path: nodes[version.node] for path, version in graph.outputs.items()}
        self._results = {path: MemoryStore.of(node.shape, node.dtype) for path, node in shapes.items()}
        self._untouched = {path for path in shapes if path not in graph.created}
        self._lock = Lock()

    def read(self, model: str, path: str, start: int, stop: int) -> Array:
        """Entries of a tensor of a model."""
        return self._readers[model].read(path, start, stop)

    def write(self, path: str, start: int, before: Array | None, after: Array) -> None:
        """Keep entries of a result; where no chunk is written, it is what the model holds."""
        with self._lock:
            if path in self._untouched:
                self._untouched.remove(path)
                store = self._results[path]
                store.write(0, self._readers[""].read(path, 0, len(store.values)))
        self._results[path].write(start, after)

    def store(self, size: int, dtype: np.dtype[Any]) -> MemoryStore:
        """Room in memory."""
        return MemoryStore(np.empty(size, dtype))

    def values(self) -> Mapping[str, Array]:
        """The results of which a chunk was written, flat, by origin."""
        return {path: store.values for path, store in self._results.items() if path not in self._untouched}


@dataclass(frozen=True)
class MemoryStore:
    """A computed tensor in memory, flat."""

    values: Array

    @classmethod
    def of(cls, shape: tuple[int, ...], dtype: str) -> MemoryStore:
        """Room for a tensor."""
        return cls(np.empty(int(np.prod(shape, dtype=np.int64)), np.dtype(dtype)))

    def write(self, start: int, values: Array) -> None:
        """Keep entries from `start` on."""
        self.values[start : start + len(values)] = values

    def read(self, start: int, stop: int) -> Array:
        """The entries [start, stop)."""
        return self.values[start:stop]

    def close(self) -> None:
        """Nothing to give back: memory is freed with its last reader."""


def _value(variable: Any) -> Array:
    """A copy of a variable's value, flat."""
    value: Array = variable.numpy()
    return (value if value.flags.owndata else value.copy()).reshape(-1)


def _assign(live: LiveModel, variables: Mapping[str, Any], values: Mapping[str, Array]) -> None:
    for path, variable in variables.items():
        variable.assign(values[path].reshape(tuple(variable.shape)))
    if any(live.spec.tensor_by_path[path].group is Group.STATISTICS for path in variables):
        refresh(live.model)


@contextmanager
def _restored_if_it_fails(live: LiveModel, variables: Mapping[str, Any]) -> Iterator[None]:
    before = {path: _value(variable) for path, variable in variables.items()}
    try:
        yield
    except BaseException:
        _assign(live, variables, before)
        raise

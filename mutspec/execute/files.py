"""Plans on files: dry-run and apply. The doors of the archive executor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mutspec.execute.archive import write_archive
from mutspec.execute.engine import Effect, Progress
from mutspec.execute.output import check_output
from mutspec.execute.report import Report, report
from mutspec.execute.threads import default_threads
from mutspec.graph.graph import Version
from mutspec.graph.primitives import CHUNK
from mutspec.language.errors import CallError, CheckError, Problem, nearest
from mutspec.language.plan import Plan
from mutspec.language.types import NonFinite
from mutspec.model.archive import Archive, FileKind
from mutspec.model.files import open_archive
from mutspec.ops.base import Op
from mutspec.ops.compile import Program, compile_plan

_WORKING_BYTES = 100 * CHUNK * 8
"""What one thread has under way at most: chunks of a long chain of steps, in float64."""
_RESIDENT_BYTES = 90 << 20
"""What the process needs before it computes: Python, NumPy, h5py."""


@dataclass(frozen=True)
class Prepared:
    """A plan compiled for model files that are open for reading by whoever needs them.

    Arguments:
        program: the compiled plan.
        archive: the model file to mutate.
        inputs: the other model files, by name.
    """

    program: Program
    archive: Archive
    inputs: Mapping[str, Archive]


def prepare(plan: Plan[Op], model: Path, *, inputs: Mapping[str, Path], architecture: Path | None = None) -> Prepared:
    """Read the specs of model files, and compile a plan for them. No weight is read.

    Arguments:
        plan: the plan.
        model: the model file to mutate.
        inputs: the files of the plan's inputs, by name.
        architecture: a file with the architecture, for a `.weights.h5` model.

    Raises:
        CallError: an input is not bound, or the plan does not declare it.
        ModelError: a file cannot be read.
        PlanError: the plan does not fit the model.
    """
    _check_inputs(plan, inputs)
    archive = open_archive(model, architecture=architecture)
    others = {name: open_archive(path) for name, path in inputs.items()}
    program = compile_plan(plan, archive.spec, {name: other.spec for name, other in others.items()})
    return Prepared(program, archive, others)


def dry_run(
    plan: Plan[Op], model: Path, *, inputs: Mapping[str, Path] | None = None, architecture: Path | None = None
) -> Report:
    """What a plan would do to a model file. Reads no weights and writes nothing.

    Arguments, errors: as for `prepare`.
    """
    prepared = prepare(plan, model, inputs=inputs or {}, architecture=architecture)
    return report(prepared.program, prepared.archive, prepared.inputs)


def apply(
    plan: Plan[Op],
    model: Path,
    output: Path,
    *,
    inputs: Mapping[str, Path] | None = None,
    architecture: Path | None = None,
    force: bool = False,
    threads: int | None = None,
    max_memory: int | None = None,
    on_progress: Progress | None = None,
) -> Report:
    """Apply a plan to a model file and write the mutant, of the same kind.

    Arguments:
        plan: the plan.
        model: the model file to mutate. It is never changed.
        output: the file to write. It comes to be whole or not at all.
        inputs: the files of the plan's inputs, by name.
        architecture: a file with the architecture, for a `.weights.h5` model.
        force: whether to replace the output if it exists.
        threads: how many chunks to compute at once; by default one per processor, up to 8. The bytes do not depend on
            it.
        max_memory: the bytes that the process may use.
        on_progress: told about the entries done, and the entries in all.

    Raises:
        CallError: the call is wrong: see `prepare` and `check_output`; or `max_memory` is too small.
        CheckError: entries become infinite or NaN, and the step or plan does not say `report`.
        EnvironmentProblem: the disk is full.
    """
    check_output(output, (model, *(inputs or {}).values(), architecture), force=force)
    prepared = prepare(plan, model, inputs=inputs or {}, architecture=architecture)
    check_kind(output, prepared.archive)
    non_finite: list[Problem] = []

    def check(effects: Mapping[Version, Effect]) -> None:
        non_finite.extend(_non_finite(prepared.program, effects))
        if errors := [problem for problem in non_finite if not problem.is_warning]:
            raise CheckError(errors)

    effects = write_archive(
        prepared.program.graph,
        prepared.archive,
        prepared.inputs,
        output,
        force=force,
        threads=_threads(threads, max_memory),
        check=check,
        on_progress=on_progress,
    )
    return report(
        prepared.program,
        prepared.archive,
        prepared.inputs,
        effects=effects,
        warnings=tuple(non_finite),
        output=output,
    )


def _check_inputs(plan: Plan[Op], inputs: Mapping[str, Path]) -> None:
    problems = [
        Problem(f"the plan's input `{name}` is not bound", hint=f"add --input {name}=MODEL")
        for name in plan.inputs
        if name not in inputs
    ]
    problems += [
        Problem(f"the plan declares no input `{name}`", candidates=nearest(name, plan.inputs))
        for name in inputs
        if name not in plan.inputs
    ]
    if problems:
        raise CallError(problems)


def check_kind(output: Path, archive: Archive) -> None:
    """Refuse an output whose name says another kind of file than the input is.

    Raises:
        CallError: it does.
    """
    suffixes = {
        FileKind.KERAS: (".keras",),
        FileKind.WEIGHTS_H5: (".weights.h5",),
        FileKind.LEGACY_H5: (".h5", ".hdf5"),
    }
    name = output.name.lower()
    fits = name.endswith(suffixes[archive.kind])
    if archive.kind is FileKind.LEGACY_H5 and name.endswith(".weights.h5"):
        fits = False
    if not fits:
        raise CallError(
            f"the output {output.name} is not of the input's kind: {archive.path.name} is a {archive.kind} file",
            hint=f"name the output …{suffixes[archive.kind][0]}; mutspec does not convert between kinds of files yet",
        )


def _threads(threads: int | None, max_memory: int | None) -> int:
    wanted = threads or default_threads()
    if max_memory is None:
        return wanted
    affordable = (max_memory - _RESIDENT_BYTES) // _WORKING_BYTES
    if affordable < 1:
        least = -(-(_RESIDENT_BYTES + _WORKING_BYTES) // 10**6)
        raise CallError(f"--max-memory {max_memory / 10**6:g}MB is too little", hint=f"give at least {least}MB")
    return min(wanted, affordable)


def _non_finite(program: Program, effects: Mapping[Version, Effect]) -> list[Problem]:
    """One problem for each step and tensor with newly non-finite entries; a warning where the step says `report`."""
    problems = []
    for number, step in enumerate(program.steps):
        for touch in step.touches:
            count = effects[touch.version].non_finite
            if count:
                tensor, is_allowed = touch.tensor, step.non_finite is NonFinite.REPORT
                problem = Problem(
                    f"step `{step.id}` makes {count:,} of {tensor.size:,} entries of `{tensor.path}` infinite or NaN",
                    path=("steps", number),
                    hint="" if is_allowed else "change its values, or say `non_finite: report` to let them stand",
                    is_warning=is_allowed,
                )
                problems.append(program.plan.placed(problem))
    return problems

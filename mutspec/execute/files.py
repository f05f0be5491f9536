"""Plans on files: dry-run and apply, the entry points of the archive executor."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from mutspec.access.threads import default_threads
from mutspec.errors import CallError, Problem
from mutspec.execute.archive import write_archive
from mutspec.execute.both_outputs import check_both_outputs
from mutspec.execute.compiling import compiled
from mutspec.execute.engine import Effect, Progress
from mutspec.execute.file_tensors import paths_of
from mutspec.execute.hooks import NO_HOOKS, Hooks
from mutspec.execute.keras_2 import will_be_of_keras_3
from mutspec.execute.output import telling_written
from mutspec.execute.output_kind import kind_by_default, kind_of_name, kind_of_output, output_warnings
from mutspec.execute.prepare import Prepared, begun_non_finite, check_inputs, non_finite_warnings, prepare
from mutspec.execute.provenance import output_provenance
from mutspec.execute.reporting import report
from mutspec.execute.verify import Verification
from mutspec.graph.graph import Version
from mutspec.graph.memory import whole_bytes
from mutspec.graph.primitives import CHUNK
from mutspec.language.plan import Plan
from mutspec.lowering.base import Op, is_structural
from mutspec.lowering.compile import Program
from mutspec.model.files.archive import Archive
from mutspec.model.files.formats import FORMATS, FileKind, misnamed
from mutspec.model.files.keras_zip import date_saved_of
from mutspec.model.files.new_model import NeedsKeras, NewModel
from mutspec.model.files.opening import open_archive, open_beside
from mutspec.model.files.provenance_file import sidecar_of
from mutspec.show.report import Report

_WORKING_BYTES = 100 * CHUNK * 8
"""The most bytes that one thread computes with: chunks of a long chain of steps, in float64."""
_RESIDENT_BYTES = 90 << 20
"""The bytes that the process needs before it computes: Python, NumPy, h5py."""


def prepare_files(
    plan: Plan[Op],
    model: Path,
    *,
    inputs: Mapping[str, Path],
    architecture: Path | None = None,
    output: Path | None = None,
    unsafe: bool = False,
    data: Any = None,
) -> Prepared:
    """Reads the specs of model files, and compiles a plan for them, as `prepare` does.

    Arguments:
        plan: the plan.
        model: the model file to mutate.
        inputs: the files of the plan's inputs, by name.
        architecture: a file with the architecture, for a `.weights.h5` model.
        output: the file that is to be written later, if that is known.
        unsafe: whether code in the model file (Lambda layers) may run, where only Keras knows what a layer makes.
        data: as for `prepare`.

    Raises:
        CallError: an input is not bound, or the plan does not declare it; or the output's name asks for no kind of
            model file, or for one that the model cannot be written as.
        ModelError: a file cannot be read.
        PlanError: the plan does not fit the model.
    """
    if output is not None:
        kind_of_name(output)
    check_inputs(plan, inputs)
    archive = open_archive(model, architecture=architecture)
    if output is not None:
        kind_of_output(output, archive, is_structural=is_structural(plan))
    others = {name: open_archive(path) for name, path in inputs.items()}
    return prepare_archives(plan, archive, others, unsafe=unsafe, data=data)


def prepare_archives(
    plan: Plan[Op], archive: Archive, inputs: Mapping[str, Archive], *, unsafe: bool = False, data: Any = None
) -> Prepared:
    """Does the same for files that are open already. Every command that compiles a plan for files uses it.

    Raises:
        ModelError: the plan changes the structure of a model that no Keras 3 can build.
        PlanError: the plan does not fit the model.
    """
    if not is_structural(plan):
        return prepare(plan, archive, inputs, unsafe=unsafe, data=data)
    prepared, _ = compiled(plan, archive, inputs, unsafe=unsafe, data=data)
    warnings = (*prepared.program.warnings, *will_be_of_keras_3(archive))
    return replace(prepared, program=replace(prepared.program, warnings=warnings))


def dry_run(
    plan: Plan[Op],
    model: Path,
    *,
    inputs: Mapping[str, Path] | None = None,
    architecture: Path | None = None,
    unsafe: bool = False,
    data: Any = None,
) -> Report:
    """Reports what a plan would do to a model file. It writes nothing, and reads only weights that steps rank by.

    Arguments and errors are those of `prepare_files`.
    """
    prepared = prepare_files(plan, model, inputs=inputs or {}, architecture=architecture, unsafe=unsafe, data=data)
    return dry_report(prepared)


def dry_report(prepared: Prepared, output: Path | None = None) -> Report:
    """Reports what a compiled plan would do.

    Arguments:
        prepared: the plan.
        output: the file that is to be written later, if that is known; by default one of the kind of the model's file.
    """
    archive, program = prepared.model, prepared.program
    if not isinstance(archive, Archive):
        return report(program, archive, prepared.inputs)
    is_structural = program.is_structural
    kind = kind_by_default(archive.kind, is_structural=is_structural)
    if output is not None:
        kind = kind_of_output(output, archive, is_structural=is_structural)
    made = _new_file(program, archive, kind)
    warnings = (*misnamed(archive), *(made.warnings if made else ()))
    needs_keras = made.reason if isinstance(made, NeedsKeras) else ""
    return report(program, archive, prepared.inputs, warnings=warnings, needs_keras=needs_keras)


def apply(
    plan: Plan[Op],
    model: Path,
    output: Path,
    *,
    inputs: Mapping[str, Path] | None = None,
    architecture: Path | None = None,
    force: bool = False,
    unsafe: bool = False,
    verify: bool = True,
    threads: int | None = None,
    max_memory: int | None = None,
    on_progress: Progress | None = None,
    data: Any = None,
    provenance: bool = False,
    hooks: Hooks = NO_HOOKS,
) -> Report:
    """Applies a plan to a model file and writes the mutant.

    If weights alone change, bytes are edited in a copy of the model's file, or in what the table of formats makes of
    it. Otherwise a new file is written. Where only Keras knows what is to be in it, Keras loads the model, builds the
    mutant, and saves it. `new_file` decides that.

    Arguments:
        plan: the plan.
        model: the model file to mutate. It is never changed.
        output: the file to write. It comes to be whole or not at all.
        inputs: the files of the plan's inputs, by name.
        architecture: a file with the architecture, for a `.weights.h5` model.
        force: whether to replace the output if it exists.
        unsafe: whether code in the model file (Lambda layers) may run, where Keras must load it.
        verify: whether to check the checksums of the files from which the plan reads tensors.
        threads: how many chunks to compute at once; by default one per processor, up to 8. The bytes do not depend on
            it.
        max_memory: the bytes that the process may use.
        on_progress: told about the entries done, and the entries in all.
        data: as for `prepare`.
        provenance: whether the mutant says where it comes from: see `output_provenance`.
        hooks: what the call does before anything is computed, and before the output has its name.

    Raises:
        CallError: the call is wrong: see `prepare_files` and `check_output`; or `max_memory` is too small.
        CheckError: entries become infinite or NaN, and the step or plan does not say `report`.
        ModelError: a file cannot be read, is damaged, or was changed while it was read.
        EnvironmentProblem: the disk is full, or does not hold what was written to it.
    """
    archive, others, kind = open_for(plan, model, output, inputs or {}, architecture, force=force)
    prepared, loaded = compiled(plan, archive, others, unsafe=unsafe, verify=verify, data=data)
    hooks.compiled(prepared, archive, others)
    program = prepared.program
    written = output if hooks.keeps_output else None
    made = _new_file(program, archive, kind)
    is_by_keras = isinstance(made, NeedsKeras)
    record = output_provenance(plan, archive, others, kind, is_wanted=provenance, is_by_keras=is_by_keras, data=data)
    sidecar = None if record.sidecar is None else sidecar_of(output)
    if isinstance(made, NeedsKeras):
        from mutspec.execute.built_by_keras import in_keras
        from mutspec.execute.saving import save_model

        done = in_keras(archive, prepared, loaded, threads, on_progress, unsafe=unsafe, verify=verify)
        sources, date_saved = paths_of(archive, others), date_saved_of(model)
        to: dict[str, Any] = {"force": force, "date_saved": date_saved, "inputs": sources}
        save_model(done.model, output, **to, provenance=record, hooks=hooks)
        warnings = (*misnamed(archive), *done.report.warnings, *made.warnings, *record.warnings)
        changes: dict[str, Any] = {"model": str(model), "output": written, "sidecar": sidecar}
        return replace(done.report, **changes, warnings=warnings, needs_keras=made.reason)
    found: list[Problem] = [*misnamed(archive), *output_warnings(output, kind), *record.warnings]
    if made is not None:
        found += [*made.warnings, *will_be_of_keras_3(archive)]
    threads = _threads(threads, max_memory, max(whole_bytes(program.graph).values(), default=0))

    def check(effects: Mapping[Version, Effect], ends: Mapping[str, int]) -> None:
        found.extend(non_finite_warnings(program, effects, begun_non_finite(effects, ends)))

    verification = Verification(program, {"": archive, **others}, verify, threads)
    if made is None:
        effects = write_archive(
            program.graph,
            archive,
            others,
            output,
            kind=kind,
            force=force,
            threads=threads,
            check=lambda effects: check(effects, {}),
            verification=verification,
            on_progress=on_progress,
            provenance=record,
            hooks=hooks,
        )
    else:
        from mutspec.execute.new_file_writer import write_new_file

        effects = write_new_file(
            program.graph,
            made,
            others,
            output,
            kind=kind,
            force=force,
            threads=threads,
            check=check,
            verification=verification,
            on_progress=on_progress,
            provenance=record,
            hooks=hooks,
        )
    with telling_written(output) if hooks.keeps_output else nullcontext():
        done_report = report(program, archive, others, effects=effects, warnings=tuple(found), output=written)
        return replace(done_report, sidecar=sidecar)


def _new_file(program: Program, archive: Archive, kind: FileKind) -> NewModel | NeedsKeras | None:
    """Returns what is to be written; None if weights alone change, so that the file begins as a copy of the base."""
    if not program.is_structural and kind in FORMATS[archive.kind].becomes:
        return None
    from mutspec.execute.new_file import new_file, will_not_train

    made = new_file(program, archive, kind)
    return replace(made, warnings=(*made.warnings, *will_not_train(program, archive, kind)))


def open_for(
    plan: Plan[Op], model: Path, output: Path, inputs: Mapping[str, Path], architecture: Path | None, *, force: bool
) -> tuple[Archive, Mapping[str, Archive], FileKind]:
    """Reads the model files from which a plan makes an output, and checks the output.

    Returns:
        The model to mutate, the other models by name, and the kind of file to write.

    Raises:
        CallError, ModelError: as for `apply`.
    """
    check_both_outputs(output, files_read(plan, model, inputs, architecture), force=force)
    kind_of_name(output)
    check_inputs(plan, inputs)
    archive = open_archive(model, architecture=architecture)
    others = {name: open_archive(path) for name, path in inputs.items()}
    kind = kind_of_output(output, archive, is_structural=is_structural(plan))
    check_both_outputs(output, paths_of(archive, others), force=force)
    return archive, others, kind


def open_both(before: Path, after: Path, architecture: Path | None = None) -> tuple[Archive, Archive]:
    """Reads two model files that are compared.

    Arguments:
        before: the one file.
        after: the other.
        architecture: a file with the architecture of those that hold weights alone.

    Raises:
        ModelError: a file cannot be read; or both have an architecture of their own, and another one is given.
    """
    archives = open_beside(before, architecture), open_beside(after, architecture)
    if architecture is not None and all(FORMATS[each.kind].is_whole for each in archives):
        return open_archive(before, architecture=architecture), archives[1]
    return archives


def files_read(
    plan: Plan[Op], model: Path, inputs: Mapping[str, Path], architecture: Path | None = None
) -> tuple[Path | None, ...]:
    """Returns all files that are read to apply a plan. None of them may be its output."""
    place = plan.locate(())
    of_plan = (None if place is None else Path(place.file), *plan.source.recipes.paths())
    return model, *inputs.values(), architecture, *of_plan


def _threads(threads: int | None, max_memory: int | None, whole: int) -> int:
    """Returns how many chunks may be computed at once, if `whole` bytes are in use already."""
    wanted = threads or default_threads()
    if max_memory is None:
        return wanted
    affordable = (max_memory - _RESIDENT_BYTES - whole) // _WORKING_BYTES
    if affordable < 1:
        least = -(-(_RESIDENT_BYTES + _WORKING_BYTES + whole) // 10**6)
        why = ": a step needs all of a weight at once" if whole > _WORKING_BYTES else ""
        raise CallError(f"--max-memory {max_memory / 10**6:g}MB is too little{why}", hint=f"give at least {least}MB")
    return min(wanted, affordable)

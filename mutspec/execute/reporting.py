"""Reports: what a dry-run or an application did, as values with one JSON form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mutspec.access.read import Readable, name_of
from mutspec.access.threads import default_threads
from mutspec.compare.structure import structure_diff
from mutspec.errors import Problem
from mutspec.execute.engine import Effect
from mutspec.execute.unchanged import unchanged_warnings
from mutspec.graph.graph import Version
from mutspec.graph.memory import whole_bytes
from mutspec.graph.numpy_kernels.masks import Mask
from mutspec.graph.sameness import unchangeable
from mutspec.lowering.compile import Program, StepRecord
from mutspec.lowering.origins import origins
from mutspec.model.files.archive import Archive
from mutspec.show.layers import StructureDiff
from mutspec.show.report import InputReport, Report, StepReport, TargetReport
from mutspec.version import engine

if TYPE_CHECKING:
    from mutspec.structure.multiply_adds import MultiplyAdds  # a plan of weight steps does not load it


def report(
    program: Program,
    model: Readable,
    inputs: Mapping[str, Readable],
    *,
    effects: Mapping[Version, Effect] | None = None,
    warnings: tuple[Problem, ...] = (),
    output: Path | None = None,
    needs_keras: str = "",
) -> Report:
    """Returns the report of a program.

    Arguments:
        program: the plan, compiled for the model.
        model: the model.
        inputs: the other models, by name.
        effects: what each version changed; None for a dry-run.
        warnings: further warnings, after those of the program.
        output: the file that was written.
        needs_keras: why only Keras can build the mutant; empty if mutspec writes it.
    """
    counts = _drawn_counts(program) if effects is None else effects
    still = unchangeable(program.graph)
    steps = tuple(
        _step(step, written, counts, still, is_applied=effects is not None)
        for step, written in zip(program.steps, program.plan.document["steps"], strict=True)
    )
    known = (*program.plan.warnings, *program.warnings, *unchanged_warnings(program, steps))
    return Report(
        engine(),
        program.plan.name,
        program.plan.digest,
        program.plan.seed,
        name_of(model),
        program.before.structure_digest,
        (*known, *_slow_path(program, model), *_in_memory(program), *warnings),
        steps,
        program.before.parameters,
        program.after.parameters,
        output,
        len(program.before.layers),
        structure_diff(program.before, program.after) if program.is_structural else StructureDiff(),
        tuple(InputReport(name, name_of(each), each.spec.structure_digest) for name, each in inputs.items()),
        needs_keras=needs_keras,
        asked_keras=program.asked_keras if isinstance(model, Archive) and not needs_keras else (),
        origins=origins(program),
        multiply_adds=_multiply_adds(program),
        uses=program.plan.uses,
    )


def _multiply_adds(program: Program) -> tuple[MultiplyAdds, MultiplyAdds] | None:
    """Returns the multiply–adds before and after a structural plan; None for other plans, which keep them."""
    if program.former_network is None or program.network is None:
        return None
    from mutspec.structure.multiply_adds import multiply_adds

    return multiply_adds(program.former_network), multiply_adds(program.network)


def _slow_path(program: Program, model: Readable) -> Iterator[Problem]:
    """Yields a warning if a tensor to be changed is not a plain range of the file."""
    if not isinstance(model, Archive) or program.is_structural:
        return
    slow = [path for path in program.graph.outputs if model.extents[path].offset is None]
    if slow:
        others = f" and {len(slow) - 1:,} more" if len(slow) > 1 else ""
        yield Problem(
            f"`{slow[0]}`{others} is stored chunked or compressed, so the file takes the slow path through HDF5",
            hint="save the model again in Keras, which stores weights plainly",
            is_warning=True,
        )


_WORTH_SAYING = 64 << 20
"""The bytes from which a step's need of memory is worth a warning."""


def _in_memory(program: Program) -> Iterator[Problem]:
    """Yields a warning if the plan needs all entries of a large weight at once."""
    needed = whole_bytes(program.graph)
    number = max(needed, key=needed.__getitem__, default=None)
    if number is not None and needed[number] >= _WORTH_SAYING:
        primitive, megabytes = program.graph.nodes[number].primitive, -(-needed[number] // 10**6)
        yield Problem(
            f"to compute `{primitive}`, about {megabytes:,} MB are in memory at once",
            hint="--max-memory refuses what is too much",
            is_warning=True,
        )


def _drawn_counts(program: Program) -> Mapping[Version, Effect]:
    """Returns how an amount over many tensors falls on each of them, which only drawing tells."""
    unknown = [write for step in program.steps for write in step.writes if write.touched is None]
    if not unknown:
        return {}
    with ThreadPoolExecutor(default_threads()) as pool:
        counts = pool.map(lambda write: Mask(write.version.choice, write.tensor.shape or (1,)).count(), unknown)
        return {write.version: Effect(count) for write, count in zip(unknown, counts, strict=True)}


def _step(
    step: StepRecord,
    written: Mapping[str, Any],
    counts: Mapping[Version, Effect],
    still: Set[Version],
    *,
    is_applied: bool,
) -> StepReport:
    parameters = {key: value for key, value in written.items() if key not in ("id", "op")}
    targets = []
    for write in step.writes:
        tensor, effect = write.tensor, counts.get(write.version, Effect(write.touched or 0))
        changed = (effect.touched if write.is_first else effect.changed) if is_applied else None
        targets.append(
            TargetReport(
                tensor.layer,
                tensor.role,
                tensor.shape,
                tensor.dtype,
                tensor.size,
                effect.touched,
                changed,
                write.is_first or write.version not in still,
                tensor.path,
                write.copied,
            )
        )
    return StepReport(step.id, step.op, tuple(targets), parameters, step.edits, step.skipped, step.coupled)

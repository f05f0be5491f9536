"""Reports: what a dry-run or an application did, as values with one JSON form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

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
from mutspec.model.files.archive import Archive
from mutspec.show.layers import StructureDiff, layers_as_json
from mutspec.show.report import changes_nothing
from mutspec.structure.layer_edit import LayerEdit
from mutspec.version import __version__

FORMAT_VERSION = 1
"""Of the JSON documents that mutspec prints."""


def engine() -> str:
    """The engine's name and version."""
    return f"mutspec {__version__}"


@dataclass(frozen=True, slots=True)
class TargetReport:
    """What a step does to one tensor.

    Arguments:
        layer: the path of the layer that owns it.
        weight: its role.
        shape, dtype: as stored.
        elements: the number of its entries.
        touched: how many of them the step chooses.
        changed: how many of them change by any bit; None in a dry-run.
        may_change: whether any may, as far as is known without values.
        own_path: its path, where that is not the layer's with its role.
    """

    layer: str
    weight: str
    shape: tuple[int, ...]
    dtype: str
    elements: int
    touched: int
    changed: int | None
    may_change: bool = True
    own_path: str = ""

    @property
    def is_unchanged(self) -> bool:
        """Whether none of its entries changes; in a dry-run, whether that is known."""
        return not (self.touched and self.may_change) if self.changed is None else self.changed == 0

    @property
    def path(self) -> str:
        """The tensor's path."""
        return self.own_path or f"{self.layer}/{self.weight}"


_IN_JSON = tuple(name for name in TargetReport.__slots__ if name != "own_path")


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step does to its targets, in the order of the model.

    Arguments:
        id, op: the step's.
        targets: the tensors that it touches.
        parameters: its other keys, as the resolved plan has them.
        edits: what it does to layers.
    """

    id: str
    op: str
    targets: tuple[TargetReport, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    edits: tuple[LayerEdit, ...] = ()


@dataclass(frozen=True, slots=True)
class InputReport:
    """Another model that a plan reads: its name in the plan, its file or own name, the digest of its structure."""

    name: str
    path: str
    structure_digest: str

    def to_json(self) -> dict[str, str]:
        """As in `schemas/apply.schema.json`."""
        return {"name": self.name, "path": self.path, "structure_digest": self.structure_digest}


@dataclass(frozen=True, slots=True)
class Report:
    """What a plan does to a model, or would do.

    Arguments:
        engine: the engine's name and version.
        plan_name, plan_digest, seed: of the plan, resolved.
        model: the model file, or the name of a model in memory.
        structure_digest: of the model, without values.
        warnings: what the user should know.
        steps: what each step does.
        parameters_before, parameters_after: the numbers of entries of all tensors.
        output: the file that was written; None in a dry-run.
        layers: the number of the model's layers.
        structure: which layers the mutant has more, less or otherwise than the model.
        inputs: the other models that were read, by name.
    """

    engine: str
    plan_name: str
    plan_digest: str
    seed: int
    model: str
    structure_digest: str
    warnings: tuple[Problem, ...]
    steps: tuple[StepReport, ...]
    parameters_before: int
    parameters_after: int
    output: Path | None
    layers: int = 0
    structure: StructureDiff = field(default_factory=StructureDiff)
    inputs: tuple[InputReport, ...] = ()

    def __str__(self) -> str:
        """A table of each step, for people."""
        from mutspec.show.report import report_text

        return report_text(self)

    @property
    def changes_nothing(self) -> bool:
        """Whether the mutant surely predicts what the model does; in a dry-run, whether that is known."""
        return changes_nothing(self.steps)

    def with_warnings(self, warnings: tuple[Problem, ...]) -> Report:
        """The same report with further warnings."""
        return replace(self, warnings=(*self.warnings, *warnings))

    def to_json(self) -> dict[str, Any]:
        """The documented JSON form: `schemas/apply.schema.json`."""
        return {
            "format_version": FORMAT_VERSION,
            "engine": self.engine,
            "plan": {"name": self.plan_name, "digest": self.plan_digest},
            "model": {"path": self.model, "structure_digest": self.structure_digest},
            **({"inputs": [each.to_json() for each in self.inputs]} if self.inputs else {}),
            "seed": self.seed,
            "warnings": [problem.message for problem in self.warnings],
            "steps": [
                {
                    "id": step.id,
                    "op": step.op,
                    "targets": [
                        {name: getattr(target, name) for name in _IN_JSON} | {"shape": list(target.shape)}
                        for target in step.targets
                    ],
                    **({"layers": [_edit_as_json(edit) for edit in step.edits]} if step.edits else {}),
                }
                for step in self.steps
            ],
            "layers": layers_as_json(self.structure),
            "parameters": {"before": self.parameters_before, "after": self.parameters_after},
            "output": None if self.output is None else str(self.output),
        }


def report(
    program: Program,
    model: Readable,
    inputs: Mapping[str, Readable],
    *,
    effects: Mapping[Version, Effect] | None = None,
    warnings: tuple[Problem, ...] = (),
    output: Path | None = None,
) -> Report:
    """The report of a program.

    Arguments:
        program: the plan, compiled for the model.
        model: the model.
        inputs: the other models, by name.
        effects: what each version changed; None for a dry-run.
        warnings: warnings beside those of the program.
        output: the file that was written.
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
    )


def _slow_path(program: Program, model: Readable) -> Iterator[Problem]:
    """A warning if a tensor to be changed is no plain range of the file."""
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
"""Bytes; a step that needs less memory than this says nothing of it."""


def _in_memory(program: Program) -> Iterator[Problem]:
    """A warning if the plan needs all entries of a large weight at once."""
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
    """What only drawing tells before a plan is applied: how an amount over many tensors falls on each of them."""
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
            )
        )
    return StepReport(step.id, step.op, tuple(targets), parameters, step.edits)


def _edit_as_json(edit: LayerEdit) -> dict[str, Any]:
    document = {"layer": edit.layer, "type": edit.type, "edit": edit.kind.value, "parameters": edit.parameters}
    return document | ({"before": edit.before} if edit.before else {})

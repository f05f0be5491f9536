"""Reports: what a dry-run or an application did, as values with one JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mutspec.execute.engine import Effect
from mutspec.graph.graph import Version
from mutspec.graph.masks import Mask
from mutspec.language.errors import Problem
from mutspec.model.archive import Archive
from mutspec.ops.bench import Touch
from mutspec.ops.compile import Program, StepRecord

FORMAT_VERSION = 1
"""Of the JSON documents that mutspec prints."""


def engine() -> str:
    """The engine's name and version."""
    try:
        return f"mutspec {version('mutspec')}"
    except PackageNotFoundError:
        return "mutspec"


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
    """

    layer: str
    weight: str
    shape: tuple[int, ...]
    dtype: str
    elements: int
    touched: int
    changed: int | None


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step does to its targets, in the order of the model.

    Arguments:
        id, op: the step's.
        targets: the tensors that it touches.
        parameters: its other keys, as the resolved plan has them.
    """

    id: str
    op: str
    targets: tuple[TargetReport, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What a plan does to a model, or would do.

    Arguments:
        engine: the engine's name and version.
        plan_name, plan_digest, seed: of the plan, resolved.
        model: the model file.
        structure_digest: of the model, without values.
        warnings: what the user should know.
        steps: what each step does.
        parameters_before, parameters_after: the numbers of entries of all tensors.
        output: the file that was written; None in a dry-run.
        layers: the number of the model's layers.
    """

    engine: str
    plan_name: str
    plan_digest: str
    seed: int
    model: Path
    structure_digest: str
    warnings: tuple[Problem, ...]
    steps: tuple[StepReport, ...]
    parameters_before: int
    parameters_after: int
    output: Path | None
    layers: int = 0

    def __str__(self) -> str:
        """A table of each step, for people."""
        from mutspec.execute.text import report_text

        return report_text(self)

    def to_json(self) -> dict[str, Any]:
        """The documented JSON form: `schemas/apply.schema.json`."""
        return {
            "format_version": FORMAT_VERSION,
            "engine": self.engine,
            "plan": {"name": self.plan_name, "digest": self.plan_digest},
            "model": {"path": str(self.model), "structure_digest": self.structure_digest},
            "seed": self.seed,
            "warnings": [problem.message for problem in self.warnings],
            "steps": [
                {
                    "id": step.id,
                    "op": step.op,
                    "targets": [
                        {name: getattr(target, name) for name in TargetReport.__slots__} | {"shape": list(target.shape)}
                        for target in step.targets
                    ],
                }
                for step in self.steps
            ],
            "layers": {"added": [], "removed": [], "changed": []},
            "parameters": {"before": self.parameters_before, "after": self.parameters_after},
            "output": None if self.output is None else str(self.output),
        }


def report(
    program: Program,
    archive: Archive,
    *,
    effects: Mapping[Version, Effect] | None = None,
    warnings: tuple[Problem, ...] = (),
    output: Path | None = None,
) -> Report:
    """The report of a program.

    Arguments:
        program: the plan, compiled for the model.
        archive: the model file.
        effects: what each version changed; None for a dry-run.
        warnings: warnings beside those of the program.
        output: the file that was written.
    """
    return Report(
        engine(),
        program.plan.name,
        program.plan.digest,
        program.plan.seed,
        archive.path,
        program.before.structure_digest,
        (*program.plan.warnings, *program.warnings, *warnings),
        tuple(
            _step(step, written, effects)
            for step, written in zip(program.steps, program.plan.document["steps"], strict=True)
        ),
        program.before.parameters,
        program.after.parameters,
        output,
        len(program.before.layers),
    )


def _step(step: StepRecord, written: Mapping[str, Any], effects: Mapping[Version, Effect] | None) -> StepReport:
    parameters = {key: value for key, value in written.items() if key not in ("id", "op")}
    return StepReport(step.id, step.op, tuple(_target(touch, effects) for touch in step.touches), parameters)


def _target(touch: Touch, effects: Mapping[Version, Effect] | None) -> TargetReport:
    tensor = touch.tensor
    touched = touch.touched
    if touched is None:
        touched = Mask(touch.version.choice, tensor.shape or (1,)).count()
    changed = None if effects is None else effects[touch.version].changed
    return TargetReport(tensor.layer, tensor.role, tensor.shape, tensor.dtype, tensor.size, touched, changed)

"""Checks a plan against models, some of which may be missing. There are no data to measure activations on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mutspec.errors import Problem
from mutspec.execute.files import prepare_archives
from mutspec.language.plan import Plan
from mutspec.language.types import BASE
from mutspec.lowering.base import Op
from mutspec.lowering.compile import Program
from mutspec.lowering.context import LoweringContext, TensorWrite
from mutspec.model.files.archive import Archive


class _Unchecked(Op, tag="unchecked", frozen=True, kw_only=True):
    """A step that reads a missing model, or data, and so is not checked."""

    def apply(self, context: LoweringContext) -> tuple[TensorWrite, ...]:
        """Does nothing."""
        return ()


def check_plan(plan: Plan[Op], model: Archive, inputs: Mapping[str, Archive]) -> tuple[Problem, ...]:
    """Returns the warnings of `compiled_as_far_as_known`."""
    return compiled_as_far_as_known(plan, model, inputs)[1]


def compiled_as_far_as_known(
    plan: Plan[Op], model: Archive, inputs: Mapping[str, Archive]
) -> tuple[Program, tuple[Problem, ...]]:
    """Checks that a plan fits a model, by compiling it.

    Arguments:
        plan: the plan.
        model: the model file to mutate.
        inputs: the files of the plan's inputs, as far as they are given.

    Returns:
        The program, in which a step does nothing that reads an input that is not given, or data; and warnings, with
        one for each such step.

    Raises:
        PlanError: the plan does not fit. It lists the problems of all steps.
    """
    steps, warnings = list(plan.steps), []
    known = {*inputs} if BASE in plan.inputs else {*inputs, BASE}
    for number, step in enumerate(plan.steps):
        for name in dict.fromkeys(name for _, name in step.inputs_used() if name not in known):
            steps[number] = _Unchecked(id=step.id, allow_empty=True)
            problem = Problem(
                f"the step is not checked, because its input `{name}` is not bound",
                path=("steps", number),
                hint=f"add --input {name}=MODEL",
                is_warning=True,
            )
            warnings.append(plan.placed(problem))
    for number, step in enumerate(steps):
        if step.reads_data:
            steps[number] = _Unchecked(id=step.id, allow_empty=True)
            problem = Problem(
                "the step is not checked, because it ranks units by their activations on data",
                path=("steps", number),
                hint="check it with the data: mutspec apply --dry-run --data FILE.npz",
                is_warning=True,
            )
            warnings.append(plan.placed(problem))
    prepared = prepare_archives(replace(plan, steps=tuple(steps)), model, inputs)
    return prepared.program, (*prepared.program.warnings, *warnings)

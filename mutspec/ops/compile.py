"""Compile: the fold over a plan's steps, from specs to a program of which all is known but the values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from traceback import extract_tb

from msgspec import UnsetType

from mutspec.graph.graph import Graph
from mutspec.language.errors import PlanError, Problem
from mutspec.language.plan import Plan
from mutspec.language.types import NonFinite
from mutspec.model.spec import ModelSpec
from mutspec.ops.base import Op, op_name
from mutspec.ops.bench import Bench, Touch


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What one step does.

    Arguments:
        id, op: the step's id and op.
        touches: what it does to each tensor, in the order of the model.
        non_finite: what newly non-finite entries mean here.
    """

    id: str
    op: str
    touches: tuple[Touch, ...]
    non_finite: NonFinite


@dataclass(frozen=True)
class Program:
    """A plan compiled for a model.

    Arguments:
        plan: the plan.
        before, after: the spec of the model, and of the mutant.
        graph: what each changed tensor is made of.
        steps: what each step does.
        warnings: what the user should know, positions filled in.
    """

    plan: Plan[Op]
    before: ModelSpec
    after: ModelSpec
    graph: Graph
    steps: tuple[StepRecord, ...]
    warnings: tuple[Problem, ...]


def compile_plan(
    plan: Plan[Op], model: ModelSpec, inputs: Mapping[str, ModelSpec], non_finite: NonFinite = NonFinite.ERROR
) -> Program:
    """Lower every step of a plan against a model, and report the problems of all steps at once.

    Arguments:
        plan: the plan.
        model: the spec of the model to mutate.
        inputs: the specs of the other models, by the names that the plan declares.
        non_finite: what newly non-finite entries mean where neither step nor plan say.

    Raises:
        PlanError: a step does not fit the model.
    """
    bench = Bench({"": model, **inputs})
    records, problems, warnings = [], [], []
    for number, op in enumerate(plan.steps):
        bench.begin(op.context(number, plan.seed))
        try:
            touches = op.apply(bench)
            _refuse_nothing(op, touches)
        except PlanError as error:
            problems += [plan.placed(problem.below("steps", number)) for problem in error.problems]
            continue
        except Exception as error:
            problems.append(plan.placed(_bug(op, error).below("steps", number)))
            continue
        policy = plan.non_finite or non_finite if isinstance(op.non_finite, UnsetType) else op.non_finite
        records.append(StepRecord(op.id, op_name(type(op)), tuple(touches), policy))
        warnings += [plan.placed(Problem(note, path=("steps", number), is_warning=True)) for note in bench.notes]
    if problems:
        raise PlanError(problems)
    return Program(plan, model, model, bench.builder.build(), tuple(records), tuple(warnings))


def _bug(op: Op, error: Exception) -> Problem:
    """An op of any package may fail in any way; its user needs to know which op, and its author where."""
    frame = extract_tb(error.__traceback__)[-1]
    return Problem(
        f"the op `{op_name(type(op))}` fails: {type(error).__name__}: {error}",
        hint=f"a bug at {frame.filename}:{frame.lineno}; report it to whoever maintains `{type(op).__module__}`",
    )


def _refuse_nothing(op: Op, touches: Sequence[Touch]) -> None:
    if not touches and not op.allow_empty:
        raise PlanError(
            Problem(
                "the step touches nothing", hint="choose other weights or another amount, or say `allow_empty: true`"
            )
        )

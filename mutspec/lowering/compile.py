"""Compile: the fold over a plan's steps, from specs to a program of which all but the values is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mutspec.errors import CallError, EnvironmentProblem, OpError, PlanError, Problem
from mutspec.graph.graph import Graph
from mutspec.language.op_bugs import failure, remedy
from mutspec.language.plan import Plan
from mutspec.language.steps import op_name
from mutspec.language.types import BASE, NonFinite, or_default
from mutspec.lowering.base import Op
from mutspec.lowering.claims import SamePredictions
from mutspec.lowering.context import LoweringContext, TensorWrite
from mutspec.lowering.copies import SkippedWeight
from mutspec.lowering.value_reader import ActivationReader, ValueReader
from mutspec.model.select import SharingNote
from mutspec.model.shapes import ShapeOracle
from mutspec.model.spec import ModelSpec, TensorSpec
from mutspec.structure.layer_edit import EditKind, LayerEdit

if TYPE_CHECKING:
    from mutspec.lowering.mask_changes import MaskChange
    from mutspec.structure.architecture import Architecture
    from mutspec.structure.compile_state import OutputChange
    from mutspec.structure.coupling.coupled_group import CoupledGroup
    from mutspec.structure.network import Network


@dataclass(frozen=True, slots=True)
class StepRecord:
    """The changes that one step makes.

    Arguments:
        id, op: the step's id and op.
        writes: what it does to each tensor, in the order of the model.
        non_finite: what to do about newly non-finite entries.
        edits: what it does to layers.
        created: the weights that it adds, as they are after it.
        claim: what it claims about the model's predictions.
        skipped: the weights that it leaves as they are because nothing fits them.
        asked: the nodes whose values it had to know to be compiled.
        coupled: the groups of layers of which it changes the widths together.
        draws: the draws that it may have made, by name, with their keys.
    """

    id: str
    op: str
    writes: tuple[TensorWrite, ...]
    non_finite: NonFinite
    edits: tuple[LayerEdit, ...] = ()
    created: tuple[TensorSpec, ...] = ()
    claim: SamePredictions | None = None
    skipped: tuple[SkippedWeight, ...] = ()
    asked: tuple[int, ...] = ()
    coupled: tuple[CoupledGroup, ...] = ()
    draws: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Program:
    """A plan compiled for a model.

    Arguments:
        plan: the plan.
        before, after: the spec of the model, and of the mutant.
        config: the serialised mutant, from which Keras can build it.
        graph: what each changed tensor is made of.
        steps: what each step does.
        warnings: what the user should know, positions filled in.
        output_change: what the steps do to the outputs; None if they do nothing to the architecture.
        network: the mutant, taken apart; None if weights alone change.
        former_network: the model, taken apart; None if weights alone change.
        asked_keras: the names of the layers of which only Keras knew the shapes that they make.
    """

    plan: Plan[Op]
    before: ModelSpec
    after: ModelSpec
    config: Mapping[str, Any]
    graph: Graph
    steps: tuple[StepRecord, ...]
    warnings: tuple[Problem, ...]
    output_change: OutputChange | None = None
    network: Network | None = None
    former_network: Network | None = None
    asked_keras: tuple[str, ...] = ()

    @property
    def is_structural(self) -> bool:
        """Whether the mutant has another architecture than the model."""
        return self.after is not self.before


def compile_plan(
    plan: Plan[Op],
    model: ModelSpec,
    inputs: Mapping[str, ModelSpec],
    non_finite: NonFinite = NonFinite.ERROR,
    *,
    config: Mapping[str, Any] | None = None,
    input_configs: Mapping[str, Mapping[str, Any]] | None = None,
    oracle: ShapeOracle | None = None,
    values: ValueReader | None = None,
    activations: ActivationReader | None = None,
) -> Program:
    """Lowers every step of a plan against a model, and reports the problems of all steps at once.

    Arguments:
        plan: the plan.
        model: the spec of the model to mutate.
        inputs: the specs of the other models, by the names that the plan declares.
        non_finite: what to do about newly non-finite entries where neither step nor plan say.
        config: the serialised model, which structural steps edit.
        input_configs: the serialised inputs, whose layers structural steps may take over.
        oracle: tells what shapes layers make; by default a table, which knows the common ones.
        values: computes what steps must know of the values of weights; by default nothing can.
        activations: measures the model on the data of the call; None if the call gives none.

    Raises:
        PlanError: a step does not fit the model.
        CallError: a step needs data, and those of the call do not fit the model.
        OpError: an op has a bug.
    """
    context = LoweringContext(
        {"": model, BASE: model, **inputs},
        config or {},
        {BASE: config or {}, **(input_configs or {})},
        oracle,
        value_reader=values,
        activation_reader=activations,
        has_base=BASE not in inputs,
    )
    records, problems, warnings = [], [], []
    refused = ""  # the first structural step that is
    changes: list[tuple[int, Architecture]] = []
    for number, op in enumerate(plan.steps):
        context.begin(op.context(number, plan.seed))
        try:
            writes = _lowered(op, context)
        except PlanError as error:
            problems += [plan.placed(_after(refused, each.below("steps", number))) for each in error.problems]
            refused = refused or (op.id if op.is_structural else "")
            continue
        except OpError as error:
            if problems:  # the op may fail as it does not find what a wrong step before it was to make
                break
            raise OpError(plan.placed(problem.below("steps", number)) for problem in error.problems) from error
        policy = or_default(op.non_finite, plan.non_finite or non_finite)
        claim = _claim(op, writes, context.edits)
        made = tuple(context.edits), tuple(context.created), claim, tuple(context.skipped), tuple(context.asked)
        coupled = tuple(context.coupled)
        records.append(StepRecord(op.id, op_name(type(op)), writes, policy, *made, coupled, tuple(context.draws)))
        warnings += _warnings(plan, number, context.notes)
        now = context.edited_architecture
        if now is not None and now is not (changes[-1][1] if changes else None):
            changes.append((number, now))
    if problems:
        raise PlanError(problems)
    graph, change = context.builder.build(), context.output_change
    if not changes:
        return Program(plan, model, model, config or {}, graph, tuple(records), tuple(warnings), change)
    from mutspec.lowering.mutant import mutant_of

    stages = [context.unedited_architecture, *(each for _, each in changes)]
    renames = [
        {edit.layer: edit.before for edit in records[number].edits if edit.kind is EditKind.RENAMED}
        for number, _ in changes
    ]
    mutant = mutant_of(plan, model, config or {}, stages, [number for number, _ in changes], renames, change)
    for (number, _), masks in zip(changes, mutant.mask_changes, strict=True):
        if masks:
            records[number], notes = _with_masks(records[number], masks)
            warnings += _warnings(plan, number, notes)
    warnings += mutant.warnings
    networks = mutant.network, stages[0].network
    return Program(plan, model, mutant.spec, mutant.config, graph, tuple(records), tuple(warnings), change, *networks)


def _warnings(plan: Plan[Op], step: int, notes: Sequence[str]) -> list[Problem]:
    """Returns a step's notes as warnings, without those that the plan allows."""
    rules = [note.rule if isinstance(note, SharingNote) else "" for note in notes]
    return [
        plan.placed(Problem(note, path=("steps", step), is_warning=True, rule=rule))
        for note, rule in zip(notes, rules, strict=True)
        if not rule or not (rule in plan.allowed or plan.recipe_allows(rule, ("steps", step)))
    ]


def _after(refused: str, problem: Problem) -> Problem:
    """Returns the problem of a step that comes after a refused structural step, and may need what that was to make."""
    if not refused:
        return problem
    first = f"fix `{refused}` first: this may follow from it"
    return replace(problem, hint=f"{problem.hint}; or {first}" if problem.hint else first)


def _with_masks(record: StepRecord, masks: MaskChange) -> tuple[StepRecord, tuple[str, ...]]:
    """Returns a step with what it does to masks, and what the user should know of that.

    With another mask, a layer predicts something else, whatever the step claims.
    """
    notes = (masks.note,) if masks.note and record.claim is not None else ()
    return replace(record, edits=(*record.edits, *masks.edits), claim=None), notes


def _claim(op: Op, writes: Sequence[TensorWrite], edits: Sequence[LayerEdit]) -> SamePredictions | None:
    """Returns what a step claims, which may follow from what it does."""
    keeps_all = bool(edits) and not writes and all(edit.keeps_predictions for edit in edits)
    return SamePredictions() if keeps_all else op.claim()


def _lowered(op: Op, context: LoweringContext) -> tuple[TensorWrite, ...]:
    """Returns what a step does to tensors.

    Raises:
        PlanError: the step does not fit the model.
        CallError: the data of the call do not fit the model.
        OpError: the op has a bug. An op of any package may fail in any way; its user needs to know which op it is, and
            its author where it fails.
    """
    try:
        writes = _checked(op.apply(context), context)
        context.check_created()
    except OpError as error:
        raise OpError(replace(problem, hint=remedy(op, error)) for problem in error.problems) from error
    except (PlanError, CallError, EnvironmentProblem):
        raise
    except (Exception, SystemExit) as error:  # SystemExit too: an op must not end the run and say nothing
        raise OpError(failure(op, error)) from error
    _refuse_nothing(op, writes, context.edits)
    return writes


def _checked(made: object, context: LoweringContext) -> tuple[TensorWrite, ...]:
    writes = tuple(made) if isinstance(made, Iterable) else (made,)
    if not all(isinstance(write, TensorWrite) for write in writes):
        raise context.bug("does not return a list of what `bind` returned, which `apply` must")
    return writes


def _refuse_nothing(op: Op, writes: Sequence[TensorWrite], edits: Sequence[LayerEdit]) -> None:
    if not writes and not edits and not op.allow_empty:
        what = "layers or arguments" if op.is_structural else "weights or another amount"
        raise PlanError("the step touches nothing", hint=f"choose other {what}, or say `allow_empty: true`")

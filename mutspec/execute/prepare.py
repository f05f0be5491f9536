"""Compiles a plan for models, which dry-runs and both executors begin with, and checks newly non-finite entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mutspec.access.read import Readable
from mutspec.errors import CallError, CheckError, Problem, nearest
from mutspec.execute.compile_time_values import ModelValues
from mutspec.execute.engine import Effect
from mutspec.graph.graph import Version
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.language.plan import Plan
from mutspec.language.types import NonFinite
from mutspec.lowering.base import Op
from mutspec.lowering.compile import Program, compile_plan
from mutspec.lowering.value_reader import ActivationReader
from mutspec.model.live import LiveModel, custom_classes
from mutspec.model.shapes import LayerShapes, ShapeOracle
from mutspec.text.words import listed


@dataclass(frozen=True)
class Prepared:
    """A plan compiled for models, before anything is computed.

    Arguments:
        program: the compiled plan.
        model: the model to mutate.
        inputs: the other models, by name.
        data: what the model was called on to compile the plan; None if the call gives no data.
    """

    program: Program
    model: Readable
    inputs: Mapping[str, Readable]
    data: Any = None


def prepare(
    plan: Plan[Op],
    model: Readable,
    inputs: Mapping[str, Readable],
    non_finite: NonFinite = NonFinite.ERROR,
    *,
    unsafe: bool = False,
    data: Any = None,
) -> Prepared:
    """Compiles a plan for models. Only weights whose values a step must know to be compiled are read.

    Arguments:
        plan: the plan.
        model: the model to mutate.
        inputs: the models of the plan's inputs, by name.
        non_finite: what newly non-finite entries mean if neither the step nor the plan says it.
        unsafe: whether code in the model (Lambda layers) may run, if only Keras can tell the shapes that a layer makes,
            or calls the model on the data.
        data: the model's inputs, for steps that measure activations: an array, or arrays by name or in their order.

    Raises:
        PlanError: the plan does not fit the model, or needs data, and there are none.
        CallError: the data do not fit the model.
    """
    specs = {name: other.spec for name, other in inputs.items()}
    asked: dict[str, None] = {}
    program = compile_plan(
        plan,
        model.spec,
        specs,
        non_finite,
        config=model.config,
        input_configs={name: other.config for name, other in inputs.items()},
        oracle=shape_oracle(model, unsafe, asked) if any(step.reads_architecture for step in plan.steps) else None,
        values=ModelValues({"": model, **inputs}),
        activations=None if data is None else _activations(model, data, unsafe),
    )
    return Prepared(replace(program, asked_keras=tuple(asked)) if asked else program, model, inputs, data)


def _activations(model: Readable, data: Any, unsafe: bool) -> ActivationReader:
    from mutspec.execute.activations import ModelActivations  # other plans do not need it

    return ModelActivations(model, data, unsafe)


def shape_oracle(model: Readable, unsafe: bool, asked: dict[str, None]) -> ShapeOracle:
    """Returns an oracle of the shapes that layers make: a table, and Keras for the rest.

    Arguments:
        model: the model to mutate.
        unsafe: whether code in it may run.
        asked: gets the names of the layers about which Keras is asked.
    """
    from mutspec.structure.shape_rules import TableOracle  # plans of weight steps do not need it

    def ask_keras(entry: Mapping[str, Any], inputs: tuple[TensorType, ...]) -> LayerShapes:
        from mutspec.model.live.oracle import KerasOracle

        if not oracles:
            classes = custom_classes(model.model) if isinstance(model, LiveModel) else {}
            oracles.append(KerasOracle(classes, safe_mode=not unsafe))
        asked[str((entry.get("config") or {}).get("name") or entry.get("name") or entry.get("class_name"))] = None
        return oracles[0](entry, inputs)

    oracles: list[ShapeOracle] = []
    return TableOracle(ask_keras)


def check_inputs(plan: Plan[Op], bound: Iterable[str]) -> None:
    """Checks that a call binds the inputs that the plan declares, and no others.

    Raises:
        CallError: an input is not bound, or the plan does not declare it.
    """
    names = tuple(bound)
    problems = [
        Problem(f"the plan's input `{name}` is not bound", hint=f"add --input {name}=MODEL")
        for name in plan.inputs
        if name not in names
    ]
    problems += [
        Problem(
            f"the plan declares no input `{name}`",
            hint="" if (candidates := nearest(name, plan.inputs)) else _declared(plan, name),
            candidates=candidates,
        )
        for name in names
        if name not in plan.inputs
    ]
    if problems:
        raise CallError(problems)


def _declared(plan: Plan[Op], name: str) -> str:
    """Returns what to do about an input that a plan does not declare."""
    declared = f"its inputs are {listed(list(plan.inputs))}; " if plan.inputs else ""
    return f"{declared}to use it in steps, declare it at the top of the plan: `inputs: {{{name}: {{}}}}`"


def non_finite_warnings(
    program: Program, effects: Mapping[Version, Effect], created: Mapping[str, int] | None = None
) -> tuple[Problem, ...]:
    """Returns a warning for each step and tensor with newly non-finite entries, if the step allows them.

    Arguments:
        program: what was computed.
        effects: what each version changed.
        created: how many entries of new weights began as infinite or NaN, by the weights' origins.

    Raises:
        CheckError: a step does not allow them.
    """
    problems = []
    for number, step in enumerate(program.steps):
        counts = [(write.tensor, effects[write.version].non_finite) for write in step.writes]
        counts += [(tensor, (created or {}).get(tensor.origin, 0)) for tensor in step.created]
        for tensor, count in counts:
            if count:
                is_allowed = step.non_finite is NonFinite.REPORT
                problem = Problem(
                    f"step `{step.id}` makes {count:,} of {tensor.size:,} entries of `{tensor.path}` infinite or NaN",
                    path=("steps", number),
                    hint="" if is_allowed else "change its values, or say `non_finite: report` to let them stand",
                    is_warning=is_allowed,
                )
                problems.append(program.plan.placed(problem))
    if errors := [problem for problem in problems if not problem.is_warning]:
        raise CheckError(errors)
    return tuple(problems)


def begun_non_finite(effects: Mapping[Version, Effect], ends: Mapping[str, int]) -> dict[str, int]:
    """Counts the entries of new weights that are infinite or NaN, and were so before a step changed them.

    Arguments:
        effects: what each version changed.
        ends: how many entries of new weights are infinite or NaN at the end, by origin.
    """
    made = Counter[str]()
    for version, effect in effects.items():
        made[version.origin] += effect.non_finite
    return {origin: max(0, count - made[origin]) for origin, count in ends.items()}

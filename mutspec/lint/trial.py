"""What steps do to weights, told without a model: they are compiled for one layer of many weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from msgspec import UNSET
from msgspec.structs import fields
from msgspec.structs import replace as replace_step

from mutspec.errors import MutspecError, Problem
from mutspec.graph.graph import Graph
from mutspec.graph.sameness import unchangeable
from mutspec.keras_facts.roles import Group
from mutspec.language.plan import Plan
from mutspec.language.types import Case
from mutspec.lint.liveness import live_nodes, random_steps
from mutspec.lowering.base import Op, WeightOp
from mutspec.lowering.compile import Program, compile_plan
from mutspec.model.spec import LayerSpec, ModelSpec, TensorSpec

_SHAPE = (4096, 4096)
"""Large enough that a small part of the entries is not rounded to none."""


@dataclass(frozen=True)
class Trial:
    """What some steps do to a layer.

    Arguments:
        is_random: whether the first one draws random numbers.
        has_effect: whether the first one can change anything.
        is_overwritten: whether nothing of what the first one makes is left after the last one.
    """

    is_random: bool
    has_effect: bool
    is_overwritten: bool


def tried(steps: Sequence[Op], seed: int) -> Trial | None:
    """Returns what steps on weights do to a layer that all of them change.

    Arguments:
        steps: the steps.
        seed: the plan's seed.

    Returns:
        The trial; None if it tells nothing, as for steps that change layers or need weights of their own kind.
    """
    if not all(isinstance(step, WeightOp) for step in steps):
        return None
    found = []
    for variant in _variants(steps[0]):
        program = _compiled([variant, *(next(iter(_variants(step))) for step in steps[1:])], seed)
        if program is None or not program.steps[0].writes:
            return None
        found.append(_trial(program))
    return Trial(
        any(each.is_random for each in found),
        any(each.has_effect for each in found),
        all(each.is_overwritten for each in found),
    )


def _trial(program: Program) -> Trial:
    graph: Graph = program.graph
    first = [write.version for write in program.steps[0].writes]
    still, live = unchangeable(graph), live_nodes(program)
    return Trial(
        0 in random_steps(program),
        any(version not in still for version in first),
        all(version.node not in live for version in first),
    )


def _variants(step: Op) -> Iterator[Op]:
    """Yields the step for all weights: once, or once for each entry of its lists of values by target."""
    lists = {}
    for info in fields(step):
        value = getattr(step, info.name)
        if isinstance(value, tuple) and value and isinstance(value[0], Case):
            lists[info.name] = value
    for index in range(max((len(cases) for cases in lists.values()), default=1)):
        values = {name: cases[min(index, len(cases) - 1)].value for name, cases in lists.items()}
        yield replace_step(step, target="*", seed=UNSET, allow_empty=True, **values)


def _compiled(steps: Sequence[Op], seed: int) -> Program | None:
    named = tuple(replace_step(step, id=f"step_{number}") for number, step in enumerate(steps))
    plan = Plan("trial", "", seed, {}, (), {}, None, named, {}, _Nowhere())
    try:
        return compile_plan(plan, _MODEL, {})
    except MutspecError:  # the step needs another model; or data, or what an input gives
        return None


class _Nowhere:
    """The source of a plan that nobody wrote."""

    def locate(self, path: object) -> None:
        """Returns no place."""

    def told(self, problem: Problem) -> Problem:
        """Returns the problem as it is."""
        return problem


_MODEL = ModelSpec(
    "model",
    "Sequential",
    (LayerSpec("dense", "dense", "Dense", ("Dense", "Layer")),),
    (
        TensorSpec("dense/kernel", "dense", "kernel", Group.KERNELS, _SHAPE, "float32", 1, "dense/kernel"),
        TensorSpec("dense/bias", "dense", "bias", Group.BIASES, _SHAPE[1:], "float32", 0, "dense/bias"),
    ),
)

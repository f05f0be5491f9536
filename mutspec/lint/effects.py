"""Rules about steps that change less than they seem to, or more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec import UNSET, to_builtins

from mutspec.errors import Problem
from mutspec.graph.graph import Graph, Version, reached
from mutspec.graph.sameness import unchangeable
from mutspec.language.types import exact_share
from mutspec.lint.liveness import live_nodes
from mutspec.lint.rule import Subject
from mutspec.lowering.base import Op, WeightOp
from mutspec.text import words

if TYPE_CHECKING:
    from mutspec.lowering.compile import Program, StepRecord

_MOST_NAMES = 3


def no_effect(subject: Subject) -> Iterator[Problem]:
    """A step that cannot change anything, or of which nothing is left at the end.

    Noise of size 0, a factor of 1, an amount of 0, and noise on weights that a later step fills or transfers as a whole
    leave the mutant as it would be without them. A mutant that equals its base only looks robust. Remove the step, put
    it after the one that overwrites it, or give it another value. A recipe whose default is "nothing" allows it. With a
    model, it is found for all steps on weights: also where different targets select the same weights, or where a later
    step removes the layer.
    """
    useless = {} if subject.program is None else _useless(subject.program)
    following = _following(subject.plan.steps)
    for number, step in subject.steps():
        reason = useless.get(number) or _reason(subject, number, step, following.get(number))
        if reason:
            yield Problem(f"step `{step.id}` has no effect: {reason}", path=("steps", number))


def _reason(subject: Subject, number: int, step: Op, following: int | None) -> str:
    """Returns why a step has no effect on any model; empty if it may have one.

    Arguments:
        subject: the plan.
        number: the number of the step.
        step: the step.
        following: the number of the next step with the same target.
    """
    if not isinstance(step, WeightOp):
        return ""
    if _is_no_amount(step):
        return "its amount is 0"
    trial = subject.trial(number)
    if trial is not None and not trial.has_effect:
        return "with these values it leaves every weight as it is"
    both = None if following is None else subject.trial(number, following)
    if following is not None and both is not None and both.is_overwritten:
        return f"step `{subject.plan.steps[following].id}` overwrites all that it changes"
    return ""


def _following(steps: Sequence[Op]) -> dict[int, int]:
    """Returns for steps on weights the next one with the same target, if only steps on weights are between them."""
    found: dict[int, int] = {}
    last: dict[str, int] = {}
    for number, step in enumerate(steps):
        if not isinstance(step, WeightOp):
            last.clear()
            continue
        target = json.dumps(to_builtins(step.target))
        if target in last:
            found[last[target]] = number
        last[target] = number
    return found


def _is_no_amount(step: WeightOp) -> bool:
    amounts = [
        step.fraction is not UNSET and exact_share(step.fraction) == 0,
        step.count is not UNSET and step.count == 0,
        step.rate is not UNSET and exact_share(step.rate) == 0,
        step.indices is not UNSET and not step.indices,
    ]
    return any(amounts) and step.at_least == 0


def _useless(program: Program) -> dict[int, str]:
    """Returns the steps that have no effect on a model, by number, and why."""
    still, live = unchangeable(program.graph), live_nodes(program)
    found = {}
    for number, record in enumerate(program.steps):
        versions = [write.version for write in record.writes]
        if not versions or record.edits or record.created:
            continue
        if all(version in still for version in versions):
            found[number] = "with these values it leaves every weight as it is"
        elif all(version.node not in live for version in versions):
            found[number] = _why_dead(program, number)
    return found


def _why_dead(program: Program, number: int) -> str:
    origins = {write.version.origin for write in program.steps[number].writes}
    after = [
        record.id
        for record in program.steps[number + 1 :]
        if any(write.version.origin in origins for write in record.writes)
    ]
    if not after:
        return "later steps remove the layers of all that it changes"
    return f"step `{after[-1]}` overwrites all that it changes"


def order_matters(subject: Subject) -> Iterator[Problem]:
    """Two steps that share some of their weights, and do something else in the other order.

    Where two steps select the same weights, the second one clearly builds on the first. If they share only some, it is
    often an accident: `type: Dense` and `head` meet in one layer, which is scaled and then filled. Leave these weights
    out of one of the steps, with `not:`; or allow it if the order is meant. Steps that only add, or only multiply, are
    not found, because their order does not matter. It is found with a model only.
    """
    program = subject.program
    if program is None:
        return
    useless = _useless(program)
    shared: dict[tuple[int, int], list[str]] = {}
    for versions in _versions(program).values():
        for (one, _), (other, path) in pairwise(versions):
            if one.step not in useless and not _commute(program.graph, one, other):
                shared.setdefault((other.step, one.step), []).append(path)
    for (later, earlier), paths in sorted(shared.items()):
        before, record = program.steps[earlier], program.steps[later]
        if _origins(before) != _origins(record):
            # A recipe that allows it means the order of its own steps, not that of a step of somebody else's.
            is_allowed = subject.plan.recipe_allows("order-matters", ("steps", later))
            yield Problem(
                f"the order of the steps `{before.id}` and `{record.id}` matters, because both change "
                f"{words.listed(paths, _MOST_NAMES)}, but not the same weights in all",
                path=("steps", earlier if is_allowed else later),
                hint="leave these out of one of the two with `not:`, or allow the rule if the order is meant",
            )


def _versions(program: Program) -> dict[str, list[tuple[Version, str]]]:
    """Returns the versions of each weight, by its origin, each with its path at that time."""
    found: dict[str, list[tuple[Version, str]]] = {}
    for record in program.steps:
        for write in record.writes:
            found.setdefault(write.version.origin, []).append((write.version, write.tensor.path))
    return found


def _origins(record: StepRecord) -> frozenset[str]:
    return frozenset(write.version.origin for write in record.writes)


def _commute(graph: Graph, one: Version, other: Version) -> bool:
    """Returns whether two changes of a weight certainly make the same in any order, rounding aside."""
    kind = _kind(graph, one)
    return kind != "" and kind == _kind(graph, other)


_KINDS = {"add": "adds", "subtract": "adds", "multiply": "scales", "divide": "scales"}


def _kind(graph: Graph, version: Version) -> str:
    """Returns how a version is made of the one before: "adds", "scales", a number that it is set to; else nothing."""
    number = version.node
    while (node := graph.nodes[number]).primitive in ("cast", "reshape", "spread", "choose", "select"):
        number = node.inputs[1 if node.primitive == "select" else 0]
    if node.primitive == "constant":
        return f"is {node.attribute('value')}"
    kind, operands = _KINDS.get(node.primitive, ""), node.inputs
    if node.primitive in ("add", "multiply") and not _is_before(graph, operands[0], version.before):
        operands = operands[::-1]
    if not kind or not _is_before(graph, operands[0], version.before):
        return ""
    depends = version.before in reached(graph.nodes, operands[1:])
    return "" if depends else kind


def _is_before(graph: Graph, number: int, before: int) -> bool:
    """Returns whether a node is the version before, perhaps in another dtype."""
    while number != before and graph.nodes[number].primitive in ("cast", "reshape"):
        number = graph.nodes[number].inputs[0]
    return number == before


def tied_weights(subject: Subject) -> Iterator[Problem]:
    """A step that changes weights which belong to several places of the model.

    A shared layer, and an embedding that is tied to the output layer, are one storage with several paths. A step that
    selects one of the paths changes all of them, and counts the weights once. If that is meant, allow it. If not, give
    each place weights of its own first: `unshare_weights` does. It is found with a model only.
    """
    program = subject.program
    for warning in program.warnings if program else ():
        if warning.rule == "tied-weights":
            yield replace(warning, hint="the step changes all of these places; `unshare_weights` makes them differ")

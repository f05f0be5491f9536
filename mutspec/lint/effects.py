"""Rules about steps that change less than they seem to, or more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import UNSET

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
    for number, step in subject.steps():
        reason = useless.get(number) or _reason(subject, number, step)
        if reason:
            yield Problem(f"step `{step.id}` has no effect: {reason}", path=("steps", number))


def _reason(subject: Subject, number: int, step: Op) -> str:
    """Returns why a step has no effect on any model; empty if it may have one."""
    if not isinstance(step, WeightOp):
        return ""
    if _is_no_amount(step):
        return "its amount is 0"
    trial = subject.trial(number)
    if trial is not None and not trial.has_effect:
        return "with these values it leaves every weight as it is"
    for later in range(number + 1, len(subject.plan.steps)):
        other = subject.plan.steps[later]
        if not isinstance(other, WeightOp):
            return ""
        if other.target == step.target and (pair := subject.trial(number, later)) and pair.is_overwritten:
            return f"step `{other.id}` overwrites all that it changes"
    return ""


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
    for later, record in enumerate(program.steps):
        for earlier, before in enumerate(program.steps[:later]):
            both = [] if earlier in useless else _in_both(before, record)
            shared = [path for path, one, other in both if not _commute(program.graph, one, other)]
            if shared:
                yield Problem(
                    f"the order of the steps `{before.id}` and `{record.id}` matters, because both change "
                    f"{words.listed(shared, _MOST_NAMES)}, but not the same weights in all",
                    path=("steps", later),
                    hint="leave these out of one of the two with `not:`, or allow the rule if the order is meant",
                )
                break


def _in_both(one: StepRecord, other: StepRecord) -> list[tuple[str, Version, Version]]:
    """Returns the weights that two steps change, if they do not change the same ones in all."""
    first, second = _versions(one), _versions(other)
    if first.keys() == second.keys():
        return []
    paths = {write.version.origin: write.tensor.path for write in other.writes}
    return [(paths[origin], first[origin], second[origin]) for origin in second if origin in first]


def _versions(record: StepRecord) -> Mapping[str, Version]:
    return {write.version.origin: write.version for write in record.writes}


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

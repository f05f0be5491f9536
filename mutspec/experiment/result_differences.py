"""Differences between a result that is there and one that is wanted, in the words of messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mutspec.experiment.labels import data_identity, evaluate_identity, model_identity, plan_identity
from mutspec.experiment.result import Result
from mutspec.text import words

_DIGITS = 6
"""The number of digits of digests in messages."""


def differences(known: Result, wanted: Result) -> Iterator[str]:
    """Yields what the results of two jobs of the same folder differ in: plan, model, data, settings, seeds."""
    if plan_identity(known) != plan_identity(wanted):
        yield from _of_plans(known, wanted)
    if model_identity(known) != model_identity(wanted):
        is_same = known.model.weights_digest == wanted.model.weights_digest
        digests = [each.structure_digest if is_same else each.weights_digest for each in (known.model, wanted.model)]
        yield two("the model", known.model.path, digests[0], wanted.model.path, digests[1])
    if data_identity(known) != data_identity(wanted):
        yield two("the data", known.data.name, known.data.digest, wanted.data.name, wanted.data.digest)
    if evaluate_identity(known) != evaluate_identity(wanted):
        yield "the loss or the metrics are others"
    seeds = [tuple(row.seed for row in each.rows) for each in (known, wanted)]
    if seeds[0] != seeds[1]:
        ranges = [seed_range(sorted(each)) for each in seeds]
        is_told = ranges[0] != ranges[1]
        yield f"the seeds are {ranges[0]}, not {ranges[1]}" if is_told else "the seeds are others"
    if known.job.overrides != wanted.job.overrides and plan_identity(known) == plan_identity(wanted):
        yield two_values("the settings", list(known.job.overrides), list(wanted.job.overrides))


def _of_plans(known: Result, wanted: Result) -> Iterator[str]:
    names = dict.fromkeys([*known.parameters, *wanted.parameters])
    pairs = {name: (known.parameters.get(name), wanted.parameters.get(name)) for name in names}
    changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if known.plan.name != wanted.plan.name or not changed:
        yield two("the plan", known.plan.name, known.plan.effect_digest, wanted.plan.name, wanted.plan.effect_digest)
        return
    for name, pair in changed.items():
        yield two_values(f"params.{name}", *pair)


def two_values(what: str, there: Any, here: Any) -> str:
    """Returns that something has one value there, and another one is wanted."""
    return f"{what} is {words.flow(there)}, not {words.flow(here)}"


def seed_range(seeds: Sequence[int]) -> str:
    """Returns the first and the last of some sorted seeds."""
    if not seeds:
        return "none"
    return f"{seeds[0]}" if seeds[0] == seeds[-1] else f"{seeds[0]} to {seeds[-1]}"


def two(what: str, name: str, digest: str, other_name: str, other: str) -> str:
    """Returns that one thing is there, and another one is wanted."""
    if name != other_name:
        return f"{what} is `{name}`, not `{other_name}`"
    return f"{what} is another `{name}`, @{digest[:_DIGITS]} and not @{other[:_DIGITS]}"

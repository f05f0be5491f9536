"""Labels of plans, models and data, and of what evaluated: two have the same label only where digests are equal.

Results know what they are of by digests; what the call named is for people. A name that stands for several things gets
what tells them apart: what the call chose a recipe by, or else the beginning of a digest, `noise @3fa2c1`. Results of
format version 1 have no digests. Among themselves their names count, and they are never taken for a later result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

from msgspec.structs import replace

from mutspec.experiment.result import Result
from mutspec.experiment.result_settings import PARAMETER, key, settings

UNKNOWN = "unknown"
"""Stands for the digest of what has none."""
_FEWEST_DIGITS = 6
_INPUT = "inputs."

Identity = tuple[str, ...]
"""Digests that are equal for what is the same; empty where none is known."""
Given = dict[str, Any]


@dataclass(frozen=True)
class Labelled:
    """Results with labels in the place of names.

    Arguments:
        results: the results.
        given: what each was given, by name (see `settings`). What is the same is called the same.
        joined: the names of what is the same, where several are given: what it is, and the names.
    """

    results: tuple[Result, ...]
    given: tuple[Given, ...]
    joined: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class _Part:
    """Something that results are of.

    Arguments:
        name: the setting that names it.
        identity: its digests in a result.
        prefixes: how the other settings begin that belong to it.
    """

    name: str
    identity: Callable[[Result], Identity]
    prefixes: tuple[str, ...]

    def own(self, given: Mapping[str, Any]) -> Given:
        """Returns the settings that belong to it."""
        return {name: value for name, value in given.items() if name == self.name or name.startswith(self.prefixes)}


def plan_identity(result: Result) -> Identity:
    """Returns what tells plans apart; seeds do not."""
    return (result.plan.effect_digest,) if result.plan.effect_digest else ()


def model_identity(result: Result) -> Identity:
    """Returns what tells models apart."""
    model = result.model
    return (model.weights_digest, model.structure_digest) if model.weights_digest else ()


def data_identity(result: Result) -> Identity:
    """Returns what tells data apart."""
    return (result.data.digest,) if result.data.digest else ()


def evaluate_identity(result: Result) -> Identity:
    """Returns what tells apart by which loss and metrics results were evaluated."""
    return (result.evaluate_digest,) if result.evaluate_digest else ()


def _input_identity(result: Result, name: str) -> Identity:
    digest = result.inputs.get(name)
    return (digest,) if digest else ()


_PLAN = _Part("plan", plan_identity, ("plan.", PARAMETER))
_MODEL = _Part("model", model_identity, ("model.",))
_DATA = _Part("data", data_identity, ("data.",))
_EVALUATE = _Part("evaluate", evaluate_identity, ("evaluate.",))


def labelled(results: Iterable[Result]) -> Labelled:
    """Returns results with labels: settings that differ in them differ where the digests do."""
    results = tuple(results)
    given = [settings(result) for result in results]
    inputs = dict.fromkeys(name for result in results for name in result.inputs)
    others = [_MODEL, _DATA, *(_Part(_INPUT + name, partial(_input_identity, name=name), ()) for name in inputs)]
    joined = [(part.name, names) for part in (_PLAN, *others) for names in _join(results, given, part)]
    others.append(_EVALUATE)  # not joined: its settings, such as the batch size, are more than what its digest tells
    for part in others:
        _tell_apart(results, given, part)
    _tell_plans_apart(results, given, others)
    return Labelled(tuple(map(_with_labels, results, given)), tuple(given), tuple(joined))


def _with_labels(result: Result, given: Given) -> Result:
    labels = (given["plan"], given["model"], given["data"])
    if labels == (result.plan.name, result.model.path, result.data.name):
        return result
    plan, model, data = labels
    return replace(
        result,
        plan=replace(result.plan, name=plan),
        model=replace(result.model, path=model),
        data=replace(result.data, name=data),
    )


def _join(results: Sequence[Result], given: Sequence[Given], part: _Part) -> list[tuple[str, ...]]:
    """Gives to results of the same thing the settings that the first of them has of it.

    Returns:
        For each thing with several names, these.
    """
    first: dict[Identity, Given] = {}
    names: dict[Identity, dict[str, None]] = {}
    for result, each in zip(results, given, strict=True):
        if identity := part.identity(result):
            own = part.own(each)
            name = (part is _PLAN and result.plan.recipe) or str(own.get(part.name, ""))
            names.setdefault(identity, {})[name] = None
            known = first.setdefault(identity, own)
            for name in own:
                del each[name]
            each.update(known)
    return [tuple(each) for each in names.values() if len(each) > 1]


def _tell_apart(results: Sequence[Result], given: Sequence[Given], part: _Part) -> None:
    """Adds a digest to each name that stands for several things, unless settings that belong to it tell them apart."""
    ambiguous = _ambiguous(results, given, part.identity, part.own, part.name)
    for name in ambiguous:
        called = [index for index, each in enumerate(given) if each.get(part.name, "") == name and results[index].rows]
        endings = _endings({part.identity(results[index]) for index in called})
        for index in called:
            given[index][part.name] = _ended(name, endings[part.identity(results[index])])


def _ambiguous(
    results: Sequence[Result],
    given: Sequence[Given],
    identity: Callable[[Result], Identity],
    seen: Callable[[Given], Given],
    name: str,
) -> list[str]:
    """Returns the names under which different things look the same."""
    found: dict[tuple[tuple[str, str], ...], set[Identity]] = {}
    names: dict[tuple[tuple[str, str], ...], str] = {}
    for result, each in zip(results, given, strict=True):
        if result.rows:  # of a job that failed nothing is known
            what = tuple(sorted((setting, key(value)) for setting, value in seen(each).items()))
            found.setdefault(what, set()).add(identity(result))
            names[what] = each.get(name, "")
    return list(dict.fromkeys(names[what] for what, several in found.items() if len(several) > 1))


def _tell_plans_apart(results: Sequence[Result], given: Sequence[Given], others: Sequence[_Part]) -> None:
    """Tells plans apart by recipe; and where the same recipe was given the same and does something else, by effect."""
    recipes: dict[Identity, tuple[Identity, str]] = {}
    """By what a plan does, the recipe's digest, and what the call chose it by."""
    for result in results:
        recipe: Identity = (result.plan.recipe_digest,) if result.plan.recipe_digest else ()
        recipes.setdefault(plan_identity(result), (recipe, result.plan.recipe))

    def recipe_of(result: Result) -> Identity:
        return recipes[plan_identity(result)][0]

    names = [each["plan"] for each in given]
    bases = list(names)
    for name in _ambiguous(results, given, recipe_of, lambda each: {"plan": each["plan"]}, "plan"):
        called = [index for index, each in enumerate(names) if each == name and results[index].rows]
        chosen = dict(recipes[plan_identity(results[index])] for index in called)
        labels = ends = _shortest_ends(chosen)
        if labels is None or set(labels.values()) & (set(names) - {name}):
            labels, ends = {recipe: _ended(name, ending) for recipe, ending in _endings(chosen).items()}, None
        for index in called:
            recipe = recipe_of(results[index])
            given[index]["plan"], bases[index] = labels[recipe], ends[recipe] if ends else name

    def but_for_others(each: Given) -> Given:
        elsewhere = [part.own(each) for part in others]
        return {name: value for name, value in each.items() if not any(name in own for own in elsewhere)}

    for label in _ambiguous(results, given, plan_identity, but_for_others, "plan"):
        called = [index for index, each in enumerate(given) if each["plan"] == label and results[index].rows]
        endings = _endings({plan_identity(results[index]) for index in called})
        for index in called:
            given[index]["plan"] = _ended(bases[index], endings[plan_identity(results[index])])


def _shortest_ends(chosen: Mapping[Identity, str]) -> dict[Identity, str] | None:
    """The last parts of paths such as `paper/noise`, as many as tell them apart; None if whole paths do not."""
    paths = [path.split("/") for path in chosen.values()]
    if "" in chosen.values() or len(set(chosen.values())) < len(chosen):
        return None
    numbers = range(1, max(map(len, paths)) + 1)
    number = next(number for number in numbers if len({tuple(each[-number:]) for each in paths}) == len(paths))
    return {identity: "/".join(path[-number:]) for identity, path in zip(chosen, paths, strict=True)}


def _endings(identities: Iterable[Identity]) -> dict[Identity, str]:
    """Returns for each identity the unique beginning of a digest: of the first digest in which all differ."""
    known = sorted(each for each in identities if each)
    digests = {each: blake2b("/".join(each).encode()).hexdigest() for each in known}
    for index in reversed(range(max(map(len, known), default=0))):
        parts = {each: each[index] for each in known}
        digests = parts if len(set(parts.values())) == len(known) else digests
    size = next(
        size for size in range(_FEWEST_DIGITS, 129) if len({each[:size] for each in digests.values()}) == len(digests)
    )
    return {(): UNKNOWN, **{each: digest[:size] for each, digest in digests.items()}}


def _ended(name: str, ending: str) -> str:
    return f"{name} @{ending}".lstrip()

"""What differs between a lock and what there is now, in words. A pure function of two documents.

Each difference has the path of the value in the lock. What decides nothing is a warning: another version of NumPy, for
instance, as results are compared themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from mutspec.access.sketch import relative_distance
from mutspec.errors import DocumentPath, Problem
from mutspec.recipes.lock_document import (
    RELATIVE_L2,
    Lock,
    LockedModel,
    LockedPlan,
    LockedResult,
    LockedSketch,
    LockedStep,
)
from mutspec.text.words import flow, plural

_LONGEST = 60
"""The most characters of a value of a plan in a message."""


def differences(locked: Lock, now: Lock, *, is_compiled: bool = True) -> list[Problem]:
    """Returns what differs before anything is computed: plan, parameters, models, versions, targets.

    Arguments:
        locked: what the lock says.
        now: what there is.
        is_compiled: whether that has the targets of the steps.
    """
    found = [*_versions(locked, now), *_plan(locked.plan, now.plan), *_steps(locked.steps, now.steps)]
    if not _decides(found) and locked.plan.digest != now.plan.digest:
        message = "the name, description, metadata or lint settings of the plan differ from those of the lock"
        found.append(Problem(message, path=("plan", "digest"), is_warning=True))
    plan_differs = _decides(found)
    found += _model(locked.model, now.model, "the model", ("model",))
    found += _inputs(locked.inputs, now.inputs)
    found += _data(locked, now)
    if is_compiled and not plan_differs:
        found += _all_targets(locked.steps, now.steps)
    return found


def result_differences(locked: LockedResult, now: LockedResult, model: LockedModel) -> list[Problem]:
    """Returns what differs between two results.

    Arguments:
        locked: that of the lock.
        now: that of a mutant, with a sketch of each weight that has one in the lock.
        model: the lock's model, which has the layers and ports of results that do not state any.
    """
    path: DocumentPath = ("result",)
    found: list[Problem] = []
    before, after = _or(locked.layers, model.layers), _or(now.layers, model.layers)
    found += _layers(before, after, "the result", path, is_same=locked.structure == now.structure)
    tolerance = RELATIVE_L2 if locked.tolerance is UNSET else locked.tolerance.relative_l2
    for problem in _tensors(locked.tensors, now.tensors, "the result", path, before.keys() ^ after.keys()):
        name = str(problem.path[-1])
        if name in locked.numeric and name in now.numeric and _same_form(locked, now, name):
            if words := _beyond(locked.numeric[name], now.numeric[name], tolerance):
                found.append(Problem(f"the result: `{name}` {words}", path=("result", "numeric", name)))
        else:
            found.append(problem)
    if locked.structure != now.structure and not found:
        is_same = _or(locked.ports, model.ports) == _or(now.ports, model.ports)
        found.append(_otherwise("the result", path, means_the_same=is_same))
    return found


def _decides(problems: list[Problem]) -> bool:
    return any(not problem.is_warning for problem in problems)


_Value = TypeVar("_Value")


def _or(value: _Value | UnsetType, other: _Value) -> _Value:
    return other if isinstance(value, UnsetType) else value


# -- the plan


def _versions(locked: Lock, now: Lock) -> Iterator[Problem]:
    if locked.versions.language != now.versions.language:
        message = f"the plan language has version {now.versions.language}, the lock {locked.versions.language}"
        yield Problem(message, path=("versions", "language"))
    for package in ("mutspec", "numpy", "keras"):
        was, is_now = getattr(locked.versions, package), getattr(now.versions, package)
        if was != is_now and UNSET not in (was, is_now):
            title = {"numpy": "NumPy", "keras": "Keras"}.get(package, package)
            message = f"the lock was made with {title} {was}, this is {is_now}"
            yield Problem(message, path=("versions", package), is_warning=True)


def _data(locked: Lock, now: Lock) -> Iterator[Problem]:
    if locked.data is UNSET and now.data is not UNSET:
        yield Problem("the call gives data, the lock has none", path=())
    elif locked.data is not UNSET and now.data is UNSET:
        yield Problem("the call gives no data, the lock has some", path=("data",))
    elif locked.data is not UNSET and now.data is not UNSET and locked.data.digest != now.data.digest:
        yield Problem("the data are other ones than those of the lock", path=("data", "digest"))


def _plan(locked: LockedPlan, now: LockedPlan) -> Iterator[Problem]:
    path: DocumentPath = ("plan",)
    if locked.seed != now.seed:
        yield Problem(f"the seed is {now.seed}, the lock has {locked.seed}", path=(*path, "seed"))
    yield from _values(locked.params, now.params, "", "parameter ", (*path, "params"))
    if locked.non_finite != now.non_finite:
        was, is_now = (each if isinstance(each, str) else "not stated" for each in (locked.non_finite, now.non_finite))
        yield Problem(f"`non_finite` is {is_now}, the lock has {was}", path=(*path, "non_finite"))
    is_same = locked.digest == now.digest  # of the plan with the steps of all recipes that it uses
    for name in dict.fromkeys((*locked.files, *now.files)):
        if locked.files.get(name) != now.files.get(name):
            words = "is used now" if name not in locked.files else "is not used any more"
            words = "was changed" if name in locked.files and name in now.files else words
            words += ", which makes the same plan" if is_same else ""
            yield Problem(f"the recipe `{name}` {words}", path=(*path, "files", name), is_warning=is_same)


def _values(
    locked: Mapping[str, Any], now: Mapping[str, Any], where: str, kind: str, path: DocumentPath
) -> Iterator[Problem]:
    for key in dict.fromkeys((*locked, *now)):
        if key not in now:
            yield Problem(f"{where}{kind}`{key}` is missing, the lock has {_short(locked[key])}", path=(*path, key))
        elif key not in locked:
            yield Problem(f"{where}{kind}`{key}` is {_short(now[key])}, the lock does not have it", path=(*path, key))
        elif locked[key] != now[key] or isinstance(locked[key], bool) is not isinstance(now[key], bool):
            message = f"{where}{kind}`{key}` is {_short(now[key])}, the lock has {_short(locked[key])}"
            yield Problem(message, path=(*path, key))


def _short(value: Any) -> str:
    text = flow(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _steps(locked: tuple[LockedStep, ...], now: tuple[LockedStep, ...]) -> Iterator[Problem]:
    before, after = [each.id for each in locked], [each.id for each in now]
    path: DocumentPath = ("steps",)
    steps = {each.id: each for each in now}
    for number, step in enumerate(locked):
        here = (*path, number)
        if step.id not in steps:
            yield Problem(f"the plan has no step `{step.id}`, which the lock has", path=here)
            continue
        other = steps[step.id]
        if step.op != other.op:
            yield Problem(f"step `{step.id}`: `op` is {other.op}, the lock has {step.op}", path=(*here, "op"))
        else:
            yield from _values(step.keys, other.keys, f"step `{step.id}`: ", "", (*here, "keys"))
    for name in after:
        if name not in before:
            yield Problem(f"the plan has the step `{name}`, which the lock does not have", path=path)
    common = [name for name in after if name in before]
    if common != [name for name in before if name in after]:
        yield Problem(f"the steps come in another order than in the lock, {', '.join(before)}", path=path)


def _all_targets(locked: tuple[LockedStep, ...], now: tuple[LockedStep, ...]) -> Iterator[Problem]:
    for number, (step, other) in enumerate(zip(locked, now, strict=False)):
        where, path = f"step `{step.id}`", ("steps", number, "targets")
        for name in dict.fromkeys((*step.targets, *other.targets)):
            was, is_now = step.targets.get(name), other.targets.get(name)
            if is_now is None:
                yield Problem(f"{where} does not choose `{name}`, which it does in the lock", path=(*path, name))
            elif was is None:
                yield Problem(f"{where} chooses `{name}`, which it does not in the lock", path=path)
            elif was != is_now:
                message = f"{where} chooses {plural(is_now, 'entry')} of `{name}`, in the lock {was:,}"
                yield Problem(message, path=(*path, name))
        for line in step.layers:
            if line not in other.layers:
                yield Problem(f"{where} does not do this to layers, as it does in the lock: {line}", path=path[:2])
        for line in other.layers:
            if line not in step.layers:
                yield Problem(f"{where} does this to layers, which it does not in the lock: {line}", path=path[:2])


# -- models


def _inputs(locked: Mapping[str, LockedModel], now: Mapping[str, LockedModel]) -> Iterator[Problem]:
    for name in dict.fromkeys((*locked, *now)):
        what, path = f"the input `{name}`", ("inputs", name)
        if name not in now:
            yield Problem(f"{what} of the lock is not bound", path=path)
        elif name not in locked:
            yield Problem(f"{what} is not in the lock", path=("inputs",))
        else:
            yield from _model(locked[name], now[name], what, path)


def _model(locked: LockedModel, now: LockedModel, what: str, path: DocumentPath) -> list[Problem]:
    found: list[Problem] = []
    found += _layers(locked.layers, now.layers, what, path, is_same=locked.structure == now.structure)
    found += _tensors(locked.tensors, now.tensors, what, path, locked.layers.keys() ^ now.layers.keys())
    if locked.structure != now.structure and not found:
        found.append(_otherwise(what, path, means_the_same=locked.ports == now.ports))
    return found


def _otherwise(what: str, path: DocumentPath, *, means_the_same: bool) -> Problem:
    """Returns how a structure differs if its layers and weights do not."""
    if means_the_same:
        message = f"the configuration of {what} is written in another way than that of the lock, and means the same"
        return Problem(message, path=(*path, "structure"), is_warning=True)
    return Problem(f"{what} differs in its inputs, outputs or shared weights", path=(*path, "ports"))


def _layers(
    locked: Mapping[str, str], now: Mapping[str, str], what: str, path: DocumentPath, *, is_same: bool
) -> Iterator[Problem]:
    """Yields how layers differ. If the structures are the same, only a lock that was edited has other layers.

    Then digests decide nothing: another version of mutspec may know more about what a configuration means.
    """
    for layer, was in locked.items():
        here = (*path, "layers", layer)
        if layer not in now:
            yield Problem(f"{what} has no layer `{layer}`, which the lock has", path=here)
        elif now[layer] != was:
            before, after = was.partition(" ")[0], now[layer].partition(" ")[0]
            if is_same and before == after:
                continue
            words = (
                f"is a {after}, in the lock a {before}" if before != after else "is configured or called in another way"
            )
            yield Problem(f"{what}: the layer `{layer}` {words}", path=here)
    for layer in now:
        if layer not in locked:
            yield Problem(f"{what} has the layer `{layer}`, which the lock does not have", path=(*path, "layers"))
    common = [layer for layer in now if layer in locked]
    if common != [layer for layer in locked if layer in now]:
        yield Problem(f"{what} has its layers in another order than the lock", path=(*path, "layers"))


def _tensors(
    locked: Mapping[str, str], now: Mapping[str, str], what: str, path: DocumentPath, other_layers: Set[str]
) -> Iterator[Problem]:
    """Yields the differences of weights, except of those whose layers come or go."""
    for name, was in locked.items():
        here = (*path, "tensors", name)
        if name not in now:
            if not _is_in(name, other_layers):
                yield Problem(f"{what} has no weight `{name}`, which the lock has", path=here)
        elif now[name] != was:
            before, after = was.rpartition(" ")[0], now[name].rpartition(" ")[0]
            words = "has other values than in the lock" if before == after else f"is {after}, in the lock {before}"
            yield Problem(f"{what}: `{name}` {words}", path=here)
    for name in now:
        if name not in locked and not _is_in(name, other_layers):
            yield Problem(f"{what} has the weight `{name}`, which the lock does not have", path=(*path, "tensors"))


def _is_in(name: str, layers: Set[str]) -> bool:
    while name := name.rpartition("/")[0]:
        if name in layers:
            return True
    return False


# -- numeric values


def as_before(locked: LockedResult, now: LockedResult) -> LockedResult:
    """Returns a result with what the lock has for numeric weights that are within its tolerance.

    Otherwise a lock that is made again on another processor would change in its last bits.
    """
    tolerance = locked.tolerance
    if tolerance is UNSET or now.tolerance is UNSET:
        return now
    same = [
        name
        for name, sketch in now.numeric.items()
        if name in locked.numeric
        and _same_form(locked, now, name)
        and not _beyond(locked.numeric[name], sketch, tolerance.relative_l2)
    ]
    return replace(
        now,
        tensors=now.tensors | {name: locked.tensors[name] for name in same},
        numeric=now.numeric | {name: locked.numeric[name] for name in same},
        tolerance=tolerance,
    )


def _same_form(locked: LockedResult, now: LockedResult, name: str) -> bool:
    was, is_now = locked.tensors.get(name, ""), now.tensors.get(name, "")
    return was.rpartition(" ")[0] == is_now.rpartition(" ")[0]


def _beyond(locked: LockedSketch, now: LockedSketch, tolerance: float) -> str:
    """Returns how a weight with numeric values differs by more than the tolerance; empty if it does not."""
    if locked.non_finite != now.non_finite:
        return f"has {plural(now.non_finite, 'entry')} that are infinite or NaN, in the lock {locked.non_finite:,}"
    if len(locked.projections) != len(now.projections):
        return f"has a sketch of {len(now.projections)} numbers, in the lock {len(locked.projections)}"
    distance = relative_distance(locked.projections, now.projections, locked.l2)
    if distance <= tolerance:
        return ""
    return f"differs from the lock by about {distance:.2g} of its norm, and {tolerance:g} are allowed"

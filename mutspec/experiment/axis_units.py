"""The units of a plan's numbers, for the axes of charts: `× std of the weight`, percent, a probability."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mutspec.experiment.result_settings import PARAMETER, PERCENT
from mutspec.language import Plan
from mutspec.language.inlining import Inlined
from mutspec.language.interpolation import NAME
from mutspec.language.nodes import Sequence, Table, child, node_at, plain
from mutspec.language.overrides import step_id
from mutspec.language.recipe_files import recipe_name
from mutspec.language.schema import SEPARATOR
from mutspec.language.steps import name_in_recipe
from mutspec.language.types import Scale
from mutspec.lowering.base import Op
from mutspec.lowering.noise_op import Mode

SIZES = ("std", "low", "high", "scale", "by", "resolution")
"""The keys of steps whose numbers are in the unit that `relative_to` names."""
OF_SIZES = {
    Scale.ABSOLUTE: "absolute",
    Scale.STD: "× std of the weight",
    Scale.WEIGHT: "× the weight",
    Scale.MAX_ABS: "× largest |weight|",
    Scale.CHANNEL_MAX: "× largest |weight| of the channel",
}
OF_OTHERS = {"fraction": PERCENT, "rate": "probability", "rate_per_bit": "probability per bit"}

_STEPS = "plan.steps."
_PARAMETER = re.compile(rf"\$\{{params\.({NAME})\}}")


def units(plan: Plan[Op]) -> dict[str, str]:
    """The units of a plan's numbers, by the names of settings: `params.std`, `plan.steps.jitter.std`.

    A parameter has a unit if all the keys that it stands for have the same one.
    """
    found: dict[str, str] = {}
    of_parameters: dict[str, set[str]] = {}
    for number, step in enumerate(plan.steps):
        written = _written(plan, number)
        for key, unit in _of_step(step):
            found[f"{_STEPS}{step.id.replace(SEPARATOR, '.steps.')}.{key}"] = unit
            for name in _settings(written, key):
                of_parameters.setdefault(name, set()).add(unit)
    return found | {name: each.pop() for name, each in of_parameters.items() if len(each) == 1}


def _written(plan: Plan[Op], number: int) -> list[Mapping[str, Any]]:
    """A step as it is written; before that, if it is one of a recipe, the steps that lead to it, the plan's own first.

    What is written in a recipe has the places at which it is used.
    """
    inlined: Inlined = plan.source.inlined
    own = inlined.numbers[number] if inlined.numbers else number
    chain = inlined.chain(("steps", number))
    paths = [("steps", own), *(use.path for use in reversed(chain[:-1]))]
    roots = [plan.source.written, *(use.file.root for use in reversed(chain) if use.file is not None)]
    found = [node_at(root, path) for root, path in zip(roots, paths, strict=False)]
    if chain:
        name = name_in_recipe(plan.steps[number].id)
        steps = child(roots[-1], "steps")
        found += [step for step in (steps.items if isinstance(steps, Sequence) else ()) if step_id(step) == name][:1]
    return [plain(node) if isinstance(node, Table) else {} for node in found]


def _settings(written: list[Mapping[str, Any]], key: str) -> Iterator[str]:
    """The settings that a key of a step stands for: parameters of the plan, and values that it passes to a recipe."""
    *uses, step = written
    names = list(_parameters(step.get(key)))
    for number, use in reversed(list(enumerate(uses))):
        passed = use.get("with")
        given = [(name, passed[name]) for name in names if isinstance(passed, Mapping) and name in passed]
        if not number:
            identity = use.get("id") or recipe_name(str(use.get("use")))
            yield from (f"{_STEPS}{identity}.with.{name}" for name in names)
        names = [each for _, value in given for each in _parameters(value)]
    yield from (PARAMETER + name for name in names)


def _of_step(step: Op) -> Iterator[tuple[str, str]]:
    relative_to = getattr(step, "relative_to", None)
    if isinstance(relative_to, Scale):
        size = OF_SIZES[Scale.WEIGHT if getattr(step, "mode", None) is Mode.MULTIPLY else relative_to]
        yield from ((key, size) for key in SIZES if hasattr(step, key))
    yield from ((key, unit) for key, unit in OF_OTHERS.items() if hasattr(step, key))


def _parameters(value: Any) -> Iterator[str]:
    """The parameters that a value of a plan stands for, also within values by target."""
    if isinstance(value, str):
        yield from (match[1] for match in [_PARAMETER.fullmatch(value)] if match)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _parameters(each)
    elif isinstance(value, list):
        for each in value:
            yield from _parameters(each)

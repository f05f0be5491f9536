"""The units of a plan's numbers, for the axes of charts: `× std of the weight`, percent, a probability."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mutspec.experiment.result_settings import PARAMETER, PERCENT
from mutspec.language import Plan
from mutspec.language.interpolation import NAME
from mutspec.language.nodes import plain
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

_PARAMETER = re.compile(rf"\$\{{params\.({NAME})\}}")


def units(plan: Plan[Op]) -> dict[str, str]:
    """The units of a plan's numbers, by the names of settings: `params.std`, `plan.steps.jitter.std`.

    A parameter has a unit if all the keys that it stands for have the same one.
    """
    found: dict[str, str] = {}
    of_parameters: dict[str, set[str]] = {}
    written = plain(plan.source.written).get("steps")
    for number, step in enumerate(plan.steps):
        keys = written[number] if isinstance(written, list) and number < len(written) else {}
        for key, unit in _of_step(step):
            found[f"plan.steps.{step.id}.{key}"] = unit
            for name in _parameters(keys.get(key) if isinstance(keys, Mapping) else None):
                of_parameters.setdefault(name, set()).add(unit)
    return found | {PARAMETER + name: each.pop() for name, each in of_parameters.items() if len(each) == 1}


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

"""Settings of jobs by name, and which of them differ between jobs.

A setting is called `plan`, `model`, `data`, `params.<name>`, or as the override that made it: `plan.steps.jitter.std`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mutspec.experiment.result import MOST, Result
from mutspec.text import words

PARAMETER = "params."
"""The beginning of settings that are parameters of the plan, as in `${params.std}`."""

PERCENT = "%"
"""The unit of a setting that is a part of something, and is written in percent."""

_OVERRIDE = re.compile(r"\+{0,2}([^=+~]+)=(.*)", re.DOTALL)
_OF_THE_RUN = re.compile(r"hydra[./].*|(plan\.)?seeds?|objective")
"""Overrides that are not settings: they say how jobs are run, or are seeds, which are rows."""
_PERCENT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*")


def settings(result: Result) -> dict[str, Any]:
    """Returns the settings of a job by name: those that its result states, then the other overrides.

    The number that a search scaled is left out: the search did not use what the job was given.
    """
    found: dict[str, Any] = {"plan": result.plan.name, "model": result.model.path, "data": result.data.name}
    found |= {PARAMETER + name: value for name, value in result.parameters.items()}
    given: dict[str, Any] = {}
    for override in result.job.overrides:
        match = _OVERRIDE.fullmatch(override)
        if match is not None and not _OF_THE_RUN.fullmatch(match[1]) and not is_scaled(result, match[1]):
            given[_name(match[1])] = _value(match[2])  # of one key the last one counts, as to Hydra
    return found | {name: value for name, value in given.items() if not found.get(name)}  # if it failed, it knows these


def is_scaled(result: Result, key: str) -> bool:
    """Tells whether an override is of the number that a search for a breaking point scaled."""
    return result.breaking is not None and key.strip().lstrip("+") == f"plan.{result.breaking.key}"


def varying(results: Iterable[Result], labelled: Sequence[Mapping[str, Any]] | None = None) -> tuple[str, ...]:
    """Returns the names of the settings that differ between the jobs, in the order of the jobs' overrides.

    A parameter of a plan varies if it does so between jobs with that plan. An override that only says in other words
    what another setting says, such as the choice of a model that goes with the model's path, is left out.

    Arguments:
        results: of the jobs.
        labelled: the settings of each, with labels that tell apart what is not the same; by default with names.
    """
    results = list(results)
    every = [settings(result) for result in results] if labelled is None else labelled
    given = [each for each, result in zip(every, results, strict=True) if result.rows] or every
    names = list(dict.fromkeys(name for each in given for name in each))
    columns = {name: [key(each.get(name)) for each in given] for name in names}
    found: dict[str, list[str]] = {}
    for name in names:
        if name.startswith(PARAMETER):
            differs = len(set(zip(columns["plan"], columns[name], strict=True))) > len(set(columns["plan"]))
        else:
            differs = len(set(columns[name])) > 1
        is_own_word = name not in ("plan", "model", "data") and not name.startswith(PARAMETER)
        if differs and not (is_own_word and any(_says_the_same(columns[name], other) for other in found.values())):
            found[name] = columns[name]
    return tuple(sorted(found, key=lambda name: _position(name, results)))


def as_number(value: Any) -> float | None:
    """Returns a setting as a number, also a percentage; None if it is not a number, or one too large for a picture."""
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        value = float(match[1]) / 100
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST:
        return None
    return float(value)


def is_percentage(value: Any) -> bool:
    """Tells whether a setting is written in percent."""
    return isinstance(value, str) and _PERCENT.fullmatch(value) is not None


def shown(value: Any) -> str:
    """Returns a setting's value as text for people."""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    return words.NOTHING if value in (None, "") else value if isinstance(value, str) else words.flow(value)


def labels(names: Sequence[str]) -> list[str]:
    """Returns the names of settings in tables and pictures: without `params.` and the like, where they stay unique."""
    short = [re.sub(r"^(params|plan\.steps|plan)\.", "", name) for name in names]
    return [each if short.count(each) == 1 else name for each, name in zip(short, names, strict=True)]


def _name(key: str) -> str:
    """Returns the name of the setting that an override sets."""
    key = key.strip().partition("@")[0]
    return key.removeprefix("plan.") if key.startswith("plan.params.") else key


def _value(text: str) -> Any:
    """Returns the value of an override, with numbers and quotes read as Hydra does."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return re.sub(
            rf"(\\+)(?={text[0]}|\Z)", lambda found: found[1][len(found[1]) - len(found[1]) // 2 :], text[1:-1]
        )
    try:
        return int(text) if re.fullmatch(r"[+-]?[0-9]{1,300}", text) else float(text)
    except ValueError:
        return text


def key(value: Any) -> str:
    """Returns a text that is the same for equal values, such as 1 and 1.0."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    return json.dumps(value, sort_keys=True) if number is None else repr(float(number))


def _says_the_same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Tells whether two settings tell the same jobs apart."""
    return len(set(one)) == len(set(other)) == len(set(zip(one, other, strict=True)))


def _position(name: str, results: Sequence[Result]) -> int:
    """Returns the position of a setting in the overrides; after all of them if it is not there."""
    for result in results:
        for number, override in enumerate(result.job.overrides):
            match = _OVERRIDE.fullmatch(override)
            if match is not None and _name(match[1]) == name:
                return number
    return 1 << 20


_POSITION = re.compile(
    r"(?:.*[._])?(?:bits?|position|index|axis|channel|unit|neuron|row|column|block|head|layer|class|step|seed)",
    re.IGNORECASE,
)
"""Settings whose numbers say which thing, not how much of it, by the last word of their names."""


def is_position(setting: str) -> bool:
    """Tells by its name whether the numbers of a setting say which thing is meant, such as a bit of a weight."""
    return _POSITION.fullmatch(setting) is not None

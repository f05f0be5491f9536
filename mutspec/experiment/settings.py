"""What jobs were given, by name, and which of it differs between them.

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
"""How the settings begin that are parameters of the plan, as in `${params.std}`."""

_OVERRIDE = re.compile(r"\+{0,2}([^=+~]+)=(.*)", re.DOTALL)
_OF_THE_RUN = re.compile(r"hydra[./].*|(plan\.)?seeds?|objective")
"""Overrides that are no setting: how jobs are run, and the seeds, which are rows."""
_PERCENT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*")


def settings(result: Result) -> dict[str, Any]:
    """What a job was given, by name: what its result says, then the overrides that are none of that.

    What a search scaled is not among it: whatever the job was given, the search did not use.
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
    """Whether an override is of the number that a search for a breaking point scaled."""
    return result.breaking is not None and key.strip().lstrip("+") == f"plan.{result.breaking.key}"


def varying(results: Iterable[Result], labelled: Sequence[Mapping[str, Any]] | None = None) -> tuple[str, ...]:
    """The names of the settings that differ between the jobs, in the order in which the jobs' overrides have them.

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
    """The number that a setting is, percentages too; None if it is none, or one that no picture has room for."""
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        value = float(match[1]) / 100
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST:
        return None
    return float(value)


def is_percentage(value: Any) -> bool:
    """Whether a setting is written in percent."""
    return isinstance(value, str) and _PERCENT.fullmatch(value) is not None


def shown(value: Any) -> str:
    """A setting's value for people."""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    return words.NOTHING if value in (None, "") else value if isinstance(value, str) else words.flow(value)


def labels(names: Sequence[str]) -> list[str]:
    """What to call settings in tables and pictures: without `params.` and the like, where that leaves them apart."""
    short = [re.sub(r"^(params|plan\.steps|plan)\.", "", name) for name in names]
    return [each if short.count(each) == 1 else name for each, name in zip(short, names, strict=True)]


def _name(key: str) -> str:
    """What the setting is called that an override sets."""
    key = key.strip().partition("@")[0]
    return key.removeprefix("plan.") if key.startswith("plan.params.") else key


def _value(text: str) -> Any:
    """The value of an override, as Hydra would have it as far as numbers and quotes go."""
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
    """A text that is the same for equal values: 1 and 1.0 too."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    return json.dumps(value, sort_keys=True) if number is None else repr(float(number))


def _says_the_same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two settings tell the same jobs apart."""
    return len(set(one)) == len(set(other)) == len(set(zip(one, other, strict=True)))


def _position(name: str, results: Sequence[Result]) -> int:
    """Where the overrides have a setting; behind them if they have not."""
    for result in results:
        for number, override in enumerate(result.job.overrides):
            match = _OVERRIDE.fullmatch(override)
            if match is not None and _name(match[1]) == name:
                return number
    return 1 << 20

"""Settings that Python gives where a call gives a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from mutspec.experiment.bisection import Search
from mutspec.experiment.checks import boundless
from mutspec.experiment.gates import Gate
from mutspec.experiment.job_settings import EvaluateSettings
from mutspec.experiment.jobs.mistakes import wrong_value
from mutspec.language import CallError

T = TypeVar("T")


def as_evaluate(values: Mapping[str, Any]) -> EvaluateSettings:
    """Settings of the group `evaluate` from Python; what is not said is as in `evaluate=classification`.

    Raises:
        CallError: something is wrong.
    """
    return _converted({"loss": "crossentropy", "metrics": ["accuracy"], **values}, EvaluateSettings, "evaluate")


def as_search(values: Mapping[str, Any]) -> Search:
    """A search for breaking points from Python; what is None is as in `mode=breaking_point`.

    Raises:
        CallError: something is wrong.
    """
    return _converted({name: value for name, value in values.items() if value is not None}, Search, "breaking_point")


def as_gates(values: Iterable[Mapping[str, Any]]) -> list[Gate]:
    """Gates from Python.

    Raises:
        CallError: something is wrong.
    """
    gates = _converted([dict(each) for each in values], list[Gate], "require")
    if problems := list(boundless(gates)):
        raise CallError(problems)
    return gates


def _converted(values: Any, kind: type[T], name: str) -> T:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        raise CallError(wrong_value(f"{message} - at `$.{name}{where.removesuffix('`')}`", ())) from None

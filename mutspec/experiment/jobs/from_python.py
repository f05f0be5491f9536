"""Settings that Python gives where a call gives a configuration."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from mutspec.errors import CallError
from mutspec.experiment.evaluation.metric_names import OBJECT
from mutspec.experiment.gates import Gate, boundless
from mutspec.experiment.job_settings import EvaluateSettings, Search
from mutspec.experiment.jobs.mistakes import wrong_value

T = TypeVar("T")


def as_evaluate(values: Mapping[str, Any]) -> EvaluateSettings:
    """Settings of the group `evaluate` from Python; what is not said is as in `evaluate=classification`.

    Raises:
        CallError: something is wrong.
    """
    given = {"loss": "crossentropy", "metrics": ["accuracy"], **values}
    given |= {key: _as_specs(given[key]) for key in ("loss", "metrics")}
    return _converted(given, EvaluateSettings, "evaluate")


def _as_specs(value: Any) -> Any:
    """Returns losses or metrics as the configuration has them: an object or a function is a mapping that holds it."""
    if isinstance(value, list | tuple):
        return [_as_specs(each) for each in value]
    if isinstance(value, Mapping):
        return dict(value) if "_target_" in value else {name: _as_specs(each) for name, each in value.items()}
    return _spec_of(value) if callable(value) or hasattr(value, "update_state") else value


def _spec_of(made: Any) -> dict[str, Any]:
    """Returns the mapping of an object or a function. The arguments of an object are what its name may be made of.

    Raises:
        CallError: it is a class.
    """
    if isinstance(made, type):
        message = f"`evaluate` has the class {made.__name__}, not an object of it"
        raise CallError(message, hint=f"write {made.__name__}(), with its arguments")
    config: Mapping[str, Any] = {}
    with suppress(Exception), warnings.catch_warnings():  # a class of the user may have any configuration, or none
        warnings.simplefilter("ignore")
        config = dict(made.get_config())
    arguments = {key: value for key, value in config.items() if key not in ("name", "dtype") and key[:1] != "_"}
    function = getattr(made, "func", made)
    kind = function if hasattr(function, "__qualname__") else type(made)
    return {**arguments, "_target_": f"{kind.__module__}.{kind.__qualname__}", OBJECT: made}


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

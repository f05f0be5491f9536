"""Loss and metrics of each output: the same for all, or by the outputs' names, as Keras's `compile` takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from mutspec.errors import CallError, Problem, nearest
from mutspec.experiment.job_settings import EvaluateSettings


def of_output(settings: EvaluateSettings, name: str) -> EvaluateSettings:
    """Returns the settings of one output."""
    by_output = dict(_by_output(settings))
    loss = by_output["loss"].get(name) if "loss" in by_output else settings.loss
    metrics = by_output["metrics"].get(name) if "metrics" in by_output else settings.metrics
    return replace(settings, loss=loss, metrics=_listed(metrics))


def parts(settings: EvaluateSettings) -> dict[str, EvaluateSettings]:
    """Returns the settings of each output that has some of its own; those of all others go by the empty text.

    Raises:
        CallError: what stands for a loss or a metric is neither a name nor a mapping with `_target_`.
    """
    if problems := list(_wrong(settings)):
        raise CallError(problems)
    names = [str(name) for _, value in _by_output(settings) for name in value]
    return {name: of_output(settings, name) for name in dict.fromkeys(["", *names])}


def check_outputs(settings: EvaluateSettings, outputs: Iterable[str]) -> None:
    """Checks that the names in the mappings are those of outputs.

    Raises:
        CallError: some are not.
    """
    there = list(outputs)
    has = f"the model has {', '.join(f'`{name}`' for name in there)}"
    problems = [
        Problem(f"`evaluate.{key}` names the output `{name}`, and {has}", candidates=nearest(str(name), there))
        for key, value in _by_output(settings)
        for name in value
        if name not in there
    ]
    if problems:
        raise CallError(problems)


def _by_output(settings: EvaluateSettings) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the settings that are given by output."""
    for key in ("loss", "metrics"):
        value = getattr(settings, key)
        if isinstance(value, Mapping) and "_target_" not in value:
            yield key, value


def _listed(metrics: Any) -> list[Any]:
    """Returns the metrics of one output, of which a single one needs no list."""
    return [] if metrics is None else list(metrics) if isinstance(metrics, list | tuple) else [metrics]


def _wrong(settings: EvaluateSettings) -> Iterator[Problem]:
    for key, value in _by_output(settings):
        for name, each in value.items():
            specs = _listed(each) if key == "metrics" or each is None else [each]
            if not all(isinstance(spec, str) or (isinstance(spec, Mapping) and "_target_" in spec) for spec in specs):
                what = "a loss" if key == "loss" else "metrics"
                hint = "give a name of Keras, or a mapping with `_target_`"
                yield Problem(f"`evaluate.{key}.{name}` is {each!r}, which does not name {what}", hint=hint)

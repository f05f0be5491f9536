"""The costs of models: their parameters, and the multiply–adds that it takes to predict one sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mutspec.errors import ModelError
from mutspec.experiment.metric_kinds import MULTIPLY_ADDS, PARAMETERS
from mutspec.model.live import LiveModel
from mutspec.show.report import Report

Costs = Mapping[str, int]
"""The costs of a model by name, as far as they are known."""


def costs_of(model: LiveModel) -> Costs:
    """Returns the costs of a model."""
    from mutspec.structure.multiply_adds import multiply_adds
    from mutspec.structure.network_config import network_of

    try:
        count = multiply_adds(network_of(model.config)).count
    except ModelError:  # its layers are called by code
        count = None
    return _known(model.spec.parameters, count)


def costs_after(report: Report, base: Costs) -> Costs:
    """Returns the costs of a mutant.

    Arguments:
        report: what the plan did.
        base: the costs of its base, which only structural plans change.
    """
    if report.multiply_adds is None:
        return base
    return _known(report.parameters_after, report.multiply_adds[1].count)


def costs_in(report: Report, *, is_after: bool) -> dict[str, Any]:
    """Returns the costs before or after a plan as far as its report tells them, as fields of a result."""
    count = None if report.multiply_adds is None else report.multiply_adds[is_after].count
    return {PARAMETERS: report.parameters_after if is_after else report.parameters_before, MULTIPLY_ADDS: count}


def _known(parameters: int, multiply_adds: int | None) -> Costs:
    known = {} if multiply_adds is None else {MULTIPLY_ADDS: multiply_adds}
    return {PARAMETERS: parameters, **known}

"""Objectives: the values that jobs return to sweepers, and the direction that an optimising sweeper has for each."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Self

from omegaconf import DictConfig, ListConfig, OmegaConf

from mutspec.errors import CallError, nearest
from mutspec.experiment.job_settings import objective_names
from mutspec.experiment.result import Result

DIRECTIONS = ("minimize", "maximize")
_EXAMPLE = "'objective=[agreement,drop.loss]' 'hydra.sweeper.direction=[minimize,maximize]'"


class NoNumber(float):
    """NaN that cannot be made a float.

    Optuna's sweeper counts a trial as failed if its value cannot be made a float, and ends if the value is NaN.
    """

    def __new__(cls) -> Self:
        """NaN."""
        return super().__new__(cls, math.nan)

    def __float__(self) -> float:
        """Raises a ValueError, which Optuna's sweeper takes for a failed trial."""
        raise ValueError("the job has no value")

    def __reduce__(self) -> tuple[Any, ...]:
        """Supports launchers that run jobs in other processes."""
        return type(self), ()


def returned(result: Result) -> float | tuple[float, ...] | None:
    """Returns the objective of a job, or all of several; None if it evaluated nothing."""
    values = tuple(NoNumber() if math.isnan(value) else value for value in result.objectives.values())
    return values if len(values) > 1 else values[0] if values else None


def directions_of(hydra: DictConfig, objectives: Iterable[str]) -> dict[str, str]:
    """Returns the direction of each objective, as the sweeper of a multirun has it; empty if it does not optimise."""
    given = OmegaConf.select(hydra, "sweeper.direction")
    if given is None or not str(hydra.mode).endswith("MULTIRUN"):
        return {}
    return dict(zip(objectives, _named(given), strict=False))


def _named(given: Any) -> list[str]:
    """Returns the names of directions, given as one or as a list."""
    return [str(getattr(each, "name", each)) for each in (given if isinstance(given, ListConfig) else [given])]


def check_directions(config: DictConfig) -> None:
    """Checks a sweeper's directions against the objectives.

    Raises:
        CallError: their numbers differ, or a direction is neither of the two.
    """
    given = OmegaConf.select(config, "hydra.sweeper.direction")
    if given is None:
        return
    directions = _named(given)
    for each in directions:
        if each not in DIRECTIONS:
            message = f"`hydra.sweeper.direction` is {' or '.join(DIRECTIONS)}, not `{each}`"
            raise CallError(message, candidates=nearest(each, DIRECTIONS))
    asked = max(1, len(objective_names(config.objective)))
    if asked != len(directions):
        message = f"the sweeper has {len(directions)} in `hydra.sweeper.direction`, and `objective` names {asked}"
        raise CallError(message, hint=f"give a direction for each measure: {_EXAMPLE}")

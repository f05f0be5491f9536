"""The settings of a job, as values: what the groups of the configuration hold, and what Python gives in their place."""

from __future__ import annotations

from collections.abc import Iterator
from math import isinf
from sys import float_info
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from mutspec.errors import Problem
from mutspec.experiment.gates import Gate

MOST_DOUBLINGS = 10
"""The number of times that `high` is doubled, if no limit is given."""


class Search(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a search for breaking points.

    Arguments:
        key: what is scaled, as `--set` names it; None for the plan's only numeric parameter.
        metric: the measure that breaks; None for the first one.
        min, max, max_drop: what it holds to, as a gate says; none for a drop of 0.1, if the measure is a share.
        low: a scale at which it holds.
        high: the scale that is tried first, and doubled for as long as it holds.
        limit: the greatest scale; None for 1024 times `high`.
        tolerance: how far apart, relatively, the last scale that holds and the first one that breaks may be.
    """

    key: str | None = None
    metric: str | None = None
    min: float | None = None
    max: float | None = None
    max_drop: Annotated[float, Meta(gt=0)] | None = None
    low: Annotated[float, Meta(ge=0)] = 0.0
    high: Annotated[float, Meta(gt=0)] = 1.0
    limit: Annotated[float, Meta(gt=0)] | None = None
    tolerance: Annotated[float, Meta(ge=1e-6, le=1)] = 0.01

    def gate(self, metric: str) -> Gate:
        """Returns the gate of a measure that is not broken."""
        return Gate(metric, self.min, self.max, self.max_drop)

    @property
    def greatest(self) -> float:
        """The greatest scale."""
        return min(self.high * 2.0**MOST_DOUBLINGS, float_info.max) if self.limit is None else self.limit

    def problems(self) -> Iterator[tuple[str, Problem]]:
        """Yields the problems that no single value shows, with the key that is wrong."""
        for name, value in (("high", self.high), ("limit", self.greatest)):
            if isinf(value):
                yield name, Problem(f"`{name}` is infinite, and a scale must be a finite number")
                return
        if self.low >= self.high:
            yield "low", Problem(f"`low` is {self.low:g}, and must be less than `high`, which is {self.high:g}")
        if self.greatest < self.high:
            yield "limit", Problem(f"`limit` is {self.limit:g}, and must be at least `high`, which is {self.high:g}")


class ModelSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The group `model`: the file, whether code in it may run, and whether checksums are checked, of inputs too."""

    path: str
    unsafe: bool = False
    verify: bool = True


class ModeSettings(Search, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The group `mode`: whether base and mutant are evaluated, and whether they are compared tensor by tensor.

    Or whether the mutant's breaking point is searched for, as the other keys say.
    """

    name: str
    evaluates: bool = True
    compares: bool = False
    bisects: bool = False


class EvaluateSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The group `evaluate`: a loss and metrics of Keras, by name or as a mapping with `_target_`.

    Both may also be mappings of these by the names of outputs.
    """

    loss: str | dict[str, Any] | None = None
    metrics: list[str | dict[str, Any]] | dict[str, Any] = []
    from_logits: bool | Literal["auto"] = "auto"
    agreement: bool = True
    batch_size: Annotated[int, Meta(ge=1)] = 512


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of a job. Its plan is apart.

    Arguments:
        model, mode, evaluate: the groups of these names.
        data: the function that returns the data, as `_target_`, and its arguments.
        inputs: the model files of the plan's inputs.
        objective: the measure that the job returns, or several; None for the first one.
        seeds: how many seeds to evaluate, from the plan's own on.
        save: whether to keep the mutant, or the name of its file.
        provenance: whether a mutant that is kept says where it comes from.
        require: what the mutant must hold to; one that does not is not kept.
        strict_gates: whether a sweep, as a single run, ends with exit code 1 if a job's mutant does not.
        resume: whether a job whose folder has its result already is not run again; or the folder of the sweep.
        force: whether results of other jobs, which are in the way, may be replaced.
    """

    model: ModelSettings
    data: dict[str, Any]
    mode: ModeSettings
    evaluate: EvaluateSettings
    inputs: dict[str, str] = {}
    objective: str | list[str] | None = None
    seeds: Annotated[int, Meta(ge=1)] = 1
    save: bool | str = False
    provenance: bool = True
    require: list[Gate] = []
    strict_gates: bool = False
    resume: bool | str = False
    force: bool = False


def objective_names(objective: Any) -> tuple[str, ...]:
    """Returns the measures that the setting `objective` names."""
    return (objective,) if isinstance(objective, str) else tuple(objective or ())

"""Results of sweeps that never ran: plausible numbers, the same every time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from itertools import product
from math import exp
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct, structs

from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.sensitivity import sensitivity
from mutspec.experiment.result import DataInfo, JobInfo, ModelInfo, PlanInfo, Result, Row

SCALES = (0.03, 0.1, 0.3, 1, 3)
SAMPLES = 540
BASE = {"accuracy": 525 / SAMPLES, "loss": 0.0912}

_PARTS = {
    "plan_name": ("plan", "name"),
    "plan_digest": ("plan", "digest"),
    "effect_digest": ("plan", "effect_digest"),
    "recipe": ("plan", "recipe"),
    "recipe_digest": ("plan", "recipe_digest"),
    "model": ("model", "path"),
    "structure_digest": ("model", "structure_digest"),
    "weights_digest": ("model", "weights_digest"),
    "base_parameters": ("model", "parameters"),
    "base_multiply_adds": ("model", "multiply_adds"),
    "data": ("data", "name"),
    "samples": ("data", "samples"),
    "data_digest": ("data", "digest"),
}
"""What the parts of a result's parts are called here, in one word each."""


def replace(value: Any, /, **changes: Any) -> Any:
    """A result, or something else, with other values; those within its parts are named by `_PARTS`."""
    if not isinstance(value, Struct):
        return dataclasses.replace(value, **changes)
    if isinstance(value, Result):
        for name in _PARTS.keys() & changes.keys():
            part, key = _PARTS[name]
            value = structs.replace(value, **{part: structs.replace(getattr(value, part), **{key: changes.pop(name)})})
    return structs.replace(value, **changes)


def row(seed: int, scale: float = 0.3, *, half_at: float = 1.0, **changes: Any) -> Row:
    """A mutant whose accuracy falls with the size of its noise, to a half at `half_at`; in whole samples."""
    luck = Random(f"{seed} {half_at}").gauss(0, 1)
    kept = 1 / (1 + (abs(scale) / half_at * exp(0.12 * luck)) ** 2.2)
    accuracy = round((0.1 + 0.8722 * kept) * SAMPLES) / SAMPLES
    loss = BASE["loss"] + 3.1 * (1 - kept)
    metrics = {"accuracy": accuracy, "loss": loss}
    drop = {name: BASE[name] - value for name, value in metrics.items()}
    made = Row(seed, metrics, drop, round((0.1 + 0.9 * kept) * SAMPLES) / SAMPLES, 0, 20_880, 20_878, 0.08)
    return replace(made, **changes)


def result(
    number: int | None = None,
    overrides: Iterable[str] = (),
    rows: Iterable[Row] = (row(0),),
    parameters: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Result:
    """A job of the plan `dense_noise` on the digits."""
    rows = tuple(rows)
    values = [each.metrics["accuracy"] for each in rows if "accuracy" in each.metrics]
    made = Result(
        engine="mutspec 0.1.0",
        job=JobInfo(number, tuple(overrides), "." if number is None else str(number)),
        plan=PlanInfo("dense_noise", "8e2f7c0b3a5d4e19"),
        parameters={"std": 0.5} if parameters is None else dict(parameters),
        mode="apply",
        model=ModelInfo("conf/model/digits.keras", "51b8d6f3c7a09e42"),
        data=DataInfo("digits", SAMPLES),
        objective="accuracy",
        base=dict(BASE),
        rows=rows,
        value=sum(values) / len(values) if values else None,
        output=None,
        warnings=(),
        error=None,
        environment={"python": "3.11.7", "platform": "Linux x86_64", "numpy": "2.4.6", "keras": "3.15.1"},
    )
    return replace(made, **changes)


def sweep(scales: Iterable[Any] = SCALES, seeds: int = 5, **changes: Any) -> list[Result]:
    """`mutspec run -m plan.params.std=… plan.seed=range(…)`: a job for each scale and seed."""
    return [
        result(number, [f"plan.params.std={scale}", f"plan.seed={seed}"], [row(seed, scale)], {"std": scale}, **changes)
        for number, (scale, seed) in enumerate(product(scales, range(seeds)))
    ]


def several_plans(half_at: Mapping[str, float], scales: Iterable[float] = SCALES, seeds: int = 5) -> list[Result]:
    """`mutspec run -m plan=a,b plan.params.std=… seeds=…`: the seeds are rows of one job."""
    jobs = product(half_at.items(), scales)
    return [
        result(
            number,
            [f"plan={plan}", f"plan.params.std={scale}", f"seeds={seeds}"],
            [row(seed, scale, half_at=half) for seed in range(seeds)],
            {"std": scale},
            plan_name=plan,
        )
        for number, ((plan, half), scale) in enumerate(jobs)
    ]


def categories(half_at: Mapping[str, float], seeds: int = 5) -> list[Result]:
    """`mutspec run -m plan=glob(*) seeds=…`: plans with parameters of their own."""
    return [
        result(
            number,
            [f"plan={plan}", f"seeds={seeds}"],
            [row(seed, half_at=half) for seed in range(seeds)],
            {f"of_{plan}": 1},
            plan_name=plan,
        )
        for number, (plan, half) in enumerate(half_at.items())
    ]


def layers(half_at: Mapping[str, float], scales: Iterable[float] = SCALES, seeds: int = 5) -> list[Result]:
    """`mutspec run -m experiment=sensitivity`: a job for each layer and scale, its seeds as rows."""
    jobs = product(half_at.items(), scales)
    return [
        result(
            number,
            [f"plan.params.layer={layer}", f"plan.params.std={scale}", f"seeds={seeds}"],
            [row(seed, scale, half_at=half) for seed in range(seeds)],
            {"std": scale, "select": {"weights": "kernels"}, "layer": layer},
            plan_name="weight_noise",
        )
        for number, ((layer, half), scale) in enumerate(jobs)
    ]


COSTS = {"parameters": 25_778, "multiply_adds": 325_008}
"""The costs of the base."""


def costing(each: Result, **costs: int | None) -> Result:
    """A result with other costs of its base."""
    return replace(each, **{f"base_{name}": cost for name, cost in costs.items()})


def pruned(
    half_at: Mapping[str, float], fractions: Iterable[float] = (0.1, 0.3, 0.5, 0.7), seeds: int = 3
) -> list[Result]:
    """`mutspec run -m experiment=pruning`: a job for each fraction and rank, whose mutants are smaller."""
    made = []
    for number, (fraction, (rank, half)) in enumerate(product(fractions, half_at.items())):
        costs = {name: round(cost * (1 - fraction) ** 2) for name, cost in COSTS.items()}
        rows = [row(seed, fraction, half_at=half, **costs) for seed in range(seeds)]
        overrides = [f"plan.params.fraction={fraction}", f"plan.params.rank={rank}", f"seeds={seeds}"]
        parameters = {"fraction": fraction, "rank": rank}
        each = result(number, overrides, rows, parameters, plan_name="channel_pruning", units={"params.fraction": "%"})
        made.append(costing(each, **COSTS))
    return made


LAYERS = {"conv_1": 0.5, "bn_1": 40.0, "conv_2": 1.5, "encoder/dense": 1.4, "logits": 0.3}

RECIPES = {
    "conv_noise": 0.42,
    "dense_noise": 1.0,
    "half_kernel_transfer": 0.28,
    "identity_adapter": 30.0,
    "kernel_faults": 0.6,
    "remove_dropout": 9.0,
}


def failed(number: int, overrides: Iterable[str], error: str) -> Result:
    """A job that failed before it knew its plan."""
    nothing = {"plan_name": "", "plan_digest": "", "samples": 0, "base": {}, "structure_digest": ""}
    return result(number, overrides, (), {}, error=error, **nothing)


def write(results: Iterable[Result], folder: Path) -> Path:
    """Each result where its job would leave it."""
    for each in results:
        each.write(folder / each.job.directory)
    return folder


def sketches(summary: Summary, facet: str | None = None) -> dict[str, bytes]:
    """Empty files in place of a sweep's pictures, for tests of what is said and written beside them."""
    stems = ("plot", "map", "ranking") if sensitivity(summary) else ("plot",)
    return {f"{stem}.{suffix}": b"" for stem in stems for suffix in ("png", "svg", "pdf")}

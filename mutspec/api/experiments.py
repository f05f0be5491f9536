"""Sweeps and searches of a model in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mutspec import arguments
from mutspec.api.given import File, Inputs, KerasModel, inputs_by_name, is_file, loaded

if TYPE_CHECKING:
    from mutspec.experiment.in_process import BreakingPoint, Sweep
    from mutspec.language.plan import Plan
    from mutspec.lowering.base import Op


def sweep(
    plan: Plan[Op],
    model: File | KerasModel,
    data: tuple[Any, Any],
    values: Mapping[str, Iterable[Any]] | None = None,
    *,
    seeds: int | Iterable[int] = 1,
    inputs: Inputs | None = None,
    require: Iterable[Mapping[str, Any]] = (),
    objective: str | None = None,
    unsafe: bool = False,
    verify: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
    **evaluate: Any,
) -> Sweep:
    """Mutates and evaluates a model for each combination of values and each seed, in this process.

    The model is loaded, read and compiled once, and restored at the end. Until then it is locked as in a block of
    `mutated`, so sweeps of one model in several threads run one after the other.

    Arguments:
        plan: the plan.
        model: a built keras.Model, or a file.
        data: (x, y): arrays, or lists and mappings of arrays; y is None without labels.
        values: lists of values by the dotted keys of `--set`, such as `{"params.std": [0.1, 1]}`.
        seeds: the seeds, or their number, counted from the plan's own.
        inputs: the models of the plan's inputs, by name.
        require: gates, such as `[{"metric": "accuracy", "max_drop": 0.02}]`; the results state which are met.
        objective: the measure that the table shows; by default the first metric.
        unsafe: whether code in the model (Lambda layers) may run, where Keras loads or builds it.
        verify: whether to check the checksums of files, as for `apply`.
        on_progress: called with the number of finished mutants and the number of all mutants.
        evaluate: the keys of the group `evaluate`: `loss`, by default "crossentropy", `metrics`, by default
            ["accuracy"], `from_logits`, `agreement`, `batch_size`. Losses and metrics may also be Keras objects, or
            functions of (y_true, y_pred).

    Raises:
        PlanError, ModelError: a combination does not fit the plan, or the plan does not fit the model.
        CallError: the data do not fit the model; loss, metrics or gates are invalid; or the call would wait forever for
            the model (see `mutated`).
    """
    from mutspec.experiment.in_process import sweep as run
    from mutspec.experiment.jobs.from_python import as_evaluate, as_gates

    arguments.check_plan(plan)
    base = loaded(model, unsafe=unsafe, verify=verify) if is_file(model) else model
    return run(
        plan,
        base,
        data,
        arguments.mapping({} if values is None else values, "values"),
        seeds=seeds,
        inputs=inputs_by_name(inputs),
        verify=verify,
        settings=as_evaluate(evaluate),
        unsafe=unsafe,
        require=as_gates(require),
        objective=objective,
        on_progress=on_progress,
    )


def breaking_point(
    plan: Plan[Op],
    model: File | KerasModel,
    data: tuple[Any, Any],
    key: str | None = None,
    *,
    metric: str | None = None,
    max_drop: float | None = None,
    min: float | None = None,
    max: float | None = None,
    low: float = 0.0,
    high: float = 1.0,
    limit: float | None = None,
    tolerance: float = 0.01,
    seeds: int | Iterable[int] = 1,
    inputs: Inputs | None = None,
    unsafe: bool = False,
    verify: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
    **evaluate: Any,
) -> BreakingPoint:
    """Finds the scale at which mutants of a model begin to break, by bisection, for each seed.

    Noise of one seed has the same direction at all scales, so a mutant is a function of its scale. A measure that does
    not fall steadily may cross its bound at several scales; then one of them is found. Printing the result shows a
    table.

    The model is locked as by `sweep`.

    Arguments:
        plan: the plan.
        model: a built keras.Model, or a file.
        data: (x, y), as for `sweep`.
        key: the key of the number that is scaled, as in `--set`: `params.std`, `steps.jitter.std`; by default the
            plan's only numeric parameter.
        metric: the measure with a bound; by default the first metric.
        max_drop: its largest fall below the base's value. Without any bound, an accuracy or an agreement may fall by
            0.1.
        min: its smallest value.
        max: its largest value.
        low: a scale at which the mutant is within the bound.
        high: the first scale that is tried. It is doubled until the mutant breaks.
        limit: the largest scale that is tried: by default 1024 times `high`, or the largest that the plan accepts. If
            the mutant does not break there, its breaking point is infinite.
        tolerance: the largest relative distance between the last scale that holds and the first that breaks.
        seeds: the seeds, or their number, counted from the plan's own.
        inputs: the models of the plan's inputs, by name.
        unsafe: whether code in the model (Lambda layers) may run, where Keras loads or builds it.
        verify: whether to check the checksums of files, as for `apply`.
        on_progress: called with the number of finished seeds and the number of all seeds.
        evaluate: the keys of the group `evaluate`, as for `sweep`.

    Raises:
        PlanError, ModelError: the plan does not fit the model.
        CallError: the data do not fit the model, the search is invalid, or mutants are broken at `low`; or the call
            would wait forever for the model (see `mutated`).
    """
    from mutspec.experiment.in_process import breaking_point as find
    from mutspec.experiment.jobs.from_python import as_evaluate, as_search

    bounds = {"max_drop": max_drop, "min": min, "max": max}
    search = {"key": key, "metric": metric, **bounds, "low": low, "high": high, "limit": limit, "tolerance": tolerance}
    arguments.check_plan(plan)
    base = loaded(model, unsafe=unsafe, verify=verify) if is_file(model) else model
    return find(
        plan,
        base,
        data,
        as_search(search),
        seeds=seeds,
        inputs=inputs_by_name(inputs),
        verify=verify,
        settings=as_evaluate(evaluate),
        unsafe=unsafe,
        on_progress=on_progress,
    )

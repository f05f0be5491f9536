"""What is held against files and measures before anything runs, whoever asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mutspec.errors import Place
from mutspec.experiment.evaluation.per_output import parts
from mutspec.experiment.gates import BOUNDS, Gate
from mutspec.experiment.job_settings import EvaluateSettings
from mutspec.language import CallError, ModelError, Plan, Problem, nearest
from mutspec.language.files import called_like
from mutspec.lowering.base import Op


def check_file(path: str) -> None:
    """Say that a model's file is missing, with those that are like it.

    Raises:
        ModelError: it is.
    """
    file = Path(path)
    if not file.exists():
        place = Place(path, 0, 0, 0)
        raise ModelError("there is no such model file", place=place, candidates=called_like(file))


def check_bound(plan: Plan[Op], inputs: Mapping[str, str]) -> None:
    """Say which of a plan's inputs are not bound, or bound to a file that is missing.

    Raises:
        CallError, ModelError: some are.
    """
    missing = [name for name in plan.inputs if name not in inputs]
    misspelt = {name: near for name in inputs if name not in plan.inputs and (near := nearest(name, missing))}
    problems = [
        Problem(
            f"the plan `{plan.name}` declares no input `{name}`", candidates=tuple(f"inputs.{each}" for each in near)
        )
        for name, near in misspelt.items()
    ]
    problems += [
        Problem(f"the input `{name}` of the plan `{plan.name}` is not bound", hint=f"add inputs.{name}=MODEL")
        for name in missing
        if not any(name in near for near in misspelt.values())
    ]
    if problems:
        raise CallError(problems)
    for name in plan.inputs:
        check_file(inputs[name])


def boundless(gates: Iterable[Gate]) -> Iterator[Problem]:
    """Gates that let everything through."""
    for gate in gates:
        if not gate.bounds:
            hint = f"give {', '.join(BOUNDS[:-1])} or {BOUNDS[-1]}"
            yield Problem(f"`require` sets no bound to `{gate.metric}`", hint=hint)


def measures(settings: EvaluateSettings) -> list[str] | None:
    """The names of all that is measured, and can be an objective; None if only Keras can tell."""
    of_outputs = {f"{name}_" if name else "": each.metrics for name, each in parts(settings).items()}
    if not all(isinstance(each, str) for metrics in of_outputs.values() for each in metrics):
        return None
    named = [f"{prefix}{each}" for prefix, metrics in of_outputs.items() for each in metrics]
    metrics = [*named, *(["loss"] if settings.loss is not None else [])]
    drops = [f"drop.{name}" for name in metrics]
    fidelity = [*(["agreement", "sample_agreement", "divergence"] if settings.agreement else []), "deviation"]
    return [*metrics, *fidelity, "non_finite_outputs", *drops]


def no_measure(name: str, known: Sequence[str], why: str = "") -> Problem:
    """That nothing is measured of a name."""
    hint = f"there are {', '.join(known)}{why}" if known else why.removeprefix("; ")
    return Problem(f"nothing is measured that is called `{name}`", hint=hint, candidates=nearest(name, known))

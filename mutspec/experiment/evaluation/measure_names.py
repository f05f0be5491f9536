"""The names of what is measured, before anything is."""

from __future__ import annotations

from collections.abc import Sequence

from mutspec.errors import Problem, nearest
from mutspec.experiment.evaluation.per_output import parts
from mutspec.experiment.job_settings import EvaluateSettings
from mutspec.experiment.metric_kinds import COSTS


def measure_names(settings: EvaluateSettings) -> list[str] | None:
    """Returns the names of all measures that settings ask for; None if only Keras can tell."""
    of_outputs = {f"{name}_" if name else "": each.metrics for name, each in parts(settings).items()}
    if not all(isinstance(each, str) for metrics in of_outputs.values() for each in metrics):
        return None
    named = [f"{prefix}{each}" for prefix, metrics in of_outputs.items() for each in metrics]
    metrics = [*named, *(["loss"] if settings.loss is not None else [])]
    drops = [f"drop.{name}" for name in metrics]
    fidelity = [*(["agreement", "sample_agreement", "divergence"] if settings.agreement else []), "deviation"]
    return [*metrics, *fidelity, "non_finite_outputs", *drops, *COSTS]


def no_measure(name: str, known: Sequence[str], why: str = "") -> Problem:
    """Returns the problem that no measure has a name."""
    hint = f"there are {', '.join(known)}{why}" if known else why.removeprefix("; ")
    return Problem(f"no measure is called `{name}`", hint=hint, candidates=nearest(name, known))

"""What is attacked: a table of targets, and how a case of each is made of a stream of random numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.fuzz import of_data, of_keras, of_models, of_plans
from tests.fuzz.case import Case


@dataclass(frozen=True)
class Target:
    """A kind of input.

    Arguments:
        name: what tables call it.
        share: how many of a hundred or so cases are of it.
        make: makes a case.
    """

    name: str
    share: float
    make: Callable[[Random], Case]


TARGETS: tuple[Target, ...] = (
    Target("keras bytes", 10, of_models.keras_bytes),
    Target("keras zip", 12, of_models.keras_zip),
    Target("keras weights", 10, of_models.keras_weights),
    Target("keras configuration", 12, of_models.keras_configuration),
    Target("h5 bytes", 12, of_models.h5_bytes),
    Target("h5 configuration", 5, of_models.h5_configuration),
    Target("weights.h5", 7, of_models.weights_bytes),
    Target("input bytes", 5, of_models.teacher),
    Target("plan text", 8, of_plans.plans_as_text),
    Target("plan nodes", 10, of_plans.plans_as_nodes),
    Target("results", 10, of_data.results),
    Target("npz", 5, of_data.npz),
    Target("csv", 3, of_data.csv),
    Target("structure: model", 1, of_keras.structure_of_model),
    Target("structure: plan", 1, of_keras.structure_of_plan),
    Target("run: plan", 0.5, of_keras.run_of_plan),
    Target("run: names", 0.5, of_keras.run_of_names),
)

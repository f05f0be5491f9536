"""Networks for tests of widths, and the layers in them of which units can be removed."""

from __future__ import annotations

from functools import cache
from typing import Any

import mutspec
from mutspec.errors import PlanError
from mutspec.model.live import read_live
from tests.structure.real_networks import first_stages
from tests.zoo import ZOO
from tests.zoo.play import drawn, shared

REAL = ("ResNet50", "MobileNetV2", "EfficientNetB0")
OF_THE_ZOO = (
    "residual", "nested", "nested_twice_deep", "siamese", "multiple_io", "separable", "grouped", "conv_transpose",
    "convolutions_1d", "convolutions_3d", "prelu", "double", "sequential", "frozen",
)  # fmt: skip
assert set(OF_THE_ZOO) <= ZOO.keys()
NAMES = (*REAL, *OF_THE_ZOO)


@cache
def network(name: str) -> Any:
    """A network, built once; a test must leave it as it is."""
    return drawn(first_stages(name, 32)) if name in REAL else shared(name)


@cache
def removable(name: str) -> tuple[str, ...]:
    """The paths of the layers of a network of which a unit can be removed."""
    model = network(name)
    found = []
    for path in (layer.path for layer in read_live(model).spec.layers):
        try:
            mutspec.dry_run(mutspec.plan({"steps": [step(path, count=1)]}), model)
        except PlanError:
            continue
        found.append(path)
    return tuple(found)


def step(target: Any, op: str = "remove_neurons", **keys: Any) -> dict[str, Any]:
    """A step on the units of a target."""
    return {"op": op, "target": target, **keys}

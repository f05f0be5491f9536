"""The channels that are left are known after a removal. They are those that a walk through the new network finds."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest

import mutspec
from mutspec.errors import PlanError
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.widths import coupling
from mutspec.structure.coupling.coupling import Coupling, axes_of
from mutspec.structure.coupling.labels import Axis
from tests.structure import coupled_models
from tests.structure.coupling_of import context_of_model, drawn
from tests.zoo.play import weights

CASES = [
    ("squeezed", "expand", ""),
    ("shuffled", "stem", ""),
    ("directions", "concat", ""),
    ("transformer", "attend", "key_dim"),
    ("arithmetic", "z", ""),
    ("skips", "down_1", ""),
]
"""Models, each with a layer and the argument that counts its units."""

DOWN_TO_ONE = [
    ("merged", "dense_1", ""),
    ("normalized", "group", ""),
    ("grouped_heads", "groups", ""),
    ("grouped_heads", "members", ""),
    ("one_dimension", "grouped", ""),
    ("splits", "x", ""),
]
"""Models in which layers couple few channels in another way than many."""


def steps_of(layer: str, argument: str) -> list[dict[str, Any]]:
    keys = {"target": layer, "argument": argument}
    removals = [{"op": "remove_neurons", "id": f"remove_{at}", "count": 1, **keys} for at in range(2)]
    widening = {"op": "widen_layer", "factor": 1.5, "approximate": True, **keys}
    return [removals[0], widening, removals[1]]


def lower(context: LoweringContext, number: int, step: dict[str, Any]) -> None:
    """Lowers a step."""
    (op,) = mutspec.plan({"steps": [step]}).steps
    context.begin(op.context(number, 0))
    op.apply(context)


def described(found: Coupling) -> list[Any]:
    """All that is known of channels, with the groups numbered in the order in which they appear."""
    numbers: dict[int, int] = {}

    def axis(labels: Axis) -> Any:
        return labels and [numbers.setdefault(found.groups[label], len(numbers)) for label in labels]

    layers = [
        (
            path,
            {below: [(axis(each.labels), each.use) for each in axes] for below, axes in layer.weights.items()},
            [
                (keys, [axis(each) for each in axes_of(layer.arguments[keys])])
                for keys in sorted(layer.arguments, key=str)
            ],
            {name: axis(labels) for name, labels in layer.widths.items()},
            axis(layer.joins),
            {below: axis(labels) for below, labels in layer.roots.items()},
            [axis(labels) for labels in layer.output] if layer.widths else [],
        )
        for path, layer in found.layers.items()
    ]
    ports = [[axis(labels) for labels in axes] for axes in (*found.inputs.values(), *found.outputs)]
    marks = {numbers[group]: set(each) for group, each in found.marks.items() if group in numbers}
    return [layers, ports, marks, found.unknown]


def assert_same_as_found_again(context: LoweringContext) -> None:
    known = described(coupling(context))
    context.coupling = None
    assert known == described(coupling(context))


@pytest.mark.parametrize(("name", "layer", "argument"), CASES)
def test_channels_after_a_removal_are_those_that_another_walk_finds(name: str, layer: str, argument: str) -> None:
    context = context_of_model(coupled_models.built(name))
    for number, step in enumerate(steps_of(layer, argument)):
        lower(context, number, step)
        if step["op"] == "remove_neurons":
            assert context.coupling is not None
            assert (context.coupling[0] is context.architecture.network) == (name != "shuffled")  # which has groups
        assert_same_as_found_again(context)


@pytest.mark.parametrize(("name", "layer", "argument"), DOWN_TO_ONE)
def test_layers_that_couple_few_channels_otherwise_are_looked_at_again(name: str, layer: str, argument: str) -> None:
    context = context_of_model(coupled_models.built(name))
    step = {"op": "remove_neurons", "target": layer, "argument": argument, "count": 1}
    for number in count():
        try:
            lower(context, number, step)
        except PlanError:  # none would stay
            break
        assert_same_as_found_again(context)
    assert number


@pytest.mark.parametrize(("name", "layer", "argument"), CASES)
def test_to_remove_widen_and_remove_gives_the_same_live_and_from_a_file(
    name: str, layer: str, argument: str, tmp_path: Path
) -> None:
    import keras

    model = drawn(coupled_models.built(name))
    model.save(tmp_path / "base.keras")
    plan = mutspec.plan({"steps": steps_of(layer, argument)})
    mutspec.apply(plan, tmp_path / "base.keras", output=tmp_path / "mutant.keras")
    mutant = mutspec.apply(plan, model)
    assert weights(mutant) == weights(keras.saving.load_model(tmp_path / "mutant.keras"))
    assert len(mutant.weights) == len(model.weights)

"""Whatever a configuration holds, reading it and planning on it ends in a result or in a sentence."""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py

from mutspec.compare.structure import structure_diff
from mutspec.errors import MutspecError
from mutspec.execute.loading import load
from mutspec.execute.prepare import prepare
from mutspec.execute.reporting import report
from mutspec.language import plan_from
from mutspec.model.build import build_spec
from mutspec.model.config import parse_config
from mutspec.model.files.archive import Archive
from mutspec.model.files.opening import open_archive
from mutspec.model.live.saved_paths import saved
from mutspec.model.old_configs import only_in_keras_2, other_functions
from mutspec.ops import catalogue
from mutspec.show.graph import to_mermaid
from mutspec.show.inspection import inspect, inspect_text
from tests.model.conftest import Zoo

MODELS = ("sequential", "residual", "called_twice", "nested", "bidirectional")
MUTATIONS = 200

DATA = Path(__file__).parents[1] / "data"
KERAS_2 = [
    DATA / "keras2" / "keras_2.15.0" / "stack.h5",
    DATA / "keras2" / "keras_2.15.0" / "graph.h5",
    DATA / "old" / "keras_2.0.9" / "cnn.h5",
]

PLANS = [
    plan_from({"mutspec": 1, "steps": steps}, catalogue())
    for steps in (
        [{"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.1, "fraction": 0.5}],
        [{"op": "insert_layer", "after": {"pick": {"last": 2}}, "layer": {"type": "Dense", "units": "same"}}],
        [{"op": "remove_layer", "target": {"pick": {"skip_first": 2, "first": 1}}}],
        [{"op": "rename_layer", "target": {"pick": {"last": 1}}, "to": "renamed"}],
    )
]

ODD: list[Any] = [
    *(None, True, 0, -1, 2**40, 10**19, 1.5, float("nan"), "", "dense", "é\0\n"),
    *([], [[]], [None], ["dense", 0, 0], {}, {"class_name": "x"}, {"class_name": "Dense", "config": {}}),
]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*at, key))


def found(value: Any, at: tuple[Any, ...]) -> Any:
    for key in at:
        value = value[key]
    return value


def mutated(config: Any, draw: random.Random) -> Any:
    """A configuration with a few of its values removed, replaced, buried or repeated."""
    config = copy.deepcopy(config)
    for _ in range(draw.choice((1, 1, 2, 4))):
        every = list(places(config))[1:]
        if not every:
            return config
        *before, key = draw.choice(every)
        parent = found(config, tuple(before))
        match draw.randrange(5):
            case 0:
                del parent[key]
            case 1:
                parent[key] = copy.deepcopy(draw.choice(ODD))
            case 2:
                for _ in range(draw.choice((1, 2, 30))):
                    parent[key] = (
                        [parent[key]]
                        if draw.random() < 0.5
                        else {"class_name": "Sequential", "config": {"layers": [parent[key]]}}
                    )
            case 3 if isinstance(parent, list):
                parent.insert(key, copy.deepcopy(parent[key]))
            case _:
                parent[key] = copy.deepcopy(found(config, draw.choice(every)))
    return config


def outcome(base: Archive, stored: dict[str, Any], config: Any, plan: Any) -> str:
    try:
        read = parse_config(json.dumps(config), "config.json", base.keras_version)
        only_in_keras_2(read), other_functions(read)
        built = build_spec(read, stored)
        extent = next(iter(base.extents.values()))
        extents = {tensor: base.extents.get(tensor, extent) for tensor in built.stored}
        archive = replace(base, config=read, spec=built.spec, extents=extents)
    except MutspecError:
        return "refused"
    inspect_text(inspect(archive))
    json.dumps(inspect(archive).to_json())
    structure_diff(base.spec, archive.spec)
    try:
        prepared = prepare(plan, archive, {})
    except MutspecError:
        return "read, and the plan refused"
    str(report(prepared.program, archive, {}))
    to_mermaid(prepared.program.graph, [step.id for step in prepared.program.steps])
    return "done"


def test_mutated_configurations_end_in_results_or_sentences(zoo: Zoo) -> None:
    draw, counts = random.Random(12), Counter[str]()
    bases = [open_archive(zoo[name].keras) for name in MODELS]
    stored = [
        {each.dataset: (each.shape, each.dtype) for each in (*base.extents.values(), *sum(base.copies.values(), ()))}
        for base in bases
    ]
    for _ in range(MUTATIONS):
        number = draw.randrange(len(bases))
        config = mutated(bases[number].config, draw)
        counts[outcome(bases[number], stored[number], config, draw.choice(PLANS))] += 1
    assert {"refused", "read, and the plan refused", "done"} <= set(counts)


def test_mutated_configurations_of_keras_2_end_in_results_or_sentences() -> None:
    draw, counts = random.Random(13), Counter[str]()
    bases = [open_archive(path) for path in KERAS_2]
    configs = [json.loads(h5py.File(path).attrs["model_config"]) for path in KERAS_2]
    stored = [_as_keras_3_stores(base) for base in bases]
    for _ in range(MUTATIONS // 4):  # where Keras 2 stated no shapes, Keras is asked for them
        number = draw.randrange(len(bases))
        config = mutated(configs[number], draw)
        counts[outcome(bases[number], stored[number], config, draw.choice(PLANS))] += 1
    assert {"refused", "read, and the plan refused", "done"} <= set(counts)


def _as_keras_3_stores(archive: Archive) -> dict[str, Any]:
    """The weights of a file of Keras 2 by the stored paths that `build_spec` takes."""
    model = load(archive.path).model
    return {path: (tuple(each.shape), str(each.dtype)) for path, each in saved(model)[1].items()}

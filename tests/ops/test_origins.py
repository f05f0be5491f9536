"""The origin of each weight of a mutant: kept, copied, sliced, computed, new, and of what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import keras
import pytest
from keras import layers

import mutspec
from mutspec.compare.expected import expected_diff
from mutspec.execute.files import dry_report, prepare_files
from mutspec.lowering.origins import origins
from mutspec.show.diff import diff_text
from mutspec.show.markdown import report_markdown
from mutspec.show.report import report_text
from tests.oracle import Step
from tests.toys import layered, mutate

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "apply.schema.json").read_text())


@pytest.mark.parametrize(
    ("step", "kind", "sources"),
    [
        ({"op": "gaussian_noise", "std": 0.1, "target": "e"}, "kept", ("d/kernel",)),
        ({"op": "gaussian_noise", "std": 0.1}, "computed", ("d/kernel",)),
        ({"op": "zero"}, "computed", ()),
        ({"op": "zero", "fraction": 0.5}, "computed", ("d/kernel",)),
        ({"op": "reinitialize", "initializer": "glorot_uniform"}, "computed", ()),
        ({"op": "swap_neurons", "count": 2}, "computed", ("d/kernel",)),
        ({"op": "blend", "source": "old:", "t": 0.5}, "computed", ("d/kernel", "old:d/kernel")),
        ({"op": "transfer_weights", "source": "old:d/kernel"}, "copied", ("old:d/kernel",)),
        ({"op": "transfer_weights", "source": "base:d/kernel"}, "kept", ("d/kernel",)),
        (
            {"op": "transfer_weights", "source": "old:d/kernel", "axis": 1, "stop": "50%"},
            "sliced",
            ("old:d/kernel", "d/kernel"),
        ),
        ({"op": "transfer_weights", "source": "e/gamma", "at": [0], "on_mismatch": "pad"}, "sliced", ("e/gamma",)),
        (
            {"op": "transfer_weights", "source": "old:d/kernel", "axis": 1, "combine": "mean"},
            "computed",
            ("old:d/kernel",),
        ),
    ],
)
def test_a_weight_says_what_it_is_made_of(step: Step, kind: str, sources: tuple[str, ...]) -> None:
    target = "f/kernel" if step.get("at") else "d/kernel"
    mutant = mutate(layered(), {"id": "one", "target": target, **step}, inputs={"old": layered(1)})
    found = {each.tensor.path: each for each in origins(mutant.program)}
    assert (found[target].kind, found[target].sources) == (kind, sources)
    assert found[target].steps == (() if step.get("target") == "e" else ("one",))
    assert list(found) == [tensor.path for tensor in mutant.program.after.tensors]


def classifier() -> keras.Model:
    inputs = keras.Input((3,))
    hidden = layers.Dense(4, name="hidden")(inputs)
    return keras.Model(inputs, layers.Dense(2, name="head")(hidden))


STEPS: list[Step] = [
    {"op": "rename_layer", "target": "hidden", "to": "first"},
    {"op": "replace_layer", "id": "head", "target": "head", "layer": {"type": "Dense", "units": 3, "name": "same"}},
    {"op": "transfer_weights", "source": "base:head", "target": "head/kernel", "on_mismatch": "slice"},
    {"op": "insert_layer", "id": "extra", "after": "first", "layer": {"type": "Dense", "units": 4}},
    {"op": "scale", "target": "extra/bias", "factor": 2.0},
]


def test_a_structural_plan_tells_kept_weights_from_new_ones(tmp_path: Path) -> None:
    model = classifier()
    model.save(tmp_path / "model.keras")
    plan = mutspec.plan({"steps": STEPS})
    report = mutspec.dry_run(plan, tmp_path / "model.keras")
    document = report.to_json()
    jsonschema.validate(document, SCHEMA)
    found = {
        f"{each['layer']}/{each['weight']}": (each["origin"], each["from"], each["steps"])
        for each in document["tensors"]
    }
    assert found == {
        "first/kernel": ("kept", ["hidden/kernel"], []),
        "first/bias": ("kept", ["hidden/bias"], []),
        "extra/kernel": ("new", [], ["extra"]),
        "extra/bias": ("new", [], ["extra", "scale"]),
        "head/kernel": ("sliced", ["head/kernel"], ["head", "transfer_weights"]),
        "head/bias": ("new", [], ["head"]),
    }
    applied = mutspec.apply(plan, tmp_path / "model.keras", tmp_path / "mutant.keras")
    assert applied.to_json()["tensors"] == document["tensors"]


def test_the_report_counts_origins_and_lists_them_when_it_shows_all_rows() -> None:
    report = mutspec.dry_run(mutspec.plan({"steps": STEPS}), classifier())
    sentence = "Of 6 weights of the mutant: 2 kept, 1 sliced, 3 new."
    assert sentence in report_text(report)
    assert sentence in report_markdown(report)
    rows = report_text(report, most_rows=None, width=100).splitlines()
    assert "Weight        Origin  From         Steps" in rows
    assert "head/kernel   sliced  head/kernel  head, transfer_weights" in rows
    assert not any(row.startswith("first/kernel") for row in rows)


def test_a_difference_tells_the_origins_too(tmp_path: Path) -> None:
    classifier().save(tmp_path / "model.keras")
    prepared = prepare_files(mutspec.plan({"steps": STEPS}), tmp_path / "model.keras", inputs={})
    report = dry_report(prepared)
    difference = expected_diff(report, prepared.program).with_origins(report.origins)
    lines = diff_text(difference, width=100).splitlines()
    assert "~  head/kernel    4×2 → 4×3  sliced from head/kernel" in lines
    assert "+  extra/kernel   4×4        new" in lines
    assert {"layer": "head", "weight": "kernel", "origin": "sliced", "from": ["head/kernel"]}.items() <= (
        {each["layer"] + each["weight"]: each for each in difference.to_json()["tensors"]}["headkernel"].items()
    )


def test_a_report_on_noise_says_nothing_of_origins() -> None:
    plan = mutspec.plan({"steps": [{"op": "gaussian_noise", "target": "*", "std": 0.1}]})
    report: Any = mutspec.dry_run(plan, classifier())
    assert "Of " not in report_text(report, most_rows=None)
    assert {each["origin"] for each in report.to_json()["tensors"]} == {"computed"}

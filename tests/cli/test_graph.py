"""`mutspec graph`: what each changed weight is made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", ["mermaid", "dot"])
def test_a_picture_looks_right(cli, room, same_as, kind) -> None:
    result = cli("graph", "conv_noise.yaml", "model.keras", "--format", kind)
    assert result.code == 0
    same_as(result.out, f"graph_{kind}")


def test_json_is_what_its_schema_describes(cli, room) -> None:
    result = cli("graph", "kernel_faults.yaml", "model.keras", "--json")
    document = json.loads(result.out)
    schema = json.loads((ROOT / "schemas/graph.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(document)
    made = [version["name"] for version in document["versions"]]
    assert made == ["conv_1/kernel@1", "conv_2/kernel@1", "dense_1/kernel@1", "logits/kernel@1"]
    assert all(source < node["id"] for node in document["nodes"] for source in node["inputs"])


def test_it_is_said_of_steps_on_layers_that_the_graph_does_not_show_them(cli, room) -> None:
    said = "the graph is of weights alone, and the plan changes layers too"
    assert said in cli("graph", str(ROOT / "conf" / "plan" / "insert_adapter.yaml"), "model.keras").err
    assert said not in cli("graph", "dense_noise.yaml", "model.keras").err


PRUNING = "mutspec: 1\nsteps:\n- {op: remove_neurons, id: narrow, target: conv_1, indices: [0, 3]}\n"


@pytest.fixture
def pruning(room) -> str:
    (room / "pruning.yaml").write_text(PRUNING)
    return "pruning.yaml"


@pytest.mark.parametrize("kind", ["mermaid", "dot"])
def test_a_picture_of_coupled_layers_looks_right(cli, room, pruning, same_as, kind) -> None:
    result = cli("graph", pruning, "model.keras", "--coupling", "--format", kind)
    assert (result.code, result.err) == (0, "")
    same_as(result.out, f"coupling_{kind}")


def test_json_of_coupled_layers_is_what_its_schema_describes(cli, room, pruning) -> None:
    document = json.loads(cli("graph", pruning, "model.keras", "--coupling", "--json").out)
    schemas = {
        name: json.loads((ROOT / f"schemas/{name}.schema.json").read_text(encoding="utf-8"))
        for name in ("coupling", "apply")
    }
    Draft202012Validator(schemas["coupling"]).validate(document)
    described = [schema["$defs"]["coupled_group"]["properties"] for schema in schemas.values()]
    assert {**described[1], "links": described[0]["links"]} == described[0]
    (group,) = document["steps"][0]["groups"]
    assert ["conv_1", "bn_1"] in group["links"]


def test_a_plan_that_changes_no_widths_has_no_coupled_layers_to_draw(cli, room) -> None:
    result = cli("graph", "dense_noise.yaml", "model.keras", "--coupling")
    assert (result.code, result.out) == (2, "")
    assert "changes no widths" in result.err


def test_a_file_gets_what_standard_output_would(cli, room) -> None:
    shown = cli("graph", "dense_noise.yaml", "model.keras").out
    assert cli("graph", "dense_noise.yaml", "model.keras", "-o", "plan.mmd").out == ""
    assert (room / "plan.mmd").read_text() == shown
    assert cli("graph", "dense_noise.yaml", "model.keras", "-o", "plan.mmd").code == 2
    assert cli("graph", "conv_noise.yaml", "model.keras", "-o", "plan.mmd", "--force").code == 0
    assert (room / "plan.mmd").read_text() != shown


def test_no_command_writes_over_the_architecture_that_it_reads(cli, room) -> None:
    old = ROOT / "tests" / "data" / "old" / "keras_3.6.0"
    shutil.copy(old / "cnn.weights.h5", room / "w.weights.h5")
    shutil.copy(old / "cnn.keras", room / "arch.keras")
    before = (room / "arch.keras").read_bytes()
    for command, *options in (["graph"], ["apply", "--dry-run"], ["apply"]):
        read = ["w.weights.h5", "--architecture", "arch.keras", "-o", "arch.keras", "--force"]
        result = cli(command, "kernel_faults.yaml", *read, *options)
        assert result.code == 2
        assert "same file as the input" in result.err
    assert (room / "arch.keras").read_bytes() == before

"""`mutspec inspect`: what is in a model file, and what a target chooses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests/data/old"


def schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads((ROOT / "schemas/inspect.schema.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("width", [80, 140])
def test_a_model_looks_right(cli, room, same_as, monkeypatch, width) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    result = cli("inspect", "model.keras")
    assert result.code == 0
    assert max(map(len, result.out.splitlines())) <= width
    same_as(result.out, f"inspect_{width}")


def test_layers_alone_look_right(cli, room, same_as) -> None:
    shutil.copy(OLD / "keras_3.6.0/residual.keras", room / "residual.keras")
    same_as(cli("inspect", "residual.keras", "--layers").out, "inspect_layers_80")


def test_a_narrow_page_folds_paths_and_cuts_nothing(cli, room, same_as, monkeypatch) -> None:
    shutil.copy(OLD / "keras_3.6.0/residual.keras", room / "residual.keras")
    monkeypatch.setenv("COLUMNS", "56")
    result = cli("inspect", "residual.keras")
    assert max(map(len, result.out.splitlines())) <= 56
    same_as(result.out, "inspect_56")


def test_a_choice_looks_right(cli, room, same_as) -> None:
    target = "{type: [Dense, BatchNormalization], weights: [kernel, statistics]}"
    result = cli("inspect", "model.keras", "--select", target)
    assert result.code == 0
    same_as(result.out, "inspect_select_80")


CHOICES = [
    ("dense_1", ["dense_1/kernel", "dense_1/bias"]),
    ("dense_1/kernel", ["dense_1/kernel"]),
    ("re:(dense|conv)_1", ["conv_1/kernel", "dense_1/kernel", "dense_1/bias"]),
    ("*_2", ["conv_2/kernel", "conv_2/bias"]),
    ("{type: Dense, weights: kernel, pick: {last: 1}}", ["logits/kernel"]),
    ("[conv_1, {name: logits, weights: biases}]", ["conv_1/kernel", "logits/bias"]),
]


@pytest.mark.parametrize(("target", "paths"), CHOICES)
def test_a_target_chooses_what_a_step_with_it_would_touch(cli, room, target, paths) -> None:
    document = json.loads(cli("inspect", "model.keras", "--select", target, "--json").out)
    chosen = [weight["path"] for layer in document["layers"] for weight in layer["weights"]]
    (room / "plan.yaml").write_text(json.dumps({"mutspec": 1, "steps": [{"op": "zero", "target": "x"}]}))
    override = f"steps.zero.target={target if target[0] in '[{' else json.dumps(target)}"
    report = json.loads(cli("apply", "plan.yaml", "model.keras", "--dry-run", "--json", "--set", override).out)
    touched = [f"{each['layer']}/{each['weight']}" for each in report["steps"][0]["targets"]]
    assert chosen == touched == paths
    assert document["elements"] == sum(each["touched"] for each in report["steps"][0]["targets"])


@pytest.mark.parametrize(
    "file", ["keras_2.0.9/cnn.h5", "keras_3.6.0/residual.keras", "keras_3.5.0/residual.weights.h5"]
)
def test_json_is_what_its_schema_describes(cli, room, file) -> None:
    architecture = ["--architecture", str(OLD / "keras_3.5.0/residual.keras")] if "weights" in file else []
    result = cli("inspect", str(OLD / file), "--json", *architecture)
    assert (result.code, result.err) == (0, "")
    document = json.loads(result.out)
    schema().validate(document)
    assert document["elements"] == document["model"]["parameters"]


def test_a_reader_that_has_seen_enough_is_not_an_error(room) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = f"{sys.executable} -m mutspec inspect model.keras --json | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=True)
    assert (done.stdout, done.stderr) == ("{0\n", "")


def test_names_with_control_characters_change_neither_terminal_nor_table(cli, room, monkeypatch) -> None:
    with zipfile.ZipFile(room / "model.keras") as source, zipfile.ZipFile(room / "odd.keras", "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b'"dense_1"', rb'"de\u001b[8m\nnse\u009b"'))
    spelt = r"de\x1b[8m\nnse\x9b"
    assert f"\n{spelt}  Dense " in cli("inspect", "odd.keras", "--layers").out
    assert f"  {spelt}/kernel  float32 512×40 " in cli("inspect", "odd.keras", "--digests").out
    document = cli("inspect", "odd.keras", "--json").out
    assert not {"\x1b", "\x9b"} & set(document)
    assert "de\x1b[8m\nnse\x9b" in [layer["layer"] for layer in json.loads(document)["layers"]]
    monkeypatch.setenv("FORCE_COLOR", "1")
    colored = cli("inspect", "odd.keras").out
    assert spelt in colored
    assert "\x1b[1m" in colored

"""`mutspec show`: a plan that stands alone and does the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import mutspec
from mutspec.access.fingerprint import fingerprint
from mutspec.language import load_text
from mutspec.language.recipe_files import shipped_files
from mutspec.model.files.opening import open_archive
from mutspec.ops import catalogue
from mutspec.show.resolved import plan_yaml, shown_schema
from tests.without_keras import BLOCKER

ROOT = Path(__file__).parents[2]
OPS = catalogue(plugins=False)
RECIPES = shipped_files()
PLAN = """\
mutspec: 1
description: |
  Noise, twice.
  And a graft.
seed: 4
params: {s: 0.25}
inputs: {large: {description: A teacher.}}
x-note: gone
non_finite: report
steps:
  - {use: dense_noise, id: jitter, seed: 3, with: {std: "${params.s}"}, x-why: gone}
  - {op: transfer_weights, source: "large:conv_1/kernel", target: conv_1/kernel, allow_empty: true}
  - use: deepen_and_jitter
"""
SHOWN = """\
# Stand-alone: `mutspec show` has put in the parameters, blocks and recipes that the plan uses.
mutspec: 1
name: plan
description: |
  Noise, twice.
  And a graft.
seed: 4
inputs: {large: {description: A teacher.}}
non_finite: report
steps:
  - id: jitter/gaussian_noise
    op: gaussian_noise
    target: {type: Dense, weights: kernel}
    std: 0.5
    seed: 3
  - op: transfer_weights
    target: conv_1/kernel
    source: "large:conv_1/kernel"
    allow_empty: true
  - id: deepen_and_jitter/deeper
    op: insert_layer
    after: conv_2
    layer: {type: Conv2D, filters: same, kernel_size: 3, padding: same}
    initialize: identity
  - id: deepen_and_jitter/jitter
    op: gaussian_noise
    target: deeper/kernel
    std: 0.1
"""


def test_a_plan_is_printed_without_uses_and_parameters(cli, room) -> None:
    (room / "plan.yaml").write_text(PLAN)
    result = cli("show", "plan.yaml", "--set", "params.s=0.5")
    assert (result.code, result.err) == (0, "")
    assert result.out == SHOWN


def test_the_document_is_what_its_schema_describes(cli, room) -> None:
    (room / "plan.yaml").write_text(PLAN.replace("0.25", ".inf"))
    document = json.loads(cli("show", "plan.yaml", "--json", "--seed", "9").out)
    schema = json.loads((ROOT / "schemas/show.schema.json").read_text(encoding="utf-8"))
    assert schema == shown_schema()
    Draft202012Validator(schema).validate(document)
    assert list(document["files"]) == ["dense_noise.yaml", "deepen_and_jitter.yaml"]
    assert (document["plan"]["seed"], document["plan"]["steps"][0]["std"]) == (9, "inf")


@pytest.mark.parametrize("path", RECIPES, ids=[path.stem for path in RECIPES])
def test_a_recipe_that_is_shown_has_the_same_steps_and_is_shown_as_it_is(path: Path) -> None:
    plan = mutspec.load_plan(path)
    shown = plan_yaml(plan)
    again = load_text(shown, OPS)
    assert again.steps == plan.steps
    assert (again.name, again.seed, again.inputs, again.non_finite) == (
        plan.name,
        plan.seed,
        plan.inputs,
        plan.non_finite,
    )
    assert plan_yaml(again) == shown
    assert "${" not in shown
    assert max(map(len, shown.splitlines())) <= 140


USES = """\
mutspec: 1
seed: 2
steps:
  - {use: weight_noise, id: a, seed: 5}
  - {use: bit_flips, id: b}
  - {use: dense_noise, id: c, with: {std: 0.3}}
  - {use: kernel_faults, id: d}
  - {op: gaussian_noise, target: "conv_*", std: 0.1, stream: own}
"""


def test_a_plan_that_is_shown_makes_the_same_mutant_to_the_bit(cli, room) -> None:
    (room / "uses.yaml").write_text(USES)
    assert cli("show", "uses.yaml", "-o", "alone.yaml").code == 0
    for name in ("uses", "alone"):
        result = cli("apply", f"{name}.yaml", "model.keras", "-o", f"{name}.keras", "-q")
        assert (result.code, result.err) == (0, "")
    uses, alone = (fingerprint(open_archive(room / f"{name}.keras")) for name in ("uses", "alone"))
    assert uses == alone
    assert uses != fingerprint(open_archive(room / "model.keras"))


def _is_key(text: str) -> bool:
    return "${" not in text and text != "<<" and not text.startswith("x-")


SIGNS = st.sampled_from("\n\t:#-'\" {}[],&*!|>%@`0123456789eE.yn")
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | SIGNS)
KEYS = TEXTS.filter(_is_key)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | TEXTS.filter(lambda text: "${" not in text),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=3), st.floats(0, 1e300), st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_is_read_back_as_it_was(metadata: dict[str, Any], std: float, is_unicode: bool) -> None:
    steps = [{"use": "dense_noise", "with": {"std": std}}]
    plan = mutspec.plan({"metadata": metadata, "steps": steps})
    shown = plan_yaml(plan, is_unicode=is_unicode)
    again = load_text(shown, OPS)
    assert again.document.get("metadata", {}) == metadata
    assert again.steps == plan.steps
    assert plan_yaml(again, is_unicode=is_unicode) == shown
    assert is_unicode or shown.isascii()


def test_an_output_is_not_replaced_and_is_none_of_the_files_that_are_read(cli, room) -> None:
    (room / "uses.yaml").write_text(USES)
    before = (room / "bit_flips.yaml").read_text()
    assert cli("show", "uses.yaml", "-o", "bit_flips.yaml", "--force").code == 2
    assert cli("show", "uses.yaml", "-o", "uses.yaml", "--force").code == 2
    assert cli("show", "uses.yaml", "-o", "model.keras").code == 2
    assert cli("apply", "uses.yaml", "model.keras", "-o", "bit_flips.yaml", "--force").code == 2
    assert (room / "bit_flips.yaml").read_text() == before


def test_a_folder_of_recipes_is_named_for_a_plan_from_standard_input(room) -> None:
    (room / "own").mkdir()
    (room / "own/noise.yaml").write_text((room / "dense_noise.yaml").read_text())
    call = ["apply", "-", "model.keras", "--dry-run"]
    script = f"{BLOCKER}\nfrom mutspec.cli.main import main\nmain({[*call, '--recipes', 'own']!r})"
    text = "mutspec: 1\nsteps: [{use: noise, with: {std: 0.5}}]\n"
    run = subprocess.run([sys.executable, "-c", script], input=text, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert "noise: noise.yaml (std: 0.5)\n1  gaussian_noise [noise/gaussian_noise]\n" in run.stdout


def test_a_folder_of_recipes_must_be_one(cli, room) -> None:
    result = cli("show", "dense_noise.yaml", "--recipes", "model.keras")
    assert result.code == 2
    assert "model.keras is not a folder" in result.err


def test_a_report_and_a_graph_say_which_recipes_are_used(cli, room) -> None:
    (room / "uses.yaml").write_text(USES)
    said = {"c": "c: dense_noise.yaml (std: 0.3)", "a": "a: weight_noise.yaml (seed: 5)"}
    for call in (
        ["apply", "uses.yaml", "model.keras", "--dry-run"],
        ["apply", "uses.yaml", "model.keras", "--dry-run", "--format", "markdown"],
        ["graph", "uses.yaml", "model.keras"],
        ["graph", "uses.yaml", "model.keras", "--format", "dot"],
    ):
        out = cli(*call).out.replace("\\_", "_")
        assert all(each in out for each in said.values()), call
    for name, call in {"apply": ["apply", "--dry-run"], "graph": ["graph"]}.items():
        document = json.loads(cli(*call, "uses.yaml", "model.keras", "--json").out)
        schema = json.loads((ROOT / f"schemas/{name}.schema.json").read_text(encoding="utf-8"))
        Draft202012Validator(schema).validate(document)
        assert document["uses"][2] == {
            "id": "c",
            "recipe": "dense_noise.yaml",
            "with": {"std": 0.3},
            "steps": ["c/gaussian_noise"],
        }

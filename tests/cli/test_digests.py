"""`mutspec inspect --digests`: lines by which two models are compared, and what `git diff` makes of them."""

from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest
from jsonschema import Draft202012Validator

from mutspec.access.fingerprint import fingerprint
from mutspec.model.files.opening import open_archive
from tests.without_keras import BLOCKER

ROOT = Path(__file__).parents[2]
ONE_WEIGHT = "mutspec: 1\nsteps: [{op: zero, target: dense_1/bias}]\n"
WEIGHT_AND_LAYER = """mutspec: 1
steps:
  - {op: zero, target: dense_1/bias}
  - {op: configure_layer, target: dropout, set: {rate: 0.25}}
"""
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 144561\n"


def changed_lines(before: str, after: str) -> list[str]:
    """The lines of a difference that begin with + or -, without its head."""
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


def test_the_lines_of_a_model_look_right(cli, room, same_as) -> None:
    result = cli("inspect", "model.keras", "--digests")
    assert (result.code, result.err) == (0, "")
    same_as(result.out, "inspect_digests")


def test_a_changed_weight_changes_its_line_alone(cli, room) -> None:
    (room / "one.yaml").write_text(ONE_WEIGHT)
    assert cli("apply", "one.yaml", "model.keras", "-o", "other.keras").code == 0
    before, after = (cli("inspect", name, "--digests").out for name in ("model.keras", "other.keras"))
    lines = changed_lines(before, after)
    assert [line.split()[:4] for line in lines] == [
        ["-", "dense_1/bias", "float32", "40"],
        ["+", "dense_1/bias", "float32", "40"],
    ]


def test_a_renamed_layer_changes_no_line_of_another_one_that_does_not_read_it(cli, room) -> None:
    (room / "rename.yaml").write_text("mutspec: 1\nsteps: [{op: rename_layer, target: conv_2, to: a_long_name}]\n")
    assert cli("apply", "rename.yaml", "model.keras", "-o", "other.keras").code == 0
    before, after = (cli("inspect", name, "--digests").out for name in ("model.keras", "other.keras"))
    added = [line.split()[1] for line in changed_lines(before, after) if line[0] == "+"]
    assert added == ["digits", "a_long_name/kernel", "a_long_name/bias", "a_long_name", "relu_2"]


def test_the_digests_are_those_of_the_fingerprint_in_json_too(cli, room) -> None:
    document = json.loads(cli("inspect", "model.keras", "--digests", "--json").out)
    schema = json.loads((ROOT / "schemas/inspect.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(document)
    found = {weight["path"]: weight["digest"] for layer in document["layers"] for weight in layer["weights"]}
    expected = fingerprint(open_archive(room / "model.keras"))
    assert found == expected.tensors
    assert document["model"]["structure_digest"] == expected.structure
    lines = cli("inspect", "model.keras", "--digests").out.splitlines()
    for path, digest in found.items():
        assert f"  {path}  {digest}" in lines
    for layer in document["layers"]:
        assert any(line.startswith(f"  {layer['layer']}  {layer['digest']}") for line in lines)
        assert layer["digest"].startswith(f"{layer['type']} ")


def test_only_what_a_target_chooses_is_digested(cli, room) -> None:
    result = cli("inspect", "model.keras", "--digests", "--select", "{type: Dense, weights: kernel}")
    indented = [line.split()[0] for line in result.out.splitlines() if line.startswith("  ")]
    assert indented == ["digits", "dense_1/kernel", "logits/kernel", "dense_1", "logits"]
    assert "weights" not in cli("inspect", "model.keras", "--digests", "--layers").out.splitlines()


@pytest.mark.skipif(which("git") is None, reason="there is no git")
def test_git_diff_says_which_weights_and_layers_of_a_model_changed_as_the_page_for_teams_shows(cli, room) -> None:
    """With real git. And a model that Git LFS holds is shown as what git stores of it."""
    textconv = f"{sys.executable} {room / 'mutspec'} inspect --digests"
    (room / "mutspec").write_text(f"{BLOCKER}\nfrom mutspec.cli import main\nmain()\n")  # without Keras
    no_settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **no_settings}

    def git(*arguments: str) -> str:
        name = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", f"diff.mutspec.textconv={textconv}"]
        done = subprocess.run(["git", *name, *arguments], env=environment, check=True, capture_output=True, text=True)
        return done.stdout

    git("init", "--quiet")
    (room / ".gitattributes").write_text("*.keras -text diff=mutspec\n")
    (room / "large.keras").write_text(POINTER.format("a" * 64))
    git("add", ".gitattributes", "model.keras", "large.keras")
    git("commit", "--quiet", "--message", "base")

    (room / "plan.yaml").write_text(WEIGHT_AND_LAYER)
    assert cli("apply", "plan.yaml", "model.keras", "-o", "other.keras").code == 0
    (room / "other.keras").replace(room / "model.keras")
    (room / "large.keras").write_text(POINTER.format("b" * 64))
    pointer, model = git("diff", "--unified=1").split("diff --git a/model.keras b/model.keras\n")
    sums = [line for line in pointer.splitlines() if "oid" in line]
    assert sums == [f"-oid sha256:{'a' * 64}", f"+oid sha256:{'b' * 64}"]
    page = (ROOT / "docs" / "teams.md").read_text(encoding="utf-8")
    assert model[model.index("@@") :] == page.partition("```diff\n")[2].partition("```")[0]

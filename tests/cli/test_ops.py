"""The catalogue, as people and programs read it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner

from mutspec.cli.main import cli
from mutspec.language import load_text
from mutspec.ops import catalogue
from mutspec.ops.literature import LITERATURE
from tests.cli.conftest import Call

OPS = sorted(catalogue(plugins=False))


def output(*arguments: str) -> str:
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_the_catalogue_names_every_op() -> None:
    text = output("ops")
    assert [op for op in OPS if not re.search(rf"^  {op} ", text, re.MULTILINE)] == []


@pytest.mark.parametrize("op", OPS)
def test_an_ops_page_has_its_parameters_and_a_step_that_works(op: str) -> None:
    text = output("ops", op)
    manual = json.loads(output("ops", op, "--json"))["ops"][0]
    for parameter in manual["parameters"]:
        assert re.search(rf"^  {parameter['name']} ", text, re.MULTILINE), parameter["name"]
        assert parameter["description"]
        assert parameter["type"]
    example = text.partition("Example\n")[2]
    step = yaml.safe_load(example)[0]
    inputs = {name: {} for name in re.findall(r"(\w+):", json.dumps([*step.values()]).replace('":', ""))}
    plan = load_text(json.dumps({"mutspec": 1, "inputs": inputs, "steps": [step]}), catalogue(plugins=False))
    assert plan.steps[0].id == op


def test_the_literatures_ops_exist() -> None:
    assert {row.op for row in LITERATURE if row.op} <= set(OPS)


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("arguments", [["ops"], ["ops", "gaussian_noise"], ["ops", "--literature"]])
def test_pages_fit_the_terminal(width: int, arguments: list[str]) -> None:
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(width), "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen([sys.executable, "-m", "mutspec", *arguments], stdout=follower, env=environment)
    os.close(follower)
    data = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:
            break
        if not chunk:
            break
        data += chunk
    assert process.wait() == 0
    text = data.decode()
    assert "\x1b[1m" in text
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in text.splitlines()) <= width


@pytest.mark.parametrize("columns", [50, 140])
def test_pages_of_ops_are_as_wide_as_all_others(columns: int, mutspec: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    longest = max(map(len, mutspec("ops", "transfer_weights").out.splitlines()))
    assert columns - 20 < longest <= columns

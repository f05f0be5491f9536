"""The JSON documents that programs read, as they are: golden, as a change of one breaks somebody's pipeline.

`UPDATE_SNAPSHOTS=1 pytest tests/cli/test_golden_documents.py` rewrites them; look at the difference before committing.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mutspec.cli.main import cli

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
CALLS = {
    "validate": "validate plan.yaml --json",
    "validate-bad": "validate bad.yaml --json",
    "inspect": "inspect model.keras --select dense_1 --json",
    "dry-run": "apply plan.yaml model.keras --dry-run --json",
    "apply": "apply plan.yaml model.keras -o mutant.keras --diff --json",
    "graph": "graph plan.yaml model.keras --format json",
    "ops": "ops zero --json",
}
BAD = """mutspec: 1
steps:
  - op: zeros
    target: dense_1
  - op: zero
    target: dense_1
    fraktion: 1%
"""


def rounded(value: Any) -> Any:
    """The document with its measurements in nine digits."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


@pytest.mark.parametrize("name", CALLS)
def test_a_document_is_what_it_was(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "conf" / "plan" / "kernel_faults.yaml", tmp_path / "plan.yaml")
    shutil.copy(ROOT / "conf" / "model" / "digits.keras", tmp_path / "model.keras")
    (tmp_path / "bad.yaml").write_text(BAD)
    monkeypatch.chdir(tmp_path)
    document = rounded(json.loads(CliRunner().invoke(cli, CALLS[name].split()).stdout))
    golden = GOLDEN / f"{name}.json"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        golden.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    assert document == json.loads(golden.read_text())

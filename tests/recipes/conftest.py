"""A folder with a plan, a model, and the lock of both."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import mutspec
from tests.cli.conftest import ROOT

PLAN = """\
# yaml-language-server: $schema=../schemas/plan.schema.json
mutspec: 1
params: {std: 0.1}
inputs: {teacher: {}}
steps:
  - {id: jitter, op: gaussian_noise, target: {type: Dense, weights: kernel}, std: "${params.std}"}
  - {op: transfer_weights, source: teacher:conv_1/kernel, target: conv_1/kernel}
"""


@pytest.fixture(scope="session")
def locked_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `plan.yaml`, `model.keras`, `teacher.keras` and `plan.lock.yaml`. It must not be changed."""
    folder = tmp_path_factory.mktemp("locked")
    (folder / "plan.yaml").write_text(PLAN)
    shutil.copy(ROOT / "conf/model/digits.keras", folder / "model.keras")
    negate = mutspec.plan({"steps": [{"op": "negate", "target": "conv_1/kernel"}]})
    mutspec.apply(negate, folder / "model.keras", folder / "teacher.keras")
    mutspec.lock(folder / "plan.yaml", folder / "model.keras", inputs={"teacher": folder / "teacher.keras"})
    return folder


@pytest.fixture
def folder(locked_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, in which the test runs."""
    copy = tmp_path / "recipes"
    shutil.copytree(locked_folder, copy)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return copy

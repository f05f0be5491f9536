"""The worked example of docs/writing-an-op.md, run as it stands there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import mutspec
from mutspec.language import EnvironmentProblem
from mutspec.ops import catalogue

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "writing-an-op.md").read_text()
DIGITS = ROOT / "conf" / "model" / "digits.keras"


def block(language: str) -> str:
    """The first code block of the guide in a language."""
    found = re.search(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide's package, as pip would install it."""
    package = tmp_path / "dead_zone"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "ops.py").write_text(block("python"))
    metadata = tmp_path / "dead_zone-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: dead-zone\nVersion: 1.0\n")
    entry = block("toml").splitlines()[1].replace('"', "")
    (metadata / "entry_points.txt").write_text(f"[mutspec.ops]\n{entry}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.startswith("dead_zone")]:
        del sys.modules[name]


@pytest.mark.usefixtures("installed")
def test_the_guides_op_is_in_the_catalogue_and_in_the_schema() -> None:
    from mutspec.language import json_schema

    assert "damp" in catalogue()
    assert "How strongly large weights shrink." in str(json_schema(catalogue()))
    assert "damp" not in catalogue(plugins=False)


@pytest.mark.usefixtures("installed")
def test_the_guides_plan_touches_a_tenth_of_every_kernel_and_computes_what_the_op_says(tmp_path: Path) -> None:
    plan = tmp_path / "damp.yaml"
    plan.write_text(block("yaml"))
    report = mutspec.apply(mutspec.load_plan(plan), DIGITS, tmp_path / "mutant.keras")
    targets = {f"{target.layer}/{target.weight}": target for target in report.steps[0].targets}
    assert targets["dense_1/kernel"].touched == 2048
    before, after = kernel(DIGITS), kernel(tmp_path / "mutant.keras")
    changed = before != after
    assert targets["dense_1/kernel"].changed == changed.sum() <= 2048
    np.testing.assert_allclose(after[changed], (before / (1 + 0.5 * np.abs(before)))[changed], rtol=1e-6)


@pytest.mark.parametrize(
    ("code", "entry", "words"),
    [
        ("raise SystemExit(0)", "", "cannot be imported: SystemExit: 0"),
        ("x = 5", ":x", "is a value of type `int`, and not an op"),
        ("class Plain: pass", ":Plain", "is the class `Plain`, and not an op"),
        (
            "from mutspec.ops import Op\nclass Odd(Op, tag='odd', frozen=True, kw_only=True):\n    x: complex",
            ":Odd",
            "`odd`, whose parameters cannot stand in a plan: type <class 'complex'>",
        ),
    ],
)
def test_a_plug_in_that_is_no_good_is_named(
    code: str, entry: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad_plugin.py").write_text(code)
    metadata = tmp_path / "bad_plugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[mutspec.ops]\nbad = bad_plugin{entry}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "bad_plugin", raising=False)
    with pytest.raises(EnvironmentProblem) as caught:
        dict(catalogue())
    assert "`bad`" in caught.value.problems[0].message
    assert words in caught.value.problems[0].message
    assert catalogue(plugins=False)


def kernel(model: Path) -> np.ndarray:
    """The kernel of dense_1, by h5py alone."""
    import zipfile

    with zipfile.ZipFile(model) as file, file.open("model.weights.h5") as member, h5py.File(member, "r") as weights:
        return weights["layers/dense/vars/0"][...]


def test_a_plan_that_uses_no_plug_in_does_not_load_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('never imported')")
    metadata = tmp_path / "broken-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[mutspec.ops]\nbroken = broken\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert mutspec.plan({"steps": [{"op": "zero", "target": "dense_1"}]}).steps
    with pytest.raises(mutspec.EnvironmentProblem, match="never imported"):
        mutspec.plan({"steps": [{"op": "elsewhere", "target": "dense_1"}]})

"""The ops of docs/writing-an-op.md in this process, and packages of ops that are wrong."""

from __future__ import annotations

import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

import mutspec
from mutspec.errors import EnvironmentProblem
from mutspec.execute.check import compiled_as_far_as_known
from mutspec.language import json_schema, load_plan
from mutspec.model.files.opening import open_archive
from mutspec.ops import catalogue, family
from mutspec.plugin import StructureContext, StructureOp, name_in_recipe
from tests import guide

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "conf" / "model" / "digits.keras"


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, entry_points: str) -> None:
    """Puts a folder on the module path, with what pip would say of a package in it."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[mutspec.ops]\n{entry_points}\n")
    monkeypatch.syspath_prepend(str(folder))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The guide's package, as pip would install it."""
    guide.write_package(tmp_path)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    entries = project["entry-points"]["mutspec.ops"]
    install(tmp_path, monkeypatch, "dead_zone", "\n".join(f"{name} = {value}" for name, value in entries.items()))
    yield
    for name in [name for name in sys.modules if name.startswith("dead_zone")]:
        del sys.modules[name]


@pytest.mark.usefixtures("installed")
def test_the_guides_ops_are_in_the_catalogue_under_their_package_and_in_the_schema() -> None:
    ops = catalogue()
    assert {name for name, op in ops.items() if family(op) == "dead_zone"} == {"damp", "center_neurons", "repeat_layer"}
    assert "How strongly large weights shrink." in str(json_schema(ops))
    assert "damp" not in catalogue(plugins=False)


@pytest.mark.usefixtures("installed")
def test_the_guides_ops_on_weights_compute_what_they_say_in_as_many_entries_as_they_say(tmp_path: Path) -> None:
    steps = [
        {"op": "damp", "target": "dense_1/kernel", "strength": 0.5, "fraction": "10%"},
        {"op": "center_neurons", "target": "logits", "indices": [1, 7]},
    ]
    report = mutspec.apply(mutspec.plan({"steps": steps}), DIGITS, tmp_path / "mutant.keras")
    before, after = kernel(DIGITS, "dense"), kernel(tmp_path / "mutant.keras", "dense")
    changed = before != after
    assert report.steps[0].targets[0].touched == 2048
    assert report.steps[0].targets[0].changed == changed.sum() <= 2048
    np.testing.assert_allclose(after[changed], (before / (1 + 0.5 * np.abs(before)))[changed], rtol=1e-6)
    before, after = kernel(DIGITS, "dense_1"), kernel(tmp_path / "mutant.keras", "dense_1")
    wanted = before.copy()
    wanted[:, [1, 7]] -= before[:, [1, 7]].mean(axis=0, dtype=np.float64).astype(np.float32)
    np.testing.assert_array_equal(after, wanted)


@pytest.mark.usefixtures("installed")
def test_the_guides_op_on_the_architecture_is_counted_in_a_dry_run() -> None:
    steps = [{"op": "repeat_layer", "target": ["bn_1", "relu_2"]}, {"op": "zero", "target": "repeat_layer/gamma"}]
    report = mutspec.dry_run(mutspec.plan({"steps": steps}), DIGITS)
    assert [layer.path for layer in report.structure.added] == ["repeat_layer", "repeat_layer_1"]
    assert report.parameters_after - report.parameters_before == 4 * 16


@pytest.mark.parametrize(
    ("code", "entry", "words"),
    [
        ("raise SystemExit(0)", "", "cannot be imported: SystemExit: 0"),
        ("x = 5", ":x", "is a value of type `int`, and not an op"),
        ("class Plain: pass", ":Plain", "is the class `Plain`, and not an op"),
        ("from mutspec.ops import WeightOp", "", "write `from mutspec.plugin import WeightOp`"),
        (
            "from mutspec.plugin import Op\nclass Odd(Op, tag='odd', frozen=True, kw_only=True):\n    x: complex",
            ":Odd",
            "`odd`, whose parameters cannot stand in a plan: type <class 'complex'>",
        ),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_named(
    code: str, entry: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad_plugin.py").write_text(code)
    install(tmp_path, monkeypatch, "bad_plugin", f"bad = bad_plugin{entry}")
    monkeypatch.delitem(sys.modules, "bad_plugin", raising=False)
    with pytest.raises(EnvironmentProblem) as caught:
        dict(catalogue())
    assert "`bad`" in caught.value.problems[0].message
    assert words in caught.value.problems[0].message
    assert catalogue(plugins=False)


def kernel(model: Path, layer: str) -> np.ndarray:
    """A kernel by its stored path, by h5py alone."""
    with zipfile.ZipFile(model) as file, file.open("model.weights.h5") as member, h5py.File(member, "r") as weights:
        return weights[f"layers/{layer}/vars/0"][...]


def test_a_plan_that_uses_no_plug_in_does_not_load_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('never imported')")
    install(tmp_path, monkeypatch, "broken", "broken = broken")
    assert mutspec.plan({"steps": [{"op": "zero", "target": "dense_1"}]}).steps
    with pytest.raises(mutspec.EnvironmentProblem, match="never imported"):
        mutspec.plan({"steps": [{"op": "elsewhere", "target": "dense_1"}]})


@pytest.mark.parametrize("is_named_alone", [True, False])
def test_an_op_names_layers_after_its_step_also_in_a_recipe_that_is_used(is_named_alone: bool, tmp_path: Path) -> None:
    class Entrance(StructureOp, tag="entrance", frozen=True, kw_only=True):
        """Puts a layer after the first one."""

        def restructure(self, ctx: StructureContext) -> None:
            for found in ctx.find("dense_1", "target"):
                name = name_in_recipe(self.id) if is_named_alone else self.id
                entry = ctx.new_layer({"type": "ReLU"}, found.owner, found.output(), name=name)
                ctx.insert(entry, found.owner, [found.output()])

    ops = {"entrance": Entrance}
    (tmp_path / "recipe.yaml").write_text("mutspec: 1\nsteps: [{op: entrance}]\n")
    (tmp_path / "plan.yaml").write_text("mutspec: 1\nsteps: [{use: recipe, id: used}]\n")
    plan = load_plan(tmp_path / "plan.yaml", ops)
    archive = open_archive(DIGITS)
    if is_named_alone:
        layers = compiled_as_far_as_known(plan, archive, {})[0].after.layers
        assert "entrance" in [layer.path for layer in layers]
    else:
        with pytest.raises(mutspec.PlanError, match="`used/entrance`"):
            compiled_as_far_as_known(plan, archive, {})[0]


def test_all_that_the_face_of_plug_ins_names_is_there_once() -> None:
    from mutspec import plugin

    assert len(set(plugin.__all__)) == len(plugin.__all__)
    public = {name for name, value in vars(plugin).items() if not name.startswith("_")}
    assert public == set(plugin.__all__)

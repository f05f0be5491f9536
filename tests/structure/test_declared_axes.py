"""Axes that packages declare for their own layer classes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.errors import EnvironmentProblem, PlanError
from mutspec.plugin import LayerAxes, declare_layer_axes
from mutspec.structure.coupling import declared
from tests.structure.coupling_of import difference, drawn, pruned_and_masked
from tests.zoo.play import mutant_of


@pytest.fixture(autouse=True)
def nothing_declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No declarations but those of the test."""
    monkeypatch.setattr(declared, "_DECLARED", {})
    declared._load.cache_clear()
    yield
    declared._load.cache_clear()


def model() -> Any:
    """A model with layers of two classes of its own: one that makes channels, and one that scales those it gets."""
    import keras

    @keras.saving.register_keras_serializable("axes_test")
    class Project(keras.layers.Layer):
        def __init__(self, width: int, **options: Any) -> None:
            super().__init__(**options)
            self.width = width

        def build(self, shape: tuple[int, ...]) -> None:
            self.matrix = self.add_weight(shape=(self.width, shape[-1]), name="matrix")

        def call(self, inputs: Any) -> Any:
            return keras.ops.matmul(inputs, keras.ops.transpose(self.matrix))

        def compute_output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
            return (*shape[:-1], self.width)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "width": self.width}

    @keras.saving.register_keras_serializable("axes_test")
    class Scale(keras.layers.Layer):
        def build(self, shape: tuple[int, ...]) -> None:
            self.gain = self.add_weight(shape=(shape[-1],), name="gain", initializer="ones")

        def call(self, inputs: Any) -> Any:
            return inputs * self.gain

        def compute_output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
            return shape

    inputs = keras.Input((5,))
    x = keras.layers.Dense(4, name="before")(inputs)
    x = Project(6, name="project")(Scale(name="scale")(x))
    return drawn(keras.Model(inputs, keras.layers.Dense(2, name="head")(x)))


PROJECT = LayerAxes("... i -> ... o", {"var0": "o < i"}, {"width": "o"})
SCALE = LayerAxes("... c -> ... c", {"var0": "c"})


def test_a_class_without_declared_axes_is_a_barrier_and_the_refusal_names_the_way_on() -> None:
    with pytest.raises(PlanError) as caught:
        mutant_of(model(), {"op": "remove_neurons", "target": "before", "count": 1})
    assert "`scale` is of the class `axes_test>Scale`, whose axes nobody has declared" in str(caught.value)
    assert "declare_layer_axes" in str(caught.value)


def test_units_go_through_classes_whose_axes_are_declared() -> None:
    declare_layer_axes("axes_test>Project", PROJECT)
    declare_layer_axes("axes_test>Scale", SCALE)
    base = model()
    for target in ("before", "project"):
        predicted, masked, pruned = pruned_and_masked(base, target=target, indices=[1])
        assert difference(predicted, masked) < 1e-5
    kernel = base.get_layer("project").matrix.numpy()
    np.testing.assert_array_equal(pruned.get_layer("project").matrix, np.delete(kernel, 1, axis=0))
    assert pruned.get_layer("project").width == 5


def test_units_go_through_them_in_files_too(tmp_path: Path) -> None:
    declare_layer_axes("axes_test>Project", PROJECT)
    declare_layer_axes("axes_test>Scale", SCALE)
    base = model()
    base.save(tmp_path / "base.keras")
    mutspec.apply(plan(), tmp_path / "base.keras", tmp_path / "pruned.keras")
    import keras

    expected = mutspec.apply(plan(), base)
    found = keras.saving.load_model(tmp_path / "pruned.keras")
    assert [each.shape for each in found.weights] == [each.shape for each in expected.weights]
    for one, other in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_axes_are_declared_once() -> None:
    declare_layer_axes("axes_test>Scale", SCALE)
    declare_layer_axes("axes_test>Scale", SCALE)
    with pytest.raises(ValueError, match="declared twice"):
        declare_layer_axes("axes_test>Scale", PROJECT)
    with pytest.raises(TypeError, match="not str"):
        declare_layer_axes("axes_test>Other", "... -> ...")  # type: ignore[arg-type]


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Puts a package with an entry point on the module path, as pip would."""
    metadata = folder / "scales-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: scales\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[mutspec.layer_axes]\nscales = scales_axes\n")
    (folder / "scales_axes.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "scales_axes", raising=False)


def test_installed_packages_are_asked_when_a_class_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path,
        monkeypatch,
        "from mutspec.plugin import LayerAxes, declare_layer_axes\n"
        "declare_layer_axes('axes_test>Scale', LayerAxes('... c -> ... c', {'var0': 'c'}))\n"
        "declare_layer_axes('axes_test>Project', LayerAxes('... i -> ... o', {'var0': 'o < i'}, {'width': 'o'}))\n",
    )
    base = model()
    assert "scales_axes" not in sys.modules
    assert [edit.layer for edit in mutspec.dry_run(plan(), base).steps[0].edits] == ["before", "scale", "project"]
    assert "scales_axes" in sys.modules


def test_a_package_that_cannot_be_imported_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "raise RuntimeError('no')\n")
    with pytest.raises(EnvironmentProblem, match=r"`scales` .* cannot be imported: RuntimeError: no"):
        mutspec.dry_run(plan(), model())


def plan() -> Any:
    return mutspec.plan({"steps": [{"op": "remove_neurons", "target": "before", "count": 1}]})

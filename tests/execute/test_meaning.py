"""What `diff` takes for a change of a layer: what it means, and not how a version of Keras spells it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import pytest

from mutspec.compare.diff import diff
from mutspec.compare.structure import structure_diff
from mutspec.execute.loading import load
from mutspec.model.build import build_spec
from mutspec.model.files.opening import open_archive
from mutspec.model.live import read_live
from mutspec.model.meaning import value_meant

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

DATA = Path(__file__).parents[1] / "data"
OLD = [
    DATA / "keras2" / "keras_2.13.1" / "stack.keras",
    DATA / "keras2" / "keras_2.15.0" / "graph.h5",
    DATA / "old" / "keras_2.0.9" / "cnn.h5",
    DATA / "old" / "keras_2.0.9" / "residual.h5",
    DATA / "old" / "tf_keras_2.15.1" / "recurrent.keras",
    DATA / "old" / "keras_3.0.5" / "residual.keras",
    DATA / "old" / "keras_3.5.0" / "recurrent.h5",
    DATA / "old" / "keras_3.6.0" / "cnn.keras",
]


@pytest.mark.parametrize("path", OLD, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_old_file_and_the_same_model_in_this_keras_are_identical(path: Path) -> None:
    found = diff(open_archive(path), read_live(load(path).model))
    assert found.structure.changed == ()
    assert found.identical


def _spec(config: dict[str, Any]) -> Any:
    layer = {"class_name": "Dense", "module": "keras.layers", "config": {"name": "d", "units": 2, **config}}
    model = {"class_name": "Sequential", "module": "keras", "config": {"name": "s", "layers": [layer]}}
    return build_spec(
        model, {"layers/dense/vars/0": ((3, 2), "float32"), "layers/dense/vars/1": ((2,), "float32")}
    ).spec


def _seeded(seed: int | None, **beside: Any) -> dict[str, Any]:
    return {"kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": seed}, **beside}}


POLICY = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}
RELU = {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"}
AS_SCALING = {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"dtype": "float32"}, {"dtype": POLICY}),
        ({}, {"dtype": POLICY, "trainable": True, "use_bias": True, "lora_rank": None}),
        ({"activation": "relu"}, {"activation": RELU}),
        ({"activation": None}, {"activation": "linear"}),
        ({"activation": "swish"}, {"activation": "silu"}),
        (_seeded(None), _seeded(None, module="keras.initializers", registered_name=None)),
        (_seeded(None), {"kernel_initializer": "glorot_uniform"}),
        (_seeded(None), {"kernel_initializer": {"class_name": "VarianceScaling", "config": AS_SCALING}}),
        (_seeded(None), {}),
        (
            {"kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.1}}},
            {"kernel_regularizer": {"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.1}}},
        ),
    ],
)
def test_two_spellings_of_one_layer_are_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert structure_diff(_spec(one), _spec(other)).is_empty
    assert structure_diff(_spec(other), _spec(one)).is_empty


@pytest.mark.parametrize(
    ("one", "other", "keys"),
    [
        ({"dtype": "float32"}, {"dtype": "float16"}, ["dtype"]),
        ({}, {"activation": "relu"}, ["activation"]),
        ({"use_bias": True}, {"use_bias": 1.5}, ["use_bias"]),
        (_seeded(1, module="keras.initializers"), _seeded(2), ["kernel_initializer.config.seed"]),
        ({"kernel_regularizer": "l2"}, {"kernel_regularizer": "l1"}, ["kernel_regularizer"]),
        ({"trainable": False}, {}, ["trainable"]),
        (
            {"activation": {"class_name": "F", "module": "a", "registered_name": "a>F", "config": {}}},
            {"activation": {"class_name": "F", "module": "b", "registered_name": "b>F", "config": {}}},
            ["activation.registered_name"],
        ),
    ],
)
def test_what_means_something_else_is_a_change(one: dict[str, Any], other: dict[str, Any], keys: list[str]) -> None:
    (change,) = structure_diff(_spec(one), _spec(other)).changed
    assert [item.key for item in change.config] == keys


@pytest.mark.parametrize("kind", ["initializers", "regularizers", "constraints"])
def test_each_object_of_keras_means_the_same_by_its_short_name_and_in_full(kind: str) -> None:
    """Keras itself says what a short name stands for."""
    module = getattr(keras, kind)
    base = {"initializers": "Initializer", "regularizers": "Regularizer", "constraints": "Constraint"}[kind]
    ending = f"kernel_{base.lower()}"
    for name in mutspec_names(kind):
        try:
            made = module.get(name)
        except Exception:  # it needs arguments
            continue
        written = json.loads(json.dumps(keras.saving.serialize_keras_object(made)))
        short, full = value_meant(ending, name), value_meant(ending, written)
        known = {key: value for key, value in full["config"].items() if key in short["config"]}
        assert {**short, "config": short["config"]} == {**full, "config": known}, name


def mutspec_names(kind: str) -> list[str]:
    """The short names that the tables have."""
    from mutspec.keras_facts import object_names

    return sorted(name for name in getattr(object_names, kind.upper()) if name.islower())


def test_an_alias_of_a_class_is_the_class() -> None:
    spec = _spec({})

    def of_class(name: str) -> Any:
        return replace(spec, layers=tuple(replace(layer, class_name=name) for layer in spec.layers))

    assert structure_diff(of_class("MaxPool1D"), of_class("MaxPooling1D")).is_empty
    assert not structure_diff(of_class("MaxPool1D"), of_class("AveragePooling1D")).is_empty


def test_an_axis_in_a_list_of_one_is_that_axis() -> None:
    assert value_meant("axis", [2]) == value_meant("axis", 2)


def test_the_shape_that_a_model_was_built_on_is_compared_only_where_both_state_it() -> None:
    def changed(one: Any, other: Any) -> bool:
        before, after = (
            build_spec(
                {
                    "class_name": "Sequential",
                    "module": "keras",
                    "config": {
                        "name": "outer",
                        "layers": [
                            {
                                "class_name": "Sequential",
                                "module": "keras",
                                "config": {"name": "inner", "layers": [], "build_input_shape": shape},
                            }
                        ],
                    },
                },
                {},
            ).spec
            for shape in (one, other)
        )
        return bool(structure_diff(before, after).changed)

    assert not changed([None, 3], None)
    assert changed([None, 3], [None, 4])

"""Structural steps on real models: what they change is what they say, and nothing else changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError
from mutspec.execute import live as executor
from mutspec.model.live import read_live
from tests.effort import share
from tests.zoo.play import inputs_of, outputs, shared, weights

DENSE = {"type": "Dense", "units": "same"}
PLACES: dict[str, tuple[str, ...]] = {
    "sequential": ("dense",),
    "sequential_deferred": ("first", "second"),
    "residual": ("stem", "relu", "concat", "head"),
    "shared_layers": ("shared",),
    "nested": ("encoder", "encoder/dense_3", "head/dense"),
    "nested_twice_deep": ("middle/inner/dense", "middle"),
    "called_twice": ("inner/dense", "inner"),
    "siamese": ("encoder", "left"),
    "multiple_io": ("concatenate", "dense"),
    "multiple_io_lists": ("subtract", "dense"),
    "operators": ("dense", "concatenate"),
    "initial_state": ("decode", "summary"),
    "embedding_mask": ("embedding",),
    "transformer": ("mha", "up"),
    "normalization": ("adapted",),
    "preprocessing": ("embedding",),
    "double": ("dense",),
    "mixed_float16": ("dense",),
}
"""Models, and the layers in them after which others are put."""


def _insert(after: str, layer: dict[str, Any] = DENSE, **keys: Any) -> dict[str, Any]:
    return {"op": "insert_layer", "after": after, "layer": layer, "id": "new", **keys}


def _mutant(model: Any, *steps: dict[str, Any], seed: int = 3) -> Any:
    return mutspec.apply(mutspec.plan({"seed": seed, "steps": list(steps)}), model)


def _names(name: str) -> list[str]:
    """The places in a model. Should Keras count names otherwise, this says so."""
    known = read_live(shared(name)).spec.layer_by_path
    assert set(PLACES[name]) <= known.keys(), sorted(known)
    return list(PLACES[name])


def _assert_same(one: list[np.ndarray], other: list[np.ndarray], relative: float = 1e-6) -> None:
    for left, right in zip(one, other, strict=True):
        scale = max(np.abs(right).max(), 1e-9)
        assert np.abs(left - right).max() <= relative * scale, np.abs(left - right).max() / scale


def _found(model: Any, path: str) -> Any:
    for name in path.split("/") if path else ():
        model = model.get_layer(name)
    return model


def _by_path(model: Any) -> dict[str, np.ndarray]:
    return {path: variable.numpy() for path, variable in read_live(model).variables.items()}


def _assert_others_are_equal(base: Any, mutant: Any, *but: str) -> None:
    before, after = _by_path(base), _by_path(mutant)
    for path, value in before.items():
        if not path.startswith(but):
            assert after[path].tobytes() == value.tobytes(), path


ROUNDS = {"mixed_float16": 2e-3, "double": 1e-12}
IDENTITIES = {
    "dense": (DENSE, {"initialize": "identity"}),
    "normalisation": ({"type": "BatchNormalization"}, {"initialize": "identity"}),
    "dropout": ({"type": "Dropout", "rate": 0.5}, {"initialize": "identity"}),
}


@cache
def _with_identity(name: str, place: str, kind: str = "dense") -> Any:
    """A model with an identity in it; a test must leave it as it is."""
    layer, keys = IDENTITIES[kind]
    return _mutant(shared(name), _insert(place, layer, **keys))


OTHER_IDENTITIES = ("sequential", "residual", "shared_layers", "nested", "embedding_mask", "mixed_float16")
"""Models that get a normalisation and a dropout too; where these go in the graph does not depend on the layer."""


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in PLACES for kind in IDENTITIES if kind == "dense" or name in OTHER_IDENTITIES],
)
def test_an_identity_changes_no_output_and_no_other_weight(name: str, kind: str) -> None:
    base = shared(name)
    x, before = inputs_of(base), weights(base)
    for place in _names(name):
        mutant = _with_identity(name, place, kind)
        # Keras's own fused kernels may round otherwise: one unit in the last place of float32 per layer.
        _assert_same(outputs(mutant, x), outputs(base, x), ROUNDS.get(name, 1e-6))
        _assert_others_are_equal(base, mutant)
        assert type(mutant) is type(base)
        assert len(_by_path(mutant)) - len(_by_path(base)) == {"dense": 2, "normalisation": 4, "dropout": 0}[kind]
        assert weights(base) == before


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "Conv2D", "filters": "same", "kernel_size": 3, "padding": "same"},
        {"type": "Conv2D", "filters": "same", "kernel_size": 2, "padding": "same"},
        {"type": "Conv2D", "filters": "same", "kernel_size": [1, 4], "padding": "same"},
        {"type": "Conv2D", "filters": "same", "kernel_size": 1},
        {"type": "Conv2D", "filters": "same", "kernel_size": 3, "padding": "same", "groups": 2},
        {"type": "Conv2D", "filters": "same", "kernel_size": 3, "padding": "same", "dilation_rate": 2},
        {"type": "DepthwiseConv2D", "kernel_size": 3, "padding": "same"},
        {"type": "SeparableConv2D", "filters": "same", "kernel_size": 3, "padding": "same"},
        {"type": "PReLU"},
        {"type": "Activation", "activation": "linear"},
        {"type": "BatchNormalization", "epsilon": 0.1, "scale": False},
    ],
    ids=str,
)
def test_every_layer_that_can_begin_as_an_identity_does(layer: dict[str, Any]) -> None:
    base = shared("residual")
    x = inputs_of(base)
    mutant = _mutant(base, _insert("stem", layer, initialize="identity"))
    _assert_same(outputs(mutant, x), outputs(base, x))


@pytest.mark.parametrize("padding", ["same", "causal"])
@pytest.mark.parametrize("size", [2, 3])
def test_convolutions_of_sequences_begin_as_identities(padding: str, size: int) -> None:
    base = shared("convolutions_1d")
    x, first = inputs_of(base), base.layers[0].name
    layer = {"type": "Conv1D", "filters": "same", "kernel_size": size, "padding": padding}
    _assert_same(outputs(_mutant(base, _insert(first, layer, initialize="identity")), x), outputs(base, x))


@pytest.mark.parametrize("name", PLACES)
def test_renamed_layers_keep_everything(name: str) -> None:
    base = shared(name)
    x = inputs_of(base)
    for place in _names(name):
        mutant = _mutant(base, {"op": "rename_layer", "target": place, "to": "brand_new"})
        _assert_same(outputs(mutant, x), outputs(base, x), 0)
        assert weights(mutant) == weights(base)
        renamed = f"{place.rpartition('/')[0]}/brand_new".lstrip("/")
        owner = _found(mutant, place.rpartition("/")[0])
        nodes = owner.operations if hasattr(owner, "operations") else owner.layers  # operators are not layers
        assert "brand_new" in [each.name for each in nodes]
        known = read_live(mutant).spec.layer_by_path
        assert renamed in known
        assert place not in known


@pytest.mark.parametrize("name", share(PLACES, of=2))
def test_an_inserted_layer_reaches_the_outputs(name: str) -> None:
    base = shared(name)
    x = inputs_of(base)
    for place in _names(name):
        mutant = _with_identity(name, place)
        owner = place.rpartition("/")[0]
        new = _found(mutant, f"{owner}/new".lstrip("/"))
        kernel = new.kernel.numpy()
        new.kernel.assign(kernel + np.random.default_rng(2).uniform(0.5, 1, kernel.shape))
        changed = outputs(mutant, x)
        new.kernel.assign(kernel)
        assert max(np.abs(i - j).max() for i, j in zip(changed, outputs(base, x), strict=True)) > 1e-6, place


def test_a_removed_layer_leaves_no_trace(tmp_path: Path) -> None:
    import h5py
    import keras

    base = shared("residual")
    mutant = _mutant(base, {"op": "remove_layer", "target": "norm"})
    path = tmp_path / "mutant.keras"
    mutant.save(path)
    with zipfile.ZipFile(path) as file:
        config = file.read("config.json").decode()
        (tmp_path / "weights.h5").write_bytes(file.read("model.weights.h5"))
    assert "BatchNormalization" not in config
    assert '"norm"' not in config
    with h5py.File(tmp_path / "weights.h5") as file:
        found: list[str] = []
        file.visititems(lambda at, item: found.append(at) if isinstance(item, h5py.Dataset) else None)
    assert len(found) == len(base.weights) - 4
    assert not [each for each in found if "norm" in each]
    _assert_others_are_equal(base, mutant, "norm/")

    x = keras.Input((6, 6, 3))  # the same, written out by hand
    stem = base.get_layer("stem")(x)
    y = keras.ops.relu(stem + base.get_layer("branch")(stem))
    z = base.get_layer("head")(base.get_layer("pool")(keras.ops.concatenate([y, x], -1)))
    values = inputs_of(base)
    _assert_same(outputs(mutant, values), outputs(keras.Model(x, z), values))


@pytest.mark.parametrize(("keep", "gone"), [("stem", {"add", "branch", "norm"}), ("norm", {"add"})])
def test_keep_says_which_branch_of_an_add_goes_on(keep: str, gone: set[str]) -> None:
    import keras

    base = shared("residual")
    mutant = _mutant(base, {"op": "remove_layer", "target": "add", "keep": keep})
    assert {each.name for each in base.layers} - {each.name for each in mutant.layers} == gone
    x = keras.Input((6, 6, 3))
    y = base.get_layer("stem")(x)
    if keep == "norm":
        y = base.get_layer("norm")(base.get_layer("branch")(y))
    z = base.get_layer("head")(base.get_layer("pool")(keras.ops.concatenate([keras.ops.relu(y), x], -1)))
    values = inputs_of(base)
    _assert_same(outputs(mutant, values), outputs(keras.Model(x, z), values))
    with pytest.raises(PlanError):
        _mutant(base, {"op": "remove_layer", "target": "add"})


def test_a_layer_on_an_edge_leaves_other_users_alone() -> None:
    import keras

    base = shared("residual")
    mutant = _mutant(base, _insert("stem", before="branch"), {"op": "fill", "target": "new", "value": 0.5})
    x = keras.Input((6, 6, 3))
    stem = base.get_layer("stem")(x)
    new = keras.ops.repeat(keras.ops.sum(stem, -1, keepdims=True) * 0.5 + 0.5, 4, -1)
    y = keras.ops.relu(stem + base.get_layer("norm")(base.get_layer("branch")(new)))
    z = base.get_layer("head")(base.get_layer("pool")(keras.ops.concatenate([y, x], -1)))
    values = inputs_of(base)
    _assert_same(outputs(mutant, values), outputs(keras.Model(x, z), values), 1e-5)


def test_before_alone_is_the_input_of_that_layer_only() -> None:
    base = shared("residual")
    mutant = _mutant(base, {"op": "insert_layer", "before": "branch", "layer": DENSE, "id": "new"})
    edge = _mutant(base, _insert("stem", before="branch"))
    assert mutant.get_config() == edge.get_config()


def test_a_shared_layer_gets_the_new_one_at_each_call() -> None:
    base = shared("shared_layers")
    mutant = _mutant(base, _insert("shared"), {"op": "gaussian_noise", "target": "new", "std": 0.5})
    assert len(mutant.get_layer("new")._inbound_nodes) == 3
    (x,) = inputs_of(base)
    kernel, bias, new_kernel, new_bias = (
        _by_path(mutant)[path].astype("float64") for path in ("shared/kernel", "shared/bias", "new/kernel", "new/bias")
    )

    def both(value: np.ndarray) -> np.ndarray:
        return (value @ kernel + bias) @ new_kernel + new_bias

    twice = both(both(x))
    _assert_same(outputs(mutant, [x]), [both(twice + twice), twice], 1e-5)


def test_sequential_models_stay_so_and_keep_their_order() -> None:
    import keras

    base = shared("sequential_deferred")
    mutant = _mutant(base, _insert("first"))
    assert type(mutant) is keras.Sequential
    assert [each.name for each in mutant.layers] == ["first", "new", "second"]
    gone = _mutant(mutant, {"op": "remove_layer", "target": "new"})
    assert [each.name for each in gone.layers] == ["first", "second"]
    assert weights(gone) == weights(base)
    _assert_same(outputs(gone, [np.ones((2, 3), "float32")]), outputs(base, [np.ones((2, 3), "float32")]), 0)


def test_dictionaries_of_ports_keep_their_keys() -> None:
    base = shared("multiple_io")
    mutant = _mutant(base, _insert("dense", initialize="identity"))
    values = {"a": np.ones((2, 2), "float32"), "b": np.ones((2, 3), "float32")}
    one, other = mutant(values), base(values)
    assert one.keys() == other.keys() == {"first", "second"}
    for key in one:
        np.testing.assert_allclose(np.asarray(one[key]), np.asarray(other[key]), rtol=1e-6)


def test_masks_go_through_a_new_layer() -> None:
    base = shared("embedding_mask")
    mutant = _mutant(base, _insert("embedding", initialize="identity"))
    x = np.array([[1, 2, 3, 0, 0, 0, 0], [4, 0, 0, 0, 0, 0, 0]], "int32")
    padded = np.array([[1, 2, 3, 0, 0, 0, 0], [4, 1, 1, 1, 1, 1, 1]], "int32")
    _assert_same(outputs(mutant, [x]), outputs(base, [x]))
    assert np.abs(outputs(base, [x])[0] - outputs(base, [padded])[0]).max() > 1e-6  # so the mask matters


@pytest.mark.parametrize("keeps", [True, False])
def test_a_replaced_layer_keeps_its_weights_if_told_so(keeps: bool) -> None:
    base = shared("residual")
    layer = {"type": "Conv2D", "filters": "same", "kernel_size": 3, "padding": "same", "activation": "relu"}
    step = {"op": "replace_layer", "target": "stem", "layer": {**layer, "name": "same"}, "keep_weights": keeps}
    mutant = _mutant(base, step)
    _assert_others_are_equal(base, mutant, *(() if keeps else ("stem/",)))
    assert mutant.get_layer("stem").get_config()["activation"] == "relu"
    same = np.array_equal(mutant.get_layer("stem").kernel.numpy(), base.get_layer("stem").kernel.numpy())
    assert same is keeps


def test_keep_weights_keeps_what_fits() -> None:
    base = shared("residual")
    layer = {"type": "Conv2D", "filters": "same", "kernel_size": 5, "padding": "same", "name": "same"}
    with pytest.warns(mutspec.MutspecWarning, match=r"keeps 1 of 2 weights of `stem`: kernel was 3×3×3×4"):
        mutant = _mutant(base, {"op": "replace_layer", "target": "stem", "layer": layer, "keep_weights": True})
    stem = mutant.get_layer("stem")
    np.testing.assert_array_equal(stem.bias.numpy(), base.get_layer("stem").bias.numpy())
    assert tuple(stem.kernel.shape) == (5, 5, 3, 4)
    assert np.abs(stem.kernel.numpy()).max() <= np.sqrt(6 / (25 * 7))


def test_configured_layers_act_as_configured() -> None:
    base = shared("transformer")
    mutant = _mutant(base, {"op": "configure_layer", "target": "up", "set": {"activation": "linear"}})
    assert mutant.get_layer("up").get_config()["activation"] == "linear"
    assert base.get_layer("up").get_config()["activation"] == "gelu"
    assert weights(mutant) == weights(base)
    x = inputs_of(base)
    assert np.abs(outputs(mutant, x)[0] - outputs(base, x)[0]).max() > 1e-6


def test_weight_steps_after_a_structural_one_work_on_the_new_values() -> None:
    base = shared("residual")
    first = _mutant(base, _insert("stem")).get_layer("new").kernel.numpy()
    scaled = _mutant(base, _insert("stem"), {"op": "scale", "target": "new/kernel", "factor": 1.7})
    np.testing.assert_array_equal(scaled.get_layer("new").kernel.numpy(), first * np.float32(1.7))


def test_the_order_of_steps_tells_and_what_is_done_before_a_structural_step_stays() -> None:
    base = shared("residual")
    noise = {"op": "gaussian_noise", "target": "stem", "std": 0.1}
    steps = [noise, {"op": "rename_layer", "target": "stem", "to": "root"}, {**noise, "target": "root", "id": "again"}]
    mutant = _mutant(base, *steps)
    plain = _mutant(base, noise, {**noise, "id": "again"})  # a layer's streams do not depend on its name
    np.testing.assert_array_equal(mutant.get_layer("root").kernel.numpy(), plain.get_layer("stem").kernel.numpy())
    zeroed = _mutant(base, _insert("stem"), {"op": "zero", "target": {"weights": "kernels"}})
    assert not np.any(zeroed.get_layer("new").kernel.numpy())
    kept = _mutant(base, {"op": "zero", "target": {"weights": "kernels"}}, _insert("stem"))
    assert np.any(kept.get_layer("new").kernel.numpy())
    assert not np.any(kept.get_layer("stem").kernel.numpy())


def test_new_layers_with_one_seed_are_equal_and_with_others_differ() -> None:
    base = shared("residual")
    one, same, other = (_mutant(base, _insert("stem"), seed=seed).get_layer("new").kernel.numpy() for seed in (1, 1, 2))
    assert one.tobytes() == same.tobytes() != other.tobytes()


@cache
def _wide() -> Any:
    import keras

    return keras.Sequential([keras.Input((300,)), keras.layers.Dense(200, name="wide")])


@pytest.mark.parametrize(
    ("initializer", "std", "limit"),
    [
        ("glorot_uniform", np.sqrt(2 / 400), np.sqrt(6 / 400)),
        ("he_uniform", np.sqrt(2 / 200), np.sqrt(6 / 200)),
        ("lecun_normal", np.sqrt(1 / 200), 2 * np.sqrt(1 / 200) / 0.8796),
        ("he_normal", np.sqrt(2 / 200), 2 * np.sqrt(2 / 200) / 0.8796),
        ({"class_name": "TruncatedNormal", "config": {"stddev": 0.3}}, 0.3 * 0.8796, 0.6),
        ({"class_name": "RandomUniform", "config": {"minval": -2, "maxval": 2}}, 4 / np.sqrt(12), 2.0),
    ],
    ids=str,
)
def test_initial_values_have_the_spread_that_the_literature_says(initializer: Any, std: float, limit: float) -> None:
    layer = {"type": "Dense", "units": "same", "kernel_initializer": initializer}
    kernel = _mutant(_wide(), _insert("wide", layer)).get_layer("new").kernel.numpy().astype("float64")
    standard_error = std / np.sqrt(2 * kernel.size)
    assert abs(kernel.std() - std) < 5 * standard_error
    assert abs(kernel.mean()) < 5 * std / np.sqrt(kernel.size)
    assert limit * 0.97 < np.abs(kernel).max() <= limit * (1 + 1e-4)


@pytest.mark.parametrize("name", PLACES)
def test_a_dry_run_knows_the_mutant(name: str) -> None:
    base, place = shared(name), _names(name)[0]
    plan = mutspec.plan({"steps": [_insert(place), {"op": "gaussian_noise", "target": "**/new", "std": 0.1}]})
    if "/" not in place:
        plan = mutspec.plan({"steps": [_insert(place), {"op": "gaussian_noise", "target": "new", "std": 0.1}]})
    program = executor._prepare(plan, base, {}, executor.NonFinite.ERROR).program
    dry, mutant = mutspec.dry_run(plan, base), mutspec.apply(plan, base)
    said = {tensor.path: (tensor.shape, tensor.dtype) for tensor in program.after.tensors}
    assert said == {tensor.path: (tensor.shape, tensor.dtype) for tensor in read_live(mutant).spec.tensors}
    assert {path: tuple(value.shape) for path, value in _by_path(mutant).items()} == {
        path: shape for path, (shape, _) in said.items()
    }
    found = mutspec.diff(base, mutant).structure
    for one, other in ((dry.structure.added, found.added), (dry.structure.removed, found.removed)):
        assert [(each.path, each.class_name) for each in one] == [(each.path, each.class_name) for each in other]
    assert [each.layer for each in dry.structure.changed] == [each.layer for each in found.changed]
    assert dry.parameters_after == sum(value.size for value in _by_path(mutant).values())


def test_a_file_is_the_same_bytes_each_time_and_holds_what_the_live_mutant_holds(tmp_path: Path) -> None:
    base = shared("residual")
    base.save(tmp_path / "base.keras")
    plan = mutspec.plan({"steps": [_insert("stem"), {"op": "gaussian_noise", "target": "new", "std": 0.1}]})
    for name in ("one.keras", "two.keras"):
        mutspec.apply(plan, tmp_path / "base.keras", tmp_path / name)
    assert (tmp_path / "one.keras").read_bytes() == (tmp_path / "two.keras").read_bytes()
    found = mutspec.diff(tmp_path / "one.keras", mutspec.apply(plan, base))
    assert found.identical, str(found)


CODE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, keras
sys.modules["mutspec"] = None
for name in sys.argv[2:]:
    model = keras.saving.load_model(f"{sys.argv[1]}/{name}.keras")
    held = np.load(f"{sys.argv[1]}/{name}.npz")
    values = [held[f"in{i}"] for i in range(sum(key.startswith("in") for key in held))]
    struct = model._inputs_struct if hasattr(model, "_inputs_struct") else values[0]
    given = values[0] if hasattr(struct, "shape") else keras.tree.pack_sequence_as(struct, values)
    found = keras.tree.flatten(model(given, training=False))
    for index, each in enumerate(found):
        np.testing.assert_allclose(np.asarray(each).astype("float64"), held[f"out{index}"], rtol=1e-6, atol=1e-7)
    print(name)
"""


LOADED = tuple(
    name for name in PLACES if name not in ("nested", "called_twice", "siamese", "multiple_io_lists", "double")
)
"""Without those whose containers, ports and layers others have too."""


def test_plain_keras_in_another_process_loads_every_mutant_and_predicts_the_same(tmp_path: Path) -> None:
    for name in LOADED:
        mutant = _with_identity(name, _names(name)[-1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mutant.save(tmp_path / f"{name}.keras")
        x = inputs_of(mutant)
        held = {f"in{i}": each for i, each in enumerate(x)}
        np.savez(tmp_path / f"{name}.npz", **held, **{f"out{i}": each for i, each in enumerate(outputs(mutant, x))})
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path), *LOADED],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == list(LOADED)


def test_nested_edits_stay_in_their_model() -> None:
    base = shared("nested")
    before = json.dumps(base.get_config(), default=str)
    mutant = _mutant(base, _insert("encoder/dense_3"))
    assert [each.name for each in mutant.layers] == [each.name for each in base.layers]
    assert [each.name for each in mutant.get_layer("encoder").layers if each.name == "new"] == ["new"]
    assert json.dumps(base.get_config(), default=str) == before


def test_a_target_of_several_layers_gets_one_new_layer_each() -> None:
    base = shared("transformer")
    mutant = _mutant(base, {**_insert("up"), "after": ["up", "down", "mha"], "initialize": "identity"})
    new = {each.name: each.units for each in mutant.layers if each.name.startswith("new")}
    assert sorted(new) == ["new", "new_1", "new_2"]
    assert sorted(new.values()) == [8, 8, 12]
    _assert_same(outputs(mutant, inputs_of(base)), outputs(base, inputs_of(base)))
    several = _mutant(base, {**_insert("up"), "after": ["up", "down"]})
    drawn = [each.kernel.numpy() for each in several.layers if each.name.startswith("new")]
    assert not np.array_equal(drawn[0][:8, :8], drawn[1][:8, :8])


@pytest.mark.parametrize("name", share(PLACES, of=2, turn=1))
def test_what_is_inserted_and_removed_again_leaves_the_model_as_it_was(name: str) -> None:
    base, place = shared(name), _names(name)[-1]
    new = f"{place.rpartition('/')[0]}/new".lstrip("/")
    mutant = _mutant(base, _insert(place), {"op": "remove_layer", "target": new})
    assert weights(mutant) == weights(base)
    _assert_same(outputs(mutant, inputs_of(base)), outputs(base, inputs_of(base)), 0)
    assert mutspec.diff(base, mutant).identical


def test_a_misfit_that_a_later_step_removes_is_not_an_error() -> None:
    import keras

    base = shared("sequential_deferred")
    wider = {"op": "replace_layer", "target": "first", "layer": {"type": "Dense", "units": 9, "name": "same"}}
    with pytest.raises(PlanError, match="second"):
        _mutant(base, wider)
    second = {"op": "replace_layer", "target": "second", "layer": {"type": "Dense", "units": "same", "name": "same"}}
    mutant = _mutant(base, {**wider, "id": "one"}, {**second, "id": "two"})
    first, last = mutant.layers
    assert (tuple(first.kernel.shape), tuple(last.kernel.shape)) == ((3, 9), (9, 2))
    x = np.ones((2, 3), "float32")
    wanted = (x @ first.kernel.numpy() + first.bias.numpy()) @ last.kernel.numpy() + last.bias.numpy()
    np.testing.assert_allclose(keras.ops.convert_to_numpy(mutant(x)), wanted, rtol=1e-5)


@pytest.mark.parametrize("layer", ["LSTM", "GRU"])
def test_the_weights_of_a_new_recurrent_layer_repeat_and_can_be_changed(layer: str) -> None:
    model = shared("embedding_mask")
    step = {"type": layer, "units": "same", "return_sequences": True}
    insert = {"op": "insert_layer", "id": "new", "after": "embedding", "layer": step}
    plan = mutspec.plan({"steps": [insert]})
    one, other = (mutspec.apply(plan, model).get_layer("new").get_weights() for _ in range(2))
    assert all(np.array_equal(first, second) for first, second in zip(one, other, strict=True))
    width = one[1].shape[0]
    np.testing.assert_allclose(one[1] @ one[1].T, np.eye(width), atol=1e-5)
    both = mutspec.plan({"steps": [insert, {"op": "negate", "target": "new/recurrent_kernel"}]})
    negated = mutspec.apply(both, model).get_layer("new")
    np.testing.assert_array_equal(negated.get_weights()[1], -one[1])


def test_a_layer_that_fits_asks_nothing_of_the_lambda_after_it() -> None:
    import keras

    inputs = keras.Input((4,))
    scaled = keras.layers.Lambda(lambda x: x * 2, output_shape=(4,))(keras.layers.Dense(4, name="first")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(scaled))
    step = {
        "op": "insert_layer",
        "id": "new",
        "after": "first",
        "initialize": "identity",
        "layer": {"type": "Dropout", "rate": 0.5},
    }
    mutant = mutspec.apply(mutspec.plan({"steps": [step]}), model, unsafe=True)
    given = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(np.asarray(mutant(given)), np.asarray(model(given)))

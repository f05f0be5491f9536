"""Layers inside classes of the user's own: what they are, live and in files, and what is said of the rest."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mutspec
from mutspec.errors import ModelError
from mutspec.keras_facts.roles import Group
from mutspec.language.target import load_target
from mutspec.model import ModelSpec
from mutspec.model.files.opening import open_archive
from mutspec.model.inner_layers import DescriptionByNames, Inner
from mutspec.model.live import read_live
from mutspec.model.select import NothingMatched, SelectorIndex
from mutspec.model.stored import StoredTree
from tests.model.conftest import Zoo

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")


def kernels_by_walking(model: Any) -> set[int]:
    """The kernels of all layers that have one, by identity: an oracle that knows objects alone."""
    import keras

    kinds = (keras.layers.Dense, keras.layers.EinsumDense)
    layers = (layer for layer in model._flatten_layers() if isinstance(layer, kinds))
    return {id(layer._kernel) for layer in layers}


def chosen(spec: ModelSpec, target: Any) -> list[str]:
    return [tensor.path for tensor in SelectorIndex(spec).tensors(load_target(str(target), "").target).tensors]


def notes(spec: ModelSpec, target: str) -> tuple[str, ...]:
    return SelectorIndex(spec).tensors(load_target(target, "").target).notes


# The objects tell.


@pytest.mark.parametrize("name", ["custom_layer", "nested_custom", "subclassed"])
def test_kernels_are_those_of_all_layers_that_an_independent_walk_finds(zoo: Zoo, name: str) -> None:
    live = zoo[name].live
    assert {id(live.variables[path]) for path in chosen(live.spec, "{weights: kernels}")} == kernels_by_walking(
        zoo[name].model
    )


def test_statistics_inside_a_subclassed_model_are_not_learned_weights(zoo: Zoo) -> None:
    spec = zoo["subclassed"].live.spec
    assert chosen(spec, "{weights: statistics}") == [
        "blocks/batch_normalization/var2",
        "blocks/batch_normalization/var3",
    ]
    assert not any("var2" in path for path in chosen(spec, "blocks/batch_normalization"))


def test_an_inner_layer_has_class_ancestry_and_config(zoo: Zoo) -> None:
    layer = zoo["custom_layer"].live.spec.layer_by_path["gate/also_project"]
    assert (layer.class_name, layer.ancestry, layer.is_inner) == ("Dense", ("Dense", "Layer"), True)
    assert layer.config["units"] == 3
    assert chosen(zoo["custom_layer"].live.spec, "{type: Dense, name: gate/**}") == [
        f"gate/{where}/{each}"
        for where in ("also_project", "stack/dense", "stack/dense_1")
        for each in ("var0", "var1")
    ]


def test_a_subclass_of_a_class_of_keras_is_one_with_more(tmp_path: Path) -> None:
    import keras

    @keras.saving.register_keras_serializable("inner")
    class Masked(keras.layers.Dense):
        """A Dense with a weight that no Dense has."""

        def build(self, shape: tuple[int | None, ...]) -> None:
            super().build(shape)
            self.gain = self.add_weight(shape=(self.units,), name="gain")

        def save_own_variables(self, store: Any) -> None:
            keras.layers.Layer.save_own_variables(self, store)

        def load_own_variables(self, store: Any) -> None:
            keras.layers.Layer.load_own_variables(self, store)

    model = keras.Sequential([keras.Input((2,)), Masked(3, name="masked")])
    model.save(tmp_path / "model.keras")
    for spec in (read_live(model).spec, open_archive(tmp_path / "model.keras").spec):
        assert spec.layer_by_path["masked"].ancestry == ("Masked", "Dense", "Layer")
        assert [(tensor.path, tensor.role, tensor.group) for tensor in spec.tensors] == [
            ("masked/var0", "kernel", Group.KERNELS),
            ("masked/var1", "bias", Group.BIASES),
            ("masked/var2", "var2", Group.OTHER),
        ]


def test_projections_inside_have_heads_for_neurons() -> None:
    import keras

    class Block(keras.layers.Layer):
        """Attention in a layer without a config."""

        def __init__(self) -> None:
            super().__init__(name="block")
            self.attention = keras.layers.MultiHeadAttention(2, 4)

        def build(self, shape: Any) -> None:
            self.attention.build(shape, shape)

        def call(self, x: Any) -> Any:
            return self.attention(x, x)

    inputs = keras.Input((3, 8))
    model = keras.Model(inputs, Block()(inputs))
    plan = mutspec.plan({"steps": [{"op": "zero_neurons", "target": {"type": "MultiHeadAttention"}, "count": 1}]})
    report = mutspec.dry_run(plan, model)
    touched = {target.path: target.touched for target in report.steps[0].targets}
    assert touched["block/attention/query_dense/var0"] == touched["block/attention/key_dense/var0"] == 32


# A path is identity, a role is knowledge.


def test_a_path_with_the_role_is_understood_where_it_is_known(zoo: Zoo) -> None:
    spec = zoo["custom_layer"].live.spec
    assert chosen(spec, "gate/stack/dense/kernel") == chosen(spec, "gate/stack/dense/var0") == ["gate/stack/dense/var0"]
    assert chosen(spec, "gate/**/bias")[0] == "gate/also_project/var1"


def test_noise_is_the_same_under_each_name_and_whether_roles_are_known(zoo: Zoo, tmp_path: Path) -> None:
    import numpy as np

    model = zoo["custom_layer"].model
    results = []
    for target in ("gate/stack/dense/kernel", "gate/stack/dense/var0"):
        plan = mutspec.plan({"steps": [{"op": "gaussian_noise", "target": target, "std": 0.1}]})
        with mutspec.mutated(plan, model):
            results.append(np.array(model.get_weights()[6]))
        output = tmp_path / "mutant.keras"
        mutspec.apply(plan, zoo["custom_layer"].keras, output, force=True)
        results.append(np.array(_loaded(output).get_weights()[6]))
    assert not np.array_equal(results[0], model.get_weights()[6])
    assert all(np.array_equal(results[0], each) for each in results)


def _loaded(path: Path) -> Any:
    import keras

    return keras.saving.load_model(path)


# Names in files tell what they leave no doubt of.


def described(stored: Mapping[str, tuple[int, ...]], names: Mapping[str, str], path: str) -> Inner | None:
    tree = StoredTree({f"{at}/vars/{key}": (shape, "float32") for at, key, shape in _numbered(stored)})
    return DescriptionByNames(tree, names)(path)


def _numbered(stored: Mapping[str, Any]) -> Iterator[tuple[str, int, tuple[int, ...]]]:
    for at, shapes in stored.items():
        for number, shape in enumerate(shapes):
            yield at, number, shape


DENSE = [(3, 4), (4,)]


@pytest.mark.parametrize(
    ("stored", "names", "path", "class_name"),
    [
        ({"blk/stack/dense_1": DENSE}, {"blk": "blk", "blk/stack/dense_1": "mine"}, "blk/stack/dense_1", "Dense"),
        ({"blk/project": DENSE}, {"blk": "blk", "blk/project": "dense_7"}, "blk/project", "Dense"),
        ({"blk/lstm/cell": [(3, 8), (2, 8), (8,)]}, {"blk": "b", "blk/lstm": "lstm"}, "blk/lstm/cell", "LSTMCell"),
        # An attribute may be called anything, and so may a layer.
        ({"blk/dense": DENSE}, {"blk": "blk", "blk/dense": "mine"}, "blk/dense", None),
        ({"blk/project": DENSE}, {"blk": "blk", "blk/project": "feedforward_dense"}, "blk/project", None),
        # A name of a class that has no such weights.
        ({"blk/dense": [(3, 4, 5)]}, {"blk": "blk", "blk/dense": "dense"}, "blk/dense", None),
        # One weight of a normalisation: its scale or its offset.
        ({"blk/n": [(4,)]}, {"blk": "blk", "blk/n": "layer_normalization"}, "blk/n", None),
        # Keras before 3.6 states no names.
        ({"blk/stack/dense_1": DENSE}, {}, "blk/stack/dense_1", None),
    ],
)
def test_names_tell_a_class_where_nothing_else_could_be_meant(
    stored: Any, names: Any, path: str, class_name: str | None
) -> None:
    inner = described(stored, names, path)
    assert (inner.class_name if inner is not None else None) == class_name


def test_a_file_whose_classes_nobody_imported_tells_what_its_names_do(blocks: Path) -> None:
    spec = open_archive(blocks).spec
    assert chosen(spec, "{weights: kernels}") == ["blk/plain/var0", "head/kernel"]
    assert {tensor.path: tensor.role for tensor in spec.tensors if tensor.layer == "blk/named"} == {
        "blk/named/var0": "var0",
        "blk/named/var1": "var1",
    }


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a class that Keras no longer knows, as in a process that has not imported it."""
    import keras

    @keras.saving.register_keras_serializable("gone")
    class Block(keras.layers.Layer):
        """A layer with two Dense layers, one with a name of its own, and a gain."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.plain = keras.layers.Dense(4)
            self.named = keras.layers.Dense(4, name="own_name")

        def build(self, shape: Any) -> None:
            self.plain.build(shape)
            self.named.build((*shape[:-1], 4))

        def call(self, x: Any) -> Any:
            return self.named(self.plain(x))

        def get_config(self) -> dict[str, Any]:
            return dict(super().get_config())

    model = keras.Sequential([keras.Input((4,)), Block(name="blk"), keras.layers.Dense(2, name="head")])
    path = tmp_path_factory.mktemp("blocks") / "model.keras"
    model.save(path)
    keras.src.saving.object_registration.GLOBAL_CUSTOM_OBJECTS.pop("gone>Block")
    return path


# The class builds plain layers where the file holds quantised ones.


def _quantised_blocks(folder: Path, mode: str) -> tuple[Any, type, Path]:
    """A model whose layers are quantised inside a class that does not say so in its config; its class; and its file."""
    import keras

    @keras.saving.register_keras_serializable("inner")
    class Quantised(keras.layers.Layer):
        """Dense layers in an attribute, in a list and in a dictionary."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.d1 = keras.layers.Dense(4, name="own_name")
            self.stack = [keras.layers.Dense(4, use_bias=False), keras.layers.LayerNormalization()]
            self.named = {"x": keras.layers.Dense(4)}

        def build(self, shape: Any) -> None:
            for layer in (self.d1, *self.stack, self.named["x"]):
                layer.build(shape)

        def call(self, x: Any) -> Any:
            return self.named["x"](self.stack[1](self.stack[0](self.d1(x))))

        def get_config(self) -> dict[str, Any]:
            return dict(super().get_config())

    model = keras.Sequential([keras.Input((4,)), Quantised(name="blk"), keras.layers.Dense(2, name="head")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LayerNormalization cannot be quantised
        model.quantize(mode)
    model.save(folder / "model.keras")
    return model, Quantised, folder / "model.keras"


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_quantised_layers_inside_are_the_same_live_and_in_a_file_whose_classes_are_imported(
    mode: str, tmp_path: Path
) -> None:
    model, _, path = _quantised_blocks(tmp_path, mode)
    live, file = (
        [(each.path, each.role, each.group) for each in spec.tensors]
        for spec in (read_live(model).spec, open_archive(path).spec)
    )
    assert file == live
    assert sum(group is Group.KERNELS for _, _, group in file) == 4


def test_an_import_tells_no_less_than_the_names_do(tmp_path: Path) -> None:
    import keras

    _, kind, path = _quantised_blocks(tmp_path, "int8")
    by_import = open_archive(path).spec
    keras.src.saving.object_registration.GLOBAL_CUSTOM_OBJECTS.pop(f"inner>{kind.__name__}")
    by_names = open_archive(path).spec
    assert set(chosen(by_names, "{weights: kernels}")) < set(chosen(by_import, "{weights: kernels}"))

    # A module whose layers are others than those of the file.
    def other(self: Any, **options: Any) -> None:
        keras.layers.Layer.__init__(self, **options)
        self.d1 = keras.layers.Conv1D(4, 2)
        self.stack = [keras.layers.Conv1D(4, 2), keras.layers.Conv1D(4, 2)]
        self.named = {"x": keras.layers.Conv1D(4, 2)}

    def build(self: Any, shape: Any) -> None:
        for layer in (self.d1, *self.stack, self.named["x"]):
            layer.build((None, 5, 4))

    changed = type(kind.__name__, (kind,), {"__init__": other, "build": build, "call": lambda self, x: x})
    keras.saving.register_keras_serializable("inner")(changed)
    assert chosen(open_archive(path).spec, "{weights: kernels}") == chosen(by_names, "{weights: kernels}")


def test_an_import_is_not_advised_where_it_was_done(tmp_path: Path) -> None:
    import keras

    model, kind, path = _quantised_blocks(tmp_path, "int8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a legacy format
        model.save(tmp_path / "model.h5")
    with pytest.raises(
        ModelError, match=r"holds 10 weights in the file, and its class builds 7; .* quantised"
    ) as caught:
        open_archive(tmp_path / "model.h5")
    assert "--import" not in str(caught.value)

    def broken(self: Any, **options: Any) -> None:
        raise RuntimeError("no such option")

    keras.saving.register_keras_serializable("inner")(type(kind.__name__, (kind,), {"__init__": broken}))
    with pytest.raises(
        ModelError, match=r"Keras cannot build blk \(Quantised\) from its config: .*no such option"
    ) as caught:
        open_archive(tmp_path / "model.h5")
    assert "--import" not in str(caught.value)
    (note,) = notes(open_archive(path).spec, "{weights: kernels}")
    assert note.endswith("`kernels` does not select them: name them by path, such as `blk/d1/var0`")


def test_keras_tells_of_no_file_whose_classes_are_all_its_own(tmp_path: Path) -> None:
    import keras

    wrapper = keras.layers.Wrapper(keras.layers.Dense(3, name="own_name"), name="wrapper")
    wrapper.build((None, 2))
    wrapper.call = wrapper.layer.call
    model = keras.Sequential([keras.Input((2,)), wrapper])
    model.save(tmp_path / "model.keras")
    spec = open_archive(tmp_path / "model.keras").spec
    assert [tensor.role for tensor in spec.tensors] == ["var0", "var1"], "as in a process without Keras"


# What remains unknown is counted.


def test_a_target_by_role_or_class_says_what_it_leaves_out(blocks: Path) -> None:
    spec = open_archive(blocks).spec
    for target, by in (("{weights: kernels}", "`kernels` does"), ("{type: Dense}", "`type: Dense` does")):
        (note,) = notes(spec, target)
        assert note == (
            f"20 entries in 2 weights of `blk` have no known role; {by} not select them: import the module that "
            "registers their class with Keras (`--import my_layers`), or name them by path, such as `blk/named/var0`"
        )


@pytest.mark.parametrize(
    "target",
    [
        "blk",
        "blk/named/var0",
        "{name: head, weights: kernels}",
        "{weights: kernels, not: blk}",
        "{weights: [kernels, other]}",
        '{weights: "*"}',
        "{weights: var1}",
        "{any: [{name: head, weights: kernel}, blk]}",
        "[{weights: kernels}, blk]",
    ],
)
def test_a_target_that_leaves_nothing_out_says_nothing(blocks: Path, target: str) -> None:
    assert notes(open_archive(blocks).spec, target) == ()


def test_a_model_whose_weights_are_all_known_gives_no_notes(zoo: Zoo) -> None:
    for name in ("sequential", "quantized_int8"):
        assert notes(zoo[name].live.spec, "{weights: kernels}") == ()


def test_a_target_that_matches_nothing_says_what_it_may_have_meant(blocks: Path) -> None:
    spec = open_archive(blocks).spec
    unknown = replace(spec, tensors=tuple(each for each in spec.tensors if not each.has_role))
    with pytest.raises(NothingMatched, match="no known role; `kernels` does not select them"):
        notes(unknown, "{weights: kernels}")


def test_a_step_that_may_match_nothing_says_what_it_leaves_out(blocks: Path) -> None:
    target = {"name": "blk/named", "weights": "kernels"}
    step = {"op": "zero", "target": target, "allow_empty": True}
    report = mutspec.dry_run(mutspec.plan({"steps": [step]}), blocks)
    assert any("no known role; `kernels` does not select them" in each.message for each in report.warnings)


def test_an_op_on_neurons_says_what_it_leaves_out(blocks: Path) -> None:
    plan = mutspec.plan({"steps": [{"op": "zero_neurons", "target": ["blk", "head"], "count": 1}]})
    (warning,) = mutspec.dry_run(plan, blocks).warnings
    assert "20 entries in 2 weights of `blk` have no known role; the step does not select them" in warning.message


# LoRA.


@pytest.fixture(scope="module")
def with_lora() -> Any:
    import keras

    layers = [keras.layers.Embedding(5, 4, name="table"), keras.layers.Dense(3, name="dense")]
    model = keras.Sequential([keras.Input((2,), dtype="int32"), *layers, keras.layers.Dense(2, name="head")])
    for layer in layers:
        layer.enable_lora(2)
        layer.trainable_variables[-1].assign(layer.trainable_variables[-1] + 1.0)
    return model


def test_a_live_model_with_lora_has_base_and_adapters(with_lora: Any) -> None:
    live = read_live(with_lora)
    assert [tensor.path for tensor in live.spec.tensors] == [
        *("table/embeddings", "table/lora_embeddings_a", "table/lora_embeddings_b"),
        *("dense/kernel", "dense/bias", "dense/lora_kernel_a", "dense/lora_kernel_b", "head/kernel", "head/bias"),
    ]
    dense = with_lora.get_layer("dense")
    assert live.variables["dense/kernel"] is dense._kernel
    assert live.variables["dense/lora_kernel_b"] is dense.lora_kernel_b
    assert {id(each) for each in live.variables.values()} == {id(each) for each in with_lora.weights}
    assert chosen(live.spec, "{weights: kernels}") == ["dense/kernel", "head/kernel"]
    assert "dense/lora_kernel_a" in chosen(live.spec, "dense")


def test_a_keras_file_has_the_merged_weights_and_a_legacy_file_all_of_them(with_lora: Any, tmp_path: Path) -> None:
    import numpy as np

    from mutspec.access.read import TensorReader

    for name, has_adapters in (("model.keras", False), ("model.h5", True)):
        with_lora.save(tmp_path / name)
        archive = open_archive(tmp_path / name)
        assert ("dense/lora_kernel_a" in archive.extents) == has_adapters
        dense = with_lora.get_layer("dense")
        stored = {"dense/kernel": dense._kernel if has_adapters else dense.kernel, "dense/bias": dense.bias}
        stored |= {f"dense/{each.name}": each for each in (dense.lora_kernel_a, dense.lora_kernel_b) if has_adapters}
        with TensorReader(archive) as reader:
            for path, value in stored.items():
                expected = np.asarray(value.numpy() if hasattr(value, "numpy") else value).reshape(-1)
                assert np.array_equal(reader.read(path, 0, expected.size), expected), path


def test_structural_steps_work_on_a_file_with_lora(with_lora: Any, tmp_path: Path) -> None:
    import numpy as np

    with_lora.save(tmp_path / "model.keras")
    steps = [{"op": "rename_layer", "target": "head", "to": "out"}, {"op": "zero", "target": "dense/bias"}]
    plan = mutspec.plan({"steps": steps})
    dry = mutspec.dry_run(plan, tmp_path / "model.keras")
    report = mutspec.apply(plan, tmp_path / "model.keras", tmp_path / "mutant.keras")
    assert (dry.parameters_before, dry.parameters_after) == (report.parameters_before, report.parameters_after)
    mutant = _loaded(tmp_path / "mutant.keras")
    assert mutant.get_layer("dense").lora_enabled
    assert np.array_equal(mutant.get_layer("dense").kernel, with_lora.get_layer("dense").kernel)
    assert np.array_equal(mutant.get_layer("out").kernel, with_lora.get_layer("head").kernel)


def test_quantised_layers_with_lora_have_base_and_adapters() -> None:
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense")])
    model.quantize("int8")
    dense = model.get_layer("dense")
    dense.enable_lora(2)
    live = read_live(model)
    roles = ["kernel", "bias", "kernel_scale", "lora_kernel_a", "lora_kernel_b"]
    assert [tensor.role for tensor in live.spec.tensors] == roles
    assert live.variables["dense/kernel"] is dense._kernel
    assert live.variables["dense/kernel_scale"] is dense.kernel_scale


# New layers.


def test_a_new_layer_of_the_users_own_class_brings_the_layers_in_it(zoo: Zoo) -> None:
    import numpy as np

    layer = {"type": "zoo>Gate", "units": 3}
    steps = [
        {"op": "insert_layer", "id": "new", "after": "gate", "layer": layer},
        {"op": "scale", "target": "new/also_project/kernel", "factor": 2.0},
        {"op": "configure_layer", "target": "small", "set": {"trainable": False}},
        {"op": "rename_layer", "target": "gate", "to": "renamed"},
    ]
    model = zoo["custom_layer"].model
    mutant = mutspec.apply(mutspec.plan({"steps": steps}), model)
    assert len(mutant.weights) == len(model.weights) + 8
    for old, new in (("gate", "renamed"), ("small", "small")):
        pairs = zip(model.get_layer(old).weights, mutant.get_layer(new).weights, strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs)
    assert np.ptp(mutant.get_layer("new").project.kernel) > 0
    assert np.ptp(mutant.get_layer("new").gain) > 0, "only Keras knows what it begins with"

"""The config that mutspec writes for a mutant is the one that Keras writes after it has built and saved it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

import mutspec
from mutspec.cli.manual import example
from mutspec.errors import MutspecError, PlanError
from mutspec.lowering.base import StructureOp
from mutspec.lowering.context import LoweringContext
from mutspec.model.files.archive import Archive
from mutspec.model.files.opening import open_archive
from mutspec.model.live.oracle import KerasOracle
from mutspec.model.outline import is_operation
from mutspec.ops import catalogue
from mutspec.structure.architecture import with_masks
from mutspec.structure.keras_form import UnwritableError, keras_form
from mutspec.structure.network import Network
from mutspec.structure.network_config import network_of
from mutspec.structure.shape_rules import TableOracle
from tests.effort import share
from tests.keras_facts.installed import comparable
from tests.ops.test_examples import PAGES, PREPARED
from tests.ops.test_examples import model as example_model
from tests.structure.real_networks import whole
from tests.zoo import ZOO
from tests.zoo.play import shared

pytestmark = pytest.mark.filterwarnings("ignore::mutspec.MutspecWarning")

CALLED_BY_CODE = {"nested_custom", "shared_everywhere", "shared_with_nested", "subclassed", "subclassed_functional"}
"""Models that no plan can rewire."""

STRUCTURAL = sorted(name for name, kind in catalogue(plugins=False).items() if issubclass(kind, StructureOp))

ORACLE = TableOracle(KerasOracle())
"""It remembers what it has been told: the steps before an attempt are the same as before the last one."""

NEW_LAYERS: tuple[dict[str, Any], ...] = (
    {"type": "BatchNormalization", "epsilon": 0.1},
    {"type": "Dense", "units": "same", "kernel_regularizer": "l2"},
    {"type": "LSTM", "units": 3, "return_sequences": True},
    {"type": "Bidirectional", "layer": {"type": "GRU", "units": 3, "return_sequences": True}},
    {"type": "TimeDistributed", "layer": {"type": "Dense", "units": "same"}},
    {"type": "Dropout", "rate": 0.2},
    {"type": "GroupNormalization", "groups": -1},
)


def inputs_in(step: dict[str, Any]) -> list[str]:
    """The names of the other models that a step is given."""
    return re.findall(r"'(\w+):", str([*step.values()]))


@cache
def opened(path: Path) -> Archive:
    """A file, read once for all steps that are tried on it: for users' own classes, reading asks Keras."""
    return open_archive(path)


def network_after(steps: list[dict[str, Any]], base: Path, inputs: Mapping[str, Path] | None = None) -> Network:
    """The network of a file after the steps of a plan."""
    files = {name: opened(path) for name, path in {"": base, **(inputs or {})}.items()}
    specs, configs = ({name: getattr(each, key) for name, each in files.items()} for key in ("spec", "config"))
    config = configs.pop("")
    context = LoweringContext(specs, config, configs, oracle=ORACLE)
    plan = mutspec.plan({"inputs": {name: {} for name in configs}, "steps": steps})
    for number, op in enumerate(plan.steps):
        context.begin(op.context(number, plan.seed))
        list(op.apply(context))  # type: ignore[call-overload]
    assert context.edited_architecture is not None
    if context.edited_architecture.misfits:
        raise PlanError("a layer does not fit")
    return with_masks(context.edited_architecture).network


def candidates(network: Network, first: int, owner: str = "") -> Iterator[dict[str, Any]]:
    """Steps on each layer of a network, and of the networks in it. Some are impossible."""
    for number, (name, layer) in enumerate(network.layers.items()):
        path = f"{owner}/{name}" if owner else name
        if isinstance(layer, Network):
            yield from candidates(layer, first + number, path)
        elif layer["class_name"] != "InputLayer" and not is_operation(layer):
            yield {"op": "insert_layer", "after": path, "layer": NEW_LAYERS[(first + number) % len(NEW_LAYERS)]}
            yield {"op": "insert_layer", "after": path, "layer": {"type": "Dropout", "rate": 0.2}}
            yield {"op": "remove_layer", "target": path}
            if not layer["config"].get("return_state"):
                yield {"op": "replace_layer", "target": path, "layer": {"type": "LayerNormalization"}}
            yield {"op": "configure_layer", "target": path, "set": {"trainable": False}}
        yield {"op": "rename_layer", "target": path, "to": f"renamed_{number}"}


def possible_steps(base: Path, first: int, attempts: int = 5) -> list[dict[str, Any]]:
    """A step of each op that fits a model after the steps before it, if one of the first attempts does."""
    steps: dict[str, dict[str, Any]] = {}
    tried = Counter[str]()
    for step in candidates(network_of(opened(base).config), first):
        if step["op"] not in steps and tried[step["op"]] < attempts:
            tried[step["op"]] += 1
            with suppress(MutspecError):
                network_after([*steps.values(), step], base)
                steps[step["op"]] = step
    return list(steps.values())


def by_keras(steps: list[dict[str, Any]], base: Path, inputs: Mapping[str, Path] | None = None) -> dict[str, Any]:
    """The config that Keras writes for the mutant of a file, when it has loaded the base and built the mutant."""
    import keras

    mutant, others = base.with_name("mutant.keras"), inputs or {}
    plan = mutspec.plan({"inputs": {name: {} for name in others}, "steps": steps})
    loaded = {name: keras.saving.load_model(path) for name, path in others.items()}
    mutspec.apply(plan, keras.saving.load_model(base), inputs=loaded).save(mutant)
    with ZipFile(mutant) as file:
        config: dict[str, Any] = json.loads(file.read("config.json"))
    return config


def ours(network: Network) -> Any:
    return comparable(json.loads(json.dumps(keras_form(network))))


@pytest.mark.parametrize("name", share(sorted({*ZOO} - CALLED_BY_CODE), of=2))
def test_a_mutant_is_written_as_keras_writes_it(name: str, tmp_path: Path) -> None:
    base = tmp_path / "base.keras"
    shared(name).save(base)
    steps = possible_steps(base, len(name))
    assert len(steps) >= 3
    theirs = comparable(by_keras(steps, base))
    for layer in theirs["config"]["layers"]:
        if layer["config"]["name"] == "whole":
            layer["config"]["trainable"] = False  # Keras forgets it when it loads a Sequential model
    assert ours(network_after(steps, base)) == theirs


# Of the others, `tests/ops/test_example_files.py` compares the config in the file, and the weights with it.
@pytest.mark.parametrize("op", [op for op in STRUCTURAL if inputs_in(yaml.safe_load(example(PAGES[op]))[0])])
def test_the_example_of_an_op_with_another_model_is_written_as_keras_writes_it(op: str, tmp_path: Path) -> None:
    steps = yaml.safe_load(example(PAGES[op]))
    paths = {name: tmp_path / f"{name}.keras" for name in ("base", *inputs_in(steps[0]))}
    for seed, path in enumerate(paths.values()):
        made = example_model(seed)
        (made if seed else PREPARED.get(op, lambda each: each)(made)).save(path)
    base = paths.pop("base")
    assert ours(network_after(steps, base, paths)) == comparable(by_keras(steps, base, paths))


@pytest.mark.parametrize("name", ["ResNet50", "EfficientNetB0"])
def test_a_network_that_people_use_stays_as_its_file_has_it(name: str, tmp_path: Path) -> None:
    import keras

    config = json.loads(json.dumps(keras.saving.serialize_keras_object(whole(name))))
    assert ours(network_of(config)) == comparable(deepcopy(config))


def of_any_size() -> Any:
    """A network of convolutions for images of any size, nested in a classifier of small ones."""
    import keras

    inside, image = keras.Input((None, None, 3)), keras.Input((6, 6, 3), name="image")
    backbone = keras.Model(inside, keras.layers.Conv2D(2, 3, name="conv")(inside), name="backbone")
    flat = keras.layers.Flatten()(backbone(image))
    return keras.Model(image, keras.layers.Dense(2)(flat))


@pytest.mark.parametrize(
    ("build", "step"),
    [
        (ZOO["siamese"], {"op": "set_input", "input": "left", "batch_size": 3}),
        (ZOO["siamese"], {"op": "set_input", "input": "right", "batch_size": 3}),
        (of_any_size, {"op": "insert_layer", "after": "backbone/conv", "layer": {"type": "Dropout", "rate": 0.1}}),
    ],
)
def test_a_model_that_is_called_on_shapes_that_are_not_its_own_outputs_what_follows_from_them(
    build: Any, step: dict[str, Any], tmp_path: Path
) -> None:
    build().save(base := tmp_path / "base.keras")
    assert ours(network_after([step], base)) == comparable(by_keras([step], base))


def test_a_policy_reaches_the_layers_of_a_model_in_a_wrapper(tmp_path: Path) -> None:
    shared("time_distributed").save(base := tmp_path / "base.keras")
    steps = [{"op": "set_dtype_policy", "policy": "mixed_float16"}]
    assert ours(network_after(steps, base)) == comparable(by_keras(steps, base))


@pytest.mark.parametrize("name", ["mixed_float16", "bfloat16"])
def test_tensors_have_the_dtype_that_layers_compute_in_after_a_conversion(name: str, tmp_path: Path) -> None:
    shared(name).save(base := tmp_path / "base.keras")
    steps = [{"op": "convert", "to": "functional"}]
    assert ours(network_after(steps, base)) == comparable(by_keras(steps, base))


def chain_of(*layers: dict[str, Any]) -> Network:
    start = {"class_name": "InputLayer", "module": "keras.layers", "config": {"batch_shape": [None, 9, 4], "name": "x"}}
    entry = {"class_name": "Sequential", "module": "keras", "config": {"name": "chain", "layers": [start, *layers]}}
    return network_of(entry)


def test_what_only_keras_can_write_is_named() -> None:
    crop = {"class_name": "RandomCrop", "module": "keras.layers", "config": {"name": "crop", "height": 2, "width": 2}}
    own = {"class_name": "Own", "module": "my", "registered_name": "my>Own", "config": {"name": "own", "depth": 3}}
    with pytest.raises(UnwritableError) as caught:
        keras_form(chain_of(crop, own))
    assert caught.value.layers == {
        "crop": "the `seed` that Keras gives to a RandomCrop",
        "own": "the arguments of the class Own",
    }


def test_a_shape_that_only_keras_knows_is_named_unless_it_is_asked() -> None:
    frames = {"name": "speech", "trainable": True, "frame_length": 8, "frame_step": 4, "fft_length": 8}
    speech = {"class_name": "STFTSpectrogram", "module": "keras.layers", "config": frames}
    rest = [
        {"class_name": name, "module": "keras.layers", "config": {"name": name.lower(), **config}}
        for name, config in (("Reshape", {"target_shape": [36, 1]}), ("Flatten", {}))
    ]
    network = chain_of(rest[0], speech, rest[1])
    with pytest.raises(UnwritableError, match="`speech`: the shapes that it outputs"):
        keras_form(network)
    layers = keras_form(network, TableOracle(KerasOracle()))["config"]["layers"]
    assert layers[-1]["build_config"] == {"input_shape": [None, 8, 5]}


def test_a_model_of_keras_2_gets_the_input_that_keras_3_makes_for_it() -> None:
    dense = {"class_name": "Dense", "module": "keras.layers", "config": {"name": "dense", "units": 2}}
    entry = {"class_name": "Sequential", "module": "keras", "config": {"name": "old", "layers": [dense]}}
    entry["config"]["build_input_shape"] = [None, 4]  # type: ignore[index]
    layers = keras_form(network_of(entry))["config"]["layers"]
    assert [layer["class_name"] for layer in layers] == ["InputLayer", "Dense"]
    assert layers[0]["config"]["batch_shape"] == layers[1]["build_config"]["input_shape"] == [None, 4]

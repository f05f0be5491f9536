"""Layers of classes that are in no table: a mutant's file holds of those that it keeps what the base's file holds."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mutspec.execute.files import apply, dry_report, dry_run, prepare_files
from mutspec.model.files.keras_writer import save_whole_h5
from mutspec.model.files.opening import open_archive
from tests.execute.test_new_file import by_keras, config_of, weights_of
from tests.execute.test_processes import script
from tests.keras_facts.installed import without_newer
from tests.toys import plan_of
from tests.without_keras import BLOCKER

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

registered = keras.saving.register_keras_serializable("kept")


@registered
class Gate(keras.layers.Layer):
    """A layer with weights, and with layers of its own, one of them in a list and one without weights."""

    def __init__(self, units: int = 3, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.project = keras.layers.Dense(units, name="project")
        self.stack = [keras.layers.Dense(units, name="first"), keras.layers.LayerNormalization(name="second")]
        self._drop = keras.layers.Dropout(0.5, name="drop")

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(shape=(self.units,), name="gain")
        self.project.build(shape)
        for layer in self.stack:
            layer.build((*shape[:-1], self.units))

    def compute_output_shape(self, shape: Any) -> Any:
        return (*shape[:-1], self.units)

    def call(self, inputs: Any) -> Any:
        x = self._drop(self.project(inputs))
        for layer in self.stack:
            x = layer(x)
        return x * self.gain

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@registered
class Shift(keras.layers.Layer):
    """A layer with a weight that is trained between two that are not."""

    def build(self, shape: Any) -> None:
        self.first = self.add_weight(shape=(4,), name="first", trainable=False)
        self.shift = self.add_weight(shape=(4,), name="shift")
        self.last = self.add_weight(shape=(4,), name="last", trainable=False)

    def call(self, inputs: Any) -> Any:
        return inputs + self.shift * self.first + self.last


@registered
class Table(keras.layers.Layer):
    """A layer that saves a number under a name, and a file, and says for what it was built in words of its own."""

    def build(self, shape: Any) -> None:
        self.factor, self.word = 1.0, ""

    def call(self, inputs: Any) -> Any:
        return inputs * self.factor

    def get_build_config(self) -> dict[str, Any]:
        return {"width": 4}

    def build_from_config(self, config: dict[str, Any]) -> None:
        self.build((None, config["width"]))
        self.built = True

    def save_own_variables(self, store: Any) -> None:
        store["factor"] = np.float32(self.factor)

    def load_own_variables(self, store: Any) -> None:
        self.factor = float(store["factor"][()])

    def save_assets(self, folder: str) -> None:
        Path(folder, "word.txt").write_text(self.word)

    def load_assets(self, folder: str) -> None:
        self.word = Path(folder, "word.txt").read_text()


@registered
class Tied(keras.layers.Layer):
    """A layer that uses the kernel of another one."""

    def __init__(self, other: Any, **options: Any) -> None:
        super().__init__(**options)
        self.other = other

    def call(self, inputs: Any) -> Any:
        return keras.ops.matmul(inputs, keras.ops.transpose(self.other.kernel))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "other": keras.saving.serialize_keras_object(self.other)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Tied:
        return cls(**{**config, "other": keras.saving.deserialize_keras_object(config["other"])})


@registered
class Passing(keras.layers.Layer):
    """A layer that passes a mask on."""

    supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs * 2.0


@registered
class Dropping(keras.layers.Layer):
    """A layer that drops a mask."""

    def call(self, inputs: Any) -> Any:
        return inputs * 2.0

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Gives none."""


def gates() -> Any:
    return keras.Sequential(
        [keras.Input((4,)), Gate(3, name="one"), keras.layers.Dense(4, name="middle"), Gate(2, name="two")]
    )


def branches() -> Any:
    image = keras.Input((4,), name="image")
    one, two = Gate(3, name="one")(image), Gate(3, name="two")(image)
    both = keras.layers.Add(name="both")([one, two])
    return keras.Model(image, keras.layers.Dense(2, name="head")(both))


def inner() -> Any:
    x = keras.Input((4,), name="x")
    model = keras.Model(x, Gate(3, name="gate")(x), name="inner")
    image = keras.Input((4,), name="image")
    return keras.Model(image, keras.layers.Dense(2, name="head")(model(image)))


def words() -> Any:
    lookup = keras.layers.StringLookup(name="lookup")
    lookup.adapt(["a", "b", "b"])
    vectors = keras.layers.TextVectorization(output_sequence_length=3, name="vectors")
    vectors.adapt(["one two", "two three"])
    one, two = keras.Input((3,), dtype="string", name="one"), keras.Input((1,), dtype="string", name="two")
    layers = keras.layers
    each = [layers.Embedding(5, 2, name=f"embed_{name}")(x) for name, x in (("a", lookup(one)), ("b", vectors(two)))]
    return keras.Model([one, two], layers.Dense(2, name="head")(layers.Add(name="add")(each)))


def tables() -> Any:
    model = keras.Sequential(
        [keras.Input((4,)), Table(name="one"), keras.layers.Dense(4, name="dense"), Table(name="two")]
    )
    for name, factor, word in (("one", 3.0, "drei"), ("two", 5.0, "fünf")):
        layer = model.get_layer(name)
        layer.factor, layer.word = factor, word
    return model


def wrapped() -> Any:
    x = keras.Input((2, 4), name="x")
    each = keras.layers.TimeDistributed(Gate(3, name="gate"), name="each")(x)
    return keras.Model(x, keras.layers.Dense(2, name="head")(each))


def tied() -> Any:
    image, dense = keras.Input((4,), name="image"), keras.layers.Dense(3, name="dense")
    return keras.Model(image, Tied(dense, name="tied")(keras.layers.ReLU(name="relu")(dense(image))))


def shifted(units: int = 3) -> Any:
    image = keras.Input((4,), name="image")
    one = Shift(name="one")(keras.layers.Dense(4, name="before")(image))
    return keras.Model(image, keras.layers.Dense(2, name="head")(Gate(units, name="two")(one)))


def base_of(make: Callable[[], Any], folder: Path) -> Path:
    keras.backend.clear_session()
    model = make()
    random = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(random.uniform(-1, 1, variable.shape).astype("float32"))
    model.save(folder / "base.keras")
    return folder / "base.keras"


DENSE = {"type": "Dense", "units": "same", "kernel_initializer": "Identity"}
SAME = {"op": "insert_layer", "before": "head", "layer": DENSE}
NOISE = {"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.5}
AS_KERAS: dict[str, tuple[Callable[[], Any], list[dict[str, Any]]]] = {
    "a layer before them": (gates, [{"op": "insert_layer", "before": "one", "layer": DENSE}, NOISE]),
    "another number": (gates, [{"op": "remove_layer", "target": ["one", "middle"]}]),
    "another name": (gates, [{"op": "rename_layer", "target": "two", "to": "zwei"}]),
    "another order": (branches, [{"op": "insert_layer", "before": "one", "layer": DENSE}]),
    "in a model": (inner, [SAME, NOISE]),
}


@pytest.mark.parametrize("case", AS_KERAS)
def test_a_mutant_has_the_bytes_of_the_one_that_keras_builds(case: str, tmp_path: Path) -> None:
    make, steps = AS_KERAS[case]
    base, plan = base_of(make, tmp_path), plan_of(*steps)
    assert apply(plan, base, tmp_path / "ours.keras").needs_keras == ""
    by_keras(plan, base, tmp_path / "keras.keras")
    assert weights_of(tmp_path / "ours.keras") == weights_of(tmp_path / "keras.keras")
    assert without_newer(config_of(tmp_path / "ours.keras")) == without_newer(config_of(tmp_path / "keras.keras"))


X = np.random.default_rng(1).uniform(-1, 1, (2, 2, 4)).astype("float32")
PREDICTING_THE_SAME: dict[str, tuple[Callable[[], Any], list[dict[str, Any]], Any]] = {
    "gates": (gates, [{"op": "insert_layer", "after": "middle", "layer": DENSE}], X[0]),
    "branches": (branches, [SAME, {"op": "rename_layer", "target": "two", "to": "zwei"}], X[0]),
    "inner": (inner, [{"op": "rename_layer", "target": "inner/gate", "to": "tor"}, SAME], X[0]),
    "wrapped": (wrapped, [SAME, {"op": "rename_layer", "target": "each", "to": "all"}], X),
    "tables": (tables, [{"op": "rename_layer", "target": "two", "to": "zwei"}, {**SAME, "before": "dense"}], X[0]),
    "words": (words, [SAME], [np.array([["a", "b", "c"]]), np.array([["two one"]])]),
}

WITHOUT_KERAS = (
    BLOCKER
    + """
import json
from pathlib import Path
from mutspec.execute.files import apply
from tests.toys import plan_of
for folder, steps in json.loads(sys.argv[1]):
    for output in ("mutant.keras", "mutant.weights.h5"):
        apply(plan_of(*steps), Path(folder) / "base.keras", Path(folder) / output)
"""
)


def test_mutants_that_are_written_without_keras_load_in_keras_and_predict_the_same(tmp_path: Path) -> None:
    cases = {name: (make, steps, x, tmp_path / name) for name, (make, steps, x) in PREDICTING_THE_SAME.items()}
    for make, _, _, folder in cases.values():
        folder.mkdir()
        base_of(make, folder)
    done = script(WITHOUT_KERAS, json.dumps([[str(folder), steps] for _, steps, _, folder in cases.values()]))
    assert done.returncode == 0, done.stderr
    for name, (_, _, x, folder) in cases.items():
        x = [tf.constant(each) for each in x] if isinstance(x, list) else x
        old, new = (keras.saving.load_model(folder / f"{each}.keras") for each in ("base", "mutant"))
        wanted = old(x).numpy()
        assert np.allclose(wanted, new(x), atol=1e-6), name
        for variable in new.weights:
            variable.assign(np.zeros(variable.shape, variable.dtype))
        new.load_weights(folder / "mutant.weights.h5")
        assert np.allclose(wanted, new(x), atol=1e-6), name
        assert not np.allclose(wanted, 0), name


STATE = [SAME, {"op": "insert_layer", "id": "new", "before": "one", "layer": DENSE}]


def trained(make: Callable[[], Any], optimizer: Any, folder: Path, *, is_built: bool = True) -> Path:
    keras.backend.clear_session()
    model = make()
    model.compile(optimizer, "mse")
    if is_built:
        model.optimizer.build(model.trainable_variables)
        for number, variable in enumerate(model.optimizer.variables):
            variable.assign(np.full(variable.shape, number + 1))
    model.save(folder / "base.keras")
    return folder / "base.keras"


@pytest.mark.parametrize("optimizer", ["Adam", "SGD", "Adafactor"])
def test_the_state_of_the_optimizer_is_the_one_that_keras_keeps(optimizer: str, tmp_path: Path) -> None:
    """Which weights of its own a class trains is not known. Their variables lie between those of others."""
    base, plan = trained(shifted, getattr(keras.optimizers, optimizer)(), tmp_path), plan_of(*STATE)
    report = apply(plan, base, tmp_path / "ours.keras")
    assert report.needs_keras == ""
    theirs = by_keras(plan, base, tmp_path / "keras.keras")
    assert weights_of(tmp_path / "ours.keras") == weights_of(tmp_path / "keras.keras")
    said = [[str(each) for each in one.warnings if "optimizer" in str(each)] for one in (report, theirs)]
    assert said[0] == said[1]


@pytest.mark.parametrize(("units", "is_built"), [(3, False), (4, True)], ids=["not built", "all of one shape"])
def test_only_keras_knows_what_a_class_trains_if_no_variable_tells(units: int, is_built: bool, tmp_path: Path) -> None:
    base = trained(partial(shifted, units), keras.optimizers.Adam(), tmp_path, is_built=is_built)
    assert dry_run(plan_of(*STATE), base).needs_keras == "only Keras knows the weights that a Shift trains"


def assets_in(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist() if name.startswith("assets/")}


def test_the_files_of_a_layer_follow_it_to_its_new_place(tmp_path: Path) -> None:
    base = base_of(tables, tmp_path)
    apply(plan_of({"op": "remove_layer", "target": "one"}), base, tmp_path / "mutant.keras")
    assert assets_in(base)["assets/layers/table_1/word.txt"].decode() == "fünf"
    assert {name: each.decode() for name, each in assets_in(tmp_path / "mutant.keras").items()} == {
        "assets/layers/table/word.txt": "fünf"
    }
    assert keras.saving.load_model(tmp_path / "mutant.keras").get_layer("two").word == "fünf"


def test_what_a_class_writes_of_its_build_is_kept(tmp_path: Path) -> None:
    base = base_of(tables, tmp_path)
    apply(plan_of({"op": "rename_layer", "target": "two", "to": "zwei"}), base, tmp_path / "mutant.keras")
    built = [layer.get("build_config") for layer in config_of(tmp_path / "mutant.keras")["config"]["layers"]]
    assert built == [None, {"width": 4}, {"input_shape": [None, 4]}, {"width": 4}]


def masked(kind: type, after: str) -> Any:
    x = keras.Input((4,), name="x", dtype="int32")
    each = kind(name="own")(keras.layers.Embedding(5, 3, mask_zero=True, name="embed")(x))
    last = keras.layers.LSTM(3, name="last") if after == "LSTM" else keras.layers.GlobalMaxPooling1D(name="last")
    return keras.Model(x, last(each))


@pytest.mark.filterwarnings("ignore:.*destroy the mask")
@pytest.mark.parametrize("after", ["LSTM", "pooling"])
@pytest.mark.parametrize("kind", [Passing, Dropping])
def test_a_mask_is_passed_on_or_dropped_as_by_the_mutant_that_keras_builds(
    kind: type, after: str, tmp_path: Path
) -> None:
    """Whether what comes after it shows in the base that the class passes a mask on, or nothing shows it."""
    new = {"type": "GRU", "units": 3, "return_sequences": True, "recurrent_initializer": "glorot_uniform"}
    base, plan = (
        base_of(partial(masked, kind, after), tmp_path),
        plan_of({"op": "insert_layer", "before": "last", "layer": new}),
    )
    assert apply(plan, base, tmp_path / "ours.keras").needs_keras == ""
    by_keras(plan, base, tmp_path / "keras.keras")
    ours, theirs = (keras.saving.load_model(tmp_path / f"{each}.keras") for each in ("ours", "keras"))
    x = np.array([[1, 2, 0, 0], [3, 0, 4, 0]])
    assert np.array_equal(ours(x), theirs(x))
    for variable in theirs.get_layer("insert_layer").weights:
        variable.assign(variable * 2)
    assert not np.allclose(ours(x), theirs(x)), "what comes before it counts"


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_layers_without_weights_are_kept_in_h5_files_too(suffix: str, tmp_path: Path) -> None:
    base = base_of(partial(masked, Dropping, "LSTM"), tmp_path)
    whole = keras.saving.load_model(base)
    with (tmp_path / "base.h5").open("w+b") as file:
        save_whole_h5(whole, file.fileno())
    plan = plan_of({"op": "insert_layer", "before": "last", "layer": DENSE})
    assert apply(plan, tmp_path / f"base{suffix}", tmp_path / "mutant.h5").needs_keras == ""
    x = np.array([[1, 2, 0, 0], [3, 0, 4, 0]])
    assert np.allclose(keras.saving.load_model(tmp_path / "mutant.h5")(x), whole(x), atol=1e-6)


def test_a_vocabulary_that_is_not_in_the_file_is_left_to_keras(tmp_path: Path) -> None:
    base, plan = base_of(words, tmp_path), plan_of(SAME)
    keras.saving.load_model(base).save_weights(tmp_path / "base.weights.h5")
    assert dry_run(plan, base).needs_keras == ""
    report = dry_run(plan, tmp_path / "base.weights.h5", architecture=base)
    assert report.needs_keras == "base.weights.h5 does not have the vocabulary of `lookup`"


@pytest.mark.parametrize("make", [gates, words])
def test_only_keras_writes_weights_and_files_of_such_layers_into_h5_files(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    name = "two" if make is gates else "head"
    prepared = prepare_files(
        plan_of({"op": "rename_layer", "target": name, "to": "new"}), base_of(make, tmp_path), inputs={}
    )
    assert "a class that mutspec does not know" in dry_report(prepared, tmp_path / "mutant.h5").needs_keras


def test_the_report_says_about_which_layer_alone_keras_was_asked(tmp_path: Path) -> None:
    base = base_of(branches, tmp_path)
    crop = {"op": "set_input", "input": "image", "shape": [2, 4]}
    foretold, done = dry_run(plan_of(crop), base), apply(plan_of(crop), base, tmp_path / "mutant.keras")
    for report in (foretold, done):
        assert (report.needs_keras, report.asked_keras) == ("", ("one", "two"))
        assert report.to_json()["asked_keras"] == ["one", "two"]
        assert "Keras was asked about `one`, `two` alone" in " ".join(str(report).split())
    old, new = (keras.saving.load_model(tmp_path / f"{each}.keras") for each in ("base", "mutant"))
    assert np.allclose(new(X)[:, 0], old(X[:, 0]), atol=1e-6)


REFUSED: dict[str, tuple[Callable[[], Any], list[dict[str, Any]], str]] = {
    "a new layer": (
        gates,
        [{"op": "insert_layer", "after": "one", "layer": {"class_name": "kept>Gate", "config": {"units": 3}}}],
        "only Keras knows the first value of `insert_layer/var0`",
    ),
    "a shared object": (
        tied,
        [{"op": "insert_layer", "before": "relu", "layer": DENSE}],
        "`tied` shares a layer with another one, and mutspec does not know its class",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_report_says_why_keras_is_needed(case: str, tmp_path: Path) -> None:
    make, steps, reason = REFUSED[case]
    assert dry_run(plan_of(*steps), base_of(make, tmp_path)).needs_keras == reason


def test_structural_steps_work_on_a_functional_model_whose_classes_are_imported(tmp_path: Path) -> None:
    """Reading the file builds the model, and Keras takes the layers out of a config that it is given."""
    archive = open_archive(base_of(branches, tmp_path))
    assert archive.spec.knows_classes
    assert archive.config["config"]["layers"]

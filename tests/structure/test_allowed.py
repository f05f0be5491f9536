"""Nothing that a plan says makes Keras run code or read a file, however it is spelled. Every class of Keras is tried"""

from __future__ import annotations

import importlib
import inspect
import json
import random
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError
from mutspec.keras_facts.class_names import HOLD_CODE
from mutspec.keras_facts.object_names import OPERATIONS, POLICIES, QUANTIZERS
from mutspec.keras_facts.unsafe_objects import READ_FILES
from mutspec.structure.layer_config import configured, layer_entry

Spelled = dict[str, Any]


@cache
def _keras_classes() -> tuple[type, ...]:
    """Every class in every module of the installed Keras: `import keras` loads them all."""
    import keras  # noqa: F401

    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("keras.")]
    members = (each for module in modules for each in vars(module).values())
    found = [each for each in members if isinstance(each, type) and each.__module__.startswith("keras.")]
    return tuple(dict.fromkeys(found))


def _spellings(kind: type) -> Iterator[Spelled]:
    """The ways to name a class: by its module, with dots, by its exported names, as if it were registered, bare."""
    from keras.src.api_export import get_name_from_symbol

    name, module = kind.__name__, kind.__module__
    yield {"class_name": name, "module": module}
    yield {"class_name": name, "module": None}
    yield {"class_name": name}
    package, _, last = module.partition(".")
    yield {"class_name": f"{last}.{name}", "module": package}
    for registered in (name, f"keras>{name}", f"Custom>{name}"):
        yield {"class_name": name, "module": module, "registered_name": registered}
    exported = get_name_from_symbol(kind)
    for api_name in (exported,) if isinstance(exported, str) else exported or ():
        room, _, own = str(api_name).rpartition(".")
        yield {"class_name": own, "module": room}
        yield {"class_name": str(api_name).removeprefix("keras."), "module": "keras"}


def _in_places(spelled: Spelled) -> Iterator[tuple[str, Any]]:
    """An object in each kind of place of a plan, as what `layer:` takes, or as `set:` of a Dense."""
    entry = {**spelled, "config": {}}
    dense = {"type": "Dense", "units": 2}
    yield "layer", entry
    for key in ("kernel_initializer", "kernel_regularizer", "bias_constraint", "activation", "dtype"):
        yield "layer", {**dense, key: entry}
        yield "set", {key: entry}
    yield "layer", {"type": "TimeDistributed", "layer": entry}
    yield "layer", {"type": "RNN", "cell": [entry]}
    yield "layer", {"class_name": "Sequential", "config": {"name": "block", "layers": [entry]}}
    calls = {"name": "it", "inbound_nodes": [{"args": [entry], "kwargs": {"mask": entry}}]}
    yield "layer", {"class_name": "Functional", "config": {"name": "block", "layers": [{**entry, **calls}]}}
    yield "layer", {"type": "mine>Block", "inner": {"deep": [entry]}}
    yield "layer", {"type": "TextVectorization", "standardize": entry}
    yield "layer", {**dense, "kernel_initializer": {"class_name": "mine>Ramp", "config": {"of": entry}}}


def _write(place: str, value: Any) -> Any:
    """What a plan with a value hands to Keras."""
    if place == "layer":
        return layer_entry(value, name="step", like={}, width=4)
    dense = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 2}, "registered_name": None}
    return configured(dense, value)


def _written(place: str, value: Any) -> Any:
    """What a plan with a value hands to Keras; None if the plan is refused."""
    try:
        return _write(place, value)
    except PlanError:
        return None


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for item in value.values():
            yield from _objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)


def _resolved(entry: Mapping[str, Any]) -> Any:
    """What Keras itself takes an entry for: its own lookup, which imports modules and searches its registry."""
    from keras.src.saving import serialization_lib

    name = entry["class_name"]
    if name.startswith("__") and name.endswith("__"):
        return name
    registered = entry.get("registered_name", name)
    kind = "function" if name == "function" else "class"
    name = entry["config"] if name == "function" else name
    try:
        return serialization_lib._retrieve_class_or_fn(name, registered, entry.get("module"), kind, entry, {})
    except (TypeError, ValueError):
        return None


def _is_harmless(found: Any) -> bool:
    from keras import constraints, dtype_policies, initializers, layers, quantizers, regularizers
    from keras.src.ops.operation import Operation

    if found is None or found in ("__keras_tensor__", "__tensor__", "__numpy__", "__slice__", "__ellipsis__"):
        return True
    holds_code = tuple(getattr(layers, name) for name in sorted(HOLD_CODE))
    kinds = (
        Operation,  # layers are operations
        constraints.Constraint,
        dtype_policies.DTypePolicy,
        dtype_policies.DTypePolicyMap,
        initializers.Initializer,
        quantizers.QuantizationConfig,
        quantizers.Quantizer,
        regularizers.Regularizer,
    )
    return isinstance(found, type) and issubclass(found, kinds) and not issubclass(found, holds_code)


def test_whatever_class_of_keras_a_plan_names_it_is_harmless_or_refused() -> None:
    import keras

    classes = _keras_classes()
    assert {kind.__name__ for kind in classes} >= {*HOLD_CODE, "Dense", "Functional", "Orthogonal", "KerasFileEditor"}
    accepted = set()
    for kind in classes:
        for spelled in _spellings(kind):
            places = list(_in_places(spelled))
            if kind.__name__ not in HOLD_CODE:  # what a name stands for does not depend on where it stands
                places = random.Random(str(spelled)).sample(places, 2)
            for place, value in places:
                written = _written(place, value)
                for entry in _objects(written):
                    found = _resolved(entry)
                    assert _is_harmless(found), (spelled, place, value, entry)
                    accepted.add(found)
    assert {keras.layers.Dense, keras.initializers.Orthogonal, keras.regularizers.L2} <= accepted


@pytest.mark.parametrize("name", sorted(HOLD_CODE))
def test_what_holds_code_is_refused_by_its_name(name: str) -> None:
    import keras

    kind = getattr(keras.layers, name)
    for spelled in _spellings(kind):
        if ">" in spelled.get("registered_name", "") or spelled.get("module", "") is None:
            continue  # a class of the user's own of that name, which Keras's registry does not have
        for place, value in _in_places(spelled):
            with pytest.raises(PlanError, match=f"{name}|`dtype` of a Dense cannot be set"):
                _write(place, value)


FUNCTIONS: tuple[dict[str, Any], ...] = (
    {"class_name": "__lambda__", "config": {"code": "4wE=", "defaults": None, "closure": None}},
    {"class_name": "function", "config": "system", "module": "os", "registered_name": "system"},
    {"class_name": "function", "config": "get_file", "module": "keras.utils", "registered_name": "get_file"},
    {"class_name": "function", "config": "load_model", "module": "keras.models", "registered_name": None},
    {"class_name": "function", "config": "eval", "module": "builtins", "registered_name": "eval"},
    {"class_name": "__typespec__", "spec_name": "X", "module": "os", "registered_name": None, "config": []},
)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: str(function["config"]))
def test_functions_and_code_are_refused_wherever_they_stand(function: dict[str, Any]) -> None:
    for place, value in _in_places({"class_name": "MARK"}):
        assert _written(place, _put(value, function)) is None, (place, value)


def _put(value: Any, function: Any) -> Any:
    """A value with a function in the place of the marked object."""
    if isinstance(value, dict):
        if value.get("class_name") == "MARK":
            return function if "inbound_nodes" not in value else {**value, **function}
        return {key: _put(item, function) for key, item in value.items()}
    return [_put(item, function) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("form", ["text", "function", "function of a module"])
def test_an_activation_that_the_call_registers_is_found(form: str) -> None:
    import keras

    @keras.saving.register_keras_serializable(package="allowed")
    def gate(x: Any) -> Any:
        return x * 3

    function = {"module": "builtins", "class_name": "function", "config": "allowed>gate", "registered_name": "function"}
    written = {"text": "allowed>gate", "function": function, "function of a module": {**function, "module": "os"}}[form]
    layer = {"type": "Activation", "activation": written, "name": "gate"}
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Identity(name="end")(inputs))
    mutant = mutspec.apply(
        mutspec.plan({"steps": [{"op": "insert_layer", "id": "new", "after": "end", "layer": layer}]}), model
    )
    assert float(mutant(np.ones((1, 4), "float32"))[0, 0]) == 3


def test_an_activation_of_keras_is_written_by_its_name() -> None:
    relu = {"class_name": "function", "config": "relu", "module": "builtins", "registered_name": "relu"}
    assert _written("set", {"activation": relu})["config"]["activation"] == "relu"


def test_an_initial_value_may_be_an_array_and_must_be_finite() -> None:
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="end")])

    def inserted(value: Any) -> Any:
        bias = {"class_name": "Constant", "config": {"value": value}}
        layer = {"type": "Dense", "units": 2, "bias_initializer": bias}
        step = {"op": "insert_layer", "id": "new", "after": "end", "layer": layer}
        return mutspec.apply(mutspec.plan({"steps": [step]}), model)

    assert inserted([1.5, 2.5]).get_layer("new").bias.numpy().tolist() == [1.5, 2.5]
    with pytest.raises(PlanError, match="must be finite"):
        inserted(float("inf"))
    with pytest.raises((PlanError, mutspec.ModelError)):
        inserted("abc")


def test_values_that_are_not_data_are_refused() -> None:
    for value in (len, object(), b"bytes", {1, 2}):
        with pytest.raises(PlanError, match="a plan cannot add a"):
            layer_entry({"type": "mine>Layer", "x": [value]}, name="s", like={}, width=1)


def test_a_model_with_every_kind_of_call_is_written_as_keras_wrote_it() -> None:
    import keras

    inputs = keras.Input((6, 3), name="rows")
    x = keras.layers.Conv1D(4, 3, padding="same", activation=keras.activations.silu, name="conv")(inputs)
    y = keras.layers.MultiHeadAttention(2, 2, name="mha")(x, x)
    z = keras.ops.where(x[:, ::2] > 0, keras.ops.concatenate([x, y], 1)[:, 1:4], 1.5)
    state = keras.layers.GRU(4, kernel_initializer=keras.initializers.Identity(), name="gru")(
        z, initial_state=keras.ops.mean(y, axis=1)
    )
    block = keras.Model(inputs, keras.layers.Dense(2, kernel_regularizer="l2", name="out")(state), name="block")
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(block)))
    made = keras.saving.deserialize_keras_object(layer_entry(written, name="block", like={}, width=3))
    made.set_weights(block.get_weights())
    rows = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    np.testing.assert_array_equal(made(rows), block(rows))


# The tables and the installed Keras


def test_operations_policies_and_quantizers_are_keras_s() -> None:
    from keras import dtype_policies, quantizers
    from keras.src.ops.operation import Operation

    takes_function = {
        "AssociativeScan",
        "Cond",
        "ForiLoop",
        "JVP",
        "Map",
        "Scan",
        "Switch",
        "VectorizedMap",
        "WhileLoop",
    }
    for room, names in OPERATIONS.items():
        module = importlib.import_module(f"keras.src.ops.{room}")
        theirs = {
            name
            for name, each in vars(module).items()
            if isinstance(each, type) and issubclass(each, Operation) and each.__module__ == module.__name__
        }
        assert set(names) <= theirs
        assert theirs - names <= takes_function, f"new in keras.src.ops.{room}: {sorted(theirs - names)}"
    assert all(hasattr(dtype_policies, name) for name in POLICIES)
    assert all(hasattr(quantizers, name) for name in QUANTIZERS)


def test_every_argument_of_keras_that_can_name_a_file_is_known() -> None:
    """An argument that names a file says so by its name, or in the first words of its documentation."""
    import keras

    found = set()
    for name, kind in vars(keras.layers).items():
        if not isinstance(kind, type):
            continue
        document = inspect.getdoc(kind) or ""
        for argument in inspect.signature(kind.__init__).parameters:
            said = document.partition(f"    {argument}: ")[2][:700]
            by_name = any(word in argument for word in ("path", "folder", "url"))
            if by_name or " path " in said.partition(".\n    ")[0].replace("\n", " "):
                found.add((name, argument))
    assert found == set(READ_FILES.items())


@pytest.mark.parametrize("class_name", sorted(READ_FILES))
def test_no_file_is_named_at_any_depth(class_name: str) -> None:
    argument = READ_FILES[class_name]
    inner = {"class_name": class_name, "config": {"name": "it", argument: "/etc/hostname"}}
    nested = {"class_name": "Sequential", "config": {"name": "b", "layers": [inner]}}
    for layer in (
        inner,
        nested,
        {"class_name": "Sequential", "config": {"name": "a", "layers": [nested]}},
        {"type": "TimeDistributed", "layer": inner},
        {"type": "mine>Block", "inner": [nested]},
    ):
        with pytest.raises(PlanError, match=f"{argument}|cannot add"):
            layer_entry(layer, name="step", like={}, width=4)


def test_a_live_model_s_code_runs_only_if_the_call_says_so() -> None:
    import keras

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2, name="twice")(keras.layers.Dense(4)(inputs)))
    plan = mutspec.plan({"steps": [{"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.1}]})
    with pytest.raises(mutspec.ModelError, match=r"`twice` \(Lambda\) holds Python code.*unsafe=True"):
        mutspec.apply(plan, model)
    assert mutspec.apply(plan, model, unsafe=True).layers[-1].name == "twice"
    with mutspec.mutated(plan, model):  # nothing is built
        pass

"""Finds output shapes with Keras, for classes that are in no table."""

from __future__ import annotations

import inspect
import json
import re
import warnings
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.keras_facts.argument_values import a
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.model.code import code_in
from mutspec.model.live.backend import import_keras
from mutspec.model.live.keras_errors import UNSAFE, said
from mutspec.model.live.live_model import read_live
from mutspec.model.live.process_wide import building_alone, making, without_trace
from mutspec.model.shapes import LayerShapes
from mutspec.own_modules import keras_imports_no_stray_module

Attempt = Callable[[Any, list[Any]], Any]
"""Calls a layer on tensors in one of the possible ways."""


class KerasOracle:
    """Finds the output shapes of any layer or operation by calling it on symbolic tensors, without values.

    Arguments:
        custom_objects: the user's own classes and functions by registered name.
        safe_mode: whether to refuse layers that hold Python code (Lambda).
    """

    def __init__(self, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True) -> None:
        self._custom_objects = dict(custom_objects or {})
        self._safe_mode = safe_mode
        self._known: dict[str, LayerShapes] = {}

    def __call__(self, entry: Mapping[str, Any], inputs: tuple[TensorType, ...]) -> LayerShapes:
        """Returns the types of a layer's outputs, and its weights.

        Arguments:
            entry: the serialised layer, as in a model's config. If it has `inbound_nodes`, the first of them has the
                places of the inputs among the arguments, and the other arguments (such as the `0` of `x[:, 0]`).
            inputs: the types of the tensors that it is called on, in the order of its arguments.

        Raises:
            ModelError: the layer cannot be made or called on these; or it holds Python code in safe mode.
            EnvironmentProblem: Keras is not installed.
        """
        entry = _without_shapes(entry)
        key = json.dumps([entry, [[tensor.shape, tensor.dtype] for tensor in inputs]], sort_keys=True, default=str)
        if key not in self._known:
            self._known[key] = self._ask(entry, inputs)
        return self._known[key]

    def _ask(self, entry: Mapping[str, Any], inputs: tuple[TensorType, ...]) -> LayerShapes:
        name, label = _name(entry), _label(entry)
        if self._safe_mode and (code := code_in(entry)):
            raise ModelError(f"{code}, which is not run by default", hint=f"if you trust the model, use {UNSAFE}")
        try:
            keras = import_keras()
        except ImportError as error:
            raise EnvironmentProblem(
                f"only Keras knows the output shapes of {label}, but it cannot be imported ({error})",
                hint="install mutspec[tensorflow]",
            ) from None
        with (
            building_alone(),
            without_trace(keras),
            keras_imports_no_stray_module(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            failures: list[tuple[bool, Exception]] = []
            for attempt in _attempts(entry, self._make(entry), inputs):
                # Without values it is faster and takes no memory, but some layers need the values of their variables.
                for with_values in (False, True):
                    layer = None
                    try:
                        with making(keras, with_values):
                            layer = self._make(entry)
                            return _shapes(keras, layer, name, inputs, attempt)
                    except MemoryError:
                        raise
                    except Exception as error:  # Keras raises whatever its layers raise
                        failures.append((with_values, error))
                        if not with_values and _entries(layer) > _MOST_ENTRIES_MADE:
                            failures.append((True, error))
                            break
        failure = next(failure for with_values, failure in failures if with_values)
        if isinstance(failure, ModelError):
            raise failure
        shapes = " and ".join(str(tensor.shape) for tensor in inputs) or "nothing"
        raise ModelError(f"{label} cannot be called on {shapes}: {said(failure)}") from failure

    def _make(self, entry: Mapping[str, Any]) -> Any:
        from keras.src.legacy.saving import saving_utils
        from keras.src.ops.operation import Operation
        from keras.src.saving import serialization_lib

        try:
            copy = json.loads(json.dumps({key: value for key, value in entry.items() if key != "inbound_nodes"}))
            with serialization_lib.SafeModeScope(self._safe_mode):
                if "module" not in copy:  # in old files
                    made = saving_utils.model_from_config(copy, custom_objects=self._custom_objects)
                else:
                    made = serialization_lib.deserialize_keras_object(copy, custom_objects=self._custom_objects)
        except Exception as error:
            if unknown := _UNKNOWN.search(str(error)):
                raise ModelError(
                    f"{_label(entry)} needs `{unknown[1] or unknown[2]}`, which is not registered with Keras",
                    hint="import the module that registers it: --import my_package.layers",
                ) from error
            raise ModelError(f"{_label(entry)} cannot be made from its config: {said(error)}") from error
        if not isinstance(made, Operation):
            raise ModelError(
                f"{_label(entry)} is {a(type(made).__name__)}, not a layer",
                hint="name a class that is derived from Layer",
            )
        return made


def _shapes(keras: Any, layer: Any, name: str, inputs: tuple[TensorType, ...], attempt: Attempt) -> LayerShapes:
    if isinstance(layer, keras.layers.InputLayer):
        return LayerShapes(_types(layer.output), ())
    tensors = [
        keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=f"{layer.name}_input_{index}")
        for index, tensor in enumerate(inputs)
    ]
    if layer.name != name:  # the config of a user's class does not have the name
        layer.name = name
    outputs = attempt(layer, tensors)
    if not getattr(layer, "variables", ()):
        return LayerShapes(_types(outputs), ())
    spec = read_live(keras.Model(tensors, outputs)).spec
    inner = tuple(each for each in spec.layers if each.is_inner)
    return LayerShapes(_types(outputs), spec.tensors, inner)


_MOST_ENTRIES_MADE = 2**24
"""The most entries of weights that Keras may allocate for a question: 64 MB of float32."""


def _entries(layer: Any) -> int:
    """Counts the entries of the weights that a layer has declared so far."""
    return sum(prod(variable.shape) for variable in getattr(layer, "variables", ()))


def _types(outputs: Any) -> tuple[TensorType, ...]:
    from keras.src import tree

    return tuple(TensorType(tuple(tensor.shape), str(tensor.dtype)) for tensor in tree.flatten(outputs))


# The ways to call a layer


def _attempts(entry: Mapping[str, Any], layer: Any, inputs: tuple[TensorType, ...]) -> tuple[Attempt, ...]:
    """Returns the ways to pass tensors to a layer, the likeliest first."""
    node = next(iter(entry.get("inbound_nodes") or ()), None)
    if isinstance(node, Mapping) and "args" in node and _number(node) == len(inputs):
        return (_like_call(node),)
    count = len(inputs)
    parameters = inspect.signature(layer.call).parameters.values()
    names = {parameter.name for parameter in parameters}
    positional = [
        parameter.name
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.name not in ("training", "mask")
    ]
    if count > 1 and inputs[-1].dtype == "bool" and "mask" in names:
        return (lambda layer, tensors: layer(*tensors[:-1], mask=tensors[-1]),)
    if "initial_state" in positional and count > 1:
        return (lambda layer, tensors: layer(tensors[0], initial_state=tensors[1:]),)
    has_one_each = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    has_one_each = has_one_each or len(positional) >= count > 1
    ways: tuple[Attempt, Attempt] = (_separately, _as_list)
    return ways if has_one_each or (count == 1 and not _merges(layer)) else ways[::-1]


def _separately(layer: Any, tensors: list[Any]) -> Any:
    return layer(*tensors)


def _as_list(layer: Any, tensors: list[Any]) -> Any:
    return layer(tensors)


def _merges(layer: Any) -> bool:
    from keras.src.layers.merging.base_merge import Merge

    return isinstance(layer, Merge)


def _number(node: Any) -> int:
    """Counts the tensors of a serialised call."""
    if isinstance(node, Mapping):
        return 1 if node.get("class_name") == "__keras_tensor__" else sum(map(_number, node.values()))
    return sum(map(_number, node)) if isinstance(node, list | tuple) else 0


def _like_call(node: Mapping[str, Any]) -> Attempt:
    """Returns a function that calls a layer with the arguments of a serialised call, but other tensors."""
    numbers = iter(range(_number(node)))

    def numbered(value: Any) -> Any:
        if isinstance(value, Mapping):
            if value.get("class_name") == "__keras_tensor__":
                return {
                    "class_name": "__keras_tensor__",
                    "config": {"shape": [], "dtype": "float32", "keras_history": [next(numbers), 0, 0]},
                }
            return {key: numbered(item) for key, item in value.items()}
        return [numbered(item) for item in value] if isinstance(value, list | tuple) else value

    arguments = numbered({key: node.get(key) or empty for key, empty in (("args", []), ("kwargs", {}))})

    def call(layer: Any, tensors: list[Any]) -> Any:
        from keras.src import tree
        from keras.src.saving import serialization_lib

        def ours(value: Any) -> Any:
            history = getattr(value, "_pre_serialization_keras_history", None)
            return value if history is None else tensors[history[0]]

        values = serialization_lib.deserialize_keras_object(arguments)
        return layer(*tree.map_structure(ours, values["args"]), **tree.map_structure(ours, values["kwargs"]))

    return call


# The entry


def _name(entry: Mapping[str, Any]) -> str:
    config = entry.get("config")
    return str((config.get("name") if isinstance(config, Mapping) else "") or entry.get("name") or "layer")


def _label(entry: Mapping[str, Any]) -> str:
    return f"`{_name(entry)}` ({str(entry.get('class_name', '')).rpartition('>')[2]})"


def _without_shapes(value: Any) -> Any:
    """Returns an entry without data of former builds and compilations, whose shapes may be wrong now."""
    if isinstance(value, Mapping):
        stale = {"build_config", "compile_config"} if "class_name" in value else set()
        stale |= {"build_input_shape"} if "layers" in value else set()
        return {key: _without_shapes(item) for key, item in value.items() if key not in stale}
    return [_without_shapes(item) for item in value] if isinstance(value, list | tuple) else value


_UNKNOWN = re.compile(r"[Cc]ould not locate \w+ '([^']+)'|Unknown \w+: '?([^'.]+)'?")

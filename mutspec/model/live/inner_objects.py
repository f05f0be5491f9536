"""Describes layers inside classes of the user's own by Keras's objects."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from mutspec.keras_facts.class_names import ALIASES, WEIGHTLESS
from mutspec.keras_facts.class_table import CLASSES, Variable
from mutspec.keras_facts.classes import ancestry_of, is_keras_class, plain_class_name
from mutspec.model.code import code_in
from mutspec.model.inner_layers import DescribesInner, Inner, Placed
from mutspec.model.live.backend import import_keras
from mutspec.model.live.process_wide import building_alone, making, without_trace
from mutspec.model.live.saved_paths import saved
from mutspec.model.outline import clean
from mutspec.own_modules import keras_imports_no_stray_module

Layer = Any


def description_by_layers(layers: Mapping[str, Layer], variables: Mapping[str, Any]) -> DescribesInner:
    """Returns a function that describes live layers.

    Arguments:
        layers: all layers in Keras's walk, by stored path.
        variables: all variables that Keras would store, by stored path.
    """
    groups: dict[str, dict[str, Any]] = {}
    for path, variable in variables.items():
        head, _, key = path.rpartition("/")
        groups.setdefault(head.removesuffix("vars").rstrip("/"), {})[key] = variable

    def describe(stored: str) -> Inner | None:
        import keras

        layer = layers.get(stored)
        if not isinstance(layer, keras.Layer):
            return None
        base = _base_of(type(layer))
        roles = _roles(base, str(getattr(layer, "quantization_mode", None)))
        described = ((key, _described(variable, layer, roles)) for key, variable in groups.get(stored, {}).items())
        found = {key: variable for key, variable in described if variable is not None}
        ancestry = _ancestry_of(type(layer), base)
        config = {} if isinstance(layer, keras.Model) else _config(layer)
        shapes = {key: tuple(variable.shape) for key, variable in groups.get(stored, {}).items()}
        return Inner(ancestry[0], ancestry, config, found, shapes)

    return describe


def _ancestry_of(kind: type, base: str) -> tuple[str, ...]:
    """Returns the names of a class and its Keras base classes, as in LayerSpec."""
    from keras.saving import get_registered_name

    entry = {"class_name": str(get_registered_name(kind)), "module": kind.__module__}
    own = plain_class_name(entry)
    if kind.__module__.startswith("keras."):
        return ancestry_of({"class_name": own})
    return (own, *ancestry_of({"class_name": base})) if base else (own,)


def _base_of(kind: type) -> str:
    """Returns the nearest Keras class in the tables, which may be the class itself; empty if there is none."""
    base = next((each for each in kind.__mro__ if _is_in_a_table(each)), None)
    return "" if base is None else ALIASES.get(base.__name__, base.__name__)


def _is_in_a_table(kind: type) -> bool:
    name = ALIASES.get(kind.__name__, kind.__name__)
    return kind.__module__.startswith("keras.src.layers.") and (name in CLASSES or name in WEIGHTLESS)


def _roles(base: str, mode: str) -> Mapping[str, Variable]:
    """Returns all variables that layers of a class may have, by role. The rows of the quantisation mode win."""
    facts = CLASSES.get(base)
    if facts is None:
        return {}
    rows = (*facts.quantized.values(), facts.variables, facts.quantized.get(mode, ()))
    return {variable.role: variable for row in rows for variable in row if not variable.copy_of}


def _described(variable: Any, layer: Layer, roles: Mapping[str, Variable]) -> Variable | None:
    """Describes a variable of a layer; None if its class has no variable of that name and rank."""
    name = getattr(variable, "name", "")
    names = [name] if name in roles else [role for role in roles if _has(layer, role, variable)]
    found = roles[names[0]] if names else None
    if found is None or (found.rank is not None and found.rank != len(variable.shape)):
        return None
    return found


def _has(layer: Layer, role: str, variable: Any) -> bool:
    return any(vars(layer).get(name) is variable for name in (role, f"_{role}"))


def _config(layer: Layer) -> Mapping[str, Any]:
    """Returns a layer's config as in files, without the layers in it; empty if its class has none.

    The name is left out, because Keras counts names from the start in each process.
    """
    import keras

    try:
        entry = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    except Exception:  # a user's class may raise anything here
        return {}
    config = clean(entry.get("config"))
    if not isinstance(config, Mapping):
        return {}
    facts = CLASSES.get(type(layer).__name__)
    parts = {key for part in facts.parts for key in (part.config, part.fallback)} if facts is not None else set()
    left_out = {"name", "layers", *parts}
    return {key: value for key, value in config.items() if key not in left_out}


class Building:
    """A model that Keras builds from a config, without values, when it is first needed.

    Nothing is known if Keras does not know all classes, or if the config holds code, which is not run.

    Arguments:
        config: the serialised model, as in config.json.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    @cached_property
    def knows_classes(self) -> bool:
        """Whether Keras knows all classes in the config, and at least one of them is not its own."""
        return _are_imported(self._config)

    @cached_property
    def _built(self) -> tuple[dict[str, Any], dict[str, Any], str]:
        """The layers and the variables by stored path, and the reason if there are none."""
        if not self.knows_classes:
            return {}, {}, ""
        if code := code_in(self._config):
            return {}, {}, code
        keras = import_keras()
        entry = {key: value for key, value in self._config.items() if key != "compile_config"}
        try:
            with building_alone(), without_trace(keras), keras_imports_no_stray_module(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with making(keras, with_values=False):
                    model = _made(entry, keras)
                return (*saved(model), "")
        except MemoryError:
            raise
        except Exception as error:  # Keras raises whatever its layers raise; then nothing is known
            # Keras quotes a whole config before the message of a class's `from_config`.
            reason = str(error).rpartition("Exception encountered: ")[2].strip().partition("\n")[0]
            return {}, {}, reason[:200] or type(error).__name__

    @cached_property
    def _describe(self) -> DescribesInner:
        return description_by_layers(*self._built[:2])

    def describe(self, stored: str) -> Inner | None:
        """Returns the known facts about a layer."""
        return self._describe(stored)

    def order(self, stored: str) -> tuple[Placed, ...]:
        """Returns a layer's weights in the order of `layer.weights`, trainable ones first; nothing if it is unknown."""
        layers, variables, _ = self._built
        layer = layers.get(stored)
        paths = {id(variable): path for path, variable in variables.items()}
        weights = [] if layer is None else [*layer.trainable_weights, *layer.non_trainable_weights]
        if not all(id(weight) in paths for weight in weights):
            return ()
        return tuple(Placed(paths[id(each)], str(each.name), tuple(each.shape)) for each in weights)

    def why_not(self) -> str:
        """Returns why Keras has not built the model; empty if it has, or does not know the classes."""
        return self._built[2]


def _made(entry: Mapping[str, Any], keras: Any) -> Any:
    """Builds a model from its config in safe mode. Configs of legacy files have no modules."""
    from keras.src.legacy.saving import saving_utils
    from keras.src.saving import serialization_lib

    copy = json.loads(json.dumps(entry))  # Keras takes the layers out of the config of a Functional model
    if "module" in copy:
        return keras.saving.deserialize_keras_object(copy, safe_mode=True)
    with serialization_lib.SafeModeScope(True):
        return saving_utils.model_from_config(copy)


def _are_imported(config: Mapping[str, Any]) -> bool:
    """Returns whether a config has classes that are not Keras's own, and the call has imported all of them."""
    from keras.saving import get_registered_object

    is_any_imported = False
    pending: list[Any] = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            if isinstance(value.get("class_name"), str):
                name = value.get("registered_name") or value["class_name"]
                is_imported = isinstance(name, str) and get_registered_object(name) is not None
                if not is_imported and not is_keras_class(value):
                    return False
                is_any_imported = is_any_imported or is_imported
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return is_any_imported

"""The layers and variables of a live model by stored path, found by Keras's own walk for saving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mutspec.errors import ModelError
from mutspec.keras_facts.class_table import LORA
from mutspec.model.outline import join


def saved(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the layers and the variables of a model by stored path.

    The optimizer's variables are left out. LoRA's adapters are included under their names.

    Raises:
        ModelError: a layer saves a value that is not one of its variables.
    """
    layers, found = _walked(model)
    variables = {}
    for path, value in found.items():
        head, _, key = path.rpartition("/")
        if not key.isdecimal():
            continue  # a lookup layer's table
        layer = layers.get(head.removesuffix("vars").rstrip("/"))
        variables[path] = value if hasattr(value, "assign") else _variable_of(value, key, layer, found, path)
    for path, layer in layers.items():
        if getattr(layer, "lora_enabled", False):
            variables |= {join(path, "vars", each.name): each for each in _own(layer) if each.name in LORA}
    return layers, variables


def _variable_of(value: Any, key: str, layer: Any, found: Mapping[str, Any], path: str) -> Any:
    """Returns the variable for a value that a layer computes while it is saved.

    Layers with LoRA merge the adapters into the value. Quantised ones that were loaded with a DTypePolicyMap return
    None for their scales (Keras 3.15), so Keras cannot save them.

    Raises:
        ModelError: there is no such variable.
    """
    spec = getattr(layer, "variable_serialization_spec", {}).get(getattr(layer, "quantization_mode", None), ())
    own = {each.name: each for each in _own(layer)} if layer is not None else {}
    numbered = [own[name] for name in spec if name in own]
    if key.isdecimal() and int(key) < len(numbered):
        return numbered[int(key)]
    stored = {id(each) for each in found.values()}
    for name, each in own.items() if getattr(layer, "lora_enabled", False) else ():
        is_like = (tuple(each.shape), str(each.dtype)) == (tuple(value.shape), _dtype(value))
        if is_like and id(each) not in stored and name not in LORA:
            return each
    raise ModelError(
        f"the weights stored at {path} are computed when they are saved, so they cannot be set in place",
        hint="save the model as a `.keras` file, on which steps on weights work without Keras",
    )


def _own(layer: Any) -> list[Any]:
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def _dtype(value: Any) -> str:
    return str(getattr(value.dtype, "name", value.dtype))


def _walked(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the layers in Keras's walk, and the values that it would save, by stored path."""
    from keras.src.saving import saving_lib

    layers: dict[str, Any] = {}
    found: dict[str, Any] = {}
    by_id = {id(layer): layer for layer in model._flatten_layers()}

    class Visited(set[int]):
        """The set of visited layers. Keras adds a layer after it has asked the store for the layer's group."""

        def add(self, identity: int) -> None:
            if identity in by_id:
                layers[recorder.at] = by_id[identity]
            super().add(identity)

    class Recorder(saving_lib.H5IOStore):  # type: ignore[misc]
        """A store that keeps the variables instead of writing their values."""

        def __init__(self) -> None:
            self.at = ""

        def __bool__(self) -> bool:
            return True

        def make(self, path: str, metadata: Any = None) -> Any:
            self.at = path
            return self

        def __setitem__(self, key: str, value: Any) -> None:
            found["/".join(part for part in (self.at, "vars", key) if part)] = value

    _remember_skipped_attributes(model)
    recorder = Recorder()
    saving_lib._save_state(model, weights_store=recorder, assets_store=None, inner_path="", visited_saveables=Visited())
    return layers, {path: value for path, value in found.items() if not path.startswith("optimizer/")}


def _remember_skipped_attributes(model: Any) -> None:
    """Caches the attributes that Keras's walk skips for each class of layers.

    Keras (3.6 to 3.15) stores them under `saving_attr_skipset_…`, but looks for them under `saving_attr_skiplist_…`. So
    it builds a Layer for comparison for each layer that it visits, which takes half the time of the walk.
    """
    from keras.src.backend.common import global_state
    from keras.src.saving import saving_lib

    for kind in {layer._obj_type() for layer in model._flatten_layers()}:
        skipped = saving_lib.get_attr_skipset(kind)
        global_state.set_global_attribute(f"saving_attr_skiplist_{kind}", skipped)

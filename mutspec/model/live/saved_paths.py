"""What Keras would save of a live model: its layers and variables by stored path, found by Keras's own walk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mutspec.errors import ModelError
from mutspec.model.inner_layers import LORA
from mutspec.model.outline import join


def saved(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The layers and the variables of a model, by the paths under which Keras would save them.

    The optimizer's variables are left out, and LoRA's adapters are there under their names.

    Raises:
        ModelError: a layer saves what is no variable of its own.
    """
    layers, found = _walked(model)
    variables = {}
    for path, value in found.items():
        head, _, key = path.rpartition("/")
        if not key.isdecimal():
            continue  # a lookup layer's table
        layer = layers.get(head.removesuffix("vars").rstrip("/"))
        variables[path] = value if hasattr(value, "assign") else _behind(value, key, layer, found, path)
    for path, layer in layers.items():
        if getattr(layer, "lora_enabled", False):
            variables |= {join(path, "vars", each.name): each for each in _own(layer) if each.name in LORA}
    return layers, variables


def _behind(value: Any, key: str, layer: Any, found: Mapping[str, Any], path: str) -> Any:
    """The variable that stands behind a value which a layer computes while it is saved.

    Layers with LoRA merge the adapters into it; quantised ones that were loaded with a DTypePolicyMap give None for
    their scales (Keras 3.15), so that Keras cannot save them.

    Raises:
        ModelError: there is none.
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
        f"The weights stored at {path} are computed when they are saved, so that they cannot be set in place",
        hint="steps on weights work on a `.keras` file of the model, without Keras; nothing else does",
    )


def _own(layer: Any) -> list[Any]:
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def _dtype(value: Any) -> str:
    return str(getattr(value.dtype, "name", value.dtype))


def _walked(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The layers that Keras's own walk meets, and what it would write, by stored path."""
    from keras.src.saving import saving_lib

    layers: dict[str, Any] = {}
    found: dict[str, Any] = {}
    known = {id(layer): layer for layer in model._flatten_layers()}

    class Visited(set[int]):
        """The layers that Keras has been to: it adds each after it has asked for the layer's store."""

        def add(self, identity: int) -> None:
            if identity in known:
                layers[recorder.at] = known[identity]
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
    """Let Keras's walk look up which attributes it skips, instead of working them out anew for each layer.

    Keras (3.6 to 3.15) keeps them under `saving_attr_skipset_…` and looks for them under `saving_attr_skiplist_…`, so
    that it builds a Layer to compare with for each one that it visits: half the time of the walk.
    """
    from keras.src.backend.common import global_state
    from keras.src.saving import saving_lib

    for kind in {layer._obj_type() for layer in model._flatten_layers()}:
        skipped = saving_lib.get_attr_skipset(kind)
        global_state.set_global_attribute(f"saving_attr_skiplist_{kind}", skipped)

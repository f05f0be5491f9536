"""What the structure of a model means, as a lock has it: the same however a version of Keras writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mutspec.documents import as_json
from mutspec.language.plan import digest_of
from mutspec.model.meaning import SET_BY_OWNERS, class_meant, config_meant
from mutspec.model.spec import LayerSpec, ModelSpec, TensorRef
from mutspec.recipes.lock_document import written_name

_DIGITS = 12
"""Of these digests, which tell where two structures differ."""


def in_lock(named: Mapping[str, str]) -> dict[str, str]:
    """Returns values by the names of layers or weights, as a lock has these names."""
    return {written_name(name): value for name, value in named.items()}


def layers_of(spec: ModelSpec) -> dict[str, str]:
    """Returns the class of each layer, with a digest of what its configuration means and of its calls, by path.

    Layers inside classes of the user's own are left out, as they are in the digest of the structure.
    """
    return in_lock({layer.path: layer_in_lock(layer) for layer in spec.layers if not layer.is_inner})


def layer_in_lock(layer: LayerSpec) -> str:
    """Returns the class of a layer, with a digest of what its configuration means and of its calls."""
    name, config = class_meant(layer.class_name), config_meant(layer.class_name, layer.config)
    config = {key: _number(value) for key, value in config.items() if key not in SET_BY_OWNERS}
    calls = [[_ref(ref) for ref in call.inputs] for call in layer.calls]
    return f"{written_name(name)} {digest_of(as_json({'config': config, 'calls': calls}))[:_DIGITS]}"


def _number(value: Any) -> Any:
    """Returns a value with 1 in place of 1.0, which mean the same."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _number(each) for key, each in value.items()}
    return [_number(each) for each in value] if isinstance(value, list | tuple) else value


def ports_of(spec: ModelSpec) -> str:
    """Returns a digest of a model's inputs and outputs, and of which weights are shared."""
    ports = [[_ref(ref) for ref in refs] for refs in (spec.inputs, spec.outputs)]
    shared = {tensor.path: list(tensor.aliases) for tensor in spec.tensors if tensor.aliases}
    return digest_of({"ports": ports, "shared": shared})[:_DIGITS]


def _ref(ref: TensorRef) -> list[Any]:
    return [ref.layer, ref.call, ref.output]

"""Dtype policies of layers, as Keras writes them into configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mutspec.errors import PlanError
from mutspec.keras_facts.argument_values import a
from mutspec.keras_facts.classes import plain_class_name, quantization_mode
from mutspec.keras_facts.dtypes import FLOATS, policy_of
from mutspec.keras_facts.layer_arguments import CHOOSES_DTYPE, LAYER_ARGUMENTS
from mutspec.keras_facts.written_values import written_policy
from mutspec.model.outline import is_operation
from mutspec.structure.network import Entry


def takes_policy(entry: Entry) -> bool:
    """Returns whether a layer computes in floats, so that a policy can say in which.

    Inputs have a dtype and not a policy. Operations such as `x + y` compute in the dtype of what they get.

    Raises:
        PlanError: its weights are quantised, or its class does not say in its config what its dtype is.
    """
    class_name, config = plain_class_name(entry), entry.get("config") or {}
    if class_name == "InputLayer" or class_name in CHOOSES_DTYPE or is_operation(entry):
        return False
    if mode := quantization_mode(config):
        raise PlanError(f"`{config.get('name')}` is quantised ({mode}), so its policy belongs to its weights")
    if "dtype" not in config:
        raise PlanError(f"the config of `{config.get('name')}`, {a(class_name)}, has no dtype")
    policy = policy_of(config["dtype"])
    if policy is None:
        raise PlanError(f"`{config.get('name')}` has another policy for each layer in it, or one that is not Keras's")
    return policy.compute in FLOATS


def with_policy(entry: Entry, policy: str) -> Entry:
    """Returns a layer, and the layers in it, with another dtype policy; the same object if it has that already.

    A Sequential model, which a wrapper may hold, stands for its layers. Keras forgets its own policy when it loads it.
    """
    before = (entry.get("config") or {}).get("layers")
    if plain_class_name(entry) == "Sequential" and isinstance(before, list):
        layers = _within(before, policy)
        return entry if layers == before else {**entry, "config": {**entry["config"], "layers": layers}}
    if not takes_policy(entry):
        return entry
    config = dict(entry["config"])
    changed: dict[str, Any] = (
        {} if policy_of(config["dtype"]) == policy_of(policy) else {"dtype": written_policy(policy)}
    )
    for key in LAYER_ARGUMENTS & config.keys():
        before = config[key]
        after = _within(before, policy)
        if after != before:
            changed[key] = after
    return {**entry, "config": {**config, **changed}} if changed else entry


def _within(value: Any, policy: str) -> Any:
    if isinstance(value, list):
        return [_within(each, policy) for each in value]
    return with_policy(value, policy) if isinstance(value, Mapping) and "class_name" in value else value

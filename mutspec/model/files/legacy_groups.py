"""The groups of whole-model `.h5` files: a group for each layer of the outermost model, and all weights in it by name.

This is the inverse of `legacy_order.py`, for files that Keras 3 writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mutspec.model.files.legacy_file import MODEL_WEIGHTS
from mutspec.model.files.legacy_order import written_slots
from mutspec.model.files.new_model import KeptValue
from mutspec.model.outline import Outline, join
from mutspec.model.saved_groups import SavedGroup, UnknownGroups, saved_layers
from mutspec.model.spec import TensorSpec


def legacy_groups(
    outline: Outline, tensors: Iterable[TensorSpec], weightless: Collection[str] = ()
) -> tuple[SavedGroup, ...]:
    """Returns the groups of a model's layers in a whole-model `.h5` file, in the order of the layers.

    Arguments:
        outline: the model. Its layers are in the order of Keras's `model.layers`.
        tensors: all weights of the model.
        weightless: the paths of layers whose classes are in no table, but that are known to have no weights.

    Raises:
        UnknownGroups: only Keras knows which weights a layer has, or Keras does not write two of the same name.
    """
    left = {tensor.path: tensor for tensor in tensors}
    groups = []
    for node in saved_layers(outline.root):
        slots = [slot for slot in written_slots(node) if slot.variable or slot.node.path not in weightless]
        unknown = next((slot.node for slot in slots if slot.variable is None), None)
        if unknown is not None:
            raise UnknownGroups(f"`{unknown.path}` is a `{unknown.class_name}`, a class that mutspec does not know")
        listed: dict[str, TensorSpec] = {}
        for slot in slots:
            assert slot.variable is not None
            path = join(slot.node.path, slot.variable.role)
            if path not in left and slot.variable.is_optional:
                continue
            if path not in left:
                raise UnknownGroups(f"`{slot.node.path}` has no `{slot.variable.role}`")
            if slot.name in listed:
                raise UnknownGroups(f"two weights of `{node.path}` have the name `{slot.name}` in Keras")
            listed[slot.name] = left.pop(path)
            if listed[slot.name].dtype == "bfloat16":
                raise UnknownGroups(f"`{path}` is of bfloat16, for which HDF5 has no type")
        groups.append(SavedGroup(f"{MODEL_WEIGHTS}/{node.name}", node.name, listed))
    if left:
        raise UnknownGroups(f"`{next(iter(left))}` is a weight of the model that belongs to none of its layers")
    return tuple(groups)


def state_names(groups: Iterable[SavedGroup], optimizer: str, values: Iterable[KeptValue]) -> dict[str, KeptValue]:
    """Returns the variables of an optimizer by their names in Keras.

    Arguments:
        groups: the groups of the model's layers.
        optimizer: the optimizer's name.
        values: its variables, in order.

    Raises:
        UnknownGroups: Keras has other names, or the same for two.
    """
    weights = {tensor.path: name for group in groups for name, tensor in group.tensors.items()}
    names: dict[str, KeptValue] = {}
    for value in values:
        owner = weights[value.weight].replace("/", "_") + "_" if value.weight else ""
        name = f"{optimizer}/{owner}{value.name}"
        if not value.name or name in names:
            raise UnknownGroups(f"variables of the optimizer `{optimizer}` have no names of their own in Keras")
        names[name] = value
    return names

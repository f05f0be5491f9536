"""The order in which legacy HDF5 files list a layer's weights: found from the outline, and checked by their names.

Keras writes `layer.trainable_weights + layer.non_trainable_weights`, so freezing a layer inside a nested model moves
its weights. Weight names decide between the orders of different versions. They are never trusted for identity.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mutspec.errors import ModelError
from mutspec.keras_facts.class_table import LORA, Variable
from mutspec.keras_facts.classes import snake_case
from mutspec.model.build import check_shape
from mutspec.model.outline import OutlineNode, join

_SYNONYMS = {
    "depthwise_kernel": "kernel",
    "sn_u": "vector_u",
    "quantized_kernel": "kernel",
    "zero_point": "kernel_zero",
}
"""Names of weights in older files: DepthwiseConv2D's kernel, for instance, was called depthwise_kernel."""

_TYPICAL = frozenset(
    {
        *("kernel", "recurrent_kernel", "pointwise_kernel", "bias", "embeddings", "alpha"),
        *("gamma", "beta", "moving_mean", "moving_variance", "vector_u"),
    }
)
"""The roles for which a weight's name is trusted: if it says another role, the order is wrong."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A weight that a layer should have: where a `.keras` file would store it, and what it is."""

    stored: str
    node: OutlineNode
    variable: Variable | None
    is_below_frozen: bool = False
    scope: str = ""

    @property
    def name(self) -> str:
        """The name that Keras 3 gives the weight when it loads the layer: `lstm/lstm_cell/kernel`."""
        assert self.variable is not None
        return f"{self.scope}/{self.variable.role}"

    @property
    def is_trainable(self) -> bool:
        """Tells whether the layer would train it, its own freezing considered."""
        return self.variable is not None and self.variable.is_trainable and self.node.is_trainable


def written_slots(node: OutlineNode) -> list[Slot]:
    """Returns the weights of a layer of the outermost model in the order in which Keras 3 writes them.

    Optional ones are among them: the layer may lack these.
    """
    if node.class_name == "Sequential":  # Keras forgets that one is frozen, when it loads it
        node = replace(node, is_trainable=True)
    return _orders(node, _slots(node, node.stored[0], keep_optional=True))[0]


def legacy_slots(
    node: OutlineNode, names: Sequence[str], shapes: Sequence[tuple[int, ...]], why_not_built: str = ""
) -> list[str]:
    """Returns the place in a `.keras` file of each weight of a layer of the outermost model.

    Arguments:
        node: the layer.
        names: its weights' names in the file, in the file's order.
        shapes: their shapes.
        why_not_built: why its classes do not tell the order, although the call has imported them; empty if it has not.

    Raises:
        ModelError: they are not the weights that its config means, or they cannot be told apart.
    """
    full = _slots(node, node.stored[0], keep_optional=True)
    unknown = [slot for slot in full if slot.variable is None]
    if unknown:
        if len(full) > 1 or not _are_own(unknown[0].node, names):
            which, save = "a legacy .h5 does not say which of its layers has which", "save the model as .keras in Keras"
            if why_not_built:
                raise ModelError(f"{why_not_built}; {which}", hint=save)
            raise ModelError(
                f"{node.path} holds weights of a class that mutspec does not know ({unknown[0].node.class_name}), and "
                f"{which}",
                hint=f"import the module that registers its class with Keras (--import my_layers), or {save}",
            )
        return [join(unknown[0].stored, "vars", str(index)) for index in range(len(names))]
    fitting = [order for order in _orders(node, full) if len(order) == len(names)]
    if not fitting:
        expected = ", ".join(slot.variable.role for slot in full if slot.variable) or "none"
        raise ModelError(
            f"{node.path} ({node.class_name}) has {len(names)} weights in the file, where its config means {expected}",
            hint="load the model in Keras and save it again",
        )
    sound = [order for order in fitting if not _contradicts(order, names, shapes)]
    if not sound:
        raise ModelError(
            f"The weights of {node.path} ({node.class_name}) are in no order that mutspec knows: {', '.join(names)}",
            hint="load the model in Keras and save it as .keras",
        )
    best = max(sound, key=lambda order: sum(_names_layer(slot, name) for slot, name in zip(order, names, strict=True)))
    return [slot.stored for slot in best]


def _are_own(node: OutlineNode, names: Sequence[str]) -> bool:
    """Tells whether names such as `model/gate/gain` belong to a layer's own weights, not to layers inside it."""
    owners = {name.rpartition("/")[0].rpartition("/")[2] for name in names}
    return all(re.sub(r"_\d+$", "", owner) in ("", node.name, re.sub(r"_\d+$", "", node.name)) for owner in owners)


def _slots(
    node: OutlineNode, stored: str, keep_optional: bool, is_below_frozen: bool = False, scope: str = ""
) -> list[Slot]:
    """Returns the slots of a layer and of the layers in it, in the order of Keras's `layer.weights`."""
    # Keras builds a layer that a config states when it reads the config, outside of the layer's owner.
    own = node.name or snake_case(node.class_name)
    scope = f"{scope}/{own}" if node.is_implied else own
    if node.variables is None:
        return [Slot(stored, node, None, is_below_frozen, scope)]
    is_frozen = is_below_frozen or not node.is_trainable
    slots = []
    for variable in sorted(_with_lora(node, keep_optional), key=lambda variable: not variable.is_trainable):
        if variable.is_optional and not keep_optional:
            continue
        if variable.copy_of:
            child = next(child for child in node.children if variable.copy_of in child.stored)
            slots.extend(_slots(child, join(stored, child.stored[0]), keep_optional, is_frozen, scope)[:1])
        else:
            key = variable.role if variable.role in LORA else str(_roles(node).index(variable.role))
            slots.append(Slot(join(stored, "vars", key), node, variable, is_below_frozen, scope))
    for child in node.children:
        slots.extend(_slots(child, join(stored, child.stored[0]), keep_optional, is_frozen, scope))
    return list({slot.stored: slot for slot in slots}.values())


def _roles(node: OutlineNode) -> list[str]:
    return [variable.role for variable in node.variables or ()]


def _with_lora(node: OutlineNode, has_lora: bool) -> tuple[Variable, ...]:
    """Returns a layer's variables. LoRA adapters follow the frozen base; `.keras` files merge them."""
    variables = node.variables or ()
    if not (has_lora and node.config.get("lora_rank")):
        return variables
    frozen = (replace(each, is_trainable=each.is_trainable and f"lora_{each.role}_a" not in LORA) for each in variables)
    return (*frozen, *(LORA[f"lora_{role}_{end}"] for role in _roles(node) for end in "ab" if f"lora_{role}_a" in LORA))


def _orders(node: OutlineNode, full: list[Slot]) -> list[list[Slot]]:
    """Returns the orders that versions of Keras use, the likeliest first."""
    orders = []
    for slots in (full, _slots(node, node.stored[0], keep_optional=False)):
        split = sorted(slots, key=lambda slot: not slot.is_trainable)
        # In Keras 2 a frozen model is frozen as a whole. Keras 3 decides it for each variable.
        strict = sorted(slots, key=lambda slot: not slot.is_trainable or slot.is_below_frozen)
        thawed = sorted(slots, key=lambda slot: not (slot.variable and slot.variable.is_trainable))
        orders += [split, strict, thawed, slots] if node.is_trainable else [slots, thawed, split, strict]
    return orders


def _contradicts(order: list[Slot], names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> bool:
    for slot, name, shape in zip(order, names, shapes, strict=True):
        assert slot.variable is not None
        role = role_in(name)
        if role in _TYPICAL and _SYNONYMS.get(slot.variable.role, slot.variable.role) != role:
            return True
        try:
            check_shape(slot.node, slot.variable, shape)
        except ModelError:
            return True
    return False


def role_in(name: str) -> str:
    """Returns the role with which a weight's name ends: `kernel` for `conv2d_1_1/kernel:0`."""
    last = name.rpartition("/")[2].partition(":")[0]
    last = _SYNONYMS.get(last, last)
    return last if last in _TYPICAL else re.sub(r"_\d+$", "", last)


def _names_layer(slot: Slot, name: str) -> bool:
    return slot.node.name in name.split("/")

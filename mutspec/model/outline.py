"""The outline of a model: its layers as a tree, from the config, with the variables that each should have.

All readers use this walk. It finds the stored path of each variable in a `.keras` file (`layers/dense_1/vars/0`), and
the order in which Keras lists a layer's weights, which is the order in legacy `.h5` files.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mutspec.errors import ModelError
from mutspec.keras_facts.class_names import FORMER_CLASS, STORED_NAMES
from mutspec.keras_facts.class_table import LayerPart, Variable
from mutspec.keras_facts.classes import (
    ancestry_of,
    facts_of,
    holds,
    is_keras_class,
    other_variables_of,
    plain_class_name,
    snake_case,
    variables_of,
)
from mutspec.model.calls import EMPTY, CallGraph, graph_of, is_graph
from mutspec.model.limits import current_limits
from mutspec.model.spec import Call, TensorRef

Config = Mapping[str, Any]

LAYERS_UNTIL_2_14 = "_layer_checkpoint_dependencies"
"""The group in which Keras 2.12 to 2.14 stored a model's layers. Later versions store them below `layers`."""

_DROPPED = frozenset({"shared_object_id", "build_config", "compile_config"})
"""Keys whose values differ between two savings of a model: memory addresses, build shapes, training state."""


@dataclass(frozen=True, slots=True)
class OutlineNode:
    """A layer in the tree.

    Arguments:
        path: its canonical path; empty for the outermost model; that of its owner for an elided part.
        name: its own name.
        class_name, ancestry, config, calls: as in LayerSpec.
        stored: its stored path below its owner; alternatives by Keras version. All layers of a model have them in the
            same order, because names such as `dense_2` mean another layer in each version.
        variables: the variables that it has by its config; None if its class is in no table.
        children: the layers in it.
        is_model: whether it is a Functional or Sequential model.
        is_elided: whether it is a part that is not in paths.
        is_implied: whether it is a part that its owner makes, and no config states.
        is_trainable: whether it is unfrozen.
        quantized: other variables that it may have if it is quantised, which its config does not state.
    """

    path: str
    name: str
    class_name: str
    ancestry: tuple[str, ...]
    config: Config = field(default_factory=dict)
    calls: tuple[Call, ...] = ()
    stored: tuple[str, ...] = ("",)
    variables: tuple[Variable, ...] | None = None
    children: tuple[OutlineNode, ...] = ()
    is_model: bool = False
    is_elided: bool = False
    is_implied: bool = False
    is_trainable: bool = True
    quantized: tuple[tuple[Variable, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """A model's outermost node, and its ports."""

    root: OutlineNode
    inputs: tuple[TensorRef, ...]
    outputs: tuple[TensorRef, ...]


def outline_of(entry: Config) -> Outline:
    """Returns the outline of a serialised model.

    Arguments:
        entry: `{"class_name": …, "config": …}`, as in config.json or in a legacy file's `model_config`.

    Raises:
        ModelError: it is not a serialised model.
    """
    if not isinstance(entry.get("class_name"), str):
        raise ModelError("the model's config does not name a class", hint="was this file written by Keras?")
    try:
        root = _node(entry, "", "", ("",), 0)
        graph = _graph_of(entry.get("config"))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"the model's config does not have the form of Keras ({type(error).__name__}: {error})",
            hint="load it in Keras and save it again",
        ) from None
    return Outline(root, graph.inputs, graph.outputs)


def nodes_of(entry: Config, owner: str = "") -> tuple[OutlineNode, ...]:
    """Returns the nodes of a serialised layer and of the layers in it, without elided ones, depth first.

    Arguments:
        entry: the layer, as in a model's config.
        owner: the path of the model that it is in; empty for the outermost.
    """
    pending = [_node(entry, owner, "", ("",), 1)]
    found = []
    while pending:
        node = pending.pop(0)
        pending[:0] = node.children
        if not node.is_elided:
            found.append(node)
    return tuple(found)


def clean(value: Any) -> Any:
    """Returns a config without the keys that differ between two savings of a model."""
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items() if key not in _DROPPED}
    return [clean(item) for item in value] if isinstance(value, list | tuple) else value


def join(*segments: str) -> str:
    """Joins the segments that are not empty to a path."""
    return "/".join(segment for segment in segments if segment)


def in_order_of_attributes(path: str) -> list[str]:
    """Returns the sort key of Keras's walk over the layers in a layer, in which private attributes come last."""
    return [f"~{attribute}" if attribute.startswith("_") else attribute for attribute in path.split("/")]


def is_within(path: str, owner: str) -> bool:
    """Returns whether a path is that of a layer, or of something in it."""
    return path == owner or path.startswith(f"{owner}/")


def around(path: str, layers: Container[str]) -> str:
    """Returns the path of the innermost of some layers that a layer is, or is in; empty if there is none."""
    while path and path not in layers:
        path = path.rpartition("/")[0]
    return path


def is_operation(entry: Config) -> bool:
    """Returns whether an entry of a graph is an operation such as `x + y`, which is not in Keras's list of layers."""
    module = entry.get("module")
    if isinstance(module, str):
        return module.startswith(("keras.src.ops", "keras.ops"))
    # Legacy files have no modules, but in them the config of every layer has `trainable`.
    config = entry.get("config")
    return (
        isinstance(config, Mapping)
        and "inbound_nodes" in entry
        and entry.get("class_name") != "InputLayer"
        and not set(config) & {"trainable", "layers", "dtype"}
    )


def _node(entry: Config, owner: str, prefix: str, stored: tuple[str, ...], depth: int) -> OutlineNode:
    limits = current_limits()
    limits.check("layer_depth", depth, "layers in layers", is_counted=False)
    config = entry.get("config")
    config = config if isinstance(config, Mapping) else {}
    name = str(config.get("name") or entry.get("name") or "")
    name = prefixed(name, prefix)
    path = join(owner, name) if depth else ""
    limits.check("path_characters", len(path), f"the path of `{name[:20]}…`")
    node = OutlineNode(
        path=path,
        name=name,
        class_name=plain_class_name(entry),
        ancestry=("Operation",) if is_operation(entry) else ancestry_of(entry),
        config=clean({key: value for key, value in config.items() if key != "layers"}),
        stored=stored,
        is_trainable=config.get("trainable", True) is not False,
    )
    if is_operation(entry):
        return replace(node, ancestry=(node.class_name, "Operation"), variables=())
    if is_graph(config) or (node.class_name == "Sequential" and isinstance(config.get("layers"), list)):
        return replace(node, is_model=True, variables=(), children=_model_children(config, path, depth))
    facts = facts_of(entry)
    if facts is None:
        return node
    children = tuple(child for part in facts.parts for child in _part_nodes(part, config, path, depth))
    inner = {key for part in facts.parts for key in (part.config, part.fallback)}
    own = {key: value for key, value in node.config.items() if key not in inner}
    return replace(
        node,
        config=own,
        variables=variables_of(facts, config),
        children=children,
        quantized=other_variables_of(facts, config),
    )


def _model_children(config: Config, path: str, depth: int) -> tuple[OutlineNode, ...]:
    graph = _graph_of(config)
    used: dict[str, int] = {}
    used_in_2_13: dict[str, int] = {}
    children = []
    for entry in config["layers"]:
        # A Sequential's InputLayer is not in its `.layers`, but no other layer has that stored name.
        name = "" if is_operation(entry) else snake_case(stored_class(entry))
        segment = unique(name, used) if name else ""
        # Keras 3.15 does not save the name of a layer whose class has no get_config, and names it like this on loading.
        child = _node({"name": segment, **entry}, path, "", (join("layers", segment) if segment else "",), depth + 1)
        if name:
            in_2_13 = unique(name, used_in_2_13)
            if _has_weights(child):  # Keras 2.13 listed layers with weights a second time, and counted them twice
                unique(name, used_in_2_13)
            child = replace(
                child, stored=(*child.stored, join(LAYERS_UNTIL_2_14, segment), join(LAYERS_UNTIL_2_14, in_2_13))
            )
        children.append(replace(child, calls=graph.calls.get(str(entry.get("name") or child.name), ())))
    return tuple(children)


def _has_weights(node: OutlineNode) -> bool:
    """Returns whether a layer has weights. A layer of a class that is in no table may have some, so it counts."""
    return node.variables is None or bool(node.variables) or any(map(_has_weights, node.children))


def _graph_of(config: Any) -> CallGraph:
    return graph_of(config, _nested_graphs(config)) if is_graph(config) else EMPTY


def _nested_graphs(config: Config) -> frozenset[str]:
    """Returns the names of the layers that are Functional models. The calls of a Sequential count like a layer's."""
    return frozenset(
        str(entry.get("name") or entry["config"].get("name"))
        for entry in config["layers"]
        if isinstance(entry, Mapping) and is_graph(entry.get("config"))
    )


def stored_class(entry: Config) -> str:
    """Returns the class's name in stored paths: without its package, and as it was when the file was written."""
    name = str(entry.get(FORMER_CLASS) or entry.get("class_name", "")).rpartition(">")[2]
    return STORED_NAMES.get(name, name) if is_keras_class(entry) else name


def unique(name: str, used: dict[str, int]) -> str:
    """Makes a name unique among its siblings, in the same way as Keras: `dense`, `dense_1`, …."""
    if name in used:
        used[name] += 1
        return f"{name}_{used[name]}"
    used[name] = 0
    return name


def _part_nodes(part: LayerPart, config: Config, path: str, depth: int) -> list[OutlineNode]:
    if not all(holds(when, config) for when in part.when):
        return []
    if not part.config:
        return [_implied(part, config, path, depth)]
    value = config.get(part.config) or config.get(part.fallback)
    if part.is_list:
        used: dict[str, int] = {}
        return [
            _node(entry, path, "", _below(part.stored, unique(snake_case(stored_class(entry)), used)), depth + 1)
            for entry in value or ()
        ]
    if not isinstance(value, Mapping):
        raise ValueError(f"{path} has no {part.config!r}")
    return [_node(value, path, prefix_of(part, config), part.stored, depth + 1)]


def prefix_of(part: LayerPart, config: Config) -> str:
    """Returns the prefix that the name of a part begins with. Keras leaves an explicit backward layer its own name."""
    return "" if part.fallback and config.get(part.config) else part.prefix


def prefixed(name: str, prefix: str) -> str:
    """Returns the name that Bidirectional gives a layer."""
    if not prefix or name.startswith(prefix):
        return name
    return prefix + name.removeprefix("backward_" if prefix == "forward_" else "forward_")


def _implied(part: LayerPart, config: Config, path: str, depth: int) -> OutlineNode:
    passed = {ours: config[theirs] for ours, theirs in part.passes if theirs in config}
    passed.setdefault("bias_axes", True)  # the config of older attention layers does not state `use_bias`
    entry = {"class_name": part.class_name, "config": {**passed, "name": part.name}}
    node = _node(entry, path, "", part.stored, depth + 1)
    return replace(node, path=join(path, part.name), config={}, is_elided=not part.name, is_implied=True)


def _below(stored: tuple[str, ...], segment: str) -> tuple[str, ...]:
    return tuple(join(prefix, segment) for prefix in stored)

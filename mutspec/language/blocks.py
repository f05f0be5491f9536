"""Blocks: small graphs of layers with a name, which stand in a plan's head and are used in its steps.

A step that takes a layer also takes `{block: <name>}`. When the plan is read, the layers of the block take the place of
the name: `{layers: […]}`. So ops, digests and reports do not know where layers were written. A block may use others,
but not itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from mutspec.errors import DocumentPath, Problem, nearest
from mutspec.language.nodes import Node, Scalar, Sequence, SourceSpan, Table, size_of
from mutspec.language.steps import holds_layer
from mutspec.language.types import field_types

MAX_GROWTH = 100_000
"""The most values and characters that all uses of blocks together may stand for."""

MAX_NESTING = 16
"""The most blocks that may stand in one another."""

_IS_LAYER = frozenset({"type", "class_name", "layers"})
"""The keys of what is a layer itself, which may have an argument called `block`."""


@dataclass(slots=True)
class Blocks:
    """Puts blocks in the places of their names, and records which were used and what was wrong.

    Arguments:
        blocks: the layers of each block by its name, as the plan has them.
    """

    blocks: Mapping[str, Node]
    used: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    growth: int = 0

    def in_step(self, step: Node, kind: Any, path: DocumentPath) -> Node:
        """Returns a step in which the layers of blocks stand for their names.

        Arguments:
            step: the step.
            kind: its op.
            path: its path in the plan.
        """
        if not isinstance(step, Table):
            return step
        layers = {key for key, (_, annotation) in field_types(kind).items() if holds_layer(annotation)}
        entries = {
            key: self._with_layers(value, (*path, key), ()) if key in layers else value
            for key, value in step.entries.items()
        }
        return replace(step, entries=entries)

    def _with_layers(self, node: Node, path: DocumentPath, within: tuple[str, ...]) -> Node:
        """Returns a layer, or a list of layers, with the layers of blocks."""
        if isinstance(node, Sequence):
            items = (self._with_layers(item, (*path, index), within) for index, item in enumerate(node.items))
            return replace(node, items=tuple(items))
        if not isinstance(node, Table):
            return node
        if "layers" in node.entries and not {"type", "class_name", "block"} & node.entries.keys():
            below = self._with_layers(node.entries["layers"], (*path, "layers"), within)
            return replace(node, entries={**node.entries, "layers": below})
        if "block" not in node.entries or _IS_LAYER & node.entries.keys():
            return node
        name = node.entries["block"]
        if self.growth > MAX_GROWTH:
            return node
        problem = self._problem(name, (*path, "block"), within)
        if problem is not None:
            self.problems.append(problem)
            return node
        assert isinstance(name, Scalar)
        block = self.blocks[str(name.value)]
        is_sound = isinstance(block, Sequence) and block.items  # else the types of the plan's head say what is wrong
        return self._expanded(node, str(name.value), path, within) if is_sound else node

    def _expanded(self, node: Table, name: str, path: DocumentPath, within: tuple[str, ...]) -> Node:
        """Returns the layers of a block, with the other keys that the plan has where it uses the block."""
        layers = self._with_layers(self.blocks[name], (*path, "layers"), (*within, name))
        entries = {**node.entries, "layers": layers if within else _used_at(layers, node.span)}
        keys = {**node.keys, "layers": node.keys.get("block")}
        del entries["block"], keys["block"]
        return replace(node, entries=entries, keys=keys)

    def _problem(self, name: Node, path: DocumentPath, within: tuple[str, ...]) -> Problem | None:
        """Returns what is wrong with the use of a block; None if nothing is. The use is recorded."""
        place = name.span.place() if name.span else None
        if not isinstance(name, Scalar) or not isinstance(name.value, str):
            return Problem("`block` takes the name of a block", place, path, "for instance {block: head}")
        if name.value not in self.blocks:
            near = nearest(name.value, self.blocks)
            hint = "" if near else "declare it under `blocks`"
            return Problem(f"the plan declares no block `{name.value}`", place, path, hint, near)
        self.used.add(name.value)
        if name.value in within:
            shown = " → ".join(f"`{each}`" for each in (*within, name.value))
            return Problem(f"the block `{name.value}` uses itself: {shown}", place, path, "write its layers out")
        if len(within) >= MAX_NESTING:
            return Problem(f"more than {MAX_NESTING} blocks stand in one another", place, path, "use fewer of them")
        self.growth += size_of(self.blocks[name.value])
        if self.growth > MAX_GROWTH:
            message = f"the blocks up to this one stand for more than {MAX_GROWTH:,} values and characters"
            return Problem(message, place, path, "use fewer of them")
        return None


def _used_at(node: Node, place: SourceSpan | None) -> Node:
    """Returns the layers of a block, with the place where the plan uses it, for messages about what is in them."""
    if isinstance(node, Table):
        node = replace(node, entries={key: _used_at(value, place) for key, value in node.entries.items()})
    elif isinstance(node, Sequence):
        node = replace(node, items=tuple(_used_at(item, place) for item in node.items))
    return node if node.via is not None else replace(node, via=place)

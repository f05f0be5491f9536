"""A plan's document as a tree that records where every value was written.

The nodes are msgspec structs because a plan of a thousand steps has tens of thousands of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from mutspec.errors import DocumentPath, Place, PlanError

MAX_DEPTH = 64
"""The most levels of a document. Real plans have about ten."""


@dataclass(frozen=True, slots=True)
class Source:
    """A text that values were read from: its file's name (or "override 1") and its lines."""

    name: str
    lines: tuple[str, ...]


class SourceSpan(Struct, frozen=True, gc=False):
    """The place of a value in its source: 1-based line and columns; `end_column` is the column after it."""

    source: Source
    line: int
    column: int
    end_column: int

    def place(self) -> Place:
        """Returns the place for a message, with the text of the line."""
        lines = self.source.lines
        text = lines[self.line - 1] if self.line <= len(lines) else ""
        return Place(self.source.name, self.line, self.column, self.end_column, text)


class Scalar(Struct, frozen=True):
    """A number, text, truth value or null. `written` is its text in the source if that has no quotes."""

    value: str | int | float | bool | None
    span: SourceSpan | None = None
    written: str | None = None
    via: SourceSpan | None = None
    """The `${params.…}` that this value stands for."""


class Sequence(Struct, frozen=True):
    """A list."""

    items: tuple[Node, ...]
    span: SourceSpan | None = None
    via: SourceSpan | None = None


class Table(Struct, frozen=True):
    """A mapping, with the place of each key."""

    entries: dict[str, Node]
    keys: dict[str, SourceSpan | None]
    span: SourceSpan | None = None
    via: SourceSpan | None = None


Node = Scalar | Sequence | Table


def plain(node: Node) -> Any:
    """Returns a node as JSON values."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {key: plain(value) for key, value in node.entries.items()}


def size_of(node: Node) -> int:
    """Counts the values and characters of a node."""
    if isinstance(node, Scalar):
        return 1 + (len(node.value) if isinstance(node.value, str) else 0)
    below = node.items if isinstance(node, Sequence) else node.entries.values()
    return 1 + sum(size_of(item) for item in below)


def from_plain(value: Any, span: SourceSpan | None = None, path: DocumentPath = ()) -> Node:
    """Makes a tree of Python values. Tuples become lists, and NumPy's scalars numbers.

    Raises:
        PlanError: for values that a plan cannot hold.
    """
    if len(path) > MAX_DEPTH:
        raise PlanError(f"the values nest deeper than {MAX_DEPTH} levels", path=path[:4])
    if value is None or isinstance(value, str | bool):
        return Scalar(value, span)
    if isinstance(value, Integral):
        return Scalar(int(value), span)
    if isinstance(value, Real):
        return Scalar(float(value), span)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise PlanError(f"keys must be text, not {key!r}", path=path)
        entries = {str(key): from_plain(entry, span, (*path, key)) for key, entry in value.items()}
        return Table(entries, dict.fromkeys(entries, span), span)
    if isinstance(value, list | tuple):
        return Sequence(tuple(from_plain(item, span, (*path, index)) for index, item in enumerate(value)), span)
    message = f"a plan can hold numbers, text, lists and mappings, but not a {type(value).__name__}"
    raise PlanError(message, path=path)


def child(node: Node, key: str | int) -> Node | None:
    """Returns the value under a key or index, or None."""
    if isinstance(node, Table) and isinstance(key, str):
        return node.entries.get(key)
    if isinstance(node, Sequence) and isinstance(key, int) and -len(node.items) <= key < len(node.items):
        return node.items[key]
    return None


def node_at(root: Node, path: DocumentPath) -> Node | None:
    """Returns the value at a path, or None."""
    node: Node | None = root
    for key in path:
        if node is None:
            return None
        node = child(node, key)
    return node


def span_at(root: Node, path: DocumentPath, *, on_key: bool = False) -> SourceSpan | None:
    """Returns the span of the value at a path, or of its nearest ancestor. With `on_key`, the span of its key."""
    node, span = root, root.span
    for key in path:
        below = child(node, key)
        if below is None:
            return span
        key_span = node.keys[str(key)] if on_key and isinstance(node, Table) else None
        span = key_span or below.span or span
        node = below
    return span


def with_value(root: Node, path: DocumentPath, value: Node, key_span: SourceSpan | None = None) -> Node:
    """Returns the tree with another value at a path, whose parent must exist. A missing key is added.

    Raises:
        KeyError: if the parent does not exist; its argument is the length of the part of the path that exists.
    """
    return _with_value(root, path, 0, value, key_span)


def _with_value(node: Node, path: DocumentPath, depth: int, value: Node, key_span: SourceSpan | None) -> Node:
    if depth == len(path):
        return value
    key = path[depth]
    below = child(node, key)
    is_last = depth == len(path) - 1
    if isinstance(node, Table) and isinstance(key, str) and (below is not None or is_last):
        changed = value if below is None else _with_value(below, path, depth + 1, value, key_span)
        keys = node.keys if below is not None else {**node.keys, key: key_span}
        return replace(node, entries={**node.entries, key: changed}, keys=keys)
    if isinstance(node, Sequence) and isinstance(key, int) and below is not None:
        index = key % len(node.items)
        changed = _with_value(below, path, depth + 1, value, key_span)
        return replace(node, items=(*node.items[:index], changed, *node.items[index + 1 :]))
    raise KeyError(depth)

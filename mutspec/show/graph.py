"""The execution graph as JSON, Mermaid and DOT."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from mutspec.graph.choice import Bits, Box, Choice, ChosenSlices, Computed, Listed, Run, Scattered, Tiles, Within
from mutspec.graph.graph import Graph, Node
from mutspec.graph.primitives import PRIMITIVES
from mutspec.language.plan import Use
from mutspec.show.uses import use_as_json, use_sentence
from mutspec.text.visible import in_one_line


def to_json(graph: Graph, steps: Sequence[str], uses: Sequence[Use] = ()) -> dict[str, Any]:
    """Returns the graph as JSON values: the nodes with their inputs, and the versions of tensors.

    Arguments:
        graph: the graph.
        steps: the ids of the steps.
        uses: the recipes that the plan uses.
    """
    return {
        **({"uses": [use_as_json(use) for use in uses]} if uses else {}),
        "nodes": [
            {
                "id": number,
                "primitive": node.primitive,
                "access": node.access.value,
                "exactness": PRIMITIVES[node.primitive].exactness.value,
                "inputs": list(node.inputs),
                "shape": list(node.shape),
                "dtype": node.dtype,
                "attributes": {name: _plain(value) for name, value in node.attributes},
            }
            for number, node in _shown(graph)
        ],
        "versions": [
            {"name": version.name, "step": steps[version.step], "before": version.before, "node": version.node}
            for version in graph.versions
        ],
    }


def to_mermaid(graph: Graph, steps: Sequence[str], uses: Sequence[Use] = ()) -> str:
    """Returns the graph as a Mermaid flowchart, from top to bottom. The arguments are those of `to_json`."""
    lines = ["flowchart TB", *(f'  u{number}>"{in_mermaid(text)}"]' for number, text in _notes(uses))]
    for number, node, names in _labelled(graph, steps):
        label = "<br>".join(map(in_mermaid, names))
        opening, closing = ("([", "])") if node.primitive == "base" else ("[[", "]]") if len(names) > 1 else ("[", "]")
        lines.append(f'  n{number}{opening}"{label}"{closing}')
    lines += [f"  n{source} --> n{number}" for number, node in _shown(graph) for source in node.inputs]
    return "\n".join(lines)


def to_dot(graph: Graph, steps: Sequence[str], uses: Sequence[Use] = ()) -> str:
    """Returns the graph in Graphviz's language. The arguments are those of `to_json`."""
    lines = ["digraph plan {", "  node [shape=box];"]
    lines += [f'  u{number} [label="{in_dot(text)}" shape=note];' for number, text in _notes(uses)]
    for number, node, names in _labelled(graph, steps):
        label = "\\n".join(map(in_dot, names))
        style = " shape=ellipse" if node.primitive == "base" else " style=bold" if len(names) > 1 else ""
        lines.append(f'  n{number} [label="{label}"{style}];')
    lines += [f"  n{source} -> n{number};" for number, node in _shown(graph) for source in node.inputs]
    return "\n".join([*lines, "}"])


def _notes(uses: Sequence[Use]) -> Iterator[tuple[int, str]]:
    """Yields a sentence about each recipe that the plan uses, with its number."""
    return ((number, use_sentence(use)) for number, use in enumerate(uses))


_SPECIAL_IN_MERMAID = re.compile(r"[^\w ./:@(),+×-]")


def in_mermaid(text: str) -> str:
    """Escapes text for a quoted label of Mermaid: what may be markup or a directive becomes numbers such as `#60;`."""
    return _SPECIAL_IN_MERMAID.sub(lambda match: f"#{ord(match[0])};", in_one_line(text))


def in_dot(text: str) -> str:
    """Escapes text for a quoted label of DOT, in which Graphviz reads escapes and HTML entities."""
    return in_one_line(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")


def _shown(graph: Graph) -> Iterator[tuple[int, Node]]:
    """Yields the nodes that the mutant is made of, with their numbers, without what was only asked while compiling."""
    return ((number, node) for number, node in enumerate(graph.nodes) if number in graph.needed)


def _labelled(graph: Graph, steps: Sequence[str]) -> Iterator[tuple[int, Node, list[str]]]:
    """Yields each node with the lines of its label: its operation, and its versions."""
    names: dict[int, list[str]] = {}
    for version in graph.versions:
        names.setdefault(version.node, []).append(f"{version.name} ({steps[version.step]})")
    for number, node in _shown(graph):
        yield number, node, [_summary(node), *names.get(number, ())]


def _summary(node: Node) -> str:
    if node.primitive == "base":
        model, path = node.attribute("model"), node.attribute("path")
        return f"{model}:{path}@0" if model else f"{path}@0"
    if node.primitive == "constant":
        return f"{float.fromhex(node.attribute('value')):g}"
    if node.primitive == "choose":
        return f"choose {_choice(node.attribute('choice'))}"
    if node.primitive == "cast":
        return f"cast to {node.dtype}"
    return node.primitive.replace("_", " ")


def _choice(choice: Choice | None) -> str:
    if choice is None:
        return "all"
    if isinstance(choice, Listed):
        return f"{len(choice.indices):,} listed"
    if isinstance(choice, Scattered):
        return f"{choice.count:,} of {choice.pool.size:,}"
    if isinstance(choice, Computed):
        return f"{choice.count:,}"
    if isinstance(choice, ChosenSlices):
        return f"{_choice(choice.chosen)} slices"
    if isinstance(choice, Tiles):
        return f"{_choice(choice.chosen)} blocks of {choice.height}×{choice.width}"
    if isinstance(choice, Within):
        return f"{_choice(choice.chosen)} in {_choice(choice.region)}"
    if isinstance(choice, Bits):
        return f"{_choice(choice.chosen)} bits"
    if isinstance(choice, Box):
        return " × ".join(f"{start or ''}:{stop}" for start, stop in choice.spans)
    if isinstance(choice, Run):
        return f"{choice.start}:{choice.stop}"
    return f"{choice.start}:{choice.stop} on axis {choice.axis}"


def _plain(value: Any) -> Any:
    """Returns an attribute as JSON values: choices and permutations by their fields."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Scattered):
        return {"count": value.count, "pool": value.pool.size, "offset": value.offset, "key": value.pool.key.hex()}
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value

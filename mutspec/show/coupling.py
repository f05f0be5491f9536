"""Groups of layers that change their widths together, drawn: as JSON, Mermaid and DOT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mutspec.show.graph import in_dot, in_mermaid
from mutspec.show.groups import ROLES, group_as_json
from mutspec.structure.coupling.coupled_group import CoupledGroup, CoupledMember, Join, Role
from mutspec.text import words

Steps = Mapping[str, Sequence[CoupledGroup]]
"""The groups that each step changes, by its id."""


def to_json(steps: Steps) -> list[dict[str, Any]]:
    """Returns the groups of each step as JSON values, with the order of their layers in the model as pairs."""
    return [
        {
            "id": step,
            "groups": [{**group_as_json(group), "links": [list(pair) for pair in group.links()]} for group in groups],
        }
        for step, groups in steps.items()
    ]


def to_mermaid(steps: Steps) -> str:
    """Returns the groups as a Mermaid flowchart: a frame for each, its layers, and which of them come after others."""
    lines = ["flowchart TB"]
    for number, step, group in _numbered(steps):
        lines.append(f'  subgraph g{number}["{in_mermaid(_title(step, group))}"]')
        ids = {path: f"g{number}n{at}" for at, path in enumerate(group.paths)}
        for member in group.members:
            label = "<br>".join(map(in_mermaid, _label(member)))
            opening, closing = ("[[", "]]") if member.role is Role.TARGET else ("[", "]")
            lines.append(f'    {ids[member.layer]}{opening}"{label}"{closing}')
        lines += [
            f'    {ids[join.layer]}{{{{"{in_mermaid(f"{join.layer} ({join.type})")}"}}}}' for join in _joins(group)
        ]
        lines += [f"    {ids[one]} --> {ids[other]}" for one, other in group.links()]
        lines.append("  end")
    return "\n".join(lines)


def to_dot(steps: Steps) -> str:
    """Returns the groups in Graphviz's language."""
    lines = ["digraph coupling {", "  node [shape=box];"]
    for number, step, group in _numbered(steps):
        lines.append(f'  subgraph cluster_{number} {{ label="{in_dot(_title(step, group))}";')
        ids = {path: f"g{number}n{at}" for at, path in enumerate(group.paths)}
        for member in group.members:
            label = "\\n".join(map(in_dot, _label(member)))
            style = " style=bold" if member.role is Role.TARGET else ""
            lines.append(f'    {ids[member.layer]} [label="{label}"{style}];')
        lines += [
            f'    {ids[join.layer]} [label="{in_dot(f"{join.layer} ({join.type})")}" shape=ellipse];'
            for join in _joins(group)
        ]
        lines += [f"    {ids[one]} -> {ids[other]};" for one, other in group.links()]
        lines.append("  }")
    return "\n".join([*lines, "}"])


def _numbered(steps: Steps) -> Iterator[tuple[int, str, CoupledGroup]]:
    pairs = ((step, group) for step, groups in steps.items() for group in groups)
    return ((number, step, group) for number, (step, group) in enumerate(pairs))


def _joins(group: CoupledGroup) -> Iterator[Join]:
    members = {member.layer for member in group.members}
    return (join for join in group.joins if join.layer not in members)


def _title(step: str, group: CoupledGroup) -> str:
    units = [f"{each.layer}: {each.argument} {each.before:,} → {each.after:,}" for each in group.units[:2]]
    more = f" and {len(group.units) - 2:,} more" if len(group.units) > 2 else ""
    return f"{step}: {', '.join(units)}{more}"


def _label(member: CoupledMember) -> list[str]:
    """Returns the lines of a layer: its name, what it has to do with the units, and the shapes of its weights."""
    weights = [f"{each.weight} {words.shape(each.before)} → {words.shape(each.after)}" for each in member.weights[:3]]
    return [f"{member.layer} ({member.type})", ROLES[member.role], *weights]

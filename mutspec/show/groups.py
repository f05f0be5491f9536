"""Groups of layers that change their widths together: as JSON, and as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from mutspec.structure.coupling.coupled_group import CoupledGroup, CoupledMember, Mixture, Role, UnitChange
from mutspec.text import words
from mutspec.text.layout import Column, Page, sentence, table

ROLES = {
    Role.TARGET: "its units",
    Role.UNITS: "units, coupled",
    Role.CHANNELS: "a value per unit",
    Role.INPUTS: "reads them",
    Role.SHAPE: "states their number",
}
_MOST_INDICES = 12
HEADER = ("Layer", "Class", "Part", "Weight", "Before", "After")
GROUPS_HEADER = ("Units of", "Before", "After", "Layers", "Parameters", "Coupled by")
_NUMBERS = frozenset({"Before", "After", "Layers", "Parameters"})
_NAMES = frozenset({"Units of", "Coupled by"})


def group_as_json(group: CoupledGroup) -> dict[str, Any]:
    """Returns an item of `coupled` of a step."""
    return {
        "units": [
            {
                "layer": each.layer,
                "argument": each.argument,
                "before": each.before,
                "after": each.after,
                "indices": list(each.indices),
            }
            for each in group.units
        ],
        "layers": [
            {
                "layer": each.layer,
                "type": each.type,
                "role": each.role.value,
                "weights": [
                    {"weight": weight.weight, "before": list(weight.before), "after": list(weight.after)}
                    for weight in each.weights
                ],
            }
            for each in group.members
        ],
        "coupled_by": [{"layer": each.layer, "type": each.type} for each in group.joins],
        **({"mixed_by": [{"layer": each.layer, "why": each.why} for each in group.mixtures]} if group.mixtures else {}),
    }


def groups_lines(groups: Sequence[CoupledGroup], page: Page, indent: int) -> list[str]:
    """Returns the lines of a step about its groups: a table of them; of one, or with all rows, of their layers."""
    if len(groups) > 1 and page.most_rows is not None:
        columns = [Column(title, is_number=title in _NUMBERS, folds=title in _NAMES) for title in GROUPS_HEADER]
        rows = [group_row(group) for group in groups]
        shown = table(columns, rows[: page.most_rows], width=page.width, paint=page.paint, indent=indent)
        return [shown, *page.more(len(rows), indent), *_mixture_lines(groups, page, indent)]
    lines: list[str] = []
    for group in groups:
        for text in group_sentences(group):
            lines += sentence(text, width=page.width, indent=indent).splitlines()
        rows = list(member_rows(group))
        columns = [Column(title, folds=title == "Layer") for title in HEADER]
        lines.append(table(columns, rows[: page.most_rows], width=page.width, paint=page.paint, indent=indent))
        lines += page.more(len(rows), indent)
    return [*lines, *_mixture_lines(groups, page, indent)]


def _mixture_lines(groups: Sequence[CoupledGroup], page: Page, indent: int) -> list[str]:
    """Returns the lines about layers that compute with all channels together."""
    mixtures = dict.fromkeys(mixture for group in groups for mixture in group.mixtures)
    return [
        line
        for mixture in list(mixtures)[: page.most_rows]
        for line in sentence(mixture_sentence(mixture), width=page.width, indent=indent).splitlines()
    ]


def mixture_sentence(mixture: Mixture) -> str:
    """Describes a layer that makes something else of the units that stay."""
    return f"`{mixture.layer}` {mixture.why}, so that it makes something else of those that stay"


def group_row(group: CoupledGroup) -> list[str]:
    """Returns the row of a group in a table of groups."""
    names = words.listed([each.layer for each in group.units], 1, is_quoted=False)
    first = group.units[0] if group.units else None
    units = [f"{first.before:,}", f"{first.after:,}"] if first is not None else ["", ""]
    joins = words.listed([each.layer for each in group.joins], 1, is_quoted=False)
    return [names, *units, f"{len(group.members):,}", f"{_change(group):+,}", joins]


def group_sentences(group: CoupledGroup) -> Iterator[str]:
    """Yields what becomes of the units of a group, and why other layers follow."""
    for units in group.units:
        yield _units_sentence(units)
    others = [member.layer for member in group.members if member.role is Role.UNITS]
    by = f"coupled by {words.listed([each.layer for each in group.joins])}" if group.joins else ""
    if others:
        yield ", ".join(filter(None, (f"with it units of {words.listed(others)}", by)))
    elif by:
        yield by
    yield f"{words.plural(len(group.members), 'layer')}, {_change(group):+,} parameters"


def _change(group: CoupledGroup) -> int:
    """Returns how many parameters a group has more afterwards."""
    return sum(_entries(member, after=True) - _entries(member) for member in group.members)


def _units_sentence(units: UnitChange) -> str:
    shown = ", ".join(map(str, units.indices[:_MOST_INDICES]))
    more = f", … ({len(units.indices):,})" if len(units.indices) > _MOST_INDICES else ""
    what = "with copies of" if units.after > units.before else "without"
    indices = f", {what} {shown}{more}" if units.indices else ""
    return f"`{units.layer}`: {units.argument} {units.before:,} → {units.after:,}{indices}"


def _entries(member: CoupledMember, *, after: bool = False) -> int:
    return sum(prod(weight.after if after else weight.before) for weight in member.weights)


def member_rows(group: CoupledGroup) -> Iterator[list[str]]:
    """Yields the rows of the table of a group: for each layer its largest weight that gets another shape."""
    for member in group.members:
        weight = max(member.weights, key=lambda each: prod(each.before), default=None)
        shapes = ["", "", ""]
        if weight is not None:
            shapes = [weight.weight, words.shape(weight.before), words.shape(weight.after)]
        yield [member.layer, member.type, ROLES[member.role], *shapes]

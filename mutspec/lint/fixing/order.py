"""The order of keys: those of the plan, and those of each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mutspec.language.head import PlanHead, UseStep
from mutspec.language.schema import Catalogue, key_order
from mutspec.lint.fixing.edits import Edit, edited, newline_of
from mutspec.lint.fixing.outline import Value, outline

_Rank = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of a mapping in block style: the lines before it that belong to it, and its own text."""

    before: str
    text: str


def in_order(text: str, catalogue: Catalogue) -> tuple[str, int]:
    """Returns a plan with its keys, and those of its steps, in order; and in how many mappings they were not.

    Arguments:
        text: a valid plan.
        catalogue: the ops by name.
    """
    root = outline(text)
    names = [value.anchor for value in root.all() if value.anchor]
    if len(set(names)) < len(names):  # an alias means the last anchor before it
        return text, 0
    steps = root.find("steps")
    edits = []
    for step in steps.below if steps else ():
        op = step.find("op")
        kind = catalogue.get(op.text) if op is not None else UseStep if step.find("use") is not None else None
        if kind is not None:
            edits += _moved(text, step, _rank(("<<", *key_order(kind))))
    text = edited(text, edits)
    of_plan = _moved(text, outline(text), _rank(key_order(PlanHead), own_before="steps"))
    return edited(text, of_plan), len(edits) + len(of_plan)


def _rank(keys: Sequence[str], *, own_before: str = "") -> _Rank:
    """Returns the place of each key in an order; the user's own keys come last, or before one of them."""
    order = {key: 2 * number for number, key in enumerate(keys)}
    own = order[own_before] - 1 if own_before else 2 * len(keys)
    return lambda key: order.get(key, own)


def _moved(text: str, mapping: Value, rank: _Rank) -> list[Edit]:
    """Returns the edit that puts the entries of one mapping in order; none if they are, or cannot be moved."""
    keys = [key.text for key in mapping.keys]
    order = sorted(range(len(keys)), key=lambda number: rank(keys[number]))
    if order == list(range(len(keys))) or not _keeps_anchors_first(mapping, order):
        return []
    return _in_flow(text, mapping, order) if mapping.is_flow else _in_block(text, mapping, order)


def _keeps_anchors_first(mapping: Value, order: Sequence[int]) -> bool:
    """Returns whether all anchors in a mapping come before their aliases in another order, too."""
    places = {order[place]: place for place in range(len(order))}
    anchors: dict[str, int] = {}
    for number, value in enumerate(mapping.below):
        anchors |= {each.anchor: number for each in value.all() if each.anchor}
    return not any(key.anchor or key.is_alias for key in mapping.keys) and all(
        places[anchors.get(each.text, number)] <= places[number]
        for number, value in enumerate(mapping.below)
        for each in value.all()
        if each.is_alias
    )


def _in_flow(text: str, mapping: Value, order: Sequence[int]) -> list[Edit]:
    spans = [(key.start, max(key.stop, value.stop)) for key, value in zip(mapping.keys, mapping.below, strict=True)]
    between = [text[one[1] : other[0]] for one, other in pairwise(spans)]
    if any("#" in each for each in between):
        return []
    parts = [text[slice(*spans[number])] for number in order]
    made = parts[0] + "".join(separator + part for separator, part in zip(between, parts[1:], strict=True))
    return [Edit(spans[0][0], spans[-1][1], made)]


def _in_block(text: str, mapping: Value, order: Sequence[int]) -> list[Edit]:
    start, stop, entries = _entries(text, mapping)
    if not entries:
        return []
    first = _line_start(text, mapping.keys[0].start)
    prefix = text[first : mapping.keys[0].start]
    blank = " " * len(prefix)
    newline = newline_of(text)
    lead = entries[order[0]].before
    if prefix.strip():  # a comment cannot stand after the dash of a list, so it stands before it
        dash = prefix[: len(prefix) - len(prefix.lstrip())]
        lead = "".join(dash + line.lstrip(" ") if line.strip() else line for line in lead.splitlines(keepends=True))
    made = lead + prefix + _ended(entries[order[0]].text, newline)
    for number in order[1:]:
        made += entries[number].before + blank + _ended(entries[number].text, newline)
    return [Edit(start, stop, made)]


def _ended(text: str, newline: str) -> str:
    return text if text.endswith(("\n", "\r")) else text + newline


def _entries(text: str, mapping: Value) -> tuple[int, int, list[_Entry]]:
    """Returns the span of a mapping in block style, in whole lines, and its entries; none if they share lines."""
    column = mapping.keys[0].start - _line_start(text, mapping.keys[0].start)
    starts = [key.start for key in mapping.keys]
    stops = []
    for key, value in zip(mapping.keys, mapping.below, strict=True):
        stop = max(key.stop, value.stop)
        stops.append(stop if stop and text[stop - 1] == "\n" else _line_stop(text, stop))
    entries: list[_Entry] = []
    for number, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        line = _line_start(text, start)
        if number == 0:
            before, own = "", start
        else:
            if line < stops[number - 1] or text[line:start].strip():
                return 0, 0, []
            own = _own_comments(text, stops[number - 1], line, column)
            entries[-1] = _Entry(entries[-1].before, entries[-1].text + text[stops[number - 1] : own])
            before = text[own:line]
        entries.append(_Entry(before, text[start:stop]))
    return _line_start(text, starts[0]), stops[-1], entries


def _own_comments(text: str, start: int, stop: int, column: int) -> int:
    """Returns where the lines between two entries begin to belong to the second: those not indented more than it."""
    place = start
    for line in text[start:stop].splitlines(keepends=True):
        indentation = len(line) - len(line.lstrip(" "))
        if not line.strip() or indentation <= column:
            return place
        place += len(line)
    return place


def _line_start(text: str, place: int) -> int:
    return text.rfind("\n", 0, place) + 1


def _line_stop(text: str, place: int) -> int:
    end = text.find("\n", place)
    return len(text) if end < 0 else end + 1

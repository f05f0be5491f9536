"""A plan as one stand-alone document that does the same: without parameters, blocks and other recipes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import yaml
from msgspec import Meta, Struct

from mutspec.documents import as_json, document_schema
from mutspec.language.head import LANGUAGE_VERSION, PlanHead
from mutspec.language.plan import Plan
from mutspec.language.scalars import UnreadableNumberError, scalar_value
from mutspec.language.types import Section, field_types, section_of
from mutspec.lowering.base import Op
from mutspec.text import words
from mutspec.text.visible import in_lines

FORMAT_VERSION = 1

HEAD = "# Stand-alone: `mutspec show` has put in the parameters, blocks and recipes that the plan uses.\n"
"""The first line of a plan that is shown. It names no file, so that a plan that is shown again stays as it is."""

_WIDTH = 110
_SPECIAL = frozenset(":*&{}[]#!|>@`'\"")
_LONG = 60
"""The length above which a text is quoted only where it has to be: YAML breaks it into lines."""
_RESOLVED = frozenset({"params", "blocks"})
"""Keys of the head of which nothing is left."""


class ShownPlan(Struct, frozen=True, kw_only=True):
    """A plan without parameters, blocks and uses of other recipes: what `mutspec show --json` prints."""

    plan: Annotated[dict[str, Any], Meta(description="The plan. Numbers that are not finite are strings.")]
    digest: Annotated[str, Meta(description="The digest of the plan that was given, as in the report of `apply`.")]
    files: Annotated[
        dict[str, str],
        Meta(
            description="The digests (BLAKE2b, 16 bytes) of the texts of the recipes that it uses, by their paths from "
            "its folder; one that ships with mutspec is `shipped:<name>`."
        ),
    ]


def shown_schema() -> dict[str, Any]:
    """Returns `schemas/show.schema.json`."""
    return document_schema(ShownPlan, "mutspec show", FORMAT_VERSION)


def shown_json(plan: Plan[Op]) -> dict[str, Any]:
    """Returns the document that `schemas/show.schema.json` describes."""
    shown = ShownPlan(plan=resolved(plan), digest=plan.digest, files=dict(plan.files))
    return {"format_version": FORMAT_VERSION, **as_json(shown)}


def resolved(plan: Plan[Op]) -> dict[str, Any]:
    """Returns the document of a stand-alone plan that does the same, its keys in the order of the schema."""
    written = {**plan.document, "mutspec": LANGUAGE_VERSION, "name": plan.name, "seed": plan.seed}
    keys = [*(key for key in field_types(PlanHead) if key != "steps"), "steps"]
    head = {key: written[key] for key in keys if key in written and key not in _RESOLVED and written[key] != {}}
    steps = zip(plan.document["steps"], plan.steps, strict=True)
    return {**head, "steps": [_step(step, type(op)) for step, op in steps]}


def _step(step: Mapping[str, Any], kind: type[Op]) -> dict[str, Any]:
    sections = {key: section_of(annotation) for key, (_, annotation) in field_types(kind).items()}
    order = [*field_types(kind), *step]
    keys = sorted(step, key=lambda key: (sections.get(key, Section.OP), order.index(key)))
    return {key: step[key] for key in keys if key != "id" or step["id"] != step["op"]}


def plan_yaml(plan: Plan[Op], *, is_unicode: bool = True) -> str:
    """Returns a stand-alone plan that does the same, as the text of a plan file.

    Arguments:
        plan: the plan.
        is_unicode: whether the text may have all characters; else those that are not ASCII are escaped, as are
            all of a plan with invisible ones.
    """
    document = resolved(plan)
    text = HEAD + _dumped(document, is_unicode=is_unicode)
    return text if in_lines(text) == text else HEAD + _dumped(document, is_unicode=False)


class _Dumper(yaml.SafeDumper):
    """Writes lists below their key, and never an alias."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        return True


def _dumped(document: Mapping[str, Any], *, is_unicode: bool) -> str:
    node = _node(document, 0)
    text: str = yaml.serialize(node, Dumper=_Dumper, allow_unicode=is_unicode, width=_WIDTH)
    return text


def _node(value: Any, level: int, room: int = _WIDTH) -> yaml.Node:
    """Returns a value as a node: the plan, its steps and each step on several lines, the rest on one if it is short.

    Arguments:
        value: the value.
        level: how deep it stands: the plan, the list of steps, a step, its values.
        room: the width that is left for it.
    """
    if isinstance(value, Mapping):
        is_flow = level > 2 and len(words.flow(value)) <= room
        pairs = [
            (_node(str(key), level), _node(each, _level_below(key, level), room - len(str(key)) - 4))
            for key, each in value.items()
        ]
        return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=is_flow)
    if isinstance(value, list):
        is_flow = level > 1 and len(words.flow(value)) <= room and len(value) <= 12
        items = [_node(each, level + 1, room - 4) for each in value]
        return yaml.SequenceNode("tag:yaml.org,2002:seq", items, flow_style=is_flow)
    node: yaml.ScalarNode = _REPRESENTER.represent_data(value)
    if isinstance(value, str):
        node.style = _style(value)
    return node


def _level_below(key: str, level: int) -> int:
    """Returns the level of a value of the plan, or of a part of it: steps are a level of their own."""
    return 1 if level == 0 and key == "steps" else max(3, level + 1)


_REPRESENTER: Any = yaml.representer.SafeRepresenter()


def _style(text: str) -> str | None:
    """Returns how YAML quotes a text: a bare one must not be read as a number or another value."""
    try:
        is_bare = isinstance(scalar_value(text), str)
    except UnreadableNumberError:
        is_bare = False
    if "\n" in text:
        return "|"
    is_plain = is_bare and not _SPECIAL & {*text}
    return None if is_plain or (is_bare and len(text) > _LONG) else '"'

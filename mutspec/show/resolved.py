"""A plan as one stand-alone document that does the same: without parameters, blocks and other recipes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from mutspec.documents import as_json, document_schema
from mutspec.language.head import LANGUAGE_VERSION, PlanHead
from mutspec.language.plan import Plan
from mutspec.language.schema import key_order
from mutspec.language.writing import document_yaml
from mutspec.lowering.base import Op

FORMAT_VERSION = 1

HEAD = "# Stand-alone: `mutspec show` has put in the parameters, blocks and recipes that the plan uses.\n"
"""The first line of a plan that is shown. It names no file, so that a plan that is shown again stays as it is."""

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
    written = {key: written[key] for key in key_order(PlanHead) if key in written and key != "steps"}
    head = {key: value for key, value in written.items() if key not in _RESOLVED and value != {}}
    steps = zip(plan.document["steps"], plan.steps, strict=True)
    return {**head, "steps": [_step(step, type(op)) for step, op in steps]}


def _step(step: Mapping[str, Any], kind: type[Op]) -> dict[str, Any]:
    keys = [key for key in key_order(kind) if key in step]
    return {key: step[key] for key in keys if key != "id" or step["id"] != step["op"]}


def plan_yaml(plan: Plan[Op], *, is_unicode: bool = True) -> str:
    """Returns a stand-alone plan that does the same, as the text of a plan file.

    Arguments:
        plan: the plan.
        is_unicode: whether the text may have all characters; else those that are not ASCII are escaped.
    """
    return HEAD + document_yaml(resolved(plan), is_unicode=is_unicode)

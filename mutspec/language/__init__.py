"""The plan language: YAML → `Plan`, a frozen value with source positions, and its JSON schema.

What may not enter: arrays, models, files other than the plan itself and the recipes that it uses. This room is given
the ops as a catalogue, so it knows none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mutspec.language.load import load_plan, load_text, plan_from
    from mutspec.language.overrides import Override
    from mutspec.language.plan import Plan, Step
    from mutspec.language.schema import json_schema

_LATER = {
    "Override": "overrides",
    "Plan": "plan",
    "Step": "plan",
    "json_schema": "schema",
    "load_plan": "load",
    "load_text": "load",
    "plan_from": "load",
}
"""The modules of names that are imported at their first use, so that importing a part of the room loads no YAML."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    return value


__all__ = [
    "Override",
    "Plan",
    "Step",
    "json_schema",
    "load_plan",
    "load_text",
    "plan_from",
]

"""The language: YAML → Plan, a frozen value with source positions; its schema; its errors.

What may not enter: arrays, models, files other than the plan itself. The ops are given to this room as a catalogue, so
it knows none of them.
"""

from mutspec.language.errors import (
    CallError,
    CheckError,
    DocumentPath,
    EnvironmentProblem,
    ModelError,
    MutspecError,
    Place,
    PlanError,
    Problem,
    nearest,
)
from mutspec.language.load import load_plan, load_text, plan_from
from mutspec.language.overrides import Override
from mutspec.language.plan import Plan, Step
from mutspec.language.schema import json_schema

__all__ = [
    "CallError",
    "CheckError",
    "DocumentPath",
    "EnvironmentProblem",
    "ModelError",
    "MutspecError",
    "Override",
    "Place",
    "Plan",
    "PlanError",
    "Problem",
    "Step",
    "json_schema",
    "load_plan",
    "load_text",
    "nearest",
    "plan_from",
]

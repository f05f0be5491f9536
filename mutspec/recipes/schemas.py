"""The JSON schemas of documents, by the names that `mutspec schema` has for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def plan_schema(*, plugins: bool = True) -> dict[str, Any]:
    """Returns the schema of plans, with the rules of the linter that a plan may allow to be broken.

    Arguments:
        plugins: whether ops of other packages are in it.
    """
    from mutspec.language import json_schema
    from mutspec.lint import RULES
    from mutspec.ops import catalogue

    return json_schema(catalogue(plugins=plugins), {rule.name: rule.summary for rule in RULES})


def _result() -> dict[str, Any]:
    from mutspec.experiment.result import result_schema

    return result_schema()


def _report() -> dict[str, Any]:
    from mutspec.experiment.reports.report_document import report_schema

    return report_schema()


def _lock() -> dict[str, Any]:
    from mutspec.recipes.lock_document import lock_schema

    return lock_schema()


def _test() -> dict[str, Any]:
    from mutspec.recipes.testing.document import schema_of_tests

    return schema_of_tests()


def _provenance() -> dict[str, Any]:
    from mutspec.model.provenance import provenance_schema

    return provenance_schema()


SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "plan": plan_schema,
    "test": _test,
    "lock": _lock,
    "result": _result,
    "report": _report,
    "provenance": _provenance,
}
"""What makes each schema. Only that one's room is imported."""

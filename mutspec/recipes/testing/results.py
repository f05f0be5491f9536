"""The results of recipe tests, as values and as the JSON document of `mutspec test --json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from mutspec.documents import Count, Number, as_json, document_schema
from mutspec.errors import Problem
from mutspec.recipes.testing.document import Snapshot
from mutspec.recipes.testing.reading import Case

FORMAT_VERSION = 1

Outcome = Literal["passed", "failed", "error"]
"""`failed`: something is not as expected. `error`: the machine does not allow the test, as Keras is missing."""


@dataclass(frozen=True)
class CaseResult:
    """The result of a test.

    Arguments:
        case: the test.
        outcome: what became of it.
        seconds: how long it took.
        problems: what is not as expected.
        snapshot: what was made, if the test has a snapshot and the plan could be applied.
    """

    case: Case
    outcome: Outcome
    seconds: float
    problems: tuple[Problem, ...] = ()
    snapshot: Snapshot | None = None


class FoundProblem(Struct, frozen=True):
    """Something that is not as expected."""

    message: Annotated[str, Meta(description="What was expected, and what was found.")]
    file: Annotated[str | None, Meta(description="The file that it is about.")]
    line: Annotated[Count | None, Meta(description="The line, from 1.")]
    column: Annotated[Count | None, Meta(description="The column, from 1.")]
    hint: Annotated[str | None, Meta(description="What may help.")]
    candidates: Annotated[tuple[str, ...], Meta(description="The nearest known names.")]


class TestDocument(Struct, frozen=True):
    """The result of a test."""

    __test__ = False  # pytest takes it for a class of tests otherwise

    file: Annotated[str, Meta(description="The test file.")]
    name: Annotated[str, Meta(description="The name of the test.")]
    plan: Annotated[str, Meta(description="The recipe.")]
    line: Annotated[Count | None, Meta(description="The line of the test in its file.")]
    outcome: Annotated[
        Outcome,
        Meta(description="`failed`: something is not as expected; `error`: the machine does not allow the test."),
    ]
    seconds: Annotated[Number, Meta(description="How long it took.")]
    problems: Annotated[tuple[FoundProblem, ...], Meta(description="What is not as expected.")]


class TestResults(Struct, frozen=True):
    """What `mutspec test --json` prints."""

    __test__ = False

    passed: Annotated[Count, Meta(description="How many tests passed.")]
    failed: Annotated[Count, Meta(description="How many failed.")]
    errors: Annotated[Count, Meta(description="How many could not be run.")]
    updated: Annotated[tuple[str, ...], Meta(description="The files in which `--update` changed snapshots.")]
    seconds: Annotated[Number, Meta(description="How long all of them took.")]
    tests: Annotated[tuple[TestDocument, ...], Meta(description="The tests, in their order.")]


def results_document(results: list[CaseResult], updated: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """Returns the JSON document."""
    counts = {outcome: sum(each.outcome == outcome for each in results) for outcome in ("passed", "failed", "error")}
    tests = tuple(map(_document_of, results))
    found = TestResults(counts["passed"], counts["failed"], counts["error"], updated, round(seconds, 3), tests)
    return {"format_version": FORMAT_VERSION, **as_json(found)}


def _document_of(result: CaseResult) -> TestDocument:
    case, place = result.case, result.case.place
    return TestDocument(
        str(case.file.path),
        case.test.name,
        str(case.file.plan),
        place.line if place else None,
        result.outcome,
        round(result.seconds, 3),
        tuple(map(_found_problem, result.problems)),
    )


def _found_problem(problem: Problem) -> FoundProblem:
    place = problem.place
    line, column = (place.line, place.column) if place and place.line else (None, None)
    file = place.file if place else None
    return FoundProblem(problem.message, file, line, column, problem.hint or None, problem.candidates)


def results_schema() -> dict[str, Any]:
    """Returns the JSON schema of the document."""
    return document_schema(TestResults, "mutspec test-results", FORMAT_VERSION)

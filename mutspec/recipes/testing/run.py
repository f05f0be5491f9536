"""Runs recipe tests, each in the same process, and updates their snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter

from msgspec import UNSET

from mutspec.errors import EnvironmentProblem, MutspecError, Problem
from mutspec.recipes.testing.attempt import Attempt, Workspace, attempted, errors_at, workspace
from mutspec.recipes.testing.document import Snapshot
from mutspec.recipes.testing.expectations import EXPECTATIONS, given, needs_keras, problems_of
from mutspec.recipes.testing.reading import Case
from mutspec.recipes.testing.results import CaseResult
from mutspec.recipes.testing.snapshots import snapshot_of, update_snapshots


def run_tests(
    cases: Iterable[Case],
    *,
    updates: bool = False,
    stops: bool = False,
    on_result: Callable[[CaseResult], None] = lambda _: None,
) -> list[CaseResult]:
    """Runs tests. Those that need Keras come last: a process that has loaded TensorFlow reads files more slowly.

    Arguments:
        cases: the tests.
        updates: whether snapshots are to be updated, so that a test whose snapshot alone differs passes.
        stops: whether to stop after the first test that does not pass.
        on_result: called with each result.

    Returns:
        The results, in the order of the tests.
    """
    results: dict[int, CaseResult] = {}
    with workspace() as shared:
        for number, case in sorted(enumerate(cases), key=lambda each: needs_keras(each[1].test.expect)):
            results[number] = run_test(case, shared, updates=updates)
            on_result(results[number])
            if stops and results[number].outcome != "passed":
                break
    return [results[number] for number in sorted(results)]


def run_test(case: Case, shared: Workspace, *, updates: bool = False) -> CaseResult:
    """Runs a test.

    Arguments:
        case: the test.
        shared: what tests share.
        updates: as for `run_tests`.
    """
    start = perf_counter()
    expected = case.test.expect
    try:
        wanted = given(expected)
        needs_mutant = not wanted or any(EXPECTATIONS[key].needs_mutant for key in wanted)
        with errors_at(case), attempted(case, shared, makes_mutant=needs_mutant) as attempt:
            problems = tuple(case.placed(problem) for problem in problems_of(attempt, leaves_out=_left_out(updates)))
            snapshot = _snapshot_of(attempt) if updates else None
    except EnvironmentProblem as error:
        return CaseResult(case, "error", perf_counter() - start, error.problems)
    except MutspecError as error:
        problems, snapshot = _refused(case, error), None
    else:
        if expected.error is not UNSET:
            message = f"expected an error with `{expected.error}`, but the plan was applied"
            problems = (case.placed(Problem(message, path=("expect", "error"))),)
    return CaseResult(case, "failed" if problems else "passed", perf_counter() - start, problems, snapshot)


def _left_out(updates: bool) -> tuple[str, ...]:
    return ("snapshot",) if updates else ()


def _snapshot_of(attempt: Attempt) -> Snapshot | None:
    is_wanted = attempt.case.test.expect.snapshot is not UNSET
    return snapshot_of(attempt.made, attempt.diff) if is_wanted else None


def _refused(case: Case, error: MutspecError) -> tuple[Problem, ...]:
    """Returns what is not as expected if the plan, a model or the data were refused."""
    errors = tuple(problem for problem in error.problems if not problem.is_warning)
    expected = case.test.expect.error
    if expected is UNSET:
        return errors or error.problems
    said = [f"{problem.message}; {problem.hint}" if problem.hint else problem.message for problem in errors]
    if any(expected in each for each in said):
        return ()
    message = f"expected an error with `{expected}`, found another one"
    return (case.placed(Problem(message, path=("expect", "error"))), *errors)


def write_snapshots(results: Iterable[CaseResult], texts: dict[Path, str] | None = None) -> tuple[str, ...]:
    """Writes the snapshots of tests that passed but for their snapshot into their files.

    Arguments:
        results: the results.
        texts: the texts of files that were updated already, by path, to which those updated now are added. Other files
            must have the text that was read.

    Returns:
        The files that changed.

    Raises:
        CallError, EnvironmentProblem: as for `update_snapshots`.
    """
    texts = {} if texts is None else texts
    files: dict[Path, dict[int, Snapshot]] = {}
    for result in results:
        if result.snapshot is not None and result.outcome == "passed":
            file = result.case.file
            files.setdefault(file.path, {})[result.case.number] = result.snapshot
            texts.setdefault(file.path, file.text)
    changed = []
    for path, snapshots in files.items():
        before = texts[path]
        texts[path] = update_snapshots(path, before, snapshots)
        if texts[path] != before:
            changed.append(str(path))
    return tuple(changed)

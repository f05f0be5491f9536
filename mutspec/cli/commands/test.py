"""`mutspec test`: runs the tests of recipes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import click

from mutspec.cli.exit_codes import ExitCode
from mutspec.cli.options import (
    FILE,
    force_option,
    import_modules,
    import_option,
    json_option,
    limit_option,
    quiet_option,
)
from mutspec.cli.problems import as_texts
from mutspec.cli.stdout import is_styled, write, write_json
from mutspec.errors import CallError, nearest
from mutspec.text.visible import in_one_line
from mutspec.text.words import plural

if TYPE_CHECKING:
    from mutspec.recipes.testing.reading import Case
    from mutspec.recipes.testing.results import CaseResult

_MARKS = {"passed": ".", "failed": "F", "error": "E"}
_COLORS = {"passed": "\x1b[32m", "failed": "\x1b[31m", "error": "\x1b[31m"}
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


@click.command("test")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=FILE)
@click.option("-k", "words", default="", metavar="TEXT", help="Run only tests whose file or name has this text in it.")
@click.option("--update", is_flag=True, help="Write the snapshots again, where all else is as expected.")
@click.option("-x", "stops", is_flag=True, help="Stop after the first test that fails.")
@click.option("--junit", type=FILE, metavar="FILE", help="Also write the results as JUnit XML.")
@click.option(
    "--root",
    type=FILE,
    metavar="DIR",
    help="The folder out of which tests may name no file. [default: PATH, or the current one for files in it]",
)
@import_option
@force_option
@limit_option
@click.option("-v", "--verbose", "is_verbose", is_flag=True, help="Print a line for each test.")
@json_option
@quiet_option
def command(
    paths: tuple[str, ...],
    words: str,
    update: bool,
    stops: bool,
    junit: str | None,
    root: str | None,
    modules: tuple[str, ...],
    force: bool,
    is_verbose: bool,
    as_json: bool,
    is_quiet: bool,
) -> ExitCode:
    """Run the tests of recipes: files called NAME.test.yaml, which say what a plan does to a model.

    PATH is a test file, a recipe with tests beside it, or a folder; by default the current one. TensorFlow is imported
    only for what it alone tells, such as predictions. The exit code is 0 if all tests pass, 1 if one fails, 2 if a test
    file is wrong or there are no tests, and 3 if a test cannot be run, as Keras is missing.

    \b
    Examples:
      mutspec test
      mutspec test recipes -k noise -v
      mutspec test recipes/dense_noise.yaml --update
      mutspec test recipes --junit results.xml --force
    """  # noqa: D301
    import_modules(modules)
    cases = _collected(paths or (".",), words, root, None if junit is None else Path(junit), force=force)
    start, began = perf_counter(), datetime.now().astimezone()
    results, updated = _run(cases, update, stops, None if as_json or is_quiet else is_verbose)
    seconds = perf_counter() - start
    if junit is not None:
        _write_junit(Path(junit), results, seconds, began.isoformat(timespec="seconds"), force=force)
    if as_json:
        from mutspec.recipes.testing.results import results_document

        write_json(results_document(results, updated, seconds))
    else:
        _print_end(results, updated, seconds, len(cases), is_quiet)
    outcomes = {result.outcome for result in results}
    if "failed" in outcomes:
        return ExitCode.CHECK_FAILED
    return ExitCode.ENVIRONMENT if "error" in outcomes else ExitCode.DONE


def _collected(paths: Sequence[str], words: str, root: str | None, output: Path | None, *, force: bool) -> list[Case]:
    """Returns the tests that a call names, whose files the output must leave as they are.

    Raises:
        CallError: there are none; or the output is a file of a test, also of one that `words` leave out.
        PlanError: a test file is wrong.
    """
    from mutspec.execute.output import check_output
    from mutspec.recipes.testing.attempt import files_of
    from mutspec.recipes.testing.reading import read_tests, selected

    files = read_tests([Path(path) for path in paths], Path(root) if root else None)
    if output is not None:
        check_output(output, (path for file in files for path in files_of(file)), force=force)
    cases = selected(files, words)
    if not cases:
        names = [case.test.name for file in files for case in file.cases]
        message = f"`-k {words}` matches none of {plural(len(names), 'test')}"
        raise CallError(
            message, hint="it is a part of a file's path or of a test's name", candidates=nearest(words, names)
        )
    return cases


def _run(
    cases: list[Case], updates: bool, stops: bool, is_verbose: bool | None
) -> tuple[list[CaseResult], tuple[str, ...]]:
    """Runs tests, and updates their snapshots. Prints a line for each file, or for each test, or nothing for None."""
    from mutspec.recipes.testing.run import run_tests, write_snapshots

    lines = _Lines(cases, is_verbose)
    results = run_tests(cases, updates=updates, stops=stops, on_result=lines.add)
    lines.close()
    return results, write_snapshots(results) if updates else ()


class _Lines:
    """Prints what becomes of tests as they are run."""

    def __init__(self, cases: list[Case], is_verbose: bool | None) -> None:
        self._is_verbose = is_verbose
        self._wanted = Counter(case.file.path for case in cases)
        self._found: dict[Path, list[CaseResult]] = {}

    def add(self, result: CaseResult) -> None:
        if self._is_verbose:
            write(f"{in_one_line(result.case.id)} {_painted(result.outcome.upper(), result.outcome)}")
            return
        path = result.case.file.path
        self._found.setdefault(path, []).append(result)
        if len(self._found[path]) == self._wanted[path]:
            self._print(path)

    def close(self) -> None:
        """Prints the lines of files of which not all tests were run."""
        for path in list(self._found):
            self._print(path)

    def _print(self, path: Path) -> None:
        results = sorted(self._found.pop(path), key=lambda each: each.case.number)
        if self._is_verbose is not None:
            marks = "".join(_painted(_MARKS[each.outcome], each.outcome) for each in results)
            write(f"{in_one_line(str(path))} {marks}")


def _painted(text: str, outcome: str) -> str:
    return f"{_COLORS[outcome]}{text}{_PLAIN}" if is_styled() else text


def _print_end(
    results: list[CaseResult], updated: tuple[str, ...], seconds: float, collected: int, is_quiet: bool
) -> None:
    bad = [result for result in results if result.outcome != "passed"]
    for number, result in enumerate(bad):
        if number or not is_quiet:
            write("")
        write(_failure(result))
    if is_quiet:
        return
    if bad:
        write("")
    for path in updated:
        write(f"{in_one_line(path)}: snapshots updated")
    write(_painted(", ".join(_counts(results, collected)), "failed" if bad else "passed") + f" in {seconds:.2f} s")


def _failure(result: CaseResult) -> str:
    title = f"{result.outcome.upper()} {in_one_line(result.case.id)}"
    title = f"{_BOLD}{_painted(title, result.outcome)}{_PLAIN}" if is_styled() else title
    return f"{title}\n{as_texts(result.problems, color=is_styled())}"


def _counts(results: list[CaseResult], collected: int) -> Iterator[str]:
    for outcome, word in (("failed", "failed"), ("passed", "passed"), ("error", "could not be run")):
        number = sum(result.outcome == outcome for result in results)
        if number:
            yield f"{number:,} {word}"
    if left := collected - len(results):
        yield f"{left:,} not run"


def _write_junit(path: Path, results: list[CaseResult], seconds: float, timestamp: str, *, force: bool) -> None:
    from mutspec.execute.output import replacing, write_at
    from mutspec.recipes.testing.junit import junit_xml

    with replacing(path, force=force) as (descriptor, _):
        write_at(descriptor, junit_xml(results, seconds, timestamp), 0)

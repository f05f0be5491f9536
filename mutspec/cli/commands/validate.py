"""`mutspec validate`: checks plans, by themselves and for a model."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mutspec.cli.boundary import wants_color, warn
from mutspec.cli.exit_codes import ExitCode
from mutspec.cli.fixing import FixedFile, fix_file
from mutspec.cli.options import FILE, bound_inputs, import_modules, limit_option, plan_options, quiet_option
from mutspec.cli.plans import read_plan
from mutspec.cli.problems import as_github, as_json, as_texts, capped
from mutspec.cli.report_options import architecture_option
from mutspec.cli.stdout import write, write_file, write_json
from mutspec.errors import CallError, ModelError, Place, PlanError, Problem, nearest
from mutspec.language import Plan
from mutspec.language.files import is_plan_name
from mutspec.text import words
from mutspec.text.visible import in_one_line
from mutspec.text.words import listed, plural

if TYPE_CHECKING:
    from mutspec.lowering.compile import Program
    from mutspec.model.files.archive import Archive

FORMAT_VERSION = 1


@click.command("validate")
@click.argument("plans", nargs=-1, required=True, metavar="PLAN...", type=FILE)
@click.option("--model", type=FILE, metavar="MODEL", help="Also check what the plans choose in this model file.")
@click.option("--strict", is_flag=True, help="Also find what is allowed, but rarely meant; docs/lint.md has the rules.")
@click.option("--fix", is_flag=True, help="Write keys in order, quotes, numbers and ends of lines as usual, first.")
@click.option("--diff", "is_preview", is_flag=True, help="With --fix: show what would change, and write nothing.")
@plan_options
@architecture_option
@limit_option
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="How to print problems; `github` makes annotations in a pull request.",
)
@click.option("--json", "wants_json", is_flag=True, help="The same as --format json.")
@quiet_option
def command(
    plans: tuple[str, ...],
    model: str | None,
    strict: bool,
    fix: bool,
    is_preview: bool,
    overrides: tuple[str, ...],
    seed: int | None,
    inputs: tuple[tuple[str, str], ...],
    modules: tuple[str, ...],
    architecture: str | None,
    output_format: str,
    wants_json: bool,
    is_quiet: bool,
) -> int:
    """Check plans: their YAML, every key and value, and what contradicts itself.

    Every problem of every file is reported, with its line and a remedy. Nothing is run, and TensorFlow is not needed.
    `-` reads a plan from standard input; with --fix, the fixed plan is printed.

    With --strict, what is found in valid plans makes the exit code 1, and so do changes that --fix --diff shows.

    \b
    Examples:
      mutspec validate plan.yaml
      mutspec validate recipes/*.yaml --format github
      mutspec validate plan.yaml --model model.keras
      mutspec validate plan.yaml --set params.std=0.05
      mutspec validate plan.yaml --strict
      mutspec validate recipes/*.yaml --fix
    """  # noqa: D301
    bound = bound_inputs(inputs)
    import_modules(modules)
    paths = _plans_of(dict.fromkeys(plans), is_quiet)
    declared: set[str] = set()
    if architecture and model is None:
        raise CallError("--architecture belongs to a model file", hint="give the file too: --model MODEL")
    checked = None if model is None else (model, architecture)
    _open.cache_clear()  # of an earlier call in this process, whose files may have changed
    output_format = "json" if wants_json else output_format
    _check_fix(paths, output_format, fix=fix, is_preview=is_preview)
    read = sys.stdin.buffer.read() if fix and "-" in paths else None
    fixes = [fix_file(path, read, writes=not is_preview) for path in paths] if fix else [None] * len(paths)
    if fix and not is_quiet:
        _tell_left(
            [path for path, each in zip(paths, fixes, strict=True) if each is None], has_overrides=bool(overrides)
        )
    if not is_preview:
        read = next((each.after.encode() for each in fixes if each and each.path == "-"), read)
    results = [_validate(path, overrides, seed, checked, bound, declared, read, strict=strict) for path in paths]
    is_valid = not any(_is_error(problem) for problems in results for problem in problems)
    if is_valid:
        _check_bound(bound, declared)
    if output_format == "json":
        _print_json(paths, results, fixes)
    else:
        is_github = output_format == "github"
        has_printed = _print_fixes(fixes, is_github=is_github, is_preview=is_preview, is_quiet=is_quiet)
        _print_text(paths, results, is_github, is_quiet=is_quiet, has_printed=has_printed)
    is_clean = all(problem.is_warning for problems in results for problem in problems)
    is_in_order = not (is_preview and any(each and each.changes for each in fixes))
    return (
        ExitCode.WRONG_INPUT if not is_valid else ExitCode.DONE if is_clean and is_in_order else ExitCode.CHECK_FAILED
    )


def _check_fix(paths: list[str], output_format: str, *, fix: bool, is_preview: bool) -> None:
    """Refuses options that do not go together.

    Raises:
        CallError: there are some.
    """
    if is_preview and not fix:
        raise CallError("--diff shows what --fix would change", hint="give both: --fix --diff")
    if fix and "-" in paths and output_format != "text" and not is_preview:
        raise CallError(
            f"standard output takes the fixed plan of `-`, and cannot take --format {output_format} as well",
            hint="give a file, or leave the format out",
        )


def _tell_left(paths: Iterable[str], *, has_overrides: bool) -> None:
    """Says that --fix has left plans as they are, which are not valid as they are written."""
    hint = "overrides of the call count only for what is checked" if has_overrides else ""
    for path in paths:
        name = "standard input" if path == "-" else in_one_line(path)
        warn(Problem(f"--fix does nothing to {name}, which is not valid as it is written", hint=hint, is_warning=True))


def _is_error(problem: Problem) -> bool:
    """Returns whether a problem makes a plan invalid. What breaks a rule of the linter does not."""
    return not problem.is_warning and not problem.rule


def _plans_of(paths: Iterable[str], is_quiet: bool) -> list[str]:
    """Returns the files to check, without the recipe tests and locks that a glob finds beside the recipes.

    It says what it leaves out. Where nothing would be left, all stay, and are refused.
    """
    paths = list(paths)
    plans = [path for path in paths if is_plan_name(path)]
    if len(plans) in (0, len(paths)):
        return paths
    if not is_quiet:
        left_out = [path for path in paths if path not in plans]
        message = f"left out {plural(len(left_out), 'file')} that are not plans: {listed(left_out)}"
        warn(Problem(message, hint="`mutspec test` reads recipe tests, `mutspec verify` locks", is_warning=True))
    return plans


def _validate(
    path: str,
    overrides: tuple[str, ...],
    seed: int | None,
    model: tuple[str, str | None] | None,
    inputs: dict[str, str],
    declared: set[str],
    standard_input: bytes | None,
    *,
    strict: bool,
) -> tuple[Problem, ...]:
    """Returns the problems of one plan, for a model and its architecture; adds the plan's inputs to `declared`."""
    try:
        plan = read_plan(path, overrides, seed, uses_schema=True, standard_input=standard_input)
        _check_allowed(plan)
        declared.update(plan.inputs)
        program, warnings = _compiled(plan, model, inputs)
    except ModelError as error:
        return error.problems  # it is the model's, not the plan's
    except (PlanError, CallError) as error:
        return tuple(
            problem if problem.place else replace(problem, place=Place(path, 0, 0, 0)) for problem in error.problems
        )
    if not strict:
        return (*plan.warnings, *warnings)
    from mutspec.lint import findings

    others = (problem for problem in (*plan.warnings, *warnings) if not problem.rule)
    return (*others, *findings(plan, program))


def _check_allowed(plan: Plan[Any]) -> None:
    """Refuses a plan that allows what no rule of the linter forbids.

    Raises:
        PlanError: it does.
    """
    if plan.allowed:
        from mutspec.lint import unknown_rules

        if unknown := tuple(unknown_rules(plan)):
            raise PlanError(unknown)


def _check_bound(inputs: dict[str, str], declared: set[str]) -> None:
    """Refuses inputs that the call binds and no plan declares."""
    unknown = [name for name in inputs if name not in declared]
    if unknown:
        raise CallError(
            Problem(f"--input binds `{name}`, which no plan here declares", candidates=nearest(name, declared))
            for name in unknown
        )


def _compiled(
    plan: Plan[Any], model: tuple[str, str | None] | None, inputs: dict[str, str]
) -> tuple[Program | None, tuple[Problem, ...]]:
    """Returns a plan compiled for a model, and the warnings about what it chooses there; errors are raised."""
    if model is None:
        return None, ()
    from mutspec.execute.check import compiled_as_far_as_known

    archives = {name: _open(path) for name, path in inputs.items() if name in plan.inputs}
    return compiled_as_far_as_known(plan, _open(*model), archives)


@cache
def _open(path: str, architecture: str | None = None) -> Archive:
    """Opens a model file, once for all plans of the call."""
    from mutspec.model.files.opening import open_archive

    return open_archive(Path(path), architecture=Path(architecture) if architecture else None)


def _print_fixes(fixes: Sequence[FixedFile | None], *, is_github: bool, is_preview: bool, is_quiet: bool) -> bool:
    """Prints what was fixed, or would be. Returns whether standard output holds a text that must stay as it is."""
    has_printed = False
    for each in fixes:
        if each is None:
            continue
        if is_preview and not is_github:
            write_file(each.diff())
        elif each.path == "-" and not is_preview:
            write_file(each.after)
        elif each.changes and is_preview:
            message = f"--fix would change the {words.listed_plainly(each.changes)}"
            write(as_github(Problem(message, Place(each.path, 0, 0, 0))))
        elif each.changes and not is_quiet:
            click.echo(f"{in_one_line(each.path)}: fixed the {words.listed_plainly(each.changes)}", err=True)
        has_printed = has_printed or each.path == "-" or is_preview
    return has_printed


def _print_text(
    plans: list[str], results: list[tuple[Problem, ...]], is_github: bool, *, is_quiet: bool, has_printed: bool
) -> None:
    found = dict.fromkeys(problem for result in results for problem in result)  # a model's problem is said once
    problems = [problem for problem in found if not (is_quiet and problem.is_warning)]
    if is_github:
        for problem in capped(problems):
            write(as_github(problem))
    elif problems:
        click.echo(as_texts(problems, color=wants_color(sys.stderr)), err=True, color=True)
    if not is_quiet:
        _print_summary(plans, results, has_text=bool(problems) and not is_github, has_printed=has_printed)


def _print_summary(plans: list[str], results: list[tuple[Problem, ...]], *, has_text: bool, has_printed: bool) -> None:
    """Prints the plans that are in order on standard output, and the number of problems on standard error."""
    for path, problems in zip(plans, results, strict=True):
        if all(problem.is_warning for problem in problems) and not has_printed:
            write(f"{in_one_line(path)}: valid")
    errors = sum(_is_error(problem) for problems in results for problem in problems)
    findings = sum(not problem.is_warning for problems in results for problem in problems) - errors
    counted = [words.plural(number, noun) for number, noun in ((errors, "error"), (findings, "finding")) if number]
    if counted:
        blank = "\n" if has_text else ""
        files = sum(any(not problem.is_warning for problem in problems) for problems in results)
        text = f"{blank}{' and '.join(counted)} in {files} of {words.plural(len(plans), 'plan')}"
        click.echo(text, err=True)


def _print_json(plans: list[str], results: list[tuple[Problem, ...]], fixes: Sequence[FixedFile | None]) -> None:
    entries = [
        {
            "path": path,
            "valid": not any(map(_is_error, problems)),
            "clean": all(problem.is_warning for problem in problems),
            "fixed": list(fix.changes) if fix else [],
            "problems": [as_json(problem) for problem in problems],
        }
        for path, problems, fix in zip(plans, results, fixes, strict=True)
    ]
    whole = {key: all(entry[key] for entry in entries) for key in ("valid", "clean")}
    write_json({"format_version": FORMAT_VERSION, **whole, "plans": entries})

"""`mutspec validate`: checks plans, by themselves and for a model."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mutspec.cli.boundary import wants_color, warn
from mutspec.cli.exit_codes import ExitCode
from mutspec.cli.options import FILE, bound_inputs, import_modules, limit_option, plan_options, quiet_option
from mutspec.cli.plans import read_plan
from mutspec.cli.problems import as_github, as_json, as_texts, capped
from mutspec.cli.report_options import architecture_option
from mutspec.cli.stdout import write, write_json
from mutspec.errors import CallError, ModelError, Place, PlanError, Problem, nearest
from mutspec.language import Plan
from mutspec.language.files import is_plan_name
from mutspec.text.visible import in_one_line
from mutspec.text.words import listed, plural

if TYPE_CHECKING:
    from mutspec.model.files.archive import Archive

FORMAT_VERSION = 1


@click.command("validate")
@click.argument("plans", nargs=-1, required=True, metavar="PLAN...", type=FILE)
@click.option("--model", type=FILE, metavar="MODEL", help="Also check what the plans choose in this model file.")
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
    `-` reads a plan from standard input.

    \b
    Examples:
      mutspec validate plan.yaml
      mutspec validate recipes/*.yaml --format github
      mutspec validate plan.yaml --model model.keras
      mutspec validate plan.yaml --set params.std=0.05
    """  # noqa: D301
    bound = bound_inputs(inputs)
    import_modules(modules)
    paths = _plans_of(dict.fromkeys(plans), is_quiet)
    declared: set[str] = set()
    if architecture and model is None:
        raise CallError("--architecture belongs to a model file", hint="give the file too: --model MODEL")
    checked = None if model is None else (model, architecture)
    _open.cache_clear()  # of an earlier call in this process, whose files may have changed
    results = [_validate(path, overrides, seed, checked, bound, declared) for path in paths]
    if all(problem.is_warning for problems in results for problem in problems):
        _check_bound(bound, declared)
    output_format = "json" if wants_json else output_format
    is_valid = not any(problem.is_warning is False for problems in results for problem in problems)
    if output_format == "json":
        _print_json(paths, results, is_valid)
    else:
        _print_text(paths, results, output_format == "github", is_quiet)
    return ExitCode.DONE if is_valid else ExitCode.WRONG_INPUT


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
) -> tuple[Problem, ...]:
    """Returns the problems of one plan, for a model and its architecture; adds the plan's inputs to `declared`."""
    try:
        plan = read_plan(path, overrides, seed, uses_schema=True)
        declared.update(plan.inputs)
        return (*plan.warnings, *_check_model(plan, model, inputs))
    except ModelError as error:
        return error.problems  # it is the model's, not the plan's
    except (PlanError, CallError) as error:
        return tuple(
            problem if problem.place else replace(problem, place=Place(path, 0, 0, 0)) for problem in error.problems
        )


def _check_bound(inputs: dict[str, str], declared: set[str]) -> None:
    """Refuses inputs that the call binds and no plan declares."""
    unknown = [name for name in inputs if name not in declared]
    if unknown:
        raise CallError(
            Problem(f"--input binds `{name}`, which no plan here declares", candidates=nearest(name, declared))
            for name in unknown
        )


def _check_model(plan: Plan[Any], model: tuple[str, str | None] | None, inputs: dict[str, str]) -> tuple[Problem, ...]:
    """Returns the warnings about what a plan chooses in a model; errors are raised."""
    if model is None:
        return ()
    from mutspec.execute.check import check_plan

    archives = {name: _open(path) for name, path in inputs.items() if name in plan.inputs}
    return check_plan(plan, _open(*model), archives)


@cache
def _open(path: str, architecture: str | None = None) -> Archive:
    """Opens a model file, once for all plans of the call."""
    from mutspec.model.files.opening import open_archive

    return open_archive(Path(path), architecture=Path(architecture) if architecture else None)


def _print_text(plans: list[str], results: list[tuple[Problem, ...]], is_github: bool, is_quiet: bool) -> None:
    found = dict.fromkeys(problem for result in results for problem in result)  # a model's problem is said once
    problems = [problem for problem in found if not (is_quiet and problem.is_warning)]
    if is_github:
        for problem in capped(problems):
            write(as_github(problem))
    elif problems:
        click.echo(as_texts(problems, color=wants_color(sys.stderr)), err=True, color=True)
    if not is_quiet:
        _print_summary(plans, results, has_text=bool(problems) and not is_github)


def _print_summary(plans: list[str], results: list[tuple[Problem, ...]], has_text: bool) -> None:
    """Prints the plans that are valid on standard output, and the number of errors on standard error."""
    wrong = 0
    for path, problems in zip(plans, results, strict=True):
        errors = [problem for problem in problems if not problem.is_warning]
        wrong += len(errors)
        if not errors:
            write(f"{in_one_line(path)}: valid")
    if wrong:
        blank = "\n" if has_text else ""
        files = sum(any(not problem.is_warning for problem in problems) for problems in results)
        click.echo(
            f"{blank}{wrong} error{'s' * (wrong > 1)} in {files} of {len(plans)} plan{'s' * (len(plans) > 1)}", err=True
        )


def _print_json(plans: list[str], results: list[tuple[Problem, ...]], is_valid: bool) -> None:
    document = {
        "format_version": FORMAT_VERSION,
        "valid": is_valid,
        "plans": [
            {
                "path": path,
                "valid": all(problem.is_warning for problem in problems),
                "problems": [as_json(problem) for problem in problems],
            }
            for path, problems in zip(plans, results, strict=True)
        ],
    }
    write_json(document)

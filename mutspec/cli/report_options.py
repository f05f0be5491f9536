"""Options of the commands that report on models: which architecture, which format, how long."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from mutspec.cli.options import FILE

Command = TypeVar("Command", bound=Callable[..., Any])


def architecture_option(command: Command) -> Command:
    """Adds `--architecture FILE`."""
    return click.option(
        "--architecture",
        type=FILE,
        metavar="FILE",
        help="For a file with weights only: a .keras, .h5 or JSON file with its architecture.",
    )(command)


def data_option(command: Command) -> Command:
    """Adds `--data FILE`."""
    return click.option(
        "--data",
        type=FILE,
        metavar="FILE",
        help="For steps that rank by activation: an .npz file with an array for each input of the model, by its name.",
    )(command)


def verify_option(command: Command) -> Command:
    """Adds `--no-verify`, passed as `is_unverified`."""
    return click.option(
        "--no-verify",
        "is_unverified",
        is_flag=True,
        help="Skip the check of the weights' checksums in .keras files.",
    )(command)


def provenance_option(command: Command) -> Command:
    """Adds `--no-provenance`, passed as `has_provenance`."""
    return click.option(
        "--no-provenance",
        "has_provenance",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Leave out where the mutant comes from, which `mutspec provenance` shows.",
    )(command)


def verbose_option(command: Command) -> Command:
    """Adds `-v`, passed as `is_verbose`."""
    return click.option("-v", "--verbose", "is_verbose", is_flag=True, help="Show every row of long tables.")(command)


def format_options(*formats: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds `--format` and `--json`, both passed as `output_format`.

    Arguments:
        formats: their names, the default first, `json` among them.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_format(*arguments: Any, output_format: str, wants_json: bool, **named: Any) -> Any:
            return command(*arguments, output_format="json" if wants_json else output_format, **named)

        is_report = "markdown" in formats
        with_json = click.option("--json", "wants_json", is_flag=True, help="The same as --format json.")(with_format)
        return click.option(
            "--format",
            "output_format",
            type=click.Choice(formats),
            default=formats[0],
            show_default=True,
            help="How to print the report. `markdown` is for pull requests." if is_report else "What to print.",
        )(with_json)

    return decorate

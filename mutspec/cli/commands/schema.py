"""`mutspec schema`: the JSON schema of plans, plug-in ops included, and those of other documents."""

from __future__ import annotations

import click

from mutspec.cli.stdout import write_json
from mutspec.recipes.schemas import SCHEMAS, plan_schema


@click.command("schema")
@click.argument("document", type=click.Choice(list(SCHEMAS)), default="plan")
@click.option(
    "--no-plugins", is_flag=True, help="Leave out the ops of other packages, as the schema that mutspec ships does."
)
def command(document: str, no_plugins: bool) -> None:
    """Print the JSON schema of plans (draft 2020-12), with the ops of every package that is installed.

    An editor with a YAML language server completes and explains plans whose first line names the schema:

    \b
      # yaml-language-server: $schema=plan.schema.json

    The others are those of recipe tests, of locks, of the `result.json` that a job of `mutspec run` leaves, of what
    `mutspec report --json` prints, and of what model files say of where they come from.

    \b
    Examples:
      mutspec schema > plan.schema.json
      mutspec schema lock > lock.schema.json
    """  # noqa: D301
    write_json(plan_schema(plugins=not no_plugins) if document == "plan" else SCHEMAS[document]())

"""`mutspec schema`: prints the JSON schema of plans, ops of plug-ins included."""

from __future__ import annotations

import click

from mutspec.cli.stdout import write_json


@click.command("schema")
@click.option(
    "--no-plugins", is_flag=True, help="Leave out the ops of other packages, as the schema that mutspec ships does."
)
def command(no_plugins: bool) -> None:
    """Print the JSON schema of plans (draft 2020-12), with the ops of all installed packages.

    An editor with a YAML language server completes and explains plans whose first line names the schema:

    \b
      # yaml-language-server: $schema=plan.schema.json

    \b
    Examples:
      mutspec schema > plan.schema.json
    """  # noqa: D301
    from mutspec.language import json_schema
    from mutspec.ops import catalogue

    write_json(json_schema(catalogue(plugins=not no_plugins)))

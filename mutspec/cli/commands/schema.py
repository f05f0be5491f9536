"""`mutspec schema`: the JSON schema of plans, plug-in ops included, and those of documents that runs leave."""

from __future__ import annotations

import click

from mutspec.cli.stdout import write_json


@click.command("schema")
@click.argument(
    "document", type=click.Choice(["plan", "lock", "test", "result", "report", "provenance"]), default="plan"
)
@click.option(
    "--no-plugins", is_flag=True, help="Leave out the ops of other packages, as the schema that mutspec ships does."
)
def command(document: str, no_plugins: bool) -> None:
    """Print the JSON schema of plans (draft 2020-12), with the ops of every package that is installed.

    An editor with a YAML language server completes and explains plans whose first line names the schema:

    \b
      # yaml-language-server: $schema=plan.schema.json

    `result` prints the schema of the `result.json` that a job of `mutspec run` leaves, and `report` that of what
    `mutspec report --json` prints. `lock` prints that of locks, `test` that of recipe tests, and `provenance` that of
    what model files say of where they come from.

    \b
    Examples:
      mutspec schema > plan.schema.json
      mutspec schema result > result.schema.json
    """  # noqa: D301
    if document == "result":
        from mutspec.experiment.result import result_schema

        write_json(result_schema())
    elif document == "report":
        from mutspec.experiment.reports.report_document import report_schema

        write_json(report_schema())
    elif document == "provenance":
        from mutspec.model.provenance import provenance_schema

        write_json(provenance_schema())
    elif document == "lock":
        from mutspec.recipes.lock_document import lock_schema

        write_json(lock_schema())
    elif document == "test":
        from mutspec.recipes.testing.document import schema_of_tests

        write_json(schema_of_tests())
    else:
        from mutspec.language import json_schema
        from mutspec.lint import RULES
        from mutspec.ops import catalogue

        rules = {rule.name: rule.summary for rule in RULES}
        write_json(json_schema(catalogue(plugins=not no_plugins), rules))

"""`mutspec show`: prints a plan as one that stands alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from mutspec.cli.boundary import is_unicode, warn
from mutspec.cli.options import (
    FILE,
    force_option,
    import_modules,
    import_option,
    json_option,
    recipes_option,
    seed_option,
    set_option,
)
from mutspec.cli.plans import read_plan
from mutspec.cli.stdout import write, write_json


@click.command("show")
@click.argument("plan", type=FILE)
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write to a file instead of standard output.")
@set_option
@seed_option
@recipes_option
@import_option
@force_option
@json_option
def command(
    plan: str,
    output: str | None,
    overrides: tuple[str, ...],
    seed: int | None,
    modules: tuple[str, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Print a plan as one that stands alone and does the same, to the bit.

    Parameters have become values, and the steps of the recipes that the plan uses stand in it, with their ids and
    random streams. Comments and `x-` keys are left out. TensorFlow is not needed.

    \b
    Examples:
      mutspec show plan.yaml
      mutspec show plan.yaml --set params.std=0.05 --seed 3 -o resolved.yaml
      mutspec show teams/plan.yaml --recipes .
      mutspec show dense_noise --json
    """  # noqa: D301
    from mutspec.show.resolved import plan_yaml, shown_json

    import_modules(modules)
    read = read_plan(plan, overrides, seed)
    for problem in read.warnings:
        warn(problem)
    if output is None:
        if as_json:
            write_json(shown_json(read))
        else:
            write(plan_yaml(read, is_unicode=is_unicode(sys.stdout)).removesuffix("\n"))
        return
    from mutspec.execute.output import check_output, replacing, write_at

    target, inputs = Path(output), [Path(plan), *read.source.recipes.paths()]
    check_output(target, inputs, force=force)
    text = f"{json.dumps(shown_json(read), indent=2, allow_nan=False)}\n" if as_json else plan_yaml(read)
    with replacing(target, force=force, inputs=[each for each in inputs if each.exists()]) as (descriptor, _):
        write_at(descriptor, text.encode(), 0)

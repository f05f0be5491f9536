"""`mutspec graph`: draws what each changed weight is made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mutspec.cli.boundary import warn
from mutspec.cli.options import FILE, bound_inputs, force_option, import_modules, limit_option, plan_options
from mutspec.cli.plans import arrays_of, paths, read_plan
from mutspec.cli.report_options import architecture_option, data_option, format_options
from mutspec.cli.stdout import write
from mutspec.errors import CallError, Problem

FORMAT_VERSION = 1


@click.command("graph")
@click.argument("plan", type=FILE)
@click.argument("model", type=FILE)
@format_options("mermaid", "dot", "json")
@click.option("--coupling", "is_coupling", is_flag=True, help="Draw the layers whose widths change together instead.")
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write to a file instead of standard output.")
@plan_options
@architecture_option
@data_option
@limit_option
@force_option
def command(
    plan: str,
    model: str,
    output_format: str,
    is_coupling: bool,
    output: str | None,
    overrides: tuple[str, ...],
    seed: int | None,
    inputs: tuple[tuple[str, str], ...],
    modules: tuple[str, ...],
    architecture: str | None,
    data: str | None,
    force: bool,
) -> None:
    """Draw what a plan computes on a model: which weights it reads, and what each changed weight is made of.

    GitHub shows mermaid; dot is Graphviz's language. Nothing is written, and weights are read only to rank units. What
    steps do to layers is in the report of `mutspec apply --dry-run`. With --coupling: which layers lose or gain units
    together, and what becomes of their weights.

    \b
    Examples:
      mutspec graph plan.yaml model.keras
      mutspec graph plan.yaml model.keras --format dot | dot -Tsvg > plan.svg
      mutspec graph plan.yaml model.keras --format json -o plan.json
      mutspec graph pruning.yaml model.keras --coupling
    """  # noqa: D301
    from mutspec.execute.files import files_read, prepare_files
    from mutspec.execute.output import check_output, replacing, write_at

    bound = paths(bound_inputs(inputs))
    import_modules(modules)
    read = read_plan(plan, overrides, seed)
    target = Path(output) if output else None
    layout = Path(architecture) if architecture else None
    if target is not None:
        check_output(target, files_read(read, Path(model), bound, layout), force=force)
    arrays = None if data is None else arrays_of(Path(data), target, force=force)
    prepared = prepare_files(read, Path(model), inputs=bound, architecture=layout, data=arrays)
    for problem in prepared.program.warnings:
        warn(problem)
    if prepared.program.is_structural and not is_coupling:
        message = "the graph is of weights alone, and the plan changes layers too"
        warn(Problem(message, hint="see what it does to layers with `mutspec apply --dry-run`", is_warning=True))
    text = (_drawn_groups if is_coupling else _render)(prepared.program, output_format)
    if target is None:
        write(text)
        return
    with replacing(target, force=force, inputs=(Path(model), *bound.values())) as (descriptor, _):
        write_at(descriptor, f"{text}\n".encode(), 0)


def _drawn_groups(program: Any, output_format: str) -> str:
    from mutspec.show.coupling import to_dot, to_json, to_mermaid

    steps = {step.id: step.coupled for step in program.steps if step.coupled}
    if not steps:
        raise CallError(
            "the plan changes no widths, so that there are no coupled layers to draw",
            hint="leave --coupling out to draw what it computes",
        )
    if output_format == "json":
        return json.dumps({"format_version": FORMAT_VERSION, "steps": to_json(steps)}, indent=2)
    return (to_mermaid if output_format == "mermaid" else to_dot)(steps)


def _render(program: Any, output_format: str) -> str:
    from mutspec.show.graph import to_dot, to_json, to_mermaid

    drawn = program.graph, [step.id for step in program.steps], program.plan.uses
    if output_format == "json":
        document = {"format_version": FORMAT_VERSION, **to_json(*drawn)}
        return json.dumps(document, indent=2, allow_nan=False)
    return (to_mermaid if output_format == "mermaid" else to_dot)(*drawn)

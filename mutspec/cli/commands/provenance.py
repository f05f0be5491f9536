"""`mutspec provenance`: shows where a mutant comes from, and makes it again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mutspec.cli.boundary import is_unicode, warn
from mutspec.cli.exit_codes import ExitCode
from mutspec.cli.options import (
    FILE,
    bound_inputs,
    import_modules,
    import_option,
    input_option,
    json_option,
    limit_option,
    quiet_option,
)
from mutspec.cli.plans import arrays_of, paths
from mutspec.cli.report_options import architecture_option, data_option
from mutspec.cli.stdout import is_styled, width, write, write_json
from mutspec.errors import CallError, Problem

if TYPE_CHECKING:
    from mutspec.execute.replay import Replay
    from mutspec.model.provenance import Provenance


@click.command("provenance")
@click.argument("model", type=FILE)
@click.option("--plan", "wants_plan", is_flag=True, help="Print the newest plan as YAML that `mutspec apply` takes.")
@click.option(
    "--replay",
    "base",
    type=FILE,
    metavar="BASE",
    help="Make the mutant again from this model, and compare. It is recognised by its content, not by its name.",
)
@input_option
@import_option
@architecture_option
@data_option
@click.option("--unsafe", is_flag=True, help="Run code in model files (Lambda layers) where Keras loads them.")
@limit_option
@json_option
@quiet_option
def command(
    model: str,
    wants_plan: bool,
    base: str | None,
    inputs: tuple[tuple[str, str], ...],
    modules: tuple[str, ...],
    architecture: str | None,
    data: str | None,
    unsafe: bool,
    as_json: bool,
    is_quiet: bool,
) -> ExitCode:
    """Show where a mutant comes from: its plans, seeds, versions, and the models that they were applied to.

    `mutspec apply` writes it into a .keras file, and for other formats into OUT.provenance.json beside the output. It
    is a statement, not a proof. With --replay, the mutant is made again from its base and compared to
    the bit: the exit code is 1 if anything differs. A model without a provenance is an error (exit code 2).

    \b
    Examples:
      mutspec provenance mutant.keras
      mutspec provenance mutant.keras --plan > plan.yaml
      mutspec provenance mutant.keras --replay model.keras
      mutspec provenance grafted.keras --replay student.keras --input teacher=teacher.keras
      mutspec provenance mutant.keras --json
    """  # noqa: D301
    from mutspec.model.files.opening import open_beside
    from mutspec.model.files.provenance_file import is_of_other_file, read_provenance, sidecar_of

    if base is None:
        _refuse({"--input": inputs, "--data": data, "--import": modules, "--unsafe": unsafe}, "--replay BASE")
    if wants_plan and (as_json or base is not None):
        raise click.UsageError("--plan prints YAML alone; leave out --json and --replay")
    layout = None if architecture is None else Path(architecture)
    path = open_beside(Path(model), layout).path
    provenance = read_provenance(path)
    if provenance is None:
        raise CallError(
            f"{model} does not say where it comes from",
            hint="`mutspec apply` and `mutspec run` write it; it is lost when Keras saves the model again",
        )
    if is_of_other_file(provenance, path):
        message = f"{sidecar_of(path)} was written for another file than the one that is {model} now"
        warn(Problem(message, hint="--replay BASE tells whether it makes the same weights", is_warning=True))
    if wants_plan:
        from mutspec.language.writing import document_yaml

        document = provenance.generations[0].standalone
        write(document_yaml(document, is_unicode=is_unicode(sys.stdout)).rstrip("\n"))
        return ExitCode.DONE
    replayed = None
    if base is not None:
        from mutspec.execute.replay import replay
        from mutspec.ops import catalogue

        import_modules(modules)
        arrays = None if data is None else arrays_of(Path(data), None, force=False)
        options: dict[str, Any] = {"inputs": paths(bound_inputs(inputs)), "architecture": layout}
        replayed = replay(provenance, path, Path(base), catalogue(), data=arrays, unsafe=unsafe, **options)
    _show(provenance, replayed, model, base or "", as_json=as_json, is_quiet=is_quiet)
    is_same = replayed is None or replayed.difference.identical
    return ExitCode.DONE if is_same else ExitCode.CHECK_FAILED


def _refuse(given: dict[str, Any], wanted: str) -> None:
    """Refuses options that have no effect without another one."""
    for name, value in given.items():
        if value:
            raise click.UsageError(f"{name} is for {wanted}; give both, or leave it out")


def _show(
    provenance: Provenance, replayed: Replay | None, model: str, base: str, *, as_json: bool, is_quiet: bool
) -> None:
    if as_json:
        from mutspec.documents import as_json as plain
        from mutspec.model.provenance import FORMAT_VERSION

        document = {"format_version": FORMAT_VERSION, **plain(provenance)}
        if replayed is not None:
            document["replay"] = {"generations": replayed.generations, "diff": replayed.difference.to_json()}
        write_json(document)
        return
    if replayed is not None and not replayed.difference.identical:
        from mutspec.execute.replay import other_versions

        for problem in other_versions(provenance.generations[: replayed.generations]):
            warn(problem)
    if is_quiet:
        return
    from mutspec.text.layout import MOST_ROWS, Page, Paint, sentence

    if replayed is None:
        from mutspec.show.provenance import provenance_text

        write(provenance_text(provenance, model, Page(width(), Paint(is_styled()), MOST_ROWS, "--json has all")))
    elif replayed.difference.identical:
        from mutspec.text.words import plural

        made = plural(replayed.generations, "mutation")
        write(sentence(f"{made} of {base} made again: identical to {model}, to the bit", width=width()))
    else:
        from mutspec.show.diff import diff_text

        page: dict[str, Any] = {"width": width(), "styled": is_styled(), "hint": "--json has all"}
        write(diff_text(replayed.difference, before=f"{base}, with its plans applied again", after=model, **page))

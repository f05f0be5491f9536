"""`mutspec apply`: applies a plan to a model file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mutspec.cli.boundary import let_go_of_output, warn
from mutspec.cli.options import (
    FILE,
    bound_inputs,
    force_option,
    import_modules,
    limit_option,
    memory_option,
    plan_options,
    quiet_option,
    threads_option,
    unsafe_option,
)
from mutspec.cli.plans import arrays_of, paths, read_plan, recipe_root
from mutspec.cli.progress import progress
from mutspec.cli.report_options import (
    architecture_option,
    data_option,
    format_options,
    provenance_option,
    verbose_option,
    verify_option,
)
from mutspec.cli.stdout import is_styled, width, write, write_json
from mutspec.errors import Problem

if TYPE_CHECKING:
    from mutspec.language import Plan
    from mutspec.recipes.replaying import AsLocked
    from mutspec.show.diff import DiffReport
    from mutspec.show.report import Report


_BESIDE = "<beside the plan>"
"""The value of `--locked` without a lock."""


@click.command("apply")
@click.argument("plan", type=FILE)
@click.argument("model", type=FILE)
@click.option("-o", "--output", type=FILE, metavar="OUT", help="The file to write: .keras, .h5, .weights.h5, …")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show what would be touched. Writes nothing; reads weights only where steps rank by them.",
)
@click.option(
    "--diff",
    "wants_diff",
    is_flag=True,
    help="Compare the output with the model afterwards. With --dry-run: show which weights will differ.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Call model and mutant in Keras on random inputs: shapes, finite outputs, and what the steps claim.",
)
@click.option(
    "--locked",
    is_flag=False,
    flag_value=_BESIDE,
    metavar="[LOCK]",
    help="Refuse what differs from this lock, by default from that beside the plan which is of the model.",
)
@plan_options
@architecture_option
@data_option
@force_option
@unsafe_option
@verify_option
@provenance_option
@memory_option
@limit_option
@threads_option("compute")
@format_options("text", "markdown", "json")
@verbose_option
@quiet_option
def command(
    plan: str,
    model: str,
    output: str | None,
    dry_run: bool,
    wants_diff: bool,
    check: bool,
    locked: str | None,
    overrides: tuple[str, ...],
    seed: int | None,
    inputs: tuple[tuple[str, str], ...],
    modules: tuple[str, ...],
    architecture: str | None,
    data: str | None,
    force: bool,
    unsafe: bool,
    is_unverified: bool,
    has_provenance: bool,
    max_memory: int | None,
    threads: int | None,
    output_format: str,
    is_verbose: bool,
    is_quiet: bool,
) -> None:
    """Apply a plan to a model file, and write the mutant.

    The model is never changed, and the output is written as a whole or not at all. TensorFlow is rarely needed: for
    steps that rank by activation, and where Keras builds the mutant, as for new layers of your own classes; then the
    report says why. Entries that become infinite or NaN are an error (exit code 1), unless the plan says `non_finite:
    report`. With --check, a step that breaks its claim that the model predicts the same is an error too, and nothing
    is written. With --locked, whatever differs from a lock is an error (exit code 1): parameters, models, targets,
    versions before anything is computed, and the weights of the result before the output has its name.

    \b
    Examples:
      mutspec apply plan.yaml model.keras --dry-run
      mutspec apply plan.yaml model.keras -o mutant.keras --diff
      mutspec apply plan.yaml model.keras -o mutant.keras --set params.std=0.05 --seed 3
      mutspec apply prune.yaml model.keras -o mutant.keras --data images.npz
      mutspec apply graft.yaml student.keras --input teacher=teacher.keras -o grafted.keras
      mutspec apply plan.yaml model.keras -o mutant.keras --locked
      mutspec apply plan.yaml model.keras --dry-run --format markdown > comment.md
    """  # noqa: D301
    if output is None and not dry_run:
        raise click.UsageError("give the file to write by -o OUT, or --dry-run to see what would be done")
    if check and dry_run:
        raise click.UsageError("--check needs the mutant, which --dry-run does not make; leave out one of them")
    if locked is not None and (output is None or dry_run):
        raise click.UsageError("--locked needs the mutant: give the file to write, or use `mutspec lock --check`")
    bound = paths(bound_inputs(inputs))
    import_modules(modules)
    layout = Path(architecture) if architecture else None
    lock = None
    if locked is not None:
        assert output is not None
        lock = _locked(plan, model, locked, (overrides, seed), bound, layout, data, Path(output))
    read = read_plan(plan, overrides, seed) if lock is None else lock.plan
    arrays = None if data is None else arrays_of(Path(data), Path(output) if output else None, force=force)
    if dry_run:
        report, difference = _dry_run(
            read, Path(model), bound, layout, Path(output) if output else None, force, wants_diff, unsafe, arrays
        )
    else:
        assert output is not None
        from mutspec.execute.output import telling_written

        explaining = nullcontext() if lock is None else lock.explaining
        with explaining, progress(f"Applying {read.name}", is_quiet=is_quiet) as advance:
            report = _apply(is_checked=check)(
                read,
                Path(model),
                Path(output),
                inputs=bound,
                architecture=layout,
                force=force,
                unsafe=unsafe,
                verify=not is_unverified,
                provenance=has_provenance,
                threads=threads,
                max_memory=max_memory,
                on_progress=advance,
                data=arrays,
                **({} if lock is None else {"hooks": lock.hooks}),
            )
        with telling_written(Path(output)):
            for note in () if lock is None or is_quiet else lock.notes():
                warn(note)
            difference = _diff(Path(model), Path(output), layout, threads, is_quiet) if wants_diff else None
    if difference is not None:
        difference = difference.with_origins(report.origins)
    try:
        with nullcontext() if output is None or dry_run else telling_written(Path(output)):
            _show(report, difference, output_format, is_verbose, is_quiet)
    except BrokenPipeError:
        raise
    except OSError as error:
        if dry_run:
            raise
        let_go_of_output()
        reason = error.strerror or str(error)
        warn(Problem(f"the report could not be printed: {reason}; {output} was written", is_warning=True))


def _locked(
    plan: str,
    model: str,
    lock: str,
    changes: tuple[tuple[str, ...], int | None],
    inputs: dict[str, Path],
    architecture: Path | None,
    data: str | None,
    output: Path,
) -> AsLocked:
    """Returns how a plan is applied as its lock says.

    Arguments:
        plan: the plan of the call.
        model: the model of the call.
        lock: the lock of the call, or `_BESIDE`.
        changes: the overrides and the seed of the call.
        inputs: the files of the plan's inputs, by name.
        architecture: the file with the model's architecture.
        data: the file with the data.
        output: the file to write.
    """
    from mutspec.recipes.lock_file import read_lock
    from mutspec.recipes.locking import Files, plan_file
    from mutspec.recipes.replaying import as_locked, lock_for

    path, name = plan_file(plan)
    overrides, seed = changes
    found = lock_for(path, name, Path(model), architecture) if lock == _BESIDE else read_lock(Path(lock))
    files = Files(path, Path(model), name, inputs, architecture, Path(data) if data else None, recipe_root())
    return as_locked(found, files, (*overrides, *(() if seed is None else (f"seed={seed}",))), output)


def _apply(*, is_checked: bool) -> Callable[..., Report]:
    if is_checked:
        from mutspec.execute.checked import apply_checked

        return apply_checked
    from mutspec.execute.files import apply

    return apply


def _dry_run(
    plan: Plan,  # type: ignore[type-arg]
    model: Path,
    inputs: dict[str, Path],
    architecture: Path | None,
    output: Path | None,
    force: bool,
    wants_diff: bool,
    unsafe: bool,
    data: dict[str, Any] | None,
) -> tuple[Report, DiffReport | None]:
    from mutspec.compare.expected import expected_diff
    from mutspec.execute.both_outputs import check_both_outputs
    from mutspec.execute.files import dry_report, files_read, prepare_files

    if output is not None:
        check_both_outputs(output, files_read(plan, model, inputs, architecture), force=force)
    options: dict[str, Any] = {"architecture": architecture, "output": output, "unsafe": unsafe, "data": data}
    prepared = prepare_files(plan, model, inputs=inputs, **options)
    result = dry_report(prepared, output)
    return result, expected_diff(result, prepared.program) if wants_diff else None


def _diff(model: Path, output: Path, architecture: Path | None, threads: int | None, is_quiet: bool) -> DiffReport:
    from mutspec.compare.diff import diff
    from mutspec.model.files.opening import open_archive

    before, after = (open_archive(path, architecture=architecture) for path in (model, output))
    with progress("Comparing", is_quiet=is_quiet) as advance:
        return diff(before, after, on_progress=advance, threads=threads)


def _show(report: Report, difference: DiffReport | None, output_format: str, is_verbose: bool, is_quiet: bool) -> None:
    if output_format == "json":
        write_json(report.to_json() | ({} if difference is None else {"diff": difference.to_json()}))
    elif is_quiet:
        return
    elif output_format == "markdown":
        from mutspec.show.markdown import diff_markdown, report_markdown

        heading = "Expected difference" if report.output is None else "Difference"
        blocks = [report_markdown(report)]
        blocks += [] if difference is None else [diff_markdown(difference, heading=heading)]
        write("\n\n".join(blocks))
    else:
        write(_text(report, difference, is_verbose))


def _text(report: Report, difference: DiffReport | None, is_verbose: bool) -> str:
    from mutspec.show.report import report_text
    from mutspec.text.layout import MOST_ROWS

    page = {
        "width": width(),
        "styled": is_styled(),
        "most_rows": None if is_verbose else MOST_ROWS,
        "hint": "--verbose shows all",
    }
    blocks = [report_text(report, **page)]  # type: ignore[arg-type]
    if difference is None:
        return blocks[0]
    from mutspec.show.diff import diff_text

    if report.output is None:
        blocks += ["Expected difference, as far as structure tells:", diff_text(difference, **page)]  # type: ignore[arg-type]
    else:
        names = {"before": str(report.model), "after": str(report.output)}
        blocks += [diff_text(difference, **names, **page)]  # type: ignore[arg-type]
    return "\n\n".join(blocks)

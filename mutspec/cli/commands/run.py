"""`mutspec run`: runs the Hydra application."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mutspec.cli.boundary import warn
from mutspec.cli.exit_codes import ExitCode, code_of
from mutspec.cli.options import FILE, import_modules, import_option, json_option, limit_option, quiet_option
from mutspec.cli.stdout import is_styled, width, write, write_json
from mutspec.cli.sweep_view import sweep_view
from mutspec.errors import Place, Problem

if TYPE_CHECKING:
    from mutspec.experiment.jobs.application import Outcome

MOST_FAILURES = 8
"""The most different errors of a sweep's jobs that are shown."""


_CONFIG_DIR = "mutspec.config_dir"
"""The key of the folder of `--config-dir`, which is known before options are read."""


class RunCommand(click.Command):
    """The command; its help page lists the groups and their options, those in the call's own folder too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the folder first, as the help page needs it and is shown before other options are read."""
        with suppress(click.UsageError):  # which is raised once more
            ctx.meta[_CONFIG_DIR] = self.make_parser(ctx).parse_args(args=list(args))[0].get("config_dir")
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from mutspec.experiment.jobs.recipes import option_groups

        folder = ctx.meta.get(_CONFIG_DIR)
        groups = option_groups(Path(folder) if folder else None)
        with formatter.section("Groups, and their options"):
            formatter.write_dl([(name, ", ".join(options)) for name, options in groups.items()])


@click.command("run", cls=RunCommand)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED, metavar="[KEY=VALUE]...")
@click.option("-m", "--multirun", is_flag=True, help="Sweep: run a job for each combination of values.")
@click.option("--config-dir", type=FILE, metavar="DIR", help="Recipes in DIR/recipes or DIR/plan, groups in DIR.")
@click.option("--config-name", metavar="NAME", help="Start from DIR/NAME.yaml.  [default: config]")
@click.option("--cfg", type=click.Choice(["job", "hydra", "all"]), help="Print the configuration, and run nothing.")
@import_option
@limit_option
@json_option
@quiet_option
def command(
    overrides: tuple[str, ...],
    multirun: bool,
    config_dir: str | None,
    config_name: str | None,
    cfg: str | None,
    modules: tuple[str, ...],
    as_json: bool,
    is_quiet: bool,
) -> int:
    """Compose a plan with Hydra, mutate a model, evaluate it; or sweep over anything.

    A job writes result.json into its folder under runs/. A sweep ends with a table, results.csv, plot.png and
    report.html; it goes on when a job fails, and ends with the exit code of that job. The same call with resume=DIR
    continues a sweep that was interrupted. Results of another plan, model or data set in the folder are replaced only
    with force=true. A run whose mutant fails a gate of `require` has the exit code 1.

    \b
    Examples:
      mutspec run plan=dense_noise plan.params.std=0.1
      mutspec run -m plan=dense_noise plan.params.std=0.1,0.3,1 'plan.seed=range(5)'
      mutspec run plan_file=plan.yaml model.path=my.keras data=npz data.path=test.npz
      mutspec run plan=dense_noise data._target_=my_package.test_data seeds=5
      mutspec run plan=dense_noise 'require=[{metric: accuracy, max_drop: 0.02}]'
      mutspec run plan=dense_noise mode=breaking_point mode.max_drop=0.1 seeds=5
      mutspec run -m experiment=sensitivity 'sensitivity.select={type: Conv2D}' seeds=5
      mutspec run -m 'plan=glob(*_noise)' objective=drop.accuracy hydra/launcher=joblib
      mutspec run -m plan=dense_noise 'model.path=glob(models/*.keras)'
    """  # noqa: D301
    import_modules(modules)
    from mutspec.experiment.jobs.application import CONFIG_NAME, ApplicationCall, composed, run

    folder = Path(config_dir) if config_dir is not None else None
    call = ApplicationCall(overrides, multirun, folder, config_name or CONFIG_NAME, modules)
    if cfg is not None:
        write(composed(call, cfg).rstrip("\n"))
        return ExitCode.DONE
    with sweep_view(is_quiet=is_quiet) as show:
        outcome = run(call, show)
    if not is_quiet:
        for warning in outcome.warnings:
            warn(warning)
    if outcome.result is not None:
        _show_result(outcome, as_json, is_quiet)
        return ExitCode.CHECK_FAILED if outcome.result.failed_gates else ExitCode.DONE
    try:
        _show_sweep(outcome, as_json, is_quiet)
    except KeyboardInterrupt as error:
        error.add_note(f"all jobs are done; `mutspec report {outcome.folder}` makes the report")
        raise
    return _failures(outcome)


def _show_result(outcome: Outcome, as_json: bool, is_quiet: bool) -> None:
    """Prints the numbers of a single run, and the file that holds them."""
    from mutspec.experiment.result import FILE_NAME

    assert outcome.result is not None
    if as_json:
        write_json(outcome.result.to_json())
    elif not is_quiet:
        from mutspec.experiment.reports.summary import result_text

        text = result_text(outcome.result, width=width(), styled=is_styled())
        verb = "Kept" if outcome.since.kept else "Wrote"
        write(f"{text}\n\n{verb} {outcome.folder / FILE_NAME}")


def _show_sweep(outcome: Outcome, as_json: bool, is_quiet: bool) -> None:
    """Prints the table of a sweep, and draws its pictures."""
    from mutspec.experiment.reports.report import HTML_NAME, make_report
    from mutspec.text.words import plural

    report = make_report(outcome.folder)
    if as_json:
        write_json(report.to_json())
    elif not is_quiet:
        since = outcome.since
        if since.before.is_resumed:
            verb = "was" if since.kept == 1 else "were"
            write(f"{since.kept} of {plural(len(since.done), 'job')} {verb} done already\n")
        write(report.text(width=width(), styled=is_styled(), hint=f"{HTML_NAME} has all"))


def _failures(outcome: Outcome) -> int:
    """Prints why jobs failed, each reason once, and returns the highest of their exit codes."""
    jobs: dict[Problem, list[str]] = {}
    for folder, error in outcome.failures:
        for problem in error.problems:
            jobs.setdefault(problem, []).append(folder)
    for problem, folders in list(jobs.items())[:MOST_FAILURES]:
        others = f" and {len(folders) - 1} more" if len(folders) > 1 else ""
        place = problem.place or Place(f"{folders[0]}{others}", 0, 0, 0)
        warn(replace(problem, place=place))
    if len(jobs) > MOST_FAILURES:
        warn(Problem(f"and {len(jobs) - MOST_FAILURES} more reasons; see `error.json` in the folders of jobs"))
    return max((code_of(error) for _, error in outcome.failures), default=ExitCode.DONE)

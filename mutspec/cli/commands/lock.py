"""`mutspec lock`: writes down what a plan does to a model, and checks it later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mutspec.cli.exit_codes import ExitCode
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
from mutspec.cli.plans import paths as as_paths
from mutspec.cli.plans import recipe_root
from mutspec.cli.progress import progress
from mutspec.cli.report_options import architecture_option, data_option, format_options, verbose_option, verify_option
from mutspec.cli.stdout import is_styled
from mutspec.errors import CallError

if TYPE_CHECKING:
    from mutspec.recipes.lock_file import LockFile
    from mutspec.recipes.locking import Files, Options

_MOST_LINES = 60
"""The most lines of a diff that are shown."""
_COLORS = {"+": "32", "-": "31", "@": "36"}
"""The colours of the lines of a diff, by their first character."""


@click.command("lock")
@click.argument("paths", type=FILE, nargs=-1, metavar="PLAN MODEL | [PATH]...")
@click.option("-o", "--output", type=FILE, metavar="LOCK", help="The lock to write. [default: PLAN.lock.yaml]")
@click.option("--check", "is_check", is_flag=True, help="Check locks without applying their plans.")
@click.option("--update", "is_update", is_flag=True, help="Make locks again, and show what changed.")
@plan_options
@architecture_option
@data_option
@force_option
@unsafe_option
@verify_option
@memory_option
@limit_option
@threads_option("compute")
@format_options("text", "github", "json")
@verbose_option
@quiet_option
def command(
    paths: tuple[str, ...],
    output: str | None,
    is_check: bool,
    is_update: bool,
    overrides: tuple[str, ...],
    seed: int | None,
    inputs: tuple[tuple[str, str], ...],
    modules: tuple[str, ...],
    architecture: str | None,
    data: str | None,
    force: bool,
    unsafe: bool,
    is_unverified: bool,
    max_memory: int | None,
    threads: int | None,
    output_format: str,
    is_verbose: bool,
    is_quiet: bool,
) -> ExitCode:
    """Write down what a plan does to a model: a lock, to be kept beside the plan and reviewed with it.

    A lock has the plan's parameters, the fingerprint of the model, what each step chooses, and a digest of each weight
    of the result. The plan is applied for that, but the mutant is not kept. `mutspec apply --locked` refuses whatever
    differs, and `mutspec verify` replays the lock.

    With --check, PATHs are locks, plans (all locks beside them) or folders (all locks in them), by default the current
    one. Plan, parameters, targets, models and versions are compared, and no plan is applied. The exit code is 1 if
    something differs. With --update, the same locks are made again, and what changed is shown as a diff.

    \b
    Examples:
      mutspec lock dense_noise.yaml model.keras
      mutspec lock dense_noise.yaml resnet.keras -o dense_noise.resnet.lock.yaml --set params.std=0.05
      mutspec lock --check
      mutspec lock --update recipes/
    """  # noqa: D301
    from mutspec.recipes.locking import Files, Options, plan_file

    import_modules(modules)
    options = Options(unsafe, not is_unverified, threads, max_memory)
    if is_check and is_update:
        raise click.UsageError("--check compares locks, and --update makes them again; leave out one of them")
    if is_check or is_update:
        made_by: dict[str, object] = {
            "--output": output,
            "--set": overrides,
            "--seed": seed is not None,
            "--input": inputs,
        }
        made_by |= {"--architecture": architecture, "--data": data, "--force": force}
        _refuse_options("--check" if is_check else "--update", made_by)
        if is_check:
            return _check(paths or (".",), options, output_format, is_quiet=is_quiet)
        return _update(paths or (".",), options, output_format, is_verbose=is_verbose, is_quiet=is_quiet)
    if len(paths) != 2:
        raise click.UsageError("give a plan and a model; or --check or --update, and locks, plans or folders")
    plan, name = plan_file(paths[0])
    layout, arrays = (Path(each) if each else None for each in (architecture, data))
    files = Files(plan, Path(paths[1]), name, as_paths(bound_inputs(inputs)), layout, arrays, recipe_root())
    texts = (*overrides, *(() if seed is None else (f"seed={seed}",)))
    target = Path(output) if output else None
    return _make(files, target, texts, options, output_format, force=force, is_quiet=is_quiet)


def _refuse_options(option: str, others: Mapping[str, object]) -> None:
    """Refuses options that say how a lock is made: locks that exist say it themselves.

    Raises:
        CallError: one is given.
    """
    for name, value in others.items():
        if value:
            hint = "to lock something else: mutspec lock PLAN MODEL -o LOCK --force"
            raise CallError(f"{name} does not go with {option}, as a lock says by itself how it was made", hint=hint)


def _make(
    files: Files,
    output: Path | None,
    overrides: tuple[str, ...],
    options: Options,
    output_format: str,
    *,
    force: bool,
    is_quiet: bool,
) -> ExitCode:
    from mutspec.cli.locks import Treated, report, weights_of
    from mutspec.execute.output import telling_written
    from mutspec.recipes.locking import lock

    with progress(f"Locking {files.plan.stem}", is_quiet=is_quiet) as advance:
        made = lock(files, output, overrides, replace(options, on_progress=advance), force=force)
    line = f"written, for {made.lock.model.file}: {weights_of(made.lock)}"
    with telling_written(made.path):
        treated = Treated(made.path, "written", line, made.lock, made.lock)
        return report([treated], output_format, is_quiet=is_quiet)


def _check(paths: Sequence[str], options: Options, output_format: str, *, is_quiet: bool) -> ExitCode:
    from mutspec.cli.locks import Treated, each_lock, report
    from mutspec.recipes.replaying import Given, check

    def treat(locked: LockFile) -> Treated:
        notes = check(locked, options, Given(recipes=recipe_root())).notes
        line = f"as locked, for {locked.lock.model.file}"
        return Treated(locked.path, "as locked", line, locked.lock, notes=notes)

    hint = "If this is meant: mutspec lock --update"
    return report(each_lock(_locks(paths), treat, "checking"), output_format, is_quiet=is_quiet, hint=hint)


def _update(
    paths: Sequence[str], options: Options, output_format: str, *, is_verbose: bool, is_quiet: bool
) -> ExitCode:
    from mutspec.cli.locks import Treated, each_lock, report
    from mutspec.recipes.lock_file import read_lock
    from mutspec.recipes.replaying import Given, update

    def treat(locked: LockFile) -> Treated:
        with progress(f"Locking {locked.path.name}", is_quiet=is_quiet) as advance:
            text = update(locked, replace(options, on_progress=advance), Given(recipes=recipe_root()))
        if text == locked.text:
            return Treated(locked.path, "unchanged", "unchanged", locked.lock, locked.lock)
        now = read_lock(locked.path).lock
        shown = _diff(locked.text, text, None if is_verbose else _MOST_LINES)
        return Treated(locked.path, "updated", "updated", now, now, details=shown)

    return report(each_lock(_locks(paths), treat, "updating"), output_format, is_quiet=is_quiet)


def _locks(paths: Sequence[str]) -> list[Path]:
    from mutspec.recipes.lock_places import locks_at

    return list(dict.fromkeys(lock for path in paths for lock in locks_at(Path(path))))


def _diff(before: str, after: str, most: int | None) -> str:
    """Returns the changed lines of a text, with three around them, in colour on a terminal."""
    lines = list(unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm=""))[2:]
    shown = lines[:most]
    if is_styled():
        shown = [f"\x1b[{_COLORS[line[:1]]}m{line}\x1b[0m" if line[:1] in _COLORS else line for line in shown]
    more = [] if len(shown) == len(lines) else [f"… and {len(lines) - len(shown):,} more lines: --verbose shows all"]
    return "\n".join([*shown, *more])

"""`mutspec verify`: replays locks, and names what differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mutspec.cli.exit_codes import ExitCode
from mutspec.cli.options import (
    FILE,
    bound_inputs,
    import_modules,
    import_option,
    input_option,
    limit_option,
    memory_option,
    quiet_option,
    recipes_option,
    threads_option,
    unsafe_option,
)
from mutspec.cli.plans import paths as as_paths
from mutspec.cli.plans import recipe_root
from mutspec.cli.progress import progress
from mutspec.cli.report_options import architecture_option, data_option, format_options, verify_option
from mutspec.cli.signature_options import check_signed, signed_by_options
from mutspec.errors import CallError

if TYPE_CHECKING:
    from mutspec.recipes.lock_file import LockFile


@click.command("verify")
@click.argument("locks", type=FILE, nargs=-1, required=True, metavar="LOCK...")
@click.option("--model", type=FILE, metavar="MODEL", help="The model's file. [default: where the lock says]")
@click.option("--output", type=FILE, metavar="OUT", help="Compare this mutant with the lock, and apply nothing.")
@input_option
@recipes_option
@signed_by_options
@import_option
@architecture_option
@data_option
@unsafe_option
@verify_option
@memory_option
@limit_option
@threads_option("compute")
@format_options("text", "github", "json")
@quiet_option
def command(
    locks: tuple[str, ...],
    model: str | None,
    output: str | None,
    inputs: tuple[tuple[str, str], ...],
    signed_by: str | None,
    signers: str | None,
    modules: tuple[str, ...],
    architecture: str | None,
    data: str | None,
    unsafe: bool,
    is_unverified: bool,
    max_memory: int | None,
    threads: int | None,
    output_format: str,
    is_quiet: bool,
) -> ExitCode:
    """Replay locks: apply their plans to their models again, and compare every weight of the results.

    A LOCK may also be a plan, which stands for all locks beside it, or a folder. The mutants are not kept. The exit
    code is 1 if something differs, and the first differences are named. Weights are compared to the bit, except those
    with numeric values, which the lock marks. A model that was moved or renamed is found by its fingerprint in the
    folders of the lock, of the plan, and of the call. With --signed-by, the locks must be signed by that person;
    of a LOCK that is a plan or another file, such as a model, the signature is checked too, or alone.

    \b
    Examples:
      mutspec verify dense_noise.lock.yaml
      mutspec verify recipes/
      mutspec verify dense_noise.lock.yaml --model /data/model.keras
      mutspec verify dense_noise.lock.yaml --output mutant.keras
      mutspec verify dense_noise.lock.yaml --signed-by ada@example.org --signers allowed_signers
      mutspec verify mutant.keras --signed-by ada@example.org --signers allowed_signers
    """  # noqa: D301
    from mutspec.cli.locks import Treated, compared, each_lock, report
    from mutspec.recipes.lock_places import has_locks, is_lock_name, locks_at
    from mutspec.recipes.locking import Options
    from mutspec.recipes.replaying import Given, verify, verify_output

    import_modules(modules)
    bound = as_paths(bound_inputs(inputs))
    named = list(dict.fromkeys(map(Path, locks)))
    others = [path for path in named if signed_by is not None and not has_locks(path)]
    paths = list(dict.fromkeys(lock for path in named if path not in others for lock in locks_at(path)))
    if len(paths) > 1 and (model or output or bound or architecture or data):
        raise CallError("--model, --output, --input, --architecture and --data go with one lock", hint="name one lock")
    options = Options(unsafe, not is_unverified, threads, max_memory)
    files = (Path(each) if each else None for each in (model, architecture, data))
    base, layout, arrays = files
    given = Given(base, bound, layout, arrays, recipe_root())
    if not paths and (model or output or bound or architecture or data):
        raise CallError("--model, --output, --input, --architecture and --data go with a lock", hint="name the lock")
    plans = [path for path in named if path not in others and path.is_file() and not is_lock_name(path)]
    check_signed([*others, *plans, *paths], signed_by, signers)
    signed = [Treated(path, "signed", f"signed by {signed_by}") for path in (*others, *plans) if signed_by is not None]

    def treat(locked: LockFile) -> Treated:
        if output is not None:
            done, what = verify_output(locked, Path(output), given), f"{output} is as locked"
        else:
            with progress(f"Replaying {locked.path.name}", is_quiet=is_quiet) as advance:
                done = verify(locked, replace(options, on_progress=advance), given)
            what = f"replayed on {done.model}"
        line = f"{what}: {compared(done.now, locked.lock)}"
        return Treated(locked.path, "as locked", line, locked.lock, done.now, notes=done.notes)

    doing = "comparing" if output else "replaying"
    return report([*signed, *each_lock(paths, treat, doing)], output_format, is_quiet=is_quiet)

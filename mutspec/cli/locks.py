"""What the commands on locks share: each lock is treated by itself, and then all are reported."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import click

from mutspec.cli.boundary import interrupt_before, os_problem, wants_color
from mutspec.cli.exit_codes import ExitCode, code_of
from mutspec.cli.problems import as_github, as_texts
from mutspec.cli.stdout import write, write_json
from mutspec.errors import MutspecError, Place, Problem
from mutspec.recipes.lock_document import Lock
from mutspec.recipes.lock_file import LockFile, read_lock
from mutspec.recipes.lock_report import LockOutcome, LockStatus, locks_document, problems_of
from mutspec.recipes.locking import DifferenceError, capped
from mutspec.text.visible import in_one_line
from mutspec.text.words import plural


@dataclass(frozen=True)
class Treated:
    """What came of a lock.

    Arguments:
        path: its file.
        status: what came of it.
        line: what is said of it on standard output; empty for nothing.
        lock: what it says; None if it cannot be read.
        result: the lock with the result that was compared or written down, if one was.
        problems: what differs or is wrong.
        notes: what differs and decides nothing.
        code: the exit code.
        details: what is printed below the line.
    """

    path: Path
    status: LockStatus
    line: str = ""
    lock: Lock | None = None
    result: Lock | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()
    code: ExitCode = ExitCode.DONE
    details: str = ""


def each_lock(paths: Iterable[Path], treat: Callable[[LockFile], Treated], doing: str) -> list[Treated]:
    """Treats each lock. Whatever is wrong with one, or not possible, does not keep the others from being treated.

    Arguments:
        paths: the locks.
        treat: treats one.
        doing: what that is, such as `replaying`.
    """
    return [_treated(path, treat, doing) for path in paths]


def _treated(path: Path, treat: Callable[[LockFile], Treated], doing: str) -> Treated:
    locked: Lock | None = None
    try:
        read = read_lock(path)
        locked = read.lock
        return treat(read)
    except DifferenceError as error:
        found = {"problems": error.found, "notes": error.notes, "code": ExitCode.CHECK_FAILED}
        return Treated(path, "differs", lock=locked, **found)  # type: ignore[arg-type]
    except (MutspecError, OSError) as error:
        if isinstance(error, BrokenPipeError) or interrupt_before(error):
            raise
        code = code_of(error)
        problems = (os_problem(error),) if isinstance(error, OSError) else error.problems
    status = _STATUS_OF_CODE[code]
    if status == "not possible":
        problems = tuple(replace(each, message=f"{doing} is not possible: {each.message}") for each in problems)
    placed = tuple(each if each.place else replace(each, place=Place(str(path), 0, 0, 0)) for each in problems)
    return Treated(path, status, lock=locked, problems=placed, code=code)


_STATUS_OF_CODE: dict[ExitCode, LockStatus] = {
    ExitCode.CHECK_FAILED: "differs",
    ExitCode.WRONG_INPUT: "failed",
    ExitCode.ENVIRONMENT: "not possible",
}


def report(treated: list[Treated], output_format: str, *, is_quiet: bool, hint: str = "") -> ExitCode:
    """Prints what came of locks, and returns the exit code, the highest of all.

    It is 3 if the machine does not allow the work, 2 if a lock, plan or model is wrong, 1 if something differs.

    Arguments:
        treated: the locks.
        output_format: text, github or json.
        is_quiet: whether to print only what differs or is wrong.
        hint: what to do if locks differ; their names follow.
    """
    code = max((each.code for each in treated), default=ExitCode.DONE)
    if output_format == "json":
        write_json(locks_document(_outcome(each) for each in treated))
        return code
    notes = [] if is_quiet else [note for each in treated for note in each.notes]
    problems = [*notes, *(problem for each in treated for problem in capped(each.problems))]
    if output_format == "github":
        for problem in problems:
            write(as_github(problem))
    elif problems:
        click.echo(as_texts(problems, color=wants_color(sys.stderr)), err=True, color=True)
    if not is_quiet:
        for each in treated:
            if each.line:
                write(in_one_line(f"{each.path}: {each.line}") + (f"\n{each.details}" if each.details else ""))
    if hint and output_format == "text" and (differing := [each.path for each in treated if each.status == "differs"]):
        click.echo(f"\n{hint} {shlex.join(map(str, differing))}", err=True)
    if len(treated) > 1 and (wrong := sum(each.code is not ExitCode.DONE for each in treated)):
        click.echo(f"\n{wrong} of {plural(len(treated), 'lock')} did not pass", err=True)
    return code


def _outcome(treated: Treated) -> LockOutcome:
    lock, made = treated.lock, treated.result
    return LockOutcome(
        lock=str(treated.path),
        status=treated.status,
        plan=None if lock is None else lock.plan.file,
        model=None if lock is None else lock.model.file,
        tensors=None if made is None else len(made.result.tensors),
        numeric=None if made is None else len(made.result.numeric),
        problems=problems_of(treated.problems),
        notes=problems_of(treated.notes),
    )


def weights_of(lock: Lock) -> str:
    """Returns how many weights a result has, and how many of them are numeric: `11 weights, 2 of them numeric`."""
    numeric = f", {len(lock.result.numeric):,} of them numeric" if lock.result.numeric else ""
    return f"{plural(len(lock.result.tensors), 'weight')}{numeric}"


def compared(lock: Lock, locked: Lock) -> str:
    """Returns how the weights of a result were compared: `11 weights, 2 of them numeric, within 1e-05`.

    Arguments:
        lock: the lock with the result.
        locked: the lock that it was compared with, which states the tolerance.
    """
    tolerance = locked.result.tolerance
    how = f", within {tolerance.relative_l2:g}" if lock.result.numeric and tolerance else " equal to the bit"
    return weights_of(lock) + how

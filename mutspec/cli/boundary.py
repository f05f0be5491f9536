"""The one place where errors become messages and exit codes. Whatever else escapes is a bug, with its traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType

import click

from mutspec.cli.exit_codes import ExitCode, code_of
from mutspec.cli.memory_limit import memory_problem, prepare_for_little_memory
from mutspec.cli.problems import as_texts
from mutspec.errors import MutspecError, Place, Problem, nearest


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP has come: what cleans up after Ctrl-C does so after them.

    Arguments:
        code: the exit code that says so.
    """

    def __init__(self, code: ExitCode) -> None:
        super().__init__()
        self.code = code


_TERMINATIONS = {"SIGTERM": ExitCode.TERMINATED, "SIGHUP": ExitCode.HUNG_UP}
"""The signals that end a process as Ctrl-C does, and the exit codes for them. Not every system has both."""


def terminations_as_interrupts() -> None:
    """Let SIGTERM and SIGHUP raise `Terminated` from now on, unless they are ignored or handled already."""
    owner = os.getpid()

    def terminate(number: int, _: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked child, such as a worker of a pool, ends at once as it always did
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise Terminated(_TERMINATIONS[signal.Signals(number).name])

    for name in _TERMINATIONS:
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_DFL:
            signal.signal(getattr(signal, name), terminate)


def too_late_for_interrupts(code: int) -> None:
    """Let a signal that ends the process end it with this exit code from now on: the work is done, and says so."""
    for name in ("SIGINT", *_TERMINATIONS):
        if hasattr(signal, name) and callable(signal.getsignal(getattr(signal, name))):
            signal.signal(getattr(signal, name), lambda *_: os._exit(code))


def run(command: click.Command, arguments: Sequence[str] | None, name: str) -> int:
    """Run a command to its exit code; errors go to standard error."""
    _open_closed_streams()
    prepare_for_little_memory()
    try:
        result = _called(command, arguments, name)
        sys.stdout.flush()
    except MutspecError as error:
        return _report(error.problems, code_of(error))
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        help_text = error.format_message()
        return _guarded(lambda: print(help_text, file=sys.stderr), ExitCode.WRONG_INPUT)
    except click.UsageError as error:
        return _report([usage_problem(error)], ExitCode.WRONG_INPUT)
    except click.ClickException as error:
        return _report([Problem(error.format_message())], ExitCode.WRONG_INPUT)
    except (KeyboardInterrupt, click.Abort, EOFError) as error:
        code = interrupt_code(error)
        text = "\n  = ".join([f"\nmutspec: {_ENDED[code]}", *filter(None, _notes(error))])
        return _guarded(lambda: print(text, file=sys.stderr), code)
    except BrokenPipeError:  # the reader has seen enough: `mutspec ops | head`
        let_go_of_output()
        return ExitCode.DONE
    except OSError as error:
        let_go_of_output()
        return _report([os_problem(error)], code_of(error))
    except (MemoryError, RuntimeError, ImportError) as error:
        problem = memory_problem(error)
        if problem is None:
            raise
        return _report([problem], ExitCode.ENVIRONMENT)
    return result if isinstance(result, int) else ExitCode.DONE


def _called(command: click.Command, arguments: Sequence[str] | None, name: str) -> object:
    """What a command returns. An error that an interrupt led to is that interrupt.

    Libraries make other errors of interrupts: an ImportError, for one, where they are being imported.
    """
    try:
        return command.main(args=None if arguments is None else list(arguments), prog_name=name, standalone_mode=False)
    except Exception as error:
        behind: BaseException | None = error
        seen: list[BaseException] = []
        while behind is not None and behind not in seen:  # a cause may lead back to where it began
            if isinstance(behind, KeyboardInterrupt):
                raise behind from None
            seen.append(behind)
            behind = behind.__cause__ or behind.__context__
        raise


def interrupt_code(error: BaseException) -> ExitCode:
    """The exit code for an interrupt, or for what Click has made of it."""
    cause = error.__cause__ or error
    return cause.code if isinstance(cause, Terminated) else ExitCode.INTERRUPTED


_ENDED = {ExitCode.INTERRUPTED: "interrupted", ExitCode.TERMINATED: "terminated", ExitCode.HUNG_UP: "hung up"}


def _notes(error: BaseException) -> list[str]:
    """What an interrupt says to whoever made it; Click raises an error of its own from it."""
    return list(getattr(error.__cause__ or error, "__notes__", ()))


def _open_closed_streams() -> None:
    """Give a process without standard streams (`>&-`) ones that go nowhere, so that its work can be done."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (for the process's lifetime)


def let_go_of_output() -> None:
    """Send standard output nowhere from now on, if it cannot be written: what is left of it must not fail again."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def warn(problem: Problem) -> None:
    """Say something on standard error that does not change the exit code."""
    _report([problem], ExitCode.DONE)


def _report(problems: Sequence[Problem], code: ExitCode) -> int:
    return _guarded(lambda: print(as_texts(problems, color=wants_color(sys.stderr)), file=sys.stderr), code)


def _guarded(say: Callable[[], None], code: ExitCode) -> int:
    """Say something, even if nobody can hear it any more; the exit code counts."""
    with suppress(OSError, UnicodeError):
        say()
    return code


def wants_color(stream: object) -> bool:
    """Whether to colour what goes to a stream: a terminal, and https://no-color.org not asking otherwise."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty()) and os.environ.get("TERM") != "dumb"


def usage_problem(error: click.UsageError) -> Problem:
    """A wrong call in the form of all other problems."""
    message = error.format_message().rstrip(".")
    context = error.ctx
    hint = f"try: {context.command_path} --help" if context is not None else ""
    candidates: tuple[str, ...] = ()
    if isinstance(error, click.NoSuchOption):
        message = f"there is no option `{error.option_name}`"
        known = [name for parameter in context.command.params for name in parameter.opts] if context is not None else []
        candidates = tuple(error.possibilities or ()) or nearest(error.option_name, known)
    elif isinstance(error, UnknownCommandError):
        candidates = error.candidates
    is_name = message[:2].isupper()  # of an argument, such as PLAN
    return Problem(message if is_name else message[:1].lower() + message[1:], hint=hint, candidates=candidates)


class UnknownCommandError(click.UsageError):
    """A command that is not there, with those that are like it."""

    def __init__(self, name: str, known: Sequence[str], context: click.Context) -> None:
        super().__init__(f"there is no command `{name}`", context)
        self.candidates = nearest(name, known)


def os_problem(error: OSError) -> Problem:
    """What the operating system refused."""
    reason = error.strerror or str(error)
    place = Place(str(error.filename), 0, 0, 0) if error.filename is not None else None
    return Problem(reason[:1].lower() + reason[1:], place)

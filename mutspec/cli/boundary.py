"""Errors become messages and exit codes here and nowhere else. Other exceptions are bugs, and show a traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType

import click

from mutspec.cli.exit_codes import ExitCode, code_of
from mutspec.cli.memory_limit import files_problem, memory_problem, prepare_for_little_memory
from mutspec.cli.problems import as_texts
from mutspec.errors import MutspecError, Place, Problem, nearest


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP was received; whatever cleans up after Ctrl-C cleans up after them too.

    Arguments:
        code: the exit code for the signal.
    """

    def __init__(self, code: ExitCode) -> None:
        super().__init__()
        self.code = code


_TERMINATIONS = {"SIGTERM": ExitCode.TERMINATED, "SIGHUP": ExitCode.HUNG_UP}
"""The signals that end a process as Ctrl-C does, and the exit codes for them. Not every system has both."""


def terminations_as_interrupts() -> None:
    """Makes SIGTERM and SIGHUP raise `Terminated` from now on, unless they are ignored or handled already."""
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
    """Makes signals end the process with this exit code from now on, as the work is done and has been reported."""
    for name in ("SIGINT", *_TERMINATIONS):
        if hasattr(signal, name) and callable(signal.getsignal(getattr(signal, name))):
            signal.signal(getattr(signal, name), lambda *_: os._exit(code))


def run(command: click.Command, arguments: Sequence[str] | None, name: str) -> int:
    """Runs a command and returns its exit code; errors go to standard error."""
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
        problem = memory_problem(error) or files_problem(error)
        if problem is None:
            raise
        return _report([problem], ExitCode.ENVIRONMENT)
    return result if isinstance(result, int) else ExitCode.DONE


def _called(command: click.Command, arguments: Sequence[str] | None, name: str) -> object:
    """Returns what a command returns. An error that an interrupt caused is raised as that interrupt.

    Libraries turn interrupts into other errors, such as an ImportError while they are imported.
    """
    streams = sys.stdout, sys.stderr
    try:
        return command.main(args=None if arguments is None else list(arguments), prog_name=name, standalone_mode=False)
    except SystemExit:
        if sys.stdout is streams[0]:
            raise
        # When nobody reads its output any more, Click exchanges both streams and leaves with 1 (8.5, `Command.main`).
        sys.stdout, sys.stderr = streams
        raise BrokenPipeError from None
    except Exception as error:
        if interrupt := interrupt_before(error):
            raise interrupt from None
        raise


def interrupt_before(error: Exception) -> KeyboardInterrupt | None:
    """Returns the interrupt that caused an error; None if none did."""
    cause: BaseException | None = error
    seen: list[BaseException] = []
    while cause is not None and cause not in seen:  # a cause may lead back to where it began
        if isinstance(cause, KeyboardInterrupt):
            return cause
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__
    return None


def interrupt_code(error: BaseException) -> ExitCode:
    """Returns the exit code for an interrupt, or for the error that Click raised from it."""
    cause = error.__cause__ or error
    return cause.code if isinstance(cause, Terminated) else ExitCode.INTERRUPTED


_ENDED = {ExitCode.INTERRUPTED: "interrupted", ExitCode.TERMINATED: "terminated", ExitCode.HUNG_UP: "hung up"}


def _notes(error: BaseException) -> list[str]:
    """Returns the notes of an interrupt, or of the interrupt that Click raised an error from."""
    return list(getattr(error.__cause__ or error, "__notes__", ()))


def _open_closed_streams() -> None:
    """Replaces standard streams that are closed (`>&-`) by ones that go nowhere, so that the work can be done."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (for the process's lifetime)


def let_go_of_output() -> None:
    """Sends standard output nowhere from now on if it cannot be written, so that what is left does not fail again."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def warn(problem: Problem) -> None:
    """Prints a problem on standard error that does not change the exit code."""
    _report([problem], ExitCode.DONE)


def _report(problems: Sequence[Problem], code: ExitCode) -> int:
    return _guarded(lambda: print(as_texts(problems, color=wants_color(sys.stderr)), file=sys.stderr), code)


def _guarded(say: Callable[[], None], code: ExitCode) -> int:
    """Calls a function that prints, and returns the exit code even if the stream is closed."""
    with suppress(OSError, UnicodeError):
        say()
    return code


def wants_color(stream: object) -> bool:
    """Returns whether a stream gets colours: terminals do, unless https://no-color.org asks otherwise."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty()) and os.environ.get("TERM") != "dumb"


def is_unicode(stream: object) -> bool:
    """Returns whether a stream takes every character."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")


def usage_problem(error: click.UsageError) -> Problem:
    """Returns a wrong call as a problem like all others."""
    message = " ".join(error.format_message().split()).rstrip(".")  # Click lists choices on lines of their own
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
    """The error that a command does not exist. `candidates` are commands with similar names."""

    def __init__(self, name: str, known: Sequence[str], context: click.Context) -> None:
        super().__init__(f"there is no command `{name}`", context)
        self.candidates = nearest(name, known)


def os_problem(error: OSError) -> Problem:
    """Returns an error of the operating system as a problem."""
    reason = error.strerror or str(error)
    place = Place(str(error.filename), 0, 0, 0) if error.filename is not None else None
    return Problem(reason[:1].lower() + reason[1:], place)

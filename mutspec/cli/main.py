"""The command `mutspec`: a table of commands, each of which is imported only when it runs."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

import click

from mutspec._first import hand_back_interrupts
from mutspec.cli.boundary import (
    UnknownCommandError,
    interrupt_code,
    run,
    terminations_as_interrupts,
    too_late_for_interrupts,
)

COMMANDS: dict[str, str] = {
    "validate": "Check plans, and what they choose in a model.",
    "inspect": "List the layers and weights of a model, or what a target chooses.",
    "apply": "Apply a plan to a model file, or show what it would do.",
    "diff": "Compare two model files.",
    "patch": "Turn a model file into another one by a patch that `diff` made, or back.",
    "graph": "Draw what a plan computes on a model.",
    "show": "Print a plan as one that stands alone, with the recipes that it uses.",
    "test": "Run the tests of recipes.",
    "run": "Mutate and evaluate with Hydra configurations; sweep over anything.",
    "report": "Show what a run or a sweep found, with pictures.",
    "ops": "List the ops, or explain one.",
    "schema": "Print the JSON schema of plans, for editors.",
    "lock": "Write down what a plan does to a model, and check it later.",
    "verify": "Replay locks, and name what differs.",
    "provenance": "Show where a mutant comes from, or make it again.",
    "sign": "Sign plans, locks or models with an OpenSSH key.",
    "init": "Make a recipe repository: a recipe, its test and lock, CI, pre-commit.",
    "completion": "Print the completion script of a shell.",
}
"""Every command with its one line of help, in the order of use: `command` in `mutspec.cli.commands.<name>`."""


_WITH_WORKERS = frozenset({"ray", "submitit"})
"""Modules whose worker processes end only when Python ends in its usual way."""
_OBJECTS_PER_COLLECTION = 20_000
"""To load modules and to read a configuration makes many objects that stay. Collections all 700 of them, as Python has
by default, take a twelfth of a short call."""
_LOKY = "joblib.externals.loky.reusable_executor"
"""The same for joblib, which Keras imports too: it has workers only if it has an executor."""


class LazyGroup(click.Group):
    """A group whose commands are modules: listing them and completing their names imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"mutspec.cli.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise UnknownCommandError(args[0], list(COMMANDS), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(context: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if not is_asked or context.resilient_parsing:
        return
    from mutspec.language.head import LANGUAGE_VERSION
    from mutspec.version import __version__

    click.echo(f"mutspec {__version__}, plan language {LANGUAGE_VERSION}")
    context.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`mutspec COMMAND --help` has examples. Exit codes: 0 done, 1 a check failed, 2 wrong input or call, "
    "3 the machine does not allow it or an op has a bug, 130 interrupted (143 by SIGTERM, 129 by SIGHUP).",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
def cli() -> None:
    """Turn a YAML plan into a mutated neural network: reproducibly, reviewably and fast.

    \b
    A plan is a list of steps:
      mutspec: 1
      seed: 7
      steps:
        - op: gaussian_noise
          target: {type: Dense, weights: kernel}
          std: 0.01

    \b
    Examples:
      mutspec validate plan.yaml
      mutspec apply plan.yaml model.keras --dry-run
      mutspec apply plan.yaml model.keras -o mutant.keras
      mutspec diff model.keras mutant.keras
    """  # noqa: D301


def _let_the_second_interrupt_end_all() -> None:
    """Hands SIGINT back to the system after the first one.

    Python handles a signal between two of its instructions, so a library that loops, or that catches all exceptions,
    can keep it from ending. The first interrupt cleans up; the second one ends the process in any case. An interrupt
    within a callback, such as one of the garbage collector, from which nothing is raised, comes once more.
    """

    def first(number: int, frame: object) -> NoReturn:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt

    def again(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(unraisable)
            return
        signal.signal(signal.SIGINT, first)
        threading.Timer(0.01, signal.raise_signal, [signal.SIGINT]).start()

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, first)
        sys.unraisablehook = again


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits with its code.

    All files are closed and all output is written by then. So the process ends at once: Python would need as long to
    unload NumPy and h5py as to read a plan.
    """
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    try:
        hand_back_interrupts()
        _let_the_second_interrupt_end_all()
        terminations_as_interrupts()
        code = int(run(cli, arguments, "mutspec"))
        too_late_for_interrupts(code)
    except KeyboardInterrupt as error:  # once more, while the first interrupt was being told
        code = int(interrupt_code(error))
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if not _WITH_WORKERS.isdisjoint(sys.modules) or getattr(sys.modules.get(_LOKY), "_executor", None) is not None:
        sys.exit(code)
    os._exit(code)

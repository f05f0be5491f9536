"""Options that several commands share, as decorators, so that they read and behave the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from importlib import import_module
from typing import Any, TypeVar

import click

from mutspec.errors import CallError, nearest
from mutspec.own_modules import allow_modules

Command = TypeVar("Command", bound=Callable[..., Any])

UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
"""Bytes in a unit of memory, by its name in capitals."""


class FilePath(click.Path):
    """A path. Only an empty one is refused here, as it would mean the current folder; opening it checks the rest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            name = param.human_readable_name.strip(".") if param is not None else "a path"
            raise click.UsageError(f"{param.opts[-1] if isinstance(param, click.Option) else name} is empty", ctx)
        return super().convert(value, param, ctx)


FILE = FilePath()
"""The type of all files that a call names."""


class Memory(click.ParamType[int]):
    """An amount of memory such as `200MB` or `1.5GiB`, as bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"\s*([0-9]{1,30}(?:\.[0-9]{1,30})?)\s*([A-Za-z]*)\s*", value)
        unit = found[2].upper() if found else ""
        unit = unit + "B" if unit in ("K", "M", "G", "T") else unit
        if found is None or unit not in UNITS:
            shown = value if len(value) <= 40 else f"{value[:39]}…"
            self.fail(f"`{shown}` is not an amount of memory such as 200MB or 1.5GiB", param, ctx)
        size = int(Fraction(found[1]) * UNITS[unit])
        if size < 1:
            self.fail(f"`{value}` is less than a byte", param, ctx)
        return size


class Binding(click.ParamType[tuple[str, str]]):
    """`name=MODEL`: an input of the plan, and the model file that it stands for."""

    name = "name=model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, path = value.partition("=")
        if not name or not equals or not path:
            self.fail(f"`{value}` is not of the form name=MODEL", param, ctx)
        return name, path


def set_option(command: Command) -> Command:
    """Adds `--set key=value`, passed as `overrides`."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override a value of the plan: params.std=0.05, steps.<id>.<key>=…, seed=3. Repeatable.",
    )(command)


def seed_option(command: Command) -> Command:
    """Adds `--seed N`."""
    return click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Use this seed instead of the plan's.")(
        command
    )


def input_option(command: Command) -> Command:
    """Adds `--input name=MODEL`, passed as `inputs`: pairs."""
    return click.option(
        "--input",
        "inputs",
        type=Binding(),
        multiple=True,
        metavar="NAME=MODEL",
        help="The model file for one of the plan's inputs. Repeatable.",
    )(command)


def import_option(command: Command) -> Command:
    """Adds `--import MODULE`, passed as `modules`."""
    return click.option(
        "--import",
        "modules",
        multiple=True,
        metavar="MODULE",
        help="Import a Python module first, for layers of your own. This runs its code. Repeatable.",
    )(command)


def json_option(command: Command) -> Command:
    """Adds `--json`, passed as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def quiet_option(command: Command) -> Command:
    """Adds `-q`, passed as `is_quiet`."""
    return click.option("-q", "--quiet", "is_quiet", is_flag=True, help="Print only what went wrong.")(command)


_FORCE_HELP = (
    "Replace an existing output, and keep its permissions. A link is replaced, not followed. Inputs are never replaced."
)


def force_option(command: Command) -> Command:
    """Adds `--force`."""
    return click.option("--force", is_flag=True, help=_FORCE_HELP)(command)


def memory_option(command: Command) -> Command:
    """Adds `--max-memory`, passed as `max_memory`: bytes, or None."""
    return click.option(
        "--max-memory",
        type=Memory(),
        metavar="SIZE",
        help="The most memory to use for values, such as 200MB or 1.5GiB.",
    )(command)


def unsafe_option(command: Command) -> Command:
    """Adds `--unsafe`."""
    return click.option(
        "--unsafe", is_flag=True, help="Run code in the model file (Lambda layers) where Keras loads it."
    )(command)


def threads_option(verb: str) -> Callable[[Command], Command]:
    """Adds `--threads N`. The verb says what the threads do."""
    return click.option(
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help=f"The number of threads that {verb}. [default: up to 8]",
    )


class LimitValue(click.ParamType[tuple[str, int]]):
    """`NAME=VALUE`: a limit on what files may declare; bytes may have a unit, as in `config_bytes=64MiB`."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        from mutspec.model.limits import table

        name, equals, number = value.partition("=")
        if not equals or not number:
            self.fail(f"`{value}` is not of the form NAME=VALUE", param, ctx)
        known = table()
        if name not in known:
            raise CallError(f"there is no limit `{name}`", hint=_limits_hint(), candidates=nearest(name, known))
        if known[name].unit == "bytes":
            return name, Memory().convert(number, param, ctx)
        return name, click.IntRange(min=1).convert(number, param, ctx)


def _limits_hint() -> str:
    from mutspec.model.limits import table

    return f"there are {', '.join(table())}"


def limit_option(command: Command) -> Command:
    """Adds `--limit NAME=VALUE`, which holds while the command runs."""

    def apply(context: click.Context, _: click.Parameter, pairs: tuple[tuple[str, int], ...]) -> None:
        if pairs:
            from mutspec.model.limits import limits

            context.with_resource(limits(**dict(pairs)))

    return click.option(
        "--limit",
        type=LimitValue(),
        multiple=True,
        expose_value=False,
        callback=apply,
        metavar="NAME=VALUE",
        help="Raise a limit that an error names, for files that you trust. Repeatable.",
    )(command)


RECIPES = "mutspec.recipes"
"""The key of the folder of `--recipes` in a command's context, from which `read_plan` takes it."""


def recipes_option(command: Command) -> Command:
    """Adds `--recipes DIR`, which `read_plan` takes from the context."""

    def keep(context: click.Context, _: click.Parameter, folder: str | None) -> None:
        if folder is not None and not context.resilient_parsing:
            from mutspec.arguments import recipe_folder

            context.meta[RECIPES] = recipe_folder(folder)

    return click.option(
        "--recipes",
        type=FILE,
        expose_value=False,
        callback=keep,
        metavar="DIR",
        help="The folder outside of which the plan uses no other recipes. [default: the plan's]",
    )(command)


def plan_options(command: Command) -> Command:
    """Adds what changes how a plan is read: `--set`, `--seed`, `--input`, `--recipes`, `--import`."""
    return set_option(seed_option(input_option(recipes_option(import_option(command)))))


def bound_inputs(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns the inputs by name.

    Raises:
        CallError: if one is bound twice.
    """
    bound: dict[str, str] = {}
    for name, path in pairs:
        if name in bound:
            raise CallError(f"--input binds `{name}` twice", hint=f"keep {bound[name]} or {path}")
        bound[name] = path
    return bound


def import_modules(names: Iterable[str]) -> None:
    """Imports the modules that the call names, from the current folder too.

    Raises:
        CallError: if one cannot be imported.
    """
    names = tuple(names)
    if not all(names):
        raise CallError("--import is empty", hint="give the name of a module, or leave it out")
    allow_modules(names)
    for name in names:
        from mutspec.model.live import quiet_imports

        try:
            with quiet_imports():
                import_module(name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a module must not end the run without a message
            reason = f"{type(error).__name__}: {error}"
            hint = "it is looked for among installed packages, and in the current folder"
            raise CallError(f"the module `{name}` cannot be imported: {reason}", hint=hint) from error
